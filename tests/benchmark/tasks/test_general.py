"""The general benchmark: each record's own question, scores of statements, what is refused, two models compared."""

import re

import numpy as np
import pytest

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import parse
from seke.benchmark.run.result import measure_of
from seke.benchmark.scoring.significance import compare
from seke.benchmark.tasks.general import General, differences
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels
from seke.core.vlm import Image

GLASSES = [["glasses", "yes"], ["no glasses", "no"]]
HAIR = [["long hair"], ["short hair"], ["no hair"]]


def record(number: int, kind: str = "glasses", expected=(GLASSES,), **more) -> ImageRecord:
    told = {"kind": kind, "question": f"Which {kind}?", "expected": list(expected), **more}
    return ImageRecord(
        id=f"q{number}", image=f"{number}.jpg", sha256=f"{number:064x}", source="x", subject=None, split="test",
        labels=Labels(), attributes=told,
    )  # fmt: skip


def rows(records, texts, **statuses):
    answers = {row.id: Answer(id=row.id, text=text) for row, text in zip(records, texts, strict=True)}
    answers |= {name: Answer(id=name, text="I cannot", status=status) for name, status in statuses.items()}
    return General().predictions(records, answers, parse)[0]


def test_each_picture_is_asked_its_own_question(tmp_path) -> None:
    benchmark, records = General(), [record(0), record(1, "hair", (HAIR,))]
    benchmark.plan(records, tmp_path, {})
    asked = [benchmark.ask(row, Image(tmp_path / row.image, str(row.sha256))).text for row in records]
    assert asked == ["Which glasses?", "Which hair?"]


def test_a_score_is_the_share_of_the_statements_that_are_right() -> None:
    records = [record(0, "description", (GLASSES, HAIR)), record(1), record(2)]
    found = rows(records, ["long hair, no glasses", "yes", "yes and no"])
    assert [row.score for row in found] == [0.5, 1.0, 0.0]
    metrics = General().metrics(found, 0)
    assert metrics["general"]["accuracy"] == pytest.approx(0.5)
    assert metrics["general"]["kinds"]["glasses"] == {"accuracy": 0.5, "n": 2, "unanswered": 0, "refused": 0}
    assert metrics["general"]["statements"] == {"n": 4, "right": 2, "unstated": 0}


def test_refused_and_unreadable_answers_are_counted_and_score_nothing() -> None:
    records = [record(number) for number in range(4)]
    found = rows(records, ["glasses", "glasses", "a lovely day", "glasses"], q1="refusal")
    assert [row.status for row in found] == ["ok", "refusal", "unanswered", "ok"]
    metrics = General().metrics(found, 0)
    assert (metrics["general"]["accuracy"], metrics["unanswered"]["general"]) == (0.5, 2)
    assert metrics["general"]["kinds"]["glasses"]["refused"] == 1
    assert "1 of them are refusals" in General().table("x", metrics, [])


def test_a_kind_in_anybody_s_words_has_a_row_on_a_leaderboard() -> None:
    found = rows([record(0, "Hair colour", (HAIR,))], ["long hair"])
    ranked = General().ranked(found, 0, 20)
    measures = [measure_of(metric) for metric in ranked]
    assert [metric.key for metric in ranked] == ["general.accuracy", "general.kinds.hair_colour.accuracy"]
    assert [measure.value for measure in measures] == [1.0, 1.0]
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*", metric.key) for metric in ranked)


def test_listing_everything_does_not_pay() -> None:
    records = [record(0), record(1, "hair", (HAIR,))]
    found = rows(records, ["glasses, no glasses", "long hair, short hair or no hair"])
    assert [row.score for row in found] == [0.0, 0.0]


def pair(seed: int, n: int = 60):
    rng = np.random.default_rng(seed)
    records = [record(number, ("glasses", "hair")[number % 2], ((GLASSES, HAIR)[number % 2],)) for number in range(n)]
    right = [("glasses", "long hair")[number % 2] for number in range(n)]
    texts = [
        [word if ok else "short hair, no" for word, ok in zip(right, rng.random(n) < p, strict=True)]
        for p in (0.9, 0.5)
    ]
    return [rows(records, told) for told in texts]


def test_the_paired_interval_is_of_the_differences_by_picture_against_numpy() -> None:
    ours, theirs = pair(3)
    found = compare(ours, theirs, "base", seed=1, draws=4000, pairing=General().paired)
    whole = found["metrics"][0]
    each = np.array([a.score - b.score for a, b in zip(ours, theirs, strict=True)])
    assert (whole["task"], whole["n"], whole["drawn_from"]) == ("general", 60, 60)
    assert whole["difference"] == pytest.approx(each.mean())
    error = each.std(ddof=1) / np.sqrt(len(each))
    half = (whole["ci95"][1] - whole["ci95"][0]) / 2
    assert half == pytest.approx(2.0 * error, rel=0.12)
    assert [row["task"] for row in found["metrics"]] == ["general", "glasses", "hair"]
    assert found["mcnemar"]["task"] == "general"


def test_the_order_of_the_records_changes_no_difference() -> None:
    ours, theirs = pair(5, 20)
    there, back = (differences(a, b, 0, 50) for a, b in ((ours, theirs), (ours[::-1], theirs[::-1])))
    for one, other in zip(there, back, strict=True):
        assert np.allclose(one.difference_B, other.difference_B, equal_nan=True)


def test_a_leaderboard_has_all_and_each_kind() -> None:
    ours, _ = pair(1)
    found = General().ranked(ours, 0, 20)
    assert [row.key for row in found] == [
        "general.accuracy",
        "general.kinds.glasses.accuracy",
        "general.kinds.hair.accuracy",
    ]
    metrics = General().metrics(ours, 0)
    assert found[0].value == metrics["general"]["accuracy"] and found[0].drawn_B.shape == (20,)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"question": " "}, r"records=q0: no attributes\.question"),
        ({"kind": None}, r"records=q0: no attributes\.kind"),
        ({"expected": []}, r"records=q0: attributes\.expected is no list of statements"),
        ({"expected": [[["glasses"]]]}, r"attributes\.expected is no list of statements"),
        ({"expected": [[["glasses"], []]]}, r"attributes\.expected is no list of statements"),
        ({"expected": "glasses"}, r"attributes\.expected is no list of statements"),
        ({"expected": [[["glasses"], ["Glasses"]]]}, r"its wording 'glasses' tells nothing apart"),
        ({"expected": [[["glasses"], ["."]]]}, r"its wording '' tells nothing apart"),
    ],
)
def test_records_without_a_question_or_its_solution_are_refused(told, message: str, tmp_path) -> None:
    row = record(0)
    row = row.model_copy(update={"attributes": {**row.attributes, **told}})
    with pytest.raises(UserError, match=message):
        General().plan([row], tmp_path, {})


def test_two_questions_about_one_picture_are_both_asked(tmp_path) -> None:
    two = [record(0), record(1, "hair", (HAIR,)).model_copy(update={"sha256": record(0).sha256})]
    image = Image(tmp_path / "0.jpg", str(two[0].sha256))
    asked = [General().ask(row, image).text for row in General().plan(two, tmp_path, {})]
    assert asked == ["Which glasses?", "Which hair?"]
