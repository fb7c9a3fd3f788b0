-- Payments through Stripe. Times are microseconds UTC unless they are Stripe's (seconds, event_at).
CREATE TABLE stripe_events (
    id TEXT PRIMARY KEY,             -- Stripe's event id: each is acted on once
    type TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE stripe_sessions (
    id TEXT PRIMARY KEY,
    account_id BLOB NOT NULL,
    mode TEXT NOT NULL,              -- subscription, payment
    end_user TEXT NOT NULL,          -- '' = none
    status TEXT NOT NULL,            -- open, paid, unpaid, failed, expired
    created_at BIGINT NOT NULL
);
CREATE TABLE stripe_subscriptions (
    id TEXT PRIMARY KEY,
    account_id BLOB NOT NULL,        -- whose income it is
    tier_account BLOB,               -- whose tier it sets; NULL = nobody's here
    end_user TEXT NOT NULL,
    customer TEXT NOT NULL,
    status TEXT NOT NULL,            -- Stripe's: active, trialing, past_due, canceled …
    standing SMALLINT NOT NULL,      -- the status' rank: decides between events of one second
    event_at BIGINT NOT NULL         -- of the newest event seen: older ones change nothing
);
CREATE INDEX stripe_subscriptions_of ON stripe_subscriptions (account_id, status);
CREATE INDEX stripe_subscriptions_tier ON stripe_subscriptions (tier_account);
-- One row for each sum of money that came in; refs are all the names that Stripe has for it.
CREATE TABLE stripe_payments (
    id BLOB PRIMARY KEY,
    account_id BLOB NOT NULL,
    end_user BIGINT NOT NULL,
    income SMALLINT NOT NULL,        -- enum mr_book
    customer TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount BIGINT NOT NULL,          -- nano-units
    created_at BIGINT NOT NULL
);
CREATE INDEX stripe_payments_of ON stripe_payments (customer, created_at);
-- What of a charge was refunded, or of a dispute held back, so far.
CREATE TABLE stripe_returns (
    id TEXT PRIMARY KEY,             -- ch_…, dp_…
    payment_id BLOB NOT NULL,
    amount BIGINT NOT NULL
);
CREATE TABLE stripe_refs (
    ref TEXT PRIMARY KEY,            -- cs_…, in_…, pi_…, ch_…, or first:sub_… (a first invoice)
    payment_id BLOB NOT NULL
);
-- Two names of one sum whose payment has not been reported yet.
CREATE TABLE stripe_links (
    ref TEXT NOT NULL,
    other TEXT NOT NULL,
    PRIMARY KEY (ref, other)
);
-- Refunds and disputes whose payment has not been reported yet, a row for each name of it.
CREATE TABLE stripe_waiting (
    ref TEXT NOT NULL,               -- or customer:cus_…: any payment for a subscription of theirs
    id TEXT NOT NULL,                -- of the charge or the dispute
    kind SMALLINT NOT NULL,          -- enum mr_entry_kind
    currency TEXT NOT NULL,
    amount BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (ref, id)
);
-- Answers of payment requests with an Idempotency-Key; '' while the first one runs.
CREATE TABLE billing_requests (
    account_id BLOB NOT NULL,
    key TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    url TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, key)
);
