//! Cuts off connections that hold a place and do not use it.
//!
//! The obvious way, a fresh timer for every request, costs an allocation and a turn of the timer
//! wheel on the path that must cost nothing. Here a request leaves a mark in one atomic, and one
//! slow beat for each connection notices when a mark has stood too long. That makes a limit exact
//! to one beat, which is enough for limits whose purpose is that nothing is held for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// A limit is exact to this.
const BEAT: Duration = Duration::from_secs(1);
/// How many beats the head of a request may take, counted from its first byte, or from accepting
/// the connection. A program on this machine needs one write.
const HEAD_BEATS: u32 = 10;
/// How many beats a connection may rest between two requests, or its peer not read an answer:
/// longer than the pools of common HTTP clients keep one.
const IDLE_BEATS: u32 = 120;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The head of a request is being read.
    Head = 0,
    /// A request is being answered. Its body has a limit of its own; the rest is our time.
    Busy = 1,
    /// Nothing is under way.
    Idle = 2,
}

/// What a beat has seen.
pub(crate) enum Seen {
    /// The connection has stood in one phase for too long.
    Overdue,
    /// The gateway stops.
    Stopping,
}

/// Where a connection is: a phase in the low bits, above it how many phases there were.
pub(crate) struct Pace(AtomicU64);

impl Pace {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(Phase::Head as u64))
    }

    pub(crate) fn request_began(&self) {
        self.enter(Phase::Busy);
    }

    pub(crate) fn request_answered(&self) {
        self.enter(Phase::Idle);
    }

    fn bytes_arrived(&self) {
        if self.0.load(Ordering::Relaxed) & 3 == Phase::Idle as u64 {
            self.enter(Phase::Head);
        }
    }

    /// Its peer reads what is sent: a stream that goes on is no connection that rests.
    fn bytes_left(&self) {
        if self.0.load(Ordering::Relaxed) & 3 == Phase::Idle as u64 {
            self.enter(Phase::Idle);
        }
    }

    /// All marks of a connection are made by its one task, so a load and a store are enough.
    fn enter(&self, phase: Phase) {
        let count = (self.0.load(Ordering::Relaxed) >> 2).wrapping_add(1);
        self.0.store(count << 2 | phase as u64, Ordering::Relaxed);
    }

    /// Ends when the connection has stood in one phase for too long, or when the gateway stops. Both
    /// are looked at once a beat: to be woken for a stop, every connection would have to ask a shared
    /// place for it each time that it is polled, which a warm request pays for.
    pub(crate) async fn watch(&self, stopping: &watch::Receiver<bool>) -> Seen {
        let mut seen = self.0.load(Ordering::Relaxed);
        let mut age = 0;
        loop {
            tokio::time::sleep(BEAT).await;
            if *stopping.borrow() {
                return Seen::Stopping;
            }
            let mark = self.0.load(Ordering::Relaxed);
            age = if mark == seen { age + 1 } else { 0 };
            seen = mark;
            let is_over = match mark & 3 {
                phase if phase == Phase::Head as u64 => age >= HEAD_BEATS,
                phase if phase == Phase::Idle as u64 => age >= IDLE_BEATS,
                _ => false,
            };
            if is_over {
                return Seen::Overdue;
            }
        }
    }
}

/// A stream that marks when bytes arrive and leave.
pub(crate) struct Paced {
    pub(crate) stream: TcpStream,
    pub(crate) pace: Arc<Pace>,
}

impl Paced {
    fn sent(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(polled, Poll::Ready(Ok(count)) if count > 0) {
            self.pace.bytes_left();
        }
        polled
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_ready() && buffer.filled().len() > before {
            self.pace.bytes_arrived();
        }
        polled
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.sent(polled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long it takes to be overdue on the paused clock while `marks` are made once a second.
    async fn seconds_until_overdue(pace: &Pace, mark: impl Fn(u64, &Pace)) -> u64 {
        let (_going_on, stopping) = watch::channel(false);
        let mut overdue = std::pin::pin!(pace.watch(&stopping));
        for second in 0..1000 {
            mark(second, pace);
            let second_over = tokio::time::sleep(BEAT);
            tokio::select! {
                biased;
                _ = &mut overdue => return second,
                () = second_over => {}
            }
        }
        1000
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_is_cut_off_and_an_answer_under_way_is_not() {
        let dripping = seconds_until_overdue(&Pace::new(), |_, pace| pace.bytes_arrived()).await;
        assert!((9..=11).contains(&dripping), "{dripping}");

        let pace = Pace::new();
        pace.request_began();
        assert_eq!(
            seconds_until_overdue(&pace, |_, pace| pace.bytes_arrived()).await,
            1000
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_goes_on_is_not_cut_off_while_its_peer_reads_it() {
        let pace = Pace::new();
        pace.request_began();
        pace.request_answered();
        let read = seconds_until_overdue(&pace, |second, pace| {
            if second % 15 == 0 {
                pace.bytes_left();
            }
        });
        assert_eq!(read.await, 1000);
        let unread = seconds_until_overdue(&pace, |_, _| {}).await;
        assert!((119..=121).contains(&unread), "{unread}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_resting_connection_is_kept_for_its_next_request_but_not_for_ever() {
        let pace = Pace::new();
        pace.request_answered();
        let resting = seconds_until_overdue(&pace, |_, _| {}).await;
        assert!((119..=121).contains(&resting), "{resting}");

        let pace = Pace::new();
        let used = seconds_until_overdue(&pace, |second, pace| {
            if second % 60 == 0 {
                pace.request_began();
                pace.request_answered();
            }
        });
        assert_eq!(used.await, 1000);
    }
}
