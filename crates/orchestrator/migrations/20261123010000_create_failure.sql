-- What is known about each end of a service, kept when its container and log are gone.
CREATE TABLE orchestrator.failure (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL,
    service text NOT NULL,
    at timestamptz NOT NULL,
    reason text NOT NULL,
    failure bytea NOT NULL
);

COMMENT ON COLUMN orchestrator.failure.id IS
    'begins with the time of the end, and is the same whoever tells of that end';
COMMENT ON COLUMN orchestrator.failure.failure IS 'commandcenter.orchestrator.v1.Failure';

CREATE INDEX failure_of_project ON orchestrator.failure (project_id, id DESC);
CREATE INDEX failure_of_service ON orchestrator.failure (project_id, service, id DESC);
CREATE INDEX failure_at ON orchestrator.failure (at);

-- What is done for an operation belongs to the trace of whoever asked for it.
ALTER TABLE orchestrator.operation ADD COLUMN traceparent text;
