//! Rows, as the book and its secrets.

use std::collections::HashMap;
use std::str::FromStr;

use doorward_core::agent::{Agent, Client};
use doorward_core::asking::{Always, Answer};
use doorward_core::book::Book;
use doorward_core::change::Change;
use doorward_core::connection::{Connection, Mark, Tenant};
use doorward_core::grant::Grant;
use doorward_core::ids::{ConnectionId, TenantId};
use doorward_core::key::{KeyHash, KeyRecord};
use doorward_core::lock::HeldLock;
use doorward_core::name::ClaimedName;
use doorward_core::outbox::OutboxItem;
use doorward_core::pairing::ApprovalRequest;
use doorward_core::registration::Registration;
use doorward_core::secret::AccessToken;
use doorward_core::time::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use uuid::Uuid;

use crate::error::StoreError;
use crate::keys::Keys;
use crate::seal::SealingKey;
use crate::vault::{self, Kind, Owner, Slot};

/// What a registration's secret is bound to.
pub(crate) const CLIENT_SECRET: &str = "client-secret";
/// What the token that manages a registration is bound to.
pub(crate) const REGISTRATION_TOKEN: &str = "registration-token";

fn unreadable(column: &str, why: &impl ToString) -> StoreError {
    StoreError::Corrupt {
        detail: format!("the column `{column}` cannot be read: {}", why.to_string()),
    }
}

/// A column that is kept as its text.
pub(crate) fn parsed<T>(row: &SqliteRow, column: &str) -> Result<T, StoreError>
where
    T: FromStr,
    T::Err: ToString,
{
    row.try_get::<&str, _>(column)?
        .parse()
        .map_err(|error| unreadable(column, &error))
}

fn parsed_or_none<T>(row: &SqliteRow, column: &str) -> Result<Option<T>, StoreError>
where
    T: FromStr,
    T::Err: ToString,
{
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| text.parse().map_err(|error| unreadable(column, &error)))
        .transpose()
}

fn json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, StoreError> {
    serde_json::from_str(row.try_get(column)?).map_err(|error| unreadable(column, &error))
}

fn json_or_none<T: DeserializeOwned>(
    row: &SqliteRow,
    column: &str,
) -> Result<Option<T>, StoreError> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| serde_json::from_str(text).map_err(|error| unreadable(column, &error)))
        .transpose()
}

fn moment(row: &SqliteRow, column: &str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_millis(row.try_get(column)?))
}

fn moment_or_none(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(row
        .try_get::<Option<i64>, _>(column)?
        .map(Timestamp::from_millis))
}

fn flag(row: &SqliteRow, column: &str) -> Result<bool, StoreError> {
    Ok(row.try_get::<i64, _>(column)? != 0)
}

/// A number that is never negative.
pub(crate) fn generation(row: &SqliteRow, column: &str) -> Result<u64, StoreError> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(|error| unreadable(column, &error))
}

fn generation_or_none(row: &SqliteRow, column: &str) -> Result<Option<u64>, StoreError> {
    let found: Option<i64> = row.try_get(column)?;
    found.map(|_| generation(row, column)).transpose()
}

fn digest(row: &SqliteRow, column: &str) -> Result<[u8; 32], StoreError> {
    let bytes: &[u8] = row.try_get(column)?;
    <[u8; 32]>::try_from(bytes).map_err(|error| unreadable(column, &error))
}

fn hash(row: &SqliteRow, column: &str) -> Result<KeyHash, StoreError> {
    digest(row, column).map(KeyHash::from_bytes)
}

/// Reads the whole book.
pub(crate) async fn book(from: &mut SqliteConnection) -> Result<Book, StoreError> {
    let mut book = Book::default();
    let mut all = async |statement: &'static str,
                         change: fn(&SqliteRow) -> Result<Change, StoreError>| {
        for row in sqlx::query(statement).fetch_all(&mut *from).await? {
            book.apply(&change(&row)?);
        }
        Ok::<(), StoreError>(())
    };
    all("SELECT * FROM tenants", |row| {
        Ok(Change::TenantPut(tenant(row)?))
    })
    .await?;
    all("SELECT * FROM registrations", |row| {
        Ok(Change::RegistrationPut {
            registration: registration(row)?,
            secret: None,
            token: None,
        })
    })
    .await?;
    all("SELECT * FROM connections", |row| {
        Ok(Change::ConnectionPut(Box::new(connection(row)?)))
    })
    .await?;
    all("SELECT * FROM outbox", |row| {
        Ok(Change::OutboxPut(Box::new(outbox(row)?)))
    })
    .await?;
    all("SELECT * FROM locks", |row| {
        Ok(Change::LockPut(Box::new(lock(row)?)))
    })
    .await?;
    all("SELECT * FROM clients", |row| {
        Ok(Change::ClientPut(client(row)?))
    })
    .await?;
    all("SELECT * FROM agents", |row| {
        Ok(Change::AgentPut(agent(row)?))
    })
    .await?;
    all("SELECT * FROM agent_keys", |row| {
        Ok(Change::KeyPut(key(row)?))
    })
    .await?;
    all("SELECT * FROM grants", |row| {
        Ok(Change::GrantPut {
            tenant: parsed(row, "tenant")?,
            grant: grant(row)?,
        })
    })
    .await?;
    all("SELECT * FROM requests", |row| {
        Ok(Change::RequestPut(Box::new(request(row)?)))
    })
    .await?;
    all("SELECT * FROM answers", |row| {
        Ok(Change::AnswerPut {
            tenant: parsed(row, "tenant")?,
            answer: answer(row)?,
        })
    })
    .await?;
    Ok(book)
}

