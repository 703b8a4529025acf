//! An open door: what one request of an agent goes through, in and out.

use std::sync::Arc;
use std::time::Duration;

use doorward_broker::handle::Entry;
use doorward_broker::upstream::{Base, CallFailure, CutBody, Label, Outgoing, OutgoingBody};
use doorward_core::decide::calling::{self, Call as Judged, Question, Verdict};
use doorward_core::decide::serving::{self, Caller};
use doorward_core::grant::Policy;
use doorward_core::name::Name;
use doorward_core::pattern::Reading;
use doorward_core::problem::{Code, Refusal};
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Method, Response};
use url::Url;

use super::addresses::Addresses;
use super::json::{self, Members};
use super::memory::Pair;
use super::message::Request;
use super::tools::{self, Rules};
use super::trouble;
use crate::argument_headers;
use crate::ask::{self, Call, Gate};
use crate::peer::Peer;

/// The door of one connection, open for one agent.
pub(super) struct Door {
    pub(super) gate: Arc<Gate>,
    pub(super) entry: Entry,
    pub(super) caller: Caller,
    pub(super) name: Name,
    /// The address under which the client reached us.
    pub(super) base: String,
    pub(super) patience: Option<Duration>,
    peer: Option<Peer>,
    addresses: Option<Addresses>,
}

/// What was found in a message of the server.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// What the agent gets instead; nothing where it gets what came.
    pub(super) text: Option<String>,
    /// Whether it says that the credential was not taken.
    pub(super) signed_out: bool,
    /// Whether it answers a request of the agent.
    pub(super) answers: bool,
}

/// A call as it is sent, as often as that takes.
pub(super) struct Sending {
    pub(super) base: Base,
    pub(super) path_and_query: String,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: bytes::Bytes,
    /// Whether sending it twice changes nothing more.
    pub(super) is_repeatable: bool,
    pub(super) label: String,
}

impl Door {
    /// Opens the door that a path names, if the agent may use it and there is such a server.
    pub(super) fn open(
        call: &Call,
        caller: &Caller,
        server: impl FnOnce(&Entry) -> Option<&Url>,
    ) -> Result<Self, Refusal> {
        let segment = call.head.uri.path().split('/').nth(2).unwrap_or_default();
        let name: Name = segment.parse().map_err(|_| serving::unknown(segment))?;
        let entry = call.gate.handle.enter(caller, &name)?;
        if server(&entry).is_none() {
            return Err(Refusal::new(
                Code::RouteUnknown,
                format!("`{name}` has no MCP server at this door."),
                "Use `/proxy/NAME/…`, or have a person add `mcp` to the table `[door]` of the provider's manifest.",
            ));
        }
        let base = call.base();
        let side = entry.upstream().mcp.as_ref();
        Ok(Self {
            addresses: side.map(|server| Addresses::new(server, format!("{base}/mcp/{name}"))),
            gate: Arc::clone(&call.gate),
            caller: caller.clone(),
            patience: call.patience(),
            peer: call.peer(),
            entry,
            name,
            base,
        })
    }

    /// Who uses what here.
    pub(super) fn pair(&self) -> Pair {
        Pair {
            agent: self.caller.agent.id,
            connection: self.entry.connection().id,
        }
    }

    /// Whether the agent may make a request, asking a person where the grant says so.
    pub(super) async fn permit(&self, request: &Request) -> Result<(), Refusal> {
        self.permit_call(&self.judged(request), || match request.tool() {
            Some(tool) => Question::mcp(tool, request.arguments()),
            None => Question::mcp(&request.method, Some(&request.params)),
        })
        .await
    }

    /// The same of a call that is no message.
    pub(super) async fn permit_call(
        &self,
        judged: &Judged<'_>,
        question: impl FnOnce() -> Question,
    ) -> Result<(), Refusal> {
        ask::permit(&self.entry, judged, self.patience, self.peer, question).await
    }

