//! Asking the person in front of the client before something is deleted, where a knob has it so.
//!
//! Up to protocol 2025-11-25 the server sends the client a request in the middle of its own
//! (elicitation); from 2026-07-28 on it answers that input is needed, and the client calls again with
//! it.

use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientResult, ElicitRequest, ElicitRequestParams,
    ElicitationAction, InputRequest, InputRequests, InputRequiredResult, ProtocolVersion,
    ServerRequest,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::json;

use crate::http::site::SharedSite;
use crate::knobs::Presence;
use crate::mcp::operations::Operation;

/// What the person said.
pub(crate) enum Confirmation {
    /// Go on; also where nobody was to be asked.
    Given,
    /// The client is to ask, and to call again.
    Wanted(CallToolResponse),
    /// No, or nothing.
    Withheld,
}

/// The name of the one question.
const QUESTION: &str = "confirm";

pub(crate) async fn confirm(
    site: &SharedSite,
    operation: &Operation,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<Confirmation, ErrorData> {
    let asks = site.world().knobs.mcp_asks_before_deleting == Presence::Present;
    let deletes = operation.tool == "storage" && matches!(operation.action, "delete" | "purge");
    let can_ask = context
        .client_capabilities()
        .is_some_and(|capabilities| capabilities.elicitation.is_some());
    if !asks || !deletes || !can_ask {
        return Ok(Confirmation::Given);
    }
    let question = question(operation)?;
    let by_answer = context
        .protocol_version()
        .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
    if by_answer {
        let answered = request
            .input_responses
            .as_ref()
            .and_then(|responses| responses.get(QUESTION));
        return Ok(match answered {
            Some(answer) if answer["action"] == "accept" => Confirmation::Given,
            Some(_) => Confirmation::Withheld,
            None => {
                let asked = InputRequest::Elicitation(question);
                let asked = InputRequests::from([(QUESTION.to_owned(), asked)]);
                let asked = InputRequiredResult::from_input_requests(asked);
                Confirmation::Wanted(CallToolResponse::InputRequired(asked))
            }
        });
    }
    match context
        .peer
        .send_request(ServerRequest::ElicitRequest(question))
        .await
    {
        Ok(ClientResult::ElicitResult(result)) if result.action == ElicitationAction::Accept => {
            Ok(Confirmation::Given)
        }
        Ok(_) => Ok(Confirmation::Withheld),
        Err(error) => {
            tracing::debug!(%error, "the client did not ask its person");
            Ok(Confirmation::Withheld)
        }
    }
}

fn question(operation: &Operation) -> Result<ElicitRequest, ErrorData> {
    let params: ElicitRequestParams = serde_json::from_value(json!({
        "mode": "form",
        "message": format!("{} Is that right?", operation.about),
        "requestedSchema": {
            "type": "object",
            "properties": { "sure": { "type": "boolean" } },
            "required": ["sure"],
        },
    }))
    .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(ElicitRequest::new(params))
}
