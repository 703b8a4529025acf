//! A world that is filled by real decisions: what a test starts from could have come about.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::agent::{Agent, Client};
use doorward_core::audit::AuditKind;
use doorward_core::book::Book;
use doorward_core::change::Change;
use doorward_core::connection::{Account, Connection, Mark, Standing, Trouble, TroubleKind};
use doorward_core::consent::PendingConsent;
use doorward_core::decide::connecting::{self, Learned};
use doorward_core::decide::flying;
use doorward_core::decide::pairing::{self, Asked};
use doorward_core::decide::serving::Caller;
use doorward_core::grant::{Door, Lifetime, Policy, Rights};
use doorward_core::ids::{AgentId, ConnectionId, FlightId, FlowId, KeyId, OutboxId, RequestId};
use doorward_core::key::{KeyHash, KeyRecord};
use doorward_core::name::{ClaimedName, Name};
use doorward_core::pairing::{Approval, ApprovalRequest, Wanted, user_code};
use doorward_core::plan::{Effect, Plan};
use doorward_core::problem::Refusal;
use doorward_core::provider::{Manifest, Provider};
use doorward_core::registration::{ClientAuthentication, ClientIdentity};
use doorward_core::scope::{Ask, Granted};
use doorward_core::secret::{AccessToken, FlightKey, RefreshToken};
use doorward_core::time::Timestamp;
use doorward_core::token_reply::TokenSet;

use crate::shelf::Shelf;

