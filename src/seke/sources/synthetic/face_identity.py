"""The person of a synthetic face: traits that stay the same over all pictures of a subject."""

from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from seke.sources.synthetic.drawing import Colour, any_colour, mix, shade

SIDES = (-1, 1)
Hair = Literal["none", "short", "fringe", "curly", "long", "bun"]
HAIR: Final[tuple[Hair, ...]] = ("none", "short", "fringe", "curly", "long", "bun")
SKIN_TONES: Final[tuple[Colour, ...]] = (
    (250, 222, 200), (240, 203, 172), (224, 177, 138), (196, 142, 102), (150, 100, 68), (104, 68, 48),
)  # fmt: skip
"""From light to dark, roughly Fitzpatrick I to VI; an identity's skin lies between two neighbours."""
HAIR_COLOURS: Final[tuple[Colour, ...]] = ((28, 22, 20), (62, 40, 28), (112, 72, 40), (190, 148, 84), (140, 58, 30))
GREY: Final[Colour] = (188, 188, 190)
EYE_COLOURS: Final[tuple[Colour, ...]] = ((70, 44, 26), (48, 30, 22), (64, 110, 160), (70, 120, 80))
LIP_TINTS: Final[tuple[Colour, ...]] = ((176, 70, 74), (196, 84, 92), (150, 56, 66))


@dataclass(frozen=True)
class Identity:
    """Whose face: what stays the same over all pictures of a subject."""

    skin_tone: float
    """0 (light) to 1 (dark); `skin` is its colour."""
    skin: Colour
    width: float
    """Half-width of the face, in face units."""
    jaw: float
    """0 (pointed) to 1 (square)."""
    chin_length: float
    wrinkles: float
    """Age, 0 to 1: folds and bags that no movement makes."""
    grey: float
    """Share of grey in the hair, 0 to 1."""
    hair: Hair
    hair_colour: Colour
    glasses: bool
    beard: bool
    brow: float
    """Thickness of the brows."""
    brow_colour: Colour
    eye_colour: Colour
    eye_size: float
    nose_width: float
    mouth_width: float
    lips: float
    """Fullness of the lips; 1 is the mean."""
    lip_colour: Colour
    dimple_side: Literal[-1, 1]
    """The side on which this face dimples (AU14 is rarely symmetric)."""
    clothes: Colour


def draw_identity(rng: Random) -> Identity:
    """Draw a person; about twenty independent traits, except that grey hair and wrinkles come with age."""
    tone, age = rng.random(), rng.betavariate(1.2, 2.0)
    place = tone * (len(SKIN_TONES) - 1)
    low = min(int(place), len(SKIN_TONES) - 2)
    skin = mix(SKIN_TONES[low], SKIN_TONES[low + 1], place - low)
    darkest = tone > 0.6  # fair hair and light eyes hardly come with the darkest skins
    grey = max(0.0, age - 0.45) * 1.6
    colour = rng.choice(HAIR_COLOURS[: 2 if darkest else 5])
    return Identity(
        skin_tone=tone,
        skin=skin,
        width=rng.uniform(0.90, 1.04),
        jaw=rng.random(),
        chin_length=rng.uniform(1.08, 1.18),
        wrinkles=max(0.0, age - 0.35) * 1.4,
        grey=grey,
        hair=rng.choice(HAIR),
        hair_colour=mix(colour, GREY, min(1.0, grey)),
        glasses=rng.random() < 0.18,
        beard=rng.random() < 0.20,
        brow=rng.uniform(0.075, 0.12),
        brow_colour=mix(shade(colour, 0.75), GREY, min(0.5, grey)),
        eye_colour=rng.choice(EYE_COLOURS[: 2 if darkest else 4]),
        eye_size=rng.uniform(0.94, 1.08),
        nose_width=rng.uniform(0.17, 0.24),
        mouth_width=rng.uniform(0.35, 0.41),
        lips=rng.uniform(0.85, 1.2),
        lip_colour=mix(rng.choice(LIP_TINTS), skin, rng.uniform(0.1, 0.3)),
        dimple_side=rng.choice(SIDES),  # type: ignore[arg-type]
        clothes=any_colour(rng),
    )
