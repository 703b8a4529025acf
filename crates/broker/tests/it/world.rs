//! A broker on a scratch folder, the provider it talks to, and the person and agents around it.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_broker::handle::{ConnectAsk, PollAnswer, Proof, Rejection, Terms, TokenAsk};
use doorward_broker::views::{ConnectionView, ConsentStarted, TokenAnswer};
use doorward_broker::{
    ApprovalRoom, Clock, Config, Handle, HolderKind, Keys, Running, Shell, SystemClock, start,
};
use doorward_core::decide::serving::Caller;
use doorward_core::ids::AgentId;
use doorward_core::name::Name;
use doorward_core::pairing::{Program, Wanted};
use doorward_core::plan::Notice;
use doorward_core::problem::Refusal;
use doorward_core::secret::{AccessToken, Passphrase, Pin};
use doorward_core::time::Timestamp;
use doorward_store::{DerivationCost, PassphraseSource, Store};
use fastio_sim::{Consent, Kind, SecretKind, SessionView, Sim};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) const PASSPHRASE: &str = "a passphrase for tests";
pub(crate) const PIN: &str = "271828";

/// More than anything here takes; a promise that is not kept within it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A clock that stands still until a test moves it.
pub(crate) struct StandingClock(AtomicI64);

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Remembers what a person was told.
#[derive(Default)]
pub(crate) struct Recording(Mutex<Vec<Notice>>);

impl Shell for Recording {
    fn tell(&self, notice: &Notice) {
        self.0.lock().unwrap().push(notice.clone());
    }
}

struct Broker {
    handle: Handle,
    running: Running,
    runtime: Runtime,
}

/// An agent that was let in.
pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) key: String,
    pub(crate) scope: String,
}

/// An agent that asks and was not answered yet.
pub(crate) struct Asking {
    pub(crate) client: AgentId,
    pub(crate) device_code: String,
    pub(crate) user_code: String,
}

pub(crate) struct World {
    folder: TempDir,
    pub(crate) sim: Sim,
    pub(crate) clock: Arc<StandingClock>,
    shell: Arc<Recording>,
    config: Config,
    broker: Option<Broker>,
    is_finished: bool,
}

impl World {
    /// A provider, and an unlocked broker with a PIN on a terminal.
    pub(crate) async fn new() -> Self {
        Self::in_room(ApprovalRoom::Terminal).await
    }

    pub(crate) async fn in_room(approval: ApprovalRoom) -> Self {
        let mut world = Self::locked(approval).await;
        world.unlock().await;
        granted(world.handle().set_pin(None, pin(PIN)).await);
        world
    }

    /// A provider, and a broker whose store has keys and is locked.
    pub(crate) async fn locked(approval: ApprovalRoom) -> Self {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        let clock = Arc::new(StandingClock(AtomicI64::new(SystemClock.now().as_millis())));
        make_store(&data, clock.now()).await;
        let config = Config {
            data,
            providers: folder.path().join("providers"),
            holder: HolderKind::Serve,
            keys: Keys::Passphrase,
            approval,
            provider_timeout: Duration::from_secs(10),
        };
        let mut world = Self {
            folder,
            sim: Sim::builder().start().await.unwrap(),
            clock,
            shell: Arc::default(),
            config,
            broker: None,
            is_finished: false,
        };
        world.start().await;
        world
    }

    async fn start(&mut self) {
        // A runtime of its own: a broker can then end at once with all its tasks, as in a crash.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let shell: Arc<dyn Shell> = Arc::clone(&self.shell) as _;
        let (handle, running) = runtime
            .spawn(start(self.config.clone(), shell, clock))
            .await
            .unwrap()
            .unwrap_or_else(|error| panic!("the broker does not start: {error}"));
        self.broker = Some(Broker {
            handle,
            running,
            runtime,
        });
    }

    pub(crate) async fn unlock(&mut self) {
        let passphrase = Passphrase::new(PASSPHRASE.to_owned());
        granted(self.handle().unlock(Some(passphrase)).await);
    }

