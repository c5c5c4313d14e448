"""What the ledger costs: how fast a resume knows what is left, and calls/s against one commit per call.

    python scripts/bench_ledger.py                        100,000 records x 4 calls; about a minute, 1 GB of disk
    python scripts/bench_ledger.py --records 10000 --folder /path/on/the/disk/to/measure

The two ways of committing alternate on one disk. Their ratio depends on what a flush costs there, which is told beside
it. The resume is measured in processes of their own, so that the peak memory is its own; it reads a file that was just
written, so mostly from the system's cache and not from the disk.
"""

import asyncio
import hashlib
import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from bench import Target, apart, by_turns, cost, options, peak, tell, times
from seke.core.ledger import Ledger

CALLS_A_RECORD = 4
KEYS_A_CHUNK = 2048
"""Keys in one `find`: what a generator asks for a chunk of records."""
RESUME_SECONDS, CALLS_A_SECOND = 5.0, 3000.0
MEMORY_SLACK = 16.0
"""MiB by which a resume over all records may exceed one over a tenth of them."""
RAW = json.dumps({"choices": [{"message": {"content": "happiness, AU6, AU12 " * 15}}] * 3})
SETTLED = (RAW, "synthetic", 955, 350)


def key(record: int, call: int) -> str:
    """Return the key of a synthetic call."""
    return hashlib.sha256(f"{record}/{call}".encode()).hexdigest()


def fill(path: Path, records: int) -> None:
    """Settle all calls but the last one of every tenth record."""
    with Ledger(path) as ledger:
        for record in range(records):
            calls = CALLS_A_RECORD - (record % 10 == 0)
            receipts = [ledger.done(key(record, call), *SETTLED) for call in range(calls)]
            if record % 500 == 0:
                receipts[-1].result()  # keeps the queue short


def resume(path: Path, records: int) -> tuple[int, float, float]:
    """Return how many calls of the first `records` are left, the seconds that took, and this process' peak MiB."""

    def left() -> int:
        step, missing = KEYS_A_CHUNK // CALLS_A_RECORD, 0
        with Ledger(path) as ledger:
            for first in range(0, records, step):
                chunk = range(first, min(first + step, records))
                keys = [key(record, call) for record in chunk for call in range(CALLS_A_RECORD)]
                found = ledger.find(keys)
                missing += sum(wanted not in found for wanted in keys)
        return missing

    took = cost(left)
    return took.result, took.seconds, peak() / 2**20


def grouped(path: Path, calls: int, concurrency: int) -> float:
    """Return calls/s (each sent and done, both waited for) of `concurrency` coroutines on a Ledger."""

    async def caller(ledger: Ledger, numbers: Iterator[int]) -> None:
        for number in numbers:
            await ledger.sent(key(number, 0), "a record")
            await ledger.done(key(number, 0), *SETTLED)

    async def callers(ledger: Ledger) -> None:
        numbers = iter(range(calls))
        await asyncio.gather(*(caller(ledger, numbers) for _ in range(concurrency)))

    with Ledger(path) as ledger:
        return calls / cost(lambda: asyncio.run(callers(ledger))).seconds


def one_by_one(path: Path, calls: int) -> float:
    """Return calls/s of the obvious way: one table, and a commit at every step of every call."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE calls (key TEXT PRIMARY KEY, about TEXT, raw TEXT, model TEXT, input INT, output INT)")
    settle = "UPDATE calls SET raw = ?, model = ?, input = ?, output = ? WHERE key = ?"
    start = time.perf_counter()
    for number in range(calls):
        db.execute("INSERT INTO calls (key, about) VALUES (?, ?)", (key(number, 0), "a record"))
        db.execute(settle, (*SETTLED, key(number, 0)))
    seconds = time.perf_counter() - start
    db.close()
    return calls / seconds


def flush(folder: Path) -> float:
    """Return the median milliseconds of writing 4 KiB and flushing it to this disk: what one commit at least costs."""
    with (folder / "flush").open("wb", buffering=0) as file:
        return 1000 * statistics.median(
            cost(lambda: (file.write(bytes(4096)), os.fsync(file.fileno()))).seconds for _ in range(200)
        )


def main() -> int:
    """Measure and tell; return the exit code."""
    parser = options(__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=8_000, help="calls in each timing of sent + done")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--folder", type=Path, help="where to put the ledgers (default: the temporary folder)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder, new = Path(name), (Path(name) / f"{number}.sqlite" for number in count())
        fill(folder / "full.sqlite", asked.records)
        size = (folder / "full.sqlite").stat().st_size / 2**20
        _, _, small = apart(resume, folder / "full.sqlite", asked.records // 10)
        left, seconds, most = apart(resume, folder / "full.sqlite", asked.records)
        ways = {
            "group commit": lambda: grouped(next(new), asked.calls, asked.concurrency),
            "a commit at every step": lambda: one_by_one(next(new), asked.calls),
            "a flush of 4 KiB, ms": lambda: flush(folder),
        }
        measured = by_turns(ways, asked.rounds)
    expected = (asked.records + 9) // 10
    group, single, flushed = measured.values()
    targets = [
        Target("group commit, calls/s", statistics.median(group), least=CALLS_A_SECOND),
        Target(f"seconds to resume {asked.records:,} records x {CALLS_A_RECORD} ({size:,.0f} MiB)", seconds,
               most=RESUME_SECONDS),
        Target("peak MiB of that", most, most=small + MEMORY_SLACK),
        Target("calls found left", left, least=expected, most=expected),
    ]  # fmt: skip
    rows = [[name, statistics.median(rates), times(rates, single)] for name, rates in list(measured.items())[:2]]
    about = f"sent + done, {asked.concurrency} callers, medians of {asked.rounds}"
    return tell(
        f"{about}; a flush of 4 KiB takes {statistics.median(flushed):.2f} ms",
        ["way", "calls/s", "times"],
        rows,
        targets,
    )


if __name__ == "__main__":
    raise SystemExit(main())
