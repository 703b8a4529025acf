//! What the MCP server remembers of its sessions, and the blobs that were left with it.

use std::collections::HashMap;

use bytes::Bytes;
use time::{Duration, OffsetDateTime};

use crate::secret::random_node_id;

/// How long a blob waits to be used.
const BLOB_LIFETIME: Duration = Duration::minutes(5);

/// A session that signed in by the `auth` tool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    /// The credential that the `auth` tool got it.
    pub(crate) token: Option<String>,
    /// What renews it, if it is an access token.
    pub(crate) refresh: Option<String>,
    /// Whether renewing it was refused.
    pub(crate) refresh_refused: bool,
    /// The verifier of a sign-in under way.
    pub(crate) verifier: Option<String>,
}

#[derive(Debug)]
struct Blob {
    bytes: Bytes,
    expires_at: OffsetDateTime,
}

#[derive(Debug, Default)]
pub(crate) struct Desk {
    sessions: HashMap<String, Session>,
    blobs: HashMap<String, Blob>,
}

impl Desk {
    pub(crate) fn session(&self, id: &str) -> Option<&Session> {
        self.sessions.get(id)
    }

    pub(crate) fn session_mut(&mut self, id: &str) -> &mut Session {
        self.sessions.entry(id.to_owned()).or_default()
    }

    pub(crate) fn leave_blob(&mut self, bytes: Bytes, now: OffsetDateTime) -> String {
        self.blobs.retain(|_, blob| now < blob.expires_at);
        let id = random_node_id();
        self.blobs.insert(
            id.clone(),
            Blob {
                bytes,
                expires_at: now + BLOB_LIFETIME,
            },
        );
        id
    }

    /// Takes a blob, which is good once.
    pub(crate) fn take_blob(&mut self, id: &str, now: OffsetDateTime) -> Option<Bytes> {
        self.blobs
            .remove(id)
            .filter(|blob| now < blob.expires_at)
            .map(|blob| blob.bytes)
    }
}
