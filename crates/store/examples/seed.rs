//! Fills a store for `make bench`: what is there stays, and many others join it.
//!
//! `seed FOLDER PASSPHRASE-FILE CONNECTIONS AGENTS` copies the store's first connection, tokens
//! included, until there are CONNECTIONS, and adds agents with a key and a grant each until there
//! are AGENTS. Nobody has the new keys: they are there to be looked past.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use doorward_core::agent::Agent;
use doorward_core::change::Change;
use doorward_core::connection::Connection;
use doorward_core::grant::{Door, Grant, Lifetime, Policy, Rights};
use doorward_core::ids::{AgentId, ConnectionId, GrantId, KeyId};
use doorward_core::key::{AgentKey, KeyRecord};
use doorward_core::name::ClaimedName;
use doorward_core::secret::{AccessToken, Passphrase, RefreshToken};
use doorward_core::time::Timestamp;
use doorward_store::{HolderKind, PassphraseSource, Store};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, passphrase, connections, agents] = arguments.as_slice() else {
        return Err("usage: seed FOLDER PASSPHRASE-FILE CONNECTIONS AGENTS".into());
    };
    let passphrase = std::fs::read_to_string(passphrase)?;
    let passphrase = Passphrase::new(passphrase.trim_end_matches('\n').to_owned());
    // Only what is written here is dated, and it belongs to no particular moment.
    let opened = Timestamp::from_millis(0);
    let store = Store::open(Path::new(folder), HolderKind::Serve, opened).await?;
    let source = PassphraseSource::new(passphrase);
    store.unlock(&source, opened).await?;

    let book = store.load_book().await?;
    let pattern = book
        .connections()
        .next()
        .ok_or("the store has no connection")?;
    let now = pattern.connected_at;
    let (_, access) = store
        .access_token(pattern.tenant, pattern.id)
        .await?
        .ok_or("the connection has no token")?;
    let (access, refresh) = (
        Arc::new(access),
        Arc::new(RefreshToken::new("of nobody".into())),
    );

    let mut changes = Vec::new();
    let mut ids = vec![pattern.id];
    for number in book.connections().count()..connections.parse()? {
        let copy = copied(pattern, number)?;
        ids.push(copy.id);
        changes.extend(with_tokens(copy, &access, &refresh));
    }
    let names = book.agents().count()..agents.parse()?;
    for (number, connection) in names.zip(ids.iter().cycle()) {
        changes.extend(agent(pattern, *connection, number, now)?);
    }
    store.commit(now, &changes, &[]).await?;
    store.close().await;
    Ok(())
}

fn copied(pattern: &Connection, number: usize) -> Outcome<Connection> {
    Ok(Connection {
        id: ConnectionId::from_random(random()?),
        name: format!("{}-{number}", pattern.name).parse()?,
        ..pattern.clone()
    })
}

fn with_tokens(
    connection: Connection,
    access: &Arc<AccessToken>,
    refresh: &Arc<RefreshToken>,
) -> [Change; 2] {
    let tokens = Change::TokensPut {
        tenant: connection.tenant,
        connection: connection.id,
        generation: connection.generation,
        access: Arc::clone(access),
        refresh: Some(Arc::clone(refresh)),
    };
    [Change::ConnectionPut(Box::new(connection)), tokens]
}

fn agent(
    pattern: &Connection,
    connection: ConnectionId,
    number: usize,
    now: Timestamp,
) -> Outcome<[Change; 3]> {
    let agent = Agent {
        id: AgentId::from_random(random()?),
        tenant: pattern.tenant,
        name: ClaimedName::clean(&format!("seeded {number}")),
        paused: false,
        created_at: now,
    };
    let key = KeyRecord {
        id: KeyId::from_random(random()?),
        agent: agent.id,
        hash: AgentKey::from_random(random()?).hash(),
        audience: None,
        created_at: now,
        expires_at: None,
        idle_seconds: None,
        last_used_at: None,
        revoked_at: None,
        metrics: false,
    };
    let grant = Grant {
        id: GrantId::from_random(random()?),
        agent: agent.id,
        connection,
        rights: Rights::new(vec![Door::Token], Policy::default())
            .map_err(|refusal| refusal.detail)?,
        lifetime: Lifetime::UntilRevoked,
        created_at: now,
        handed_generation: Some(pattern.generation),
    };
    let tenant = pattern.tenant;
    Ok([
        Change::AgentPut(agent),
        Change::KeyPut(key),
        Change::GrantPut { tenant, grant },
    ])
}

fn random<const LENGTH: usize>() -> Outcome<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}
