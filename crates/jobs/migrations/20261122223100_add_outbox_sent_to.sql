-- Each fact says which stream has it, so that a new stream needs no change of all rows at once,
-- and who publishes it at the moment, so that no transaction stays open meanwhile. An earlier
-- release still reads sent_at, and keeps jobs.outbox_stream.
ALTER TABLE jobs.outbox
    ADD COLUMN sent_to bigint,
    ADD COLUMN taken_until timestamptz;
COMMENT ON COLUMN jobs.outbox.sent_to IS
    'The stream that has the fact; another one than today''s was lost with it.';
COMMENT ON COLUMN jobs.outbox.taken_until IS
    'A replica publishes it; after this another one may.';
UPDATE jobs.outbox SET sent_to = (SELECT incarnation FROM jobs.outbox_stream)
WHERE sent_at IS NOT NULL;
CREATE INDEX outbox_sent_to ON jobs.outbox (sent_to, id);
