//! Dynamic client registration and its update. Raw JSON both ways, as the RFCs have it.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::http::envelope::Refusal;
use crate::http::site::{SharedSite, bearer};
use crate::knobs::Registration;
use crate::world::SecretKind;
use crate::world::clients::{Client, ClientMetadata, RegistrationRefusal};

impl IntoResponse for RegistrationRefusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "error_description": self.description });
        (StatusCode::BAD_REQUEST, Json(body)).into_response()
    }
}

pub(crate) async fn register(State(site): State<SharedSite>, body: Bytes) -> Response {
    let now = site.now();
    let mut world = site.world();
    if world.knobs.registration == Registration::Closed {
        return Refusal::UnknownRoute.into_response();
    }
    let secret_lifetime_s = world.knobs.client_secret_lifetime_s;
    let registered = match metadata(&body)
        .and_then(|metadata| world.clients.register(&metadata, secret_lifetime_s, now))
    {
        Ok(registered) => registered,
        Err(refusal) => return refusal.into_response(),
    };
    world.note_secret(
        SecretKind::RegistrationAccessToken,
        &registered.registration_token,
    );
    let mut document = description(&registered.client);
    document["registration_access_token"] = registered.registration_token.into();
    document["registration_client_uri"] =
        format!("{}/current/oauth/register/", site.origin()).into();
    if let Some(secret) = registered.secret {
        world.note_secret(SecretKind::ClientSecret, &secret);
        document["client_secret"] = secret.into();
    }
    (
        StatusCode::CREATED,
        [(CACHE_CONTROL, "no-store")],
        Json(document),
    )
        .into_response()
}

pub(crate) async fn update(
    State(site): State<SharedSite>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(token) = bearer(&headers) else {
        return Refusal::Anonymous.into_response();
    };
    let metadata = match metadata(&body) {
        Ok(metadata) => metadata,
        Err(refusal) => return refusal.into_response(),
    };
    let mut world = site.world();
    match world.clients.update(token, &metadata) {
        None => {
            Refusal::InvalidToken("The registration access token is not valid.").into_response()
        }
        Some(Err(refusal)) => refusal.into_response(),
        Some(Ok(client)) => Json(description(&client)).into_response(),
    }
}

fn metadata(body: &[u8]) -> Result<ClientMetadata, RegistrationRefusal> {
    serde_json::from_slice(body).map_err(|error| RegistrationRefusal {
        error: "invalid_client_metadata",
        description: format!("the body is not a JSON object of client metadata: {error}"),
    })
}

fn description(client: &Client) -> Value {
    let mut document = json!({
        "client_id": client.id,
        "client_id_issued_at": client.issued_at.unix_timestamp(),
        "client_name": client.name,
        "redirect_uris": client.redirect_uris,
        "grant_types": client.grant_types,
        "response_types": ["code"],
        "token_endpoint_auth_method": client.authentication.as_str(),
    });
    if let Some(secret) = client.secret {
        document["client_secret_expires_at"] = secret
            .expires_at
            .map_or(0, time::OffsetDateTime::unix_timestamp)
            .into();
    }
    document
}
