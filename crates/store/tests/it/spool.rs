//! The spool: what a courier and a broker tell each other by what lies there, and by nothing else.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use doorward_core::change::Change;
use doorward_core::connection::{Connection, Mark};
use doorward_core::ids::FlightId;
use doorward_store::{FlightPlace, Look, Spool, Unclaimed};
use sqlx::{Connection as _, Row as _};
use tempfile::TempDir;

use crate::samples::{
    connect, connection, connection_id, disconnect, flight, flight_id, flight_key, mark, tenant_id,
    tokens,
};
use crate::world::{World, raw};

fn place() -> FlightPlace {
    FlightPlace {
        tenant: tenant_id(1),
        connection: connection_id(1),
        generation: 1,
        flight: flight_id(1),
    }
}

fn announced() -> (TempDir, Spool) {
    let folder = TempDir::new().unwrap();
    let spool = Spool::of(folder.path());
    spool.announce(flight_id(1)).unwrap();
    (folder, spool)
}

fn files(spool: &Spool) -> Vec<PathBuf> {
    fs::read_dir(spool.folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn a_reply_opens_for_its_own_flight_under_its_own_key_and_nowhere_else() {
    let sealed = place().seal(&flight_key(1), b"the reply").unwrap();
    let opened = place().open(&flight_key(1), &sealed).unwrap();
    assert_eq!(opened.as_slice(), b"the reply");
    assert!(place().open(&flight_key(2), &sealed).is_none());
    let elsewhere = [
        FlightPlace {
            tenant: tenant_id(2),
            ..place()
        },
        FlightPlace {
            connection: connection_id(2),
            ..place()
        },
        FlightPlace {
            generation: 2,
            ..place()
        },
        FlightPlace {
            flight: flight_id(2),
            ..place()
        },
    ];
    for other in elsewhere {
        assert!(other.open(&flight_key(1), &sealed).is_none(), "{other:?}");
    }
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(place().open(&flight_key(1), &changed).is_none());
    }
    let no_key = doorward_core::secret::FlightKey::new("too short".to_owned());
    assert!(place().seal(&no_key, b"x").is_err());
}

#[test]
fn a_flight_goes_from_not_begun_through_carried_to_landed() {
    let (_folder, spool) = announced();
    let mut claim = spool.claim(flight_id(1)).unwrap();
    assert_eq!(spool.look(flight_id(1)).unwrap(), Look::Carried);
    claim.sends().unwrap();
    assert_eq!(spool.look(flight_id(1)).unwrap(), Look::Carried);
    claim.keep(b"sealed").unwrap();
    drop(claim);
    for _ in 0..2 {
        let landed = Look::Landed(b"sealed".to_vec());
        assert_eq!(spool.look(flight_id(1)).unwrap(), landed, "it stays");
    }
    spool.erase(flight_id(1)).unwrap();
    assert!(files(&spool).is_empty());
    assert_eq!(spool.look(flight_id(1)).unwrap(), Look::Lost);
}

#[test]
fn a_courier_that_ended_before_it_sent_is_told_from_one_that_ended_after() {
    let (_folder, spool) = announced();
    assert_eq!(spool.look(flight_id(1)).unwrap(), Look::NeverSent);
    spool.announce(flight_id(2)).unwrap();
    spool.claim(flight_id(2)).unwrap().sends().unwrap();
    assert_eq!(spool.look(flight_id(2)).unwrap(), Look::Lost);
    assert!(files(&spool).is_empty(), "given up, and nothing is left");
}

#[test]
fn no_flight_is_carried_twice() {
    let (_folder, spool) = announced();
    let mut claim = spool.claim(flight_id(1)).unwrap();
    let second = spool.claim(flight_id(1));
    assert!(matches!(second, Err(Unclaimed::Carried)));
    claim.sends().unwrap();
    drop(claim);
    let after_a_death = spool.claim(flight_id(1));
    assert!(matches!(after_a_death, Err(Unclaimed::Sent)));

    spool.announce(flight_id(2)).unwrap();
    let claim = spool.claim(flight_id(2)).unwrap();
    claim.keep(b"sealed").unwrap();
    drop(claim);
    let landed = spool.claim(flight_id(2));
    assert!(matches!(landed, Err(Unclaimed::Sent)));
}

#[test]
fn a_courier_that_comes_after_its_flight_was_given_up_sends_nothing_and_leaves_nothing() {
    let (_folder, spool) = announced();
    assert_eq!(spool.look(flight_id(1)).unwrap(), Look::NeverSent);
    let late = spool.claim(flight_id(1));
    assert!(matches!(late, Err(Unclaimed::NotWanted)));

    // One that had begun already finds that nobody waits for what it brings.
    spool.announce(flight_id(2)).unwrap();
    let claim = spool.claim(flight_id(2)).unwrap();
    spool.erase(flight_id(2)).unwrap();
    claim.keep(b"sealed").unwrap();
    assert!(files(&spool).is_empty());
}

#[test]
fn what_no_mark_names_is_swept_and_what_one_names_stays() {
    let (folder, spool) = announced();
    spool.announce(flight_id(2)).unwrap();
    let name = format!("{}.reply.new", flight_id(3));
    fs::write(spool.folder().join(name), "half").unwrap();
    fs::write(spool.folder().join("what is this"), "?").unwrap();
    let wanted = HashSet::from([flight_id(1)]);
    assert_eq!(spool.sweep(&wanted).unwrap(), 3);
    let left = spool.folder().join(format!("{}.flight", flight_id(1)));
    assert_eq!(files(&spool), [left]);
    assert_eq!(spool.sweep(&HashSet::new()).unwrap(), 1);
    let empty = Spool::of(&folder.path().join("new"));
    assert_eq!(empty.sweep(&wanted).unwrap(), 0);
}

#[test]
fn the_spool_is_for_its_owner_alone() {
    let (_folder, spool) = announced();
    spool.claim(flight_id(1)).unwrap().keep(b"sealed").unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(spool.folder()), 0o700);
    for file in files(&spool) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

fn row(refreshing: Option<Mark>, generation: u64) -> Change {
    Change::ConnectionPut(Box::new(Connection {
        refreshing,
        ..connection(1, generation)
    }))
}

async fn key_of(world: &World, mark: Mark) -> Option<String> {
    let key = world
        .store
        .flight_key(tenant_id(1), connection_id(1), mark)
        .await
        .unwrap();
    key.map(|key| key.expose().to_owned())
}

async fn flight_keys(world: World) -> (usize, World) {
    let mut count = 0;
    let world = world
        .meanwhile(async |folder| {
            let mut database = raw(folder).await;
            let rows = sqlx::query("SELECT count(*) AS n FROM sealed WHERE kind = 'flight'");
            let row = rows.fetch_one(&mut database).await.unwrap();
            count = usize::try_from(row.get::<i64, _>("n")).unwrap();
            database.close().await.unwrap();
        })
        .await;
    (count, world)
}

#[tokio::test]
async fn a_flights_key_lives_as_long_as_its_mark() {
    let ends: [(&str, Vec<Change>); 4] = [
        ("refreshed", vec![tokens(1, 2), row(None, 2)]),
        ("failed", vec![row(None, 1)]),
        ("erased", disconnect(1)),
        (
            "another flight",
            vec![row(
                Some(Mark {
                    generation: 1,
                    flight: FlightId::from_random([9; 16]),
                }),
                1,
            )],
        ),
    ];
    for (what, end) in ends {
        let world = World::new().await;
        world.commit(&connect(1)).await;
        world.commit(&[flight(1, 1)]).await;
        let expected = Some(flight_key(1).expose().to_owned());
        assert_eq!(key_of(&world, mark(1, 1)).await, expected);
        // A row that still carries the mark keeps the key, also over a restart.
        world.commit(&[row(Some(mark(1, 1)), 1)]).await;
        let (keys, world) = flight_keys(world).await;
        assert_eq!(keys, 1);
        assert_eq!(key_of(&world, mark(1, 1)).await, expected);
        assert_eq!(key_of(&world, mark(1, 2)).await, None, "of its generation");
        world.commit(&end).await;
        let (keys, world) = flight_keys(world).await;
        assert_eq!(keys, 0, "{what}");
        assert_eq!(key_of(&world, mark(1, 1)).await, None);
    }
}
