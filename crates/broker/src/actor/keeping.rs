//! The store's own matters: unlocking, the PIN, the audit log, the keys.

use std::collections::HashMap;

use doorward_core::audit::{self, Named};
use doorward_core::connection::Standing;
use doorward_core::decide::revoking;
use doorward_core::health::Health;
use doorward_core::pairing::Verdict;
use doorward_core::problem::{Code, Refusal};
use doorward_core::secret::{Passphrase, Pin};
use doorward_store::{AuditFilter, KeySource, KeyState, OsKeyring, PassphraseSource, SourceKind};

use super::{Actor, Stopping};
use crate::config::Keys;
use crate::handle::Reply;
use crate::views::{
    ActivityAsk, ActivityPage, AuditFaultView, AuditRowView, AuditVerified, Status, StoreState,
};

/// More rows at once nobody reads, and the mailbox waits meanwhile.
const MOST_ROWS_AT_ONCE: u32 = 500;
/// Shorter PINs are guessed in the tries that are left before the block is noticed.
const LEAST_PIN: usize = 6;

impl Actor {
    pub(super) async fn status(&self) -> Result<Status, Refusal> {
        let book = self.book();
        let now = self.now();
        let locked_because = self.check_unlocked().err();
        let pin_set = match &locked_because {
            None => Some(
                self.store
                    .has_pin()
                    .await
                    .map_err(|error| error.refusal())?,
            ),
            Some(_) => None,
        };
        let health = |row: &doorward_core::connection::Connection| self.published.health(row, now);
        let needs_reconnect = |row: &&std::sync::Arc<doorward_core::connection::Connection>| {
            row.standing != Standing::Ending
                && matches!(health(row), Health::ReconnectRequired { .. })
        };
        let needs_look = book
            .connections()
            .filter(|row| !needs_reconnect(row) && row.standing != Standing::Ending)
            .filter(|row| health(row).needs_a_person())
            .count();
        let halted = book
            .connections()
            .filter(|row| matches!(health(row), Health::Degraded { halted: true, .. }))
            .count();
        let waits = |request: &&std::sync::Arc<doorward_core::pairing::ApprovalRequest>| {
            request.verdict == Verdict::Waiting && now < request.expires_at
        };
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            store: match self.store.key_state() {
                KeyState::Fresh => StoreState::New,
                KeyState::Locked => StoreState::Locked,
                KeyState::Unlocked => StoreState::Unlocked,
            },
            keys: self
                .store
                .source_kind()
                // A new store that is to have one is waiting for it.
                .or_else(|| {
                    (self.config.keys == Keys::Passphrase).then_some(SourceKind::Passphrase)
                })
                .map(|kind| kind.as_str().to_owned()),
            pin_set,
            url: self.url.clone(),
            connections: book.connections().count(),
            need_reconnect: book.connections().filter(needs_reconnect).count(),
            need_look: needs_look,
            halted,
            agents: book.agents().count(),
            requests: book.requests().filter(waits).count(),
            questions: book.questions().filter(|asked| asked.waits(now)).count(),
            revocations_owed: book.outbox().count(),
            tokens_unsaved: self.unsaved.len(),
            locks: self.lock_views(),
            locked_because,
        })
    }

    /// Opens the store at the start, where that needs nobody.
    pub(crate) async fn unlock_at_start(&mut self) {
        let by_keyring = match self.store.source_kind() {
            Some(kind) => kind == SourceKind::Keyring,
            None => self.config.keys == Keys::Keyring,
        };
        let opened = if by_keyring {
            self.unlock(None).await
        } else {
            Err(self.needs_passphrase())
        };
        if let Err(refusal) = opened {
            self.lock(refusal);
        }
    }

    fn needs_passphrase(&self) -> Refusal {
        if self.store.key_state() == KeyState::Fresh {
            Refusal::new(
                Code::StoreLocked,
                "This store is new and is to be sealed under a passphrase that nobody has chosen yet.",
                "Choose one with `doorward unlock`.",
            )
        } else {
            Refusal::new(
                Code::StoreLocked,
                "The store is sealed under a passphrase.",
                "Type it with `doorward unlock`.",
            )
        }
    }

    /// While the store is locked everything that needs it is answered with the reason.
    fn lock(&mut self, refusal: Refusal) {
        tracing::warn!(detail = %refusal.detail, hint = %refusal.hint, "the store is locked");
        self.published.locked = Some(Refusal {
            code: Code::StoreLocked,
            ..refusal
        });
        self.publish();
    }

    pub(super) async fn unlock(&mut self, passphrase: Option<Passphrase>) -> Result<(), Refusal> {
        if self.store.key_state() == KeyState::Unlocked {
            return Ok(());
        }
        let is_new = self.store.key_state() == KeyState::Fresh;
        let source = self.key_source(passphrase)?;
        self.store
            .unlock(source.as_ref(), self.now())
            .await
            .map_err(|error| {
                tracing::warn!(%error, "the store could not be unlocked");
                let refusal = error.refusal();
                if is_new && source.kind() == SourceKind::Keyring {
                    or_by_passphrase(refusal)
                } else {
                    refusal
                }
            })?;
        let loaded = self.store.load().await.map_err(|error| error.refusal())?;
        self.fill(loaded);
        self.published.locked = None;
        self.publish();
        self.watch_all_programs();
        self.adopt_flights().await;
        self.end_all_blocked().await;
        self.work_outbox().await;
        self.take_over_alarm();
        self.back_from_absence().await;
        Ok(())
    }

    fn key_source(&self, passphrase: Option<Passphrase>) -> Result<Box<dyn KeySource>, Refusal> {
        match (self.store.source_kind(), passphrase) {
            // A new store takes what it is given: a passphrase, where a person typed one.
            (Some(SourceKind::Passphrase) | None, Some(passphrase)) => {
                Ok(Box::new(PassphraseSource::new(passphrase)))
            }
            (Some(SourceKind::Passphrase), None) => Err(Refusal::new(
                Code::PassphraseRequired,
                "The store is sealed under a passphrase.",
                "Type it with `doorward unlock`.",
            )),
            (None, None) if self.config.keys == Keys::Passphrase => Err(Refusal::new(
                Code::PassphraseRequired,
                "This store is new and needs a passphrase.",
                "Choose one with `doorward unlock`.",
            )),
            (Some(SourceKind::Keyring) | None, None) => Ok(Box::new(OsKeyring::new())),
            (Some(SourceKind::Keyring), Some(_)) => Err(Refusal::new(
                Code::BadRequest,
                "The store's key is in the OS keyring, so a passphrase does not open it.",
                "Unlock the keyring, then `doorward unlock` without a passphrase.",
            )),
        }
    }

    /// Puts what was read from the store into the book.
    fn fill(&mut self, loaded: doorward_store::Loaded) {
        self.published.book = loaded.book.with_rules_of_today();
        let book = self.published.book.clone();
        for key in book.keys().filter(|key| key.revoked_at.is_none()) {
            self.published
                .key_meters
                .insert(key.id, std::sync::Arc::default());
        }
        for row in book.connections() {
            self.meter_connection(row.id);
        }
        for grant in book.grants() {
            self.published
                .grant_meters
                .insert(grant.id, std::sync::Arc::default());
        }
        for (id, access) in loaded.access {
            let Some(row) = book.connection(id) else {
                continue;
            };
            let token = crate::published::LiveToken {
                generation: row.generation,
                access: std::sync::Arc::new(access),
                token_type: row.token_type.as_str().into(),
                scope: row.granted.as_scope().into(),
            };
            self.published.tokens.insert(id, std::sync::Arc::new(token));
        }
    }

    pub(super) async fn set_pin(&mut self, before: Option<Pin>, pin: Pin) -> Result<(), Refusal> {
        self.check_unlocked()?;
        if pin.expose().chars().count() < LEAST_PIN {
            return Err(Refusal::new(
                Code::PinTooShort,
                format!("The approval PIN needs at least {LEAST_PIN} characters."),
                "Choose a longer one.",
            ));
        }
        if self
            .store
            .has_pin()
            .await
            .map_err(|error| error.refusal())?
        {
            match before {
                Some(before) => self.check_pin(&before).await?,
                None => {
                    return Err(Refusal::new(
                        Code::PinRequired,
                        "There is an approval PIN already.",
                        "Type the PIN so far to change it.",
                    ));
                }
            }
        }
        self.store
            .set_pin(&pin, self.now())
            .await
            .map_err(|error| error.refusal())
    }

    pub(super) async fn verify_audit(&self) -> Result<AuditVerified, Refusal> {
        self.check_unlocked()?;
        let report = self
            .store
            .verify_audit()
            .await
            .map_err(|error| error.refusal())?;
        let fault = report.broken.map(|fault| AuditFaultView {
            row: fault.seq,
            what: serde_json::to_value(fault.what)
                .ok()
                .and_then(|word| word.as_str().map(str::to_owned))
                .unwrap_or_else(|| fault.to_string()),
        });
        Ok(AuditVerified {
            rows: report.rows,
            fault,
        })
    }

    pub(super) async fn audit(&mut self, limit: u32) -> Result<Vec<AuditRowView>, Refusal> {
        self.check_unlocked()?;
        self.write_meters().await;
        let filter = AuditFilter {
            limit: Some(limit),
            ..AuditFilter::default()
        };
        self.audit_views(filter).await
    }

    /// A page of the log. What agents did in this minute is in it only where that is asked for: a window that follows
    /// what changes would follow itself if its reading wrote.
    pub(super) async fn activity(&mut self, ask: ActivityAsk) -> Result<ActivityPage, Refusal> {
        self.check_unlocked()?;
        if ask.up_to_now {
            self.write_meters().await;
        }
        let limit = ask.limit.clamp(1, MOST_ROWS_AT_ONCE);
        let agent = match ask.agent.as_deref() {
            Some(text) => Some(revoking::agent_meant(self.book(), text)?.id),
            None => None,
        };
        let connection = match ask.connection.as_ref() {
            Some(name) => Some(self.person_connection(name)?.id),
            None => None,
        };
        let kinds = ask.topic.map(|topic| topic.kinds().collect());
        let filter = AuditFilter {
            agent,
            connection,
            kinds: kinds.unwrap_or_default(),
            before: ask.before,
            limit: Some(limit + 1),
            ..AuditFilter::default()
        };
        let mut rows = self.audit_views(filter).await?;
        rows.reverse();
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        Ok(ActivityPage { rows, has_more })
    }

    async fn audit_views(&self, filter: AuditFilter) -> Result<Vec<AuditRowView>, Refusal> {
        let failed = |error: doorward_store::StoreError| error.refusal();
        let gone = self.store.names_of_gone().await.map_err(failed)?;
        let rows = self.store.audit_rows(filter).await.map_err(failed)?;
        let views = rows.into_iter().map(|row| self.row_view(row, &gone));
        Ok(views.collect())
    }

    fn row_view(
        &self,
        row: doorward_store::AuditRow,
        gone: &HashMap<String, String>,
    ) -> AuditRowView {
        let book = self.book();
        // What was tampered with, or is gone without a word, is shown as it stands in the log.
        let named = |id: String, name: Option<String>| {
            name.or_else(|| gone.get(&id).cloned()).unwrap_or(id)
        };
        let connection = row.connection.map(|id| {
            let found = id.parse().ok().and_then(|id| book.connection(id));
            named(id, found.map(|found| found.name.to_string()))
        });
        let agent = row.agent.map(|id| {
            let found = id.parse().ok().and_then(|id| book.agent(id));
            named(id, found.map(|found| found.name.as_str().to_owned()))
        });
        let tenant = row.tenant.map(|id| {
            let found = id.parse().ok().and_then(|id| book.tenant(id));
            named(id, found.map(|found| found.name.to_string()))
        });
        let who = Named {
            agent: agent.as_deref(),
            connection: connection.as_deref(),
        };
        AuditRowView {
            says: audit::say(&row.kind, who, &row.detail),
            row: row.seq,
            at: row.at,
            kind: row.kind,
            tenant,
            connection,
            agent,
            detail: row.detail,
        }
    }

    pub(super) async fn rotate_keys(
        &mut self,
        passphrase: Option<Passphrase>,
    ) -> Result<usize, Refusal> {
        self.check_unlocked()?;
        let source = self.key_source(passphrase)?;
        let rotated = self
            .store
            .rotate_keys(source.as_ref(), self.now())
            .await
            .map_err(|error| error.refusal())?;
        Ok(rotated.data_keys)
    }

    /// Nothing new is begun at a provider; what is under way there is waited for, as long as one
    /// call may take.
    pub(super) fn stop(&mut self, to: Reply<()>) {
        let no_later_than = self.now().plus(self.config.provider_timeout);
        self.stopping = Some(Stopping {
            reply: to,
            no_later_than,
        });
    }
}

/// A store that has no key yet need not wait for a keyring.
fn or_by_passphrase(refusal: Refusal) -> Refusal {
    let hint = format!(
        "{} Or choose a passphrase instead: `doorward unlock --passphrase`.",
        refusal.hint
    );
    Refusal { hint, ..refusal }
}
