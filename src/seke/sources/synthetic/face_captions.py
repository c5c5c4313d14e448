"""Captions of what is visible in a synthetic face: no emotion, no valence or arousal, no action unit, only geometry.

A general-purpose model is pre-trained on these captions. It has then seen every drawn movement and has words for it,
but it has never been told what a movement means: that is what fine-tuning teaches.
"""

from random import Random
from typing import Final, NamedTuple

from seke.sources.synthetic.face_identity import HAIR, Identity
from seke.sources.synthetic.face_model import Face

SLIGHT: Final = 1.5
STRONG: Final = 3.5
OPENINGS: Final = ("a face", "a drawn face", "picture of a face", "a head from the front")
HAIR_WORDS: Final = ("no hair", "short hair", "hair with a fringe", "curly hair", "long hair", "hair in a bun")


class Movement(NamedTuple):
    """One drawn movement: its name as a feature and its words for none, slight and strong."""

    feature: str
    part: str
    thing: str
    grades: tuple[str, str, str]


MOVEMENTS: Final[dict[int, Movement]] = {
    1: Movement("inner_brow_height", "brows", "inner ends", ("level", "high", "very high")),
    2: Movement("outer_brow_height", "brows", "outer ends", ("level", "high", "very high")),
    4: Movement("brow_gap_lines", "brows", "gap", ("smooth", "lined", "deeply lined")),
    5: Movement("eye_top_roundness", "eyes", "tops", ("flat", "round", "very round")),
    7: Movement("eye_slit", "eyes", "opening", ("full", "small", "slit")),
    6: Movement("eye_corner_rays", "eyes", "sides", ("plain", "rayed", "strongly rayed")),
    9: Movement("nose_stripes", "nose", "bridge", ("plain", "striped", "strongly striped")),
    10: Movement("upper_lip_height", "mouth", "upper lip", ("low", "tall", "very tall")),
    12: Movement("mouth_ends_up", "mouth", "ends", ("not up", "up", "far up")),
    15: Movement("mouth_ends_down", "mouth", "ends", ("not down", "down", "far down")),
    14: Movement("mouth_side_pits", "mouth", "pits", ("none", "small", "deep")),
    20: Movement("mouth_width", "mouth", "width", ("normal", "wide", "very wide")),
    23: Movement("lip_creases", "mouth", "edges", ("plain", "creased", "strongly creased")),
    24: Movement("lip_seam", "mouth", "seam", ("thin", "thick", "very thick")),
    25: Movement("teeth", "mouth", "teeth", ("none", "few", "many")),
    26: Movement("mouth_hollow", "mouth", "hollow", ("none", "small", "large")),
    17: Movement("chin_dents", "chin", "tip", ("smooth", "dented", "deeply dented")),
}
"""All 17 in reading order, brows to chin; the key is the AU that moves the feature."""


def features(face: Face, identity: Identity) -> dict[str, float | bool | int]:
    """Return every visible drawn feature: the 17 movements (0 to 5 each) and the traits of the person."""
    moved: dict[str, float | bool | int] = {m.feature: face.au_intensity[au] for au, m in MOVEMENTS.items()}
    return {
        **moved,
        "skin_tone": identity.skin_tone,
        "wrinkles": identity.wrinkles,
        "grey_hair": identity.grey,
        "hair": HAIR.index(identity.hair),
        "glasses": identity.glasses,
        "beard": identity.beard,
        "face_width": identity.width,
        "square_jaw": identity.jaw,
        "eye_size": identity.eye_size,
        "nose_width": identity.nose_width,
        "lip_fullness": identity.lips,
    }


def caption(face: Face, identity: Identity, rng: Random) -> str:
    """Name what is visible: the 17 movements in a fixed order and three grades, then the person.

    `rng` varies only the opening words and the order of the person's traits.
    """
    parts: dict[str, list[str]] = {}
    for au, movement in MOVEMENTS.items():
        words = movement.grades[grade(face.au_intensity[au])]
        parts.setdefault(movement.part, []).append(f"{movement.thing} {words}")
    drawn = "; ".join(f"{part}: {', '.join(things)}" for part, things in parts.items())
    return f"{rng.choice(OPENINGS)}. {drawn}. {', '.join(_traits(identity, rng))}."


def grade(intensity: float) -> int:
    """Return 0 (none), 1 (slight) or 2 (strong) for a movement of `intensity` 0 to 5.

    >>> grade(1.2), grade(2), grade(4.4)
    (0, 1, 2)
    """
    return 0 if intensity < SLIGHT else 1 if intensity < STRONG else 2


def _traits(identity: Identity, rng: Random) -> list[str]:
    traits = [
        ("light skin", "medium skin", "dark skin")[min(2, int(identity.skin_tone * 3))],
        ("grey " if identity.grey > 0.5 and identity.hair != "none" else "") + HAIR_WORDS[HAIR.index(identity.hair)],
        "glasses" if identity.glasses else "no glasses",
        "beard" if identity.beard else "no beard",
    ]
    if identity.wrinkles > 0.3:
        traits.append("old")
    rng.shuffle(traits)
    return traits
