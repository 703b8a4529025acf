//! What Doorward says of itself.

use serde_json::json;

use crate::ask::Ask;
use crate::world::World;

#[tokio::test]
async fn health_is_told_to_anybody_of_this_user() {
    let world = World::locked().await;
    let answer = world.send(&Ask::get("/healthz")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") })
    );
}

#[tokio::test]
async fn the_metadata_follows_the_host_that_was_used() {
    let world = World::empty().await;
    for host in ["127.0.0.1", "localhost", "LocalHost", "[::1]"] {
        let authority = format!("{host}:{}", world.port);
        let base = format!("http://{}", authority.to_ascii_lowercase());
        let get = |path: &str| Ask::get(path).no_host().header("Host", &authority);

        let server = world
            .send(&get("/.well-known/oauth-authorization-server"))
            .await;
        assert_eq!(server.header("content-type"), Some("application/json"));
        assert_eq!(
            server.json(),
            json!({
                "issuer": base,
                "token_endpoint": format!("{base}/oauth/token"),
                "device_authorization_endpoint": format!("{base}/oauth/device_authorization"),
                "registration_endpoint": format!("{base}/oauth/register"),
                "revocation_endpoint": format!("{base}/oauth/revoke"),
                "introspection_endpoint": format!("{base}/oauth/introspect"),
                "response_types_supported": [],
                "grant_types_supported": ["urn:ietf:params:oauth:grant-type:device_code"],
                "token_endpoint_auth_methods_supported": ["none"],
                "revocation_endpoint_auth_methods_supported": ["none"],
                "introspection_endpoint_auth_methods_supported": ["Bearer"],
            })
        );
        let resource = world
            .send(&get("/.well-known/oauth-protected-resource"))
            .await;
        assert_eq!(
            resource.json(),
            json!({
                "resource": base,
                "authorization_servers": [base],
                "bearer_methods_supported": ["header"],
                "resource_name": "Doorward",
            })
        );
    }
}

#[tokio::test]
async fn a_connections_metadata_does_not_tell_whether_there_is_one() {
    let (world, _) = World::with_agent().await;
    let of = |name: &str| Ask::get(&format!("/.well-known/oauth-protected-resource/mcp/{name}"));
    let there = world.send(&of("fastio")).await;
    let not_there = world.send(&of("absent")).await;
    assert_eq!((there.status, not_there.status), (200, 200));
    assert_eq!(there.body.replace("fastio", "absent"), not_there.body);
    let resource = format!("http://127.0.0.1:{}/mcp/fastio", world.port);
    assert_eq!(there.json()["resource"], json!(resource));
    for bad in ["UPPER", "a%20b", "-a", "..", "%2e", &"a".repeat(41)] {
        let answer = world.send(&of(bad)).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "route_unknown"),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn every_address_that_is_advertised_exists() {
    let world = World::empty().await;
    let metadata = world
        .send(&Ask::get("/.well-known/oauth-authorization-server"))
        .await
        .json();
    let members = metadata.as_object().unwrap().iter();
    let endpoints: Vec<_> = members
        .filter(|(name, _)| name.ends_with("_endpoint"))
        .collect();
    assert_eq!(endpoints.len(), 5);
    for (name, address) in endpoints {
        let address = url::Url::parse(address.as_str().unwrap()).unwrap();
        let answer = world.send(&Ask::new("POST", address.path())).await;
        assert!(
            ![404, 405].contains(&answer.status),
            "{name}: {}",
            answer.body
        );
    }
}
