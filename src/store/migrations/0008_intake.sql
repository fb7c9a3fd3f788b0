-- What a version's upload asked for (JSON object; '' once its outcome is written), so that a build
-- that a stop interrupted is taken up again, and how often that was done.
ALTER TABLE versions ADD COLUMN request TEXT NOT NULL DEFAULT '';
ALTER TABLE versions ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
CREATE INDEX versions_unfinished ON versions (deployment_id, n) WHERE status = 'building';
