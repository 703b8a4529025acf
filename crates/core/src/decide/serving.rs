//! An agent asks for something: who is it, which connection does it mean, may it, and can it be answered at once?

use std::sync::Arc;
use std::time::Duration;

use crate::agent::Agent;
use crate::book::Book;
use crate::connection::{Connection, Standing, Trouble, TroubleKind};
use crate::grant::{Door, Grant};
use crate::key::{KeyHash, KeyRecord, KeyStanding};
use crate::name::Name;
use crate::problem::{Code, Refusal};
use crate::time::Timestamp;

use super::ending::NOTHING_RENEWS_IT;

/// Who calls, once the key was checked.
#[derive(Clone)]
pub struct Caller {
    /// The key that was shown.
    pub key: Arc<KeyRecord>,
    /// The agent it speaks for.
    pub agent: Arc<Agent>,
}

/// Decides who shows a key with this hash. This is the one place where a key is checked.
pub fn authenticate(
    book: &Book,
    now: Timestamp,
    hash: &KeyHash,
    last_used_at: Option<Timestamp>,
) -> Result<Caller, Refusal> {
    let Some(key) = book.key(hash) else {
        return Err(unauthenticated("This agent key opens nothing here."));
    };
    match key.standing(now, last_used_at) {
        KeyStanding::Live => {}
        KeyStanding::Revoked => return Err(unauthenticated("This agent key was revoked.")),
        KeyStanding::Expired => return Err(unauthenticated("This agent key has ended.")),
        KeyStanding::Idle => {
            return Err(unauthenticated(
                "This agent key was not used for too long and has ended.",
            ));
        }
    }
    let Some(agent) = book.agent(key.agent) else {
        return Err(unauthenticated(
            "The agent of this key is not known any longer.",
        ));
    };
    Ok(Caller {
        key: Arc::clone(key),
        agent: Arc::clone(agent),
    })
}

/// The refusal of a caller that shows no key that opens anything.
#[must_use]
pub fn unauthenticated(detail: &str) -> Refusal {
    Refusal::new(
        Code::Unauthenticated,
        detail,
        "Send `Authorization: Bearer dwk_…`. Pair with `doorward pair NAME --scope CONNECTION:proxy` to get a key.",
    )
}

/// Whether a caller may use anything at all just now. It may always look at, and end, its own keys.
pub fn check_not_paused(caller: &Caller) -> Result<(), Refusal> {
    if caller.agent.paused {
        return Err(Refusal::new(
            Code::AgentPaused,
            "A person paused this agent.",
            "Wait until it is resumed in Doorward (`doorward resume`).",
        ));
    }
    Ok(())
}

/// Whether a caller may use connections at all just now: a key that reads the metrics opens nothing else.
pub fn check_uses_connections(caller: &Caller) -> Result<(), Refusal> {
    check_not_paused(caller)?;
    if caller.key.metrics {
        return Err(Refusal::new(
            Code::GrantMissing,
            "This agent key reads the metrics and opens nothing else.",
            "Ask a person for another key: `doorward pair NAME --scope CONNECTION:proxy`.",
        ));
    }
    Ok(())
}

/// Whether a caller may read the metrics just now.
pub fn check_reads_metrics(caller: &Caller) -> Result<(), Refusal> {
    check_not_paused(caller)?;
    if caller.key.metrics {
        return Ok(());
    }
    Err(Refusal::new(
        Code::GrantMissing,
        "This agent key does not read the metrics.",
        "A person adds an agent whose key does: `doorward agents add NAME --metrics`.",
    ))
}

/// What a caller may use: a connection of its own tenant, and its grant for it.
pub struct Access<'a> {
    /// The connection.
    pub connection: &'a Arc<Connection>,
    /// The grant.
    pub grant: &'a Arc<Grant>,
}

