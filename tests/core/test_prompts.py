"""Prompts: slots are filled once, and checked before anything is paid for."""

import pytest

from seke.core.errors import UserError
from seke.core.prompts import Prompts


def test_a_prompt_fills_slots_once_and_leaves_other_braces() -> None:
    prompts = Prompts({"ask": 'Say {"x": 1} about {topic} and {topic}.'})
    assert prompts.render("ask", topic="{topic} {other}") == ('Say {"x": 1} about {topic} {other} and {topic} {other}.')


def test_prompts_are_checked_before_a_token_is_paid_for() -> None:
    prompts = Prompts({"ask": ["About {topic}?", "On {topik}?"]})
    with pytest.raises(UserError, match=r"ask\[1\]={topik}.*{topic}"):
        prompts.require(ask={"topic"})
    with pytest.raises(UserError, match="no such template"):
        prompts.require(tell={"topic"})
    Prompts({"ask": "About {topic}?"}).require(ask={"topic"})


def test_answers_in_another_language_than_the_one_that_is_read_are_refused() -> None:
    assert Prompts({"ask": "Wie schaut sie?"}, language="en").render("ask") == "Wie schaut sie?"
    with pytest.raises(UserError, match=r"prompts\.language=de: answers are read in English \(en\) only"):
        Prompts({"ask": "Wie schaut sie?"}, language="de")


@pytest.mark.parametrize("template", [None, 3, ["Who is it?", None], [["Who is it?"]], {"a": "b"}], ids=repr)
def test_a_template_is_a_text_or_a_list_of_texts(template) -> None:
    with pytest.raises(UserError, match=r"^prompts\.templates\.ask=.*: neither a text nor a list of texts"):
        Prompts({"ask": template})
