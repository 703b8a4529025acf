//! A single call waits for a person at a terminal.
//!
//! The broker runs in the test, so that a call can be asked about without a provider's API; the person's commands are
//! the real ones and reach it over its control socket.

use std::sync::Arc;
use std::time::Duration;

use doorward_broker::handle::Proof;
use doorward_broker::{ApprovalRoom, Config, Handle, HolderKind, Keys, Running, SystemClock};
use doorward_core::decide::calling::Question;
use doorward_core::problem::Refusal;
use doorward_core::secret::{Passphrase, Pin};
use fastio_sim::Sim;
use serde_json::{Value, json};

use crate::pty::Session;
use crate::story::connect;
use crate::world::{BINARY, PASSPHRASE, World};

const PIN: &str = "246813";

struct Broker {
    handle: Handle,
    running: Running,
    answers: tokio::task::JoinHandle<()>,
}

impl Broker {
    async fn start(world: &World) -> Self {
        let config = Config {
            data: world.data(),
            providers: world.path("home/.config/doorward/providers"),
            holder: HolderKind::Serve,
            keys: Keys::Passphrase,
            approval: ApprovalRoom::Terminal,
            courier: BINARY.into(),
            provider_timeout: Duration::from_secs(10),
        };
        let shell = Arc::new(doorward_broker::shell::Headless);
        let started = doorward_broker::start(config, shell, Arc::new(SystemClock)).await;
        let (handle, running) = started.unwrap();
        let passphrase = Passphrase::new(PASSPHRASE.to_owned());
        handle.unlock(Some(passphrase)).await.unwrap();
        let serving = doorward_broker::control::serve(&world.data(), handle.clone()).await;
        Self {
            handle,
            running,
            answers: tokio::spawn(serving.unwrap()),
        }
    }

    /// The agent calls, and is told at once what there is to tell.
    async fn call(&self, key: &str, question: Question) -> Result<(), Refusal> {
        let caller = self.handle.authenticate(key).unwrap();
        let (name, patience) = ("fastio".parse().unwrap(), Some(Duration::from_millis(50)));
        self.handle
            .ask_person(&caller, &name, question, patience)
            .await
    }

    async fn stop(self) {
        self.answers.abort();
        self.handle.stop().await;
        self.running.ended().await;
    }
}

fn deleting() -> Question {
    let arguments = json!({"action": "delete", "node": "2b7"});
    Question::mcp("storage", arguments.as_object())
}

fn code<T>(answer: Result<T, Refusal>) -> &'static str {
    answer.err().expect("a refusal").code.as_str()
}

async fn off(test: impl FnOnce() -> Value + Send + 'static) -> Value {
    tokio::task::spawn_blocking(test).await.unwrap()
}

