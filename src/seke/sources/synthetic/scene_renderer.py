"""Draws a synthetic scene: an emotion, the attributes that evoke it, and a picture in which each of them is visible.

    scene = draw_scene(Random(1), "fear")            # attributes, by P(value | emotion) below
    picture = draw(scene, draw_view(Random(2)))      # Pillow draws, numpy lights: about 2 ms at 96 pixels

Given the emotion the seven attributes are independent. Of each one an emotion has some typical values, which share
`TYPICAL_SHARE` of its probability; the rest is spread evenly over all values:

    P(value | emotion) = TYPICAL_SHARE [value is typical] / (number of typical ones) + (1 - TYPICAL_SHARE) / values

No typical value belongs to one emotion alone, so every attribute is ambiguous; together they tell the emotion.
Who knows all seven and these tables is right in 94.1 % of the scenes, in at most 48 % by any one of them, and by
guessing in 12.5 % (`bayes_accuracy`; a test computes all three). The tables are ours, chosen, not measured.
"""

import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from seke.core.rules import EMOTIONS
from seke.sources.synthetic.drawing import Colour, Pen, Pose
from seke.sources.synthetic.scene_parts import BACKGROUNDS, GROUND, SKY, person

LEVELS: Final[Mapping[str, tuple[float, ...]]] = {
    "low": (0.1, 0.2, 0.3), "middle": (0.4, 0.5, 0.6), "high": (0.7, 0.8, 0.9),
}  # fmt: skip
"""What brightness and colourfulness, both in [0, 1], are within each level."""
EXPRESSIONS: Final = ("happy", "surprised", "angry", "disgusted", "afraid", "sad", "neutral")
ACTIONS: Final = ("dancing", "jumping", "fighting", "running", "gazing", "sitting", "lying")
NOTHING: Final = "nothing"
"""Stands for an attribute that a scene does not have: no such object, no face to be seen, nobody who acts."""
VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "brightness": tuple(LEVELS),
    "colorfulness": tuple(LEVELS),
    "scene_type": tuple(BACKGROUNDS),
    "ground": (*GROUND, NOTHING),
    "sky": (*SKY, NOTHING),
    "facial_expression": (*EXPRESSIONS, NOTHING),
    "human_action": (*ACTIONS, NOTHING),
}
TYPICAL: Final[Mapping[str, Mapping[str, str]]] = {
    "amusement": {
        "brightness": "middle high", "colorfulness": "high", "scene_type": "funfair park street", "ground": "dog gift",
        "sky": "balloon bird", "facial_expression": "happy surprised", "human_action": "dancing sitting",
    },
    "anger": {
        "brightness": "low middle", "colorfulness": "middle high", "scene_type": "street stadium landfill",
        "ground": "wreck garbage", "sky": "lightning smoke", "facial_expression": "angry disgusted",
        "human_action": "fighting running",
    },
    "awe": {
        "brightness": "middle high", "colorfulness": "middle high", "scene_type": "mountain beach forest",
        "ground": "nothing flower", "sky": "rainbow fireworks", "facial_expression": "surprised nothing",
        "human_action": "gazing nothing",
    },
    "contentment": {
        "brightness": "high", "colorfulness": "middle", "scene_type": "park bedroom beach", "ground": "flower dog",
        "sky": "bird rainbow nothing", "facial_expression": "happy neutral", "human_action": "sitting lying",
    },
    "disgust": {
        "brightness": "middle", "colorfulness": "low middle", "scene_type": "landfill bedroom street",
        "ground": "garbage spider", "sky": "smoke nothing", "facial_expression": "disgusted nothing angry",
        "human_action": "nothing gazing",
    },
    "excitement": {
        "brightness": "middle high", "colorfulness": "high", "scene_type": "stadium funfair mountain",
        "ground": "gift nothing", "sky": "fireworks balloon", "facial_expression": "happy surprised",
        "human_action": "jumping dancing",
    },
    "fear": {
        "brightness": "low", "colorfulness": "low", "scene_type": "forest cemetery bedroom",
        "ground": "spider tombstone", "sky": "ghost lightning rain", "facial_expression": "afraid surprised sad",
        "human_action": "running jumping",
    },
    "sadness": {
        "brightness": "low middle", "colorfulness": "low", "scene_type": "cemetery beach bedroom",
        "ground": "tombstone wreck", "sky": "rain ghost", "facial_expression": "sad neutral afraid",
        "human_action": "lying fighting",
    },
}  # fmt: skip
"""Of every attribute the values that an emotion typically has."""
TYPICAL_SHARE: Final = 0.8
OVERSAMPLING: Final = 2


