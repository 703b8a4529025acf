//! The operations that the MCP server carries out itself: signing in, handing files over, guides.

use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{CallToolResult, JsonObject, ProgressNotificationParam};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Map, Value, json};

use crate::clock::fastio_datetime;
use crate::mcp::answer::{answer, refusal, success};
use crate::mcp::calling::{invalid, missing, needed, text};
use crate::mcp::inside::{Ask, Inside, Payload};
use crate::secret::{pkce_challenge, random_token};
use crate::world::desk::Session;
use crate::world::ledger::Credential;

/// Where a sign-in at the MCP server would send the browser; with `display_code` nothing goes there.
const REDIRECT: &str = "http://127.0.0.1:1/callback";

/// The guides.
const GUIDES: [(&str, &str); 2] = [
    (
        "start",
        "List the organizations, then the workspaces, then a folder.",
    ),
    (
        "uploads",
        "Leave bytes at POST /blob and name the blob_id in upload create-file.",
    ),
];

/// One call of such an operation.
pub(crate) struct Own<'a> {
    pub(crate) inside: &'a Inside,
    pub(crate) arguments: &'a JsonObject,
    pub(crate) context: &'a RequestContext<RoleServer>,
    /// The session, if the transport has one.
    pub(crate) session: Option<&'a str>,
    pub(crate) token: Option<&'a str>,
}

