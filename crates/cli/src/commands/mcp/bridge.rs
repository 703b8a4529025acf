//! The way from a line to `/mcp/NAME` and back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_core::name::Name;
use doorward_gateway::event_stream::{Event, Reader};
use doorward_host::Folders;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use tokio::task::AbortHandle;
use url::Url;
use zeroize::Zeroizing;

use super::line::{self, Line, VERSION};
use super::tools::Tools;
use crate::commands::token;
use crate::endpoint;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
/// How often a Doorward that is not there is looked for, and how long in between: a restart takes less.
const LOOKS: u32 = 10;
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// How often the rest of an answer is asked for after its stream broke off.
const RESUMPTIONS: u32 = 10;
/// How long before the stream is opened again, where the server does not say it.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// How long the end of a session may take.
const END_WITHIN: Duration = Duration::from_secs(2);

/// A client's bridge to one MCP door.
pub(super) struct Bridge {
    client: reqwest::Client,
    folders: Folders,
    key: Zeroizing<String>,
    connection: Name,
    output: Output,
    pub(super) tools: Tools,
    state: Mutex<State>,
    /// One renewal of the session at a time.
    renewing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    door: Option<Url>,
    session: Option<String>,
    version: Option<String>,
    /// What the client said first, to say it again where a session has ended.
    initialize: Option<Line>,
    listener: Option<AbortHandle>,
}

/// How the rest of a stream is asked for.
#[derive(Default)]
struct Place {
    last_event: Option<String>,
    retry: Option<Duration>,
}

