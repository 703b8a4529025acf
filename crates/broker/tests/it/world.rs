//! A broker on a scratch folder, the provider it talks to, and the person and agents around it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_broker::handle::ConnectAsk;
use doorward_broker::views::{ConnectionView, ConsentStarted};
use doorward_broker::{
    ApprovalRoom, Clock, Config, Handle, HolderKind, Keys, Running, Shell, StartError, SystemClock,
    start,
};
use doorward_core::name::Name;
use doorward_core::plan::Notice;
use doorward_core::problem::Refusal;
use doorward_core::secret::{Passphrase, Pin};
use doorward_core::time::Timestamp;
use doorward_store::{DerivationCost, Loaded, OpenError, PassphraseSource, Store};
use fastio_sim::{Consent, Kind, SecretKind, SessionView, Sim};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) const PASSPHRASE: &str = "a passphrase for tests";
pub(crate) const PIN: &str = "271828";

/// More than anything here takes; a promise that is not kept within it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A clock that stands still until a test moves it or lets it run.
pub(crate) struct StandingClock {
    millis: AtomicI64,
    runs: AtomicBool,
    /// By how much the wall clock was set.
    wall_ahead: AtomicI64,
    slept: AtomicI64,
}

impl StandingClock {
    fn standing_at(now: Timestamp) -> Self {
        Self {
            millis: AtomicI64::new(now.as_millis()),
            runs: AtomicBool::new(false),
            wall_ahead: AtomicI64::new(0),
            slept: AtomicI64::new(0),
        }
    }

    /// Somebody sets the machine's wall clock.
    pub(crate) fn set_wall(&self, by_millis: i64) {
        self.wall_ahead.fetch_add(by_millis, Ordering::SeqCst);
    }

    /// The machine sleeps.
    pub(crate) fn sleep(&self, time: Duration) {
        self.move_ahead(time);
        let time = i64::try_from(time.as_millis()).unwrap();
        self.slept.fetch_add(time, Ordering::SeqCst);
    }

    fn move_ahead(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap();
        self.millis.fetch_add(by, Ordering::SeqCst);
    }

    fn run(&self) {
        self.millis
            .fetch_sub(SystemClock.now().as_millis(), Ordering::SeqCst);
        self.runs.store(true, Ordering::SeqCst);
    }
}

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        let millis = self.millis.load(Ordering::SeqCst);
        let ran = if self.runs.load(Ordering::SeqCst) {
            SystemClock.now().as_millis()
        } else {
            0
        };
        Timestamp::from_millis(millis + ran)
    }

    fn wall(&self) -> Timestamp {
        self.now().shifted(self.wall_ahead.load(Ordering::SeqCst))
    }

    fn follow_wall(&self) {
        let ahead = self.wall_ahead.swap(0, Ordering::SeqCst);
        self.millis.fetch_add(ahead, Ordering::SeqCst);
    }

    fn slept(&self) -> Duration {
        let slept = self.slept.load(Ordering::SeqCst);
        Duration::from_millis(slept.unsigned_abs())
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

pub(crate) struct World {
    /// Goes with the world.
    _folder: TempDir,
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
        let now = SystemClock.now();
        make_store(&folder.path().join("data"), now).await;
        Self::on(folder, now, approval).await
    }

    /// A provider, and a broker on a folder that has no store yet.
    pub(crate) async fn fresh() -> Self {
        let folder = TempDir::new().unwrap();
        Self::on(folder, SystemClock.now(), ApprovalRoom::Terminal).await
    }

    async fn on(folder: TempDir, now: Timestamp, approval: ApprovalRoom) -> Self {
        let data = folder.path().join("data");
        let clock = Arc::new(StandingClock::standing_at(now));
        let config = Config {
            data,
            providers: folder.path().join("providers"),
            holder: HolderKind::Serve,
            keys: Keys::Passphrase,
            approval,
            courier: courier(),
            provider_timeout: Duration::from_secs(10),
        };
        let mut world = Self {
            _folder: folder,
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
        let mut started = self.another(&runtime).await;
        // A broker that crashed lets go of its folder when the last of its threads notices.
        until("the folder is free", async || {
            if matches!(started, Err(StartError::Open(OpenError::HeldBy { .. }))) {
                started = self.another(&runtime).await;
            }
            !matches!(started, Err(StartError::Open(OpenError::HeldBy { .. })))
        })
        .await;
        let (handle, running) =
            started.unwrap_or_else(|error| panic!("the broker does not start: {error}"));
        self.broker = Some(Broker {
            handle,
            running,
            runtime,
        });
    }

    /// Starts a broker with the same folder.
    pub(crate) async fn another(&self, on: &Runtime) -> Result<(Handle, Running), StartError> {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let shell: Arc<dyn Shell> = Arc::clone(&self.shell) as _;
        on.spawn(start(self.config.clone(), shell, clock))
            .await
            .unwrap()
    }

    pub(crate) async fn unlock(&mut self) {
        let passphrase = Passphrase::new(PASSPHRASE.to_owned());
        granted(self.handle().unlock(Some(passphrase)).await);
    }

    /// Ends the broker as it should end, and starts another one on its folder.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Starts a broker where the last one was stopped.
    pub(crate) async fn start_again(&mut self) {
        self.start().await;
        self.unlock().await;
    }

    /// Starts the broker again with another program as its courier.
    pub(crate) async fn restart_with_courier(&mut self, program: PathBuf) {
        self.stop().await;
        self.config.courier = program;
        self.start_again().await;
    }

    /// The files that lie in the spool.
    pub(crate) fn spooled(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.config.data.join("spool")) else {
            return Vec::new();
        };
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Ends the broker in the middle of whatever it does, and starts another one on its folder.
    pub(crate) async fn crash_and_restart(&mut self) {
        self.crash();
        self.start_again().await;
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

    /// Time passes for everyone, and the broker has looked around.
    pub(crate) async fn pass(&self, time: Duration) {
        self.sim.advance_clock(time);
        self.pass_here(time).await;
    }

    /// Time passes, and no broker is there to notice.
    pub(crate) fn pass_for_both(&self, time: Duration) {
        self.sim.advance_clock(time);
        self.clock.move_ahead(time);
    }

    /// Time passes for the broker alone.
    pub(crate) async fn pass_here(&self, time: Duration) {
        self.clock.move_ahead(time);
        // What is due is done between two messages.
        for _ in 0..2 {
            granted(self.handle().status().await);
        }
    }

    /// From now on time passes by itself, and the broker has noticed.
    pub(crate) async fn let_time_run(&self) {
        self.clock.run();
        granted(self.handle().status().await);
    }

    /// What a stopped broker has left on the disk.
    pub(crate) async fn left(&self) -> (Store, Loaded) {
        let now = self.clock.now();
        let store = Store::open(&self.config.data, HolderKind::Command, now)
            .await
            .unwrap();
        let passphrase = Passphrase::new(PASSPHRASE.to_owned());
        store
            .unlock(&PassphraseSource::new(passphrase), now)
            .await
            .unwrap();
        let loaded = store.load().await.unwrap();
        (store, loaded)
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
            assert!(self.spooled().is_empty(), "left: {:?}", self.spooled());
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

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn pin(text: &str) -> Pin {
    Pin::new(text.to_owned())
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
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

/// The courier that is built with these tests.
pub(crate) fn courier() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.ancestors().nth(2).unwrap().join("examples/courier")
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
