"""engine=ray: the same generator over blocks of records, in several processes of a Ray on this machine.

    records -> [ missing blocks -> Worker -> blocks/<first record>.jsonl ] -> progress.jsonl, in the records' order

    <run>/blocks/           finished blocks that wait for those before them (`blocks`)
    <run>/blocks/stop       tells the workers to hold back their next request
    <run>/ledgers/          what each worker buys, until it is merged into the ledger of all runs (`branches`)

A record's outcome depends on nothing but itself, so the result files do not depend on who worked on what, nor on when;
an interrupted run may go on with the other engine, another chunk or other workers. Ctrl-C, SIGTERM, a budget and a
mistake all end in the same way: what is in flight comes in, and nothing more is asked.
"""

import json
import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

from seke import interrupts
from seke.errors import Paused, UserError
from seke.generation import blocks, progress
from seke.generation.branches import branching, gather
from seke.generation.outcome import Generator
from seke.generation.workers import LEDGERS, STOP, Halted, Job, Report, Worker, layers, packed
from seke.ledger import Ledger
from seke.money import Metered, Spent
from seke.records import ImageRecord, to_line

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # despite its name it holds everywhere: listen on localhost only
}
"""What Ray reads from the environment when it is imported; what the user has set stays."""

log = logging.getLogger(__name__)


class Relayed(UserError):
    """A worker's UserError, by its line."""

    def __init__(self, line: str) -> None:
        ValueError.__init__(self, line)


