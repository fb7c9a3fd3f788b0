-- Accounts are organisations; users belong to them through memberships. Times are microseconds UTC.
CREATE TABLE accounts (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,          -- 'operator', 'personal', 'organisation'
    tier TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE users (
    id BLOB PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,  -- lower case
    username TEXT NOT NULL UNIQUE,
    full_name TEXT,
    password_hash TEXT NOT NULL, -- Argon2id, encoded form
    home_account BLOB NOT NULL REFERENCES accounts (id),
    created_at BIGINT NOT NULL
);
CREATE TABLE members (
    account_id BLOB NOT NULL REFERENCES accounts (id),
    user_id BLOB NOT NULL REFERENCES users (id),
    role SMALLINT NOT NULL,      -- enum mr_role
    joined_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, user_id)
);
CREATE INDEX members_by_user ON members (user_id);
CREATE TABLE api_keys (
    id BLOB PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES accounts (id),
    user_id BLOB,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,        -- first characters, to recognise a key by
    hash BLOB NOT NULL UNIQUE,   -- SHA-256 of the 256-bit secret
    scopes INTEGER NOT NULL,
    rate_per_minute BIGINT NOT NULL,  -- 0 = none
    budget_nanousd BIGINT NOT NULL,   -- a month; -1 = none
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,       -- 0 = never
    last_used_at BIGINT NOT NULL,     -- 0 = never
    revoked_at BIGINT NOT NULL        -- 0 = valid
);
CREATE INDEX api_keys_by_account ON api_keys (account_id, created_at);
CREATE TABLE invitations (
    hash BLOB PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES accounts (id),
    email TEXT NOT NULL,
    role SMALLINT NOT NULL,
    invited_by BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL
);
CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
