//! `doorward mcp`, before a door that a test plays: what goes in as lines comes out at `/mcp/NAME`, and back.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::world::World;

/// What came to the door.
#[derive(Clone, Debug)]
struct Seen {
    method: String,
    path: String,
    head: String,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn says(&self, text: &str) -> bool {
        self.body.contains(text)
    }
}

/// A door that answers as a script says: the head after the status, and the body.
struct Door {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Door {
    fn open(script: impl Fn(&Seen) -> String + Send + Sync + 'static) -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    fn at(listener: TcpListener, script: impl Fn(&Seen) -> String + Send + Sync + 'static) -> Self {
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (noted, script) = (Arc::clone(&seen), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (noted, script) = (Arc::clone(&noted), Arc::clone(&script));
                std::thread::spawn(move || {
                    let (Some(asked), mut stream) = read(stream) else {
                        return;
                    };
                    let answer = script(&asked);
                    noted.lock().unwrap().push(asked);
                    // A bridge that was ended reads nothing more.
                    let _unread = stream.write_all(answer.as_bytes());
                });
            }
        });
        Self { port, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn posts(&self) -> Vec<Seen> {
        let mut seen = self.seen();
        seen.retain(|seen| seen.method == "POST");
        seen
    }
}

fn read(stream: TcpStream) -> (Option<Seen>, TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return (None, reader.into_inner());
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut first = head.split(' ');
    let (method, path) = (
        first.next().unwrap().to_owned(),
        first.next().unwrap().to_owned(),
    );
    let mut seen = Seen {
        method,
        path,
        head,
        body: String::new(),
    };
    let length = seen
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    seen.body = String::from_utf8(body).unwrap();
    (Some(seen), reader.into_inner())
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

fn document(body: &Value) -> String {
    answer(
        "200 OK",
        "Content-Type: application/json\r\n",
        &body.to_string(),
    )
}

/// What a server with sessions says at the beginning; nothing where it is something else.
fn beginning(seen: &Seen, session: &str) -> Option<String> {
    if seen.method == "GET" {
        return Some(answer("405 Method Not Allowed", "", ""));
    }
    if seen.says("\"initialize\"") {
        let headers = format!("Content-Type: application/json\r\nMcp-Session-Id: {session}\r\n");
        let body =
            json!({ "jsonrpc": "2.0", "id": 1, "result": { "protocolVersion": "2025-11-25" } });
        return Some(answer("200 OK", &headers, &body.to_string()));
    }
    let wants_none = !seen.says("\"id\"") || seen.says("\"result\"");
    (seen.method == "DELETE" || wants_none).then(|| answer("202 Accepted", "", ""))
}

/// A bridge that a test speaks to.
struct Bridge {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Bridge {
    fn start(world: &World, url: &str, key: Option<&str>) -> Self {
        let mut command = world.doorward(&["mcp", "--connection", "fastio"]);
        command.env("DOORWARD_URL", url);
        if let Some(key) = key {
            command.env("DOORWARD_KEY", key);
        }
        let errors = std::fs::File::create(world.path("bridge.err")).unwrap();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn to(world: &World, door: &Door) -> Self {
        let url = format!("http://127.0.0.1:{}", door.port);
        Self::start(world, &url, Some(&key()))
    }

    fn say(&mut self, message: &Value) {
        writeln!(self.input.as_mut().unwrap(), "{message}").unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn begin(&mut self) {
        self.say(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "x", "version": "1" },
        } }));
        assert_eq!(self.hear()["result"]["protocolVersion"], "2025-11-25");
        self.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    }

    fn call(&mut self, id: u32) -> Value {
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "find" } }));
        self.hear()
    }

    /// Closes its input and waits for its end.
    fn end(mut self) -> i32 {
        drop(self.input.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "nothing but answers");
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn key() -> String {
    format!("dwk_{}", "A".repeat(43))
}

fn result(id: u32) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": { "content": [] } })
}

