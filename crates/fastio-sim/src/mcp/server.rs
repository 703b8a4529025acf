//! The MCP server: lists tools, and answers calls with what the API answers.

use axum::http::request::Parts;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ErrorCode, Implementation, JsonObject,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig,
    SubscriptionFilter,
};
use rmcp::service::{NotificationContext, RequestContext, RoleServer, SubscriptionContext};
use rmcp::{ErrorData, ServerHandler};
use serde_json::{Value, json};

use crate::http::envelope::Refusal;
use crate::http::site::{SharedSite, bearer};
use crate::knobs::{McpAuthFailure, McpCatalogue, Presence};
use crate::mcp::answer::{answer, refusal, success};
use crate::mcp::calling::{ask, executed, invalid, needed, text};
use crate::mcp::confirming::{Confirmation, confirm};
use crate::mcp::inside::{Ask, Inside};
use crate::mcp::menu::{Menu, Shape};
use crate::mcp::operations::{self, Operation, Verb};
use crate::mcp::own::{Own, members};
use crate::mcp::{Entrance, resources};
use crate::world::ledger::Caller;

/// The JSON-RPC code for a credential that has gone bad, where a knob has it told that way.
const UNAUTHORIZED: ErrorCode = ErrorCode(-32001);

/// The server behind one entrance.
#[derive(Clone, Debug)]
pub(crate) struct Fastio {
    pub(crate) inside: Inside,
    pub(crate) entrance: Entrance,
}

/// Who asks, as far as is known.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) session: Option<String>,
    pub(crate) token: Option<String>,
    /// The holder of the token, if it is good.
    pub(crate) caller: Option<Caller>,
}

/// What a call of a tool comes to.
struct Job {
    operation: &'static Operation,
    path: String,
    arguments: JsonObject,
}

impl ServerHandler for Fastio {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_resources_list_changed()
            .build();
        let mut info = ServerConfig::new(capabilities)
            .with_instructions("Fast.io, simulated. Begin with the how-to tool.");
        info.server_info = Implementation::new("fastio-mcp", env!("CARGO_PKG_VERSION"));
        info
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let visitor = self.visitor(&context);
        self.expects_no_bad_credential(&visitor)?;
        let tools = self.menu(&context, &visitor).tools();
        let page = self.site().world().knobs.mcp_page_size.max(1) as usize;
        let start = match request.and_then(|request| request.cursor) {
            None => 0,
            Some(cursor) => cursor
                .strip_prefix("tools-")
                .and_then(|start| start.parse().ok())
                .filter(|start| *start < tools.len())
                .ok_or_else(|| invalid("cursor is none that this server gave"))?,
        };
        let end = tools.len().min(start + page);
        let mut result = ListToolsResult::with_all_items(tools[start..end].to_vec());
        result.next_cursor = (end < tools.len()).then(|| format!("tools-{end}"));
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let visitor = self.visitor(&context);
        let menu = self.menu(&context, &visitor);
        let arguments = request.arguments.clone().unwrap_or_default();
        if text(&arguments, "action").as_deref() == Some("describe") && menu.shape != Shape::Whole {
            return Ok(described(&menu, &request.name).into());
        }
        if menu.shape == Shape::Code && request.name == "search" {
            return Ok(searched(&menu, &needed(&arguments, "query")?).into());
        }
        if let Some(executes) = menu.executes(&request.name) {
            let ask = executed(&arguments)?;
            executes.check(&ask.method)?;
            if menu.leaves_out(&ask.path) {
                return Err(invalid(
                    "this server does not call paths of credentials or billing",
                ));
            }
            return self.execute(&visitor, ask).await;
        }
        let job = job(&menu, &request.name, arguments)?;
        if !job.needs_no_sign_in()
            && let Some(refused) = self.refused(&visitor)?
        {
            return Ok(refused);
        }
        match confirm(self.site(), job.operation, &request, &context).await? {
            Confirmation::Given => {}
            Confirmation::Wanted(asked) => return Ok(asked),
            Confirmation::Withheld => {
                let error = json!({ "code": 1670, "text": "The person did not confirm it." });
                return Ok(refusal(&job.title(), &error, "Ask the person first.").into());
            }
        }
        self.carry_out(&job, &visitor, &context).await
    }

    /// Up to protocol 2025-11-25 a change is told on the stream of the session, if a knob says so.
    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        if self.site().world().knobs.mcp_tells_changes == Presence::Absent {
            return;
        }
        let mut changes = self.site().changes();
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                if context.peer.notify_resource_list_changed().await.is_err() {
                    return;
                }
            }
        });
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    /// From protocol 2026-07-28 on a client subscribes, and is told of every change of a file.
    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.site().changes();
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                told = changes.changed() => {
                    let gone = told.is_err()
                        || context.sink().notify_resource_list_changed().await.is_err();
                    if gone {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(resources::fixed()))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(
            resources::templates(),
        ))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let visitor = self.visitor(&context);
        resources::read(self.site(), &request.uri, &visitor).map(ReadResourceResponse::from)
    }
}

