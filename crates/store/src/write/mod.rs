//! Changes of the book, as rows. Each is written within the transaction of its commit, in the order of the decision.

mod agents;
mod connections;
mod locks;

use doorward_core::change::{Change, OutboxTokens};
use doorward_core::ids::TenantId;
use doorward_core::time::Timestamp;
use serde::Serialize;
use sqlx::sqlite::{SqliteConnection, SqliteQueryResult};

use crate::error::StoreError;
use crate::keys::Keys;
use crate::vault::Slot;
use connections::Fresh;

/// Writes one change.
pub(crate) async fn change(
    to: &mut SqliteConnection,
    keys: &Keys,
    now: Timestamp,
    change: &Change,
) -> Result<(), StoreError> {
    match change {
        Change::TenantPut(tenant) => {
            let written = sqlx::query(
                "INSERT INTO tenants (id, name, created_at) VALUES ($1, $2, $3)
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name",
            )
            .bind(tenant.id.to_string())
            .bind(tenant.name.as_str())
            .bind(tenant.created_at.as_millis());
            written.execute(to).await?;
            Ok(())
        }
        Change::RegistrationPut {
            registration,
            secret,
            token,
        } => {
            connections::put_registration(
                to,
                keys,
                now,
                registration,
                secret.as_ref(),
                token.as_ref(),
            )
            .await
        }
        Change::ConnectionPut(connection) => {
            connections::put_connection(to, keys, now, connection).await
        }
        Change::TokensPut {
            tenant,
            connection,
            generation,
            access,
            refresh,
        } => {
            let fresh = Fresh {
                access,
                refresh: refresh.as_deref(),
            };
            connections::put_tokens(to, keys, now, (*tenant, *connection), *generation, fresh).await
        }
        Change::FlightKeyPut {
            tenant,
            connection,
            generation,
            flight,
            key,
        } => {
            let slot = Slot::flight(*tenant, *connection, *flight);
            connections::put_flight_key(to, keys, now, slot, (*generation, key)).await
        }
        Change::TokensErased { tenant, connection } => {
            connections::erase_tokens(to, *tenant, *connection).await
        }
        Change::ConnectionErased { tenant, connection } => {
            connections::erase_connection(to, *tenant, *connection).await
        }
        Change::OutboxAdded { item, tokens } => {
            connections::put_outbox(to, item).await?;
            connections::put_outbox_tokens(to, keys, now, item, tokens).await
        }
        Change::OutboxPut(item) => connections::put_outbox(to, item).await,
        Change::OutboxErased { tenant, item } => {
            connections::erase_outbox(to, *tenant, *item).await
        }
        Change::LockTaken { lock, token } => locks::take(to, keys, now, (lock, token)).await,
        Change::LockPut(lock) => locks::put(to, lock).await,
        Change::LockErased { tenant, lock } => locks::erase(to, *tenant, *lock).await,
        Change::ClientPut(client) => agents::put_client(to, client).await,
        Change::ClientErased(client) => {
            remove(to, "DELETE FROM clients WHERE id = $1", client).await
        }
        Change::AgentPut(agent) => agents::put_agent(to, agent).await,
        Change::AgentErased { tenant, agent } => agents::erase_agent(to, *tenant, *agent).await,
        Change::KeyPut(key) => agents::put_key(to, key).await,
        Change::KeyErased(key) => remove(to, "DELETE FROM agent_keys WHERE id = $1", key).await,
        Change::GrantPut { tenant, grant } => agents::put_grant(to, *tenant, grant).await,
        Change::GrantErased { tenant, grant } => {
            let statement = "DELETE FROM grants WHERE tenant = $1 AND id = $2";
            remove_of(to, statement, *tenant, grant).await
        }
        Change::RequestPut(request) => agents::put_request(to, request).await,
        Change::RequestErased(request) => {
            remove(to, "DELETE FROM requests WHERE id = $1", request).await
        }
        // Questions about single calls stand in memory alone.
        Change::QuestionPut(_) | Change::QuestionErased(_) => Ok(()),
        Change::AnswerPut { tenant, answer } => agents::put_answer(to, *tenant, answer).await,
        Change::AnswerErased { tenant, answer } => {
            let statement = "DELETE FROM answers WHERE tenant = $1 AND id = $2";
            remove_of(to, statement, *tenant, answer).await
        }
    }
}

/// Whether a change takes something away that must not stay readable in the journal.
pub(crate) fn erases(change: &Change) -> bool {
    match change {
        Change::TokensErased { .. }
        | Change::ConnectionErased { .. }
        | Change::OutboxErased { .. }
        | Change::LockErased { .. }
        | Change::OutboxAdded {
            tokens: OutboxTokens::Stored,
            ..
        } => true,
        Change::TenantPut(_)
        | Change::RegistrationPut { .. }
        | Change::ConnectionPut(_)
        | Change::TokensPut { .. }
        | Change::FlightKeyPut { .. }
        | Change::OutboxAdded {
            tokens: OutboxTokens::Given { .. },
            ..
        }
        | Change::OutboxPut(_)
        | Change::LockTaken { .. }
        | Change::LockPut(_)
        | Change::ClientPut(_)
        | Change::ClientErased(_)
        | Change::AgentPut(_)
        | Change::AgentErased { .. }
        | Change::KeyPut(_)
        | Change::KeyErased(_)
        | Change::GrantPut { .. }
        | Change::GrantErased { .. }
        | Change::RequestPut(_)
        | Change::RequestErased(_)
        | Change::QuestionPut(_)
        | Change::QuestionErased(_)
        | Change::AnswerPut { .. }
        | Change::AnswerErased { .. } => false,
    }
}

/// A number as it is kept: signed, as SQL has it.
pub(crate) fn stored(number: u64) -> Result<i64, StoreError> {
    let too_large = |_| StoreError::Contradiction {
        detail: "a number is too large".to_owned(),
    };
    i64::try_from(number).map_err(too_large)
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Contradiction {
        detail: error.to_string(),
    })
}

fn millis(moment: Option<Timestamp>) -> Option<i64> {
    moment.map(Timestamp::as_millis)
}

async fn remove(
    to: &mut SqliteConnection,
    statement: &'static str,
    id: &impl ToString,
) -> Result<(), StoreError> {
    sqlx::query(statement)
        .bind(id.to_string())
        .execute(to)
        .await?;
    Ok(())
}

async fn remove_of(
    to: &mut SqliteConnection,
    statement: &'static str,
    tenant: TenantId,
    id: &impl ToString,
) -> Result<(), StoreError> {
    sqlx::query(statement)
        .bind(tenant.to_string())
        .bind(id.to_string())
        .execute(to)
        .await?;
    Ok(())
}

/// A row that exists and belongs to another tenant is left as it is, and the whole commit fails.
fn of_that_tenant(written: &SqliteQueryResult, what: &str) -> Result<(), StoreError> {
    if written.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Contradiction {
            detail: format!("{what} belongs to another tenant"),
        })
    }
}
