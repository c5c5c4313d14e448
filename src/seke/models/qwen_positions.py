"""Where the tokens of pictures and clips stand in Qwen-VL's sequences: positions in three dimensions, and timestamps.

Qwen2.5-VL   the planes of a clip lie as far apart in time as its frames do in seconds
Qwen3-VL     every two frames are a block of their own, behind a text that says their time
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.models.protocol import Size

Grid = tuple[int, int]
"""Rows and columns of an image's cells."""
UNKNOWN_RATE: Final = 24
"""Frames a second that transformers assumes of clips of which nothing says it."""


class Planes(NamedTuple):
    """The cells of a clip: rows and columns, at how many times, and the distance of these in positions."""

    rows: int
    columns: int
    times: int = 1
    step: float = 1.0


def rope_positions(
    ids: Sequence[int], image: int, grids: Iterator[Grid | Planes], video: int | None = None
) -> NDArray[np.int64]:
    """Return the positions (3, T) of a conversation's tokens in time, rows and columns (M-RoPE).

    Args:
        ids: (T,), image and video tokens in place.
        image: the image token.
        grids: those of the images and clips, in order; as many are taken as there are.
        video: the video token.

    >>> rope_positions([1, 9, 9, 9, 9, 9, 9, 2], 9, iter([(2, 3)])).tolist()[1:]
    [[0, 1, 1, 1, 2, 2, 2, 4], [0, 1, 2, 3, 1, 2, 3, 4]]
    """
    ids_T = np.asarray(ids)
    parts: list[NDArray[np.int64]] = []
    begin = position = 0
    shown_T = np.flatnonzero((ids_T == image) | (ids_T == video if video is not None else False))
    while begin < len(ids_T):
        coming = shown_T[np.searchsorted(shown_T, begin) :]
        start = int(coming[0]) if len(coming) else len(ids_T)
        parts.append(np.tile(np.arange(position, position + start - begin), (3, 1)))
        position += start - begin
        begin = start
        if begin < len(ids_T):
            rows, columns, times, step = Planes(*next(grids))
            places = np.indices((times, rows, columns)).reshape(3, -1)
            places[0] = places[0].astype(np.float32) * np.float32(step)  # cut, as transformers does
            parts.append(places + position)
            position += max(rows, columns)
            begin += rows * columns * times
    return np.concatenate(parts, axis=1) if parts else np.zeros((3, 0), np.int64)


def timestamps(size: Size, together: int) -> list[float]:
    """Return the seconds that stand before each block of a clip: the middle of its first and its last frame's.

    Args:
        size: of the clip.
        together: frames that make one block; the last stands in for what it has too few.

    >>> timestamps((5, 480, 640, 500), 2)
    [0.25, 1.25, 2.0]
    """
    rate = 1000 / size[3] if len(size) > 3 else UNKNOWN_RATE
    last = int(size[0]) - 1
    return [(first / rate + min(first + together - 1, last) / rate) / 2 for first in range(0, last + 1, together)]
