//! Rows 9 and 10 of the exercises: bytes go up in pieces and come down whole or in part.

use fastio_sim::{Authorization, demo};
use reqwest::Method;

use crate::exercises::Cli;

#[tokio::test]
async fn row_9_a_large_file_goes_up_in_pieces() {
    let cli = Cli::new().await;
    let form = [
        ("name", "big.bin"),
        ("size", "9000000"),
        ("action", "create"),
        ("instance_id", demo::WEBSITE),
        ("folder_id", "root"),
    ];
    let begun = cli
        .form(Method::POST, "upload/", &form)
        .await
        .expect(200)
        .json();
    let id = begun["id"].as_str().expect("an id");
    let whole = fastio_sim::pattern(0, 9_000_000);
    for (index, piece) in whole.chunks(4 * 1024 * 1024).enumerate() {
        let body = [
            b"--b\r\nContent-Disposition: form-data; name=\"chunk\"; filename=\"f\"\r\n\r\n",
            piece,
            b"\r\n--b--\r\n",
        ]
        .concat();
        let path = format!(
            "upload/{id}/chunk/?order={}&size={}",
            index + 1,
            piece.len()
        );
        let request = cli
            .request(Method::POST, &path)
            .header("content-type", "multipart/form-data; boundary=b")
            .body(body);
        cli.world.send(request).await.expect(200);
    }
    let details = format!("upload/{id}/details/");
    assert_eq!(
        cli.get(&details).await.json()["session"]["status"],
        "uploading"
    );
    let complete = format!("upload/{id}/complete/");
    cli.world
        .send(cli.request(Method::POST, &complete))
        .await
        .expect(200);
    let session = cli.get(&details).await.expect(200).json()["session"].clone();
    assert_eq!(session["status"], "complete");
    let file = session["new_file_id"].as_str().expect("a file");
    let read = download(&cli, file, |request| request).await;
    assert_eq!(read.bytes().await.expect("bytes"), whole);
}

/// Trades the bearer for a token and reads without it.
async fn download(
    cli: &Cli,
    file: &str,
    more: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
) -> reqwest::Response {
    let base = format!("workspace/{}/storage/{file}", demo::WEBSITE);
    let ticket = cli
        .get(&format!("{base}/requestread/"))
        .await
        .expect(200)
        .json();
    let ticket = ticket["token"].as_str().expect("a token").to_owned();
    let request = cli
        .world
        .request(Method::GET, &format!("{base}/read/?token={ticket}"));
    more(request).send().await.expect("an answer")
}

#[tokio::test]
async fn row_10_a_file_is_read_once_without_the_bearer_whole_or_in_part() {
    let cli = Cli::new().await;
    let file = cli.file().await;
    let whole = download(&cli, &file, |request| request).await;
    assert_eq!(
        (
            whole.status().as_u16(),
            whole.headers()["accept-ranges"].to_str().ok()
        ),
        (200, Some("bytes"))
    );
    let logged = cli.sim().requests().pop().expect("a request");
    assert_eq!(logged.seen.authorization, Authorization::Absent);
    let tag = whole.headers()["etag"].clone();
    let text = whole.text().await.expect("text");
    let part = download(&cli, &file, |request| request.header("range", "bytes=2-6")).await;
    assert_eq!(part.status().as_u16(), 206);
    let range = format!("bytes 2-6/{}", text.len());
    assert_eq!(part.headers()["content-range"], range.as_str());
    assert_eq!(part.text().await.expect("text"), text[2..7]);
    let tail = download(&cli, &file, |request| request.header("range", "bytes=-3")).await;
    assert_eq!(tail.text().await.expect("text"), text[text.len() - 3..]);
    let beyond = download(&cli, &file, |request| {
        request.header("range", "bytes=9999-")
    })
    .await;
    assert_eq!(beyond.status().as_u16(), 416);
    let known = download(&cli, &file, |request| request.header("if-none-match", &tag)).await;
    assert_eq!(known.status().as_u16(), 304);

    let base = format!("workspace/{}/storage/{file}", demo::WEBSITE);
    let ticket = cli.get(&format!("{base}/requestread/")).await.json();
    let read = format!(
        "{base}/read/?token={}",
        ticket["token"].as_str().expect("a token")
    );
    let head = cli
        .world
        .send(cli.world.request(Method::HEAD, &read))
        .await
        .expect(200);
    assert_eq!(
        head.header("content-length"),
        Some(text.len().to_string().as_str())
    );
    cli.world
        .send(cli.world.request(Method::GET, &read))
        .await
        .expect(200);
    cli.world
        .send(cli.world.request(Method::GET, &read))
        .await
        .expect(401);
}
