//! One call, seen through: waited for in line, signed, sent, and sent again where that helps and harms nobody.
//!
//! What may be repeated follows from what is known about the last try. A call that never left may be; one that the
//! provider refused with 401 or 429 was not carried out and may be; one that left and got no answer may have been
//! carried out, and is repeated only where a second time changes nothing more. What is not repeated is said as it is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorward_core::decide::reporting;
use doorward_core::decide::serving::{self, TokenState};
use doorward_core::grant::Door;
use doorward_core::limits;
use doorward_core::problem::{Code, Refusal};
use doorward_core::time::Timestamp;
use doorward_core::upstream::Ticket;
use http::header::{CONTENT_ENCODING, RETRY_AFTER};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response, StatusCode, response};
use hyper::body::Body as _;

use super::body::Replay;
use super::client::{Arriving, Kind};
use super::failed::{Failed, unknown_outcome};
use super::fence::{self, Target};
use super::halts::Task;
use super::line::{Lines, Turn, rate_limited};
use super::locks::LockCall;
use super::peek::{self, Peeked};
use super::{
    CallFailure, CutBody, Halts, Handed, Label, Lease, Outgoing, SignedWith, Tickets, headers,
    is_meant,
};
use crate::handle::{DEFAULT_PATIENCE, Handle};
use crate::random;
use crate::trust::causes;
use crate::uses::{Counting, Outcome, Use, Uses};

/// The first wait before a call is repeated; doubled each time, up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Tokens that live for a second can end between the refresh and the call; more often than this in a row it is no
/// accident.
const MOST_RENEWALS: u32 = 3;
/// A 401 on a call with this header is about the password of a link, whatever its code.
const LINK_PASSWORD: &str = "x-ve-password";

/// What all calls share.
#[derive(Default)]
pub(crate) struct Traffic {
    pub(crate) lines: Lines,
    pub(crate) halts: Halts,
    pub(crate) tickets: Tickets,
    pub(crate) uses: Arc<Uses>,
}

/// A call under way.
pub(crate) struct Exchange<'a> {
    handle: &'a Handle,
    lease: Lease,
    target: Target,
    kind: Kind,
    method: Method,
    headers: HeaderMap,
    body: Replay,
    /// Whether a call that may have been carried out may be sent again.
    is_repeatable: bool,
    /// What its answer hands out.
    ticket: Option<Ticket>,
    /// What it does with a lock.
    lock: Option<LockCall>,
    left: Duration,
    label: String,
    began: Timestamp,
    /// When the last try was sent.
    sent_at: Timestamp,
    /// With which generation of the token the last try was signed.
    signed_with: Option<u64>,
    retries: u32,
    failures: u32,
    limits: u32,
    /// Whether it was ended while it had no answer yet.
    is_cut: bool,
}

/// A provider's answer, with what was read of its body.
pub(crate) struct Answer {
    pub(super) head: response::Parts,
    first: Option<Bytes>,
    rest: Option<Arriving>,
}

