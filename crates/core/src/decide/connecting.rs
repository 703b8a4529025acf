//! A person connects: which connection a consent is for, and what its answer makes of it.

use crate::audit::{AuditEvent, AuditKind};
use crate::book::Book;
use crate::change::{Change, OutboxTokens};
use crate::connection::{Account, Connection, Standing, Tenant};
use crate::consent::PendingConsent;
use crate::ids::{ConnectionId, OutboxId, TenantId};
use crate::name::Name;
use crate::plan::{Effect, Notice, Plan};
use crate::problem::{Code, Refusal};
use crate::provider::Provider;
use crate::scope::Granted;
use crate::time::Timestamp;
use crate::token_reply::TokenSet;

use super::refreshing;
use super::revoking;

/// What a connection that is about to be made, or made again, is called and where it belongs.
pub struct Place {
    /// The tenant.
    pub tenant: TenantId,
    /// The connection.
    pub connection: ConnectionId,
    /// Whether it exists.
    pub reconnects: bool,
    /// Makes the tenant, where it is a new one.
    pub plan: Plan,
}

/// Decides where a new consent's connection belongs. A connection never changes its tenant, so a name that another
/// tenant uses is taken.
pub fn place(
    book: &Book,
    now: Timestamp,
    name: &Name,
    tenant: Option<&Name>,
    fresh: &mut dyn FnMut() -> [u8; 16],
) -> Result<Place, Refusal> {
    let existing = book.connection_named(name);
    if let Some(connection) = existing {
        let owner = book.tenant(connection.tenant).map(|owner| &owner.name);
        let asks_for_another = tenant.is_some_and(|asked| owner != Some(asked));
        if asks_for_another || connection.standing == Standing::Ending {
            return Err(Refusal::new(
                Code::NameTaken,
                format!(
                    "There is a connection `{name}` already, and it belongs elsewhere or is being disconnected."
                ),
                "Choose another name with `--name`.",
            ));
        }
        return Ok(Place {
            tenant: connection.tenant,
            connection: connection.id,
            reconnects: true,
            plan: Plan::nothing(),
        });
    }
    let connection = ConnectionId::from_random(fresh());
    let tenant_name = tenant.cloned().unwrap_or_else(default_tenant);
    let (tenant, plan) = tenant_of_that_name(book, now, tenant_name, fresh);
    Ok(Place {
        tenant,
        connection,
        reconnects: false,
        plan,
    })
}

/// The tenant of a name, with what makes it where there is none yet.
pub(super) fn tenant_of_that_name(
    book: &Book,
    now: Timestamp,
    name: Name,
    fresh: &mut dyn FnMut() -> [u8; 16],
) -> (TenantId, Plan) {
    if let Some(known) = book.tenant_named(&name) {
        return (known.id, Plan::nothing());
    }
    let id = TenantId::from_random(fresh());
    let tenant = Tenant {
        id,
        name,
        created_at: now,
    };
    (id, Plan::nothing().change(Change::TenantPut(tenant)))
}

/// Whether a consent may be asked of this provider under that name. A connection stays with its issuer: the agents
/// that were let in to it were let in to that one.
pub fn stays_with_issuer(
    book: &Book,
    connection: ConnectionId,
    provider: &Provider,
) -> Result<(), Refusal> {
    let (asked, trimmed) = (&provider.issuer, |issuer: &str| {
        issuer.trim_end_matches('/').to_owned()
    });
    match book.connection(connection) {
        Some(known) if trimmed(&known.provider.issuer) != trimmed(asked) => Err(Refusal::new(
            Code::NameTaken,
            format!(
                "`{}` is a connection to {}, not to {asked}.",
                known.name, known.provider.issuer
            ),
            "Choose another name with `--name`, or disconnect that one first.",
        )),
        _ => Ok(()),
    }
}

/// The tenant of a person who did not name one.
#[must_use]
#[expect(
    clippy::missing_panics_doc,
    reason = "the constant is a name, as a test shows"
)]
pub fn default_tenant() -> Name {
    #[expect(
        clippy::expect_used,
        reason = "the constant is a name, as a test shows"
    )]
    "personal".parse().expect("a name")
}

/// What was learned right after the exchange.
#[derive(Clone, Debug)]
pub struct Learned {
    /// Whose account it is, where the provider tells.
    pub account: Option<Account>,
    /// The provider's session of this grant.
    pub session: Option<String>,
    /// Whether a real call with the new token succeeded.
    pub proven: bool,
}

