//! What stands behind the exercises of the protocol page (section 15), row by row: the refusals, the waiting
//! and the passing of time that one clean walk does not meet. `exercise_walk` walks the table itself.
//! Rows 9 and 10 move bytes and stand in `exercises_bytes`; rows 1 to 5 and 11 in the tests of the account,
//! of sessions, of the token endpoint and of limits.

use fastio_sim::{Authorization, Sim, demo};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Answer, World};

/// Someone who is signed in and sends what the command line sends.
pub(crate) struct Cli {
    pub(crate) world: World,
    pub(crate) token: String,
}

impl Cli {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        let token = world.connect_user().await.access;
        Self { world, token }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.world.request(method, path).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.world.get(path, &self.token).await
    }

    pub(crate) async fn form(&self, method: Method, path: &str, form: &[(&str, &str)]) -> Answer {
        self.world.send(self.request(method, path).form(form)).await
    }

    pub(crate) async fn json(&self, path: &str, body: Value) -> Answer {
        self.world
            .send(self.request(Method::POST, path).json(&body))
            .await
    }

    pub(crate) async fn file(&self) -> String {
        let path = format!("workspace/{}/storage/root/list/", demo::WEBSITE);
        let listed = self.get(&path).await.expect(200).json();
        let nodes = listed["nodes"].as_array().expect("nodes").clone();
        let file = nodes.iter().find(|node| node["type"] == "file");
        file.expect("a file")["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    pub(crate) fn sim(&self) -> &Sim {
        &self.world.sim
    }
}

#[tokio::test]
async fn row_6_a_lock_is_taken_kept_and_given_back_and_shuts_others_out() {
    let cli = Cli::new().await;
    let file = cli.file().await;
    let lock = format!("workspace/{}/storage/{file}/lock/", demo::WEBSITE);
    let held = cli
        .form(Method::POST, &lock, &[("duration", "300")])
        .await
        .expect(200)
        .json();
    let token = held["lock_token"].as_str().expect("a token").to_owned();
    assert_eq!(
        cli.form(Method::POST, &lock, &[("duration", "300")])
            .await
            .expect(423)
            .code(),
        1677
    );
    assert_eq!(
        cli.form(Method::POST, &lock, &[("duration", "59")])
            .await
            .expect(400)
            .code(),
        1605
    );
    assert_eq!(cli.get(&lock).await.expect(200).json()["locked"], true);
    assert_eq!(cli.sim().locks().len(), 1);

    let other = cli.world.connect_user().await.access;
    let rename = format!("workspace/{}/storage/{file}/update/", demo::WEBSITE);
    let rename = async |token: &str| {
        let request = cli.world.request(Method::POST, &rename).bearer_auth(token);
        cli.world
            .send(request.form(&[("name", "renamed.md")]))
            .await
    };
    assert_eq!(rename(&other).await.expect(423).code(), 1677);
    rename(&cli.token).await.expect(200);

    let beat = format!("{lock}heartbeat/");
    cli.sim().advance_clock(std::time::Duration::from_secs(200));
    cli.form(Method::POST, &beat, &[("lock_token", &token)])
        .await
        .expect(200);
    cli.sim().advance_clock(std::time::Duration::from_secs(200));
    cli.form(Method::POST, &beat, &[("lock_token", "wrong")])
        .await
        .expect(403);
    cli.form(Method::DELETE, &lock, &[("lock_token", &token)])
        .await
        .expect(200);
    assert_eq!(cli.get(&lock).await.expect(200).json()["locked"], false);
    cli.form(Method::POST, &lock, &[]).await.expect(200);
    cli.sim().advance_clock(std::time::Duration::from_mins(5));
    assert!(cli.sim().locks().is_empty());
    rename(&other).await.expect(200);
}

