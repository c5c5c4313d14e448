"""What a confidence is worth, and manual labels as the measure."""

import pytest

from seke.benchmark.answer import Answer
from seke.benchmark.judging import judge
from seke.benchmark.protocol import Calibrated
from seke.benchmark.scoring.calibration import judged, trust
from seke.benchmark.scoring.tables import calibration_table
from seke.benchmark.tasks.reliability import Reliability, generated
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, Origins, Prediction, Uncertainty

FEAR = Labels(expression="fear", valence=-0.5)
MASKED = Origins(expression="manual", valence="generated", arousal="manual", action_units={"1": "generated"})


def record(id_: str, labels: Labels, subject: str | None = None) -> ImageRecord:
    return ImageRecord(
        id=id_, image=f"{id_}.png", sha256=None, source="x", subject=subject, split="train", labels=labels
    )


def row(id_: str, said: Labels, truth: Labels, subject: str | None = None) -> Prediction:
    return Prediction(
        id=id_, source="x", subject=subject, text="", judged=None, labels=said, truth=truth, status="ok"
    )  # fmt: skip


def test_masked_manual_labels_are_scored_and_what_nobody_annotated_is_not() -> None:
    said = Labels(expression="fear", valence=0.5, arousal=0.1, action_units={1: True, 2: True})
    origin = MASKED.model_copy(update={"action_units": {"1": "generated", "2": "generated"}})
    manual = Labels(expression="fear", valence=0.1, action_units={1: False})
    against = Reliability("manual")
    assert against.records_file == "train.jsonl"
    rows, _ = against.predictions([record("a", manual)], {"a": Answer(id="a", labels=said, origin=origin)}, judge.parse)
    assert rows[0].truth == Labels(valence=0.1, action_units={1: False})


def test_manual_labels_that_were_all_shown_leave_nothing_to_score() -> None:
    answer = Answer(id="a", labels=Labels(expression="fear", valence=0.5), origin=MASKED)
    with pytest.raises(UserError, match=r"mask human labels \(generate\.py generator\.hide="):
        Reliability("manual").predictions([record("a", Labels(expression="fear"))], {"a": answer}, judge.parse)


def test_another_measure_is_refused() -> None:
    with pytest.raises(UserError, match=r"benchmark\.against=nature: unknown; set truth or manual"):
        Reliability("nature")


def test_pilot_rows_are_left_out() -> None:
    answers = {
        name: Answer(id=name, labels=Labels(valence=0.5), origin=MASKED, flags=flags)
        for name, flags in (("a", ("pilot",)), ("b", ()))
    }
    records = [record(name, Labels(valence=0.4)) for name in "ab"]
    rows, left_out = Reliability().predictions(records, answers, judge.parse)
    assert ([found.id for found in rows], left_out) == (["b"], 1)


def test_valence_is_right_within_what_its_confidence_speaks_of() -> None:
    answer = Answer(id="a", confidence={"valence": 0.7})
    near, far = (row("a", Labels(valence=0.0), Labels(valence=truth)) for truth in (0.19, 0.21))
    assert [next(judged(found, answer, "valence")).right for found in (near, far)] == [True, False]


def test_without_confidence_agreement_ranks_but_is_no_probability() -> None:
    rows = [
        row(str(n), Labels(expression="fear"), Labels(expression="fear" if n else "anger"), f"s{n}") for n in range(4)
    ]
    answers = {
        found.id: Answer(id=found.id, uncertainty=Uncertainty(expression=0.1 if n else 0.9))
        for n, found in enumerate(rows)
    }
    found, bounds = trust(rows, answers, draws=20)
    # Only the last of the four ranked is wrong: (0 + 0 + 0 + 1/4) / 4.
    unknown = dict.fromkeys(("ece", "ece_debiased", "brier", "calibration_p"))
    assert found["expression"] == {**unknown, "aurc": 0.0625, "excess_aurc": 0.0, "n": 4, "subjects": 4}
    assert bounds["expression"]["ece"] is None
    assert bounds["expression"]["aurc"][1] > bounds["expression"]["aurc"][0]


