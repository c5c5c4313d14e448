"""The judge that reads by rules: what an answer does not say stays unknown, and its status says why."""

import pytest

from seke.answers.extract import describe
from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import Parse, parse
from seke.core.records import Labels

HAPPY = Labels(expression="happiness")
SAID = Labels(expression="fear", valence=-0.5, arousal=0.5, action_units={1: True, 2: False})


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
        ("", Labels(), "unanswered"),
        ("I'm sorry, I can't help with identifying emotions.", Labels(), "refusal"),
    ],
)
def test_an_answer_that_states_no_label_is_none(text, labels, status) -> None:
    assert parse(Answer(id="a", text=text)) == (labels, None, status)


def test_an_answer_cut_off_keeps_what_it_said_and_its_status() -> None:
    said = parse(Answer(id="a", text="The expression is happiness. Val", status="truncated"))
    assert said == (HAPPY, None, "truncated")


@pytest.mark.parametrize("status", ["ok", "truncated"])
def test_every_label_of_the_template_is_read(status) -> None:
    assert parse(Answer(id="a", text=describe(SAID), status=status)) == (SAID, None, status)


def test_labels_given_without_a_text_are_taken_as_they_stand() -> None:
    assert parse(Answer(id="a", labels=SAID)) == (SAID, None, "ok")
    assert parse(Answer(id="a", text="Valence is 0.1.", labels=SAID)).labels == Labels(valence=0.1)
