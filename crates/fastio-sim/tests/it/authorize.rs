use std::time::Duration;

use fastio_sim::{
    Consent, ConsentError, ErrorRedirectState, Mode, Presence, RedirectCheck, ResourceValues,
    ScopeParameter, ValidationStatus, demo,
};
use url::Url;

use crate::world::{World, query};

#[tokio::test]
async fn a_start_leads_to_the_consent_page() {
    let world = World::new().await;
    let answer = world.visit(&world.authorize_url(&[])).await.expect(302);
    let page = answer.location();
    assert_eq!(page.path(), "/connect");
    let html = world.visit(page.as_str()).await.expect(200).text;
    assert!(html.contains("Fast.io CLI"), "{html}");
}

#[tokio::test]
async fn a_start_as_json_names_the_request() {
    let world = World::new().await;
    let url = world.authorize_url(&[("response_format", "json"), ("agent_name", "Night run")]);
    let body = world.visit(&url).await.expect(200).json();
    assert_eq!(body["result"], true);
    assert_eq!(body["expires_in"], 600);
    assert_eq!(body["agent_name"], "Night run");
    let id = body["auth_request_id"].as_str().expect("an id");
    let redirect = world
        .sim
        .approve(id, &Consent::everything())
        .await
        .expect("a redirect");
    assert!(
        redirect.starts_with("http://127.0.0.1:49152/callback?code="),
        "{redirect}"
    );
}

#[tokio::test]
async fn the_consent_screen_may_ask_who_asks() {
    let world = World::new().await;
    let url = world.authorize_url(&[("response_format", "json"), ("scope_type", "org")]);
    let body = world.visit(&url).await.json();
    let id = body["auth_request_id"].as_str().expect("an id");
    let info_url = format!(
        "{}oauth/authorize/info/?auth_request_id={id}",
        world.sim.api_base()
    );
    let info = world.visit(&info_url).await.expect(200).json();
    assert_eq!(info["client"]["client_name"], "Fast.io CLI");
    assert_eq!(info["scope_type"], "org");
    world
        .visit(&info_url.replace(id, "other"))
        .await
        .expect(404);
}

#[tokio::test]
async fn state_comes_back_and_iss_only_when_turned_on() {
    let world = World::new().await;
    let approve = || async {
        let url = world.authorize_url(&[]);
        let redirect = world
            .sim
            .approve(&url, &Consent::everything())
            .await
            .expect("a redirect");
        Url::parse(&redirect).expect("a URL")
    };
    let redirect = approve().await;
    assert_eq!(query(&redirect, "state").as_deref(), Some("a-state"));
    assert_eq!(query(&redirect, "iss"), None);
    world
        .sim
        .change_knobs(|knobs| knobs.issuer_in_redirect = Presence::Present);
    assert_eq!(
        query(&approve().await, "iss").as_deref(),
        Some(world.sim.base_url())
    );
}

#[tokio::test]
async fn a_decline_goes_back_as_access_denied() {
    let world = World::new().await;
    let decline = || async {
        let url = world.authorize_url(&[("scope_type", "workspace")]);
        let redirect = world
            .sim
            .approve(&url, &Consent::decline())
            .await
            .expect("a redirect");
        Url::parse(&redirect).expect("a URL")
    };
    let redirect = decline().await;
    assert_eq!(query(&redirect, "error").as_deref(), Some("access_denied"));
    assert_eq!(query(&redirect, "state").as_deref(), Some("a-state"));
    assert_eq!(query(&redirect, "code"), None);
    world
        .sim
        .change_knobs(|knobs| knobs.error_redirect_state = ErrorRedirectState::Absent);
    assert_eq!(query(&decline().await, "state"), None);
}

#[tokio::test]
async fn nobody_is_sent_to_a_redirect_uri_that_is_not_the_clients() {
    let world = World::new().await;
    for redirect_uri in [
        "https://evil.example/callback",
        "http://127.0.0.1:1/elsewhere",
        "http://127.0.0.1.evil.example/callback",
        "not a uri",
    ] {
        let url = world.authorize_url(&[("redirect_uri", redirect_uri)]);
        assert_eq!(
            world.visit(&url).await.expect(400).code(),
            1605,
            "{redirect_uri}"
        );
    }
    for client_id in ["unknown", "https://client.example/metadata.json"] {
        let url = world.authorize_url(&[("client_id", client_id)]);
        assert_eq!(
            world.visit(&url).await.expect(400).code(),
            1605,
            "{client_id}"
        );
    }
}

