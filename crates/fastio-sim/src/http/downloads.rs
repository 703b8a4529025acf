//! Handing out bytes: whole, in part, or only their length; and the one-time tokens that open a file
//! without a credential.

use std::io;

use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::unfold;
use serde_json::json;
use time::Duration;

use crate::http::call::{Call, Place};
use crate::http::envelope::{Refusal, Reply};
use crate::http::fields::Fields;
use crate::http::site::SharedSite;
use crate::scope::Mode;
use crate::secret::{Fingerprint, random_token};
use crate::world::Download;
use crate::world::catalogue::Content;
use crate::world::stored::Stored;

/// How long a download token lives.
const DOWNLOAD_LIFETIME: Duration = Duration::minutes(5);
/// How much of a file is computed at a time.
const PIECE: usize = 64 * 1024;

/// Trades the bearer token for one that opens a single file once and may stand in a URL.
pub(crate) async fn request_read(call: Call) -> Result<Reply, Refusal> {
    let expires_at = call.site.now() + DOWNLOAD_LIFETIME;
    let node_id = call.named("node").to_owned();
    let place = call.place();
    let mut world = call.site.world();
    call.open(&world, Mode::Read)?
        .content(&node_id)
        .ok_or(Refusal::NotFound("file"))?;
    let token = random_token();
    world.downloads.insert(
        Fingerprint::of(&token),
        Download {
            place,
            node_id,
            expires_at,
        },
    );
    Ok(Reply::new(json!({ "token": token })))
}

/// The file that a token opens. The first request that asks for bytes spends it; `HEAD` does not.
pub(crate) async fn read(
    State(site): State<SharedSite>,
    method: Method,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Refusal> {
    let fields = Fields::of_query(&uri);
    let token = fields
        .given("token")
        .ok_or_else(|| Refusal::missing("token"))?;
    let now = site.now();
    let path: Vec<&str> = uri.path().split('/').collect();
    let [_, _, kind, id, _, node, ..] = path[..] else {
        return Err(Refusal::UnknownRoute);
    };
    let place = Place {
        id: id.to_owned(),
        is_share: kind == "share",
    };
    let mut world = site.world();
    let key = Fingerprint::of(token);
    world
        .downloads
        .get(&key)
        .filter(|download| {
            download.place == place && download.node_id == node && now < download.expires_at
        })
        .ok_or(Refusal::InvalidToken("The download token is not valid."))?;
    if method != Method::HEAD {
        world.downloads.remove(&key);
    }
    let content = world
        .catalogue
        .place(id)
        .and_then(|place| place.content(node))
        .ok_or(Refusal::NotFound("file"))?;
    Ok(serve(content, &method, &headers))
}

/// Hands out a file, or the part of it that was asked for.
pub(crate) fn serve(content: Content, method: &Method, headers: &HeaderMap) -> Response {
    let length = content.bytes.len();
    let tag = tag(&content.bytes);
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(IF_NONE_MATCH).is_some_and(|known| known == "*" || known.contains(&tag)) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
    }
    let fresh = text(IF_RANGE).is_none_or(|known| known == tag);
    let asked = text(RANGE)
        .filter(|_| fresh)
        .and_then(|range| parse_range(range, length));
    let (status, from, until) = match asked {
        None => (StatusCode::OK, 0, length),
        Some(Ok((from, until))) => (StatusCode::PARTIAL_CONTENT, from, until),
        Some(Err(())) => {
            let range = format!("bytes */{length}");
            return (StatusCode::RANGE_NOT_SATISFIABLE, [(CONTENT_RANGE, range)]).into_response();
        }
    };
    let body = if *method == Method::HEAD {
        Body::empty()
    } else {
        bytes_between(content.bytes, from, until)
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    let mut put = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put(CONTENT_TYPE, &content.media_type);
    put(CONTENT_DISPOSITION, "attachment");
    put(ACCEPT_RANGES, "bytes");
    put(ETAG, &tag);
    put(CONTENT_LENGTH, &(until - from).to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        put(
            CONTENT_RANGE,
            &format!("bytes {from}-{}/{length}", until - 1),
        );
    }
    response
}

/// One range of bytes, as from and until; `None` for what is to be answered whole, an error for what
/// lies outside.
fn parse_range(range: &str, length: u64) -> Option<Result<(u64, u64), ()>> {
    let spec = range.strip_prefix("bytes=")?;
    // Several ranges may be answered whole (RFC 9110 §14.2).
    if spec.contains(',') {
        return None;
    }
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let tail: u64 = last.parse().ok()?;
        let from = length.saturating_sub(tail);
        return Some(if tail == 0 || length == 0 {
            Err(())
        } else {
            Ok((from, length))
        });
    }
    let from: u64 = first.parse().ok()?;
    let until = if last.is_empty() {
        length
    } else {
        last.parse::<u64>().ok()?.saturating_add(1).min(length)
    };
    if from >= length {
        return Some(Err(()));
    }
    (from < until).then_some(Ok((from, until)))
}

fn bytes_between(stored: Stored, from: u64, until: u64) -> Body {
    let pieces = unfold((stored, from), move |(stored, at)| async move {
        let left = usize::try_from(until - at).unwrap_or(usize::MAX);
        if left == 0 {
            return None;
        }
        let piece = stored.piece(at, PIECE.min(left));
        let next = at + piece.len() as u64;
        Some((Ok::<_, io::Error>(piece), (stored, next)))
    });
    Body::from_stream(pieces)
}

fn tag(stored: &Stored) -> String {
    let named = match stored {
        Stored::Kept(bytes) => Fingerprint::of(&format!("{:?}", bytes.as_ref())).short(),
        Stored::Pattern(length) => format!("pattern-{length}"),
        Stored::Counted(length) => format!("counted-{length}"),
    };
    format!("\"{named}\"")
}
