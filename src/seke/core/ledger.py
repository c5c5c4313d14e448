"""Durable SQLite ledger of every call to a paid model: no reply that was paid for is lost or paid for twice.

    with Ledger(path) as ledger:
        replies = ledger.find(keys)                                # raw replies that earlier runs paid for
        await ledger.sent(key, about="ck_plus/S005_001, draw 0")   # on disk before the request leaves
        await ledger.done(key, raw, model, 955, 350)               # on disk before the reply is parsed

One SQLite file in WAL mode, shared by all runs and open in one process at a time:
    pending    sent, and nobody knows yet whether it was billed; what a crash leaves here may be paid twice
    replies    the raw reply and its usage, one row a key, never changed afterwards, unless it is damaged
    failures   the last reason why a call came to nothing and was not billed, for whoever looks with the sqlite3 shell

One thread owns the connection and takes whatever has queued up into one transaction (group commit): callers share the
price of the disk's flush, and each gets its receipt after it. Stored is what callers hand over, no image, no API key.
"""

import asyncio
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from seke.core import files
from seke.core.errors import UserError

T = TypeVar("T")

APPLICATION_ID = int.from_bytes(b"SEKE", "big")
"""Stands in the file's header: distinguishes a ledger from any other SQLite database."""
VERSION = 1
"""Of the tables, in the header's user_version; a ledger of a later version is refused."""
BATCH = 1000
"""Calls in one commit, at most."""
TRIES = 5
"""Before a file counts as in use: of several that open a new one at once, each is in the others' way for a moment."""
NAMED = 3
"""Calls that a warning names, at most."""
KEYS_A_QUERY = 900  # SQLite before 3.32 takes no more than 999 parameters
ROWS_A_MERGE = 200

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


class Unsettled(NamedTuple):
    """A call that was sent and never heard of again."""

    key: str
    about: str
    sent_at: str
    """ISO 8601, UTC; of the last time, if it was sent more than once."""


class Total(NamedTuple):
    """What one model was paid for."""

    calls: int
    input_tokens: int
    """Stated by the server."""
    output_tokens: int
    resent: int
    """Further sendings of these calls (after a time-out or a crash) that may have been billed too."""
    unstated: int = 0
    """Calls among them whose tokens the server did not state: the sums lack what these cost."""


class Receipt(Future[T]):
    """Says when a call is on disk: `.result()` waits in a thread, `await` in a coroutine."""

    def __init__(self) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()  # from here it cannot be cancelled: a cancelled task must not lose a reply

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self).__await__()