/// Decides which connection a caller means and whether it may use that door of it.
///
/// A connection of another tenant and one that does not exist are answered by the same bytes: the name alone decides
/// nothing before the tenant does.
pub fn access<'a>(
    book: &'a Book,
    now: Timestamp,
    caller: &Caller,
    name: Option<&Name>,
    door: Door,
) -> Result<Access<'a>, Refusal> {
    check_uses_connections(caller)?;
    let found = match name {
        Some(name) => named(book, caller, name)?,
        None => only(book, now, caller, door)?,
    };
    let in_audience = caller
        .key
        .audience
        .is_none_or(|audience| audience == found.id);
    let grant = book
        .grant(caller.agent.id, found.id)
        .filter(|grant| !grant.is_over(now) && in_audience);
    let Some(grant) = grant.filter(|grant| grant.rights.opens(door)) else {
        let has_other_door = grant.is_some();
        return Err(missing(&found.name, door, has_other_door));
    };
    if found.paused {
        return Err(Refusal::new(
            Code::ConnectionPaused,
            format!("A person paused the connection `{}`.", found.name),
            "Wait until it is resumed in Doorward (`doorward resume`).",
        ));
    }
    Ok(Access {
        connection: found,
        grant,
    })
}

fn named<'a>(book: &'a Book, caller: &Caller, name: &Name) -> Result<&'a Arc<Connection>, Refusal> {
    book.connection_of(caller.agent.tenant, name)
        .filter(|connection| connection.standing != Standing::Ending)
        .ok_or_else(|| unknown(name.as_str()))
}

/// The refusal for a connection that is not there, for this caller.
#[must_use]
pub fn unknown(name: &str) -> Refusal {
    let name: String = name
        .chars()
        .filter(|letter| !letter.is_control())
        .take(40)
        .collect();
    Refusal::new(
        Code::ConnectionUnknown,
        format!("There is no connection `{name}`."),
        "Ask `GET /v1/connections` for the names you may use.",
    )
}

fn only<'a>(
    book: &'a Book,
    now: Timestamp,
    caller: &Caller,
    door: Door,
) -> Result<&'a Arc<Connection>, Refusal> {
    let usable: Vec<_> = book
        .grants_of(caller.agent.id)
        .filter(|grant| !grant.is_over(now) && grant.rights.opens(door))
        .filter(|grant| {
            caller
                .key
                .audience
                .is_none_or(|audience| audience == grant.connection)
        })
        .filter_map(|grant| book.connection(grant.connection))
        .filter(|connection| connection.tenant == caller.agent.tenant)
        .filter(|connection| connection.standing != Standing::Ending)
        .collect();
    match usable.as_slice() {
        [] => Err(Refusal::new(
            Code::GrantMissing,
            format!("This agent was given no connection with the door `{door}`."),
            format!("Ask a person for one: `doorward pair NAME --scope CONNECTION:{door}`."),
        )),
        [one] => Ok(one),
        several => {
            let names: Vec<_> = several
                .iter()
                .map(|connection| connection.name.as_str())
                .collect();
            Err(Refusal::new(
                Code::ConnectionAmbiguous,
                format!(
                    "This agent was given several connections: {}.",
                    names.join(", ")
                ),
                "Say which one is meant with `connection=NAME`.",
            ))
        }
    }
}

fn missing(name: &Name, door: Door, has_other_door: bool) -> Refusal {
    let detail = if has_other_door {
        format!("This agent was not given the door `{door}` of `{name}`.")
    } else {
        format!("This agent was not given the connection `{name}`.")
    };
    Refusal::new(
        Code::GrantMissing,
        detail,
        format!("Ask a person for it: `doorward pair NAME --scope {name}:{door}`."),
    )
}

/// Whether a token can be served, and if not, what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// The stored token is as good as the caller wants.
    Fresh,
    /// A refresh is due; the stored token is still good and is served if the refresh fails.
    DueButLive,
    /// Without a refresh there is nothing to serve.
    Due,
    /// Nothing can be served.
    Refused(Refusal),
}

