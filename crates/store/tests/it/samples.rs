//! Rows to fill a store with, nothing left out of any.

use std::sync::Arc;

use doorward_core::agent::{Agent, Client};
use doorward_core::asking::{Always, Answer};
use doorward_core::audit::{AuditEvent, AuditKind};
use doorward_core::change::{Change, OutboxTokens};
use doorward_core::connection::{
    Account, Connection, Mark, Standing, Tenant, Trouble, TroubleKind,
};
use doorward_core::grant::{Door, Grant, Lifetime, Policy, ProgramId, Rights};
use doorward_core::ids::{
    AgentId, AnswerId, ConnectionId, FlightId, GrantId, KeyId, LockId, OutboxId, RegistrationId,
    RequestId, TenantId,
};
use doorward_core::key::{AgentKey, KeyRecord};
use doorward_core::lock::HeldLock;
use doorward_core::name::ClaimedName;
use doorward_core::outbox::OutboxItem;
use doorward_core::pairing::{ApprovalRequest, Program, Verdict, Wanted};
use doorward_core::provider::{Manifest, Provider};
use doorward_core::registration::{ClientAuthentication, ClientIdentity, Registration};
use doorward_core::scope::{Ask, Granted};
use doorward_core::secret::{
    AccessToken, ClientSecret, FlightKey, LockToken, RefreshToken, RegistrationToken,
};
use doorward_core::time::Timestamp;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_777_000_000);

/// Two tenants, so that one can be mistaken for the other.
pub(crate) fn tenant_id(n: u8) -> TenantId {
    TenantId::from_random([0x10 + n; 16])
}

pub(crate) fn connection_id(n: u8) -> ConnectionId {
    ConnectionId::from_random([0x20 + n; 16])
}

pub(crate) fn agent_id(n: u8) -> AgentId {
    AgentId::from_random([0x30 + n; 16])
}

pub(crate) fn outbox_id(n: u8) -> OutboxId {
    OutboxId::from_random([0x40 + n; 16])
}

pub(crate) fn registration_id(n: u8) -> RegistrationId {
    RegistrationId::from_random([0x50 + n; 16])
}

pub(crate) fn tenant(n: u8) -> Tenant {
    Tenant {
        id: tenant_id(n),
        name: format!("tenant-{n}").parse().unwrap(),
        created_at: NOW,
    }
}

pub(crate) fn provider() -> Provider {
    Provider::resolve(&Manifest::fastio().unwrap(), None).unwrap()
}

fn client_identity() -> ClientIdentity {
    ClientIdentity {
        client_id: "doorward-client".to_owned(),
        authentication: ClientAuthentication::ClientSecretPost,
        registration: Some(registration_id(1)),
    }
}

pub(crate) fn flight_id(n: u8) -> FlightId {
    FlightId::from_random([0x60 + n; 16])
}

pub(crate) fn mark(n: u8, generation: u64) -> Mark {
    Mark {
        generation,
        flight: flight_id(n),
    }
}

pub(crate) fn flight_key(n: u8) -> FlightKey {
    FlightKey::from_random([0x70 + n; 32])
}

/// The key of the flight that the connection's row is marked with.
pub(crate) fn flight(n: u8, generation: u64) -> Change {
    Change::FlightKeyPut {
        tenant: tenant_id(n),
        connection: connection_id(n),
        generation,
        flight: flight_id(n),
        key: Arc::new(flight_key(n)),
    }
}

/// A connection with nothing left out.
pub(crate) fn connection(n: u8, generation: u64) -> Connection {
    Connection {
        id: connection_id(n),
        tenant: tenant_id(n),
        name: format!("fastio-{n}").parse().unwrap(),
        provider: provider(),
        client: client_identity(),
        ask: Ask {
            scope: "workspace".to_owned(),
            read_only: true,
            agent_name: "Doorward".to_owned(),
        },
        granted: Granted {
            scopes: vec!["workspace:7:r".to_owned()],
            stated: true,
        },
        account: Some(Account {
            id: "account-1".to_owned(),
            label: "ada@example.com".to_owned(),
        }),
        session: Some(format!("session-{n}")),
        device_name: format!("doorward-{n}"),
        created_at: NOW,
        connected_at: NOW,
        standing: Standing::Connected,
        paused: n.is_multiple_of(2),
        generation,
        refreshing: Some(mark(n, generation)),
        refreshable: true,
        token_type: "Bearer".to_owned(),
        access_issued_at: NOW,
        access_expires_at: Some(Timestamp::from_secs(1_777_003_600)),
        proven_at: Some(NOW),
        trouble: Some(Trouble {
            kind: TroubleKind::Transient,
            since: NOW,
            failures: 2,
            last: "HTTP 502".to_owned(),
            retry_at: NOW,
        }),
        end_told: Some(generation),
    }
}