    /// Ends the broker as it should end, and starts another one on its folder.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
        self.unlock().await;
    }

    /// Ends the broker in the middle of whatever it does, and starts another one on its folder.
    pub(crate) async fn crash_and_restart(&mut self) {
        self.crash();
        self.start().await;
        self.unlock().await;
    }

    pub(crate) fn crash(&mut self) {
        if let Some(broker) = self.broker.take() {
            broker.runtime.shutdown_background();
        }
    }

    pub(crate) async fn stop(&mut self) {
        let broker = self.broker.take().expect("a broker runs");
        within(broker.handle.stop()).await;
        within(broker.running.ended()).await;
        broker.runtime.shutdown_background();
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.broker.as_ref().expect("a broker runs").handle
    }

    /// Where a task of the broker's side belongs.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.broker.as_ref().expect("a broker runs").runtime
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Time passes for everyone, and the broker has looked around.
    pub(crate) async fn pass(&self, time: Duration) {
        self.sim.advance_clock(time);
        self.pass_here(time).await;
    }

    /// Time passes for the broker alone.
    pub(crate) async fn pass_here(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
        // What is due is done between two messages.
        for _ in 0..2 {
            granted(self.handle().status().await);
        }
    }

    /// Time passes for the broker alone, which does not notice before it is asked something.
    pub(crate) fn pass_unnoticed(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
        self.sim.advance_clock(time);
    }

    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.shell.0.lock().unwrap().clone()
    }

    /// The notices but those of agents that ask.
    pub(crate) fn news(&self) -> Vec<Notice> {
        let is_news = |notice: &Notice| !matches!(notice, Notice::ApprovalAsked(_));
        self.notices().into_iter().filter(is_news).collect()
    }

    /// The kinds in the audit log, oldest first.
    pub(crate) async fn audit(&self) -> Vec<String> {
        let rows = granted(self.handle().audit(10_000).await);
        rows.into_iter().map(|row| row.kind).collect()
    }

    pub(crate) async fn audited(&self, kind: &str) -> usize {
        let kinds = self.audit().await;
        kinds.iter().filter(|found| *found == kind).count()
    }

    /// The end of every test: the audit log verifies, and the broker stops.
    pub(crate) async fn finish(mut self) {
        if self.broker.is_some() {
            let report = granted(self.handle().verify_audit().await);
            assert!(report.fault.is_none(), "the audit log: {:?}", report.fault);
            assert!(report.rows > 0);
            self.stop().await;
        }
        self.is_finished = true;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.crash();
        if !std::thread::panicking() {
            assert!(self.is_finished, "a test ends with `finish`");
        }
    }
}

/// The person at the provider.
impl World {
    pub(crate) fn ask(&self) -> ConnectAsk {
        ConnectAsk {
            provider: Some("fastio".to_owned()),
            base: Some(self.sim.base_url().to_owned()),
            scope: None,
            read_only: false,
            tenant: None,
            name: None,
            agent_name: None,
        }
    }

    pub(crate) fn ask_named(&self, connection: &str, tenant: &str) -> ConnectAsk {
        ConnectAsk {
            name: Some(name(connection)),
            tenant: Some(name(tenant)),
            ..self.ask()
        }
    }

    pub(crate) async fn connect(&self) -> ConnectionView {
        self.connect_as(self.ask(), &Consent::everything()).await
    }

    pub(crate) async fn connect_as(&self, ask: ConnectAsk, consent: &Consent) -> ConnectionView {
        let started = granted(self.handle().connect(ask).await);
        granted(self.answer(&started, consent).await)
    }

    /// Answers a consent in the browser, which follows the redirect to Doorward's own listener.
    pub(crate) async fn answer(
        &self,
        started: &ConsentStarted,
        consent: &Consent,
    ) -> Result<ConnectionView, Refusal> {
        let redirect = self.sim.approve(&started.url, consent).await.unwrap();
        let waited = self.handle().connected(started.flow.clone());
        let (ended, page) = within(async { tokio::join!(waited, browse(&redirect)) }).await;
        assert_eq!(page.is_ok(), ended.is_ok(), "page: {page:?}");
        ended
    }

    pub(crate) fn session(&self) -> SessionView {
        self.sim.sessions().pop().expect("there is a session")
    }

    pub(crate) fn refreshes(&self) -> u64 {
        self.sim.counts().of(Kind::TokenRefresh)
    }

    /// The refresh tokens that the provider ever issued, oldest first.
    pub(crate) fn refresh_tokens(&self) -> Vec<String> {
        let secrets = self.sim.issued_secrets().into_iter();
        secrets
            .filter(|secret| secret.kind == SecretKind::RefreshToken)
            .map(|secret| secret.value)
            .collect()
    }
}

/// Agents.
impl World {
    pub(crate) async fn pair(&self, agent: &str, scope: &str) -> Agent {
        let asking = self.asks(agent, scope, None).await;
        let scope = granted(self.approve(&asking, Terms::default()).await);
        let key = self.fetch(&asking).await;
        Agent {
            id: asking.client,
            key,
            scope,
        }
    }

