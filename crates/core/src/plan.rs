//! What a decision is: changes to write, events to log, and what to do once both are on disk.

use crate::alarm::Alarm;
use crate::audit::AuditEvent;
use crate::change::Change;
use crate::ids::{ConnectionId, QuestionId, RequestId};

/// Something a person is told. The shell decides how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An agent asks for a grant.
    ApprovalAsked(RequestId),
    /// An agent asks for a single call.
    CallAsked(QuestionId),
    /// A grant has ended at its provider.
    ReconnectNeeded(ConnectionId),
    /// A connection that had ended works again.
    Recovered(ConnectionId),
    /// A provider does not accept Doorward's own registration: its secret has expired or was changed. Told once for
    /// all connections of that registration.
    ClientRejected(ConnectionId),
    /// A provider refuses every renewal as it is set up.
    Misconfigured(ConnectionId),
    /// Many connections fail at once: this stands for all of them.
    ManyFail(Alarm),
    /// What made many connections fail is over.
    ManyRecovered(Alarm),
    /// A revocation was given up; the person has to end it at the provider.
    RevocationGivenUp {
        /// The connection's name.
        name: String,
    },
    /// A page sent the person here, to answer for this connection.
    WindowWanted(ConnectionId),
}

/// What the broker does after the changes are on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell the person.
    Tell(Notice),
    /// Work off the outbox now.
    WorkOutbox,
    /// Say in the log, as what matters most there, that the tries for a connection have halted.
    LogHalted {
        /// The connection.
        connection: ConnectionId,
        /// What was seen last.
        last: String,
    },
}

/// A decision.
#[derive(Default)]
#[must_use]
pub struct Plan {
    /// Written in one transaction with the events.
    pub changes: Vec<Change>,
    /// Logged in that transaction.
    pub audit: Vec<AuditEvent>,
    /// Done after it.
    pub effects: Vec<Effect>,
}

impl Plan {
    /// A decision that changes nothing.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// With a change.
    pub fn change(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// With an event.
    pub fn log(mut self, event: AuditEvent) -> Self {
        self.audit.push(event);
        self
    }

    /// With an effect.
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    /// Both decisions as one.
    pub fn and(mut self, other: Self) -> Self {
        self.changes.extend(other.changes);
        self.audit.extend(other.audit);
        self.effects.extend(other.effects);
        self
    }
}