#[tokio::test]
async fn the_cli_may_use_any_loopback_port_or_only_its_old_one() {
    let world = World::new().await;
    let old = "http://localhost:19836/callback";
    for redirect_uri in [
        old,
        "http://[::1]:4444/callback",
        "http://127.0.0.1:1/callback",
    ] {
        let url = world.authorize_url(&[("redirect_uri", redirect_uri)]);
        world.visit(&url).await.expect(302);
    }
    world
        .sim
        .change_knobs(|knobs| knobs.redirect_check = RedirectCheck::Fixed19836);
    world.visit(&world.authorize_url(&[])).await.expect(400);
    world
        .visit(&world.authorize_url(&[("redirect_uri", old)]))
        .await
        .expect(302);
}

#[tokio::test]
async fn every_other_error_goes_back_to_the_client() {
    let world = World::with(|knobs| knobs.resource = ResourceValues::Known).await;
    let long_name = "n".repeat(129);
    for (parameter, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("scope_type", "all_workflows"), "invalid_scope"),
        (("access_mode", "w"), "invalid_request"),
        (("agent_name", long_name.as_str()), "invalid_request"),
        (("resource", "https://other.example/"), "invalid_target"),
    ] {
        let redirect = world
            .visit(&world.authorize_url(&[parameter]))
            .await
            .expect(302)
            .location();
        assert_eq!(redirect.path(), "/callback", "{parameter:?}");
        assert_eq!(
            query(&redirect, "error").as_deref(),
            Some(error),
            "{parameter:?}"
        );
        assert_eq!(query(&redirect, "state").as_deref(), Some("a-state"));
    }
    world.sim.change_knobs(|knobs| {
        knobs.error_redirect_state = ErrorRedirectState::Absent;
        knobs.issuer_in_redirect = Presence::Present;
    });
    let url = world.authorize_url(&[("response_type", "token")]);
    let redirect = world.visit(&url).await.expect(302).location();
    assert_eq!(query(&redirect, "state"), None);
    assert_eq!(
        query(&redirect, "iss").as_deref(),
        Some(world.sim.base_url())
    );
}

#[tokio::test]
async fn a_validation_error_is_400_or_406_and_names_the_parameter() {
    let world = World::new().await;
    let url = world.authorize_url(&[
        ("response_format", "json"),
        ("code_challenge_method", "plain"),
    ]);
    let body = world.visit(&url).await.expect(400).json();
    assert_eq!(body["error"]["params"][0]["name"], "code_challenge_method");
    assert_eq!(body["error"]["resource"], "GET /current/oauth/authorize/");
    world
        .sim
        .change_knobs(|knobs| knobs.validation_status = ValidationStatus::NotAcceptable);
    assert_eq!(world.visit(&url).await.expect(406).code(), 1605);
}

#[tokio::test]
async fn the_scope_is_taken_from_whichever_parameter_counts() {
    let world = World::new().await;
    let asked = |counts| {
        world
            .sim
            .change_knobs(|knobs| knobs.scope_parameter = counts);
        let url = world.authorize_url(&[
            ("response_format", "json"),
            ("scope_type", "org"),
            ("scope", "workspace"),
        ]);
        let world = &world;
        async move {
            let id = world.visit(&url).await.json()["auth_request_id"].clone();
            let id = id.as_str().unwrap_or_default();
            let url = format!(
                "{}oauth/authorize/info/?auth_request_id={id}",
                world.sim.api_base()
            );
            world.visit(&url).await.json()["scope_type"].clone()
        }
    };
    assert_eq!(asked(ScopeParameter::Either).await, "org");
    assert_eq!(asked(ScopeParameter::Scope).await, "workspace");
    assert_eq!(asked(ScopeParameter::ScopeType).await, "org");
}