class Ledger:
    """An open ledger; any thread or event loop of this process may use it. Close it, or use it in a `with`.

    Raises:
        UserError: from the constructor if `path` is in use, is no ledger, comes from a later version or cannot be
            written; from a method or its receipt if the disk is full or the file is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self._users = 1
        self._owner = self.path.with_name(self.path.name + ".pid")
        self._connection = self._open()
        self._queue: SimpleQueue[tuple[Callable[[sqlite3.Connection], Any], Receipt[Any]] | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        # A daemon, so that a program which dies of an exception is not kept alive; whoever waits for a receipt has it.
        self._writer = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._writer.start()

    @classmethod
    def shared(cls, path: str | Path) -> "Ledger":
        """Return the ledger at `path`, the same one to all of this process that ask; the last to close it closes it.

        Two annotators of one run, say the second for what the first declines, so write into one book.
        """
        path = Path(path).absolute()
        with _sharing:
            ledger = _shared.get(path)
            if ledger is None or ledger._closed:
                ledger = _shared[path] = cls(path)
            else:
                ledger._users += 1
            return ledger

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the raw replies of those `keys` that are settled. Everything asked for is held in memory at once."""

        def job(db: sqlite3.Connection) -> dict[str, str]:
            raw: dict[str, str] = {}
            for start in range(0, len(keys), KEYS_A_QUERY):
                some = keys[start : start + KEYS_A_QUERY]
                marks = ",".join("?" * len(some))
                raw.update(db.execute(f"SELECT key, raw FROM replies WHERE key IN ({marks})", some))
            return raw

        return self._submit(job).result()

    def has_answered(self, about: str) -> bool:
        """Return whether any call whose `about` begins so has ever been answered."""
        select = "SELECT 1 FROM replies WHERE substr(about, 1, ?) = CAST(? AS TEXT) LIMIT 1"
        row = (len(about), _encoded(about))
        return self._submit(lambda db: db.execute(select, row).fetchone()).result() is not None

    def sent(self, key: str, about: str) -> Receipt[None]:
        """Write down that the call `key` is about to leave; let it leave when the receipt is there.

        `about` names the call for a person. A caller that then does not send after all says `failed`.
        """
        row = (key, _encoded(about), _now())
        return self._submit(lambda db: _run(db, (SENT, row)))

    def done(
        self, key: str, raw: str, model: str, input_tokens: int | None, output_tokens: int | None
    ) -> Receipt[None]:
        """Settle `key` with its raw reply and billed tokens, None for what the server did not state.

        A reply that is already there stays as it is.
        """
        tokens = (NOT_STATED if count is None else count for count in (input_tokens, output_tokens))
        row = (key, _now(), _encoded(model), *tokens, _encoded(raw))
        return self._submit(lambda db: _run(db, (DONE, row), ("DELETE FROM pending WHERE key = ?", (key,))))

    def forget_damaged(self, key: str) -> Receipt[None]:
        """Forget a reply that cannot be read any more, so that the next one takes its place; it stays in `failures`."""
        row = (key, _now(), "a stored reply was damaged, and has to be paid for again")
        return self._submit(lambda db: _run(db, (FAILED, row), ("DELETE FROM replies WHERE key = ?", (key,))))

    def failed(self, key: str, detail: str) -> Receipt[None]:
        """Write down that the last sending of `key` is known not to be billed; earlier ones stay in doubt."""
        row = (key, _now(), _encoded(detail))
        return self._submit(
            lambda db: _run(
                db,
                (FAILED, row),
                ("DELETE FROM pending WHERE key = ? AND sendings = 1", (key,)),
                ("UPDATE pending SET sendings = sendings - 1 WHERE key = ?", (key,)),
            )
        )

    def unsettled(self) -> list[Unsettled]:
        """Return the calls that were sent and of which nobody knows whether they were billed, oldest first."""
        select = "SELECT key, about, sent_at FROM pending ORDER BY sent_at, key"
        return self._submit(lambda db: [Unsettled(*row) for row in db.execute(select)]).result()

    def in_doubt(self) -> str | None:
        """Return a line on the unsettled calls, the oldest by name, for whoever runs next; None if there are none."""
        if not (calls := self.unsettled()):
            return None
        count = "1 call was" if len(calls) == 1 else f"{len(calls)} calls were"
        named = "; ".join(f"{call.about} (sent {call.sent_at})" for call in calls[:NAMED])
        rest = f"; and {len(calls) - NAMED} more in the table `pending`" if len(calls) > NAMED else ""
        return (
            f"{self.path}: {count} in flight when an earlier run broke off, "
            f"and may be paid twice if asked again: {named}{rest}"
        )

    def totals(self) -> dict[str, Total]:
        """Return calls, billed tokens and how many calls have unknown tokens, by model, over all runs."""
        return self._submit(lambda db: {model: Total(*sums) for model, *sums in db.execute(TOTALS)}).result()

    def merge(self, other: str | Path) -> int:
        """Take over the settled calls of the ledger `other`, where they are not here yet; return how many were not.

        Raises:
            UserError: if there is no such ledger, or it is in use.
        """
        if not Path(other).is_file():
            raise UserError("backend.ledger", other, "no such file to merge", "give the path of a ledger")
        new, last = 0, 0
        with Ledger(other) as theirs:
            while rows := theirs._submit(partial(_rows_after, rowid=last)).result():
                new += self._submit(partial(_take_over, rows=rows)).result()
                last = rows[-1][0]
        return new

    def close(self) -> None:
        """Write what has queued up and give the file free, once all who share it have closed it."""
        with _sharing, self._gate:
            self._users -= 1
            if self._closed or self._users > 0:
                return
            self._closed = True
            self._queue.put(None)
        self._writer.join()
        with suppress(OSError):  # a stale note misleads nobody: it is read only by who is refused
            self._owner.unlink()
        self._connection.close()

    def _submit(self, job: Callable[[sqlite3.Connection], T]) -> Receipt[T]:
        receipt: Receipt[T] = Receipt()
        with self._gate:  # nothing may queue up behind the None of close()
            if self._closed:
                raise RuntimeError(f"{self.path} is closed")
            self._queue.put((job, receipt))
        return receipt

    def _write(self) -> None:
        """Serve the queue until close(): while one batch is flushed to disk, the next one gathers."""
        more = True
        while more:
            batch = [self._queue.get()]
            while len(batch) < BATCH and batch[-1] is not None:
                try:
                    batch.append(self._queue.get_nowait())
                except Empty:
                    break
            more = batch[-1] is not None
            self._settle([entry for entry in batch if entry is not None])

    def _settle(self, batch: list[tuple[Callable[[sqlite3.Connection], Any], Receipt[Any]]]) -> None:
        """Run all jobs in one transaction; if one spoils it, run each in its own, so that only that one fails."""
        db = self._connection
        try:
            db.execute("BEGIN")
            results = [job(db) for job, _ in batch]
            db.execute("COMMIT")
        except Exception as error:
            with suppress(sqlite3.Error):  # a full disk has ended the transaction already
                db.execute("ROLLBACK")
            if len(batch) > 1:
                for entry in batch:
                    self._settle([entry])
            else:
                batch[0][1].set_exception(self._mistake(error))
        else:
            for (_, receipt), result in zip(batch, results, strict=True):
                receipt.set_result(result)

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            files.new(self.path)  # its log gets the same mode
            db = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise self._mistake(error) from error
        try:
            db.text_factory = decoded
            # SQLite's own lock is the ledger's: the system drops it with the process, however that ends. Held for good
            # it also spares the shared memory that WAL else needs, and that a network drive cannot give.
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            _lock(db)
            self._claim(db)
            db.execute("COMMIT")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")  # in WAL mode: flush to disk at every commit
            db.execute("PRAGMA fullfsync = ON")  # macOS: past the drive's own cache
            db.execute("PRAGMA cache_size = -32768")  # KiB
            self._owner.write_text(str(os.getpid()), encoding="ascii")
        except (OSError, sqlite3.Error) as error:
            db.close()
            raise self._mistake(error) from error
        except UserError:
            db.close()
            raise
        return db

    def _claim(self, db: sqlite3.Connection) -> None:
        """Make the tables in a new file; refuse a file that is somebody else's."""
        [(application,)], [(version,)] = db.execute("PRAGMA application_id"), db.execute("PRAGMA user_version")
        [(objects,)] = db.execute("SELECT count(*) FROM sqlite_master")
        if (application, version, objects) == (0, 0, 0):
            for statement in TABLES.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {VERSION}")
        elif application != APPLICATION_ID:
            raise self._refusal("a SQLite database, but not a ledger", "choose another file")
        elif version > VERSION:
            raise self._refusal(
                f"written by a later version of seke (ledger {version}, this one knows {VERSION})",
                "update seke or choose another file",
            )

    def _mistake(self, error: Exception) -> Exception:
        """Turn what the disk or SQLite reports into one line; anything else is a programmer's error and stays."""
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, sqlite3.OperationalError) and "locked" in reason:
            return self._refusal(
                f"in use by {self._holder()}", "wait until that run has ended or choose another file for this one"
            )
        if isinstance(error, OSError | sqlite3.OperationalError):
            return self._refusal(
                f"cannot be written ({reason})", "see to its folder's permissions and room, then run the same again"
            )
        if type(error) is sqlite3.DatabaseError:
            return self._refusal(
                f"damaged or not a ledger ({reason})",
                "move it away, or rescue its rows with the sqlite3 shell's .recover",
            )
        return error

    def _refusal(self, problem: str, remedy: str) -> UserError:
        return UserError("backend.ledger", self.path, problem, remedy)

    def _holder(self) -> str:
        try:
            return f"process {int(self._owner.read_text(encoding='ascii'))}"
        except (OSError, ValueError):
            return "another process"


