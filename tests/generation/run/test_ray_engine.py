"""engine=ray: several processes, and not one byte of difference; whatever stops them, nothing is lost or paid twice."""

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from seke.core.budget import Budget, Metered, Spent
from seke.core.errors import Paused, UserError
from seke.core.ledger import Ledger, Total
from seke.core.prompts import Prompts
from seke.core.records import to_line
from seke.core.vlm import Choice, Reply
from seke.generation.run import generate, journal, ray_engine
from seke.generation.run.worker_ledgers import Shard, ledger_of, recover, sharing
from seke.generation.seke.generator import Seke
from seke.generation.seke.stopping import uamc

from ...servers.openai_server import running

pytest.importorskip("ray", reason="Ray is missing: pip install -e '.[ray]'")
import ray

from seke.backends.openai.client import OpenAI
from seke.backends.simulated.faces import Simulated

ROOT = Path(__file__).resolve().parents[3]
FILES = ("instructions.jsonl", "rejected.jsonl", "draws.jsonl")
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers know nothing of the tests


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-SECRET")


def locally(data, seke, folder, **options):
    folder.mkdir(exist_ok=True)
    generate.generate(data.records, data.folder / "images", seke, folder, 7, **options)
    return content(folder)


def local_result(data, make_seke, server, ledger, folder):
    """What engine=local makes of this server's answers."""
    with Metered(openai(server, ledger)) as meter:
        return locally(data, make_seke(meter), folder)


def build(backend, budget, spent):
    """What generate.py makes of its settings."""
    templates = yaml.safe_load((ROOT / "conf" / "prompts" / "seke.yaml").read_text(encoding="utf-8"))["templates"]
    meter = Metered(backend(), budget, spent)
    return Seke(meter, uamc(5), Prompts(templates)), None, meter


def by_ray(data, backend, folder, chunk=4, workers=2, budget=None, **options):
    """Do what `python generate.py engine=ray` does, with what `backend` makes."""
    folder.mkdir(exist_ok=True)
    make = partial(build, backend)
    seke, _, meter = make(budget or Budget(), Spent())
    engine = ray_engine.engine("ray", workers, make)
    with meter:
        generate.generate(
            data.records, data.folder / "images", seke, folder, chunk, None, meter, engine=engine, **options
        )
    return content(folder), meter.spent


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


@pytest.fixture
def simulated(data):
    """Return what makes the simulated annotator anew."""
    settings = yaml.safe_load((ROOT / "conf" / "backend" / "simulated.yaml").read_text(encoding="utf-8"))
    plain = {key: value for key, value in settings.items() if key not in ("_target_", "truth")}
    return partial(Simulated, truth=str(data.folder / "truth.jsonl"), **plain)


def block(folder, first, lines):
    path = folder / journal.BLOCKS / f"{first:09}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def test_blocks_of_an_earlier_version_are_taken_over_as_far_as_they_follow_on(tmp_path):
    lines = tmp_path / "progress.jsonl"
    lines.write_text("0\n1\n2\n")
    block(tmp_path, 2, "2345")  # half of it was appended before a crash
    block(tmp_path, 6, "67")
    block(tmp_path, 9, "9")
    journal.take_over_blocks(tmp_path)
    assert lines.read_text().split() == list("01234567")
    assert not (tmp_path / journal.BLOCKS).exists()


def enter(ledger, key, settled=True):
    ledger.sent(key, f"about {key}").result()
    if settled:
        ledger.done(key, f"raw {key} \ud83d", "model", 3, 5).result()


