//! Reading what an agent asks: strictly, within bounds, and never repeating a value in an error,
//! as a value in the wrong place may be a secret.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use doorward_broker::Handle;
use doorward_broker::handle::Entry;
use doorward_core::decide::calling::{self, Question, Verdict};
use doorward_core::problem::{Code, Refusal};
use http::header::{CONTENT_TYPE, HOST};
use http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};
use url::form_urlencoded;

use crate::failure::OAuthError;
use crate::guard::{MOST_BODY, payload_too_large};
use crate::peer::{self, Peer};
use crate::route::mcp::Memory;

/// How long a body may take to arrive: it is small, and it comes from this machine.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Nobody is kept waiting for longer than this, whatever `Prefer` says.
const MOST_PATIENCE: Duration = Duration::from_mins(5);

/// What routes share.
pub(crate) struct Gate {
    pub(crate) handle: Handle,
    /// What the MCP doors remember.
    pub(crate) mcp: Arc<Memory>,
    /// Whether the gateway stops: what would never end by itself ends then.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Places for WebSockets: each outlives the connection it began on.
    pub(crate) tunnels: Arc<Semaphore>,
}

/// A request on its way through a route.
pub(crate) struct Call {
    pub(crate) gate: Arc<Gate>,
    pub(crate) head: Parts,
    body: Body,
}

/// Whether an agent may make a call. Where a person is to be asked, this asks; only then is there a question.
pub(crate) async fn permit(
    entry: &Entry,
    judged: &calling::Call<'_>,
    patience: Option<Duration>,
    peer: Option<Peer>,
    question: impl FnOnce() -> Question,
) -> Result<(), Refusal> {
    match entry.judge(judged) {
        Verdict::Allow => Ok(()),
        Verdict::Deny(refusal) => Err(refusal),
        Verdict::Ask => ask_person(entry, question(), patience, peer).await,
    }
}

/// Asks a person about a call, and waits as long as the caller does. They are told which program makes it; where they
/// have answered already, nobody looks for that.
pub(crate) async fn ask_person(
    entry: &Entry,
    question: Question,
    patience: Option<Duration>,
    peer: Option<Peer>,
) -> Result<(), Refusal> {
    if let Some(answer) = entry.settled(&question) {
        return answer;
    }
    let program = peer::program_at(peer).await;
    entry.ask(question.by(program), patience).await
}

impl Call {
    pub(crate) fn new(gate: Arc<Gate>, request: Request) -> Self {
        let (head, body) = request.into_parts();
        Self { gate, head, body }
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> Option<Peer> {
        self.head.extensions.get::<Peer>().copied()
    }

    /// The address under which the client reached us: its `Host`, which the guard has checked.
    pub(crate) fn base(&self) -> String {
        let host = self
            .head
            .headers
            .get(HOST)
            .and_then(|host| host.to_str().ok());
        format!("http://{}", host.unwrap_or_default().to_ascii_lowercase())
    }

    /// The query, which may hold these parameters once each and no others.
    pub(crate) fn query(&self, known: &[&str]) -> Result<Query<'_>, Refusal> {
        Query::parse(self.head.uri.query().unwrap_or_default(), known)
    }

