//! Giving an organisation away: a token of 64 characters, good for 72 hours, five at most.

use axum::http::StatusCode;
use serde_json::{Value, json};
use time::Duration;

use crate::clock::fastio_datetime;
use crate::http::account::page;
use crate::http::call::Call;
use crate::http::envelope::{Refusal, Reply};
use crate::scope::Mode;
use crate::secret::{Fingerprint, random_node_id, random_token};
use crate::world::Transfer;

const LIFETIME: Duration = Duration::hours(72);
const MOST: usize = 5;

pub(crate) async fn create(call: Call) -> Result<Reply, Refusal> {
    let org = call.named("id").to_owned();
    let now = call.site.now();
    let mut world = call.site.world();
    call.open_org(&world, &org, Mode::ReadWrite)?;
    world.transfers.retain(|transfer| now < transfer.expires_at);
    let active = world
        .transfers
        .iter()
        .filter(|transfer| transfer.org == org);
    if active.count() >= MOST {
        return Err(Refusal::State(
            StatusCode::TOO_MANY_REQUESTS,
            1667,
            "There are five transfer tokens already.",
        ));
    }
    let token: String = format!("{}{}", random_token(), random_token())
        .chars()
        .take(64)
        .collect();
    let transfer = Transfer {
        id: random_node_id(),
        org: org.clone(),
        fingerprint: Fingerprint::of(&token),
        expires_at: now + LIFETIME,
    };
    let (id, expires) = (transfer.id.clone(), fastio_datetime(transfer.expires_at));
    world.transfers.push(transfer);
    world.effects.note("transfer token made", &org);
    Ok(Reply::new(
        json!({ "id": id, "token": token, "expires": expires }),
    ))
}

pub(crate) async fn list(call: Call) -> Result<Reply, Refusal> {
    let org = call.named("id");
    let now = call.site.now();
    let world = call.site.world();
    call.open_org(&world, org, Mode::Read)?;
    let shown: Vec<Value> = world
        .transfers
        .iter()
        .filter(|transfer| transfer.org == org && now < transfer.expires_at)
        .map(|transfer| {
            json!({ "id": transfer.id, "expires": fastio_datetime(transfer.expires_at) })
        })
        .collect();
    page("transfer_tokens", shown, call.query())
}

pub(crate) async fn delete(call: Call) -> Result<Reply, Refusal> {
    let (org, id) = (call.named("id"), call.named("token"));
    let mut world = call.site.world();
    call.open_org(&world, org, Mode::ReadWrite)?;
    let before = world.transfers.len();
    world
        .transfers
        .retain(|transfer| transfer.org != org || transfer.id != id);
    if world.transfers.len() == before {
        return Err(Refusal::NotFound("transfer token"));
    }
    world.effects.note("transfer token deleted", id);
    Ok(Reply::new(json!({})))
}

/// Whoever holds the token owns the organisation then; the one who gave it away stays its admin.
pub(crate) async fn claim(call: Call) -> Result<Reply, Refusal> {
    let fingerprint = Fingerprint::of(&call.needed("token")?);
    call.may_write()?;
    let now = call.site.now();
    let mut world = call.site.world();
    let index = world
        .transfers
        .iter()
        .position(|transfer| transfer.fingerprint == fingerprint && now < transfer.expires_at)
        .ok_or(Refusal::NotFound("transfer token"))?;
    let transfer = world.transfers.remove(index);
    world.effects.note("organization claimed", &transfer.org);
    Ok(Reply::new(
        json!({ "org_id": transfer.org, "owner": call.caller.person_id }),
    ))
}
