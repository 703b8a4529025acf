//! What a person is told about a connection.

use std::collections::BTreeSet;

use doorward_core::connection::{Connection, Standing, TroubleKind};
use doorward_core::health::Health;

use crate::world::{SECOND, World, ended, trouble};

type Alter = Box<dyn Fn(&mut Connection)>;

#[test]
fn each_state_has_its_word_and_the_worst_one_is_told() {
    let mut world = World::new();
    let id = world.connection("fastio", "ours");
    let base = world.row(id);
    let now = world.now;
    let soon = now.plus(SECOND);
    let with_trouble = |kind, retry_at| -> Alter {
        Box::new(move |row| row.trouble = Some(trouble(kind, now, retry_at)))
    };
    let cases: Vec<(Alter, bool, &str)> = vec![
        (Box::new(|_| ()), false, "connected"),
        (Box::new(|_| ()), true, "refreshing"),
        (
            with_trouble(TroubleKind::Transient, soon),
            false,
            "degraded",
        ),
        (
            with_trouble(TroubleKind::Transient, soon),
            true,
            "refreshing",
        ),
        (
            with_trouble(TroubleKind::ClientRejected, soon),
            false,
            "client_rejected",
        ),
        (
            with_trouble(TroubleKind::Misconfigured, soon),
            false,
            "misconfigured",
        ),
        (
            with_trouble(TroubleKind::RateLimited, soon),
            false,
            "rate_limited",
        ),
        (
            with_trouble(TroubleKind::RateLimited, now),
            false,
            "degraded",
        ),
        (Box::new(|row| row.proven_at = None), false, "unproven"),
        (
            Box::new(|row| row.standing = Standing::Unproven),
            false,
            "unproven",
        ),
        (Box::new(|row| row.paused = true), true, "paused"),
        (
            Box::new(|row| row.standing = ended()),
            true,
            "reconnect_required",
        ),
        (
            Box::new(|row| {
                row.standing = ended();
                row.paused = true;
            }),
            false,
            "reconnect_required",
        ),
        (
            Box::new(move |row| {
                row.refreshable = false;
                row.access_expires_at = Some(now);
            }),
            false,
            "reconnect_required",
        ),
        (
            Box::new(|row| row.standing = Standing::Ending),
            true,
            "reconnect_required",
        ),
    ];
    let mut missing: BTreeSet<&str> = Health::WORDS.into();
    for (alter, in_flight, expected) in cases {
        let mut row = (*base).clone();
        alter(&mut row);
        let health = Health::of(&row, in_flight, now);
        assert_eq!(health.as_str(), expected, "{health:?}");
        let told = serde_json::to_value(&health).expect("JSON");
        assert_eq!(told["state"], expected, "the word in answers is the same");
        assert!(Health::WORDS.contains(&expected), "{expected}");
        missing.remove(expected);
    }
    assert!(missing.is_empty(), "no state has the words {missing:?}");
}
