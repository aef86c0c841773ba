-- Who each thing is that a source has shown us, so that nothing comes twice.
CREATE TABLE ingestion.item (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id uuid NOT NULL REFERENCES ingestion.source ON DELETE CASCADE,
    key text NOT NULL,
    alias text,
    content_hash text NOT NULL,
    observed_seq bigint NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (source_id, key)
);

COMMENT ON COLUMN ingestion.item.key IS 'the external id that knowledge stores the document under';
COMMENT ON COLUMN ingestion.item.content_hash IS
    'of what was last handed on; empty: to be handed on again';
COMMENT ON COLUMN ingestion.item.alias IS
    'a second name that survives a change of scheme or host in the first';

CREATE INDEX item_alias ON ingestion.item (source_id, alias) WHERE alias IS NOT NULL;

-- The newest content of an item that knowledge has not got yet.
CREATE TABLE ingestion.blob (
    item_id bigint PRIMARY KEY REFERENCES ingestion.item ON DELETE CASCADE,
    observed_seq bigint NOT NULL,
    metadata jsonb NOT NULL,
    media_type text NOT NULL,
    content bytea NOT NULL,
    bytes integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE ingestion.blob IS
    'one row per item: a newer observation replaces an older one that still waits';

CREATE INDEX blob_age ON ingestion.blob (created_at);
