//! Many small files in one request.

use fastio_sim::demo;
use reqwest::Method;
use serde_json::Value;

use crate::exercises::Cli;
use crate::world::Answer;

const PLACE: &str =
    "--b\r\nContent-Disposition: form-data; name=\"instance_id\"\r\n\r\n4700000000000000201\r\n";

/// A batch of files, each by its name and its length.
fn body(files: impl IntoIterator<Item = (String, usize)>) -> Vec<u8> {
    let mut body = PLACE.as_bytes().to_vec();
    for (name, length) in files {
        let head = format!(
            "--b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&fastio_sim::pattern(0, length));
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b--\r\n");
    body
}

async fn send(cli: &Cli, body: Vec<u8>) -> Answer {
    let request = cli
        .request(Method::POST, "upload/batch/")
        .header("content-type", "multipart/form-data; boundary=b")
        .body(body);
    cli.world.send(request).await
}

#[tokio::test]
async fn a_batch_succeeds_where_a_file_of_it_fails_and_each_has_its_result() {
    let cli = Cli::new().await;
    let files = [
        ("one.bin", 10),
        ("large.bin", 4 * 1024 * 1024 + 1),
        ("two.bin", 20),
    ];
    let files = files.map(|(name, length)| (name.to_owned(), length));
    let done = send(&cli, body(files)).await.expect(200).json();
    let statuses: Vec<&Value> = done["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| &result["status"])
        .collect();
    assert_eq!(statuses, ["ok", "error", "ok"]);
    assert_eq!(done["results"][1]["error"]["code"], 1656);
    assert_eq!(
        (&done["count_errored"], &done["all_failed"]),
        (&1.into(), &false.into())
    );

    let upload = done["results"][2]["upload_id"].as_str().expect("an id");
    let session = cli.get(&format!("upload/{upload}/details/")).await;
    let session = session.expect(200).json()["session"].clone();
    assert_eq!(session["new_file_id"], done["results"][2]["node_id"]);
    let made = format!("node created: {}/root/two.bin", demo::WEBSITE);
    assert_eq!(cli.sim().effects()[&made], 1);
}

#[tokio::test]
async fn a_batch_that_is_too_many_too_much_or_nothing_is_refused_as_a_whole() {
    let cli = Cli::new().await;
    let many = (0..201).map(|number| (format!("{number}.bin"), 1));
    assert_eq!(send(&cli, body(many)).await.expect(400).code(), 1605);
    let full = (0..26).map(|number| (format!("{number}.bin"), 4 * 1024 * 1024));
    assert_eq!(send(&cli, body(full)).await.expect(413).code(), 1656);
    assert_eq!(send(&cli, body([])).await.expect(400).code(), 1605);
    assert!(cli.sim().effects().is_empty());
}

#[tokio::test]
async fn nobody_uploads_a_batch_without_a_credential() {
    let cli = Cli::new().await;
    let request = cli
        .world
        .request(Method::POST, "upload/batch/")
        .header("content-type", "multipart/form-data; boundary=b")
        .body(body([("one.bin".to_owned(), 1)]));
    let refused = cli.world.send(request).await.expect(401);
    assert_eq!(refused.code(), 10011);
}

#[tokio::test]
async fn batches_have_a_limit_of_their_own() {
    let cli = Cli::new().await;
    cli.sim()
        .change_knobs(|knobs| knobs.upload_batch_limit_per_minute = 1);
    let one = || body([("one.bin".to_owned(), 1)]);
    send(&cli, one()).await.expect(200);
    let refused = send(&cli, one()).await.expect(429);
    assert_eq!(refused.header("x-ve-limit-max"), Some("1"));
    cli.get("user/me/details/").await.expect(200);
}