pub(crate) fn access(n: u8, generation: u64) -> String {
    format!("access-token-{n}-of-generation-{generation}")
}

pub(crate) fn refresh(n: u8, generation: u64) -> String {
    format!("refresh-token-{n}-of-generation-{generation}")
}

pub(crate) fn tokens(n: u8, generation: u64) -> Change {
    Change::TokensPut {
        tenant: tenant_id(n),
        connection: connection_id(n),
        generation,
        access: Arc::new(AccessToken::new(access(n, generation))),
        refresh: Some(Arc::new(RefreshToken::new(refresh(n, generation)))),
    }
}

pub(crate) fn connect(n: u8) -> Vec<Change> {
    vec![
        Change::TenantPut(tenant(n)),
        Change::ConnectionPut(Box::new(connection(n, 1))),
        tokens(n, 1),
    ]
}

pub(crate) fn outbox_item(n: u8) -> OutboxItem {
    OutboxItem {
        id: outbox_id(n),
        tenant: tenant_id(n),
        connection: connection_id(n),
        name: format!("fastio-{n}").parse().unwrap(),
        provider: provider(),
        client: client_identity(),
        session: Some(format!("session-{n}")),
        created_at: NOW,
        attempts: 3,
        next_try: Some(NOW),
        last_error: Some("HTTP 503".to_owned()),
    }
}

pub(crate) fn lock_id(n: u8) -> LockId {
    LockId::from_random([0x90 + n; 16])
}

/// A lock with nothing left out.
pub(crate) fn lock(n: u8) -> HeldLock {
    HeldLock {
        id: lock_id(n),
        tenant: tenant_id(n),
        connection: connection_id(n),
        agent: agent_id(n),
        agent_name: ClaimedName::clean(&format!("agent {n}")),
        path: format!("workspace/{n}/storage/n/lock/"),
        taken_at: NOW,
        heard_at: Timestamp::from_secs(1_777_000_060),
        until: Some(Timestamp::from_secs(1_777_000_600)),
        is_wanted_back: true,
        attempts: 2,
        next_try: Some(NOW),
        last_error: Some("HTTP 503".to_owned()),
    }
}

pub(crate) fn lock_token(n: u8) -> String {
    format!("lock-token-{n}")
}

pub(crate) fn taken(n: u8) -> Change {
    Change::LockTaken {
        lock: Box::new(lock(n)),
        token: LockToken::new(lock_token(n)),
    }
}

pub(crate) fn disconnect(n: u8) -> Vec<Change> {
    vec![
        Change::OutboxAdded {
            item: Box::new(outbox_item(n)),
            tokens: OutboxTokens::Stored,
        },
        Change::ConnectionErased {
            tenant: tenant_id(n),
            connection: connection_id(n),
        },
    ]
}

pub(crate) fn registration(n: u8) -> Registration {
    Registration {
        id: registration_id(n),
        issuer: format!("https://issuer-{n}.example.com"),
        redirect_uri: "http://127.0.0.1:13668/callback".to_owned(),
        client_id: "registered".to_owned(),
        authentication: ClientAuthentication::ClientSecretBasic,
        secret_expires_at: Some(NOW),
        created_at: NOW,
    }
}

pub(crate) fn register(n: u8) -> Change {
    Change::RegistrationPut {
        registration: registration(n),
        secret: Some(ClientSecret::new(format!("client-secret-{n}"))),
        token: Some(RegistrationToken::new(format!("registration-token-{n}"))),
    }
}