def test_a_shard_finds_what_the_shared_ledger_holds_and_gives_its_own_back(tmp_path):
    shared, folder = tmp_path / "shared.sqlite", tmp_path / "ledgers"
    with Ledger(shared) as ledger:
        enter(ledger, "old")
    with sharing(shared, folder):
        with pytest.raises(UserError, match="in use"):
            Ledger(shared)
        with Shard(folder / "a.sqlite", shared) as one, Shard(folder / "b.sqlite", shared) as two:
            enter(one, "new")
            assert one.find(["old", "new", "none"]) == {"old": "raw old \ud83d", "new": "raw new \ud83d"}
            assert two.find(["old", "new"]) == {"old": "raw old \ud83d"}
            assert two.has_answered("about old") and not two.has_answered("about new")
    with Ledger(shared) as ledger:
        assert set(ledger.find(["old", "new"])) == {"old", "new"}
        assert ledger.unsettled() == []
    assert not folder.exists()


def test_calls_in_doubt_stay_in_doubt_until_they_are_settled(tmp_path):
    shared, folder = tmp_path / "shared.sqlite", tmp_path / "ledgers"
    with Ledger(shared) as ledger:
        enter(ledger, "lost", settled=False)
    with (
        sharing(shared, folder),
        Shard(folder / "a.sqlite", shared) as one,
        Shard(folder / "b.sqlite", shared) as two,
    ):
        enter(one, "lost")  # sent a second time
        enter(one, "both", settled=False)
        enter(two, "both")
        enter(two, "open", settled=False)
    with Ledger(shared) as ledger:
        [doubt] = ledger.unsettled()
        assert doubt.key == "open" and doubt.about.startswith("about open, by a worker at 20")
        assert ledger.totals() == {"model": Total(calls=2, input_tokens=6, output_tokens=10, resent=2)}


def test_what_a_killed_run_left_is_merged_and_told_when_the_next_begins(tmp_path, caplog):
    shared, folder = tmp_path / "shared.sqlite", tmp_path / "ledgers"
    with Ledger(folder / "dead.sqlite") as left:
        enter(left, "paid")
        enter(left, "lost", settled=False)
    with sharing(shared, folder), Shard(folder / "a.sqlite", shared) as shard:
        assert set(shard.find(["paid", "lost"])) == {"paid"}
    assert "1 call was in flight" in caplog.text and "about lost, by a worker at" in caplog.text


class Here:
    """`Control` in this process: what Ray would make of it for one worker."""

    def __init__(self, before=None):
        self.told, self.stopped, self.before = [], threading.Event(), before or Spent()
        for name in ("spent", "keep", "stop"):
            setattr(self, name, SimpleNamespace(remote=getattr(self, f"_{name}")))

    def _spent(self, worker):
        return lambda: self.before

    def _keep(self, worker, numbers):
        self.told.append(numbers)
        return lambda: None

    def _stop(self, wait=False):
        if not wait:
            self.stopped.set()
        return lambda: self.stopped.wait(30)


@pytest.fixture
def worker(data, tmp_path, monkeypatch):
    """Return `worker(build, budget=None, ledger=None, before=None)`, in this process."""
    monkeypatch.setattr(ray, "get", lambda ref: ref())
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_actor_id=lambda: "a"))
    controls = []

    def make(build, budget=None, ledger=None, before=None, lessons=()):
        controls.append(Here(before))
        places = (ledger, tmp_path, data.folder / "images", Path.cwd())
        return ray_engine.Worker(controls[-1], build, budget or Budget(), *places, None, lessons)

    yield make
    for control in controls:
        control.stopped.set()


def ask(worker, records):
    return pickle.loads(worker({"record": [to_line(record) for record in records]})["done"][0])


def stopped(worker):
    worker.control.stopped.set()
    worker.spent.stop.wait(5)


def test_a_worker_does_its_block_and_tells_what_it_spent(data, simulated, worker):
    at_work = worker(partial(build, simulated))
    done = ask(at_work, data.records[:3])
    assert [outcome.trace.id for outcome in done.outcomes] == [record.id for record in data.records[:3]]
    assert at_work.control.told[-1]["requests"] == sum(outcome.trace.requests for outcome in done.outcomes) > 3


