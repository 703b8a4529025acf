//! Locking files.
//!
//! Public material leaves open whether locks are enforced. Here they are, for that is the harder case
//! for a client: what someone else has locked cannot be written, renamed, moved or deleted.

use axum::http::StatusCode;
use serde_json::json;
use time::Duration;

use crate::http::call::Call;
use crate::http::envelope::{Refusal, Reply};
use crate::scope::Mode;
use crate::world::locks::{Lock, LockRefusal};

/// How long a lock is held when nothing is said.
const DEFAULT_SECONDS: u64 = 300;

pub(crate) async fn acquire(call: Call) -> Result<Reply, Refusal> {
    let seconds = call.number("duration")?.unwrap_or(DEFAULT_SECONDS);
    if !(60..=3600).contains(&seconds) {
        return Err(Refusal::invalid(
            "duration",
            "duration must be between 60 and 3600.",
        ));
    }
    let now = call.site.now();
    let (place, node) = (call.place().id, call.named("node"));
    let mut world = call.site.world();
    call.open(&world, Mode::ReadWrite)?
        .node(node)
        .ok_or(Refusal::NotFound("node"))?;
    let wanted = Lock {
        token: String::new(),
        holder: call.caller.session_id.clone(),
        length: Duration::seconds(i64::try_from(seconds).unwrap_or(3600)),
        expires_at: now,
        client_info: call.given("client_info"),
    };
    let lock = world.locks.acquire((&place, node), wanted, now)?;
    world
        .effects
        .note("lock acquired", &format!("{place}/{node}"));
    call.site
        .changed(&mut world, &place, format!("storage:{node}"));
    let mut reply = lock.description();
    reply["lock_token"] = lock.token.into();
    Ok(Reply::new(reply))
}

pub(crate) async fn status(call: Call) -> Result<Reply, Refusal> {
    let now = call.site.now();
    let (place, node) = (call.place().id, call.named("node"));
    let world = call.site.world();
    call.open(&world, Mode::Read)?
        .node(node)
        .ok_or(Refusal::NotFound("node"))?;
    let lock = world.locks.find(&place, node, now);
    Ok(Reply::new(lock.map_or_else(
        || json!({ "locked": false }),
        Lock::description,
    )))
}

pub(crate) async fn heartbeat(call: Call) -> Result<Reply, Refusal> {
    let token = call.needed("lock_token")?;
    let now = call.site.now();
    let (place, node) = (call.place().id, call.named("node"));
    let mut world = call.site.world();
    call.open(&world, Mode::ReadWrite)?;
    let lock = world.locks.keep((&place, node), &token, now)?;
    Ok(Reply::new(lock.description()))
}

pub(crate) async fn release(call: Call) -> Result<Reply, Refusal> {
    let token = call.needed("lock_token")?;
    let now = call.site.now();
    let (place, node) = (call.place().id, call.named("node"));
    let mut world = call.site.world();
    call.open(&world, Mode::ReadWrite)?;
    world.locks.release((&place, node), &token, now)?;
    world
        .effects
        .note("lock released", &format!("{place}/{node}"));
    call.site
        .changed(&mut world, &place, format!("storage:{node}"));
    Ok(Reply::new(json!({ "locked": false })))
}

impl From<LockRefusal> for Refusal {
    fn from(refusal: LockRefusal) -> Self {
        match refusal {
            LockRefusal::Held => Self::Locked,
            LockRefusal::Free => Self::NotFound("lock"),
            LockRefusal::OtherToken => Self::State(
                StatusCode::FORBIDDEN,
                1680,
                "The lock is held by another token.",
            ),
        }
    }
}