pub(crate) const HOUR: Duration = Duration::from_hours(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Bytes that never repeat and look like nothing: a counter, spread.
#[derive(Clone, Default)]
pub(crate) struct Fresh(u64);

impl Fresh {
    pub(crate) fn bytes(&mut self) -> [u8; 16] {
        self.0 += 1;
        let high = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&self.0.to_be_bytes());
        bytes
    }
}

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) book: Book,
    pub(crate) shelf: Shelf,
    pub(crate) now: Timestamp,
    pub(crate) fresh: Fresh,
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub(crate) fn fastio() -> Provider {
    let manifest = Manifest::fastio().expect("the built-in manifest");
    Provider::resolve(&manifest, None).expect("the built-in provider")
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            book: Book::default(),
            shelf: Shelf::default(),
            now: Timestamp::from_secs(1_800_000_000),
            fresh: Fresh::default(),
        }
    }

    /// Does what the store and the book do with a plan. Returns what is logged.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a plan is carried out once, as in the broker"
    )]
    pub(crate) fn carry_out(&mut self, plan: Plan) -> Vec<AuditKind> {
        let dropped = self.shelf.dropped().len();
        for change in &plan.changes {
            self.shelf.apply(&self.book, change);
            self.book.apply(change);
        }
        let ends = |kind| matches!(kind, AuditKind::GrantEnded | AuditKind::Reconnected);
        assert!(
            self.shelf.dropped().len() == dropped
                || plan.audit.iter().any(|event| ends(event.kind)),
            "tokens of a grant that stands were erased, and nobody will revoke them"
        );
        plan.audit.iter().map(|event| event.kind).collect()
    }

    pub(crate) fn outbox_id(&mut self) -> OutboxId {
        OutboxId::from_random(self.fresh.bytes())
    }

    /// Tokens as a provider issues them now, for an hour.
    pub(crate) fn tokens(&self, access: &str, refresh: Option<&str>) -> TokenSet {
        TokenSet {
            access: AccessToken::new(access.to_owned()),
            refresh: refresh.map(|token| RefreshToken::new(token.to_owned())),
            token_type: "Bearer".to_owned(),
            expires_at: Some(self.now.plus(HOUR)),
            issued_at: self.now,
            granted: Granted::default(),
        }
    }

    /// A consent as it stands once the browser was opened.
    pub(crate) fn consent(
        &mut self,
        connection: &str,
        tenant: &str,
    ) -> Result<PendingConsent, Refusal> {
        let mut fresh = self.fresh.clone();
        let place = connecting::place(
            &self.book,
            self.now,
            &name(connection),
            Some(&name(tenant)),
            &mut || fresh.bytes(),
        )?;
        self.fresh = fresh;
        self.carry_out(place.plan);
        Ok(PendingConsent {
            id: FlowId::from_random(self.fresh.bytes()),
            tenant: place.tenant,
            connection: place.connection,
            name: name(connection),
            reconnects: place.reconnects,
            provider: fastio(),
            client: ClientIdentity {
                client_id: "client".to_owned(),
                authentication: ClientAuthentication::None,
                registration: None,
            },
            ask: Ask {
                scope: "org workspace".to_owned(),
                read_only: false,
                agent_name: "Doorward".to_owned(),
            },
            device_name: "doorward-1".to_owned(),
            redirect_uri: "http://127.0.0.1:1/callback".to_owned(),
            state: "right".to_owned(),
            expires_at: self.now.plus(Duration::from_mins(10)),
        })
    }

    /// The exchange of a consent has succeeded.
    pub(crate) fn answer(
        &mut self,
        consent: &PendingConsent,
        tokens: TokenSet,
        learned: Learned,
    ) -> (Vec<AuditKind>, Option<Refusal>) {
        let outbox = self.outbox_id();
        let (plan, refusal) =
            connecting::connected(&self.book, self.now, consent, tokens, learned, outbox);
        (self.carry_out(plan), refusal)
    }

    /// A connection that a person made, with the tokens `access-NAME` and `refresh-NAME`.
    pub(crate) fn connection(&mut self, connection: &str, tenant: &str) -> ConnectionId {
        let consent = self.consent(connection, tenant).expect("a place");
        let tokens = self.tokens(
            &format!("access-{connection}"),
            Some(&format!("refresh-{connection}")),
        );
        let (_, refusal) = self.answer(&consent, tokens, learned("ann", "session-1"));
        assert_eq!(refusal, None);
        consent.connection
    }

    pub(crate) fn row(&self, connection: ConnectionId) -> Arc<Connection> {
        Arc::clone(self.book.connection(connection).expect("a connection"))
    }

    /// Changes a connection's row to what a test needs.
    pub(crate) fn alter(
        &mut self,
        connection: ConnectionId,
        alter: impl FnOnce(&mut Connection),
    ) -> Arc<Connection> {
        let mut row = (*self.row(connection)).clone();
        alter(&mut row);
        self.carry_out(Plan::nothing().change(Change::ConnectionPut(Box::new(row))));
        self.row(connection)
    }

    /// An agent with a key and one grant.
    pub(crate) fn agent(
        &mut self,
        claimed: &str,
        connection: ConnectionId,
        doors: &[Door],
    ) -> Caller {
        let approval = approval(&[(connection, doors)], Policy::default());
        let key = self.new_key();
        let mut fresh = self.fresh.clone();
        let plan = pairing::add(
            &self.book,
            self.now,
            &ClaimedName::clean(claimed),
            approval,
            key,
            &mut || fresh.bytes(),
        )
        .expect("an agent");
        self.fresh = fresh;
        self.carry_out(plan);
        let key = Arc::clone(self.book.key(&key.1).expect("its key"));
        let agent = Arc::clone(self.book.agent(key.agent).expect("the agent"));
        Caller { key, agent }
    }

    /// Gives an agent one more connection.
    pub(crate) fn give(&mut self, agent: &Agent, connection: ConnectionId, doors: &[Door]) {
        let (request, _) = self.request(agent.id, "fastio:proxy");
        let approval = approval(&[(connection, doors)], Policy::default());
        let plan = self.approved(&request, approval).expect("approved");
        self.carry_out(plan);
    }

    pub(crate) fn pause_agent(&mut self, caller: &Caller) -> Caller {
        let agent = Agent {
            paused: true,
            ..(*caller.agent).clone()
        };
        self.carry_out(Plan::nothing().change(Change::AgentPut(agent.clone())));
        Caller {
            key: Arc::clone(&caller.key),
            agent: Arc::new(agent),
        }
    }

    /// A program that registered.
    pub(crate) fn client(&mut self, claimed: &str) -> AgentId {
        let id = AgentId::from_random(self.fresh.bytes());
        let client = Client {
            id,
            name: ClaimedName::clean(claimed),
            redirect_uris: Vec::new(),
            created_at: self.now,
        };
        self.carry_out(pairing::register(&self.book, client));
        id
    }

    pub(crate) fn asked(&mut self, client: AgentId, scope: &str) -> Asked {
        let bytes = self.fresh.bytes();
        Asked {
            id: RequestId::from_random(bytes),
            client,
            wanted: Wanted::parse_scope(scope).expect("a scope"),
            user_code: user_code(bytes),
            device_code: KeyHash::of(&format!("{bytes:?}")),
            program: None,
        }
    }

    /// A client asks. Returns the request and the hash of its device code.
    pub(crate) fn request(&mut self, client: AgentId, scope: &str) -> (ApprovalRequest, KeyHash) {
        let asked = self.asked(client, scope);
        let (id, device_code) = (asked.id, asked.device_code);
        let plan = pairing::ask(&self.book, self.now, asked).expect("a request");
        self.carry_out(plan);
        let request = self.book.request(id).expect("the request");
        ((**request).clone(), device_code)
    }

    pub(crate) fn approved(
        &mut self,
        request: &ApprovalRequest,
        approval: Approval,
    ) -> Result<Plan, Refusal> {
        let mut fresh = self.fresh.clone();
        let plan = pairing::approve(&self.book, self.now, request, approval, &mut || {
            fresh.bytes()
        });
        self.fresh = fresh;
        plan
    }

    pub(crate) fn new_key(&mut self) -> (KeyId, KeyHash) {
        let bytes = self.fresh.bytes();
        (
            KeyId::from_random(bytes),
            KeyHash::of(&format!("{bytes:?}")),
        )
    }

    pub(crate) fn alter_key(
        &mut self,
        caller: &Caller,
        alter: impl FnOnce(&mut KeyRecord),
    ) -> Caller {
        let mut key = (*caller.key).clone();
        alter(&mut key);
        self.carry_out(Plan::nothing().change(Change::KeyPut(key.clone())));
        Caller {
            key: Arc::new(key),
            agent: Arc::clone(&caller.agent),
        }
    }
}

