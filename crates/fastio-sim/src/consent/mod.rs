//! The consent pages: plain forms, so that a person's browser and a script's HTTP client answer them
//! in the same way.
//!
//! What a script sends, in order:
//!
//! 1. `GET /connect?auth_request_id=ID[&display_code=true]` shows the sign-in form.
//! 2. `POST /connect/sign-in`, form fields `auth_request_id`, `email`, `password` and, to have the
//!    code shown instead of being redirected, `display_code=true`. The answer is the decision page,
//!    which holds `<input type="hidden" name="csrf" value="…">`.
//! 3. `POST /connect/decide`, form fields:
//!    - `auth_request_id`, `csrf`, and `display_code` as before;
//!    - `decision` = `approve` or `decline`;
//!    - `entity` = the id of a picked organisation or workspace, repeated for each; for scope types
//!      that pick (`org`, `workspace`) there must be at least one, others ignore it;
//!    - `mode` = `r`, `rw` or `rwa`, for everything that has no mode of its own; what was asked for
//!      if left out;
//!    - `mode_ID` = the mode of the one picked entity `ID`; the page sends these.
//!
//!    The answer is a 303 to the client's redirect URI, or a page with `<output id="code">…</output>`.
//!
//! The `csrf` value is handed out only to whoever knows the password and is bound to one ask, so it is
//! both the proof of the sign-in and the defence against forged decisions; no cookie is needed.

mod page;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERRER_POLICY};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;

use crate::consent::page::{DecisionPage, SignInPage};
use crate::http::authorize::answer_uri;
use crate::http::fields::Fields;
use crate::http::site::{SharedSite, Site};
use crate::knobs::ErrorRedirectState;
use crate::scope::{EntityKind, Mode, Scope, Scopes};
use crate::world::asks::{Approved, Ask};
use crate::world::{SecretKind, World};

pub(crate) fn routes() -> Router<SharedSite> {
    Router::new()
        .route("/connect", get(sign_in_form))
        .route("/connect/sign-in", post(sign_in))
        .route("/connect/decide", post(decide))
        .route("/connect/style.css", get(style))
}

/// A page of ours: never cached, never framed, and no scripts, for it needs none.
pub(crate) struct Page {
    status: StatusCode,
    html: String,
}

impl Page {
    fn ok(html: String) -> Self {
        Self {
            status: StatusCode::OK,
            html,
        }
    }

    fn problem(status: StatusCode, heading: &str, text: &str) -> Self {
        Self {
            status,
            html: page::problem(heading, text),
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.html).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        // No `form-action`: browsers apply it to the redirect that ends the form, too.
        headers.insert(
            "content-security-policy",
            HeaderValue::from_static(
                "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
            ),
        );
        response
    }
}

async fn style() -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/css; charset=utf-8")],
        include_str!("style.css"),
    )
}

async fn sign_in_form(State(site): State<SharedSite>, uri: Uri) -> Page {
    let fields = Fields::of_query(&uri);
    let now = site.now();
    let world = site.world();
    let id = fields.get("auth_request_id").unwrap_or_default();
    match world.asks.open(id, now) {
        Some(ask) => Page::ok(sign_in_page(&world, ask, &fields).render()),
        None => gone(),
    }
}

async fn sign_in(State(site): State<SharedSite>, body: Bytes) -> Page {
    let fields = Fields::parse(&body);
    let now = site.now();
    let mut world = site.world();
    let id = fields.get("auth_request_id").unwrap_or_default();
    let Some(ask) = world.asks.open(id, now).cloned() else {
        return gone();
    };
    let email = fields.get("email").unwrap_or_default();
    let password = fields.get("password").unwrap_or_default();
    if world.catalogue.sign_in(email, password).is_none() {
        let page = SignInPage {
            email,
            refused: true,
            ..sign_in_page(&world, &ask, &fields)
        };
        return Page {
            status: StatusCode::UNAUTHORIZED,
            html: page.render(),
        };
    }
    let Some(csrf) = world.asks.signed_in(id) else {
        return gone();
    };
    Page::ok(decision_page(&world, &ask, &fields, &csrf, None).render())
}

