"""What every judge of conf/judge/ promises (`seke.benchmark.judging.judge.Judging`). A new one is found by its YAML.

One that asks a model asks the simulated annotator, which answers in words.
"""

from pathlib import Path
from typing import get_args

import pytest

from seke.answers.extract import describe
from seke.benchmark.answer import SILENT, Answer
from seke.benchmark.judging.judge import Judging, Ready, ready
from seke.core.records import AnswerStatus, Labels

from .offered import CONF, built, composed, options

STATED = Labels(expression="sadness", valence=-0.5, arousal=0.25, action_units={1: True, 12: False})
HOSTILE = (
    "", " \n\t", "\0", "<image><|im_end|></s>", "{", "[]" * 500, '{"expression": "glee"}', "AU" * 1000,
    "valence 7, arousal -1e999, AU99 active, AU-4", "nan inf None null", "ŸŸ 你好 😀 ‮ \u2028", "I" + "'m sorry" * 200,
    "no " * 2000, "The expression is " + "happiness or sadness " * 50, "{answer} {0} %s %(x)s \\ \" '", "9" * 5000,
)  # fmt: skip


@pytest.fixture(scope="module", params=options("judge"))
def judging(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Judging:
    words = [f"judge={request.param}", f"paths.outputs={tmp_path_factory.mktemp('outputs')}"]
    if "judge_backend" in (CONF / "judge" / f"{request.param}.yaml").read_text():
        words += ["backend@judge_backend=simulated", "~judge_backend.model"]
    return built(composed("evaluate", *words).judge)


def judged(judging: Judging, *given: Answer) -> Ready:
    return ready(judging, {answer.id: answer for answer in given})


@pytest.mark.parametrize("status", get_args(AnswerStatus))
def test_no_text_stops_it_and_every_answer_has_a_verdict(judging: Judging, status: AnswerStatus) -> None:
    given = [Answer(id=str(number), text=text, status=status) for number, text in enumerate(HOSTILE)]
    read = judged(judging, *given).read
    for answer in given:
        verdict = read(answer)
        if status in SILENT:
            assert verdict == (Labels(), None, status)
        assert verdict.status != "ok" or not verdict.labels.empty


def test_equal_answers_have_equal_verdicts_whatever_stands_beside_them(judging: Judging) -> None:
    given = [Answer(id=name, text=describe(STATED)) for name in "ab"]
    both = judged(judging, *given)
    alone = judged(judging, given[0])
    assert both.read(given[0]) == both.read(given[1]) == alone.read(given[0])


def test_labels_that_came_without_a_text_are_taken_as_they_stand(judging: Judging) -> None:
    given = Answer(id="a", labels=STATED)
    assert judged(judging, given).read(given)[::2] == (STATED, "ok")


def test_no_answers_are_no_trouble(judging: Judging) -> None:
    assert judged(judging).remarks == ()


def test_the_shipped_parser_reads_what_we_write(tmp_path: Path) -> None:
    given = Answer(id="a", text=describe(STATED))
    assert judged(built(composed("evaluate", "judge=parse").judge), given).read(given) == (STATED, None, "ok")