/// A world with a connection, a broker in this process with a PIN, and an agent that is asked about each time.
async fn asked_each_time() -> (Arc<World>, Broker, String) {
    let sim = Sim::builder().start().await.unwrap();
    let world = Arc::new(World::new());
    let serving = world.serve();
    connect(&world, &sim, &[]).await;
    drop(serving);
    let broker = Broker::start(&world).await;
    let pin = Pin::new(PIN.to_owned());
    broker.handle.set_pin(None, pin).await.unwrap();
    let person = Arc::clone(&world);
    let added = off(move || {
        let flags = "agents add Coder --connection fastio --door proxy --method GET --ask-each-time";
        let mut flags: Vec<_> = flags.split(' ').collect();
        flags.extend(["--ask", "tool storage(action=delete)", "--deny", "* /org/"]);
        flags.push("--may-manage-sign-in");
        let mut person = Session::start(&person, &flags);
        person.expect("only GET, asking each time, asking before tool storage(action=delete), never * /org/, may make and manage keys and sessions");
        person.expect("Approval PIN: ").types_unseen(PIN);
        let ended = person.ends();
        assert_eq!(ended.code, 0, "{}", ended.terminal);
        Value::from(ended.stdout.trim())
    })
    .await;
    (world, broker, added.as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_a_call_and_allows_it_once_or_always_or_denies_it() {
    let (world, broker, key) = asked_each_time().await;
    assert_eq!(
        code(broker.call(&key, deleting()).await),
        "approval_pending"
    );
    let person = Arc::clone(&world);
    let asked = off(move || {
        let status = person.run(&["status"]).exits(0).stdout();
        assert!(
            status.contains("1 call waits for your answer: `doorward requests`."),
            "{status}"
        );
        let shown = person.run(&["requests"]).exits(0).stdout();
        for line in [
            "  agent       Coder\n",
            "  call        storage\n",
            "    |   \"node\": \"2b7\"\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
        let asked = person.run(&["--json", "requests"]).exits(0).json();
        let code = asked[0]["code"].as_str().unwrap().to_owned();
        let mut once = Session::start(&person, &["approve", &code]);
        once.expect("call        storage")
            .expect("\"action\": \"delete\"");
        once.expect("You would allow it once.")
            .expect("Approval PIN: ")
            .types_unseen(PIN);
        let ended = once.ends();
        assert_eq!(
            ended.stdout, "Allowed once: `storage` of `Coder`.\n",
            "{}",
            ended.terminal
        );
        asked
    })
    .await;
    assert_eq!(
        (&asked[0]["asks_for"], &asked[0]["agent"], &asked[0]["what"]),
        (&json!("call"), &json!("Coder"), &json!("storage"))
    );
    broker.call(&key, deleting()).await.unwrap();
    assert_eq!(
        code(broker.call(&key, deleting()).await),
        "approval_pending"
    );

    let person = Arc::clone(&world);
    let answers = off(move || {
        let asked = person.run(&["--json", "requests"]).exits(0).json();
        let code = asked[0]["code"].as_str().unwrap().to_owned();
        let refused =
            Session::start(&person, &["--json", "approve", &code, "--door", "proxy"]).ends();
        let refused: Value = serde_json::from_str(&refused.stdout).unwrap();
        assert_eq!(refused["error"]["code"], "usage");
        let mut always = Session::start(&person, &["approve", &code, "--always"]);
        always
            .expect("until you take it back")
            .expect("Approval PIN: ")
            .types_unseen(PIN);
        assert_eq!(always.ends().code, 0);
        let listed = person.run(&["answers"]).exits(0).stdout();
        assert!(listed.contains("Coder  fastio      allow"), "{listed}");
        person.run(&["--json", "answers"]).exits(0).json()
    })
    .await;
    for _ in 0..2 {
        broker.call(&key, deleting()).await.unwrap();
    }

    let person = Arc::clone(&world);
    let id = answers[0]["id"].as_str().unwrap()[..8].to_owned();
    off(move || {
        person
            .run(&["--json", "answers", "take-back", &id])
            .exits(0)
            .json()
    })
    .await;
    assert_eq!(
        code(broker.call(&key, deleting()).await),
        "approval_pending"
    );
    let person = Arc::clone(&world);
    off(move || {
        let asked = person.run(&["--json", "requests"]).exits(0).json();
        let code = asked[0]["code"].as_str().unwrap().to_owned();
        person.run(&["--json", "deny", &code]).exits(0).json()
    })
    .await;
    assert_eq!(code(broker.call(&key, deleting()).await), "policy_denied");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_not_allowed_without_the_pin_or_over_the_plain_socket() {
    let (world, broker, key) = asked_each_time().await;
    assert_eq!(
        code(broker.call(&key, deleting()).await),
        "approval_pending"
    );
    let asked = broker.handle.questions().await.unwrap().remove(0);
    let person = Arc::clone(&world);
    let code_of_it = asked.code.clone();
    off(move || {
        // No terminal, no answer.
        let refused = person
            .run(&["--json", "approve", &code_of_it])
            .exits(4)
            .json();
        assert_eq!(refused["error"]["code"], "no_terminal");
        refused
    })
    .await;
    let window = broker
        .handle
        .allow_call(asked.code, true, Proof::Window)
        .await;
    assert_eq!(code(window), "pin_required");
    assert_eq!(
        code(broker.call(&key, deleting()).await),
        "approval_pending"
    );
    broker.stop().await;
}

#[test]
fn a_pattern_that_cannot_be_read_is_refused_in_its_own_words() {
    let world = World::new();
    let flags = [
        "agents",
        "add",
        "a",
        "--connection",
        "fastio",
        "--door",
        "proxy",
    ];
    for (flag, value, why) in [
        ("--ask", "POST", "it needs a method, or `*`, and a path"),
        ("--deny", "tool storage(action", "its bracket is not closed"),
        (
            "--tool",
            "storage(action)",
            "an argument stands as `name=value`",
        ),
        ("--method", "get", "methods stand in capitals"),
        (
            "--path",
            "workspace",
            "its path does not begin with a slash",
        ),
        ("--path", "/a/../b", "it holds a segment of dots"),
    ] {
        let refused = world.run(&[&flags[..], &[flag, value]].concat()).exits(2);
        assert!(refused.stderr().contains(why), "{}", refused.stderr());
    }
}
