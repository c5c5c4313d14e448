"""engine=ray: two processes, and not one byte of difference; whatever stops them, nothing is lost or bought twice."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from seke.errors import Paused, UserError
from seke.generation import blocks, progress, ray_engine
from seke.generation.branches import Branch, branching
from seke.generation.workers import STOP, Halted, Job, Report, Worker, packed
from seke.ledger import Ledger, Total
from seke.money import Budget, Metered, Spent

from ..servers.openai_server import running

pytest.importorskip("ray", reason="Ray is missing: pip install -e '.[ray]'")
from seke.backends.openai import OpenAI

ROOT = Path(__file__).resolve().parents[2]
FILES = ("instructions.jsonl", "rejected.jsonl", "draws.jsonl")


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-SECRET")


def locally(data, seke, folder, **options):
    folder.mkdir(exist_ok=True)
    progress.generate(data.records, data.folder / "images", seke, folder, 7, **options)
    return content(folder)


def bought(data, make_seke, server, ledger, folder):
    """What engine=local makes of this server's answers."""
    with Metered(openai(server, ledger)) as meter:
        return locally(data, make_seke(meter), folder)


def by_ray(data, seke, folder, chunk=4, workers=2, **options):
    """What progress.generate does, with the loop in between handed to Ray."""
    folder.mkdir(exist_ok=True)
    seke.learn(data.records, progress.opener(data.folder / "images"), folder)
    ray_engine.annotate(data.records, data.folder / "images", seke, folder, chunk, workers, **options)
    progress.finish(folder / progress.PROGRESS, folder)
    return content(folder)


def content(folder):
    return [(folder / name).read_bytes() for name in FILES]


def openai(server, ledger, **settings):
    url = server if isinstance(server, str) else server.url
    swift = {"backoff": 0.01, "timeout": 5.0, "patience": 60.0, "concurrency": 4, "prices": {"gpt-test": [2.0, 10.0]}}
    return OpenAI("gpt-test", url, ledger=ledger, **{**swift, **settings})


@contextmanager
def missing_image(data, number):
    path = data.folder / "images" / data.records[number].image
    path.rename(path.with_suffix(".gone"))
    try:
        yield
    finally:
        path.with_suffix(".gone").rename(path)


def block(folder, first, lines):
    path = blocks.block_file(folder, first)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def test_blocks_are_appended_as_far_as_they_follow_on(tmp_path):
    lines = tmp_path / "progress.jsonl"
    lines.write_text("0\n1\n2\n")
    block(tmp_path, 2, "2345")  # half of it was appended before a crash
    block(tmp_path, 6, "67")
    block(tmp_path, 9, "9")
    assert blocks.append(tmp_path, lines, 3) == 8
    assert lines.read_text().split() == list("01234567")
    assert [first for first, _ in blocks.waiting(tmp_path)] == [9]


def test_what_is_missing_is_cut_around_finished_blocks(tmp_path):
    block(tmp_path, 4, "abc")
    block(tmp_path, 12, "d")
    assert blocks.missing(tmp_path, 1, 15, 3) == [range(1, 4), range(7, 10), range(10, 12), range(13, 15)]
    assert blocks.missing(tmp_path, 15, 15, 3) == []


def buy(ledger, key, settled=True):
    ledger.sent(key, f"about {key}").result()
    if settled:
        ledger.done(key, f"raw {key} \ud83d", "model", 3, 5).result()


def test_a_branch_finds_what_the_shared_ledger_holds_and_gives_its_own_back(tmp_path):
    shared, folder = tmp_path / "shared.sqlite", tmp_path / "ledgers"
    with Ledger(shared) as ledger:
        buy(ledger, "old")
    with branching(shared, folder):
        with pytest.raises(UserError, match="in use"):
            Ledger(shared)
        with Branch(folder / "a.sqlite", shared) as one, Branch(folder / "b.sqlite", shared) as two:
            buy(one, "new")
            assert one.find(["old", "new", "none"]) == {"old": "raw old \ud83d", "new": "raw new \ud83d"}
            assert two.find(["old", "new"]) == {"old": "raw old \ud83d"}
    with Ledger(shared) as ledger:
        assert set(ledger.find(["old", "new"])) == {"old", "new"}
        assert ledger.unsettled() == []
    assert not folder.exists()


