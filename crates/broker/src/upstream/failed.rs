//! Why a try brought no answer, which decides whether there is another one.

use doorward_core::problem::{Code, Refusal};
use hyper_util::client::legacy::Error;

use crate::trust::{self, causes};

/// Why a try brought no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// There was no connection: nothing was sent.
    NeverSent,
    /// Who is there does not prove to be the provider, and how it fails to: nothing was sent.
    Distrusted(String),
    /// The provider says that it did not look at it (RFC 9113 §8.7): nothing was carried out.
    NotTaken,
    /// It was sent, at least in part.
    Unanswered,
}

impl Failed {
    pub(super) fn of(error: &Error, had_body: bool) -> Self {
        if error.is_connect() {
            return trust::objection(error).map_or(Self::NeverSent, Self::Distrusted);
        }
        let mut errors = causes(error).filter_map(|cause| cause.downcast_ref());
        if errors.any(|error| is_not_taken(error, had_body)) {
            Self::NotTaken
        } else {
            Self::Unanswered
        }
    }

    /// What the agent is told of a call that changed nothing, or nothing more.
    pub(super) fn refusal(&self, title: &str, host: &str) -> Refusal {
        match self {
            Self::NeverSent => Refusal::new(
                Code::ProviderUnavailable,
                format!("There is no connection to {title}; nothing was sent."),
                "Try again after the time given.",
            ),
            Self::Distrusted(objection) => Refusal::new(
                Code::ProviderRejected,
                format!("{host} {objection}, so it may not be {title}; nothing was sent."),
                "Tell a person, and do not reach it by another way. They look at this machine's clock and network (a \
                 page to sign in at, a program that looks into TLS). An authority of their own belongs in the system's \
                 store of certificates; Doorward reads that when it starts.",
            ),
            Self::NotTaken => Refusal::new(
                Code::ProviderUnavailable,
                format!("{title} did not take this call; nothing was carried out."),
                "Try again after the time given.",
            ),
            Self::Unanswered => Refusal::new(
                Code::ProviderUnavailable,
                format!("{title} did not answer."),
                "Try again after the time given: sending it twice changes nothing more.",
            ),
        }
    }
}

/// A server refuses a stream; or it goes away and names the last stream that it may look at, and the library ends those
/// behind it with that error. It ends one more with it: the call that it was about to write. That one may be out, and
/// without a body it is out whole.
fn is_not_taken(error: &h2::Error, had_body: bool) -> bool {
    let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && (is_refused || (error.is_go_away() && had_body))
}

/// What the agent is told of a call that may have been carried out, and must not be twice.
pub(super) fn unknown_outcome(title: &str) -> Refusal {
    Refusal::new(
        Code::ProviderUnavailable,
        format!(
            "This was sent and {title} did not answer: whether it was carried out is not known, and it was not repeated."
        ),
        "Look whether it was carried out before sending it again.",
    )
}
