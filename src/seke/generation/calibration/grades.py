"""Graded answers: an intensity for every AU and a share for every expression, which any API can give.

A yes says little of an annotator that hardly ever says it. Asked how much, 0 to 5 as FACS has it (0 absent, A trace to
E maximum), it tells what it would not call present, without any log probability. Grades are coarse and personal: one
annotator never says 1, another gives 3 for whatever it sees. So a grade is not believed as such: it is a soft value
on a monotone map (`P_ACTIVE`) where draws are counted or averaged, and a category of its own where the annotator
model learns what each of its grades has meant (`GradeChannel`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import lgamma
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, gammaln

from seke.core.affect import EXPRESSIONS, FACS_LETTERS, OCCURS, STRONGEST
from seke.core.records import Labels
from seke.generation.calibration.logprobs import Soft, SoftDraw

Array = NDArray[np.float64]
PER_CENT: Final = 100
GRADES: Final = STRONGEST + 1
STEEPNESS: Final = 2.0
"""Log-odds from one grade to the next."""
P_ACTIVE: Final = tuple(float(expit(STEEPNESS * (grade - OCCURS + 0.5))) for grade in range(STRONGEST + 1))
"""P(active) that the grades 0 to 5 stand for before anything was learnt: above 1/2 from `OCCURS` on."""


def grade(said: Any) -> Any:
    """Return 0 to 5 for a FACS letter, A to E, or for a whole number written otherwise; anything else as it is.

    >>> grade("C"), grade("e"), grade("2"), grade(2.0), grade("C+"), grade(2.5), grade("F")
    (3, 5, 2, 2, 'C+', 2.5, 'F')
    """
    if isinstance(said, str):
        text = said.strip().upper()
        return int(text) if text in _DIGITS else FACS_LETTERS.get(text, said)
    return int(said) if isinstance(said, float) and said.is_integer() else said


def graded(shares: Mapping[str, float] | None, grades: Mapping[int, int], dimensions: Mapping[str, float]) -> SoftDraw:
    """Return one graded draw. Its labels are what it says most: the expression with the largest share (of equal ones
    the first in `EXPRESSIONS`) and the AUs graded `OCCURS` or more; its `au_intensity` are the grades themselves.

    Args:
        shares: of each expression, not negative and not all 0, on any scale; None if none was asked.
        grades: of each AU asked, 0 to 5.
        dimensions: valence and arousal as far as they were asked.
    """
    total = sum(shares.values()) if shares else 0.0
    p = {name: shares[name] / total for name in EXPRESSIONS} if shares else None
    likeliest = max(EXPRESSIONS, key=p.__getitem__) if p else None
    return SoftDraw(
        expression=likeliest,
        action_units={au: value >= OCCURS for au, value in grades.items()} or None,
        au_intensity={au: float(value) for au, value in grades.items()} or None,
        soft=Soft(
            expression=p[likeliest] if p and likeliest else None,
            action_units={au: P_ACTIVE[value] for au, value in grades.items()},
            shares=p,
        ),
        **dimensions,
    )


def mean_grades(draws: Sequence[Labels]) -> dict[str, float] | None:
    """Return the mean grade, in [0, 5], that graded draws gave each AU, "1" to "26"; None where nothing was graded."""
    given: dict[int, list[float]] = {}
    for draw in draws:
        for au, value in (draw.au_intensity or {}).items():
            given.setdefault(au, []).append(value)
    return {str(au): sum(values) / len(values) for au, values in sorted(given.items())} or None


_DIGITS: Final = frozenset(map(str, range(GRADES)))


class GradeChannel(NamedTuple):
    """P(grades of S draws | AU active), and of an inactive one: Dirichlet-multinomials over the six grades.

    A Dirichlet's size says how alike the draws of one image are: what one draw cannot see, the others cannot, either.
    """

    active: tuple[float, ...]
    """Six parameters ..."""
    inactive: tuple[float, ...]

    def log_pmf(self, grades: Sequence[float]) -> tuple[Array, Array]:
        """Return log P(grades | active) and log P(grades | inactive), without the multinomial coefficient."""
        counts = Counter(map(int, grades))
        return np.asarray(_log_pmf(self.active, counts)), np.asarray(_log_pmf(self.inactive, counts))


def _log_pmf(alpha: Sequence[float], counts: Mapping[int, int]) -> float:
    # As `dirichlet_multinomial`, of one image: thousands are read one by one, and numpy is slow on six numbers.
    total, n = sum(alpha), sum(counts.values())
    return lgamma(total) - lgamma(total + n) + sum(lgamma(alpha[g] + k) - lgamma(alpha[g]) for g, k in counts.items())


def fit_grades(
    pairs: Mapping[int, Sequence[tuple[bool, Sequence[float]]]],
    few: float,
    towards: Mapping[int, GradeChannel] | None = None,
) -> dict[int, GradeChannel]:
    """Fit a channel for each AU: its own profile of grades and a size that all AUs share, active and inactive ones.

    Args:
        pairs: of each AU the pilot's images, whether it is active and the grades that the draws gave it.
        few: how many images the profile of all AUs counts for: rare AUs have few positives to learn from.
        towards: each AU's channel on other images, which counts for so many instead.
    """
    active, inactive = (_fit_side(pairs, truly, few, towards) for truly in (True, False))
    return {au: GradeChannel(tuple(active[au].tolist()), tuple(inactive[au].tolist())) for au in pairs}


def _fit_side(
    pairs: Mapping[int, Sequence[tuple[bool, Sequence[float]]]],
    truly: bool,
    few: float,
    towards: Mapping[int, GradeChannel] | None,
) -> dict[int, Array]:
    counts_NG = {
        au: np.array([_counts(said) for active, said in images if active is truly]).reshape(-1, GRADES)
        for au, images in pairs.items()
    }
    shares = {au: (counts / counts.sum(axis=1, keepdims=True)).sum(axis=0) for au, counts in counts_NG.items()}
    pooled = sum(shares.values()) + 1 / GRADES
    pooled /= pooled.sum()
    expected, log_size = dict.fromkeys(pairs, pooled), 0.0
    if towards:
        alphas = {au: np.array(towards[au].active if truly else towards[au].inactive) for au in pairs}
        expected = {au: alpha / alpha.sum() for au, alpha in alphas.items()}
        log_size = float(np.log(np.mean([alpha.sum() for alpha in alphas.values()])))
    profile = {au: (shares[au] + few * expected[au]) / (len(counts_NG[au]) + few) for au in pairs}

    def loss(parameter: Array) -> float:
        size = np.exp(parameter[0])
        said = (dirichlet_multinomial(size * profile[au], counts).sum() for au, counts in counts_NG.items())
        return float(-sum(said) + 0.5 * (parameter[0] - log_size) ** 2)

    size = float(np.exp(minimize(loss, np.full(1, log_size), method="L-BFGS-B", bounds=[(-3, 5)]).x[0]))
    return {au: size * shape for au, shape in profile.items()}


def _counts(grades: Sequence[float]) -> Array:
    """Return how often each grade occurs, (6,)."""
    return np.bincount(np.asarray(grades, dtype=int), minlength=GRADES).astype(np.float64)


def dirichlet_multinomial(alpha: Array, counts: Array) -> Array:
    """Return log P(counts) per row, without the multinomial coefficient."""
    total, n = alpha.sum(axis=-1), counts.sum(axis=-1)
    each = gammaln(alpha + counts) - gammaln(alpha)
    logs: Array = gammaln(total) - gammaln(total + n) + each.sum(axis=-1)
    return logs