    pub(crate) async fn asks(
        &self,
        agent: &str,
        scope: &str,
        program: Option<Program>,
    ) -> Asking {
        let client = granted(self.handle().register_client(agent, Vec::new()).await);
        let wanted = granted(Wanted::parse_scope(scope));
        let asked = self.handle().ask_approval(client.id, wanted, program).await;
        let asked = granted(asked);
        Asking {
            client: client.id,
            device_code: asked.device_code.expose().to_owned(),
            user_code: asked.user_code,
        }
    }

    pub(crate) async fn approve(&self, asking: &Asking, terms: Terms) -> Result<String, Refusal> {
        self.handle()
            .approve(asking.user_code.clone(), terms, Proof::Pin(pin(PIN)))
            .await
    }

    pub(crate) async fn poll(&self, asking: &Asking) -> PollAnswer {
        granted(self.handle().poll(asking.client, &asking.device_code).await)
    }

    pub(crate) async fn fetch(&self, asking: &Asking) -> String {
        match self.poll(asking).await {
            PollAnswer::Issued { key, .. } => key.expose().to_owned(),
            other => panic!("no key: {}", polled(&other)),
        }
    }

    pub(crate) fn caller(&self, agent: &Agent) -> Caller {
        granted(self.handle().authenticate(&agent.key))
    }

    pub(crate) async fn token_for(
        &self,
        agent: &Agent,
        connection: &str,
    ) -> Result<TokenAnswer, Refusal> {
        let caller = self.handle().authenticate(&agent.key)?;
        within(self.handle().token(&caller, named(connection))).await
    }

    pub(crate) async fn token(&self, agent: &Agent) -> Result<TokenAnswer, Refusal> {
        self.token_for(agent, "fastio").await
    }

    pub(crate) async fn token_text(&self, agent: &Agent) -> String {
        granted(self.token(agent).await).access.expose().to_owned()
    }

    pub(crate) async fn reject(&self, agent: &Agent, token: &str) -> Result<TokenAnswer, Refusal> {
        let caller = self.handle().authenticate(&agent.key)?;
        within(self.handle().token_rejected(&caller, rejection(token))).await
    }

    /// The status that the provider's API answers to a token.
    pub(crate) async fn use_token(&self, token: &str) -> u16 {
        let address = format!("{}user/auth/check/", self.sim.api_base());
        let request = reqwest::Client::new().get(address).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    }
}

pub(crate) fn named(connection: &str) -> TokenAsk {
    TokenAsk {
        connection: Some(name(connection)),
        ..TokenAsk::default()
    }
}

pub(crate) fn rejection(token: &str) -> Rejection {
    Rejection {
        connection: name("fastio"),
        access: AccessToken::new(token.to_owned()),
        status: Some(401),
        code: None,
        patience: None,
    }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn pin(text: &str) -> Pin {
    Pin::new(text.to_owned())
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn polled(answer: &PollAnswer) -> &'static str {
    match answer {
        PollAnswer::Pending => "pending",
        PollAnswer::SlowDown => "slow_down",
        PollAnswer::Denied => "denied",
        PollAnswer::Expired => "expired",
        PollAnswer::Unknown => "unknown",
        PollAnswer::Issued { .. } => "issued",
    }
}

#[track_caller]
pub(crate) fn granted<T>(answer: Result<T, Refusal>) -> T {
    answer.unwrap_or_else(|refusal| panic!("refused: {refusal:?}"))
}

#[track_caller]
pub(crate) fn refused<T>(answer: Result<T, Refusal>) -> Refusal {
    answer.err().expect("a refusal")
}

#[track_caller]
pub(crate) fn code<T>(answer: Result<T, Refusal>) -> &'static str {
    refused(answer).code.as_str()
}

/// Opens an address as a browser does. The page's text, by whether it tells of success.
pub(crate) async fn browse(address: &str) -> Result<String, String> {
    let reply = reqwest::get(address)
        .await
        .map_err(|error| error.to_string())?;
    let is_success = reply.status().is_success();
    let text = reply.text().await.map_err(|error| error.to_string())?;
    if is_success { Ok(text) } else { Err(text) }
}

/// Waits for something that must come.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("this comes in time")
}

/// Waits until a condition holds, asking again at short intervals.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "this does not come about: {what}");
}

/// A store whose passphrase costs next to nothing to try.
async fn make_store(data: &Path, now: Timestamp) {
    let cost = DerivationCost {
        memory: 64,
        passes: 1,
        lanes: 1,
    };
    let source = PassphraseSource::new(Passphrase::new(PASSPHRASE.to_owned())).with_cost(cost);
    let store = Store::open(data, HolderKind::Command, now).await.unwrap();
    store.unlock(&source, now).await.unwrap();
    store.close().await;
}
