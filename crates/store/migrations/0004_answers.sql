-- What a person said for good about one exact call of a grant. It goes with the grant.
CREATE UNIQUE INDEX grants_by_tenant ON grants (tenant, id);
CREATE TABLE answers (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    grant_id TEXT NOT NULL,
    digest BLOB NOT NULL,
    what TEXT NOT NULL,
    says TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (grant_id, digest),
    FOREIGN KEY (tenant, grant_id) REFERENCES grants (tenant, id) ON DELETE CASCADE
);
