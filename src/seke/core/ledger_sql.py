"""The ledger's tables and the statements on them, in SQLite's SQL."""

# `raw` comes last, so that sums over the other columns need not read a long reply's overflow pages.
TABLES = """
CREATE TABLE pending (
    key TEXT PRIMARY KEY, about TEXT NOT NULL, sent_at TEXT NOT NULL, sendings INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE replies (
    key TEXT PRIMARY KEY, about TEXT, sent_at TEXT, done_at TEXT NOT NULL, sendings INTEGER NOT NULL,
    model TEXT NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, raw TEXT NOT NULL
);
CREATE TABLE failures (key TEXT PRIMARY KEY, failed_at TEXT NOT NULL, detail TEXT NOT NULL) WITHOUT ROWID;
"""
NOT_STATED = -1
"""Tokens of a reply whose server did not say them; the first ledgers held 0 for it, which no call can have cost."""
# Text from outside is bound as bytes and cast: SQLite's TEXT then holds any str, lone surrogates included.
SENT = """
INSERT INTO pending (key, about, sent_at, sendings) VALUES (?, CAST(? AS TEXT), ?, 1)
ON CONFLICT (key) DO UPDATE SET about = excluded.about, sent_at = excluded.sent_at, sendings = sendings + 1
"""
DONE = """
INSERT INTO replies (key, about, sent_at, done_at, sendings, model, input_tokens, output_tokens, raw)
SELECT new.key, about, sent_at, done_at, coalesce(sendings, 0), model, input_tokens, output_tokens, raw
FROM (SELECT ? AS key, ? AS done_at, CAST(? AS TEXT) AS model, ? AS input_tokens, ? AS output_tokens,
             CAST(? AS TEXT) AS raw) AS new LEFT JOIN pending ON pending.key = new.key
WHERE true ON CONFLICT (key) DO UPDATE SET sendings = sendings + excluded.sendings
"""
FAILED = "INSERT OR REPLACE INTO failures (key, failed_at, detail) VALUES (?, ?, CAST(? AS TEXT))"
TOTALS = """
SELECT model, count(*), sum(max(input_tokens, 0)), sum(max(output_tokens, 0)), sum(max(sendings - 1, 0)),
       sum(input_tokens <= 0 AND output_tokens <= 0)
FROM replies GROUP BY model ORDER BY model
"""
COLUMNS = "key, about, sent_at, done_at, sendings, model, input_tokens, output_tokens, raw"
TAKE_OVER = f"""
INSERT INTO replies ({COLUMNS})
VALUES (?, CAST(? AS TEXT), ?, ?, ?, CAST(? AS TEXT), ?, ?, CAST(? AS TEXT))
ON CONFLICT (key) DO UPDATE SET done_at = excluded.done_at, sendings = sendings + excluded.sendings, raw = excluded.raw,
    model = excluded.model, input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens
WHERE NOT json_valid(replies.raw) AND json_valid(excluded.raw)
"""
"""What is here stays, unless it was damaged."""
