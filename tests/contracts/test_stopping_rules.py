"""What every rule of conf/stopping/ promises (`seke.generation.seke.stopping`); a new one is found by its YAML."""

from collections.abc import Sequence
from random import Random

import pytest

from seke.core.records import Labels
from seke.generation.seke.stopping import State, StoppingRule, wanted

from .offered import built, composed, options

MOST = (4, 5, 8)
"""N, generator.max_samples."""
CALM = Labels(expression="happiness", valence=0.5, arousal=0.2, action_units={6: True, 12: True})
TORN = Labels(expression="fear", valence=-0.9, arousal=0.9, action_units={6: False, 12: True})
PRIORS = (Labels(), Labels(expression="happiness"))


@pytest.fixture(params=options("stopping"))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def rule_of(name: str, most: int) -> StoppingRule:
    return built(composed("generate", f"stopping={name}", f"generator.max_samples={most}").stopping)


def states(most: int) -> list[State]:
    """Every number of draws, alike or torn, with every kind of uncertainty."""
    return [
        State(known, draws, uncertainty)
        for known in PRIORS
        for number in range(most + 1)
        for draws in ((CALM,) * number, ((CALM, TORN) * most)[:number])
        for uncertainty in ((None,) if number == 0 else (0.0, 0.3, 1.0))
    ]


def answers(rule: StoppingRule, asked: Sequence[State]) -> list[int]:
    return [wanted(rule, state, Random(number)) for number, state in enumerate(asked)]


@pytest.mark.parametrize("most", MOST)
def test_it_wants_a_whole_number_of_draws_and_never_more_than_n(name: str, most: int) -> None:
    for state, more in zip(states(most), answers(rule_of(name, most), states(most)), strict=True):
        assert 0 <= more <= most - len(state.draws)


def test_it_begins_with_a_draw(name: str) -> None:
    assert wanted(rule_of(name, 5), State(), Random(0)) >= 1


def test_it_decides_by_the_state_and_the_dice_alone(name: str) -> None:
    """The same again from a new rule, and from one that has decided about other images in between."""
    asked = states(5)
    first = answers(rule_of(name, 5), asked)
    rule = rule_of(name, 5)
    order = Random(1).sample(range(len(asked)), len(asked))
    found = {place: wanted(rule, asked[place], Random(place)) for place in order}
    assert [found[place] for place in range(len(asked))] == first
