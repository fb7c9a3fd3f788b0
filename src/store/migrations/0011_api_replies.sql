-- Replies kept under a client's Idempotency-Key, so that a repeated request is answered, not run.
CREATE TABLE api_replies (
    account_id BLOB NOT NULL,
    idem_key TEXT NOT NULL,
    body_hash BLOB NOT NULL,
    status SMALLINT NOT NULL,          -- 0 = under way
    type TEXT NOT NULL,
    body BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, idem_key)
);
CREATE INDEX api_replies_by_age ON api_replies (created_at);
