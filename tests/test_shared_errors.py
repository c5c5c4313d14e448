"""scripts/shared_errors.py: what smoothing can gain where errors are shared, and where they are not."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture
def shared(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    sys.modules.pop("shared_errors", None)
    import shared_errors

    return shared_errors


def test_errors_that_frames_share_cannot_be_smoothed_away_by_a_power_but_by_the_films_offset(shared):
    _, power, offset, half_power, half_offset = shared.gains(400, 0.0, 0)
    assert power == pytest.approx(offset, abs=0.01) and power > 0.1, "without shared errors both are the same"
    assert half_power > 0.02 and half_offset > 0.02
    _, power, offset, half_power, half_offset = shared.gains(400, 0.5, 0)
    assert power < 0.02 and offset > 0.05
    assert half_power < 0 < half_offset


def test_the_offset_is_summed_over_as_by_adding_up_all_paths(shared, monkeypatch):
    monkeypatch.setattr(shared, "FRAMES", 4)
    _, seen_NT = shared.films(3, 0.5, 1)
    asked_T = np.array([True, False, True, True])
    kept = np.exp(-shared.RATE * shared.SECONDS)
    move_22 = kept * np.eye(2) + (1 - kept) * shared.BASE_2
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    expected_NT = np.zeros((3, 4))
    for film, seen_T in enumerate(seen_NT):
        total = 0.0
        for path in itertools.product((0, 1), repeat=4):
            p = shared.BASE_2[path[0]] * np.prod([move_22[a, b] for a, b in itertools.pairwise(path)])
            terms = [
                weight * np.prod([
                    np.exp(-((seen_T[t] - np.sqrt(0.5) * point - shared.SEEN * path[t]) ** 2))  # variance 1/2
                    for t in range(4) if asked_T[t]
                ])
                for point, weight in zip(points, weights, strict=True)
            ]  # fmt: skip
            p *= sum(terms)
            total += p
            expected_NT[film] += p * np.array(path)
        expected_NT[film] /= total
    np.testing.assert_allclose(shared.by_offset(seen_NT, asked_T, 0.5), expected_NT, atol=1e-7)
