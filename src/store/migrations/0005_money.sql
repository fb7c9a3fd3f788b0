-- The ledger (core/money/ledger.h, docs/MONEY.md). Times are microseconds UTC, amounts nanos of a
-- currency. Integer primary keys hold 64 bits and are given by the program in rising order, so that
-- rows are appended.
ALTER TABLE accounts ADD COLUMN budget_nanousd BIGINT NOT NULL DEFAULT -1; -- a month; -1 = none
ALTER TABLE accounts ADD COLUMN timezone TEXT NOT NULL DEFAULT '';         -- '' = the operator's

CREATE TABLE charges (
    id INTEGER PRIMARY KEY,
    account BLOB NOT NULL,
    key_id BLOB NOT NULL,            -- 16 zero bytes: none
    family TEXT NOT NULL,
    provider TEXT NOT NULL,          -- as reserved; the entry says who answered
    model TEXT NOT NULL,
    price_version TEXT NOT NULL,
    end_user BIGINT NOT NULL,        -- end_users.id; 0 = none
    reserved BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    state SMALLINT NOT NULL,         -- 0 open, 1 settled, 2 released
    settled_at BIGINT NOT NULL,
    entry BIGINT NOT NULL            -- ledger.id; 0 = none
);
-- Append-only. One row debits a book and credits another by the same amount.
CREATE TABLE ledger (
    id INTEGER PRIMARY KEY,
    at BIGINT NOT NULL,
    kind SMALLINT NOT NULL,          -- 1 charge, 2 income, 3 refund, 4 dispute
    debit SMALLINT NOT NULL,         -- enum mr_book
    credit SMALLINT NOT NULL,
    amount BIGINT NOT NULL,          -- >= 0
    currency TEXT NOT NULL,
    account BLOB NOT NULL,
    key_id BLOB NOT NULL,
    end_user BIGINT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    price_version TEXT NOT NULL,
    charge BIGINT NOT NULL,          -- charges.id; 0 = none
    input BIGINT NOT NULL,           -- tokens
    cached BIGINT NOT NULL,
    cache_write BIGINT NOT NULL,
    output BIGINT NOT NULL,
    estimated SMALLINT NOT NULL,     -- 1: the provider sent no usage
    ref TEXT NOT NULL                -- the object at Stripe
);
-- Sums of ledger rows up to ledger_state.folded.
CREATE TABLE spend_quarters (
    account BLOB NOT NULL,
    quarter BIGINT NOT NULL,         -- quarter hours since 1970-01-01 UTC
    kind SMALLINT NOT NULL,
    book SMALLINT NOT NULL,          -- what was credited; of refunds and disputes what was debited
    currency TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    end_user BIGINT NOT NULL,
    key_id BLOB NOT NULL,
    n BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    input BIGINT NOT NULL,
    cached BIGINT NOT NULL,
    cache_write BIGINT NOT NULL,
    output BIGINT NOT NULL,
    PRIMARY KEY (account, quarter, kind, book, currency, provider, model, end_user, key_id)
);
CREATE TABLE ledger_state (
    id INTEGER PRIMARY KEY,          -- 1
    folded BIGINT NOT NULL,          -- ledger.id
    closed_below BIGINT NOT NULL     -- no charge below this id is open
);
INSERT INTO ledger_state(id, folded, closed_below) VALUES (1, 0, 0);
-- The figures of every version that a charge was made with, also after the price file is gone.
CREATE TABLE price_versions (
    version TEXT PRIMARY KEY,
    figures TEXT NOT NULL,           -- JSON object; '' = no longer known when it was kept
    kept_at BIGINT NOT NULL
);
CREATE TABLE end_users (
    id INTEGER PRIMARY KEY,
    account BLOB NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX end_users_by_name ON end_users (account, name);
-- Which 80 % alerts went out: once a month and subject (an account or a key).
CREATE TABLE budget_alerts (
    subject BLOB NOT NULL,
    month BIGINT NOT NULL,           -- the month's first moment
    at BIGINT NOT NULL,
    PRIMARY KEY (subject, month)
);
