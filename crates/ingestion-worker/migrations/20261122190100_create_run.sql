-- Each attempt to look at a source.
CREATE TABLE ingestion.run (
    id uuid PRIMARY KEY,
    source_id uuid NOT NULL REFERENCES ingestion.source ON DELETE CASCADE,
    job_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed')),
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    found integer NOT NULL DEFAULT 0,
    created integer NOT NULL DEFAULT 0,
    revised integer NOT NULL DEFAULT 0,
    unchanged integer NOT NULL DEFAULT 0,
    not_modified boolean NOT NULL DEFAULT false,
    error text NOT NULL DEFAULT ''
);

CREATE INDEX run_of_source ON ingestion.run (source_id, id DESC);
CREATE INDEX run_age ON ingestion.run (started_at);