impl<'a> Exchange<'a> {
    pub(crate) fn begin(
        handle: &'a Handle,
        lease: Lease,
        outgoing: Outgoing,
        signs: bool,
    ) -> Result<Self, Refusal> {
        let mut target = fence::target(&lease.connection, outgoing.base, &outgoing.path_and_query)?;
        target.keyed &= signs && !opens_itself(&lease, &outgoing);
        let asks_for_websocket = headers::asks_for_websocket(&outgoing.headers);
        let kind = if asks_for_websocket {
            Kind::Upgrades
        } else {
            Kind::Calls
        };
        let mut sent = outgoing.headers;
        headers::to_provider(&mut sent, asks_for_websocket);
        let ticket = outgoing.path.as_ref().and_then(|path| {
            let mut tickets = lease.connection.provider.upstream.tickets.iter();
            let issues = |ticket: &&Ticket| is_meant(&ticket.issued_by, &outgoing.method, path);
            tickets.find(issues).cloned()
        });
        let upstream = &lease.connection.provider.upstream;
        let lock = LockCall::of(upstream, &outgoing.method, outgoing.path.as_ref());
        if ticket.is_some() || lock.is_some() {
            headers::ask_for_plain(&mut sent);
        }
        let label = match outgoing.label {
            Label::Tool(name) => name,
            Label::Path => {
                let path = match &outgoing.path {
                    Some(path) => path.as_sent(),
                    None => outgoing
                        .path_and_query
                        .split('?')
                        .next()
                        .unwrap_or_default(),
                };
                let path = path.trim_start_matches('/');
                [outgoing.method.as_str(), " /", path].concat()
            }
        };
        let now = handle.now();
        Ok(Self {
            is_repeatable: outgoing
                .safe_to_repeat
                .unwrap_or_else(|| outgoing.method.is_idempotent()),
            began: now,
            sent_at: now,
            handle,
            lease,
            target,
            kind,
            method: outgoing.method,
            headers: sent,
            body: Replay::of(outgoing.body),
            ticket,
            lock,
            left: outgoing.patience.unwrap_or(DEFAULT_PATIENCE),
            label,
            signed_with: None,
            retries: 0,
            failures: 0,
            limits: 0,
            is_cut: false,
        })
    }

    pub(crate) async fn run(&mut self) -> Result<Answer, CallFailure> {
        let shared = Arc::clone(&self.lease.shared);
        shared
            .traffic
            .halts
            .check(self.handle.now(), || self.task())?;
        let mut was_refused = false;
        loop {
            let turn = self.wait_in_line().await?;
            let signed = self.signed().await?;
            let generation = signed.as_ref().map(|(generation, _)| *generation);
            self.signed_with = generation;
            let headers = signed.map_or_else(|| self.headers.clone(), |(_, headers)| headers);
            let attempted = self.attempt(headers).await?;
            drop(turn);
            let response = match attempted {
                Ok(response) => response,
                Err(failed) => {
                    self.after_failure(failed).await?;
                    self.retries += 1;
                    continue;
                }
            };
            let again = match (response.status(), generation) {
                (StatusCode::UNAUTHORIZED, Some(generation)) if !was_refused => {
                    was_refused = true;
                    self.after_refusal(response, generation).await?
                }
                (StatusCode::TOO_MANY_REQUESTS, _) => {
                    self.after_limit(&response)?;
                    None
                }
                (
                    StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT,
                    _,
                ) => self.after_outage(response).await,
                _ => {
                    shared.traffic.halts.resume(self.lease.connection.id);
                    Some(self.answered(response).await)
                }
            };
            match again {
                Some(answer) => return Ok(answer),
                None => self.retries += 1,
            }
        }
    }

    fn task(&self) -> Task {
        Task {
            agent: self.lease.caller.agent.id,
            connection: self.lease.connection.id,
            label: self.label.clone(),
        }
    }

    async fn wait_in_line(&mut self) -> Result<Option<Turn>, CallFailure> {
        let (connection, agent) = (self.lease.connection.id, self.lease.caller.agent.id);
        let before = self.handle.now();
        let lines = &self.lease.shared.traffic.lines;
        let turn = lines.wait(before, connection, agent, self.left).await?;
        if turn.is_some() {
            self.spend_since(before);
        }
        Ok(turn)
    }

    /// The headers with the stored credential, and of which generation it is; nothing where none is sent. Whoever may
    /// not have it any longer is refused here, before each try.
    async fn signed(&mut self) -> Result<Option<(u64, HeaderMap)>, CallFailure> {
        if let Some(refusal) = self.lease.news() {
            return Err(refusal.into());
        }
        if !self.target.keyed {
            return Ok(None);
        }
        for _ in 0..MOST_RENEWALS {
            if let Some(signed) = self.sign()? {
                return Ok(Some(signed));
            }
            self.renew(None).await?;
        }
        Err(not_renewed().into())
    }