impl Bridge {
    pub(super) fn new(
        client: reqwest::Client,
        folders: Folders,
        key: Zeroizing<String>,
        (connection, output): (Name, Output),
    ) -> Self {
        Self {
            client,
            folders,
            key,
            connection,
            output,
            tools: Tools::default(),
            state: Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing between two changes of it can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client speaks a protocol without sessions.
    pub(super) fn has_no_session(&self) -> bool {
        self.state().initialize.is_none()
    }

    /// Passes a line on, and what comes back.
    pub(super) async fn pass(self: &Arc<Self>, line: &Line) {
        if line.method() == Some("initialize") {
            let mut state = self.state();
            (state.session, state.version) = (None, None);
            state.initialize = Some(line.clone());
        }
        let headers = self.headers_of(line);
        match (self.post(line, headers.clone()).await, &line.request) {
            (Ok(response), _) => self.answer(line, response, Some(&headers)).await,
            (Err(failure), Some(id)) => self.say(&line::refused(id, &failure, false)),
            (Err(failure), None) => self.remark(&failure),
        }
        if line.method() == Some("notifications/initialized") {
            self.listen();
        }
    }

    /// Posts a line. A session that has ended did nothing with it, so it is begun again and the line is sent once more.
    pub(super) async fn post(
        self: &Arc<Self>,
        line: &Line,
        headers: HeaderMap,
    ) -> Outcome<Response> {
        let before = self.state().session.clone();
        let response = self
            .send(Method::POST, headers.clone(), Some(&line.text))
            .await?;
        let has_ended = response.status() == StatusCode::NOT_FOUND
            && before.is_some()
            && !is_problem(&response)
            && line.method().is_some_and(|method| method != "initialize");
        if !has_ended {
            return Ok(response);
        }
        self.renew_session(before).await?;
        self.send(Method::POST, headers, Some(&line.text)).await
    }

    /// Begins the session again as the client began it, unless somebody has since.
    async fn renew_session(self: &Arc<Self>, ended: Option<String>) -> Outcome {
        let _alone = self.renewing.lock().await;
        let initialize = {
            let mut state = self.state();
            if state.session != ended {
                return Ok(());
            }
            (state.session, state.version) = (None, None);
            state.initialize.clone()
        };
        let Some(initialize) = initialize else {
            return Ok(());
        };
        let response = self
            .send(Method::POST, HeaderMap::new(), Some(&initialize.text))
            .await?;
        let session = session_of(&response);
        let answers = read_all(response).await;
        let version = answers.iter().find_map(|answer| version_in(answer));
        {
            let mut state = self.state();
            (state.session, state.version) = (session, version);
        }
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        self.send(Method::POST, HeaderMap::new(), Some(initialized))
            .await?;
        self.note("The session at the MCP server had ended; it was begun again.");
        self.listen();
        Ok(())
    }

    /// Sends a request to the door, looking for Doorward again where it is not there.
    pub(super) async fn send(
        &self,
        method: Method,
        extra: HeaderMap,
        body: Option<&str>,
    ) -> Outcome<Response> {
        let mut last = Failure::not_running();
        for look in 0..LOOKS {
            if look > 0 {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
            let door = match self.door() {
                Ok(door) => door,
                Err(failure) if failure.is_own("not_running") => {
                    last = failure;
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            let mut request = self
                .client
                .request(method.clone(), door)
                .bearer_auth(self.key.as_str())
                .header(ACCEPT, "application/json, text/event-stream")
                .headers(self.own_headers())
                .headers(extra.clone());
            if let Some(body) = body {
                request = request
                    .header(CONTENT_TYPE, "application/json")
                    .body(body.to_owned());
            }
            match request.send().await {
                Ok(response) => return Ok(response),
                // Nothing was sent: Doorward may be back at another address.
                Err(error) if error.is_connect() => {
                    self.state().door = None;
                    last = Failure::not_running();
                }
                Err(error) => return Err(endpoint::unanswered(&error)),
            }
        }
        Err(last)
    }

    fn door(&self) -> Outcome<Url> {
        if let Some(door) = &self.state().door {
            return Ok(door.clone());
        }
        let mut door = endpoint::find(&self.folders)?;
        door.set_path(&format!("/mcp/{}", self.connection));
        self.state().door = Some(door.clone());
        Ok(door)
    }

    fn own_headers(&self) -> HeaderMap {
        let state = self.state();
        let mut headers = HeaderMap::new();
        for (name, value) in [(SESSION, &state.session), (VERSION, &state.version)] {
            if let Some(value) = value
                .as_deref()
                .and_then(|value| HeaderValue::try_from(value).ok())
            {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// Says what a response says. `sent` are the headers of a line that may be sent once more with others.
    async fn answer(self: &Arc<Self>, line: &Line, response: Response, sent: Option<&HeaderMap>) {
        let request = line.request.as_deref();
        if line.method() == Some("initialize") && response.status().is_success() {
            self.state().session = session_of(&response);
        }
        if is_problem(&response) {
            let failure = problem(response).await;
            return match request {
                Some(id) => self.say(&line::refused(id, &failure, false)),
                None => self.remark(&failure),
            };
        }
        if is_stream(&response) {
            return self.relay_answer(line, response).await;
        }
        let (status, text) = (response.status(), response.text().await);
        let text = text.unwrap_or_default();
        if status == StatusCode::BAD_REQUEST
            && let Some(sent) = sent
            && line::is_mismatch(&text)
            && let Some(response) = self.correct(line, sent).await
        {
            return Box::pin(self.answer(line, response, None)).await;
        }
        let is_message = serde_json::from_str::<Value>(&text).is_ok_and(|value| !value.is_null());
        match request {
            Some(id) if is_message => {
                let addressed = line::addressed(&text, id);
                self.hear(addressed.as_deref().unwrap_or(&text), Some(line));
            }
            None if is_message => self.hear(&text, Some(line)),
            Some(id) => self.say(&line::refused(id, &no_message(status), true)),
            None if !status.is_success() => self.remark(&no_message(status)),
            None => {}
        }
    }

    /// A message of the server, on the way of what the client asked.
    fn hear(&self, text: &str, asked: Option<&Line>) {
        if let Some(version) = version_in(text) {
            let mut state = self.state();
            if state.initialize.is_some() && state.version.is_none() {
                state.version = Some(version);
            }
        }
        let shown = asked
            .filter(|line| line.lists_tools())
            .and_then(|_| self.shown(text));
        self.say(&line::on_one_line(shown.as_deref().unwrap_or(text)));
    }

    /// The stream that holds a request's answer, and its rest where it breaks off before that.
    async fn relay_answer(self: &Arc<Self>, line: &Line, response: Response) {
        let request = line.request.as_deref();
        let mut place = Place::default();
        let mut is_answered = self.relay(response, &mut place, Some(line)).await;
        let mut tries = 0;
        while !is_answered && request.is_some() && place.last_event.is_some() && tries < RESUMPTIONS
        {
            tries += 1;
            tokio::time::sleep(place.retry.unwrap_or(RETRY).min(LONGEST_RETRY)).await;
            match self.resume(&place).await {
                Ok(response) if is_stream(&response) => {
                    is_answered = self.relay(response, &mut place, Some(line)).await;
                }
                Ok(_) => break,
                Err(failure) => self.remark(&failure),
            }
        }
        if let Some(id) = request.filter(|_| !is_answered) {
            self.say(&line::refused(id, &broke_off(), true));
        }
    }

    async fn resume(&self, place: &Place) -> Outcome<Response> {
        let mut headers = HeaderMap::new();
        let last = place.last_event.as_deref();
        if let Some(last) = last.and_then(|last| HeaderValue::try_from(last).ok()) {
            headers.insert(LAST_EVENT, last);
        }
        self.send(Method::GET, headers, None).await
    }

    /// Says what a stream says, until it ends. Whether the answer to a request was on it.
    async fn relay(&self, mut response: Response, place: &mut Place, asked: Option<&Line>) -> bool {
        let request = asked.and_then(|line| line.request.as_deref());
        let mut reader = Reader::default();
        let mut is_answered = false;
        while let Ok(Some(piece)) = response.chunk().await {
            reader.push(&piece);
            while let Ok(Some(event)) = reader.next_event() {
                place.note(&event);
                let Some(data) = event.data() else { continue };
                is_answered |= request.is_some_and(|id| answers(&data, id));
                self.hear(&data, asked);
            }
        }
        is_answered
    }

    /// Opens the server's own stream, where the protocol has one, and keeps it open.
    fn listen(self: &Arc<Self>) {
        let bridge = Arc::clone(self);
        let task = tokio::spawn(async move { bridge.keep_listening().await });
        let before = self.state().listener.replace(task.abort_handle());
        if let Some(before) = before {
            before.abort();
        }
    }

    async fn keep_listening(&self) {
        let mut place = Place::default();
        let mut wait = RETRY;
        loop {
            match self.resume(&place).await {
                Ok(response) if is_stream(&response) => {
                    wait = RETRY;
                    self.relay(response, &mut place, None).await;
                }
                // A server without such a stream, or a session that has ended: the next request begins another.
                Ok(response) if response.status().is_client_error() && !is_problem(&response) => {
                    return;
                }
                Ok(_) | Err(_) => wait = (wait * 2).min(LONGEST_RETRY),
            }
            tokio::time::sleep(place.retry.unwrap_or(wait).max(wait)).await;
        }
    }

    /// Ends the session.
    pub(super) async fn end(&self) {
        let (session, listener) = {
            let mut state = self.state();
            (state.session.clone(), state.listener.take())
        };
        if let Some(listener) = listener {
            listener.abort();
        }
        if session.is_some() {
            let end = self.send(Method::DELETE, HeaderMap::new(), None);
            // A session that nobody ends lapses at the server.
            let _lapses = tokio::time::timeout(END_WITHIN, end).await;
        }
    }

    fn say(&self, message: &str) {
        // A client that is gone closes standard input too, which ends the command.
        let _gone: Outcome = self.output.text(message);
    }

    fn remark(&self, failure: &Failure) {
        self.note(&crate::output::failure_text(failure));
    }

    /// Says something to a person.
    pub(super) fn note(&self, text: &str) {
        self.output.note(text);
    }
}

impl Place {
    fn note(&mut self, event: &Event) {
        if let Some(id) = event.field("id").filter(|id| !id.is_empty()) {
            self.last_event = Some(id);
        }
        if let Some(millis) = event.field("retry").and_then(|retry| retry.parse().ok()) {
            self.retry = Some(Duration::from_millis(millis));
        }
    }
}

fn kind(response: &Response) -> Option<&str> {
    let kind = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    kind.split(';').next().map(str::trim)
}

fn is_stream(response: &Response) -> bool {
    response.status().is_success() && kind(response) == Some("text/event-stream")
}

/// Whether Doorward itself refused.
fn is_problem(response: &Response) -> bool {
    kind(response) == Some("application/problem+json")
}

async fn problem(response: Response) -> Failure {
    let retry_after = response
        .headers()
        .get(reqwest::header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    match response.json().await {
        Ok(body) => token::problem(&body, retry_after),
        Err(_) => token::not_understood(),
    }
}

fn session_of(response: &Response) -> Option<String> {
    let session = response.headers().get(SESSION)?.to_str().ok()?;
    Some(session.to_owned())
}

/// The messages of a short answer.
pub(super) async fn read_all(response: Response) -> Vec<String> {
    let is_stream = is_stream(&response);
    let text = response.text().await.unwrap_or_default();
    if !is_stream {
        return vec![text];
    }
    let mut reader = Reader::default();
    reader.push(text.as_bytes());
    let mut messages = Vec::new();
    while let Ok(Some(event)) = reader.next_event() {
        messages.extend(event.data());
    }
    messages
}

/// The version that the answer to `initialize` names.
fn version_in(text: &str) -> Option<String> {
    if !text.contains("protocolVersion") {
        return None;
    }
    let message: Value = serde_json::from_str(text).ok()?;
    let version = message.get("result")?.get("protocolVersion")?.as_str()?;
    Some(version.to_owned())
}

/// Whether a message answers the request of this identifier.
fn answers(text: &str, id: &str) -> bool {
    let (Ok(message), Ok(id)) = (
        serde_json::from_str::<Value>(text),
        serde_json::from_str::<Value>(id),
    ) else {
        return false;
    };
    let is_answer =
        |message: &Value| message.get("method").is_none() && message.get("id") == Some(&id);
    match message.as_array() {
        Some(messages) => messages.iter().any(is_answer),
        None => is_answer(&message),
    }
}

fn no_message(status: StatusCode) -> Failure {
    Failure::new(
        "failed",
        format!("The MCP server answered {status} and no message."),
        "`doorward doctor` looks closer.",
    )
}

fn broke_off() -> Failure {
    Failure::new(
        "unreachable",
        "The answer broke off.",
        "Look whether it was done before asking again.",
    )
}
