"""The rubric: what a judge is sent and must send back, and agreement that equals scikit-learn's."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from seke.benchmark.judging.rubric import SCALE, Answered, Rubric, agreement, kappa, mean, table
from seke.core.errors import UserError
from seke.core.prompts import Prompts
from seke.core.vlm import Choice, Image

TEMPLATES = yaml.safe_load((Path(__file__).resolve().parents[3] / "conf" / "prompts" / "rubric.yaml").read_text())[
    "templates"
]
RUBRIC = Rubric(Prompts(TEMPLATES))
ANSWERED = Answered(Image(Path("a.jpg"), "0"), "Why {emotion}?", "awe", "The {question} is vast.")
MARK = st.sampled_from(SCALE)


def whole(**other: object) -> str:
    return json.dumps({"reasons": "so", **dict.fromkeys(RUBRIC.criteria, 4), **other})


def test_a_judge_gets_picture_question_emotion_and_answer_and_every_criterion() -> None:
    request = RUBRIC.request(ANSWERED)
    system, user = request.messages
    assert all(f"- {name}: " in system.text for name in RUBRIC.criteria)
    assert user.images == (ANSWERED.image,)
    assert all(f">\n{text}\n<" in user.text for text in ("Why {emotion}?", "awe", "The {question} is vast."))
    assert (request.temperature, request.n) == (0.0, 1)


def test_the_schema_is_strict_and_asks_for_reasons_before_the_marks() -> None:
    schema = RUBRIC.schema
    assert list(schema["properties"]) == ["reasons", *RUBRIC.criteria] == schema["required"]
    assert schema["additionalProperties"] is False
    assert all(schema["properties"][name]["enum"] == [1, 2, 3, 4, 5] for name in RUBRIC.criteria)


def test_whole_marks_are_read() -> None:
    found = RUBRIC.read(Choice(whole(emotion=1)), "judge-1")
    assert (found.status, found.reasons, found.model) == ("ok", "so", "judge-1")
    assert found.marks == dict.fromkeys(RUBRIC.criteria, 4) | {"emotion": 1}


@pytest.mark.parametrize(
    "text",
    [
        "4 of 5", "[4, 4, 4, 4]", "null", "{}", whole(emotion=0), whole(emotion=6), whole(emotion=4.0),
        whole(emotion=True), whole(emotion="4"), whole(emotion=None),
    ],
)  # fmt: skip
def test_what_is_no_whole_set_of_marks_is_invalid_and_no_default(text: str) -> None:
    found = RUBRIC.read(Choice(text))
    assert (found.status, found.marks) == ("invalid", None)


@pytest.mark.parametrize("status", ["refusal", "filtered", "truncated"])
def test_a_judge_that_declines_gives_no_marks_whatever_it_wrote(status: str) -> None:
    found = RUBRIC.read(Choice(whole(), status))  # type: ignore[arg-type]
    assert (found.status, found.marks) == (status, None)


def test_a_criterion_more_is_a_line_more_and_none_is_refused() -> None:
    more = Rubric(Prompts({**TEMPLATES, "criterion_humour": "it says what is funny"}))
    assert more.criteria == (*RUBRIC.criteria, "humour")
    assert "humour" in more.schema["required"]
    with pytest.raises(UserError, match="no criterion"):
        Rubric(Prompts({name: TEMPLATES[name] for name in ("rubric", "rubric_system")}))
    with pytest.raises(UserError, match=r"prompts\.templates\.rubric\[0\]"):
        Rubric(Prompts({**TEMPLATES, "rubric": "{answer}"}))


@given(st.lists(st.tuples(MARK, MARK), min_size=2, max_size=40))
def test_kappa_and_exact_agreement_against_sklearn(pairs: list[tuple[int, int]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    found = agreement(first, second, seed=0, draws=10)
    assert found["exact"] == pytest.approx(np.mean(np.array(first) == np.array(second)))
    if len({*first, *second}) == 1:
        assert found["kappa"] is None  # 0 / 0: nothing tells agreement from habit
    else:
        expected = cohen_kappa_score(first, second, labels=SCALE, weights="quadratic")
        assert found["kappa"] == pytest.approx(expected)


def test_all_draws_are_measured_as_one_is() -> None:
    rng = np.random.default_rng(0)
    tables = np.stack([table(rng.integers(1, 6, 30), rng.integers(1, 6, 30)) for _ in range(7)])
    assert kappa(tables) == pytest.approx([kappa(each[None])[0] for each in tables])


def test_intervals_are_those_of_the_bootstrap_over_answers() -> None:
    rng = np.random.default_rng(1)
    first = rng.integers(1, 6, 200)
    second = np.clip(first + rng.integers(-1, 2, 200), 1, 5)
    picks = rng.integers(200, size=(1500, 200))
    means = np.percentile(first[picks].mean(1), [2.5, 97.5])
    assert mean(first.tolist(), 0, 4000)["ci95"] == pytest.approx(means.tolist(), abs=0.03)
    kappas = [cohen_kappa_score(first[pick], second[pick], labels=SCALE, weights="quadratic") for pick in picks]
    found = agreement(first.tolist(), second.tolist(), 0, 4000)
    assert found["ci95"] == pytest.approx(np.percentile(kappas, [2.5, 97.5]).tolist(), abs=0.01)


def test_nothing_marked_is_no_mean_and_no_agreement() -> None:
    assert mean([], 0, 10) == {"mean": None, "ci95": None, "n": 0}
    assert mean([4], 0, 10) == {"mean": 4.0, "ci95": None, "n": 1}
    assert agreement([], [], 0, 10) == {"n": 0, "exact": None, "kappa": None, "ci95": None}
