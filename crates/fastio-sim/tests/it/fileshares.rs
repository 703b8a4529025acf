//! Links to single files: at the API, at the MCP host, and as resources.

use fastio_sim::{Consent, demo};
use reqwest::Method;
use serde_json::json;

use crate::exercises::Cli;
use crate::mcp_client::McpClient;
use crate::world::{Answer, World};

impl Cli {
    async fn link(&self, form: &[(&str, &str)]) -> String {
        let file = self.file().await;
        let create = format!("workspace/{}/create/fileshare/", demo::WEBSITE);
        let mut whole = vec![("node", file.as_str())];
        whole.extend(form);
        let made = self.form(Method::POST, &create, &whole).await.expect(200);
        assert_eq!(made.json()["fileshare"]["node_id"], file);
        made.json()["id"].as_str().expect("an id").to_owned()
    }

    async fn read(&self, link: &str, token: Option<&str>, password: Option<&str>) -> Answer {
        let path = format!("fileshare/{link}/storage/read/");
        let mut request = self.world.request(Method::GET, &path);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(password) = password {
            request = request.header("x-ve-password", password);
        }
        self.world.send(request).await
    }

    /// Someone whose token does not reach the workspace of the links.
    async fn outsider(&self) -> String {
        let asked = [("scope_type", "workspace")];
        let consent = Consent::only([demo::LEAFLETS]);
        self.world.connect(&asked, &consent).await.access
    }
}

#[tokio::test]
async fn a_link_opens_its_file_as_far_as_its_access_and_its_grants_go() {
    let cli = Cli::new().await;
    let outsider = cli.outsider().await;
    let link = cli.link(&[]).await;
    assert!(
        cli.read(&link, None, None)
            .await
            .expect(200)
            .text
            .contains("Brief")
    );

    let update = format!("fileshare/{link}/update/");
    let named = [("access_option", "named_people")];
    cli.form(Method::PATCH, &update, &named).await.expect(200);
    assert_eq!(cli.read(&link, None, None).await.expect(401).code(), 10011);
    let refused = cli.read(&link, Some(&outsider), None).await.expect(403);
    assert_eq!(refused.code(), 1700);
    cli.read(&link, Some(&cli.token), None).await.expect(200);

    let grants = format!("fileshare/{link}/grants/");
    let details = format!("fileshare/{link}/details/");
    for (capability, status) in [("view", 403), ("download", 200), ("edit", 200)] {
        let grant = [("email", demo::EMAIL), ("capability", capability)];
        cli.form(Method::POST, &grants, &grant).await.expect(200);
        let shown = cli.world.get(&details, &outsider).await.expect(200).json();
        assert_eq!(shown["fileshare"]["effective_capability"], capability);
        cli.read(&link, Some(&outsider), None).await.expect(status);
    }
    let taken = format!("{grants}?email={}", demo::EMAIL);
    let taken = cli.request(Method::DELETE, &taken);
    cli.world.send(taken).await.expect(200);
    cli.read(&link, Some(&outsider), None).await.expect(403);
    // Only members of the workspace manage its links.
    let theirs = cli
        .world
        .request(Method::POST, &update)
        .bearer_auth(&outsider);
    cli.world.send(theirs.form(&named)).await.expect(403);
}

#[tokio::test]
async fn the_password_of_a_link_stands_in_its_header_and_nowhere_else() {
    let cli = Cli::new().await;
    let link = cli.link(&[("password", "sesame")]).await;
    for wrong in [None, Some("guess")] {
        let refused = cli.read(&link, Some(&cli.token), wrong).await.expect(401);
        assert_eq!(refused.code(), 1650);
    }
    let in_address = format!("fileshare/{link}/storage/read/?password=sesame");
    cli.get(&in_address).await.expect(401);
    cli.read(&link, None, Some("sesame")).await.expect(200);
    let listed = cli
        .get(&format!("workspace/{}/list/fileshares/", demo::WEBSITE))
        .await;
    assert!(!listed.text.contains("sesame"), "{}", listed.text);
    assert_eq!(listed.json()["fileshares"][0]["has_password"], true);

    let update = format!("fileshare/{link}/update/");
    cli.form(Method::POST, &update, &[("password", "")])
        .await
        .expect(200);
    cli.read(&link, None, None).await.expect(200);
}

