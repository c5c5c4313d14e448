"""Ranks with intervals, held against counting, simulation and brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.reporting.leaderboard.ranking import Competitor, pair, pareto, ranks


def drawn(means: list[float], pictures: int, draws: int, rng: np.random.Generator) -> list[Competitor]:
    """Return systems of these true accuracies on pictures that are hard for all of them at once."""
    hard_N = rng.normal(0, 1, pictures)
    right_KN = np.array([(hard_N + rng.normal(0, 1, pictures)) / np.sqrt(2) < mean for mean in means]).astype(float)
    chosen = rng.integers(pictures, size=(draws, pictures))
    found = right_KN[:, chosen].mean(2)
    return [
        Competitor(float(row.mean()), of_k, pictures, None, "all") for row, of_k in zip(right_KN, found, strict=True)
    ]


def test_systems_far_apart_have_one_rank_each_and_equal_ones_share_all() -> None:
    rng = np.random.default_rng(0)
    assert ranks(drawn([1.5, 0.3, -1.0], 400, 400, rng)).intervals == ((1, 1), (2, 2), (3, 3))
    same = drawn([0.5], 400, 400, rng) * 3
    assert ranks(same).intervals == ((1, 3), (1, 3), (1, 3))
    assert ranks(same[:1]).intervals == ((1, 1),)
    assert ranks([]).intervals == ()


@pytest.mark.slow
def test_all_intervals_together_hold_the_true_ranks_in_95_per_cent_of_simulated_boards() -> None:
    rng = np.random.default_rng(1)
    means = [0.6, 0.6, 0.6, 0.45, 0.3, 0.3, -0.2]
    truth = [(1 + sum(m > mean for m in means), len(means) - sum(m < mean for m in means)) for mean in means]
    wrong = narrow = 0
    for _ in range(300):
        found = ranks(drawn(means, 250, 300, rng)).intervals
        # The true ranks of tied systems are all those that their ties may have: each has to be in the interval.
        wrong += any(low > first or high < last for (low, high), (first, last) in zip(found, truth, strict=True))
        narrow += found != tuple((1, len(means)) for _ in means)
    assert wrong <= 300 * 0.05 + 2.5 * np.sqrt(300 * 0.05 * 0.95)
    assert narrow > 290, "an interval that says nothing holds everything"


def test_pairing_sees_what_two_intervals_do_not() -> None:
    a, b = drawn([0.62, 0.45], 600, 600, np.random.default_rng(4))
    half = [1.96 * float(one.drawn_B.std()) for one in (a, b)]  # type: ignore[union-attr]
    apart = [one._replace(half_width=wide, resamples=name) for one, wide, name in zip((a, b), half, "ab", strict=True)]
    together, separate = pair(a, b), pair(*apart)
    assert together.paired
    assert not separate.paired
    assert together.p is not None
    assert separate.p is not None
    assert together.p < separate.p
    assert separate.difference.value == together.difference.value


def test_where_nothing_tells_nobody_is_better() -> None:
    known = Competitor(0.9, None, 100, 0.02, "a")
    for other in (known._replace(value=0.1, half_width=None), known._replace(value=0.1, clusters=2)):
        assert pair(known, other).p is None
        assert ranks([known, other]).intervals == ((1, 2), (1, 2))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_the_front_is_whoever_nobody_beats_against_brute_force(points: list[tuple[int, int]]) -> None:
    front = pareto([cost for cost, _ in points], [value for _, value in points])
    unbeaten = {
        (cost, value)
        for cost, value in points
        if not any((c <= cost and v > value) or (c < cost and v >= value) for c, v in points)
    }
    assert {points[place] for place in front} == unbeaten
    assert [points[place] for place in front] == sorted(unbeaten)
