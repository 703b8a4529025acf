//! `POST /oauth/register`: a program introduces itself (RFC 7591). It gets a `client_id` and no
//! rights at all; what it says of itself is shown to a person and believed by nobody.

use axum::response::Response;
use doorward_core::problem::Code;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::ask::Call;
use crate::failure::{Failure, OAuthError};
use crate::route::discovery::GRANT_TYPES;

/// A local program has one or two.
const MOST_REDIRECT_URIS: usize = 8;
/// An address of this machine is short.
const LONGEST_REDIRECT_URI: usize = 512;
/// Everything longer is cut; this only keeps nonsense from being stored.
const LONGEST_NAME: usize = 1024;

/// RFC 7591 §2. Members that are not known are ignored, as it wants.
#[derive(Deserialize)]
struct Metadata {
    client_name: Option<String>,
    redirect_uris: Option<Vec<String>>,
    grant_types: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
}

/// RFC 7591 §3.2.1.
#[derive(Serialize)]
struct Registered<'a> {
    client_id: String,
    client_id_issued_at: i64,
    client_name: &'a str,
    redirect_uris: &'a [String],
    grant_types: Vec<&'static str>,
    response_types: [&'static str; 0],
    token_endpoint_auth_method: &'static str,
}

pub(crate) async fn register(call: &mut Call) -> Result<Response, Failure> {
    call.gate.handle.check_unlocked()?;
    let metadata: Metadata = call
        .json()
        .await
        .map_err(|refusal| Failure::named(refusal, Code::BadRequest, "invalid_client_metadata"))?;
    let grant_types = grant_types(metadata.grant_types.as_deref())?;
    if metadata
        .token_endpoint_auth_method
        .is_some_and(|method| method != "none")
    {
        return Err(
            invalid("Clients here are public: `token_endpoint_auth_method` is `none`.").into(),
        );
    }
    let name = metadata.client_name.unwrap_or_default();
    if name.len() > LONGEST_NAME {
        return Err(invalid("`client_name` is too long.").into());
    }
    let redirect_uris = metadata.redirect_uris.unwrap_or_default();
    if redirect_uris.len() > MOST_REDIRECT_URIS || !redirect_uris.iter().all(|uri| is_loopback(uri))
    {
        return Err(OAuthError::new(
            "invalid_redirect_uri",
            "Redirect URIs are http addresses of this machine (127.0.0.1, [::1] or localhost), \
             without a fragment, at most 8.",
        )
        .into());
    }
    let client = call
        .gate
        .handle
        .register_client(&name, redirect_uris)
        .await?;
    let registered = Registered {
        client_id: client.id.to_string(),
        client_id_issued_at: client.created_at.as_secs(),
        client_name: client.name.as_str(),
        redirect_uris: &client.redirect_uris,
        grant_types,
        response_types: [],
        token_endpoint_auth_method: "none",
    };
    let response = super::json(&registered)?;
    Ok(super::unkept(super::with_status(
        StatusCode::CREATED,
        response,
    )))
}

fn invalid(description: &'static str) -> OAuthError {
    OAuthError::new("invalid_client_metadata", description)
}

/// Of the grants that a client wants, those that there are; a client that wants none of them
/// would register in vain.
fn grant_types(wanted: Option<&[String]>) -> Result<Vec<&'static str>, OAuthError> {
    let Some(wanted) = wanted else {
        return Ok(GRANT_TYPES.to_vec());
    };
    let given: Vec<_> = GRANT_TYPES
        .iter()
        .copied()
        .filter(|known| wanted.iter().any(|own| own == known))
        .collect();
    if given.is_empty() {
        return Err(OAuthError::new(
            "invalid_client_metadata",
            format!(
                "None of these `grant_types` is known here. There is: {}.",
                GRANT_TYPES.join(" ")
            ),
        ));
    }
    Ok(given)
}

/// A redirect to anywhere but this machine would carry a code away.
fn is_loopback(uri: &str) -> bool {
    if uri.len() > LONGEST_REDIRECT_URI {
        return false;
    }
    let Ok(url) = Url::parse(uri) else {
        return false;
    };
    let is_here = match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(ip)) => ip == std::net::Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(ip)) => ip == std::net::Ipv6Addr::LOCALHOST,
        None => false,
    };
    is_here
        && url.scheme() == "http"
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_can_be_sent_to_this_machine_and_nowhere_else() {
        for good in [
            "http://127.0.0.1/callback",
            "http://127.0.0.1:4711/callback?x=y",
            "http://[::1]:4711/",
            "http://localhost:8080/cb",
        ] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "https://127.0.0.1/callback",
            "http://evil.example/callback",
            "http://localhost.evil.example/",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1@evil.example/",
            "http://me@127.0.0.1/",
            "http://127.0.0.1/#x",
            "http://0.0.0.0/",
            "http://192.168.0.1/",
            "myapp://callback",
            "javascript:alert(1)",
            "",
            "/callback",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }
}
