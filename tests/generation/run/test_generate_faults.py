"""`python generate.py backend=openai` against a server with faults, `kill -9`, budgets and rivals: nothing lost.

What must be equal: a fault of the transport (429, 5xx, hang, reset, cut-off JSON, HTML, too few choices, a dead server)
may delay an answer but not change it, so the dataset is byte for byte the undisturbed one. Faults that are answers
(refusals, filtered, truncated, invalid) are fixed by the request's content here (`flaws`), as a model's would be, and
are part of both.
"""

import json
import os
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from seke.core.ledger import Ledger, Unsettled

from ... import warm
from ...servers.openai_server import Server, rates, running

ROOT = Path(__file__).resolve().parents[3]
SECRET = "sk-test-0123456789-SECRET"
SWIFT = ("backend=openai", "backend.backoff=0.01", "backend.timeout=60", "backend.patience=60", "chunk=8")
Cli = Callable[..., subprocess.CompletedProcess[str]]


class Prepared(NamedTuple):
    """Sixty synthetic faces, and what an undisturbed server makes of them."""

    records: Path
    outputs: Path
    served: int
    """Requests that it took."""

    @property
    def images(self) -> Path:
        return self.records.parent / json.loads((self.records.parent / "manifest.json").read_text())["image_root"]


class Runs:
    """Runs `generate.py` with outputs of its own on the prepared records."""

    def __init__(self, outputs: Path, records: Path, images: Path) -> None:
        self.outputs, self.records, self.images, self.started = outputs, records, images, 0
        self.environment = {**os.environ, "OPENAI_API_KEY": SECRET, "WANDB_MODE": "offline"}

    def command(self, server: Server, *arguments: object, name: str = "it", records: Path | None = None) -> list[str]:
        where = (f"records={records or self.records}", f"paths.images={self.images}", f"paths.outputs={self.outputs}")
        address = f"backend.base_url={server.url}"
        return [
            str(ROOT / "generate.py"),
            f"name={name}",
            *where,
            *SWIFT,
            address,
            *map(str, arguments),
        ]

    def start(self, server: Server, *arguments: object) -> warm.Started:
        self.started += 1
        said = self.outputs / f"said{self.started}"
        return warm.start(*self.command(server, *arguments), said=said, cwd=self.outputs, env=self.environment)

    def run(self, server: Server, *arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
        return warm.run(*self.command(server, *arguments, **more), cwd=self.outputs, env=self.environment)

    def done(self, server: Server, *arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
        finished = self.run(server, *arguments, **more)
        assert finished.returncode == 0, finished.stderr
        return finished

    def file(self, file: str = "instructions.jsonl", name: str = "it") -> bytes:
        return (self.outputs / "generate" / name / file).read_bytes()

    def cost(self) -> dict[str, object]:
        return {key: value for key, value in json.loads(self.file("cost.json")).items() if key != "seconds"}

    @property
    def unsettled(self) -> list[Unsettled]:
        with Ledger(self.outputs / "ledger.sqlite") as ledger:
            return ledger.unsettled()


@pytest.fixture(scope="session")
def prepared(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    outputs = tmp_path_factory.mktemp("undisturbed")
    made = cli("prepare", "source.images=60", "source.size=48", "source.workers=1", f"paths.outputs={outputs}")
    assert made.returncode == 0, made.stderr
    data = Prepared(outputs / "prepare" / "demo" / "train.jsonl", outputs, 0)
    with running() as server:
        Runs(outputs, data.records, data.images).done(server)
        return data._replace(served=sum(server.seen.values()))


@pytest.fixture
def undisturbed(prepared: Prepared) -> Runs:
    return Runs(prepared.outputs, prepared.records, prepared.images)


@pytest.fixture
def runs(prepared: Prepared, tmp_path: Path) -> Runs:
    return Runs(tmp_path, prepared.records, prepared.images)


def test_faults_leave_no_trace_in_the_dataset(runs: Runs) -> None:
    flaws = rates("answers=0.5")
    with running(flaws=flaws, odd=0.3) as server:
        runs.done(server, "backend.ledger=plain.sqlite", name="plain")
    # Without hangs nothing runs out of time, however slow the machine, and the server knows what reached its reader.
    faults = {**rates("transport=0.4"), "die": 0.005, "hang": 0.0}
    with running(flaws=flaws, odd=0.3, faults=faults, seed=0, die_s=0.3) as server:
        runs.done(server, "backend.concurrency=8")
        assert len(server.faulted) >= 9
        assert all(paid <= 1 + server.broken[body] for body, paid in server.paid.items())
    assert runs.unsettled == []
    with running(flaws=flaws, odd=0.3, faults={"hang": 0.1}, seed=0, hang_s=3) as server:
        runs.done(server, "backend.ledger=hung.sqlite", "backend.timeout=1", "backend.concurrency=8", name="hung")
        assert server.faulted["hang"] >= 2
    assert len(runs.file("rejected.jsonl").splitlines()) >= 3 and b'"unusable_draws"' in runs.file()
    for file in ("instructions.jsonl", "rejected.jsonl"):
        assert runs.file(file) == runs.file(file, "hung") == runs.file(file, "plain")


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_after_kill_9_the_dataset_is_the_same_and_only_what_was_in_flight_is_paid_for_again(
    runs: Runs, undisturbed: Runs, kills: int
) -> None:
    rng = random.Random(kills)
    doubts: set[Unsettled] = set()
    before: list[Unsettled] = []
    with running(latency=0.05) as server:
        for _ in range(kills):
            child = runs.start(server, "backend.concurrency=4")
            wait_for(child, server, sum(server.seen.values()) + rng.randint(1, 4))
            time.sleep(rng.uniform(0, 0.05))
            assert told(child.killed()) == len(before)
            before = runs.unsettled
            doubts.update(before)
        child = runs.start(server)
        while child.poll() is None and not (runs.outputs / "generate" / "it" / "cost.json").exists():
            time.sleep(0.001)
        assert told(child.killed()) == len(before)
        runs.run(server)
        again = sum(server.seen.values()) - len(server.seen)
    assert runs.file() == undisturbed.file()
    with Ledger(runs.outputs / "ledger.sqlite") as ledger:
        assert ledger.unsettled() == []
        resent = sum(total.resent for total in ledger.totals().values())
    assert again <= resent <= len(doubts) <= 4 * kills


def test_what_may_be_paid_twice_is_listed_once(runs: Runs) -> None:
    with running(latency=1.0) as server:
        child = runs.start(server, "backend.concurrency=5")
        wait_for(child, server, 6)
        child.killed()
        doubts = runs.unsettled
        server.latency = 0.0
        resumed = runs.done(server)
        [line] = [line for line in resumed.stderr.splitlines() if "paid twice" in line]
        assert line.startswith(
            f"{runs.outputs / 'ledger.sqlite'}: 5 calls were in flight when an earlier run broke off"
        )
        assert [call.about in line for call in doubts] == [True, True, True, False, False]
        assert "and 2 more" in line
        assert told(runs.done(server, name="other").stderr) == 0


def test_the_key_is_in_no_file_and_no_output(runs: Runs) -> None:
    said = ""
    with running(faults={"429": 0.2, "400": 0.1, "reset": 0.1}, seed=1, echo_key=True) as server:
        server.script.append("ok")
        finished = runs.done(server, "wandb=offline")
        assert server.faulted.keys() == {"429", "400", "reset"}
        said += finished.stdout + finished.stderr
        server.script.extend(["ok"] * 3 + ["401"] * 99)
        fatal = runs.run(server, "seed=1", "wandb=offline", name="fatal")
        assert (
            fatal.returncode == 2
            and "does not accept the key (401: Incorrect API key provided (key ***))" in fatal.stderr
        )
        said += fatal.stdout + fatal.stderr
    files = [path for path in runs.outputs.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {"instructions.jsonl", "ledger.sqlite"} < {path.name for path in files}
    assert any(path.suffix == ".wandb" for path in files)
    assert [path for path in files if b"SECRET" in path.read_bytes()] == []
    assert "SECRET" not in said


def test_a_second_run_on_the_same_ledger_is_refused_until_the_first_is_gone(runs: Runs) -> None:
    with running(latency=1.0) as server:
        first = runs.start(server)
        wait_for(first, server, 1)
        second = runs.run(server, name="second")
        assert second.returncode == 2
        assert second.stderr.startswith(
            f"error: backend.ledger={runs.outputs / 'ledger.sqlite'}: in use by process {first.pid};"
        )
        assert second.stderr.count("\n") == 1
        first.killed()
        server.latency = 0.0
        runs.done(server, name="second")


def test_a_budget_pauses_and_the_sum_of_the_parts_is_one_undisturbed_run(
    runs: Runs, undisturbed: Runs, prepared: Prepared
) -> None:
    codes = []
    with running() as server:
        while 0 not in codes:
            paused = runs.run(server, "budget.usd=0.12", "backend.concurrency=4")
            codes.append(paused.returncode)
            assert paused.returncode == 0 or (
                paused.returncode == 3 and "paused: budget.usd=0.12 is spent" in paused.stderr
            )
        assert sum(server.seen.values()) == prepared.served == len(server.paid)
    assert codes == [3, 3, 3, 0]
    assert runs.file() == undisturbed.file()
    assert runs.cost() == undisturbed.cost()


def test_other_records_and_other_wording_pay_only_for_what_is_new(
    runs: Runs, undisturbed: Runs, prepared: Prepared
) -> None:
    rows = prepared.records.read_text().splitlines(keepends=True)
    some, others = runs.outputs / "some.jsonl", runs.outputs / "others.jsonl"
    some.write_text("".join(rows[:-6]))
    others.write_text("".join(rows[6:]))
    reworded = "prompts.templates.annotate='{prior} Look closely: {asked}'"
    with running() as server:
        runs.done(server, records=some)
        before = sum(server.seen.values())
        runs.done(server, reworded, "prompts.templates.questions=['What is felt?']", records=some, name="reworded")
        assert sum(server.seen.values()) == before < prepared.served
        runs.done(server, records=others, name="others")
        assert sum(server.seen.values()) == prepared.served == len(server.seen)
    expected = undisturbed.file().splitlines()
    assert runs.file().splitlines() == expected[:-6]
    assert runs.file(name="others").splitlines() == expected[6:]
    labels = [[json.loads(row)["labels"] for row in runs.file(name=name).splitlines()] for name in ("it", "reworded")]
    assert labels[0] == labels[1] and runs.file() != runs.file(name="reworded")


@pytest.mark.parametrize(
    ("concurrency", "chunk"),
    [(1, 7), (16, 64), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in [(1, 64), (4, 7), (4, 64), (16, 7)])],
)
def test_the_dataset_depends_on_neither_concurrency_nor_chunks(
    runs: Runs, undisturbed: Runs, concurrency: int, chunk: int
) -> None:
    with running(latency=0.02) as server:
        runs.done(server, f"backend.concurrency={concurrency}", f"chunk={chunk}")
        # Each record of a chunk asks one question at a time, so a chunk of 7 never has more than 7 in flight.
        assert min(concurrency, chunk) // 2 < server.most_in_flight <= min(concurrency, chunk)
    assert runs.file() == undisturbed.file()


def test_the_records_order_changes_only_the_order(runs: Runs, undisturbed: Runs, prepared: Prepared) -> None:
    rows = prepared.records.read_text().splitlines(keepends=True)
    random.Random(1).shuffle(rows)
    shuffled = runs.outputs / "shuffled.jsonl"
    shuffled.write_text("".join(rows))
    with running() as server:
        runs.done(server, records=shuffled)
    assert runs.file() != undisturbed.file()
    assert sorted(runs.file().splitlines()) == sorted(undisturbed.file().splitlines())


def wait_for(child: warm.Started, server: Server, seen: int) -> None:
    """Wait until the server has seen so many requests."""
    while sum(server.seen.values()) < seen:
        assert child.poll() is None, "it ended before it could be killed"
        time.sleep(0.001)


def told(stderr: str) -> int:
    """Return how many calls a run named as those that may be paid twice."""
    lines = [line for line in stderr.splitlines() if "may be paid twice" in line]
    assert len(lines) <= 1
    return int(lines[0].split(": ")[1].split()[0]) if lines else 0
