//! One consent under way in a browser, and whether an answer belongs to it.
//!
//! Everything in the answer comes from whoever can make the browser follow a link. Nothing is sent to the provider
//! until `state` and, where it is promised or given, `iss` have been compared.

use crate::ids::{ConnectionId, FlowId, TenantId};
use crate::name::Name;
use crate::problem::{Code, Refusal};
use crate::provider::Provider;
use crate::registration::ClientIdentity;
use crate::scope::Ask;
use crate::secret::AuthorizationCode;
use crate::time::Timestamp;

/// How long a person has to answer. The provider's own request lives as long.
pub const CONSENT_LIFE: std::time::Duration = std::time::Duration::from_mins(10);

/// A consent that a person was sent to the browser for.
#[derive(Clone, Debug)]
pub struct PendingConsent {
    /// Its identity.
    pub id: FlowId,
    /// The tenant the connection will belong to.
    pub tenant: TenantId,
    /// The connection, which may exist already.
    pub connection: ConnectionId,
    /// The connection's name.
    pub name: Name,
    /// Whether the connection exists and is being connected again.
    pub reconnects: bool,
    /// The provider.
    pub provider: Provider,
    /// The client used.
    pub client: ClientIdentity,
    /// What is asked for.
    pub ask: Ask,
    /// The name the provider's session will carry.
    pub device_name: String,
    /// Exactly the redirect URI that was sent.
    pub redirect_uri: String,
    /// Exactly the state that was sent.
    pub state: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What the redirect carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallbackParameters {
    pairs: Vec<(String, String)>,
}

impl CallbackParameters {
    /// Takes the decoded query parameters in their order.
    #[must_use]
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        Self { pairs }
    }

    /// Reads them from an address that a person pasted.
    pub fn from_pasted(text: &str) -> Result<Self, Refusal> {
        let unreadable = || {
            Refusal::new(
                Code::BadRequest,
                "That is not the address the browser was sent back to.",
                "Copy the whole address from the browser's address bar; it begins with http://127.0.0.1 and has `code=` in it.",
            )
        };
        let address = url::Url::parse(text.trim()).map_err(|_| unreadable())?;
        let found = Self::new(address.query_pairs().into_owned().collect());
        if found
            .pairs
            .iter()
            .any(|(name, _)| name == "code" || name == "error")
        {
            Ok(found)
        } else {
            Err(unreadable())
        }
    }

    fn only(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut found = self
            .pairs
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str());
        let first = found.next();
        if found.next().is_some() {
            return Err(mismatch(&format!("it names `{name}` twice")));
        }
        Ok(first.filter(|value| !value.is_empty()))
    }
}

/// What an answer to a consent means.
pub enum ConsentAnswer {
    /// The person agreed.
    Code(AuthorizationCode),
    /// The person, or the provider, said no: the consent is over.
    Refused(Refusal),
}

/// Decides whether an answer belongs to this consent and what it says. An error leaves the consent open: it was
/// somebody else's answer.
pub fn check_answer(
    now: Timestamp,
    consent: &PendingConsent,
    answer: &CallbackParameters,
) -> Result<ConsentAnswer, Refusal> {
    if now >= consent.expires_at {
        return Ok(ConsentAnswer::Refused(expired()));
    }
    let error = answer.only("error")?;
    let state = answer.only("state")?;
    match (state, error) {
        (Some(state), _) if same(state, &consent.state) => {}
        (Some(_), _) => return Err(mismatch("its `state` is not the one that was sent")),
        // Some providers leave `state` out of a refusal. Nothing is sent on such an answer, so it is believed.
        (None, Some(_)) => {}
        (None, None) => return Err(mismatch("it has no `state`")),
    }
    let issuer = consent.provider.issuer.as_str();
    match answer.only("iss")? {
        Some(given) if given.trim_end_matches('/') != issuer.trim_end_matches('/') => {
            return Err(mismatch("it comes from another issuer"));
        }
        None if consent.provider.iss_promised && error.is_none() => {
            return Err(mismatch(
                "the provider promises `iss` in its answers and this one has none",
            ));
        }
        _ => {}
    }
    if let Some(error) = error {
        return Ok(ConsentAnswer::Refused(declined(
            &consent.provider.title,
            error,
        )));
    }
    match answer.only("code")? {
        Some(code) => Ok(ConsentAnswer::Code(AuthorizationCode::new(code.to_owned()))),
        None => Err(mismatch("it has no `code`")),
    }
}

