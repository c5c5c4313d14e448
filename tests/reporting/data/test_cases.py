"""Which records are shown, and which of their claims are called right."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.records import InstructionRecord, Labels, Origins, Turn, Uncertainty
from seke.reporting.data.cases import choose, lines, marked

from ..experiments import traced

TRUTH = Labels(expression="fear", valence=-0.5, arousal=0.6, action_units={1: True, 4: False, 5: True, 12: False})
SAID = Labels(expression="fear", valence=-0.3, arousal=0.1, action_units={1: True, 4: False, 5: False, 12: True})


def record(name: str, source: str = "s", level: float | None = 0.5, **changes: object) -> InstructionRecord:
    base = InstructionRecord(
        id=name, image="x.png", source=source, subject=None,
        conversations=(Turn(speaker="human", value="?"), Turn(speaker="gpt", value="!")),
        labels=SAID, origin=Origins(expression="manual", valence="generated"),
        uncertainty=Uncertainty(expression=level, max=level), samples=2, annotator="a",
    )  # fmt: skip
    return base.model_copy(update=changes)


@given(
    levels=st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.floats(0, 1)), max_size=40),
    count=st.integers(0, 15),
    seed=st.integers(0, 99),
)
def test_the_choice_depends_on_the_records_alone(levels: list[tuple[str, float | None]], count: int, seed: int) -> None:
    rows = [record(f"r{number:02d}", source, level) for number, (source, level) in enumerate(levels)]
    chosen = choose(rows, count)
    shuffled = rows.copy()
    Random(seed).shuffle(shuffled)
    assert choose(shuffled, count) == chosen
    names = [case.record.id for case in chosen]
    sampled = sum(level is not None for _, level in levels)
    assert len(names) == len(set(names)) == min(count, sampled)


def test_twelve_cases_show_every_level_and_every_source() -> None:
    rows = [record(f"{source}{number}", source, number / 100) for source in "abcdef" for number in range(100)]
    chosen = choose(rows, 12)
    assert [case.level for case in chosen] == ["high"] * 4 + ["middle"] * 4 + ["low"] * 4
    assert [case.record.source for case in chosen] == list("abcdefabcdef")
    high, low = chosen[0].record.uncertainty.max, chosen[-1].record.uncertainty.max
    assert high is not None and low is not None
    assert high == pytest.approx(0.94) and low == pytest.approx(0.05)


@given(st.text(alphabet="AU1 245.+-valencearousalfear\n<>", max_size=120))
def test_marked_spans_joined_are_the_text(text: str) -> None:
    assert "".join(span.text for span in marked(text, SAID, TRUTH)) == text


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("It is Fear.", [("Fear", "right")]),
        ("Rather than anger, it is fear.", [("fear", "right")]),
        ("AU1 and AU 12 are active", [("AU1", "right"), ("AU 12", "wrong")]),
        ("without AU4, and AU5 absent", [("AU4", "right"), ("AU5", "wrong")]),
        ("AU99 and AU26 are unknown", []),
        ("valence of -0.7, arousal: 0.39", [("valence of -0.7", "right"), ("arousal: 0.39", "wrong")]),
        ("Valence is −0.30", [("Valence is −0.30", "right")]),
        ("A high arousal. There are 2 cues.", []),
    ],
)
def test_claims_in_a_text_by_hand(text: str, claims: list[tuple[str, str]]) -> None:
    assert [(span.text, span.verdict) for span in marked(text, SAID, TRUTH) if span.verdict] == claims


def test_without_a_truth_nothing_is_right_or_wrong() -> None:
    assert {span.verdict for span in marked("fear, AU1, valence -0.3", SAID, None)} == {""}
    claims = [claim for line in lines(record("r"), None, None) for claim in line.final]
    assert {claim.verdict for claim in claims} == {"unknown"}


def test_a_case_by_hand() -> None:
    origin = Origins(expression="manual", valence="generated", action_units={"1": "manual", "5": "generated"})
    drawn = traced("r", (Labels(expression="anger", valence=-0.25), Labels(action_units={1: True, 5: True})))
    expression, valence, arousal, units = lines(record("r", origin=origin), drawn, TRUTH)
    assert expression.final == (("fear", "manual", "right", False),)
    assert (expression.truth, expression.draws, expression.spread) == ("fear", ("anger", "–"), "44 % of pairs differ")
    assert valence.final == (("−0.30", "generated", "right", False),)  # 0.2 off is right (Fig. 6)
    assert arousal.final == (("+0.10", None, "wrong", False),)
    assert [(claim.text, claim.origin, claim.verdict, claim.missed) for claim in units.final] == [
        ("AU1", "manual", "right", False),
        ("AU5", "generated", "wrong", True),  # active and not claimed
        ("AU12", None, "wrong", False),
    ]
    assert (units.truth, units.draws) == ("1 5", ("n/a", "1 5"))
