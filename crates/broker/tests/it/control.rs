//! The control socket: how the person's own command reaches a running broker.

use std::os::unix::fs::PermissionsExt as _;

use doorward_broker::control::{
    self, Approve, Client, Connect, Request, SecretText, TermsAsk, socket_path,
};
use doorward_broker::handle::PauseTarget;
use doorward_broker::views::{
    AgentAdded, AgentRevoked, AgentView, AuditRowView, AuditVerified, ConnectionView,
    ConsentStarted, Disconnected, RequestView, Status,
};
use doorward_core::grant::Door;
use doorward_core::problem::Refusal;
use fastio_sim::Consent;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::task::AbortHandle;

use crate::world::{PASSPHRASE, PIN, World, code, granted, name, until, within};

/// The socket of a world's broker, served until this is dropped.
struct Served(AbortHandle);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve(world: &World) -> Served {
    let serving = control::serve(&world.config().data, world.handle().clone())
        .await
        .unwrap();
    Served(tokio::spawn(serving).abort_handle())
}

async fn client(world: &World) -> Client {
    Client::connect(&world.config().data).await.unwrap()
}

async fn ask<T: DeserializeOwned>(client: &mut Client, request: Request) -> Result<T, Refusal> {
    within(client.ask(&request)).await.unwrap()
}

fn secret(text: &str) -> SecretText {
    SecretText::new(text.to_owned())
}

fn connect(world: &World) -> Request {
    Request::Connect(Connect {
        provider: Some("fastio".to_owned()),
        base: Some(world.sim.base_url().to_owned()),
        ..Connect::default()
    })
}

#[tokio::test]
async fn the_socket_is_its_owners_alone() {
    let world = World::new().await;
    let _served = serve(&world).await;
    let socket = std::fs::metadata(socket_path(&world.config().data)).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    world.finish().await;
}

#[tokio::test]
async fn a_socket_that_a_crash_left_behind_is_replaced() {
    let world = World::new().await;
    drop(serve(&world).await);
    let _served = serve(&world).await;
    granted(ask::<Status>(&mut client(&world).await, Request::Status).await);
    world.finish().await;
}

#[tokio::test]
async fn a_reader_of_the_metrics_is_added_over_the_socket_and_seen() {
    let world = World::new().await;
    let _served = serve(&world).await;
    let client = &mut client(&world).await;
    let add = |pin: &str| Request::AddMetricsReader {
        name: "prometheus".to_owned(),
        lifetime: None,
        pin: secret(pin),
    };
    let wrong = ask::<AgentAdded>(client, add("000000")).await;
    assert_eq!(code(wrong), "pin_wrong");
    let reader: AgentAdded = granted(ask(client, add(PIN)).await);
    assert_eq!(reader.scope, "metrics");
    let agents: Vec<AgentView> = granted(ask(client, Request::Agents).await);
    let seen = agents.first().expect("the reader");
    assert_eq!(
        (seen.name.as_str(), seen.keys, seen.metrics),
        ("prometheus", 1, true)
    );
    let agent = "prometheus".to_owned();
    granted(ask::<AgentRevoked>(client, Request::RevokeAgent { agent }).await);
    world.finish().await;
}

