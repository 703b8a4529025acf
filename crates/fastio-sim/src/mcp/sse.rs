//! The legacy transport (HTTP with SSE, protocol 2024-11-05): `GET /sse` opens a stream whose first
//! event names the address for messages; they are posted there and answered on the stream.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, StatusCode, Uri};
use axum::middleware;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::stream::unfold;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::service::{RoleServer, serve_server};
use rmcp::transport::Transport;
use tokio::sync::mpsc;

use crate::http::envelope::Refusal;
use crate::http::fields::Fields;
use crate::http::site::SharedSite;
use crate::mcp::inside::Inside;
use crate::mcp::server::Fastio;
use crate::mcp::{Entrance, guard};
use crate::secret::random_node_id;

/// How many messages wait in either direction.
const WAITING: usize = 64;

/// The open streams, each with the way in for its messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions(Arc<Mutex<HashMap<String, mpsc::Sender<ClientJsonRpcMessage>>>>);

impl Sessions {
    pub(crate) fn has(&self, id: &str) -> bool {
        self.with(|open| open.contains_key(id))
    }

    fn with<R>(
        &self,
        work: impl FnOnce(&mut HashMap<String, mpsc::Sender<ClientJsonRpcMessage>>) -> R,
    ) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Clone)]
struct Desk {
    inside: Inside,
    sessions: Sessions,
}

/// One client's stream; forgotten when the client goes.
struct Open {
    id: String,
    sessions: Sessions,
    outgoing: mpsc::Receiver<ServerJsonRpcMessage>,
    greeted: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.sessions.with(|open| open.remove(&self.id));
    }
}

/// The two queues as rmcp wants them.
struct Queues {
    incoming: mpsc::Receiver<ClientJsonRpcMessage>,
    outgoing: mpsc::Sender<ServerJsonRpcMessage>,
}

impl Transport<RoleServer> for Queues {
    type Error = mpsc::error::SendError<ServerJsonRpcMessage>;

    fn name() -> Cow<'static, str> {
        "legacy SSE".into()
    }

    fn send(
        &mut self,
        item: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let outgoing = self.outgoing.clone();
        async move { outgoing.send(item).await }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        self.incoming.recv().await
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.incoming.close();
        Ok(())
    }
}

pub(crate) fn routes(site: &SharedSite, inside: Inside, sessions: Sessions) -> Router<SharedSite> {
    Router::new()
        .route("/sse", get(open))
        .route("/sse/message", post(message))
        .layer(middleware::from_fn_with_state(
            (site.clone(), Entrance::Open),
            guard,
        ))
        .with_state(Desk { inside, sessions })
}

async fn open(State(desk): State<Desk>) -> Response {
    let id = random_node_id();
    let (to_server, incoming) = mpsc::channel(WAITING);
    let (to_client, outgoing) = mpsc::channel(WAITING);
    desk.sessions
        .with(|open| open.insert(id.clone(), to_server));
    let server = Fastio {
        inside: desk.inside.clone(),
        entrance: Entrance::Open,
    };
    tokio::spawn(async move {
        let queues = Queues {
            incoming,
            outgoing: to_client,
        };
        match serve_server(server, queues).await {
            Ok(running) => {
                let _ = running.waiting().await;
            }
            Err(error) => tracing::debug!(%error, "a client left before it had begun"),
        }
    });
    let stream = Open {
        id,
        sessions: desk.sessions,
        outgoing,
        greeted: false,
    };
    let events = unfold(stream, async |mut stream| {
        let event = if stream.greeted {
            let message = stream.outgoing.recv().await?;
            let text = serde_json::to_string(&message).ok()?;
            Event::default().event("message").data(text)
        } else {
            stream.greeted = true;
            let address = format!("/sse/message?sessionId={}", stream.id);
            Event::default().event("endpoint").data(address)
        };
        Some((Ok::<_, std::convert::Infallible>(event), stream))
    });
    Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
}

async fn message(
    State(desk): State<Desk>,
    uri: Uri,
    request: Request<axum::body::Body>,
) -> Result<Response, Refusal> {
    let id = Fields::of_query(&uri)
        .given("sessionId")
        .map(str::to_owned)
        .ok_or_else(|| Refusal::missing("sessionId"))?;
    let sender = desk
        .sessions
        .with(|open| open.get(&id).cloned())
        .ok_or(Refusal::NotFound("session"))?;
    let (mut parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .map_err(|_| Refusal::TooLarge)?;
    let mut message: ClientJsonRpcMessage = serde_json::from_slice(&body)
        .map_err(|_| Refusal::invalid("body", "The body must be a JSON-RPC message."))?;
    belong(&mut parts, &id);
    message.insert_extension(parts);
    sender
        .send(message)
        .await
        .map_err(|_| Refusal::NotFound("session"))?;
    Ok((StatusCode::ACCEPTED, "Accepted").into_response())
}

/// Lets the tools know the session as they do on the other transport.
fn belong(parts: &mut Parts, id: &str) {
    if let Ok(value) = HeaderValue::from_str(id) {
        parts.headers.insert("mcp-session-id", value);
    }
}
