//! The connections to providers: kept open, shared by all agents, HTTP/1.1 or HTTP/2 as the provider chooses.
//!
//! There is no time limit on an answer: a long poll takes its minute and a half, a download its hours. What is limited
//! is how long it takes to reach a provider, and a provider that vanished is noticed by the keepalive of TCP or of
//! HTTP/2.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use doorward_core::provider::{AddressRule, is_private_ip};
use http::{Request, Response, Uri};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

use super::BoxError;
use super::body::OutBody;

/// Name, TCP and TLS together.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Providers close resting connections after a minute or more: ours are given up before, so that a call seldom meets
/// one that is being closed.
const REST: Duration = Duration::from_secs(20);
/// So many resting connections to one origin; hundreds of agents share them.
const MOST_RESTING: usize = 128;
/// After so long without a byte the kernel asks whether the other end is there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Flow control of HTTP/2: as much of one answer may be under way. The small default would make a fast download wait
/// for every round trip.
const WINDOW: u32 = 1024 * 1024;
/// All answers of one connection together: no bound of its own. Were it reached, a few agents that do not read on would
/// stop the answers of all others; what is kept for each of them is bounded by [`WINDOW`].
const CONNECTION_WINDOW: u32 = 1024 * 1024 * 1024;
/// An answer's headers. HTTP/1.1 takes as much, and what is larger would be lost after the call was carried out.
const MOST_HEADERS: u32 = 256 * 1024;
/// So many calls share a connection of HTTP/2. Servers carry a hundred at once or more (RFC 9113 §6.5.2 tells them to),
/// and what is beyond that waits for another one to end: behind long polls and streams of events, for ever.
const CALLS_TO_A_CONNECTION: usize = 100;
/// As many calls as the gateway has connections of agents; more than that share the last one.
const MOST_CONNECTIONS: usize = 1024_usize.div_ceil(CALLS_TO_A_CONNECTION);

type Https<R> = Bounded<HttpsConnector<HttpConnector<R>>>;

type Pool<R> = Client<Https<R>, OutBody>;

/// Clients for both kinds of addresses. A WebSocket begins on a connection of HTTP/1.1, so each kind has a client that
/// speaks nothing else.
pub(crate) struct Clients {
    tls: ClientConfig,
    public: Lanes<PublicOnly>,
    public_upgrades: Pool<PublicOnly>,
    typed: Lanes<Anywhere>,
    typed_upgrades: Pool<Anywhere>,
}

impl Clients {
    pub(crate) fn new() -> Result<Self, String> {
        // Read once: the machine's certificates are a hundred and more.
        let tls = ClientConfig::builder()
            .try_with_platform_verifier()
            .map_err(|error| error.to_string())?
            .with_no_client_auth();
        Ok(Self::trusting(tls))
    }

    /// Clients of the same kind that share no connection with these.
    pub(crate) fn anew(&self) -> Self {
        Self::trusting(self.tls.clone())
    }

    fn trusting(tls: ClientConfig) -> Self {
        Self {
            public: Lanes::of(&connector(PublicOnly, Kind::Calls, &tls)),
            public_upgrades: pool(connector(PublicOnly, Kind::Upgrades, &tls)),
            typed: Lanes::of(&connector(Anywhere, Kind::Calls, &tls)),
            typed_upgrades: pool(connector(Anywhere, Kind::Upgrades, &tls)),
            tls,
        }
    }

    pub(super) async fn send(
        &self,
        rule: AddressRule,
        kind: Kind,
        request: Request<OutBody>,
    ) -> Result<Response<Arriving>, Error> {
        match (rule, kind) {
            (AddressRule::Public, Kind::Calls) => self.public.send(request).await,
            (AddressRule::Public, Kind::Upgrades) => {
                let answered = self.public_upgrades.request(request).await;
                answered.map(alone)
            }
            (AddressRule::Typed, Kind::Calls) => self.typed.send(request).await,
            (AddressRule::Typed, Kind::Upgrades) => {
                let answered = self.typed_upgrades.request(request).await;
                answered.map(alone)
            }
        }
    }
}

fn alone(response: Response<Incoming>) -> Response<Arriving> {
    response.map(|body| Arriving { body, _place: None })
}

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Calls and their answers.
    Calls,
    /// A WebSocket.
    Upgrades,
}

/// The calls to one kind of addresses, so many to a pool: a pool has one connection of HTTP/2 to an origin.
struct Lanes<R> {
    lanes: Vec<Lane<R>>,
    /// For what no lane has a place for.
    beyond: Pool<R>,
}

