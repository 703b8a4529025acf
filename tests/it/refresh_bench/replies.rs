//! Replies that do not come, or that are no use.

use std::time::Duration;

use doorward_e2e::{Fault, Hang, Kind, Knobs, Stopwatch};
use fastio_sim::{LimitForm, RefreshReuse, RefreshRotation};

use super::calls::{Call, ask, longest};
use super::row::Row;
use super::scale::{Scale, side_by_side};
use super::scene::{Fate, IMPATIENCE, LONG_LIFE, Scene, hanging, hanging_for_nothing};

/// How long a limit of the provider's lasts.
const WINDOW_S: u64 = 2;

/// The reply is lost after the provider has done its work.
pub(crate) async fn lost(scale: Scale) -> Vec<Row> {
    type Turn = fn(&mut Knobs);
    let cases: [(&str, Turn, bool); 4] = [
        ("reply lost: rotates, reuse kills, no grace", |_| {}, false),
        (
            "reply lost: rotates, reuse is rejected, no grace",
            |knobs| knobs.refresh_reuse = RefreshReuse::RejectOnly,
            false,
        ),
        (
            "reply lost: rotates, reuse kills, grace 60 s",
            |knobs| knobs.refresh_replay_grace_s = 60,
            true,
        ),
        (
            "reply lost: keeps the refresh token",
            |knobs| knobs.refresh_rotation = RefreshRotation::Keep,
            true,
        ),
    ];
    let rows = cases
        .into_iter()
        .map(|(case, turn, must_be_kept)| async move {
            let mut row = Row::of(case);
            let scene = Scene::with(turn).await;
            scene.fault(Fault::on(Kind::TokenRefresh).drop_response_after_commit());
            let fate = struck(&scene, &mut row).await;
            row.exactly(2);
            if must_be_kept {
                row.must_be_kept(fate);
            } else {
                // A spent token was all that was left. Nothing but the provider's own word may end it.
                row.provider_decides(fate);
            }
            row.asked = scene.asked();
            row
        });
    side_by_side(scale.lanes, rows).await
}

/// The provider's own failures, three times in a row.
pub(crate) async fn failures(scale: Scale) -> Vec<Row> {
    let refresh = || Fault::on(Kind::TokenRefresh).times(3);
    let cases = [
        ("500, three times", refresh().status(500)),
        ("502, three times", refresh().status(502)),
        ("503, three times", refresh().status(503)),
        (
            "503 with `Retry-After: 1`, three times",
            refresh().status(503).header("Retry-After", "1"),
        ),
        (
            "socket closed with nothing done, three times",
            refresh().close_socket(),
        ),
        (
            "a page of HTML with status 200, three times",
            refresh()
                .status(200)
                .body("<html>Sign in to this network</html>"),
        ),
    ];
    let rows = cases.into_iter().map(|(case, fault)| async move {
        let mut row = Row::of(case);
        let scene = Scene::strict().await;
        let token = scene.ask().await.token().expect("a token").to_owned();
        scene.lives(LONG_LIFE);
        scene.fault(fault);
        scene.ends(&token).await;
        let watch = Stopwatch::start();
        let mut calls = Vec::new();
        scene.outcome(&mut calls).await;
        row.note(format!("over after {:.1} s", watch.elapsed().as_secs_f32()));
        row.heard(&calls);
        row.waited_without(longest(&calls));
        row.refreshes = scene.refreshes();
        row.exactly(4);
        scene.kept(&mut row).await;
        row
    });
    side_by_side(scale.lanes, rows).await
}

