"""benchmark=dfew and mafw: from records and answers to WAR and UAR, refusals and unreadable answers are wrong."""

import pytest

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import parse
from seke.core.records import ImageRecord, Labels

from ...contracts.offered import built, composed


def record(key: str, fold: int | None, emotion: str, expression: str | None = None) -> ImageRecord:
    told = {"emotion": emotion} | ({} if fold is None else {"fold": fold})
    return ImageRecord(
        id=key, image="a.jpg", sha256=None, source="x", subject=None, split="test",
        labels=Labels(expression=expression), attributes=told,
    )  # fmt: skip


def benchmark(name: str):
    return built(composed("evaluate", f"benchmark={name}").benchmark)


def test_refusals_and_unreadable_answers_are_wrong_and_counted() -> None:
    asked = benchmark("dfew")
    records = [record(str(k), 1 + k % 2, "happiness", "happiness") for k in range(4)]
    records += [record("s", 1, "sadness", "sadness"), record("t", 2, "sadness", "sadness")]
    answers = {
        "0": Answer(id="0", text="Predict emotion: happy"),
        "1": Answer(id="1", text="I can't help with that.", status="refusal"),
        "2": Answer(id="2", text="happy or sad"),
        "3": Answer(id="3", text="She is happy."),
        "s": Answer(id="s", text="Predict emotion: sad"),
    }
    rows, missing = asked.predictions(records, answers, parse)
    assert missing == 1
    metrics = asked.metrics(rows, 0)
    first, second = metrics["folds"]["each"]
    assert (first["war"], first["uar"], first["unanswered"]) == (pytest.approx(2 / 3), pytest.approx(0.75), 1)
    assert (second["war"], second["uar"], second["unanswered"]) == (pytest.approx(1 / 3), pytest.approx(0.25), 2)
    assert metrics["folds"]["war"] == pytest.approx(0.5) and metrics["folds"]["uar"] == pytest.approx(0.5)
    assert metrics["status"] == {"ok": 3, "refusal": 1, "unanswered": 2}
    assert any("no clip of fold 3, 4, 5" in line for line in metrics["warnings"])
    table = asked.table("x", metrics, [])
    assert "| Fold 1 | 0.667" in table and "refusal 1" in table


def test_mafws_classes_that_are_no_expression_count_by_the_attribute() -> None:
    asked = benchmark("mafw")
    records = [record("a", 1, "anxiety"), record("b", 1, "anger", "anger"), record("c", 1, "boredom")]
    answers = {key: Answer(id=key, text=text) for key, text in zip("abc", ["Anxious.", "angry", "angry"], strict=True)}
    metrics = asked.metrics(asked.predictions(records, answers, parse)[0], 0)
    assert (metrics["folds"]["war"], metrics["folds"]["n"], metrics["n"]) == (1.0, 2, 3)


def test_it_says_what_differs_from_the_official_number() -> None:
    asked, records = benchmark("dfew"), [record(str(k), k, "anger", "anger") for k in range(1, 6)]
    assert asked.what_differs(None, records, []) == []
    assert asked.what_differs(None, records[:2], []) == ["clips of 2 of the 5 official folds"]


def test_a_leaderboard_ranks_by_war() -> None:
    asked = benchmark("dfew")
    records = [record(str(k), 1 + k % 5, "anger", "anger") for k in range(20)]
    answers = {row.id: Answer(id=row.id, text="angry" if int(row.id) % 4 else "sad") for row in records}
    ranked = asked.ranked(asked.predictions(records, answers, parse)[0], 0, 50)
    assert [metric.key for metric in ranked] == [asked.headline, "folds.uar"]
    assert ranked[0].value == pytest.approx(0.75) and ranked[0].drawn_B.shape == (50,)


def test_two_models_are_compared_clip_by_clip_within_folds() -> None:
    asked = benchmark("dfew")
    records = [record(str(k), 1 + k % 5, name, name) for k in range(60) for name in [("anger", "sadness")[k // 30]]]
    records.append(record("x", 1, "boredom"))
    words = {"anger": "angry", "sadness": "sad"}

    def rows(wrong: int):
        named = {row.id: words.get(row.labels.expression or "", "sad") for row in records}
        told = {id_: "It is fear." if id_.isdigit() and int(id_) % wrong == 0 else word for id_, word in named.items()}
        return asked.predictions(records, {id_: Answer(id=id_, text=text) for id_, text in told.items()}, parse)[0]

    better, worse = rows(10), rows(3)
    found = asked.paired(better, worse, 0, 500)
    alone = [asked.metrics(each, 0)["folds"] for each in (better, worse)]
    assert [measure.metric for measure in found.measures] == ["war", "uar"]
    for measure in found.measures:
        assert (measure.ours, measure.theirs) == pytest.approx([each[measure.metric] for each in alone])
        assert measure.difference_B.mean() == pytest.approx(measure.ours - measure.theirs, abs=0.02)
    assert found.right.ours_N.sum() == 54 and len(found.right.ours_N) == 60
    # The same answers differ in no resample; independent resamples would.
    assert not any(measure.difference_B.any() for measure in asked.paired(worse, worse, 0, 50).measures)
    assert asked.paired(better[-1:], worse[-1:], 0, 50).measures == ()
