"""engine=ray: the same work by several processes, on this machine or on a cluster, as a pipeline of Ray Data.

    records that progress.jsonl lacks -> from_items, a block a chunk -> map_batches(Worker) -> chunks, in their order

Every worker is an actor that builds its annotators from the settings and writes its replies into a ledger shard of its
own (`worker_ledgers`); progress.jsonl is the checkpoint. If a machine is lost, Ray starts its workers anew elsewhere
and repeats what they had in hand, with the replies that their shards hold. RAY_ADDRESS names a cluster, whose machines
have this program, outputs and pictures under the same paths, and OPENAI_API_KEY; without it, Ray runs on this machine.
"""

import asyncio
import logging
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Generator as Stream
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from seke.core import current_run
from seke.core.budget import STOPPED, Budget, Metered, Spent
from seke.core.errors import Paused, UserError
from seke.core.records import ImageRecord, to_line
from seke.core.vlm import Recording, Reply
from seke.generation.calibration import pilot
from seke.generation.outcome import Generator, OfVideos
from seke.generation.run import generate
from seke.generation.run.generate import Chunk, Work
from seke.generation.run.worker_ledgers import LEDGERS, Shard, ledger_of, sharing

Build = Callable[[Budget, Spent], tuple[Generator, Generator | None, Metered]]
"""Makes the generator, its fallback and the meter of both from the settings; it crosses to other machines."""
END = object()


class Control:
    """An actor beside the driver: tells the workers to stop, and what one that is started anew has spent before."""

    def __init__(self) -> None:
        self._stopped, self._spent = asyncio.Event(), dict[str, Spent]()

    async def stop(self, wait: bool = False) -> None:
        """Have the workers ask nothing more; `wait`: until they are to do so."""
        if not wait:
            self._stopped.set()
        await self._stopped.wait()

    async def keep(self, worker: str, numbers: Mapping[str, Any]) -> None:
        """Take note of all that a worker has spent."""
        self._spent[worker] = Spent(**numbers)

    async def spent(self, worker: str | None = None) -> Spent:
        """Return what a worker has spent; None: what all have."""
        total = Spent()
        for name, spent in self._spent.items():
            if worker in (None, name):
                total.plus(spent)
        return total


class WorkerSpent(Spent):
    """What a worker has spent, which `keep` is told reply by reply; closed when all are to stop."""

    def __init__(self, before: Spent, keep: Callable[[Mapping[str, Any]], Any]) -> None:
        super().__init__(**before.numbers())
        self.keep, self.stop = keep, threading.Event()

    def add(self, reply: Reply) -> None:
        """Count a reply."""
        super().add(reply)
        self.keep(self.numbers())

    def closed(self) -> bool:
        """Whether all are to stop."""
        return self.stop.is_set()


class Worker:
    """An actor: `budget` is its share, `home` what relative paths start from, `lessons` all records if it learns."""

    def __init__(
        self,
        control: Any,
        build: Build,
        budget: Budget,
        ledger: Path | None,
        folder: Path,
        image_root: Path,
        home: Path,
        run: str | None,
        lessons: Sequence[str],
    ) -> None:
        import ray

        os.chdir(home)
        if run is not None:
            current_run.enter(run)
        self.control, self.get, self.name = control, ray.get, str(ray.get_runtime_context().get_actor_id())
        self.build, self.budget, self.lessons = build, budget, lessons
        self.ledger, self.folder, self.image_root = ledger, folder, image_root
        self.spent = WorkerSpent(ray.get(control.spent.remote(self.name)), partial(control.keep.remote, self.name))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(Exception):  # nobody is there any more who could tell
            self.get(self.control.stop.remote(wait=True))
        self.spent.stop.set()

    @cached_property
    def annotators(self) -> tuple[Generator, Generator | None, Metered]:
        """What `build` makes, ready for work; made with the first block, so that a mistake is told as any other."""
        generator, fallback, meter = self.build(self.budget, self.spent)
        generate.connect(generator, fallback, meter)
        if self.ledger is not None:
            shard = Shard(self.folder / LEDGERS / f"{self.name}.sqlite", self.ledger)
            for backend in meter.backends:
                if isinstance(backend, Recording):
                    backend.ledger = shard
        if self.lessons:
            records = list(map(ImageRecord.model_validate_json, self.lessons))
            generator.learn(records, generate.opener(self.image_root), self.folder)
        return generator, fallback, meter

    def __call__(self, block: Mapping[str, Any]) -> dict[str, list[bytes]]:
        """Return a pickled `Chunk`; None if all are to stop; or an exception, for which Ray would end the others."""
        done: Chunk | Exception | None = None
        if not self.spent.closed():
            try:
                began, (generator, fallback, meter) = time.perf_counter(), self.annotators
                meter.pause_if_spent()
                records = list(map(ImageRecord.model_validate_json, block["record"]))
                found = list(generate.outcomes(records, self.image_root, generator, fallback))
                done = Chunk(found, time.perf_counter() - began)
            except (UserError, Paused) as error:
                done = error
            except Exception:
                done = RuntimeError(f"a worker failed:\n{traceback.format_exc()}")
            if not isinstance(done, Chunk):
                self.get(self.control.stop.remote())
            self.get(self.spent.keep(self.spent.numbers()))
        return {"done": [pickle.dumps(done)]}


