//! Discovery: what an issuer says of itself (RFC 8414, OpenID Connect Discovery), found by way of the protected
//! resource where the address is one (RFC 9728).

use doorward_core::problem::{Code, Refusal};
use doorward_core::provider::{AddressRule, Manifest, Metadata, Provider};
use serde::Deserialize;
use url::Url;

use super::http::{Providers, host_of};

#[derive(Deserialize)]
struct ProtectedResource {
    #[serde(default)]
    authorization_servers: Vec<String>,
}

/// Resolves a manifest. A manifest that names its endpoints works even where discovery does not answer.
pub async fn resolve(providers: &Providers, manifest: Manifest) -> Result<Provider, Refusal> {
    let has_endpoints =
        manifest.authorization_endpoint.is_some() && manifest.token_endpoint.is_some();
    match metadata_of(providers, &manifest.base).await {
        Found::Metadata(metadata) => Provider::resolve(&manifest, Some(*metadata)),
        Found::Nothing if has_endpoints => Provider::resolve(&manifest, None),
        Found::Nothing => match authorization_server_of(providers, &manifest.base).await? {
            Some(issuer) => {
                let title = manifest.title.clone();
                let moved = Manifest {
                    title,
                    base: issuer,
                    ..manifest
                };
                match metadata_of(providers, &moved.base).await {
                    Found::Metadata(metadata) => Provider::resolve(&moved, Some(*metadata)),
                    Found::Nothing => Err(no_metadata(&moved.base)),
                    Found::Unreachable(refusal) => Err(refusal),
                }
            }
            None => Err(no_metadata(&manifest.base)),
        },
        Found::Unreachable(refusal) => Err(refusal),
    }
}

enum Found {
    Metadata(Box<Metadata>),
    Nothing,
    Unreachable(Refusal),
}

async fn metadata_of(providers: &Providers, issuer: &Url) -> Found {
    for address in well_known(issuer) {
        match fetch::<Metadata>(providers, issuer, address).await {
            Ok(Some(metadata)) => return Found::Metadata(Box::new(metadata)),
            Ok(None) => {}
            Err(refusal) => return Found::Unreachable(refusal),
        }
    }
    Found::Nothing
}

/// The addresses at which an issuer's metadata may lie. RFC 8414 puts the well-known part before the issuer's path,
/// OpenID Connect after it; Fast.io documents a trailing slash that RFC clients do not ask for.
fn well_known(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let at = |path: String| {
        let mut address = issuer.clone();
        address.set_path(&path);
        address
    };
    let mut addresses = vec![
        at(format!("/.well-known/oauth-authorization-server{path}")),
        at(format!("/.well-known/oauth-authorization-server{path}/")),
        at(format!("/.well-known/openid-configuration{path}")),
        at(format!("{path}/.well-known/openid-configuration")),
    ];
    addresses.dedup();
    addresses
}

async fn authorization_server_of(
    providers: &Providers,
    resource: &Url,
) -> Result<Option<Url>, Refusal> {
    let path = resource.path().trim_end_matches('/');
    for suffix in [
        format!("/.well-known/oauth-protected-resource{path}"),
        format!("/.well-known/oauth-protected-resource{path}/"),
    ] {
        let mut address = resource.clone();
        address.set_path(&suffix);
        let Some(found) = fetch::<ProtectedResource>(providers, resource, address).await? else {
            continue;
        };
        let Some(first) = found.authorization_servers.first() else {
            continue;
        };
        let issuer = Url::parse(first).map_err(|_| no_metadata(resource))?;
        AddressRule::for_typed(resource).check(&issuer)?;
        return Ok(Some(issuer));
    }
    Ok(None)
}

async fn fetch<T: serde::de::DeserializeOwned>(
    providers: &Providers,
    issuer: &Url,
    address: Url,
) -> Result<Option<T>, Refusal> {
    let rule = AddressRule::for_typed(issuer);
    let request = providers
        .client(rule)
        .get(address)
        .header("accept", "application/json");
    let reply = providers.send(request).await.map_err(|error| {
        Refusal::new(
            Code::ProviderUnavailable,
            format!("The provider cannot be reached: {error}."),
            "Check the address and the network, then try again; nothing was changed.",
        )
    })?;
    match reply.status {
        200 => Ok(serde_json::from_slice(&reply.body).ok()),
        429 | 500.. => Err(Refusal::new(
            Code::ProviderUnavailable,
            format!(
                "{} answered HTTP {} when asked what it is.",
                host_of(issuer),
                reply.status
            ),
            "Try again later; nothing was changed.",
        )),
        _ => Ok(None),
    }
}

fn no_metadata(issuer: &Url) -> Refusal {
    Refusal::new(
        Code::ProviderUnavailable,
        format!(
            "{} does not say what its OAuth endpoints are.",
            host_of(issuer)
        ),
        "Give the address of the OAuth issuer, or write a manifest that names its endpoints.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_where_either_standard_puts_it() {
        let found = well_known(&Url::parse("https://a.example/tenant/").unwrap());
        let found: Vec<_> = found.iter().map(Url::path).collect();
        assert_eq!(
            found,
            [
                "/.well-known/oauth-authorization-server/tenant",
                "/.well-known/oauth-authorization-server/tenant/",
                "/.well-known/openid-configuration/tenant",
                "/tenant/.well-known/openid-configuration",
            ]
        );
    }
}
