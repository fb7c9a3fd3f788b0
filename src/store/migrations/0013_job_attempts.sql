-- Items of unfinished jobs that failed and are tried again: how often so far, so that a stop or a kill
-- does not begin the count anew. A row goes with its item's result, or with its job.
CREATE TABLE job_attempts (
    job_id BLOB NOT NULL,
    idx BIGINT NOT NULL,
    attempts SMALLINT NOT NULL,
    PRIMARY KEY (job_id, idx)
);