struct Lane<R> {
    pool: Pool<R>,
    places: Arc<Semaphore>,
}

impl<R> Lanes<R>
where
    R: Resolver,
    Https<R>: Connect + Clone,
{
    fn of(connector: &Https<R>) -> Self {
        let lane = || Lane {
            pool: pool(connector.clone()),
            places: Arc::new(Semaphore::new(CALLS_TO_A_CONNECTION)),
        };
        Self {
            lanes: std::iter::repeat_with(lane)
                .take(MOST_CONNECTIONS)
                .collect(),
            beyond: pool(connector.clone()),
        }
    }

    async fn send(&self, request: Request<OutBody>) -> Result<Response<Arriving>, Error> {
        // The first that has a place, so that few connections are open and those are used.
        let free = self.lanes.iter().find_map(|lane| {
            let place = Arc::clone(&lane.places).try_acquire_owned().ok()?;
            Some((&lane.pool, Some(place)))
        });
        let (pool, place) = free.unwrap_or((&self.beyond, None));
        let response = pool.request(request).await?;
        Ok(response.map(|body| Arriving {
            body,
            _place: place,
        }))
    }
}

/// An answer's body as it arrives. Its call has a place among those under way until it is gone.
pub(super) struct Arriving {
    body: Incoming,
    _place: Option<OwnedSemaphorePermit>,
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn connector<R>(resolver: R, kind: Kind, tls: &ClientConfig) -> Https<R>
where
    R: Resolver,
    HttpConnector<R>: Service<Uri>,
{
    let mut http = HttpConnector::new_with_resolver(resolver);
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_keepalive(Some(KEEPALIVE));
    http.set_connect_timeout(Some(CONNECT_TIME));
    let tls = HttpsConnectorBuilder::new().with_tls_config(tls.clone());
    let schemes = if R::IS_PUBLIC {
        tls.https_only()
    } else {
        tls.https_or_http()
    };
    Bounded(match kind {
        Kind::Calls => schemes.enable_all_versions().wrap_connector(http),
        Kind::Upgrades => schemes.enable_http1().wrap_connector(http),
    })
}

fn pool<R>(connector: Https<R>) -> Pool<R>
where
    R: Resolver,
    Https<R>: Connect + Clone,
{
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(REST)
        .pool_max_idle_per_host(MOST_RESTING)
        .http2_initial_stream_window_size(WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(MOST_HEADERS)
        .http2_keep_alive_interval(KEEPALIVE)
        .build(connector)
}

/// A connector that gives up after [`CONNECT_TIME`]: a name server or a handshake can hang as well as a connection.
#[derive(Clone)]
struct Bounded<C>(C);

impl<C> Service<Uri> for Bounded<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.0.call(to);
        Box::pin(async move {
            match tokio::time::timeout(CONNECT_TIME, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err("it takes too long to connect".into()),
            }
        })
    }
}

type Addresses = std::vec::IntoIter<SocketAddr>;
type Resolving = Pin<Box<dyn Future<Output = io::Result<Addresses>> + Send>>;

trait Resolver:
    Service<Name, Response = Addresses, Error = io::Error, Future = Resolving>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// Whether it finds public addresses alone.
    const IS_PUBLIC: bool;
}

/// Finds public addresses alone: a public name that points into the person's own network is how a hostile provider
/// would reach it.
#[derive(Clone)]
struct PublicOnly;

/// Finds every address.
#[derive(Clone)]
struct Anywhere;

impl Resolver for PublicOnly {
    const IS_PUBLIC: bool = true;
}

impl Resolver for Anywhere {
    const IS_PUBLIC: bool = false;
}

impl Service<Name> for PublicOnly {
    type Response = Addresses;
    type Error = io::Error;
    type Future = Resolving;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Resolving {
        Box::pin(async move {
            let mut found = look_up(&name).await?;
            found.retain(|address| !is_private_ip(address.ip()));
            if found.is_empty() {
                return Err(io::Error::other("the name has no public address"));
            }
            Ok(found.into_iter())
        })
    }
}

impl Service<Name> for Anywhere {
    type Response = Addresses;
    type Error = io::Error;
    type Future = Resolving;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Resolving {
        Box::pin(async move { Ok(look_up(&name).await?.into_iter()) })
    }
}

async fn look_up(name: &Name) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect())
}
