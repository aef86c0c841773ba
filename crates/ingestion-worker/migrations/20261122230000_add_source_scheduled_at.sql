-- A source whose schedule was edited, or that was resumed, is not overdue by the time before that.
ALTER TABLE ingestion.source ADD COLUMN scheduled_at timestamptz NOT NULL DEFAULT now();

COMMENT ON COLUMN ingestion.source.scheduled_at IS
    'since when it runs as its schedule says: made, resumed, or last given another schedule';

COMMENT ON COLUMN ingestion.item.first_seen_at IS 'when the row was made';
COMMENT ON COLUMN ingestion.item.last_seen_at IS 'no longer written; to be dropped';
COMMENT ON COLUMN ingestion.item.content_hash IS
    'of what was last handed on: of the text, then + and of the link; empty: to be handed on again';
COMMENT ON COLUMN ingestion.item.alias IS
    'a second name that survives a change of scheme or host; counts for the same text or link';
