-- A model is known again by all that decides its vectors, the prefix of documents and the longest
-- text among it.
ALTER TABLE knowledge.embedding_model ADD COLUMN spec_sha256 bytea;
COMMENT ON COLUMN knowledge.embedding_model.spec_sha256 IS
    'Null in rows that an earlier release made.';