#[tokio::test]
async fn everything_a_person_does_goes_over_the_socket() {
    let world = World::new().await;
    let _served = serve(&world).await;
    let mut client = client(&world).await;
    let client = &mut client;
    let status: Status = granted(ask(client, Request::Status).await);
    assert_eq!(status.pin_set, Some(true));
    let unlock = Request::Unlock { passphrase: None };
    granted(ask::<()>(client, unlock).await);

    let first: ConsentStarted = granted(ask(client, connect(&world)).await);
    granted(ask::<()>(client, Request::Cancel { flow: first.flow }).await);
    let open: ConsentStarted = granted(ask(client, connect(&world)).await);
    let address = world
        .sim
        .approve(&open.url, &Consent::everything())
        .await
        .unwrap();
    let paste = Request::Paste {
        flow: open.flow.clone(),
        address: secret(&address),
    };
    let view: ConnectionView = granted(ask(client, paste).await);
    let waited = Request::AwaitConsent { flow: open.flow };
    let same: ConnectionView = granted(ask(client, waited).await);
    assert_eq!(view.id, same.id);
    let listed: Vec<ConnectionView> = granted(ask(client, Request::Connections).await);
    assert_eq!(listed.len(), 1);

    let asking = world.asks("worker", "fastio:token", None).await;
    let denied = world.asks("denied", "fastio:token", None).await;
    let requests: Vec<RequestView> = granted(ask(client, Request::Requests).await);
    assert_eq!(requests.len(), 2);
    let approve = |pin: &str| {
        Request::Approve(Approve {
            code: asking.user_code.clone(),
            terms: TermsAsk::default(),
            pin: secret(pin),
        })
    };
    assert_eq!(
        code(ask::<String>(client, approve("000000")).await),
        "pin_wrong"
    );
    let scope: String = granted(ask(client, approve(PIN)).await);
    assert_eq!(scope, "fastio:token");
    let deny = Request::Deny {
        code: denied.user_code,
    };
    granted(ask::<()>(client, deny).await);
    let add = Request::AddAgent {
        name: "by hand".to_owned(),
        terms: TermsAsk {
            connection: Some(name("fastio")),
            doors: Some(vec![Door::Token]),
            ..TermsAsk::default()
        },
        pin: secret(PIN),
    };
    let added: AgentAdded = granted(ask(client, add).await);
    assert!(added.key.starts_with("dwk_"));
    let agents: Vec<AgentView> = granted(ask(client, Request::Agents).await);
    assert_eq!(agents.len(), 2);

    for paused in [true, false] {
        let target = PauseTarget::AllAgents;
        let changed: usize = granted(ask(client, Request::SetPaused { target, paused }).await);
        assert_eq!(changed, 2);
    }
    let agent = "worker".to_owned();
    let revoked: AgentRevoked = granted(ask(client, Request::RevokeAgent { agent }).await);
    assert_eq!(revoked.name, "worker");
    let name = name("fastio");
    let ended: Disconnected = granted(ask(client, Request::Disconnect { name }).await);
    assert!(ended.confirmed);

    let set_pin = Request::SetPin {
        before: Some(secret(PIN)),
        pin: secret("314159"),
    };
    granted(ask::<()>(client, set_pin).await);
    let passphrase = Some(secret(PASSPHRASE));
    granted(ask::<usize>(client, Request::RotateKeys { passphrase }).await);
    let verified: AuditVerified = granted(ask(client, Request::VerifyAudit).await);
    assert!(verified.fault.is_none());
    let rows: Vec<AuditRowView> = granted(ask(client, Request::Audit { limit: 3 }).await);
    assert_eq!(rows.len(), 3);
    world.finish().await;
}

#[tokio::test]
async fn a_broker_can_be_stopped_over_the_socket() {
    let mut world = World::new().await;
    let _served = serve(&world).await;
    granted(ask::<()>(&mut client(&world).await, Request::Stop).await);
    world.crash();
    world.start_again().await;
    world.finish().await;
}

#[tokio::test]
async fn a_question_that_is_not_understood_is_answered_and_the_next_one_too() {
    let world = World::new().await;
    let _served = serve(&world).await;
    let stream = UnixStream::connect(socket_path(&world.config().data))
        .await
        .unwrap();
    let mut stream = BufReader::new(stream);
    let long = "x".repeat(200_000);
    for garbage in [
        "",
        "garbage",
        "{}",
        r#"{"ask":"everything"}"#,
        r#"{"ask":"approve"}"#,
    ] {
        let answer = line(&mut stream, garbage).await;
        assert!(
            answer.contains(r#""code":"bad_request""#),
            "{garbage}: {answer}"
        );
    }
    // What is longer than any question is several wrong ones.
    let mut answer = line(&mut stream, &long).await;
    while !answer.contains("Ok") {
        assert!(answer.contains("bad_request"));
        stream
            .get_mut()
            .write_all(b"{\"ask\":\"status\"}\n")
            .await
            .unwrap();
        answer = next(&mut stream).await;
    }
    world.finish().await;
}

async fn line(stream: &mut BufReader<UnixStream>, question: &str) -> String {
    let question = format!("{question}\n");
    stream
        .get_mut()
        .write_all(question.as_bytes())
        .await
        .unwrap();
    next(stream).await
}

async fn next(stream: &mut BufReader<UnixStream>) -> String {
    let mut answer = String::new();
    within(stream.read_line(&mut answer)).await.unwrap();
    assert!(!answer.is_empty(), "the socket was closed");
    answer
}

#[tokio::test]
async fn a_command_that_is_interrupted_leaves_the_consent_to_others() {
    let world = World::new().await;
    let _served = serve(&world).await;
    let mut first = client(&world).await;
    let open: ConsentStarted = granted(ask(&mut first, connect(&world)).await);
    let flow = open.flow.clone();
    let waits = tokio::spawn(async move {
        let request = Request::AwaitConsent { flow };
        first.ask::<ConnectionView>(&request).await.is_ok()
    });
    until("it waits", async || {
        granted(world.handle().status().await);
        true
    })
    .await;
    waits.abort();
    let address = world
        .sim
        .approve(&open.url, &Consent::everything())
        .await
        .unwrap();
    let paste = Request::Paste {
        flow: open.flow,
        address: secret(&address),
    };
    granted(ask::<ConnectionView>(&mut client(&world).await, paste).await);
    world.finish().await;
}
