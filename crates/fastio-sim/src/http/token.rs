//! The token endpoint: raw JSON, the one place outside the envelope.

use axum::Json;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::http::authorize::{AGENT_NAME_LIMIT, resource_is_accepted};
use crate::http::envelope::Refusal;
use crate::http::fields::Fields;
use crate::http::site::{SharedSite, Site};
use crate::knobs::{ExpiresIn, Knobs, ScopesEncoding, TokenErrorShape};
use crate::secret::{basic_credentials, pkce_challenge};
use crate::world::asks::{Approved, CodeRefusal};
use crate::world::clients::{Client, ClientAuthentication};
use crate::world::ledger::{DeadToken, EndedBy, Issued, Session};
use crate::world::{SecretKind, World};

/// A refusal in the terms of RFC 6749 §5.2.
#[derive(Debug)]
pub(crate) struct TokenRefusal {
    status: StatusCode,
    error: &'static str,
    description: &'static str,
}

impl TokenRefusal {
    pub(crate) fn invalid_grant(description: &'static str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: "invalid_grant",
            description,
        }
    }

    fn invalid_request(description: &'static str) -> Self {
        Self {
            error: "invalid_request",
            ..Self::invalid_grant(description)
        }
    }

    fn invalid_client(description: &'static str) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_client",
            description,
        }
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn render(self, knobs: &Knobs) -> Response {
        match knobs.token_error_shape {
            TokenErrorShape::Envelope => match self.error {
                "invalid_grant" | "invalid_client" => {
                    Refusal::InvalidToken(self.description).into_response()
                }
                _ => Refusal::invalid("grant_type", self.description).into_response(),
            },
            TokenErrorShape::Rfc6749 => {
                let body = json!({ "error": self.error, "error_description": self.description });
                let mut response =
                    (self.status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response();
                if self.error == "invalid_client" {
                    response.headers_mut().insert(
                        WWW_AUTHENTICATE,
                        HeaderValue::from_static("Basic realm=\"fastio\""),
                    );
                }
                response
            }
        }
    }
}

pub(crate) async fn token(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields = Fields::parse(&body);
    let now = site.now();
    let mut world = site.world();
    let knobs = world.knobs.clone();
    let exchange = Exchange {
        site: &site,
        headers: &headers,
        fields: &fields,
        knobs: &knobs,
        now,
    };
    match exchange.carry_out(&mut world) {
        Ok(issued) => {
            world.note_secret(SecretKind::AccessToken, &issued.access_token);
            if let Some(refresh_token) = &issued.refresh_token {
                world.note_secret(SecretKind::RefreshToken, refresh_token);
            }
            (
                [(CACHE_CONTROL, "no-store")],
                Json(token_reply(&issued, &knobs)),
            )
                .into_response()
        }
        Err(refusal) => refusal.render(&knobs),
    }
}

/// One call of the token endpoint.
struct Exchange<'a> {
    site: &'a Site,
    headers: &'a HeaderMap,
    fields: &'a Fields,
    knobs: &'a Knobs,
    now: OffsetDateTime,
}