#[tokio::test]
async fn row_7_a_long_poll_waits_and_wakes_at_a_change() {
    let cli = Cli::new().await;
    let poll = format!("activity/poll/{}/", demo::WEBSITE);
    let query = format!("{poll}?lastactivity=2026-01-01+00%3A00%3A00&wait=0");
    let nothing = cli.get(&query).await.expect(200).json();
    assert_eq!(nothing["activity"], json!({}));
    let note = format!("workspace/{}/storage/root/createnote/", demo::WEBSITE);
    let waiting = format!("{poll}?wait=95");
    let (woken, made) = tokio::join!(cli.get(&waiting), async {
        cli.sim().wait_for_requests(fastio_sim::Kind::Api, 2).await;
        // The poll has been admitted; its handler may still be on its way to its first look.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        cli.form(Method::POST, &note, &[("name", "a.md"), ("content", "x")])
            .await
    });
    let made = made.expect(200).json();
    let woken = woken.expect(200).json();
    let key = format!("storage:{}", made["id"].as_str().expect("an id"));
    assert!(woken["activity"][&key].is_string(), "{woken}");
    let last = woken["lastactivity"].as_str().expect("text");
    let again = cli
        .get(&format!("{poll}?lastactivity={last}"))
        .await
        .expect(200)
        .json();
    assert_eq!(again["activity"], json!({}));
    cli.get(&format!("{poll}?wait=96")).await.expect(400);
    cli.get("activity/poll/1/?wait=1").await.expect(404);
}

#[tokio::test]
async fn row_8_a_question_is_answered_step_by_step_with_citations() {
    let cli = Cli::new().await;
    cli.sim()
        .change_knobs(|knobs| knobs.web_upload_step_ms = 60_000);
    let agent = format!("workspace/{}/ai/agent/", demo::WEBSITE);
    let started = cli
        .form(
            Method::POST,
            &agent,
            &[("question", "What does design cost in the budget?")],
        )
        .await
        .expect(200)
        .json();
    let thread = started["thread"]["thread_id"].as_str().expect("a thread");
    let turn = started["turn"]["turn_id"].as_str().expect("a turn");
    let details = format!("{agent}{thread}/message/{turn}/details/");
    for state in ["ready", "in_progress", "complete"] {
        let shown = cli.get(&details).await.expect(200).json();
        assert_eq!(shown["message"]["state"], state);
        cli.sim().advance_clock(std::time::Duration::from_mins(1));
    }
    let shown = cli.get(&details).await.expect(200).json();
    assert_eq!(shown["message"]["text"], "The files say: design,4200");
    let citation = &shown["message"]["citations"][0];
    assert!(citation["nodeId"].is_string() && citation["versionId"].is_string());
    assert_eq!(citation["entries"][0]["snippet"], "design,4200");
    let message = format!("{agent}{thread}/message/");
    let more = cli
        .form(Method::POST, &message, &[("question", "And photos?")])
        .await
        .expect(200);
    assert_eq!(
        (&more.json()["seq"], &more.json()["status"]),
        (&json!(2), &json!("ready"))
    );
}

#[tokio::test]
async fn row_13_a_file_is_imported_from_an_address_without_touching_the_network() {
    let cli = Cli::new().await;
    cli.sim()
        .change_knobs(|knobs| knobs.web_upload_step_ms = 60_000);
    let form = [
        ("source_url", "https://e.com/a.pdf"),
        ("profile_id", demo::WEBSITE),
        ("profile_type", "workspace"),
        ("folder_id", "root"),
    ];
    let begun = cli
        .form(Method::POST, "web_upload/", &form)
        .await
        .expect(200)
        .json();
    let details = format!(
        "web_upload/{}/details/",
        begun["id"].as_str().expect("an id")
    );
    for status in ["pending", "queued", "downloading", "uploading", "complete"] {
        let shown = cli.get(&details).await.expect(200).json();
        assert_eq!(shown["web_upload"]["status"], status);
        cli.sim().advance_clock(std::time::Duration::from_mins(1));
    }
    let made = format!("node created: {}/root/a.pdf", demo::WEBSITE);
    assert_eq!(cli.sim().effects()[&made], 1);
    let missing = [
        ("source_url", "https://e.com/missing.pdf"),
        ("profile_id", demo::WEBSITE),
    ];
    cli.form(Method::POST, "web_upload/", &missing)
        .await
        .expect(200);
    cli.sim().advance_clock(std::time::Duration::from_mins(5));
    let failed = cli
        .get("web_upload/?status=failed")
        .await
        .expect(200)
        .json();
    assert_eq!(failed["pagination"]["total"], 1);
    let file = [
        ("source_url", "file:///etc/passwd"),
        ("profile_id", demo::WEBSITE),
    ];
    cli.form(Method::POST, "web_upload/", &file)
        .await
        .expect(400);
    cli.form(Method::POST, "web_upload/", &form)
        .await
        .expect(200);
    let going = cli.get("web_upload/?status=pending").await.json();
    let path = format!(
        "web_upload/?id={}",
        going["web_uploads"][0]["id"].as_str().expect("an id")
    );
    let canceled = cli
        .world
        .send(cli.request(Method::DELETE, &path))
        .await
        .expect(200)
        .json();
    assert_eq!(canceled["web_upload"]["status"], "canceled");
}

