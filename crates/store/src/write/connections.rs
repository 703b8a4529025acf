//! Connections and their tokens, registrations, and the revocations that are owed.

use doorward_core::change::OutboxTokens;
use doorward_core::connection::Connection;
use doorward_core::ids::{ConnectionId, FlightId, OutboxId, TenantId};
use doorward_core::outbox::OutboxItem;
use doorward_core::registration::Registration;
use doorward_core::secret::{
    AccessToken, ClientSecret, FlightKey, RefreshToken, RegistrationToken,
};
use doorward_core::time::Timestamp;
use sqlx::sqlite::SqliteConnection;

use super::{json, locks, millis, of_that_tenant, stored};
use crate::error::StoreError;
use crate::keys::Keys;
use crate::read;
use crate::vault::{self, Kind, Owner, Slot};

pub(super) async fn put_registration(
    to: &mut SqliteConnection,
    keys: &Keys,
    now: Timestamp,
    registration: &Registration,
    secret: Option<&ClientSecret>,
    token: Option<&RegistrationToken>,
) -> Result<(), StoreError> {
    let key = vault::data_key_or_new(to, keys, Owner::Registration(registration.id), now).await?;
    let seal = |kind, plain: Option<&str>| {
        let place = vault::registration_place(registration.id, kind);
        plain
            .map(|plain| key.seal(&place, plain.as_bytes()))
            .transpose()
    };
    sqlx::query(
        "INSERT INTO registrations (id, issuer, redirect_uri, client_id, authentication, secret_expires_at,
            created_at, sealed_secret, sealed_token)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (id) DO UPDATE SET issuer = excluded.issuer, redirect_uri = excluded.redirect_uri,
            client_id = excluded.client_id, authentication = excluded.authentication,
            secret_expires_at = excluded.secret_expires_at, created_at = excluded.created_at,
            sealed_secret = excluded.sealed_secret, sealed_token = excluded.sealed_token",
    )
    .bind(registration.id.to_string())
    .bind(registration.issuer.as_str())
    .bind(registration.redirect_uri.as_str())
    .bind(registration.client_id.as_str())
    .bind(json(&registration.authentication)?)
    .bind(millis(registration.secret_expires_at))
    .bind(registration.created_at.as_millis())
    .bind(seal(read::CLIENT_SECRET, secret.map(ClientSecret::expose))?)
    .bind(seal(read::REGISTRATION_TOKEN, token.map(RegistrationToken::expose))?)
    .execute(to)
    .await?;
    Ok(())
}

pub(super) async fn put_connection(
    to: &mut SqliteConnection,
    keys: &Keys,
    now: Timestamp,
    row: &Connection,
) -> Result<(), StoreError> {
    let written = sqlx::query(
        "INSERT INTO connections (id, tenant, name, provider, client, ask, granted, account, session, device_name,
            created_at, connected_at, standing, paused, generation, refreshing, refreshable, token_type,
            access_issued_at, access_expires_at, proven_at, trouble, flight, end_told)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
            $24)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, provider = excluded.provider, client = excluded.client,
            ask = excluded.ask, granted = excluded.granted, account = excluded.account, session = excluded.session,
            device_name = excluded.device_name, created_at = excluded.created_at,
            connected_at = excluded.connected_at, standing = excluded.standing, paused = excluded.paused,
            generation = excluded.generation, refreshing = excluded.refreshing, refreshable = excluded.refreshable,
            token_type = excluded.token_type, access_issued_at = excluded.access_issued_at,
            access_expires_at = excluded.access_expires_at, proven_at = excluded.proven_at, trouble = excluded.trouble,
            flight = excluded.flight, end_told = excluded.end_told
         WHERE connections.tenant = excluded.tenant",
    )
    .bind(row.id.to_string())
    .bind(row.tenant.to_string())
    .bind(row.name.as_str())
    .bind(json(&row.provider)?)
    .bind(json(&row.client)?)
    .bind(json(&row.ask)?)
    .bind(json(&row.granted)?)
    .bind(row.account.as_ref().map(json).transpose()?)
    .bind(row.session.as_deref())
    .bind(row.device_name.as_str())
    .bind(row.created_at.as_millis())
    .bind(row.connected_at.as_millis())
    .bind(json(&row.standing)?)
    .bind(i64::from(row.paused))
    .bind(stored(row.generation)?)
    .bind(row.refreshing.map(|mark| stored(mark.generation)).transpose()?)
    .bind(i64::from(row.refreshable))
    .bind(row.token_type.as_str())
    .bind(row.access_issued_at.as_millis())
    .bind(millis(row.access_expires_at))
    .bind(millis(row.proven_at))
    .bind(row.trouble.as_ref().map(json).transpose()?)
    .bind(row.refreshing.map(|mark| mark.flight.to_string()))
    .bind(row.end_told.map(stored).transpose()?)
    .execute(&mut *to)
    .await?;
    of_that_tenant(&written, "the connection")?;
    let flight = row.refreshing.map(|mark| mark.flight);
    erase_flight_keys(to, (row.tenant, row.id), flight).await?;
    vault::data_key_or_new(to, keys, Owner::Connection(row.tenant, row.id), now).await?;
    Ok(())
}

