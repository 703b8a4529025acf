//! Giving a lock back to its provider.

use std::time::Duration;

use doorward_core::api_path::ApiPath;
use doorward_core::decide::locking::ReturnOutcome;
use doorward_core::limits;
use doorward_core::provider::Provider;
use doorward_core::secret::{AccessToken, LockToken};
use reqwest::Method;
use url::Url;

use super::http::{Providers, RawReply};

/// How long the locks that a connection leaves behind may hold up the end of its grant.
pub const LEFT_BEHIND_TIME: Duration = Duration::from_secs(3);

/// What came of giving a lock back.
pub struct Returned {
    /// What it means.
    pub outcome: ReturnOutcome,
    /// Whether the provider did not take the access token.
    pub token_was_refused: bool,
}

impl Returned {
    fn of(outcome: ReturnOutcome) -> Self {
        Self {
            outcome,
            token_was_refused: false,
        }
    }
}

/// Tries to give a lock back.
pub async fn give_back(
    providers: &Providers,
    provider: &Provider,
    path: &str,
    (token, access): (&LockToken, &AccessToken),
) -> Returned {
    let Some((method, address, field)) = target(provider, path) else {
        // The manifest says no longer how, and nothing else could.
        return Returned::of(ReturnOutcome::Done);
    };
    let request = providers
        .client(provider.addresses)
        .request(method, address)
        .bearer_auth(access.expose())
        .form(&[(field, token.expose())]);
    match providers.send(request).await {
        Ok(reply) => read(&reply),
        Err(error) => Returned::of(failed(error.to_string(), None)),
    }
}

fn read(reply: &RawReply) -> Returned {
    let headers = reply.headers.as_slice();
    match reply.status {
        // 404, 410: there is no such lock; 409, 423: it is another's by now.
        200..=299 | 404 | 409 | 410 | 423 => Returned::of(ReturnOutcome::Done),
        401 => Returned {
            token_was_refused: true,
            ..Returned::of(failed("HTTP 401".to_owned(), None))
        },
        429 => {
            let until = limits::limited_until(reply.now, headers);
            Returned::of(failed("HTTP 429".to_owned(), Some(until)))
        }
        status => {
            let stated = limits::stated_retry(reply.now, headers);
            Returned::of(failed(format!("HTTP {status}"), stated))
        }
    }
}

fn failed(why: String, retry_at: Option<doorward_core::time::Timestamp>) -> ReturnOutcome {
    ReturnOutcome::Failed { why, retry_at }
}

/// How a lock is given back, and where: below the API's base, whatever the path is.
fn target<'a>(provider: &'a Provider, path: &str) -> Option<(Method, Url, &'a str)> {
    let rules = provider.upstream.locks.as_ref()?;
    let api = provider.api.as_ref()?;
    let path = ApiPath::parse(path).ok()?;
    let base = api.as_str().trim_end_matches('/');
    let address = Url::parse(&format!("{base}/{}", path.as_sent())).ok()?;
    let is_below = address.origin() == api.origin() && address.path().starts_with(api.path());
    let method = Method::from_bytes(rules.released_by.as_bytes()).ok()?;
    is_below.then_some((method, address, rules.field.as_str()))
}

#[cfg(test)]
mod tests {
    use doorward_core::provider::Manifest;

    use super::*;

    #[test]
    fn a_lock_is_given_back_below_the_apis_base_and_nowhere_else() {
        let manifest = Manifest::fastio().unwrap();
        let provider = Provider::resolve(&manifest, None).unwrap();
        let (method, address, field) = target(&provider, "workspace/1/storage/n/lock/").unwrap();
        assert_eq!(
            (method.as_str(), address.as_str(), field),
            (
                "DELETE",
                "https://api.fast.io/current/workspace/1/storage/n/lock/",
                "lock_token"
            )
        );
        for path in ["https:evil.example/lock/", "a:b@evil.example/lock/"] {
            let (_, address, _) = target(&provider, path).unwrap();
            assert_eq!(address.host_str(), Some("api.fast.io"), "{path}");
        }
        for path in [
            "../oauth/token/",
            "//evil.example/",
            "a/%2e%2e/b",
            "a\\b",
            "a?b",
        ] {
            assert!(target(&provider, path).is_none(), "{path}");
        }
    }
}
