//! The table of states and outcomes in docs/ARCHITECTURE.md is what the code does.

use std::fmt::Write as _;

use doorward_core::connection::TroubleKind;
use doorward_core::decide::refreshing::{self, Finished};
use doorward_core::health::Health;
use doorward_core::ids::ConnectionId;
use doorward_core::plan::{Effect, Notice};
use doorward_core::token_reply::TokenOutcome;

use crate::world::{SECOND, World, trouble};

const ARCHITECTURE: &str = include_str!("../../../../docs/ARCHITECTURE.md");

/// The states that a refresh can begin in: of which kind the last failure was, and how many there were in a row.
const STATES: [(&str, Option<(TroubleKind, u32)>); 8] = [
    ("connected", None),
    ("degraded, once", Some((TroubleKind::Transient, 1))),
    ("degraded, four times", Some((TroubleKind::Transient, 4))),
    ("halted", Some((TroubleKind::Transient, 5))),
    ("rate_limited", Some((TroubleKind::RateLimited, 1))),
    ("client_rejected", Some((TroubleKind::ClientRejected, 1))),
    (
        "client_rejected, four times",
        Some((TroubleKind::ClientRejected, 4)),
    ),
    ("misconfigured", Some((TroubleKind::Misconfigured, 1))),
];

const OUTCOMES: [&str; 6] = [
    "new tokens",
    "transient",
    "rate limited",
    "client rejected",
    "misconfigured",
    "grant ended",
];

fn outcome(world: &World, what: &str) -> TokenOutcome {
    let why = "HTTP 400, error x".to_owned();
    match what {
        "new tokens" => TokenOutcome::Issued(world.tokens("new", Some("new"))),
        "transient" => TokenOutcome::Transient {
            why,
            retry_at: None,
        },
        "rate limited" => TokenOutcome::RateLimited {
            until: world.now.plus(SECOND),
        },
        "client rejected" => TokenOutcome::ClientRejected { why },
        "misconfigured" => TokenOutcome::Misconfigured { why },
        _ => TokenOutcome::GrantEnded { why },
    }
}

/// The state after an outcome, and what is told of it.
fn after(state: Option<(TroubleKind, u32)>, what: &str) -> String {
    let mut world = World::new();
    let id: ConnectionId = world.connection("fastio", "ours");
    let now = world.now;
    world.alter(id, |row| {
        row.trouble = state.map(|(kind, failures)| {
            let mut trouble = trouble(kind, now, now);
            trouble.failures = failures;
            trouble
        });
    });
    let finished = Finished {
        connection: id,
        generation: 1,
        outcome: outcome(&world, what),
        jitter: 0.5,
        outbox: world.outbox_id(),
    };
    let plan = refreshing::finish(&world.book, now, finished);
    let told: Vec<&str> = plan.effects.iter().filter_map(said).collect();
    world.carry_out(plan);
    let mut cell = word(&Health::of(&world.row(id), false, now)).to_owned();
    for told in told {
        write!(cell, ", {told}").expect("text");
    }
    cell
}

fn word(health: &Health) -> &'static str {
    match health {
        Health::Degraded { halted: true, .. } => "halted",
        Health::ClientRejected { next_try: None, .. } => "client_rejected for good",
        Health::Misconfigured { next_try: None, .. } => "misconfigured for good",
        Health::Connected
        | Health::Refreshing
        | Health::Degraded { .. }
        | Health::RateLimited { .. }
        | Health::ClientRejected { .. }
        | Health::Misconfigured { .. }
        | Health::ReconnectRequired { .. }
        | Health::Unproven
        | Health::Paused => health.as_str(),
    }
}

fn said(effect: &Effect) -> Option<&'static str> {
    match effect {
        Effect::Tell(Notice::Recovered(_)) => Some("told that it works again"),
        Effect::Tell(_) => Some("told"),
        Effect::LogHalted { .. } => Some("critical line"),
        Effect::WorkOutbox => None,
    }
}

#[test]
fn the_documented_table_of_states_and_outcomes_is_what_the_code_does() {
    let mut table = format!("| before | {} |\n", OUTCOMES.join(" | "));
    table.push_str(&"|---".repeat(OUTCOMES.len() + 1));
    table.push_str("|\n");
    for (name, state) in STATES {
        let cells: Vec<_> = OUTCOMES.iter().map(|what| after(state, what)).collect();
        writeln!(table, "| {name} | {} |", cells.join(" | ")).expect("text");
    }
    assert!(
        ARCHITECTURE.contains(&table),
        "docs/ARCHITECTURE.md has another table than\n\n{table}"
    );
}
