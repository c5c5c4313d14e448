"""Measures of leaderboards: paired as `compare` pairs them, and silence never pays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seke.benchmark.scoring import significance
from seke.benchmark.scoring.classes import class_metrics
from seke.benchmark.scoring.ranked import ranked_classes, ranked_faces
from seke.core.records import Labels, Prediction

CLASSES = ("anger", "fear", "happiness")


def faces(seed: int, silent: float = 0.0, known_aus: bool = True) -> list[Prediction]:
    world, dice = np.random.default_rng(1), np.random.default_rng(seed)
    rows = []
    for n in range(80):
        truth = Labels(
            expression=CLASSES[world.integers(3)],
            valence=round(float(world.uniform(-1, 1)), 2),
            arousal=0.1,
            action_units={12: bool(world.random() < 0.5), 4: bool(world.random() < 0.5)} if known_aus else None,
        )
        said = Labels(
            expression=CLASSES[dice.integers(3)] if dice.random() < 0.4 else truth.expression,
            valence=round(float(np.clip(truth.valence + dice.normal(0, 0.3), -1, 1)), 2),
            arousal=0.3,
            action_units={12: bool(dice.random() < 0.5)},
        )
        quiet = dice.random() < silent
        rows.append(
            Prediction(
                id=str(n),
                source="s",
                subject=f"p{n // 4}",
                text="",
                judged=None,
                truth=truth,
                labels=Labels() if quiet else said,
                status="refusal" if quiet else "ok",
            )
        )
    return rows


def test_differences_of_replicates_are_those_of_compare_against_its_paired_bootstrap() -> None:
    ours, theirs = faces(2), faces(3)
    told = {(row["task"], row["metric"]): row for row in significance.compare(ours, theirs, "b", 5, 500)["metrics"]}
    for a, b in zip(ranked_faces(ours, 5, 500), ranked_faces(theirs, 5, 500), strict=True):
        row = told[tuple(a.key.split("."))]
        assert a.value - b.value == pytest.approx(row["difference"])
        paired = significance.pair_faces(ours, theirs, 5, 500).measures
        [of_both] = [one for one in paired if f"{one.task}.{one.metric}" == a.key]
        np.testing.assert_allclose(a.drawn_B - b.drawn_B, of_both.difference_B, atol=1e-12)


def test_only_what_has_truth_is_measured() -> None:
    keys = [metric.key for metric in ranked_faces(faces(2, known_aus=False), 0, 200)]
    assert keys == ["expression.accuracy", "valence.mae", "arousal.mae"]
    assert [metric.key for metric in ranked_faces(faces(2), 0, 200, tasks=("expression",))] == ["expression.accuracy"]


def test_a_few_missing_errors_compete_at_worst_and_many_not_at_all() -> None:
    whole, some, many = (ranked_faces(faces(2, silent), 0, 200)[2] for silent in (0.0, 0.03, 0.4))
    assert whole.coverage == 1
    assert whole.rival == whole.value
    assert 0.95 <= some.coverage < 1
    assert some.rival > whole.rival
    assert many.coverage < 0.95
    assert np.isnan(many.rival)


@settings(deadline=None, max_examples=25)
@given(st.sets(st.integers(0, 79), max_size=4))
def test_leaving_pictures_out_never_makes_an_error_compete_better(silent: set[int]) -> None:
    rows = faces(2)
    fewer = [
        row.model_copy(update={"labels": Labels(), "status": "refusal"}) if n in silent else row
        for n, row in enumerate(rows)
    ]
    for before, after in zip(ranked_faces(rows, 0, 200)[2:], ranked_faces(fewer, 0, 200)[2:], strict=True):
        assert np.isnan(after.rival) or after.rival >= before.rival - 1e-12


def test_classes_are_counted_as_metrics_counts_them_and_resampled_against_a_loop() -> None:
    dice = np.random.default_rng(0)
    answered = [
        (f"p{n % 17}", CLASSES[dice.integers(3)], None if dice.random() < 0.1 else CLASSES[dice.integers(3)])
        for n in range(100)
    ]
    accuracy, f1 = ranked_classes("emotion", CLASSES, answered, 3, 50)
    found = class_metrics("emotion", CLASSES, [row[1:] for row in answered], ["ok"] * 100)["emotion"]
    assert accuracy.value == pytest.approx(found["accuracy"])
    assert f1.value == pytest.approx(found["f1_macro"])
    assert (accuracy.n, accuracy.drawn_from) == (100, 17)
    rng = np.random.default_rng(3)
    order = list(dict.fromkeys(subject for subject, _, _ in answered))
    for number, draw in enumerate(rng.integers(17, size=(50, 17))):
        drawn = [row for place in draw for row in answered if row[0] == order[place]]
        right = np.mean([truth == named for _, truth, named in drawn])
        assert accuracy.drawn_B[number] == pytest.approx(right)


def test_records_without_truth_do_not_count() -> None:
    assert ranked_classes("emotion", CLASSES, [("a", None, "fear")], 0, 50) == []
