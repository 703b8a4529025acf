//! The only place that reads a clock. Everything else is told the time.
//!
//! Two things can go wrong with the time: a wall clock is set, and a machine sleeps. A token's life is a length of
//! time, so what is told here runs on a clock that counts sleep and cannot be set, and begins at the wall clock's
//! moment. Whether the wall clock has gone elsewhere since can be asked, and the owner of the state decides when to
//! follow it. Timers of the runtime stand still in sleep; [`Disturbance`] ends their wait when the machine wakes.

use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use doorward_core::time::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The moment now.
    fn now(&self) -> Timestamp;

    /// The moment that the wall clock shows, which may have been set.
    fn wall(&self) -> Timestamp {
        self.now()
    }

    /// From here on the time is the wall clock's.
    fn follow_wall(&self) {}

    /// How long the machine has slept in all.
    fn slept(&self) -> Duration {
        Duration::ZERO
    }
}

/// The machine's wall clock, for a command that asks it once.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        let now = std::time::SystemTime::now();
        let since_epoch = now
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock for a process that lives long: it counts sleep, and setting the wall clock does not move it.
pub struct SteadyClock {
    /// The wall clock's moment at the time zero of the clock that counts sleep.
    origin: AtomicI64,
    played: played::Sleep,
}

impl SteadyClock {
    /// A clock that begins at the wall clock's moment.
    #[must_use]
    pub fn start() -> Self {
        let clock = Self {
            origin: AtomicI64::new(0),
            played: played::Sleep::announced(),
        };
        clock.follow_wall();
        clock
    }

    fn counting_sleep(&self) -> i64 {
        machine::counting_sleep().saturating_add(self.played.millis())
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        let origin = self.origin.load(Ordering::Relaxed);
        Timestamp::from_millis(origin.saturating_add(self.counting_sleep()))
    }

    fn wall(&self) -> Timestamp {
        SystemClock.now().shifted(self.played.millis())
    }

    fn follow_wall(&self) {
        let origin = self.wall().as_millis() - self.counting_sleep();
        self.origin.store(origin, Ordering::Relaxed);
    }

    fn slept(&self) -> Duration {
        let played = u64::try_from(self.played.millis()).unwrap_or(0);
        machine::slept() + Duration::from_millis(played)
    }
}

/// Tells when the wall clock was set or the machine woke. It costs nothing in between: the kernel does the waiting.
pub struct Disturbance(machine::Watch);

impl Disturbance {
    /// Begins to watch. Fails where the system has no way to tell; what is due is then noticed within a minute.
    pub fn watch() -> io::Result<Self> {
        machine::Watch::begin().map(Self)
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> io::Result<()> {
        self.0.next().await
    }
}

/// Sleep that a test plays: a file that `DOORWARD_PLAYED_SLEEP` names holds how many seconds the machine has slept. A
/// program cannot put its own machine to sleep, and what is at stake after it must be tested with the real program. A
/// release knows nothing of it.
#[cfg(debug_assertions)]
mod played {
    use std::path::PathBuf;

    pub(super) struct Sleep(Option<PathBuf>);

    impl Sleep {
        pub(super) fn announced() -> Self {
            Self(std::env::var_os("DOORWARD_PLAYED_SLEEP").map(PathBuf::from))
        }

        pub(super) fn millis(&self) -> i64 {
            let told = self
                .0
                .as_ref()
                .and_then(|file| std::fs::read_to_string(file).ok());
            let seconds = told.and_then(|text| text.trim().parse::<i64>().ok());
            seconds.unwrap_or(0).saturating_mul(1000)
        }
    }
}

#[cfg(not(debug_assertions))]
mod played {
    pub(super) struct Sleep;

    impl Sleep {
        pub(super) const fn announced() -> Self {
            Self
        }

        #[expect(
            clippy::unused_self,
            reason = "in a build for tests there is something to read"
        )]
        pub(super) const fn millis(&self) -> i64 {
            0
        }
    }
}

#[cfg(target_os = "linux")]
mod machine {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::time::{
        ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
        clock_gettime, timerfd_create, timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    fn millis(clock: ClockId) -> i64 {
        let moment = clock_gettime(clock);
        moment
            .tv_sec
            .saturating_mul(1000)
            .saturating_add(moment.tv_nsec / 1_000_000)
    }

    pub(super) fn counting_sleep() -> i64 {
        millis(ClockId::Boottime)
    }

    pub(super) fn slept() -> Duration {
        // The two are not read at one instant: never less than nothing.
        let slept = millis(ClockId::Boottime) - millis(ClockId::Monotonic);
        Duration::from_millis(u64::try_from(slept).unwrap_or(0))
    }

    /// A timer for a far moment of the wall clock. The kernel gives it up whenever that clock jumps, which waking from
    /// sleep is for it too.
    pub(super) struct Watch(AsyncFd<OwnedFd>);

    /// Far enough: the timer is set again after it, too.
    const FAR: i64 = 365 * 24 * 3600;

    impl Watch {
        pub(super) fn begin() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
            #[expect(
                deprecated,
                reason = "what follows it must be called as unsafe, for the sake of types that close early; an `OwnedFd` lives as long as this"
            )]
            let registered = AsyncFd::with_interest(timer, Interest::READABLE)?;
            let watch = Self(registered);
            watch.arm()?;
            Ok(watch)
        }

        fn arm(&self) -> io::Result<()> {
            let zero = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let far = Timespec {
                tv_sec: clock_gettime(ClockId::Realtime).tv_sec.saturating_add(FAR),
                tv_nsec: 0,
            };
            let once = Itimerspec {
                it_interval: zero,
                it_value: far,
            };
            let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
            timerfd_settime(self.0.get_ref(), flags, &once)?;
            Ok(())
        }

        pub(super) async fn next(&mut self) -> io::Result<()> {
            loop {
                let mut ready = self.0.readable().await?;
                let mut count = [0; 8];
                match rustix::io::read(self.0.get_ref(), &mut count) {
                    Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                    Ok(_) | Err(rustix::io::Errno::CANCELED) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            self.arm()
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod machine {
    use std::io;
    use std::time::Duration;

    use super::{Clock as _, SystemClock};

    /// The wall clock: it counts sleep, but it can be set.
    pub(super) fn counting_sleep() -> i64 {
        SystemClock.now().as_millis()
    }

    pub(super) fn slept() -> Duration {
        Duration::ZERO
    }

    pub(super) struct Watch;

    impl Watch {
        pub(super) fn begin() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) async fn next(&mut self) -> io::Result<()> {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_steady_clock_begins_at_the_wall_clocks_moment_and_goes_on() {
        let clock = SteadyClock::start();
        let apart = |left: Timestamp, right: Timestamp| left.since(right).max(right.since(left));
        let first = clock.now();
        assert!(apart(first, clock.wall()) < Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
        let later = clock.now();
        assert!(later.since(first) >= Duration::from_millis(19));
        assert!(apart(later, clock.wall()) < Duration::from_secs(1));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_undisturbed_machine_is_not_said_to_be_disturbed() {
        let mut watch = Disturbance::watch().expect("a timer");
        let waited = tokio::time::timeout(Duration::from_millis(50), watch.next()).await;
        assert!(waited.is_err());
    }
}
