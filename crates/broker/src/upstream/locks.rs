//! Calls that take, keep or give back a lock: what they did is remembered before the agent has their answer.

use bytes::Bytes;
use doorward_core::api_path::ApiPath;
use doorward_core::decide::calling::Call;
use doorward_core::decide::locking::{self, Heard};
use doorward_core::upstream::Upstream;
use http::Method;
use serde_json::Value;

use super::Lease;
use crate::handle::Handle;

/// A call of the REST API that is about a lock.
pub(super) struct LockCall {
    method: Method,
    path: ApiPath,
}

impl LockCall {
    /// The call, if it is about a lock.
    pub(super) fn of(upstream: &Upstream, method: &Method, path: Option<&ApiPath>) -> Option<Self> {
        let path = path?;
        let call = Call::Rest {
            method: method.as_str(),
            path,
        };
        locking::concerns(upstream, &call).then(|| Self {
            method: method.clone(),
            path: path.clone(),
        })
    }

    /// Its answer has come, and is a success.
    pub(super) async fn answered(
        &self,
        (handle, lease): (&Handle, &Lease),
        form: &Bytes,
        answer: &[u8],
    ) {
        let call = Call::Rest {
            method: self.method.as_str(),
            path: &self.path,
        };
        let heard = Heard {
            call,
            form,
            // Giving a lock back needs no answer of many words.
            answer: &serde_json::from_slice(answer).unwrap_or(Value::Null),
        };
        hear(handle, lease, heard).await;
    }
}

/// A call that went well may have done something with a lock. What cannot be remembered lapses by itself, so the call
/// is not refused for it.
pub(crate) async fn hear(handle: &Handle, lease: &Lease, heard: Heard<'_>) {
    let upstream = &lease.connection.provider.upstream;
    let Some(news) = locking::hear(upstream, heard, handle.now()) else {
        return;
    };
    let id = lease.connection.id;
    if let Err(refusal) = handle.hear_of_lock(&lease.caller, id, news).await {
        tracing::warn!(%refusal, connection = %id, "a lock that an agent took is not remembered");
    }
}
