//! The bench of the refresh: every way that a refresh is known to go wrong, played with real processes, and what became
//! of the grant each time.
//!
//! Each case is a function of a [`Scale`] that gives its rows. `cargo test` plays all of them small, as tests of their
//! own; `make bench-refresh` plays them as large as they are meant and writes the table of docs/BENCHMARKS-REFRESH.md.
//! A grant that is lost, a person who is asked for nothing, and a second refresh in a stampede fail both.

mod calls;
mod clocks;
mod crowds;
mod endings;
mod full;
mod kills;
mod many;
mod matrix;
#[cfg(may_mount)]
mod names;
mod peer;
mod replies;
mod row;
mod scale;
mod scene;

use std::future::Future;
use std::pin::Pin;

use row::{Row, broken_promises, table};
use scale::{SHORT, Scale};

type Rows = Pin<Box<dyn Future<Output = Vec<Row>>>>;

/// A case, by its name.
type Case = (&'static str, fn(Scale) -> Rows);

/// Cases that keep the machine busy, in the order of the table.
const BUSY: &[Case] = &[
    ("rules", |scale| Box::pin(matrix::rows(scale))),
    ("lost replies", |scale| Box::pin(replies::lost(scale))),
    ("failures", |scale| Box::pin(replies::failures(scale))),
    ("callers at a token's end", |scale| {
        Box::pin(crowds::at_expiry(scale))
    }),
    ("callers that met a 401", |scale| {
        Box::pin(crowds::refused_early(scale))
    }),
    ("kills of Doorward", |scale| {
        Box::pin(kills::doorward(scale))
    }),
    ("kills of couriers", |scale| {
        Box::pin(kills::couriers(scale))
    }),
    ("ends", |scale| Box::pin(kills::ended(scale))),
    ("clocks", |scale| Box::pin(clocks::rows(scale))),
    ("revoked", |scale| Box::pin(endings::revoked(scale))),
    ("disconnected", |scale| {
        Box::pin(endings::disconnected(scale))
    }),
    #[cfg(may_mount)]
    ("full disk", |scale| Box::pin(endings::full_disk(scale))),
    ("oidc-provider", |scale| Box::pin(peer::rows(scale))),
    ("many connections", |scale| Box::pin(many::rows(scale))),
];

/// Cases that wait most of the time.
const WAITING: &[Case] = &[
    ("outage", |scale| Box::pin(replies::outage(scale))),
    ("halted tries", |scale| Box::pin(replies::halted(scale))),
    ("silence", |scale| Box::pin(replies::silence(scale))),
    ("limits", |scale| Box::pin(replies::limits(scale))),
    #[cfg(may_mount)]
    ("names", |scale| Box::pin(replies::names(scale))),
];

/// Plays a case small.
#[expect(
    clippy::print_stdout,
    reason = "the table is what is looked at where a case fails"
)]
async fn play(case: impl Future<Output = Vec<Row>>) {
    let rows = case.await;
    println!("{}", table(&rows));
    let broken = broken_promises(&rows);
    assert!(broken.is_empty(), "{}\n{}", broken.join("\n"), table(&rows));
}

macro_rules! promises {
    ($($(#[$when:meta])* $promise:ident: $case:path;)*) => { $(
        $(#[$when])*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            play($case(SHORT)).await;
        }
    )* };
}

promises! {
    whatever_rules_a_provider_has_for_refresh_tokens_a_grant_is_kept: matrix::rows;
    a_lost_reply_ends_a_grant_only_where_the_provider_says_so: replies::lost;
    a_failing_provider_costs_no_grant_and_no_more_tries_than_failures: replies::failures;
    after_five_failures_nothing_is_tried_until_a_person_says_so: replies::halted;
    a_silent_provider_costs_no_grant: replies::silence;
    during_a_limit_nothing_is_sent_in_whatever_form_its_end_is_told: replies::limits;
    a_provider_that_was_down_is_back_in_use_within_one_step: replies::outage;
    callers_at_a_tokens_end_make_one_refresh: crowds::at_expiry;
    callers_that_met_a_401_early_make_one_refresh: crowds::refused_early;
    killed_in_mid_refresh_doorward_loses_no_grant: kills::doorward;
    a_killed_courier_costs_no_grant_that_the_provider_would_keep: kills::couriers;
    ended_in_mid_refresh_doorward_loses_no_grant: kills::ended;
    a_clock_that_jumps_costs_no_grant_and_one_refresh: clocks::rows;
    revoked_in_mid_refresh_a_person_is_asked_once: endings::revoked;
    disconnected_in_mid_refresh_nothing_is_left_anywhere: endings::disconnected;
    an_unforgiving_server_of_others_ends_no_grant: peer::rows;
    connections_that_end_together_make_one_refresh_each: many::rows;
    #[cfg(may_mount)]
    a_name_that_cannot_be_resolved_costs_no_grant: replies::names;
    #[cfg(may_mount)]
    a_full_disk_at_the_moment_of_the_write_costs_no_grant: endings::full_disk;
}
