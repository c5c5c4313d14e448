"""Work on many images in several processes: results in the order of the jobs, whatever finishes first."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def mapped(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    """Yield work(job) for every job in order; one worker means this process."""
    if workers == 1:
        yield from map(work, jobs)
        return
    spawn = multiprocessing.get_context("spawn")
    # Ctrl-C reaches the workers as well; only the parent says so, once.
    with ProcessPoolExecutor(workers, spawn, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        yield from pool.map(work, jobs)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
