//! Refreshes that nobody waits for: when they are sent, how many at a time, and what sets halted ones going again.
//!
//! The core says when one is due. Here they are kept from falling together: few are in flight at once, whatever is
//! due, so that a thousand connections that end in the same minute are a queue and not a storm, and a caller who
//! waits is never behind more than those few.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use doorward_core::connection::{Connection, Standing};
use doorward_core::decide::flying;
use doorward_core::decide::reporting::Followed;
use doorward_core::decide::scheduling;
use doorward_core::decide::serving;
use doorward_core::ids::ConnectionId;
use doorward_core::name::Name;
use doorward_core::problem::{Code, Refusal};
use doorward_core::time::Timestamp;
use doorward_store::HolderKind;

use super::flights::Reason;
use super::{Actor, reply};
use crate::handle::Reply;
use crate::random;
use crate::views::ConnectionView;

/// So many flights leave room for one more that nobody waits for.
const MOST_FLIGHTS: usize = 8;
/// A refresh that could not even begin (the store fails, say) is not begun again by itself before this.
const HELD_FOR: Duration = Duration::from_mins(1);
/// A provider that is down is probed by one of its connections at a time, and no more often than this.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// A clock that was set by less is left alone: nothing here is measured more exactly.
const LEAST_STEP_MILLIS: u64 = 2_000;
/// A shorter sleep is none: timers run late by as much under load.
const LEAST_SLEEP: Duration = Duration::from_secs(2);

/// What the pace of refreshes is kept by. None of it outlives the process: what must is in the rows.
#[derive(Default)]
pub(super) struct Pace {
    held: HashMap<ConnectionId, Timestamp>,
    /// Of each provider that is down when it may be probed next.
    probes: HashMap<String, Timestamp>,
    /// What was due when the machine came back, in line.
    after_absence: VecDeque<ConnectionId>,
    /// When the next refresh is due; nothing where that has to be found out again.
    next: Option<Timestamp>,
    slept: Duration,
    /// Persons who wait for a try they asked for.
    retries: HashMap<ConnectionId, Vec<Reply<ConnectionView>>>,
    /// The reports of refused tokens that were followed up.
    pub(super) reports: HashMap<ConnectionId, Followed>,
    /// The refusals seen at the proxy door that were followed up, and of which generation.
    pub(super) refusals: HashMap<ConnectionId, (u64, Followed)>,
}

impl Pace {
    /// From a start at which the machine had slept so long.
    pub(super) fn from_start(slept: Duration) -> Self {
        Self {
            slept,
            ..Self::default()
        }
    }

    /// Something changed that the next moment may depend on.
    pub(super) fn forget_next(&mut self) {
        self.next = None;
    }
}

impl Actor {
    /// A command that opens the store for a moment sends nothing by itself.
    pub(super) fn paces(&self) -> bool {
        self.config.holder != HolderKind::Command && self.stopping.is_none()
    }

    /// When the next refresh that nobody waits for is due, if one can be sent then.
    pub(super) fn next_refresh_due(&mut self) -> Option<Timestamp> {
        if !self.paces() || self.flights.len() >= MOST_FLIGHTS {
            return None;
        }
        if !self.pace.after_absence.is_empty() {
            return Some(self.now());
        }
        if self.pace.next.is_none() {
            self.pace.next = self.due().first().map(|(at, _)| *at);
        }
        self.pace.next
    }

    /// Every connection with the moment when it is due, the earliest first.
    fn due(&mut self) -> Vec<(Timestamp, ConnectionId)> {
        let now = self.now();
        let book = self.published.book.clone();
        let used = self.in_use();
        let mut due: Vec<_> = book
            .connections()
            .filter(|row| !self.flights.contains_key(&row.id))
            .filter_map(|row| {
                let at = scheduling::next_refresh(row, now, used.contains(&row.id))?;
                let held = self.pace.held.get(&row.id).copied();
                Some((held.map_or(at, |held| at.max(held)), row.id))
            })
            .collect();
        due.sort_unstable();
        due
    }