async fn decide(State(site): State<SharedSite>, body: Bytes) -> Response {
    let fields = Fields::parse(&body);
    let now = site.now();
    let mut world = site.world();
    let id = fields.get("auth_request_id").unwrap_or_default();
    let csrf = fields.get("csrf").unwrap_or_default();
    let Some(ask) = world.asks.open(id, now).cloned() else {
        return gone().into_response();
    };
    if !world.asks.proves_sign_in(id, csrf) {
        return Page::problem(
            StatusCode::FORBIDDEN,
            "Sign in again",
            "This decision did not come from the page that you signed in to.",
        )
        .into_response();
    }
    match fields.get("decision") {
        Some("decline") => {
            world.asks.close(id);
            send_back(
                &site,
                &world,
                &ask,
                vec![("error", "access_denied".to_owned())],
            )
        }
        Some("approve") => match granted(&world, &ask, &fields) {
            Ok(scopes) => {
                world.asks.close(id);
                let approved = Approved { ask, scopes };
                let display = fields.get("display_code") == Some("true");
                approve(&site, &mut world, approved, display)
            }
            Err(problem) => {
                let html = decision_page(&world, &ask, &fields, csrf, Some(problem)).render();
                Page {
                    status: StatusCode::BAD_REQUEST,
                    html,
                }
                .into_response()
            }
        },
        _ => Page::problem(
            StatusCode::BAD_REQUEST,
            "No decision",
            "Go back and choose to allow or to decline.",
        )
        .into_response(),
    }
}

/// Issues the code, and shows it or sends it back.
fn approve(site: &Site, world: &mut World, approved: Approved, display: bool) -> Response {
    let ask = approved.ask.clone();
    let code = world.asks.issue_code(approved, site.now());
    world.note_secret(SecretKind::AuthorizationCode, &code);
    if display {
        return Page::ok(page::code(&code)).into_response();
    }
    let mut answer = vec![("code", code)];
    answer.extend(ask.state.clone().map(|state| ("state", state)));
    send_back(site, world, &ask, answer)
}

/// Redirects to the client. A refusal may have to go without `state`.
fn send_back(
    site: &Site,
    world: &World,
    ask: &Ask,
    mut answer: Vec<(&'static str, String)>,
) -> Response {
    let knobs = &world.knobs;
    let refused = answer.iter().any(|(name, _)| *name == "error");
    if refused && knobs.error_redirect_state == ErrorRedirectState::Present {
        answer.extend(ask.state.clone().map(|state| ("state", state)));
    }
    match HeaderValue::from_str(&answer_uri(site, knobs, &ask.redirect_uri, answer)) {
        Ok(location) => (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response(),
        Err(_) => gone().into_response(),
    }
}

fn gone() -> Page {
    Page::problem(
        StatusCode::NOT_FOUND,
        "This request is no longer open",
        "It was answered already or is older than ten minutes. Start again from the app.",
    )
}

/// What the person granted, which may be narrower than the ask but never wider.
fn granted(world: &World, ask: &Ask, fields: &Fields) -> Result<Scopes, &'static str> {
    let read_mode = |name: &str| match fields.given(name) {
        None => Ok(None),
        Some(text) => text
            .parse::<Mode>()
            .ok()
            .filter(|mode| *mode <= ask.ceiling)
            .map(Some)
            .ok_or("That is more than the app asked for."),
    };
    let general = read_mode("mode")?.unwrap_or(ask.ceiling);
    let kind = ask.scope_type.entity_kind();
    let mut scopes = Vec::new();
    if ask.scope_type.picks().is_some() {
        for id in fields.all("entity") {
            let known = if kind == EntityKind::Org {
                world.catalogue.org(id).is_some()
            } else {
                world.catalogue.workspace(id).is_some()
            };
            if !known {
                return Err("One of the choices does not exist.");
            }
            let mode = read_mode(&format!("mode_{id}"))?.unwrap_or(general);
            scopes.push(Scope {
                kind,
                id: Some(id.to_owned()),
                mode,
            });
        }
        if scopes.is_empty() {
            return Err("Choose at least one.");
        }
    } else {
        scopes.push(Scope {
            kind,
            id: None,
            mode: general,
        });
    }
    if ask.account_settings {
        scopes.push(Scope {
            kind: EntityKind::UserDetails,
            id: None,
            mode: Mode::ReadWrite,
        });
    }
    scopes.sort();
    scopes.dedup();
    Ok(Scopes(scopes))
}

fn sign_in_page<'a>(world: &'a World, ask: &'a Ask, fields: &'a Fields) -> SignInPage<'a> {
    SignInPage {
        auth_request_id: fields.get("auth_request_id").unwrap_or_default(),
        client_name: client_name(world, ask),
        agent_name: ask.agent_name.as_deref(),
        email: ask.login_hint.as_deref().unwrap_or_default(),
        display_code: fields.get("display_code") == Some("true"),
        refused: false,
    }
}

fn decision_page<'a>(
    world: &'a World,
    ask: &'a Ask,
    fields: &'a Fields,
    csrf: &'a str,
    problem: Option<&'static str>,
) -> DecisionPage<'a> {
    DecisionPage {
        auth_request_id: fields.get("auth_request_id").unwrap_or_default(),
        csrf,
        client_name: client_name(world, ask),
        ask,
        catalogue: &world.catalogue,
        fields,
        problem,
    }
}

fn client_name<'a>(world: &'a World, ask: &'a Ask) -> &'a str {
    world
        .clients
        .find(&ask.client_id)
        .map_or(ask.client_id.as_str(), |client| client.name.as_str())
}