class Scene(NamedTuple):
    """What a picture shows."""

    emotion: str
    brightness: float
    """In [0, 1], of `LEVELS`, as `colorfulness`."""
    colorfulness: float
    scene_type: str
    ground: str
    """What stands on the ground, as `sky` says what is in the air; `NOTHING` where nothing does."""
    sky: str
    facial_expression: str
    human_action: str

    @property
    def attributes(self) -> dict[str, Any]:
        """As EmoSet annotates it: the emotion first, both objects in one list, no key for what is not there."""
        objects = [thing for thing in (self.ground, self.sky) if thing != NOTHING]
        optional = {
            "object": objects,
            "facial_expression": self.facial_expression if self.facial_expression != NOTHING else None,
            "human_action": self.human_action if self.human_action != NOTHING else None,
        }
        known = {"emotion": self.emotion, "brightness": self.brightness, "colorfulness": self.colorfulness}
        return {**known, "scene_type": self.scene_type, **{name: found for name, found in optional.items() if found}}


class View(NamedTuple):
    """How the picture was taken: nothing of it says anything about the emotion."""

    mirrored: bool
    shifts: tuple[tuple[float, float], ...]
    """Of the thing on the ground, the one in the air and the person; shares of the picture's size."""
    scales: tuple[float, ...]
    tint: tuple[float, float, float]
    """A factor a channel."""
    clothes: Colour
    skin: Colour
    noise: float
    """Standard deviation of the pixel noise, in grey levels."""
    noise_seed: int


def probabilities(attribute: str, emotion: str) -> dict[str, float]:
    """Return P(value | emotion) of each value of an attribute.

    >>> {value: round(p, 3) for value, p in probabilities("brightness", "fear").items()}
    {'low': 0.867, 'middle': 0.067, 'high': 0.067}
    """
    values, typical = VALUES[attribute], TYPICAL[emotion][attribute].split()
    even = (1 - TYPICAL_SHARE) / len(values)
    return {value: even + (value in typical) * TYPICAL_SHARE / len(typical) for value in values}


def bayes_accuracy(attributes: Sequence[str] = tuple(VALUES)) -> float:
    """Return how often the likeliest emotion, given these attributes' true values, is the right one; exactly.

    The sum over all combinations of values of max_e P(e) P(values | e), with the eight emotions equally likely.
    """
    joint_EV = np.full((len(EMOTIONS), 1), 1 / len(EMOTIONS))
    for attribute in attributes:
        table_EA = np.array([list(probabilities(attribute, emotion).values()) for emotion in EMOTIONS])
        joint_EV = (joint_EV[:, :, None] * table_EA[:, None, :]).reshape(len(EMOTIONS), -1)
    return float(joint_EV.max(axis=0).sum())


def draw_scene(rng: Random, emotion: str) -> Scene:
    """Draw what evokes `emotion`, by the tables above."""
    drawn: dict[str, str] = {}
    for attribute in VALUES:
        table = probabilities(attribute, emotion)
        drawn[attribute] = rng.choices(list(table), list(table.values()))[0]
    light, colour = rng.choice(LEVELS[drawn.pop("brightness")]), rng.choice(LEVELS[drawn.pop("colorfulness")])
    return Scene(emotion, light, colour, **drawn)


