"""How labels hang together in the simulated annotator's mind: a textbook's table, or the one that faces are drawn by.

The textbook's is the neutral one. It gives each expression the AUs of its prototypes and variants in EMFACS (Ekman &
Friesen 1983; FACS Investigator's Guide 2002, table 10-2) and its place on the circumplex of affect; its probabilities
are round numbers of ours, and it differs from every set of faces as textbooks do. `faces` is `seke.core.affect`, by
which `source=synthetic` draws: an annotator that reasons by it has been given the answers' distribution.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from seke.core.affect import ACTION_UNITS, EXPRESSIONS, VA_OF_EXPRESSION, Anchor, au_probability
from seke.core.records import Labels

AUS: Final = tuple(ACTION_UNITS)
ALWAYS, SOMETIMES, OTHERWISE = 0.8, 0.4, 0.1
PROTOTYPES: Final[Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]] = {
    "neutral": ((), ()),
    "happiness": ((6, 12), ()),
    "sadness": ((1, 4, 15), (6, 17)),
    "surprise": ((1, 2, 5, 25, 26), ()),
    "fear": ((1, 2, 4, 5, 20, 25), (26,)),
    "disgust": ((9,), (10, 15, 17, 25, 26)),
    "anger": ((4, 5, 7, 23), (10, 17, 24, 25, 26)),
    "contempt": ((14,), (12,)),
}
"""The AUs of an expression's prototype, and those of its variants only; AU16, AU22 and AU27 are none of the 17."""
CIRCUMPLEX: Final[Mapping[str, Anchor]] = {
    "neutral": Anchor(0.0, 0.0, 0.3),
    "happiness": Anchor(0.7, 0.1, 0.3),
    "sadness": Anchor(-0.6, -0.3, 0.3),
    "surprise": Anchor(0.2, 0.7, 0.3),
    "fear": Anchor(-0.3, 0.6, 0.3),
    "disgust": Anchor(-0.5, 0.5, 0.3),
    "anger": Anchor(-0.1, 0.7, 0.3),
    "contempt": Anchor(-0.4, 0.6, 0.3),
}
"""Russell's circumplex (1980, directions of happy, sad, astonished, afraid, distressed, angry and annoyed), .7 from the
centre, in tenths. That disgust is distress and contempt annoyance, and the spread, are ours."""


@dataclass(frozen=True)
class Couplings:
    """Naive Bayes with the expression as the hub: given it, AUs, valence and arousal are independent."""

    p_EA: Sequence[Sequence[float]]
    """P(AU active | expression), in the orders of `EXPRESSIONS` and `AUS`."""
    anchors: Sequence[Anchor]
    """Where each expression lies."""

    @cached_property
    def base_A(self) -> Sequence[float]:
        """Log-odds of each AU in a face about which nothing is known."""
        rates = zip(*self.p_EA, strict=True)
        return [logit(sum(rate) / len(EXPRESSIONS)) for rate in rates]

    @cached_property
    def vague(self) -> tuple[float, float]:
        """Variance of valence and of arousal of a face about which nothing is known."""
        evenly = [1 / len(EXPRESSIONS)] * len(EXPRESSIONS)
        return self.mixture(evenly, 0)[1], self.mixture(evenly, 1)[1]

    def log_likelihood(self, known: Labels, expression: int) -> float:
        """Return log P(known labels | expression), up to a constant; another known expression has e^-6."""
        if known.expression is not None:
            return 0.0 if known.expression == EXPRESSIONS[expression] else -6.0
        total = 0.0
        for au, active in (known.action_units or {}).items():
            p = self.p_EA[expression][AUS.index(au)]
            total += math.log(p if active else 1 - p)
        anchor = self.anchors[expression]
        for value, centre in ((known.valence, anchor.valence), (known.arousal, anchor.arousal)):
            if value is not None:
                total -= 0.5 * ((value - centre) / anchor.spread) ** 2 + math.log(anchor.spread)
        return total

    def shifts(self, posterior: Sequence[float]) -> list[float]:
        """Return how far each AU's log-odds move when the expression is distributed as `posterior`."""
        moved = []
        for index, base in enumerate(self.base_A):
            p = sum(share * self.p_EA[number][index] for number, share in enumerate(posterior))
            moved.append(logit(p) - base)
        return moved

    def mixture(self, posterior: Sequence[float], dimension: int) -> tuple[float, float]:
        """Return mean and variance of valence (0) or arousal (1) when the expression is distributed as `posterior`."""
        pairs = list(zip(posterior, self.anchors, strict=True))
        mean = sum(share * anchor[dimension] for share, anchor in pairs)
        second = sum(share * (anchor.spread**2 + anchor[dimension] ** 2) for share, anchor in pairs)
        return mean, second - mean**2

    def pull(self, posterior: Sequence[float], dimension: int) -> tuple[float, float]:
        """Return the expected value, and the precision that `posterior` adds to knowing nothing."""
        mean, variance = self.mixture(posterior, dimension)
        return mean, max(0.0, 1 / variance - 1 / self.vague[dimension])


def logit(p: float) -> float:
    """Return the log-odds of p in (0, 1)."""
    return math.log(p / (1 - p))


def _textbook(expression: str, au: int) -> float:
    prototype, variants = PROTOTYPES[expression]
    return ALWAYS if au in prototype else SOMETIMES if au in variants else OTHERWISE


TEXTBOOK: Final = Couplings(
    [[_textbook(name, au) for au in AUS] for name in EXPRESSIONS], [CIRCUMPLEX[name] for name in EXPRESSIONS]
)
FACES: Final = Couplings(
    [[au_probability(name, au) for au in AUS] for name in EXPRESSIONS], [VA_OF_EXPRESSION[name] for name in EXPRESSIONS]
)
COUPLINGS: Final[Mapping[str, Couplings]] = {"textbook": TEXTBOOK, "faces": FACES}
"""By the names that the setting `couplings` takes."""
