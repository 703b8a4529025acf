//! The codes are a contract: DESIGN §3 lists those that agents see.

use std::collections::BTreeSet;

use doorward_core::audit::AuditKind;
use doorward_core::problem::Code;

/// As the design has them, with their statuses.
const DOCUMENTED: &[(&str, u16)] = &[
    ("unauthenticated", 401),
    ("origin_not_allowed", 403),
    ("host_not_allowed", 421),
    ("agent_paused", 403),
    ("connection_paused", 403),
    ("grant_missing", 403),
    ("policy_denied", 403),
    ("approval_pending", 403),
    ("connection_unknown", 404),
    ("route_unknown", 404),
    ("connection_ambiguous", 400),
    ("bad_request", 400),
    ("payload_too_large", 413),
    ("reconnect_required", 424),
    ("store_locked", 503),
    ("rate_limited", 429),
    ("provider_unavailable", 503),
    ("provider_rejected", 502),
    ("internal", 500),
];

/// Codes beyond the design, each with why it is one.
const BEYOND: &[(&str, &str)] = &[
    (
        "peer_not_allowed",
        "the design refuses other users on every route and names no code for it",
    ),
    (
        "method_not_allowed",
        "a known route with another method is not an unknown route",
    ),
    (
        "request_timeout",
        "a client that sends too slowly is cut off, and told why",
    ),
    (
        "store_failed",
        "a full disk is neither locked nor a defect, and has a remedy of its own",
    ),
    (
        "consent_declined",
        "the person's commands: what ended a consent",
    ),
    (
        "consent_expired",
        "the person's commands: what ended a consent",
    ),
    (
        "consent_mismatch",
        "the person's commands: a pasted address of another consent",
    ),
    (
        "consent_pending",
        "the person's commands: a consent that is being completed",
    ),
    (
        "consent_unknown",
        "the person's commands: a consent that is gone",
    ),
    (
        "account_differs",
        "the person's commands: another person consented",
    ),
    ("name_taken", "the person's commands: names are unique"),
    (
        "provider_unknown",
        "the person's commands: no manifest of that name",
    ),
    ("provider_unsafe", "the person's commands: hostile metadata"),
    (
        "agent_unknown",
        "the person's commands: no agent of that name",
    ),
    (
        "request_unknown",
        "the person's commands: no request with that code",
    ),
    (
        "rights_invalid",
        "the person's commands: a limited token door",
    ),
    ("needs_window", "approving: the desktop holds Doorward"),
    ("pin_required", "approving: there is no window"),
    ("pin_missing", "approving: no PIN was set"),
    ("pin_wrong", "approving: a wrong PIN"),
    ("pin_blocked", "approving: too many wrong PINs"),
    ("pin_too_short", "setting the PIN"),
    ("passphrase_wrong", "unlocking"),
    ("passphrase_required", "unlocking"),
    ("audit_broken", "`doorward audit verify` found something"),
];

#[test]
fn every_documented_code_has_its_documented_status() {
    for (text, status) in DOCUMENTED {
        let code = Code::ALL.iter().find(|code| code.as_str() == *text);
        let code = code.unwrap_or_else(|| panic!("`{text}` is documented and is not there"));
        assert_eq!(code.status(), *status, "{text}");
    }
}

#[test]
fn a_code_beyond_the_design_has_a_reason() {
    let documented: BTreeSet<_> = DOCUMENTED.iter().map(|(text, _)| *text).collect();
    let beyond: BTreeSet<_> = BEYOND.iter().map(|(text, _)| *text).collect();
    let all: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(all.len(), Code::ALL.len(), "a code stands twice");
    let expected: BTreeSet<_> = documented.union(&beyond).copied().collect();
    assert_eq!(all, expected);
    assert!(documented.is_disjoint(&beyond));
    assert!(BEYOND.iter().all(|(_, why)| !why.is_empty()));
}

#[test]
fn titles_are_short_sentences_and_statuses_are_errors() {
    for code in Code::ALL {
        assert!((400..600).contains(&code.status()), "{code}");
        assert!(
            !code.title().ends_with('.') && code.title().len() < 70,
            "{code}"
        );
    }
}

#[test]
fn audit_kinds_are_unique_words() {
    let words: BTreeSet<_> = AuditKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(words.len(), AuditKind::ALL.len());
    for kind in AuditKind::ALL {
        let json = serde_json::to_value(kind).expect("JSON");
        assert_eq!(json, kind.as_str());
    }
}