impl Fastio {
    fn site(&self) -> &SharedSite {
        &self.inside.site
    }

    /// What this session is offered.
    fn menu(&self, context: &RequestContext<RoleServer>, visitor: &Visitor) -> Menu {
        let (catalogue, manage) = {
            let knobs = &self.site().world().knobs;
            (knobs.mcp_catalogue, knobs.mcp_manage_tools)
        };
        let split = manage == Presence::Present;
        let catalogue = match (self.entrance, catalogue) {
            (Entrance::Tools, _) => McpCatalogue::Named,
            (Entrance::Code, _) => McpCatalogue::Code,
            (Entrance::Open | Entrance::Key | Entrance::OAuth, catalogue) => catalogue,
        };
        let shape = match catalogue {
            McpCatalogue::Named => Shape::Named,
            McpCatalogue::Code => Shape::Code,
            McpCatalogue::Whole => Shape::Whole,
            McpCatalogue::ByClient => {
                let client = context.client_info().map(|client| client.name);
                Shape::for_client(&client.unwrap_or_default(), split)
            }
        };
        Menu {
            shape,
            split,
            narrow: self.entrance.is_narrow(),
            read_only: visitor.read_only(),
        }
    }

    fn visitor(&self, context: &RequestContext<RoleServer>) -> Visitor {
        let parts = context.extensions.get::<Parts>();
        let session = parts.and_then(session_id);
        let token = parts
            .and_then(|parts| bearer(&parts.headers))
            .map(str::to_owned)
            .or_else(|| self.site().signed_in(session.as_deref()?));
        let caller = token
            .as_deref()
            .and_then(|token| self.site().holder(token).ok());
        Visitor {
            session,
            token,
            caller,
        }
    }

    /// A bad credential is told where tools are listed too, by the knob that has it told inside JSON-RPC.
    fn expects_no_bad_credential(&self, visitor: &Visitor) -> Result<(), ErrorData> {
        let by_rpc = self.site().world().knobs.mcp_auth_failure == McpAuthFailure::JsonRpc;
        if by_rpc && visitor.token.is_some() && visitor.caller.is_none() {
            return Err(unauthorized("Session expired"));
        }
        Ok(())
    }

    /// The answer to someone who is not signed in, or is no more.
    fn refused(&self, visitor: &Visitor) -> Result<Option<CallToolResponse>, ErrorData> {
        if visitor.caller.is_some() {
            return Ok(None);
        }
        let had_one = visitor.token.is_some();
        let text = if had_one {
            "Session expired"
        } else {
            "Not authenticated"
        };
        let by_rpc = self.site().world().knobs.mcp_auth_failure == McpAuthFailure::JsonRpc;
        if by_rpc && had_one {
            return Err(unauthorized(text));
        }
        let error = json!({ "status": 401, "code": 1650, "text": text });
        Ok(Some(
            refusal("auth", &error, "Sign in with auth action pkce-login.").into(),
        ))
    }

    async fn execute(&self, visitor: &Visitor, ask: Ask) -> Result<CallToolResponse, ErrorData> {
        if let Some(refused) = self.refused(visitor)? {
            return Ok(refused);
        }
        let title = format!("execute {} {}", ask.method, ask.path);
        let outcome = self.inside.ask(ask, visitor.token.as_deref()).await;
        Ok(answer(&title, &outcome).into())
    }

