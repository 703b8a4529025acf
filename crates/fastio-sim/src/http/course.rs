//! The course of one request: its work, and what a fault does before and after it.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::sync::watch;

use crate::fault::{Fault, Hang, Interruption};
use crate::http::edge::Closed;
use crate::http::envelope::Refusal;
use crate::http::site::SharedSite;
use crate::http::token::TokenRefusal;
use crate::kind::Kind;
use crate::world::traffic::Progress;

/// One admitted request on its way.
pub(crate) struct Course<'a> {
    pub(crate) site: &'a SharedSite,
    pub(crate) sequence: u64,
    pub(crate) kind: Kind,
    /// Sees every release since before the request was admitted, so none can be missed.
    pub(crate) releases: watch::Receiver<u64>,
    /// What a fault does to the body of the answer.
    pub(crate) in_body: Option<Interruption>,
}

impl Course<'_> {
    /// Does the work, struck by the fault if there is one.
    pub(crate) async fn run(
        &mut self,
        fault: Option<Box<Fault>>,
        request: Request<Body>,
        router: Router,
    ) -> Result<Response, Closed> {
        let Some(fault) = fault else {
            return Ok(work(request, router).await);
        };
        pause(fault.delay_ms).await;
        if fault.hang == Some(Hang::BeforeWork) {
            self.hang(Progress::HangingBeforeWork, None).await;
        }
        if fault.close_socket {
            self.note(Progress::ClosedBeforeWork, None);
            return Err(Closed);
        }
        let response = match ordered_response(&fault, self.kind, self.site) {
            Some(response) => response,
            None => work(request, router).await,
        };
        pause(fault.delay_response_ms).await;
        if fault.hang == Some(Hang::AfterWork) {
            self.hang(Progress::HangingAfterWork, Some(response.status()))
                .await;
        }
        if fault.drop_response_after_commit {
            self.note(Progress::DroppedAfterWork, Some(response.status()));
            return Err(Closed);
        }
        self.in_body = fault.interruption();
        Ok(response)
    }

    /// Notes that the answer is on its way, and lets its body break off or stand still if the fault
    /// says so.
    pub(crate) fn send_off(&self, response: Response) -> Response {
        let progress = match self.in_body {
            None => Progress::Answered,
            Some(Interruption::Cut(_)) => Progress::CutInBody,
            Some(Interruption::Stall(_)) => Progress::StalledInBody,
        };
        self.note(progress, Some(response.status()));
        match self.in_body {
            None => response,
            Some(Interruption::Cut(bytes)) => response.map(|body| interrupted(body, bytes, None)),
            Some(Interruption::Stall(bytes)) => {
                let releases = self.releases.clone();
                response.map(|body| interrupted(body, bytes, Some(releases)))
            }
        }
    }

    /// Notes in the log how far the request has come.
    pub(crate) fn note(&self, progress: Progress, status: Option<StatusCode>) {
        let status = status.map(|status| status.as_u16());
        self.site
            .world()
            .traffic
            .progress(self.sequence, progress, status);
        self.site.note_activity();
    }

    async fn hang(&mut self, progress: Progress, status: Option<StatusCode>) {
        self.note(progress, status);
        // An error means that the site is gone, and then nothing is left to wait for.
        let _ = self.releases.changed().await;
    }
}

async fn pause(milliseconds: u64) {
    if milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}

async fn work(request: Request<Body>, router: Router) -> Response {
    match TowerToHyperService::new(router).call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The same body, cut off after so many bytes; or, with somebody to wait for, held up there.
fn interrupted(body: Body, bytes: u64, releases: Option<watch::Receiver<u64>>) -> Body {
    struct Rest {
        chunks: BodyDataStream,
        left: Option<u64>,
        releases: Option<watch::Receiver<u64>>,
        kept: Option<Bytes>,
    }
    let rest = Rest {
        chunks: body.into_data_stream(),
        left: Some(bytes),
        releases,
        kept: None,
    };
    Body::from_stream(futures_util::stream::unfold(rest, async |mut rest| {
        let mut chunk = match rest.kept.take() {
            Some(kept) => kept,
            None => match rest.chunks.next().await? {
                Ok(chunk) => chunk,
                Err(error) => return Some((Err(io::Error::other(error)), rest)),
            },
        };
        let Some(left) = rest.left else {
            return Some((Ok(chunk), rest));
        };
        let fits = usize::try_from(left).unwrap_or(usize::MAX);
        if fits >= chunk.len() && fits > 0 {
            rest.left = Some(left - chunk.len() as u64);
            return Some((Ok(chunk), rest));
        }
        if fits > 0 {
            rest.kept = Some(chunk.split_off(fits));
            rest.left = Some(0);
            return Some((Ok(chunk), rest));
        }
        match &mut rest.releases {
            None => Some((Err(io::Error::other("cut off by a fault")), rest)),
            Some(releases) => {
                // An error means that the site is gone, and then nothing is left to wait for.
                let _ = releases.changed().await;
                rest.left = None;
                Some((Ok(chunk), rest))
            }
        }
    }))
}

/// The answer that a fault orders instead of the work.
fn ordered_response(fault: &Fault, kind: Kind, site: &SharedSite) -> Option<Response> {
    let status = StatusCode::from_u16(fault.status?).ok()?;
    let mut response = match &fault.body {
        Some(Value::String(text)) => (status, text.clone()).into_response(),
        Some(body) => (
            status,
            [(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            body.to_string(),
        )
            .into_response(),
        None if kind.is_token() && matches!(status.as_u16(), 400 | 401) => {
            TokenRefusal::invalid_grant("This refusal was ordered.")
                .with_status(status)
                .render(&site.world().knobs)
        }
        None => Refusal::Ordered(status, fault.code).into_response(),
    };
    for (name, value) in &fault.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    Some(response)
}
