"""Frames of clips as pictures: those of a folder as they lie there, those of a video decoded once and kept.

    video -> times of its frames -> the rule (clip_frames.py) -> <folder>/<number, five digits>.jpg and clip.json

`clip.json` says of which file the pictures were made, so that a later run, or another choice among the frames, decodes
only what is not there yet, and another file under the same name is decoded anew. A process holds one picture at a time.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from seke.core import video
from seke.core.clip_frames import ClipError, FrameChoice, chosen
from seke.core.errors import UserError
from seke.core.files import replacing, whole
from seke.core.parallel import cores, parallel_map

if TYPE_CHECKING:
    from PIL.Image import Image

NOTE: Final = "clip.json"
PICTURES: Final = (".jpg", ".jpeg", ".png", ".bmp")
VIDEOS: Final = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".flv", ".mpg", ".wmv")
"""Endings, in lower case, of the videos that are looked for."""
NUMBER: Final = re.compile(r"(\d+)\D*$", re.ASCII)
QUALITY: Final = 95
"""Of the JPEG files that frames are written to."""
FEW: Final = 4
"""So many videos are decoded in this process: starting others would take longer."""


class Shown(NamedTuple):
    """The frames of a clip that are shown."""

    files: tuple[Path, ...]
    numbers: tuple[int, ...]
    """Counted from 0."""
    times: tuple[float, ...] | None
    """In seconds from the clip's beginning; None where nothing says how fast it runs."""
    own: Path | None = None
    """The picture of the labelled frame, where there is one."""


class Job(NamedTuple):
    """A video of which some frames are wanted."""

    video: Path
    folder: Path
    """Of its pictures; no other video's."""
    choice: FrameChoice
    peak: int | None = None
    """Number of the labelled frame, from 0: its picture is made, too."""
    argument: str = "source.frames"
    """The setting that says where pictures are written, for messages."""


def numbered(folder: Path) -> dict[int, Path]:
    """Return the pictures in a folder by the last number in their names; one that two files share is nobody's."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:  # a folder that may not be entered holds nothing that could be read
        return {}
    found: dict[int, list[Path]] = {}
    for name in names:
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in PICTURES and not name.startswith(".") and (match := NUMBER.search(stem)):
            found.setdefault(int(match[1]), []).append(folder / name)
    return {number: paths[0] for number, paths in found.items() if len(paths) == 1}


def of_folder(
    pictures: Mapping[int, Path],
    choice: FrameChoice,
    peak: int | None = None,
    rate: float | None = None,
    first: int | None = None,
) -> Shown:
    """Return which of a folder's pictures are shown.

    Args:
        pictures: by the number in their names.
        choice: the rule.
        peak: number of the labelled frame, from 0.
        rate: frames a second; None: unknown.
        first: number in the name of the clip's first frame; None: the lowest that is there.

    Raises:
        ClipError: if a number between the first and the last is missing, or as `chosen` does.
    """
    numbers = sorted(pictures)
    if not numbers:
        raise ClipError("its folder holds no numbered pictures")
    first = numbers[0] if first is None else first
    gap = next((number for number in range(first, numbers[-1] + 1) if number not in pictures), None)
    if gap is not None or numbers[0] < first:
        raise ClipError(f"its folder has gaps: no frame {gap}" if gap is not None else f"frame {numbers[0]} < {first}")
    times = [None if rate is None else place / rate for place in range(len(numbers))]
    places = chosen(choice, times, peak)
    shown = tuple(place / rate for place in places) if rate is not None else None
    return Shown(tuple(pictures[first + place] for place in places), places, shown, _own(pictures, peak, first))


def _own(pictures: Mapping[int, Path], peak: int | None, first: int) -> Path | None:
    return None if peak is None else pictures[first + peak]


def decode_all(jobs: Sequence[Job], workers: int | None = None) -> Iterator[Shown | ClipError]:
    """Yield of every job, in order, the pictures of its frames, decoded unless they are there, or why it cannot be.

    Args:
        jobs: no two with one folder.
        workers: processes; None: one for every core.

    Raises:
        UserError: if PyAV is not installed or a folder cannot be written.
    """
    new = sum(not there(job) for job in jobs)
    processes = 1 if new <= FEW else workers or cores()
    yield from parallel_map(_attempt, jobs, processes)


def there(job: Job) -> bool:
    """Whether all pictures of a job were made by an earlier run, or it is known by now that it cannot be done."""
    try:
        kept = _kept(job)
        return kept is not None and all(_file(job, k).is_file() for k in chosen(job.choice, kept["times"], job.peak))
    except ClipError:
        return True


def _attempt(job: Job) -> Shown | ClipError:
    try:
        return decode(job)
    except ClipError as error:
        return error


def decode(job: Job) -> Shown:
    """Return the pictures of a video's wanted frames; those that are not there yet are decoded.

    Raises:
        ClipError: if the video cannot be decoded, ends before a frame, changes its size, or as `chosen` does.
        UserError: if PyAV is not installed or the folder cannot be written.
    """
    try:
        kept = _kept(job)
        times = tuple(kept["times"]) if kept else video.times(job.video)
        places = chosen(job.choice, times, job.peak)
        wanted = {*places, *(() if job.peak is None else (job.peak,))}
        size = _drawn(job, {k for k in wanted if not kept or not _file(job, k).is_file()}, kept and kept["size"])
    except video.VideoError as error:
        raise ClipError(str(error)) from error
    if not kept:
        with _written(job), whole(job.folder / NOTE) as out:
            json.dump({**_stamp(job), "times": times, "size": size}, out)
    own = None if job.peak is None else _file(job, job.peak)
    return Shown(tuple(_file(job, k) for k in places), places, tuple(times[k] for k in places), own)


def _drawn(job: Job, wanted: set[int], size: Any) -> tuple[int, int] | None:
    """Decode and write these frames; return their width and height, which must be those of the others."""
    left, before = set(wanted), tuple(size) if size else None
    for number, picture in video.frames(job.video, wanted):
        if before is not None and picture.size != before:
            change = f"from {before[0]} x {before[1]} to {picture.width} x {picture.height}"
            raise ClipError(f"{job.video.name}: changes its size {change} by frame {number}")
        before = picture.size
        _save(job, number, picture)
        left.discard(number)
    if left:
        raise ClipError(f"{job.video.name}: ends before frame {min(left)}")
    return before


def _save(job: Job, number: int, picture: "Image") -> None:
    with _written(job), replacing(_file(job, number)) as part:
        picture.save(part, "JPEG", quality=QUALITY)


@contextmanager
def _written(job: Job) -> Iterator[None]:
    """Make the folder, and one line for the user if it cannot be written to."""
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        problem = f"frames cannot be written there ({error.strerror or error})"
        raise UserError(job.argument, job.folder, problem, "set it to a folder of yours") from error


def _file(job: Job, number: int) -> Path:
    return job.folder / f"{number:05d}.jpg"


def _stamp(job: Job) -> dict[str, Any]:
    """Return what tells one video file from another that takes its name."""
    try:
        facts = job.video.stat()
    except OSError as error:
        raise ClipError(f"{job.video.name}: cannot be read ({error.strerror})") from error
    return {"video": job.video.name, "bytes": facts.st_size, "modified": facts.st_mtime_ns}


def _kept(job: Job) -> dict[str, Any] | None:
    """Return what an earlier run has noted of this very file."""
    try:
        note = json.loads((job.folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    stamp = _stamp(job)
    known = isinstance(note, dict) and {key: note.get(key) for key in stamp} == stamp
    return note if known and isinstance(note.get("times"), list) else None
