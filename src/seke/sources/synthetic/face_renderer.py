"""Draws a synthetic face: what it shows (17 AU intensities), whose it is, and how the picture was taken.

    draw(face.au_intensity, draw_identity(rng), draw_scene(rng, wild=True), size=96)

Pillow alone draws, numpy lights and adds noise; about a millisecond an image. The same arguments give the same pixels.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from seke.sources.synthetic.drawing import Colour, Pen, Point, Pose, any_colour, mix, shade
from seke.sources.synthetic.face_identity import SIDES, Identity
from seke.sources.synthetic.face_parts import brows, cheeks, chin, eyes, mouth, nose

OVERSAMPLING: Final = 2


@dataclass(frozen=True)
class Scene:
    """How the picture was taken."""

    light_angle: float
    """Where the light comes from, radians."""
    light_strength: float
    """Brightness falls by this share, plus and minus, across the picture."""
    gain: float
    tint: tuple[float, float, float]
    """Colour of the light, a factor a channel."""
    yaw: float
    """Radians, as roll."""
    roll: float
    scale: float
    shift: Point
    """Shares of the picture's size."""
    background: Colour
    backdrop: Colour
    """A second colour for whatever stands behind; equal to `background` in a laboratory."""
    noise: float
    """Standard deviation of the pixel noise, in grey levels."""
    noise_seed: int


def draw_scene(rng: Random, wild: bool = True) -> Scene:
    """Draw the conditions of one picture: a laboratory's even light and grey wall, or the wild."""
    spread = 1.0 if wild else 0.4
    background = any_colour(rng) if wild else shade((190, 192, 196), rng.uniform(0.9, 1.1))
    return Scene(
        light_angle=rng.uniform(0, math.tau),
        light_strength=0.28 * spread * rng.random(),
        gain=1 + spread * rng.uniform(-0.22, 0.16),
        tint=(1 + spread * rng.uniform(-0.07, 0.07), 1.0, 1 + spread * rng.uniform(-0.07, 0.07)),
        yaw=spread * rng.uniform(-0.20, 0.20),
        roll=spread * math.radians(rng.uniform(-6, 6)),
        scale=1 + spread * rng.uniform(-0.06, 0.05),
        shift=(spread * rng.uniform(-0.025, 0.025), spread * rng.uniform(-0.02, 0.02)),
        background=background,
        backdrop=any_colour(rng) if wild else background,
        noise=spread * rng.uniform(1, 7),
        noise_seed=rng.getrandbits(32),
    )


def movement(intensity: float) -> float:
    """Return how far an AU of `intensity` (0 to 5) moves what it moves, in [0, 1]: a trace hardly does.

    >>> [round(movement(i), 2) for i in (0, 1, 2, 3.5, 5)]
    [0.0, 0.1, 0.33, 0.75, 1.0]
    """
    share = min(max(intensity / 5, 0.0), 1.0)
    return 0.8 * share * share * (3 - 2 * share) + 0.2 * share * share * (2 - share)


def draw(
    au_intensity: Mapping[int, float], identity: Identity, scene: Scene, size: int = 96, closed: float = 0.0
) -> Image.Image:
    """Return the picture, RGB, `size` x `size`.

    `au_intensity` gives all 17 AUs in [0, 5]; `closed`, in [0, 1], is how far a blink has shut the eyes.
    """
    au = {unit: movement(intensity) for unit, intensity in au_intensity.items()}
    pixels = size * OVERSAMPLING
    picture = Image.new("RGB", (pixels, pixels), scene.background)
    canvas = ImageDraw.Draw(picture)
    if scene.backdrop != scene.background:
        slant = math.tan(scene.light_angle / 4) * pixels
        canvas.polygon([(0, pixels), (0, slant / 2), (pixels, pixels - slant / 2), (pixels, pixels)], scene.backdrop)
    pose = Pose(
        unit=0.355 * pixels * scene.scale,
        x=pixels * (0.5 + scene.shift[0]),
        y=pixels * (0.485 + scene.shift[1]),
        yaw=scene.yaw,
        cos=math.cos(scene.roll),
        sin=math.sin(scene.roll),
    )
    pen = Pen(canvas, pose)
    bottom = identity.chin_length + 0.20 * au[26]
    _head(pen, identity, bottom)
    cheeks(pen, identity, au)
    if identity.beard:
        _beard(pen, identity, bottom)
    chin(pen, identity, au, bottom)
    nose(pen, identity, au)
    mouth(pen, identity, au)
    eyes(pen, identity, au, closed)
    brows(pen, identity, au)
    if identity.glasses:
        _glasses(pen)
    return _taken(picture.resize((size, size), Image.Resampling.BOX), scene)