/// The access tokens of all connections, and the connections whose sealed token does not open.
#[derive(Default)]
pub(crate) struct AccessTokens {
    pub(crate) opened: Vec<(ConnectionId, AccessToken)>,
    pub(crate) wont_open: Vec<ConnectionId>,
}

/// Opens the access tokens of all connections of all tenants.
pub(crate) async fn access_tokens(
    from: &mut SqliteConnection,
    keys: &Keys,
) -> Result<AccessTokens, StoreError> {
    let data_keys = connections_data_keys(from, keys).await?;
    let rows =
        sqlx::query("SELECT tenant, connection, generation, value FROM sealed WHERE kind = $1")
            .bind(Kind::Access.as_str())
            .fetch_all(from)
            .await?;
    let mut tokens = AccessTokens::default();
    for row in rows {
        let (tenant, connection) = (parsed(&row, "tenant")?, parsed(&row, "connection")?);
        let of_generation = generation(&row, "generation")?;
        let sealed: &[u8] = row.try_get("value")?;
        let key = data_keys.get(&(tenant, connection));
        let slot = Slot::own(tenant, connection, Kind::Access);
        match key.and_then(|key| slot.open(key, of_generation, sealed).ok()) {
            Some(plain) => tokens.opened.push((connection, AccessToken::new(plain))),
            None => tokens.wont_open.push(connection),
        }
    }
    Ok(tokens)
}

async fn connections_data_keys(
    from: &mut SqliteConnection,
    keys: &Keys,
) -> Result<HashMap<(TenantId, ConnectionId), SealingKey>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, tenant, connection, wrapped FROM data_keys WHERE connection IS NOT NULL",
    )
    .fetch_all(from)
    .await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let (tenant, connection) = (parsed(&row, "tenant")?, parsed(&row, "connection")?);
        let (id, wrapped): (Uuid, &[u8]) = (parsed(&row, "id")?, row.try_get("wrapped")?);
        if let Ok(key) = vault::unwrapped(keys, Owner::Connection(tenant, connection), id, wrapped)
        {
            found.insert((tenant, connection), key);
        }
    }
    Ok(found)
}

fn tenant(row: &SqliteRow) -> Result<Tenant, StoreError> {
    Ok(Tenant {
        id: parsed(row, "id")?,
        name: parsed(row, "name")?,
        created_at: moment(row, "created_at")?,
    })
}

fn registration(row: &SqliteRow) -> Result<Registration, StoreError> {
    Ok(Registration {
        id: parsed(row, "id")?,
        issuer: row.try_get("issuer")?,
        redirect_uri: row.try_get("redirect_uri")?,
        client_id: row.try_get("client_id")?,
        authentication: json(row, "authentication")?,
        secret_expires_at: moment_or_none(row, "secret_expires_at")?,
        created_at: moment(row, "created_at")?,
    })
}

fn connection(row: &SqliteRow) -> Result<Connection, StoreError> {
    Ok(Connection {
        id: parsed(row, "id")?,
        tenant: parsed(row, "tenant")?,
        name: parsed(row, "name")?,
        provider: json(row, "provider")?,
        client: json(row, "client")?,
        ask: json(row, "ask")?,
        granted: json(row, "granted")?,
        account: json_or_none(row, "account")?,
        session: row.try_get("session")?,
        device_name: row.try_get("device_name")?,
        created_at: moment(row, "created_at")?,
        connected_at: moment(row, "connected_at")?,
        standing: json(row, "standing")?,
        paused: flag(row, "paused")?,
        generation: generation(row, "generation")?,
        refreshing: mark(row)?,
        refreshable: flag(row, "refreshable")?,
        token_type: row.try_get("token_type")?,
        access_issued_at: moment(row, "access_issued_at")?,
        access_expires_at: moment_or_none(row, "access_expires_at")?,
        proven_at: moment_or_none(row, "proven_at")?,
        trouble: json_or_none(row, "trouble")?,
        end_told: generation_or_none(row, "end_told")?,
    })
}

