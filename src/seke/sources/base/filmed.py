"""Datasets whose labelled pictures are frames of videos: each says where it stands, and may be shown as a clip.

    as a rule    a record is one frame; `clip` has its video and its time, by which labels over time are smoothed
    shown=k      `clip.frames` are k frames around it, next to each other or `every` seconds apart, itself among them

Only the frames that are shown have to be there: a gap elsewhere in a video of minutes spoils no clip, one inside of a
clip has it rejected by name (reason `clip`). Near the ends of a video what one side has no room for is shown on the
other; no frame stands for another.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Unpack

from seke.core import file_tree
from seke.core.clip_frames import ClipError, FrameChoice, chosen
from seke.core.errors import UserError
from seke.core.records import Clip, ImageRecord, Rejection
from seke.core.setting_checks import check_between
from seke.sources.base.clip_source import check_sizes
from seke.sources.base.licensed import Licensed, SplitSettings
from seke.sources.base.split import Listed, Undrawn


class FilmSettings(SplitSettings, total=False):
    """What every dataset of frames hands on to `Filmed`, which has the defaults."""

    shown: int | None
    every: float | None
    rate: float | None


class Filmed(Licensed):
    """Labelled frames of videos below `root`.

    Args:
        root: its folder.
        shown: frames of a clip around each labelled one, 2 to 256; None: that one alone.
        every: seconds between them; None: they are next to each other.
        rate: frames a second; None: as the dataset was filmed, where all of it was alike.
        split: see `Licensed`.

    Raises:
        UserError: as `Licensed` and `FrameChoice` do; if `every` has no frames or no rate to go by.
    """

    filmed_at: ClassVar[float | None] = None
    """Frames a second of all its videos."""

    def __init__(
        self,
        root: str | None,
        shown: int | None = None,
        every: float | None = None,
        rate: float | None = None,
        **split: Unpack[SplitSettings],
    ) -> None:
        super().__init__(root, **split)
        check_between("source.rate", rate, 0.1, 1000, optional=True)
        self.rate = self.filmed_at if rate is None else float(rate)
        if every is not None and shown is None:
            raise UserError("source.every", every, "each record is one frame", "set source.shown, too")
        if every is not None and self.rate is None:
            raise UserError("source.every", every, "nothing says how fast the videos run", "set source.rate, too")
        self.choice = None if shown is None else FrameChoice(shown, "peak", every, "source.shown")
        self._clips: dict[str, Clip] = {}

    def in_film(self, row: Listed, video: str, place: int) -> Listed:
        """Return a row with where its frame stands: the video's name within the source, frames counted from 0."""
        if isinstance(row, Rejection):
            return row
        clip = Clip(video=video, time=None if self.rate is None else round(place / self.rate, 3))
        if isinstance(row, Undrawn):
            return row._replace(record=row.record.model_copy(update={"clip": clip}))
        return row.model_copy(update={"clip": clip})

    def fetch(self, records: Sequence[ImageRecord]) -> Iterator[Rejection]:
        """Find the frames around each labelled one, and yield the clips that are not whole."""
        if self.choice is None:
            return
        folders: dict[str, list[ImageRecord]] = {}
        for record in records:
            folders.setdefault(record.image.rpartition("/")[0], []).append(record)
        for folder, own in folders.items():
            there = self.root / folder
            names, _ = file_tree.by_number(file_tree.images(there)) if there.is_dir() else ({}, [])
            yield from self.clips(own, folder, names, self.ends(own[0], names))

    def ends(self, record: ImageRecord, names: Mapping[int, str]) -> tuple[int, int]:
        """Return the numbers of the first and the last picture of a record's video: of those that are there."""
        return min(names, default=0), max(names, default=0)

    def clips(
        self, records: Sequence[ImageRecord], folder: str, names: Mapping[int, str], ends: tuple[int, int]
    ) -> Iterator[Rejection]:
        """Make the clips of records of one video, and yield those that are not whole.

        Args:
            records: whose pictures lie in `folder`.
            folder: path relative to the root.
            names: of the pictures there, by number.
            ends: numbers of the first and the last frame of the video.
        """
        assert self.choice is not None
        numbers = {name: number for number, name in names.items()}
        for record in records:
            own = numbers.get(record.image.rpartition("/")[2])
            try:
                if own is None:
                    raise ClipError("its own frame is not there")
                shown = around(self.choice, own, ends, self.rate)
                if gap := [number for number in shown if number not in names]:
                    raise ClipError(f"its folder has gaps: no frame {gap[0]}")
                check_sizes([self.root / folder / names[number] for number in shown])
            except ClipError as error:
                yield Rejection(id=record.id, reason="clip", detail=f"{record.image}: {error}")
                continue
            self._clips[record.id] = self._clip(record, own, shown, [f"{folder}/{names[k]}" for k in shown])

    def shown(self, record: ImageRecord) -> ImageRecord:
        """Return a fetched record with the frames of its clip."""
        return record.model_copy(update={"clip": self._clips.get(record.id, record.clip)})

    def _clip(self, record: ImageRecord, own: int, shown: Sequence[int], frames: Sequence[str]) -> Clip:
        before = record.clip or Clip(video=record.id)
        times = None
        if before.time is not None and self.rate is not None:
            times = tuple(max(round(before.time + (number - own) / self.rate, 3), 0.0) for number in shown)
        return before.model_copy(update={"frames": tuple(frames), "times": times})


def around(choice: FrameChoice, number: int, ends: tuple[int, int], rate: float | None) -> list[int]:
    """Return the numbers of the frames that are shown around a labelled one, ascending.

    Args:
        choice: the rule.
        number: of the labelled frame.
        ends: the first and the last number of the video.
        rate: frames a second; None: unknown.

    Raises:
        ClipError: as `chosen` does; if the labelled frame is beyond the video's ends.

    >>> around(FrameChoice(4, "peak"), 2, (1, 900), 25.0), around(FrameChoice(3, "peak", 1.0), 60, (1, 70), 25.0)
    ([1, 2, 3, 4], [10, 35, 60])
    """
    if not ends[0] <= number <= ends[1]:
        raise ClipError(f"its labelled frame {number} is beyond its end: its frames go from {ends[0]} to {ends[1]}")
    step = 1 if choice.every is None or rate is None else math.ceil(choice.every * rate)
    first = max(ends[0], number - choice.shown * step)
    last = min(ends[1], number + choice.shown * step)
    times = [None if rate is None else place / rate for place in range(last - first + 1)]
    return [first + place for place in chosen(choice, times, number - first)]


def video_end(file: Path, first: int) -> tuple[int, int]:
    """Return the numbers of a video's first and last frame, the first of which is `first`.

    Raises:
        UserError: if PyAV is not installed.
        VideoError: if it cannot be read.
    """
    from seke.core import video

    return first, first + len(video.times(file)) - 1
