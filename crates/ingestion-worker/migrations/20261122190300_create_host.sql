-- How we behave towards each remote host, over all workers.
CREATE TABLE ingestion.host (
    name text PRIMARY KEY,
    next_at timestamptz NOT NULL DEFAULT '-infinity',
    hold_until timestamptz NOT NULL DEFAULT '-infinity',
    busy_until timestamptz[] NOT NULL DEFAULT '{}',
    used_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON COLUMN ingestion.host.name IS 'host:port';
COMMENT ON COLUMN ingestion.host.next_at IS 'the earliest start of the next request';
COMMENT ON COLUMN ingestion.host.hold_until IS 'what Retry-After or a 429 asked for';
COMMENT ON COLUMN ingestion.host.busy_until IS
    'one entry per request under way: when its slot falls free if its worker dies';
