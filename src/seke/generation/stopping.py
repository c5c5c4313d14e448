"""When to stop asking: rules `more(draws, uncertainty, rng) -> how many further draws are wanted`, 0 to stop.

`draws` is S_n, `uncertainty` the largest normalised uncertainty over the descriptions (None: nothing to go by), `rng`
the record's own random stream. `uamc(5)` and `fixed(3)` are rules; their settings come from conf/stopping/.
"""

from random import Random
from typing import Protocol

from seke.errors import UserError

INITIAL_DRAWS = 2
"""Algorithm 1, line 2."""


class StoppingRule(Protocol):
    """A rule with its settings bound. It keeps no state: the same arguments always give the same answer."""

    def __call__(self, draws: int, uncertainty: float | None, rng: Random) -> int:
        """Return how many further draws are wanted."""
        ...


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


def uamc(max_samples: int) -> StoppingRule:
    """Return Algorithm 1's rule: two draws, then one more with probability p_acc as long as S_n < N = `max_samples`.

    At certainty E[S] = 2 + 1/2 + 1/4 + ... (2.875 for N = 5), at full uncertainty N.

    Raises:
        UserError: if N is below the two draws that it begins with.
    """
    check_max_samples(max_samples)

    def more(draws: int, uncertainty: float | None, rng: Random) -> int:
        if draws < INITIAL_DRAWS:
            return INITIAL_DRAWS - draws
        if draws >= max_samples:
            return 0
        p_acc = acceptance_probability(1.0 if uncertainty is None else uncertainty)
        p = rng.random()
        return 1 if p < p_acc else 0

    return more


def fixed(samples: int) -> StoppingRule:
    """Return the rule that takes `samples` draws of every image, whatever they say: the control at a known cost.

    Raises:
        UserError: if that is not even one draw.
    """
    if samples < 1:
        raise UserError("stopping.samples", samples, "there is nothing to verify", "set 1 or more")

    def more(draws: int, uncertainty: float | None, rng: Random) -> int:
        return max(samples - draws, 0)

    return more
