"""Finished blocks of records that wait for those before them: out of order they come in, in order they are appended.

<run>/blocks/000000256.jsonl   lines of progress.jsonl, from record 256 on; there whole or not at all
"""

import os
from pathlib import Path

FOLDER = "blocks"


def block_file(folder: Path, first: int) -> Path:
    """Return the file of the block that begins with record `first`."""
    return folder / FOLDER / f"{first:09}.jsonl"


def waiting(folder: Path) -> list[tuple[int, Path]]:
    """Return the blocks of a run that are not appended yet, by the number of their first record."""
    return sorted((int(path.stem), path) for path in (folder / FOLDER).glob("*.jsonl"))


def length(block: Path) -> int:
    """Return how many records a block holds."""
    with block.open("rb") as lines:
        return sum(1 for _ in lines)


def append(folder: Path, progress: Path, done: int) -> int:
    """Append to `progress`, which holds `done` lines, the blocks that follow on; return its new length."""
    with progress.open("ab") as file:
        for first, path in waiting(folder):
            if first > done:
                break
            lines = path.read_bytes().splitlines(keepends=True)
            # Those before `done` were appended already: a crash came before the block was removed.
            file.writelines(lines[done - first :])
            file.flush()
            os.fsync(file.fileno())
            path.unlink()
            done = max(done, first + len(lines))
    return done


def missing(folder: Path, done: int, total: int, size: int) -> list[range]:
    """Return what is left of `total` records, in ranges of at most `size`: not the first `done`, and no block's."""
    ranges, start = list[range](), done
    for first, end in [*((first, first + length(path)) for first, path in waiting(folder)), (total, total)]:
        ranges += [range(begin, min(begin + size, first)) for begin in range(start, first, size)]
        start = max(start, end)
    return ranges
