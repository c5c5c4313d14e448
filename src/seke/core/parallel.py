"""Parallel map over several processes: results in the order of the jobs, whichever finishes first."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def parallel_map(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int, chunksize: int = 1
) -> Iterator[Result]:
    """Yield work(job) for every job in order; one worker means this process.

    `chunksize`: jobs handed to a process at a time.
    """
    if workers == 1:
        yield from map(work, jobs)
        return
    spawn = multiprocessing.get_context("spawn")
    # Ctrl-C reaches the workers as well; only the parent says so, once.
    with ProcessPoolExecutor(workers, spawn, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        yield from pool.map(work, jobs, chunksize=chunksize)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