/// The exchange has succeeded. Returns what to write; where the answer does not fit what is there by now, the refusal
/// comes with the plan that owes the unwanted tokens' revocation.
pub fn connected(
    book: &Book,
    now: Timestamp,
    consent: &PendingConsent,
    tokens: TokenSet,
    learned: Learned,
    outbox: OutboxId,
) -> (Plan, Option<Refusal>) {
    let before = book.connection(consent.connection);
    let fresh = fresh_row(now, consent, before.map(AsRef::as_ref), &tokens, &learned);
    let unfit = gone_meanwhile(consent, before.map(AsRef::as_ref))
        .or_else(|| taken_meanwhile(book, consent))
        .or_else(|| stays_with_issuer(book, consent.connection, &consent.provider).err())
        .or_else(|| before.and_then(|before| other_account(before, learned.account.as_ref())));
    if let Some(refusal) = unfit {
        let plan = give_back(&fresh, now, outbox, learned.session, tokens);
        return (plan, Some(refusal));
    }
    let kind = if before.is_some() {
        AuditKind::Reconnected
    } else {
        AuditKind::Connected
    };
    let event = AuditEvent::new(kind)
        .tenant(fresh.tenant)
        .connection(fresh.id)
        .with("name", fresh.name.as_str())
        .with("provider", fresh.provider.name.as_str())
        .with("asked", fresh.ask.scope.as_str())
        .with("granted", fresh.granted.as_scope());
    let owed = before.map_or_else(Plan::nothing, |before| {
        owe_replaced(before, now, outbox, learned.session.as_deref())
    });
    let had_ended = before.is_some_and(|before| {
        matches!(before.standing, Standing::ReconnectRequired { .. }) || before.is_end_told()
    });
    let id = fresh.id;
    // Without a refresh token of its own the new grant would keep the stored one, which is the old grant's.
    let owed = if before.is_some() && tokens.refresh.is_none() {
        owed.change(Change::TokensErased {
            tenant: fresh.tenant,
            connection: fresh.id,
        })
    } else {
        owed
    };
    // The row comes first: it makes the data key that the tokens are sealed under.
    let plan = owed
        .change(Change::ConnectionPut(Box::new(fresh.clone())))
        .change(refreshing::tokens_put(&fresh, tokens))
        .log(event);
    let plan = if had_ended {
        plan.effect(Effect::Tell(Notice::Recovered(id)))
    } else {
        plan
    };
    (plan, None)
}

fn fresh_row(
    now: Timestamp,
    consent: &PendingConsent,
    before: Option<&Connection>,
    tokens: &TokenSet,
    learned: &Learned,
) -> Connection {
    let row = Connection {
        id: consent.connection,
        tenant: consent.tenant,
        name: before.map_or_else(|| consent.name.clone(), |before| before.name.clone()),
        provider: consent.provider.clone(),
        client: consent.client.clone(),
        ask: consent.ask.clone(),
        granted: as_asked(consent),
        account: learned
            .account
            .clone()
            .or_else(|| before.and_then(|before| before.account.clone())),
        session: learned.session.clone(),
        device_name: consent.device_name.clone(),
        created_at: before.map_or(now, |before| before.created_at),
        connected_at: now,
        standing: Standing::Connected,
        paused: before.is_some_and(|before| before.paused),
        generation: before.map_or(0, |before| before.generation),
        refreshing: None,
        refreshable: false,
        token_type: tokens.token_type.clone(),
        access_issued_at: tokens.issued_at,
        access_expires_at: tokens.expires_at,
        proven_at: None,
        trouble: None,
        end_told: None,
    };
    let mut row = refreshing::with_tokens(&row, now, tokens);
    // A refresh token of the grant before belongs to that grant, not to this one.
    row.refreshable = tokens.refresh.is_some();
    row.proven_at = learned.proven.then_some(now);
    row
}

/// RFC 6749 §5.1: a reply that names no scope granted what was asked.
fn as_asked(consent: &PendingConsent) -> Granted {
    Granted {
        scopes: consent
            .ask
            .scope
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect(),
        stated: false,
    }
}

fn gone_meanwhile(consent: &PendingConsent, before: Option<&Connection>) -> Option<Refusal> {
    let is_gone =
        consent.reconnects && before.is_none_or(|before| before.standing == Standing::Ending);
    is_gone.then(|| {
        Refusal::new(
            Code::ConsentUnknown,
            format!(
                "`{}` was disconnected while its consent was open.",
                consent.name
            ),
            "The new consent was given back. Connect again if it is wanted.",
        )
    })
}

/// Two consents for one new name can be open at once, each for a connection of its own: the first to end has the name.
fn taken_meanwhile(book: &Book, consent: &PendingConsent) -> Option<Refusal> {
    let holder = book.connection_named(&consent.name)?;
    (holder.id != consent.connection).then(|| {
        Refusal::new(
            Code::NameTaken,
            format!(
                "Another connection took the name `{}` while this consent was open.",
                consent.name
            ),
            "The new consent was given back. Choose another name with `--name`.",
        )
    })
}

fn other_account(before: &Connection, account: Option<&Account>) -> Option<Refusal> {
    let (known, new) = (before.account.as_ref()?, account?);
    (known.id != new.id).then(|| {
        Refusal::new(
            Code::AccountDiffers,
            format!("`{}` is connected as {}, and this consent was given as {}.", before.name, known.label, new.label),
            "The new consent was given back. Sign in as the same person, or connect with another `--name`.",
        )
    })
}

fn give_back(
    row: &Connection,
    now: Timestamp,
    outbox: OutboxId,
    session: Option<String>,
    tokens: TokenSet,
) -> Plan {
    let tokens = OutboxTokens::Given {
        access: tokens.access,
        refresh: tokens.refresh,
    };
    revoking::owe(row, now, outbox, session, tokens)
}

/// The grant that a reconnect replaces is ended at the provider only where the provider keeps a session for each
/// grant. Elsewhere the old and the new tokens may be one grant, and revoking the old ones would end both.
fn owe_replaced(
    before: &Connection,
    now: Timestamp,
    outbox: OutboxId,
    session: Option<&str>,
) -> Plan {
    let is_live = before.standing == Standing::Connected && before.refreshable;
    match &before.session {
        Some(old) if is_live && Some(old.as_str()) != session => {
            revoking::owe(before, now, outbox, Some(old.clone()), OutboxTokens::Stored)
        }
        _ => Plan::nothing(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_tenant_is_a_name() {
        assert_eq!(default_tenant().as_str(), "personal");
    }
}
