"""Frames of a video, by number, through PyAV: an extra, since most datasets need none (`pip install -e .[video]`)."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from seke.core.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image


class VideoError(ValueError):
    """A video that is missing, truncated or no video at all."""


def frames(video: Path, wanted: Collection[int] | None = None) -> Iterator[tuple[int, "Image"]]:
    """Yield (number, picture) of the wanted frames, counted from 0 in the order of display; None: all of them.

    Frames are decoded one after the other, since seeking is exact in few formats, and no further than the last wanted.
    A number that the video does not reach is not yielded: a file cut short may decode without any complaint.

    Raises:
        UserError: if PyAV is not installed.
        VideoError: if the file cannot be decoded; frames that came before the damage are yielded first.
    """
    if wanted is not None and not wanted:
        return
    try:
        import av
    except ImportError as error:
        raise UserError("video", video, "reading videos needs PyAV", "pip install -e '.[video]'") from error
    last = max(wanted) if wanted is not None else None
    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise VideoError(f"{video.name}: holds no moving pictures")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for index, frame in enumerate(container.decode(stream)):
                if wanted is None or index in wanted:
                    yield index, frame.to_image()
                if last is not None and index >= last:
                    return
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{video.name}: cannot be decoded ({type(error).__name__}: {error})") from error


def count(video: Path) -> int:
    """Return how many frames a video has, by decoding it: headers lie.

    Raises:
        UserError, VideoError: as `frames` does.
    """
    return sum(1 for _ in frames(video))
