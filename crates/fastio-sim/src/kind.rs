//! What a request is about: the vocabulary of counts and faults.
//!
//! Told from method, path and (at the token endpoint) `grant_type` alone, before any handler runs,
//! because a fault must be able to strike a request whose work was never begun.

use serde::{Deserialize, Serialize};

use crate::http::fields::Fields;

/// The kind of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Either well-known document.
    Discovery,
    /// Dynamic registration and its update.
    Register,
    /// The start of an authorization.
    Authorize,
    /// The client information for a consent screen.
    AuthorizeInfo,
    /// The consent pages.
    Consent,
    /// An authorization code at the token endpoint.
    TokenCode,
    /// A refresh token at the token endpoint.
    TokenRefresh,
    /// Anything else at the token endpoint.
    TokenOther,
    /// The revocation endpoint.
    Revoke,
    /// Listing sessions, or the details of one.
    SessionRead,
    /// Changing a session.
    SessionUpdate,
    /// Ending one session or all.
    SessionDelete,
    /// `GET /user/auth/check/`.
    Check,
    /// Every other path below `/current/`.
    Api,
    /// The MCP server over Streamable HTTP.
    Mcp,
    /// The MCP server over the legacy SSE transport.
    McpSse,
    /// `POST /blob`, the side channel for uploads.
    Blob,
    /// `GET /file/…`, the side channel for downloads.
    File,
    /// The WebSocket.
    WebSocket,
    /// A path that the simulator does not serve.
    Unknown,
}

impl Kind {
    /// All kinds, in the order in which counts are shown.
    pub const ALL: [Self; 20] = [
        Self::Discovery,
        Self::Register,
        Self::Authorize,
        Self::AuthorizeInfo,
        Self::Consent,
        Self::TokenCode,
        Self::TokenRefresh,
        Self::TokenOther,
        Self::Revoke,
        Self::SessionRead,
        Self::SessionUpdate,
        Self::SessionDelete,
        Self::Check,
        Self::Api,
        Self::Mcp,
        Self::McpSse,
        Self::Blob,
        Self::File,
        Self::WebSocket,
        Self::Unknown,
    ];

    pub(crate) fn of(method: &str, path: &str, body: &[u8]) -> Self {
        let Some(below) = path.strip_prefix("/current/") else {
            return match path {
                _ if path.starts_with("/.well-known/") => Self::Discovery,
                "/blob" => Self::Blob,
                "/api/websocket/" => Self::WebSocket,
                _ if path.starts_with("/file/") => Self::File,
                _ if path == "/mcp" || path.starts_with("/mcp/") => Self::Mcp,
                _ if path == "/sse" || path.starts_with("/sse/") => Self::McpSse,
                _ if path == "/connect" || path.starts_with("/connect/") => Self::Consent,
                _ => Self::Unknown,
            };
        };
        match below {
            "oauth/register/" => Self::Register,
            "oauth/authorize/" => Self::Authorize,
            "oauth/authorize/info/" => Self::AuthorizeInfo,
            "oauth/token/" => match Fields::parse(body).get("grant_type") {
                Some("authorization_code") => Self::TokenCode,
                Some("refresh_token") => Self::TokenRefresh,
                _ => Self::TokenOther,
            },
            "oauth/revoke/" => Self::Revoke,
            "user/auth/check/" => Self::Check,
            _ if below.starts_with("oauth/sessions/") => match method {
                "PATCH" => Self::SessionUpdate,
                "DELETE" => Self::SessionDelete,
                _ => Self::SessionRead,
            },
            _ => Self::Api,
        }
    }

    pub(crate) fn is_token(self) -> bool {
        matches!(
            self,
            Self::TokenCode | Self::TokenRefresh | Self::TokenOther
        )
    }
}

/// Kinds that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Every request.
    Any,
    /// Everything at the token endpoint.
    Token,
    /// Everything about sessions.
    Sessions,
}

/// Which requests a fault strikes: a kind or a group of kinds, written as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Selector {
    /// A group.
    Group(Group),
    /// One kind.
    Kind(Kind),
}

impl Selector {
    pub(crate) fn matches(self, kind: Kind) -> bool {
        match self {
            Self::Kind(own) => own == kind,
            Self::Group(Group::Any) => true,
            Self::Group(Group::Token) => kind.is_token(),
            Self::Group(Group::Sessions) => matches!(
                kind,
                Kind::SessionRead | Kind::SessionUpdate | Kind::SessionDelete
            ),
        }
    }
}

impl From<Kind> for Selector {
    fn from(kind: Kind) -> Self {
        Self::Kind(kind)
    }
}

impl From<Group> for Selector {
    fn from(group: Group) -> Self {
        Self::Group(group)
    }
}