/// The provider fails until the tries halt, and a person sets them going again.
pub(crate) async fn halted(_: Scale) -> Vec<Row> {
    let mut row = Row::of("500 until the tries halt, then `doorward retry`");
    let scene = Scene::strict().await;
    let token = scene.ask().await.token().expect("a token").to_owned();
    scene.lives(LONG_LIFE);
    scene.fault(
        Fault::on(Kind::TokenRefresh)
            .times(FAILURES_TO_HALT)
            .status(500),
    );
    scene.ends(&token).await;
    let most = u64::from(FAILURES_TO_HALT);
    while scene.refreshes() < most {
        row.heard(&[scene.ask().await]);
        tokio::time::sleep(IMPATIENCE).await;
    }
    let watch = Stopwatch::start();
    while watch.elapsed() < QUIET {
        row.heard(&[scene.ask().await]);
        tokio::time::sleep(IMPATIENCE).await;
    }
    row.holds(scene.refreshes() == most, || {
        "after five failures in a row it was tried again".to_owned()
    });
    scene.world.run(&["retry", "fastio"]).await.done();
    let mut calls = Vec::new();
    scene.outcome(&mut calls).await;
    row.heard(&calls);
    row.waited_without(longest(&calls));
    row.refreshes = scene.refreshes();
    row.exactly(most + 1);
    scene.kept(&mut row).await;
    vec![row]
}

/// After so many failures in a row nothing more is tried by itself for a while.
const FAILURES_TO_HALT: u32 = 5;
/// Longer than it took from the first of them to the second.
const QUIET: Duration = Duration::from_secs(5);

/// A refresh that is struck by what was queued, and what becomes of the grant.
async fn struck(scene: &Scene, row: &mut Row) -> Fate {
    let token = scene.ask().await.token().expect("a token").to_owned();
    scene.ends(&token).await;
    let mut calls = Vec::new();
    let fate = scene.outcome(&mut calls).await;
    row.heard(&calls);
    row.refreshes = scene.refreshes();
    match fate {
        Fate::Kept => scene.fate(&mut Vec::new()).await,
        Fate::Ended | Fate::Lost => fate,
    }
}

/// The provider says nothing for a while, and then closes the connection or answers.
pub(crate) async fn silence(scale: Scale) -> Vec<Row> {
    let seconds = scale.silence.as_secs();
    let cases = [
        (
            format!("silence of {seconds} s, nothing done"),
            hanging_for_nothing(),
        ),
        (
            format!("silence of {seconds} s, then the answer"),
            hanging(Hang::BeforeWork),
        ),
    ];
    let rows = cases.into_iter().map(|(case, fault)| async move {
        let mut row = Row::of(case);
        // A reply that comes after Doorward stopped waiting is a lost one.
        let scene = Scene::with(|knobs| knobs.refresh_replay_grace_s = 60).await;
        let token = scene.ask().await.token().expect("a token").to_owned();
        scene.lives(LONG_LIFE);
        scene.hold(fault).await;
        let calls = silent_for(&scene, scale.silence, &token).await;
        row.waited_with_a_token(calls.0);
        row.heard(&calls.1);
        scene.let_go();
        let mut calls = Vec::new();
        scene.outcome(&mut calls).await;
        row.heard(&calls);
        scene.kept(&mut row).await;
        row.holds(row.refreshes <= 2, || {
            "the silence was met with more requests".to_owned()
        });
        row
    });
    side_by_side(scale.lanes, rows).await
}

/// Callers during a silence: the longest wait of those whose token is good, and those whose token has ended.
async fn silent_for(
    scene: &Scene,
    silence: Duration,
    token: &str,
) -> (Option<Duration>, Vec<Call>) {
    let watch = Stopwatch::start();
    let (mut with, mut without) = (Vec::new(), Vec::new());
    while watch.elapsed() < silence {
        let is_live = scene.is_live(token);
        let call = ask(&scene.agent, "fastio", 1).await;
        // A token that ended in mid-call is of neither kind.
        if call.token() == Some(token) {
            with.push(call);
        } else if !is_live {
            without.push(call);
        }
        tokio::time::sleep(IMPATIENCE).await;
    }
    (longest(&with), without)
}

