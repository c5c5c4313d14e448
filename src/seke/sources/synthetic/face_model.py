"""The latent model behind a synthetic face: expression -> strength -> action units -> valence and arousal.

It follows a world's tables (`worlds`; as a rule those of `seke.core.affect`: EMFACS prototypes, AU frequencies,
pleasure/arousal anchors) with noise on every step, so that each description is inferable from the others but none is
determined by them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from statistics import NormalDist
from typing import Final

from seke.core.affect import (
    ACTION_UNITS,
    AU_AROUSAL,
    AU_GIVEN_EXPRESSION,
    AU_VALENCE,
    EXCLUSIVE_AUS,
    EXPRESSIONS,
)
from seke.core.records import Labels
from seke.sources.synthetic.worlds import DRAWN, LOADING, World

ACTIVE: Final = 2.0
"""The intensity from which an AU counts as active, as DISFA is commonly read."""
MAX_INTENSITY: Final = 5.0
"""FACS intensity E."""
TRACE_PROBABILITY: Final = 0.12
TRACE: Final = (0.3, 1.2)
"""Range of an inactive AU's intensity where it is not 0: visible on a close look, not yet annotated."""


@dataclass(frozen=True)
class Face:
    """What one synthetic face truly shows."""

    expression: str
    au_intensity: Mapping[int, float]
    """All 17 AUs, each in [0, 5]."""
    valence: float
    """In [-1, 1], as arousal."""
    arousal: float

    @property
    def labels(self) -> Labels:
        """All three descriptions, complete: an AU is active from intensity 2 on, V and A have two decimals."""
        return Labels(
            expression=self.expression,
            valence=round(self.valence, 2),
            arousal=round(self.arousal, 2),
            action_units={au: self.au_intensity[au] >= ACTIVE for au in ACTION_UNITS},
        )


def draw_face(rng: Random, expression: str | None = None, world: World = DRAWN) -> Face:
    """Draw one face; `expression` is uniform over the eight unless given.

    Strength s is uniform in the world's range, U(0.6, 1) as a rule; each AU is active with the world's probability; an
    AU that the expression calls for has an intensity around 2.2 + 2.2 s, any other stays at 2 to 3; of two AUs that
    exclude each other the weaker vanishes. V = anchor * s + sum AU_VALENCE * intensity / 5 + noise, and A likewise, cut
    to [-1, 1]. AUs of a group share a factor: each is active where Phi(.7 factor + .71 own) < its probability.
    """
    expression = expression if expression is not None else rng.choice(EXPRESSIONS)
    strength = rng.uniform(*world.strength)
    factors = {group: rng.gauss(0, 1) for group in sorted(set(world.groups.values()))}
    intensity = {}
    for au in ACTION_UNITS:
        chance = _correlated(rng, factors[world.groups[au]]) if au in world.groups else rng.random()
        active = chance < world.p_active[expression][au]
        intensity[au] = _intensity(rng, active, au in AU_GIVEN_EXPRESSION[expression], strength)
    for one, other in EXCLUSIVE_AUS if world.exclusive else ():
        if intensity[one] and intensity[other]:
            intensity[min(one, other, key=intensity.__getitem__)] = 0.0
    anchor = world.anchors[expression]
    told = intensity if world.noise is not None else dict.fromkeys(intensity, 0.0)
    spread = anchor.spread if world.noise is None else world.noise
    valence = anchor.valence * strength + _shift(AU_VALENCE, told) + rng.gauss(0, spread)
    arousal = anchor.arousal * strength + _shift(AU_AROUSAL, told) + rng.gauss(0, spread)
    return Face(expression, intensity, _unit(valence), _unit(arousal))


def _correlated(rng: Random, factor: float) -> float:
    """Return a number uniform in (0, 1) that shares a factor with others."""
    return NormalDist().cdf(LOADING * factor + math.sqrt(1 - LOADING**2) * rng.gauss(0, 1))


def _intensity(rng: Random, active: bool, called_for: bool, strength: float) -> float:
    if active:
        intensity = rng.gauss(2.2 + 2.2 * strength, 0.5) if called_for else rng.uniform(ACTIVE, 3.0)
        return round(min(max(intensity, ACTIVE), MAX_INTENSITY), 2)
    return round(rng.uniform(*TRACE), 2) if rng.random() < TRACE_PROBABILITY else 0.0


def _shift(couplings: Mapping[int, float], intensity: Mapping[int, float]) -> float:
    return math.fsum(weight * intensity[au] / MAX_INTENSITY for au, weight in couplings.items())


def _unit(value: float) -> float:
    return min(max(value, -1.0), 1.0)
