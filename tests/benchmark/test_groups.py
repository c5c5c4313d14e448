"""Group by group: each group's own numbers, gaps between groups that count, and keys that make no groups."""

import numpy as np
import pytest

from seke.benchmark.columns import columns
from seke.benchmark.groups import MEASURES, by_group, check, groups_table, named
from seke.benchmark.metrics import scores
from seke.errors import UserError
from seke.records import ImageRecord, Labels

from .faces import prediction, predictions

FEAR, ANGER = Labels(expression="fear"), Labels(expression="anger")


def record(row, **attributes) -> ImageRecord:
    return ImageRecord(
        id=row.id,
        image="x.png",
        sha256=None,
        source=row.source,
        subject=row.subject,
        split="test",
        labels=row.truth,
        attributes=attributes,
    )


def graded(right: dict[str, list[bool]]):
    """Return predictions and records of groups whose images are named right or wrong, each of its own subject."""
    rows, records = [], []
    for group, marks in right.items():
        for mark in marks:
            rows.append(prediction(FEAR, FEAR if mark else ANGER, len(rows)))
            records.append(record(rows[-1], gender=group))
    return rows, records


def test_a_group_has_the_numbers_of_its_images_alone() -> None:
    rows = predictions(1, 120, 0.9)
    found = by_group(rows, [record(row) for row in rows], ["source"], draws=20, fewest=1)["source"]
    assert list(found["groups"]) == sorted({row.source for row in rows})
    assert found["aus"] == [1, 2, 4, 6, 12, 15]  # what DISFA, BP4D and Aff-Wild2 all annotate
    for source, cells in found["groups"].items():
        alone = scores(columns([row for row in rows if row.source == source]))
        assert cells["n"] == alone["n"]
        for measure, (task, metric) in MEASURES.items():
            if alone[task] is None:
                assert cells[measure] is None
                continue
            expected = alone[task][metric]
            if metric == "f1":
                expected = np.mean([expected[str(au)] for au in found["aus"]])
            assert cells[measure]["value"] == pytest.approx(expected, abs=1e-6)
            assert cells[measure]["n"] == alone[task]["n"]


def test_the_largest_gap_names_its_ends() -> None:
    rows, records = graded({"a": [True] * 40, "b": [True, False] * 20, "c": [True, True, True, False] * 10})
    gap = by_group(rows, records, ["attributes.gender"], draws=200)["attributes.gender"]["gaps"]["Expression accuracy"]
    assert (gap["highest"], gap["lowest"], gap["gap"]) == ("a", "b", 0.5)
    assert 0.25 < gap["ci95"][0] < 0.5 < gap["ci95"][1] < 0.8


def test_a_small_group_and_the_unknown_are_told_but_end_no_gap() -> None:
    rows, records = graded({"a": [True] * 40, "b": [True, False] * 20, "few": [False] * 29, "c": [True] * 30})
    records[50:52] = [record(rows[50]), record(rows[51])]
    found = by_group(rows, records, ["attributes.gender"], draws=50)["attributes.gender"]
    assert list(found["groups"]) == ["a", "b", "c", "few", "unknown"]
    assert found["groups"]["few"]["Expression accuracy"]["value"] == 0.0
    assert found["groups"]["few"]["Expression accuracy"]["n"] == 29
    assert found["groups"]["unknown"]["n"] == 2
    assert found["gaps"]["Expression accuracy"]["lowest"] == "b"
    assert found["gaps"]["Valence MAE"] is None
    table = groups_table({"attributes.gender": found})
    assert "| few | 29 | 0.000 (0.000 to 0.000), n=29 ° | – | – | – |" in table
    assert "b < a |" in table


def test_one_group_alone_has_no_gap() -> None:
    rows, records = graded({"a": [True] * 40})
    found = by_group(rows, records, ["attributes.gender"], draws=20)["attributes.gender"]
    assert set(found["gaps"].values()) == {None}


def test_a_gap_within_subjects_is_drawn_from_the_same_subjects() -> None:
    """Each subject has an image with and one without glasses, both right or both wrong: the gap is surely none."""
    rng = np.random.default_rng(0)
    rows, records = [], []
    for subject in range(60):
        said = FEAR if rng.random() < 0.6 else ANGER
        for glasses in (True, False):
            rows.append(prediction(FEAR, said, len(rows), subject=f"s{subject}"))
            records.append(record(rows[-1], glasses=glasses))
    found = by_group(rows, records, ["attributes.glasses"], draws=100)["attributes.glasses"]
    assert found["gaps"]["Expression accuracy"]["ci95"] == [0.0, 0.0]
    low, high = found["groups"]["True"]["Expression accuracy"]["ci95"]
    assert low < high


def test_many_numbers_are_cut_into_four_equal_parts() -> None:
    ages = list(range(20, 60))
    names = named([*ages, None])
    assert [names.count(name) for name in sorted(set(names))] == [10, 10, 10, 10, 1]
    assert (names[0], names[39], names[40]) == ("1: 20 to 29", "4: 50 to 59", "unknown")
    assert named([str(age) for age in ages]) == names[:40]  # a CSV file's cells
    assert named([0, 1, 2, 1]) == ["0", "1", "2", "1"]
    assert named(["f", "m", None, "12"]) == ["f", "m", "unknown", "12"]


def test_a_key_that_makes_no_groups_is_refused() -> None:
    rows = predictions(0, 60)
    records = [record(row, name=f"face {row.id}", gender="f") for row in rows]
    check(["source", "attributes.gender"], records)
    with pytest.raises(
        UserError, match=r"groups=attributes.age: no record has it; choose from source, attributes.gender"
    ):
        check(["attributes.age"], records)
    with pytest.raises(UserError, match=r"groups=gender: no record has it"):
        check(["gender"], records)
    with pytest.raises(UserError, match=r"groups=attributes.name: 60 different values are no groups"):
        check(["attributes.name"], records)


def test_without_groups_there_is_no_table() -> None:
    assert groups_table({}) == ""
