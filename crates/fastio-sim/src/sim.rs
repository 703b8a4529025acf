//! A running simulator, held by its owner and stopped when dropped.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::task::JoinHandle;

use crate::browser::{self, Consent, ConsentError};
use crate::control;
use crate::door::{self, Door};
use crate::fault::Fault;
use crate::http;
use crate::http::site::{SharedSite, Site};
use crate::inspect::{LockView, Probe, SessionView};
use crate::kind::Selector;
use crate::knobs::Knobs;
use crate::mcp::examples;
use crate::world::IssuedSecret;
use crate::world::traffic::{Counts, LoggedRequest, Progress};

/// How a simulator is to be started.
#[derive(Clone, Debug, Default)]
pub struct SimBuilder {
    knobs: Knobs,
    port: u16,
    control_port: u16,
    stranger_port: Option<u16>,
}

impl SimBuilder {
    /// Starts with these knobs.
    #[must_use]
    pub fn knobs(mut self, knobs: Knobs) -> Self {
        self.knobs = knobs;
        self
    }

    /// Serves Fast.io on this port; 0, the default, lets the system choose.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Serves the control port here; 0, the default, lets the system choose.
    #[must_use]
    pub fn control_port(mut self, port: u16) -> Self {
        self.control_port = port;
        self
    }

    /// Plays a second origin too, by another host name and on this port (0 lets the system choose): it
    /// answers everything and keeps a note of what reached it ([`Sim::strayed`]).
    #[must_use]
    pub fn stranger_port(mut self, port: u16) -> Self {
        self.stranger_port = Some(port);
        self
    }

    /// Binds the ports and begins to serve.
    ///
    /// # Errors
    /// If a port cannot be bound.
    pub async fn start(self) -> io::Result<Sim> {
        let listener = door::bind(self.port).await?;
        let control_listener = door::bind(self.control_port).await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let control_url = format!("http://{}", control_listener.local_addr()?);
        let stranger_listener = match self.stranger_port {
            Some(port) => Some(door::bind(port).await?),
            None => None,
        };
        let stranger = stranger_listener
            .as_ref()
            .map(|listener| {
                Ok(format!(
                    "http://localhost:{}",
                    listener.local_addr()?.port()
                ))
            })
            .transpose()
            .map_err(|error: io::Error| error)?;
        let site = Arc::new(Site::new(origin, stranger, self.knobs));
        let stranger = stranger_listener.map(|listener| {
            let router = http::stranger_router(site.clone());
            tokio::spawn(async move {
                if let Err(error) = axum::serve(listener, router).await {
                    tracing::warn!(%error, "the second origin ended");
                }
            })
        });
        let door = Arc::new(Door::open(
            listener,
            site.clone(),
            http::router(site.clone()),
        )?);
        let control_router = control::router(site.clone(), door.clone());
        let control = tokio::spawn(async move {
            if let Err(error) = axum::serve(control_listener, control_router).await {
                tracing::warn!(%error, "the control port ended");
            }
        });
        Ok(Sim {
            site,
            door,
            control,
            control_url,
            stranger,
        })
    }
}

/// A running simulator.
#[derive(Debug)]
pub struct Sim {
    site: SharedSite,
    door: Arc<Door>,
    control: JoinHandle<()>,
    control_url: String,
    stranger: Option<JoinHandle<()>>,
}

impl Sim {
    /// A simulator that is not started yet.
    #[must_use]
    pub fn builder() -> SimBuilder {
        SimBuilder::default()
    }

