-- A passage of a document. Project and source are copied so that the commonest filters, and the
-- caller's own projects, need no join.
CREATE TABLE knowledge.chunk (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document_id bigint NOT NULL REFERENCES knowledge.document ON DELETE CASCADE,
    ordinal integer NOT NULL,
    project_id uuid NOT NULL,
    source_id uuid NOT NULL,
    heading text NOT NULL,
    content text NOT NULL,
    input_sha256 bytea NOT NULL,
    text_hash bigint NOT NULL,
    words integer NOT NULL,
    tsv tsvector NOT NULL,
    UNIQUE (document_id, ordinal)
);
-- Every candidate's tsv is read to be scored: it stays in the row and uncompressed, and the
-- content, read for the few that are shown, moves out when a row gets long.
ALTER TABLE knowledge.chunk ALTER COLUMN tsv SET STORAGE MAIN;
COMMENT ON COLUMN knowledge.chunk.input_sha256 IS
    'Of what the embedder was given; equal input takes over an existing vector.';
COMMENT ON COLUMN knowledge.chunk.text_hash IS
    'Of the passage without regard to white space; equal passages collapse into one result.';
COMMENT ON COLUMN knowledge.chunk.words IS
    'Words that are indexed, those of the title twice: the length that BM25 divides by.';
CREATE INDEX chunk_by_lexeme ON knowledge.chunk USING gin (tsv) WITH (fastupdate = off);
CREATE INDEX chunk_by_project ON knowledge.chunk (project_id);
CREATE INDEX chunk_by_source ON knowledge.chunk (source_id);
CREATE INDEX chunk_by_input ON knowledge.chunk (input_sha256);

CREATE TABLE knowledge.embedding_model (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider text NOT NULL,
    name text NOT NULL,
    revision text NOT NULL,
    dimensions integer NOT NULL CHECK (dimensions BETWEEN 1 AND 4000),
    semantic boolean NOT NULL,
    fingerprint bytea NOT NULL UNIQUE,
    probe real[] NOT NULL,
    state text NOT NULL CHECK (state IN ('building', 'active', 'retired')),
    created_at timestamptz NOT NULL DEFAULT now(),
    activated_at timestamptz,
    retired_at timestamptz
);
COMMENT ON COLUMN knowledge.embedding_model.fingerprint IS
    'Of the model and of what it answers to a probe: another model at the same address differs.';
COMMENT ON COLUMN knowledge.embedding_model.probe IS
    'The answer to the probe, to know the model again through the noise of a remote server.';
CREATE UNIQUE INDEX embedding_model_active ON knowledge.embedding_model ((true))
    WHERE state = 'active';
CREATE UNIQUE INDEX embedding_model_building ON knowledge.embedding_model ((true))
    WHERE state = 'building';

-- One partition per model, made with the model. A query names one partition, never this table.
CREATE TABLE knowledge.chunk_embedding (
    chunk_id bigint NOT NULL REFERENCES knowledge.chunk ON DELETE CASCADE,
    model_id integer NOT NULL,
    embedding halfvec NOT NULL,
    PRIMARY KEY (chunk_id, model_id)
) PARTITION BY LIST (model_id);
