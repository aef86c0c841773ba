-- What is collected, how often, and how the last look went.
CREATE TABLE ingestion.source (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('feed', 'manual')),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    url text NOT NULL DEFAULT '',
    priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 10),
    schedule_expression text NOT NULL DEFAULT '',
    schedule_zone text NOT NULL DEFAULT 'UTC',
    paused boolean NOT NULL DEFAULT false,
    held boolean NOT NULL DEFAULT false,
    credential_kind text NOT NULL DEFAULT 'none'
        CHECK (credential_kind IN ('none', 'basic', 'bearer', 'api_key')),
    credential bytea,
    first_import_items integer NOT NULL DEFAULT 100 CHECK (first_import_items > 0),
    first_import_days integer NOT NULL DEFAULT 90 CHECK (first_import_days > 0),
    full_text boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    deleting boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    imported_at timestamptz,
    last_run_at timestamptz,
    last_success_at timestamptz,
    last_error text NOT NULL DEFAULT '',
    consecutive_failures integer NOT NULL DEFAULT 0,
    CHECK ((credential IS NULL) = (credential_kind = 'none'))
);

COMMENT ON COLUMN ingestion.source.held IS
    'waits for a person; set by sweeps that would remove too much';
COMMENT ON COLUMN ingestion.source.credential IS
    'sealed; the associated data are table, row and column';
COMMENT ON COLUMN ingestion.source.imported_at IS
    'end of the first import of this URL; NULL: the next run is a first import';
COMMENT ON COLUMN ingestion.source.deleting IS
    'a purge job removes its documents and then this row';

-- A source that is being deleted gives its name and URL free at once.
CREATE UNIQUE INDEX source_name ON ingestion.source (project_id, name) WHERE NOT deleting;
CREATE UNIQUE INDEX source_url ON ingestion.source (project_id, kind, url)
    WHERE NOT deleting AND url <> '';

-- What the site told us so that we need not read the same bytes again.
CREATE TABLE ingestion.validator (
    source_id uuid PRIMARY KEY REFERENCES ingestion.source ON DELETE CASCADE,
    identity bytea NOT NULL,
    etag text,
    last_modified text,
    full_at timestamptz NOT NULL
);

COMMENT ON COLUMN ingestion.validator.identity IS
    'SHA-256 of URL and credential: after an edit of either, the validators say nothing';
COMMENT ON COLUMN ingestion.validator.full_at IS
    'the last answer with a body; a weekly full look catches servers that answer 304 for ever';