    /// The connections whose stored generation an agent has used.
    pub(super) fn in_use(&self) -> HashSet<ConnectionId> {
        let now = self.now();
        let was_used = |grant: &doorward_core::grant::Grant| {
            let row = self.book().connection(grant.connection)?;
            let was_handed = grant.handed_generation == Some(row.generation);
            let meter = self.published.grant_meters.get(&grant.id);
            let last = meter.and_then(|meter| meter.last_used());
            (was_handed || last.is_some_and(|last| last >= row.access_issued_at)).then_some(row.id)
        };
        let grants = self.book().grants().filter(|grant| !grant.is_over(now));
        grants.filter_map(|grant| was_used(grant)).collect()
    }

    /// Sends what is due, as far as there is room.
    pub(super) async fn refresh_what_is_due(&mut self) {
        if !self.paces() {
            return;
        }
        let now = self.now();
        self.pace.held.retain(|_, until| *until > now);
        while self.flights.len() < MOST_FLIGHTS
            && let Some(id) = self.pace.after_absence.pop_front()
        {
            // Whoever waited longer than the line may have been answered by a flight of its own.
            let used = self.in_use();
            let is_due = |row: &std::sync::Arc<Connection>| {
                scheduling::is_due_after_absence(row, now, used.contains(&id))
            };
            if self.connection(id).as_ref().is_some_and(is_due) {
                self.begin_by_itself(id).await;
            }
        }
        for (_, id) in self.due().into_iter().take_while(|(at, _)| *at <= now) {
            if self.flights.len() >= MOST_FLIGHTS {
                break;
            }
            self.begin_by_itself(id).await;
        }
        self.pace.forget_next();
    }

    async fn begin_by_itself(&mut self, id: ConnectionId) {
        if let Err(refusal) = self.begin_flight(id, Reason::Due).await {
            tracing::warn!(connection = %id, detail = %refusal.detail, "a refresh that was due could not begin");
            self.pace.held.insert(id, self.now().plus(HELD_FOR));
        }
    }

    /// Whether a refresh may be sent now for a connection whose tries have halted: one of a provider's connections
    /// asks for all of them whether it is back.
    pub(super) fn check_probe(&mut self, row: &Connection) -> Result<(), Refusal> {
        let Some(trouble) = row.trouble.as_ref().filter(|trouble| trouble.is_halted()) else {
            return Ok(());
        };
        let now = self.now();
        let next = self.pace.probes.get(&row.provider.issuer).copied();
        if let Some(next) = next.filter(|next| *next > now) {
            return Err(
                serving::in_trouble(row, trouble.kind, next, now).retry_after(next.since(now))
            );
        }
        self.pace
            .probes
            .insert(row.provider.issuer.clone(), now.plus(PROBE_INTERVAL));
        Ok(())
    }

    /// A provider has answered: what had halted because it was down goes on.
    pub(super) async fn origin_is_back(&mut self, answered: &Connection) {
        self.pace.probes.remove(&answered.provider.issuer);
        let plan =
            scheduling::origin_is_back(self.book(), answered, self.now(), random::fraction());
        if let Err(refusal) = self.carry_out(plan).await {
            tracing::error!(%refusal, "what had halted could not be set going again");
        }
    }

    /// The machine was away: it started, or woke. What had halted is tried again, and what ended meanwhile is renewed
    /// before anyone asks.
    pub(super) async fn back_from_absence(&mut self) {
        if !self.paces() {
            return;
        }
        let now = self.now();
        self.pace.probes.clear();
        self.pace.held.clear();
        self.shared.traffic.halts.resume_all();
        let plan = scheduling::resume_all(self.book(), now, random::fraction());
        if let Err(refusal) = self.carry_out(plan).await {
            tracing::error!(%refusal, "what had halted could not be set going again");
        }
        let used = self.in_use();
        let book = self.published.book.clone();
        self.pace.after_absence = book
            .connections()
            .filter(|row| scheduling::is_due_after_absence(row, now, used.contains(&row.id)))
            .map(|row| row.id)
            .collect();
    }

    /// Notices that the wall clock was set, or that the machine slept.
    pub(super) async fn notice_clock(&mut self) {
        let clock = std::sync::Arc::clone(&self.shared.clock);
        let step = clock
            .wall()
            .as_millis()
            .saturating_sub(clock.now().as_millis());
        if step.unsigned_abs() >= LEAST_STEP_MILLIS && self.check_unlocked().is_ok() {
            self.follow_clock(step).await;
        }
        let slept = clock.slept();
        let more = slept.saturating_sub(self.pace.slept);
        if more >= LEAST_SLEEP {
            tracing::info!(seconds = more.as_secs(), "the machine woke from sleep");
            self.pace.slept = slept;
            if self.check_unlocked().is_ok() {
                self.back_from_absence().await;
            }
        }
    }

