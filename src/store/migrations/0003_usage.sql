-- Metering roll-ups. deployment = 16 zero bytes: the account as a whole. Blobs: core/usage/hist.h
-- and sketch.h. Times: minutes and hours since 1970-01-01 UTC.
CREATE TABLE usage_spool (
    segment BLOB PRIMARY KEY,
    folded BIGINT NOT NULL
);

CREATE TABLE usage_minute (
    account BLOB NOT NULL,
    deployment BLOB NOT NULL,
    minute BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    latency_us BIGINT NOT NULL,
    cold_starts BIGINT NOT NULL,
    input_rows BIGINT NOT NULL,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    histogram BLOB NOT NULL,
    users BLOB NOT NULL,
    PRIMARY KEY (account, deployment, minute)
);
CREATE INDEX usage_minute_age ON usage_minute (minute);

CREATE TABLE usage_hour (
    account BLOB NOT NULL,
    deployment BLOB NOT NULL,
    hour BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    latency_us BIGINT NOT NULL,
    cold_starts BIGINT NOT NULL,
    input_rows BIGINT NOT NULL,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    histogram BLOB NOT NULL,
    users BLOB NOT NULL,
    PRIMARY KEY (account, deployment, hour)
);
CREATE INDEX usage_hour_age ON usage_hour (hour);

CREATE TABLE usage_totals (
    account BLOB NOT NULL,
    deployment BLOB NOT NULL,
    requests BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    latency_us BIGINT NOT NULL,
    cold_starts BIGINT NOT NULL,
    input_rows BIGINT NOT NULL,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    PRIMARY KEY (account, deployment)
);
