"""What a model is shown of a record: its picture, or the frames of its clip in the picture's place.

record, image root -> opened, compared with the record -> a part of a message (`seke.core.vlm`)
"""

from dataclasses import replace
from pathlib import Path

from seke.core import images, vlm
from seke.core.clip_frames import FrameChoice, chosen
from seke.core.errors import UserError
from seke.core.records import ImageRecord
from seke.core.setting_checks import check_whole


def shown(record: ImageRecord, root: Path) -> vlm.Image:
    """Return the picture of a record, or its clip, as a part of a message.

    Raises:
        ImageError: as `images.unchanged` does; also if one frame of the clip cannot be read: it is never shown
            without it.
    """
    return in_clip(vlm.Image(*images.unchanged(record, root)), record, root)


def in_clip(own: vlm.Image, record: ImageRecord, root: Path) -> vlm.Image:
    """Return the clip that a record's picture belongs to, or the picture where the record has no frames to show.

    Raises:
        ImageError: if one frame of the clip cannot be read, or is another one than the record says.
    """
    if record.clip is None or not record.clip.frames:
        return own
    clip = record.clip
    expected = clip.sha256 or (None,) * len(clip.frames)
    read = [_read(root, frame, digest) for frame, digest in zip(clip.frames, expected, strict=True)]
    frames = [replace(own, path=path, sha256=digest) for path, digest in read]
    return vlm.Clip(own.path, own.sha256, own.face, tuple(frames), clip.times)


def _read(root: Path, frame: str, expected: str | None) -> tuple[Path, str]:
    path = images.resolve(root, frame)
    return path, images.read_unchanged(path, frame, expected)[1]


def with_frames(record: ImageRecord, most: int | None, argument: str = "shown") -> ImageRecord:
    """Return a record that shows so many frames of its clip, evenly spread; 1: its own picture; None: as it is.

    Raises:
        UserError: if more are wanted than the record has, or `most` is below 1.
    """
    check_whole(argument, most, 1, 256, optional=True)
    if most is None or record.clip is None or not record.clip.frames:
        return record
    clip = record.clip
    if most > len(clip.frames):
        problem = f"{record.id} was prepared with {len(clip.frames)} frames"
        raise UserError(argument, most, problem, "set no more, or prepare the set with more")
    if most == 1:
        alone = clip.model_copy(update={"frames": (), "times": None, "sha256": None})
        return record.model_copy(update={"clip": alone})
    places = chosen(FrameChoice(most), [None] * len(clip.frames))
    return record.model_copy(update={"clip": clip.of(places)})
