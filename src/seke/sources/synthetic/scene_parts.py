"""The parts of a drawn scene: ten backgrounds, seven things on the ground, eight in the air, and a person.

A background's coordinates are the picture's: x to the right, y down, both in [0, 1]. A thing or a person has its own,
in [-1, 1] around its middle. Everything is drawn large and flat: a tiny vision model sees patches of 16 pixels.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from seke.sources.synthetic.drawing import Colour, Pen, Point, arch, shade

BLUE_SKY, GRASS, SAND, SEA = (150, 196, 240), (104, 168, 84), (228, 206, 150), (54, 120, 190)
GREY, DARK, WHITE, RED = (128, 128, 132), (30, 28, 34), (246, 244, 240), (206, 44, 44)
BODY: Final[Mapping[str, Mapping[str, Sequence[Point]]]] = {
    "dancing": {"spine": [(0, -0.3), (0.1, 0.4)], "arms": [(-0.75, -0.75), (-0.3, -0.1), (0.05, 0.0), (0.5, -0.1),
                (0.75, 0.4)], "legs": [(-0.75, 0.75), (-0.3, 0.95), (0.1, 0.4), (0.55, 0.95)]},
    "jumping": {"spine": [(0, -0.45), (0, 0.15)], "arms": [(-0.7, -0.95), (0, -0.15), (0.7, -0.95)],
                "legs": [(-0.2, 0.7), (-0.6, 0.4), (0, 0.15), (0.6, 0.4), (0.2, 0.7)]},
    "fighting": {"spine": [(0.15, -0.3), (0, 0.4)], "arms": [(-0.85, -0.2), (-0.4, -0.12), (0.1, 0.0), (-0.2, 0.25),
                 (-0.6, 0.1)], "legs": [(-0.6, 0.95), (0, 0.4), (0.7, 0.95)]},
    "running": {"spine": [(0.1, -0.3), (-0.05, 0.35)], "arms": [(-0.5, 0.3), (-0.3, 0.0), (0.08, -0.1), (0.4, 0.15),
                (0.7, -0.1)], "legs": [(-0.9, 0.6), (-0.45, 0.5), (-0.05, 0.35), (0.45, 0.5), (0.4, 0.95)]},
    "gazing": {"spine": [(0, -0.3), (0, 0.4)], "arms": [(-0.2, 0.35), (0, -0.1), (0.5, -0.3), (0.85, -0.75)],
               "legs": [(-0.15, 0.97), (0, 0.4), (0.15, 0.97)]},
    "sitting": {"spine": [(0, -0.25), (0.1, 0.5)], "arms": [(-0.5, 0.45), (0, 0.0), (0.15, 0.45)],
                "legs": [(-0.55, 0.97), (-0.6, 0.5), (0.1, 0.5)]},
    "lying": {"spine": [(-0.2, 0.75), (0.45, 0.8)], "arms": [(-0.1, 0.95), (0.05, 0.75), (0.4, 0.6)],
              "legs": [(0.45, 0.8), (0.75, 0.72), (1.0, 0.9)]},
}  # fmt: skip
"""Joints of the stick figure in each action."""
HEAD: Final[Mapping[str, Point]] = {
    "dancing": (-0.1, -0.62), "jumping": (0.0, -0.7), "fighting": (0.25, -0.62), "running": (0.2, -0.62),
    "gazing": (0.05, -0.62), "sitting": (-0.05, -0.55), "lying": (-0.55, 0.62),
}  # fmt: skip


def _box(pen: Pen, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
    pen.area([(left, top), (right, top), (right, bottom), (left, bottom)], fill)


def _outdoors(pen: Pen, ground: Colour, horizon: float = 0.6, sky: Colour = BLUE_SKY) -> None:
    _box(pen, 0, 0, 1, horizon, sky)
    _box(pen, 0, horizon, 1, 1, ground)


def park(pen: Pen) -> None:
    """Lawn, a path, two round trees."""
    _outdoors(pen, GRASS)
    pen.area([(0.42, 0.6), (0.5, 0.6), (0.72, 1), (0.3, 1)], (214, 196, 150))
    for x in (0.46, 0.92):
        _box(pen, x - 0.02, 0.45, x + 0.02, 0.64, (110, 76, 44))
        pen.oval((x, 0.38), 0.11, 0.12, (52, 128, 56))


def beach(pen: Pen) -> None:
    """Sky, sea with waves, sand."""
    _outdoors(pen, SEA, 0.42)
    for y in (0.48, 0.55, 0.62):
        pen.line([p for k in range(4) for p in arch((k / 4, y), (k / 4 + 0.25, y), 0.025)], WHITE, 0.012)
    pen.area([(0, 0.74), (0.5, 0.66), (1, 0.72), (1, 1), (0, 1)], SAND)


def mountain(pen: Pen) -> None:
    """Three snow-capped peaks."""
    _outdoors(pen, (120, 150, 96), 0.72)
    for x, height, wide in ((0.15, 0.34, 0.32), (0.85, 0.36, 0.32), (0.5, 0.12, 0.42)):
        pen.area([(x, height), (x + wide, 0.72), (x - wide, 0.72)], (112, 110, 134))
        pen.area([(x, height), (x + wide * 0.3, height + 0.17), (x, height + 0.12), (x - wide * 0.3, height + 0.17)],
                 WHITE)  # fmt: skip


def street(pen: Pen) -> None:
    """House fronts with windows, a road with a broken line."""
    _outdoors(pen, (92, 92, 98), 0.66)
    for k, (left, top) in enumerate(((0, 0.2), (0.25, 0.3), (0.5, 0.16), (0.75, 0.26))):
        _box(pen, left, top, left + 0.25, 0.66, ((182, 100, 84), (196, 178, 140), (150, 140, 150), (170, 120, 96))[k])
        for y in (top + 0.08, top + 0.22):
            for x in (left + 0.05, left + 0.15):
                _box(pen, x, y, x + 0.06, y + 0.08, (236, 226, 150))
    for x in (0.05, 0.35, 0.65, 0.95):
        _box(pen, x - 0.06, 0.84, x + 0.06, 0.87, WHITE)


def bedroom(pen: Pen) -> None:
    """Draw a wall with a window, floor boards, a bed."""
    _outdoors(pen, (156, 112, 76), 0.66, (222, 204, 186))
    _box(pen, 0.40, 0.10, 0.72, 0.42, (140, 92, 60))
    _box(pen, 0.43, 0.13, 0.69, 0.39, BLUE_SKY)
    _box(pen, 0.55, 0.13, 0.57, 0.39, (140, 92, 60))
    _box(pen, 0.36, 0.56, 1, 0.80, (120, 130, 196))
    _box(pen, 0.36, 0.48, 0.46, 0.60, WHITE)


def stadium(pen: Pen) -> None:
    """Tiers full of spectators above a marked field, floodlights."""
    _outdoors(pen, (70, 160, 70), 0.58)
    pen.area([(0, 0.30), (1, 0.30), (1, 0.58), (0, 0.58)], (80, 80, 110))
    for row in range(4):
        for k in range(12):
            colour = ((230, 70, 70), (240, 220, 90), (90, 140, 230), WHITE)[(k * 5 + row * 3) % 4]
            pen.oval(((k + 0.5 * (row % 2) + 0.25) / 12, 0.34 + 0.065 * row), 0.026, 0.026, colour)
    pen.line([(0, 0.66), (1, 0.66)], WHITE, 0.02)
    pen.line([(0.5, 0.66), (0.45, 1)], WHITE, 0.02)


def forest(pen: Pen) -> None:
    """Fir behind fir, dark ground."""
    _outdoors(pen, (66, 84, 50), 0.70, (150, 180, 170))
    for k in range(7):
        x, green = 0.04 + k * 0.155, (24, 76 + 14 * (k % 2), 46)
        _box(pen, x - 0.02, 0.6, x + 0.02, 0.76, (70, 48, 34))
        for top in (0.08, 0.26, 0.42):
            pen.area([(x, top), (x + 0.11, top + 0.26), (x - 0.11, top + 0.26)], green)


def landfill(pen: Pen) -> None:
    """Heaps of rubbish under a dull sky."""
    _outdoors(pen, (120, 104, 70), 0.62, (186, 186, 160))
    for x, y, r in ((0.15, 0.62, 0.2), (0.5, 0.58, 0.26), (0.88, 0.62, 0.2)):
        pen.oval((x, y), r, r * 0.75, (104, 92, 62))
    for k in range(16):
        x, y = (k * 0.37) % 1.0, 0.44 + (k * 0.23) % 0.5
        colour = ((90, 110, 70), (150, 130, 90), (70, 66, 60), (176, 166, 130))[k % 4]
        pen.area([(x, y), (x + 0.07, y + 0.02), (x + 0.05, y + 0.08), (x - 0.02, y + 0.06)], colour)


def cemetery(pen: Pen) -> None:
    """Draw a fence, a bare tree and rows of crosses."""
    _outdoors(pen, (88, 104, 80), 0.55, (160, 168, 184))
    for k in range(13):
        _box(pen, k / 12 - 0.008, 0.44, k / 12 + 0.008, 0.58, DARK)
    _box(pen, 0, 0.48, 1, 0.50, DARK)
    for x, y in ((0.45, 0.64), (0.62, 0.62), (0.80, 0.64), (0.96, 0.62)):
        _box(pen, x - 0.015, y, x + 0.015, y + 0.18, (206, 206, 210))
        _box(pen, x - 0.05, y + 0.04, x + 0.05, y + 0.07, (206, 206, 210))
    for end in ((0.78, 0.12), (0.98, 0.14), (0.82, 0.28), (0.99, 0.30)):
        pen.line([(0.9, 0.56), (0.9, 0.36), end], (60, 44, 36), 0.025)


def funfair(pen: Pen) -> None:
    """Draw a striped tent, a big wheel, flags."""
    _outdoors(pen, (196, 176, 120), 0.66)
    for k in range(8):
        angle = k * math.tau / 8
        rim = (0.80 + 0.19 * math.cos(angle), 0.36 + 0.19 * math.sin(angle))
        pen.line([(0.80, 0.36), rim], (120, 90, 140), 0.015)
        pen.oval(rim, 0.04, 0.04, ((240, 70, 90), (250, 210, 60), (70, 180, 220), (120, 200, 90))[k % 4])
    pen.line([(0.72, 0.66), (0.80, 0.36), (0.88, 0.66)], (120, 90, 140), 0.02)
    for k in range(6):
        left, right = 0.08 + k * 0.08, 0.16 + k * 0.08
        pen.area([(0.32, 0.30), (right, 0.48), (right, 0.68), (left, 0.68), (left, 0.48)], (WHITE, RED)[k % 2])


def dog(pen: Pen) -> None:
    """Draw a brown dog with a raised tail."""
    brown = (150, 98, 54)
    for x in (-0.5, -0.25, 0.25, 0.5):
        _box(pen, x - 0.08, 0.3, x + 0.08, 0.95, brown)
    pen.oval((0, 0.2), 0.68, 0.3, brown)
    pen.oval((0.68, -0.25), 0.32, 0.28, brown)
    pen.oval((0.5, -0.2), 0.12, 0.3, shade(brown, 0.6))
    pen.oval((0.94, -0.2), 0.1, 0.1, DARK)
    pen.line([(-0.62, 0.1), (-0.95, -0.5)], brown, 0.16)


def gift(pen: Pen) -> None:
    """Draw a red parcel with a golden bow."""
    _box(pen, -0.75, -0.35, 0.75, 0.9, (220, 40, 90))
    _box(pen, -0.14, -0.35, 0.14, 0.9, (255, 214, 60))
    _box(pen, -0.75, 0.15, 0.75, 0.4, (255, 214, 60))
    for side in (-1, 1):
        pen.oval((side * 0.3, -0.55), 0.32, 0.22, (255, 214, 60))


def flower(pen: Pen) -> None:
    """Three flowers on green stems."""
    for x, top, colour in ((-0.6, -0.1, (240, 90, 160)), (0.0, -0.45, (250, 220, 70)), (0.6, -0.1, (220, 110, 240))):
        pen.line([(x, 0.95), (x, top)], (50, 140, 60), 0.1)
        for k in range(5):
            angle = k * math.tau / 5
            pen.oval((x + 0.2 * math.cos(angle), top + 0.2 * math.sin(angle)), 0.17, 0.17, colour)
        pen.oval((x, top), 0.13, 0.13, (250, 170, 40))


def garbage(pen: Pen) -> None:
    """Burst black bags, bones and a stinking puddle."""
    pen.oval((0.1, 0.85), 0.95, 0.16, (130, 150, 50))
    for x, y, r in ((-0.4, 0.35, 0.5), (0.4, 0.45, 0.45), (0.0, 0.0, 0.4)):
        pen.oval((x, y), r, r, (44, 46, 50))
        pen.area([(x - 0.14, y - r - 0.16), (x + 0.14, y - r - 0.16), (x, y - r + 0.1)], (44, 46, 50))
    for x in (-0.5, 0.35):
        pen.line([(x, 0.6), (x + 0.35, 0.3)], (220, 216, 190), 0.12)
        pen.oval((x, 0.6), 0.1, 0.1, (220, 216, 190))
    for x, y in ((-0.7, -0.5), (0.5, -0.65), (0.8, -0.2), (-0.2, -0.8)):
        pen.oval((x, y), 0.07, 0.05, DARK)


def spider(pen: Pen) -> None:
    """Draw a black spider on eight legs."""
    for side in (-1, 1):
        for k in range(4):
            y = -0.4 + 0.3 * k
            pen.line([(0, 0.1), (side * 0.6, y - 0.35), (side * 0.98, y + 0.35)], DARK, 0.1)
    pen.oval((0, 0.25), 0.42, 0.48, DARK)
    pen.oval((0, -0.3), 0.26, 0.24, DARK)
    for side in (-1, 1):
        pen.oval((side * 0.1, -0.34), 0.07, 0.07, RED)


def tombstone(pen: Pen) -> None:
    """Draw a grey stone with a dark cross."""
    pen.oval((0, -0.3), 0.62, 0.6, (172, 172, 178))
    _box(pen, -0.62, -0.3, 0.62, 0.95, (172, 172, 178))
    _box(pen, -0.09, -0.6, 0.09, 0.45, (70, 70, 78))
    _box(pen, -0.34, -0.35, 0.34, -0.17, (70, 70, 78))


def wreck(pen: Pen) -> None:
    """Draw a broken car: dented, a wheel off, glass shattered."""
    body = [(-0.95, 0.35), (-0.6, 0.0), (-0.3, -0.45), (0.3, -0.3), (0.5, 0.1), (0.95, 0.0), (0.8, 0.65), (-0.9, 0.6)]
    pen.area(body, (170, 60, 50))
    pen.area([(-0.45, 0.0), (-0.22, -0.33), (0.22, -0.22), (0.32, 0.05)], (200, 220, 230))
    for end in ((-0.3, 0.0), (0.05, -0.28), (0.3, 0.0), (-0.15, -0.3)):
        pen.line([(0.0, -0.12), end], DARK, 0.06)
    pen.oval((-0.55, 0.68), 0.26, 0.26, DARK)
    pen.oval((0.75, 0.85), 0.3, 0.13, DARK)


def balloon(pen: Pen) -> None:
    """Three balloons on strings."""
    for x, y, colour in ((-0.5, -0.2, (230, 50, 60)), (0.5, -0.25, (60, 130, 240)), (0.0, -0.5, (250, 210, 50))):
        pen.line([(x, y), (0.0, 1.0)], DARK, 0.05)
        pen.oval((x, y), 0.36, 0.44, colour)


def bird(pen: Pen) -> None:
    """Two white birds with spread wings."""
    for x, y, wide in ((-0.2, -0.3, 0.75), (0.4, 0.4, 0.5)):
        wings = [*arch((x - wide, y - 0.1), (x, y), 0.3), *arch((x, y), (x + wide, y - 0.1), 0.3)]
        pen.line(wings, WHITE, 0.17)
        pen.oval((x, y + 0.04), 0.13, 0.16, WHITE)


def rainbow(pen: Pen) -> None:
    """Five concentric arcs."""
    colours = ((220, 40, 40), (250, 150, 40), (250, 230, 60), (60, 180, 80), (70, 90, 210))
    for k, colour in enumerate(colours):
        pen.line(arch((-1.0 + 0.14 * k, 0.7), (1.0 - 0.14 * k, 0.7), 1.4 - 0.2 * k, 12), colour, 0.17)


def fireworks(pen: Pen) -> None:
    """Two bursts of coloured rays."""
    for x, y, radius, colour in ((-0.25, -0.25, 0.7, (255, 80, 160)), (0.5, 0.4, 0.48, (255, 220, 60))):
        for k in range(10):
            cos, sin = math.cos(k * math.tau / 10), math.sin(k * math.tau / 10)
            pen.line([(x + 0.2 * radius * cos, y + 0.2 * radius * sin), (x + radius * cos, y + radius * sin)], colour,
                     0.08)  # fmt: skip
            pen.oval((x + radius * cos, y + radius * sin), 0.08, 0.08, WHITE)


def lightning(pen: Pen) -> None:
    """Draw a bolt out of a dark cloud."""
    for x in (-0.5, 0.0, 0.5):
        pen.oval((x, -0.55), 0.46, 0.3, (70, 72, 90))
    pen.area([(0.1, -0.4), (-0.4, 0.3), (-0.05, 0.3), (-0.3, 1.0), (0.45, 0.1), (0.08, 0.1), (0.4, -0.4)],
             (255, 240, 80))  # fmt: skip


def ghost(pen: Pen) -> None:
    """Draw a white ghost with hollow eyes and mouth."""
    pen.oval((0, -0.3), 0.6, 0.62, WHITE)
    pen.area([(-0.6, -0.3), (0.6, -0.3), (0.66, 0.95), (0.35, 0.65), (0.1, 0.95), (-0.15, 0.65), (-0.4, 0.95),
              (-0.62, 0.65)], WHITE)  # fmt: skip
    for side in (-1, 1):
        pen.oval((side * 0.24, -0.35), 0.13, 0.19, DARK)
    pen.oval((0, 0.15), 0.15, 0.2, DARK)


def rain(pen: Pen) -> None:
    """Draw a grey cloud and slanting drops."""
    for x in (-0.5, 0.0, 0.5):
        pen.oval((x, -0.5), 0.44, 0.32, (150, 154, 164))
    for x, y in ((-0.7, 0.0), (-0.3, 0.1), (0.1, 0.0), (0.5, 0.1), (-0.5, 0.55), (-0.1, 0.6), (0.3, 0.55), (0.7, 0.6)):
        pen.line([(x, y), (x - 0.12, y + 0.35)], (60, 110, 200), 0.09)


def smoke(pen: Pen) -> None:
    """Draw a column of dark, yellowish smoke."""
    for k, (x, y) in enumerate(((0.3, 0.85), (0.1, 0.5), (0.25, 0.1), (-0.1, -0.3), (-0.4, -0.65))):
        pen.oval((x, y), 0.22 + 0.09 * k, 0.2 + 0.07 * k, shade((110, 104, 70), 0.75 + 0.1 * k))


BACKGROUNDS: Final[Mapping[str, Callable[[Pen], None]]] = {
    "park": park, "beach": beach, "mountain": mountain, "street": street, "bedroom": bedroom, "stadium": stadium,
    "forest": forest, "landfill": landfill, "cemetery": cemetery, "funfair": funfair,
}  # fmt: skip
GROUND: Final[Mapping[str, Callable[[Pen], None]]] = {
    "dog": dog, "gift": gift, "flower": flower, "garbage": garbage, "spider": spider, "tombstone": tombstone,
    "wreck": wreck,
}  # fmt: skip
SKY: Final[Mapping[str, Callable[[Pen], None]]] = {
    "balloon": balloon, "bird": bird, "rainbow": rainbow, "fireworks": fireworks, "lightning": lightning,
    "ghost": ghost, "rain": rain, "smoke": smoke,
}  # fmt: skip


def person(pen: Pen, expression: str | None, action: str | None, skin: Colour, clothes: Colour) -> None:
    """Draw someone who acts, seen from behind if no expression shows; or, without an action, a portrait."""
    if action is None:
        pen.area([(-0.9, 1.4), (-0.6, 0.75), (0.6, 0.75), (0.9, 1.4)], clothes)
        _head(pen, (0.0, 0.05), 0.72, expression, skin)
        return
    body = BODY[action]
    pen.line(body["legs"], shade(clothes, 0.6), 0.15)
    pen.line(body["spine"], clothes, 0.26)
    pen.line(body["arms"], skin, 0.13)
    _head(pen, HEAD[action], 0.42, expression, skin)


def _head(pen: Pen, centre: Point, radius: float, expression: str | None, skin: Colour) -> None:
    x, y = centre
    hair = (64, 44, 32)
    pen.oval((x, y - 0.1 * radius), 1.08 * radius, 1.08 * radius, hair)
    if expression is None:
        return

    def at(points: Sequence[Point]) -> list[Point]:
        return [(x + radius * px, y + radius * py) for px, py in points]

    pen.oval((x, y + 0.08 * radius), 0.95 * radius, 0.92 * radius, FACE.get(expression, skin))
    wide = {"surprised": 0.22, "afraid": 0.24}.get(expression, 0.15)
    brow = {"angry": -0.22, "disgusted": -0.16, "sad": 0.2, "afraid": 0.2}.get(expression, 0.0)
    lift = -0.12 if expression in ("surprised", "afraid") else 0.0
    for side in (-1, 1):
        pen.oval(at([(side * 0.38, -0.1)])[0], wide * radius, wide * radius, WHITE)
        pen.oval(at([(side * 0.38, -0.1)])[0], 0.12 * radius, 0.12 * radius, DARK)
        inner, outer = -0.42 + lift - brow, -0.42 + lift + brow
        pen.line(at([(side * 0.12, inner), (side * 0.62, outer)]), hair, 0.13 * radius)
    _mouth(pen, at, radius, expression)


FACE: Final[Mapping[str, Colour]] = {"angry": (226, 110, 90), "disgusted": (156, 186, 100), "afraid": (226, 232, 244)}
"""Faces that flush or pale, whoever's they are, as comics draw them."""


