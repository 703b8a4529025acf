use std::time::Duration;

use fastio_sim::{Authorization, Fault, Kind, Knobs, LimitForm, Sim, demo};
use reqwest::Method;

use crate::world::World;

/// Large enough that keeping it would show.
const LARGE: u64 = 64 * 1024 * 1024;

#[tokio::test]
async fn what_a_request_carried_is_told_without_telling_the_credential() {
    let world = World::new().await;
    let first = world.connect_user().await;
    let seen = || world.sim.requests().pop().expect("a request").seen;
    world
        .get("user/me/details/", &first.access)
        .await
        .expect(200);
    assert_eq!(seen().authorization, Authorization::Current);
    let second = world.refresh(&first.refresh).await.expect(200).json();
    world
        .get("user/me/details/", &first.access)
        .await
        .expect(200);
    assert_eq!(seen().authorization, Authorization::Older);
    let newest = second["access_token"].as_str().expect("a token");
    let request = world
        .request(Method::GET, "ping/")
        .bearer_auth(newest)
        .header("cookie", "a=b")
        .header("te", "trailers");
    world.send(request).await.expect(200);
    let carried = seen();
    assert_eq!(carried.authorization, Authorization::Current);
    assert!(carried.cookies);
    assert_eq!(carried.hop_by_hop, ["te"]);
    assert_eq!(
        carried.host,
        world
            .sim
            .base_url()
            .strip_prefix("http://")
            .map(str::to_owned)
    );
    world.get("ping/", "dwk_something").await.expect(200);
    assert_eq!(seen().authorization, Authorization::Unknown);
    world.sim.advance_clock(Duration::from_hours(1));
    world.get("ping/", newest).await.expect(200);
    assert_eq!(seen().authorization, Authorization::Dead);
    let control = format!("{}/requests", world.sim.control_url());
    let told = world.visit(&control).await.expect(200).text;
    assert!(told.contains("\"authorization\":\"dead\"") && !told.contains(newest));
}

#[tokio::test]
async fn deeds_are_counted_by_what_they_were_meant_to_do() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let path = format!("workspace/{}/comments/", demo::WEBSITE);
    for _ in 0..2 {
        let request = world.request(Method::POST, &path).bearer_auth(&token);
        world
            .send(request.json(&serde_json::json!({ "text": "once?" })))
            .await
            .expect(200);
    }
    let effects = world.sim.effects();
    let twice: Vec<_> = effects.iter().filter(|(_, count)| **count == 2).collect();
    assert_eq!(twice.len(), 1, "{effects:?}");
    assert!(twice[0].0.starts_with("comments added"));
    let control = format!("{}/effects", world.sim.control_url());
    assert!(
        world
            .visit(&control)
            .await
            .expect(200)
            .text
            .contains("once?")
    );
    world.sim.reset_effects();
    assert!(world.sim.effects().is_empty());
}

#[tokio::test]
async fn a_redirect_leads_to_the_second_origin_which_notes_what_it_was_brought() {
    let sim = Sim::builder()
        .knobs(Knobs::default())
        .stranger_port(0)
        .start()
        .await
        .expect("ports");
    let world = World {
        sim,
        http: World::client(),
    };
    let token = world.connect_user().await.access;
    let stranger = world.sim.stranger_url().expect("one").to_owned();
    for status in [302, 307] {
        let sent = world
            .get(&format!("sim/redirect/{status}/"), &token)
            .await
            .expect(status);
        assert!(sent.location().as_str().starts_with(&stranger));
    }
    world
        .send(
            world
                .http
                .get(format!("{stranger}/landed"))
                .bearer_auth(&token),
        )
        .await
        .expect(200);
    world.visit(&format!("{stranger}/again")).await.expect(200);
    let strayed = world.sim.strayed();
    assert_eq!(strayed[0].seen.authorization, Authorization::Current);
    assert_eq!(strayed[1].seen.authorization, Authorization::Absent);
    assert!(
        strayed[0]
            .seen
            .host
            .as_ref()
            .is_some_and(|host| host.starts_with("localhost:"))
    );
}

