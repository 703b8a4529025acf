//! The approval PIN: what a person types where there is no window to answer in.
//!
//! A PIN is short, so two things guard it. Its hash lies sealed under the store's keys, so that a stolen file cannot
//! be guessed at. And tries are counted on the disk before their outcome is known, so that killing Doorward after a
//! wrong one does not win another.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use doorward_core::audit::{AuditEvent, AuditKind};
use doorward_core::secret::Pin;
use doorward_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::keys::Keys;
use crate::seal::{self, Place};
use crate::source::{DerivationCost, derive};
use crate::transaction::Database;
use crate::{audit, read};

/// Wrong tries before a wait.
const FREE_TRIES: u64 = 5;
const FIRST_WAIT: Duration = Duration::from_mins(1);
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinCheck {
    /// It is the PIN.
    Right,
    /// It is not.
    Wrong {
        /// How many tries are left before a wait.
        left: u64,
    },
    /// Too many were wrong.
    Blocked {
        /// Until then nothing is tried.
        until: Timestamp,
    },
    /// No PIN is set.
    Missing,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    salt: String,
    hash: String,
    cost: DerivationCost,
}

fn place(keys: &Keys) -> Place {
    Place::new("pin").bytes(keys.installation().as_bytes())
}

async fn hash(
    pin: &Pin,
    salt: [u8; 16],
    cost: DerivationCost,
) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let text = Zeroizing::new(pin.expose().as_bytes().to_vec());
    derive(text, salt, cost)
        .await
        .map_err(|error| StoreError::Io {
            detail: error.to_string(),
        })
}

/// Sets the PIN, or replaces it. Earlier wrong tries are forgiven.
pub(crate) async fn set(
    to: &mut Database,
    keys: &Keys,
    pin: &Pin,
    now: Timestamp,
) -> Result<(), StoreError> {
    let salt = seal::random()?;
    let hash = hash(pin, salt, DerivationCost::PIN).await?;
    let kept = Kept {
        salt: STANDARD_NO_PAD.encode(salt),
        hash: STANDARD_NO_PAD.encode(hash.as_slice()),
        cost: DerivationCost::PIN,
    };
    let plain = serde_json::to_vec(&kept).map_err(|error| StoreError::Io {
        detail: error.to_string(),
    })?;
    let sealed = keys.pin.seal(&place(keys), &plain)?;
    let mut transaction = to.begin().await?;
    sqlx::query(
        "INSERT INTO pin (only_row, sealed, attempts, blocked_until, set_at) VALUES (1, $1, 0, NULL, $2)
         ON CONFLICT (only_row) DO UPDATE SET sealed = excluded.sealed, attempts = 0, blocked_until = NULL,
            set_at = excluded.set_at",
    )
    .bind(sealed)
    .bind(now.as_millis())
    .execute(&mut *transaction)
    .await?;
    audit::append(
        &mut transaction,
        keys,
        now,
        &[AuditEvent::new(AuditKind::PinSet)],
    )
    .await?;
    Ok(transaction.commit().await?)
}

/// Whether a PIN is set.
pub(crate) async fn is_set(from: &mut SqliteConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query("SELECT only_row FROM pin")
        .fetch_optional(from)
        .await?
        .is_some())
}

/// Tries a PIN.
pub(crate) async fn check(
    to: &mut Database,
    keys: &Keys,
    pin: &Pin,
    now: Timestamp,
) -> Result<PinCheck, StoreError> {
    let Some(row) = sqlx::query("SELECT sealed, attempts, blocked_until FROM pin")
        .fetch_optional(&mut **to)
        .await?
    else {
        return Ok(PinCheck::Missing);
    };
    let blocked: Option<i64> = row.try_get("blocked_until")?;
    if let Some(until) = blocked
        .map(Timestamp::from_millis)
        .filter(|until| now < *until)
    {
        return Ok(PinCheck::Blocked { until });
    }
    let attempts = read::generation(&row, "attempts")?.saturating_add(1);
    let blocked_until = wait_after(attempts).map(|wait| now.plus(wait));
    count(to, attempts, blocked_until).await?;
    if is_pin(keys, row.try_get("sealed")?, pin).await? {
        count(to, 0, None).await?;
        return Ok(PinCheck::Right);
    }
    let event = AuditEvent::new(AuditKind::PinRefused).with("tries", attempts.to_string());
    let mut transaction = to.begin().await?;
    audit::append(&mut transaction, keys, now, &[event]).await?;
    transaction.commit().await?;
    Ok(blocked_until.map_or(
        PinCheck::Wrong {
            left: FREE_TRIES - attempts.min(FREE_TRIES),
        },
        |until| PinCheck::Blocked { until },
    ))
}

/// How long to wait after so many wrong tries in a row.
fn wait_after(attempts: u64) -> Option<Duration> {
    let doublings = u32::try_from(attempts.checked_sub(FREE_TRIES)?)
        .unwrap_or(u32::MAX)
        .min(16);
    Some(FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT))
}

async fn count(
    to: &mut SqliteConnection,
    attempts: u64,
    blocked_until: Option<Timestamp>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE pin SET attempts = $1, blocked_until = $2")
        .bind(crate::write::stored(attempts)?)
        .bind(blocked_until.map(Timestamp::as_millis))
        .execute(to)
        .await?;
    Ok(())
}

async fn is_pin(keys: &Keys, sealed: &[u8], pin: &Pin) -> Result<bool, StoreError> {
    let wont_open = StoreError::WontOpen {
        what: "the approval PIN",
    };
    let plain = keys
        .pin
        .open(&place(keys), sealed)
        .ok_or(wont_open.clone())?;
    let kept: Kept = serde_json::from_slice(&plain).map_err(|_| wont_open.clone())?;
    let salt = STANDARD_NO_PAD
        .decode(&kept.salt)
        .ok()
        .and_then(|salt| <[u8; 16]>::try_from(salt).ok());
    let hash = hash(pin, salt.ok_or(wont_open)?, kept.cost).await?;
    // Both are hashes of a secret salt's making: how long comparing takes tells nothing about the PIN.
    Ok(STANDARD_NO_PAD.encode(hash.as_slice()) == kept.hash)
}

/// Seals the PIN's hash under the new keys.
pub(crate) async fn reseal(
    to: &mut SqliteConnection,
    old: &Keys,
    new: &Keys,
) -> Result<(), StoreError> {
    let Some(row) = sqlx::query("SELECT sealed FROM pin")
        .fetch_optional(&mut *to)
        .await?
    else {
        return Ok(());
    };
    let opened = old.pin.open(&place(old), row.try_get("sealed")?);
    let plain = opened.ok_or(StoreError::WontOpen {
        what: "the approval PIN",
    })?;
    let sealed = new.pin.seal(&place(new), &plain)?;
    sqlx::query("UPDATE pin SET sealed = $1")
        .bind(sealed)
        .execute(to)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_tries_are_free_and_then_the_wait_doubles_up_to_an_hour() {
        let minutes = |attempts| wait_after(attempts).map(|wait| wait.as_secs() / 60);
        assert_eq!(
            [1, 4, 5, 6, 7, 11, 12, 1000].map(minutes),
            [
                None,
                None,
                Some(1),
                Some(2),
                Some(4),
                Some(60),
                Some(60),
                Some(60)
            ]
        );
    }
}