#[test]
fn a_client_on_standard_input_has_a_session_and_ends_it() {
    let world = World::new();
    let door = Door::open(|seen| {
        beginning(seen, "s1").unwrap_or_else(|| {
            let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress" });
            let asks = json!({ "jsonrpc": "2.0", "id": "q", "method": "sampling/createMessage" });
            let stream = format!(
                "id: 1\ndata:\n\ndata: {progress}\n\ndata: {asks}\n\ndata: {}\n\n",
                result(2)
            );
            answer("200 OK", "Content-Type: text/event-stream\r\n", &stream)
        })
    });
    let mut bridge = Bridge::to(&world, &door);
    bridge.begin();
    assert_eq!(bridge.call(2)["method"], "notifications/progress");
    assert_eq!(bridge.hear()["method"], "sampling/createMessage");
    assert_eq!(bridge.hear()["id"], 2);
    bridge.say(&json!({ "jsonrpc": "2.0", "id": "q", "result": {} }));
    assert_eq!(bridge.end(), 0);

    let seen = door.seen();
    let posts = door.posts();
    assert!(seen.iter().all(|seen| seen.path == "/mcp/fastio"));
    assert!(
        seen.iter()
            .all(|seen| seen.header("authorization") == Some(&format!("Bearer {}", key())))
    );
    assert_eq!(posts[0].header("mcp-session-id"), None);
    assert_eq!(posts[2].header("mcp-session-id"), Some("s1"));
    assert_eq!(posts[2].header("mcp-protocol-version"), Some("2025-11-25"));
    assert!(
        posts[3].says("\"result\""),
        "the client's answer reached the server"
    );
    let end = seen.last().unwrap();
    assert_eq!(
        (end.method.as_str(), end.header("mcp-session-id")),
        ("DELETE", Some("s1"))
    );
}

#[test]
fn a_session_that_has_ended_is_begun_again_and_the_call_is_sent_once_more() {
    let world = World::new();
    let begun = Mutex::new(0);
    let door = Door::open(move |seen| {
        if seen.says("\"initialize\"") {
            *begun.lock().unwrap() += 1;
        }
        let session = format!("s{}", begun.lock().unwrap());
        beginning(seen, &session).unwrap_or_else(|| {
            if seen.header("mcp-session-id") == Some("s1") {
                answer("404 Not Found", "", "")
            } else {
                document(&result(2))
            }
        })
    });
    let mut bridge = Bridge::to(&world, &door);
    bridge.begin();
    assert_eq!(bridge.call(2), result(2), "the client does not notice");
    assert_eq!(bridge.end(), 0);
    let calls: Vec<_> = door
        .posts()
        .into_iter()
        .filter(|seen| seen.says("tools/call"))
        .collect();
    let sessions: Vec<_> = calls
        .iter()
        .map(|seen| seen.header("mcp-session-id"))
        .collect();
    assert_eq!(sessions, [Some("s1"), Some("s2")]);
}

#[test]
fn an_answer_whose_stream_breaks_off_is_asked_for_again_and_never_sent_again() {
    let world = World::new();
    let door = Door::open(|seen| {
        let stream = |text: &str| answer("200 OK", "Content-Type: text/event-stream\r\n", text);
        if seen.method == "GET" && seen.header("last-event-id") == Some("5") {
            return stream(&format!("id: 6\ndata: {}\n\n", result(2)));
        }
        beginning(seen, "s1").unwrap_or_else(|| stream("id: 5\nretry: 10\ndata:\n\n"))
    });
    let mut bridge = Bridge::to(&world, &door);
    bridge.begin();
    assert_eq!(bridge.call(2), result(2));
    assert_eq!(bridge.end(), 0);
    let calls = door
        .posts()
        .into_iter()
        .filter(|seen| seen.says("tools/call"));
    assert_eq!(calls.count(), 1);
}

