CREATE TABLE deployments (
    id BLOB PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    named SMALLINT NOT NULL,           -- 1: the user gave the name, so deploying it again versions it
    status TEXT NOT NULL,              -- building, active, updating, failed, deleted
    current_version INTEGER NOT NULL,  -- 0 = none serves
    framework TEXT NOT NULL,
    memory_mb BIGINT NOT NULL,
    timeout_s BIGINT NOT NULL,
    min_instances BIGINT NOT NULL,
    max_instances BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT NOT NULL         -- 0 = not deleted
);
CREATE INDEX deployments_by_account ON deployments (account_id, created_at);
-- One live deployment of a name an account.
CREATE UNIQUE INDEX deployments_by_name ON deployments (account_id, name)
    WHERE named = 1 AND deleted_at = 0;
CREATE TABLE versions (
    deployment_id BLOB NOT NULL REFERENCES deployments (id),
    n INTEGER NOT NULL,
    status TEXT NOT NULL,              -- building, ready, failed
    engine INTEGER NOT NULL,           -- enum mr_engine_kind; 0 until intake is done
    source_blob BLOB NOT NULL,         -- sha256 of the upload
    program_blob BLOB,                 -- sha256 of what is served
    metadata TEXT NOT NULL,            -- JSON object
    changes TEXT NOT NULL,
    error TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (deployment_id, n)
);
CREATE TABLE idempotency (
    account_id BLOB NOT NULL,
    key TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    deployment_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, key)
);
