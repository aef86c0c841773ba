-- What ranking knows of a source; ingestion owns the source and tells us before an edit of it is
-- answered.
CREATE TABLE knowledge.source_rank (
    source_id uuid PRIMARY KEY,
    project_id uuid NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 10),
    enabled boolean NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX source_rank_disabled ON knowledge.source_rank (source_id) WHERE NOT enabled;
