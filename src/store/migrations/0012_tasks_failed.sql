-- What has not ended is known to the running server and found by recovery without an index: an entry
-- made and taken away again for each task costs more than it brings.
DROP INDEX tasks_not_completed;
CREATE INDEX tasks_failed ON tasks (account_id, id) WHERE status = 3;
-- charges of state 0: settled_at and entry are negative or 0, room for the numbers to come; tasks that
-- have not ended: output is room as well, never text.
