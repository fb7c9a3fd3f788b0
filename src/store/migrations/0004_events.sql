-- Webhooks and their outbox. Times are microseconds UTC.
CREATE TABLE webhooks (
    id BLOB PRIMARY KEY,
    account_id BLOB NOT NULL,
    url TEXT NOT NULL,
    events TEXT NOT NULL,            -- names separated by commas; '*' = all
    secret TEXT NOT NULL,
    active SMALLINT NOT NULL,
    disabled_reason TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX webhooks_by_account ON webhooks (account_id, created_at);
CREATE TABLE outbox (
    id BLOB PRIMARY KEY,             -- printed as the webhook-id
    account_id BLOB NOT NULL,
    event TEXT NOT NULL,
    data TEXT NOT NULL,              -- JSON object
    created_at BIGINT NOT NULL
);
CREATE INDEX outbox_by_age ON outbox (created_at);
CREATE TABLE webhook_deliveries (
    id BLOB PRIMARY KEY,
    webhook_id BLOB NOT NULL REFERENCES webhooks (id),
    event_id BLOB NOT NULL REFERENCES outbox (id),
    state SMALLINT NOT NULL,         -- 0 pending, 1 delivered, 2 dead
    attempts INTEGER NOT NULL,       -- started; also the fence of the one under way
    next_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (state, next_at);
CREATE INDEX webhook_deliveries_of ON webhook_deliveries (webhook_id, created_at);
CREATE INDEX webhook_deliveries_leased ON webhook_deliveries (webhook_id, lease_until);
CREATE INDEX webhook_deliveries_event ON webhook_deliveries (event_id);
CREATE TABLE webhook_attempts (
    delivery_id BLOB NOT NULL REFERENCES webhook_deliveries (id),
    attempt INTEGER NOT NULL,
    started_at BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    status INTEGER NOT NULL,         -- 0 = no answer
    error TEXT NOT NULL,
    reply BLOB NOT NULL,             -- its first 1024 bytes
    PRIMARY KEY (delivery_id, attempt)
);
