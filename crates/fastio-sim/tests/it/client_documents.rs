//! Clients whose `client_id` is the address of a metadata document.

use fastio_sim::{ClientDocuments, Consent};
use serde_json::{Value, json};

use crate::world::{REDIRECT, Tokens, VERIFIER, World};

const ADDRESS: &str = "https://client.example/oauth/metadata.json";

fn document() -> Value {
    json!({
        "client_id": ADDRESS,
        "client_name": "A client with a page",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "token_endpoint_auth_method": "none",
    })
}

fn form<'a>(code: &'a str, client: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("client_id", client),
        ("redirect_uri", REDIRECT),
    ]
}

#[tokio::test]
async fn a_client_is_known_by_its_document_from_the_ask_to_the_refresh() {
    let world = World::new().await;
    world.sim.publish_client_document(ADDRESS, document());
    let asked = [("client_id", ADDRESS)];
    let code = world.code(&asked, &Consent::everything()).await;
    let tokens = world.token(&form(&code, ADDRESS)).await.expect(200);
    let tokens = Tokens::of(tokens.json());
    let session = world.last_session();
    assert_eq!(session.client_id, ADDRESS);
    assert_eq!(session.client_name, "A client with a page");
    world
        .get("user/auth/check/", &tokens.access)
        .await
        .expect(200);
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens.refresh.as_str()),
        ("client_id", ADDRESS),
    ];
    world.token(&refresh).await.expect(200);
    let fetched = format!("client document fetched: {ADDRESS}");
    assert_eq!(world.sim.effects()[&fetched], 1);
}

#[tokio::test]
async fn a_document_is_fetched_anew_for_each_ask_and_bounds_where_the_browser_goes() {
    let world = World::new().await;
    let url = world.authorize_url(&[("client_id", ADDRESS)]);
    assert_eq!(world.visit(&url).await.expect(400).code(), 1605);
    world.sim.publish_client_document(ADDRESS, document());
    world.visit(&url).await.expect(302);

    let elsewhere = [
        ("client_id", ADDRESS),
        ("redirect_uri", "https://evil.example/cb"),
    ];
    let refused = world.visit(&world.authorize_url(&elsewhere)).await;
    let refused = refused.expect(400).json();
    assert_eq!(refused["error"]["params"][0]["name"], "redirect_uri");

    let mut moved = document();
    moved["redirect_uris"] = json!(["https://client.example/callback"]);
    world.sim.publish_client_document(ADDRESS, moved);
    world.visit(&url).await.expect(400);
    assert!(world.sim.withdraw_client_document(ADDRESS));
    let gone = world.visit(&url).await.expect(400).json();
    assert_eq!(gone["error"]["params"][0]["name"], "client_id");
    let fetched = format!("client document fetched: {ADDRESS}");
    assert_eq!(world.sim.effects()[&fetched], 5);
}

#[tokio::test]
async fn the_server_says_whether_it_reads_documents() {
    let world = World::new().await;
    world.sim.publish_client_document(ADDRESS, document());
    let metadata = format!(
        "{}/.well-known/oauth-authorization-server",
        world.sim.base_url()
    );
    let member = "client_id_metadata_document_supported";
    assert_eq!(world.visit(&metadata).await.json()[member], true);
    world
        .sim
        .change_knobs(|knobs| knobs.client_documents = ClientDocuments::Ignored);
    assert_eq!(world.visit(&metadata).await.json().get(member), None);
    let url = world.authorize_url(&[("client_id", ADDRESS)]);
    world.visit(&url).await.expect(400);
}

#[tokio::test]
async fn documents_are_put_up_and_taken_down_at_the_control_port() {
    let world = World::new().await;
    let url = format!("{}/client-documents", world.sim.control_url());
    let published = json!({ "address": ADDRESS, "document": document() });
    world
        .send(world.http.put(&url).json(&published))
        .await
        .expect(204);
    let listed = world.visit(&url).await.expect(200).json();
    assert_eq!(listed["documents"][ADDRESS], document());
    let ask = world.authorize_url(&[("client_id", ADDRESS)]);
    world.visit(&ask).await.expect(302);
    for status in [204, 404] {
        let taken = world.http.delete(&url).json(&json!({ "address": ADDRESS }));
        world.send(taken).await.expect(status);
    }
}
