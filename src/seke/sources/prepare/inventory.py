"""The inventory of the pictures that a prepared set was made of: new, changed and lost ones are noticed.

`pictures.jsonl` beside the records has one row for each file below the source's folders: its path, its size, two times
that change when it does, and, if it was opened, its sha256. A file whose times are the same is believed to be the same;
one whose times differ is read again, so that copies and `touch` are no changes.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from seke.core import file_tree, files
from seke.core.clips import VIDEOS
from seke.core.errors import UserError
from seke.core.records import Rejection
from seke.core.runs import file_sha256
from seke.sources.base.source import Source, results
from seke.sources.base.video_frames import NOTE

FILE: Final = "pictures.jsonl"
NAMED: Final = 3
"""Files that an error names."""


class Mark(NamedTuple):
    """What tells without reading whether a file has changed."""

    size: int
    modified: int
    """Nanoseconds, as the file's maker may set it."""
    changed: int
    """Nanoseconds, as the system sets it."""


class Inventory(NamedTuple):
    """What lies below the folders of a source, by path relative to its image root."""

    marks: dict[str, Mark]
    left_out: list[Rejection]
    """Links to folders, which are not followed, and names that no file of ours can hold."""


def take(source: Source, run_path: Path) -> Inventory:
    """Return all pictures and videos below the folders of a source; of one that draws its own, nothing."""
    found = Inventory({}, [])
    base = (run_path / source.image_root(run_path)).resolve()
    outputs = results(run_path)
    for root in source.roots(run_path):
        _search(root, base, outputs, found)
    return found


def write(path: Path, inventory: Inventory, digests: Mapping[str, str]) -> None:
    """Write the inventory, with the sha256 of what was opened; the file appears whole or not at all."""
    with files.whole(path) as out:
        for name, mark in sorted(inventory.marks.items()):
            out.write(json.dumps([name, *mark, digests.get(name)]) + "\n")


def check(source: Source, run_path: Path) -> None:
    """Make sure that a finished run's pictures are those that it was made of.

    Raises:
        UserError: naming some that are new, changed or gone.
    """
    if listed := differences(source, run_path):
        problem = f"it is finished, but of its pictures now are {', '.join(listed)}"
        remedy = "say update=true to take them in, overwrite=true to make all anew, or choose another name="
        raise UserError("name", run_path.name, problem, remedy)


def differences(source: Source, run_path: Path) -> list[str]:
    """Return how the pictures differ from those that a finished run was made of, in words; nothing where they do not.

    Nothing is known of runs that were made before inventories were, or of pictures that a source draws.
    """
    file = run_path / FILE
    if not file.is_file():
        return []
    now, before = take(source, run_path).marks, dict(_rows(file))
    base = (run_path / source.image_root(run_path)).resolve()
    found = {
        "new": sorted(now.keys() - before.keys()),
        "changed": [name for name, seen in before.items() if name in now and _differs(base / name, now[name], *seen)],
        "gone": sorted(before.keys() - now.keys()),
    }
    return [f"{len(names)} {what} ({_some(names)})" for what, names in found.items() if names]


def _search(folder: Path, base: Path, outputs: Path, found: Inventory, depth: int = file_tree.DEEPEST) -> None:
    if (folder / NOTE).is_file() or folder == outputs:
        return  # frames that an earlier run has drawn from videos, or the pictures of our own pages
    for entry in file_tree.listed(folder, every=True):
        name = os.path.relpath(entry.path, base).encode(errors="surrogateescape").decode(errors="backslashreplace")
        if not file_tree.is_utf8(entry.name):
            found.left_out.append(Rejection(id=name, reason="bad name", detail="its name is not UTF-8"))
        elif file_tree.is_folder(entry) and depth:
            _search(Path(entry.path), base, outputs, found, depth - 1)
        elif file_tree.is_folder(entry):
            detail = f"more than {file_tree.DEEPEST} folders down, it is not looked into"
            found.left_out.append(Rejection(id=name, reason="too deep", detail=detail))
        elif file_tree.is_link(entry):
            found.left_out.append(Rejection(id=name, reason="link", detail="a link to a folder is not followed"))
        elif entry.name.lower().endswith((*file_tree.IMAGES, *VIDEOS)):
            found.marks[name] = _mark(entry)


def _mark(entry: os.DirEntry[str]) -> Mark:
    try:
        status = entry.stat()
    except OSError:
        return Mark(-1, 0, 0)
    if not stat.S_ISREG(status.st_mode):
        return Mark(-1, 0, 0)
    return Mark(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _differs(path: Path, now: Mark, before: Mark, digest: str | None) -> bool:
    if now == before:
        return False
    if now.size != before.size:
        return True
    try:
        return digest is not None and file_sha256(path) != digest
    except OSError:
        return True


def _rows(file: Path) -> Iterator[tuple[str, tuple[Mark, str | None]]]:
    with file.open(encoding="utf-8") as rows:
        for number, row in enumerate(rows, start=1):
            try:
                name, size, modified, changed, digest = json.loads(row)
                yield name, (Mark(size, modified, changed), digest)
            except (ValueError, TypeError):
                problem = f"line {number} is damaged"
                raise UserError("file", file, problem, "delete this file, or say overwrite=true") from None


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
