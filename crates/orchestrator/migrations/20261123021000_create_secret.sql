-- The projects' secrets, sealed. Of each the two newest versions are kept: while a service changes
-- over to the newer one, the older one is still to be blacked out of its log.
CREATE TABLE orchestrator.secret (
    project_id uuid NOT NULL,
    name text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    sealed bytea,
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, name, version)
);

COMMENT ON COLUMN orchestrator.secret.sealed IS
    'NULL: deleted; the row stays so that no version stands for two values';
COMMENT ON COLUMN orchestrator.secret.actor IS 'who put this version, or deleted it';
