"""The ledger and who holds it: one process at a time, any number of its threads and tasks; SIGKILL loses no promise."""

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from seke.core.errors import UserError
from seke.core.ledger import Ledger

from ..ledgers import refused, settle

WRITER = """
import asyncio, os, sys
from seke.core.ledger import Ledger

def say(verb, key):
    os.write(1, f"{verb} {key}\\n".encode())

async def main(path, start):
    numbers = iter(range(start, start + 10**6))
    async def caller():
        for number in numbers:
            key = f"key-{number}"
            await ledger.sent(key, f"record {number}")
            say("sent", key)
            if number % 7 == 0:
                await ledger.failed(key, "HTTP 429")
                say("failed", key)
            else:
                await asyncio.sleep(0.001 * (number % 3))
                await ledger.done(key, key * 300, "model", 3, 5)
                say("done", key)
    with Ledger(path) as ledger:
        await asyncio.gather(*(caller() for _ in range(16)))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""

HOLDER = """
import sys
from seke.core.ledger import Ledger
with Ledger(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has `path` open until its standard input ends."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "open\n"
        yield process
        process.stdin.close()


def test_what_a_receipt_promised_survives_sigkill(tmp_path: Path):
    path, rng = tmp_path / "ledger.sqlite", random.Random(4)
    promised: dict[str, set[str]] = {"sent": set(), "done": set(), "failed": set()}
    for life in range(5):
        log = tmp_path / f"life-{life}.txt"
        with log.open("wb") as out:
            command = [sys.executable, "-c", WRITER, str(path), str(life * 10**6)]
            process = subprocess.Popen(command, stdout=out)
            while not log.stat().st_size and process.poll() is None:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.3))
            process.kill()
            assert process.wait() == -9
        for line in log.read_text().splitlines():
            verb, key = line.split()
            promised[verb].add(key)

        with Ledger(path) as ledger:
            found = ledger.find(sorted(promised["sent"]))
            pending = {call.key: call.about for call in ledger.unsettled()}
        with sqlite3.connect(path) as db:
            failures = {key for (key,) in db.execute("SELECT key FROM failures")}
        db.close()
        assert promised["done"] <= found.keys()
        assert all(raw == key * 300 for key, raw in found.items())
        assert promised["failed"] <= failures
        assert promised["sent"] <= found.keys() | pending.keys() | failures
        assert not pending.keys() & (found.keys() | failures)
        assert all(about == f"record {key.removeprefix('key-')}" for key, about in pending.items())
    assert len(promised["done"]) > 100


def test_a_second_process_is_refused_and_told_whose_it_is(tmp_path: Path):
    with holder(tmp_path / "ledger.sqlite") as process:
        assert f"in use by process {process.pid};" in refused(tmp_path / "ledger.sqlite")


def test_a_second_ledger_in_the_same_process_is_refused(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert f"in use by process {os.getpid()};" in refused(tmp_path / "ledger.sqlite")
        settle(ledger, "still mine")
        command = [sys.executable, "-c", HOLDER, str(tmp_path / "ledger.sqlite")]
        other = subprocess.run(command, input="", capture_output=True, text=True, check=False)
        assert "in use by process" in other.stderr


def test_a_shared_ledger_is_one_and_stays_open_until_its_last_user_closes_it(tmp_path: Path):
    path = tmp_path / "ledger.sqlite"
    first, second = Ledger.shared(path), Ledger.shared(path)
    assert first is second
    first.close()
    settle(second, "still open")
    second.close()
    with Ledger(path) as ledger:
        assert ledger.find(["still open"])


def test_of_several_that_open_a_new_ledger_at_once_one_gets_it(tmp_path: Path):
    opened: list[Ledger] = []
    barrier = threading.Barrier(4)

    def rush(path: Path) -> None:
        barrier.wait()
        with suppress(UserError):
            opened.append(Ledger(path))

    for race in range(20):
        threads = [threading.Thread(target=rush, args=(tmp_path / f"{race}.sqlite",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(opened) == 1
        opened.pop().close()


def test_the_ledger_is_free_again_after_sigkill(tmp_path: Path):
    with holder(tmp_path / "ledger.sqlite") as process:
        process.kill()
        process.wait()
        Ledger(tmp_path / "ledger.sqlite").close()


def test_closing_leaves_one_file(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        settle(ledger, "a")
    ledger.close()
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.sqlite"]
    with pytest.raises(RuntimeError, match="closed"):
        ledger.sent("b", "too late")


def test_every_commit_is_flushed_to_disk(tmp_path: Path):
    pragmas = ("journal_mode", "synchronous", "locking_mode")
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        modes = ledger._submit(lambda db: [db.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]).result()
        assert modes == ["wal", 2, "exclusive"]


def test_close_writes_what_nobody_waited_for(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for number in range(2500):
            ledger.done(str(number), "{}", "model", 1, 1)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.totals()["model"].calls == 2500


def test_threads_and_coroutines_may_share_a_ledger(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:

        def in_a_thread(name: str) -> None:
            for number in range(50):
                ledger.sent(f"{name}-{number}", name).result()
                ledger.done(f"{name}-{number}", name, "thread", 1, 1).result()

        async def in_a_loop(name: str) -> None:
            for number in range(50):
                await ledger.sent(f"{name}-{number}", name)
                await ledger.done(f"{name}-{number}", name, "loop", 1, 1)

        async def loop() -> None:
            await asyncio.gather(*(in_a_loop(f"loop-{number}") for number in range(8)))

        threads = [threading.Thread(target=in_a_thread, args=(f"thread-{number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        asyncio.run(loop())
        for thread in threads:
            thread.join()
        assert {model: total.calls for model, total in ledger.totals().items()} == {"loop": 400, "thread": 200}
        assert ledger.unsettled() == []


def test_a_cancelled_task_does_not_lose_its_reply(tmp_path: Path):
    async def cancelled(ledger: Ledger) -> None:
        async def store() -> None:
            await ledger.done("a", "paid for", "model", 1, 1)

        release = threading.Event()
        ledger._submit(lambda db: release.wait())  # keeps the writer busy, so that the reply is still in the queue
        task = asyncio.create_task(store())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()

    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        asyncio.run(cancelled(ledger))
        assert ledger.find(["a"]) == {"a": "paid for"}
