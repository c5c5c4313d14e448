"""Corruptions and framings of a picture at three severities, each from worse to worse: what photographs suffer from.

In the manner of Hendrycks & Dietterich (ICLR 2019), but measured by the face, so that a severity means the same in a
portrait and in a crowd; their five severities are three here.

    light        exposure reduced by 1, 2, 3 stops of linear light, then 8 bits again
    blur         Gaussian, standard deviation 1/64, 1/32, 1/16 of the face
    resolution   the face no larger than 64, 32, 16 pixels, scaled up again
    occlusion    a grey square over a tenth, a quarter, two fifths of the face's area
    pose         turned in the picture's plane by 10, 20, 30 degrees and narrowed as a head is that turns aside by
                 15, 30, 45: an approximation in image space, which shows no other side of a face
    crop         cut to the middle 90, 75, 60 % of the face's sides, scaled up to the picture's size: chin, brows and
                 what is around a face are lost
    surround     the whole picture at 1/2, 1/4, 1/8 of its size, on a canvas of its size in the colour of its mean:
                 fewer pixels of a model's budget are the face
"""

import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Final, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

GAMMA: Final = 2.2
"""Of sRGB, nearly."""
STOPS: Final = (1, 2, 3)
SIGMAS: Final = (1 / 64, 1 / 32, 1 / 16)
"""Of the face's side."""
SIDES: Final = (64, 32, 16)
"""Pixels of the face's side."""
COVERED: Final = (0.10, 0.25, 0.40)
"""Shares of the face's area."""
ANGLES: Final = ((10, 15), (20, 30), (30, 45))
"""Degrees in the plane, and aside."""
KEPT: Final = (0.90, 0.75, 0.60)
"""Shares of the face's sides."""
SCALES: Final = (1 / 2, 1 / 4, 1 / 8)
FRAMINGS: Final = ("crop", "surround")
"""Kinds that change how much of the picture is the face, so that a place of the face is none in the copy."""
SEVERITIES: Final = (1, 2, 3)
GREY: Final = (128, 128, 128)


class Region(NamedTuple):
    """Where the face is, in pixels."""

    left: float
    top: float
    width: float
    height: float

    @property
    def side(self) -> float:
        """The longer side."""
        return max(self.width, self.height)

    @property
    def middle(self) -> tuple[float, float]:
        """The centre."""
        return self.left + self.width / 2, self.top + self.height / 2


def corrupt(
    picture: Image.Image, kind: str, severity: int, face: tuple[int, int, int, int] | None, rng: Random
) -> Image.Image:
    """Return a corrupted copy of an RGB picture, of the same size.

    Args:
        picture: RGB, upright.
        kind: a name of `KINDS`.
        severity: 1 to 3.
        face: left, top, width and height in pixels; None: the picture is the face.
        rng: the picture's own random stream, new for each severity: a place or a direction stays as severity grows.
    """
    region = Region(*(face or (0, 0, *picture.size)))
    return KINDS[kind](picture, severity - 1, region, rng)


def _light(picture: Image.Image, level: int, face: Region, rng: Random) -> Image.Image:
    factor = 2.0 ** (-STOPS[level] / GAMMA)  # what halves linear light, in gamma-encoded samples
    return picture.point([round(value * factor) for value in range(256)] * 3)


def _blur(picture: Image.Image, level: int, face: Region, rng: Random) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(SIGMAS[level] * face.side))


def _resolution(picture: Image.Image, level: int, face: Region, rng: Random) -> Image.Image:
    scale = min(1.0, SIDES[level] / face.side)
    small = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(small, Image.Resampling.LANCZOS).resize(picture.size, Image.Resampling.BICUBIC)


def _occlusion(picture: Image.Image, level: int, face: Region, rng: Random) -> Image.Image:
    share = math.sqrt(COVERED[level])
    width, height = share * face.width, share * face.height
    left = face.left + rng.random() * (face.width - width)
    top = face.top + rng.random() * (face.height - height)
    covered = picture.copy()
    ImageDraw.Draw(covered).rectangle((left, top, left + width - 1, top + height - 1), fill=GREY)
    return covered


def _pose(picture: Image.Image, level: int, face: Region, rng: Random) -> Image.Image:
    turn, aside = (math.radians(degrees) for degrees in ANGLES[level])
    turn *= rng.choice((-1, 1))
    x, y = face.middle
    narrow = np.diag([1 / math.cos(aside), 1.0])  # from the new picture's coordinates to the old one's
    rotate = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    (a, b), (d, e) = narrow @ rotate
    return picture.transform(
        picture.size,
        Image.Transform.AFFINE,
        (a, b, x - a * x - b * y, d, e, y - d * x - e * y),
        Image.Resampling.BICUBIC,
        fillcolor=_mean(picture),
    )


def _crop(picture: Image.Image, level: int, face: Region, rng: Random) -> Image.Image:
    x, y = face.middle
    width, height = (max(1.0, KEPT[level] * side) for side in (face.width, face.height))
    left, right = (min(max(edge, 0.0), picture.width) for edge in (x - width / 2, x + width / 2))
    top, bottom = (min(max(edge, 0.0), picture.height) for edge in (y - height / 2, y + height / 2))
    return picture.resize(picture.size, Image.Resampling.BICUBIC, box=(left, top, right, bottom))


def _surround(picture: Image.Image, level: int, face: Region, rng: Random) -> Image.Image:
    canvas = Image.new("RGB", picture.size, _mean(picture))
    width, height = (max(1, round(SCALES[level] * side)) for side in picture.size)
    small = picture.resize((width, height), Image.Resampling.LANCZOS)
    canvas.paste(small, ((picture.width - width) // 2, (picture.height - height) // 2))
    return canvas


def _mean(picture: Image.Image) -> tuple[int, ...]:
    mean = np.asarray(picture.resize((1, 1), Image.Resampling.BOX))[0, 0]
    return tuple(int(value) for value in mean)


KINDS: Final[Mapping[str, Callable[[Image.Image, int, Region, Random], Image.Image]]] = {
    "light": _light,
    "blur": _blur,
    "resolution": _resolution,
    "occlusion": _occlusion,
    "pose": _pose,
    "crop": _crop,
    "surround": _surround,
}
