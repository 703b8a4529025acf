use fastio_sim::{Consent, demo};
use reqwest::Method;
use serde_json::Value;

use crate::world::{Answer, World};

async fn post(world: &World, token: &str, path: &str, form: &[(&str, &str)]) -> Answer {
    world
        .send(
            world
                .request(Method::POST, path)
                .bearer_auth(token)
                .form(form),
        )
        .await
}

fn id(answer: &Value) -> String {
    answer["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn files_and_folders_are_made_changed_moved_copied_and_deleted() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    for place in [
        format!("workspace/{}", demo::WEBSITE),
        format!("share/{}", demo::PRESS_KIT),
    ] {
        let at = |rest: &str| format!("{place}/storage/{rest}");
        let folder = post(
            &world,
            &token,
            &at("root/createfolder/"),
            &[("name", "Plans")],
        )
        .await;
        let folder = id(&folder.expect(200).json());
        let note = [("name", "plan.md"), ("content", "Build a lighthouse.")];
        let note = post(&world, &token, &at("root/createnote/"), &note).await;
        let note = id(&note.expect(200).json());
        let more = [("content", "Build two lighthouses.")];
        post(&world, &token, &at(&format!("{note}/updatenote/")), &more)
            .await
            .expect(200);
        let read = world
            .get(&at(&format!("{note}/readnote/")), &token)
            .await
            .expect(200)
            .json();
        assert_eq!(read["content"], "Build two lighthouses.");
        let versions = world
            .get(&at(&format!("{note}/versions/")), &token)
            .await
            .json();
        assert_eq!(versions["versions"].as_array().map(Vec::len), Some(2));
        let old = at(&format!("{note}/versions/0/restore/"));
        post(&world, &token, &old, &[]).await.expect(200);
        let read = world
            .get(&at(&format!("{note}/readnote/")), &token)
            .await
            .json();
        assert_eq!(read["content"], "Build a lighthouse.");

        let into = [("parent", folder.as_str())];
        post(&world, &token, &at(&format!("{note}/move/")), &into)
            .await
            .expect(200);
        post(&world, &token, &at(&format!("{folder}/move/")), &into)
            .await
            .expect(409);
        let copy = post(
            &world,
            &token,
            &at(&format!("{folder}/copy/")),
            &[("parent", "root")],
        )
        .await;
        let copy = id(&copy.expect(200).json());
        let inside = world
            .get(&at(&format!("{copy}/list/")), &token)
            .await
            .expect(200)
            .json();
        assert_eq!(inside["nodes"][0]["name"], "plan.md");

        let gone = world
            .request(Method::DELETE, &at(&format!("{copy}/delete/")))
            .bearer_auth(&token);
        world.send(gone).await.expect(200);
        let trash = world
            .get(&at("trash/list/"), &token)
            .await
            .expect(200)
            .json();
        assert_eq!(trash["nodes"][0]["id"], copy);
        post(&world, &token, &at(&format!("{copy}/restore/")), &[])
            .await
            .expect(200);
        let gone = world
            .request(Method::DELETE, &at(&format!("{copy}/purge/")))
            .bearer_auth(&token);
        assert_eq!(world.send(gone).await.expect(200).json()["purged"], 2);
        world
            .get(&at(&format!("{copy}/details/")), &token)
            .await
            .expect(404);
        let found = world
            .get(&at("search/?query=lighthouse"), &token)
            .await
            .expect(200)
            .json();
        assert!(found["nodes"].to_string().contains("plan.md"));
    }
}

#[tokio::test]
async fn a_share_is_reached_through_its_workspace_and_by_nobody_else() {
    let world = World::new().await;
    let asked = [("scope_type", "workspace")];
    let list = format!("share/{}/storage/root/list/", demo::PRESS_KIT);
    let own = world
        .connect(&asked, &Consent::only([demo::WEBSITE]).read_only())
        .await
        .access;
    world.get(&list, &own).await.expect(200);
    let note = format!("share/{}/storage/root/createnote/", demo::PRESS_KIT);
    let refused = post(&world, &own, &note, &[("name", "x")])
        .await
        .expect(403);
    assert_eq!(
        refused.json()["error"]["params"]["reason"],
        "scope_write_required"
    );
    let other = world
        .connect(&asked, &Consent::only([demo::LEAFLETS]))
        .await
        .access;
    world.get(&list, &other).await.expect(403);
    let shares = world.get("shares/all/", &own).await.expect(200).json();
    assert_eq!(shares["shares"].as_array().map(Vec::len), Some(1));
    let wrong = format!("workspace/{}/details/", demo::PRESS_KIT);
    world.get(&wrong, &own).await.expect(403);
}

#[tokio::test]
async fn records_of_a_collection_are_added_listed_changed_and_removed() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let shelf = format!("workspace/{}/comments/", demo::WEBSITE);
    let added = post(&world, &token, &shelf, &[("text", "Nice.")])
        .await
        .expect(200)
        .json();
    let record = format!("{shelf}{}/", id(&added));
    post(
        &world,
        &token,
        &format!("{record}update/"),
        &[("text", "Nicer.")],
    )
    .await
    .expect(200);
    let shown = world
        .get(&format!("{record}details/"), &token)
        .await
        .expect(200)
        .json();
    assert_eq!(shown["record"]["text"], "Nicer.");
    let listed = world
        .get(&format!("{shelf}list/"), &token)
        .await
        .expect(200)
        .json();
    assert_eq!(listed["pagination"]["total"], 1);
    let gone = world.request(Method::DELETE, &record).bearer_auth(&token);
    world.send(gone).await.expect(200);
    world
        .get(&format!("{record}details/"), &token)
        .await
        .expect(404);
}
