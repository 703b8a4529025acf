//! Many callers at once.

use std::collections::BTreeSet;
use std::time::Duration;

use doorward_e2e::{Hang, Kind, Stopwatch};

use super::calls::{Call, Crowd, ask, longest};
use super::row::Row;
use super::scale::Scale;
use super::scene::{LONG_LIFE, Scene, hanging};

/// So few that none has to wait for another.
const FEW: usize = 10;
/// Who is answered later than this has waited for something. What is held is held for longer.
const PATIENT: Duration = Duration::from_millis(900);
/// How long the reply is held so that all callers come while it is under way.
const GATHERING: Duration = Duration::from_secs(2);
/// A token younger than this is not believed to have been refused.
const BELIEVED_AFTER: Duration = Duration::from_millis(5100);
/// An hour and more: every token of [`LONG_LIFE`] has ended after it.
const LATER: Duration = Duration::from_hours(2);

/// All come when the token ends; those who come before are answered at once, though the refresh is stuck.
pub(crate) async fn at_expiry(scale: Scale) -> Vec<Row> {
    // What many wait for is mostly each other, on a machine that plays them all.
    let mut rows = Vec::new();
    for callers in [FEW, scale.callers] {
        rows.push(ended(callers).await);
    }
    rows
}

async fn ended(callers: usize) -> Row {
    let mut row = Row::of(format!("{callers} callers at a token's end"));
    let scene = Scene::strict().await;
    let token = scene.ask().await.token().expect("a token").to_owned();
    scene.lives(LONG_LIFE);
    scene.hold_quietly(&token, &mut row).await;
    let crowd = Crowd::asks(&scene.agent, "fastio", callers);
    answered_once(scene, crowd, row).await
}

/// All met a 401 with a token that should have been good.
pub(crate) async fn refused_early(scale: Scale) -> Vec<Row> {
    let mut row = Row::of(format!("{} callers that met a 401 early", scale.callers));
    let scene = Scene::with(|knobs| knobs.access_token_lifetime_s = LONG_LIFE).await;
    let token = scene.ask().await.token().expect("a token").to_owned();
    tokio::time::sleep(BELIEVED_AFTER).await;
    row.waited_with_a_token(longest(&[scene.ask().await]));
    scene.world.sim.advance_clock(LATER);
    scene.fault(hanging(Hang::AfterWork));
    let crowd = Crowd::rejects(&scene.agent, "fastio", &token, scale.callers);
    scene.world.sim.wait_until_hanging(Kind::TokenRefresh).await;
    vec![answered_once(scene, crowd, row).await]
}

/// The reply is let go once all are waiting: everyone gets the one new token.
async fn answered_once(scene: Scene, crowd: Crowd, mut row: Row) -> Row {
    tokio::time::sleep(GATHERING).await;
    let (gathered, held) = (Stopwatch::start(), scene.refreshes());
    scene.let_go();
    let calls = crowd.heard().await;
    row.waited_without(Some(gathered.elapsed()));
    row.heard(&calls);
    row.refreshes = scene.refreshes();
    row.exactly(1);
    row.holds(held == 1, || {
        format!("{held} refreshes were under way at once")
    });
    let tokens: BTreeSet<_> = calls.iter().filter_map(Call::token).collect();
    row.holds(tokens.len() == 1, || {
        format!("{} tokens were handed out", tokens.len())
    });
    row.holds(calls.iter().all(|call| call.token().is_some()), || {
        "not every caller got the new token".to_owned()
    });
    scene.kept(&mut row).await;
    row
}

impl Scene {
    /// Waits for the end of a token while its refresh hangs, and measures callers that still have it.
    async fn hold_quietly(&self, token: &str, row: &mut Row) {
        self.fault(hanging(Hang::AfterWork));
        let mut calls = Vec::new();
        while self.is_live(token) {
            let call = ask(&self.agent, "fastio", 1).await;
            // Doorward counts from when it sent its request, so it sees the end a little sooner.
            if call.token() != Some(token) {
                break;
            }
            row.holds(call.took < PATIENT, || {
                "a caller waited whose token was good".to_owned()
            });
            calls.push(call);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        row.waited_with_a_token(longest(&calls));
    }
}
