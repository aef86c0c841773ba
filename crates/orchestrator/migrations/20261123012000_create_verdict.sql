-- What is known of images, whichever project uses them.
CREATE TABLE orchestrator.verdict (
    image text PRIMARY KEY,
    scanned_at timestamptz NOT NULL,
    database_updated_at timestamptz NOT NULL,
    critical integer NOT NULL,
    high integer NOT NULL,
    medium integer NOT NULL,
    low integer NOT NULL,
    fixable integer NOT NULL,
    note text NOT NULL
);

COMMENT ON COLUMN orchestrator.verdict.image IS 'the Engine''s id of the image';
COMMENT ON COLUMN orchestrator.verdict.database_updated_at IS
    'of the database of vulnerabilities in which the image was looked up';
