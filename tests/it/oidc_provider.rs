//! Doorward against an authorization server that is not ours: npm's `oidc-provider`, with rotation, and with reuse
//! ending the whole grant.
//!
//! Whatever Doorward does wrong with a refresh token shows here as a grant that is gone.

use std::process::Stdio;

use doorward_e2e::{Agent, PATIENCE, Process, Served, World, eventually, repository};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::failures::{doctor, problem, said, shown};

const SCOPE: &str = "openid offline_access files:read";

/// The server, which ends with this.
pub(crate) struct Peer {
    issuer: String,
    control: String,
    http: Client,
    // Its standard input keeps it alive.
    _child: Child,
}

impl Peer {
    async fn start(flags: &[&str]) -> Self {
        let mut command = Command::new("node");
        command
            .arg(repository().join("tests/peers/oidc-provider.mjs"))
            .args(flags);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .expect("node can be run (scripts/setup test)");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line())
            .await
            .expect("in time");
        let line = line
            .expect("it reads")
            .expect("the peer starts (scripts/setup test)");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        let at = |member: &str| ready[member].as_str().expect("an address").to_owned();
        // Node closes what rests for 5 s, perhaps just when it is used again.
        let http = Client::builder().no_proxy().pool_max_idle_per_host(0);
        let http = http.build().expect("a client");
        Self {
            issuer: at("issuer"),
            control: at("control"),
            http,
            _child: child,
        }
    }

    pub(crate) async fn tell(&self, path: &str, body: &Value) -> Value {
        let told = self
            .http
            .post(format!("{}{path}", self.control))
            .json(body)
            .send()
            .await
            .expect("it answers");
        assert_eq!(told.status(), 200, "{path} {body}");
        told.json().await.expect("JSON")
    }

    async fn look(&self, path: &str) -> Value {
        let found = self
            .http
            .get(format!("{}{path}", self.control))
            .send()
            .await
            .expect("it answers");
        found.json().await.expect("JSON")
    }

    /// Refreshes that went well, and that did not.
    pub(crate) async fn refreshes(&self) -> (u64, u64) {
        let counts = &self.look("/counts").await["token"]["refresh_token"];
        let count = |how: &str| counts[how].as_u64().unwrap_or_default();
        (count("ok"), count("failed"))
    }

    pub(crate) async fn grants(&self) -> Vec<Value> {
        self.look("/grants")
            .await
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// What the API says to a token.
    pub(crate) async fn whoami(&self, token: &str) -> (u16, Value) {
        let asked = self
            .http
            .get(format!("{}/api/whoami", self.issuer))
            .bearer_auth(token)
            .send()
            .await;
        let answer = asked.expect("it answers");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    pub(crate) async fn opens_nothing(&self, token: &str) {
        eventually("the token ends", async || self.whoami(token).await.0 == 401).await;
    }
}

/// Describes the server to Doorward, with the call that tells whether a token is good, and what lies behind the door.
fn write_manifest(world: &World, peer: &Peer, door: &str) {
    let folder = world.folder().join("config/doorward/providers");
    std::fs::create_dir_all(&folder).expect("it can be made");
    let manifest = format!(
        "name = \"oidc\"\ntitle = \"The peer\"\nbase = \"{}\"\ncheck = \"/api/whoami\"\naccount = \"/api/whoami\"\n\
         default_scope = \"{SCOPE}\"\n{door}",
        peer.issuer
    );
    std::fs::write(folder.join("oidc.toml"), manifest).expect("it can be written");
}

async fn begin(world: &World, arguments: &[&str]) -> (Process, String) {
    let process = world.start(&[&["--json", "connect"], arguments, &["--no-browser"]].concat());
    let line = process.line().await;
    let started: Value = serde_json::from_str(&line).unwrap_or_default();
    let url = started["url"]
        .as_str()
        .unwrap_or_else(|| panic!("{line}{}", process.said()));
    (process, url.to_owned())
}

/// Connects, with the person approving at the server.
async fn connect(world: &World, peer: &Peer, arguments: &[&str]) -> Value {
    let (process, url) = begin(world, arguments).await;
    let answered = peer
        .tell("/answer", &json!({"url": url, "deliver": true}))
        .await;
    assert_eq!(answered["delivered"], 200, "{answered}");
    process.ended().await.done().json()
}

/// The server, a world connected to it, and an agent that may have its tokens.
pub(crate) type Connected = (Peer, World, Served, Agent);

pub(crate) async fn connected(flags: &[&str]) -> Connected {
    connected_with(flags, "", "oidc:token").await
}

/// The same with lines for the manifest, and what the agent asks for.
pub(crate) async fn connected_with(flags: &[&str], door: &str, scope: &str) -> Connected {
    let peer = Peer::start(flags).await;
    let world = World::new().await;
    write_manifest(&world, &peer, door);
    let served = world.serve().await;
    world.set_pin().await;
    let connection = connect(&world, &peer, &["oidc"]).await;
    assert_eq!(connection["account"], "ada@example.test");
    let agent = world.pair("Reporter", scope).await;
    (peer, world, served, agent)
}

/// The token after this one, once the agent is given it. The server counts in whole seconds, so that the one before may
/// have ended there a little sooner than it said.
async fn next(peer: &Peer, agent: &Agent, before: &str) -> String {
    eventually("there is another token", async || {
        agent.access_token("oidc").await != before
    })
    .await;
    let token = agent.access_token("oidc").await;
    assert_eq!(peer.whoami(&token).await.0, 200);
    token
}

/// The generations of tokens, as the audit log has them.
async fn generations(world: &World) -> Vec<u64> {
    let log = world.run(&["audit", "export"]).await.done().stdout;
    let rows = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let refreshed = rows.filter(|row| row["kind"] == "connection.refreshed");
    refreshed
        .filter_map(|row| row["detail"]["generation"].as_str()?.parse().ok())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_known_by_its_address_alone_connects_and_is_ended() {
    let peer = Peer::start(&[]).await;
    let world = World::new().await;
    let served = world.serve().await;
    world.set_pin().await;
    let connection = connect(
        &world,
        &peer,
        &[
            &peer.issuer,
            "--name",
            "oidc",
            "--scope",
            "openid offline_access",
        ],
    )
    .await;
    assert_eq!(
        (&connection["name"], &connection["issuer"]),
        (&json!("oidc"), &json!(peer.issuer))
    );
    let agent = world.pair("Reporter", "oidc:token").await;
    let token = agent.access_token("oidc").await;
    assert_eq!(peer.whoami(&token).await.1["sub"], "ada@example.test");
    assert_eq!(peer.grants().await.len(), 1);
    let ended = world.run(&["disconnect", "oidc"]).await;
    assert!(
        said(&ended).contains("The provider has confirmed the end."),
        "{ended}"
    );
    assert_eq!(
        peer.grants().await,
        Vec::<Value>::new(),
        "the grant is gone at the server"
    );
    assert_eq!(peer.whoami(&token).await.0, 401);
    assert_eq!(agent.token("oidc").await.status, 404);
    world.verify_audit().await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refresh_token_is_used_once_and_the_grant_lives_on() {
    let (peer, world, served, agent) = connected(&["--access-ttl", "2"]).await;
    let mut token = agent.access_token("oidc").await;
    for _ in 0..3 {
        assert_eq!(peer.whoami(&token).await.0, 200);
        token = next(&peer, &agent, &token).await;
    }
    let (ok, failed) = peer.refreshes().await;
    assert!(ok >= 3 && failed == 0, "{ok} went well, {failed} did not");
    assert_eq!(peer.grants().await.len(), 1);
    let generations = generations(&world).await;
    assert!(
        generations.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{generations:?}"
    );
    assert_eq!(generations.first(), Some(&2));

    // The rotated token is the one that is kept: a restart goes on with it.
    served.stop().await.done();
    peer.opens_nothing(&token).await;
    let served = world.serve().await;
    next(&peer, &agent, &token).await;
    assert_eq!(
        (peer.refreshes().await.1, peer.grants().await.len()),
        (0, 1)
    );
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_callers_at_the_end_of_a_token_make_one_refresh() {
    let (peer, world, served, agent) = connected(&["--access-ttl", "3"]).await;
    let token = agent.access_token("oidc").await;
    peer.opens_nothing(&token).await;
    // For Doorward too, which would else hand it out while it fetches the next one.
    eventually("the token ends here", async || {
        !world.run(&["connections"]).await.stdout.contains("  in ")
    })
    .await;
    let (before, _) = peer.refreshes().await;
    // Long enough for all of them to come while it is under way.
    peer.tell("/hold", &json!({"token": 500})).await;
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let agent = agent.clone();
            tokio::spawn(async move { agent.token("oidc").await.expect(200).text("access_token") })
        })
        .collect();
    let mut tokens = std::collections::BTreeSet::new();
    for caller in callers {
        tokens.insert(caller.await.expect("it is answered"));
    }
    peer.tell("/hold", &json!({"token": 0})).await;
    assert_eq!(tokens.len(), 1, "all got the same new token");
    assert_eq!(peer.refreshes().await, (before + 1, 0));
    assert_eq!(peer.grants().await.len(), 1);
    world.verify_audit().await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_ended_at_the_server_is_noticed_erased_and_connected_again() {
    let (peer, world, served, agent) = connected(&["--access-ttl", "3600"]).await;
    let _here = shown(&world);
    let token = agent.access_token("oidc").await;
    // A good token that an agent complains of costs nothing.
    let complaint = json!({"connection": "oidc", "access_token": token, "status": 401});
    let kept = agent
        .post("/v1/token/rejected", &complaint)
        .await
        .expect(200);
    assert_eq!(
        (kept.text("access_token"), peer.refreshes().await.0),
        (token.clone(), 0)
    );

    let [grant] = &peer.grants().await[..] else {
        panic!("one grant")
    };
    peer.tell(
        &format!("/grants/{}/revoke", grant["id"].as_str().expect("text")),
        &Value::Null,
    )
    .await;
    assert_eq!(peer.whoami(&token).await.0, 401);
    // Believed once the token is older than a few seconds.
    eventually("the end is noticed", async || {
        agent.post("/v1/token/rejected", &complaint).await.status == 424
    })
    .await;
    insta::assert_snapshot!(problem(&agent.token("oidc").await), @r###"
    424 reconnect_required
    The connection `oidc` has ended: the provider refused to renew it (HTTP 400, error invalid_grant).
      → A person has to connect again: `doorward connect --name oidc`, or in the Doorward window.
    "###);
    insta::assert_snapshot!(doctor(&world).await, @r###"
    [1]
    FAIL  connection oidc  reconnect required: the provider refused to renew it (HTTP 400, error invalid_grant)
                           → Connect it again: `doorward connect --name oidc`.
    1 failed.
    "###);
    let asked = peer.refreshes().await;
    assert_eq!(asked, (0, 1));
    assert_eq!(agent.token("oidc").await.status, 424);
    assert_eq!(
        peer.refreshes().await,
        asked,
        "what is over is not asked for again"
    );

    connect(&world, &peer, &["--name", "oidc"]).await;
    assert_eq!(
        peer.whoami(&agent.access_token("oidc").await).await.0,
        200,
        "the agent goes on with its key"
    );
    world.run(&["disconnect", "oidc"]).await.done();
    assert_eq!(peer.grants().await, Vec::<Value>::new());
    world.verify_audit().await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_a_secret_shows_it_in_every_call() {
    let (peer, world, served, agent) = connected(&["--access-ttl", "2", "--confidential"]).await;
    let token = agent.access_token("oidc").await;
    let next = next(&peer, &agent, &token).await;
    // The secret is there after a restart, too.
    served.stop().await.done();
    peer.opens_nothing(&next).await;
    let served = world.serve().await;
    self::next(&peer, &agent, &next).await;
    assert_eq!(peer.refreshes().await.1, 0);
    world.run(&["disconnect", "oidc"]).await.done();
    assert_eq!(peer.grants().await, Vec::<Value>::new());
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_declined_at_the_server_is_told_as_such() {
    let peer = Peer::start(&[]).await;
    let world = World::new().await;
    write_manifest(&world, &peer, "");
    let _here = shown(&world);
    let served = world.serve().await;
    let (process, url) = begin(&world, &["oidc"]).await;
    peer.tell(
        "/answer",
        &json!({"url": url, "answer": "decline", "deliver": true}),
    )
    .await;
    let ended = process.ended().await.refused(4);
    insta::assert_snapshot!(ended.json()["error"], @r###"
    {"code":"consent_declined","detail":"The consent was declined at The peer.","hint":"Nothing was changed. Connect again if that was not meant."}
    "###);
    served.stop().await.done();
}
