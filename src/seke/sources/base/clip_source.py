"""Datasets whose records are clips: videos, or folders of numbered frames; which frames of each are shown.

    listed     the record's `image` is the video or the folder itself, which nobody has opened yet
    fetched    frames of videos are decoded once into <root>/<frames>/<clip>/, those of folders stay where they are
    shown      `image` is the middle one of the shown frames, `clip` names all of them with their times

A clip that cannot be shown as it is wanted is rejected by name (reason `clip`): one that does not decode, is cut short
or changes its size, a folder with gaps, a single frame.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Unpack

from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from seke.core import file_tree
from seke.core.clip_frames import ClipError, FrameChoice
from seke.core.clips import VIDEOS, Job, Shown, decode_all, numbered, of_folder
from seke.core.errors import UserError
from seke.core.records import Clip, ImageRecord, Labels, Rejection, Split
from seke.core.setting_checks import check_between
from seke.sources.base.licensed import Licensed, SplitSettings
from seke.sources.base.split import Draw, Listed, Undrawn
from seke.sources.base.video_frames import NOTE

POINTER: Final = b"version https://git-lfs"
"""How a file begins that stands for one which was never downloaded."""


class ClipSettings(SplitSettings, total=False):
    """What every dataset of clips hands on to `ClipSource`, which has the defaults."""

    shown: int
    every: float | None
    rate: float | None
    frames: str


class ClipSource(Licensed):
    """A dataset of clips below `root`.

    Args:
        root: its folder.
        shown: frames of a clip, 2 to 256; one that has fewer shows all of them.
        every: seconds between them; None: evenly over the whole clip.
        rate: frames a second of clips that are folders; None: unknown, so that their frames have no times.
        frames: folder in root into which frames are drawn from videos.
        split: see `Licensed`.

    Raises:
        UserError: as `Licensed` and `FrameChoice` do, or if `frames` leads out of the root.
    """

    def __init__(
        self,
        root: str | None,
        shown: int = 8,
        every: float | None = None,
        rate: float | None = None,
        frames: str = "frames",
        **split: Unpack[SplitSettings],
    ) -> None:
        super().__init__(root, **split)
        self.choice = FrameChoice(shown, "whole", every, "source.shown")
        check_between("source.rate", rate, 0.1, 1000, optional=True)
        self.rate = rate
        self.drawn = file_tree.folder_inside(self.root, "source.frames", frames, there=False)
        self._shown: dict[str, Shown] = {}

    def clip(
        self,
        key: str,
        place: Path,
        labels: Labels,
        split: Split | Draw,
        subject: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Listed:
        """Return the record `<name>/<key>` of the clip at `place`, a video or a folder of frames, not yet opened."""
        found = self.row(key, self.relative(place), labels, split, subject, attributes)
        in_clip = {"clip": Clip(video=key)}
        if isinstance(found, Undrawn):
            return found._replace(record=found.record.model_copy(update=in_clip))
        return found.model_copy(update=in_clip)

    def fetch(self, records: Sequence[ImageRecord]) -> Iterator[Rejection]:
        """Decode the shown frames of videos that are not there yet, and yield the clips that cannot be shown.

        Raises:
            UserError: if PyAV is not installed, or the folder for frames cannot be written.
        """
        inside = [record for record in records if (self.root / record.image).resolve().is_relative_to(self.root)]
        jobs = {
            record.id: Job(self.root / record.image, self.drawn / record.id.rpartition("/")[2], self.choice)
            for record in inside
            if (self.root / record.image).is_file()
        }
        if jobs:
            self._write_note()
        decoded = zip(jobs, decode_all(list(jobs.values())), strict=True)
        films = dict(tqdm(decoded, total=len(jobs), desc="decoding clips", unit="clip", disable=None))
        strangers = {record.id for record in records} - {record.id for record in inside}
        films.update((id_, ClipError(f"leads out of {self.root}")) for id_ in strangers)
        for record in records:
            found = films[record.id] if record.id in films else self._of_folder(self.root / record.image)
            if isinstance(found, ClipError):
                yield Rejection(id=record.id, reason="clip", detail=self._told(record, found))
            else:
                self._shown[record.id] = found

    def shown(self, record: ImageRecord) -> ImageRecord:
        """Return a fetched record with its frames, the middle one of which is its picture."""
        found = self._shown[record.id]
        names = tuple(self.relative(file) for file in found.files)
        middle, place = len(names) // 2, self.root / record.image
        times = None if found.times is None else tuple(round(time, 3) for time in found.times)
        clip = Clip(
            video=record.clip.video if record.clip else record.id,
            time=None if times is None else times[middle],
            frames=names,
            times=times,
            file=record.image if place.is_file() else None,
        )
        return record.model_copy(update={"image": names[middle], "clip": clip})

    def _of_folder(self, folder: Path) -> Shown | ClipError:
        try:
            found = of_folder(numbered(folder), self.choice, None, self.rate)
            check_sizes(found.files)
        except ClipError as error:
            return error
        return found

    def _told(self, record: ImageRecord, error: ClipError) -> str:
        file = self.root / record.image
        if file.is_file():
            with file.open("rb") as content:
                if content.read(len(POINTER)) == POINTER:
                    return f"{record.image}: stands for a video that was not downloaded; run git lfs pull"
        return f"{record.image}: {error}"

    def _write_note(self) -> None:
        """Say that the folder's pictures are ours, so that no later run takes them for the dataset's."""
        try:
            self.drawn.mkdir(parents=True, exist_ok=True)
            if not (self.drawn / NOTE).exists():
                (self.drawn / NOTE).write_text(f"frames of {self.name}'s clips", encoding="utf-8")
        except OSError as error:
            problem = f"frames cannot be written there ({error.strerror or error})"
            raise UserError("source.frames", self.drawn, problem, "make it writable, or name another folder") from error


def check_sizes(files: Sequence[Path]) -> None:
    """Look at the headers of a clip's pictures.

    Raises:
        ClipError: if one is no picture, or has another size than those before it.
    """
    before: tuple[int, int] | None = None
    for file in files:
        try:
            with Image.open(file) as picture:
                size = picture.size
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise ClipError(f"{file.name} is no picture ({error})") from error
        if before is not None and size != before:
            raise ClipError(f"changes its size from {before[0]} x {before[1]} to {size[0]} x {size[1]} by {file.name}")
        before = size


def places(folder: Path, leave: Path | None = None) -> dict[str, Path]:
    """Return the clips in a folder by name: its videos without their ending, and its folders.

    Args:
        folder: as it was unpacked; not what lies deeper.
        leave: a folder that is none: that of our own frames.
    """
    found: dict[str, Path] = {}
    for entry in file_tree.listed(folder):
        path = Path(entry.path)
        if file_tree.is_folder(entry) and path != leave:
            found.setdefault(entry.name, path)
        elif file_tree.is_file(entry) and entry.name.lower().endswith(VIDEOS):
            found.setdefault(entry.name.rpartition(".")[0], path)
    return found
