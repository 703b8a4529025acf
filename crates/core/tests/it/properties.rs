//! What holds for every input of the small readers.

use doorward_core::connection::TroubleKind;
use doorward_core::decide::serving::{self, TokenState};
use doorward_core::grant::{Door, Policy, Rights};
use doorward_core::limits::{limited_until, stated_retry};
use doorward_core::name::{ClaimedName, Name};
use doorward_core::pairing::{Wanted, normalised_user_code, user_code};
use doorward_core::scope::Granted;
use doorward_core::time::Timestamp;
use doorward_core::token_reply::{self, TokenOutcome, TokenReply};
use proptest::prelude::*;
use std::time::Duration;

use crate::world::{World, ended, trouble};

fn header() -> impl Strategy<Value = (String, String)> {
    let names = prop::sample::select(vec![
        "Retry-After",
        "x-ve-limit-expires",
        "X-Rate-Limit-Expiry",
        "ratelimit-reset",
        "x-ratelimit-reset",
        "date",
        "server",
    ]);
    let values = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (0_i64..400_000_000).prop_map(|number| number.to_string()),
        (1_700_000_000_i64..1_900_000_000).prop_map(|number| number.to_string()),
        (1_700_000_000_i64..1_900_000_000).prop_map(|secs| Timestamp::from_secs(secs).to_rfc3339()),
        Just("Fri, 24 Apr 2026 23:49:05 GMT".to_owned()),
        Just("9999-12-31 23:59:59 UTC".to_owned()),
        Just("0000-01-01 00:00:00 UTC".to_owned()),
        ".{0,30}",
    ];
    (names.prop_map(str::to_owned), values)
}