#[tokio::test]
async fn a_link_whose_file_is_gone_serves_nothing() {
    let cli = Cli::new().await;
    let link = cli.link(&[]).await;
    let file = cli.file().await;
    let delete = format!("workspace/{}/storage/{file}/delete/", demo::WEBSITE);
    cli.form(Method::DELETE, &delete, &[]).await.expect(200);
    assert_eq!(cli.read(&link, None, None).await.expect(403).code(), 1680);
    let remove = format!("fileshare/{link}/delete/");
    cli.form(Method::DELETE, &remove, &[]).await.expect(200);
    assert_eq!(cli.read(&link, None, None).await.expect(404).code(), 1609);
}

#[tokio::test]
async fn the_mcp_host_hands_the_file_of_a_link_to_a_session_or_a_bearer() {
    let cli = Cli::new().await;
    let world: &World = &cli.world;
    let link = cli.link(&[("password", "sesame")]).await;
    let client = McpClient::named(world, &cli.token, "a-desktop").await;
    let call = json!({ "action": "download-url", "fileshare_id": link });
    let handed = client.done("fileshare", call).await;
    let url = handed["url"].as_str().expect("an address").to_owned();
    assert_eq!(
        url,
        format!("{}/file/fileshare/{link}", world.sim.base_url())
    );

    world.visit(&url).await.expect(401);
    let with = |token: &str| world.http.get(&url).bearer_auth(token);
    let refused = world.send(with(&cli.token)).await.expect(401);
    assert_eq!(refused.code(), 1650);
    let opened = with(&cli.token).header("x-ve-password", "sesame");
    let opened = world.send(opened).await.expect(200);
    assert!(opened.text.contains("Brief"));

    // A resource has no header for a password.
    let uri = handed["resource"].as_str().expect("a resource").to_owned();
    let read = async || client.ask("resources/read", json!({ "uri": uri })).await;
    assert!(read().await.last()["error"].is_object());
    let update = format!("fileshare/{link}/update/");
    cli.form(Method::POST, &update, &[("password", "")])
        .await
        .expect(200);
    let inline = read().await;
    let text = inline.result()["contents"][0]["text"].to_string();
    assert!(text.contains("Brief"), "{text}");

    let mut session = McpClient::new(world, "");
    session.token = None;
    session.begin("a-desktop", json!({})).await;
    let begun = session
        .done("auth", json!({ "action": "pkce-login" }))
        .await;
    let start = begun["login_url"].as_str().expect("an address");
    let code = world.sim.approve(start, &Consent::everything()).await;
    let complete = json!({ "action": "pkce-complete", "code": code.expect("a code") });
    session.done("auth", complete).await;
    let by_session = world
        .http
        .get(&url)
        .header("mcp-session-id", session.session.expect("a session"));
    world.send(by_session).await.expect(200);

    let elsewhere = url.replace("/file/fileshare/", "/file/org/") + "/node";
    let lost = world.http.get(elsewhere).bearer_auth(&cli.token);
    assert_eq!(world.send(lost).await.expect(404).code(), 9992);
}

#[tokio::test]
async fn the_members_of_its_workspace_watch_a_link_and_no_one_else() {
    let cli = Cli::new().await;
    let link = cli.link(&[]).await;
    let ticket = format!("websocket/auth/{link}");
    cli.get(&ticket).await.expect(200);
    let outsider = cli.outsider().await;
    cli.world.get(&ticket, &outsider).await.expect(403);
    let update = format!("fileshare/{link}/update/");
    cli.form(Method::POST, &update, &[("title", "For you")])
        .await
        .expect(200);
    let since = "lastactivity=2026-01-01%2000:00:00";
    let news = cli.get(&format!("activity/poll/{link}/?{since}")).await;
    let key = format!("details:{link}");
    assert!(news.expect(200).json()["activity"][key].is_string());
}
