//! Consents under way: who waits for them, and how they end.

use doorward_core::consent::{self, CallbackParameters, ConsentAnswer, PendingConsent};
use doorward_core::decide::connecting::Learned;
use doorward_core::ids::{FlowId, OutboxId};
use doorward_core::problem::{Code, Refusal};
use doorward_core::secret::{AuthorizationCode, CodeVerifier};
use doorward_core::time::Timestamp;
use doorward_core::token_reply::{TokenOutcome, TokenSet};
use tokio::task::AbortHandle;

use super::unsaved::{Consented, Fresh};
use super::{Actor, Message, reply};
use crate::handle::Reply;
use crate::provider::account::{self, Checked};
use crate::provider::{Providers, token};
use crate::random;
use crate::views::ConnectionView;

/// A consent under way.
pub(super) struct Consent {
    pub(super) pending: PendingConsent,
    /// Taken by the exchange: a code is exchanged once.
    pub(super) verifier: Option<CodeVerifier>,
    /// The listener for the browser's answer; it ends with the consent, and its port with it.
    pub(super) listener: AbortHandle,
    pub(super) waiters: Vec<Reply<ConnectionView>>,
}

/// A broker that ends lets go of the ports of its consents.
impl Drop for Consent {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// How a consent ended, for those who ask a moment later.
pub(super) struct Ended {
    end: Result<ConnectionView, Refusal>,
    forgotten_at: Timestamp,
}

impl Consent {
    pub(super) fn is_exchanging(&self) -> bool {
        self.verifier.is_none()
    }

    pub(super) fn expires_at(&self) -> Timestamp {
        self.pending.expires_at
    }
}

impl Actor {
    /// A person waits for a consent's end.
    pub(super) fn await_consent(&mut self, flow: &str, to: Reply<ConnectionView>) {
        let known = flow.parse().ok();
        match self.consent_mut(flow) {
            Ok(consent) => consent.waiters.push(to),
            // A browser can be quicker than whoever started the consent and only then waits for it.
            Err(gone) => match known.and_then(|flow: FlowId| self.ended_consents.get(&flow)) {
                Some(ended) => reply(to, ended.end.clone()),
                None => reply(to, Err(gone)),
            },
        }
    }

    fn consent_mut(&mut self, flow: &str) -> Result<&mut Consent, Refusal> {
        flow.parse()
            .ok()
            .and_then(|flow: FlowId| self.consents.get_mut(&flow))
            .ok_or_else(gone)
    }

    /// A person pastes the address that the browser was sent back to.
    pub(super) async fn paste(&mut self, flow: &str, address: &str, to: Reply<ConnectionView>) {
        let found = self.consent_mut(flow).map(|consent| consent.pending.id);
        match found.and_then(|flow| Ok((flow, CallbackParameters::from_pasted(address)?))) {
            Ok((flow, parameters)) => self.answered(flow, &parameters, to).await,
            Err(refusal) => reply(to, Err(refusal)),
        }
    }

    /// A person gives a consent up.
    pub(super) fn cancel(&mut self, flow: &str) -> Result<(), Refusal> {
        let consent = self.consent_mut(flow)?;
        if consent.is_exchanging() {
            return Err(Refusal::new(
                Code::ConsentPending,
                "The consent was answered and is being completed.",
                "Wait a moment; `doorward disconnect` undoes it.",
            ));
        }
        let flow = consent.pending.id;
        self.end_consent(flow, Err(cancelled()));
        Ok(())
    }

    /// Consents that nobody answered in time.
    pub(super) fn expire_consents(&mut self) {
        let now = self.now();
        let over: Vec<_> = self
            .consents
            .values()
            .filter(|consent| now >= consent.expires_at() && !consent.is_exchanging())
            .map(|consent| consent.pending.id)
            .collect();
        for flow in over {
            self.end_consent(flow, Err(consent::expired()));
        }
        self.ended_consents
            .retain(|_, ended| now < ended.forgotten_at);
    }

    /// The browser, or the person by hand, brings an answer. An answer that is not this consent's changes nothing.
    pub(super) async fn answered(
        &mut self,
        flow: FlowId,
        answer: &CallbackParameters,
        to: Reply<ConnectionView>,
    ) {
        let now = self.now();
        let Some(consent) = self.consents.get_mut(&flow) else {
            return reply(to, Err(gone()));
        };
        match consent::check_answer(now, &consent.pending, answer) {
            Err(refusal) => reply(to, Err(refusal)),
            Ok(ConsentAnswer::Refused(refusal)) if !consent.is_exchanging() => {
                consent.waiters.push(to);
                self.end_consent(flow, Err(refusal));
            }
            Ok(ConsentAnswer::Code(code)) => match consent.verifier.take() {
                Some(verifier) => {
                    consent.waiters.push(to);
                    self.exchange(flow, code, verifier).await;
                }
                None => reply(to, Err(answered_before())),
            },
            Ok(ConsentAnswer::Refused(_)) => reply(to, Err(answered_before())),
        }
    }

