"""EmoSet's eight-way accuracy: the question, the reading of answers, scores equal scikit-learn's, and the command."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import Verdict, parse
from seke.benchmark.scoring.tables import simulated_note
from seke.benchmark.tasks.emoset import EMOTIONS, EmoSet, EmotionPrediction, emotion_in, scores
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels
from seke.core.vlm import Image
from seke.sources.scene_datasets.emoset import EMOTIONS as CLASSES

from ...trees import emoset as tree

CONF = yaml.safe_load((Path(__file__).resolve().parents[3] / "conf" / "benchmark" / "emoset.yaml").read_text())
BENCHMARK = EmoSet(questions=CONF["questions"])


def record(id_: str, emotion: str) -> ImageRecord:
    return ImageRecord(
        id=id_, image="a.jpg", sha256=None, source="emoset", subject=None, split="test", labels=Labels(),
        attributes={"emotion": emotion},
    )  # fmt: skip


def rows(truth: list[str], said: list[str | None]) -> list[EmotionPrediction]:
    return [
        EmotionPrediction(
            id=str(number), source="emoset", subject=None, text="", judged=None, emotion=answer, truth=true, status="ok"
        )
        for number, (true, answer) in enumerate(zip(truth, said, strict=True))
    ]


def test_its_classes_are_the_sources() -> None:
    assert EMOTIONS == CLASSES


def test_the_question_lists_the_candidates_unless_answers_are_free() -> None:
    image = Image(Path("a.jpg"), "0")
    constrained, free = (
        EmoSet(CONF["questions"], answering).request(image).text for answering in ("constrained", "free")
    )
    assert all(emotion in constrained for emotion in EMOTIONS) and constrained.endswith("Predict emotion:")
    assert not any(emotion in free for emotion in EMOTIONS)
    with pytest.raises(UserError, match=r"benchmark\.answering=open"):
        EmoSet(CONF["questions"], "open")


@pytest.mark.parametrize(
    ("text", "emotion"),
    [
        ("Predict emotion: awe", "awe"),
        ("Predict emotion: **Sadness**.", "sadness"),
        ("amusement", "amusement"),
        ("This isn't fear. Predict emotion: excitement", "excitement"),
        ("It makes me feel calm and peaceful.", "contentment"),
        ("Not scary at all; a hilarious scene.", "amusement"),
        ("It doesn’t evoke anger, but disgust.", "disgust"),
        ("There is no anger, no fear or sadness here; it is serene.", "contentment"),
        ("It isn't scary, it's funny.", "amusement"),
        ("More awe than fear.", "awe"),
        ("Not anger.", None),
        ("Either fear or sadness.", None),
        ("A picture of a beach.", None),
        ("Predict emotion: surprise", None),
        ("", None),
    ],
)
def test_an_answer_names_one_emotion_or_none(text: str, emotion: str | None) -> None:
    assert emotion_in(text) == emotion


def test_a_record_gets_its_row_whatever_became_of_the_answer() -> None:
    records = [record(id_, "awe") for id_ in "abcde"]
    answers = {
        "a": Answer(id="a", text="Predict emotion: anger"),
        "b": Answer(id="b", text="awe"),
        "c": Answer(id="c", text="A beach."),
        "d": Answer(id="d", text="awe", status="filtered"),
    }
    found, missing = BENCHMARK.predictions(records, answers, parse)
    assert missing == 1
    assert [(row.emotion, row.status) for row in found] == [
        ("anger", "ok"), ("awe", "ok"), (None, "unanswered"), (None, "filtered"), (None, "unanswered"),
    ]  # fmt: skip
    assert {row.truth for row in found} == {"awe"}


def test_a_judges_rewriting_is_read_instead_of_the_answer() -> None:
    def judge(answer: Answer) -> Verdict:
        return {
            "a": Verdict(Labels(), "Predict emotion: awe", "unanswered"),
            "b": Verdict(Labels(), "", "unanswered"),
        }[answer.id]

    given = {id_: Answer(id=id_, text="fear") for id_ in "ab"}
    found, _ = BENCHMARK.predictions([record("a", "awe"), record("b", "awe")], given, judge)
    assert [(row.emotion, row.status) for row in found] == [("awe", "ok"), (None, "unanswered")]


def test_scores_against_sklearn() -> None:
    rng = np.random.default_rng(0)
    truth = [str(emotion) for emotion in rng.choice(EMOTIONS[:6], 400)]
    said = [None if rng.random() < 0.1 else t if rng.random() < 0.5 else str(rng.choice(EMOTIONS)) for t in truth]
    found = scores(rows(truth, said))
    named_ = [emotion or "unanswered" for emotion in said]
    present = sorted(set(truth))
    assert found["emotion"]["accuracy"] == pytest.approx(accuracy_score(truth, named_))
    expected = f1_score(truth, named_, labels=present, average="macro", zero_division=0)
    assert found["emotion"]["f1_macro"] == pytest.approx(expected)
    each = precision_recall_fscore_support(truth, named_, labels=present, zero_division=0)
    for place, emotion in enumerate(present):
        row = found["emotion"]["classes"][emotion]
        assert [row["precision"], row["recall"], row["f1"], row["n"]] == pytest.approx([part[place] for part in each])
    assert found["emotion"]["classes"][EMOTIONS[7]]["recall"] is None
    assert found["unanswered"] == {"emotion": said.count(None)}
    json.dumps(found, allow_nan=False)


def test_the_interval_is_that_of_the_bootstrap_over_pictures() -> None:
    rng = np.random.default_rng(1)
    truth = [str(emotion) for emotion in rng.choice(EMOTIONS, 300)]
    said = [t if rng.random() < 0.7 else str(rng.choice(EMOTIONS)) for t in truth]
    right = np.array([a == b for a, b in zip(truth, said, strict=True)])
    drawn = right[rng.integers(300, size=(4000, 300))].mean(1)
    low, high = scores(rows(truth, said), draws=4000)["ci95"]["emotion"]["accuracy"]
    assert (low, high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])), abs=0.008)


def test_a_model_that_always_says_the_same_is_suspected_and_no_truth_is_no_score() -> None:
    assert scores(rows(["awe", "fear"] * 6, ["awe"] * 12))["warnings"] == ["the emotion is awe in all 12 answers"]
    blank = [row.model_copy(update={"truth": None}) for row in rows(["awe"], ["awe"])]
    assert scores(blank)["emotion"] is None


def test_another_set_or_question_is_not_comparable() -> None:
    assert BENCHMARK.what_differs(Path("x"), [record("a", "awe")], []) == [
        "other pictures than EmoSet's 17,716 (1 here)"
    ]
    assert len(EmoSet(CONF["questions"], "free").what_differs(Path("x"), [record("a", "awe")], [])) == 2


def test_drawn_pictures_and_simulated_answers_are_said_beside_the_accuracy() -> None:
    drawn = record("a", "awe").model_copy(update={"source": "synthetic_scenes"})
    assert BENCHMARK.what_differs(Path("x"), [drawn, record("b", "awe")], ["simulated-scenes"]) == [
        "synthetic scenes (1 of 2 pictures), not EmoSet's photographs",
    ]
    assert simulated_note(["m"], ["m"]) == ["answers of a simulated annotator, not of a model"]


def test_a_prepared_emoset_is_scored_by_the_command(tmp_path: Path, cli) -> None:
    tree.make(tmp_path / "EmoSet")
    where = (f"paths.outputs={tmp_path}", f"paths.data={tmp_path}", "name=emoset")
    assert cli("prepare", "source=emoset", "near_duplicate=null", *where).returncode == 0
    lines = (tmp_path / "prepare" / "emoset" / "test.jsonl").read_text().splitlines()
    answers = [{"id": (row := json.loads(line))["id"], "text": row["attributes"]["emotion"]} for line in lines]
    answers[0]["text"] = "Either fear or sadness."
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in answers))
    done = cli("evaluate", "benchmark=emoset", "records=emoset", f"predictions={file}", *where)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "evaluate" / "emoset" / "metrics.json").read_text())
    assert found["emotion"]["accuracy"] == pytest.approx(1 - 1 / len(answers))
    assert "| EmoVIT (paper) | 0.8336 |" in (tmp_path / "evaluate" / "emoset" / "table.md").read_text()
