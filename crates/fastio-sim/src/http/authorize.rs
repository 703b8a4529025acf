//! The start of an authorization.
//!
//! Two kinds of error must not be confused: as long as the client and its redirect URI are not
//! known to belong together, nobody may be sent anywhere, so those errors are shown where they
//! happen; every later one travels back to the client.

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use time::OffsetDateTime;
use url::Url;

use crate::http::envelope::{Refusal, Reply};
use crate::http::fields::Fields;
use crate::http::site::{SharedSite, Site};
use crate::knobs::{ErrorRedirectState, Knobs, Presence, ResourceValues, ScopeParameter};
use crate::scope::{Mode, ScopeType};
use crate::world::asks::{ASK_LIFETIME, Ask};

/// The longest name an agent may give itself.
pub(crate) const AGENT_NAME_LIMIT: usize = 128;

/// An error that goes back to the client, in the terms of RFC 6749 §4.1.2.1.
#[derive(Debug)]
struct AskRefusal {
    error: &'static str,
    parameter: &'static str,
    description: String,
}

pub(crate) async fn start(State(site): State<SharedSite>, uri: Uri) -> Response {
    let fields = Fields::of_query(&uri);
    let as_json = fields.get("response_format") == Some("json");
    let now = site.now();
    let mut world = site.world();
    let knobs = world.knobs.clone();

    // RFC 8707 allows several resources; the first one counts.
    if let Some(name) = fields.repeated().filter(|name| *name != "resource") {
        return Refusal::invalid(name, format!("{name} is given more than once.")).into_response();
    }
    let Some(client_id) = fields.given("client_id") else {
        return Refusal::missing("client_id").into_response();
    };
    let client = match world.client_asking(client_id, now) {
        Ok(client) => client,
        Err(message) => return Refusal::invalid("client_id", message).into_response(),
    };
    let Some(redirect_uri) = fields.given("redirect_uri") else {
        return Refusal::missing("redirect_uri").into_response();
    };
    if !client.may_redirect_to(redirect_uri, knobs.redirect_check) {
        return Refusal::invalid(
            "redirect_uri",
            "redirect_uri is not registered for this client.",
        )
        .into_response();
    }

    match read_ask(&site, &knobs, &fields, now) {
        Ok(ask) => {
            let agent_name = ask.agent_name.clone();
            let id = world.asks.file(ask);
            if as_json {
                started_as_json(&id, agent_name).into_response()
            } else {
                redirect(&format!("{}/connect?auth_request_id={id}", site.origin()))
            }
        }
        Err(refusal) if as_json => {
            Refusal::invalid(refusal.parameter, refusal.description).into_response()
        }
        Err(refusal) => {
            let mut answer = vec![
                ("error", refusal.error.to_owned()),
                ("error_description", refusal.description),
            ];
            if knobs.error_redirect_state == ErrorRedirectState::Present {
                answer.extend(fields.get("state").map(|state| ("state", state.to_owned())));
            }
            redirect(&answer_uri(&site, &knobs, redirect_uri, answer))
        }
    }
}

/// What a consent screen may know about an ask before anyone signed in.
pub(crate) async fn info(State(site): State<SharedSite>, uri: Uri) -> Result<Reply, Refusal> {
    let fields = Fields::of_query(&uri);
    let id = fields
        .given("auth_request_id")
        .ok_or_else(|| Refusal::missing("auth_request_id"))?;
    let now = site.now();
    let world = site.world();
    let ask = world
        .asks
        .open(id, now)
        .ok_or(Refusal::NotFound("authorization request"))?;
    let client_name = world
        .clients
        .find(&ask.client_id)
        .map(|client| client.name.clone());
    Ok(Reply::new(json!({
        "auth_request_id": id,
        "client": { "client_id": ask.client_id, "client_name": client_name },
        "scope_type": ask.scope_type.as_str(),
        "access_mode": ask.ceiling.as_str(),
        "account_settings": ask.account_settings,
        "agent_name": ask.agent_name,
        "login_hint": ask.login_hint,
        "redirect_uri": ask.redirect_uri,
        "expires_in": (ask.expires_at - now).whole_seconds(),
    })))
}

