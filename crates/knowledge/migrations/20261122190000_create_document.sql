-- A document over all its revisions; the columns that search filters on are those of the newest.
CREATE TABLE knowledge.document (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id uuid NOT NULL UNIQUE,
    project_id uuid NOT NULL,
    source_id uuid NOT NULL,
    external_id text NOT NULL CHECK (octet_length(external_id) BETWEEN 1 AND 1024),
    observed_seq bigint NOT NULL,
    revision integer NOT NULL CHECK (revision > 0),
    indexed_revision integer NOT NULL DEFAULT 0 CHECK (indexed_revision <= revision),
    content_sha256 bytea NOT NULL,
    title text NOT NULL,
    url text NOT NULL,
    authors text[] NOT NULL,
    tags text[] NOT NULL,
    language text NOT NULL,
    published_at timestamptz,
    updated_at timestamptz,
    dated_at timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    source_kind text NOT NULL,
    source_name text NOT NULL,
    chunks integer NOT NULL DEFAULT 0,
    UNIQUE (source_id, external_id)
);
COMMENT ON COLUMN knowledge.document.observed_seq IS
    'Drawn before the bytes were read; an observation that is not newer changes nothing.';
COMMENT ON COLUMN knowledge.document.indexed_revision IS
    'The revision that search answers from; 0 until the first index job is done.';
COMMENT ON COLUMN knowledge.document.content_sha256 IS
    'Over everything that makes a revision; equal means that nothing changed.';
COMMENT ON COLUMN knowledge.document.dated_at IS
    'published_at, or the first sight of the document when it states none.';
CREATE INDEX document_by_project ON knowledge.document (project_id, public_id);
CREATE INDEX document_by_date ON knowledge.document (dated_at);
CREATE INDEX document_by_author ON knowledge.document USING gin (authors);
CREATE INDEX document_by_tag ON knowledge.document USING gin (tags);

-- The newest ten of each document are kept.
CREATE TABLE knowledge.revision (
    document_id bigint NOT NULL REFERENCES knowledge.document ON DELETE CASCADE,
    revision integer NOT NULL,
    observed_seq bigint NOT NULL,
    title text NOT NULL,
    url text NOT NULL,
    text text NOT NULL,
    authors text[] NOT NULL,
    tags text[] NOT NULL,
    language text NOT NULL,
    published_at timestamptz,
    updated_at timestamptz,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (document_id, revision)
);

-- What is gone keeps its number, so that a late observation does not bring it back.
CREATE TABLE knowledge.tombstone (
    source_id uuid NOT NULL,
    external_id text NOT NULL,
    observed_seq bigint NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, external_id)
);
COMMENT ON COLUMN knowledge.tombstone.external_id IS
    'Empty: every document of the source.';
CREATE INDEX tombstone_by_age ON knowledge.tombstone (deleted_at);
