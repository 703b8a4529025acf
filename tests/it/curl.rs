//! curl at the proxy door: what arrives behind it, and what comes back, is what it would be without the door.

use std::path::Path;

use doorward_e2e::{Fetched, NodePeer, curl};
use serde_json::Value;

use crate::oidc_provider::{Connected, connected_with};

const TOKEN: &str = "a-token-of-nobody";

/// An API behind the door of a connection: its address, and the same through the door.
async fn behind_the_door() -> (NodePeer, Connected, String) {
    let echo = NodePeer::start("echo-server.mjs", &[]).await;
    let api = format!("api = \"{}/\"\n", echo.at("url"));
    let connected = connected_with(&[], &api, "oidc:proxy").await;
    let door = format!("{}/proxy/oidc", connected.2.url);
    (echo, connected, door)
}

/// Belongs to one connection and not to the message, is another server's own, or is what the door adds to every answer.
const OF_THE_HOP: [&str; 5] = [
    "connection",
    "keep-alive",
    "date",
    "transfer-encoding",
    "x-content-type-options",
];

/// An answer without what may differ, and with what the API says it saw made comparable in the same way.
fn comparable(mut fetched: Fetched) -> (Fetched, Value) {
    let mut seen = fetched.json();
    if let Some(headers) = seen["headers"].as_object_mut() {
        // The door's work; whether they are right is told apart from this. It answers 100-continue by itself.
        for name in ["authorization", "host", "connection", "expect"] {
            headers.remove(name);
        }
        fetched.body.clear();
        fetched.headers.retain(|(name, _)| name != "content-length");
    }
    fetched
        .headers
        .retain(|(name, _)| !OF_THE_HOP.contains(&name.as_str()));
    fetched.headers.sort();
    // Where only heads were asked for, curl takes the head for the body.
    if fetched.body.starts_with(b"HTTP/") {
        fetched.body.clear();
    }
    (fetched, seen)
}

/// An answer as a failure shows it: of a body the length and the beginning.
fn shown((fetched, seen): &(Fetched, Value)) -> String {
    let beginning = &fetched.body[..fetched.body.len().min(40)];
    let Fetched {
        statuses,
        headers,
        body,
        uploaded,
    } = fetched;
    let beginning = String::from_utf8_lossy(beginning);
    format!(
        "{statuses:?} {headers:?} {} bytes {beginning:?}, {uploaded} up; {seen}",
        body.len()
    )
}

struct Case {
    path: &'static str,
    flags: Vec<String>,
}

fn case(path: &'static str, flags: &[&str]) -> Case {
    let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    Case { path, flags }
}

/// Uploads: by file and by stream, announced or not, as a form with a file in it.
fn uploads(file: &str) -> Vec<Case> {
    let (sent, chunked) = (format!("@{file}"), "Transfer-Encoding: chunked");
    let form = "Content-Type: multipart/form-data; boundary=edge";
    vec![
        case("/echo/put", &["--upload-file", file]),
        case("/echo/put", &["--upload-file", file, "--header", chunked]),
        case(
            "/echo/post",
            &["--data-binary", &sent, "--header", "Expect:"],
        ),
        case(
            "/echo/slow",
            &["--upload-file", file, "--header", "Expect: 100-continue"],
        ),
        case("/echo/form", &["--data-binary", &sent, "--header", form]),
        case("/echo/old", &["--http1.0", "--upload-file", file]),
    ]
}

/// Methods and small bodies, of the kinds that clients of Fast.io send.
fn methods() -> Vec<Case> {
    vec![
        case("/echo/", &[]),
        case("/echo/", &["--request", "DELETE"]),
        case(
            "/echo/lock/",
            &["--request", "DELETE", "--data", "lock_token=LT"],
        ),
        case(
            "/echo/one/",
            &["--request", "PATCH", "--data", "device_name=d&agent_name=a"],
        ),
        case(
            "/echo/two/",
            &["--request", "PUT", "--json", "{\"a\":[1,2]}"],
        ),
        case("/echo/empty/", &["--request", "POST"]),
        case("/echo/empty/", &["--data", ""]),
        case("/echo/options/", &["--request", "OPTIONS"]),
        case(
            "/echo/rare/",
            &["--request", "PROPFIND", "--header", "Depth: 1"],
        ),
        case("/bytes/1000", &["--head"]),
        case("/status/204", &[]),
        case("/status/304", &["--header", "If-None-Match: \"x\""]),
        case("/status/404", &[]),
        case("/status/503", &["--request", "POST", "--data", "x=1"]),
    ]
}

/// Targets and headers as odd as they may be.
fn oddities() -> Vec<Case> {
    vec![
        case("/echo/a%20b/%C3%A4;v=1/~x/+y/@:!$&'()*,=", &[]),
        case("/echo/q?a=1&a=2&b=%2F%2E%2E&c=+%2B&d&=e", &[]),
        case("/echo/q?", &[]),
        case(
            "/echo/h",
            &[
                "--header", "X-Empty;", "--header", "X-Two: 1", "--header", "X-Two: 2",
            ],
        ),
        case(
            "/echo/h",
            &[
                "--header",
                "Accept-Encoding: br;q=0.1, zstd",
                "--user-agent",
                "odd/1 (x; y)",
            ],
        ),
        case(
            "/echo/h",
            &["--header", "TE: trailers", "--header", "X-Ve-Password: p"],
        ),
        case("/gzip", &[]),
        case("/gzip", &["--compressed"]),
        case("/trailers", &["--header", "TE: trailers"]),
    ]
}