pub(crate) fn agent(n: u8, of: u8) -> Agent {
    Agent {
        id: agent_id(n),
        tenant: tenant_id(of),
        name: ClaimedName::clean(&format!("agent {n}")),
        paused: true,
        created_at: NOW,
    }
}

pub(crate) fn agent_key(n: u8) -> AgentKey {
    AgentKey::from_random([n; 32])
}

pub(crate) fn key_record(n: u8) -> KeyRecord {
    KeyRecord {
        id: KeyId::from_random([0x60 + n; 16]),
        agent: agent_id(n),
        hash: agent_key(n).hash(),
        audience: Some(connection_id(1)),
        created_at: NOW,
        expires_at: Some(NOW),
        idle_seconds: Some(3600),
        last_used_at: Some(NOW),
        revoked_at: None,
        metrics: true,
    }
}

pub(crate) fn grant(n: u8, connection: u8) -> Grant {
    let policy = Policy {
        read_only: true,
        path_prefixes: vec!["/storage/".to_owned()],
        ..Policy::default()
    };
    Grant {
        id: GrantId::from_random([0x70 + n; 16]),
        agent: agent_id(n),
        connection: connection_id(connection),
        rights: Rights::new(vec![Door::Proxy], policy).unwrap(),
        lifetime: Lifetime::WhileRunning(ProgramId {
            pid: 4711,
            started: 99,
        }),
        created_at: NOW,
        handed_generation: Some(1),
    }
}

pub(crate) fn answer(n: u8) -> Answer {
    Answer {
        id: AnswerId::from_random([0x90 + n; 16]),
        grant: grant(n, n).id,
        digest: [0xa0 + n; 32],
        what: "POST /workspace/7/storage/".to_owned(),
        says: Always::Allow,
        created_at: NOW,
    }
}

pub(crate) fn request(n: u8) -> ApprovalRequest {
    ApprovalRequest {
        id: RequestId::from_random([0x80 + n; 16]),
        client: agent_id(n),
        name: ClaimedName::clean("a curious program"),
        wanted: Wanted::parse_scope("fastio-1:token work:proxy").unwrap(),
        user_code: "BCDF-GHJK".to_owned(),
        device_code: agent_key(n).hash(),
        program: Some(Program {
            id: ProgramId {
                pid: 4711,
                started: 99,
            },
            uid: 1000,
            executable: "/usr/bin/python3".to_owned(),
            script: Some("/home/ada/agent.py".to_owned()),
            folder: "/home/ada".to_owned(),
            parent: None,
        }),
        created_at: NOW,
        expires_at: NOW,
        verdict: Verdict::Approved {
            key_expires_at: Some(NOW),
            scope: "fastio-1:token".to_owned(),
        },
    }
}

pub(crate) fn client(n: u8) -> Client {
    Client {
        id: agent_id(n),
        name: ClaimedName::clean("a client"),
        redirect_uris: vec!["http://127.0.0.1/done".to_owned()],
        created_at: NOW,
    }
}

/// A row of every kind, in an order that can be written.
pub(crate) fn one_of_each() -> Vec<Change> {
    let mut all = vec![register(1)];
    all.extend(connect(1));
    all.push(flight(1, 1));
    all.push(Change::OutboxAdded {
        item: Box::new(outbox_item(1)),
        tokens: OutboxTokens::Given {
            access: AccessToken::new("owed-access".to_owned()),
            refresh: Some(RefreshToken::new("owed-refresh".to_owned())),
        },
    });
    all.push(taken(1));
    all.push(Change::ClientPut(client(9)));
    all.push(Change::AgentPut(agent(1, 1)));
    all.push(Change::KeyPut(key_record(1)));
    all.push(Change::GrantPut {
        tenant: tenant_id(1),
        grant: grant(1, 1),
    });
    all.push(Change::AnswerPut {
        tenant: tenant_id(1),
        answer: answer(1),
    });
    all.push(Change::RequestPut(Box::new(request(9))));
    all
}

pub(crate) fn event(n: u64) -> AuditEvent {
    AuditEvent::new(AuditKind::TokenHandedOut)
        .tenant(tenant_id(1))
        .connection(connection_id(1))
        .agent(agent_id(1))
        .with("generation", n.to_string())
}