def test_calls_in_doubt_stay_in_doubt_until_they_are_settled(tmp_path):
    shared, folder = tmp_path / "shared.sqlite", tmp_path / "ledgers"
    with Ledger(shared) as ledger:
        buy(ledger, "lost", settled=False)
    with (
        branching(shared, folder),
        Branch(folder / "a.sqlite", shared) as one,
        Branch(folder / "b.sqlite", shared) as two,
    ):
        buy(one, "lost")  # sent a second time
        buy(one, "both", settled=False)
        buy(two, "both")
        buy(two, "open", settled=False)
    with Ledger(shared) as ledger:
        [doubt] = ledger.unsettled()
        assert doubt.key == "open" and doubt.about.startswith("about open, by a worker at 20")
        assert ledger.totals() == {"model": Total(calls=2, input_tokens=6, output_tokens=10, resent=2)}


def test_what_a_killed_run_left_is_merged_and_told_when_the_next_begins(tmp_path, caplog):
    shared, folder = tmp_path / "shared.sqlite", tmp_path / "ledgers"
    with Ledger(folder / "dead.sqlite") as left:
        buy(left, "bought")
        buy(left, "lost", settled=False)
    with branching(shared, folder), Branch(folder / "a.sqlite", shared) as branch:
        assert set(branch.find(["bought", "lost"])) == {"bought"}
    assert "1 call was in flight" in caplog.text and "about lost, by a worker at" in caplog.text


@pytest.fixture
def worker(data, tmp_path):
    """Return `worker(generator, fallback=None, ledger=None)`, in this process and without Ray."""
    blocks.block_file(tmp_path, 0).parent.mkdir()

    def make(seke, fallback=None, ledger=None, workers=2):
        job = Job(packed((seke, fallback)), data.folder / "images", tmp_path, ledger, workers, Path.cwd())
        return Worker(job, "a")

    return make


def ask(worker, records, first=0):
    told = worker({"first": first, "records": ray_engine._text(records)})
    return Report(**json.loads(told["report"]))


def test_a_copy_of_a_generator_starts_with_empty_caches(data, make_seke, worker):
    seke = make_seke()
    list(seke.generate(data.faces[:4]))
    assert seke._asked_lines.cache_info().currsize
    copied = worker(seke).generator
    assert copied._asked_lines.cache_info()[2:] == (1024, 0)
    assert copied._asked_lines.__wrapped__.__self__ is copied


def test_a_worker_that_is_told_to_stop_asks_nothing(data, make_seke, worker, tmp_path):
    at_work = worker(make_seke())
    (tmp_path / blocks.FOLDER / STOP).touch()
    assert ask(at_work, data.records[:3]).stopped[0] == "Halted"
    with pytest.raises(Halted):
        list(at_work.generator.generate(data.faces[:3]))
    assert blocks.waiting(tmp_path) == []


def test_a_worker_stops_the_others_when_its_share_of_the_budget_is_spent(data, make_seke, worker, tmp_path):
    with running() as server:
        meter = Metered(openai(server, "unused"), Budget(tokens=8000))
        meter.spent.tokens_at_most = 2000
        at_work = worker(make_seke(meter), ledger=shared(tmp_path))
        report = ask(at_work, data.records)
        at_work.generator.vlm.vlm.vlm.close()
    assert report.stopped[0] == "Paused" and "budget.tokens=3000 is spent" in report.stopped[1]
    assert 0 < Spent(*report.spent).tokens_at_most <= 3000
    assert (tmp_path / blocks.FOLDER / STOP).exists()


def shared(tmp_path):
    Ledger(tmp_path / "shared.sqlite").close()
    return tmp_path / "shared.sqlite"


