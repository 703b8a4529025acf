//! What a hostile or broken program sends to the doors, and what becomes of it.
//!
//! Each request of the corpus is written byte for byte. Whatever the answer, three things hold every time: nothing
//! reaches another origin than the connection's own; what reaches the provider is below its base, is one request and
//! carries the connection's credential at most once; and no agent key ever leaves the machine.

mod api;
mod corpus;
mod framing;
mod mcp;

use std::time::Duration;

use doorward_e2e::recorder::{Recorded, Recorder, answer};
use doorward_e2e::{Agent, Consent, Served, World};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use self::corpus::{Case, Expected};

/// A world whose provider's API is a recorder, beside another origin that nothing may reach.
struct Scene {
    world: World,
    served: Served,
    agent: Agent,
    provider: Recorder,
    elsewhere: Recorder,
}

/// What the provider answers: by the last segment of the path.
fn provided(request: &Recorded, elsewhere: &str) -> String {
    let target = request.target();
    let path = target.split('?').next().unwrap_or_default();
    let (_, last) = path
        .trim_end_matches('/')
        .rsplit_once('/')
        .unwrap_or_default();
    match last {
        "redirect-301" | "redirect-302" | "redirect-303" | "redirect-307" | "redirect-308" => {
            let status = last[9..].parse().expect("a status");
            answer(status, &format!("location: {elsewhere}/stolen\r\n"), "")
        }
        "redirect-relative" => {
            let host = elsewhere.trim_start_matches("http:");
            answer(302, &format!("location: {host}/stolen\r\n"), "")
        }
        "greedy" => answer(
            401,
            "set-cookie: a=b\r\nwww-authenticate: Bearer realm=\"evil\"\r\naccess-control-allow-origin: *\r\n\
             alt-svc: h2=\":1\"\r\n",
            "{\"error\":{\"code\":10545}}",
        ),
        "mcp" => answer(
            200,
            "content-type: application/json\r\n",
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}",
        ),
        _ => answer(
            200,
            "content-type: application/json\r\n",
            "{\"result\":true}",
        ),
    }
}

fn manifest(sim: &str, provider: &str) -> String {
    format!(
        r#"
name = "recorded"
title = "The recorder"
base = "{sim}"
authorization_endpoint = "/current/oauth/authorize/"
token_endpoint = "/current/oauth/token/"
revocation_endpoint = "/current/oauth/revoke/"
registration_endpoint = "/current/oauth/register/"
check = "/current/user/auth/check/"
account = "/current/user/me/details/"
scope_parameters = ["scope_type", "scope"]
default_scope = "workspace"
api = "{provider}/current/"

[door]
mcp = "{provider}/mcp"
sse = "{provider}/sse"
bases = [{{ prefix = "api/websocket/", address = "{provider}/api/websocket/", keyed = false }}]
credentials = [
    "* /oauth/", "* /user/auth/$", "* /user/auth/key/", "* /user/auth/keys/", "* /user/auth/sign-out/",
    "tool auth(action!=status|check|describe)",
]
code_tools = [{{ tool = "execute", method = "method", path = "path" }}]
"#
    )
}

impl Scene {
    async fn set() -> Self {
        let elsewhere = Recorder::start(|_| answer(200, "", "gotcha")).await;
        let origin = elsewhere.origin();
        let provider = Recorder::start(move |request| provided(request, &origin)).await;
        let world = World::new().await;
        let served = world.serve().await;
        world.set_pin().await;
        let folder = world.folder().join("config/doorward/providers");
        std::fs::create_dir_all(&folder).expect("it can be made");
        let text = manifest(world.sim.base_url(), &provider.origin());
        std::fs::write(folder.join("recorded.toml"), text).expect("it can be written");
        let process = world.start(&["--json", "connect", "recorded", "--no-browser"]);
        let line = process.line().await;
        let started: Value = serde_json::from_str(&line).unwrap_or_default();
        let url = started["url"].as_str();
        let url = url.unwrap_or_else(|| panic!("{line}{}", process.said()));
        world.consent(url, &Consent::everything()).await;
        process.ended().await.done();
        let agent = world.pair("Hostile", "recorded:proxy").await;
        provider.take();
        Self {
            world,
            served,
            agent,
            provider,
            elsewhere,
        }
    }

    fn address(&self) -> &str {
        self.served
            .url
            .trim_start_matches("http://")
            .trim_end_matches('/')
    }

