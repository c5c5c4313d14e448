"""benchmark=emonet: agreement held against counting by hand, a ceiling that nobody passes, and what does not count."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import parse
from seke.benchmark.tasks.emonet import CLASSES, EmoNet
from seke.core.records import ImageRecord, Labels

BENCHMARK = EmoNet("Which of these expressions does the face show most: happiness or fear?")
OPINIONS = (*CLASSES, "none", None)


def record(number: int, *opinions: str | None) -> ImageRecord:
    told = {f"human-{n}": opinion for n, opinion in enumerate(opinions)}
    return ImageRecord(
        id=f"r{number}", image="a.png", sha256=None, source="emonet_face", subject=None, split="test", labels=Labels(),
        attributes={"opinions": told},
    )  # fmt: skip


def scored(records: list[ImageRecord], answers: list[str | None]) -> dict[str, Any]:
    given = {
        one.id: Answer(id=one.id, text=text) for one, text in zip(records, answers, strict=True) if text is not None
    }
    rows, _ = BENCHMARK.predictions(records, given, parse)
    return BENCHMARK.metrics(rows, 0)


def test_agreement_ceiling_and_experts_against_counting_by_hand() -> None:
    records = [
        record(0, "fear", "fear", "anger"),
        record(1, "happiness", "happiness", "none"),
        record(2, "sadness", "sadness", "sadness", "anger"),
    ]
    found = scored(records, ["Fear.", "This face shows anger", "sadness"])["agreement"]
    assert found["agreement"] == pytest.approx((2 / 3 + 0 + 3 / 4) / 3)
    assert found["ceiling"] == pytest.approx((2 / 3 + 2 / 3 + 3 / 4) / 3)
    assert found["experts"] == pytest.approx((1 / 3 + 1 / 3 + 3 / 6) / 3)
    assert found["n"] == 3


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.sampled_from(OPINIONS), min_size=1, max_size=5), min_size=1, max_size=6),
    st.lists(st.sampled_from((*CLASSES, "neutral", None)), min_size=6, max_size=6),
)
def test_nobody_passes_the_ceiling_and_experts_are_pairs(
    opinions: list[list[str | None]], answers: list[str | None]
) -> None:
    records = [record(n, *said) for n, said in enumerate(opinions)]
    found = scored(records, answers[: len(records)])["agreement"]
    counted = [[one for one in said if one] for said in opinions]
    counted = [said for said in counted if 2 * sum(one != "none" for one in said) > len(said)]
    if not counted:
        assert found is None
        return
    assert found["n"] == len(counted)
    assert 0 <= found["agreement"] <= found["ceiling"] <= 1
    pairs = [np.mean([a == b for a, b in combinations(said, 2)]) for said in counted if len(said) > 1]
    assert found["experts"] == (pytest.approx(np.mean(pairs)) if pairs else None)


def test_an_answer_that_is_silent_or_neutral_agrees_with_nobody_and_counts() -> None:
    records = [record(n, "fear", "fear") for n in range(4)]
    found = scored(records, ["fear", "neutral", "no idea", None])
    assert found["agreement"]["agreement"] == 0.25
    assert found["class"]["n"] == 4
    assert found["class"]["accuracy"] == 0.25
    assert found["unanswered"]["class"] == 3


def test_where_nobody_sees_an_expression_there_is_nothing_to_score() -> None:
    found = scored([record(0, "none", "none"), record(1, None)], ["fear", "fear"])
    assert found["agreement"] is None
    assert BENCHMARK.ranked(BENCHMARK.predictions([record(0, "none")], {}, parse)[0], 0, 200) == []
    assert "nothing to score" in BENCHMARK.table("x", found, [])


def test_the_table_prints_the_ceiling_and_two_runs_are_paired() -> None:
    records = [record(n, "fear", "fear", ("fear", "anger")[n % 2]) for n in range(10)]
    good, _ = BENCHMARK.predictions(records, {r.id: Answer(id=r.id, text="fear") for r in records}, parse)
    bad, _ = BENCHMARK.predictions(records, {r.id: Answer(id=r.id, text="anger") for r in records}, parse)
    table = BENCHMARK.table("x", BENCHMARK.metrics(good, 0), ["a note"])
    assert "| Ceiling | 0.833" in table
    assert "100.0% of what can be had" in table
    [measure] = BENCHMARK.paired(good, bad, 0, 300).measures
    assert measure.ours - measure.theirs == pytest.approx(5 / 6 - 1 / 6)
    ours, theirs = (BENCHMARK.ranked(rows, 0, 300)[0] for rows in (good, bad))
    np.testing.assert_allclose(ours.drawn_B - theirs.drawn_B, measure.difference_B)
