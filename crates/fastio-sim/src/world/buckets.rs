//! Rate limits: which bucket a request draws from, and what is left in it.
//!
//! A bucket may have several windows at once (so many in three seconds, so many in ten minutes). A
//! request is let through only if every window has room, and then draws from all of them; what the
//! headers tell is the window with the least left.

use std::collections::HashMap;

use time::{Duration, OffsetDateTime};

use crate::clock::rounded_up;
use crate::kind::Kind;
use crate::knobs::{Knobs, Presence};

/// What draws from the same bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Bucket {
    Api,
    Discovery,
    UploadBatch,
    EventSearch,
    NoteUpdate,
}

/// So many requests in so much time.
type Quota = (u32, Duration);

/// The published figures.
const EVENT_SEARCH: [Quota; 3] = [
    (5, Duration::seconds(3)),
    (15, Duration::seconds(30)),
    (120, Duration::minutes(10)),
];
const NOTE_UPDATE: [Quota; 2] = [(2, Duration::seconds(10)), (5, Duration::minutes(1))];

/// What a bucket said to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drawn {
    /// How many are left after it; `None` when there was none for it.
    pub(crate) left: Option<u32>,
    pub(crate) max: u32,
    /// When the window ends that has the least left.
    pub(crate) until: OffsetDateTime,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    opened_at: OffsetDateTime,
    used: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Buckets(HashMap<(Bucket, usize), Window>);

impl Buckets {
    /// Draws one request.
    pub(crate) fn draw(
        &mut self,
        (kind, path): (Kind, &str),
        knobs: &Knobs,
        now: OffsetDateTime,
    ) -> Drawn {
        let bucket = Bucket::of(kind, path, knobs);
        let quotas = bucket.quotas(knobs);
        let mut tightest: Option<Drawn> = None;
        for (index, (max, length)) in quotas.iter().copied().enumerate() {
            let window = self.window((bucket, index), length, now);
            let drawn = Drawn {
                left: max.checked_sub(window.used + 1),
                max,
                until: rounded_up(window.opened_at + length),
            };
            let tighter = |other: Drawn| {
                (drawn.left, std::cmp::Reverse(drawn.until))
                    < (other.left, std::cmp::Reverse(other.until))
            };
            if tightest.is_none_or(tighter) {
                tightest = Some(drawn);
            }
        }
        // Every bucket has a quota.
        let drawn = tightest.unwrap_or(Drawn {
            left: None,
            max: 0,
            until: now,
        });
        if drawn.left.is_some() {
            for index in 0..quotas.len() {
                if let Some(window) = self.0.get_mut(&(bucket, index)) {
                    window.used += 1;
                }
            }
        }
        drawn
    }

    /// The window that is open, opened now if none is.
    fn window(&mut self, key: (Bucket, usize), length: Duration, now: OffsetDateTime) -> Window {
        let opened = Window {
            opened_at: now,
            used: 0,
        };
        let window = self.0.entry(key).or_insert(opened);
        if now >= window.opened_at + length {
            *window = opened;
        }
        *window
    }
}

impl Bucket {
    fn of(kind: Kind, path: &str, knobs: &Knobs) -> Self {
        let published = knobs.published_limits == Presence::Present;
        match path.strip_prefix("/current/").unwrap_or_default() {
            _ if kind == Kind::Discovery => Self::Discovery,
            "upload/batch/" => Self::UploadBatch,
            "events/search/" | "events/search/summarize/" if published => Self::EventSearch,
            below if published && below.ends_with("/updatenote/") => Self::NoteUpdate,
            _ => Self::Api,
        }
    }

    fn quotas(self, knobs: &Knobs) -> Vec<Quota> {
        match self {
            Self::Api => vec![(knobs.api_limit_per_minute, Duration::MINUTE)],
            Self::Discovery => vec![
                (knobs.discovery_limit_per_minute, Duration::MINUTE),
                (knobs.discovery_limit_per_hour, Duration::HOUR),
            ],
            Self::UploadBatch => vec![(knobs.upload_batch_limit_per_minute, Duration::MINUTE)],
            Self::EventSearch => EVENT_SEARCH.to_vec(),
            Self::NoteUpdate => NOTE_UPDATE.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_draws_from_every_window_and_is_told_the_tightest() {
        let knobs = Knobs {
            published_limits: Presence::Present,
            ..Knobs::default()
        };
        let search = (Kind::Api, "/current/events/search/");
        let start = OffsetDateTime::UNIX_EPOCH;
        let mut buckets = Buckets::default();
        for left in [4, 3, 2, 1, 0] {
            let drawn = buckets.draw(search, &knobs, start);
            assert_eq!((drawn.left, drawn.max), (Some(left), 5));
        }
        let refused = buckets.draw(search, &knobs, start);
        let end = start + Duration::seconds(3);
        assert_eq!((refused.left, refused.until), (None, end));

        for round in 1..3 {
            let later = start + Duration::seconds(3 * round);
            for _ in 0..5 {
                assert!(buckets.draw(search, &knobs, later).left.is_some());
            }
        }
        let tired = buckets.draw(search, &knobs, start + Duration::seconds(9));
        let end = start + Duration::seconds(30);
        assert_eq!((tired.left, tired.max, tired.until), (None, 15, end));
        let other = buckets.draw((Kind::Api, "/current/ping/"), &knobs, start);
        assert!(other.left.is_some());
    }
}
