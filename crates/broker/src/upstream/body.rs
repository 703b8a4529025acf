//! The body of a call on its way out, of which the beginning is kept so that the call can be sent again.
//!
//! What arrives is sent on as it arrives, never faster than the provider takes it. A body that ends within the bound
//! can be sent a second time; of a longer one the beginning is let go as soon as the bound is passed, so a gigabyte
//! costs no more memory than a page.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};

use super::{BoxError, OutgoingBody, StreamBody};

/// What a call of an API holds in practice fits many times; what is larger is an upload, whose sender has it on a disk
/// and can send it again. Hundreds of agents at once keep a few hundred megabytes at the very worst.
pub(super) const MOST_KEPT: usize = 1024 * 1024;

/// A body that can be sent more than once, as far as it is kept.
pub(super) enum Replay {
    Empty,
    Whole(Bytes),
    Stream(Arc<Mutex<Source>>),
}

/// What arrives from the agent.
pub(super) struct Source {
    stream: StreamBody,
    total: Option<u64>,
    kept: Vec<Bytes>,
    kept_bytes: usize,
    trailers: Option<HeaderMap>,
    read: u64,
    is_over: bool,
    is_broken: bool,
    /// Some of it is not kept any longer.
    is_let_go: bool,
    /// The newest attempt: an older one, which a connection may still hold, reads nothing more.
    attempt: u32,
}

impl Replay {
    pub(super) fn of(body: OutgoingBody) -> Self {
        match body {
            OutgoingBody::Empty => Self::Empty,
            OutgoingBody::Whole(bytes) if bytes.is_empty() => Self::Empty,
            OutgoingBody::Whole(bytes) => Self::Whole(bytes),
            OutgoingBody::Stream(stream) if stream.is_end_stream() => Self::Empty,
            OutgoingBody::Stream(stream) => Self::Stream(Arc::new(Mutex::new(Source {
                total: stream.size_hint().exact(),
                stream,
                kept: Vec::new(),
                kept_bytes: 0,
                trailers: None,
                read: 0,
                is_over: false,
                is_broken: false,
                is_let_go: false,
                attempt: 0,
            }))),
        }
    }

    /// The body from its beginning; nothing where the beginning was let go.
    pub(super) fn again(&self) -> Option<OutBody> {
        match self {
            Self::Empty => Some(OutBody::Empty),
            Self::Whole(bytes) => Some(OutBody::Whole(bytes.clone())),
            Self::Stream(shared) => {
                let mut source = lock(shared);
                if source.is_let_go || source.is_broken {
                    return None;
                }
                source.attempt += 1;
                Some(OutBody::Attempt {
                    number: source.attempt,
                    left: source.total,
                    at: 0,
                    source: Arc::clone(shared),
                })
            }
        }
    }

    /// Whether it can be sent from its beginning.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Self::Empty | Self::Whole(_) => true,
            Self::Stream(shared) => {
                let source = lock(shared);
                !source.is_let_go && !source.is_broken
            }
        }
    }

    /// Whether the agent stopped sending before its end.
    pub(super) fn is_broken(&self) -> bool {
        match self {
            Self::Empty | Self::Whole(_) => false,
            Self::Stream(shared) => lock(shared).is_broken,
        }
    }

    /// What is kept of it.
    pub(super) fn kept(&self) -> Bytes {
        match self {
            Self::Empty => Bytes::new(),
            Self::Whole(bytes) => bytes.clone(),
            Self::Stream(shared) => lock(shared).kept.concat().into(),
        }
    }

    /// How much of it has arrived.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Stream(shared) => lock(shared).read,
        }
    }
}

fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    source.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One attempt to send a body.
pub(crate) enum OutBody {
    Empty,
    Whole(Bytes),
    Attempt {
        source: Arc<Mutex<Source>>,
        number: u32,
        /// The next of the pieces that are kept.
        at: usize,
        left: Option<u64>,
    },
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Attempt {
                source,
                number,
                at,
                left,
            } => {
                let mut source = lock(source);
                if source.attempt != *number {
                    return Poll::Ready(Some(Err("the call was sent anew".into())));
                }
                let polled = source.piece(at, context);
                if let Poll::Ready(Some(Ok(frame))) = &polled
                    && let Some(data) = frame.data_ref()
                {
                    *left = left.map(|left| left.saturating_sub(data.len() as u64));
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(_) | Self::Attempt { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Attempt { left, .. } => left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl Source {
    /// The next piece: one that is kept, or the next that arrives.
    fn piece(
        &mut self,
        at: &mut usize,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(kept) = self.kept.get(*at) {
            *at += 1;
            return Poll::Ready(Some(Ok(Frame::data(kept.clone()))));
        }
        if self.is_over {
            // Trailers come once for each attempt, behind the last piece.
            let is_told = *at > self.kept.len();
            *at = self.kept.len() + 1;
            let trailers = self.trailers.clone().filter(|_| !is_told);
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        match Pin::new(&mut self.stream).poll_frame(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                self.is_over = true;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.is_broken = true;
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.keep(data, at);
                } else {
                    self.is_over = true;
                    self.trailers = frame.trailers_ref().cloned();
                    *at = self.kept.len() + 1;
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn keep(&mut self, data: &Bytes, at: &mut usize) {
        self.read += data.len() as u64;
        if self.is_let_go {
            return;
        }
        self.kept_bytes += data.len();
        if self.kept_bytes > MOST_KEPT {
            self.is_let_go = true;
            self.kept = Vec::new();
            *at = 0;
        } else {
            self.kept.push(data.clone());
            *at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody as Frames};

    use super::*;

    type Piece = Result<Frame<Bytes>, BoxError>;

    fn stream(pieces: Vec<Piece>) -> Replay {
        let body = Frames::new(futures_util::stream::iter(pieces));
        Replay::of(OutgoingBody::Stream(body.boxed_unsync()))
    }

    fn data(text: &'static str) -> Frame<Bytes> {
        Frame::data(Bytes::from_static(text.as_bytes()))
    }

    async fn text(body: OutBody) -> String {
        let whole = body.collect().await.unwrap().to_bytes();
        String::from_utf8(whole.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_short_body_is_sent_twice_with_its_trailers() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "7".parse().unwrap());
        let replay = stream(vec![
            Ok(data("one")),
            Ok(data("two")),
            Ok(Frame::trailers(trailers)),
        ]);
        for _ in 0..3 {
            let sent = replay.again().unwrap().collect().await.unwrap();
            assert_eq!(sent.trailers().unwrap()["x-sum"], "7");
            assert_eq!(sent.to_bytes(), "onetwo");
        }
        assert_eq!(replay.bytes(), 6);
    }

    #[tokio::test]
    async fn what_an_attempt_left_unread_is_read_by_the_next() {
        let replay = stream(vec![Ok(data("one")), Ok(data("two"))]);
        let mut first = replay.again().unwrap();
        let frame = first.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "one");
        let second = replay.again().unwrap();
        assert!(first.frame().await.unwrap().is_err(), "it is out of date");
        assert_eq!(text(second).await, "onetwo");
    }

    #[tokio::test]
    async fn a_long_body_is_sent_once() {
        let piece = Bytes::from(vec![b'x'; MOST_KEPT / 2 + 1]);
        let replay = stream(vec![Ok(Frame::data(piece.clone())), Ok(Frame::data(piece))]);
        let sent = replay.again().unwrap().collect().await.unwrap().to_bytes();
        assert_eq!(sent.len(), 2 * (MOST_KEPT / 2 + 1));
        assert!(replay.again().is_none() && !replay.is_whole());
    }

    #[tokio::test]
    async fn a_body_that_broke_off_is_not_sent_again() {
        let replay = stream(vec![Ok(data("one")), Err("gone".into())]);
        assert!(replay.again().unwrap().collect().await.is_err());
        assert!(replay.is_broken() && replay.again().is_none());
    }
}