impl Own<'_> {
    pub(crate) async fn carry_out(
        &self,
        tool: &str,
        action: &str,
    ) -> Result<CallToolResult, ErrorData> {
        match (tool, action) {
            ("auth", "status") => Ok(self.status()),
            ("auth", "pkce-login") => self.begin_sign_in().await,
            ("auth", "pkce-complete") => self.end_sign_in().await,
            ("auth", "set-api-key") => self.take_api_key(),
            ("upload", "chunk") => self.chunk().await,
            ("upload", "create-file") => self.create_file().await,
            ("upload", "web-import") => self.web_import().await,
            ("download", "file-url") => self.file_url().await,
            ("fileshare", "download-url") => self.link_url(),
            ("how-to", "list") => Ok(guides()),
            ("how-to", "read") => self.guide(),
            _ => Err(invalid("there is no such action")),
        }
    }

    /// From what the session knows, without a call of the API.
    fn status(&self) -> CallToolResult {
        let site = &self.inside.site;
        let known = self.token.map(|token| (token, site.holder(token)));
        let fields = match known {
            None => json!({ "signed_in": false }),
            Some((_, Err(_))) => {
                let world = site.world();
                let session = self.session.and_then(|id| world.desk.session(id));
                let refused = session.is_some_and(|session| session.refresh_refused);
                json!({
                    "signed_in": false,
                    "session_expired": true,
                    "expired_reason": if refused { "refresh_expired" } else { "token_expired" },
                })
            }
            Some((token, Ok(caller))) => json!({
                "signed_in": true,
                "user": caller.person_id,
                "auth_method": match caller.credential {
                    Credential::OAuth => "oauth",
                    Credential::ApiKey => "api_key",
                    Credential::Session => "jwt",
                },
                "expiry": site.end_of(token).map(fastio_datetime),
                "scopes": caller.scopes.strings(),
                "agent_name": caller.agent_name,
            }),
        };
        success("auth status", members(fields))
    }

    async fn begin_sign_in(&self) -> Result<CallToolResult, ErrorData> {
        let session = self.session.ok_or_else(|| {
            invalid("this protocol version has no session that could be signed in")
        })?;
        let verifier = random_token();
        let own = [
            ("client_id", "fastio-cli".to_owned()),
            ("response_type", "code".to_owned()),
            ("response_format", "json".to_owned()),
            ("redirect_uri", REDIRECT.to_owned()),
            ("code_challenge", pkce_challenge(&verifier)),
            ("code_challenge_method", "S256".to_owned()),
        ];
        let wanted = |name| text(self.arguments, name).is_some_and(|value| value == "true");
        let given = [
            ("scope_type", text(self.arguments, "scope_type")),
            ("agent_name", text(self.arguments, "agent_name")),
            ("login_hint", text(self.arguments, "email")),
            ("access_mode", wanted("admin").then(|| "rwa".to_owned())),
            (
                "account_settings",
                wanted("account_settings").then(|| "1".to_owned()),
            ),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(own.into_iter().chain(given))
            .finish();
        let ask = Ask::get(format!("/oauth/authorize/?{query}"));
        let outcome = self.inside.ask(ask, None).await;
        let Some(id) = outcome.body["auth_request_id"].as_str() else {
            return Ok(answer("auth pkce-login", &outcome));
        };
        let site = &self.inside.site;
        site.world().desk.session_mut(session).verifier = Some(verifier);
        let url = format!(
            "{}/connect?auth_request_id={id}&display_code=true",
            site.origin()
        );
        Ok(success(
            "auth pkce-login",
            members(json!({ "login_url": url, "expires_in": 600 })),
        ))
    }

    async fn end_sign_in(&self) -> Result<CallToolResult, ErrorData> {
        let code = needed(self.arguments, "code")?;
        let site = &self.inside.site;
        let session = self.session.ok_or_else(|| invalid("there is no session"))?;
        let verifier = site.world().desk.session_mut(session).verifier.take();
        let verifier = verifier.ok_or_else(|| invalid("no sign-in was begun"))?;
        let ask = Ask::post(
            "/oauth/token/",
            &[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("code_verifier", &verifier),
                ("client_id", "fastio-cli"),
                ("redirect_uri", REDIRECT),
                ("device_name", "mcp"),
            ],
        );
        let outcome = self.inside.ask(ask, None).await;
        let Some(token) = outcome.body["access_token"].as_str() else {
            let error = json!({ "code": 1650, "text": outcome.body["error"] });
            return Ok(refusal(
                "auth pkce-complete",
                &error,
                "Begin again with pkce-login.",
            ));
        };
        let refresh = outcome.body["refresh_token"].as_str().map(str::to_owned);
        *site.world().desk.session_mut(session) = Session {
            token: Some(token.to_owned()),
            refresh,
            ..Session::default()
        };
        Ok(success(
            "auth pkce-complete",
            members(json!({ "signed_in": true })),
        ))
    }

    fn take_api_key(&self) -> Result<CallToolResult, ErrorData> {
        let key = needed(self.arguments, "api_key")?;
        let site = &self.inside.site;
        let session = self.session.ok_or_else(|| invalid("there is no session"))?;
        if site.holder(&key).is_err() {
            let error = json!({ "code": 1650, "text": "The API key is not valid." });
            return Ok(refusal("auth set-api-key", &error, "Check the key."));
        }
        *site.world().desk.session_mut(session) = Session {
            token: Some(key),
            ..Session::default()
        };
        Ok(success(
            "auth set-api-key",
            members(json!({ "signed_in": true })),
        ))
    }

    async fn chunk(&self) -> Result<CallToolResult, ErrorData> {
        let upload = needed(self.arguments, "upload_id")?;
        let order = needed(self.arguments, "order")?;
        let bytes = self.bytes()?;
        let path = format!("/upload/{upload}/chunk/?order={order}&size={}", bytes.len());
        let outcome = self.post_parts(path, &[], &bytes).await;
        Ok(answer("upload chunk", &outcome))
    }

    async fn create_file(&self) -> Result<CallToolResult, ErrorData> {
        let profile = needed(self.arguments, "profile_id")?;
        let name = needed(self.arguments, "filename")?;
        let kind = text(self.arguments, "profile_type").unwrap_or_else(|| "workspace".to_owned());
        let folder = text(self.arguments, "parent_node_id").unwrap_or_else(|| "root".to_owned());
        let bytes = self.bytes()?;
        let size = bytes.len().to_string();
        let fields = [
            ("name", name.as_str()),
            ("size", &size),
            ("action", "create"),
            ("instance_id", &profile),
            ("folder_id", &folder),
            ("profile_type", &kind),
        ];
        let outcome = self
            .post_parts("/upload/".to_owned(), &fields, &bytes)
            .await;
        Ok(answer("upload create-file", &outcome))
    }

    /// The bytes of an upload: text from the arguments, or a blob that was left before.
    fn bytes(&self) -> Result<Vec<u8>, ErrorData> {
        if let Some(content) = text(self.arguments, "content") {
            return Ok(content.into_bytes());
        }
        let id = text(self.arguments, "blob_id").ok_or_else(|| missing("content or blob_id"))?;
        let site = &self.inside.site;
        let now = site.now();
        let blob = site.world().desk.take_blob(&id, now);
        blob.map(|bytes| bytes.to_vec())
            .ok_or_else(|| invalid("there is no such blob; it is good once, for five minutes"))
    }

    async fn post_parts(
        &self,
        path: String,
        fields: &[(&str, &str)],
        chunk: &[u8],
    ) -> crate::mcp::inside::Outcome {
        let boundary = random_token();
        let mut body = Vec::new();
        for (name, value) in fields {
            body.extend_from_slice(
                format!(
                    "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
                )
                .as_bytes(),
            );
        }
        body.extend_from_slice(
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"chunk\"; filename=\"chunk\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n"
            )
            .as_bytes(),
        );
        body.extend_from_slice(chunk);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let media_type = format!("multipart/form-data; boundary={boundary}");
        let ask = Ask {
            method: axum::http::Method::POST,
            path,
            body: Payload::Raw(media_type, body),
        };
        self.inside.ask(ask, self.token).await
    }

    /// Starts an import and, if asked to wait, reports its progress until it has ended.
    async fn web_import(&self) -> Result<CallToolResult, ErrorData> {
        let kind = text(self.arguments, "profile_type").unwrap_or_else(|| "workspace".to_owned());
        let mut form = vec![("profile_type".to_owned(), kind)];
        for name in ["source_url", "profile_id"] {
            form.push((name.to_owned(), needed(self.arguments, name)?));
        }
        for name in ["folder_id", "file_name"] {
            form.extend(text(self.arguments, name).map(|value| (name.to_owned(), value)));
        }
        let ask = Ask {
            method: axum::http::Method::POST,
            path: "/web_upload/".to_owned(),
            body: Payload::Form(form),
        };
        let outcome = self.inside.ask(ask, self.token).await;
        let waits = text(self.arguments, "wait").is_some_and(|wait| wait == "true");
        let Some(id) = outcome.body["id"].as_str().filter(|_| waits) else {
            return Ok(answer("upload web-import", &outcome));
        };
        self.follow_import(id).await
    }

    async fn follow_import(&self, id: &str) -> Result<CallToolResult, ErrorData> {
        let mut told = 0.0;
        loop {
            let ask = Ask::get(format!("/web_upload/{id}/details/"));
            let outcome = self.inside.ask(ask, self.token).await;
            let upload = &outcome.body["web_upload"];
            let status = upload["status"].as_str().unwrap_or("failed").to_owned();
            let progress = upload["progress"].as_f64().unwrap_or_default();
            if progress > told {
                told = progress;
                self.report(progress, &status).await;
            }
            if matches!(status.as_str(), "complete" | "failed" | "canceled") {
                return Ok(answer("upload web-import", &outcome));
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
                () = self.context.ct.cancelled() => {
                    let path = format!("/web_upload/?id={id}");
                    let ask = Ask { method: axum::http::Method::DELETE, path, body: Payload::None };
                    let outcome = self.inside.ask(ask, self.token).await;
                    return Ok(answer("upload web-import", &outcome));
                }
            }
        }
    }

    async fn report(&self, progress: f64, status: &str) {
        let Some(token) = self.context.meta.get_progress_token() else {
            return;
        };
        let told = ProgressNotificationParam::new(token, progress)
            .with_total(100.0)
            .with_message(status);
        if let Err(error) = self.context.peer.notify_progress(told).await {
            tracing::debug!(%error, "a progress notification could not be sent");
        }
    }

    async fn file_url(&self) -> Result<CallToolResult, ErrorData> {
        let kind = text(self.arguments, "profile_type").unwrap_or_else(|| "workspace".to_owned());
        let profile = needed(self.arguments, "profile_id")?;
        let node = needed(self.arguments, "node_id")?;
        if !node.starts_with("pattern-") {
            let ask = Ask::get(format!("/{kind}/{profile}/storage/{node}/details/"));
            let outcome = self.inside.ask(ask, self.token).await;
            if !outcome.is_success() {
                return Ok(answer("download file-url", &outcome));
            }
        }
        let origin = self.inside.site.origin();
        Ok(success(
            "download file-url",
            members(json!({
                "url": format!("{origin}/file/{kind}/{profile}/{node}"),
                "resource": format!("download://{kind}/{profile}/{node}"),
                "web_url": format!("https://go.fast.io/{kind}/{profile}/{node}"),
            })),
        ))
    }

    fn link_url(&self) -> Result<CallToolResult, ErrorData> {
        let id = needed(self.arguments, "fileshare_id")?;
        let site = &self.inside.site;
        if site.world().fileshares.find(&id).is_none() {
            let error = json!({ "code": 1609, "text": "There is no such link." });
            return Ok(refusal("fileshare download-url", &error, "List the links."));
        }
        Ok(success(
            "fileshare download-url",
            members(json!({
                "url": format!("{}/file/fileshare/{id}", site.origin()),
                "resource": format!("download://fileshare/{id}"),
            })),
        ))
    }

    fn guide(&self) -> Result<CallToolResult, ErrorData> {
        let topic = needed(self.arguments, "topic")?;
        let (_, guide) = GUIDES
            .iter()
            .find(|(name, _)| *name == topic)
            .ok_or_else(|| invalid("there is no such guide"))?;
        Ok(success("how-to read", members(json!({ "guide": guide }))))
    }
}

fn guides() -> CallToolResult {
    let topics: Vec<&str> = GUIDES.iter().map(|(name, _)| *name).collect();
    success("how-to list", members(json!({ "topics": topics })))
}

/// The guide as a whole, for the resource of it.
pub(crate) fn whole_guide() -> String {
    let parts: Vec<String> = GUIDES
        .iter()
        .map(|(name, guide)| format!("## {name}\n\n{guide}\n"))
        .collect();
    parts.concat()
}

pub(crate) fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}
