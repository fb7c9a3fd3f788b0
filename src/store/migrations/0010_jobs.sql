-- Durable jobs (core/jobs). Times are microseconds UTC; what listings do not read comes last.
CREATE TABLE jobs (
    id BLOB PRIMARY KEY,
    account_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    key_id BLOB NOT NULL,
    parent BLOB,                     -- the cron job that made it
    service TEXT NOT NULL,
    status SMALLINT NOT NULL,        -- enum mr_job_status
    priority SMALLINT NOT NULL,      -- enum mr_job_priority
    retries SMALLINT NOT NULL,       -- of an item
    attempt INTEGER NOT NULL,        -- claims so far
    stalls INTEGER NOT NULL,         -- attempts in a row that died without storing anything
    moved_at BIGINT NOT NULL,        -- when something was stored last, or the first of them began
    fence BIGINT NOT NULL,           -- grows with every change of hands
    lease_until BIGINT NOT NULL,
    queued_at BIGINT NOT NULL,       -- its place in the queue
    scheduled_at BIGINT NOT NULL,    -- 0 = at once
    created_at BIGINT NOT NULL,
    started_at BIGINT NOT NULL,      -- 0 = not yet
    ended_at BIGINT NOT NULL,        -- 0 = not yet
    done BIGINT NOT NULL,            -- rows in job_results
    failed BIGINT NOT NULL,          -- those with an error
    total BIGINT NOT NULL,           -- 0 = not counted yet
    logged INTEGER NOT NULL,         -- lines written to job_logs, also those dropped again
    source SMALLINT NOT NULL,        -- enum mr_job_source
    source_format SMALLINT NOT NULL, -- enum mr_job_form of the file
    format TEXT NOT NULL,            -- of the results
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    cron TEXT,
    error TEXT,
    input_blob BLOB,                 -- the captured items; NULL until they are
    source_blob BLOB,                -- the uploaded file
    source_name TEXT,                -- folder, or the file's name
    idem_key TEXT,
    body_hash BLOB,
    parameters TEXT NOT NULL         -- without inputs
);
-- The queue: a place for each service, priority and account.
CREATE INDEX jobs_queue ON jobs (status, service, priority, account_id, queued_at, id);
CREATE INDEX jobs_due ON jobs (scheduled_at) WHERE status = 0;
CREATE INDEX jobs_by_account ON jobs (account_id, id, status, service);
CREATE INDEX jobs_by_status ON jobs (account_id, status, id);
CREATE INDEX jobs_ended ON jobs (status, ended_at);
CREATE INDEX jobs_by_parent ON jobs (parent, status) WHERE parent IS NOT NULL;
CREATE UNIQUE INDEX jobs_idempotency ON jobs (account_id, idem_key) WHERE idem_key IS NOT NULL;
CREATE TABLE job_results (
    job_id BLOB NOT NULL,
    idx BIGINT NOT NULL,
    attempts SMALLINT NOT NULL,
    error_code SMALLINT NOT NULL,    -- enum mr_code, 0 = it went well
    took_us BIGINT NOT NULL,         -- the last attempt
    error TEXT,
    output TEXT,
    PRIMARY KEY (job_id, idx)
);
CREATE TABLE job_logs (
    job_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    at BIGINT NOT NULL,
    level SMALLINT NOT NULL,         -- 0 INFO, 1 WARNING, 2 ERROR
    message TEXT NOT NULL,
    PRIMARY KEY (job_id, seq)
);
-- Files of inputs that jobs may name.
CREATE TABLE job_files (
    id BLOB PRIMARY KEY,
    account_id BLOB NOT NULL,
    size BIGINT NOT NULL,
    form SMALLINT NOT NULL,          -- enum mr_job_form
    created_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,         -- by the latest job
    blob BLOB NOT NULL,
    name TEXT NOT NULL
);
CREATE INDEX job_files_by_account ON job_files (account_id, id);
CREATE INDEX job_files_by_use ON job_files (used_at);
