"""What the benchmarks share: rounds by turns, processes of their own, facts of the machine, a table, and targets.

Each bench_*.py measures ours beside the obvious alternative in one run. It prints a Markdown table for BENCHMARKS.md,
the same as a line of JSON, and what its targets say; it exits with 1 where one is missed.
"""

import argparse
import json
import math
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

ROOT = Path(__file__).resolve().parent.parent
LOAD = os.getloadavg()[0]
"""The machine's before the benchmark added its own."""
K, T = TypeVar("K"), TypeVar("T")


class Cost(NamedTuple):
    """What a piece of work took, and what it returned."""

    seconds: float
    processor: float
    """Seconds of this process' own work, in all its threads: what the clock would say on an idle machine."""
    result: Any = None


class Target(NamedTuple):
    """What was measured, and the least or the most that it should be."""

    what: str
    measured: float
    least: float = -math.inf
    most: float = math.inf

    @property
    def met(self) -> bool:
        """Whether it is within its bounds.

        >>> Target("times as fast", 1.4, least=1.5).met
        False
        """
        return self.least <= self.measured <= self.most

    def __str__(self) -> str:
        bound = f"at most {self.most:g}" if self.least == -math.inf else f"at least {self.least:g}"
        return f"{self.what}: {self.measured:,.4g} ({bound}): {'met' if self.met else 'MISSED'}"


def options(about: str | None, rounds: int | None = 3) -> argparse.ArgumentParser:
    """Return a parser whose help is the benchmark's docstring; it takes --rounds unless that is None."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    if rounds:
        parser.add_argument("--rounds", type=int, default=rounds, help="measurements of each way; medians count")
    return parser


def cost(work: Callable[[], Any]) -> Cost:
    """Do the work once."""
    start, busy = time.perf_counter(), time.process_time()
    result = work()
    return Cost(time.perf_counter() - start, time.process_time() - busy, result)


def by_turns(ways: Mapping[K, Callable[[], T]], rounds: int) -> dict[K, list[T]]:
    """Measure every way in every round, so that whatever else the machine does meets all."""
    measured: dict[K, list[T]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            measured[name].append(way())
    return measured


def apart(work: Callable[..., T], *arguments: Any, **environment: str) -> T:
    """Return `work(*arguments)` of a process of its own, which has `environment` from its start."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _start_as_usual) as pool:
            return pool.submit(work, *arguments).result()
    finally:
        os.environ.clear()
        os.environ.update(before)


def _start_as_usual() -> None:
    """Let a spawned process start its own, such as data workers, as any other does."""
    multiprocessing.set_start_method(None, force=True)


def threads(number: int) -> dict[str, str]:
    """Return the environment of a training: threads that wait without spinning lose less where other programs run."""
    return {"OMP_NUM_THREADS": str(number), "OMP_WAIT_POLICY": "passive", "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1"}  # fmt: skip


def peak() -> float:
    """Return the most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)


def times(base: Iterable[float], ours: Iterable[float]) -> float:
    """Return the median over rounds of base / ours: a machine that slows down slows both.

    >>> times([2.0, 20.0, 4.0], [1.0, 10.0, 2.0])
    2.0
    """
    return statistics.median(other / own for other, own in zip(base, ours, strict=True))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; numbers are given three to four digits.

    >>> print(table(["way", "per s"], [["seke", 1234.5]]))
    | way | per s |
    |---|---:|
    | seke | 1,234 |
    """
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *([*map(_cell, row)] for row in rows)]
    return "\n".join(f"|{'|'.join(line)}|" if line is lines[1] else f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def tell(about: str, head: Sequence[str], rows: Sequence[Sequence[object]], targets: Sequence[Target]) -> int:
    """Print what was measured, on what machine, and whether targets are met; return the exit code."""
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    loads = f"{LOAD:.1f} before, {os.getloadavg()[0]:.1f} after"
    print(f"{about}; {machine}; load {loads}", table(head, rows), sep="\n")
    told = [dict(zip(head, row, strict=True)) for row in rows]
    held = [{"what": target.what, "measured": target.measured, "met": target.met} for target in targets]
    print(json.dumps({"about": about, "machine": machine, "load": loads, "rows": told, "targets": held}))
    if not targets:
        return 0
    met = all(target.met for target in targets)
    print(*targets, "targets met" if met else "TARGET MISSED", sep="\n")
    return 0 if met else 1
