"""Aggregation of several draws into one annotation, by majority or by a fitted annotator model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from seke.core.affect import EXPRESSIONS
from seke.core.records import Labels
from seke.generation.calibration.posterior import Posterior, decided

Aggregate = Literal["summary", "majority", "calibrated"]
AGGREGATES: Final = ("summary", "majority", "calibrated")
"""summary: the annotator itself decides (Sec. 3.2); majority: votes and means; calibrated: the posterior of a pilot."""


def majority(draws: Sequence[Labels]) -> Labels:
    """Return the most named expression, every AU that more than half of the draws call active, mean valence, arousal.

    Of equally often named expressions the first in `affect.EXPRESSIONS` is taken.
    """
    votes = Counter(draw.expression for draw in draws if draw.expression is not None)
    units: dict[int, list[bool]] = {}
    for draw in draws:
        for au, active in (draw.action_units or {}).items():
            units.setdefault(au, []).append(active)
    return Labels(
        expression=max(EXPRESSIONS, key=lambda e: votes[e]) if votes else None,
        valence=_mean([draw.valence for draw in draws]),
        arousal=_mean([draw.arousal for draw in draws]),
        action_units={au: 2 * sum(said) > len(said) for au, said in units.items()} or None,
    )


def settle(
    aggregate: Aggregate, draws: Sequence[Labels], belief: Posterior | None, thresholds: Mapping[int, float]
) -> Labels | None:
    """Return what `aggregate` makes of the draws; None where the annotator is to sum them up itself.

    Args:
        aggregate: who decides.
        draws: the usable ones.
        belief: what a fitted annotator model makes of them; calibrated aggregation needs it.
        thresholds: an AU whose posterior exceeds this is called active.
    """
    if aggregate == "summary":
        return None
    if aggregate == "majority":
        return majority(draws)
    assert belief is not None, "calibrated aggregation comes after learning"
    return decided(belief, thresholds)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
