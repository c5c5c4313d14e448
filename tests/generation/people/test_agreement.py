"""Reviewers who agree, and who do not."""

import numpy as np
import pytest

from seke.core.records import Labels
from seke.generation.people.agreement import DECISION, agreement, contradictions, whose


def face(expression: str = "fear", valence: float = 0.0, **units: bool) -> Labels:
    return Labels(
        expression=expression, valence=valence, arousal=0.0, action_units={1: units.get("au1", True), 2: False}
    )


def test_contradictions_are_labels_that_differ_and_rows_that_only_some_reject() -> None:
    ann = {"a": face(), "b": face(valence=0.5), "c": None, "d": None, "e": face()}
    bob = {"a": face("anger", au1=False), "b": face(valence=0.3), "c": face(), "d": None}
    found = contradictions({"ann": ann, "bob": bob})
    assert [(each.id, each.label, each.said) for each in found] == [
        ("a", "expression", {"ann": "fear", "bob": "anger"}),
        ("a", "AU1", {"ann": True, "bob": False}),
        ("c", DECISION, {"ann": "rejected", "bob": "kept"}),
    ]


@pytest.mark.parametrize(
    ("looked", "contradicted", "prefer", "expected"),
    [
        (["bob", "cat"], False, None, "bob"),
        (["bob", "cat"], True, None, None),
        (["bob", "cat"], True, "first", "bob"),
        (["bob", "cat"], True, "last", "cat"),
        (["bob", "cat"], True, "cat", "cat"),
        (["bob", "cat"], True, "ann", None),
    ],
)
def test_whose_word_counts(looked, contradicted, prefer, expected) -> None:
    assert whose(["ann", "bob", "cat"], looked, contradicted, prefer) == expected


def test_kappa_against_its_formula() -> None:
    rng = np.random.default_rng(0)
    words = np.array(["fear", "anger", "neutral"])
    one, other = words[rng.integers(3, size=200)], words[rng.integers(3, size=200)]
    other[:120] = one[:120]
    said = [{str(n): face(str(word)) for n, word in enumerate(of)} for of in (one, other)]
    (pair,) = agreement({"ann": said[0], "bob": said[1]})
    same = (one == other).mean()
    chance = sum((one == word).mean() * (other == word).mean() for word in words)
    assert pair["n"] == pair["expression"]["n"] == 200
    assert pair["expression"]["agree"] == pytest.approx(same)
    assert pair["expression"]["kappa"] == pytest.approx((same - chance) / (1 - chance))
    assert pair["action_units"]["agree"] == 1 and pair["action_units"]["kappa"] == 1
    assert pair[DECISION]["kappa"] is None, "nobody rejected anything: there is no kappa"
