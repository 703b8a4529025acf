//! A consent goes wrong: between the browser, the provider and Doorward.

use std::process::Stdio;

use doorward_e2e::{Answer, Consent, Fault, Hang, Kind, PATIENCE, World, doorward, eventually};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::failures::{Stage, doctor, intact, passphrase_file, said, shown};

/// The sentences of a page that a browser ends on.
fn page(answer: &Answer) -> String {
    let body = answer.body.split("<h1>").nth(1).unwrap_or(&answer.body);
    let body = body
        .replace("</h1><p>", "\n")
        .replace("</p>", "")
        .replace("</main></body></html>", "");
    format!("{}\n{body}", answer.status)
}

async fn land(address: &str) -> Answer {
    doorward_e2e::Browser::land(address).await
}

/// An address with another value of a query parameter.
fn with(address: &str, name: &str, value: &str) -> String {
    let mut address = url::Url::parse(address).expect("an address");
    let pairs: Vec<(String, String)> = address.query_pairs().into_owned().collect();
    let mut query = address.query_pairs_mut();
    query.clear();
    for (own, own_value) in &pairs {
        query.append_pair(own, if own == name { value } else { own_value });
    }
    drop(query);
    address.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_consent_changes_nothing() {
    let Stage {
        world,
        served,
        agent,
    } = Stage::set().await;
    let _here = shown(&world);
    let connecting = world.begin_connect(&["--name", "second"]).await;
    let landed = world.consent(&connecting.url, &Consent::decline()).await;
    insta::assert_snapshot!(page(&landed), @r###"
    403
    The consent was declined
    The consent was declined at Fast.io. Nothing was changed. Connect again if that was not meant.
    "###);
    let ended = connecting.process.ended().await;
    insta::assert_snapshot!(ended.json()["error"], @r###"
    {"code":"consent_declined","detail":"The consent was declined at Fast.io.","hint":"Nothing was changed. Connect again if that was not meant."}
    "###);
    assert_eq!(ended.code(), 4);
    insta::assert_snapshot!(doctor(&world).await, @r###"
    [0]
    All is well.
    "###);
    intact(&world, &agent).await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_with_a_wrong_state_is_not_believed_and_the_right_one_still_is() {
    let Stage {
        world,
        served,
        agent,
    } = Stage::set().await;
    let _here = shown(&world);
    let exchanged = world.sim.counts().of(Kind::TokenCode);
    let connecting = world.begin_connect(&["--name", "second"]).await;
    let redirect = world
        .sim
        .approve(&connecting.url, &Consent::everything())
        .await
        .expect("approved");
    insta::assert_snapshot!(page(&land(&with(&redirect, "state", "another")).await), @r###"
    400
    That answer belongs to another consent
    That answer does not belong to this consent: its `state` is not the one that was sent. Nothing was sent. Answer in the browser tab that Doorward opened last.
    "###);
    insta::assert_snapshot!(page(&land(redirect.split("&state").next().expect("a part")).await), @r###"
    400
    That answer belongs to another consent
    That answer does not belong to this consent: it has no `state`. Nothing was sent. Answer in the browser tab that Doorward opened last.
    "###);
    assert_eq!(
        world.sim.counts().of(Kind::TokenCode),
        exchanged,
        "no code was sent"
    );
    insta::assert_snapshot!(page(&land(&redirect).await), @r###"
    200
    Connected
    Fast.io is connected. You can close this tab.
    "###);
    connecting.process.ended().await.done();
    world.run(&["disconnect", "second"]).await.done();
    intact(&world, &agent).await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_sent_once_however_often_it_arrives() {
    let Stage {
        world,
        served,
        agent,
    } = Stage::set().await;
    let _here = shown(&world);
    let exchanged = world.sim.counts().of(Kind::TokenCode);
    let connecting = world.begin_connect(&["--name", "second"]).await;
    let redirect = world
        .sim
        .approve(&connecting.url, &Consent::everything())
        .await
        .expect("approved");
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenCode).hang(Hang::BeforeWork));
    let first = tokio::spawn({
        let redirect = redirect.clone();
        async move { land(&redirect).await.status }
    });
    world.sim.wait_until_hanging(Kind::TokenCode).await;
    insta::assert_snapshot!(page(&land(&redirect).await), @r###"
    400
    That answer belongs to another consent
    This consent was answered before. Nothing was sent a second time. Look at the connection with `doorward connections`.
    "###);
    world.sim.clear_faults();
    assert_eq!(first.await.expect("it does not panic"), 200);
    assert_eq!(world.sim.counts().of(Kind::TokenCode), exchanged + 1);
    connecting.process.ended().await.done();

    // A code that somebody else has used already: the provider refuses it, and Doorward says so.
    let connecting = world.begin_connect(&["--name", "third"]).await;
    let late = with(
        &world
            .sim
            .approve(&connecting.url, &Consent::everything())
            .await
            .expect("approved"),
        "code",
        "used-before",
    );
    insta::assert_snapshot!(page(&land(&late).await), @r###"
    502
    The provider refused
    Fast.io did not accept the code of the consent: HTTP 400, error invalid_grant. The code was used or too old. Connect again.
    "###);
    let ended = connecting.process.ended().await;
    insta::assert_snapshot!(ended.json()["error"], @r###"
    {"code":"provider_rejected","detail":"Fast.io did not accept the code of the consent: HTTP 400, error invalid_grant.","hint":"The code was used or too old. Connect again."}
    "###);
    world.run(&["disconnect", "second"]).await.done();
    intact(&world, &agent).await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_nobody_answers_ends_after_ten_minutes() {
    let world = World::new().await;
    let _here = shown(&world);
    // How long the machine has slept, as far as that one process knows, stands in a file.
    let clock = world.folder().join("aside/clock");
    let slept = |seconds: &str| std::fs::write(&clock, seconds).expect("it can be written");
    slept("0");
    let clock_path = clock.display().to_string();
    let faked = [("DOORWARD_PLAYED_SLEEP", clock_path.as_str())];
    let serve = world.start_with(
        &["--json", "serve", "--port", "0", "--keys", "passphrase"],
        &faked,
    );
    serve.line().await;
    let connecting = world.begin_connect(&[]).await;
    slept("660");
    // Nobody wakes it for this; a question does.
    eventually("the consent ends", async || {
        world.ask(&["connections"]).await;
        connecting.process.said().contains("consent_expired")
    })
    .await;
    let ended = connecting.process.ended().await;
    insta::assert_snapshot!(ended.json()["error"], @r###"
    {"code":"consent_expired","detail":"The consent was not answered within [TIME].","hint":"Start it again; nothing was changed."}
    "###);
    let late = world
        .sim
        .approve(&connecting.url, &Consent::everything())
        .await
        .expect("approved");
    let refused = doorward_e2e::Browser::maybe_land(&late).await;
    assert!(refused.is_none(), "nobody listens for it any more");
    // It can be started again at once, and then it works.
    let connection = world.connect(&[], &Consent::everything()).await;
    assert_eq!(connection["health"]["state"], "connected");
    world.verify_audit().await;
    serve.terminate();
    serve.ended().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_is_given_up_leaves_nothing_behind() {
    let Stage {
        world,
        served,
        agent,
    } = Stage::set().await;
    let _here = shown(&world);
    let connecting = world.begin_connect(&["--name", "second"]).await;
    connecting.process.terminate();
    let ended = connecting.process.ended().await.refused(130);
    insta::assert_snapshot!(ended.json()["error"], @r###"
    {"code":"interrupted","detail":"Interrupted.","hint":"Nothing was lost; run the command again when you like."}
    "###);
    let late = world
        .sim
        .approve(&connecting.url, &Consent::everything())
        .await
        .expect("approved");
    assert!(
        doorward_e2e::Browser::maybe_land(&late).await.is_none(),
        "nobody listens for it any more"
    );
    intact(&world, &agent).await;
    served.stop().await.done();
}

/// `doorward connect` with a person at its standard input.
struct Pasting {
    child: Child,
    url: String,
    said: tokio::io::Lines<BufReader<tokio::process::ChildStderr>>,
}

impl Pasting {
    async fn begin(world: &World, name: &str) -> Self {
        let mut command = Command::new(doorward());
        let file = passphrase_file(world);
        command.args([
            "--passphrase-file",
            &file,
            "connect",
            "fastio",
            "--base",
            world.sim.base_url(),
        ]);
        command
            .args(["--no-browser", "--name", name])
            .env_clear()
            .envs(world.environment());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("it starts");
        let said = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut pasting = Self {
            child,
            url: String::new(),
            said,
        };
        while !pasting.url.starts_with("http") {
            pasting.url = pasting.hears().await;
        }
        while !pasting.hears().await.starts_with("Waiting.") {}
        pasting
    }

    /// The next line it says to the person.
    async fn hears(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.said.next_line()).await;
        line.expect("in time").expect("it reads").expect("a line")
    }

    /// Pastes something, and gives what is said to it: what is wrong, and what to do.
    async fn paste(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("piped");
        stdin
            .write_all(format!("{text}\n").as_bytes())
            .await
            .expect("it reads");
    }

    async fn is_refused(&mut self, text: &str) -> String {
        self.paste(text).await;
        format!("{}\n{}", self.hears().await, self.hears().await)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_of_the_redirect_can_be_pasted_by_hand() {
    let Stage {
        world,
        served,
        agent,
    } = Stage::set().await;
    let _here = shown(&world);
    let mut pasting = Pasting::begin(&world, "second").await;
    let redirect = world
        .sim
        .approve(&pasting.url, &Consent::everything())
        .await
        .expect("approved");
    insta::assert_snapshot!(pasting.is_refused("what?").await, @r###"
    error: That is not the address the browser was sent back to.
      → Copy the whole address from the browser's address bar; it begins with http://127.0.0.1 and has `code=` in it.
    "###);
    insta::assert_snapshot!(pasting.is_refused(&with(&redirect, "state", "another")).await, @r###"
    error: That answer does not belong to this consent: its `state` is not the one that was sent.
      → Nothing was sent. Answer in the browser tab that Doorward opened last.
    "###);
    pasting.paste(&redirect).await;
    let ended = tokio::time::timeout(PATIENCE, pasting.child.wait_with_output()).await;
    let ended = ended.expect("in time").expect("it ends");
    insta::assert_snapshot!(String::from_utf8_lossy(&ended.stdout), @r###"
    Connected `second`.
      provider    Fast.io (http://127.0.0.1:[PORT])
      account     robin@example.com
      tenant      personal
      asked       workspace, reading and writing
      granted     [GRANTED]
      token ends  [TIME]

    No agent may use it yet: one asks with `doorward pair`, or you add one with `doorward agents add`.
    "###);
    insta::assert_snapshot!(said(&world.run(&["disconnect", "second"]).await), @r###"
    [0]
    Disconnected `second`. No agent can use it any more.
    The provider has confirmed the end.
    "###);
    intact(&world, &agent).await;
    served.stop().await.done();
}