def test_a_mistake_and_a_failure_in_a_worker_are_told(data, make_seke, worker, tmp_path):
    at_work = worker(make_seke())
    del at_work.generator.prompts
    report = ask(at_work, data.records[:2])
    assert report.records == 0 and report.stopped[0] == "Exception" and "AttributeError" in report.stopped[1]
    with pytest.raises(RuntimeError, match="AttributeError"):
        raise ray_engine._exception(2, *report.stopped)
    line = "backend.model=x: no such model; choose another"
    with pytest.raises(UserError) as caught:
        raise ray_engine._exception(2, "UserError", line)
    assert str(caught.value) == line


def test_two_ledgers_are_refused(make_seke, tmp_path):
    first, second = (make_seke(openai("http://localhost:1/v1", tmp_path / name)) for name in ("a", "b"))
    with pytest.raises(UserError, match="the fallback keeps another"):
        ray_engine.annotate([], tmp_path, first, tmp_path, 4, 2, fallback=second)


def test_without_ray_the_user_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"engine=ray: Ray is not installed; pip install -e '\.\[ray\]'"):
        ray_engine.require()


@pytest.mark.slow
def test_two_workers_make_the_same_dataset(data, make_seke, tmp_path):
    with missing_image(data, 9):
        expected = locally(data, make_seke(), tmp_path / "local")
        rows: list[dict] = []
        assert by_ray(data, make_seke(), tmp_path / "ray", log_row=rows.append) == expected
    assert sorted(path.name for path in (tmp_path / "ray").iterdir()) == sorted(
        path.name for path in (tmp_path / "local").iterdir() if path.name != "unanswered.md"
    )
    assert [row["records"] for row in rows] == list(range(4, 41, 4))
    assert sum(row["rejected_in_chunk"] for row in rows) == 1


@pytest.mark.slow
def test_what_is_finished_is_not_asked_again_by_another_engine_or_chunk(data, make_seke, annotator, tmp_path):
    expected = locally(data, make_seke(), tmp_path / "local")
    lines = (tmp_path / "local" / progress.PROGRESS).read_text().splitlines()
    folder = tmp_path / "ray"
    folder.mkdir()
    marked = [line.replace('"seconds": ', '"seconds": 77') for line in lines]
    (folder / progress.PROGRESS).write_text("\n".join(marked[:6]) + "\n" + marked[6][:50])
    block(folder, 12, marked[12:19])
    assert by_ray(data, make_seke(), folder, chunk=5) == expected
    kept = [number for number, line in enumerate((folder / progress.PROGRESS).open()) if '"seconds": 77' in line]
    assert kept == [*range(6), *range(12, 19)]


@pytest.mark.slow
def test_workers_find_what_was_bought_and_give_back_what_they_buy(data, make_seke, tmp_path):
    with running() as server:
        expected = bought(data, make_seke, server, tmp_path / "local.sqlite", tmp_path / "local")
        once = server.bought.total()
        with Ledger(tmp_path / "shared.sqlite") as ledger, Ledger(tmp_path / "local.sqlite") as local:
            rows = local._submit(lambda db: db.execute("SELECT key, raw FROM replies").fetchall()).result()
            for key, raw in rows[::2]:
                ledger.done(key, raw, "gpt-test-2026-01-01", 1, 1).result()
        meter = Metered(openai(server, tmp_path / "shared.sqlite"))
        assert by_ray(data, make_seke(meter), tmp_path / "ray", meter=meter) == expected
        assert server.bought.total() == once + len(rows) // 2 == once + meter.spent.requests
        assert meter.spent.recalled == len(rows) - meter.spent.requests
        assert meter.spent.usd > 0
    with Ledger(tmp_path / "shared.sqlite") as ledger:
        assert ledger.totals()["gpt-test-2026-01-01"].calls == len(rows)
        assert ledger.unsettled() == []
    assert (tmp_path / "ray" / "progress.jsonl").is_file() and not list((tmp_path / "ray").glob("*/"))


