"""Group by group: each group's own numbers, gaps between groups that count, and keys that make no groups."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from seke.benchmark.protocol import GroupMetric
from seke.benchmark.scoring.arrays import columns
from seke.benchmark.scoring.metrics import scores
from seke.benchmark.scoring.subgroups import by_group, check, group_names, groups_table, keys_of
from seke.benchmark.tasks import emoset
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels

from ..faces import prediction, predictions

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
    """Return predictions and records of groups whose images are group_names right or wrong, each of its own subject."""
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
        for measure, task, metric in (
            ("Expression accuracy", "expression", "accuracy"),
            ("AU F1", "action_units", "f1"),
            ("Valence MAE", "valence", "mae"),
            ("Arousal MAE", "arousal", "mae"),
        ):
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
    gap = by_group(rows, records, ["attributes.gender"], draws=2000)["attributes.gender"]["gaps"]["Expression accuracy"]
    assert (gap["highest"], gap["lowest"], gap["gap"]) == ("a", "b", 0.5)
    # Student's t of 39 degrees of freedom at 0.05 / 3 pairs, times the standard error of b's 20 of 40.
    assert gap["ci95"] == pytest.approx([0.5 - 2.50 * 0.08, 0.5 + 2.50 * 0.08], abs=0.03)
    assert (gap["pairs"], gap["drawn_from"]) == (3, 40) and gap["p"] < 0.001


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
    assert "| few | 29 | 0.000 (29 subjects), n=29 ° | – | – | – |" in table
    assert "b < a, p < 0.001 |" in table


@pytest.mark.parametrize("groups", [2, 6, 10])
def test_equal_groups_are_told_apart_in_5_percent_of_studies_at_most(groups: int) -> None:
    """240 studies of one model that is equally good for all: 60 pictures a group, of 20 subjects of unequal skill."""
    rng, found = np.random.default_rng(groups), 0
    names = np.repeat([f"g{k}" for k in range(groups)], 20)
    rows = [SimpleNamespace(id=str(k)) for k in range(len(names))]
    records = [
        ImageRecord(id=row.id, image="x", sha256=None, source="x", subject=row.id, split="test", labels=Labels(),
                    attributes={"kind": name})
        for row, name in zip(rows, names, strict=True)
    ]  # fmt: skip
    for _ in range(240):
        right_N = rng.binomial(3, rng.beta(8, 2, len(rows))) / 3

        def grouped(_, groups_N, seed, draws, fewest, right_N=right_N):
            parts = {}
            for name in np.unique(groups_N).tolist():
                of = right_N[groups_N == name]
                drawn_B = rng.multinomial(len(of), np.full(len(of), 1 / len(of)), size=draws) @ of / len(of)
                parts[name] = {"Accuracy": GroupMetric(float(of.mean()), drawn_B, 60, len(of))}
            return parts, {}

        gap = by_group(rows, records, ["attributes.kind"], draws=200, grouping=grouped)["attributes.kind"]["gaps"]
        found += gap["Accuracy"]["p"] < 0.05
        assert (gap["Accuracy"]["p"] < 0.05) == (gap["Accuracy"]["ci95"][0] > 0)
    assert found / 240 <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 240)


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
    assert found["gaps"]["Expression accuracy"]["ci95"] is None  # in no resample does it differ from 0
    low, high = found["groups"]["True"]["Expression accuracy"]["ci95"]
    assert low < high


def test_many_numbers_are_cut_into_four_equal_parts() -> None:
    ages = list(range(20, 60))
    names = group_names([*ages, None])
    assert [names.count(name) for name in sorted(set(names))] == [10, 10, 10, 10, 1]
    assert (names[0], names[39], names[40]) == ("1: 20 to 29", "4: 50 to 59", "unknown")
    assert group_names([str(age) for age in ages]) == names[:40]  # a CSV file's cells
    assert group_names([0, 1, 2, 1]) == ["0", "1", "2", "1"]
    assert group_names(["f", "m", None, "12"]) == ["f", "m", "unknown", "12"]


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


# -- emotions of scenes ------------------------------------------------------------------------------------------------

EMOSET = emoset.EmoSet({"constrained": "Which?"})


def felt(truth: str | None, said: str | None, id_: object) -> emoset.EmotionPrediction:
    return emoset.EmotionPrediction(
        id=str(id_), source="emoset", subject=None, text="", judged=None, emotion=said, truth=truth, status="ok"
    )


def scene(id_: object, **attributes) -> ImageRecord:
    return ImageRecord(
        id=str(id_), image="x.png", sha256=None, source="emoset", subject=None, split="test", labels=Labels(),
        attributes=attributes,
    )  # fmt: skip


SAYS = st.sampled_from([None, *emoset.EMOTIONS])


@given(st.lists(st.tuples(SAYS, SAYS, st.sampled_from(["city", "sea", None])), min_size=1, max_size=40))
def test_a_group_of_scenes_is_scored_as_its_pictures_alone_are(pictures) -> None:
    rows = [felt(truth, said, k) for k, (truth, said, _) in enumerate(pictures)]
    records = [scene(k, scene_type=kind) for k, (*_, kind) in enumerate(pictures)]
    key = "attributes.scene_type"
    found = by_group(rows, records, [key], draws=10, fewest=1, grouping=EMOSET.grouped)[key]
    assert set(found["groups"]) == {kind or "unknown" for *_, kind in pictures}
    for name, cells in found["groups"].items():
        mine = [row for row, (*_, kind) in zip(rows, pictures, strict=True) if (kind or "unknown") == name]
        alone = emoset.scores(mine, draws=1)["emotion"]
        assert cells["n"] == len(mine)
        for measure, metric in (("Emotion accuracy", "accuracy"), ("Emotion macro F1", "f1_macro")):
            assert (cells[measure] is None) == (alone is None)
            if alone is not None:
                assert (cells[measure]["value"], cells[measure]["n"]) == (pytest.approx(alone[metric]), alone["n"])
    json.dumps(found, allow_nan=False)


def test_a_gap_between_scenes_against_the_normal_interval_of_two_proportions() -> None:
    pictures = [(kind, "awe" if right else "fear") for kind, right in [("sea", 1)] * 180 + [("sea", 0)] * 20]
    pictures += [("city", "awe" if right else "fear") for right in [1] * 100 + [0] * 100]
    rows = [felt("awe", said, k) for k, (_, said) in enumerate(pictures)]
    records = [scene(k, kind=kind) for k, (kind, _) in enumerate(pictures)]
    found = by_group(rows, records, ["attributes.kind"], draws=4000, grouping=EMOSET.grouped)
    gap = found["attributes.kind"]["gaps"]["Emotion accuracy"]
    assert (gap["highest"], gap["lowest"], gap["gap"]) == ("sea", "city", pytest.approx(0.4))
    cells = found["attributes.kind"]["groups"]["sea"]["Emotion accuracy"]
    wilson, normal = binomtest(180, 200).proportion_ci(method="wilson"), 0.9 + 1.96 * np.sqrt(0.09 / 200)
    assert cells["ci95"] == pytest.approx([wilson.low, normal], abs=0.005)  # skewed: the farther end on either side
    assert gap["ci95"] == pytest.approx(0.4 + 1.96 * np.sqrt(0.09 / 200 + 0.25 / 200) * np.array([-1, 1]), abs=0.01)
    table = groups_table(found)
    assert "| attributes.kind | n | Emotion accuracy | Emotion macro F1 |" in table and "AU" not in table


def test_a_benchmark_that_measures_nothing_by_group_is_refused() -> None:
    check(["attributes.kind"], [scene(0, kind="sea")], EMOSET)
    with pytest.raises(UserError, match=r"^groups=.*this benchmark measures nothing by group"):
        check(
            ["attributes.kind"], [scene(0, kind="sea")], SimpleNamespace(metrics=print, what_differs=print, show=print)
        )


def test_without_groups_there_is_no_table() -> None:
    assert groups_table({}) == ""


def test_one_word_is_a_list_of_one_key_and_what_is_no_list_is_refused() -> None:
    assert keys_of("source") == keys_of(["source"]) == ["source"]
    assert keys_of(None) == keys_of([]) == []
    with pytest.raises(UserError, match=r"^groups=7: no list"):
        keys_of(7)


def test_a_groups_name_is_text_in_the_table_whatever_it_holds(tmp_path) -> None:
    names = ["<script>alert(1)</script>", "a\nb: x\n---", "p|q ![i](http://evil.invalid/x)", "\x1b[31mred"]
    rows, records = graded({name: [True, False] for name in names})
    records = [
        one.model_copy(update={"attributes": {"<b>": name}}) for one, name in zip(records, names * 2, strict=True)
    ]
    text = groups_table(by_group(rows, records, ["attributes.<b>"], seed=0))
    assert not any(raw in text for raw in ("<script>", "![i](", "\x1b", "\n---", "<b>\n"))
    assert all(
        line.replace("\\|", "").count("|") == text.splitlines()[2].count("|")
        for line in text.splitlines()
        if line[:1] == "|"
    )
