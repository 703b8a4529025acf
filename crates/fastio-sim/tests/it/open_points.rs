//! The open points of the protocol page (section 16): each has its knob, with the values and in the order
//! that the page gives. What the values do is shown in `refresh`, `token`, `authorize`, `limits`,
//! `sessions` and `discovery`.

use fastio_sim::{Knobs, ScopeParameter};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::World;

/// What is not known, its knob, and the values with the default first.
const OPEN_POINTS: [(&str, &str, &[&str]); 12] = [
    ("refresh rotation", "refresh_rotation", &["rotate", "keep"]),
    (
        "reuse of an old refresh token",
        "refresh_reuse",
        &["kill_family", "reject_only"],
    ),
    (
        "token error shape",
        "token_error_shape",
        &["rfc6749", "envelope"],
    ),
    (
        "scopes encoding",
        "scopes_encoding",
        &["json_string", "array", "absent"],
    ),
    (
        "scope request name",
        "scope_parameter",
        &["either", "scope_type", "scope"],
    ),
    (
        "expires header",
        "expires_header",
        &["datetime", "epoch", "absent"],
    ),
    (
        "access token after revoke or session delete",
        "revoked_access_token",
        &["dies_at_once", "valid_until_expiry"],
    ),
    ("well-known slash", "well_known", &["both", "slash_only"]),
    (
        "redirect check",
        "redirect_check",
        &["any_loopback_port", "fixed_19836"],
    ),
    (
        "error redirect state",
        "error_redirect_state",
        &["present", "absent"],
    ),
    (
        "iss in redirect",
        "issuer_in_redirect",
        &["absent", "present"],
    ),
    (
        "validation status",
        "validation_status",
        &["bad_request", "not_acceptable"],
    ),
];

#[tokio::test]
async fn each_open_point_has_a_knob_whose_default_is_the_first_value_of_the_page() {
    let world = World::new().await;
    let url = format!("{}/knobs", world.sim.control_url());
    let knobs = world.visit(&url).await.expect(200).json();
    for (point, knob, values) in OPEN_POINTS {
        assert_eq!(knobs[knob], values[0], "{point}");
        for value in values {
            let turned = world.http.patch(&url).json(&json!({ knob: value }));
            let turned = world.send(turned).await.expect(200).json();
            assert_eq!(turned[knob], *value, "{point}");
            let by_flag = Knobs::default().with_setting(knob, value).expect(point);
            assert_eq!(json!(by_flag)[knob], *value, "{point}");
        }
    }
}

#[tokio::test]
async fn the_scope_may_come_under_either_name_alone() {
    let world = World::new().await;
    for (counts, granted) in [
        (ScopeParameter::Either, ["org", "org"]),
        (ScopeParameter::ScopeType, ["org", "user"]),
        (ScopeParameter::Scope, ["user", "org"]),
    ] {
        world
            .sim
            .change_knobs(|knobs| knobs.scope_parameter = counts);
        for (name, granted) in ["scope_type", "scope"].into_iter().zip(granted) {
            let asked = world.authorize_url(&[("response_format", "json"), (name, "org")]);
            let begun = world.visit(&asked).await.expect(200).json();
            let id = begun["auth_request_id"].as_str().expect("an id");
            let info = format!("oauth/authorize/info/?auth_request_id={id}");
            let info = world.send(world.request(Method::GET, &info)).await;
            assert_eq!(info.json()["scope_type"], granted, "{counts:?} {name}");
        }
    }
}

#[tokio::test]
async fn a_token_error_and_a_token_are_bare_and_everything_around_them_is_enveloped() {
    let world = World::new().await;
    let tokens = world.connect_user().await;
    let enveloped = |body: &Value| body.get("result").is_some();
    assert!(!enveloped(&tokens.body));
    let refused = world.refresh("nobody's").await.expect(400).json();
    assert!(!enveloped(&refused), "{refused}");
    let revoke = world.request(Method::POST, "oauth/revoke/");
    let revoked = world.send(revoke.form(&[("token", "nobody's")])).await;
    assert!(enveloped(&revoked.expect(200).json()));
    let begun = world.authorize_url(&[("response_format", "json")]);
    assert!(enveloped(&world.visit(&begun).await.expect(200).json()));
    let refused = world.authorize_url(&[("response_format", "json"), ("scope_type", "all")]);
    assert!(enveloped(&world.visit(&refused).await.expect(400).json()));
}
