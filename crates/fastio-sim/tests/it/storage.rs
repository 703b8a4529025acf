use fastio_sim::{Consent, demo};
use reqwest::Method;

use crate::world::{Answer, World};

const BOUNDARY: &str = "a-boundary";

fn multipart(fields: &[(&str, &str)], chunk: &str) -> String {
    let texts = fields.iter().map(|(name, value)| {
        format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        )
    });
    texts.collect::<Vec<_>>().concat()
        + &format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"chunk\"; filename=\"f\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n{chunk}\r\n--{BOUNDARY}--\r\n"
        )
}

async fn upload(world: &World, token: &str, workspace: &str, size: &str) -> Answer {
    let fields = [
        ("name", "notes.txt"),
        ("size", size),
        ("action", "create"),
        ("instance_id", workspace),
        ("folder_id", "root"),
        ("profile_type", "workspace"),
    ];
    let request = world
        .request(Method::POST, "upload/")
        .bearer_auth(token)
        .header(
            "content-type",
            format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .body(multipart(&fields, "hello"));
    world.send(request).await
}

async fn list(world: &World, token: &str, workspace: &str, query: &str) -> Answer {
    world
        .get(
            &format!("workspace/{workspace}/storage/root/list/{query}"),
            token,
        )
        .await
}

#[tokio::test]
async fn a_long_folder_is_listed_page_by_page() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let first = list(&world, &token, demo::ARCHIVE, "")
        .await
        .expect(200)
        .json();
    assert_eq!(first["nodes"].as_array().map(Vec::len), Some(100));
    assert_eq!(first["nodes"][0]["name"], "photo-001.txt");
    assert_eq!(first["pagination"]["has_more"], true);
    let cursor = first["pagination"]["next_cursor"]
        .as_str()
        .expect("a cursor");
    let query = format!("?cursor={cursor}");
    let second = list(&world, &token, demo::ARCHIVE, &query)
        .await
        .expect(200)
        .json();
    assert_eq!(second["nodes"].as_array().map(Vec::len), Some(30));
    assert_eq!(second["nodes"][0]["name"], "photo-101.txt");
    assert_eq!(second["pagination"]["has_more"], false);

    let whole = "?page_size=250&sort_by=name&sort_dir=desc";
    let whole = list(&world, &token, demo::ARCHIVE, whole)
        .await
        .expect(200)
        .json();
    assert_eq!(whole["nodes"][0]["name"], "photo-130.txt");
    for bad in [
        "?page_size=7",
        "?sort_by=colour",
        "?sort_dir=up",
        "?cursor=!",
    ] {
        let refused = list(&world, &token, demo::ARCHIVE, bad).await.expect(400);
        assert_eq!(refused.code(), 1605, "{bad}");
    }
}

#[tokio::test]
async fn folders_are_walked_by_their_ids() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let root = list(&world, &token, demo::WEBSITE, "?sort_by=type")
        .await
        .expect(200)
        .json();
    assert_eq!(root["nodes"][0]["type"], "folder");
    let folder = root["nodes"][0]["id"].as_str().expect("an id");
    let path = format!("workspace/{}/storage/{folder}/list/", demo::WEBSITE);
    let inside = world.get(&path, &token).await.expect(200).json();
    assert_eq!(inside["nodes"].as_array().map(Vec::len), Some(2));
    assert_eq!(inside["nodes"][0]["parent"], folder);
    let path = format!("workspace/{}/storage/trash/list/", demo::WEBSITE);
    let trash = world.get(&path, &token).await.expect(200).json();
    assert_eq!(trash["nodes"].as_array().map(Vec::len), Some(0));
    let path = format!("workspace/{}/storage/nowhere/list/", demo::WEBSITE);
    world.get(&path, &token).await.expect(404);
}

#[tokio::test]
async fn what_is_uploaded_can_be_downloaded_without_the_bearer() {
    let world = World::new().await;
    let asked = [("scope_type", "workspace")];
    let token = world
        .connect(&asked, &Consent::only([demo::LEAFLETS]))
        .await
        .access;
    let uploaded = upload(&world, &token, demo::LEAFLETS, "5")
        .await
        .expect(200)
        .json();
    let file = uploaded["new_file_id"].as_str().expect("an id");
    let base = format!("workspace/{}/storage/{file}", demo::LEAFLETS);
    let details = world
        .get(&format!("{base}/details/"), &token)
        .await
        .expect(200)
        .json();
    assert_eq!(details["node"]["name"], "notes.txt");

    let ticket = world
        .get(&format!("{base}/requestread/"), &token)
        .await
        .expect(200)
        .json();
    let ticket = ticket["token"].as_str().expect("a token");
    let url = format!("{}{base}/read/?token={ticket}", world.sim.api_base());
    assert_eq!(world.visit(&url).await.expect(200).text, "hello");
    world.visit(&url.replace(ticket, "wrong")).await.expect(401);
    world.sim.advance_clock(std::time::Duration::from_mins(5));
    world.visit(&url).await.expect(401);
}

#[tokio::test]
async fn a_token_that_may_only_read_cannot_write() {
    let world = World::new().await;
    let asked = [("scope_type", "workspace")];
    let consent = Consent::only([demo::LEAFLETS]).read_only();
    let token = world.connect(&asked, &consent).await.access;
    list(&world, &token, demo::LEAFLETS, "").await.expect(200);
    let refused = upload(&world, &token, demo::LEAFLETS, "5")
        .await
        .expect(403);
    assert_eq!(
        refused.json()["error"]["params"]["reason"],
        "scope_write_required"
    );
    let refused = upload(&world, &token, demo::WEBSITE, "5").await.expect(403);
    assert_eq!(refused.code(), 10560);
}

#[tokio::test]
async fn a_wrong_upload_is_refused() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    assert_eq!(
        upload(&world, &token, demo::WEBSITE, "6")
            .await
            .expect(400)
            .code(),
        1605
    );
    assert_eq!(
        upload(&world, &token, "1", "5").await.expect(404).code(),
        1609
    );
    let huge = world
        .request(Method::POST, "upload/")
        .bearer_auth(&token)
        .body("x".repeat(6_000_000));
    assert_eq!(world.send(huge).await.expect(413).code(), 1656);
}