def test_a_worker_learns_what_the_command_has_learnt(data, simulated, worker, tmp_path, monkeypatch):
    learnt = []
    monkeypatch.setattr(Seke, "learn", lambda self, records, opened, folder: learnt.append((records, folder)))
    lessons = [to_line(record) for record in data.records]
    ask(worker(partial(build, simulated), lessons=lessons), data.records[:1])
    assert learnt == [(data.records, tmp_path)]


def test_a_worker_that_is_told_to_stop_asks_nothing(data, simulated, worker):
    at_work = worker(partial(build, simulated))
    at_work.annotators  # noqa: B018
    stopped(at_work)
    assert ask(at_work, data.records[:3]) is None
    with pytest.raises(Paused, match="told to stop"):
        list(at_work.annotators[0].generate(data.faces[:3]))
    assert at_work.spent.requests == 0


def test_a_worker_stops_the_others_when_its_share_of_the_budget_is_spent(data, worker, tmp_path):
    with running() as server:
        ledger = tmp_path / "shared.sqlite"
        Ledger(ledger).close()
        before = Spent(tokens_at_most=1000)  # by its former self, which was lost
        at_work = worker(partial(build, partial(openai, server, ledger)), Budget(tokens=4000), ledger, before)
        done = ask(at_work, data.records)
        at_work.annotators[2].close()
    assert isinstance(done, Paused) and "budget.tokens=4000 is spent" in str(done)
    assert 1000 < at_work.spent.tokens_at_most <= 4000
    assert at_work.control.stopped.is_set() and at_work.control.told[-1] == at_work.spent.numbers()
    assert [path.name for path in (tmp_path / "ledgers").glob("*.sqlite")] == ["a.sqlite"]


def test_a_mistake_and_a_failure_in_a_worker_are_told(data, simulated, worker):
    def mistaken(budget, spent):
        raise UserError("backend.model", "x", "no such model", "choose another")

    done = ask(worker(mistaken), data.records[:2])
    assert isinstance(done, UserError) and str(done) == "backend.model=x: no such model; choose another"
    assert (done.value, done.problem) == ("x", "no such model")
    at_work = worker(partial(build, simulated))
    del at_work.annotators[0].prompts
    done = ask(at_work, data.records[:2])
    assert type(done) is RuntimeError and "AttributeError" in str(done)
    assert at_work.control.stopped.is_set()


class Silent:
    """A backend that leaves its last request without a reply."""

    def reply(self, requests):
        answered = list(requests)[:-1]
        yield from ((index, Reply((Choice("{}"),) * request.n, "m")) for index, request in enumerate(answered))


def test_a_backend_that_skips_a_reply_ends_a_worker_in_one_line(data, worker):
    done = ask(worker(partial(build, Silent)), data.records[:3])
    assert isinstance(done, UserError)
    assert str(done).startswith(f"backend={__name__}.Silent: gave no reply to request 2; yield one reply per request")


@pytest.mark.slow
def test_a_backend_that_skips_a_reply_ends_all_in_one_line(data, at_home, tmp_path):
    with pytest.raises(UserError, match=r"^backend=.*Silent: gave no reply to request \d; "):
        by_ray(data, Silent, tmp_path / "ray")


def test_control_knows_what_each_has_spent_and_all_together():
    async def talk():
        control = ray_engine.Control()
        for worker, requests in (("a", 1), ("a", 3), ("b", 2)):
            await control.keep(worker, Spent(requests=requests, usd=None if worker == "b" else 0.5).numbers())
        await control.stop()
        await control.stop(wait=True)
        return [await control.spent(worker) for worker in ("a", "b", "c", None)]

    one, other, none, both = asyncio.run(talk())
    assert (one.requests, other.requests, none, both.requests) == (3, 2, Spent(), 5)
    assert one.usd == 0.5 and both.usd is None


