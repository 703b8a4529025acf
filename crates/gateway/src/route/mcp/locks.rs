//! Results of tools that take, keep or give back a lock: what they did is remembered before the agent has them.

use doorward_core::decide::locking::Heard;
use serde_json::Value;

use super::door::Door;
use super::message::Request;

/// Listens to a message of the server, if what was asked is about a lock.
pub(super) async fn hear(door: &Door, asked: &[Request], text: &str) {
    // Of several requests nobody tells yet whose answer this is; tools that take locks are called one at a time.
    let [request] = asked else { return };
    let call = door.judged(request);
    if !door.entry.is_about_a_lock(&call) {
        return;
    }
    let message: Value = match serde_json::from_str(text) {
        Ok(Value::Object(message)) => Value::Object(message),
        Ok(_) | Err(_) => return,
    };
    // A notification on the way to the result has none.
    let Some(answer) = message.get("result") else {
        return;
    };
    let heard = Heard {
        call,
        form: &[],
        answer,
    };
    door.entry.hear_of_lock(heard).await;
}

/// Whether a request is about a lock, so that its answer is worth listening to.
pub(super) fn concerns(door: &Door, request: &Request) -> bool {
    door.entry.is_about_a_lock(&door.judged(request))
}
