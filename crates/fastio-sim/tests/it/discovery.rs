use fastio_sim::{Presence, Registration, WellKnown};

use crate::world::World;

const BOTH: [&str; 2] = ["oauth-authorization-server", "oauth-protected-resource"];

#[tokio::test]
async fn both_documents_are_served_with_and_without_the_slash() {
    let world = World::new().await;
    for name in BOTH {
        for slash in ["", "/"] {
            let url = format!("{}/.well-known/{name}{slash}", world.sim.base_url());
            world.visit(&url).await.expect(200);
        }
    }
}

#[tokio::test]
async fn the_slash_can_be_made_necessary() {
    let world = World::with(|knobs| knobs.well_known = WellKnown::SlashOnly).await;
    for name in BOTH {
        let url = format!("{}/.well-known/{name}", world.sim.base_url());
        assert_eq!(world.visit(&url).await.expect(404).code(), 9992);
        world.visit(&format!("{url}/")).await.expect(200);
    }
}

#[tokio::test]
async fn the_server_names_its_endpoints_scopes_and_methods() {
    let world = World::new().await;
    let base = world.sim.base_url();
    let url = format!("{base}/.well-known/oauth-authorization-server");
    let document = world.visit(&url).await.expect(200).json();
    assert_eq!(document["issuer"], base);
    assert_eq!(
        document["authorization_endpoint"],
        format!("{base}/current/oauth/authorize/")
    );
    assert_eq!(
        document["token_endpoint"],
        format!("{base}/current/oauth/token/")
    );
    assert_eq!(
        document["registration_endpoint"],
        format!("{base}/current/oauth/register/")
    );
    assert_eq!(
        document["revocation_endpoint"],
        format!("{base}/current/oauth/revoke/")
    );
    assert_eq!(
        document["code_challenge_methods_supported"],
        serde_json::json!(["S256"])
    );
    assert_eq!(
        document["scopes_supported"].as_array().map(Vec::len),
        Some(7)
    );
    assert_eq!(
        document["authorization_response_iss_parameter_supported"],
        false
    );
}

#[tokio::test]
async fn the_resource_names_its_authorization_server() {
    let world = World::with(|knobs| knobs.issuer_slash = Presence::Present).await;
    let base = world.sim.base_url();
    let url = format!("{base}/.well-known/oauth-protected-resource/");
    let document = world.visit(&url).await.expect(200).json();
    assert_eq!(document["resource"], world.sim.api_base());
    assert_eq!(document["authorization_servers"][0], format!("{base}/"));
}

#[tokio::test]
async fn closed_registration_is_neither_offered_nor_answered() {
    let world = World::with(|knobs| knobs.registration = Registration::Closed).await;
    let url = format!(
        "{}/.well-known/oauth-authorization-server",
        world.sim.base_url()
    );
    assert!(
        world
            .visit(&url)
            .await
            .json()
            .get("registration_endpoint")
            .is_none()
    );
    let register = world
        .request(reqwest::Method::POST, "oauth/register/")
        .body("{}");
    world.send(register).await.expect(404);
}
