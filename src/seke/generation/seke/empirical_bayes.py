"""The empirical Bayes stopping rule: two stages of draws, the second only where the posterior is still unsure.

Each stage is one request with `n` answers, so the image is paid for once a stage; where so many images would go on that
paying for theirs twice costs more than the draws it saves, all are taken at once (`second_stage_pays`). A stage has an
odd number of draws, since the second of two cannot outvote the first. What "unsure" means is fitted, not chosen: an
annotator model (`annotator`) turns draws into posteriors, the expected share of wrong labels among the missing ones is
the risk, and conformal risk control on a pilot sets how much risk may be left, so that stopping early costs at most
`excess` in the share of wrong labels. Deterministic: it draws no random number.
"""

from collections.abc import Sequence
from random import Random

from seke.core.errors import UserError
from seke.core.label_prior import Couplings
from seke.generation.calibration.annotator_model import Annotator, Masked
from seke.generation.calibration.fit import Risk, conformal_threshold, error, expected_error, fit, half
from seke.generation.seke.stopping import State, checked_stages


def second_stage_pays(stages: tuple[int, int], prompt_cost: float) -> float:
    """Return up to which share of images going on two stages are cheaper than one request for all draws.

    With draws a then b - a, a prompt worth r answers and a share p that goes on, r + a + p (r + b - a) is to be less
    than r + b, so p < (b - a) / (b - a + r).

    >>> round(second_stage_pays((3, 5), 12.0), 3)
    0.143
    """
    further = stages[1] - stages[0]
    return further / (further + prompt_cost)


class EmpiricalBayes:
    """The rule; it takes everybody to the last stage until it has learnt from a pilot.

    Raises:
        UserError: if the stages do not grow, or if `excess` is no share.
    """

    def __init__(self, stages: Sequence[int] = (3, 5), excess: float = 0.01, prompt_cost: float = 12.0) -> None:
        self.stages = checked_stages(stages)
        if prompt_cost < 0:
            raise UserError("stopping.prompt_cost", prompt_cost, "less than nothing", "set 0 or more")
        self.prompt_cost = prompt_cost
        """What a prompt with its image costs, in answers."""
        self.at_once = False
        """Whether all draws are taken in one request, because two stages would cost more."""
        if not 0 < excess < 1:
            raise UserError("stopping.excess", excess, "not a share of labels", "set for example 0.01")
        self.excess = excess
        self.tau = float("-inf")
        """The largest risk at which an image stops after the first stage."""
        self._risk: Risk | None = None

    def __call__(self, state: State, rng: Random) -> int:
        """Return how many further draws are wanted."""
        first, last = self.stages
        drawn = len(state.draws)
        if self.at_once:
            return last - drawn
        if drawn < first:
            return first - drawn
        certain = self._risk is not None and self._risk(state.known, state.draws) <= self.tau
        return 0 if certain or drawn >= last else last - drawn

    def learn(self, annotator: Annotator, pilot: Sequence[Masked], couplings: Couplings) -> None:
        """Set the risk and its threshold.

        Each half of the pilot's subjects is judged by an annotator fitted on the other half; the threshold found on
        both together is used with the annotator fitted on all, so its guarantee is an approximate one.
        """
        scores, losses = [], []
        for side in (0, 1):
            judge = fit([m for m in pilot if half(m.subject) != side], couplings)
            for masked in (m for m in pilot if half(m.subject) == side):
                loss = self._loss(judge, masked)
                if loss is not None:
                    scores.append(expected_error(judge)(masked.known, masked.draws[: self.stages[0]]))
                    losses.append(loss)
        tau = conformal_threshold(scores, losses, self.excess)
        self.tau = float("-inf") if tau is None else tau
        go_on = sum(score > self.tau for score in scores) / max(len(scores), 1)
        self.at_once = go_on > second_stage_pays(self.stages, self.prompt_cost)
        self._risk = expected_error(annotator)

    def _loss(self, judge: Annotator, masked: Masked) -> float | None:
        """Return by how much the share of wrong labels grows if this image stops after the first stage, in [0, 1]."""
        first, last = self.stages
        early, late = (
            error(judge.decide(judge.posterior(masked.known, masked.draws[:drawn])), masked.truth)
            for drawn in (first, last)
        )
        return None if early is None or late is None else max(early - late, 0.0)
