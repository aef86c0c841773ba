-- How many chunks hold a lexeme: folded counts, and what index transactions have added since.
CREATE TABLE knowledge.lexeme_stat (
    lexeme text COLLATE "C" PRIMARY KEY,
    chunks bigint NOT NULL
);
CREATE TABLE knowledge.lexeme_delta (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lexeme text COLLATE "C" NOT NULL,
    chunks integer NOT NULL
);
CREATE INDEX lexeme_delta_by_lexeme ON knowledge.lexeme_delta (lexeme) INCLUDE (chunks);

-- Totals and the epoch, spread over slots so that transactions that commit at once seldom wait
-- for one another. Readers sum; a sum changes with every commit that search must notice.
CREATE TABLE knowledge.corpus_stat (
    slot smallint PRIMARY KEY,
    epoch bigint NOT NULL DEFAULT 0,
    documents bigint NOT NULL DEFAULT 0,
    chunks bigint NOT NULL DEFAULT 0,
    words bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO knowledge.corpus_stat (slot) SELECT generate_series(0, 15);
