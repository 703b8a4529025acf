//! How much of each case is played.

use std::future::Future;
use std::time::Duration;

use tokio::task::LocalSet;

/// How much of each case is played.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Who ask at once.
    pub(crate) callers: usize,
    /// Connections that end together.
    pub(crate) connections: usize,
    /// Kills, over all moments together.
    pub(crate) kills: usize,
    /// How often one disturbance is repeated at a provider that takes its time.
    pub(crate) rounds: usize,
    /// How long a provider is away.
    pub(crate) outage: Duration,
    /// How long a provider is silent.
    pub(crate) silence: Duration,
    /// How long nobody asks while the processor time is counted.
    pub(crate) rest: Duration,
    /// Whether a limit whose end is not told is waited out.
    pub(crate) untold_limit: bool,
    /// How many worlds stand side by side. Without a common factor with the number of phases of a refresh, or a lane
    /// would meet only some of them.
    pub(crate) lanes: usize,
}

/// Ends in reasonable time: part of `make test`.
pub(crate) const SHORT: Scale = Scale {
    callers: 50,
    connections: 6,
    kills: 10,
    rounds: 1,
    outage: Duration::from_secs(4),
    silence: Duration::from_secs(3),
    rest: Duration::from_secs(5),
    untold_limit: false,
    lanes: 4,
};

/// What `make bench-refresh` plays.
pub(crate) const FULL: Scale = Scale {
    callers: 1000,
    connections: 500,
    kills: 200,
    rounds: 10,
    outage: Duration::from_mins(10),
    // Longer than Doorward waits for a provider.
    silence: Duration::from_secs(35),
    rest: Duration::from_mins(1),
    untold_limit: true,
    lanes: 4,
};

/// Plays so many at a time, and gives what each came to in the order in which they were given.
pub(crate) async fn side_by_side<T: 'static>(
    lanes: usize,
    all: impl IntoIterator<Item = impl Future<Output = T> + 'static>,
) -> Vec<T> {
    let turns = std::rc::Rc::new(tokio::sync::Semaphore::new(lanes));
    let local = LocalSet::new();
    let playing: Vec<_> = all
        .into_iter()
        .map(|one| {
            let turns = std::rc::Rc::clone(&turns);
            local.spawn_local(async move {
                let _turn = turns.acquire().await.expect("it is never closed");
                one.await
            })
        })
        .collect();
    let ended = local.run_until(async {
        let mut ended = Vec::new();
        for one in playing {
            ended.push(one.await);
        }
        ended
    });
    let ended = ended.await.into_iter();
    ended
        .map(|one| match one {
            Ok(found) => found,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        })
        .collect()
}
