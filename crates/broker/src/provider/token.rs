//! The authorization address and the two calls to the token endpoint.
//!
//! The `oauth2` crate writes the requests; the reply is read by the core from its raw form, because what decides over
//! a grant (the status, a `Retry-After`, an error that is not RFC 6749's) is lost in a parsed one.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use doorward_core::consent::PendingConsent;
use doorward_core::provider::Provider;
use doorward_core::registration::{ClientAuthentication, ClientIdentity};
use doorward_core::secret::{AuthorizationCode, ClientSecret, CodeVerifier, RefreshToken};
use doorward_core::token_reply::{self, TokenOutcome, TokenReply};
use oauth2::basic::BasicClient;
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, ClientId, CsrfToken, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenUrl,
};

use super::http::{Providers, RawReply, TransportError};

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

fn client(provider: &Provider, identity: &ClientIdentity, secret: Option<&ClientSecret>) -> Client {
    let client = BasicClient::new(ClientId::new(identity.client_id.clone()))
        .set_auth_type(match identity.authentication {
            ClientAuthentication::ClientSecretBasic => AuthType::BasicAuth,
            ClientAuthentication::None | ClientAuthentication::ClientSecretPost => {
                AuthType::RequestBody
            }
        })
        .set_auth_uri(AuthUrl::from_url(provider.authorization_endpoint.clone()))
        .set_token_uri(TokenUrl::from_url(provider.token_endpoint.clone()));
    match secret {
        Some(secret) => {
            client.set_client_secret(oauth2::ClientSecret::new(secret.expose().to_owned()))
        }
        None => client,
    }
}

/// A fresh PKCE pair: the challenge to send, the verifier to keep.
#[must_use]
pub fn pkce() -> (PkceCodeChallenge, CodeVerifier) {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    (challenge, CodeVerifier::new(verifier.secret().clone()))
}

/// The address to open in the browser.
#[must_use]
pub fn authorization_address(consent: &PendingConsent, challenge: PkceCodeChallenge) -> url::Url {
    let provider = &consent.provider;
    let client = client(provider, &consent.client, None);
    let redirect = RedirectUrl::new(consent.redirect_uri.clone()).ok();
    let client = match redirect {
        Some(redirect) => client.set_redirect_uri(redirect),
        None => client,
    };
    let state = consent.state.clone();
    let mut request = client
        .authorize_url(|| CsrfToken::new(state))
        .set_pkce_challenge(challenge);
    for name in &provider.scope_parameters {
        if name == "scope" {
            request = request.add_scopes(
                consent
                    .ask
                    .scope
                    .split_ascii_whitespace()
                    .map(|word| Scope::new(word.to_owned())),
            );
        } else {
            request = request.add_extra_param(name.clone(), consent.ask.scope.clone());
        }
    }
    if let Some(name) = &provider.access_mode_parameter {
        request =
            request.add_extra_param(name.clone(), if consent.ask.read_only { "r" } else { "rw" });
    }
    if let Some(name) = &provider.agent_name_parameter {
        request = request.add_extra_param(name.clone(), consent.ask.agent_name.clone());
    }
    if let Some(resource) = &provider.resource {
        request = request.add_extra_param("resource", resource.clone());
    }
    if wants_offline_consent(&consent.ask.scope) {
        // OpenID Connect §11: a refresh token is given only where the person is asked.
        request = request.add_extra_param("prompt", "consent");
    }
    request.url().0
}

/// Whether the provider lets this client begin: an unknown client, or a redirect URI that is not its own, is told to
/// whoever opens the address and never comes back as an answer. Only a kept registration is tried this way.
pub async fn may_authorize(providers: &Providers, provider: &Provider, address: &url::Url) -> bool {
    let request = providers.client(provider.addresses).get(address.clone());
    match providers.send(request).await {
        Ok(reply) => !matches!(reply.status, 400 | 401 | 406),
        // What cannot be reached says nothing about the client.
        Err(_) => true,
    }
}

fn wants_offline_consent(scope: &str) -> bool {
    scope
        .split_ascii_whitespace()
        .any(|word| word == "offline_access")
}