def require() -> Any:
    """Return the package `ray`.

    Raises:
        UserError: if it is not installed.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError:
        raise UserError("engine", "ray", "Ray is not installed", "pip install -e '.[ray]'") from None
    return ray


def annotate(
    records: list[ImageRecord], image_root: Path, generator: Generator, folder: Path, chunk: int, workers: int,
    fallback: Generator | None = None, meter: Metered | None = None, log_row: progress.Log | None = None,
) -> None:  # fmt: skip
    """Append to progress.jsonl what is missing there, as `progress.generate` does, with `workers` processes.

    `generator` has learnt what it needs. Its annotator is closed here, as each worker opens its own. What is left of
    the meter's budget is shared out evenly.

    Raises:
        Paused: when a worker has used up its share of the budget; finished blocks are kept.
        UserError: if Ray is not installed, or what a worker met.
    """
    ray = require()
    if workers < 1:
        raise UserError("workers", workers, "nobody to do the work", "set 1 or more")
    if meter is not None:
        meter.pause_if_spent()
    folder, lines = folder.resolve(), (folder / progress.PROGRESS).resolve()
    stop = folder / blocks.FOLDER / STOP
    stop.parent.mkdir(exist_ok=True)
    stop.unlink(missing_ok=True)
    done = blocks.append(folder, lines, progress.whole_rows(lines))
    missing = blocks.missing(folder, done, len(records), chunk)
    finished = len(records) - sum(map(len, missing))
    ledger = _closed((generator, fallback))
    job = Job(packed((generator, fallback)), image_root.resolve(), folder, ledger, workers, Path.cwd())
    rows = [{"first": block.start, "records": _text(records[block.start : block.stop])} for block in missing]
    stopped: list[Sequence[str]] = []
    with (
        branching(ledger, folder / LEDGERS) if ledger else nullcontext(),
        _local_ray(ray, workers) if rows else nullcontext(),
        _interruptible(stop) as interrupted,
        tqdm(total=len(records), initial=finished, unit=" records", desc="generate", mininterval=0.5, delay=0.5) as bar,
    ):
        for report in _reports(ray, rows, job):
            done = blocks.append(folder, lines, done)
            finished += report.records
            if report.stopped:
                stopped.append(report.stopped)
            if meter is not None:
                meter.spent.plus(Spent(*report.spent))
                bar.set_postfix_str(meter.spent.line(), refresh=False)
            bar.update(report.records)
            if log_row is not None and report.records:
                told = {"records": finished, "rejected_in_chunk": report.rejected}
                log_row({**told, **(meter.spent.row() if meter else {})})
    if interrupted:
        raise interrupts.Interrupted(interrupted[0])
    if stopped:
        raise _exception(workers, *min(stopped, key=lambda reason: reason[0] == Halted.__name__))
    done = blocks.append(folder, lines, done)
    assert done == len(records), f"{len(records) - done} records are missing, though all blocks are done"
    shutil.rmtree(stop.parent)


def recover(folder: Path, *generators: Generator | None) -> None:
    """Take in what an interrupted run with this engine left in `folder`, so that engine=local can go on with it.

    Blocks after a gap are given up: their records are worked on again, with replies from the ledger. Needs no Ray.
    """
    ledger, branches = _closed(generators), folder / LEDGERS
    if ledger is not None and branches.is_dir():
        with Ledger(ledger) as trunk:
            gather(trunk, branches)
    if (folder / blocks.FOLDER).is_dir():
        lines = folder / progress.PROGRESS
        blocks.append(folder, lines, progress.whole_rows(lines))
        shutil.rmtree(folder / blocks.FOLDER)


def _closed(generators: Iterable[Any]) -> Path | None:
    """Close what the annotators have open; return the ledger that they keep, where they do."""
    ledgers = set()
    for layer in layers(generators):
        if callable(close := getattr(layer, "close", None)):
            close()
        if isinstance(path := getattr(layer, "ledger", None), str | Path):
            ledgers.add(Path(path).absolute())
    if len(ledgers) > 1:
        first, *others = sorted(map(str, ledgers))
        raise UserError("backend.ledger", first, f"the fallback keeps another, {others[0]}", "give both the same")
    return ledgers.pop() if ledgers else None


def _text(records: Iterable[ImageRecord]) -> str:
    return "".join(to_line(record) + "\n" for record in records)


@contextmanager
def _local_ray(ray: Any, workers: int) -> Iterator[None]:
    """Run a Ray of its own on this machine, which leaves nothing behind."""
    # In /tmp, since the paths of its sockets may not grow longer than about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as scratch:
        try:
            ray.init(
                address="local", num_cpus=workers, include_dashboard=False, logging_level=logging.ERROR,
                _temp_dir=scratch,
            )  # fmt: skip
            logging.getLogger("ray.data").setLevel(logging.ERROR)
            ray.data.DataContext.get_current().enable_progress_bars = False
            yield
        finally:
            ray.shutdown()


def _reports(ray: Any, rows: Sequence[Mapping[str, Any]], job: Job) -> Iterator[Report]:
    """Run the pipeline: one row a block, each worker at one block at a time; yield reports as blocks are finished."""
    if not rows:
        return
    workers = min(job.workers, len(rows))
    gpus = ray.cluster_resources().get("GPU", 0.0)
    pipeline = ray.data.from_items(list(rows), override_num_blocks=len(rows)).map(
        Worker, fn_constructor_args=(job,), num_cpus=1, num_gpus=min(gpus / workers, 1.0) or None,
        compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
    )  # fmt: skip
    for row in pipeline.iter_rows():
        yield Report(**json.loads(row["report"]))


@contextmanager
def _interruptible(stop: Path) -> Iterator[list[int]]:
    """Have the first signal make the file `stop`, and a second one break off; what is yielded tells of the first."""
    interrupted: list[int] = []

    def handle(signum: int, frame: FrameType | None) -> None:
        if interrupted:
            raise interrupts.Interrupted(signum)
        interrupted.append(signum)
        stop.touch()
        log.warning("waiting for what the workers have in flight; Ctrl-C drops it")

    if threading.current_thread() is not threading.main_thread():  # which alone may say what a signal does
        yield interrupted
        return
    before = {number: signal.signal(number, handle) for number in interrupts.heeded()}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exception(workers: int, kind: str, message: str) -> Exception:
    if kind == UserError.__name__:
        return Relayed(message)
    if kind == Paused.__name__:
        return Paused(f"one of {workers} workers has used up its share: {message}")
    return Halted("told to stop") if kind == Halted.__name__ else RuntimeError(f"a worker failed:\n{message}")