pub(super) async fn put_flight_key(
    to: &mut SqliteConnection,
    keys: &Keys,
    now: Timestamp,
    slot: Slot,
    (generation, flight_key): (u64, &FlightKey),
) -> Result<(), StoreError> {
    let owner = Owner::Connection(slot.tenant, slot.connection);
    let key = vault::data_key_or_new(to, keys, owner, now).await?;
    vault::put(to, &key, slot, generation, flight_key.expose()).await
}

/// A flight's key lives as long as its mark: a row that carries another mark, or none, ends it.
async fn erase_flight_keys(
    to: &mut SqliteConnection,
    (tenant, connection): (TenantId, ConnectionId),
    but: Option<FlightId>,
) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM sealed WHERE tenant = $1 AND connection = $2 AND kind = $3 AND item <> $4",
    )
    .bind(tenant.to_string())
    .bind(connection.to_string())
    .bind(Kind::Flight.as_str())
    .bind(but.map(|flight| flight.to_string()).unwrap_or_default())
    .execute(to)
    .await?;
    Ok(())
}

pub(super) struct Fresh<'a> {
    pub(super) access: &'a AccessToken,
    pub(super) refresh: Option<&'a RefreshToken>,
}

pub(super) async fn put_tokens(
    to: &mut SqliteConnection,
    keys: &Keys,
    now: Timestamp,
    (tenant, connection): (TenantId, ConnectionId),
    generation: u64,
    tokens: Fresh<'_>,
) -> Result<(), StoreError> {
    let key = vault::data_key_or_new(to, keys, Owner::Connection(tenant, connection), now).await?;
    let access = Slot::own(tenant, connection, Kind::Access);
    vault::put(to, &key, access, generation, tokens.access.expose()).await?;
    let refresh = Slot::own(tenant, connection, Kind::Refresh);
    if let Some(token) = tokens.refresh {
        vault::put(to, &key, refresh, generation, token.expose()).await
    } else if let Some((_, kept)) = vault::get(to, keys, refresh).await? {
        vault::put(to, &key, refresh, generation, &kept).await
    } else {
        Ok(())
    }
}

pub(super) async fn erase_tokens(
    to: &mut SqliteConnection,
    tenant: TenantId,
    connection: ConnectionId,
) -> Result<(), StoreError> {
    vault::remove(to, Slot::own(tenant, connection, Kind::Access)).await?;
    vault::remove(to, Slot::own(tenant, connection, Kind::Refresh)).await
}

pub(super) async fn erase_connection(
    to: &mut SqliteConnection,
    tenant: TenantId,
    connection: ConnectionId,
) -> Result<(), StoreError> {
    erase_tokens(to, tenant, connection).await?;
    erase_flight_keys(to, (tenant, connection), None).await?;
    sqlx::query("DELETE FROM connections WHERE tenant = $1 AND id = $2")
        .bind(tenant.to_string())
        .bind(connection.to_string())
        .execute(&mut *to)
        .await?;
    erase_what_nothing_needs(to, tenant, connection).await
}

