//! A WebSocket: once both sides have agreed, bytes go both ways until one side ends, or the agent may not go on.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Empty;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::exchange::{Answer, Exchange};
use super::{CutBody, Lease, headers};
use crate::uses::{Counting, Outcome};

/// Messages are small; what is larger takes several turns.
const BUFFER: usize = 16 * 1024;

/// What became of a request for a WebSocket.
pub enum Opened {
    /// The provider agreed: this is for the agent, and then the tunnel runs.
    Tunnel(Response<Empty<Bytes>>, Box<Tunnel>),
    /// The provider answered something else.
    Answered(Box<Response<CutBody>>),
}

/// A WebSocket that both sides have agreed to.
pub struct Tunnel {
    provider: OnUpgrade,
    lease: Lease,
    counting: Counting,
}

pub(crate) fn open(exchange: Exchange<'_>, mut answer: Answer) -> Opened {
    let agrees =
        answer.head.status == StatusCode::SWITCHING_PROTOCOLS && is_websocket(&answer.head.headers);
    let provider = answer.head.extensions.remove::<OnUpgrade>();
    let (true, Some(provider)) = (agrees, provider) else {
        return Opened::Answered(Box::new(exchange.finish(answer)));
    };
    let counting = exchange.counting(answer.head.status.as_u16(), Outcome::BrokenOff);
    let (mut head, _) = answer.into_parts();
    headers::to_agent(&mut head.headers, true);
    head.extensions = http::Extensions::new();
    let tunnel = Tunnel {
        provider,
        lease: exchange.into_lease(),
        counting,
    };
    Opened::Tunnel(Response::from_parts(head, Empty::new()), Box::new(tunnel))
}

fn is_websocket(answer: &HeaderMap) -> bool {
    let upgrade = answer.get(http::header::UPGRADE);
    upgrade.is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

impl Tunnel {
    /// Carries bytes between the agent and the provider, to the end.
    pub async fn run(mut self, agent: OnUpgrade) {
        let (agent, provider) = match tokio::try_join!(agent, self.provider) {
            Ok(both) => both,
            Err(error) => {
                tracing::debug!(%error, "a WebSocket did not begin");
                return;
            }
        };
        let (mut agent, mut provider) = (TokioIo::new(agent), TokioIo::new(provider));
        let carried =
            tokio::io::copy_bidirectional_with_sizes(&mut agent, &mut provider, BUFFER, BUFFER);
        tokio::select! {
            ended = carried => match ended {
                Ok((up, down)) => {
                    self.counting.bytes_in = up;
                    self.counting.bytes_out = down;
                    self.counting.outcome.complete();
                }
                Err(error) => tracing::debug!(%error, "a WebSocket broke off"),
            },
            refusal = self.lease.over() => {
                tracing::debug!(code = %refusal.code, "a WebSocket was cut off");
                self.counting.outcome = Outcome::Cut;
            }
        }
    }
}
