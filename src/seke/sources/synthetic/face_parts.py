"""The parts of a drawn face: brows, eyes, nose, cheeks, mouth, chin; each moved by its action units.

Coordinates are face units: x to the image's right, y down, the face's outline at |x| = 1 and roughly -1.1 <= y <= 1.15.
Features are drawn about 1.45 times as large as on a person, as a caricaturist does: a tiny vision model, which sees 16
pixel patches, learns them (measured: twice the accuracy of normal-sized ones). Movements `au[k]` are in [0, 1].
"""

import math
from collections.abc import Mapping

from seke.sources.synthetic.drawing import Pen, Point, arch, mix, shade
from seke.sources.synthetic.face_identity import SIDES, Identity

ACROSS = [k / 7 for k in range(-7, 8)]
"""Where lip contours are sampled, from corner (-1) to corner (1)."""
SHUT = 0.7
"""Of a blink: from here on nothing of the iris is seen."""
WHITE, BLACK, CAVITY, TONGUE = (250, 248, 244), (18, 14, 14), (52, 10, 16), (190, 74, 82)


def brows(pen: Pen, identity: Identity, au: Mapping[int, float]) -> None:
    """AU1 lifts the inner ends, AU2 the outer ones, AU4 lowers, draws together and furrows."""
    line = shade(identity.skin, 0.45)
    squeeze = 0.09 * au[4]
    inner = -0.54 - 0.24 * au[1] + 0.19 * au[4]
    middle = -0.63 - 0.10 * au[1] - 0.19 * au[2] + 0.16 * au[4]
    outer = -0.54 - 0.27 * au[2] + 0.04 * au[4]
    thick = identity.brow
    for side in SIDES:
        upper = [(side * x, y) for x, y in ((0.15 - squeeze, inner), (0.42, middle), (0.76, outer))]
        lower = [(side * x, y + d * thick) for x, y, d in
                 ((0.76, outer, 0.5), (0.42, middle, 1.15), (0.15 - squeeze, inner, 1.0))]  # fmt: skip
        pen.area(upper + lower, identity.brow_colour)
        # Forehead creases follow the brow that lifts: short ones in the middle, arcs over the outer ends.
        for level in (0.10, 0.20):
            pen.line(arch((0.0, inner - level), (side * 0.24, inner - level), -0.03), line, 0.045 * au[1])
        for level in (0.08, 0.16):
            pen.line(
                arch((side * 0.34, middle - level), (side * 0.70, middle - level + 0.08), 0.05), line, 0.045 * au[2]
            )
        pen.line([(side * 0.065, -0.44 - 0.14 * au[4]), (side * 0.045, -0.26)], line, 0.07 * au[4])


def eyes(pen: Pen, identity: Identity, au: Mapping[int, float], closed: float = 0.0) -> None:
    """AU5 lifts the upper lid off the iris, AU7 narrows from below and above, AU6 lays crow's feet at the corners.

    `closed`, in [0, 1]: how far a blink has brought the upper lid down to the lower one.
    """
    line = shade(identity.skin, 0.4)
    size = identity.eye_size
    up = size * max(0.03, 0.145 + 0.15 * au[5] - 0.075 * au[7] - 0.02 * au[6])
    down = size * max(0.02, 0.105 + 0.03 * au[5] - 0.085 * au[7] - 0.045 * au[6])
    half = 0.25 * size
    if closed:
        up -= closed * (up + 0.6 * down)
    for side in SIDES:
        x, y = side * 0.42, -0.20
        left, right = (x - half, y), (x + half, y)
        upper, lower = arch(left, right, up, 8), arch(right, left, -down, 8)
        pen.area(upper + lower, mix(WHITE, identity.skin, 0.08))
        iris = min(0.135 * size, 0.03 + (up + down) / 2) if up < 0.2 * size else 0.125 * size
        if closed < SHUT:
            pen.oval((x, y + (down - up) * 0.15), 0.12 * size, iris, identity.eye_colour)
            pen.oval((x, y + (down - up) * 0.15), 0.058 * size, min(0.058 * size, iris), BLACK)
        pen.line(upper, BLACK, 0.05)
        pen.line(lower, line, 0.022 + 0.05 * au[7])
        # A tightened lower lid bulges into a second line close below; a raised cheek pushes up farther out.
        pen.line(
            arch((x + half * 0.8, y + down + 0.075), (x - half * 0.8, y + down + 0.075), -0.02), line, 0.05 * au[7]
        )
        for slope in (-0.13, 0.0, 0.13):
            start = (x + side * (half + 0.05), y + 0.02 + slope * 0.4)
            pen.line([start, (start[0] + side * 0.15, start[1] + slope)], line, 0.05 * au[6])
        pen.line(arch((x - half, y + 0.20), (x + half, y + 0.20), -0.05), line, 0.035 * identity.wrinkles)


