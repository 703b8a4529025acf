//! A grant that is ended in the middle of its refresh, and a disk that is full then.

use doorward_e2e::{Hang, PATIENCE, eventually};

use super::calls::{Call, Crowd, Said, ask};
use super::row::Row;
use super::scale::{Scale, side_by_side};
use super::scene::{Fate, LONG_LIFE, Scene, hanging};

/// Who wait for the refresh.
const CALLERS: usize = 10;

/// The person ends the session at the provider while a refresh is under way.
pub(crate) async fn revoked(scale: Scale) -> Vec<Row> {
    let cases = [
        (
            "revoked at the dashboard in mid-refresh, before the provider's work",
            Hang::BeforeWork,
        ),
        (
            "revoked at the dashboard in mid-refresh, after the provider's work",
            Hang::AfterWork,
        ),
    ];
    let rows = cases.into_iter().map(|(case, side)| async move {
        let mut row = Row::of(case);
        let scene = Scene::strict().await;
        scene.hold_past_the_end(hanging(side)).await;
        let crowd = Crowd::asks(&scene.agent, "fastio", CALLERS);
        let session = scene.world.sim.sessions()[0].session_id.clone();
        assert!(scene.world.sim.revoke_session_as_person(&session));
        scene.let_go();
        row.heard(&crowd.heard().await);
        let mut calls = Vec::new();
        let fate = scene.outcome(&mut calls).await;
        row.heard(&calls);
        row.provider_decides(fate);
        row.holds(fate == Fate::Ended, || "its end was not noticed".to_owned());
        row.refreshes = scene.refreshes();
        // What is over is not asked for again, and a person is not asked twice.
        row.holds(
            ask(&scene.agent, "fastio", 5).await.said == Said::Over,
            || "its end was forgotten".to_owned(),
        );
        row.holds(scene.refreshes() == row.refreshes, || {
            "a refresh was sent for a grant that is over".to_owned()
        });
        row.asked = scene.asked();
        row
    });
    side_by_side(scale.lanes, rows).await
}

/// The person disconnects while a refresh is under way: nothing of the grant is left, here or there.
pub(crate) async fn disconnected(scale: Scale) -> Vec<Row> {
    let cases = [
        (
            "disconnected by the person in mid-refresh, before the provider's work",
            Hang::BeforeWork,
        ),
        (
            "disconnected by the person in mid-refresh, after the provider's work",
            Hang::AfterWork,
        ),
    ];
    let rows = cases.into_iter().map(|(case, side)| async move {
        let mut row = Row::of(case);
        let scene = Scene::strict().await;
        scene.hold_past_the_end(hanging(side)).await;
        let crowd = Crowd::asks(&scene.agent, "fastio", CALLERS);
        let disconnecting = scene.world.start(&["disconnect", "fastio"]);
        // Agents are refused at once, whatever the refresh does.
        let refused = async || ask(&scene.agent, "fastio", 1).await.said == Said::Unknown;
        eventually("agents are refused", refused).await;
        scene.let_go();
        disconnecting.ended().await.done();
        let calls = crowd.heard().await;
        row.heard(&calls);
        let handed_out = calls.iter().filter(|call| call.token().is_some()).count();
        row.holds(handed_out == 0, || {
            "a token was handed out after the end".to_owned()
        });
        let paid = async || scene.world.ask(&["status"]).await["revocations_owed"] == 0;
        eventually("nothing is owed to the provider", paid).await;
        let is_left = scene
            .world
            .sim
            .sessions()
            .iter()
            .any(|session| session.active);
        row.holds(!is_left, || "the grant lives on at the provider".to_owned());
        row.refreshes = scene.refreshes();
        row.exactly(1);
        row.asked = scene.asked();
        row
    });
    side_by_side(scale.lanes, rows).await
}

/// The disk is full when the reply is to be written. It has room again later; Doorward is not stopped meanwhile.
#[cfg(may_mount)]
pub(crate) async fn full_disk(_: Scale) -> Vec<Row> {
    use super::scene::serve;
    use crate::failures_disk::SmallDisk;

    let mut row = Row::of("disk full at the moment of the write");
    let world = Scene::bare(|_| {}).await;
    let disk = SmallDisk::at(&world.data());
    let served = serve(&world).await;
    let scene = Scene::connected(world, served).await;
    let token = scene.ask().await.token().expect("a token").to_owned();
    scene.lives(LONG_LIFE);
    scene.fault(hanging(Hang::AfterWork));
    scene.ends(&token).await;
    scene.refresh_hangs().await;
    let crowd = Crowd::asks(&scene.agent, "fastio", CALLERS);
    disk.fill();
    scene.let_go();
    let waiting = tokio::time::timeout(PATIENCE, crowd.heard()).await;
    row.heard(&waiting.expect("they are answered"));
    let late: Vec<Call> = vec![ask(&scene.agent, "fastio", 1).await];
    row.heard(&late);
    disk.make_room();
    let mut calls = Vec::new();
    scene.outcome(&mut calls).await;
    row.heard(&calls);
    row.refreshes = scene.refreshes();
    row.exactly(1);
    scene.kept(&mut row).await;
    // Before the folders, which cannot go while something is mounted there.
    drop(disk);
    vec![row]
}
