//! The same at an authorization server that is not ours: npm's `oidc-provider`, which rotates, and ends the grant when a
//! spent refresh token comes back.

use std::collections::BTreeSet;
use std::time::Duration;

use doorward_e2e::{Agent, Stopwatch, eventually};
use serde_json::json;

use super::calls::{Call, Crowd, Said, ask, longest};
use super::row::Row;
use super::scale::{Scale, side_by_side};
use super::scene::{IMPATIENCE, asked, serve};
use crate::oidc_provider::{Connected, connected};

/// How long the server holds its answers back, after it has committed.
const HELD: Duration = Duration::from_secs(4);
/// How many seconds a token lives: one that is fetched ahead of time and held so long arrives after the end of the one
/// before it, and well before its own.
const LIFE: &str = "10";

/// Who has no token after so many asks will get none.
const MOST_ASKS: usize = 600;

/// How the refresh under way is disturbed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blow {
    /// Not at all: many callers.
    Crowd,
    Kill,
    Terminate,
}

pub(crate) async fn rows(scale: Scale) -> Vec<Row> {
    let (callers, rounds) = (scale.callers, scale.rounds);
    let name = |what: &str| format!("oidc-provider: {what}");
    let many = name(&format!("{callers} callers at a token's end"));
    let killed = name(&format!(
        "kill -9 of Doorward, {rounds} times: committed, not answered"
    ));
    let asked_to_end = name(&format!("SIGTERM in mid-refresh, {rounds} times"));
    let rows = [
        Box::pin(row(many, Blow::Crowd, callers, 1)),
        Box::pin(row(killed, Blow::Kill, 3, rounds)),
        Box::pin(row(asked_to_end, Blow::Terminate, 3, rounds)),
    ];
    side_by_side(rows.len(), rows).await
}

async fn row(case: String, blow: Blow, callers: usize, rounds: usize) -> Row {
    let mut row = Row::of(case);
    let mut stage = connected(&["--access-ttl", LIFE]).await;
    for _ in 0..rounds {
        stage = round(stage, blow, callers, &mut row).await;
    }
    row.refreshes = {
        let (went_well, failed) = stage.0.refreshes().await;
        went_well + failed
    };
    if blow == Blow::Crowd {
        row.exactly(1);
    }
    // The refresh token that is kept is the one that counts: it brings one more token.
    let works = ends_well(&stage).await;
    row.lost = usize::from(!works);
    row.asked = asked(&stage.1);
    row
}

/// One refresh that is held back, the blow, and what callers hear.
async fn round(
    (peer, world, mut served, agent): Connected,
    blow: Blow,
    callers: usize,
    row: &mut Row,
) -> Connected {
    let Some(token) = ask(&agent, "oidc", 30).await.token().map(str::to_owned) else {
        row.holds(false, || "the grant was gone before the blow".to_owned());
        return (peer, world, served, agent);
    };
    peer.tell("/hold", &json!({"token": HELD.as_millis()}))
        .await;
    let before = peer.refreshes().await.0;
    peer.opens_nothing(&token).await;
    // The server counts in whole seconds, so that Doorward may see the end a little later.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asking = async {
        loop {
            ask(&agent, "oidc", 1).await;
        }
    };
    let committed = async || peer.refreshes().await.0 > before;
    tokio::select! {
        () = eventually("the server has committed", committed) => {}
        () = asking => {}
    }
    let watch = Stopwatch::start();
    let crowd = Crowd::asks(&agent, "oidc", callers);
    // For later answers: the one under way is held to its end.
    peer.tell("/hold", &json!({"token": 0})).await;
    match blow {
        Blow::Crowd => {
            let heard = crowd.heard().await;
            row.heard(&heard);
            row.waited_without(Some(watch.elapsed().saturating_sub(HELD)));
            let tokens: BTreeSet<_> = heard.iter().filter_map(Call::token).collect();
            row.holds(tokens.len() == 1, || {
                format!("{} tokens were handed out", tokens.len())
            });
            return (peer, world, served, agent);
        }
        Blow::Kill => served.process.kill().await,
        Blow::Terminate => {
            served.process.terminate();
            let ended = served.process.ended().await;
            row.holds(ended.status.success(), || {
                format!("it ended with {}", ended.status)
            });
        }
    }
    row.heard_by_survivors(&crowd.heard().await);
    let served = serve(&world).await;
    let calls = until_final(&agent).await;
    row.heard(&calls);
    row.waited_without(longest(&calls));
    (peer, world, served, agent)
}

/// Asks until there is a token or a final answer.
async fn until_final(agent: &Agent) -> Vec<Call> {
    let mut calls = Vec::new();
    while calls.len() < MOST_ASKS {
        let call = ask(agent, "oidc", 30).await;
        let is_final = call.token().is_some() || call.said == Said::Over;
        calls.push(call);
        if is_final {
            break;
        }
        tokio::time::sleep(IMPATIENCE).await;
    }
    calls
}

/// Whether the agent is given one more token that works.
async fn ends_well((peer, _, _, agent): &Connected) -> bool {
    let Some(token) = ask(agent, "oidc", 30).await.token().map(str::to_owned) else {
        return false;
    };
    peer.opens_nothing(&token).await;
    for _ in 0..100 {
        let call = ask(agent, "oidc", 30).await;
        if let Some(next) = call.token()
            && next != token
        {
            return peer.whoami(next).await.0 == 200 && peer.grants().await.len() == 1;
        }
        tokio::time::sleep(IMPATIENCE).await;
    }
    false
}
