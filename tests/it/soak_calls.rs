//! Days of work at the doors in bad weather: calls of the API and of MCP tools, with tokens that live for a second,
//! while some are refused, limited, failed or cut off on the way.
//!
//! A call that changes nothing has to succeed, whatever the weather. One that changes something either succeeds, is
//! refused without having been carried out, is passed on as the provider's own failure, or is reported as one whose
//! outcome is not known; and the provider counts that nothing was ever done twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use doorward_e2e::{Consent, Dice, Fault, Kind, Served, World, demo};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Became {
    /// It was answered as it should be.
    Done,
    /// It was refused, and not carried out.
    Refused,
    /// Whether it was carried out is not known, and that was said.
    Unknown,
    /// The provider itself answered that it failed, and that was passed on.
    Passed,
    /// Anything else.
    Failed,
}

/// An agent at both doors.
struct Worker {
    http: Client,
    url: String,
    key: String,
    session: String,
    id: AtomicU64,
}

impl Worker {
    async fn start(served: &Served, key: &str) -> Self {
        let mut worker = Self {
            http: Client::builder().no_proxy().build().expect("a client"),
            url: served.url.trim_end_matches('/').to_owned(),
            key: key.to_owned(),
            session: String::new(),
            id: AtomicU64::new(1),
        };
        let hello = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "soak", "version": "1" },
        });
        let answer = worker
            .mcp(&worker.message("initialize", hello))
            .send()
            .await
            .expect("the door answers");
        let session = answer.headers().get("mcp-session-id");
        let session = session.and_then(|id| id.to_str().ok()).map(str::to_owned);
        let said = answer.text().await.expect("a body");
        worker.session = session.unwrap_or_else(|| panic!("no session: {said}"));
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let answer = worker.mcp(&ready).send().await.expect("the door answers");
        assert_eq!(answer.status(), 202);
        worker
    }

    fn message(&self, method: &str, params: Value) -> Value {
        let id = self.id.fetch_add(1, Ordering::Relaxed);
        let mut message = json!({ "jsonrpc": "2.0", "id": id, "method": method });
        message["params"] = params;
        message
    }

    fn mcp(&self, message: &Value) -> RequestBuilder {
        let asking = self
            .http
            .post(format!("{}/mcp/fastio", self.url))
            .bearer_auth(&self.key)
            .header("Accept", "application/json, text/event-stream")
            .header("Prefer", "wait=60")
            .json(message);
        if self.session.is_empty() {
            asking
        } else {
            asking
                .header("Mcp-Session-Id", &self.session)
                .header("MCP-Protocol-Version", "2025-11-25")
        }
    }

    /// Calls a tool.
    async fn tool(&self, arguments: Value) -> (Became, String) {
        let call = json!({ "name": "storage", "arguments": arguments });
        let message = self.message("tools/call", call);
        let Ok(answer) = self.mcp(&message).send().await else {
            return (Became::Failed, "no answer".to_owned());
        };
        let status = answer.status().as_u16();
        let Ok(text) = answer.text().await else {
            return (Became::Failed, "half an answer".to_owned());
        };
        if is_the_providers_own(status, &text) {
            return (Became::Passed, text);
        }
        let found = replies(&text).find(|reply| reply["id"] == message["id"]);
        let Some(reply) = found else {
            return (Became::Failed, format!("{status} {text}"));
        };
        let data = &reply["error"]["data"];
        let became = if reply["result"].is_object() && reply["result"]["isError"] != true {
            Became::Done
        } else if data["outcome"] == "unknown" {
            Became::Unknown
        } else if data["code"].is_string() {
            Became::Refused
        } else {
            Became::Failed
        };
        (became, text)
    }

    fn api(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(&self.key).header("Prefer", "wait=60")
    }

    /// Calls the API.
    async fn rest(&self, request: RequestBuilder) -> (Became, String) {
        let Ok(answer) = self.api(request).send().await else {
            return (Became::Failed, "no answer".to_owned());
        };
        let status = answer.status().as_u16();
        let Ok(text) = answer.text().await else {
            return (Became::Failed, "half an answer".to_owned());
        };
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let became = if status == 200 && body["result"] == true {
            Became::Done
        } else if body["outcome"] == "unknown" {
            Became::Unknown
        } else if body["code"].is_string() {
            Became::Refused
        } else if is_the_providers_own(status, &text) {
            Became::Passed
        } else {
            Became::Failed
        };
        (became, format!("{status} {text}"))
    }

    fn at(&self, path: &str) -> String {
        format!(
            "{}/proxy/fastio/workspace/{}/{path}",
            self.url,
            demo::WEBSITE
        )
    }
}

/// The messages of an answer, whether it is one or a stream of them.
fn replies(text: &str) -> impl Iterator<Item = Value> {
    let lines = text.lines();
    lines.filter_map(|line| serde_json::from_str(line.strip_prefix("data:").unwrap_or(line)).ok())
}

/// Whether the provider itself says that it failed.
fn is_the_providers_own(status: u16, text: &str) -> bool {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    (500..600).contains(&status) && body["result"] == false && body["error"]["code"].is_number()
}

/// What a soak has seen.
#[derive(Default)]
struct Seen {
    /// How many calls that change nothing became what.
    reads: BTreeMap<Became, u64>,
    /// What became of each folder that was to be made.
    folders: BTreeMap<String, Became>,
    /// What went wrong, as it was said.
    wrong: Vec<String>,
}