pub(crate) fn learned(account: &str, session: &str) -> Learned {
    Learned {
        account: Some(Account {
            id: account.to_owned(),
            label: format!("{account}@example.com"),
        }),
        session: Some(session.to_owned()),
        proven: true,
    }
}

/// What a provider without account and sessions lets us learn.
pub(crate) fn learned_nothing() -> Learned {
    Learned {
        account: None,
        session: None,
        proven: true,
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "most callers make the policy for this call"
)]
pub(crate) fn approval(grants: &[(ConnectionId, &[Door])], policy: Policy) -> Approval {
    let rights =
        |doors: &[Door]| Rights::new(doors.to_vec(), policy.clone()).expect("rights that stand");
    Approval {
        grants: grants
            .iter()
            .map(|(connection, doors)| (*connection, rights(doors)))
            .collect(),
        lifetime: Lifetime::UntilRevoked,
    }
}

pub(crate) fn trouble(kind: TroubleKind, since: Timestamp, retry_at: Timestamp) -> Trouble {
    Trouble {
        kind,
        since,
        failures: 1,
        last: "HTTP 503 without an OAuth error".to_owned(),
        retry_at,
    }
}

pub(crate) fn mark(generation: u64) -> Mark {
    Mark {
        generation,
        flight: FlightId::from_random([3; 16]),
    }
}