def test_two_ledgers_are_refused(tmp_path):
    meter = Metered(openai("http://localhost:1/v1", tmp_path / "a"))
    meter.other(openai("http://localhost:1/v1", tmp_path / "b"))
    with pytest.raises(UserError, match="another annotator of this run keeps another"):
        ledger_of(meter)


@pytest.mark.parametrize(("name", "workers", "line"), [("dask", None, "engine=dask: "), ("ray", 0, "workers=0: ")])
def test_an_engine_that_cannot_be_is_refused(name, workers, line):
    with pytest.raises(UserError, match=line):
        ray_engine.engine(name, workers, build)


def test_without_ray_the_user_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"engine=ray: Ray is not installed; pip install -e '\.\[ray\]'"):
        ray_engine.require()


@pytest.fixture(scope="module")
def at_home():
    """One Ray for the tests that need no other, as starting one takes seconds."""
    ray_engine.require()
    ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.mark.slow
def test_two_workers_make_the_same_dataset(data, make_seke, simulated, at_home, tmp_path):
    with missing_image(data, 9):
        expected = locally(data, make_seke(), tmp_path / "local")
        rows: list[dict] = []
        assert by_ray(data, simulated, tmp_path / "ray", log=rows.append)[0] == expected
    assert sorted(path.name for path in (tmp_path / "ray").iterdir()) == sorted(
        path.name for path in (tmp_path / "local").iterdir()
    )
    assert [row["records"] for row in rows] == list(range(4, 41, 4))
    assert sum(row["rejected_in_chunk"] for row in rows) == 1


@pytest.mark.slow
def test_what_is_finished_is_not_asked_again_by_another_engine_or_chunk(
    data, make_seke, simulated, at_home, tmp_path
):  # fmt: skip
    expected = locally(data, make_seke(), tmp_path / "local")
    lines = (tmp_path / "local" / journal.PROGRESS).read_text().splitlines()
    folder = tmp_path / "ray"
    folder.mkdir()
    marked = [line.replace('"seconds": ', '"seconds": 77') for line in lines]
    (folder / journal.PROGRESS).write_text("\n".join(marked[:6]) + "\n" + marked[6][:50])
    block(folder, 6, marked[6:13])
    assert by_ray(data, simulated, folder, chunk=5)[0] == expected
    kept = [number for number, line in enumerate((folder / journal.PROGRESS).open()) if '"seconds": 77' in line]
    assert kept == [*range(13)]


@pytest.mark.slow
def test_workers_find_what_was_paid_for_and_give_back_what_they_pay_for(data, make_seke, at_home, tmp_path):
    with running() as server:
        expected = local_result(data, make_seke, server, tmp_path / "local.sqlite", tmp_path / "local")
        once = server.paid.total()
        with Ledger(tmp_path / "shared.sqlite") as ledger, Ledger(tmp_path / "local.sqlite") as local:
            rows = local._submit(lambda db: db.execute("SELECT key, raw FROM replies").fetchall()).result()
            for key, raw in rows[::2]:
                ledger.done(key, raw, "gpt-test-2026-01-01", 1, 1).result()
        made, spent = by_ray(data, partial(openai, server.url, tmp_path / "shared.sqlite"), tmp_path / "ray")
        assert made == expected
        assert server.paid.total() == once + len(rows) // 2 == once + spent.requests
        assert spent.recalled == len(rows) - spent.requests
        assert spent.usd > 0
    with Ledger(tmp_path / "shared.sqlite") as ledger:
        assert ledger.totals()["gpt-test-2026-01-01"].calls == len(rows)
        assert ledger.unsettled() == []
    assert (tmp_path / "ray" / "progress.jsonl").is_file() and not list((tmp_path / "ray").glob("*/"))


@pytest.mark.slow
def test_a_spent_budget_stops_all_workers_and_the_next_run_goes_on(data, make_seke, simulated, at_home, tmp_path):
    expected = locally(data, make_seke(), tmp_path / "local")
    with pytest.raises(Paused, match=r"one of 2 workers has used up its share: budget\.tokens=20000 is spent"):
        by_ray(data, simulated, tmp_path / "ray", budget=Budget(tokens=40_000))
    assert 0 < (tmp_path / "ray" / journal.PROGRESS).read_text().count("\n") < len(data.records)
    assert by_ray(data, simulated, tmp_path / "ray")[0] == expected


