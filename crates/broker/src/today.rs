//! "Today", as the person at this machine means it.

use doorward_core::time::Timestamp;

/// The end of the day at this machine's place; twelve hours on where that cannot be told.
#[must_use]
pub(crate) fn end_of_day(now: Timestamp) -> Timestamp {
    let end = jiff::Timestamp::from_millisecond(now.as_millis())
        .ok()
        .and_then(|now| {
            let here = now.to_zoned(jiff::tz::TimeZone::system());
            here.tomorrow().ok()?.start_of_day().ok()
        });
    end.map_or_else(
        || now.plus(std::time::Duration::from_hours(12)),
        |end| Timestamp::from_millis(end.timestamp().as_millisecond()),
    )
}
