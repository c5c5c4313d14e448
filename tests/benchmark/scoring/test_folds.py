"""WAR and UAR over folds: by hand, and against scikit-learn."""

from random import Random

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score

from seke.benchmark.scoring.folds import confusions, drawn, fold_metrics, recalls

CLASSES = ["a", "b", "c"]


def some(clips: int, folds: int = 5, seed: int = 0) -> list[tuple[int | None, str, str | None]]:
    rng = Random(seed)
    return [(rng.randint(1, folds), rng.choice(CLASSES), rng.choice([*CLASSES, None])) for _ in range(clips)]


def test_the_mean_over_folds_is_that_of_each_and_not_of_all_clips() -> None:
    answered = [(1, "a", "a"), (1, "a", "b"), (1, "b", "b"), (1, "b", None), (2, "a", "a"), (2, "a", "a")]
    found, bounds = fold_metrics(["a", "b"], answered, 0)
    assert [(each["war"], each["uar"]) for each in found["each"]] == [(0.5, 0.5), (1.0, 1.0)]
    assert (found["war"], found["uar"]) == (0.75, 0.75)
    assert found["war_pooled"] == pytest.approx(4 / 6)
    assert found["uar_pooled"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert found["each"][1]["absent"] == ["b"] and found["each"][0]["unanswered"] == 1
    assert bounds["war"][0] < 0.75 < bounds["war"][1]


def test_against_sklearn() -> None:
    answered = some(300)
    found, _ = fold_metrics(CLASSES, answered, 0)
    for each in found["each"]:
        truth = [t for fold, t, _ in answered if fold == each["fold"]]
        named = [n or "nothing" for fold, _, n in answered if fold == each["fold"]]
        assert each["war"] == pytest.approx(accuracy_score(truth, named))
        assert each["uar"] == pytest.approx(recall_score(truth, named, average="macro", labels=CLASSES))
    assert found["war"] == pytest.approx(np.mean([each["war"] for each in found["each"]]))


def test_resamples_keep_each_folds_size_and_scatter_about_the_estimate() -> None:
    answered = some(400, seed=1)
    _, counts = confusions(CLASSES, answered)
    draws = drawn(counts, seed=3, draws=800)
    found, bounds = fold_metrics(CLASSES, answered, 3)
    assert draws["war"].mean() == pytest.approx(found["war"], abs=0.01)
    expected = np.sqrt(sum(w * (1 - w) / n for w, n in zip(recalls(counts)[0], counts.sum((1, 2)), strict=True))) / 5
    assert draws["war"].std() == pytest.approx(expected, rel=0.15)
    assert bounds["war"][1] - bounds["war"][0] == pytest.approx(2 * 1.96 * expected, rel=0.2)


def test_clips_without_a_fold_are_one_fold_behind_the_others() -> None:
    found, _ = fold_metrics(CLASSES, [(None, "a", "a"), (2, "b", "b")], 0)
    assert [each["fold"] for each in found["each"]] == [2, None]
