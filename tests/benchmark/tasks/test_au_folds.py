from pathlib import Path

import pytest

from seke.benchmark.answer import Answer, Verdict
from seke.benchmark.tasks.au_folds import AUFolds
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels

from ...contracts.offered import built, composed


@pytest.fixture(params=["disfa_8", "bp4d_12"])
def benchmark(request, tmp_path: Path) -> AUFolds:
    return built(composed("evaluate", f"benchmark={request.param}", f"paths.outputs={tmp_path}").benchmark)


def face(benchmark: AUFolds, number: int, **changed) -> ImageRecord:
    """One of a source's faces: each AU is active in every second one."""
    subjects = [subject for fold in benchmark.folds for subject in fold]
    units = {au: (number + au) % 2 == 0 for au in (*benchmark.aus, 5)}
    row = {
        "source": benchmark.source,
        "subject": subjects[number % len(subjects)],
        "labels": Labels(action_units=units),
    }
    return ImageRecord(id=f"f{number}", image="a.png", sha256="0" * 64, split="test", **{**row, **changed})


def scored(benchmark: AUFolds, records, said):
    answers = {row.id: Answer(id=row.id, text="seen") for row in records}
    return benchmark.predictions(records, answers, lambda answer: Verdict(said(answer.id), None, "ok"))


def test_the_literatures_subjects_are_in_three_folds(benchmark) -> None:
    everybody = [subject for fold in benchmark.folds for subject in fold]
    assert [len(fold) for fold in benchmark.folds] == {"disfa": [9, 9, 9], "bp4d": [14, 14, 13]}[benchmark.source]
    assert len(set(everybody)) == len(everybody) == {"disfa": 27, "bp4d": 41}[benchmark.source]


def test_only_the_protocols_aus_of_its_subjects_count(benchmark) -> None:
    records = [face(benchmark, number) for number in range(246)]
    others = [
        face(benchmark, 1, source="mine"), face(benchmark, 1, subject="X1"), face(benchmark, 1, subject=None),
        face(benchmark, 1, labels=Labels(action_units={5: True})), face(benchmark, 1, labels=Labels(expression="fear")),
    ]  # fmt: skip
    of = {row.id: row.labels for row in records}
    rows, missing = scored(benchmark, [*records, *others], lambda id_: of[id_])
    assert (len(rows), missing) == (246, 0)
    assert all(set(row.truth.action_units or {}) == set(benchmark.aus) for row in rows)
    found = benchmark.metrics(rows, seed=0)
    assert found["protocol"]["f1_mean"] == 1 and found["unanswered"]["protocol"] == 0
    assert [fold["subjects"] for fold in found["protocol"]["folds"]] == [len(fold) for fold in benchmark.folds]
    assert "f1_mean" in found["ci95"]["protocol"] and found["action_units"] is None


def test_silence_calls_nothing_active_and_is_counted(benchmark) -> None:
    records = [face(benchmark, number) for number in range(123)]
    rows, missing = benchmark.predictions(records, {}, lambda answer: Verdict(Labels(), None, "unanswered"))
    found = benchmark.metrics(rows, seed=0)
    assert (missing, found["protocol"]["f1_mean"], found["unanswered"]["protocol"]) == (123, 0, 123)
    assert found["warnings"][-1] == "no answer names an action unit"


def test_subjects_that_are_not_there_are_said(benchmark) -> None:
    records = [face(benchmark, number) for number in range(5)]
    rows, _ = scored(benchmark, records, lambda id_: Labels(action_units=dict.fromkeys(benchmark.aus, True)))
    absent = sum(map(len, benchmark.folds)) - 5
    assert f"{absent} of the protocol's" in " ".join(benchmark.metrics(rows, seed=0)["warnings"])
    assert f"{absent} of the protocol's" in benchmark.what_differs(Path("test.jsonl"), records, [])[0]
    assert "Fold 3" in benchmark.table("a", benchmark.metrics(rows, seed=0), [])


def test_two_runs_are_compared_in_the_same_resamples(benchmark) -> None:
    records = [face(benchmark, number) for number in range(246)]
    of = {row.id: row.labels for row in records}
    right, _ = scored(benchmark, records, lambda id_: of[id_])
    always, _ = scored(benchmark, records, lambda id_: Labels(action_units=dict.fromkeys(benchmark.aus, True)))
    (mean,) = benchmark.paired(right, always, 0, 200).measures
    assert mean.ours == 1 and 0 < mean.theirs < 1 and (mean.difference_B > 0).all()
    (ranked,) = benchmark.ranked(always, 0, 200)
    assert ranked.value == mean.theirs and ranked.drawn_from == sum(map(len, benchmark.folds))


def test_records_of_no_subject_of_the_protocol_are_refused_with_the_command_that_makes_them(benchmark) -> None:
    with pytest.raises(UserError, match=r"records=2 records: .*source\.test_share=1"):
        benchmark.predictions([face(benchmark, n, subject=f"s{n}") for n in range(2)], {}, lambda answer: None)


@pytest.mark.parametrize(
    ("setting", "argument"),
    [
        ({"aus": [1, 1]}, "aus"),
        ({"aus": [3]}, "aus"),
        ({"folds": [["a"], ["a"]]}, "folds"),
        ({"folds": [[], ["a"]]}, "folds"),
    ],
)
def test_settings_that_are_no_protocol(setting, argument: str) -> None:
    with pytest.raises(UserError, match=rf"benchmark\.{argument}="):
        AUFolds(**{"question": "?", "source": "disfa", "aus": [1], "folds": [["a"], ["b"]], **setting})