    /// A request, as it is judged.
    pub(super) fn judged<'a>(&self, request: &'a Request) -> Judged<'a> {
        match request.tool() {
            Some(name) => Judged::Tool {
                name,
                arguments: request.arguments(),
                read_only_hint: self.gate.mcp.is_reading(self.entry.connection().id, name),
            },
            None => Judged::Mcp {
                method: &request.method,
            },
        }
    }

    /// Checks the headers that repeat a tool's arguments: why they do not agree with the arguments, by which the call is
    /// judged. Where no list has told yet what they repeat, a call whose arguments matter is refused with them: a client
    /// that meets this error lists the tools and asks again.
    pub(super) fn check_repeated(
        &self,
        headers: &HeaderMap,
        request: &Request,
    ) -> Result<(), String> {
        let Some(tool) = request.tool() else {
            return Ok(());
        };
        if !headers.keys().any(argument_headers::is_one) {
            return Ok(());
        }
        let connection = self.entry.connection().id;
        match self.gate.mcp.repeated(connection, tool) {
            Some(repeated) => repeated
                .check(headers, request.arguments())
                .map_err(|name| format!("The header `{name}` says something else than the body.")),
            None if calling::heeds_arguments(self.entry.policy(), self.entry.upstream(), tool) => {
                Err(format!(
                    "No list of tools has said yet which arguments of `{tool}` are repeated in headers. Ask for `tools/list` first."
                ))
            }
            None => Ok(()),
        }
    }

    /// Whether sending a request twice changes nothing more: it reads, or the manifest says so.
    pub(super) fn is_repeatable(&self, request: &Request) -> bool {
        let upstream = self.entry.upstream();
        let reading = Policy {
            read_only: true,
            may_manage_sign_in: true,
            ..Policy::default()
        };
        let reads = calling::judge(&reading, upstream, &self.judged(request)) == Verdict::Allow;
        reads
            || request.tool().is_some_and(|tool| {
                upstream
                    .repeatable
                    .iter()
                    .any(|pattern| pattern.matches(tool, request.arguments(), Reading::Exact))
            })
    }

    /// Sends a call.
    pub(super) async fn send(&self, sending: &Sending) -> Result<Response<CutBody>, CallFailure> {
        let mut headers = sending.headers.clone();
        // Answers are looked into; and the length is that of what is sent.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.remove(CONTENT_LENGTH);
        self.entry
            .send(Outgoing {
                base: sending.base,
                path_and_query: sending.path_and_query.clone(),
                path: None,
                method: sending.method.clone(),
                headers,
                body: if sending.body.is_empty() {
                    OutgoingBody::Empty
                } else {
                    OutgoingBody::Whole(sending.body.clone())
                },
                patience: self.patience,
                safe_to_repeat: Some(sending.is_repeatable),
                label: Label::Tool(sending.label.clone()),
            })
            .await
    }

    /// Looks at what the server says: one message, or a batch of them.
    pub(super) fn look(&self, text: &str) -> Looked {
        if !text.trim_start().starts_with('[') {
            return self.look_at_message(text);
        }
        let Some(messages) = json::elements(text) else {
            return Looked::default();
        };
        let looked: Vec<Looked> = messages
            .iter()
            .map(|message| self.look_at_message(message))
            .collect();
        let is_changed = looked.iter().any(|looked| looked.text.is_some());
        let texts = messages.iter().zip(&looked);
        let texts = texts.map(|(message, looked)| looked.text.as_deref().unwrap_or(message));
        Looked {
            text: is_changed.then(|| json::list(texts)),
            signed_out: false,
            answers: looked.iter().any(|looked| looked.answers),
        }
    }

    fn look_at_message(&self, text: &str) -> Looked {
        let Some(mut message) = Members::read(text) else {
            return Looked::default();
        };
        let rules = Rules {
            policy: self.entry.policy(),
            upstream: self.entry.upstream(),
        };
        let mut changed = None;
        if let Some(result) = message.get("result") {
            let shown = tools::filter(rules, result);
            if !shown.hints.is_empty() {
                let connection = self.entry.connection().id;
                self.gate.mcp.hinted(connection, shown.hints);
            }
            if let Some(result) = shown.result {
                message.set("result", result);
                changed = Some(message.write());
            }
        }
        let answers = message.get("method").is_none() && message.get("id").is_some();
        let signed_out = answers && trouble::says_signed_out(rules.upstream, &message);
        if let Some(addresses) = &self.addresses {
            let rewritten = addresses.rewrite_json(changed.as_deref().unwrap_or(text));
            if !rewritten.files.is_empty() {
                let now = self.gate.handle.now();
                self.gate.mcp.handed(self.pair(), rewritten.files, now);
            }
            changed = rewritten.text.or(changed);
        }
        Looked {
            text: changed,
            signed_out,
            answers,
        }
    }
}

/// The query of a call, with its mark.
pub(super) fn query(call: &Call) -> String {
    call.head
        .uri
        .query()
        .map_or_else(String::new, |query| format!("?{query}"))
}