/// Exchanges an authorization code. Never repeated: a code works once.
pub async fn exchange(
    providers: &Providers,
    consent: &PendingConsent,
    secret: Option<&ClientSecret>,
    code: AuthorizationCode,
    verifier: &CodeVerifier,
) -> TokenOutcome {
    let provider = &consent.provider;
    let client = client(provider, &consent.client, secret);
    let client = match RedirectUrl::new(consent.redirect_uri.clone()) {
        Ok(redirect) => client.set_redirect_uri(redirect),
        Err(_) => client,
    };
    let mut request = client
        .exchange_code(oauth2::AuthorizationCode::new(code.expose().to_owned()))
        .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()));
    if let Some(name) = &provider.device_name_parameter {
        request = request.add_extra_param(name.clone(), consent.device_name.clone());
        request = request.add_extra_param("device_type", "desktop");
    }
    if let Some(resource) = &provider.resource {
        request = request.add_extra_param("resource", resource.clone());
    }
    let line = Line::to(providers, provider);
    // What the crate makes of the reply is not used; what the line caught is.
    let _parsed = request.request_async(&line).await;
    match line.caught() {
        Some(Ok(reply)) => meaning(&reply),
        Some(Err(error)) => TokenOutcome::Transient {
            why: error.to_string(),
            retry_at: None,
        },
        None => unwritable(),
    }
}

/// Refreshes, and says what came back; nothing where the request could not be written. What it means is decided by
/// whoever holds the store. The caller makes sure that there is one at a time for a connection.
pub async fn refresh(
    providers: &Providers,
    provider: &Provider,
    identity: &ClientIdentity,
    secret: Option<&ClientSecret>,
    token: &RefreshToken,
) -> Option<Result<RawReply, TransportError>> {
    let client = client(provider, identity, secret);
    let token = oauth2::RefreshToken::new(token.expose().to_owned());
    let mut request = client.exchange_refresh_token(&token);
    if let Some(resource) = &provider.resource {
        request = request.add_extra_param("resource", resource.clone());
    }
    let line = Line::to(providers, provider);
    let _parsed = request.request_async(&line).await;
    line.caught()
}

/// What a token endpoint's reply means.
#[must_use]
pub fn meaning(reply: &RawReply) -> TokenOutcome {
    token_reply::read(&TokenReply {
        status: reply.status,
        headers: &reply.headers,
        body: &reply.body,
        sent_at: reply.sent_at,
        now: reply.now,
    })
}

/// What it means that a request could not even be written.
#[must_use]
pub fn unwritable() -> TokenOutcome {
    TokenOutcome::Misconfigured {
        why: "the request could not be written".to_owned(),
    }
}

/// Carries one request of the `oauth2` crate to the token endpoint and keeps the raw reply.
struct Line<'a> {
    providers: &'a Providers,
    provider: &'a Provider,
    caught: Mutex<Option<Result<RawReply, TransportError>>>,
}

impl<'a> Line<'a> {
    fn to(providers: &'a Providers, provider: &'a Provider) -> Self {
        Self {
            providers,
            provider,
            caught: Mutex::new(None),
        }
    }

    async fn carry(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let (parts, body) = request.into_parts();
        let request = self
            .providers
            .client(self.provider.addresses)
            .request(parts.method, self.provider.token_endpoint.clone())
            .headers(parts.headers)
            .body(body);
        let reply = self.providers.send(request).await;
        let answer = reply.as_ref().map_err(Clone::clone).map(|reply| {
            let mut response = HttpResponse::new(reply.body.to_vec());
            *response.status_mut() = http::StatusCode::from_u16(reply.status).unwrap_or_default();
            response
        });
        *self.caught.lock().unwrap_or_else(PoisonError::into_inner) = Some(reply);
        answer
    }

    fn caught(self) -> Option<Result<RawReply, TransportError>> {
        self.caught
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'c> AsyncHttpClient<'c> for Line<'_> {
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, TransportError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.carry(request))
    }
}