def test_a_single_pass_has_no_trust_to_measure() -> None:
    rows = [row("a", Labels(expression="fear"), Labels(expression="fear"))]
    found, _ = trust(rows, {"a": Answer(id="a")})
    assert set(found.values()) == {None}
    assert calibration_table({"calibration": found}) == ""


def test_units_are_judged_one_by_one_with_their_own_confidence() -> None:
    said, truth = Labels(action_units={1: True, 2: False, 4: True}), Labels(action_units={1: True, 2: True})
    answer = Answer(id="a", confidence={"action_units": {"1": 0.9, "2": 0.6, "4": 0.5}})
    assert [(label.right, label.confidence) for label in judged(row("a", said, truth), answer, "action_units")] == [
        (True, 0.9),
        (False, 0.6),
    ]


def test_images_of_one_subject_are_drawn_together() -> None:
    """With one subject there is nothing to resample, however many images it has."""
    rows = [row(str(n), Labels(expression="fear"), Labels(expression="fear"), "s") for n in range(9)]
    answers = {found.id: Answer(id=found.id, confidence={"expression": 0.8}) for found in rows}
    found, bounds = trust(rows, answers, draws=10)
    assert found["expression"]["ece"] == pytest.approx(0.2)
    assert set(bounds["expression"].values()) == {None}


def test_the_table_names_each_measure_with_its_interval() -> None:
    rows = [row(str(n), Labels(expression="fear"), Labels(expression="fear"), f"s{n}") for n in range(3)]
    answers = {r.id: Answer(id=r.id, confidence={"expression": 0.8 - n / 10}) for n, r in enumerate(rows)}
    found, bounds = trust(rows, answers, draws=50)
    low, high = bounds["expression"]["brier"]
    assert low < found["expression"]["brier"] < high
    text = calibration_table({"calibration": found, "ci95": {"calibration": bounds}})
    assert f" | 0.097 ({low:.3f} to {high:.3f}) | " in text
    assert isinstance(Reliability(), Calibrated)


def test_reliability_scores_generated_labels_only() -> None:
    truth = Labels(expression="anger", valence=-0.4, arousal=0.6, action_units={1: False, 2: True, 4: True})
    labels = Labels(expression="anger", valence=-0.1, arousal=0.6, action_units={1: False, 2: False, 4: True})
    origin = Origins(
        expression="manual", valence="generated", arousal="manual", action_units={"1": "manual", "2": "generated"}
    )
    answers = {"a": Answer(id="a", labels=labels, origin=origin)}
    rows, left_out = Reliability().predictions([record("a", truth), record("b", truth)], answers, judge.parse)
    assert left_out == 1
    assert [(row.id, row.labels, row.truth) for row in rows] == [
        ("a", Labels(valence=-0.1, action_units={2: False}), Labels(valence=-0.4, action_units={2: True}))
    ]


def test_grades_are_scored_as_intensities_where_the_annotator_was_asked_for_them() -> None:
    truth = Labels(action_units={1: False, 2: True}, au_intensity={1: 1.0, 2: 3.0})
    said = Labels(action_units={1: False, 2: True}, au_intensity={1: 1.0})
    origin = Origins(action_units={"1": "manual", "2": "generated"})
    graded = Answer(id="a", labels=said, origin=origin, grades={"2": 2.5})
    rows, _ = Reliability().predictions([record("a", truth)], {"a": graded}, judge.parse)
    assert (rows[0].truth.au_intensity, rows[0].labels.au_intensity) == ({2: 3.0}, {2: 2.5})
    plain = graded.model_copy(update={"grades": None})
    rows, _ = Reliability().predictions([record("a", truth)], {"a": plain}, judge.parse)
    assert rows[0].truth.au_intensity is rows[0].labels.au_intensity is None


def test_nothing_generated_is_nothing_to_score() -> None:
    assert generated(FEAR, Origins(expression="manual")) == Labels()
    with pytest.raises(UserError, match="does not say where its labels come from"):
        Reliability().predictions([record("a", FEAR)], {"a": Answer(id="a", labels=FEAR)}, judge.parse)
    with pytest.raises(UserError, match="no record was annotated"):
        Reliability().predictions([record("a", FEAR)], {}, judge.parse)
