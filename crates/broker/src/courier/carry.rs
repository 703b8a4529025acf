//! The courier's own side: it reads its order, makes the one call, keeps what it saw, and reports.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use doorward_core::secret::{ClientSecret, RefreshToken};
use doorward_core::time::Timestamp;
use doorward_store::{Spool, Unclaimed};
use rustix::process::{Signal, getpid, getsid, kill_process, setsid};
use tokio::signal::unix::{Signal as Heard, SignalKind, signal};
use zeroize::Zeroizing;

use super::{Order, Report, Seen, base64_of};
use crate::clock::{Clock, SystemClock};
use crate::provider::Providers;
use crate::provider::token;

/// An order is written at once by whoever starts a courier.
const ORDER_COMES_WITHIN: Duration = Duration::from_secs(5);
/// Larger than any order: a provider's description and three secrets.
const LARGEST_ORDER: u64 = 256 * 1024;

/// Why a courier carries nothing. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is a person at its standard input, or nobody.
    #[error("a courier is started by Doorward itself, with an order on its standard input")]
    ByHand,
    /// It would share a session with others, and their signals.
    #[error("it cannot have a session of its own: {0}")]
    Session(rustix::io::Errno),
    /// The process cannot do what it is there for.
    #[error("it cannot be set up: {0}")]
    SetUp(String),
    /// The flight is another's, over, or not wanted.
    #[error(transparent)]
    Unclaimed(#[from] Unclaimed),
}

/// Carries the one refresh that the order on standard input asks for, and reports on standard output. Called by a
/// process that does nothing else.
pub fn carry() -> Result<(), Refused> {
    if io::stdin().is_terminal() {
        return Err(Refused::ByHand);
    }
    let carried = carry_one();
    if let Err(refused @ (Refused::Session(_) | Refused::SetUp(_) | Refused::Unclaimed(_))) =
        &carried
    {
        say(&Report::Refused(refused.to_string()));
    }
    carried
}

fn carry_one() -> Result<(), Refused> {
    own_session()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Refused::SetUp(error.to_string()))?;
    let _deaf = {
        let _context = runtime.enter();
        deaf().map_err(|error| Refused::SetUp(error.to_string()))?
    };
    let order = read_order()?;
    let _limit = end_within(order.limit())?;
    let sealed = runtime.block_on(fly(&order))?;
    // A look-up of a name that still hangs is nobody's any longer.
    runtime.shutdown_background();
    say(&Report::Landed(base64_of(&sealed).expose().to_owned()));
    Ok(())
}

/// Out of the session of whoever started it: a closed terminal and a signal to their group do not reach it.
fn own_session() -> Result<(), Refused> {
    match setsid() {
        Ok(_) => Ok(()),
        Err(_) if getsid(None).is_ok_and(|session| session == getpid()) => Ok(()),
        Err(error) => Err(Refused::Session(error)),
    }
}

/// Every signal that would end it and can be ignored. They stay ignored when this is dropped.
fn deaf() -> io::Result<Vec<Heard>> {
    [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
        SignalKind::quit(),
        SignalKind::alarm(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
    ]
    .into_iter()
    .map(signal)
    .collect()
}

fn read_order() -> Result<Order, Refused> {
    let _limit = end_within(ORDER_COMES_WITHIN)?;
    let mut text = Zeroizing::new(Vec::with_capacity(16 * 1024));
    io::stdin()
        .lock()
        .take(LARGEST_ORDER)
        .read_to_end(&mut text)
        .map_err(|error| Refused::SetUp(error.to_string()))?;
    // An order that was cut off by the end of whoever wrote it is no order.
    serde_json::from_slice(&text).map_err(|_| Refused::ByHand)
}

/// Ends this process after that time, unless the answer is dropped before. A thread of its own, for a disk that hangs
/// would hold up any other way of counting the time.
fn end_within(limit: Duration) -> Result<Sender<()>, Refused> {
    let (in_time, over) = mpsc::channel::<()>();
    std::thread::Builder::new()
        .name("limit".to_owned())
        .spawn(move || {
            if over.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                // It cannot fail, and there is nothing left to be put in order.
                let _ended = kill_process(getpid(), Signal::KILL);
            }
        })
        .map_err(|error| Refused::SetUp(error.to_string()))?;
    Ok(in_time)
}

/// The flight itself; what was seen, sealed.
async fn fly(order: &Order) -> Result<Vec<u8>, Refused> {
    let set_up = |error: &dyn std::error::Error| Refused::SetUp(error.to_string());
    let clock = Arc::new(BrokersClock::set(order.now));
    let providers = Providers::new(order.timeout(), clock).map_err(|error| set_up(&error))?;
    let secret = order.secret.as_ref();
    let secret = secret.map(|secret| ClientSecret::new(secret.expose().to_owned()));
    let refresh = RefreshToken::new(order.refresh.expose().to_owned());
    let mut claim = Spool::of(&order.data).claim(order.place.flight)?;
    // Tried before anything is sent: a reply that could not be sealed would be lost.
    order
        .place
        .seal(&order.key(), b"")
        .map_err(|error| set_up(&error))?;
    claim.sends().map_err(Unclaimed::from)?;
    let call = token::refresh(
        &providers,
        &order.provider,
        &order.client,
        secret.as_ref(),
        &refresh,
    );
    let seen = Seen::of(call.await);
    let plain = serde_json::to_vec(&seen).map(Zeroizing::new);
    let plain = plain.map_err(|error| set_up(&error))?;
    let sealed = order.place.seal(&order.key(), &plain);
    let sealed = sealed.map_err(|error| set_up(&error))?;
    // A disk that cannot take it leaves the report: the broker keeps the reply in memory then.
    let _kept = claim.keep(&sealed);
    Ok(sealed)
}

/// Whoever started it may be gone: then the spool is all that is left to say.
fn say(report: &Report) {
    if let Ok(line) = serde_json::to_string(report) {
        let mut out = io::stdout().lock();
        let _gone = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

/// The broker's clock, as its order told it, and the time that has passed since.
struct BrokersClock {
    told: Timestamp,
    then: Timestamp,
}

impl BrokersClock {
    fn set(told: Timestamp) -> Self {
        Self {
            told,
            then: SystemClock.now(),
        }
    }
}

impl Clock for BrokersClock {
    fn now(&self) -> Timestamp {
        self.told.plus(SystemClock.now().since(self.then))
    }
}
