"""Frames of a video, by number, through PyAV: an extra, since most datasets need none (`pip install -e .[video]`)."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from seke.core.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image


MISSING: Final = 0.02
"""Share of the frames that a header promises which may be missing: headers are often off by a few."""


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
    av = _av(video)
    last = max(wanted) if wanted is not None else None
    try:
        with av.open(str(video)) as container:
            stream = _moving(container, video)
            stream.thread_type = "AUTO"
            for index, frame in enumerate(container.decode(stream)):
                if wanted is None or index in wanted:
                    yield index, frame.to_image()
                if last is not None and index >= last:
                    return
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{video.name}: cannot be decoded ({type(error).__name__}: {error})") from error


def times(video: Path) -> tuple[float, ...]:
    """Return the time of every frame in seconds from the first one, in the order of display, without decoding any.

    They are those of the packets in the file; one that players leave out (behind an edit list) has no frame.

    Raises:
        UserError: if PyAV is not installed.
        VideoError: if the file cannot be read, or holds clearly fewer frames than its header says: it is cut short.
    """
    av = _av(video)
    try:
        with av.open(str(video)) as container:
            stream = _moving(container, video)
            packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
            stamps = [packet.dts if packet.pts is None else packet.pts for packet in packets]
            said, base = stream.frames, stream.time_base
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{video.name}: cannot be decoded ({type(error).__name__}: {error})") from error
    if len(stamps) < said * (1 - MISSING) - 1:
        raise VideoError(f"{video.name}: cut short, {len(stamps)} of {said} frames are there")
    known = sorted(stamp for stamp in stamps if stamp is not None)
    if not known or len(known) < len(stamps) or base is None:
        raise VideoError(f"{video.name}: its frames have no times")
    return tuple(float((stamp - known[0]) * base) for stamp in known)


def count(video: Path) -> int:
    """Return how many frames a video has, by decoding it: headers lie.

    Raises:
        UserError, VideoError: as `frames` does.
    """
    return sum(1 for _ in frames(video))


def _av(video: Path) -> Any:
    try:
        import av
    except ImportError as error:
        raise UserError("video", video, "reading videos needs PyAV", "pip install -e '.[video]'") from error
    return av


def _moving(container: Any, video: Path) -> Any:
    if not container.streams.video:
        raise VideoError(f"{video.name}: holds no moving pictures")
    return container.streams.video[0]
