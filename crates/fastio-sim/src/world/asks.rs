//! Pending authorizations and the codes that end them.
//!
//! An ask lives ten minutes and is answered once; a code lives five and is good once. A code that is
//! sent a second time is remembered, because the session it opened must then end.

use std::collections::HashMap;

use time::{Duration, OffsetDateTime};

use crate::scope::{Mode, ScopeType, Scopes};
use crate::secret::{Fingerprint, random_node_id, random_token};

/// How long a person has to answer.
pub(crate) const ASK_LIFETIME: Duration = Duration::minutes(10);
/// How long a client has to redeem the code.
const CODE_LIFETIME: Duration = Duration::minutes(5);

/// What a client asked for.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) state: Option<String>,
    pub(crate) scope_type: ScopeType,
    pub(crate) ceiling: Mode,
    pub(crate) account_settings: bool,
    pub(crate) agent_name: Option<String>,
    pub(crate) login_hint: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) expires_at: OffsetDateTime,
}

#[derive(Debug)]
struct Pending {
    ask: Ask,
    /// Handed out on the page that a signed-in person sees, so that holding it proves the sign-in.
    csrf: Option<String>,
    answered: bool,
}

/// What a code stands for.
#[derive(Clone, Debug)]
pub(crate) struct Approved {
    pub(crate) ask: Ask,
    pub(crate) scopes: Scopes,
}

#[derive(Debug)]
struct Code {
    approved: Approved,
    expires_at: OffsetDateTime,
    spent: bool,
    session_id: Option<String>,
}

/// Why a code opens nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CodeRefusal {
    Unknown,
    Expired,
    /// It was used before; the session that came of it, if one did.
    Replayed(Option<String>),
}

#[derive(Debug, Default)]
pub(crate) struct Asks {
    pending: HashMap<String, Pending>,
    codes: HashMap<Fingerprint, Code>,
}

impl Asks {
    /// Files an ask and returns its `auth_request_id`.
    pub(crate) fn file(&mut self, ask: Ask) -> String {
        let id = random_node_id();
        self.pending.insert(
            id.clone(),
            Pending {
                ask,
                csrf: None,
                answered: false,
            },
        );
        id
    }

    pub(crate) fn open(&self, id: &str, now: OffsetDateTime) -> Option<&Ask> {
        self.pending
            .get(id)
            .filter(|pending| !pending.answered && now < pending.ask.expires_at)
            .map(|pending| &pending.ask)
    }

    /// Notes that the person signed in, and returns what proves it.
    pub(crate) fn signed_in(&mut self, id: &str) -> Option<String> {
        let csrf = random_token();
        self.pending.get_mut(id)?.csrf = Some(csrf.clone());
        Some(csrf)
    }

    /// Whether `csrf` is what the person who signed in to this ask was given.
    pub(crate) fn proves_sign_in(&self, id: &str, csrf: &str) -> bool {
        self.pending
            .get(id)
            .is_some_and(|pending| pending.csrf.as_deref() == Some(csrf))
    }

    /// Closes an ask: it has had its one answer.
    pub(crate) fn close(&mut self, id: &str) {
        if let Some(pending) = self.pending.get_mut(id) {
            pending.answered = true;
        }
    }

    pub(crate) fn issue_code(&mut self, approved: Approved, now: OffsetDateTime) -> String {
        let code = random_token();
        self.codes.insert(
            Fingerprint::of(&code),
            Code {
                approved,
                expires_at: now + CODE_LIFETIME,
                spent: false,
                session_id: None,
            },
        );
        code
    }

    /// Spends a code. It is spent even if what comes with it turns out wrong, so that a stolen code
    /// cannot be tried against many verifiers.
    pub(crate) fn spend(
        &mut self,
        code: &str,
        now: OffsetDateTime,
    ) -> Result<Approved, CodeRefusal> {
        let code = self
            .codes
            .get_mut(&Fingerprint::of(code))
            .ok_or(CodeRefusal::Unknown)?;
        if code.spent {
            return Err(CodeRefusal::Replayed(code.session_id.clone()));
        }
        code.spent = true;
        if now >= code.expires_at {
            return Err(CodeRefusal::Expired);
        }
        Ok(code.approved.clone())
    }

    /// Remembers which session a code opened.
    pub(crate) fn opened(&mut self, code: &str, session_id: &str) {
        if let Some(code) = self.codes.get_mut(&Fingerprint::of(code)) {
            code.session_id = Some(session_id.to_owned());
        }
    }
}
