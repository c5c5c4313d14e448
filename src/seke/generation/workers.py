"""One of several workers: its own copy of the generator, its own ledger, one block of records after the other.

What Ray runs in each of its processes (`ray_engine`); nothing here but the pickle and the actor's name is Ray's.
"""

import io
import json
import os
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from functools import _lru_cache_wrapper, lru_cache
from pathlib import Path
from types import MethodType
from typing import Any, NamedTuple

from seke.errors import Paused, UserError
from seke.generation import blocks, progress
from seke.generation.branches import Branch
from seke.generation.outcome import Generator
from seke.money import Metered, Spent
from seke.records import ImageRecord, Rejection
from seke.vlm import VLM, Reply, Request

LEDGERS, STOP = "ledgers", "stop"


class Halted(Paused):
    """Raised in a worker that was told to stop."""


class Job(NamedTuple):
    """What every worker is given."""

    packed: bytes
    """The generator and its fallback, with nothing opened."""
    image_root: Path
    folder: Path
    ledger: Path | None
    """The ledger of all runs, where the annotators keep one."""
    workers: int
    home: Path
    """The directory that relative paths in the settings start from."""


class Report(NamedTuple):
    """What a worker says of one block."""

    records: int = 0
    """How many it finished: all or none."""
    rejected: int = 0
    spent: Sequence[Any] = astuple(Spent())
    """On this block; the fields of `Spent`."""
    stopped: Sequence[str] = ()
    """Kind of the exception, and its message, where the block was not finished."""


class Worker:
    """Works through blocks with its own copy of the generator and its own ledger: the state of one Ray actor.

    `name` stays the same where Ray has to start a worker anew, which then finds what it has bought before.
    """

    def __init__(self, job: Job, name: str | None = None) -> None:
        from ray import cloudpickle

        os.chdir(job.home)
        self.job, self.stop, self.spent = job, job.folder / blocks.FOLDER / STOP, Spent()
        self.generator, self.fallback = cloudpickle.loads(job.packed)
        annotators = list(layers((self.generator, self.fallback)))
        self.meters = [layer for layer in annotators if isinstance(layer, Metered)]
        for meter in self.meters:
            meter.budget, meter.spent = meter.budget.share(meter.spent, job.workers), self.spent
        if job.ledger is not None:
            self.ledger = Branch(job.folder / LEDGERS / f"{name or _actor()}.sqlite", job.ledger)
            for layer in annotators:
                if hasattr(layer, "ledger"):
                    layer.ledger = self.ledger
        for generator in (self.generator, self.fallback):
            if generator is not None:
                generator.vlm = Halting(generator.vlm, self.stop)

    def __call__(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Work through one block and say how it went, as JSON; also of an exception, which Ray would wrap and log."""
        before = astuple(self.spent)
        try:
            report = self.work(int(row["first"]), str(row["records"]))
        except Exception as error:
            self.stop.touch()
            kind = next(kind for kind in (Halted, Paused, UserError, Exception) if isinstance(error, kind))
            report = Report(stopped=(kind.__name__, traceback.format_exc() if kind is Exception else str(error)))
        spent = [None if now is None else now - then for now, then in zip(astuple(self.spent), before, strict=True)]
        return {"report": json.dumps({**report._asdict(), "spent": spent})}

    def work(self, first: int, lines: str) -> Report:
        """Finish the block of these records, the first of which is number `first`, and make it durable."""
        if self.stop.exists():
            raise Halted
        for meter in self.meters:
            meter.pause_if_spent()
        records = [ImageRecord.model_validate_json(line) for line in io.StringIO(lines)]
        began = time.perf_counter()
        outcomes = list(progress.outcomes(records, self.job.image_root, self.generator, self.fallback))
        path = blocks.block_file(self.job.folder, first)
        part = path.with_suffix(".part")
        with part.open("w", encoding="utf-8") as file:
            progress.append(file, outcomes, (time.perf_counter() - began) / len(records))
        part.replace(path)
        return Report(len(records), sum(isinstance(outcome.row, Rejection) for outcome in outcomes))


class Halting:
    """A `VLM` that asks nothing more once there is a file `stop`."""

    def __init__(self, vlm: VLM, stop: Path) -> None:
        self.vlm, self.stop = vlm, stop

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield the replies of the annotator.

        Raises:
            Halted: when told to stop, after all that were under way have come in.
        """
        held_back = False

        def allowed() -> Iterator[Request]:
            nonlocal held_back
            for request in requests:
                if self.stop.exists():
                    held_back = True
                    return
                yield request

        yield from self.vlm.reply(allowed())
        if held_back:
            raise Halted


def layers(generators: Iterable[Any]) -> Iterator[Any]:
    """Yield the generators' annotators and captioners, and the ones that these wrap."""
    for holder in (each for generator in generators for each in (generator, getattr(generator, "captioner", None))):
        layer = getattr(holder, "vlm", None)
        while layer is not None:
            yield layer
            layer = getattr(layer, "vlm", None)


def packed(generators: tuple[Generator, Generator | None]) -> bytes:
    """Pickle generators: their rules are closures, so it takes Ray's pickle, and their methods' caches go empty."""
    from ray import cloudpickle

    base: Any = cloudpickle.Pickler

    class Pickler(base):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, _lru_cache_wrapper) and isinstance(obj.__wrapped__, MethodType):
                return _cached, (obj.__wrapped__, obj.cache_parameters())
            return super().reducer_override(obj)

    file = io.BytesIO()
    Pickler(file).dump(generators)
    return file.getvalue()


def _cached(method: MethodType, settings: Mapping[str, Any]) -> Any:
    return lru_cache(**settings)(method)


def _actor() -> str:
    import ray

    return str(ray.get_runtime_context().get_actor_id())