#[test]
fn a_refusal_of_doorward_is_an_error_of_the_protocol_with_its_code() {
    let world = World::new();
    let door = Door::open(|_| {
        let problem = json!({ "code": "connection_unknown", "detail": "No such connection.", "hint": "List them." });
        answer(
            "404 Not Found",
            "Content-Type: application/problem+json\r\n",
            &problem.to_string(),
        )
    });
    let mut bridge = Bridge::to(&world, &door);
    let refused = bridge.call(3);
    assert_eq!(
        (refused["id"].as_u64(), refused["error"]["code"].as_i64()),
        (Some(3), Some(-32010))
    );
    assert_eq!(refused["error"]["data"]["code"], "connection_unknown");
    assert_eq!(bridge.end(), 0);
}

#[test]
fn without_a_key_the_first_request_is_told_why_and_the_command_ends() {
    let world = World::new();
    let door = Door::open(|_| document(&result(1)));
    let mut bridge = Bridge::start(&world, &format!("http://127.0.0.1:{}", door.port), None);
    let refused = bridge.call(1);
    assert_eq!(refused["error"]["data"]["code"], "unauthenticated");
    assert_eq!(bridge.end(), 5);
    assert!(door.seen().is_empty());
    let said = std::fs::read_to_string(world.path("bridge.err")).unwrap();
    assert!(said.contains("No agent key was given"), "{said}");
}

#[test]
fn a_doorward_that_comes_back_is_found_again() {
    let world = World::new();
    // A port that nobody listens at, for now.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut bridge = Bridge::start(&world, &format!("http://{address}"), Some(&key()));
    let refused = bridge.call(1);
    assert_eq!(refused["error"]["data"]["code"], "not_running");
    let door = Door::at(TcpListener::bind(address).unwrap(), |_| {
        document(&result(2))
    });
    assert_eq!(bridge.call(2), result(2));
    assert_eq!(bridge.end(), 0);
    assert_eq!(door.posts().len(), 1, "what was refused was not sent later");
}

#[test]
fn the_newest_protocol_has_no_session_and_repeats_itself_in_headers() {
    let world = World::new();
    let door = Door::open(|_| document(&result(1)));
    let mut bridge = Bridge::to(&world, &door);
    bridge.say(
        &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "find", "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28" },
    } }),
    );
    assert_eq!(bridge.hear(), result(1));
    assert_eq!(bridge.end(), 0);
    let seen = door.seen();
    assert_eq!(seen.len(), 1, "no session, so none to end");
    assert_eq!(seen[0].header("mcp-method"), Some("tools/call"));
    assert_eq!(seen[0].header("mcp-name"), Some("find"));
    assert_eq!(seen[0].header("mcp-protocol-version"), Some("2026-07-28"));
}

/// A request of the newest protocol.
fn newest(id: u32, method: &str, params: &Value) -> Value {
    let mut params = params.clone();
    params["_meta"] =
        json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "progressToken": id });
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn run(id: u32, region: &str) -> Value {
    newest(
        id,
        "tools/call",
        &json!({ "name": "run", "arguments": { "region": region } }),
    )
}

