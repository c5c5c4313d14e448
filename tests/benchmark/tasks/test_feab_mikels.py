"""FEAB's expressions through the map of Mikels' emotions."""

from pathlib import Path

import pytest
import yaml

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import Verdict, parse
from seke.benchmark.tasks.feab_mikels import FeabMikels
from seke.core.affect import EXPRESSIONS
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels

CONF = yaml.safe_load((Path(__file__).resolve().parents[3] / "conf" / "benchmark" / "feab_mikels.yaml").read_text())
CONF.pop("_target_")
BENCHMARK = FeabMikels(**CONF)


def face(id_: str) -> ImageRecord:
    labels = Labels(expression="happiness")
    return ImageRecord(
        id=id_, image="a.jpg", sha256=None, source="raf_db", subject=None, split="test", labels=labels
    )  # fmt: skip


def test_an_emotion_stands_for_its_expression_and_silence_for_none() -> None:
    texts = {"a": "Predict emotion: amusement", "b": "Predict emotion: awe", "c": "A face.", "d": "It is calm."}
    answers = {id_: Answer(id=id_, text=text) for id_, text in texts.items()}
    answers["e"] = Answer(id="e", text="awe", status="filtered")
    rows, missing = BENCHMARK.predictions([face(id_) for id_ in "abcdef"], answers, parse)
    assert missing == 1
    assert [(row.labels.expression, row.status) for row in rows] == [
        ("happiness", "ok"), ("surprise", "ok"), (None, "unanswered"), ("happiness", "ok"), (None, "filtered"),
        (None, "unanswered"),
    ]  # fmt: skip


def test_a_judges_rewriting_is_read_instead_of_the_answer() -> None:
    rows, _ = BENCHMARK.predictions(
        [face("a")], {"a": Answer(id="a", text="fear")}, lambda answer: Verdict(Labels(), "Predict emotion: awe", "ok")
    )
    assert rows[0].labels.expression == "surprise"


def test_neutral_and_contempt_are_out_of_reach_and_no_other() -> None:
    assert set(EXPRESSIONS) - set(BENCHMARK.classes.values()) == {"neutral", "contempt"}


@pytest.mark.parametrize("change", [{"awe": "wonder"}, {"joy": "happiness"}])
def test_a_map_from_or_to_something_else_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"benchmark\.classes"):
        FeabMikels(**{**CONF, "classes": {**CONF["classes"], **change}})
