-- Lists, live views and retries by filter find their rows by an index; a retry knows how long a
-- job may take; limits in a row are counted.

ALTER TABLE jobs.job
    ADD COLUMN expires_s bigint,
    ADD COLUMN deferrals integer NOT NULL DEFAULT 0,
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE jobs.job ALTER COLUMN changed_at SET DEFAULT clock_timestamp();
COMMENT ON COLUMN jobs.job.expires_s IS
    'How long it may take from when it is due; null in rows that an earlier release wrote.';
COMMENT ON COLUMN jobs.job.deferrals IS
    'Failures in a row that cost no attempt: each makes the next wait longer.';
COMMENT ON COLUMN jobs.job.changed_at IS
    'When the state or the due time last changed.';

-- By the clock and not by the transaction, which may have begun long before it commits.
CREATE FUNCTION jobs.note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER job_changed BEFORE UPDATE ON jobs.job FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.due_at IS DISTINCT FROM NEW.due_at)
    EXECUTE FUNCTION jobs.note_change();

CREATE INDEX job_changed ON jobs.job (changed_at);
CREATE INDEX job_due ON jobs.job (due_at) WHERE state = 'queued';
CREATE INDEX job_unfinished ON jobs.job (kind, state) INCLUDE (due_at)
    WHERE state IN ('queued', 'running', 'dead');
CREATE INDEX job_state ON jobs.job (state, id);
CREATE INDEX job_dead_key ON jobs.job (kind, key, id) WHERE state = 'dead';