def draw_view(rng: Random) -> View:
    """Draw how a picture is taken."""
    tone = rng.random()
    return View(
        mirrored=rng.random() < 0.5,
        shifts=tuple((rng.uniform(-0.05, 0.05), rng.uniform(-0.04, 0.04)) for _ in range(3)),
        scales=tuple(rng.uniform(0.9, 1.1) for _ in range(3)),
        tint=(rng.uniform(0.94, 1.06), 1.0, rng.uniform(0.94, 1.06)),
        clothes=(rng.randrange(50, 220), rng.randrange(50, 220), rng.randrange(50, 220)),
        skin=(round(245 - 120 * tone), round(215 - 125 * tone), round(188 - 122 * tone)),
        noise=rng.uniform(1, 5),
        noise_seed=rng.getrandbits(32),
    )


def draw(scene: Scene, view: View, size: int = 96) -> Image.Image:
    """Return the picture, RGB, `size` x `size`; the same arguments give the same pixels."""
    pixels = size * OVERSAMPLING
    picture = Image.new("RGB", (pixels, pixels))
    canvas = ImageDraw.Draw(picture)
    BACKGROUNDS[scene.scene_type](_pen(canvas, pixels, (0.0, 0.0), 1.0))
    night = scene.brightness < LEVELS["middle"][0]
    _light(_pen(canvas, pixels, (0.0, 0.0), 1.0), night)
    (ground, air, someone), scales = view.shifts, view.scales
    if scene.sky != NOTHING:
        SKY[scene.sky](_pen(canvas, pixels, (0.26 + air[0], 0.25 + air[1]), 0.23 * scales[1]))
    if scene.ground != NOTHING:
        GROUND[scene.ground](_pen(canvas, pixels, (0.23 + ground[0], 0.77 + ground[1]), 0.20 * scales[0]))
    if (scene.facial_expression, scene.human_action) != (NOTHING, NOTHING):
        where = _pen(canvas, pixels, (0.70 + someone[0], 0.62 + someone[1]), 0.30 * scales[2])
        face = None if scene.facial_expression == NOTHING else scene.facial_expression
        person(where, face, None if scene.human_action == NOTHING else scene.human_action, view.skin, view.clothes)
    return _taken(picture.resize((size, size), Image.Resampling.BOX), scene, view)


def _pen(canvas: ImageDraw.ImageDraw, pixels: int, place: tuple[float, float], scale: float) -> Pen:
    return Pen(canvas, Pose(pixels * scale, pixels * place[0], pixels * place[1], yaw=0.0, cos=1.0, sin=0.0))


def _light(pen: Pen, night: bool) -> None:
    """Hang the sun or, with stars, the moon into the middle of the sky."""
    if night:
        for k in range(9):
            pen.oval((0.04 + 0.115 * k, 0.05 + 0.06 * (k * 7 % 4)), 0.012, 0.012, (255, 255, 235))
        pen.oval((0.56, 0.12), 0.07, 0.07, (250, 248, 215))
        pen.oval((0.59, 0.10), 0.06, 0.06, (60, 70, 100))
        return
    for k in range(8):
        angle = k * math.tau / 8
        pen.line([(0.56, 0.12), (0.56 + 0.12 * math.cos(angle), 0.12 + 0.12 * math.sin(angle))], (255, 214, 70), 0.015)
    pen.oval((0.56, 0.12), 0.07, 0.07, (255, 222, 90))


def _taken(picture: Image.Image, scene: Scene, view: View) -> Image.Image:
    """Fade or strengthen the colours, light the whole, tint it, and add the sensor's noise."""
    pixels_HWC = np.asarray(picture, dtype=np.float32)
    if view.mirrored:
        pixels_HWC = pixels_HWC[:, ::-1]
    grey_HW1 = pixels_HWC.mean(axis=2, keepdims=True)
    pixels_HWC = grey_HW1 + (0.05 + 1.25 * scene.colorfulness) * (pixels_HWC - grey_HW1)
    pixels_HWC = pixels_HWC * np.array(view.tint, dtype=np.float32) * (0.30 + 0.95 * scene.brightness)
    noise_HW = np.random.default_rng(view.noise_seed).standard_normal(pixels_HWC.shape[:2], dtype=np.float32)
    return Image.fromarray(np.clip(pixels_HWC + view.noise * noise_HW[:, :, None], 0, 255).astype(np.uint8))