fn tools(id: &Value, schema: &Value, cursor: Option<&str>) -> Value {
    let tool = json!({ "name": "run", "inputSchema": { "properties": { "region": schema } } });
    let other = json!({ "name": "other", "inputSchema": { "type": "object" } });
    let mut result = json!({ "tools": [other, tool] });
    if let Some(cursor) = cursor {
        result = json!({ "tools": [other], "nextCursor": cursor });
    }
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

#[test]
fn arguments_that_a_list_has_marked_are_repeated_in_headers() {
    let world = World::new();
    let door = Door::open(|seen| {
        if seen.says("tools/list") {
            let marked = json!({ "type": "string", "x-mcp-header": "Region" });
            let list = tools(&json!(1), &marked, None);
            let stream = format!("data: {list}\n\n");
            return answer("200 OK", "Content-Type: text/event-stream\r\n", &stream);
        }
        document(&result(2))
    });
    let mut bridge = Bridge::to(&world, &door);
    bridge.say(&newest(1, "tools/list", &json!({})));
    assert_eq!(bridge.hear()["result"]["tools"][1]["name"], "run");
    bridge.say(&run(2, "Århus"));
    assert_eq!(bridge.hear(), result(2));
    bridge.say(&run(2, "north"));
    assert_eq!(bridge.hear(), result(2));
    assert_eq!(bridge.end(), 0);
    let seen = door.seen();
    assert_eq!(seen[0].header("mcp-param-region"), None);
    assert_eq!(
        seen[1].header("mcp-param-region"),
        Some("=?base64?w4VyaHVz?=")
    );
    assert_eq!(seen[2].header("mcp-param-region"), Some("north"));
}

#[test]
fn a_tool_whose_marks_cannot_be_followed_is_left_out_of_the_list_and_that_is_said() {
    let world = World::new();
    let door = Door::open(|_| {
        let unfit = json!({ "type": "number", "x-mcp-header": "Region" });
        document(&tools(&json!(1), &unfit, None))
    });
    let mut bridge = Bridge::to(&world, &door);
    bridge.say(&newest(1, "tools/list", &json!({})));
    let list = bridge.hear();
    assert_eq!(
        list["result"]["tools"].as_array().unwrap().len(),
        1,
        "{list}"
    );
    assert_eq!(list["result"]["tools"][0]["name"], "other");
    assert_eq!(bridge.end(), 0);
    let said = std::fs::read_to_string(world.path("bridge.err")).unwrap();
    assert!(said.contains("`run` is left out of the list"), "{said}");
}

#[test]
fn a_call_that_is_refused_for_its_headers_is_sent_again_with_those_that_a_list_asks_for() {
    let world = World::new();
    let door = Door::open(|seen| {
        let asked: Value = serde_json::from_str(&seen.body).unwrap();
        if seen.says("tools/list") {
            let is_first = asked["params"]["cursor"].is_null();
            let cursor = is_first.then_some("c2");
            let marked = json!({ "type": "string", "x-mcp-header": "Region" });
            return document(&tools(&asked["id"], &marked, cursor));
        }
        if seen.header("mcp-param-region") == Some("north") {
            return document(&result(5));
        }
        let error = json!({ "code": -32020, "message": "`Mcp-Param-Region` is missing." });
        let refused = json!({ "jsonrpc": "2.0", "id": asked["id"], "error": error });
        answer(
            "400 Bad Request",
            "Content-Type: application/json\r\n",
            &refused.to_string(),
        )
    });
    let mut bridge = Bridge::to(&world, &door);
    bridge.say(&run(5, "north"));
    assert_eq!(bridge.hear(), result(5), "the client does not notice");
    // What is refused all the same is refused.
    bridge.say(&run(6, "south"));
    assert_eq!(bridge.hear()["error"]["code"], -32020);
    assert_eq!(bridge.end(), 0);
    let asked: Vec<_> = door
        .posts()
        .iter()
        .map(|seen| seen.header("mcp-method").unwrap().to_owned())
        .collect();
    let (call, list) = ("tools/call", "tools/list");
    assert_eq!(asked, [call, list, list, call, call, list, list]);
    let listing: Value = serde_json::from_str(&door.posts()[1].body).unwrap();
    assert_eq!(
        listing["params"]["_meta"],
        json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" }),
        "in the client's name, and nothing of its progress"
    );
}

#[test]
fn a_request_that_the_door_could_not_read_is_answered_by_its_identifier() {
    let world = World::new();
    let door = Door::open(|_| {
        let error = json!({ "code": -32010, "message": "The message is larger than 8 MiB." });
        let nobodys = json!({ "jsonrpc": "2.0", "id": null, "error": error });
        answer(
            "413 Payload Too Large",
            "Content-Type: application/json\r\n",
            &nobodys.to_string(),
        )
    });
    let mut bridge = Bridge::to(&world, &door);
    let refused = bridge.call(3);
    assert_eq!(
        (refused["id"].as_u64(), refused["error"]["code"].as_i64()),
        (Some(3), Some(-32010))
    );
    assert_eq!(bridge.end(), 0);
}
