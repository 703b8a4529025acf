//! Ending a grant at its provider: its session where there is one, then its refresh token (RFC 7009).

use doorward_core::decide::revoking::RevocationOutcome;
use doorward_core::limits;
use doorward_core::outbox::OutboxItem;
use doorward_core::registration::ClientAuthentication;
use doorward_core::secret::{AccessToken, ClientSecret, RefreshToken};

use super::http::{Providers, RawReply};

/// Tries to end the grant of an outbox item. Only this grant: never every session of the person.
pub async fn revoke(
    providers: &Providers,
    item: &OutboxItem,
    secret: Option<&ClientSecret>,
    access: &AccessToken,
    refresh: Option<&RefreshToken>,
) -> RevocationOutcome {
    let session_ended = end_session(providers, item, access).await;
    let Some(endpoint) = &item.provider.revocation_endpoint else {
        return if session_ended {
            RevocationOutcome::Confirmed
        } else {
            RevocationOutcome::Impossible
        };
    };
    let (token, hint) = match refresh {
        Some(refresh) => (refresh.expose(), "refresh_token"),
        None => (access.expose(), "access_token"),
    };
    let mut form = vec![("token", token), ("token_type_hint", hint)];
    let mut request = providers
        .client(item.provider.addresses)
        .post(endpoint.clone());
    match (item.client.authentication, secret) {
        (ClientAuthentication::ClientSecretBasic, Some(secret)) => {
            request = request.basic_auth(
                form_encoded(&item.client.client_id),
                Some(form_encoded(secret.expose())),
            );
        }
        (ClientAuthentication::ClientSecretPost, Some(secret)) => {
            form.push(("client_id", item.client.client_id.as_str()));
            form.push(("client_secret", secret.expose()));
        }
        _ => form.push(("client_id", item.client.client_id.as_str())),
    }
    match providers.send(request.form(&form)).await {
        Ok(reply) if (200..300).contains(&reply.status) => RevocationOutcome::Confirmed,
        // The session's end has ended the grant, and the endpoint does not know the token any longer.
        Ok(reply) if session_ended && (400..500).contains(&reply.status) && reply.status != 429 => {
            RevocationOutcome::Confirmed
        }
        Ok(reply) => failed(&reply),
        Err(error) => RevocationOutcome::Failed {
            why: error.to_string(),
            retry_at: None,
        },
    }
}

/// RFC 6749 §2.3.1: both parts are form-encoded before they are put into the header.
fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn failed(reply: &RawReply) -> RevocationOutcome {
    let headers = reply.headers.as_slice();
    RevocationOutcome::Failed {
        why: format!("HTTP {}", reply.status),
        retry_at: match reply.status {
            429 => Some(limits::limited_until(reply.now, headers)),
            _ => limits::stated_retry(reply.now, headers),
        },
    }
}

async fn end_session(providers: &Providers, item: &OutboxItem, access: &AccessToken) -> bool {
    let (Some(sessions), Some(session)) = (&item.provider.sessions, &item.session) else {
        return false;
    };
    let mut address = sessions.clone();
    // An identifier from a provider is data: pushed as one segment it cannot reach another path.
    match address.path_segments_mut() {
        Ok(mut segments) => segments.pop_if_empty().push(session).push(""),
        Err(()) => return false,
    };
    let request = providers
        .client(item.provider.addresses)
        .delete(address)
        .bearer_auth(access.expose());
    matches!(providers.send(request).await, Ok(reply) if (200..300).contains(&reply.status))
}
