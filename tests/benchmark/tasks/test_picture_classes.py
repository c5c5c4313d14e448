"""The class of a picture by any attribute: settings refused, answers read, and EmoSet's own scores by the same road."""

import pytest

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import parse
from seke.benchmark.tasks.emoset import WORDS, EmoSet
from seke.benchmark.tasks.picture_classes import PictureClasses
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels

PLACES = {"forest": ["forest", "woods"], "beach": ["beach"]}


def record(number: int, **attributes: str) -> ImageRecord:
    return ImageRecord(
        id=str(number), image="a.jpg", sha256=None, source="x", subject=None, split="test", labels=Labels(),
        attributes=attributes,
    )  # fmt: skip


def answered(benchmark, records, texts):
    answers = {row.id: Answer(id=row.id, text=text) for row, text in zip(records, texts, strict=True)}
    rows, missing = benchmark.predictions(records, answers, parse)
    assert missing == 0
    return rows


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Predict scene type: beach", "beach"),
        ("A walk in the woods.", "forest"),
        ("It is not a forest. Predicted scene type: **Beach**", "beach"),
        ("No beach, but a forest.", "forest"),
        ("beach or forest", None),
        ("a park", None),
    ],
)
def test_an_answer_names_one_class_or_none(text: str, named: str | None) -> None:
    benchmark = PictureClasses("scene_type", PLACES, "Which?")
    (row,) = answered(benchmark, [record(0, scene_type="beach")], [text])
    assert (row.named, row.status) == (named, "ok" if named else "unanswered")


def test_a_record_without_the_attribute_or_of_another_class_does_not_count() -> None:
    records = [record(0, scene_type="beach"), record(1), record(2, scene_type="moon")]
    benchmark = PictureClasses("scene_type", PLACES, "Which?")
    metrics = benchmark.metrics(answered(benchmark, records, ["beach"] * 3), 0)
    assert (metrics["n"], metrics["class"]["n"], metrics["class"]["accuracy"]) == (3, 1, 1.0)
    nothing = benchmark.metrics(answered(benchmark, records[1:], ["beach"] * 2), 0)
    assert nothing["class"] is None and nothing["warnings"] == ["no record has a class: nothing to score"]
    assert "No record has" in benchmark.table("x", nothing, [])


def test_asked_for_the_emotion_it_scores_as_emoset_does() -> None:
    emotions = list(WORDS)
    records = [record(number, emotion=emotions[number % 8]) for number in range(60)]
    texts = [f"Predict emotion: {emotions[(number % 7) % 8]}" for number in range(60)]
    general = PictureClasses("emotion", {name: words.split() for name, words in WORDS.items()}, "Which?")
    emoset = EmoSet({"constrained": "Which?"})
    ours, theirs = (of.metrics(answered(of, records, texts), 3) for of in (general, emoset))
    assert ours["class"] == theirs["emotion"] and ours["ci95"]["class"] == theirs["ci95"]["emotion"]
    assert ours["confusion"] == theirs["confusion"]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"beach": ["beach"]}, r"benchmark\.classes=.*fewer than two classes"),
        ({**PLACES, "park": []}, r"benchmark\.classes\.park=\[\]: not a list of lower-case words"),
        ({**PLACES, "park": ["City park"]}, r"benchmark\.classes\.park=.*not a list of lower-case words"),
        ({**PLACES, "sea": ["beach"]}, r"benchmark\.classes\.sea=.*beach stands for beach, too"),
    ],
)
def test_classes_that_cannot_be_told_apart_are_refused(classes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        PictureClasses("scene_type", classes, "Which?")
