"""How the simulated annotator grades: intensities 0 to 5 of AUs and shares of expressions, with habits of its own.

What it believes (log-odds per AU, scores of expressions: `perception`) is not what it writes down. A grade is

    round(middle + log-odds / step + leniency of the answer + noise), cut to 0 .. 5,

and then moved by habit: grades that it never uses become the nearest one that it does, and some others become the
nearest favourite. Shares are a softmax of its scores, sharpened and rounded. So nothing of its log-odds is handed over
but a coarse, biased and noisy reading of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from seke.core.affect import ACTION_UNITS, EXPRESSIONS, STRONGEST
from seke.core.errors import UserError
from seke.core.setting_checks import check_between, check_whole


@dataclass(frozen=True)
class Grading:
    """One annotator's way of grading; chosen: reluctant, noisy, never 1, and half of the time one of its favourites.

    Raises:
        UserError: if a number is out of range, or no grade is left that it uses.
    """

    middle: float = 2.5
    """The grade of an AU whose log-odds are 0: asked yes or no, it says yes where it would give 3 or more. At 1 or less
    it grades nothing that it would not call active, and grades know no more than its yes and no."""
    step: float = 2.0
    """Log-odds from one grade to the next."""
    noise: float = 0.5
    """Standard deviation of one grade's error, in grades, at temperature 1."""
    leniency: float = 0.3
    """Standard deviation of the error that all grades of one answer share, in grades, at temperature 1."""
    used: Sequence[int] = (0, 2, 3, 4, 5)
    """The grades that it uses at all."""
    favourites: Sequence[int] = (0, 2, 3)
    """The grades that it likes best."""
    habit: float = 0.5
    """Probability with which another grade becomes the nearest favourite."""
    sharpness: float = 1.5
    """Factor of the scores of expressions before they become shares: above 1 it is surer than it should be."""
    rounding: int = 10
    """Shares are multiples of so many per cent."""

    def __post_init__(self) -> None:
        """Refuse what no annotator can grade by."""
        check_between("backend.grading.middle", self.middle, 0, STRONGEST)
        check_between("backend.grading.step", self.step, 0.01)
        check_between("backend.grading.habit", self.habit, 0, 1)
        for name in ("noise", "leniency", "sharpness"):
            check_between(f"backend.grading.{name}", getattr(self, name), 0)
        check_whole("backend.grading.rounding", self.rounding, 1, 100)
        for name in ("used", "favourites"):
            listed = getattr(self, name)
            if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
                raise UserError(f"backend.grading.{name}", listed, "no list of grades", "use for example [0, 2, 3]")
            for grade in listed:
                check_whole(f"backend.grading.{name}", grade, 0, STRONGEST)


def grades(log_odds: Sequence[float], grading: Grading, temperature: float, rng: Random) -> dict[int, int]:
    """Return the grade, 0 to 5, of each of the 17 AUs whose log-odds are given in the order of `ACTION_UNITS`."""
    lenient = grading.middle + rng.gauss(0, grading.leniency * temperature)
    given = {}
    for au, score in zip(ACTION_UNITS, log_odds, strict=True):
        exact = lenient + score / grading.step + rng.gauss(0, grading.noise * temperature)
        grade = _nearest(min(max(exact, 0), STRONGEST), grading.used)
        given[au] = _nearest(grade, grading.favourites) if rng.random() < grading.habit else grade
    return given


def shares(scores: Sequence[float], grading: Grading) -> dict[str, int]:
    """Return the share of each expression in per cent; roundings need not add up to 100, but one share is not 0."""
    sharp = [grading.sharpness * score for score in scores]
    weights = [math.exp(score - max(sharp)) for score in sharp]
    exact = [100 * weight / sum(weights) for weight in weights]
    rounded = [grading.rounding * round(share / grading.rounding) for share in exact]
    if not any(rounded):
        rounded[exact.index(max(exact))] = grading.rounding
    return dict(zip(EXPRESSIONS, rounded, strict=True))


def is_graded(form: Mapping[str, object]) -> bool:
    """Whether the schema of `action_units`, or of `expression`, asks for grades: an object of more than 0 and 1."""
    kinds = form.get("properties")
    return isinstance(kinds, Mapping) and any("maximum" in kind for kind in kinds.values())


def _nearest(grade: float, allowed: Sequence[int]) -> int:
    """Return the nearest of the allowed grades, of two the lower."""
    return min(allowed, key=lambda one: (abs(one - grade), one))
