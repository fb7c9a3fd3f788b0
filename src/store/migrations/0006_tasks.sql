-- Tasks: prompts of an account's end users. Ids are counted up an account from 1. What a listing
-- does not show comes last, so that listings do not read it.
CREATE TABLE tasks (
    account_id BLOB NOT NULL,
    id BIGINT NOT NULL,
    status SMALLINT NOT NULL,       -- enum mr_task_status
    error_code SMALLINT NOT NULL,   -- enum mr_code of a failed task, else 0
    charge_id BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    cost_nano BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    completed_at BIGINT NOT NULL,   -- 0 = not yet
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    end_user TEXT,                  -- as the caller named it
    error TEXT,
    input TEXT NOT NULL,
    output TEXT,
    PRIMARY KEY (account_id, id)
);
-- Nearly all tasks are completed (2); the others are found without reading those.
CREATE INDEX tasks_not_completed ON tasks (account_id, status, id) WHERE status <> 2;
-- Sums over an account's tasks up to `up_to`, all of them ended.
CREATE TABLE task_totals (
    account_id BLOB PRIMARY KEY,
    up_to BIGINT NOT NULL,
    total BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    cost_nano BIGINT NOT NULL
);
CREATE TABLE task_idempotency (
    account_id BLOB NOT NULL,
    key TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    task_id BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, key)
);
CREATE INDEX task_idempotency_age ON task_idempotency (created_at);
-- What callers report of their own accord (POST /api/usage/log); never charged.
CREATE TABLE usage_reports (
    id BLOB PRIMARY KEY,
    account_id BLOB NOT NULL,
    endpoint TEXT NOT NULL,
    method TEXT NOT NULL,
    tokens BIGINT NOT NULL,
    response_ms DOUBLE PRECISION NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX usage_reports_by_account ON usage_reports (account_id, created_at);
-- Requests a month that count against a family's plan; month = year * 12 + month - 1.
CREATE TABLE plan_requests (
    account_id BLOB NOT NULL,
    family TEXT NOT NULL,
    month BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    PRIMARY KEY (account_id, family, month)
);
