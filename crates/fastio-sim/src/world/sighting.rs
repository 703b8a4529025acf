//! What a request carried besides its path: whatever a client could give away by it.
//!
//! A leak test asks where a credential went, not what it was. So a sighting says what kind of thing
//! stood in `Authorization` and never the thing itself: the log can be shown to anyone.

use axum::http::header::{AUTHORIZATION, COOKIE, HOST};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};

use crate::http::site::bearer;
use crate::knobs::Knobs;
use crate::world::keys::Keys;
use crate::world::ledger::{Ledger, Standing};
use time::OffsetDateTime;

/// Headers that belong to one connection and must not travel past the next hop (RFC 9110 §7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What stood in `Authorization`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authorization {
    /// There was no such header.
    #[default]
    Absent,
    /// The newest access token of its session, and it is good.
    Current,
    /// A good access token that has a newer sibling.
    Older,
    /// An access token that is expired or whose session has ended.
    Dead,
    /// An API key or the token of a Basic sign-in.
    Key,
    /// A bearer that this simulator never issued.
    Unknown,
    /// Something else than a bearer.
    OtherScheme,
}

impl Authorization {
    /// A credential of this simulator, good or not.
    #[must_use]
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Current | Self::Older | Self::Dead | Self::Key)
    }
}

/// What a request carried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sighting {
    /// What stood in `Authorization`.
    pub authorization: Authorization,
    /// `Host`, or the authority of HTTP/2.
    pub host: Option<String>,
    /// Whether cookies came.
    pub cookies: bool,
    /// The hop-by-hop headers that came, `Host` and the framing of the body aside.
    pub hop_by_hop: Vec<String>,
    /// The names of all headers, in their order, once for each time.
    pub headers: Vec<String>,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
}

/// What is known about credentials at the moment of a sighting.
pub(crate) struct Known<'a> {
    pub(crate) ledger: &'a Ledger,
    pub(crate) keys: &'a Keys,
    pub(crate) knobs: &'a Knobs,
    pub(crate) now: OffsetDateTime,
}

impl Sighting {
    pub(crate) fn of(parts: &Parts, known: &Known<'_>) -> Self {
        let headers: Vec<String> = parts
            .headers
            .keys()
            .flat_map(|name| {
                parts
                    .headers
                    .get_all(name)
                    .iter()
                    .map(|_| name.as_str().to_owned())
            })
            .collect();
        let host = parts
            .headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .or_else(|| {
                parts
                    .uri
                    .authority()
                    .map(axum::http::uri::Authority::as_str)
            });
        Self {
            authorization: authorization(parts, known),
            host: host.map(str::to_owned),
            cookies: parts.headers.contains_key(COOKIE),
            hop_by_hop: headers
                .iter()
                .filter(|name| HOP_BY_HOP.contains(&name.as_str()))
                .filter(|name| *name != "transfer-encoding")
                .cloned()
                .collect(),
            headers,
            version: format!("{:?}", parts.version),
        }
    }
}

fn authorization(parts: &Parts, known: &Known<'_>) -> Authorization {
    if !parts.headers.contains_key(AUTHORIZATION) {
        return Authorization::Absent;
    }
    let Some(token) = bearer(&parts.headers) else {
        return Authorization::OtherScheme;
    };
    match known.ledger.standing(token, known.knobs, known.now) {
        Some(Standing::Newest) => Authorization::Current,
        Some(Standing::Older) => Authorization::Older,
        Some(Standing::Dead) => Authorization::Dead,
        None if known.keys.knows(token) => Authorization::Key,
        None => Authorization::Unknown,
    }
}