    /// Writes a request as it is and reads until the other side closes or answers whole.
    async fn send(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address())
            .await
            .expect("it listens");
        // An answer may come, and the connection close, before everything is written.
        let (mut reading, mut writing) = stream.split();
        let write = async {
            let _ = writing.write_all(request).await;
        };
        let read = async {
            let mut bytes = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reading.read(&mut buffer).await {
                bytes.extend_from_slice(&buffer[..count]);
                if is_whole(&bytes) {
                    break;
                }
            }
            bytes
        };
        let both = async { tokio::join!(write, read).1 };
        let bytes = tokio::time::timeout(Duration::from_secs(30), both).await;
        let bytes = bytes.expect("no caller hangs");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn fill(&self, template: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(template);
        // Bytes that are no text stand in no template that has something to fill in.
        if !text.contains("{host}") && !text.contains("{key}") {
            return template.to_vec();
        }
        text.replace("{host}", self.address())
            .replace("{key}", &self.agent.key)
            .replace("{elsewhere}", &self.elsewhere.origin())
            .replace(
                "{elsewhere-host}",
                self.elsewhere.origin().trim_start_matches("http://"),
            )
            .into_bytes()
    }
}

/// Whether an answer with a stated length has arrived.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    length.is_some_and(|length| body.len() >= length.trim().parse().unwrap_or(usize::MAX))
}

fn status_of(answer: &str) -> u16 {
    let status = answer
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5));
    status
        .and_then(|status| status.parse().ok())
        .unwrap_or_default()
}

fn code_of(answer: &str) -> String {
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let json = body.find('{').and_then(|start| {
        let end = body.rfind('}')?;
        serde_json::from_str::<Value>(body.get(start..=end)?).ok()
    });
    let json = json.unwrap_or_default();
    let code = json["code"]
        .as_str()
        .or_else(|| json["error"]["data"]["code"].as_str());
    code.unwrap_or_default().to_owned()
}

/// What is wrong about how one request went; nothing where all is well.
async fn wrong_about(scene: &Scene, case: &Case) -> Option<String> {
    let answer = scene.send(&scene.fill(&case.request)).await;
    let (status, code) = (status_of(&answer), code_of(&answer));
    let reached = scene.provider.take();
    if !scene.elsewhere.take().is_empty() {
        return Some("another origin was reached".to_owned());
    }
    for request in &reached {
        if let Some(wrong) = wrong_upstream(scene, request) {
            return Some(format!("{wrong}: {request:?}"));
        }
    }
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    match &case.expected {
        Expected::Refused(statuses, wanted) => {
            if !reached.is_empty() {
                return Some(format!("the provider was reached: {reached:?}"));
            }
            let is_right = statuses.contains(&status) && (wanted.is_empty() || *wanted == code);
            (!is_right).then(|| format!("{status} {code}, not {statuses:?} {wanted}: {head}"))
        }
        Expected::Passed { statuses, without } => {
            let stripped = |request: &Recorded| {
                request.header("authorization").len() == 1
                    && without.iter().all(|name| request.header(name).is_empty())
            };
            let is_right = statuses.contains(&status) && reached.iter().all(stripped);
            (!is_right || reached.len() != 1)
                .then(|| format!("{status}, and the provider saw {reached:?}: {head}"))
        }
    }
}

fn wrong_upstream(scene: &Scene, request: &Recorded) -> Option<&'static str> {
    let own = scene.provider.origin();
    let text = format!("{request:?}{}", String::from_utf8_lossy(&request.body));
    let target = request.target();
    let path = target.split('?').next().unwrap_or_default();
    let is_below = [
        "/current/",
        "/mcp",
        "/sse",
        "/blob",
        "/file/",
        "/api/websocket/",
    ]
    .iter()
    .any(|base| target.starts_with(base));
    if !request.beyond.is_empty() {
        Some("something was smuggled")
    } else if text.contains("dwk_") {
        Some("an agent key left the machine")
    } else if !is_below || path.contains("..") {
        Some("a request left the base")
    } else if request.header("authorization").len() > 1 {
        Some("two credentials were sent")
    } else if request.header("host") != [own.trim_start_matches("http://")] {
        Some("the host is another one")
    } else if !request.header("cookie").is_empty() {
        Some("cookies were passed on")
    } else {
        None
    }
}

async fn play(cases: Vec<Case>) {
    let scene = Scene::set().await;
    let mut wrong = Vec::new();
    for case in &cases {
        if let Some(why) = wrong_about(&scene, case).await {
            let shown = String::from_utf8_lossy(&case.request);
            let shown: String = shown.chars().take(200).collect();
            wrong.push(format!("{}\n    {shown:?}\n    {why}", case.name));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    // Doorward is well after all of it, and has written down no secret.
    scene.agent.get("/proxy/recorded/after/").await.expect(200);
    scene.world.verify_audit().await;
}

#[test]
fn the_corpus_is_large_and_names_each_request_once() {
    let all: Vec<_> = api::cases()
        .into_iter()
        .chain(framing::cases())
        .chain(mcp::cases())
        .collect();
    let names: std::collections::BTreeSet<_> = all.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), all.len(), "a name stands twice");
    assert!(all.len() >= 150, "{}", all.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_hostile_call_of_the_api_leaves_the_base_or_makes_a_credential() {
    play(api::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_trick_of_framing_gets_past_the_door() {
    play(framing::cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_hostile_mcp_message_gets_past_the_door() {
    play(mcp::cases()).await;
}
