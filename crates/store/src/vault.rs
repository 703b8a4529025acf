//! Data keys, and the values that are sealed under them.
//!
//! Every connection and every registration has a data key of its own, wrapped by the store's. Erasing one is erasing
//! the key and the values: neither opens without the other.

use doorward_core::ids::{ConnectionId, FlightId, LockId, OutboxId, RegistrationId, TenantId};
use doorward_core::time::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::keys::Keys;
use crate::read::generation;
use crate::seal::{self, Place, SealingKey};

/// What a sealed value is. Values of different kinds never stand in for one another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Access,
    Refresh,
    OutboxAccess,
    OutboxRefresh,
    Flight,
    Lock,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
            Self::OutboxAccess => "outbox-access",
            Self::OutboxRefresh => "outbox-refresh",
            Self::Flight => "flight",
            Self::Lock => "lock",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Access => "an access token",
            Self::Refresh => "a refresh token",
            Self::OutboxAccess => "an access token to revoke",
            Self::OutboxRefresh => "a refresh token to revoke",
            Self::Flight => "the key of a refresh under way",
            Self::Lock => "the token of a lock",
        }
    }
}

/// Who a data key belongs to.
#[derive(Clone, Copy)]
pub(crate) enum Owner {
    Connection(TenantId, ConnectionId),
    Registration(RegistrationId),
}

impl Owner {
    fn tenant(self) -> Option<String> {
        match self {
            Self::Connection(tenant, _) => Some(tenant.to_string()),
            Self::Registration(_) => None,
        }
    }

    fn connection(self) -> Option<String> {
        match self {
            Self::Connection(_, connection) => Some(connection.to_string()),
            Self::Registration(_) => None,
        }
    }

    fn registration(self) -> Option<String> {
        match self {
            Self::Connection(..) => None,
            Self::Registration(registration) => Some(registration.to_string()),
        }
    }

    pub(crate) fn data_key_place(self, id: Uuid) -> Place {
        let place = Place::new("data-key").bytes(id.as_bytes());
        match self {
            Self::Connection(tenant, connection) => place
                .bytes(b"connection")
                .bytes(tenant.as_bytes())
                .bytes(connection.as_bytes()),
            Self::Registration(registration) => {
                place.bytes(b"registration").bytes(registration.as_bytes())
            }
        }
    }
}

/// What a connection's sealed value belongs to.
#[derive(Clone, Copy)]
pub(crate) enum Item {
    /// The connection itself.
    Own,
    /// A revocation that is owed.
    Owed(OutboxId),
    /// A refresh under way.
    Flight(FlightId),
    /// A lock that an agent holds.
    Lock(LockId),
}

/// Where a connection's sealed value is: its row, and what it is bound to.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) tenant: TenantId,
    pub(crate) connection: ConnectionId,
    pub(crate) kind: Kind,
    pub(crate) item: Item,
}

impl Slot {
    pub(crate) const fn own(tenant: TenantId, connection: ConnectionId, kind: Kind) -> Self {
        Self {
            tenant,
            connection,
            kind,
            item: Item::Own,
        }
    }

    pub(crate) const fn owed(
        tenant: TenantId,
        connection: ConnectionId,
        kind: Kind,
        item: OutboxId,
    ) -> Self {
        Self {
            tenant,
            connection,
            kind,
            item: Item::Owed(item),
        }
    }

    pub(crate) const fn flight(
        tenant: TenantId,
        connection: ConnectionId,
        flight: FlightId,
    ) -> Self {
        Self {
            tenant,
            connection,
            kind: Kind::Flight,
            item: Item::Flight(flight),
        }
    }

    pub(crate) const fn lock(tenant: TenantId, connection: ConnectionId, lock: LockId) -> Self {
        Self {
            tenant,
            connection,
            kind: Kind::Lock,
            item: Item::Lock(lock),
        }
    }

    fn item_text(self) -> String {
        match self.item {
            Item::Own => String::new(),
            Item::Owed(item) => item.to_string(),
            Item::Flight(flight) => flight.to_string(),
            Item::Lock(lock) => lock.to_string(),
        }
    }

    fn place(self, generation: u64) -> Place {
        let item: &[u8] = match &self.item {
            Item::Own => &[],
            Item::Owed(item) => item.as_bytes(),
            Item::Flight(flight) => flight.as_bytes(),
            Item::Lock(lock) => lock.as_bytes(),
        };
        Place::new("token")
            .bytes(self.tenant.as_bytes())
            .bytes(self.connection.as_bytes())
            .bytes(self.kind.as_str().as_bytes())
            .bytes(item)
            .number(generation)
    }

    pub(crate) fn open(
        self,
        key: &SealingKey,
        generation: u64,
        sealed: &[u8],
    ) -> Result<String, StoreError> {
        let wont_open = StoreError::WontOpen {
            what: self.kind.title(),
        };
        let plain = key.open(&self.place(generation), sealed).ok_or(wont_open)?;
        text(&plain, self.kind.title())
    }
}

