//! Agents, their keys, grants and requests, what a person said about their calls, and the local clients that may become
//! agents.

use doorward_core::agent::{Agent, Client};
use doorward_core::asking::Answer;
use doorward_core::grant::Grant;
use doorward_core::ids::{AgentId, TenantId};
use doorward_core::key::KeyRecord;
use doorward_core::pairing::ApprovalRequest;
use sqlx::sqlite::SqliteConnection;

use super::{json, millis, of_that_tenant, stored};
use crate::error::StoreError;

pub(super) async fn put_client(
    to: &mut SqliteConnection,
    client: &Client,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO clients (id, name, redirect_uris, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, redirect_uris = excluded.redirect_uris",
    )
    .bind(client.id.to_string())
    .bind(client.name.as_str())
    .bind(json(&client.redirect_uris)?)
    .bind(client.created_at.as_millis())
    .execute(to)
    .await?;
    Ok(())
}

pub(super) async fn put_agent(to: &mut SqliteConnection, agent: &Agent) -> Result<(), StoreError> {
    let written = sqlx::query(
        "INSERT INTO agents (id, tenant, name, paused, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, paused = excluded.paused
         WHERE agents.tenant = excluded.tenant",
    )
    .bind(agent.id.to_string())
    .bind(agent.tenant.to_string())
    .bind(agent.name.as_str())
    .bind(i64::from(agent.paused))
    .bind(agent.created_at.as_millis())
    .execute(to)
    .await?;
    of_that_tenant(&written, "the agent")
}

/// Its grants go with it: the table sees to that.
pub(super) async fn erase_agent(
    to: &mut SqliteConnection,
    tenant: TenantId,
    agent: AgentId,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM agents WHERE tenant = $1 AND id = $2")
        .bind(tenant.to_string())
        .bind(agent.to_string())
        .execute(to)
        .await?;
    Ok(())
}

pub(super) async fn put_key(to: &mut SqliteConnection, key: &KeyRecord) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO agent_keys (id, agent, hash, audience, created_at, expires_at, idle_seconds, last_used_at,
            revoked_at, metrics)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (id) DO UPDATE SET agent = excluded.agent, hash = excluded.hash, audience = excluded.audience,
            expires_at = excluded.expires_at, idle_seconds = excluded.idle_seconds,
            last_used_at = excluded.last_used_at, revoked_at = excluded.revoked_at, metrics = excluded.metrics",
    )
    .bind(key.id.to_string())
    .bind(key.agent.to_string())
    .bind(key.hash.as_bytes().as_slice())
    .bind(key.audience.map(|audience| audience.to_string()))
    .bind(key.created_at.as_millis())
    .bind(millis(key.expires_at))
    .bind(key.idle_seconds.map(i64::from))
    .bind(millis(key.last_used_at))
    .bind(millis(key.revoked_at))
    .bind(i64::from(key.metrics))
    .execute(to)
    .await?;
    Ok(())
}

pub(super) async fn put_grant(
    to: &mut SqliteConnection,
    tenant: TenantId,
    grant: &Grant,
) -> Result<(), StoreError> {
    let written = sqlx::query(
        "INSERT INTO grants (id, tenant, agent, connection, rights, lifetime, created_at, handed_generation)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (id) DO UPDATE SET agent = excluded.agent, connection = excluded.connection,
            rights = excluded.rights, lifetime = excluded.lifetime, handed_generation = excluded.handed_generation
         WHERE grants.tenant = excluded.tenant",
    )
    .bind(grant.id.to_string())
    .bind(tenant.to_string())
    .bind(grant.agent.to_string())
    .bind(grant.connection.to_string())
    .bind(json(&grant.rights)?)
    .bind(json(&grant.lifetime)?)
    .bind(grant.created_at.as_millis())
    .bind(grant.handed_generation.map(stored).transpose()?)
    .execute(to)
    .await?;
    of_that_tenant(&written, "the grant")
}

/// A newer answer about the same call replaces the older one.
pub(super) async fn put_answer(
    to: &mut SqliteConnection,
    tenant: TenantId,
    answer: &Answer,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO answers (id, tenant, grant_id, digest, what, says, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (grant_id, digest) DO UPDATE SET id = excluded.id, what = excluded.what, says = excluded.says,
            created_at = excluded.created_at",
    )
    .bind(answer.id.to_string())
    .bind(tenant.to_string())
    .bind(answer.grant.to_string())
    .bind(answer.digest.as_slice())
    .bind(answer.what.as_str())
    .bind(answer.says.as_str())
    .bind(answer.created_at.as_millis())
    .execute(to)
    .await?;
    Ok(())
}

pub(super) async fn put_request(
    to: &mut SqliteConnection,
    request: &ApprovalRequest,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO requests (id, client, name, wanted, user_code, device_code, program, created_at, expires_at,
            verdict)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (id) DO UPDATE SET client = excluded.client, name = excluded.name, wanted = excluded.wanted,
            user_code = excluded.user_code, device_code = excluded.device_code, program = excluded.program,
            expires_at = excluded.expires_at, verdict = excluded.verdict",
    )
    .bind(request.id.to_string())
    .bind(request.client.to_string())
    .bind(request.name.as_str())
    .bind(json(&request.wanted)?)
    .bind(request.user_code.as_str())
    .bind(request.device_code.as_bytes().as_slice())
    .bind(request.program.as_ref().map(json).transpose()?)
    .bind(request.created_at.as_millis())
    .bind(request.expires_at.as_millis())
    .bind(json(&request.verdict)?)
    .execute(to)
    .await?;
    Ok(())
}
