//! Answers that end when the agent may not have them any longer.
//!
//! What is revoked or paused ends within moments, on streams that are busy and on streams that are silent. A busy one
//! looks, at each piece, whether the published state has changed at all: one load of an atomic. Only a body that has
//! to wait for its provider asks to be woken by a change.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use doorward_core::connection::Connection;
use doorward_core::decide::serving::{self, Caller};
use doorward_core::grant::{Door, Grant, Lifetime};
use doorward_core::problem::{Code, Refusal};
use doorward_core::time::Timestamp;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::watch;

use super::BoxError;
use super::client::Arriving;
use crate::handle::{Shared, stopped};
use crate::uses::{Counting, Outcome};

/// A clock may be set and a machine may sleep while a timer runs: what ends by time is looked at again this often.
const LONGEST_NAP: Duration = Duration::from_mins(1);

/// What an agent was let in with, and until when that holds.
#[derive(Clone)]
pub(crate) struct Lease {
    pub(crate) shared: Arc<Shared>,
    pub(crate) caller: Caller,
    pub(crate) connection: Arc<Connection>,
    pub(crate) grant: Arc<Grant>,
    pub(crate) changes: watch::Receiver<u64>,
}

impl Lease {
    /// Whether everything that let the agent in still stands.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let published = self.shared.published.load();
        let now = self.shared.clock.now();
        let caller = published.still(now, &self.caller)?;
        let name = Some(&self.connection.name);
        let access = serving::access(&published.book, now, &caller, name, Door::Proxy)?;
        let is_the_same = access.connection.id == self.connection.id
            && access.grant.id == self.grant.id
            && access.grant.rights == self.grant.rights;
        if is_the_same {
            return Ok(());
        }
        Err(Refusal::new(
            Code::GrantMissing,
            "What this agent was given has changed.",
            "Send it again: it goes by what the agent was given now.",
        ))
    }

    /// The moment at which it ends by itself.
    fn ends_at(&self) -> Option<Timestamp> {
        let by_grant = match self.grant.lifetime {
            Lifetime::Until(end) => Some(end),
            Lifetime::UntilRevoked | Lifetime::WhileRunning(_) => None,
        };
        by_grant.into_iter().chain(self.caller.key.expires_at).min()
    }

    /// Why it is over, if a change that was not looked at yet says so. It costs next to nothing where nothing changed.
    pub(super) fn news(&mut self) -> Option<Refusal> {
        let is_late = self
            .ends_at()
            .is_some_and(|end| self.shared.clock.now() >= end);
        match self.changes.has_changed() {
            Ok(false) if !is_late => None,
            Err(_) => Some(stopped()),
            Ok(_) => {
                self.changes.mark_unchanged();
                self.check().err()
            }
        }
    }

    /// Waits until it is over.
    pub(crate) async fn over(&mut self) -> Refusal {
        loop {
            if let Err(refusal) = self.check() {
                return refusal;
            }
            let left = self
                .ends_at()
                .map(|end| end.since(self.shared.clock.now()).min(LONGEST_NAP));
            tokio::select! {
                changed = self.changes.changed() => if changed.is_err() {
                    return stopped();
                },
                () = tokio::time::sleep(left.unwrap_or_default()), if left.is_some() => {}
            }
        }
    }
}

/// An answer's body. It ends with an error as soon as the agent may not have it any longer, and is counted when it
/// ends.
pub struct CutBody {
    first: Option<Bytes>,
    rest: Option<Arriving>,
    lease: Lease,
    over: Option<Pin<Box<dyn Future<Output = Refusal> + Send>>>,
    counting: Counting,
}

impl CutBody {
    pub(super) fn new(
        first: Option<Bytes>,
        rest: Option<Arriving>,
        lease: Lease,
        counting: Counting,
    ) -> Self {
        Self {
            first: first.filter(|first| !first.is_empty()),
            rest,
            lease,
            over: None,
            counting,
        }
    }

    fn cut(&mut self, refusal: &Refusal) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        tracing::debug!(code = %refusal.code, "an answer was cut off");
        self.first = None;
        // What is not read any longer closes the way it came on.
        self.rest = None;
        self.counting.outcome = Outcome::Cut;
        Poll::Ready(Some(Err(Box::new(refusal.clone()))))
    }

    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<Refusal> {
        let over = self.over.get_or_insert_with(|| {
            let mut lease = self.lease.clone();
            Box::pin(async move { lease.over().await })
        });
        over.as_mut().poll(context)
    }
}

impl Body for CutBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(refusal) = self.lease.news() {
            return self.cut(&refusal);
        }
        if let Some(first) = self.first.take() {
            self.counting.bytes_out += first.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(rest) = &mut self.rest else {
            self.counting.outcome.complete();
            return Poll::Ready(None);
        };
        match Pin::new(rest).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.counting.bytes_out += data.len() as u64;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.counting.outcome = Outcome::BrokenOff;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                self.counting.outcome.complete();
                Poll::Ready(None)
            }
            Poll::Pending => match self.poll_over(context) {
                Poll::Ready(refusal) => self.cut(&refusal),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, |first| first.len() as u64);
        let Some(rest) = &self.rest else {
            return SizeHint::with_exact(first);
        };
        let rest = rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint
    }
}

impl Drop for CutBody {
    fn drop(&mut self) {
        // Whoever has read everything does not ask whether there is more.
        if self.is_end_stream() {
            self.counting.outcome.complete();
        }
    }
}
