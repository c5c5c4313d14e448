"""Frames of videos, written once as pictures into a folder of the dataset and found there by every later run."""

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tqdm import tqdm

from seke.core import file_tree, files, video
from seke.core.clips import QUALITY
from seke.core.errors import UserError
from seke.core.records import Rejection
from seke.sources.base import label_text

if TYPE_CHECKING:
    from PIL.Image import Image

NOTE: Final = "drawn_from_videos.txt"
"""Says what a folder's frames were drawn from, and so that they are ours: not a layout that somebody unpacked."""


class WantedFrames(NamedTuple):
    """One video and the frames of it that are wanted."""

    name: str
    """The subfolder of its frames."""
    file: Path
    ids: dict[int, str]
    """The record that waits for each frame, by the frame's number in its labels."""


class DrawnFrames:
    """The folder of drawn frames `<name>/<frame, five digits>.jpg`; `first` is the number of a video's first frame."""

    def __init__(self, folder: Path, first: int, videos: str) -> None:
        self.folder, self.first = folder, first
        self.note = f"frames of {videos}, the first of which is {first}"

    def file(self, name: str, frame: int) -> Path:
        """Return where frame `frame` of the video called `name` is, or will be."""
        return self.folder / name / f"{frame:05d}.jpg"

    def check(self) -> None:
        """Make sure that what the folder holds, if anything, was drawn from the same videos with the same numbers.

        Raises:
            UserError: if it was not.
        """
        note = self.folder / NOTE
        if note.is_file() and (found := " ".join(label_text.lines(note))) != self.note:
            raise UserError("source.frames", self.folder, f"holds {found}", "set another folder or delete this one")

    def draw(self, videos: Iterable[WantedFrames]) -> Iterator[Rejection]:
        """Write those frames that are not there yet, and yield the ones that their video does not give.

        Raises:
            UserError: if the folder cannot be written, or if PyAV is not installed.
        """
        missing = [self._missing(wanted) for wanted in videos]
        total = sum(len(wanted.ids) for wanted in missing)
        with tqdm(total=total, desc="drawing frames", unit="frame", disable=None) as bar:
            for wanted in missing:
                yield from self._draw(wanted, bar.update)

    def _missing(self, wanted: WantedFrames) -> WantedFrames:
        folder = self.folder / wanted.name
        there: Collection[str] = {entry.name for entry in file_tree.listed(folder)} if folder.is_dir() else ()
        left = {frame: id_ for frame, id_ in wanted.ids.items() if self.file(wanted.name, frame).name not in there}
        return wanted._replace(ids=left)

    def _draw(self, wanted: WantedFrames, drawn: Callable[[], object]) -> Iterator[Rejection]:
        left = dict(wanted.ids)
        problem = f"{wanted.file.name}: ends before this frame"
        try:
            for index, picture in video.frames(wanted.file, {frame - self.first for frame in wanted.ids}):
                self._save(picture, self.file(wanted.name, index + self.first))
                del left[index + self.first]
                drawn()
        except video.VideoError as error:
            problem = str(error)
        for id_ in left.values():
            yield Rejection(id=id_, reason="no image", detail=problem)

    def _save(self, picture: "Image", file: Path) -> None:
        try:  # another run may be drawing the same frame, and this one may be killed
            file.parent.mkdir(parents=True, exist_ok=True)
            if not (self.folder / NOTE).exists():
                (self.folder / NOTE).write_text(self.note, encoding="utf-8")
            with files.replacing(file) as part:
                picture.save(part, "JPEG", quality=QUALITY)
        except OSError as error:
            problem = f"cannot be written ({error.strerror or error})"
            remedy = "make it writable, or extract the frames yourself"
            raise UserError("source.frames", self.folder, problem, remedy) from error