    /// The headers with the stored credential; nothing where it has to be renewed first.
    fn sign(&self) -> Result<Option<(u64, HeaderMap)>, Refusal> {
        let published = self.lease.shared.published.load();
        let now = self.handle.now();
        let name = Some(&self.lease.connection.name);
        let access = serving::access(&published.book, now, &self.lease.caller, name, Door::Proxy)?;
        let row = access.connection;
        match serving::token_state(row, now, None) {
            TokenState::Fresh => {}
            // A refresh that nobody waits for: the token is good for this call.
            TokenState::DueButLive if published.in_flight.contains(&row.id) => {}
            TokenState::DueButLive => self.handle.renew_soon(row.id),
            TokenState::Due => return Ok(None),
            TokenState::Refused(refusal) => return Err(refusal),
        }
        let Some(token) = published
            .tokens
            .get(&row.id)
            .filter(|token| token.generation == row.generation)
        else {
            return Err(not_renewed());
        };
        let mut headers = self.headers.clone();
        if !headers::sign(&mut headers, &token.access) {
            return Err(Refusal::new(
                Code::ProviderRejected,
                "The access token cannot stand in a header.",
                "A person has to look at the connection: `doorward doctor`.",
            ));
        }
        if let Some(meter) = published.grant_meters.get(&access.grant.id) {
            meter.touch(now);
        }
        Ok(Some((row.generation, headers)))
    }

    fn is_renewed_since(&self, generation: u64) -> bool {
        let published = self.lease.shared.published.load();
        let row = published.book.connection(self.lease.connection.id);
        row.is_some_and(|row| row.generation != generation)
    }

    async fn renew(&mut self, rejected: Option<u64>) -> Result<(), CallFailure> {
        let before = self.handle.now();
        let (caller, name) = (&self.lease.caller, &self.lease.connection.name);
        let renewed = self.handle.renew(caller, name, rejected, self.left).await;
        self.spend_since(before);
        Ok(renewed?)
    }

    /// One try. It ends without an answer as soon as the agent may not have one any longer: an upload or a long poll
    /// would else go on for as long as it likes.
    async fn attempt(
        &mut self,
        headers: HeaderMap,
    ) -> Result<Result<Response<Arriving>, Failed>, CallFailure> {
        let Some(body) = self.body.again() else {
            return Ok(Err(Failed::Unanswered));
        };
        let has_body = !body.is_end_stream();
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.uri.clone();
        *request.headers_mut() = headers;
        let rule = self.lease.connection.provider.addresses;
        self.sent_at = self.handle.now();
        let sending = self.handle.clients.send(rule, self.kind, request);
        let sent = tokio::select! {
            biased;
            sent = sending => sent,
            refusal = self.lease.over() => {
                self.is_cut = true;
                return Err(refusal.into());
            }
        };
        Ok(sent.map_err(|error| {
            tracing::debug!(host = self.host(), error = %Chain(&error), "a call got no answer");
            Failed::of(&error, has_body)
        }))
    }

    /// Host and port that it goes to.
    fn host(&self) -> &str {
        self.target.uri.authority().map_or("", Authority::as_str)
    }

    /// A try brought no answer: waits, where the call may be sent again.
    async fn after_failure(&mut self, failed: Failed) -> Result<(), CallFailure> {
        if self.body.is_broken() {
            return Err(broke_off().into());
        }
        let is_halted = self.count_failure();
        let wait = self.next_wait();
        let title = &self.lease.connection.provider.title;
        let refusal = failed.refusal(title, self.host());
        match failed {
            // Waiting does not mend it.
            Failed::Distrusted(objection) => {
                tracing::warn!(host = self.host(), %objection, "a provider is not trusted");
                return Err(refusal.into());
            }
            Failed::Unanswered if !self.is_repeatable => {
                return Err(CallFailure::Unknown(unknown_outcome(title)));
            }
            Failed::NeverSent | Failed::NotTaken | Failed::Unanswered => {}
        }
        if is_halted || wait > self.left || !self.body.is_whole() {
            return Err(refusal.retry_after(wait).into());
        }
        self.nap(wait).await;
        Ok(())
    }