#[tokio::test]
async fn a_request_is_answered_once_and_within_ten_minutes() {
    let world = World::new().await;
    let page = world.visit(&world.authorize_url(&[])).await.location();
    world
        .sim
        .approve(page.as_str(), &Consent::everything())
        .await
        .expect("a redirect");
    let again = world
        .sim
        .approve(page.as_str(), &Consent::everything())
        .await;
    assert!(
        matches!(again, Err(ConsentError::Refused { .. })),
        "{again:?}"
    );

    let page = world.visit(&world.authorize_url(&[])).await.location();
    world.sim.advance_clock(Duration::from_mins(10));
    let late = world
        .sim
        .approve(page.as_str(), &Consent::everything())
        .await;
    assert!(
        matches!(late, Err(ConsentError::Refused { .. })),
        "{late:?}"
    );
}

#[tokio::test]
async fn only_the_person_can_answer() {
    let world = World::new().await;
    let stranger = Consent::everything().signing_in_as(demo::EMAIL, "wrong");
    let refused = world
        .sim
        .approve(&world.authorize_url(&[]), &stranger)
        .await;
    assert!(
        matches!(refused, Err(ConsentError::Refused { .. })),
        "{refused:?}"
    );

    let page = world.visit(&world.authorize_url(&[])).await.location();
    let id = query(&page, "auth_request_id").expect("an id");
    let forged = [
        ("auth_request_id", id.as_str()),
        ("csrf", "guess"),
        ("decision", "approve"),
    ];
    let decide = format!("{}/connect/decide", world.sim.base_url());
    world
        .send(world.http.post(decide).form(&forged))
        .await
        .expect(403);
}

#[tokio::test]
async fn the_code_can_be_shown_for_copying() {
    let world = World::new().await;
    let page = world.visit(&world.authorize_url(&[])).await.location();
    let shown = format!("{page}&display_code=true");
    let code = world
        .sim
        .approve(&shown, &Consent::everything())
        .await
        .expect("a code");
    world.redeem(&code).await.expect(200);
}

#[tokio::test]
async fn the_person_may_grant_less_than_was_asked_but_not_more() {
    let world = World::new().await;
    let asked = [("scope_type", "workspace"), ("access_mode", "r")];
    let tokens = world
        .connect(&asked, &Consent::only([demo::WEBSITE, demo::LEAFLETS]))
        .await;
    let granted = format!(
        "[\"workspace:{}:r\",\"workspace:{}:r\"]",
        demo::WEBSITE,
        demo::LEAFLETS
    );
    assert_eq!(tokens.body["scopes"], granted);

    let wider = Consent::only([demo::WEBSITE]).mode(Mode::ReadWrite);
    let refused = world
        .sim
        .approve(&world.authorize_url(&asked), &wider)
        .await;
    assert!(
        matches!(refused, Err(ConsentError::Refused { .. })),
        "{refused:?}"
    );
    let nothing = Consent::only(Vec::<String>::new());
    let refused = world
        .sim
        .approve(&world.authorize_url(&asked), &nothing)
        .await;
    assert!(
        matches!(refused, Err(ConsentError::Refused { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn each_scope_type_grants_what_it_says() {
    let world = World::new().await;
    for (scope_type, granted) in [
        ("user", "user:*:rw"),
        ("all_orgs", "org:*:rw"),
        ("all_workspaces", "workspace:*:rw"),
        ("all_shares", "share:*:rw"),
        ("all_sign_envelopes", "sign_envelope:*:rw"),
    ] {
        let tokens = world
            .connect(&[("scope_type", scope_type)], &Consent::everything())
            .await;
        assert_eq!(tokens.body["scopes"], format!("[\"{granted}\"]"));
        assert_eq!(tokens.body["scope"], scope_type);
    }
    let settings = [("account_settings", "1"), ("access_mode", "rwa")];
    let tokens = world.connect(&settings, &Consent::everything()).await;
    assert_eq!(
        tokens.body["scopes"],
        "[\"user:*:rwa\",\"userdetails:*:rw\"]"
    );
}

#[tokio::test]
async fn what_a_client_calls_itself_is_shown_as_text() {
    let world = World::new().await;
    let name = "<script>alert(1)</script> & \"friends\"";
    let url = world.authorize_url(&[("agent_name", name), ("login_hint", "a\"><b>@example.com")]);
    let page = world.visit(&url).await.location();
    let answer = world.visit(page.as_str()).await.expect(200);
    assert!(!answer.text.contains("<script>"), "{}", answer.text);
    assert!(!answer.text.contains("\"><b>"), "{}", answer.text);
    assert!(
        answer
            .text
            .contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;friends&quot;")
    );
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("default-src 'none'"), "{policy}");
}