    async fn carry_out(
        &self,
        job: &Job,
        visitor: &Visitor,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let operation = job.operation;
        if matches!(operation.verb, Verb::Here | Verb::HereWriting) {
            let own = Own {
                inside: &self.inside,
                arguments: &job.arguments,
                context,
                session: visitor.session.as_deref(),
                token: visitor.token.as_deref(),
            };
            return own
                .carry_out(operation.tool, operation.action)
                .await
                .map(CallToolResponse::from);
        }
        let ask = ask(operation, &job.path, &job.arguments)?;
        let outcome = self.inside.ask(ask, visitor.token.as_deref()).await;
        Ok(answer(&job.title(), &outcome).into())
    }
}

impl Visitor {
    pub(crate) fn read_only(&self) -> bool {
        self.caller
            .as_ref()
            .is_some_and(|caller| caller.scopes.read_only())
    }

    /// The holder of a good credential.
    pub(crate) fn known(&self) -> Result<&Caller, Refusal> {
        self.caller.as_ref().ok_or(Refusal::Anonymous)
    }
}

impl Job {
    fn title(&self) -> String {
        format!("{} {}", self.operation.tool, self.operation.action)
    }

    fn needs_no_sign_in(&self) -> bool {
        let own = matches!(self.operation.verb, Verb::Here | Verb::HereWriting);
        own && matches!(self.operation.tool, "auth" | "how-to")
    }
}

/// The session that a request belongs to.
pub(crate) fn session_id(parts: &Parts) -> Option<String> {
    let value = parts.headers.get("mcp-session-id")?;
    value.to_str().ok().map(str::to_owned)
}

/// What a call of a tool is to do.
fn job(menu: &Menu, tool: &str, mut arguments: JsonObject) -> Result<Job, ErrorData> {
    if menu.shape == Shape::Whole {
        let variant = menu.variant(tool)?;
        return Ok(Job {
            operation: variant.operation,
            path: variant.path.clone(),
            arguments,
        });
    }
    if menu.actions(tool).is_empty() {
        return Err(invalid(format!("unknown tool: {tool}")));
    }
    let operation = menu.find(tool, &needed(&arguments, "action")?)?;
    let kinds = operation.kinds();
    if kinds.is_empty() {
        return Ok(Job {
            operation,
            path: operation.path_for(""),
            arguments,
        });
    }
    let kind = text(&arguments, "profile_type").unwrap_or_else(|| "workspace".to_owned());
    if !kinds.contains(&kind.as_str()) {
        return Err(invalid("profile_type is none that this action knows"));
    }
    let id = needed(&arguments, "profile_id")?;
    arguments.insert(format!("{kind}_id"), id.into());
    Ok(Job {
        operation,
        path: operation.path_for(&kind),
        arguments,
    })
}

fn described(menu: &Menu, tool: &str) -> rmcp::model::CallToolResult {
    let list: Vec<Value> = menu
        .actions(tool)
        .iter()
        .map(|operation| {
            let arguments: Vec<&str> = operation.arguments.iter().map(|own| own.name).collect();
            json!({ "id": operation.action, "name": operation.about, "arguments": arguments })
        })
        .collect();
    success(
        &format!("{tool} describe"),
        members(json!({ "actions": list })),
    )
}

/// The calls of the API in which all the words appear.
fn searched(menu: &Menu, query: &str) -> rmcp::model::CallToolResult {
    let query = query.to_lowercase();
    let found: Vec<Value> = operations::variants()
        .iter()
        .filter(|variant| !matches!(variant.operation.verb, Verb::Here | Verb::HereWriting))
        .filter(|variant| !menu.leaves_out(&variant.path))
        .filter(|variant| {
            let operation = variant.operation;
            let text = format!("{} {} {}", variant.name, variant.path, operation.about);
            let text = text.to_lowercase();
            query.split_whitespace().all(|word| text.contains(word))
        })
        .map(|variant| {
            let method = match variant.operation.verb {
                Verb::Get | Verb::Here | Verb::HereWriting => "get",
                Verb::Post => "post",
                Verb::PostJson => "postJson",
                Verb::Patch => "patch",
                Verb::Delete => "delete",
            };
            json!({ "id": method, "name": variant.path, "about": variant.operation.about })
        })
        .collect();
    success("search", members(json!({ "calls": found })))
}

fn unauthorized(text: &'static str) -> ErrorData {
    let data = json!({ "status": 401, "code": 1650, "_recovery": ["Sign in again."] });
    ErrorData::new(UNAUTHORIZED, text, Some(data))
}
