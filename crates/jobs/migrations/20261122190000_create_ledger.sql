-- The ledger of background work, its schedules, and the outbox of facts.

CREATE TABLE jobs.kind (
    kind    text PRIMARY KEY,
    service text NOT NULL,
    paused  boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE jobs.kind IS 'Every kind that a worker has registered; a paused one is neither dispatched nor claimed.';

CREATE TABLE jobs.job (
    id               uuid PRIMARY KEY,
    kind             text NOT NULL,
    key              text,
    project_id       uuid,
    group_id         uuid,
    subject          text NOT NULL,
    payload          json NOT NULL,
    priority         smallint NOT NULL CHECK (priority BETWEEN 1 AND 10),
    state            text NOT NULL DEFAULT 'queued'
                     CHECK (state IN ('queued', 'running', 'done', 'dead', 'cancelled')),
    -- Charged attempts, all claims, and crashes since the last orderly end.
    attempt          integer NOT NULL DEFAULT 0,
    claims           integer NOT NULL DEFAULT 0,
    crashes          integer NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL DEFAULT now(),
    due_at           timestamptz NOT NULL DEFAULT now(),
    expires_at       timestamptz NOT NULL,
    started_at       timestamptz,
    finished_at      timestamptz,
    -- priority + minutes waiting / 10, turned round so that it does not change as time passes:
    -- the smallest rank is claimed first.
    rank             double precision NOT NULL GENERATED ALWAYS AS
                     (extract(epoch FROM due_at AT TIME ZONE 'UTC')::double precision
                      - 600 * priority) STORED,
    dispatched_at    timestamptz,
    lease_token      uuid,
    lease_until      timestamptz,
    worker           uuid,
    cursor           json,
    rerun            boolean NOT NULL DEFAULT false,
    cancel_requested boolean NOT NULL DEFAULT false,
    progress_done    bigint,
    progress_total   bigint,
    progress_text    text,
    traceparent      text,
    last_error       text,
    error_signature  text,
    CHECK ((state = 'running') = (lease_token IS NOT NULL))
);
COMMENT ON COLUMN jobs.job.key IS 'Unique among the unfinished jobs of a kind.';
COMMENT ON COLUMN jobs.job.rerun IS 'The key was enqueued while it ran: run once more at the end.';

CREATE UNIQUE INDEX job_key ON jobs.job (kind, key)
    WHERE key IS NOT NULL AND state IN ('queued', 'running');
CREATE INDEX job_claim ON jobs.job (kind, rank, due_at, priority)
    WHERE state = 'queued' AND crashes = 0;
CREATE INDEX job_dispatched ON jobs.job (kind, dispatched_at)
    WHERE state = 'queued' AND crashes = 0;
CREATE INDEX job_suspect ON jobs.job (kind, due_at) WHERE state = 'queued' AND crashes > 0;
CREATE INDEX job_running ON jobs.job (kind) WHERE state = 'running';
CREATE INDEX job_finished ON jobs.job (kind, finished_at)
    WHERE state IN ('done', 'dead', 'cancelled');
CREATE INDEX job_dead ON jobs.job (error_signature, kind) WHERE state = 'dead';
CREATE INDEX job_project ON jobs.job (project_id, id);
CREATE INDEX job_group ON jobs.job (group_id, id) WHERE group_id IS NOT NULL;

CREATE TABLE jobs.attempt (
    job_id      uuid NOT NULL REFERENCES jobs.job ON DELETE CASCADE,
    number      integer NOT NULL,
    worker      uuid NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    outcome     text,
    error       text,
    PRIMARY KEY (job_id, number)
);
COMMENT ON TABLE jobs.attempt IS 'One row a claim, charged or not.';

CREATE TABLE jobs.schedule (
    key        text PRIMARY KEY,
    expression text NOT NULL,
    zone       text NOT NULL,
    jitter_s   integer NOT NULL DEFAULT 0,
    paused     boolean NOT NULL DEFAULT false,
    next_at    timestamptz NOT NULL,
    last_at    timestamptz,
    kind       text NOT NULL,
    job_key    text,
    project_id uuid,
    group_id   uuid,
    subject    text NOT NULL,
    payload    json NOT NULL,
    priority   smallint NOT NULL,
    expires_s  bigint NOT NULL
);
CREATE INDEX schedule_due ON jobs.schedule (next_at) WHERE NOT paused;

CREATE TABLE jobs.schedule_tick (
    schedule_key text NOT NULL,
    tick         timestamptz NOT NULL,
    job_id       uuid NOT NULL,
    fired_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (schedule_key, tick)
);
CREATE INDEX schedule_tick_fired ON jobs.schedule_tick (fired_at);

CREATE TABLE jobs.outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   text NOT NULL UNIQUE,
    envelope   bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at    timestamptz
);
CREATE INDEX outbox_unsent ON jobs.outbox (id) WHERE sent_at IS NULL;
CREATE INDEX outbox_created ON jobs.outbox (created_at);

CREATE TABLE jobs.outbox_stream (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    incarnation bigint NOT NULL
);
COMMENT ON TABLE jobs.outbox_stream IS 'Which stream the facts went to; another one means that it was made anew and is empty.';

CREATE SEQUENCE jobs.observed_seq;
COMMENT ON SEQUENCE jobs.observed_seq IS 'Drawn before the bytes of an observation are read, so that older never overwrites newer.';
