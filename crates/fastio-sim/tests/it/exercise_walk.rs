//! Walks the table of `exercise_table`, byte for byte.
//!
//! The whole table is walked three times, with the parameters in another order each time, and with and
//! without `Content-Length` where there is no body. Each request carries the headers of its row and no
//! others; every answer but those of the token endpoint and of downloads must come in the envelope.

use std::collections::HashMap;

use fastio_sim::{Consent, Fault, Group, LimitForm, demo};
use reqwest::Method;
use serde_json::Value;

use crate::exercise_table::{Ask, Body, Credential, Pairs, ROWS, Step};
use crate::exercises::Cli;
use crate::wire::{Heard, Wire};

const AGENT: &str = "fastio-cli/0.2.13";
const FORM: &str = "application/x-www-form-urlencoded";
/// What the command line sends at a time of a large file.
const PIECE: usize = 4 * 1024 * 1024;
const LARGE: usize = 9_000_000;

/// In which order the parameters of a request are sent, and whether an empty body has a length.
#[derive(Clone, Copy, Debug)]
struct Manner {
    order: Order,
    empty_has_length: bool,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    AsWritten,
    Reversed,
    Turned,
}

/// One walk through the table.
struct Walk {
    cli: Cli,
    manner: Manner,
    memory: HashMap<String, String>,
    last: Option<Heard>,
}

impl Walk {
    async fn new(manner: Manner) -> Self {
        let cli = Cli::new().await;
        let own = cli.world.last_session().session_id;
        cli.world.connect_user().await;
        let file = cli.file().await;
        let create = format!("workspace/{}/create/fileshare/", demo::WEBSITE);
        let made = cli.form(Method::POST, &create, &[("node", &file)]).await;
        let link = made.expect(200).json()["id"].clone();
        let memory = [
            ("token", cli.token.clone()),
            ("own", own),
            ("other", cli.world.last_session().session_id),
            ("file", file),
            ("link", link.as_str().expect("an id").to_owned()),
            ("website", demo::WEBSITE.to_owned()),
            ("studio", demo::STUDIO.to_owned()),
        ];
        let memory = memory.map(|(name, value)| (name.to_owned(), value));
        Self {
            cli,
            manner,
            memory: memory.into(),
            last: None,
        }
    }

    async fn step(&mut self, step: Step) {
        let sim = self.cli.sim();
        match step {
            Step::Ask(ask) => self.ask(ask).await,
            Step::Approve => {
                let start = format!(
                    "{}/connect?auth_request_id={}",
                    sim.base_url(),
                    self.memory["request"]
                );
                let shown = format!("{start}&display_code=true");
                let code = sim.approve(&shown, &Consent::everything()).await;
                self.memory.insert("code".to_owned(), code.expect("a code"));
            }
            Step::UntilAnswered => sim.advance_clock(std::time::Duration::from_secs(1)),
            Step::ShortTokens(short) => sim.change_knobs(|knobs| {
                knobs.access_token_lifetime_s = if short { 1 } else { 3600 };
            }),
            Step::Limit => {
                sim.queue_fault(Fault::on(Group::Any).rate_limit(7, LimitForm::Datetime));
            }
            Step::Outage => sim.queue_fault(Fault::on(Group::Any).status(502).times(2)),
            Step::Clear => {
                let refused = self.last.as_ref().expect("an answer");
                assert_eq!(refused.header("x-ve-limit-avail"), Some("0"));
                let end = refused.header("x-ve-limit-expires").unwrap_or_default();
                assert!(end.ends_with(" UTC"), "{end}");
                sim.clear_faults();
            }
            Step::WasTheFile => {
                let read = self.last.as_ref().expect("an answer");
                assert!(read.body == fastio_sim::pattern(0, LARGE), "not the file");
            }
        }
    }

    async fn ask(&mut self, ask: Ask) {
        let wire = self.wire(ask);
        let heard = wire.send(self.cli.sim().base_url()).await;
        let told = String::from_utf8_lossy(&heard.body[..heard.body.len().min(2000)]).into_owned();
        let what = format!("{} {}: {} {told}", ask.method, wire.target, heard.status);
        assert_eq!(heard.status, ask.status, "{what}");
        self.check_headers(ask, &what);
        if !ask.bare {
            let body = heard.json();
            assert_eq!(body["result"], ask.status == 200, "{what}");
            assert!(body["current_api_version"].is_string(), "{what}");
            assert!(body["server_date"].is_string(), "{what}");
            assert_eq!(body["status"].is_string(), ask.status == 200, "{what}");
        } else if !ask.shows.is_empty() {
            let body = heard.json();
            for enveloped in ["result", "status", "current_api_version", "server_date"] {
                assert_eq!(body.get(enveloped), None, "{what}");
            }
        }
        for (place, wanted) in ask.shows {
            let body = heard.json();
            let shown = body.pointer(&self.filled(place)).map(plain);
            let shown = shown.unwrap_or_else(|| panic!("nothing at {place} in {what}"));
            match *wanted {
                "*" => assert_ne!(shown, "null", "{place} in {what}"),
                wanted => assert_eq!(shown, self.filled(wanted), "{place} in {what}"),
            }
        }
        for (name, place) in ask.keeps {
            let body = heard.json();
            let kept = body.pointer(place).and_then(Value::as_str);
            let kept = kept.unwrap_or_else(|| panic!("nothing at {place} in {what}"));
            self.memory.insert((*name).to_owned(), kept.to_owned());
        }
        self.last = Some(heard);
    }

