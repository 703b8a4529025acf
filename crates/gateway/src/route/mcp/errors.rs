//! Refusals in the protocol's own shape.
//!
//! An MCP client takes a 401 for its cue to start an OAuth of its own, so what is wrong with a connection is told
//! inside JSON-RPC. What a person has to do is asked in the way that the client has declared: through 2025-11-25 by
//! the error -32042 with an address to open, from 2026-07-28 by a result that requires input, and for everybody else
//! by an error whose `data` says what a program can act on.

use doorward_core::problem::{Code, Refusal};
use serde_json::{Map, Value, json};

use super::json;
use super::message::Request;

/// Our error among the server's own (-32000 to -32019). What to branch on is `data.code`.
pub(super) const DOORWARD: i32 = -32010;
/// 2025-11-25: a person has to open an address first.
const ADDRESS_TO_OPEN: i32 = -32042;
/// 2026-07-28: a header says something else than the body.
pub(super) const HEADER_MISMATCH: i32 = -32020;
/// The key of our question in `inputRequests`.
pub(super) const QUESTION: &str = "doorward_reconnect";

/// How a client can be asked to let a person act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// It cannot.
    Nohow,
    /// By the error -32042.
    ByError,
    /// By a result that requires input.
    ByResult,
}

/// Where a person is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The question's identifier.
    pub(super) id: String,
    /// The page of this door.
    pub(super) url: String,
}

/// An error with our code.
pub(super) fn refused(id: &str, refusal: &Refusal, is_outcome_unknown: bool) -> String {
    let mut data = Map::new();
    data.insert("code".to_owned(), refusal.code.as_str().into());
    data.insert("hint".to_owned(), refusal.hint.as_str().into());
    if let Some(seconds) = refusal.retry_after_seconds {
        data.insert("retry_after_seconds".to_owned(), seconds.into());
    }
    if is_outcome_unknown {
        data.insert("outcome".to_owned(), "unknown".into());
    }
    let said = format!("{} {}", refusal.detail, refusal.hint);
    error(id, DOORWARD, &said, Some(Value::Object(data)))
}

/// An error of JSON-RPC. An identifier that could not be read is null.
pub(super) fn error(id: &str, code: i32, message: &str, data: Option<Value>) -> String {
    let mut error = json!({ "code": code, "message": message });
    if let (Some(data), Some(error)) = (data, error.as_object_mut()) {
        error.insert("data".to_owned(), data);
    }
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{}}}",
        json::written(&error)
    )
}

/// Whether a person has to act at the connection before such a request can succeed.
pub(super) fn needs_person(refusal: &Refusal) -> bool {
    refusal.code == Code::ReconnectRequired
}

/// Asks for a person in the way that the client has.
pub(super) fn ask_for_person(
    request: &Request,
    refusal: &Refusal,
    asking: Asking,
    place: &Place,
) -> String {
    let elicitation = json!({
        "mode": "url",
        "elicitationId": place.id,
        "url": place.url,
        "message": format!("{} Open this page, and answer in Doorward.", refusal.detail),
    });
    match asking {
        Asking::Nohow => refused(&request.id, refusal, false),
        Asking::ByError => error(
            &request.id,
            ADDRESS_TO_OPEN,
            &format!("{} {}", refusal.detail, refusal.hint),
            Some(json!({
                "elicitations": [elicitation],
                "code": refusal.code.as_str(),
                "hint": refusal.hint,
            })),
        ),
        Asking::ByResult => {
            let mut result = json!({
                "resultType": "input_required",
                "inputRequests": {
                    QUESTION: { "method": "elicitation/create", "params": elicitation },
                },
            });
            // What the server keeps with the client between two rounds must come back to it.
            if let (Some(state), Some(result)) =
                (request.params.get("requestState"), result.as_object_mut())
            {
                result.insert("requestState".to_owned(), state.clone());
            }
            let result = json::written(&result);
            format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}",
                request.id
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            id: "\"a\\u0062\"".to_owned(),
            method: "tools/call".to_owned(),
            params: json!({ "name": "find", "requestState": "s" })
                .as_object()
                .cloned()
                .unwrap(),
        }
    }

    fn refusal() -> Refusal {
        Refusal::new(
            Code::ReconnectRequired,
            "`fastio` has ended.",
            "Connect it again.",
        )
    }

    fn place() -> Place {
        Place {
            id: "e1".to_owned(),
            url: "http://127.0.0.1:1/reconnect/e1".to_owned(),
        }
    }

    fn asked(asking: Asking) -> (String, Value) {
        let text = ask_for_person(&request(), &refusal(), asking, &place());
        let value = serde_json::from_str(&text).unwrap();
        (text, value)
    }

    #[test]
    fn a_person_is_asked_for_in_the_words_of_each_era() {
        let (text, error) = asked(Asking::ByError);
        assert!(
            text.contains("\"id\":\"a\\u0062\""),
            "the identifier as it was written: {text}"
        );
        assert_eq!(error["error"]["code"], -32042);
        let elicitation = &error["error"]["data"]["elicitations"][0];
        assert_eq!(elicitation["mode"], "url");
        assert_eq!(elicitation["elicitationId"], "e1");
        assert_eq!(elicitation["url"], "http://127.0.0.1:1/reconnect/e1");
        assert_eq!(error["error"]["data"]["code"], "reconnect_required");

        let (_, result) = asked(Asking::ByResult);
        assert_eq!(result["result"]["resultType"], "input_required");
        assert_eq!(result["result"]["requestState"], "s");
        let question = &result["result"]["inputRequests"][QUESTION];
        assert_eq!(question["method"], "elicitation/create");
        assert_eq!(question["params"]["mode"], "url");

        let (_, plain) = asked(Asking::Nohow);
        let code = plain["error"]["code"].as_i64().unwrap();
        assert!((-32019..=-32000).contains(&code));
        assert_eq!(plain["error"]["data"]["code"], "reconnect_required");
        assert_eq!(plain["error"]["data"]["hint"], "Connect it again.");
    }

    #[test]
    fn a_wait_and_an_unknown_outcome_are_told() {
        let refusal = Refusal::new(Code::ProviderUnavailable, "No answer.", "Look first.")
            .retry_after(std::time::Duration::from_secs(7));
        let error: Value = serde_json::from_str(&refused("1", &refusal, true)).unwrap();
        assert_eq!(error["id"], 1);
        assert_eq!(error["error"]["data"]["retry_after_seconds"], 7);
        assert_eq!(error["error"]["data"]["outcome"], "unknown");
    }
}