fn mark(row: &SqliteRow) -> Result<Option<Mark>, StoreError> {
    let marked: Option<i64> = row.try_get("refreshing")?;
    marked
        .map(|_| {
            Ok(Mark {
                generation: generation(row, "refreshing")?,
                flight: parsed(row, "flight")?,
            })
        })
        .transpose()
}

fn outbox(row: &SqliteRow) -> Result<OutboxItem, StoreError> {
    let attempts: i64 = row.try_get("attempts")?;
    Ok(OutboxItem {
        id: parsed(row, "id")?,
        tenant: parsed(row, "tenant")?,
        connection: parsed(row, "connection")?,
        name: parsed(row, "name")?,
        provider: json(row, "provider")?,
        client: json(row, "client")?,
        session: row.try_get("session")?,
        created_at: moment(row, "created_at")?,
        attempts: u32::try_from(attempts).map_err(|error| unreadable("attempts", &error))?,
        next_try: moment_or_none(row, "next_try")?,
        last_error: row.try_get("last_error")?,
    })
}

fn lock(row: &SqliteRow) -> Result<HeldLock, StoreError> {
    let attempts: i64 = row.try_get("attempts")?;
    Ok(HeldLock {
        id: parsed(row, "id")?,
        tenant: parsed(row, "tenant")?,
        connection: parsed(row, "connection")?,
        agent: parsed(row, "agent")?,
        agent_name: ClaimedName::clean(row.try_get("agent_name")?),
        path: row.try_get("path")?,
        taken_at: moment(row, "taken_at")?,
        heard_at: moment(row, "heard_at")?,
        until: moment_or_none(row, "until")?,
        is_wanted_back: flag(row, "wanted_back")?,
        attempts: u32::try_from(attempts).map_err(|error| unreadable("attempts", &error))?,
        next_try: moment_or_none(row, "next_try")?,
        last_error: row.try_get("last_error")?,
    })
}

fn client(row: &SqliteRow) -> Result<Client, StoreError> {
    Ok(Client {
        id: parsed(row, "id")?,
        name: ClaimedName::clean(row.try_get("name")?),
        redirect_uris: json(row, "redirect_uris")?,
        created_at: moment(row, "created_at")?,
    })
}

fn agent(row: &SqliteRow) -> Result<Agent, StoreError> {
    Ok(Agent {
        id: parsed(row, "id")?,
        tenant: parsed(row, "tenant")?,
        name: ClaimedName::clean(row.try_get("name")?),
        paused: flag(row, "paused")?,
        created_at: moment(row, "created_at")?,
    })
}

fn key(row: &SqliteRow) -> Result<KeyRecord, StoreError> {
    let idle: Option<i64> = row.try_get("idle_seconds")?;
    Ok(KeyRecord {
        id: parsed(row, "id")?,
        agent: parsed(row, "agent")?,
        hash: hash(row, "hash")?,
        audience: parsed_or_none(row, "audience")?,
        created_at: moment(row, "created_at")?,
        expires_at: moment_or_none(row, "expires_at")?,
        idle_seconds: idle
            .map(|idle| u32::try_from(idle).map_err(|error| unreadable("idle_seconds", &error)))
            .transpose()?,
        last_used_at: moment_or_none(row, "last_used_at")?,
        revoked_at: moment_or_none(row, "revoked_at")?,
        metrics: flag(row, "metrics")?,
    })
}

fn grant(row: &SqliteRow) -> Result<Grant, StoreError> {
    Ok(Grant {
        id: parsed(row, "id")?,
        agent: parsed(row, "agent")?,
        connection: parsed(row, "connection")?,
        rights: json(row, "rights")?,
        lifetime: json(row, "lifetime")?,
        created_at: moment(row, "created_at")?,
        handed_generation: generation_or_none(row, "handed_generation")?,
    })
}

fn request(row: &SqliteRow) -> Result<ApprovalRequest, StoreError> {
    Ok(ApprovalRequest {
        id: parsed(row, "id")?,
        client: parsed(row, "client")?,
        name: ClaimedName::clean(row.try_get("name")?),
        wanted: json(row, "wanted")?,
        user_code: row.try_get("user_code")?,
        device_code: hash(row, "device_code")?,
        program: json_or_none(row, "program")?,
        created_at: moment(row, "created_at")?,
        expires_at: moment(row, "expires_at")?,
        verdict: json(row, "verdict")?,
    })
}

fn answer(row: &SqliteRow) -> Result<Answer, StoreError> {
    Ok(Answer {
        id: parsed(row, "id")?,
        grant: parsed(row, "grant_id")?,
        digest: digest(row, "digest")?,
        what: row.try_get("what")?,
        says: match row.try_get("says")? {
            "allow" => Always::Allow,
            "deny" => Always::Deny,
            other => return Err(unreadable("says", &format!("{other:?} is no answer"))),
        },
        created_at: moment(row, "created_at")?,
    })
}