def engine(name: str, workers: int | None, build: Build) -> generate.Engine:
    """Return the engine of this name; `workers` (None: one for every core) and `build` are for ray.

    Raises:
        UserError: if there is none, or Ray is not installed.
    """
    if name not in ("local", "ray"):
        raise UserError("engine", name, "no such engine", "set local or ray")
    if workers is not None and workers < 1:
        raise UserError("workers", workers, "nobody to do the work", "set 1 or more")
    return generate.local if name == "local" else partial(annotate, require(), build, workers)


def require() -> Any:
    """Return the package `ray`.

    Raises:
        UserError: if it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Despite its name this holds everywhere: listen on localhost only.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray.data
    except ImportError:
        raise UserError("engine", "ray", "Ray is not installed", "pip install -e '.[ray]'") from None
    return ray


def annotate(ray: Any, build: Build, workers: int | None, work: Work, done: int) -> Stream[Chunk]:
    """Work through the records from number `done` on; see `generate.Engine`. What is left to spend is shared evenly.

    A signal, a spent budget and a mistake end alike: what is in flight comes in, and nothing more is asked.

    Raises:
        Paused: when a worker has used up its share of the budget.
        UserError: what a worker met.
    """
    meter, folder = work.meter, work.folder.resolve()
    assert meter is not None, "workers count what they spend"
    if isinstance(work.generator, OfVideos) and work.generator.whole_videos:
        problem = "frames of a video inform each other, which workers that see parts of it cannot do"
        raise UserError("engine", "ray", problem, "leave it out, or set generator.smooth=false")
    if not (rows := [{"record": to_line(record)} for record in work.records[done:]]):
        return
    meter.pause_if_spent()
    ledger, blocks = ledger_of(meter), -(-len(rows) // work.chunk)
    learnt = (folder / pilot.FILE).is_file() or getattr(work.generator, "learns_from_records", False)
    lessons = [to_line(record) for record in work.pool or work.records] if learnt else []
    with sharing(ledger, folder / LEDGERS) if ledger else nullcontext(), _connected(ray, workers) as here:
        cpus, gpus = (ray.cluster_resources().get(kind, 0.0) for kind in ("CPU", "GPU"))
        size = min(workers or int(cpus), blocks)
        control = ray.remote(Control).options(num_cpus=0, scheduling_strategy=here).remote()
        share, places = meter.budget.share(meter.spent, size), (ledger, folder, work.image_root.resolve(), Path.cwd())
        pipeline = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
            Worker,
            batch_size=None,
            fn_constructor_args=(control, build, share, *places, current_run.run(), lessons),
            compute=ray.data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=1),
            # Of half the cores, so that the workers of a lost machine find room on the others.
            num_cpus=min(cpus / size, 1.0) / 2,
            num_gpus=min(gpus / size, 1.0) or None,
        )
        yield from _chunks(ray, pipeline, control, meter, size)


def _chunks(ray: Any, pipeline: Any, control: Any, meter: Metered, workers: int) -> Iterator[Chunk]:
    """Run the pipeline, keep `meter` up to date and yield the chunks, up to the first that is missing."""
    before, reasons, idle = replace(meter.spent), list[Any](), 0
    # In a thread of its own, so that a signal breaks off the wait for a block, and not the pipeline.
    rows, reader = (pickle.loads(row["done"]) for row in pipeline.iter_rows()), ThreadPoolExecutor(1)
    coming = reader.submit(next, rows, END)

    def received() -> Any:
        nonlocal coming
        awaited, coming = coming, reader.submit(next, rows, END)
        done = awaited.result()
        vars(meter.spent).update(before.numbers())
        meter.spent.plus(ray.get(control.spent.remote()))
        return done

    try:
        for done in iter(received, END):
            if not isinstance(done, Chunk):
                reasons.append(done)
                break
            yield done
    finally:
        ray.get(control.stop.remote())
        if isinstance(sys.exc_info()[1], KeyboardInterrupt):
            logging.getLogger(__name__).warning("waiting for what the workers have in flight; Ctrl-C drops it")
        # After as many blocks in a row as there are workers that nobody began, nothing is in flight any more.
        while idle < workers and (done := received()) is not END:
            idle = 0 if done else idle + 1
            reasons.append(done)
        reader.submit(rows.close)
        reader.shutdown()
    if errors := [reason for reason in reasons if isinstance(reason, Exception)]:
        error = next((error for error in errors if str(error) != STOPPED), errors[0])
        raise Paused(f"one of {workers} workers has used up its share: {error}") if isinstance(error, Paused) else error


@contextmanager
def _connected(ray: Any, workers: int | None) -> Iterator[Any]:
    """Join the cluster at RAY_ADDRESS, or run a Ray for this run alone; yield what keeps an actor on this machine."""
    joined, address, ended = ray.is_initialized(), os.environ.get("RAY_ADDRESS"), signal.getsignal(signal.SIGTERM)
    # In /tmp, since the paths of its sockets may not grow longer than about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as scratch:
        own = {"num_cpus": workers, "include_dashboard": False, "_temp_dir": scratch}
        try:
            if not joined:
                ray.init(address=address or "local", logging_level=logging.ERROR, **({} if address else own))
            if not joined and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, ended)  # Ray has taken it for itself
            settings = ray.data.DataContext.get_current()
            settings.enable_progress_bars, settings.execution_options.preserve_order = False, True
            logging.getLogger("ray.data").setLevel(logging.ERROR)
            node = ray.get_runtime_context().get_node_id()
            yield ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        except ConnectionError:
            remedy = "start one there with `ray start`, or unset it to work on this machine alone"
            raise UserError("RAY_ADDRESS", address, "no Ray answers there", remedy) from None
        finally:
            if not joined:
                ray.shutdown()
