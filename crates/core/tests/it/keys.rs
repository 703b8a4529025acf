//! How long an agent key opens anything.

use doorward_core::ids::{AgentId, KeyId};
use doorward_core::key::{KeyHash, KeyRecord, KeyStanding};
use doorward_core::time::Timestamp;

#[test]
fn a_key_ends_by_a_person_by_its_time_or_by_rest() {
    let at = Timestamp::from_secs;
    let key = |revoked: Option<i64>, expires: Option<i64>, idle: Option<u32>, used: Option<i64>| {
        KeyRecord {
            id: KeyId::from_random([1; 16]),
            agent: AgentId::from_random([2; 16]),
            hash: KeyHash::of("dwk_x"),
            audience: None,
            created_at: at(0),
            expires_at: expires.map(at),
            idle_seconds: idle,
            last_used_at: used.map(at),
            revoked_at: revoked.map(at),
            metrics: false,
        }
    };
    for (key, now, unwritten_use, expected) in [
        (
            key(None, None, None, None),
            i64::MAX / 1000,
            None,
            KeyStanding::Live,
        ),
        (
            key(Some(5), None, None, None),
            0,
            None,
            KeyStanding::Revoked,
        ),
        (
            key(Some(5), Some(1), Some(1), None),
            9,
            None,
            KeyStanding::Revoked,
        ),
        (key(None, Some(10), None, None), 9, None, KeyStanding::Live),
        (
            key(None, Some(10), None, None),
            10,
            None,
            KeyStanding::Expired,
        ),
        (
            key(None, Some(10), Some(1), None),
            10,
            None,
            KeyStanding::Expired,
        ),
        (key(None, None, Some(10), None), 9, None, KeyStanding::Live),
        (key(None, None, Some(10), None), 10, None, KeyStanding::Idle),
        (
            key(None, None, Some(10), Some(5)),
            14,
            None,
            KeyStanding::Live,
        ),
        (
            key(None, None, Some(10), Some(5)),
            15,
            None,
            KeyStanding::Idle,
        ),
        (
            key(None, None, Some(10), Some(5)),
            15,
            Some(6),
            KeyStanding::Live,
        ),
        (
            key(None, None, Some(10), Some(5)),
            15,
            Some(1),
            KeyStanding::Idle,
        ),
        // A clock that was set back makes no key idle.
        (
            key(None, None, Some(10), Some(500)),
            15,
            None,
            KeyStanding::Live,
        ),
    ] {
        let found = key.standing(at(now), unwritten_use.map(at));
        assert_eq!(found, expected, "{key:?} at {now} used {unwritten_use:?}");
    }
}