_shared: dict[Path, Ledger] = {}
_sharing = threading.Lock()


def _lock(db: sqlite3.Connection) -> None:
    for attempt in range(TRIES):
        try:
            db.execute("BEGIN EXCLUSIVE")
            return
        except sqlite3.OperationalError:
            if attempt == TRIES - 1:
                raise
            time.sleep(random.uniform(0.002, 0.03))  # not in step with the others


def _run(db: sqlite3.Connection, *statements: tuple[str, tuple[Any, ...]]) -> None:
    for statement, values in statements:
        db.execute(statement, values)


def _rows_after(db: sqlite3.Connection, rowid: int) -> list[tuple[Any, ...]]:
    select = f"SELECT rowid, {COLUMNS} FROM replies WHERE rowid > ? ORDER BY rowid LIMIT {ROWS_A_MERGE}"
    return db.execute(select, (rowid,)).fetchall()


def _take_over(db: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> int:
    before = db.total_changes
    for _, key, about, *middle, model, into, out, raw in rows:
        about = None if about is None else _encoded(about)
        db.execute(TAKE_OVER, (key, about, *middle, _encoded(model), into, out, _encoded(raw)))
    return db.total_changes - before


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def decoded(data: bytes) -> str:
    """Return the text of a column; an empty one for bytes that are no UTF-8: whoever reads it reports the damage."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
