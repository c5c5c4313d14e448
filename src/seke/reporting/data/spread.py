"""How far the draws of a record lie apart, in words and units that people read.

Uncertainty is a variance divided by its largest possible value (`generation.seke.uncertainty`), and a variance is a
square: draws of valence 0.2 apart have an uncertainty of 0.01. So it is turned back into what it is a square of:

    expression        the chance that two draws differ, 1 - sum p² = 7/8 U
    valence, arousal  the standard deviation of the draws, sqrt(U), on the scale [-1, 1]
    action units      the chance that two draws differ on an AU, the mean of 2 p (1 - p) = U / 2
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from seke.core.affect import EXPRESSIONS
from seke.core.records import Labels

UNITS: Final = {
    "expression": "pairs of draws that differ, %",
    "valence": "standard deviation of the draws",
    "arousal": "standard deviation of the draws",
    "action_units": "pairs of draws that differ, % of AUs",
}
"""What `spread` measures of each description, as an axis says it; shares are drawn in per cent."""
NOT_SAMPLED: Final = "–"
MOST_NAMED: Final = 3
"""So many AUs are named before the rest is counted."""


def spread(field: str, level: float) -> float:
    """Return a description's uncertainty in [0, 1] in the unit of `UNITS`, shares as shares.

    >>> spread("valence", 0.09), spread("expression", 0.5714285714285714), spread("action_units", 1.0)
    (0.3, 0.5, 0.5)
    """
    if field == "expression":
        return level * (1 - 1 / len(EXPRESSIONS))
    return level / 2 if field == "action_units" else math.sqrt(level)


def level_words(field: str, level: float | None) -> str:
    """Return an uncertainty in words that need no draws.

    >>> level_words("valence", 0.0049), level_words("expression", 0.0), level_words("action_units", 0.06)
    ('± 0.07', 'all agree', '3 % of pairs differ')
    """
    if level is None:
        return NOT_SAMPLED
    if level == 0:
        return "all agree"
    apart = spread(field, level)
    if field in ("valence", "arousal"):
        return "± <0.01" if apart < 0.005 else f"± {apart:.2f}"
    return f"{'<1' if apart < 0.005 else f'{apart * 100:.0f}'} % of pairs differ"


def words(field: str, level: float | None, draws: Sequence[Labels]) -> str:
    """Return how far the draws of one record lie apart in a description; of soft draws what their uncertainty says.

    >>> words("expression", 0.43, [Labels(expression=name) for name in ("fear", "fear", "fear", "anger")])
    '3 of 4 agree'
    >>> words("action_units", 0.5, [Labels(action_units={1: True, 4: True}), Labels(action_units={1: False, 4: True})])
    'AU1 differs'
    """
    if not level:
        return level_words(field, level)
    if field == "expression":
        said = Counter(draw.expression for draw in draws if draw.expression is not None)
        most = max(said.values(), default=0)
        return level_words(field, level) if most == said.total() else f"{most} of {said.total()} agree"
    if field == "action_units":
        answers: dict[int, set[bool]] = {}
        for draw in draws:
            for au, active in (draw.action_units or {}).items():
                answers.setdefault(au, set()).add(active)
        differing = [f"AU{au}" for au, given in sorted(answers.items()) if len(given) > 1]
        return _differ(differing) if differing else level_words(field, level)
    return level_words(field, level)


def _differ(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} differs"
    if len(names) <= MOST_NAMED:
        return f"{', '.join(names[:-1])} and {names[-1]} differ"
    return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more differ"