/// Decides whether a connection's token can be served at `now`. This is the one place where a refresh on demand is
/// decided.
#[must_use]
pub fn token_state(
    connection: &Connection,
    now: Timestamp,
    min_valid: Option<Duration>,
) -> TokenState {
    match &connection.standing {
        Standing::ReconnectRequired { why, .. } => {
            return TokenState::Refused(reconnect_required(&connection.name, why));
        }
        Standing::Ending => return TokenState::Refused(unknown(connection.name.as_str())),
        Standing::Connected | Standing::Unproven => {}
    }
    if connection.access_is_fresh(now, min_valid) {
        return TokenState::Fresh;
    }
    let live = connection.access_is_live(now);
    let refusal = match &connection.trouble {
        _ if !connection.refreshable => {
            Some(reconnect_required(&connection.name, NOTHING_RENEWS_IT))
        }
        // The refresh token of a backup may have been used since; at a provider that ends a grant on reuse, trying it
        // would end the grant of whoever used it. So a person is asked before.
        _ if connection.standing == Standing::Unproven => Some(reconnect_required(
            &connection.name,
            "it was restored from a backup, and its access token has ended since",
        )),
        Some(trouble) if trouble.holds_at(now) => {
            Some(in_trouble(connection, trouble.kind, trouble.retry_at, now))
        }
        _ => None,
    };
    match (refusal, live) {
        (Some(_), true) => TokenState::Fresh,
        (Some(refusal), false) => TokenState::Refused(refusal),
        (None, true) => TokenState::DueButLive,
        (None, false) => TokenState::Due,
    }
}

/// The refusal for a connection whose grant has ended.
#[must_use]
pub fn reconnect_required(name: &Name, why: &str) -> Refusal {
    Refusal::new(
        Code::ReconnectRequired,
        format!("The connection `{name}` has ended: {why}."),
        format!(
            "A person has to connect again: `doorward connect --name {name}`, or in the Doorward window."
        ),
    )
}

/// The refusal while a connection's trouble lasts.
#[must_use]
pub fn in_trouble(
    connection: &Connection,
    kind: TroubleKind,
    retry_at: Timestamp,
    now: Timestamp,
) -> Refusal {
    let name = &connection.name;
    let title = &connection.provider.title;
    let last = connection
        .trouble
        .as_ref()
        .map_or("no reply", |trouble| trouble.last.as_str());
    let refusal = match kind {
        TroubleKind::Transient => Refusal::new(
            Code::ProviderUnavailable,
            format!("{title} did not renew the token of `{name}`: {last}."),
            "Try again after the time given; nothing was lost.",
        ),
        TroubleKind::RateLimited => Refusal::new(
            Code::RateLimited,
            format!(
                "{title} wants no calls for `{name}` until {}.",
                retry_at.to_rfc3339()
            ),
            "Try again after the time given; nothing was lost.",
        ),
        TroubleKind::ClientRejected => Refusal::new(
            Code::ProviderRejected,
            format!("{title} does not accept Doorward's own registration for `{name}`: {last}."),
            format!(
                "The grant was kept. The client secret has expired or was changed. A person has to look: once it is \
                 put right, `doorward retry {name}` goes on; `doorward connect --name {name}` makes a new registration."
            ),
        ),
        TroubleKind::Misconfigured => Refusal::new(
            Code::ProviderRejected,
            format!("{title} refuses to renew the token of `{name}`: {last}."),
            format!(
                "The grant was kept. A person has to look at the connection: `doorward doctor`, then `doorward retry {name}`."
            ),
        ),
        TroubleKind::ReplyLost => Refusal::new(
            Code::ProviderUnavailable,
            format!("The token of `{name}` was asked for and the reply was lost: {last}."),
            "Try again after the time given: the renewal is then asked for once more.",
        ),
        TroubleKind::CourierFailed => Refusal::new(
            Code::ProviderUnavailable,
            format!(
                "Doorward's courier cannot be started, so the token of `{name}` is not renewed: {last}."
            ),
            "Nothing was sent and nothing was lost. A person has to see that the `doorward` program is there and may run; it is tried again by itself.",
        ),
    };
    let next_try = connection
        .trouble
        .as_ref()
        .map_or(Some(retry_at), Trouble::next_try);
    match next_try {
        Some(next_try) => refusal.retry_after(next_try.since(now)),
        // Nobody knows when a person will have looked.
        None => refusal,
    }
}
