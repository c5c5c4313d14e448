"""What the ledger costs: how fast a resume knows what is left, and calls/s against one commit per call.

    python scripts/bench_ledger.py                        100,000 records x 4 calls; about a minute, 1 GB of disk
    python scripts/bench_ledger.py --records 10000 --folder /path/on/the/disk/to/measure

The two ways of committing alternate on one disk. Their ratio depends on what a flush costs there, which is printed
beside it. The resume is measured in processes of their own, so that the peak memory is its own; it reads a file that
was just written, so mostly from the system's cache and not from the disk. Exits with 1 if a target is missed.
"""

import argparse
import asyncio
import hashlib
import json
import os
import platform
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from seke.ledger import Ledger

CALLS_A_RECORD = 4
KEYS_A_CHUNK = 2048
"""Keys in one `find`: what a generator asks for a chunk of records."""
RESUME_SECONDS = 5.0
CALLS_A_SECOND = 3000
MEMORY_SLACK = 16.0
"""MiB by which a resume over all records may exceed one over a tenth of them."""
RAW = json.dumps({"choices": [{"message": {"content": "happiness, AU6, AU12 " * 15}}] * 3})


def key(record: int, call: int) -> str:
    """Return the key of a synthetic call."""
    return hashlib.sha256(f"{record}/{call}".encode()).hexdigest()


def fill(path: Path, records: int) -> None:
    """Settle all calls but the last one of every tenth record."""
    with Ledger(path) as ledger:
        for record in range(records):
            calls = CALLS_A_RECORD - (record % 10 == 0)
            receipts = [ledger.done(key(record, call), RAW, "synthetic", 955, 350) for call in range(calls)]
            if record % 500 == 0:
                receipts[-1].result()  # keeps the queue short


def resume(path: Path, records: int) -> None:
    """Print how many calls of the first `records` are left, the seconds that took and this process' peak MiB."""
    start = time.perf_counter()
    left = 0
    step = KEYS_A_CHUNK // CALLS_A_RECORD
    with Ledger(path) as ledger:
        for first in range(0, records, step):
            chunk = range(first, min(first + step, records))
            keys = [key(record, call) for record in chunk for call in range(CALLS_A_RECORD)]
            found = ledger.find(keys)
            left += sum(wanted not in found for wanted in keys)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    print(left, seconds, peak)


def resume_apart(path: Path, records: int) -> tuple[int, float, float]:
    """Run `resume` in a process of its own: calls left, seconds, peak MiB."""
    command = [sys.executable, __file__, "--resume", str(path), "--records", str(records)]
    left, seconds, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(left), float(seconds), float(peak)


def grouped(path: Path, calls: int, concurrency: int) -> float:
    """Return calls/s (each sent and done, both waited for) of `concurrency` coroutines on a Ledger."""

    async def caller(ledger: Ledger, numbers: Iterator[int]) -> None:
        for number in numbers:
            await ledger.sent(key(number, 0), "a record")
            await ledger.done(key(number, 0), RAW, "synthetic", 955, 350)

    async def callers(ledger: Ledger) -> None:
        numbers = iter(range(calls))
        await asyncio.gather(*(caller(ledger, numbers) for _ in range(concurrency)))

    with Ledger(path) as ledger:
        start = time.perf_counter()
        asyncio.run(callers(ledger))
        return calls / (time.perf_counter() - start)


def one_by_one(path: Path, calls: int) -> float:
    """Return calls/s of the obvious way: one table, and a commit at every step of every call."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE calls (key TEXT PRIMARY KEY, about TEXT, raw TEXT, model TEXT, input INT, output INT)")
    start = time.perf_counter()
    for number in range(calls):
        db.execute("INSERT INTO calls (key, about) VALUES (?, ?)", (key(number, 0), "a record"))
        settled = (RAW, "synthetic", 955, 350, key(number, 0))
        db.execute("UPDATE calls SET raw = ?, model = ?, input = ?, output = ? WHERE key = ?", settled)
    seconds = time.perf_counter() - start
    db.close()
    return calls / seconds


def flush_milliseconds(folder: Path) -> float:
    """Return the median time of writing 4 KiB and flushing it to this disk: what one commit at least costs."""
    times = []
    with (folder / "flush").open("wb", buffering=0) as file:
        for _ in range(200):
            start = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def main() -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=8_000, help="calls in each timing of sent + done")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--folder", type=Path, help="where to put the ledgers (default: the temporary folder)")
    parser.add_argument("--resume", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.resume:
        resume(arguments.resume, arguments.records)
        return 0

    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        print(
            f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, "
            f"SQLite {sqlite3.sqlite_version}"
        )
        fill(folder / "full.sqlite", arguments.records)
        size = (folder / "full.sqlite").stat().st_size / 2**20
        _, _, small = resume_apart(folder / "full.sqlite", arguments.records // 10)
        left, seconds, peak = resume_apart(folder / "full.sqlite", arguments.records)
        print(
            f"resume: {arguments.records:,} records x {CALLS_A_RECORD} calls ({size:,.0f} MiB): {left:,} calls left, "
            f"known in {seconds:.2f} s; peak memory {peak:.0f} MiB, for a tenth of the records {small:.0f} MiB"
        )
        rounds = range(3)  # alternating, so that a change of the disk's mood meets both
        measured = [
            (
                grouped(folder / f"grouped-{number}.sqlite", arguments.calls, arguments.concurrency),
                one_by_one(folder / f"single-{number}.sqlite", arguments.calls),
                flush_milliseconds(folder),
            )
            for number in rounds
        ]
        group, single, flush = (statistics.median(column) for column in zip(*measured, strict=True))
        ratio = statistics.median(one / other for one, other, _ in measured)
        print(
            f"sent + done, {arguments.concurrency} callers: {group:,.0f} calls/s with group commit, "
            f"{single:,.0f} with a commit at every step; ratio {ratio:.1f} (medians of "
            f"{len(measured)}; a flush of 4 KiB takes {flush:.2f} ms)"
        )
    expected = (arguments.records + 9) // 10
    met = left == expected and seconds < RESUME_SECONDS and peak < small + MEMORY_SLACK and group >= CALLS_A_SECOND
    print("targets met" if met else "TARGET MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
