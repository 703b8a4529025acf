use fastio_sim::demo;
use reqwest::Method;

use crate::world::{Answer, World, query};

/// A signed-in person in front of the decision page.
struct Desk {
    world: World,
    auth_request_id: String,
    page: String,
}

impl Desk {
    async fn for_ask(parameters: &[(&str, &str)]) -> Self {
        let world = World::new().await;
        let page = world
            .visit(&world.authorize_url(parameters))
            .await
            .location();
        let auth_request_id = query(&page, "auth_request_id").expect("an id");
        let page = post(
            &world,
            "/connect/sign-in",
            &[
                ("auth_request_id", &auth_request_id),
                ("email", demo::EMAIL),
                ("password", demo::PASSWORD),
            ],
        )
        .await
        .expect(200)
        .text;
        Self {
            world,
            auth_request_id,
            page,
        }
    }

    fn csrf(&self) -> &str {
        let rest = self
            .page
            .split("name=\"csrf\" value=\"")
            .nth(1)
            .expect("a csrf field");
        rest.split('"').next().expect("its value")
    }

    async fn decide(&self, fields: &[(&str, &str)]) -> Answer {
        let mut form = vec![("auth_request_id", self.auth_request_id.as_str())];
        form.extend_from_slice(fields);
        post(&self.world, "/connect/decide", &form).await
    }
}

async fn post(world: &World, path: &str, form: &[(&str, &str)]) -> Answer {
    let url = format!("{}{path}", world.sim.base_url());
    world
        .send(world.http.request(Method::POST, url).form(form))
        .await
}

#[tokio::test]
async fn each_choice_has_a_mode_of_its_own() {
    let desk = Desk::for_ask(&[("scope_type", "org")]).await;
    let studio_mode = format!("mode_{}", demo::STUDIO);
    let redirect = desk
        .decide(&[
            ("csrf", desk.csrf()),
            ("decision", "approve"),
            ("mode", "rw"),
            ("entity", demo::STUDIO),
            ("entity", demo::CLINIC),
            (&studio_mode, "r"),
        ])
        .await
        .expect(303)
        .location();
    let code = query(&redirect, "code").expect("a code");
    let reply = desk.world.redeem(&code).await.expect(200).json();
    let granted = format!("[\"org:{}:r\",\"org:{}:rw\"]", demo::STUDIO, demo::CLINIC);
    assert_eq!(reply["scopes"], granted);
}

#[tokio::test]
async fn a_mistake_is_told_and_the_choices_stay() {
    let desk = Desk::for_ask(&[("scope_type", "workspace"), ("access_mode", "r")]).await;
    let answer = desk
        .decide(&[
            ("csrf", desk.csrf()),
            ("decision", "approve"),
            ("mode", "rw"),
            ("entity", demo::LEAFLETS),
        ])
        .await
        .expect(400);
    assert!(answer.text.contains("role=\"alert\""));
    assert!(
        answer
            .text
            .contains(&format!("value=\"{}\" checked", demo::LEAFLETS))
    );
    desk.decide(&[("csrf", desk.csrf()), ("decision", "maybe")])
        .await
        .expect(400);
    desk.decide(&[
        ("csrf", desk.csrf()),
        ("decision", "approve"),
        ("entity", demo::LEAFLETS),
    ])
    .await
    .expect(303);
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_the_account() {
    let desk = Desk::for_ask(&[("scope_type", "workspace")]).await;
    let answer = desk
        .decide(&[("csrf", "guess"), ("decision", "approve")])
        .await
        .expect(403);
    assert!(!answer.text.contains("Website relaunch"));
    let wrong = [
        ("auth_request_id", desk.auth_request_id.as_str()),
        ("email", demo::EMAIL),
        ("password", "wrong"),
    ];
    let answer = post(&desk.world, "/connect/sign-in", &wrong)
        .await
        .expect(401);
    assert!(answer.text.contains("role=\"alert\"") && !answer.text.contains("Website relaunch"));
}

#[tokio::test]
async fn the_pages_are_labelled_and_need_no_script() {
    let desk = Desk::for_ask(&[("scope_type", "workspace"), ("agent_name", "Night run")]).await;
    assert!(desk.page.contains("<html lang=\"en\">") && desk.page.contains("<h1>"));
    assert!(
        desk.page
            .contains("<strong>Night run</strong>, through Fast.io CLI")
    );
    assert!(!desk.page.contains("<script"));
    let inputs = desk.page.matches("type=\"checkbox\"").count();
    assert_eq!(inputs, 4);
    assert_eq!(desk.page.matches("<label").count(), inputs);
    assert_eq!(
        desk.page.matches("<select").count(),
        desk.page.matches("aria-label=\"Access").count()
    );
    let style = format!("{}/connect/style.css", desk.world.sim.base_url());
    assert_eq!(
        desk.world
            .visit(&style)
            .await
            .expect(200)
            .header("content-type"),
        Some("text/css; charset=utf-8")
    );
}