@pytest.mark.slow
def test_a_spent_budget_stops_all_workers_and_the_next_run_goes_on(data, make_seke, annotator, tmp_path):
    expected = locally(data, make_seke(), tmp_path / "local")
    meter = Metered(annotator, Budget(tokens=40_000))
    with pytest.raises(Paused, match=r"one of 2 workers has used up its share: budget\.tokens=20000 is spent"):
        by_ray(data, make_seke(meter), tmp_path / "ray", meter=meter)
    assert meter.spent.tokens > 20_000
    assert 0 < (tmp_path / "ray" / progress.PROGRESS).read_text().count("\n") < len(data.records)
    assert by_ray(data, make_seke(), tmp_path / "ray") == expected


DRIVER = """
import sys
from pathlib import Path
import yaml
from seke.backends.openai import OpenAI
from seke.generation import progress, ray_engine
from seke.generation.seke import Seke
from seke.generation.stopping import uamc
from seke.prompts import Prompts

records, folder, url, ledger, prompts = sys.argv[1:]
records, folder = Path(records), Path(folder)
templates = yaml.safe_load(Path(prompts).read_text(encoding="utf-8"))["templates"]
annotator = OpenAI("gpt-test", url, ledger=ledger, concurrency=4, backoff=0.01, prices={"gpt-test": [2.0, 10.0]})
seke = Seke(annotator, uamc(5), Prompts(templates))
rows = progress.select(records, None, None)
ray_engine.annotate(rows, records.parent / "images", seke, folder, 2, 2)
progress.finish(folder / progress.PROGRESS, folder)
"""


@contextmanager
def driver(data, folder, url, ledger):
    folder.mkdir(exist_ok=True)
    prompts = ROOT / "conf" / "prompts" / "seke.yaml"
    arguments = [data.folder / "train.jsonl", folder, url, ledger, prompts]
    with (folder.parent / "driver.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, *map(str, arguments)], stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_until(true, process, seconds=60):
    deadline = time.monotonic() + seconds
    while not true():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl_c", "sigterm", "kill"])
def test_a_run_that_is_broken_off_goes_on_to_the_same_bytes(data, make_seke, tmp_path, end):
    with running(latency=0.02) as server:
        expected = bought(data, make_seke, server, tmp_path / "local.sqlite", tmp_path / "local")
        once = dict(server.bought)
        server.bought.clear()
        folder, ledger = tmp_path / "ray", tmp_path / "shared.sqlite"
        with driver(data, folder, server.url, ledger) as process:
            wait_until(lambda: server.bought.total() > 0.4 * sum(once.values()), process)
            if end == signal.SIGTERM:
                process.send_signal(end)  # as `kill` and `docker stop` do: Ray's own processes get none
            else:
                os.killpg(process.pid, end)  # as a terminal does: the whole group gets Ctrl-C
            process.wait(30)
        before = server.bought.total()
        assert before < 0.9 * sum(once.values())
        assert len(list(folder.glob("blocks/*.jsonl"))) + (folder / progress.PROGRESS).read_text().count("\n") > 2
        if end != signal.SIGKILL:
            assert not (folder / "ledgers").exists()
        with driver(data, folder, server.url, ledger) as process:
            assert process.wait(60) == 0, (tmp_path / "driver.log").read_text()
        assert content(folder) == expected
        again = sum(count - 1 for count in server.bought.values())
        assert set(server.bought) == set(once)
        assert again == 0 if end != signal.SIGKILL else again <= 8
    secret = b"sk-test-SECRET"
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_bytes()]


def test_the_other_engine_takes_over_from_a_killed_run(data, make_seke, tmp_path):
    folder, left = tmp_path / "ray", tmp_path / "ray" / "ledgers" / "dead.sqlite"
    with running() as server:
        expected = bought(data, make_seke, server, left, tmp_path / "local")
        once = server.bought.total()
        lines = (tmp_path / "local" / progress.PROGRESS).read_text().splitlines()
        block(folder, 0, lines[:4])
        block(folder, 8, lines[8:12])
        meter = Metered(openai(server, tmp_path / "shared.sqlite"))
        ray_engine.recover(folder, make_seke(meter), None)
        assert (folder / progress.PROGRESS).read_text().splitlines() == lines[:4]
        with meter:
            assert locally(data, make_seke(meter), folder) == expected
        assert server.bought.total() == once
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "local").iterdir())
