-- What happened to each stack's services, so that a restart of ours forgives no crash loop and
-- counts no end twice.
CREATE TABLE orchestrator.memory (
    project_id uuid PRIMARY KEY REFERENCES orchestrator.stack ON DELETE CASCADE,
    memory jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