def _mouth(pen: Pen, at: Callable[[Sequence[Point]], list[Point]], radius: float, expression: str) -> None:
    if expression == "surprised":
        pen.oval(at([(0, 0.52)])[0], 0.2 * radius, 0.26 * radius, (110, 20, 30))
    elif expression == "afraid":
        pen.area(at([(-0.4, 0.62), (-0.3, 0.38), (0.3, 0.38), (0.4, 0.62)]), (60, 10, 20))
        pen.line(at([(-0.34, 0.5), (0.34, 0.5)]), WHITE, 0.1 * radius)
    elif expression == "happy":
        pen.area(at([(-0.48, 0.3), *arch((-0.48, 0.3), (0.48, 0.3), -0.5, 8)]), (150, 20, 40))
        pen.line(at([(-0.42, 0.33), (0.42, 0.33)]), WHITE, 0.14 * radius)
    elif expression == "disgusted":
        pen.line(at([(-0.4, 0.5), (-0.2, 0.38), (0.0, 0.52), (0.2, 0.38), (0.4, 0.5)]), DARK, 0.13 * radius)
        pen.oval(at([(0.2, 0.6)])[0], 0.14 * radius, 0.2 * radius, (214, 70, 90))
    else:
        rise = {"sad": 0.28, "angry": 0.16, "neutral": 0.0}[expression]
        pen.line(at(arch((-0.4, 0.58), (0.4, 0.58), rise, 8)), DARK, (0.2 if expression == "angry" else 0.12) * radius)
    if expression == "sad":
        pen.oval(at([(-0.42, 0.2)])[0], 0.1 * radius, 0.18 * radius, (70, 140, 240))
