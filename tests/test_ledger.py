"""The ledger against what befalls it: SIGKILL, a second process, full and read-only disks, odd text, other files."""

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seke.errors import UserError
from seke.ledger import VERSION, Ledger, Total, Unsettled

WRITER = """
import asyncio, os, sys
from seke.ledger import Ledger

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
from seke.ledger import Ledger
with Ledger(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""
FULL_DISK = """
import resource, sys
from seke.errors import UserError
from seke.ledger import Ledger
with Ledger(sys.argv[1]) as ledger:
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    stored = 0
    try:
        while True:
            ledger.done(f"key-{stored}", "x" * 10_000, "model", 1, 1).result()
            stored += 1
    except UserError as error:
        print(stored, error, sep="\\n")
"""


def refused(path: Path) -> str:
    """Return the one line with which opening `path` is refused."""
    with pytest.raises(UserError) as caught:
        Ledger(path)
    line = str(caught.value)
    assert line.startswith(f"backend.ledger={path}: ") and "\n" not in line
    return line


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has `path` open until its standard input ends."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "open\n"
        yield process
        process.stdin.close()


def settle(ledger: Ledger, key: str, raw: str = "{}", model: str = "model") -> None:
    ledger.sent(key, f"about {key}")
    ledger.done(key, raw, model, 10, 2).result()


def test_a_settled_call_is_found_after_reopening(tmp_path: Path):
    with Ledger(tmp_path / "deep" / "ledger.sqlite") as ledger:
        settle(ledger, "a", '{"choices": []}')
        ledger.sent("b", "record b").result()
    with Ledger(tmp_path / "deep" / "ledger.sqlite") as ledger:
        assert ledger.find(["a", "b", "c"]) == {"a": '{"choices": []}'}
        assert [(call.key, call.about) for call in ledger.unsettled()] == [("b", "record b")]


def test_many_keys_are_found_in_one_call(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for number in range(0, 3000, 2):
            ledger.done(f"{number}", f"raw {number}", "model", 1, 1)
        found = ledger.find([f"{number}" for number in range(3000)])
        assert found == {f"{number}": f"raw {number}" for number in range(0, 3000, 2)}
        assert ledger.find([]) == {}


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


def test_a_call_that_cannot_be_stored_fails_alone(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        release = threading.Event()
        ledger._submit(lambda db: release.wait())
        receipts = [ledger.done(str(number), "{}", "model", 2**70 if number == 5 else 1, 1) for number in range(10)]
        release.set()
        with pytest.raises(OverflowError):
            receipts[5].result()
        assert "".join(sorted(ledger.find(list("0123456789")))) == "012346789"


def test_done_twice_keeps_the_first_and_says_nothing(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        settle(ledger, "a", "first")
        ledger.done("a", "second", "other model", 99, 99).result()
        assert ledger.find(["a"]) == {"a": "first"}
        assert ledger.totals() == {"model": Total(calls=1, input_tokens=10, output_tokens=2, resent=0)}


def test_a_failed_call_may_be_sent_again(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.sent("a", "record a").result()
        ledger.failed("a", "HTTP 429").result()
        assert ledger.unsettled() == []
        settle(ledger, "a", "bought")
        assert ledger.find(["a"]) == {"a": "bought"}
        assert ledger.totals()["model"].resent == 0


def test_a_refused_repeat_does_not_clear_the_doubt_about_an_earlier_sending(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.sent("a", "timed out, perhaps billed").result()
        ledger.sent("a", "once more").result()
        ledger.failed("a", "HTTP 429").result()
        assert [call.key for call in ledger.unsettled()] == ["a"]
        settle(ledger, "a")
        assert ledger.unsettled() == []
        assert ledger.totals()["model"].resent == 1


def test_unsettled_calls_are_listed_oldest_first_in_utc(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for key in ("c", "a", "b"):
            ledger.sent(key, key).result()
            time.sleep(0.002)
        calls = ledger.unsettled()
    assert [call.key for call in calls] == ["c", "a", "b"]
    assert all(isinstance(call, Unsettled) and call.sent_at.endswith("+00:00") for call in calls)


KEYS = st.sampled_from("abcd")
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("sent"), KEYS),
        st.tuples(st.just("done"), KEYS, st.text(max_size=5), st.sampled_from("xy"), st.integers(0, 9)),
        st.tuples(st.just("failed"), KEYS),
        st.tuples(st.just("reopen")),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(OPERATIONS)
def test_any_sequence_of_calls_equals_a_dictionary(operations: list[tuple]):
    pending: Counter[str] = Counter()
    replies: dict[str, tuple] = {}
    sendings: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder, "ledger.sqlite"))
        for operation, *details in operations:
            match operation, details:
                case "sent", [key]:
                    ledger.sent(key, key)
                    pending[key] += 1
                case "done", [key, raw, model, tokens]:
                    ledger.done(key, raw, model, tokens, 1)
                    replies.setdefault(key, (raw, model, tokens))
                    sendings[key] += pending.pop(key, 0)
                case "failed", [key]:
                    ledger.failed(key, "HTTP 503")
                    pending[key] = max(pending[key] - 1, 0)
                case _:
                    ledger.close()
                    ledger = Ledger(Path(folder, "ledger.sqlite"))
        with ledger:
            assert ledger.find(list("abcd")) == {key: raw for key, (raw, *_) in replies.items()}
            assert {call.key for call in ledger.unsettled()} == set(+pending)
            assert ledger.totals() == {
                model: Total(
                    calls=sum(answered == model for _, answered, _ in replies.values()),
                    input_tokens=sum(tokens for _, answered, tokens in replies.values() if answered == model),
                    output_tokens=sum(answered == model for _, answered, _ in replies.values()),
                    resent=sum(max(sendings[key] - 1, 0) for key, row in replies.items() if row[1] == model),
                )
                for model in {answered for _, answered, _ in replies.values()}
            }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=())), max_size=10))
def test_any_text_comes_back_as_it_was(texts: list[str]):
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder, "ledger.sqlite")) as ledger:
        for number, text in enumerate(texts):
            ledger.done(f"done-{number}", text, f"model {text}", 1, 1)
            ledger.sent(f"sent-{number}", text)
            ledger.failed(f"failed-{number}", text).result()
        raws = {f"done-{number}": text for number, text in enumerate(texts)}
        assert ledger.find(list(raws)) == raws
        assert set(ledger.totals()) == {f"model {text}" for text in texts}
        assert {call.key: call.about for call in ledger.unsettled()} == {
            f"sent-{number}": text for number, text in enumerate(texts)
        }


@pytest.mark.parametrize(
    "raw",
    ["", "\0", "a\0b\x01\x1b\x7f\r\n", "微笑 😀 é", "\ud83d", "\0é" * 2**19],
    ids=["empty", "NUL", "control", "unicode", "lone surrogate", "a million characters"],
)
def test_strange_and_long_replies_survive_reopening_and_merging(tmp_path: Path, raw: str):
    with Ledger(tmp_path / "worker.sqlite") as worker:
        settle(worker, "a", raw)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.merge(tmp_path / "worker.sqlite")
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.find(["a"]) == {"a": raw}


def test_totals_are_the_plain_sums(tmp_path: Path):
    rng = random.Random(1)
    rows = [(f"{n}", rng.choice(["gpt", "qwen"]), rng.randrange(2000), rng.randrange(500)) for n in range(500)]
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for key, model, into, out in rows:
            ledger.done(key, "{}", model, into, out)
        for name, total in ledger.totals().items():
            own = [(into, out) for _, model, into, out in rows if model == name]
            assert total == (len(own), sum(into for into, _ in own), sum(out for _, out in own), 0)


def test_merging_takes_over_settled_calls_once(tmp_path: Path):
    with Ledger(tmp_path / "worker.sqlite") as worker:
        for number in range(450):
            settle(worker, f"{number}", f"worker {number}")
        worker.sent("nobody knows", "in flight").result()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        settle(ledger, "7", "own")
        assert ledger.merge(tmp_path / "worker.sqlite") == 449
        once = ledger.totals()
        assert ledger.merge(tmp_path / "worker.sqlite") == 0
        assert ledger.totals() == once
        assert once["model"].calls == 450
        assert ledger.find(["7", "8", "nobody knows"]) == {"7": "own", "8": "worker 8"}
        assert ledger.unsettled() == []


def test_merging_a_ledger_that_is_missing_or_in_use_is_refused(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        with pytest.raises(UserError, match="no such file"):
            ledger.merge(tmp_path / "missing.sqlite")
        with pytest.raises(UserError, match="in use by process"):
            ledger.merge(tmp_path / "ledger.sqlite")


@pytest.mark.parametrize(
    "content",
    [b"my thesis", b"not a database " * 1000, b"SQLite format 3\0" + b"\xff" * 5000],
    ids=["short", "long", "broken header"],
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)
    assert "not a ledger" in refused(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path, journal: str):
    path = tmp_path / "ledger.sqlite"
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA journal_mode = {journal}")
    db.execute("CREATE TABLE replies (thesis TEXT)")
    db.close()
    content = path.read_bytes()
    assert "not a ledger" in refused(path)
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.sqlite"]


def test_a_ledger_of_a_later_version_is_refused(tmp_path: Path):
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
    db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    assert "later version" in refused(path)


def test_a_ledger_damaged_in_the_middle_says_so_when_read(tmp_path: Path):
    path = tmp_path / "ledger.sqlite"
    keys = [f"{number}" for number in range(200)]
    with Ledger(path) as ledger:
        for key in keys:
            settle(ledger, key, "x" * 1000)
    with path.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\xff" * 30 * 4096)
    with Ledger(path) as ledger:
        with pytest.raises(UserError, match=r"damaged .* \.recover") as caught:
            ledger.find(keys)
        assert "\n" not in str(caught.value)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """The superuser may write anywhere; for a while be somebody else."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("present", [False, True], ids=["new", "existing"])
def test_a_read_only_folder_is_refused(present: bool):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if present:
            Ledger(folder / "ledger.sqlite").close()
            (folder / "ledger.sqlite").chmod(0o666)
        folder.chmod(0o555)
        try:
            with ordinary_user():
                assert "cannot be written" in refused(folder / "ledger.sqlite")
                assert "cannot be written" in refused(folder / "inner" / "ledger.sqlite")
        finally:
            folder.chmod(0o755)


def test_a_folder_in_the_ledgers_place_is_refused(tmp_path: Path):
    assert "cannot be written" in refused(tmp_path)


def test_a_full_disk_is_one_line_and_loses_nothing_that_was_promised(tmp_path: Path):
    path = tmp_path / "ledger.sqlite"
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    stored, *complaint = done.stdout.splitlines()
    assert len(complaint) == 1 and complaint[0].startswith(f"backend.ledger={path}: cannot be written"), done
    with Ledger(path) as ledger:
        found = ledger.find([f"key-{number}" for number in range(int(stored) + 1)])
        assert int(stored) > 5 and {f"key-{number}" for number in range(int(stored))} <= found.keys()
