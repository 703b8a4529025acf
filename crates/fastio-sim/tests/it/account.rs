use fastio_sim::{Consent, demo};
use reqwest::Method;

use crate::world::{Answer, World};

fn ids(answer: &Answer, key: &str) -> Vec<String> {
    let body = answer.json();
    let listed = body[key].as_array().expect("a list");
    listed
        .iter()
        .map(|item| item["id"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn every_success_comes_in_the_envelope() {
    let world = World::new().await;
    let answer = world
        .visit(&format!("{}ping/", world.sim.api_base()))
        .await
        .expect(200);
    let body = answer.json();
    assert_eq!(
        (&body["result"], &body["status"]),
        (&true.into(), &"ok".into())
    );
    assert!(body["current_api_version"].is_string());
    assert!(
        body["server_date"]
            .as_str()
            .is_some_and(|date| date.ends_with(" UTC"))
    );
    assert!(answer.header("x-ve-reqid").is_some());
    world
        .visit(&format!("{}system/status/", world.sim.api_base()))
        .await
        .expect(200);
}

#[tokio::test]
async fn refusals_carry_the_codes_of_the_provider() {
    let world = World::new().await;
    let api = world.sim.api_base();
    assert_eq!(
        world
            .visit(&format!("{api}no/such/path/"))
            .await
            .expect(404)
            .code(),
        9992
    );
    assert_eq!(
        world.visit(&format!("{api}ping")).await.expect(404).code(),
        9992
    );
    let post = world.request(Method::POST, "ping/");
    assert_eq!(world.send(post).await.expect(405).code(), 1651);
    assert_eq!(
        world
            .visit(&format!("{api}user/me/details/"))
            .await
            .expect(401)
            .code(),
        10011
    );
    assert_eq!(
        world
            .get("user/me/details/", "nonsense")
            .await
            .expect(401)
            .code(),
        1650
    );
}

#[tokio::test]
async fn whoever_is_connected_can_be_told() {
    let world = World::new().await;
    let tokens = world
        .connect(&[("agent_name", "Night run")], &Consent::everything())
        .await;
    let check = world
        .get("user/auth/check/", &tokens.access)
        .await
        .expect(200)
        .json();
    assert_eq!(check["id"], demo::PERSON_ID);
    let me = world
        .get("user/me/details/", &tokens.access)
        .await
        .expect(200)
        .json();
    assert_eq!(me["user"]["email_address"], demo::EMAIL);
    let scopes = world
        .get("auth/scopes/", &tokens.access)
        .await
        .expect(200)
        .json();
    assert_eq!(scopes["scopes"], serde_json::json!(["user:*:rw"]));
    assert_eq!(scopes["full_access"], true);
    assert_eq!(scopes["admin"], false);
    assert_eq!(scopes["is_agent"], true);
    assert_eq!(scopes["scopes_detail"][0]["entity_id"], "*");
}

#[tokio::test]
async fn the_whole_account_sees_both_organisations_and_all_workspaces() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let orgs = world.get("orgs/list/", &token).await.expect(200);
    assert_eq!(ids(&orgs, "orgs"), [demo::STUDIO, demo::CLINIC]);
    let paged = world
        .get("orgs/list/?limit=1&output=terse", &token)
        .await
        .expect(200);
    assert_eq!(ids(&paged, "orgs"), [demo::STUDIO]);
    assert_eq!(paged.json()["pagination"]["has_more"], true);
    let rest = world
        .get("orgs/list/?limit=1&offset=1", &token)
        .await
        .expect(200);
    assert_eq!(ids(&rest, "orgs"), [demo::CLINIC]);
    world.get("orgs/list/?limit=501", &token).await.expect(400);

    let all = world.get("workspaces/all/", &token).await.expect(200);
    assert_eq!(ids(&all, "workspaces").len(), 4);
    let path = format!("org/{}/list/workspaces/", demo::CLINIC);
    let clinic = world.get(&path, &token).await.expect(200);
    assert_eq!(ids(&clinic, "workspaces"), [demo::LEAFLETS, demo::ACCOUNTS]);
    let details = world
        .get(&format!("org/{}/details/", demo::STUDIO), &token)
        .await
        .expect(200);
    assert_eq!(details.json()["org"]["name"], "Harbour Studio");
    world.get("org/1/details/", &token).await.expect(404);
    world.get("workspace/1/details/", &token).await.expect(404);
}

#[tokio::test]
async fn a_token_for_one_workspace_opens_no_other() {
    let world = World::new().await;
    let asked = [("scope_type", "workspace")];
    let token = world
        .connect(&asked, &Consent::only([demo::WEBSITE]))
        .await
        .access;
    world
        .get(&format!("workspace/{}/details/", demo::WEBSITE), &token)
        .await
        .expect(200);

    let path = format!("workspace/{}/storage/root/list/", demo::LEAFLETS);
    let refused = world.get(&path, &token).await.expect(403);
    assert_eq!(refused.code(), 10560);
    let params = &refused.json()["error"]["params"];
    assert_eq!(params["credential_type"], "oauth");
    assert_eq!(params["credential_id"], world.last_session().session_id);
    world.get("workspace/1/details/", &token).await.expect(403);
    world
        .get(&format!("org/{}/details/", demo::STUDIO), &token)
        .await
        .expect(403);

    assert_eq!(
        ids(&world.get("workspaces/all/", &token).await, "workspaces"),
        [demo::WEBSITE]
    );
    assert!(ids(&world.get("orgs/list/", &token).await, "orgs").is_empty());
    world
        .get(&format!("org/{}/list/workspaces/", demo::CLINIC), &token)
        .await
        .expect(403);
}

#[tokio::test]
async fn an_organisation_includes_its_workspaces() {
    let world = World::new().await;
    let asked = [("scope_type", "org")];
    let token = world
        .connect(&asked, &Consent::only([demo::CLINIC]))
        .await
        .access;
    let path = format!("workspace/{}/storage/root/list/", demo::LEAFLETS);
    world.get(&path, &token).await.expect(200);
    let path = format!("workspace/{}/storage/root/list/", demo::WEBSITE);
    world.get(&path, &token).await.expect(403);
    assert_eq!(
        ids(&world.get("orgs/list/", &token).await, "orgs"),
        [demo::CLINIC]
    );
}

#[tokio::test]
async fn a_post_without_body_or_length_is_understood() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::new().await;
    let authority = world
        .sim
        .base_url()
        .trim_start_matches("http://")
        .to_owned();
    for length in ["", "Content-Length: 0\r\n"] {
        let mut stream = tokio::net::TcpStream::connect(&authority)
            .await
            .expect("a connection");
        let request = format!(
            "POST /current/oauth/revoke/?x=1 HTTP/1.1\r\nHost: {authority}\r\n{length}\
             Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.contains("10022"),
            "{answer}"
        );
    }
}
