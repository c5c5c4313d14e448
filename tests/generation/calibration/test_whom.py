"""Whom to ask about whom, in worlds where it is known who is worth asking: simulated pilots, nobody is asked."""

import numpy as np
import pytest

from seke.core.affect import EXPRESSIONS
from seke.core.label_prior import couplings, tabulate
from seke.core.records import Labels
from seke.generation.asked import Asked
from seke.generation.calibration import arms
from seke.generation.calibration.annotator_model import Masked
from seke.generation.calibration.informants import Informant
from seke.generation.calibration.patterns import Demand, Pattern
from seke.generation.calibration.study import SHOWN, Settings
from seke.generation.calibration.whom import AGAIN, FIRST, NOBODY_YET, SECOND, fit, states

UNITS = (1, 4, 6, 12)
KNOWN = Pattern(True, False, False)
DRAWS = 2
USD = {KNOWN: {FIRST: 0.001, SECOND: 0.01}}


def world(size=200, seed=0):
    """Faces of which the expression is known, and which of them are hard for a cheap annotator: every second one."""
    rng = np.random.default_rng(seed)
    return [
        Masked(
            id=f"r{number}",
            subject=f"s/p{number // 2 % 60}",
            truth=Labels(action_units={au: bool(rng.random() < 0.4) for au in UNITS}),
            known=Labels(expression=EXPRESSIONS[number % 8]),
            draws=(),
            pattern=KNOWN.name,
        )
        for number in range(size)
    ]


def answered(rows, right, seed=1):
    """Rows with draws; `right` gives the chance that a draw calls an AU as it is, by the face's number."""
    rng = np.random.default_rng(seed)
    found = []
    for number, row in enumerate(rows):
        draws = tuple(
            Labels(action_units={au: bool(on == (rng.random() < right(number))) for au, on in units.items()})
            for units in [row.truth.action_units] * DRAWS
        )
        found.append(row.model_copy(update={"draws": draws}))
    return found


def cheap(number):
    return 0.55 if number % 2 else 0.95


def fitted(first, second, budget, rule="value"):
    links = couplings(tabulate(row.truth for row in first))
    demand = {KNOWN: Demand(1000, {"au": 1000.0})}
    informants = {}
    for who, rows in ((FIRST, first), (SECOND, second)):
        alone = arms.choose(rows, demand, lambda without: links, Settings([DRAWS], (SHOWN,), may_skip=False))
        informants[who] = Informant(who, rows, alone.arms, lambda without: links, DRAWS)
    informants[AGAIN] = informants[FIRST]
    return fit(first, second, informants, demand, lambda without: links, USD, budget, rule, 0)


ROWS = world()
CHEAP = answered(ROWS, cheap)
BOTH = 1000 * (0.001 + 0.4 * 0.01)
"""Dollars for the cheap one about all and the dear one about four in ten."""


@pytest.mark.slow
def test_a_dear_and_precise_one_is_asked_about_the_faces_that_the_cheap_one_leaves_in_doubt():
    found = fitted(CHEAP, answered(ROWS, lambda number: 0.98, 2), BOTH)
    loss, share = found.facts["log_loss_at_equal_usd"], found.facts["share_asked"]
    assert found.facts["asks"] == "value"
    assert loss["value"] < min(loss[FIRST], loss[SECOND]) - 0.03, "better than either alone, at equal dollars"
    assert share[FIRST] > 0.9
    assert 0.25 < share[SECOND] <= 0.4
    assert found.facts["expected_usd"] <= BOTH * (1 + 1e-6)
    chance = fitted(CHEAP, answered(ROWS, lambda number: 0.98, 2), BOTH, rule="random")
    assert chance.facts["asks"] == "value", "dice are a control, not a choice"
    hard = [row for number, row in enumerate(CHEAP) if number % 2]
    clear = [row for number, row in enumerate(CHEAP) if not number % 2]

    def asked(whom, rows):
        state = frozenset({FIRST})
        calibration = whom.calibrations[state]
        count = 0
        for row in rows:
            heard = [whom.informants[FIRST].heard(KNOWN, {SHOWN: row.draws})]
            of = {"au": calibration.arm(KNOWN, "au")}
            belief = calibration.posterior(of, row.known, Asked(False, False, False, UNITS), {}, heard)
            count += whom.next(row.id, KNOWN, state, belief, {SHOWN: row.draws}) == SECOND
        return count / len(rows)

    assert asked(found, hard) > asked(found, clear) + 0.3
    assert abs(asked(chance, hard) - asked(chance, clear)) < 0.2


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (answered(ROWS, lambda number: 0.5, 3), "dice"),
        ([row.model_copy() for row in CHEAP], "a copy of the first"),
    ],
)
def test_who_adds_nothing_is_not_asked_beyond_the_pilot(second, why):
    found = fitted(CHEAP, second, BOTH)
    assert found.facts["asks"] == FIRST, why
    assert found.facts["share_asked"][SECOND] == 0.0, why
    assert any("is not better than backend alone" in line for line in found.remarks)
    loss = found.facts["log_loss_at_equal_usd"]
    assert loss["value"] == pytest.approx(loss[FIRST], abs=0.02), "and nothing is lost by trying"


@pytest.mark.slow
def test_where_nobody_is_better_than_not_looking_nobody_is_asked():
    dice = [answered(ROWS, lambda number: 0.5, seed) for seed in (4, 5)]
    found = fitted(*dice, BOTH)
    assert found.facts["share_asked"] == {FIRST: 0.0, AGAIN: 0.0, SECOND: 0.0}
    assert found.facts["expected_usd"] == 0.0


def test_states_follow_each_other_in_any_order():
    order = states(again=True)
    assert order[0] == NOBODY_YET
    assert frozenset({SECOND, AGAIN}) not in order, "again is after the first time"
