//! Answers of providers on their way to agents.
//!
//! They are not answers of Doorward: they keep their own headers, may take hours, and may be silent for minutes. So the
//! limit on connections that rest does not begin before such an answer has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body as AnyBody;
use axum::response::Response;
use bytes::Bytes;
use doorward_broker::upstream::BoxError;
use http::HeaderValue;
use http::header::X_CONTENT_TYPE_OPTIONS;
use hyper::body::{Body, Frame, SizeHint};

use crate::ask::Call;
use crate::pace::Pace;

/// Marks an answer that is under way for as long as its body.
#[derive(Clone, Copy)]
pub(crate) struct Streams;

/// A provider's answer as an answer of a route. Whatever it is, no browser guesses what it holds.
pub(crate) fn on<B>(call: &Call, response: http::Response<B>) -> Response
where
    B: Body<Data = Bytes, Error = BoxError> + Send + Unpin + 'static,
{
    let pace = call.head.extensions.get::<Arc<Pace>>().cloned();
    let mut response = response.map(|body| AnyBody::new(Passed { body, pace }));
    let nosniff = HeaderValue::from_static("nosniff");
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    response.extensions_mut().insert(Streams);
    response
}

/// The body of such an answer. When it is gone the connection rests.
struct Passed<B> {
    body: B,
    pace: Option<Arc<Pace>>,
}

impl<B> Drop for Passed<B> {
    fn drop(&mut self) {
        if let Some(pace) = &self.pace {
            pace.request_answered();
        }
    }
}

impl<B: Body<Data = Bytes, Error = BoxError> + Unpin> Body for Passed<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
