//! The disk takes no writes.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use doorward_e2e::{Consent, Fault, Hang, Kind, PIN, World};
use serde_json::json;

use crate::failures::{Mounted, Stage, doctor, intact, intact_when_served, problem, said, shown};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(may_mount),
    ignore = "this test may not mount anything here: run it as root, as CI does"
)]
async fn a_read_only_mount_is_named_and_nothing_is_lost() {
    let (world, agent) = Stage::set().await.stopped().await;
    let _here = shown(&world);
    let data = world.data();
    let mounted = Mounted::at(&data, &["--bind", data.to_str().expect("text")]);
    crate::failures::system(
        "mount",
        &["-o", "remount,bind,ro", data.to_str().expect("text")],
    );
    let serve = world
        .run(&["serve", "--keys", "passphrase", "--port", "0"])
        .await;
    insta::assert_snapshot!(said(&serve), @r###"
    [1]
    error: [FOLDER]/data/doorward cannot be written.
      → Nothing was lost. Make the folder writable, or use another one.
    "###);
    insta::assert_snapshot!(said(&world.run(&["connections"]).await), @r###"
    [1]
    error: [FOLDER]/data/doorward cannot be written.
      → Nothing was lost. Make the folder writable, or use another one.
    "###);
    insta::assert_snapshot!(doctor(&world).await, @r###"
    [1]
    FAIL  disk             the disk with [FOLDER]/data/doorward is mounted read-only.
                           → Mount it for writing, or name another folder with `--data-dir DIR`.
    warn  running          no
                           → Start it with `doorward serve`, or open the app.
    FAIL  store            [FOLDER]/data/doorward cannot be written.
                           → Nothing was lost. Make the folder writable, or use another one.
    2 failed.
    "###);
    drop(mounted);
    intact_when_served(&world, &agent).await;
}

/// A small disk that can be filled to its last byte.
pub(crate) struct SmallDisk {
    ballast: PathBuf,
    _mounted: Mounted,
}

impl SmallDisk {
    pub(crate) fn at(place: &Path) -> Self {
        std::fs::create_dir_all(place).expect("it can be made");
        let mounted = Mounted::at(place, &["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs"]);
        Self {
            ballast: place.join("ballast"),
            _mounted: mounted,
        }
    }

    pub(crate) fn fill(&self) {
        let mut ballast = File::create(&self.ballast).expect("it can be made");
        for size in [4096, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    pub(crate) fn make_room(&self) {
        std::fs::remove_file(&self.ballast).expect("it is there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(may_mount),
    ignore = "this test may not mount anything here: run it as root, as CI does"
)]
async fn a_full_disk_refuses_an_approval_and_takes_it_once_there_is_room() {
    let world = World::new().await;
    let disk = SmallDisk::at(&world.data());
    let Stage {
        world,
        served,
        agent,
    } = Stage::set_in(world).await;
    let _here = shown(&world);
    let second = world.stranger();
    let asked = second.ask("Second", "fastio:token").await;
    disk.fill();
    let refused = world
        .at_terminal(&["approve", &asked.user_code], &[PIN])
        .await
        .refused(1);
    insta::assert_snapshot!(refused.stderr, @r###"
    error: The disk is full.
      → Nothing was lost. Make room on the disk, then try again.
    "###);
    // More than once: what one failure leaves behind must not make the next act look done.
    for _ in 0..2 {
        world
            .at_terminal(&["approve", &asked.user_code], &[PIN])
            .await
            .refused(1);
    }
    assert_eq!(
        second.poll(&asked).await.expect(400).text("error"),
        "authorization_pending"
    );
    insta::assert_snapshot!(said(&world.run(&["disconnect", "fastio"]).await), @r###"
    [1]
    error: The disk is full.
      → Nothing was lost. Make room on the disk, then try again.
    "###);
    insta::assert_snapshot!(doctor(&world).await, @r###"
    [1]
    FAIL  disk               the disk with [FOLDER]/data/doorward is full.
                             → Make room there. Nothing is lost: what cannot be written is refused, and fresh tokens wait in memory.
    1 failed.
    "###);
    agent.access_token("fastio").await;

    disk.make_room();
    world.approve(&asked.user_code, &[]).await.done();
    let approved = world.verify_audit().await;
    // What was answered as done is on the disk, whatever ends the process.
    let mut served = served;
    served.process.kill().await;
    let served = world.serve().await;
    assert!(world.verify_audit().await >= approved);
    let agents = world.ask(&["agents"]).await;
    assert_eq!(agents.as_array().map(Vec::len), Some(2), "{agents}");
    agent.access_token("fastio").await;
    served.stop().await.done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(may_mount),
    ignore = "this test may not mount anything here: run it as root, as CI does"
)]
async fn fresh_tokens_wait_in_memory_until_a_full_disk_has_room() {
    let world = World::builder()
        .knobs(|knobs| knobs.access_token_lifetime_s = 3)
        .build()
        .await;
    let disk = SmallDisk::at(&world.data());
    let served = world.serve().await;
    world.set_pin().await;
    world.connect(&[], &Consent::everything()).await;
    let agent = world.pair("Reporter", "fastio:token").await;
    let _here = shown(&world);
    // A token that has just ended at the provider and here.
    let before = agent.access_token("fastio").await;
    doorward_e2e::eventually("the token ends", async || {
        !world.sim.probe_access_token(&before).live
    })
    .await;
    world
        .sim
        .change_knobs(|knobs| knobs.access_token_lifetime_s = 3600);
    world
        .sim
        .queue_fault(Fault::on(Kind::TokenRefresh).hang(Hang::AfterWork));
    let waiting = tokio::spawn({
        let agent = agent.clone();
        async move { agent.token("fastio").await }
    });
    world.sim.wait_until_hanging(Kind::TokenRefresh).await;
    disk.fill();
    world.sim.clear_faults();
    insta::assert_snapshot!(problem(&waiting.await.expect("it does not panic")), @r###"
    503 store_failed
    The disk is full.
      → Nothing was lost. Make room on the disk, then try again.
    "###);
    insta::assert_snapshot!(problem(&agent.token("fastio").await), @r###"
    503 store_failed
    Fresh tokens of this connection are waiting to be stored.
      → Make room on the disk, or make it writable; nothing is lost while Doorward runs.
    "###);
    insta::assert_snapshot!(said(&world.run(&["status"]).await), @r###"
    [0]
      Doorward     running, process [PID], version 0.1.0
      address      http://127.0.0.1:[PORT]
      store        open, with a passphrase
      connections  1
      agents       1
      requests     0
      folder       [FOLDER]/data/doorward

    Next:
      Fresh tokens of 1 connection cannot be stored and are in memory alone: make room on the disk before you stop Doorward.
    "###);
    insta::assert_snapshot!(doctor(&world).await, @r###"
    [1]
    FAIL  disk               the disk with [FOLDER]/data/doorward is full.
                             → Make room there. Nothing is lost: what cannot be written is refused, and fresh tokens wait in memory.
    FAIL  fresh tokens       of 1 connection are in memory alone, because the store cannot take them
                             → Make room on the disk before you stop Doorward: they are stored by themselves then.
    2 failed.
    "###);

    disk.make_room();
    doorward_e2e::eventually("they are stored", async || {
        agent.token("fastio").await.status == 200
    })
    .await;
    assert_eq!(
        world.sim.counts().of(Kind::TokenRefresh),
        1,
        "the refresh was not sent again"
    );
    let fresh = agent.access_token("fastio").await;
    assert_ne!(fresh, before);
    intact(&world, &agent).await;
    served.stop().await.done();
    let served = world.serve().await;
    assert_eq!(
        agent.access_token("fastio").await,
        fresh,
        "they outlive the process"
    );
    assert_eq!(
        agent.get("/v1/connections").await.expect(200).json()["connections"][0]["name"],
        json!("fastio")
    );
    served.stop().await.done();
}