/// Erases what a connection's row and its outbox items need to be ended at the provider, once there are none.
async fn erase_what_nothing_needs(
    to: &mut SqliteConnection,
    tenant: TenantId,
    connection: ConnectionId,
) -> Result<(), StoreError> {
    let is_needed: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM connections WHERE tenant = $1 AND id = $2)
         OR EXISTS (SELECT 1 FROM outbox WHERE tenant = $1 AND connection = $2)",
    )
    .bind(tenant.to_string())
    .bind(connection.to_string())
    .fetch_one(&mut *to)
    .await?;
    if is_needed {
        return Ok(());
    }
    locks::erase_all(to, tenant, connection).await?;
    vault::erase_data_key(to, tenant, connection).await
}

pub(super) async fn put_outbox(
    to: &mut SqliteConnection,
    item: &OutboxItem,
) -> Result<(), StoreError> {
    let written = sqlx::query(
        "INSERT INTO outbox (id, tenant, connection, name, provider, client, session, created_at, attempts, next_try,
            last_error)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, provider = excluded.provider, client = excluded.client,
            session = excluded.session, created_at = excluded.created_at, attempts = excluded.attempts,
            next_try = excluded.next_try, last_error = excluded.last_error
         WHERE outbox.tenant = excluded.tenant AND outbox.connection = excluded.connection",
    )
    .bind(item.id.to_string())
    .bind(item.tenant.to_string())
    .bind(item.connection.to_string())
    .bind(item.name.as_str())
    .bind(json(&item.provider)?)
    .bind(json(&item.client)?)
    .bind(item.session.as_deref())
    .bind(item.created_at.as_millis())
    .bind(i64::from(item.attempts))
    .bind(millis(item.next_try))
    .bind(item.last_error.as_deref())
    .execute(to)
    .await?;
    of_that_tenant(&written, "the revocation")
}

/// Seals an outbox item's tokens. Stored ones move: they are sealed for the outbox and leave the connection.
pub(super) async fn put_outbox_tokens(
    to: &mut SqliteConnection,
    keys: &Keys,
    now: Timestamp,
    item: &OutboxItem,
    tokens: &OutboxTokens,
) -> Result<(), StoreError> {
    let (tenant, connection) = (item.tenant, item.connection);
    let key = vault::data_key_or_new(to, keys, Owner::Connection(tenant, connection), now).await?;
    let owed = |kind| Slot::owed(tenant, connection, kind, item.id);
    match tokens {
        OutboxTokens::Given { access, refresh } => {
            // They were never stored with the connection, so they are of no generation of it.
            vault::put(to, &key, owed(Kind::OutboxAccess), 0, access.expose()).await?;
            if let Some(refresh) = refresh {
                vault::put(to, &key, owed(Kind::OutboxRefresh), 0, refresh.expose()).await?;
            }
        }
        OutboxTokens::Stored => {
            for (from, into) in [
                (Kind::Access, Kind::OutboxAccess),
                (Kind::Refresh, Kind::OutboxRefresh),
            ] {
                let from = Slot::own(tenant, connection, from);
                if let Some((generation, plain)) = vault::get(to, keys, from).await? {
                    vault::put(to, &key, owed(into), generation, &plain).await?;
                    vault::remove(to, from).await?;
                }
            }
        }
    }
    Ok(())
}

pub(super) async fn erase_outbox(
    to: &mut SqliteConnection,
    tenant: TenantId,
    item: OutboxId,
) -> Result<(), StoreError> {
    let found = sqlx::query("SELECT connection FROM outbox WHERE tenant = $1 AND id = $2")
        .bind(tenant.to_string())
        .bind(item.to_string())
        .fetch_optional(&mut *to)
        .await?;
    let Some(row) = found else { return Ok(()) };
    let connection: ConnectionId = read::parsed(&row, "connection")?;
    vault::remove(to, Slot::owed(tenant, connection, Kind::OutboxAccess, item)).await?;
    vault::remove(
        to,
        Slot::owed(tenant, connection, Kind::OutboxRefresh, item),
    )
    .await?;
    sqlx::query("DELETE FROM outbox WHERE tenant = $1 AND id = $2")
        .bind(tenant.to_string())
        .bind(item.to_string())
        .execute(&mut *to)
        .await?;
    erase_what_nothing_needs(to, tenant, connection).await
}
