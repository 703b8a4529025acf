//! The listener for the browser's answer to a consent.
//!
//! It lives as long as the consent and serves one address. What the browser brings is checked by the core; the page it
//! gets says what became of it, after the tokens were exchanged and proven, not before.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use doorward_core::consent::CallbackParameters;
use doorward_core::ids::FlowId;
use doorward_core::problem::Refusal;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::actor::Message;
use crate::views::ConnectionView;

/// A browser sends its request at once.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer carries a code and a state.
const LARGEST_HEAD: usize = 8 * 1024;
/// The exchange and the calls after it are bounded by their own times; this only keeps a tab from loading for ever.
const PAGE_TIMEOUT: Duration = Duration::from_secs(90);

/// Serves the callback address of a consent until it is aborted.
pub(crate) async fn listen(listener: TcpListener, flow: FlowId, mailbox: mpsc::Sender<Message>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let mailbox = mailbox.clone();
        let service = service_fn(move |request| {
            let mailbox = mailbox.clone();
            async move { Ok::<_, Infallible>(serve(request, flow, &mailbox).await) }
        });
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(READ_TIMEOUT)
                .max_buf_size(LARGEST_HEAD)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // A browser that goes away is no failure of ours.
            let _closed = connection.await;
        });
    }
}

async fn serve(
    request: Request<Incoming>,
    flow: FlowId,
    mailbox: &mpsc::Sender<Message>,
) -> Response<Full<Bytes>> {
    if request.uri().path() != "/callback" {
        return page(
            StatusCode::NOT_FOUND,
            "Nothing here",
            "This address waits for the answer to a consent.",
        );
    }
    if request.method() != Method::GET {
        return page(
            StatusCode::METHOD_NOT_ALLOWED,
            "Not this way",
            "The answer to a consent comes as a GET request.",
        );
    }
    let query = request.uri().query().unwrap_or_default();
    let pairs = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let parameters = CallbackParameters::new(pairs);
    let (reply, answer) = oneshot::channel();
    let sent = mailbox
        .send(Message::Answered {
            flow,
            parameters,
            reply,
        })
        .await;
    let answer = match sent {
        Ok(()) => tokio::time::timeout(PAGE_TIMEOUT, answer).await,
        Err(_) => return stopping(),
    };
    match answer {
        Ok(Ok(answer)) => told(answer),
        Ok(Err(_)) => stopping(),
        Err(_) => page(
            StatusCode::GATEWAY_TIMEOUT,
            "Still working",
            "Look at Doorward for how it went.",
        ),
    }
}

fn told(answer: Result<ConnectionView, Refusal>) -> Response<Full<Bytes>> {
    match answer {
        Ok(connection) => {
            let text = format!(
                "{} is connected. You can close this tab.",
                connection.provider_title
            );
            page(StatusCode::OK, "Connected", &text)
        }
        Err(refusal) => {
            let status =
                StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::BAD_REQUEST);
            page(
                status,
                refusal.code.title(),
                &format!("{} {}", refusal.detail, refusal.hint),
            )
        }
    }
}

fn stopping() -> Response<Full<Bytes>> {
    page(
        StatusCode::SERVICE_UNAVAILABLE,
        "Doorward is stopping",
        "Start it again, then connect again.",
    )
}

fn page(status: StatusCode, title: &str, text: &str) -> Response<Full<Bytes>> {
    let (title, text) = (escaped(title), escaped(text));
    let body = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\"><title>{title} - Doorward\
         </title><style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:18vh auto 0;padding:0 \
         1.5rem}}h1{{font-size:1.5rem}}</style></head><body><main><h1>{title}</h1><p>{text}</p></main></body></html>"
    );
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'",
        ),
    ] {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
