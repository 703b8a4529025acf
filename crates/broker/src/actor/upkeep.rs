//! What happens by itself: old things are swept, owed things are tried again, use is written down.
//!
//! There is no polling: the owner of the mailbox sleeps until the next thing is due, and at most a minute.

use std::sync::atomic::Ordering;
use std::time::Duration;

use doorward_core::audit::{AuditEvent, AuditKind};
use doorward_core::change::Change;
use doorward_core::decide::{ending, pairing};
use doorward_core::grant::Lifetime;
use doorward_core::key::KeyRecord;
use doorward_core::pairing::Verdict;
use doorward_core::plan::Plan;

use super::consents::Consent;
use super::unsaved::Unsaved;
use super::{Actor, LONGEST_REST};

/// What is due and cannot be done (a full disk, say) is tried this often.
const LEAST_REST: Duration = Duration::from_millis(200);

impl Actor {
    /// How long nothing is due.
    pub(super) fn rest(&mut self) -> Duration {
        let now = self.now();
        let refresh = self.next_refresh_due();
        let book = self.book();
        let ends = book.grants().filter_map(|grant| match grant.lifetime {
            Lifetime::Until(end) => Some(end),
            Lifetime::UntilRevoked | Lifetime::WhileRunning(_) => None,
        });
        // A command that opens the store for a moment leaves it to others to tell.
        let tells = self.paces();
        let to_tell = book
            .connections()
            .filter(|_| tells)
            .filter_map(|row| ending::tells_at(row));
        let due = self
            .unsaved
            .iter()
            .map(Unsaved::retry_at)
            .chain(
                self.consents
                    .values()
                    .filter(|consent| !consent.is_exchanging())
                    .map(Consent::expires_at),
            )
            .chain(
                book.outbox()
                    .filter(|item| !self.revocations.contains(&item.id))
                    .filter_map(|item| item.next_try),
            )
            .chain(
                book.requests()
                    .filter(|request| request.verdict == Verdict::Waiting)
                    .map(|request| request.expires_at),
            )
            .chain(book.questions().map(|asked| asked.expires_at))
            .chain(ends)
            .chain(to_tell)
            .chain(refresh)
            .chain(self.next_lock_due())
            .chain(self.stopping.iter().map(|stopping| stopping.no_later_than))
            .min();
        let metered = self.metered_at.plus(LONGEST_REST);
        due.map_or(metered, |due| due.min(metered))
            .max(self.look_after)
            .since(now)
            .min(LONGEST_REST)
    }

    /// Does what is due.
    pub(super) async fn look_around(&mut self) {
        self.notice_clock().await;
        self.look_after = self.now().plus(LEAST_REST);
        if self.check_unlocked().is_err() {
            self.metered_at = self.now();
            return;
        }
        self.store_unsaved().await;
        self.expire_consents();
        let swept = pairing::sweep(self.book(), self.now());
        if let Err(refusal) = self.carry_out(swept).await {
            tracing::error!(%refusal, "what is old could not be swept");
        }
        self.end_questions().await;
        self.work_outbox().await;
        self.work_locks().await;
        self.tell_ends().await;
        self.refresh_what_is_due().await;
        self.watch_alarm();
        if self.now().since(self.metered_at) >= LONGEST_REST {
            self.write_meters().await;
        }
    }

    /// Tells the person of what has ended with its access token.
    async fn tell_ends(&mut self) {
        if !self.paces() {
            return;
        }
        let plan = ending::tell(self.book(), self.now());
        if let Err(refusal) = self.carry_out(plan).await {
            tracing::error!(%refusal, "that a connection has ended could not be written down, and is told once it is");
        }
    }

    /// Writes down what was used and refused since the last time.
    pub(super) async fn write_meters(&mut self) {
        let now = self.now();
        self.metered_at = now;
        if self.check_unlocked().is_err() {
            return;
        }
        let plan = self
            .uses()
            .and(self.proxy_uses())
            .and(self.key_uses())
            .and(self.refusals());
        if let Err(refusal) = self.carry_out(plan).await {
            tracing::error!(%refusal, "counts of use could not be written");
        }
    }

    fn uses(&self) -> Plan {
        let mut plan = Plan::nothing();
        for grant in self.book().grants() {
            let Some(meter) = self.published.grant_meters.get(&grant.id) else {
                continue;
            };
            let uses = meter.uses.swap(0, Ordering::Relaxed);
            let Some(agent) = self.book().agent(grant.agent).filter(|_| uses > 0) else {
                continue;
            };
            plan = plan.log(
                AuditEvent::new(AuditKind::Used)
                    .tenant(agent.tenant)
                    .agent(agent.id)
                    .connection(grant.connection)
                    .with("tokens", uses.to_string()),
            );
        }
        plan
    }

    /// What went through the proxy door. The sums of a minute arrive here, and nowhere else.
    fn proxy_uses(&self) -> Plan {
        let minute = self.shared.traffic.uses.take();
        if minute.lost > 0 {
            tracing::warn!(lost = minute.lost, "calls came too fast to be counted");
        }
        let mut plan = Plan::nothing();
        for row in minute.into_rows() {
            // The agent may have been revoked in this minute; it and its connection are of one tenant.
            let agent = self.book().agent(row.agent).map(|agent| agent.tenant);
            let connection = || self.book().connection(row.connection);
            if let Some(tenant) = agent.or_else(|| connection().map(|found| found.tenant)) {
                plan = plan.log(row.event(tenant));
            }
        }
        plan
    }

    fn key_uses(&self) -> Plan {
        let mut plan = Plan::nothing();
        for key in self.book().keys() {
            let Some(meter) = self.published.key_meters.get(&key.id) else {
                continue;
            };
            if meter.uses.swap(0, Ordering::Relaxed) > 0 {
                plan = plan.change(Change::KeyPut(KeyRecord {
                    last_used_at: meter.last_used(),
                    ..(**key).clone()
                }));
            }
        }
        plan
    }

    fn refusals(&self) -> Plan {
        let counts = {
            let mut counts = self
                .published
                .refusals
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            std::mem::take(&mut *counts)
        };
        let mut plan = Plan::nothing();
        for ((agent, code), count) in counts {
            let mut event = AuditEvent::new(AuditKind::Refused)
                .with("code", code.as_str())
                .with("count", count.to_string());
            if let Some(agent) = agent.and_then(|agent| self.book().agent(agent)) {
                event = event.agent(agent.id).tenant(agent.tenant);
            }
            plan = plan.log(event);
        }
        plan
    }
}
