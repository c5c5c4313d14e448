"""Diversity of texts: distinct-n counted by hand, the compression ratio against zlib, and what both mean."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.records import InstructionRecord, Labels, Origins, Turn, Uncertainty
from seke.generation.text_diversity import diversity, of_instructions, page

TEXTS = st.lists(st.text("abc .", min_size=1, max_size=30), min_size=1, max_size=12)


def test_distinct_n_as_li_et_al_count_it() -> None:
    found = diversity(["I do not know.", "I do not know .", "Who knows"])
    # words: i do not know . | i do not know . | who knows: 7 different of 12; pairs: 4 + 4 + 1, 5 different
    assert found is not None
    assert (found.texts, found.distinct) == (3, 3)
    assert (found.distinct_1, found.distinct_2) == (round(7 / 12, 4), round(5 / 9, 4))


def test_the_compression_ratio_is_zlibs() -> None:
    texts = [f"Scene {number % 7} shows a beach." for number in range(50)]
    content = "".join(text.lower() + "\n" for text in texts).encode()
    found = diversity(texts)
    assert found is not None
    assert found.compression_ratio == pytest.approx(len(content) / len(zlib.compress(content, 9)), abs=1e-3)


@given(TEXTS)
def test_saying_everything_twice_is_less_diverse_and_no_other_order_is(texts: list[str]) -> None:
    once, twice, back = diversity(texts), diversity(texts * 2), diversity(texts[::-1])
    if once is None:
        assert twice is None
        return
    assert twice is not None and back is not None
    assert twice.distinct == once.distinct and twice.distinct_1 <= once.distinct_1
    assert (back.distinct, back.distinct_1, back.distinct_2) == (once.distinct, once.distinct_1, once.distinct_2)
    assert 0 < once.distinct_1 <= 1 and 0 <= once.distinct_2 <= 1


def test_nothing_said_has_no_diversity() -> None:
    assert diversity([]) is None and diversity(["", "  "]) is None


def instruction(number: int, kind: str | None) -> InstructionRecord:
    turns = (
        Turn(speaker="human", value=f"<image>\nWhich {number % 2}?"),
        Turn(speaker="gpt", value=f"It is {number}."),
    )
    return InstructionRecord(
        id=str(number), image="a.png", source="x", subject=None, conversations=turns, labels=Labels(),
        origin=Origins(), uncertainty=Uncertainty(), samples=0, annotator="a",
        attributes={"kind": kind} if kind else {},
    )  # fmt: skip


def test_questions_and_answers_are_counted_by_kind_and_together() -> None:
    found = of_instructions([instruction(number, "b" if number else "a") for number in range(6)])
    assert list(found) == ["a", "b", "all"] and list(found["all"]) == ["answers", "questions"]
    assert (found["all"]["questions"].texts, found["all"]["questions"].distinct) == (6, 2)
    assert found["all"]["answers"].distinct == 6
    assert "| all, questions | 6 | 2 |" in page(found)
    assert "<image>" not in page(found)


def test_rows_without_a_kind_have_no_page() -> None:
    assert page(of_instructions([instruction(0, None)])) == ""