    async fn exchange(&mut self, flow: FlowId, code: AuthorizationCode, verifier: CodeVerifier) {
        let Some(pending) = self
            .consents
            .get(&flow)
            .map(|consent| consent.pending.clone())
        else {
            return;
        };
        let secret = match self.client_secret(&pending.client).await {
            Ok(secret) => secret,
            Err(refusal) => return self.end_consent(flow, Err(refusal)),
        };
        let (providers, report) = (self.providers.clone(), self.report());
        tokio::spawn(async move {
            let outcome =
                token::exchange(&providers, &pending, secret.as_ref(), code, &verifier).await;
            let result = match outcome {
                TokenOutcome::Issued(tokens) => {
                    let learned = learn(&providers, &pending, &tokens).await;
                    Ok(Box::new((tokens, learned)))
                }
                failure @ (TokenOutcome::Transient { .. }
                | TokenOutcome::RateLimited { .. }
                | TokenOutcome::GrantEnded { .. }
                | TokenOutcome::ClientRejected { .. }
                | TokenOutcome::Misconfigured { .. }) => Err(not_exchanged(&pending, &failure)),
            };
            // The mailbox is gone only when the process is ending.
            let _gone = report.send(Message::Exchanged { flow, result }).await;
        });
    }

    /// The exchange has come back.
    pub(super) async fn exchanged(
        &mut self,
        flow: FlowId,
        result: Result<Box<(TokenSet, Learned)>, Refusal>,
    ) {
        let Some(pending) = self
            .consents
            .get(&flow)
            .map(|consent| consent.pending.clone())
        else {
            return;
        };
        let (tokens, learned) = match result {
            Ok(exchanged) => *exchanged,
            Err(refusal) => return self.end_consent(flow, Err(refusal)),
        };
        let connection = pending.connection;
        let fresh = Fresh::Consented(Box::new(Consented {
            pending,
            tokens,
            learned,
            outbox: OutboxId::from_random(random::bytes()),
        }));
        let end = match self.carry_out_or_keep(fresh).await {
            Ok(()) => self.connection_view(connection),
            Err(refusal) => Err(refusal),
        };
        self.end_consent(flow, end);
    }

    pub(super) fn end_consent(&mut self, flow: FlowId, end: Result<ConnectionView, Refusal>) {
        let Some(mut consent) = self.consents.remove(&flow) else {
            return;
        };
        for waiter in consent.waiters.drain(..) {
            reply(waiter, end.clone());
        }
        let forgotten_at = self.now().plus(consent::CONSENT_LIFE);
        self.ended_consents
            .insert(flow, Ended { end, forgotten_at });
    }
}

/// What the new tokens tell: whether they are good, whose they are, which session they belong to.
async fn learn(providers: &Providers, pending: &PendingConsent, tokens: &TokenSet) -> Learned {
    let provider = &pending.provider;
    let checked = account::check(providers, provider, &tokens.access).await;
    Learned {
        account: account::account(providers, provider, &tokens.access).await,
        session: account::session(providers, provider, &tokens.access, &pending.device_name).await,
        // Where the provider has no check, the exchange itself was the real call.
        proven: checked == Checked::Good || provider.check.is_none(),
    }
}

fn not_exchanged(pending: &PendingConsent, outcome: &TokenOutcome) -> Refusal {
    let title = &pending.provider.title;
    let (code, why, hint) = match outcome {
        TokenOutcome::Transient { why, .. } => (
            Code::ProviderUnavailable,
            format!("{title} did not complete the consent: {why}."),
            "Connect again. A code works once, so this one is not sent a second time.",
        ),
        TokenOutcome::RateLimited { until } => (
            Code::RateLimited,
            format!("{title} wants no calls until {}.", until.to_rfc3339()),
            "Connect again after that.",
        ),
        TokenOutcome::GrantEnded { why } => (
            Code::ProviderRejected,
            format!("{title} did not accept the code of the consent: {why}."),
            "The code was used or too old. Connect again.",
        ),
        TokenOutcome::ClientRejected { why } => (
            Code::ProviderRejected,
            format!("{title} does not know Doorward as a client: {why}."),
            "Connect again; Doorward registers anew where the provider allows it.",
        ),
        TokenOutcome::Misconfigured { why } => (
            Code::ProviderRejected,
            format!("{title} refused to complete the consent: {why}."),
            "Check what was asked for, then connect again.",
        ),
        TokenOutcome::Issued(_) => (
            Code::Internal,
            "The consent was completed and not stored.".to_owned(),
            "See the log.",
        ),
    };
    Refusal::new(code, why, hint)
}

fn gone() -> Refusal {
    Refusal::new(
        Code::ConsentUnknown,
        "There is no such consent under way: it was answered, given up, replaced or has ended.",
        "Start it again with `doorward connect`.",
    )
}

/// The refusal that those get who waited for a consent that a newer one replaced.
pub(super) fn replaced() -> Refusal {
    Refusal::new(
        Code::ConsentUnknown,
        "A newer consent for this connection was started.",
        "Answer in the browser tab that was opened last.",
    )
}

/// The refusal that those get who waited for a consent that a person gave up.
pub(super) fn cancelled() -> Refusal {
    Refusal::new(
        Code::ConsentUnknown,
        "The consent was given up.",
        "Start it again with `doorward connect`.",
    )
}

fn answered_before() -> Refusal {
    Refusal::new(
        Code::ConsentMismatch,
        "This consent was answered before.",
        "Nothing was sent a second time. Look at the connection with `doorward connections`.",
    )
}