/// 429, with the end of the limit told in every form.
pub(crate) async fn limits(scale: Scale) -> Vec<Row> {
    let mut forms = vec![
        ("`x-ve-limit-expires`, date and time", LimitForm::Datetime),
        ("`x-ve-limit-expires`, epoch seconds", LimitForm::Epoch),
        ("`x-ve-limit-expires`, seconds from now", LimitForm::Delta),
        ("`Retry-After`, seconds", LimitForm::RetryAfterSeconds),
        ("`Retry-After`, date", LimitForm::RetryAfterDate),
        ("`RateLimit-Reset`", LimitForm::RateLimitReset),
    ];
    if scale.untold_limit {
        forms.push(("no header at all", LimitForm::None));
    }
    let rows = forms.into_iter().map(|(form, header)| async move {
        let mut row = Row::of(format!("429 with {form}"));
        let scene = Scene::strict().await;
        let token = scene.ask().await.token().expect("a token").to_owned();
        scene.lives(LONG_LIFE);
        scene.fault(Fault::on(Kind::TokenRefresh).rate_limit(WINDOW_S, header));
        scene.ends(&token).await;
        let watch = Stopwatch::start();
        let mut calls = Vec::new();
        // Asks every few milliseconds, whatever it is told: none of that may reach the provider.
        scene.outcome(&mut calls).await;
        row.note(format!("over after {:.1} s", watch.elapsed().as_secs_f32()));
        row.heard(&calls);
        row.refreshes = scene.refreshes();
        row.exactly(2);
        scene.kept(&mut row).await;
        row
    });
    side_by_side(scale.lanes, rows).await
}

/// The provider cannot be reached for a while.
pub(crate) async fn outage(scale: Scale) -> Vec<Row> {
    let mut row = Row::of(format!("provider down for {} s", scale.outage.as_secs()));
    let scene = Scene::strict().await;
    let token = scene.ask().await.token().expect("a token").to_owned();
    scene.lives(LONG_LIFE);
    scene.world.sim.go_down().await;
    scene.ends(&token).await;
    row.heard(&away_for(&scene, scale.outage).await);
    scene.world.sim.come_back().await.expect("its port is free");
    recovered(scene, row).await
}

/// Callers that ask while nothing can be had.
async fn away_for(scene: &Scene, outage: Duration) -> Vec<Call> {
    let watch = Stopwatch::start();
    let mut calls = Vec::new();
    while watch.elapsed() < outage {
        calls.push(scene.ask().await);
        tokio::time::sleep(IMPATIENCE * 5).await;
    }
    calls
}

/// The provider is there again: how long it takes until callers are answered.
async fn recovered(scene: Scene, mut row: Row) -> Vec<Row> {
    let watch = Stopwatch::start();
    let mut calls = Vec::new();
    scene.outcome(&mut calls).await;
    let took = watch.elapsed();
    row.note(format!(
        "answered {:.1} s after its return",
        took.as_secs_f32()
    ));
    row.holds(took <= LONGEST_STEP, || {
        "the recovery took more than one step".to_owned()
    });
    row.heard(&calls);
    row.refreshes = scene.refreshes();
    row.exactly(1);
    scene.kept(&mut row).await;
    vec![row]
}

/// The longest pause between two tries, and a moment for the try itself.
const LONGEST_STEP: Duration = Duration::from_secs(61);

/// The name of the provider cannot be resolved for a while. Needs a file system of its own, as names are the whole
/// machine's.
#[cfg(may_mount)]
pub(crate) async fn names(scale: Scale) -> Vec<Row> {
    use super::names::{Names, connect};

    let mut row = Row::of(format!(
        "name not resolved for {} s",
        scale.outage.as_secs().min(20)
    ));
    let world = Scene::bare(|_| {}).await;
    let names = Names::of(&world);
    names.known();
    let served = names.serve(&world).await;
    let scene = connect(world, served).await;
    let token = scene.ask().await.token().expect("a token").to_owned();
    scene.lives(LONG_LIFE);
    names.forgotten();
    scene.ends(&token).await;
    row.heard(&away_for(&scene, scale.outage.min(Duration::from_secs(20))).await);
    names.known();
    recovered(scene, row).await
}