fn moment() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (1_600_000_000_000_i64..2_000_000_000_000).prop_map(Timestamp::from_millis),
        any::<i64>().prop_map(Timestamp::from_millis),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        ".{0,80}".prop_map(String::into_bytes),
        prop::sample::select(vec![
            r#"{"error":"invalid_grant"}"#,
            r#"{"error":{"code":1650}}"#,
            r#"{"error":{"code":"1650"}}"#,
            r#"{"error":"invalid_client"}"#,
            r#"{"error":null}"#,
            r#"{"error":[]}"#,
            r#"{"access_token":"a","error":"invalid_grant"}"#,
            r#"{"access_token":"a","expires_in":-1}"#,
            r#"{"access_token":"a","expires_in":1e300}"#,
            r#"{"access_token":"a","expires_in":"NaN"}"#,
            r#"{"access_token":"a","scope":"\u0000x","scopes":"[\"a\u001bb\"]"}"#,
            "[]",
            "null",
            "\"invalid_grant\"",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    (
        any::<bool>(),
        prop::collection::vec("/[a-z]{0,3}", 0..2),
        prop::collection::vec("GET|POST", 0..2),
        prop::collection::vec("[a-z]{1,3}", 0..2),
        any::<bool>(),
    )
        .prop_map(
            |(read_only, path_prefixes, methods, tools, ask_each_time)| Policy {
                read_only,
                path_prefixes,
                methods,
                tools: tools.iter().filter_map(|name| name.parse().ok()).collect(),
                ask_each_time,
                ..Policy::default()
            },
        )
}

proptest! {
    #[test]
    fn a_limit_is_never_in_the_past_and_never_more_than_a_day(
        now in moment(),
        headers in prop::collection::vec(header(), 0..4),
    ) {
        let until = limited_until(now, headers.as_slice());
        prop_assert!(until >= now && until <= now.plus(Duration::from_hours(24)));
        if let Some(stated) = stated_retry(now, headers.as_slice()) {
            prop_assert_eq!(stated, until);
        }
    }

    #[test]
    fn only_a_clear_word_with_the_right_status_ends_a_grant(
        status in 100_u16..600,
        body in body(),
        headers in prop::collection::vec(header(), 0..2),
        now in moment(),
    ) {
        let reply = TokenReply { status, headers: &headers, body: &body, sent_at: now, now };
        let outcome = token_reply::read(&reply);
        let is_json = serde_json::from_slice::<serde_json::Value>(&body).is_ok();
        match outcome {
            TokenOutcome::GrantEnded { .. } => {
                prop_assert!(is_json && matches!(status, 400 | 401));
            }
            TokenOutcome::Issued(tokens) => {
                prop_assert!(is_json && (200..300).contains(&status));
                prop_assert!(tokens.expires_at.is_none_or(|end| end > now || now.as_millis() == i64::MAX));
                let is_plain = |scope: &String| !scope.chars().any(char::is_control);
                prop_assert!(tokens.granted.scopes.iter().all(is_plain));
            }
            TokenOutcome::RateLimited { .. } => prop_assert_eq!(status, 429),
            TokenOutcome::ClientRejected { .. } | TokenOutcome::Misconfigured { .. } => {
                prop_assert!(is_json && (400..404).contains(&status));
            }
            TokenOutcome::Transient { why, .. } => {
                prop_assert!(status != 429);
                prop_assert!(why.len() < 100 && !why.chars().any(char::is_control));
            }
        }
    }

    #[test]
    fn a_claimed_name_cannot_forge_and_cleaning_it_again_changes_nothing(text in ".{0,200}") {
        let name = ClaimedName::clean(&text);
        let text = name.as_str();
        prop_assert!(!text.is_empty() && text.chars().count() <= 64);
        prop_assert!(!text.chars().any(|letter| letter.is_control() || "<>&\"\\`".contains(letter)));
        prop_assert_eq!(text.trim(), text);
        prop_assert!(!text.contains("  "));
        prop_assert_eq!(&ClaimedName::clean(text), &name);
        let stored = serde_json::to_string(&name).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<ClaimedName>(&stored).expect("a name"), name);
    }

    #[test]
    fn a_claimed_name_of_words_is_cut_and_stays_clean(words in prop::collection::vec("[a-z]{1,40}", 1..6)) {
        let name = ClaimedName::clean(&words.join(" "));
        prop_assert_eq!(ClaimedName::clean(name.as_str()), name);
    }

    #[test]
    fn a_name_reads_back_as_it_was_written(text in "[a-z0-9][a-z0-9._-]{0,39}") {
        let name: Name = text.parse().expect("a name");
        prop_assert_eq!(name.to_string().parse::<Name>(), Ok(name.clone()));
        let stored = serde_json::to_string(&name).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Name>(&stored).expect("a name"), name);
    }

    #[test]
    fn any_text_is_a_name_only_if_it_needs_no_quoting(text in ".{0,50}") {
        if let Ok(name) = text.parse::<Name>() {
            prop_assert_eq!(name.as_str(), text.as_str());
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
        }
    }

    #[test]
    fn a_user_code_has_its_form_and_survives_a_person(bytes in any::<[u8; 16]>()) {
        let code = user_code(bytes);
        let (left, right) = code.split_once('-').expect("a dash");
        for half in [left, right] {
            prop_assert_eq!(half.len(), 4);
            prop_assert!(half.bytes().all(|letter| b"BCDFGHJKLMNPQRSTVWXZ".contains(&letter)));
        }
        prop_assert_eq!(&normalised_user_code(&code), &code);
        prop_assert_eq!(&normalised_user_code(&format!(" {left}{right} ").to_lowercase()), &code);
    }

    #[test]
    fn whatever_a_person_types_is_read_without_harm(text in ".{0,30}") {
        let code = normalised_user_code(&text);
        prop_assert!(code.len() <= 9 && code.is_ascii());
        prop_assert_eq!(normalised_user_code(&code), code);
    }

    #[test]
    fn what_is_wanted_reads_back_as_it_was_written(
        words in prop::collection::vec(("[a-z0-9][a-z0-9._-]{0,39}", any::<bool>()), 1..8),
    ) {
        let scope: Vec<_> = words
            .iter()
            .map(|(name, token)| format!("{name}:{}", if *token { "token" } else { "proxy" }))
            .collect();
        let wanted = Wanted::parse_scope(&scope.join(" ")).expect("a scope");
        let printed: Vec<_> = wanted.iter().map(Wanted::as_scope).collect();
        prop_assert_eq!(Wanted::parse_scope(&printed.join(" ")).expect("a scope"), wanted);
        prop_assert!(scope.iter().all(|word| printed.contains(word)));
    }

    #[test]
    fn any_scope_is_read_or_refused_in_words_that_can_be_shown(text in ".{0,60}") {
        if let Err(refusal) = Wanted::parse_scope(&text) {
            prop_assert!(!refusal.detail.chars().any(char::is_control));
        }
    }

    #[test]
    fn a_limited_grant_never_has_the_token_door(
        policy in policy(),
        token in any::<bool>(),
        proxy in any::<bool>(),
    ) {
        let doors: Vec<_> = [(Door::Token, token), (Door::Proxy, proxy)]
            .into_iter()
            .filter_map(|(door, given)| given.then_some(door))
            .collect();
        let raw = serde_json::json!({ "doors": doors, "policy": policy });
        let made = Rights::new(doors, policy);
        let read = serde_json::from_value::<Rights>(raw);
        prop_assert_eq!(made.is_ok(), read.is_ok(), "a row cannot bring back what cannot be made");
        if let Ok(rights) = made {
            prop_assert!(!rights.opens(Door::Token) || !rights.policy().is_limiting());
            prop_assert!(!rights.doors().is_empty());
            let stored = serde_json::to_string(&rights).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<Rights>(&stored).expect("rights"), rights);
        }
    }

    #[test]
    fn granted_scopes_are_plain_words(scope in ".{0,30}", scopes in ".{0,30}") {
        let granted = Granted::from_reply(Some(&scope.into()), Some(&scopes.into()));
        prop_assert_eq!(granted.stated, !granted.scopes.is_empty());
        prop_assert!(!granted.as_scope().chars().any(char::is_control));
    }

    #[test]
    fn times_never_overflow_and_differences_are_never_negative(
        from in any::<i64>(),
        to in any::<i64>(),
        secs in any::<u64>(),
    ) {
        let (from, to) = (Timestamp::from_millis(from), Timestamp::from_millis(to));
        let wait = Duration::from_secs(secs);
        prop_assert!(from.plus(wait) >= from && from.minus(wait) <= from);
        prop_assert!(to > from || to.since(from).is_zero());
        prop_assert!(!from.to_rfc3339().is_empty());
    }

    /// Whatever clocks do: nothing is handed out past its end, and what is not refused can be served or renewed.
    #[test]
    fn nothing_is_fresh_past_its_end(
        issued in moment(),
        lifetime in prop::option::of(0_u64..100_000),
        now in moment(),
        near in prop::option::of(-200_000_i64..200_000),
        min_valid in prop::option::of(any::<u64>()),
        standing in 0..4_u8,
        refreshable in any::<bool>(),
        troubled in prop::option::of((moment(), moment())),
    ) {
        let mut world = World::new();
        let id = world.connection("fastio", "ours");
        let mut row = (*world.row(id)).clone();
        row.access_issued_at = issued;
        row.access_expires_at = lifetime.map(|lifetime| issued.plus(Duration::from_secs(lifetime)));
        row.refreshable = refreshable;
        row.trouble = troubled.map(|(since, retry)| trouble(TroubleKind::Transient, since, retry));
        row.standing = match standing {
            0 => doorward_core::connection::Standing::Connected,
            1 => doorward_core::connection::Standing::Unproven,
            2 => doorward_core::connection::Standing::Ending,
            _ => ended(),
        };
        let now = near.map_or(now, |near| {
            Timestamp::from_millis(issued.as_millis().saturating_add(near.saturating_mul(1000)))
        });
        let min_valid = min_valid.map(Duration::from_millis);
        let is_past = row.access_expires_at.is_some_and(|end| now >= end);
        let fresh = row.access_is_fresh(now, min_valid);
        prop_assert!(!(fresh && is_past));
        prop_assert!(!fresh || row.access_is_live(now));
        prop_assert!(!(row.access_is_live(now) && is_past));
        match serving::token_state(&row, now, min_valid) {
            TokenState::Fresh | TokenState::DueButLive => {
                prop_assert!(row.access_is_live(now) && standing < 2);
            }
            TokenState::Due => prop_assert!(refreshable && standing == 0),
            TokenState::Refused(refusal) => prop_assert!(
                standing > 0 || !refreshable || refusal.retry_after_seconds.is_some()
            ),
        }
    }
}
