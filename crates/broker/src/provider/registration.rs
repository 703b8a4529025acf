//! Registering Doorward at a provider (RFC 7591).

use doorward_core::ids::RegistrationId;
use doorward_core::problem::{Code, Refusal};
use doorward_core::provider::Provider;
use doorward_core::registration::{ClientAuthentication, Registration};
use doorward_core::secret::{ClientSecret, RegistrationToken};
use doorward_core::time::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::http::Providers;
use crate::random;

/// A fresh registration with its secrets.
pub struct Registered {
    /// The row.
    pub registration: Registration,
    /// Its secret.
    pub secret: Option<ClientSecret>,
    /// What manages it.
    pub token: Option<RegistrationToken>,
}

#[derive(Deserialize)]
struct Answer {
    client_id: String,
    client_secret: Option<String>,
    client_secret_expires_at: Option<i64>,
    token_endpoint_auth_method: Option<String>,
    registration_access_token: Option<String>,
}

/// Registers with a redirect URI. A public client is asked for: on a person's machine a secret proves nothing that
/// PKCE does not.
pub async fn register(
    providers: &Providers,
    provider: &Provider,
    redirect_uri: &str,
) -> Result<Registered, Refusal> {
    let Some(endpoint) = &provider.registration_endpoint else {
        return Err(Refusal::new(
            Code::ProviderUnknown,
            format!(
                "{} does not let clients register themselves.",
                provider.title
            ),
            "Register Doorward there by hand and put its `client_id` into a manifest.",
        ));
    };
    let ask = json!({
        "client_name": "Doorward",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    });
    let request = providers
        .client(provider.addresses)
        .post(endpoint.clone())
        .json(&ask);
    let reply = providers.send(request).await.map_err(|error| {
        Refusal::new(
            Code::ProviderUnavailable,
            format!(
                "Doorward could not register at {}: {error}.",
                provider.title
            ),
            "Try again; nothing was changed.",
        )
    })?;
    let answer: Option<Answer> = serde_json::from_slice(&reply.body).ok();
    let Some(answer) = answer.filter(|_| (200..300).contains(&reply.status)) else {
        return Err(Refusal::new(
            Code::ProviderRejected,
            format!(
                "{} refused to register Doorward (HTTP {}).",
                provider.title, reply.status
            ),
            "Register Doorward there by hand and put its `client_id` into a manifest.",
        ));
    };
    let authentication = match (
        answer.token_endpoint_auth_method.as_deref(),
        &answer.client_secret,
    ) {
        (Some("client_secret_post"), Some(_)) => ClientAuthentication::ClientSecretPost,
        (Some("none"), _) | (_, None) => ClientAuthentication::None,
        // RFC 7591 §2: what is not said is `client_secret_basic`.
        (_, Some(_)) => ClientAuthentication::ClientSecretBasic,
    };
    Ok(Registered {
        registration: Registration {
            id: RegistrationId::from_random(random::bytes()),
            issuer: provider.issuer.clone(),
            redirect_uri: redirect_uri.to_owned(),
            client_id: answer.client_id,
            authentication,
            secret_expires_at: answer
                .client_secret_expires_at
                .filter(|end| *end > 0)
                .map(Timestamp::from_secs),
            created_at: reply.now,
        },
        secret: answer.client_secret.map(ClientSecret::new),
        token: answer.registration_access_token.map(RegistrationToken::new),
    })
}
