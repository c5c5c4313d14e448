"""Stopping rules: `more(state, rng) -> how many further draws are wanted`, 0 to stop.

`state` is what is known about one image so far, `rng` the record's own random stream. `uamc(5)` and `fixed(3)` are
rules; their settings come from conf/stopping/. Our own rule is in `empirical_bayes`.
"""

from collections.abc import Sequence
from numbers import Integral
from random import Random
from typing import NamedTuple, Protocol, runtime_checkable

from seke.core import plugins
from seke.core.errors import UserError
from seke.core.records import Labels
from seke.core.rules import algorithm_floor

INITIAL_DRAWS = 2
"""Algorithm 1, line 2."""


class State(NamedTuple):
    """One image between two requests."""

    known: Labels = Labels()
    """What humans annotated: the prior."""
    draws: Sequence[Labels] = ()
    """The usable draws; their number is S_n."""
    uncertainty: float | None = None
    """The largest normalised uncertainty over the descriptions; None: nothing to go by."""


class StoppingRule(Protocol):
    """A rule with its settings bound. The same arguments always give the same answer."""

    def __call__(self, state: State, rng: Random) -> int:
        """Return how many further draws are wanted: a whole number, 0 to stop. It is asked again after these."""
        ...


@runtime_checkable
class Floored(Protocol):
    """A rule, or a generator that follows one, which knows the fewest draws that it takes on average."""

    @property
    def floor(self) -> float | None:
        """E[S] where the draws never disagree; None where nobody knows. The report shows it beside what was taken."""
        ...


def wanted(rule: StoppingRule, state: State, rng: Random) -> int:
    """Return how many further draws a rule wants.

    Raises:
        UserError: if it returns anything but a whole number from 0 on.
    """
    number: object = rule(state, rng)
    if isinstance(number, bool) or not isinstance(number, Integral) or number < 0:
        remedy = "return how many further draws are wanted, a whole number, and 0 to stop"
        raise plugins.broken("stopping", rule, f"returned {plugins.shown(number)}", remedy)
    return int(number)


def check_max_samples(max_samples: int) -> None:
    """Check N of Algorithm 1.

    Raises:
        UserError: if it is below the two draws that the algorithm begins with.
    """
    if max_samples < INITIAL_DRAWS:
        raise UserError(
            "generator.max_samples",
            max_samples,
            f"Algorithm 1 begins with {INITIAL_DRAWS} draws",
            f"set {INITIAL_DRAWS} or more, or generator.self_verify=false for a single call",
        )


def acceptance_probability(uncertainty: float) -> float:
    """Return p_acc = 1/2 + 1/2 U_max (Eq. 4).

    >>> acceptance_probability(0.0), acceptance_probability(1.0)
    (0.5, 1.0)
    """
    return 0.5 + 0.5 * uncertainty


class Uamc:
    """Algorithm 1's rule: two draws, then one more with probability p_acc as long as S_n < N = `max_samples`.

    At certainty E[S] = 2 + 1/2 + 1/4 + ... (2.875 for N = 5), at full uncertainty N.

    Raises:
        UserError: if N is below the two draws that it begins with.
    """

    def __init__(self, max_samples: int) -> None:
        check_max_samples(max_samples)
        self.max_samples = max_samples

    @property
    def floor(self) -> float:
        """E[S] where the draws never disagree."""
        return algorithm_floor(self.max_samples)

    def __call__(self, state: State, rng: Random) -> int:
        """Return how many further draws are wanted."""
        draws = len(state.draws)
        if draws < INITIAL_DRAWS:
            return INITIAL_DRAWS - draws
        if draws >= self.max_samples:
            return 0
        p_acc = acceptance_probability(1.0 if state.uncertainty is None else state.uncertainty)
        p = rng.random()
        return 1 if p < p_acc else 0


uamc = Uamc
"""What conf/stopping/uamc.yaml names."""


def fixed(samples: int) -> StoppingRule:
    """Return the rule that takes `samples` draws of every image, whatever they say: the control at a known cost.

    Raises:
        UserError: if that is not even one draw.
    """
    if samples < 1:
        raise UserError("stopping.samples", samples, "there is nothing to verify", "set 1 or more")

    def more(state: State, rng: Random) -> int:
        return max(samples - len(state.draws), 0)

    return more


def random(mean_samples: float, stages: Sequence[int]) -> StoppingRule:
    """Return the control at an equal budget: `stages` as in `empirical_bayes`, but chance decides which images go on.

    Of two stages a < b the second is reached with probability (mean - a) / (b - a), so E[S] = `mean_samples`.

    Raises:
        UserError: if the stages do not grow, or if their mean cannot be had.
    """
    first, last = checked_stages(stages)
    if not first <= mean_samples <= last:
        raise UserError("stopping.mean_samples", mean_samples, f"not between {first} and {last}", "set a mean of these")
    p_more = (mean_samples - first) / (last - first)

    def more(state: State, rng: Random) -> int:
        draws = len(state.draws)
        if draws < first:
            return first - draws
        # Unusable draws are asked for anew within a stage; the random number is drawn once, at its end.
        return last - draws if draws == first and rng.random() < p_more else 0

    return more


def checked_stages(stages: Sequence[int]) -> tuple[int, int]:
    """Return the two stages of a group-sequential rule.

    Raises:
        UserError: if they are not two growing numbers of draws.
    """
    if len(stages) != 2 or not 1 <= stages[0] < stages[1]:
        raise UserError("stopping.stages", list(stages), "not two growing numbers of draws", "set for example [3,5]")
    return stages[0], stages[1]