fn ranges() -> Vec<Case> {
    let validated = "If-Range: \"of-these-bytes\"";
    vec![
        case("/bytes/100000", &[]),
        case("/bytes/100000", &["--range", "100-199"]),
        case("/bytes/100000", &["--range", "-5"]),
        case("/bytes/100000", &["--range", "99990-"]),
        case("/bytes/100000", &["--range", "0-0,50-59"]),
        case("/bytes/100000", &["--range", "200000-"]),
        case(
            "/bytes/100000",
            &["--range", "10-19", "--header", validated],
        ),
        case(
            "/bytes/100000",
            &["--range", "10-19", "--header", "If-Range: \"others\""],
        ),
        case("/bytes/100000", &["--head", "--range", "10-19"]),
        case("/bytes/0", &[]),
    ]
}

async fn arrive_as_they_are(cases: Vec<Case>, echo: &NodePeer, connected: &Connected, door: &str) {
    let mut wrong = Vec::new();
    for Case { path, flags } in cases {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let alone = curl(&format!("{}{path}", echo.at("url")), TOKEN, &flags).await;
        let behind = curl(&format!("{door}{path}"), &connected.3.key, &flags).await;
        let (alone, behind) = (comparable(alone), comparable(behind));
        if alone != behind {
            wrong.push(format!(
                "{path} {flags:?}\n  alone  {}\n  behind {}",
                shown(&alone),
                shown(&behind)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn file_of(folder: &Path, length: usize) -> String {
    let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
    let path = folder.join("upload");
    std::fs::write(&path, bytes).expect("it can be written");
    path.to_string_lossy().into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_arrive_as_they_were_sent() {
    let (echo, connected, door) = behind_the_door().await;
    let file = file_of(connected.1.folder(), 3_000_000);
    arrive_as_they_are(uploads(&file), &echo, &connected, &door).await;
    connected.2.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_targets_and_headers_arrive_as_they_were_sent() {
    let (echo, connected, door) = behind_the_door().await;
    let cases = methods().into_iter().chain(oddities()).collect();
    arrive_as_they_are(cases, &echo, &connected, &door).await;
    connected.2.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_come_back_as_they_were_asked_for() {
    let (echo, connected, door) = behind_the_door().await;
    arrive_as_they_are(ranges(), &echo, &connected, &door).await;
    connected.2.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_the_door_refuses_is_never_sent() {
    let (_echo, connected, door) = behind_the_door().await;
    let (_, world, served, agent) = connected;
    let file = file_of(world.folder(), 3_000_000);
    let expects = ["--upload-file", &file, "--header", "Expect: 100-continue"];
    let strange = curl(&format!("{door}/echo/"), "dwk_nobody", &expects).await;
    assert_eq!((strange.statuses, strange.uploaded), (vec![401], 0));
    let taken = curl(&format!("{door}/echo/"), &agent.key, &expects).await;
    assert_eq!(
        (&taken.statuses[..], taken.uploaded),
        (&[100, 200][..], 3_000_000)
    );
    // What the API refuses comes back as its own answer, whether or not it waited for the body.
    let refused = curl(&format!("{door}/refuse"), &agent.key, &expects).await;
    assert_eq!(
        (refused.statuses.last(), &refused.body[..]),
        (Some(&413), &b"too much"[..])
    );
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_credential_goes_in_and_only_the_answer_comes_out() {
    let (echo, connected, door) = behind_the_door().await;
    let (peer, _world, served, agent) = connected;
    let cookie = [
        "--header",
        "Cookie: session=1",
        "--header",
        "Proxy-Authorization: Basic eDp5",
    ];
    let seen = curl(&format!("{door}/echo/"), &agent.key, &cookie)
        .await
        .json();
    let headers = &seen["headers"];
    let shown = headers["authorization"].as_str().unwrap_or_default();
    let token = shown.strip_prefix("Bearer ").expect("a bearer");
    assert_eq!(
        peer.whoami(token).await.0,
        200,
        "the connection's own token"
    );
    let authority = echo.at("url").trim_start_matches("http://");
    assert_eq!(headers["host"], authority);
    assert_eq!(
        (&headers["cookie"], &headers["proxy-authorization"]),
        (&Value::Null, &Value::Null)
    );
    assert!(!seen.to_string().contains(&agent.key), "{seen}");
    let answer = curl(&format!("{door}/cookie"), &agent.key, &[]).await;
    assert_eq!(
        (answer.statuses[0], answer.header("set-cookie")),
        (200, None)
    );

    // A redirect to elsewhere is the agent's to follow, and one within leads through the door.
    let away = curl(
        &format!("{door}/redirect?to=https://elsewhere.example/x"),
        &agent.key,
        &[],
    )
    .await;
    assert_eq!(away.header("location"), Some("https://elsewhere.example/x"));
    let within = curl(
        &format!("{door}/redirect?to=/echo/there"),
        &agent.key,
        &["--location"],
    )
    .await;
    assert_eq!(within.json()["url"], "/echo/there");
    served.stop().await.done();
}