#[tokio::test]
async fn a_large_file_goes_down_and_up_without_being_kept() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let base = format!("workspace/{}/storage/pattern-{LARGE}", demo::WEBSITE);
    let ticket = world
        .get(&format!("{base}/requestread/"), &token)
        .await
        .expect(200)
        .json();
    let ticket = ticket["token"].as_str().expect("a token");
    let mut down = world
        .request(Method::GET, &format!("{base}/read/?token={ticket}"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(down.content_length(), Some(LARGE));
    let mut at = 0;
    while let Some(chunk) = down.chunk().await.expect("readable") {
        assert_eq!(chunk, fastio_sim::pattern(at, chunk.len()), "at {at}");
        at += chunk.len() as u64;
    }
    assert_eq!(at, LARGE);

    let form = [
        ("name", "large.bin"),
        ("action", "create"),
        ("instance_id", demo::WEBSITE),
    ];
    let begun = world
        .request(Method::POST, "upload/")
        .bearer_auth(&token)
        .form(&form);
    let begun = world.send(begun).await.expect(200).json();
    let path = format!("upload/{}/stream/", begun["id"].as_str().expect("an id"));
    let pieces = futures_util::stream::iter(
        (0..LARGE / 65_536)
            .map(|piece| Ok::<_, std::io::Error>(fastio_sim::pattern(piece * 65_536, 65_536))),
    );
    let request = world
        .request(Method::POST, &path)
        .bearer_auth(&token)
        .body(reqwest::Body::wrap_stream(pieces));
    let sent = world.send(request).await.expect(200).json();
    assert_eq!(sent["size"], LARGE);
    let sum = world
        .get(&format!("{base}/checksum/"), &token)
        .await
        .expect(200)
        .json();
    assert_eq!(sent["sha256"], sum["sha256"]);
    let file = sent["new_file_id"].as_str().expect("a file");
    let details = format!("workspace/{}/storage/{file}/details/", demo::WEBSITE);
    assert_eq!(
        world.get(&details, &token).await.json()["node"]["size"],
        LARGE
    );
}

#[tokio::test]
async fn a_body_is_cut_or_held_up_in_its_middle() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let path = "orgs/list/";
    let whole = world.get(path, &token).await.expect(200).text;
    world.sim.queue_fault(Fault::on(Kind::Api).cut_after(20));
    assert!(
        world
            .try_send(world.request(Method::GET, path).bearer_auth(&token))
            .await
            .is_err()
    );
    world.sim.queue_fault(Fault::on(Kind::Api).stall_after(20));
    let mut held = world
        .request(Method::GET, path)
        .bearer_auth(&token)
        .send()
        .await
        .expect("a head");
    let mut text = String::new();
    while text.len() < 20 {
        let chunk = held.chunk().await.expect("readable").expect("more");
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert_eq!(text.len(), 20);
    world.sim.clear_faults();
    text.push_str(&held.text().await.expect("the rest"));
    // The envelope tells the time.
    assert_eq!(text.len(), whole.len());
}

#[tokio::test]
async fn bad_weather_strikes_now_and_then() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let weather = Fault::on(Kind::Api).method("GET").path_contains("/orgs/");
    world
        .sim
        .queue_fault(weather.clone().token_refused().every_nth(3));
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(world.get("orgs/list/", &token).await.status);
    }
    assert_eq!(statuses, [200, 200, 401, 200, 200, 401]);
    world.sim.clear_faults();
    for code in [10545, 115_069] {
        world
            .sim
            .queue_fault(weather.clone().not_about_the_token(code));
        assert_eq!(
            world.get("orgs/list/", &token).await.expect(401).code(),
            u64::from(code)
        );
    }
    for form in [
        LimitForm::Datetime,
        LimitForm::RetryAfterSeconds,
        LimitForm::RateLimitReset,
    ] {
        world.sim.queue_fault(weather.clone().rate_limit(1, form));
        world.get("orgs/list/", &token).await.expect(429);
        world.sim.clear_faults();
    }
}

#[tokio::test]
async fn the_proving_endpoints_show_what_came_and_tempt_to_pass_it_on() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let request = world
        .request(Method::PATCH, "sim/echo/?header=x-more:yes&status=418")
        .bearer_auth(&token)
        .header("x-mine", "1")
        .body("hello");
    let echoed = world.send(request).await.expect(418);
    assert_eq!(echoed.header("x-more"), Some("yes"));
    let body = echoed.json();
    assert_eq!(
        (&body["method"], &body["body"]["size"]),
        (&"PATCH".into(), &5.into())
    );
    assert_eq!(body["headers"]["x-mine"][0], "1");
    let leaky = world.get("sim/leaky/", &token).await.expect(200);
    assert!(leaky.header("set-cookie").is_some() && leaky.header("www-authenticate").is_some());
    assert!(leaky.text.contains(&token));
    let trailed = world.get("sim/trailers/", &token).await.expect(200);
    assert_eq!(trailed.text, "with trailers");
    let mut ticks = world
        .request(Method::GET, "sim/ticks/?every_ms=1")
        .bearer_auth(&token)
        .send()
        .await
        .expect("a stream");
    let mut text = String::new();
    while !text.contains("data: 3") {
        let chunk = ticks.chunk().await.expect("readable").expect("more");
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
}

#[tokio::test]
async fn http_2_is_spoken_to_whoever_knows_that_it_is() {
    let world = World::new().await;
    let token = world.connect_user().await.access;
    let client = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .build()
        .expect("a client");
    let url = format!("{}user/me/details/", world.sim.api_base());
    let answer = client
        .get(url)
        .bearer_auth(&token)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(
        world.sim.requests().pop().expect("one").seen.version,
        "HTTP/2.0"
    );
}
