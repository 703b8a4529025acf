//! Every combination of what providers do with refresh tokens: an end of a token, a crowd, and a kill in mid-refresh.

use doorward_e2e::{Hang, Knobs};
use fastio_sim::{ExpiresIn, RefreshReuse, RefreshRotation};

use super::calls::Crowd;
use super::row::Row;
use super::scale::{Scale, side_by_side};
use super::scene::{IMPATIENCE, LONG_LIFE, Scene, hanging, serve};

/// How many ask at once here; the stampedes have cases of their own.
const CALLERS: usize = 10;
/// A token younger than this is not believed to have been refused.
const BELIEVED_AFTER: std::time::Duration = std::time::Duration::from_millis(5100);

#[derive(Clone, Copy)]
struct Rules {
    rotation: RefreshRotation,
    reuse: RefreshReuse,
    grace_s: u64,
    expires_in: ExpiresIn,
}

impl Rules {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for rotation in [RefreshRotation::Rotate, RefreshRotation::KeepAndOmit] {
            for reuse in [RefreshReuse::KillFamily, RefreshReuse::RejectOnly] {
                for grace_s in [0, 60] {
                    for expires_in in [ExpiresIn::Present, ExpiresIn::Absent] {
                        all.push(Self {
                            rotation,
                            reuse,
                            grace_s,
                            expires_in,
                        });
                    }
                }
            }
        }
        all
    }

    fn apply(self, knobs: &mut Knobs) {
        knobs.refresh_rotation = self.rotation;
        knobs.refresh_reuse = self.reuse;
        knobs.refresh_replay_grace_s = self.grace_s;
        knobs.expires_in = self.expires_in;
    }

    fn name(self) -> String {
        let rotation = match self.rotation {
            RefreshRotation::Rotate => "rotates",
            RefreshRotation::Keep | RefreshRotation::KeepAndOmit => "keeps",
        };
        let reuse = match self.reuse {
            RefreshReuse::KillFamily => "reuse kills",
            RefreshReuse::RejectOnly => "reuse is rejected",
        };
        let expires_in = match self.expires_in {
            ExpiresIn::Present => "says",
            ExpiresIn::Absent => "does not say",
        };
        let grace_s = self.grace_s;
        format!("{rotation}, {reuse}, grace {grace_s} s, {expires_in} when tokens end")
    }
}

pub(crate) async fn rows(scale: Scale) -> Vec<Row> {
    side_by_side(scale.lanes * 2, Rules::all().into_iter().map(row)).await
}

async fn row(rules: Rules) -> Row {
    let mut row = Row::of(rules.name());
    let mut scene = Scene::with(|knobs| rules.apply(knobs)).await;
    let token = scene.ask().await.token().expect("a token").to_owned();
    let crowd = ended(&scene, rules, &token).await;
    let heard = crowd.heard().await;
    row.refreshes = scene.refreshes();
    row.exactly(1);
    row.heard(&heard);

    let token = scene.ask().await.token().unwrap_or_default().to_owned();
    scene.fault(hanging(Hang::AfterWork));
    scene.lives(LONG_LIFE);
    let crowd = ended(&scene, rules, &token).await;
    scene.refresh_hangs().await;
    scene.served.process.kill().await;
    scene.let_go();
    row.heard_by_survivors(&crowd.heard().await);
    scene.served = serve(&scene.world).await;
    scene.kept(&mut row).await;
    row
}

/// Callers that come when a token has ended: who is not told its end is shown a 401 by the API.
async fn ended(scene: &Scene, rules: Rules, token: &str) -> Crowd {
    scene.ends(token).await;
    match rules.expires_in {
        ExpiresIn::Present => Crowd::asks(&scene.agent, "fastio", CALLERS),
        ExpiresIn::Absent => {
            tokio::time::sleep(BELIEVED_AFTER + IMPATIENCE).await;
            Crowd::rejects(&scene.agent, "fastio", token, CALLERS)
        }
    }
}
