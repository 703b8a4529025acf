//! One HTTP exchange with a provider.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use doorward_core::limits;
use doorward_core::provider::{AddressRule, is_private_ip};
use doorward_core::time::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::trust;

/// More than this is no answer of any endpoint that is called here.
const LARGEST_BODY: usize = 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The HTTP clients for providers.
#[derive(Clone)]
pub struct Providers {
    public: reqwest::Client,
    typed: reqwest::Client,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    /// By how many milliseconds the last provider that told its time was ahead.
    skew: Arc<AtomicI64>,
}

/// A reply, read whole.
pub struct RawReply {
    /// The HTTP status.
    pub status: u16,
    /// The headers that are text.
    pub headers: Vec<(String, String)>,
    /// The body. It may hold tokens, so it is wiped.
    pub body: Zeroizing<Vec<u8>>,
    /// When the request was sent.
    pub sent_at: Timestamp,
    /// When the reply had arrived.
    pub now: Timestamp,
}

/// Why there is no reply. Never holds the request.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection could be made: the request was not sent.
    #[error("no connection to {host}")]
    NotSent {
        /// The host.
        host: String,
    },
    /// Who answers there does not prove to be who it should be: the request was not sent.
    #[error("{host} {objection}")]
    Distrusted {
        /// The host.
        host: String,
        /// What is wrong, as it follows the host's name.
        objection: String,
    },
    /// The request may have been received.
    #[error("no reply from {host}")]
    NoReply {
        /// The host.
        host: String,
    },
    /// The reply took too long.
    #[error("{host} took longer than {seconds} s")]
    TimedOut {
        /// The host.
        host: String,
        /// The bound.
        seconds: u64,
    },
    /// The reply is larger than any right one.
    #[error("the reply of {host} is larger than 1 MiB")]
    TooLarge {
        /// The host.
        host: String,
    },
}

impl Providers {
    /// Makes the clients.
    pub fn new(timeout: Duration, clock: Arc<dyn Clock>) -> Result<Self, reqwest::Error> {
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("Doorward/", env!("CARGO_PKG_VERSION")))
                // A redirect of a token call would carry the token to wherever the reply says.
                .redirect(Policy::none())
                .connect_timeout(CONNECT_TIMEOUT.min(timeout))
                .timeout(timeout)
        };
        Ok(Self {
            public: builder()
                .https_only(true)
                .dns_resolver(Arc::new(PublicOnly))
                .build()?,
            typed: builder().build()?,
            timeout,
            clock,
            skew: Arc::default(),
        })
    }

    /// The client for addresses under a rule.
    #[must_use]
    pub fn client(&self, rule: AddressRule) -> &reqwest::Client {
        match rule {
            AddressRule::Public => &self.public,
            AddressRule::Typed => &self.typed,
        }
    }

    /// By how many milliseconds the last provider that told its time was ahead of this machine.
    #[must_use]
    pub fn skew(&self) -> i64 {
        self.skew.load(Ordering::Relaxed)
    }

    /// Sends a request and reads its reply.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<RawReply, TransportError> {
        let (client, request) = request.build_split();
        let request = request.map_err(|_| TransportError::NotSent {
            host: "an unusable address".to_owned(),
        })?;
        let host = host_of(request.url());
        let seconds = self.timeout.as_secs();
        let sent_at = self.clock.now();
        let reply = client
            .execute(request)
            .await
            .map_err(|error| classify(&error, &host, seconds))?;
        let status = reply.status().as_u16();
        let headers: Vec<(String, String)> = reply
            .headers()
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect();
        if let Some(skew) = limits::skew(self.clock.now(), headers.as_slice()) {
            self.skew.store(skew, Ordering::Relaxed);
        }
        let body = read_bounded(reply, &host).await?;
        Ok(RawReply {
            status,
            headers,
            body,
            sent_at,
            now: self.clock.now(),
        })
    }
}

async fn read_bounded(
    mut reply: reqwest::Response,
    host: &str,
) -> Result<Zeroizing<Vec<u8>>, TransportError> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = reply.chunk().await.map_err(|_| TransportError::NoReply {
        host: host.to_owned(),
    })? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(TransportError::TooLarge {
                host: host.to_owned(),
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn classify(error: &reqwest::Error, host: &str, seconds: u64) -> TransportError {
    let host = host.to_owned();
    if error.is_connect() {
        match trust::objection(error) {
            Some(objection) => TransportError::Distrusted { host, objection },
            None => TransportError::NotSent { host },
        }
    } else if error.is_builder() {
        TransportError::NotSent { host }
    } else if error.is_timeout() {
        TransportError::TimedOut { host, seconds }
    } else {
        TransportError::NoReply { host }
    }
}

/// The host and port of an address: what may be shown of it.
#[must_use]
pub fn host_of(address: &url::Url) -> String {
    let host = address.host_str().unwrap_or("?");
    address
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Resolves names, but to public addresses alone: a public name that points into the person's own network is how a
/// hostile provider would reach it.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found
                .filter(|address| !is_private_ip(address.ip()))
                .collect();
            if public.is_empty() {
                return Err("the name has no public address".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}