#[tokio::test]
async fn row_14_an_identity_is_provisioned_and_a_folder_imported() {
    let cli = Cli::new().await;
    let base = format!("imports/workspace/{}/", demo::WEBSITE);
    let provision = format!("{base}identities/provision/");
    let made = cli
        .json(&provision, json!({ "provider": "google_drive" }))
        .await
        .expect(200)
        .json();
    cli.json(&provision, json!({ "provider": "a_floppy" }))
        .await
        .expect(400);
    let source = json!({
        "identity_id": made["id"], "remote_path": "/Reports", "sync_interval": 300,
    });
    let create = format!("{base}sources/create/");
    let source = cli.json(&create, source).await.expect(200).json();
    let details = format!("imports/details/{}/", source["id"].as_str().expect("an id"));
    assert_eq!(
        cli.get(&details).await.expect(200).json()["source"]["state"],
        "syncing"
    );
    let early = json!({ "identity_id": made["id"], "remote_path": "/", "sync_interval": 299 });
    cli.json(&create, early).await.expect(400);
    let listed = cli.get(&format!("{base}sources/")).await.expect(200).json();
    assert_eq!(listed["sources"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn row_15_an_organization_is_given_away_by_a_token() {
    let cli = Cli::new().await;
    let create = format!("org/{}/transfer/token/create/", demo::STUDIO);
    let mut tokens = Vec::new();
    for _ in 0..5 {
        let request = cli
            .request(Method::POST, &create)
            .header("content-type", "application/x-www-form-urlencoded");
        tokens.push(cli.world.send(request).await.expect(200).json()["token"].clone());
    }
    assert_eq!(tokens[0].as_str().map(str::len), Some(64));
    let sixth = cli
        .world
        .send(cli.request(Method::POST, &create))
        .await
        .expect(429);
    assert_eq!(sixth.code(), 1667);
    let claim = [("token", tokens[0].as_str().expect("text"))];
    let claimed = cli
        .form(Method::POST, "org/transfer/claim/", &claim)
        .await
        .expect(200);
    assert_eq!(claimed.json()["org_id"], demo::STUDIO);
    cli.form(Method::POST, "org/transfer/claim/", &claim)
        .await
        .expect(404);
    let listed = cli
        .get(&format!("org/{}/transfer/token/list/", demo::STUDIO))
        .await
        .json();
    assert_eq!(listed["pagination"]["total"], 4);
    cli.sim().advance_clock(std::time::Duration::from_mins(30));
    cli.sim()
        .change_knobs(|knobs| knobs.access_token_lifetime_s = 1_000_000);
    let late = cli.world.connect_user().await.access;
    cli.sim().advance_clock(std::time::Duration::from_hours(72));
    let listed = cli
        .world
        .get(&format!("org/{}/transfer/token/list/", demo::STUDIO), &late)
        .await;
    assert_eq!(listed.expect(200).json()["pagination"]["total"], 0);
}

#[tokio::test]
async fn row_16_intelligence_is_switched_and_the_files_are_listed() {
    let cli = Cli::new().await;
    let update = format!("workspace/{}/update/", demo::WEBSITE);
    for on in ["false", "true"] {
        let form = [("intelligence", on)];
        let updated = cli
            .form(Method::POST, &update, &form)
            .await
            .expect(200)
            .json();
        assert_eq!(updated["workspace"]["intelligence"], on == "true");
    }
    cli.form(Method::POST, &update, &[("intelligence", "maybe")])
        .await
        .expect(400);
    cli.get(&format!("workspace/{}/storage/root/list/", demo::WEBSITE))
        .await
        .expect(200);
}

#[tokio::test]
async fn row_17_an_api_key_is_made_no_wider_than_its_maker_and_opens_the_api() {
    let cli = Cli::new().await;
    let scopes = format!("[\"org:{}:r\"]", demo::STUDIO);
    let form = [
        ("memo", "ci"),
        ("scopes", scopes.as_str()),
        ("agent_name", "bot"),
    ];
    let made = cli
        .form(Method::POST, "user/auth/key/", &form)
        .await
        .expect(200)
        .json();
    let key = made["api_key"].as_str().expect("a key");
    let orgs = cli.world.get("orgs/list/", key).await.expect(200).json();
    assert_eq!(orgs["orgs"].as_array().map(Vec::len), Some(1));
    let logged = cli.sim().requests().pop().expect("a request");
    assert_eq!(logged.seen.authorization, Authorization::Key);
    let create = format!("org/{}/create/workspace/", demo::STUDIO);
    let request = cli.world.request(Method::POST, &create).bearer_auth(key);
    let refused = cli
        .world
        .send(request.form(&[("name", "x")]))
        .await
        .expect(403);
    let params = refused.json()["error"]["params"].clone();
    assert_eq!(
        (&params["credential_type"], &params["reason"]),
        (&json!("api_key"), &json!("scope_write_required"))
    );
    assert_eq!(cli.sim().effects()["api key made: ci"], 1);

    let narrow = [("scope_type", "workspace")];
    let narrow = cli
        .world
        .connect(&narrow, &fastio_sim::Consent::only([demo::WEBSITE]))
        .await
        .access;
    let request = cli
        .world
        .request(Method::POST, "user/auth/key/")
        .bearer_auth(&narrow);
    let refused = cli
        .world
        .send(request.form(&[("memo", "wide")]))
        .await
        .expect(403);
    assert_eq!(
        refused.json()["error"]["params"]["reason"],
        "scope_exceeds_issuer"
    );
    let path = format!("user/auth/key/{}/", made["id"].as_str().expect("an id"));
    cli.world
        .send(cli.request(Method::DELETE, &path))
        .await
        .expect(200);
    cli.world.get("orgs/list/", key).await.expect(401);
}

#[tokio::test]
async fn row_18_a_basic_sign_in_is_ended_by_signing_out_and_the_grant_stays() {
    let cli = Cli::new().await;
    let sign_in = |password: &'static str| {
        let request = cli.world.request(Method::GET, "user/auth/");
        cli.world
            .send(request.basic_auth(demo::EMAIL, Some(password)))
    };
    sign_in("wrong").await.expect(401);
    let session = sign_in(demo::PASSWORD).await.expect(200).json();
    let token = session["auth_token"].as_str().expect("a token");
    assert_eq!(session["2factor"], false);
    cli.world.get("user/me/details/", token).await.expect(200);
    let out = cli
        .world
        .request(Method::POST, "user/auth/sign-out/")
        .bearer_auth(token);
    cli.world.send(out).await.expect(200);
    cli.world.get("user/me/details/", token).await.expect(401);
    cli.get("user/me/details/").await.expect(200);
    cli.get("user/auth/2factor/").await.expect(200);
    let everywhere = cli.request(Method::POST, "user/auth/invalidate-all/");
    let refused = cli.world.send(everywhere).await.expect(403);
    assert_eq!(
        refused.json()["error"]["params"]["reason"],
        "userdetails_scope_required"
    );
}

#[tokio::test]
async fn row_19_a_ticket_opens_the_websocket_once_and_events_are_searched() {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message;

    let cli = Cli::new().await;
    let ticket = cli
        .get(&format!("websocket/auth/{}", demo::WEBSITE))
        .await
        .expect(200)
        .json();
    let ticket = ticket["token"].as_str().expect("a token");
    let base = cli.sim().base_url().replace("http://", "ws://");
    let url = format!("{base}/api/websocket/?token={ticket}");
    let (mut socket, _) = tokio_tungstenite::connect_async(&url)
        .await
        .expect("a socket");
    socket.send(Message::text("hello")).await.expect("sent");
    let echoed = socket.next().await.expect("a message").expect("readable");
    assert_eq!(echoed.into_text().expect("text").as_str(), "hello");
    let folder = format!("workspace/{}/storage/root/createfolder/", demo::WEBSITE);
    let made = cli
        .form(Method::POST, &folder, &[("name", "New")])
        .await
        .expect(200)
        .json();
    let nudge = socket.next().await.expect("a message").expect("readable");
    let nudge: Value = serde_json::from_str(nudge.to_text().expect("text")).expect("JSON");
    let key = format!("storage:{}", made["id"].as_str().expect("an id"));
    assert_eq!(nudge, json!({ "response": "activity", "activity": [key] }));
    assert!(tokio_tungstenite::connect_async(&url).await.is_err());

    let query = format!("events/search/?workspace_id={}&limit=5", demo::WEBSITE);
    let found = cli.get(&query).await.expect(200).json();
    assert_eq!(found["events"][0]["event"], "node_created");
    assert_eq!(
        cli.get("events/search/?limit=5").await.expect(400).code(),
        10262
    );
}