    /// A try brought nothing. Whether the agent's task is halted by that.
    fn count_failure(&self) -> bool {
        let halts = &self.lease.shared.traffic.halts;
        halts.failed(self.handle.now(), self.sent_at, self.task())
    }

    /// The provider refused the credential. The answer, where it is passed on.
    async fn after_refusal(
        &mut self,
        response: Response<Arriving>,
        generation: u64,
    ) -> Result<Option<Answer>, CallFailure> {
        self.lease
            .shared
            .traffic
            .halts
            .resume(self.lease.connection.id);
        let (head, body) = response.into_parts();
        let peeked = peek::peek(body).await;
        let is_readable = !head.headers.contains_key(CONTENT_ENCODING);
        let code = is_readable
            .then(|| peek::error_code(&peeked.first))
            .flatten();
        let with_password = self.headers.contains_key(LINK_PASSWORD);
        if !reporting::is_about_the_token(code.as_deref(), with_password) {
            return Ok(Some(Answer::of(head, peeked)));
        }
        self.renew(Some(generation)).await?;
        if self.body.is_whole() {
            return Ok(None);
        }
        if !self.is_renewed_since(generation) {
            // The provider stands by its token: sending it again promises nothing.
            return Ok(Some(Answer::of(head, peeked)));
        }
        Err(Refusal::new(
            Code::ProviderUnavailable,
            "The token was renewed while this was sent, and its body is too large to be kept for a second try.",
            "Send it again.",
        )
        .retry_after(Duration::from_secs(1))
        .into())
    }

    /// The provider wants no calls for a while. Whoever waits long enough goes on in line.
    fn after_limit(&mut self, response: &Response<Arriving>) -> Result<(), CallFailure> {
        let now = self.handle.now();
        let stated = limits::limited_until(now, &Told(response.headers()));
        // A provider that limits the same call again states too little: it would be asked as fast as it answers.
        let least = match self.limits {
            0 => Duration::ZERO,
            before => FIRST_WAIT.saturating_mul(2_u32.saturating_pow(before - 1)),
        };
        self.limits += 1;
        let until = stated.max(now.plus(least.min(LONGEST_WAIT)));
        let shared = &self.lease.shared;
        shared.traffic.halts.resume(self.lease.connection.id);
        Lines::limited(shared, self.lease.connection.id, until);
        if self.body.is_whole() && until.since(now) <= self.left {
            return Ok(());
        }
        Err(rate_limited(until, now).into())
    }

    /// Something before the provider says that it is down. The answer, where the call is not sent again.
    async fn after_outage(&mut self, response: Response<Arriving>) -> Option<Answer> {
        let now = self.handle.now();
        let is_halted = self.count_failure();
        let wait = if response.headers().contains_key(RETRY_AFTER) {
            let until = limits::stated_retry(now, &Told(response.headers()));
            until.map_or_else(|| self.next_wait(), |until| until.since(now))
        } else {
            self.next_wait()
        };
        let goes_on = !is_halted && self.is_repeatable && self.body.is_whole() && wait <= self.left;
        if !goes_on {
            return Some(self.answered(response).await);
        }
        drop(response);
        self.nap(wait).await;
        None
    }

    /// A whole answer; a token that it hands out and a lock that it tells of are remembered.
    async fn answered(&mut self, response: Response<Arriving>) -> Answer {
        let (head, body) = response.into_parts();
        let (ticket, lock) = (self.ticket.take(), self.lock.take());
        if !head.status.is_success() || (ticket.is_none() && lock.is_none()) {
            return Answer {
                head,
                first: None,
                rest: Some(body),
            };
        }
        let peeked = peek::peek(body).await;
        if peeked.is_whole {
            if let Some(ticket) = ticket {
                self.remember(ticket, &peeked.first);
            }
            if let Some(lock) = lock {
                let told = (self.handle, &self.lease);
                lock.answered(told, &self.body.kept(), &peeked.first).await;
            }
        }
        Answer::of(head, peeked)
    }