/// A refresh of the stored generation begins.
pub(crate) fn begin(row: &Connection) -> Plan {
    let key = Arc::new(FlightKey::from_random([3; 32]));
    flying::begin(row, mark(row.generation).flight, key)
}

pub(crate) fn ended() -> Standing {
    Standing::ReconnectRequired {
        why: "the provider refused to renew it".to_owned(),
        since: Timestamp::from_secs(0),
    }
}

/// A plan in one line for each thing that it does, so that a test can say all of it.
pub(crate) fn outline(plan: &Plan) -> Vec<String> {
    let changes = plan.changes.iter().map(line);
    let audit = plan
        .audit
        .iter()
        .map(|event| format!("log {}", event.kind.as_str()));
    let effects = plan.effects.iter().map(|effect| match effect {
        Effect::Tell(notice) => {
            let text = format!("{notice:?}");
            let word = text.split(['(', ' ']).next().unwrap_or_default();
            format!("tell {word}")
        }
        Effect::WorkOutbox => "work outbox".to_owned(),
        Effect::LogHalted { .. } => "log that the tries halt".to_owned(),
    });
    changes.chain(audit).chain(effects).collect()
}

fn line(change: &Change) -> String {
    match change {
        Change::TenantPut(tenant) => format!("tenant {}", tenant.name),
        Change::RegistrationPut { .. } => "registration".to_owned(),
        Change::ConnectionPut(row) => format!("row of generation {}", row.generation),
        Change::TokensPut {
            generation,
            refresh,
            ..
        } => {
            let which = if refresh.is_some() { "both" } else { "access" };
            format!("tokens of generation {generation}, {which}")
        }
        Change::FlightKeyPut { generation, .. } => {
            format!("flight key of generation {generation}")
        }
        Change::TokensErased { .. } => "tokens erased".to_owned(),
        Change::ConnectionErased { .. } => "connection erased".to_owned(),
        Change::OutboxAdded { item, tokens } => {
            let from = match tokens {
                doorward_core::change::OutboxTokens::Stored => "stored",
                doorward_core::change::OutboxTokens::Given { .. } => "given",
            };
            let session = item.session.as_deref().unwrap_or("no session");
            format!("owe the {from} tokens and {session}")
        }
        Change::OutboxPut(item) => format!("owed still, after {} tries", item.attempts),
        Change::OutboxErased { .. } => "owed no longer".to_owned(),
        Change::LockTaken { lock, .. } => format!("lock of {}", lock.path),
        Change::LockPut(lock) => format!("lock held still, after {} tries", lock.attempts),
        Change::LockErased { .. } => "lock erased".to_owned(),
        Change::ClientPut(_) => "client".to_owned(),
        Change::ClientErased(_) => "client forgotten".to_owned(),
        Change::AgentPut(agent) if agent.paused => "agent, paused".to_owned(),
        Change::AgentPut(_) => "agent".to_owned(),
        Change::AgentErased { .. } => "agent erased".to_owned(),
        Change::KeyPut(key) if key.revoked_at.is_some() => "key revoked".to_owned(),
        Change::KeyPut(_) => "key".to_owned(),
        Change::KeyErased(_) => "key forgotten".to_owned(),
        Change::GrantPut { .. } => "grant".to_owned(),
        Change::GrantErased { .. } => "grant erased".to_owned(),
        Change::RequestPut(request) => {
            let text = format!("{:?}", request.verdict);
            let word = text.split([' ', '{']).next().unwrap_or_default();
            format!("request {word}")
        }
        Change::RequestErased(_) => "request forgotten".to_owned(),
        Change::QuestionPut(asked) => format!("question {:?}", asked.heard),
        Change::QuestionErased(_) => "question forgotten".to_owned(),
        Change::AnswerPut { answer, .. } => format!("answer {:?}", answer.says),
        Change::AnswerErased { .. } => "answer gone".to_owned(),
    }
}
