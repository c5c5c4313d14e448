"""Drawing with Pillow in units of one's own: a pen with a pose, arches, colours."""

import math
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

Point = tuple[float, float]
Colour = tuple[int, int, int]
CIRCLE = [(math.cos(k * math.tau / 20), math.sin(k * math.tau / 20)) for k in range(20)]


def shade(colour: Colour, factor: float) -> Colour:
    """Return the colour times `factor`, cut to 0..255."""
    red, green, blue = (min(255, max(0, round(channel * factor))) for channel in colour)
    return red, green, blue


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return `share` of `other` in `one`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def arch(start: Point, end: Point, rise: float, points: int = 6) -> list[Point]:
    """Return a parabola from `start` to `end` whose middle lies `rise` above their line (y is down)."""
    steps = [k / (points - 1) for k in range(points)]
    return [
        (start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t - rise * 4 * t * (1 - t)) for t in steps
    ]


class Pose(NamedTuple):
    """How face units become pixels: turn (yaw), tilt (roll), scale and place."""

    unit: float
    """Pixels a face unit."""
    x: float
    y: float
    yaw: float
    """Radians; the middle of the face moves sideways, its outline does not."""
    cos: float
    sin: float

    def __call__(self, points: Sequence[Point]) -> list[Point]:
        """Map face units to pixels."""
        unit, x0, y0, yaw, cos, sin = self
        pixels = []
        for x, y in points:
            x += yaw * 0.6 * max(0.0, 1 - x * x)
            pixels.append((x0 + unit * (x * cos - y * sin), y0 + unit * (x * sin + y * cos)))
        return pixels


class Pen:
    """Draws in face units."""

    def __init__(self, canvas: "ImageDraw", pose: Pose) -> None:
        self.canvas, self.pose = canvas, pose

    def area(self, points: Sequence[Point], fill: Colour) -> None:
        """Fill a polygon."""
        self.canvas.polygon(self.pose(points), fill=fill)

    def line(self, points: Sequence[Point], fill: Colour, width: float) -> None:
        """Draw a line of `width` face units; thinner than half a pixel is nothing."""
        pixels = round(width * self.pose.unit)
        if pixels:
            self.canvas.line(self.pose(points), fill=fill, width=pixels)

    def oval(self, centre: Point, rx: float, ry: float, fill: Colour) -> None:
        """Fill an ellipse."""
        self.area([(centre[0] + rx * x, centre[1] + ry * y) for x, y in CIRCLE], fill)


def any_colour(rng: Random) -> Colour:
    """Draw a colour that is neither near black nor near white."""
    return rng.randrange(40, 230), rng.randrange(40, 230), rng.randrange(40, 230)