    /// The rows are said anew before anyone reads the new time. Between the two a token seems to have ended or not to
    /// have begun, and whoever asks then is answered by this task, after both.
    async fn follow_clock(&mut self, step: i64) {
        let plan = scheduling::clock_was_set(self.book(), step);
        if let Err(refusal) = self.carry_out(plan).await {
            tracing::error!(%refusal, "the wall clock was set, and that could not be written; the time so far is kept");
            return;
        }
        self.shared.clock.follow_wall();
        tracing::warn!(milliseconds = step, "the wall clock was set");
        for unsaved in &mut self.unsaved {
            unsaved.clock_was_set(step);
        }
        if let Some(stopping) = &mut self.stopping {
            stopping.no_later_than = stopping.no_later_than.shifted(step);
        }
        self.metered_at = self.metered_at.shifted(step);
        self.look_after = self.now();
        self.pace.held.clear();
        self.pace.probes.clear();
        self.pace.reports.clear();
        self.pace.refusals.clear();
        self.pace.forget_next();
    }

    /// A person wants a connection tried again now.
    pub(super) async fn retry(&mut self, name: &Name, to: Reply<ConnectionView>) {
        match self.begin_retry(name).await {
            Ok(Some(id)) => self.pace.retries.entry(id).or_default().push(to),
            Ok(None) => {
                let row = self.person_connection(name);
                reply(to, row.and_then(|row| self.connection_view(row.id)));
            }
            Err(refusal) => reply(to, Err(refusal)),
        }
    }

    /// Begins the try; nothing where there is nothing to try.
    async fn begin_retry(&mut self, name: &Name) -> Result<Option<ConnectionId>, Refusal> {
        self.check_unlocked()?;
        let row = self.person_connection(name)?;
        let now = self.now();
        match &row.standing {
            Standing::ReconnectRequired { why, .. } => {
                return Err(serving::reconnect_required(name, why));
            }
            Standing::Unproven | Standing::Connected | Standing::Ending => {}
        }
        if row.paused {
            return Err(Refusal::new(
                Code::ConnectionPaused,
                format!("The connection `{name}` is paused."),
                format!("`doorward resume --connection {name}` lets it go on."),
            ));
        }
        if self.flights.contains_key(&row.id) {
            return Ok(Some(row.id));
        }
        self.shared.traffic.halts.resume(row.id);
        let Some(trouble) = &row.trouble else {
            return Ok(None);
        };
        if scheduling::is_limited(&row, now) || flying::waits_for_the_token_to_end(&row, now) {
            return Err(serving::in_trouble(
                &row,
                trouble.kind,
                trouble.retry_at,
                now,
            ));
        }
        self.carry_out(scheduling::retry(&row, now)).await?;
        self.pace.probes.remove(&row.provider.issuer);
        self.begin_flight(row.id, Reason::Due).await?;
        Ok(Some(row.id))
    }

    /// Tells the persons who asked for a try how the connection is after it, or why it does not work.
    pub(super) fn answer_retries(&mut self, id: ConnectionId) {
        for to in self.pace.retries.remove(&id).unwrap_or_default() {
            reply(to, self.tried(id));
        }
    }

    fn tried(&self, id: ConnectionId) -> Result<ConnectionView, Refusal> {
        let Some(row) = self.connection(id) else {
            return Err(serving::unknown(""));
        };
        if let Standing::ReconnectRequired { why, .. } = &row.standing {
            return Err(serving::reconnect_required(&row.name, why));
        }
        match &row.trouble {
            Some(trouble) => Err(serving::in_trouble(
                &row,
                trouble.kind,
                trouble.retry_at,
                self.now(),
            )),
            None => self.connection_view(id),
        }
    }
}

impl Pace {
    /// A connection is gone.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        self.held.remove(&id);
        self.reports.remove(&id);
        self.refusals.remove(&id);
    }
}
