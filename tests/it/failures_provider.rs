//! The provider is away, has forgotten, lives by another clock, or is hostile.

use doorward_e2e::{Consent, Fault, Kind, World, eventually};
use fastio_sim::LimitForm;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::failures::{Stage, Wrapped, doctor, faketime, intact, problem, said, shown};

/// A token that has ended here and at the provider, and a provider whose next tokens live long.
async fn with_an_ended_token() -> Stage {
    let world = World::builder()
        .knobs(|knobs| knobs.access_token_lifetime_s = 2)
        .build()
        .await;
    let served = world.serve().await;
    world.set_pin().await;
    world.connect(&[], &Consent::everything()).await;
    let agent = world.pair("Reporter", "fastio:token").await;
    let token = agent.access_token("fastio").await;
    eventually("the token ends", async || {
        !world.sim.probe_access_token(&token).live
    })
    .await;
    world
        .sim
        .change_knobs(|knobs| knobs.access_token_lifetime_s = 3600);
    Stage {
        world,
        served,
        agent,
    }
}

async fn again(world: &World, agent: &doorward_e2e::Agent) {
    eventually("it goes on by itself", async || {
        agent.token("fastio").await.status == 200
    })
    .await;
    intact(world, agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_cannot_be_reached_is_named_while_connecting() {
    let Stage {
        world,
        served,
        agent,
    } = Stage::set().await;
    let _here = shown(&world);
    world.sim.go_down().await;
    let base = world.sim.base_url();
    let ran = world
        .run(&[
            "connect",
            "fastio",
            "--base",
            base,
            "--name",
            "second",
            "--no-browser",
        ])
        .await;
    insta::assert_snapshot!(said(&ran), @r###"
    [6]
    error: The provider cannot be reached: no connection to 127.0.0.1:[PORT].
      → Check the address and the network, then try again; nothing was changed.
    "###);
    insta::assert_snapshot!(doctor(&world).await, @r###"
    [0]
    warn  clock              http://127.0.0.1:[PORT] does not answer, so its clock cannot be compared
                             → Check the network.
    Nothing failed; 1 to look at.
    "###);
    world.sim.come_back().await.expect("its port is free");
    intact(&world, &agent).await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_does_not_reach_the_provider_keeps_the_grant() {
    let Stage {
        world,
        served,
        agent,
    } = with_an_ended_token().await;
    let _here = shown(&world);
    world.sim.go_down().await;
    insta::assert_snapshot!(problem(&agent.token("fastio").await), @r###"
    503 provider_unavailable, Retry-After
    Fast.io did not renew the token of `fastio`: no connection to 127.0.0.1:[PORT].
      → Try again after the time given; nothing was lost.
    "###);
    insta::assert_snapshot!(doctor(&world).await, @r###"
    [0]
    warn  connection fastio  degraded: no connection to 127.0.0.1:[PORT]; next try [TIME]
                             → Nothing to do: Doorward tries again by itself, and nothing was lost.
    warn  clock              http://127.0.0.1:[PORT] does not answer, so its clock cannot be compared
                             → Check the network.
    Nothing failed; 2 to look at.
    "###);
    let connections = world.run(&["connections"]).await.stdout;
    insta::assert_snapshot!(connections.lines().nth(1).unwrap_or_default().split("  ").last().unwrap_or_default(), @" degraded: no connection to 127.0.0.1:[PORT]; next try [TIME]");
    world.sim.come_back().await.expect("its port is free");
    again(&world, &agent).await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_disconnected_while_the_provider_is_down_is_revoked_later() {
    let Stage {
        world,
        served,
        agent,
    } = Stage::set().await;
    let _here = shown(&world);
    let session = world.sim.sessions()[0].session_id.clone();
    let refresh = world
        .sim
        .issued_secrets()
        .iter()
        .rev()
        .find(|secret| secret.kind == fastio_sim::SecretKind::RefreshToken)
        .expect("one")
        .value
        .clone();
    world.sim.go_down().await;
    insta::assert_snapshot!(said(&world.run(&["disconnect", "fastio"]).await), @r###"
    [0]
    Disconnected `fastio`. No agent can use it any more.
    The provider has not confirmed the end yet; Doorward goes on asking until it does.
    An access token that an agent holds may work at the provider until it ends [TIME].
    "###);
    assert_eq!(
        agent.token("fastio").await.status,
        404,
        "agents are blocked at once"
    );
    insta::assert_snapshot!(said(&world.run(&["status"]).await), @r###"
    [0]
      Doorward     running, process [PID], version 0.1.0
      address      http://127.0.0.1:[PORT]
      store        open, with a passphrase
      connections  0
      agents       1
      requests     0
      folder       [FOLDER]/data/doorward

    Next:
      1 revocation is still owed to a provider; Doorward goes on asking while it runs.
      Connect a provider: `doorward connect fastio`.
    "###);
    insta::assert_snapshot!(doctor(&world).await, @r###"
    [0]
    warn  revocations      1 owed to a provider
                           → Nothing to do: Doorward goes on asking while it runs.
    Nothing failed; 1 to look at.
    "###);
    assert!(
        world.sim.probe_refresh_token(&refresh).live,
        "it could not be ended yet"
    );

    // The debt outlives the process, also one that is killed.
    let mut served = served;
    served.process.kill().await;
    world.sim.come_back().await.expect("its port is free");
    let served = world.serve().await;
    eventually("the outbox is worked off", async || {
        world.ask(&["status"]).await["revocations_owed"] == 0
    })
    .await;
    assert!(!world.sim.probe_refresh_token(&refresh).live);
    let ended = world.sim.sessions();
    assert!(
        ended
            .iter()
            .any(|known| known.session_id == session && !known.active),
        "{ended:?}"
    );
    world.verify_audit().await;
    insta::assert_snapshot!(doctor(&world).await, @r###"
    [0]
    All is well.
    "###);
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_the_provider_forgot_is_registered_anew() {
    let Stage {
        world,
        served,
        agent,
    } = with_an_ended_token().await;
    let _here = shown(&world);
    let client = world.sim.sessions()[0].client_id.clone();
    assert!(world.sim.forget_client(&client));
    insta::assert_snapshot!(problem(&agent.token("fastio").await), @r###"
    502 provider_rejected, Retry-After
    Fast.io does not accept Doorward's own registration for `fastio`: HTTP 401, error invalid_client.
      → The grant was kept. The client secret has expired or was changed. A person has to look: once it is put right, `doorward retry fastio` goes on; `doorward connect --name fastio` makes a new registration.
    "###);
    insta::assert_snapshot!(doctor(&world).await, @r###"
    [1]
    FAIL  connection fastio  client rejected: HTTP 401, error invalid_client; next try [TIME]
                             → The client secret of Doorward's registration has expired or was changed. The grant was kept. Put the registration right at the provider, then `doorward retry fastio`; or make a new one: `doorward connect --name fastio`.
    1 failed.
    "###);
    let again = world
        .connect(&["--name", "fastio"], &Consent::everything())
        .await;
    assert_eq!(again["health"]["state"], "connected");
    assert_eq!(world.sim.counts().of(Kind::Register), 2);
    intact(&world, &agent).await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_client_that_only_the_browser_notices_is_registered_anew() {
    let world = World::new().await;
    let served = world.serve().await;
    world.set_pin().await;
    let connecting = world.begin_connect(&[]).await;
    let client = url::Url::parse(&connecting.url).expect("an address");
    let client = client
        .query_pairs()
        .find(|(name, _)| name == "client_id")
        .expect("it names one")
        .1
        .into_owned();
    assert!(world.sim.forget_client(&client));
    assert!(
        world
            .sim
            .approve(&connecting.url, &Consent::everything())
            .await
            .is_err(),
        "the browser is shown an error"
    );
    connecting.process.terminate();
    connecting.process.ended().await.refused(130);
    let connection = world.connect(&[], &Consent::everything()).await;
    assert_eq!(connection["health"]["state"], "connected");
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_was_ended_at_the_provider_asks_for_a_person() {
    let Stage {
        world,
        served,
        agent,
    } = with_an_ended_token().await;
    let _here = shown(&world);
    let session = world.sim.sessions()[0].session_id.clone();
    assert!(world.sim.revoke_session_as_person(&session));
    insta::assert_snapshot!(problem(&agent.token("fastio").await), @r###"
    424 reconnect_required
    The connection `fastio` has ended: the provider refused to renew it (HTTP 400, error invalid_grant).
      → A person has to connect again: `doorward connect --name fastio`, or in the Doorward window.
    "###);
    insta::assert_snapshot!(doctor(&world).await, @r###"
    [1]
    FAIL  connection fastio  reconnect required: the provider refused to renew it (HTTP 400, error invalid_grant)
                             → Connect it again: `doorward connect --name fastio`.
    1 failed.
    "###);
    world
        .connect(&["--name", "fastio"], &Consent::everything())
        .await;
    intact(&world, &agent).await;
    served.stop().await.done();
}

/// Serves with a clock that is off by that much.
async fn serve_off_by(world: &World, offset: &str) -> doorward_e2e::Process {
    let library = faketime();
    let faked = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME", offset),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let serve = world.start_with(
        &["--json", "serve", "--port", "0", "--keys", "passphrase"],
        &faked,
    );
    serve.line().await;
    serve
}

/// A machine whose clock is wrong from the start connects, refreshes, waits out a limit as long as it lasts, and says
/// what is wrong.
async fn an_hour_off(offset: &'static str) -> (World, String) {
    let world = World::builder()
        .knobs(|knobs| knobs.access_token_lifetime_s = 3)
        .build()
        .await;
    let serve = serve_off_by(&world, offset).await;
    world.set_pin().await;
    world.connect(&[], &Consent::everything()).await;
    let agent = world.pair("Reporter", "fastio:token").await;
    let first = agent.access_token("fastio").await;
    assert!(world.sim.probe_access_token(&first).live);
    eventually("the token ends", async || {
        !world.sim.probe_access_token(&first).live
    })
    .await;
    world
        .sim
        .change_knobs(|knobs| knobs.access_token_lifetime_s = 3600);
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).rate_limit(2, LimitForm::Datetime));
    let limited = agent.token("fastio").await.expect(429);
    let seconds: u64 = limited.headers["retry-after"]
        .to_str()
        .expect("text")
        .parse()
        .expect("seconds");
    assert!(
        (1..=4).contains(&seconds),
        "the limit is on the provider's clock: {seconds} s"
    );
    eventually("the limit ends", async || {
        agent.token("fastio").await.status == 200
    })
    .await;
    assert_eq!(
        world.sim.counts().of(Kind::TokenRefresh),
        2,
        "it was waited for, exactly"
    );
    intact(&world, &agent).await;

    let library = faketime();
    let doctor = Wrapped::in_world(&world)
        .with("LD_PRELOAD", &library)
        .with("FAKETIME", offset);
    let doctor = doctor
        .with("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .run(&["doctor"])
        .await;
    let clock: Vec<&str> = doctor
        .lines()
        .skip_while(|line| !line.starts_with("FAIL  clock"))
        .take(2)
        .collect();
    let clock = clock.join("\n");
    serve.terminate();
    serve.ended().await.done();
    (world, clock)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_an_hour_fast_is_named_and_harms_nothing() {
    let (world, doctor) = an_hour_off("+1h").await;
    let _here = shown(&world);
    insta::assert_snapshot!(doctor, @r###"
    FAIL  clock              this machine's clock is [TIME] fast, compared with http://127.0.0.1:[PORT]
                             → Set the clock: `timedatectl set-ntp true`. Tokens seem to end too early or too late until then.
    "###);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_an_hour_slow_is_named_and_harms_nothing() {
    let (world, doctor) = an_hour_off("-1h").await;
    let _here = shown(&world);
    insta::assert_snapshot!(doctor, @r###"
    FAIL  clock              this machine's clock is [TIME] slow, compared with http://127.0.0.1:[PORT]
                             → Set the clock: `timedatectl set-ntp true`. Tokens seem to end too early or too late until then.
    "###);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_while_doorward_runs_harms_nothing() {
    let Stage {
        world,
        served,
        agent,
    } = Stage::set().await;
    served.stop().await.done();
    // An hour back, then an hour ahead, then right again.
    for offset in ["-1h", "+2h", "+0"] {
        let serve = serve_off_by(&world, offset).await;
        let token = agent.access_token("fastio").await;
        assert!(world.sim.probe_access_token(&token).live, "{offset}");
        serve.terminate();
        serve.ended().await.done();
    }
    crate::failures::intact_when_served(&world, &agent).await;
}

/// A server that says of itself whatever a test wants: the metadata is made from its own address.
async fn liar(metadata: impl Fn(&str) -> Value + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("it has one"));
    let body = metadata(&base).to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _read = stream.read(&mut head).await;
            let reply = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _written = stream.write_all(reply.as_bytes()).await;
        }
    });
    base
}

fn honest(base: &str) -> Value {
    json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "registration_endpoint": format!("{base}/register"),
        "code_challenge_methods_supported": ["S256"],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hostile_provider_says_of_itself_is_refused_before_the_browser_opens() {
    let Stage {
        world,
        served,
        agent,
    } = Stage::set().await;
    let _here = shown(&world);
    let lies: [(&str, &str, Value); 6] = [
        (
            "token endpoint in the cloud's own network",
            "token_endpoint",
            json!("http://169.254.169.254/latest/meta-data"),
        ),
        (
            "authorization endpoint that starts a program",
            "authorization_endpoint",
            json!("file:///usr/bin/calc"),
        ),
        (
            "authorization endpoint that is a script",
            "authorization_endpoint",
            json!("javascript:alert(1)"),
        ),
        (
            "another issuer",
            "issuer",
            json!("https://accounts.example.com"),
        ),
        (
            "no PKCE with S256",
            "code_challenge_methods_supported",
            json!(["plain"]),
        ),
        (
            "user name in an address",
            "token_endpoint",
            json!("https://somebody:secret@example.com/token"),
        ),
    ];
    let mut told = Vec::new();
    for (what, member, value) in lies {
        let base = liar(move |base| {
            let mut metadata = honest(base);
            metadata[member] = value.clone();
            metadata
        })
        .await;
        let ran = world
            .run(&["connect", &base, "--name", "liar", "--no-browser"])
            .await;
        told.push(format!("{what}\n{}", said(&ran)));
    }
    insta::assert_snapshot!(told.join("\n\n"), @r###"
    token endpoint in the cloud's own network
    [5]
    error: The provider's description of itself cannot be trusted: it names "http://169.254.169.254/latest/meta-data", on a private host that you did not type.
      → Write a manifest that names this address, if you trust it.

    authorization endpoint that starts a program
    [5]
    error: The address "file:///usr/bin/calc" cannot be used: only https can be used.
      → Ask the provider for its right address; do not connect to it as it is.

    authorization endpoint that is a script
    [5]
    error: The address "javascript:alert(1)" cannot be used: only https can be used.
      → Ask the provider for its right address; do not connect to it as it is.

    another issuer
    [5]
    error: The provider's description of itself cannot be trusted: it was asked as "http://127.0.0.1:[PORT]" and calls itself "https://accounts.example.com".
      → Connect to the address the provider calls itself, if you trust it.

    no PKCE with S256
    [5]
    error: The provider's description of itself cannot be trusted: it does not offer PKCE with S256.
      → Ask the provider to support PKCE S256.

    user name in an address
    [5]
    error: The address "https://somebody:secret@example.com/token" cannot be used: it carries a user name.
      → Ask the provider for its right address; do not connect to it as it is.
    "###);
    intact(&world, &agent).await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_provider_at_all_is_said_plainly() {
    let Stage {
        world,
        served,
        agent,
    } = Stage::set().await;
    let _here = shown(&world);
    let nothing = liar(|_| json!({"hello": "world"})).await;
    insta::assert_snapshot!(said(&world.run(&["connect", &nothing, "--name", "x", "--no-browser"]).await), @r###"
    [6]
    error: http://127.0.0.1:[PORT]/ does not say where its authorization endpoint is.
      → Check the address; it must be the OAuth issuer.
    "###);
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("it has one");
    let closed = format!("http://{closed}");
    insta::assert_snapshot!(said(&world.run(&["connect", &closed, "--name", "x", "--no-browser"]).await), @r###"
    [6]
    error: The provider cannot be reached: no connection to 127.0.0.1:[PORT].
      → Check the address and the network, then try again; nothing was changed.
    "###);
    intact(&world, &agent).await;
    served.stop().await.done();
}
