//! A gateway before a real broker on a scratch folder, and a Fast.io behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doorward_broker::handle::{ConnectAsk, Proof, Terms};
use doorward_broker::shell::Headless;
use doorward_broker::{
    ApprovalRoom, Clock, Config, Handle, HolderKind, Keys, Running, SystemClock,
};
use doorward_core::grant::{Door, Policy};
use doorward_core::name::Name;
use doorward_core::secret::Passphrase;
use doorward_core::time::Timestamp;
use doorward_gateway::Gateway;
use fastio_sim::{Consent, Sim};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::ask::{Answer, Ask};

/// An example of this crate, which is built with its tests and lies near them.
fn example(name: &str) -> std::path::PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples")
        .join(name)
}

/// Everything that a test needs, stopped when it ends.
pub(crate) struct World {
    pub(crate) handle: Handle,
    pub(crate) port: u16,
    pub(crate) sim: Sim,
    gateway: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
    clock: Arc<MovedClock>,
    _broker: Running,
    folder: tempfile::TempDir,
}

impl World {
    /// A store that nobody has unlocked.
    pub(crate) async fn locked() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            data: folder.path().join("data"),
            providers: folder.path().join("providers"),
            holder: HolderKind::Serve,
            keys: Keys::Passphrase,
            approval: ApprovalRoom::Window,
            courier: example("gateway-courier"),
            provider_timeout: Duration::from_secs(20),
        };
        let clock = Arc::new(MovedClock::default());
        let (handle, broker) = doorward_broker::start(config, Arc::new(Headless), clock.clone())
            .await
            .unwrap();
        let gateway = Gateway::bind(0).unwrap();
        let port = gateway.port();
        let (stop, stopped) = oneshot::channel();
        let running = gateway.run(handle.clone(), async { stopped.await.unwrap_or_default() });
        Self {
            handle,
            port,
            sim: Sim::builder().start().await.unwrap(),
            gateway: tokio::spawn(async { running.await.unwrap() }),
            stop: Some(stop),
            clock,
            _broker: broker,
            folder,
        }
    }

    /// An unlocked store, empty.
    pub(crate) async fn empty() -> Self {
        let world = Self::locked().await;
        let passphrase = Passphrase::new("a long enough passphrase of a test".to_owned());
        world.handle.unlock(Some(passphrase)).await.unwrap();
        world
    }

    /// The connection `fastio` of the tenant `personal`, and an agent with its token door.
    pub(crate) async fn with_agent() -> (Self, String) {
        let world = Self::empty().await;
        world.connect("fastio", "personal").await;
        let key = world.agent("agent", "fastio", &[Door::Token]).await;
        (world, key)
    }

    /// The connection `own`, whose API is at the given address, and an agent with its proxy door.
    pub(crate) async fn with_api(api: &str) -> (Self, String) {
        let world = Self::empty().await;
        let folder = world.folder.path().join("providers");
        std::fs::create_dir_all(&folder).unwrap();
        let manifest = format!(
            include_str!("own.toml"),
            base = world.sim.base_url().trim_end_matches('/'),
            api = api,
        );
        std::fs::write(folder.join("own.toml"), manifest).unwrap();
        world.connect_to("own", None, "own", "personal").await;
        let key = world.agent("agent", "own", &[Door::Proxy]).await;
        (world, key)
    }

    pub(crate) async fn connect(&self, name: &str, tenant: &str) {
        let base = self.sim.base_url().to_owned();
        self.connect_to("fastio", Some(base), name, tenant).await;
    }

    /// A connection `served` to this Fast.io with MCP servers elsewhere.
    pub(crate) async fn connect_served(&self, mcp: &str, sse: &str) {
        let manifest = include_str!("../../../core/manifests/fastio.toml")
            .replace("\"fastio\"", "\"served\"")
            .replace(
                "\"https://api.fast.io\"",
                &format!("\"{}\"", self.sim.base_url()),
            )
            .replace("\"https://mcp.fast.io/mcp\"", &format!("\"{mcp}\""))
            .replace("\"https://mcp.fast.io/sse\"", &format!("\"{sse}\""));
        let providers = self.folder.path().join("providers");
        std::fs::create_dir_all(&providers).unwrap();
        std::fs::write(providers.join("served.toml"), manifest).unwrap();
        self.connect_to("served", None, "served", "personal").await;
    }

    /// The person connects a connection again.
    pub(crate) async fn connect_again(&self, name: &str) {
        let ask = ConnectAsk {
            provider: None,
            base: None,
            scope: None,
            read_only: false,
            tenant: None,
            name: Some(self::name(name)),
            agent_name: None,
        };
        self.consent(ask).await;
    }

    async fn connect_to(&self, provider: &str, base: Option<String>, name: &str, tenant: &str) {
        let ask = ConnectAsk {
            provider: Some(provider.to_owned()),
            base,
            scope: None,
            read_only: false,
            tenant: Some(self::name(tenant)),
            name: Some(self::name(name)),
            agent_name: None,
        };
        self.consent(ask).await;
    }

    async fn consent(&self, ask: ConnectAsk) {
        let started = self.handle.connect(ask).await.unwrap();
        let redirect = self
            .sim
            .approve(&started.url, &Consent::everything())
            .await
            .unwrap();
        self.handle.paste(started.flow, redirect).await.unwrap();
    }

    /// Adds an agent and returns its key.
    pub(crate) async fn agent(&self, agent: &str, connection: &str, doors: &[Door]) -> String {
        let terms = Terms {
            connection: Some(name(connection)),
            doors: Some(doors.to_vec()),
            ..Terms::default()
        };
        self.handle
            .add_agent(agent, terms, Proof::Window)
            .await
            .unwrap()
            .key
    }

    /// Adds an agent with the proxy door and a policy.
    pub(crate) async fn limited(&self, agent: &str, connection: &str, policy: Policy) -> String {
        let terms = Terms {
            connection: Some(name(connection)),
            doors: Some(vec![Door::Proxy]),
            policy,
            ..Terms::default()
        };
        let added = self.handle.add_agent(agent, terms, Proof::Window).await;
        added.unwrap().key
    }

    /// Adds an agent that reads the metrics and returns its key.
    pub(crate) async fn reader(&self, agent: &str) -> String {
        self.handle
            .add_metrics_reader(agent, None, Proof::Window)
            .await
            .unwrap()
            .key
    }

    /// Time passes, here and at the provider.
    pub(crate) fn advance(&self, by: Duration) {
        self.advance_here(by);
        self.sim.advance_clock(by);
    }

    /// Time passes here alone.
    pub(crate) fn advance_here(&self, by: Duration) {
        self.clock
            .0
            .fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }

    pub(crate) async fn send(&self, ask: &Ask) -> Answer {
        ask.send(self.port).await
    }

    /// Registers a client and returns its `client_id`.
    pub(crate) async fn register(&self, client_name: &str) -> String {
        let body = serde_json::json!({ "client_name": client_name });
        let answer = self.send(&Ask::json("/oauth/register", &body)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()["client_id"].as_str().unwrap().to_owned()
    }

    /// A client asks for a scope.
    pub(crate) async fn ask_approval(&self, client_id: &str, scope: &str) -> Value {
        let fields = [("client_id", client_id), ("scope", scope)];
        let answer = self
            .send(&Ask::form("/oauth/device_authorization", &fields))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// Stops the gateway and waits for its end.
    pub(crate) async fn stop_gateway(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        (&mut self.gateway).await.unwrap();
    }
}

/// The machine's clock, so many milliseconds ahead.
#[derive(Default)]
struct MovedClock(AtomicU64);

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        SystemClock
            .now()
            .plus(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.gateway.abort();
    }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// An agent key that was never issued.
pub(crate) fn unknown_key() -> String {
    format!("dwk_{}", "A".repeat(43))
}
