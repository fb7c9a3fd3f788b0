-- Logins that last: a session, and its refresh tokens, each of which works once.
CREATE TABLE auth_sessions (
    id BLOB PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES accounts (id),
    user_id BLOB NOT NULL,        -- zeros: the operator, by the owner key
    owner_mark TEXT NOT NULL,     -- of that key; '' for users
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL    -- 0 = valid
);
CREATE INDEX auth_sessions_by_expiry ON auth_sessions (expires_at);
CREATE TABLE refresh_tokens (
    hash BLOB PRIMARY KEY,        -- SHA-256 of the token
    session_id BLOB NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL       -- 0 = not yet
);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);