/// The opened bytes as a text of exactly that size: making one of it that has room to spare would be copied once more,
/// and the copy left behind.
pub(crate) fn text(plain: &[u8], what: &'static str) -> Result<String, StoreError> {
    let text = std::str::from_utf8(plain).map_err(|_| StoreError::WontOpen { what })?;
    Ok(text.to_owned())
}

/// The owner's data key, if it has one.
pub(crate) async fn data_key(
    connection: &mut SqliteConnection,
    keys: &Keys,
    owner: Owner,
) -> Result<Option<SealingKey>, StoreError> {
    let row = sqlx::query(
        "SELECT id, wrapped FROM data_keys
         WHERE (tenant = $1 AND connection = $2) OR registration = $3",
    )
    .bind(owner.tenant())
    .bind(owner.connection())
    .bind(owner.registration())
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let id: Uuid = crate::read::parsed(&row, "id")?;
    let wrapped: &[u8] = row.try_get("wrapped")?;
    unwrapped(keys, owner, id, wrapped).map(Some)
}

pub(crate) fn unwrapped(
    keys: &Keys,
    owner: Owner,
    id: Uuid,
    wrapped: &[u8],
) -> Result<SealingKey, StoreError> {
    keys.wrapping
        .unwrap(&owner.data_key_place(id), wrapped)
        .ok_or(StoreError::WontOpen { what: "a data key" })
}

/// The owner's data key, made where there is none.
pub(crate) async fn data_key_or_new(
    connection: &mut SqliteConnection,
    keys: &Keys,
    owner: Owner,
    now: Timestamp,
) -> Result<SealingKey, StoreError> {
    if let Some(key) = data_key(connection, keys, owner).await? {
        return Ok(key);
    }
    let key = SealingKey::random()?;
    let id = Uuid::from_bytes(seal::random()?);
    let wrapped = keys.wrapping.wrap(&owner.data_key_place(id), &key)?;
    sqlx::query(
        "INSERT INTO data_keys (id, tenant, connection, registration, wrapped, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id.to_string())
    .bind(owner.tenant())
    .bind(owner.connection())
    .bind(owner.registration())
    .bind(wrapped)
    .bind(now.as_millis())
    .execute(connection)
    .await?;
    Ok(key)
}

/// Erases a connection's data key, and with it the way to everything that was sealed under it.
pub(crate) async fn erase_data_key(
    connection: &mut SqliteConnection,
    tenant: TenantId,
    of: ConnectionId,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM data_keys WHERE tenant = $1 AND connection = $2")
        .bind(tenant.to_string())
        .bind(of.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// Seals a value into its slot, in place of what was there.
pub(crate) async fn put(
    connection: &mut SqliteConnection,
    key: &SealingKey,
    slot: Slot,
    of_generation: u64,
    plain: &str,
) -> Result<(), StoreError> {
    let sealed = key.seal(&slot.place(of_generation), plain.as_bytes())?;
    sqlx::query(
        "INSERT INTO sealed (tenant, connection, kind, item, generation, value)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (tenant, connection, kind, item)
         DO UPDATE SET generation = excluded.generation, value = excluded.value",
    )
    .bind(slot.tenant.to_string())
    .bind(slot.connection.to_string())
    .bind(slot.kind.as_str())
    .bind(slot.item_text())
    .bind(crate::write::stored(of_generation)?)
    .bind(sealed)
    .execute(connection)
    .await?;
    Ok(())
}

/// Opens what is in a slot.
pub(crate) async fn get(
    connection: &mut SqliteConnection,
    keys: &Keys,
    slot: Slot,
) -> Result<Option<(u64, Zeroizing<String>)>, StoreError> {
    let row = sqlx::query(
        "SELECT generation, value FROM sealed
         WHERE tenant = $1 AND connection = $2 AND kind = $3 AND item = $4",
    )
    .bind(slot.tenant.to_string())
    .bind(slot.connection.to_string())
    .bind(slot.kind.as_str())
    .bind(slot.item_text())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let of_generation = generation(&row, "generation")?;
    let sealed: &[u8] = row.try_get("value")?;
    let key = data_key(
        connection,
        keys,
        Owner::Connection(slot.tenant, slot.connection),
    )
    .await?;
    let key = key.ok_or(StoreError::WontOpen {
        what: slot.kind.title(),
    })?;
    let plain = slot.open(&key, of_generation, sealed)?;
    Ok(Some((of_generation, Zeroizing::new(plain))))
}

/// Empties a slot.
pub(crate) async fn remove(
    connection: &mut SqliteConnection,
    slot: Slot,
) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM sealed WHERE tenant = $1 AND connection = $2 AND kind = $3 AND item = $4",
    )
    .bind(slot.tenant.to_string())
    .bind(slot.connection.to_string())
    .bind(slot.kind.as_str())
    .bind(slot.item_text())
    .execute(connection)
    .await?;
    Ok(())
}

/// Where a registration's secrets are bound to.
pub(crate) fn registration_place(registration: RegistrationId, kind: &'static str) -> Place {
    Place::new("registration")
        .bytes(registration.as_bytes())
        .bytes(kind.as_bytes())
}
