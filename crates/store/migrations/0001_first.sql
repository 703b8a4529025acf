-- What describes the installation itself. Values are text in UTF-8 or sealed bytes.
CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
);

CREATE TABLE tenants (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

-- A data key belongs to a connection or to a registration. It outlives its connection's row while the outbox still
-- holds values sealed under it, so it refers to no row.
CREATE TABLE data_keys (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT,
    connection TEXT UNIQUE,
    registration TEXT UNIQUE,
    wrapped BLOB NOT NULL,
    created_at BIGINT NOT NULL
);

-- A connection's sealed values. `item` is the outbox item that holds the value, or empty for the connection's own.
CREATE TABLE sealed (
    tenant TEXT NOT NULL,
    connection TEXT NOT NULL,
    kind TEXT NOT NULL,
    item TEXT NOT NULL,
    generation BIGINT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (tenant, connection, kind, item)
);

CREATE TABLE registrations (
    id TEXT NOT NULL PRIMARY KEY,
    issuer TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    client_id TEXT NOT NULL,
    authentication TEXT NOT NULL,
    secret_expires_at BIGINT,
    created_at BIGINT NOT NULL,
    sealed_secret BLOB,
    sealed_token BLOB
);

CREATE TABLE connections (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL UNIQUE,
    provider TEXT NOT NULL,
    client TEXT NOT NULL,
    ask TEXT NOT NULL,
    granted TEXT NOT NULL,
    account TEXT,
    session TEXT,
    device_name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    connected_at BIGINT NOT NULL,
    standing TEXT NOT NULL,
    paused BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    refreshing BIGINT,
    refreshable BIGINT NOT NULL,
    token_type TEXT NOT NULL,
    access_issued_at BIGINT NOT NULL,
    access_expires_at BIGINT,
    proven_at BIGINT,
    trouble TEXT,
    UNIQUE (tenant, id)
);

CREATE TABLE outbox (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    connection TEXT NOT NULL,
    name TEXT NOT NULL,
    provider TEXT NOT NULL,
    client TEXT NOT NULL,
    session TEXT,
    created_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_try BIGINT,
    last_error TEXT
);

CREATE TABLE clients (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    redirect_uris TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE agents (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    paused BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (tenant, id)
);

-- Keys outlive their agent, so that a revoked one is told from one that never was.
CREATE TABLE agent_keys (
    id TEXT NOT NULL PRIMARY KEY,
    agent TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    audience TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    idle_seconds BIGINT,
    last_used_at BIGINT,
    revoked_at BIGINT
);

-- The two composite references hold agent and connection to the grant's own tenant.
CREATE TABLE grants (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    agent TEXT NOT NULL,
    connection TEXT NOT NULL,
    rights TEXT NOT NULL,
    lifetime TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    handed_generation BIGINT,
    FOREIGN KEY (tenant, agent) REFERENCES agents (tenant, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant, connection) REFERENCES connections (tenant, id) ON DELETE CASCADE
);
CREATE INDEX grants_by_agent ON grants (tenant, agent);
CREATE INDEX grants_by_connection ON grants (tenant, connection);

CREATE TABLE requests (
    id TEXT NOT NULL PRIMARY KEY,
    client TEXT NOT NULL,
    name TEXT NOT NULL,
    wanted TEXT NOT NULL,
    user_code TEXT NOT NULL,
    device_code BLOB NOT NULL,
    program TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    verdict TEXT NOT NULL
);

CREATE TABLE audit (
    seq BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    tenant TEXT,
    connection TEXT,
    agent TEXT,
    detail TEXT NOT NULL,
    mac BLOB NOT NULL
);
CREATE INDEX audit_by_moment ON audit (at);

-- Chain keys of before a rotation, by the last row each of them signed.
CREATE TABLE audit_keys (
    last_seq BIGINT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL
);

CREATE TABLE pin (
    only_row BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
    sealed BLOB NOT NULL,
    attempts BIGINT NOT NULL,
    blocked_until BIGINT,
    set_at BIGINT NOT NULL
);