    /// The origin, `http://127.0.0.1:PORT`; the well-known documents and the consent pages lie below.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.site.origin()
    }

    /// The REST base, `http://127.0.0.1:PORT/current/`.
    #[must_use]
    pub fn api_base(&self) -> String {
        self.site.api_base()
    }

    /// The control port, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn control_url(&self) -> &str {
        &self.control_url
    }

    /// The knobs as they are.
    #[must_use]
    pub fn knobs(&self) -> Knobs {
        self.site.world().knobs.clone()
    }

    /// Sets all knobs.
    pub fn set_knobs(&self, knobs: Knobs) {
        self.site.world().knobs = knobs;
    }

    /// Turns some knobs: `sim.change_knobs(|knobs| knobs.access_token_lifetime_s = 1)`.
    pub fn change_knobs(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.site.world().knobs);
    }

    /// Queues a fault.
    pub fn queue_fault(&self, fault: Fault) {
        self.site.world().traffic.queue(fault);
    }

    /// Forgets the queued faults, ends their windows and lets hanging requests go on.
    pub fn clear_faults(&self) {
        self.site.clear_faults();
    }

    /// Moves the simulator's clock ahead.
    pub fn advance_clock(&self, by: Duration) {
        self.site.clock().advance(by);
    }

    /// How many requests there were.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.site.world().traffic.counts().clone()
    }

    /// Sets the counts to zero and empties the request log.
    pub fn reset_counts(&self) {
        self.site.world().traffic.reset_counts();
    }

    /// The recent requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.site.world().traffic.log().cloned().collect()
    }

    /// The origin of the second host, `http://localhost:PORT`, if there is one.
    #[must_use]
    pub fn stranger_url(&self) -> Option<&str> {
        self.site.stranger()
    }

    /// What reached the second host, oldest first.
    #[must_use]
    pub fn strayed(&self) -> Vec<LoggedRequest> {
        self.site.world().strayed.clone()
    }

    /// The address of the MCP server, `http://127.0.0.1:PORT/mcp`.
    #[must_use]
    pub fn mcp_url(&self) -> String {
        self.site.mcp_url()
    }

    /// Arguments with which a tool of the whole catalogue works; what they name is made for them. `None`
    /// for a tool that is not there, and for `auth_pkce_complete`, which needs a person first.
    #[must_use]
    pub fn example_arguments(&self, tool: &str) -> Option<Map<String, Value>> {
        examples::example(&self.site, tool)
    }

    /// How often each deed was done, by the deed and what names it for the one who asked:
    /// `node created: WORKSPACE/FOLDER/NAME`. What was done twice counts two.
    #[must_use]
    pub fn effects(&self) -> BTreeMap<String, u64> {
        self.site.world().effects.counted().clone()
    }

    /// Forgets the deeds.
    pub fn reset_effects(&self) {
        self.site.world().effects.forget();
    }

    /// The locks that are held, oldest place first.
    #[must_use]
    pub fn locks(&self) -> Vec<LockView> {
        self.site.lock_views()
    }

    /// All sessions, ended ones included, oldest first.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionView> {
        self.site.session_views()
    }

    /// Ends a session as the person would in the dashboard; `false` if there is none to end.
    #[expect(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn revoke_session_as_person(&self, session_id: &str) -> bool {
        self.site.revoke_as_person(session_id)
    }

    /// Forgets a client registration; `false` if there is none.
    #[expect(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn forget_client(&self, client_id: &str) -> bool {
        self.site.world().clients.forget(client_id)
    }

    /// Puts a client metadata document at an HTTPS address, for authorizations that give the address as
    /// their `client_id`. Nothing is fetched over a network.
    pub fn publish_client_document(&self, address: &str, document: Value) {
        self.site.world().documents.publish(address, document);
    }

    /// Takes such a document away; `false` if there is none.
    #[expect(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn withdraw_client_document(&self, address: &str) -> bool {
        self.site.world().documents.withdraw(address)
    }

    /// Whether a refresh token still opens anything. Asking changes nothing.
    #[must_use]
    pub fn probe_refresh_token(&self, token: &str) -> Probe {
        self.site.probe_refresh_token(token)
    }

    /// Whether an access token still opens anything.
    #[must_use]
    pub fn probe_access_token(&self, token: &str) -> Probe {
        self.site.probe_access_token(token)
    }

    /// Everything secret that was ever issued or received, for scanning a client's files.
    #[must_use]
    pub fn issued_secrets(&self) -> Vec<IssuedSecret> {
        self.site.world().secrets.clone()
    }

    /// Closes the provider's port and cuts its connections. The control port stays.
    pub async fn go_down(&self) {
        self.door.close().await;
    }

    /// Opens the provider's port again.
    ///
    /// # Errors
    /// If someone else took the port meanwhile.
    pub async fn come_back(&self) -> io::Result<()> {
        self.door.reopen().await
    }

    /// Answers a consent as the demo person, through the real pages. `start` is an authorize URL, the
    /// URL of a consent page or an `auth_request_id`. Returns the redirect, which is not followed; or
    /// the code, if `start` is a consent page with `display_code=true`.
    ///
    /// # Errors
    /// If a page says something else than expected.
    pub async fn approve(&self, start: &str, consent: &Consent) -> Result<String, ConsentError> {
        browser::answer(self.base_url(), start, consent).await
    }

    /// Waits until at least `count` requests of a kind have arrived.
    pub async fn wait_for_requests(&self, kind: impl Into<Selector>, count: u64) {
        let kind = kind.into();
        self.wait_until(|sim| sim.counts().of(kind) >= count).await;
    }

    /// Waits until a request of a kind hangs.
    pub async fn wait_until_hanging(&self, kind: impl Into<Selector>) {
        let kind = kind.into();
        let hangs = |request: &LoggedRequest| {
            kind.matches(request.kind)
                && matches!(
                    request.progress,
                    Progress::HangingBeforeWork | Progress::HangingAfterWork
                )
        };
        self.wait_until(|sim| sim.requests().iter().any(hangs))
            .await;
    }

    /// Waits until something holds; asks again whenever a request made progress.
    pub async fn wait_until(&self, holds: impl Fn(&Self) -> bool) {
        let mut activity = self.site.activity();
        while !holds(self) {
            // The sender lives as long as `self`, so an error cannot come.
            let _ = activity.changed().await;
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // Connections to the control port may outlive the task that accepted them, and hold the
        // door: it does not close by being let go of.
        self.door.shut();
        self.control.abort();
        if let Some(stranger) = &self.stranger {
            stranger.abort();
        }
        self.site.clear_faults();
    }
}
