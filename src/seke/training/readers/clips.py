"""What is shown of a clip, for datasets of videos: its extracted frames where there are any, else frames of the video.

    <root>/**/<clip>/<anything><number>.jpg      extracted frames; the number is the last one in the name
    <root>/**/<clip>.mp4                         the video
    <frames>/<clip>_<number|middle>.jpg          the one frame that was taken from a video, written once
    <frames>/<clip>/<number>.jpg                 the frames of a clip (`seke.core.clips`)

A frame that is wanted by number is never replaced by another.
"""

import os
from collections.abc import Collection
from pathlib import Path

from seke.core.clip_frames import Around, ClipError, FrameChoice, pace
from seke.core.clips import QUALITY, VIDEOS, Job, numbered, of_folder
from seke.core.errors import UserError
from seke.core.files import replacing
from seke.core.images import ImageError, resolve
from seke.core.video import VideoError, count, frames
from seke.training.readers.row import Frame, Row, Turn, UnusableError


class Clips:
    """Where the wanted clips' extracted frames and videos are, found once below `root`.

    Args:
        root: folder that holds them, at any depth; links to folders are not followed.
        wanted: names of the clips, without suffix.
        cache: folder for frames taken from videos.
        first: number of the first extracted frame, where in videos and in label files the first is 0; None: what all
            the extracted frames together say.
    """

    def __init__(self, root: Path, wanted: Collection[str], cache: Path, first: int | None = 0) -> None:
        self.root, self.cache = root, cache
        self._first = first
        self._folders: dict[str, Path] = {}
        self._videos: dict[str, Path] = {}
        names = set(wanted)
        for here, folders, files in os.walk(root):
            folders.sort()
            for name in names.intersection(folders):
                self._folders.setdefault(name, Path(here) / name)
            folders[:] = [name for name in folders if name not in names]
            for file in sorted(files):
                stem, suffix = os.path.splitext(file)
                if suffix.lower() in VIDEOS and stem in names:
                    self._videos.setdefault(stem, Path(here) / file)

    @property
    def first(self) -> int:
        """The number of the first extracted frame.

        A folder may begin later, where no face was found in its first frames; that all of them do shows how whoever
        extracted them has counted.

        Raises:
            UserError: if it is not given, and no folder begins with frame 0 or 1.
        """
        if self._first is None:
            lowest = min((min(found) for folder in self._folders.values() if (found := numbered(folder))), default=0)
            if lowest > 1:
                problem = f"no clip's frames begin with 0 or 1, the lowest number below {self.root} is {lowest}"
                raise UserError("data.reader.first_frame", None, problem, "set the number of a clip's first frame")
            self._first = lowest
        return self._first

    def picture(self, clip: str, number: int | None = None) -> tuple[Path, Frame | None]:
        """Return the file of frame `number` (from 0; None: the middle one), and how to make it if it is in a video.

        Raises:
            UnusableError: if there is neither such an extracted frame nor a video.
            ImageError: if it leads out of the root.
        """
        extracted = numbered(self._folders[clip]) if clip in self._folders else {}
        if extracted:
            ordered = sorted(extracted)
            wanted = ordered[len(ordered) // 2] if number is None else number + self.first
            if wanted not in extracted:
                raise UnusableError("no image", f"no frame {wanted} in {self._folders[clip]}")
            return self._inside(extracted[wanted]), None
        if clip not in self._videos:
            raise UnusableError("no image", f"neither frames nor a video of {clip} below {self.root}")
        file = self.cache / f"{clip}_{'middle' if number is None else number}.jpg"
        return file, Frame(self._inside(self._videos[clip]), number, file)

    def row(
        self, clip: str, turns: tuple[Turn, ...], number: int | None = None, choice: FrameChoice | None = None
    ) -> Row:
        """Return the conversation about a clip.

        Args:
            clip: its name.
            turns: of the conversation, the first of which shows it.
            number: of its labelled frame, from 0; None: it has none.
            choice: which frames are shown; None: the labelled one alone, or the middle one.

        Raises:
            UnusableError: if there is nothing to show, or the clip cannot be shown as wanted.
            ImageError: if it leads out of the root.
        """
        if choice is None:
            picture, frame = self.picture(clip, number)
            return Row(clip, turns, (picture,), frame)
        if clip in self._folders and (extracted := numbered(self._folders[clip])):
            try:
                shown = of_folder(extracted, choice, number, first=None if number is None else self.first)
            except ClipError as error:
                raise UnusableError("clip", f"{clip}: {error}") from None
            return Row(
                clip,
                turns,
                tuple(map(self._inside, shown.files)),
                clips=(len(shown.files),),
                between=(pace(shown.times),),
            )
        if clip not in self._videos:
            raise UnusableError("no image", f"neither frames nor a video of {clip} below {self.root}")
        video = self._inside(self._videos[clip])
        return Row(clip, turns, (), film=Job(video, self.cache / clip, choice, number, "data.reader.frames"))

    def _inside(self, path: Path) -> Path:
        return resolve(self.root, str(path.relative_to(self.root)))


def fetch(frame: Frame) -> None:
    """Write the frame's picture, if it is not there yet; it appears whole or not at all.

    Raises:
        ImageError: if the video has no such frame or cannot be decoded.
        UserError: if PyAV is not installed, or the folder cannot be written to.
    """
    if frame.file.is_file():
        return
    try:
        number = count(frame.video) // 2 if frame.number is None else frame.number
        picture = next((picture for _, picture in frames(frame.video, {number})), None)
    except VideoError as error:
        raise ImageError(str(error)) from error
    if picture is None:
        raise ImageError(f"{frame.video.name}: no frame {number}")
    try:
        frame.file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(frame.file) as part:
            picture.save(part, "JPEG", quality=QUALITY)
    except OSError as error:
        problem = f"frames cannot be written there ({error.strerror})"
        raise UserError("data.reader.frames", frame.file.parent, problem, "set it to a folder of yours") from error


def choice_of(shown: int | None, around: Around = "whole", every: float | None = None) -> FrameChoice | None:
    """Return which frames of a clip a reader shows; None: one picture.

    Raises:
        UserError: if a setting is out of range, or says something of frames that are not shown.
    """
    if shown is not None:
        return FrameChoice(shown, around, every, "data.reader.shown")
    if around != "whole" or every is not None:
        name, value = ("around", around) if around != "whole" else ("every", every)
        raise UserError(f"data.reader.{name}", value, "each clip is one picture", "set data.reader.shown, too")
    return None


def frames_folder(path: Path, frames: str | None) -> Path:
    """Return the folder for frames: the setting, or `frames` in the dataset's folder."""
    if frames:
        return Path(frames)
    return (path if path.is_dir() else path.parent) / "frames"