def nose(pen: Pen, identity: Identity, au: Mapping[int, float]) -> None:
    """AU9 wrinkles the bridge, widens and lifts the wings."""
    line, dark = shade(identity.skin, 0.62), shade(identity.skin, 0.38)
    wide = identity.nose_width * (1 + 0.22 * au[9])
    tip = 0.26 - 0.05 * au[9]
    pen.oval((0.0, tip - 0.03), wide * 0.72, 0.10, shade(identity.skin, 1.07))
    pen.line([(-0.06, -0.14), (-0.5 * wide, tip - 0.12)], line, 0.03)
    for side in SIDES:
        pen.line(arch((side * wide, tip - 0.08), (side * wide * 0.55, tip + 0.03), -0.05), line, 0.045)
        pen.oval((side * wide * 0.45, tip + 0.03), 0.05, 0.028, dark)
        pen.line([(side * 0.10, -0.02), (side * 0.24, 0.09)], dark, 0.05 * au[9])
    for level in (-0.20, -0.11, -0.02):
        pen.line(arch((-0.13, level), (0.13, level), 0.05), dark, 0.055 * au[9])


def cheeks(pen: Pen, identity: Identity, au: Mapping[int, float]) -> None:
    """AU6 raises the cheeks to bright, outlined bumps below the eyes; age lies as faint folds beside the mouth."""
    line = shade(identity.skin, 0.5)
    for side in SIDES:
        lift = au[6]
        if lift > 0.02:
            centre = (side * 0.55, 0.16 - 0.05 * lift)
            pen.oval(
                centre, 0.10 + 0.13 * lift, 0.06 + 0.07 * lift, mix(shade(identity.skin, 1.08), (225, 90, 80), 0.3)
            )
            pen.line(arch((side * 0.34, 0.08), (side * 0.76, 0.02), -0.15 * lift), line, 0.05 * lift)
        fold = [(side * 0.30, 0.24), (side * 0.42, 0.36), (side * 0.50, 0.52)]
        pen.line(fold, shade(identity.skin, 0.75), 0.045 * identity.wrinkles)


def mouth(pen: Pen, identity: Identity, au: Mapping[int, float]) -> None:
    """Draw lips, corners and the skin around them, moved by AU10 to AU26 (AU17 pushes the seam, see `chin`)."""
    line, dark = shade(identity.skin, 0.45), shade(identity.skin, 0.35)
    half = identity.mouth_width + 0.10 * au[12] + 0.19 * au[20] - 0.11 * au[23] - 0.03 * au[24]
    centre = 0.60 + 0.02 * au[26]
    middle = centre + 0.07 * au[12] - 0.07 * au[15] - 0.09 * au[17]
    corner = dict.fromkeys(SIDES, centre - 0.24 * au[12] + 0.22 * au[15] + 0.07 * au[20] + 0.08 * au[26])
    corner[identity.dimple_side] -= 0.13 * au[14]
    tight = max(au[23], au[24])
    thin = identity.lips * (1 - 0.72 * tight) * (1 - 0.4 * au[20])
    gap_up, gap_down = 0.045 * au[25], 0.12 * au[25] + 0.34 * au[26]

    def at(t: float, offset: float) -> Point:
        edge = corner[1 if t > 0 else -1]
        return (t * half, middle + (edge - middle) * t * t + offset)

    square = 2 + 3 * au[20]  # stretched lips open to a box, not to a bow
    upper_in = [at(t, -gap_up * (1 - t * t)) for t in ACROSS]
    lower_in = [at(t, gap_down * (1 - abs(t) ** square)) for t in ACROSS]
    bow = [(1 - t**4) * (0.085 * thin + 0.15 * au[10]) - 0.02 * thin * math.exp(-18 * t * t) for t in ACROSS]
    upper_out = [(x, y - rise) for (x, y), rise in zip(upper_in, bow, strict=True)]
    lower_out = [(x, y + 0.125 * thin * (1 - t * t)) for t, (x, y) in zip(ACROSS, lower_in, strict=True)]

    _around_the_mouth(pen, identity, au, half, middle, corner)
    pen.area(upper_out + lower_out[::-1], identity.lip_colour)
    if gap_up + gap_down > 0.03:
        pen.area(upper_in + lower_in[::-1], CAVITY)
        if au[26] > 0.3:
            pen.oval((0.0, middle + gap_down * 0.80), half * 0.5, gap_down * 0.18, TONGUE)
        teeth = min(0.115 * au[25] ** 0.5, gap_up + gap_down)
        if teeth > 0.02:
            pen.area(upper_in + [(x * 0.96, y + teeth * (1 - t * t)) for t, (x, y) in
                                 reversed(list(zip(ACROSS, upper_in, strict=True)))], WHITE)  # fmt: skip
    else:
        pen.line(upper_in, dark, 0.035 + 0.04 * au[24])
    if au[24] > 0.02:
        # Pressed lips bulge: the skin above and below swells, and the seam between them is a straight dark bar.
        for y in (-0.13, 0.15):
            bulge = arch((-half, centre + y * 0.5), (half, centre + y * 0.5), math.copysign(0.10 * au[24], -y), 8)
            pen.line(bulge, shade(identity.skin, 1.25), 0.07 * au[24])
            pen.line([(x, py + math.copysign(0.055, y)) for x, py in bulge], line, 0.04 * au[24])
    for x in (-0.66, -0.33, 0.0, 0.33, 0.66):  # tightened lips purse into short upright creases
        pen.line([(x * half, middle - 0.08), (x * half * 1.25, middle - 0.20)], dark, 0.05 * au[23])
        pen.line([(x * half, middle + 0.09), (x * half * 1.25, middle + 0.20)], dark, 0.05 * au[23])