    fn wire(&self, ask: Ask) -> Wire {
        let mut target = format!("/current/{}", self.filled(ask.path));
        if !ask.query.is_empty() {
            target.push('?');
            target.push_str(&self.encoded(ask.query));
        }
        let mut headers = vec![
            ("User-Agent", AGENT.to_owned()),
            ("Accept", "*/*".to_owned()),
        ];
        match ask.credential {
            Credential::Bearer(token) => {
                headers.push(("Authorization", format!("Bearer {}", self.filled(token))));
            }
            Credential::Basic => headers.push(("Authorization", basic())),
            Credential::Nothing => {}
        }
        let body = match ask.body {
            Body::None => Vec::new(),
            Body::Form(fields) => {
                headers.push(("Content-Type", FORM.to_owned()));
                self.encoded(fields).into_bytes()
            }
            Body::Json(text) => {
                headers.push(("Content-Type", "application/json".to_owned()));
                text.as_bytes().to_vec()
            }
            Body::Piece(number) => {
                headers.push(("Content-Type", "multipart/form-data; boundary=b".to_owned()));
                multipart(number)
            }
        };
        Wire {
            method: ask.method.to_owned(),
            target,
            headers,
            without_length: self.has_no_length(ask),
            body,
        }
    }

    /// A GET without a body has no length; another request without one has it or not.
    fn has_no_length(&self, ask: Ask) -> bool {
        let empty = matches!(ask.body, Body::None | Body::Form([]));
        empty && (ask.method == "GET" || !self.manner.empty_has_length)
    }

    /// The request that arrived had the headers of its row, and no others.
    fn check_headers(&self, ask: Ask, what: &str) {
        let seen = self.cli.sim().requests().pop().expect("a request").seen;
        let has = |name: &str| seen.headers.iter().any(|own| own == name);
        let typed = !matches!(ask.body, Body::None);
        assert_eq!(has("content-type"), typed, "{what}");
        assert_eq!(has("content-length"), !self.has_no_length(ask), "{what}");
        let anonymous = matches!(ask.credential, Credential::Nothing);
        assert_eq!(has("authorization"), !anonymous, "{what}");
    }

    /// Fields as a form or a query, in the order of this walk.
    fn encoded(&self, fields: Pairs) -> String {
        let mut fields = fields.to_vec();
        match self.manner.order {
            Order::AsWritten => {}
            Order::Reversed => fields.reverse(),
            Order::Turned if fields.is_empty() => {}
            Order::Turned => fields.rotate_left(1),
        }
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name, self.filled(value)));
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish()
    }

    fn filled(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, value) in &self.memory {
            filled = filled.replace(&format!("{{{name}}}"), value);
        }
        filled
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn basic() -> String {
    use base64::Engine as _;
    let pair = format!("{}:{}", demo::EMAIL, demo::PASSWORD);
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    format!("Basic {encoded}")
}

/// One piece of the large file as a multipart body with the boundary `b`.
fn multipart(number: usize) -> Vec<u8> {
    let from = (number - 1) * PIECE;
    let bytes = fastio_sim::pattern(from as u64, PIECE.min(LARGE - from));
    let head = "--b\r\nContent-Disposition: form-data; name=\"chunk\"; filename=\"chunk\"\r\n\r\n";
    [head.as_bytes(), &bytes[..], &b"\r\n--b--\r\n"[..]].concat()
}

#[tokio::test]
async fn every_row_of_the_table_is_answered_whatever_the_order_of_its_parameters() {
    let numbers: Vec<u8> = ROWS.iter().map(|row| row.number).collect();
    let all: Vec<u8> = (1..=19).filter(|number| *number != 12).collect();
    assert_eq!(numbers, all);
    for (order, empty_has_length) in [
        (Order::AsWritten, false),
        (Order::Reversed, true),
        (Order::Turned, false),
    ] {
        let manner = Manner {
            order,
            empty_has_length,
        };
        let mut walk = Walk::new(manner).await;
        for row in ROWS {
            for step in row.steps {
                walk.step(*step).await;
            }
        }
    }
}

#[tokio::test]
async fn a_path_that_is_not_there_is_told_by_its_code_whatever_is_asked_of_it() {
    let cli = Cli::new().await;
    for path in [
        "/nothing",
        "/current/nothing/",
        "/current/orgs/list",
        "/current/websocket/auth/99/",
        // Taken away in July 2026, with all webhooks.
        "/current/workspace/4700000000000000201/outbound_webhook_subscriptions/",
        "/current/outbound_webhook_subscriptions/1/rotate_secret/",
        // A package endpoint of which nothing else is known.
        "/mcp/operations",
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let wire = Wire {
                method: method.to_owned(),
                target: path.to_owned(),
                headers: vec![("Authorization", format!("Bearer {}", cli.token))],
                without_length: true,
                ..Wire::default()
            };
            let heard = wire.send(cli.sim().base_url()).await;
            assert_eq!(heard.status, 404, "{method} {path}");
            assert_eq!(heard.json()["error"]["code"], 9992, "{method} {path}");
        }
    }
}