    /// How long the caller wants to wait (RFC 7240 §4.3). What cannot be read is no preference.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let stated = self.head.headers.get_all("prefer").iter();
        let wishes = stated
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split(','));
        wishes.into_iter().find_map(|wish| {
            let (name, value) = wish.split(';').next()?.split_once('=')?;
            if !name.trim().eq_ignore_ascii_case("wait") {
                return None;
            }
            let seconds = value.trim().trim_matches('"').parse().ok()?;
            Some(Duration::from_secs(seconds).min(MOST_PATIENCE))
        })
    }

    /// The body as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Refusal> {
        self.check_kind("application/json")?;
        let body = self.bytes().await?;
        serde_json::from_slice(&body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            bad_request(
                format!(
                    "The body is not the JSON that this route takes (line {line}, column {column})."
                ),
                "Send the members that docs/AGENTS-API.md lists for this route, and no others.",
            )
        })
    }

    /// The body as a form. Parameters that are not known are ignored, one that comes twice is an
    /// error, an empty one is as good as none (RFC 6749 §3.2).
    pub(crate) async fn form(&mut self) -> Result<Form, Refusal> {
        self.check_kind("application/x-www-form-urlencoded")?;
        let body = self.bytes().await?;
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(&body) {
            if fields.iter().any(|(known, _)| *known == name) {
                let name = printable(&name);
                return Err(bad_request(
                    format!("`{name}` stands in the form twice."),
                    "Send it once.",
                ));
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Form(fields))
    }

    fn check_kind(&self, wanted: &str) -> Result<(), Refusal> {
        let stated = self
            .head
            .headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let kind = stated
            .and_then(|kind| kind.split(';').next())
            .unwrap_or_default();
        if kind.trim().eq_ignore_ascii_case(wanted) {
            return Ok(());
        }
        Err(bad_request(
            format!("The body is not marked as `{wanted}`."),
            format!("Send it with `Content-Type: {wanted}`."),
        ))
    }

    /// The body, which arrives as it is read.
    pub(crate) fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }

    /// The body, whole and within the bound of every route that reads one.
    pub(crate) async fn bytes(&mut self) -> Result<Bytes, Refusal> {
        self.bytes_within(MOST_BODY, BODY_TIME).await
    }

    /// The whole body, if it is no larger than this and takes no longer.
    pub(crate) async fn bytes_within(
        &mut self,
        most: usize,
        time: Duration,
    ) -> Result<Bytes, Refusal> {
        let body = Limited::new(self.take_body(), most).collect();
        match tokio::time::timeout(time, body).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(payload_too_large(most)),
            Ok(Err(_)) => Err(bad_request("The body broke off.", "Send it again.")),
            Err(_) => Err(Refusal::new(
                Code::RequestTimeout,
                format!("The body did not arrive within {} seconds.", time.as_secs()),
                "Send it in one go.",
            )),
        }
    }
}

/// The refusal of a request that cannot be understood.
pub(crate) fn bad_request(detail: impl Into<String>, hint: impl Into<String>) -> Refusal {
    Refusal::new(Code::BadRequest, detail, hint)
}

/// A name from outside as it may stand in an answer.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|letter| letter.is_ascii_graphic() && *letter != '`')
        .take(40)
        .collect()
}

/// The parameters of an address.
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    fn parse(text: &'a str, known: &[&str]) -> Result<Self, Refusal> {
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if !known.contains(&&*name) {
                let hint = match known {
                    [] => "This route takes no parameters.".to_owned(),
                    known => format!("This route takes: {}.", known.join(", ")),
                };
                let name = printable(&name);
                return Err(bad_request(
                    format!("There is no parameter `{name}` here."),
                    hint,
                ));
            }
            if pairs.iter().any(|(before, _)| *before == name) {
                let detail = format!("The parameter `{name}` stands in the address twice.");
                return Err(bad_request(detail, "Give it once."));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// A parameter's value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| &**value)
    }

    /// A parameter that is a time in whole seconds.
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<Duration>, Refusal> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        // `parse` would take a sign.
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse().ok().filter(|_| is_digits) {
            Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
            None => Err(bad_request(
                format!("`{name}` is not a whole number of seconds."),
                format!("Give `{name}` as a non-negative integer."),
            )),
        }
    }
}

/// The fields of a form.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// A field's value, if it has one.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A field's value, or the error of its absence.
    pub(crate) fn require(&self, name: &str) -> Result<&str, OAuthError> {
        self.get(name)
            .ok_or_else(|| OAuthError::new("invalid_request", format!("`{name}` is missing.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_taken_whole_or_not_at_all() {
        let known = ["connection", "min_valid"];
        let query = Query::parse("connection=fast%69o&min_valid=60", &known)
            .ok()
            .unwrap();
        assert_eq!(query.get("connection"), Some("fastio"));
        assert_eq!(
            query.seconds("min_valid").ok(),
            Some(Some(Duration::from_mins(1)))
        );
        for bad in [
            "conection=a",
            "connection=a&connection=a",
            "a",
            "connection[]=a",
        ] {
            assert!(Query::parse(bad, &known).is_err(), "{bad}");
        }
        for bad in ["", "-1", "+1", "1.5", "1s", "99999999999999999999"] {
            let text = format!("min_valid={bad}").replace('+', "%2B");
            assert!(
                Query::parse(&text, &known)
                    .ok()
                    .unwrap()
                    .seconds("min_valid")
                    .is_err(),
                "{bad}"
            );
        }
    }
}