    fn remember(&self, ticket: Ticket, answer: &[u8]) {
        let Some(token) = peek::text_member(answer, &ticket.field) else {
            return;
        };
        let handed = Handed {
            caller: self.lease.caller.clone(),
            connection: self.lease.connection.id,
            opens: ticket.opens,
        };
        let tickets = &self.lease.shared.traffic.tickets;
        tickets.remember(&token, self.handle.now(), handed);
    }

    /// Doubling, with full jitter.
    fn next_wait(&mut self) -> Duration {
        let doubled = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures += 1;
        doubled.min(LONGEST_WAIT).mul_f64(random::fraction())
    }

    async fn nap(&mut self, wait: Duration) {
        tokio::time::sleep(wait).await;
        self.left = self.left.saturating_sub(wait);
    }

    fn spend_since(&mut self, before: Timestamp) {
        let spent = self.handle.now().since(before);
        self.left = self.left.saturating_sub(spent);
    }

    /// The answer as the agent gets it.
    pub(crate) fn finish(self, answer: Answer) -> Response<CutBody> {
        let counting = self.counting(answer.head.status.as_u16(), Outcome::BrokenOff);
        let mut head = answer.head;
        headers::to_agent(&mut head.headers, false);
        head.extensions = http::Extensions::new();
        if let Some(generation) = self.signed_with {
            head.extensions.insert(SignedWith(generation));
        }
        let body = CutBody::new(answer.first, answer.rest, self.lease, counting);
        Response::from_parts(head, body)
    }

    /// A call that was not answered is counted too.
    pub(crate) fn fail(self, failure: CallFailure) -> CallFailure {
        let outcome = match &failure {
            _ if self.is_cut => Outcome::Cut,
            CallFailure::Refused(_) => Outcome::Refused,
            CallFailure::Unknown(_) => Outcome::Unknown,
        };
        drop(self.counting(failure.refusal().code.status(), outcome));
        failure
    }

    pub(super) fn counting(&self, status: u16, outcome: Outcome) -> Counting {
        let counted = Use {
            agent: self.lease.caller.agent.id,
            connection: self.lease.connection.id,
            label: self.label.clone(),
            status,
            bytes_in: self.body.bytes(),
            bytes_out: 0,
            millis: 0,
            retries: self.retries,
            outcome,
        };
        Counting::new(Arc::clone(&self.lease.shared), counted, self.began)
    }

    pub(super) fn into_lease(self) -> Lease {
        self.lease
    }
}

/// Whether a call is opened by a one-time token in its address: then nothing else goes beside it.
fn opens_itself(lease: &Lease, outgoing: &Outgoing) -> bool {
    let tickets = &lease.connection.provider.upstream.tickets;
    let (Some(path), false) = (&outgoing.path, tickets.is_empty()) else {
        return false;
    };
    let query = outgoing.path_and_query.split_once('?');
    let shows_token = query.is_some_and(|(_, query)| {
        let mut names = query.split('&').map(|pair| pair.split('=').next());
        names.any(|name| name == Some("token"))
    });
    shows_token
        && tickets
            .iter()
            .any(|ticket| is_meant(&ticket.opens, &outgoing.method, path))
}

impl Answer {
    fn of(head: response::Parts, peeked: Peeked) -> Self {
        Self {
            head,
            first: Some(peeked.first),
            rest: peeked.rest,
        }
    }

    pub(super) fn into_parts(self) -> (response::Parts, Option<Arriving>) {
        (self.head, self.rest)
    }
}

/// The headers of an answer, as the core reads limits from them.
struct Told<'a>(&'a HeaderMap);

impl limits::Headers for Told<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }
}

/// An error with its causes. None of them holds a request.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        for cause in causes(self.0).skip(1) {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

fn not_renewed() -> Refusal {
    Refusal::new(
        Code::ProviderUnavailable,
        "There is no token to send just now.",
        "Try again; Doorward goes on by itself, and nothing was lost.",
    )
    .retry_after(Duration::from_secs(1))
}

fn broke_off() -> Refusal {
    Refusal::new(
        Code::BadRequest,
        "The body broke off.",
        "Send it again, whole.",
    )
}