/// The refusal for a consent that was not answered in time.
#[must_use]
pub fn expired() -> Refusal {
    Refusal::new(
        Code::ConsentExpired,
        "The consent was not answered within 10 minutes.",
        "Start it again; nothing was changed.",
    )
}

fn declined(title: &str, error: &str) -> Refusal {
    let word: String = error
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
        .take(40)
        .collect();
    if word == "access_denied" {
        Refusal::new(
            Code::ConsentDeclined,
            format!("The consent was declined at {title}."),
            "Nothing was changed. Connect again if that was not meant.",
        )
    } else {
        Refusal::new(
            Code::ProviderRejected,
            format!("{title} answered the consent with the error `{word}`."),
            "Nothing was changed. Check what was asked for, then connect again.",
        )
    }
}

fn mismatch(why: &str) -> Refusal {
    Refusal::new(
        Code::ConsentMismatch,
        format!("That answer does not belong to this consent: {why}."),
        "Nothing was sent. Answer in the browser tab that Doorward opened last.",
    )
}

fn same(left: &str, right: &str) -> bool {
    use subtle::ConstantTimeEq as _;
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::provider::Manifest;
    use crate::registration::ClientAuthentication;

    pub(crate) fn pending(iss_promised: bool) -> PendingConsent {
        let mut provider = Provider::resolve(&Manifest::fastio().unwrap(), None).unwrap();
        provider.iss_promised = iss_promised;
        PendingConsent {
            id: FlowId::from_random([1; 16]),
            tenant: TenantId::from_random([2; 16]),
            connection: ConnectionId::from_random([3; 16]),
            name: "fastio".parse().unwrap(),
            reconnects: false,
            provider,
            client: ClientIdentity {
                client_id: "client".to_owned(),
                authentication: ClientAuthentication::None,
                registration: None,
            },
            ask: Ask {
                scope: "workspace".to_owned(),
                read_only: false,
                agent_name: "Doorward".to_owned(),
            },
            device_name: "doorward-1".to_owned(),
            redirect_uri: "http://127.0.0.1:1/callback".to_owned(),
            state: "right".to_owned(),
            expires_at: Timestamp::from_secs(600),
        }
    }

    fn verdict(iss_promised: bool, query: &str, at: i64) -> String {
        let url = url::Url::parse(&format!("http://127.0.0.1:1/callback?{query}")).unwrap();
        let answer = CallbackParameters::new(url.query_pairs().into_owned().collect());
        match check_answer(Timestamp::from_secs(at), &pending(iss_promised), &answer) {
            Ok(ConsentAnswer::Code(code)) => format!("code {}", code.expose()),
            Ok(ConsentAnswer::Refused(refusal)) => format!("over: {}", refusal.code),
            Err(refusal) => format!("not ours: {}", refusal.code),
        }
    }

    #[test]
    fn only_the_answer_to_the_question_asked_is_believed() {
        assert_eq!(verdict(false, "code=c&state=right", 0), "code c");
        assert_eq!(
            verdict(false, "code=c&state=wrong", 0),
            "not ours: consent_mismatch"
        );
        assert_eq!(verdict(false, "code=c", 0), "not ours: consent_mismatch");
        assert_eq!(
            verdict(false, "code=c&state=", 0),
            "not ours: consent_mismatch"
        );
        assert_eq!(
            verdict(false, "code=c&state=right&state=right", 0),
            "not ours: consent_mismatch"
        );
        assert_eq!(
            verdict(false, "code=c&code=d&state=right", 0),
            "not ours: consent_mismatch"
        );
        assert_eq!(
            verdict(false, "code=c&state=right&iss=https://evil.example", 0),
            "not ours: consent_mismatch"
        );
        assert_eq!(
            verdict(true, "code=c&state=right", 0),
            "not ours: consent_mismatch"
        );
        assert_eq!(
            verdict(true, "code=c&state=right&iss=https://api.fast.io", 0),
            "code c"
        );
        assert_eq!(
            verdict(false, "code=c&state=right", 600),
            "over: consent_expired"
        );
    }

    #[test]
    fn a_refusal_ends_the_consent_even_without_state() {
        assert_eq!(
            verdict(false, "error=access_denied", 0),
            "over: consent_declined"
        );
        assert_eq!(
            verdict(false, "error=access_denied&state=right", 0),
            "over: consent_declined"
        );
        assert_eq!(
            verdict(false, "error=access_denied&state=wrong", 0),
            "not ours: consent_mismatch"
        );
        assert_eq!(
            verdict(false, "error=server_error&state=right", 0),
            "over: provider_rejected"
        );
    }
}