@pytest.mark.slow
def test_the_first_chunk_that_brings_nothing_stops_all(data, at_home, tmp_path):
    with running(flaws={"refusal": 1.0}) as server, pytest.raises(UserError, match="brought no instruction"):
        by_ray(data, partial(openai, server.url, tmp_path / "shared.sqlite"), tmp_path / "ray", chunk=20)
    assert not (tmp_path / "ray" / "ledgers").exists()


DRIVER = """
import sys
from pathlib import Path
import yaml
from seke.cli import interrupts
from seke.backends.openai.client import OpenAI
from seke.generation.run import generate as generation, ray_engine
from seke.generation.seke.generator import Seke
from seke.generation.seke.stopping import uamc
from seke.core.budget import Budget, Metered, Spent
from seke.core.prompts import Prompts

records, folder, url, ledger, prompts = sys.argv[1:]
records, folder = Path(records), Path(folder)
templates = yaml.safe_load(Path(prompts).read_text(encoding="utf-8"))["templates"]

def build(budget, spent):
    settings = {"concurrency": 4, "backoff": 0.01, "prices": {"gpt-test": [2.0, 10.0]}}
    meter = Metered(OpenAI("gpt-test", url, ledger=ledger, **settings), budget, spent)
    return Seke(meter, uamc(5), Prompts(templates)), None, meter

interrupts.listen()
seke, _, meter = build(Budget(), Spent())
rows = generation.select(records, None, None)
engine = ray_engine.engine("ray", 2, build)
generation.generate(rows, records.parent / "images", seke, folder, 2, None, meter, engine=engine)
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


def wait_until(true, process, seconds=300):
    deadline = time.monotonic() + seconds
    while not true():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl_c", "sigterm", "kill"])
def test_a_run_that_is_broken_off_goes_on_to_the_same_bytes(data, make_seke, tmp_path, end):
    with running(latency=0.02) as server:
        expected = local_result(data, make_seke, server, tmp_path / "local.sqlite", tmp_path / "local")
        once = dict(server.paid)
        server.paid.clear()
        folder, ledger = tmp_path / "ray", tmp_path / "shared.sqlite"
        with driver(data, folder, server.url, ledger) as process:
            wait_until(lambda: server.paid.total() > 0.4 * sum(once.values()), process)
            if end == signal.SIGTERM:
                process.send_signal(end)  # as `kill` and `docker stop` do: Ray's own processes get none
            else:
                os.killpg(process.pid, end)  # as a terminal does: the whole group gets Ctrl-C
            process.wait(300)
        before = server.paid.total()
        assert before < 0.9 * sum(once.values())
        assert (folder / journal.PROGRESS).read_text().count("\n") > 2
        if end != signal.SIGKILL:
            assert not (folder / "ledgers").exists()
        with driver(data, folder, server.url, ledger) as process:
            assert process.wait(300) == 0, (tmp_path / "driver.log").read_text()
        assert content(folder) == expected
        again = sum(count - 1 for count in server.paid.values())
        assert set(server.paid) == set(once)
        assert again == 0 if end != signal.SIGKILL else again <= 8
    secret = b"sk-test-SECRET"
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_bytes()]


def command(data, server, folder, name, *words):
    """The command line of one run, with records and pictures of `data`."""
    arguments = ("backend=openai", "backend.model=gpt-test", f"backend.base_url={server.url}", "backend.backoff=0.01")
    places = (f"records={data.folder / 'train.jsonl'}", f"paths.images={data.folder / 'images'}")
    return [*places, f"paths.outputs={folder}", f"name={name}", "chunk=2", "backend.concurrency=4", *arguments, *words]


def told(path):
    with suppress(OSError, ValueError):
        return int(path.read_text())


@pytest.mark.slow
def test_a_machine_that_dies_loses_nothing_and_pays_for_nothing_twice_but_what_was_in_flight(data, cli, tmp_path):
    from ray.cluster_utils import Cluster

    with running(latency=0.05) as server:
        done = cli("generate", *command(data, server, tmp_path / "local", "it"))
        assert done.returncode == 0, done.stderr
        once = dict(server.paid)
        server.paid.clear()
        folder = tmp_path / "ray" / "generate" / "it"
        alert = {"health_check_period_ms": 500, "health_check_failure_threshold": 3, "health_check_initial_delay_ms": 0}
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": alert})
        try:
            other = cluster.add_node(num_cpus=1)
            words = command(data, server, tmp_path / "ray", "it", "engine=ray")  # as many workers as cores: two
            with (tmp_path / "log").open("wb") as output, subprocess.Popen(
                [sys.executable, str(ROOT / "generate.py"), *words], stdout=output, stderr=output, cwd=ROOT,
                env={**os.environ, "RAY_ADDRESS": cluster.address},
            ) as process:  # fmt: skip
                wait_until(lambda: server.paid.total() > 0.3 * sum(once.values()), process)
                before = {path: told(path) for path in folder.glob("ledgers/*.pid")}
                cluster.remove_node(other, allow_graceful=False)
                wait_until(lambda: any(told(path) not in (pid, None) for path, pid in before.items()), process)
                assert process.wait(120) == 0, (tmp_path / "log").read_text()
        finally:
            cluster.shutdown()
        assert len(before) == 2
        assert set(server.paid) == set(once)
        assert sum(count - 1 for count in server.paid.values()) <= 4
    names = (*FILES, "unanswered.md")
    [local] = (tmp_path / "local" / "generate").glob("*/")
    assert [(folder / name).read_bytes() for name in names] == [(local / name).read_bytes() for name in names]
    assert not (folder / "ledgers").exists()
    with Ledger(tmp_path / "ray" / "ledger.sqlite") as ledger:
        assert [total.calls for total in ledger.totals().values()] == [len(once)]


@pytest.mark.slow
def test_a_key_that_is_refused_ends_all_in_one_line(data, cli, tmp_path):
    with running(faults={"401": 1.0}, echo_key=True) as server:
        done = cli("generate", *command(data, server, tmp_path, "it", "engine=ray", "workers=2"))
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] == [done.stderr.splitlines()[-1]]
    assert "Traceback" not in done.stderr and "sk-test-SECRET" not in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"sk-test-SECRET" in path.read_bytes()]


def test_a_dry_run_asks_nobody_and_starts_no_ray(data, cli, tmp_path):
    with running() as server:
        done = cli("generate", *command(data, server, tmp_path, "it", "engine=ray", "dry_run=true"))
        assert done.returncode == 0 and done.stdout.startswith("40 records; nothing was asked"), done.stderr
        assert not server.paid and not list(tmp_path.iterdir())


def test_the_other_engine_takes_over_from_a_killed_run(data, make_seke, tmp_path):
    folder, left = tmp_path / "ray", tmp_path / "ray" / "ledgers" / "dead.sqlite"
    with running() as server:
        expected = local_result(data, make_seke, server, left, tmp_path / "local")
        once = server.paid.total()
        lines = (tmp_path / "local" / journal.PROGRESS).read_text().splitlines()
        block(folder, 0, lines[:4])
        block(folder, 8, lines[8:12])
        meter = Metered(openai(server, tmp_path / "shared.sqlite"))
        recover(folder, meter)
        journal.take_over_blocks(folder)
        assert (folder / journal.PROGRESS).read_text().splitlines() == lines[:4]
        with meter:
            assert locally(data, make_seke(meter), folder) == expected
        assert server.paid.total() == once
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "local").iterdir())