def _around_the_mouth(
    pen: Pen, identity: Identity, au: Mapping[int, float], half: float, middle: float, corner: Mapping[int, float]
) -> None:
    line, dark = shade(identity.skin, 0.5), shade(identity.skin, 0.35)
    for side in SIDES:
        x, y = side * half, corner[side]
        # AU10 lifts the lip into an angular fold from the nose's wing; AU12 bends a round one beside the corner.
        fold = [(side * 0.22, 0.16), (side * (0.40 + 0.04 * au[10]), 0.24), (side * 0.46, 0.50)]
        pen.line(fold, line, 0.075 * au[10])
        pen.line([(x + side * 0.03, y - 0.12), (x + side * 0.13, y), (x + side * 0.05, y + 0.14)], line, 0.05 * au[12])
        deep = au[14] * (1.0 if side == identity.dimple_side else 0.35)
        if deep > 0.05:
            pen.oval(
                (x + side * 0.13, y), 0.045 + 0.05 * deep, 0.06 + 0.09 * deep, shade(identity.skin, 1 - 0.25 * deep)
            )
            pen.line(
                [(x + side * 0.10, y - 0.14), (x + side * 0.17, y), (x + side * 0.10, y + 0.14)], dark, 0.075 * deep
            )
        pen.line([(x + side * 0.03, y + 0.01), (x + side * 0.06, y + 0.17)], line, 0.07 * au[15])
        # AU20 pulls straight back: level strain lines beyond the corners.
        for level in (-0.06, 0.04, 0.14):
            pen.line([(x + side * 0.06, y + level), (x + side * 0.20, y + level * 1.5)], dark, 0.05 * au[20])


def chin(pen: Pen, identity: Identity, au: Mapping[int, float], bottom: float) -> None:
    """AU17 pushes the chin boss up: a bright, dimpled ball below a dark arch. AU26 has lowered `bottom`, the chin."""
    push = au[17]
    if push > 0.02:
        y = bottom - 0.20
        pen.oval((0.0, y), 0.10 + 0.13 * push, 0.05 + 0.08 * push, shade(identity.skin, 1 + 0.12 * push))
        pen.line(
            arch((-0.26, y + 0.05), (0.26, y + 0.05), 0.20 * push + 0.03, 8), shade(identity.skin, 0.38), 0.07 * push
        )
        for x, dy in ((-0.09, 0.0), (0.0, 0.045), (0.09, 0.0), (0.0, -0.04)):
            pen.oval((x, y + dy), 0.028 * push, 0.028 * push, shade(identity.skin, 0.45))