def _head(pen: Pen, identity: Identity, bottom: float) -> None:
    skin, dark = identity.skin, shade(identity.skin, 0.8)
    hair, hair_dark = identity.hair_colour, shade(identity.hair_colour, 0.8)
    width = identity.width
    if identity.hair == "long":
        pen.area([(-width - 0.2, -0.6), (width + 0.2, -0.6), (width + 0.3, 1.4), (-width - 0.3, 1.4)], hair_dark)
    pen.area([(-0.45, 0.7), (0.45, 0.7), (0.5, 1.35), (1.3, 1.7), (-1.3, 1.7), (-0.5, 1.35)], dark)
    pen.area([(-0.6, 1.34), (0.6, 1.34), (1.5, 1.7), (-1.5, 1.7)], identity.clothes)
    if identity.hair == "bun":
        pen.oval((0.0, -1.22), 0.36, 0.26, hair_dark)
    if identity.hair == "curly":
        for k in range(11):
            angle = math.pi * (1.0 + k / 10)
            pen.oval((width * 1.02 * math.cos(angle), -0.3 + 0.85 * math.sin(angle)), 0.26, 0.24, hair)
    elif identity.hair != "none":
        pen.oval((0.0, -0.28), width + 0.10, 1.0, hair)
    for side in SIDES:
        pen.oval((side * width, -0.05), 0.13, 0.22, dark)
    pen.area(_outline(identity, bottom), skin)
    if identity.hair == "fringe":
        fringe = [(-width, -0.70), *[(x / 4, -0.88 - 0.10 * (x % 2)) for x in range(-3, 4)], (width, -0.70)]
        pen.area([*fringe, (0.6, -1.12), (-0.6, -1.12)], hair)
    elif identity.hair in ("short", "long", "bun"):
        pen.area([(-width, -0.62), (-0.55, -0.98), (0.55, -0.98), (width, -0.62), (0.7, -1.1), (-0.7, -1.1)], hair)


def _outline(identity: Identity, bottom: float) -> list[Point]:
    """Return the face's outline: half an ellipse above, a jaw between a point and a square below."""
    points = []
    power = 1.0 - 0.35 * identity.jaw
    for k in range(32):
        cos, sin = math.cos(k * math.tau / 32), math.sin(k * math.tau / 32)
        if sin > 0:
            points.append((math.copysign(abs(cos) ** power, cos) * identity.width, bottom * sin))
        else:
            points.append((cos * identity.width, 1.1 * sin))
    return points


def _beard(pen: Pen, identity: Identity, bottom: float) -> None:
    # Thin stubble: what the chin and the lips' surroundings do stays visible on top of it.
    width, colour = identity.width, mix(identity.skin, identity.hair_colour, 0.35)
    jaw = [(x, y) for x, y in _outline(identity, bottom) if y > 0.25]
    pen.area([*jaw, (-width * 0.8, 0.30), (-0.5, 0.78), (0.5, 0.78), (width * 0.8, 0.30)], colour)


def _glasses(pen: Pen) -> None:
    frame = (36, 34, 40)
    for side in SIDES:
        x = side * 0.42
        pen.line(
            [(x - 0.31, -0.42), (x + 0.31, -0.42), (x + 0.27, 0.06), (x - 0.27, 0.06), (x - 0.31, -0.42)], frame, 0.035
        )
        pen.line([(side * 0.73, -0.36), (side * 0.98, -0.30)], frame, 0.04)
    pen.line([(-0.11, -0.34), (0.11, -0.34)], frame, 0.04)


def _taken(picture: Image.Image, scene: Scene) -> Image.Image:
    """Light the picture from one side, tint it, and add the sensor's noise."""
    size = picture.width
    ramp = np.linspace(-1, 1, size, dtype=np.float32) * scene.light_strength
    light = scene.gain * (1 + math.cos(scene.light_angle) * ramp[None, :] + math.sin(scene.light_angle) * ramp[:, None])
    pixels_HWC = np.asarray(picture, dtype=np.float32) * light[:, :, None] * np.array(scene.tint, dtype=np.float32)
    noise = np.random.default_rng(scene.noise_seed).standard_normal((size, size), dtype=np.float32)
    pixels_HWC += scene.noise * noise[:, :, None]
    return Image.fromarray(np.clip(pixels_HWC, 0, 255).astype(np.uint8))