/// The redirect URI with an answer appended, and with `iss` if the knobs say so.
pub(crate) fn answer_uri(
    site: &Site,
    knobs: &Knobs,
    redirect_uri: &str,
    mut answer: Vec<(&'static str, String)>,
) -> String {
    if knobs.issuer_in_redirect == Presence::Present {
        answer.push(("iss", site.issuer(knobs)));
    }
    // The URI parsed when it was matched against the registration.
    Url::parse(redirect_uri).map_or_else(
        |_| redirect_uri.to_owned(),
        |mut uri| {
            uri.query_pairs_mut().extend_pairs(answer);
            uri.to_string()
        },
    )
}

fn started_as_json(id: &str, agent_name: Option<String>) -> Reply {
    let mut fields = json!({
        "auth_request_id": id,
        "expires_in": ASK_LIFETIME.whole_seconds(),
    });
    if let Some(agent_name) = agent_name {
        fields["agent_name"] = Value::from(agent_name);
    }
    Reply::new(fields)
}

fn redirect(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(location) => (StatusCode::FOUND, [(LOCATION, location)]).into_response(),
        Err(_) => Refusal::invalid("redirect_uri", "redirect_uri is not a URI.").into_response(),
    }
}

fn read_ask(
    site: &Site,
    knobs: &Knobs,
    fields: &Fields,
    now: OffsetDateTime,
) -> Result<Ask, AskRefusal> {
    let challenge = read_challenge(fields)?;
    let ceiling = match fields.given("access_mode") {
        None => Mode::ReadWrite,
        Some(mode) => mode
            .parse()
            .map_err(|_| bad("access_mode", "access_mode must be r, rw or rwa."))?,
    };
    let agent_name = fields.given("agent_name");
    if agent_name.is_some_and(|name| name.chars().count() > AGENT_NAME_LIMIT) {
        return Err(bad(
            "agent_name",
            "agent_name is longer than 128 characters.",
        ));
    }
    let resource = fields.given("resource");
    if resource.is_some_and(|resource| !resource_is_accepted(site, knobs, resource)) {
        return Err(AskRefusal {
            error: "invalid_target",
            ..bad("resource", "resource is not one that this server protects.")
        });
    }
    Ok(Ask {
        client_id: fields.get("client_id").unwrap_or_default().to_owned(),
        redirect_uri: fields.get("redirect_uri").unwrap_or_default().to_owned(),
        challenge: challenge.to_owned(),
        state: fields.get("state").map(str::to_owned),
        scope_type: read_scope_type(knobs, fields)?,
        ceiling,
        account_settings: matches!(fields.given("account_settings"), Some("1" | "true")),
        agent_name: agent_name.map(str::to_owned),
        login_hint: fields.given("login_hint").map(str::to_owned),
        resource: resource.map(str::to_owned),
        expires_at: now + ASK_LIFETIME,
    })
}

fn bad(parameter: &'static str, description: &str) -> AskRefusal {
    AskRefusal {
        error: "invalid_request",
        parameter,
        description: description.to_owned(),
    }
}

/// The code flow with PKCE S256 is the only one there is.
fn read_challenge(fields: &Fields) -> Result<&str, AskRefusal> {
    match fields.given("response_type") {
        Some("code") => {}
        Some(_) => {
            return Err(AskRefusal {
                error: "unsupported_response_type",
                ..bad("response_type", "The only response_type is code.")
            });
        }
        None => return Err(bad("response_type", "response_type is required.")),
    }
    if fields.given("code_challenge_method") != Some("S256") {
        return Err(bad(
            "code_challenge_method",
            "code_challenge_method must be S256.",
        ));
    }
    fields
        .given("code_challenge")
        .filter(|challenge| is_s256(challenge))
        .ok_or_else(|| bad("code_challenge", "code_challenge is not S256."))
}

fn read_scope_type(knobs: &Knobs, fields: &Fields) -> Result<ScopeType, AskRefusal> {
    let named = match knobs.scope_parameter {
        ScopeParameter::Either => fields.given("scope_type").or_else(|| fields.given("scope")),
        ScopeParameter::ScopeType => fields.given("scope_type"),
        ScopeParameter::Scope => fields.given("scope"),
    };
    named.map_or(Ok(ScopeType::User), |name| {
        name.parse()
            .map_err(|error: crate::scope::UnknownScope| AskRefusal {
                error: "invalid_scope",
                parameter: "scope_type",
                description: error.to_string(),
            })
    })
}

/// 43 base64url characters, the only form that SHA-256 gives.
fn is_s256(challenge: &str) -> bool {
    challenge.len() == 43
        && challenge
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Whether a `resource` parameter names something that a token may be meant for.
pub(crate) fn resource_is_accepted(site: &Site, knobs: &Knobs, resource: &str) -> bool {
    match knobs.resource {
        ResourceValues::Refused => false,
        ResourceValues::Any => Url::parse(resource).is_ok_and(|parsed| parsed.fragment().is_none()),
        ResourceValues::Known => {
            let bare = resource.trim_end_matches('/');
            bare == site.origin()
                || bare == site.api_base().trim_end_matches('/')
                || bare == site.mcp_url()
        }
    }
}
