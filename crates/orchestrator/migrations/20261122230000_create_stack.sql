-- Whose objects in Docker are ours: labels carry this id.
CREATE TABLE orchestrator.installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO orchestrator.installation DEFAULT VALUES;

-- Which orchestrator changes a daemon's objects; the others stand by.
CREATE TABLE orchestrator.lease (
    daemon text PRIMARY KEY,
    holder uuid NOT NULL,
    expires_at timestamptz NOT NULL
);

-- What each project's owner wants.
CREATE TABLE orchestrator.stack (
    project_id uuid PRIMARY KEY,
    number integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    generation bigint NOT NULL DEFAULT 1 CHECK (generation > 0),
    version bigint NOT NULL DEFAULT 1,
    wish text NOT NULL CHECK (wish IN ('running', 'stopped', 'removed')),
    remove_volumes boolean NOT NULL DEFAULT false,
    wished_at timestamptz NOT NULL,
    spec bytea NOT NULL,
    images jsonb NOT NULL DEFAULT '{}',
    restart_after jsonb NOT NULL DEFAULT '{}',
    applied_at timestamptz NOT NULL
);

COMMENT ON COLUMN orchestrator.stack.number IS 'of the range of user ids that is the project''s own';
COMMENT ON COLUMN orchestrator.stack.generation IS 'counts specs that differ from the one before';
COMMENT ON COLUMN orchestrator.stack.version IS 'counts every change of this row';
COMMENT ON COLUMN orchestrator.stack.wished_at IS
    'by the clock of the daemon''s host, as containers'' times are';
COMMENT ON COLUMN orchestrator.stack.spec IS
    'commandcenter.orchestrator.v1.StackSpec with every default filled in';
COMMENT ON COLUMN orchestrator.stack.images IS
    'the image id that each service''s image stood for when the spec was applied';
COMMENT ON COLUMN orchestrator.stack.restart_after IS
    'by service: a process that started before this is to be restarted';

-- The addresses of each network.
CREATE TABLE orchestrator.subnet (
    project_id uuid NOT NULL REFERENCES orchestrator.stack ON DELETE CASCADE,
    network text NOT NULL,
    subnet text NOT NULL UNIQUE,
    PRIMARY KEY (project_id, network)
);

-- Long actions, and what was done for each.
CREATE TABLE orchestrator.operation (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL,
    kind text NOT NULL
        CHECK (kind IN ('apply', 'start', 'stop', 'restart', 'remove', 'restart_service')),
    service text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT 'running'
        CHECK (state IN ('running', 'succeeded', 'failed', 'superseded')),
    version bigint NOT NULL,
    reason text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    hint text NOT NULL DEFAULT '',
    actor text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CHECK ((state = 'running') = (finished_at IS NULL))
);

COMMENT ON COLUMN orchestrator.operation.version IS 'the version of the stack that it brings about';

CREATE INDEX operation_of_project ON orchestrator.operation (project_id, id DESC);
CREATE UNIQUE INDEX operation_running ON orchestrator.operation (project_id)
    WHERE state = 'running';

CREATE TABLE orchestrator.operation_step (
    operation_id uuid NOT NULL REFERENCES orchestrator.operation ON DELETE CASCADE,
    number integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    service text NOT NULL,
    text text NOT NULL,
    state text NOT NULL CHECK (state IN ('done', 'failed', 'waiting')),
    PRIMARY KEY (operation_id, number)
);