async fn work(worker: Arc<Worker>, name: String, mut dice: Dice, calls: u64) -> Seen {
    let mut seen = Seen::default();
    for number in 0..calls {
        let folder = format!("{name}-{number}");
        let makes = json!({
            "action": "create-folder",
            "profile_type": "workspace",
            "profile_id": demo::WEBSITE,
            "node_id": "root",
            "name": folder,
        });
        let lists = json!({ "action": "list", "profile_type": "workspace", "profile_id": demo::WEBSITE, "node_id": "root" });
        let (is_read, (became, said)) = match dice.below(6) {
            0 | 1 => (
                true,
                worker.rest(worker.http.get(worker.at("details/"))).await,
            ),
            2 => (true, worker.tool(lists).await),
            3 => {
                let url = worker.at("storage/root/list/?page_size=100");
                (true, worker.rest(worker.http.get(url)).await)
            }
            4 => {
                let url = worker.at("storage/root/createfolder/");
                let making = worker.http.post(url).form(&[("name", &folder)]);
                (false, worker.rest(making).await)
            }
            _ => (false, worker.tool(makes).await),
        };
        let is_wrong = became == Became::Failed || (is_read && became != Became::Done);
        if is_wrong {
            seen.wrong.push(format!("{folder} {became:?}: {said}"));
        }
        if is_read {
            *seen.reads.entry(became).or_default() += 1;
        } else {
            seen.folders.insert(folder, became);
        }
    }
    seen
}

/// Two in a hundred go wrong, in every way there is, at the API and at the MCP server.
fn begin_bad_weather(world: &World) {
    for kind in [Kind::Api, Kind::Mcp] {
        let on = || Fault::on(kind).per_mille(3);
        world.sim.queue_fault(on().token_refused());
        world
            .sim
            .queue_fault(on().status(429).header("Retry-After", "1"));
        world.sim.queue_fault(on().status(502));
        world.sim.queue_fault(on().status(503));
        world.sim.queue_fault(on().close_socket());
        world.sim.queue_fault(on().drop_response_after_commit());
        world
            .sim
            .queue_fault(Fault::on(kind).per_mille(2).status(504));
    }
}

#[expect(clippy::print_stdout, reason = "a soak tells what it has seen")]
async fn soak(calls: u64) {
    const WORKERS: u64 = 8;
    let world = World::builder()
        .knobs(|knobs| {
            knobs.access_token_lifetime_s = 1;
            knobs.api_limit_per_minute = u32::MAX;
        })
        .build()
        .await;
    let served = world.serve().await;
    world.set_pin().await;
    world.connect(&[], &Consent::everything()).await;
    let mut dice = Dice::from_variable("DOORWARD_SOAK_SEED");
    let seed = dice.seed();
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        let agent = world
            .pair(&format!("Worker {number}"), "fastio:proxy")
            .await;
        workers.push(Arc::new(Worker::start(&served, &agent.key).await));
    }
    world.sim.reset_effects();
    begin_bad_weather(&world);
    let mut tasks = tokio::task::JoinSet::new();
    for (number, worker) in workers.iter().enumerate() {
        let name = format!("soak-{number}");
        tasks.spawn(work(
            Arc::clone(worker),
            name,
            dice.split(),
            calls / WORKERS,
        ));
    }
    let mut all = Seen::default();
    while let Some(ended) = tasks.join_next().await {
        let told = ended.expect("no worker panics");
        for (became, count) in told.reads {
            *all.reads.entry(became).or_default() += count;
        }
        all.folders.extend(told.folders);
        all.wrong.extend(told.wrong);
    }
    world.sim.clear_faults();
    let wrong = all.wrong.len();
    assert!(
        all.wrong.is_empty(),
        "seed {seed}, {wrong} wrong:\n{}",
        all.wrong.join("\n")
    );
    nothing_was_done_twice(&world, &all, seed);
    let refreshes = world.sim.counts().of(Kind::TokenRefresh);
    let became = |wanted| all.folders.values().filter(|own| **own == wanted).count();
    println!(
        "soak: seed {seed}: {:?} of calls that change nothing; of others {} done, {} refused, {} unknown, {} failed at the provider; {refreshes} refreshes",
        all.reads,
        became(Became::Done),
        became(Became::Refused),
        became(Became::Unknown),
        became(Became::Passed),
    );
    world.verify_audit().await;
    served.stop().await.done();
}

/// The provider's own count of what was made, against what the agents were told.
fn nothing_was_done_twice(world: &World, told: &Seen, seed: u64) {
    let effects = world.sim.effects();
    let made = |folder: &str| -> u64 {
        let end = format!("/{folder}");
        let own = effects.iter().filter(|(what, _)| what.ends_with(&end));
        own.map(|(_, count)| count).sum()
    };
    for (folder, became) in &told.folders {
        let count = made(folder);
        let is_right = match became {
            Became::Done => count == 1,
            Became::Refused => count == 0,
            Became::Unknown | Became::Passed => count <= 1,
            Became::Failed => false,
        };
        assert!(
            is_right,
            "seed {seed}: {folder} is {became:?} and was made {count} times"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_calls_in_bad_weather_fail_no_reader_and_do_nothing_twice() {
    soak(2_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak: ten thousand calls take minutes"]
async fn soak_of_ten_thousand_calls_in_bad_weather() {
    soak(10_000).await;
}
