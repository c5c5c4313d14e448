"""Constants of facial affect: expressions, action units, and how the three descriptions of a face hang together.

Everything here is a constant with its source; nothing is estimated from data and nothing is imported. The couplings
are *soft* knowledge for prompts, checks, the simulated annotator and the synthetic faces. They are blends of published
tables, rounded by us: EMFACS prototypes (Ekman & Friesen 1978; Ekman 1997), observed frequencies (Du, Tao & Martinez,
PNAS 2014, Table 1) and pleasure/arousal anchors (Russell & Mehrabian 1977). Real datasets differ from them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

EXPRESSIONS: Final = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
"""The eight discrete expressions of FEID and FEAB (Sec. 4.1)."""

ACTION_UNITS: Final[Mapping[int, str]] = MappingProxyType(
    {
        1: "Inner Brow Raiser",
        2: "Outer Brow Raiser",
        4: "Brow Lowerer",
        5: "Upper Lid Raiser",
        6: "Cheek Raiser",
        7: "Lid Tightener",
        9: "Nose Wrinkler",
        10: "Upper Lip Raiser",
        12: "Lip Corner Puller",
        14: "Dimpler",
        15: "Lip Corner Depressor",
        17: "Chin Raiser",
        20: "Lip Stretcher",
        23: "Lip Tightener",
        24: "Lip Pressor",
        25: "Lips Part",
        26: "Jaw Drop",
    }
)
"""The 17 action units of FEID: the union of the sources' three sets of twelve (Sec. 4.1), with their FACS names."""

TABLE2_AUS: Final = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24, 25, 26)
"""The 14 AUs whose F1 scores Table 2 reports; its column "All" is their plain mean."""

STRONGEST: Final = 5
"""The largest AU intensity: 0 is absent, and 1 to 5 are FACS's A (trace) to E (maximum)."""
OCCURS: Final = 2
"""Intensity from which an AU counts as active where nobody says so himself: DISFA as commonly read."""
FACS_LETTERS: Final[Mapping[str, int]] = MappingProxyType({"A": 1, "B": 2, "C": 3, "D": 4, "E": 5})
AUS_OF_SOURCE: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "disfa": (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26),
        "bp4d": (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24),
        "aff_wild2": (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26),
    }
)
"""Which twelve AUs each AU dataset annotates (Sec. 4.1)."""

BACKGROUND_AU: Final = 0.05
"""P(an AU is active) where an expression does not call for it."""

AU_GIVEN_EXPRESSION: Final[Mapping[str, Mapping[int, float]]] = MappingProxyType(
    {
        "neutral": {},
        "happiness": {6: 0.80, 12: 0.97, 25: 0.65, 7: 0.35, 10: 0.25, 26: 0.20},
        "sadness": {1: 0.85, 4: 0.80, 15: 0.85, 17: 0.65},
        "surprise": {1: 0.90, 2: 0.90, 5: 0.75, 25: 0.85, 26: 0.85},
        "fear": {1: 0.85, 2: 0.60, 4: 0.75, 5: 0.85, 7: 0.35, 20: 0.85, 25: 0.75, 26: 0.35},
        "disgust": {9: 0.90, 10: 0.85, 17: 0.55, 15: 0.35, 4: 0.35, 6: 0.25},
        "anger": {4: 0.95, 7: 0.85, 23: 0.80, 24: 0.70, 5: 0.30, 17: 0.35},
        "contempt": {14: 0.95, 12: 0.35, 24: 0.15},
    }
)
"""P(AU active | expression) for the AUs an expression calls for; all others have `BACKGROUND_AU`."""


class Anchor(NamedTuple):
    """Where an expression lies on the valence/arousal plane, both in [-1, 1], and how widely it spreads."""

    valence: float
    arousal: float
    spread: float


VA_OF_EXPRESSION: Final[Mapping[str, Anchor]] = MappingProxyType(
    {
        "neutral": Anchor(0.00, 0.00, 0.12),
        "happiness": Anchor(0.76, 0.48, 0.20),
        "sadness": Anchor(-0.63, -0.27, 0.20),
        "surprise": Anchor(0.20, 0.67, 0.22),
        "fear": Anchor(-0.64, 0.60, 0.20),
        "disgust": Anchor(-0.60, 0.35, 0.20),
        "anger": Anchor(-0.51, 0.59, 0.20),
        "contempt": Anchor(-0.23, 0.31, 0.18),
    }
)
"""Russell & Mehrabian (1977), with surprise pulled to the near-neutral valence that face datasets show."""

AU_VALENCE: Final[Mapping[int, float]] = MappingProxyType({
    6: 0.06, 12: 0.10, 4: -0.06, 9: -0.06, 10: -0.04, 15: -0.08, 17: -0.03, 20: -0.04, 24: -0.03,
})  # fmt: skip
"""How much an active AU (at full intensity) shifts valence: zygomatic up, corrugator down (Lang 1993)."""

AU_AROUSAL: Final[Mapping[int, float]] = MappingProxyType({
    1: 0.03, 2: 0.04, 5: 0.10, 20: 0.05, 23: 0.04, 25: 0.05, 26: 0.08, 15: -0.05,
})  # fmt: skip
"""How much an active AU (at full intensity) shifts arousal (Sec. 1: "high arousal may originate from AU5")."""

EXCLUSIVE_AUS: Final = ((24, 25), (24, 26), (23, 26), (12, 15))
"""Pairs that one mouth can hardly show at once; soft everywhere but in the synthetic faces."""


def au_probability(expression: str, au: int) -> float:
    """Return P(AU `au` active | `expression`) in [0, 1].

    >>> au_probability("happiness", 12), au_probability("neutral", 12)
    (0.97, 0.05)
    """
    return AU_GIVEN_EXPRESSION[expression].get(au, BACKGROUND_AU)
