-- Locks that agents hold at providers. Their tokens are in `sealed`, of the kind `lock`. A lock outlives its connection's
-- row while the end of the grant is owed, and its agent's until it was given back, so it refers to neither.
CREATE TABLE locks (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    connection TEXT NOT NULL,
    agent TEXT NOT NULL,
    agent_name TEXT NOT NULL,
    path TEXT NOT NULL,
    taken_at BIGINT NOT NULL,
    heard_at BIGINT NOT NULL,
    until BIGINT,
    wanted_back BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_try BIGINT,
    last_error TEXT
);
