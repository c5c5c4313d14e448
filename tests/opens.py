"""How often files are opened: an audit hook, which stays for good and so must be told when to look."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

counted: list[Counter[str]] = []


def count(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and counted and isinstance(path := arguments[0], str | os.PathLike):
        counted[-1][os.fspath(path)] += 1


sys.addaudithook(count)


@contextmanager
def opens(folder: Path) -> Iterator[Counter[str]]:
    """Count how often each file below `folder` is opened, by its path within."""
    seen: Counter[str] = Counter()
    counted.append(Counter())
    try:
        yield seen
    finally:
        every = counted.pop()
        below = {path: times for path, times in every.items() if path.startswith(f"{folder}/")}
        seen.update({path.removeprefix(f"{folder}/"): times for path, times in below.items()})
