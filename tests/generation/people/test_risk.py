"""Risk is what stated confidences say of the machine's labels, and of those alone."""

import pytest

from seke.core.records import InstructionRecord, Labels, Origins, Turn, Uncertainty
from seke.generation.people.risk import corrections, expected, ranks, risks

LABELS = Labels(expression="fear", valence=-0.5, arousal=0.5, action_units={1: True, 2: False, 4: True})
TURNS = (Turn(speaker="human", value="?"), Turn(speaker="gpt", value="!"))


def row(**changes: object) -> InstructionRecord:
    units = {"1": "manual", "2": "generated", "4": "generated"}
    origin = Origins(expression="generated", valence="generated", arousal="manual", action_units=units)
    of = {"id": "a", "image": "a.png", "source": "s", "subject": None, "conversations": TURNS, "labels": LABELS}
    of |= {"origin": origin, "uncertainty": Uncertainty(), "samples": 5, "annotator": "a"}
    return InstructionRecord(**{**of, **changes})


def test_a_look_mends_what_is_probably_wrong_of_the_machines_labels() -> None:
    sure = {"expression": 0.9, "valence": 0.7, "arousal": 0.1, "action_units": {"1": 0.5, "2": 0.8, "4": 0.4}}
    found = risks(row(confidence=sure))
    assert {name: (each.labels, each.wrong) for name, each in found.items()} == {
        "expression": (1, pytest.approx(0.1)),
        "valence": (1, pytest.approx(0.3)),
        "arousal": (0, 0.0),
        "action_units": (2, pytest.approx(0.2 + 0.6)),
    }
    assert expected(found) == pytest.approx(1.2)
    assert all(each.stated for each in found.values())


def test_where_nothing_is_stated_the_spread_stands_in_and_what_is_unknown_stays_so() -> None:
    spread = Uncertainty(expression=0.5, action_units=0.25)
    found = risks(row(uncertainty=spread, confidence={"action_units": {"2": 0.8}}))
    assert (found["expression"].wrong, found["expression"].stated) == (0.5, False)
    assert (found["action_units"].wrong, found["action_units"].stated) == (pytest.approx(0.2 + 0.25), False)
    assert found["valence"].wrong is None
    assert expected(found) == pytest.approx(0.95)
    assert expected(risks(row())) is None


def test_corrections_are_of_generated_labels_and_near_is_right() -> None:
    human = Labels(expression="anger", valence=-0.3, arousal=-1, action_units={1: False, 2: True, 4: True})
    assert corrections(LABELS, human, row().origin) == {
        "expression": (1, 1),
        "valence": (0, 1),
        "arousal": (0, 0),
        "action_units": (1, 2),
    }


def test_ranks_have_no_ties_and_the_unknown_comes_last() -> None:
    assert [*ranks([0.5, None, 0.0, 0.5], [1.0, 0.0, 0.0, 0.6], [0, 0, 0, 0])] == [2, 3, 0, 1]
    assert [*ranks([0.0, 0.0], [0.0, 0.0], [5, 3])] == [1, 0]