impl Exchange<'_> {
    fn carry_out(&self, world: &mut World) -> Result<Issued, TokenRefusal> {
        if self
            .fields
            .repeated()
            .is_some_and(|name| name != "resource")
        {
            return Err(TokenRefusal::invalid_request(
                "a parameter is given more than once",
            ));
        }
        let client = self.client(world)?.clone();
        let grant_type = self
            .fields
            .given("grant_type")
            .ok_or_else(|| TokenRefusal::invalid_request("grant_type is required"))?;
        if !matches!(grant_type, "authorization_code" | "refresh_token") {
            return Err(TokenRefusal {
                error: "unsupported_grant_type",
                ..TokenRefusal::invalid_request("this server has no such grant type")
            });
        }
        if !client
            .grant_types
            .iter()
            .any(|allowed| allowed == grant_type)
        {
            return Err(TokenRefusal {
                error: "unauthorized_client",
                ..TokenRefusal::invalid_request("this client did not register that grant type")
            });
        }
        let resource = self.fields.given("resource");
        if resource.is_some_and(|resource| !resource_is_accepted(self.site, self.knobs, resource)) {
            return Err(TokenRefusal {
                error: "invalid_target",
                ..TokenRefusal::invalid_request("resource is not one that this server protects")
            });
        }
        match grant_type {
            "refresh_token" => self.refresh(world, &client, resource),
            _ => self.redeem_code(world, &client, resource),
        }
    }

    /// The client that speaks, by secret if it has one and by name if it has none.
    fn client<'w>(&self, world: &'w World) -> Result<&'w Client, TokenRefusal> {
        let basic = self
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(basic_credentials);
        let id = basic
            .as_ref()
            .map(|(id, _)| id.as_str())
            .or_else(|| self.fields.given("client_id"))
            .ok_or_else(|| TokenRefusal::invalid_client("client_id is required"))?;
        let client = world
            .clients
            .find(id)
            .ok_or_else(|| TokenRefusal::invalid_client("client_id names no registered client"))?;
        let secret = match client.authentication {
            ClientAuthentication::None => return Ok(client),
            ClientAuthentication::SecretBasic => basic.as_ref().map(|(_, secret)| secret.as_str()),
            ClientAuthentication::SecretPost => self.fields.given("client_secret"),
        };
        match secret {
            Some(secret) if client.secret_opens(secret, self.now) => Ok(client),
            Some(_) => Err(TokenRefusal::invalid_client(
                "the client secret is wrong or expired",
            )),
            None => Err(TokenRefusal::invalid_client(
                "this client must authenticate as registered",
            )),
        }
    }

    fn refresh(
        &self,
        world: &mut World,
        client: &Client,
        resource: Option<&str>,
    ) -> Result<Issued, TokenRefusal> {
        let token = self
            .fields
            .given("refresh_token")
            .ok_or_else(|| TokenRefusal::invalid_request("refresh_token is required"))?;
        world
            .ledger
            .refresh(
                token,
                &client.id,
                resource.map(str::to_owned),
                self.knobs,
                self.now,
            )
            .map_err(|dead| {
                TokenRefusal::invalid_grant(match dead {
                    DeadToken::Unknown | DeadToken::OtherClient => "the refresh token is not valid",
                    DeadToken::Expired => "the refresh token has expired",
                    DeadToken::Spent => "the refresh token was used before",
                    DeadToken::SessionEnded => "the session has ended",
                })
            })
    }

    fn redeem_code(
        &self,
        world: &mut World,
        client: &Client,
        resource: Option<&str>,
    ) -> Result<Issued, TokenRefusal> {
        let required = |name| {
            self.fields
                .given(name)
                .ok_or_else(|| TokenRefusal::invalid_request("a required parameter is missing"))
        };
        let code = required("code")?;
        let verifier = required("code_verifier")?;
        let redirect_uri = required("redirect_uri")?;
        world.note_secret(SecretKind::CodeVerifier, verifier);
        let approved = world
            .asks
            .spend(code, self.now)
            .map_err(|refusal| match refusal {
                CodeRefusal::Replayed(session) => {
                    if let Some(session) = session {
                        world.ledger.end(&session, EndedBy::CodeReplay, self.now);
                    }
                    TokenRefusal::invalid_grant("the code was used before")
                }
                CodeRefusal::Expired => TokenRefusal::invalid_grant("the code has expired"),
                CodeRefusal::Unknown => TokenRefusal::invalid_grant("the code is not valid"),
            })?;
        if approved.ask.client_id != client.id {
            return Err(TokenRefusal::invalid_grant(
                "the code was issued to another client",
            ));
        }
        if approved.ask.redirect_uri != redirect_uri {
            return Err(TokenRefusal::invalid_grant(
                "redirect_uri differs from the one asked with",
            ));
        }
        if approved.ask.challenge != pkce_challenge(verifier) {
            return Err(TokenRefusal::invalid_grant(
                "code_verifier does not match the challenge",
            ));
        }
        if resource.is_some() && resource != approved.ask.resource.as_deref() {
            return Err(TokenRefusal {
                error: "invalid_target",
                ..TokenRefusal::invalid_request("resource differs from the one asked with")
            });
        }
        let session = self.new_session(world, client, approved);
        let session_id = world.ledger.open(session);
        world.asks.opened(code, &session_id);
        world
            .ledger
            .first_pair(&session_id, self.knobs, self.now)
            .ok_or_else(|| TokenRefusal::invalid_grant("the session has ended"))
    }

    fn new_session(&self, world: &World, client: &Client, approved: Approved) -> Session {
        let text = |name| {
            self.fields
                .given(name)
                .map(|value| value.chars().take(AGENT_NAME_LIMIT).collect::<String>())
        };
        Session {
            id: String::new(),
            person_id: world.catalogue.person.id.clone(),
            client_id: client.id.clone(),
            client_name: client.name.clone(),
            scope_type: approved.ask.scope_type,
            scopes: approved.scopes,
            device_name: text("device_name"),
            device_type: text("device_type"),
            agent_name: approved.ask.agent_name.or_else(|| text("agent_name")),
            resource: approved.ask.resource,
            created_at: self.now,
            last_used_at: self.now,
            ended: None,
            changed_by: 0,
        }
    }
}

fn token_reply(issued: &Issued, knobs: &Knobs) -> Value {
    let session = &issued.session;
    let mut reply = json!({
        "access_token": issued.access_token,
        "token_type": knobs.token_type,
        "scope": session.scope_type.as_str(),
    });
    if knobs.expires_in == ExpiresIn::Present {
        reply["expires_in"] = knobs.access_token_lifetime_s.into();
    }
    if let Some(refresh_token) = &issued.refresh_token {
        reply["refresh_token"] = refresh_token.as_str().into();
    }
    let scopes = session.scopes.strings();
    match knobs.scopes_encoding {
        ScopesEncoding::JsonString => reply["scopes"] = json!(scopes).to_string().into(),
        ScopesEncoding::Array => reply["scopes"] = json!(scopes),
        ScopesEncoding::Absent => {}
    }
    if let Some(agent_name) = &session.agent_name {
        reply["agent_name"] = agent_name.as_str().into();
    }
    reply
}
