"""The judge that reads by rules: what an answer does not say stays unknown, and its status says why."""

import pytest

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import Parse, parse
from seke.core.records import Labels

HAPPY = Labels(expression="happiness")


def test_the_parser_is_ready_without_looking_at_the_answers() -> None:
    assert Parse().ready({"a": Answer(id="a", text="A face.")}) == (parse, ())


@pytest.mark.parametrize("status", ["refusal", "filtered", "unanswered"])
def test_words_that_came_with_no_answer_are_not_read(status) -> None:
    assert parse(Answer(id="a", text="She is happy.", status=status)) == (Labels(), None, status)


@pytest.mark.parametrize(
    ("text", "labels", "status"),
    [
        ("The expression is happiness.", HAPPY, "ok"),
        ("A face.", Labels(), "unanswered"),
        ("I'm sorry, I can't help with identifying emotions.", Labels(), "refusal"),
    ],
)
def test_an_answer_that_states_no_label_is_none(text, labels, status) -> None:
    assert parse(Answer(id="a", text=text)) == (labels, None, status)


def test_an_answer_cut_off_keeps_what_it_said_and_its_status() -> None:
    said = parse(Answer(id="a", text="The expression is happiness. Val", status="truncated"))
    assert said == (HAPPY, None, "truncated")
