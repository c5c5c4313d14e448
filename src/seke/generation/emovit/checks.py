"""Checks of instructions about scenes before they are kept. Findings are flags in the row, never a veto."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

WORD: Final = re.compile(r"[a-z]+")
SOURCE: Final = re.compile(r"\b(?:captions?|attributes?|annotations?|annotated|metadata)\b", re.IGNORECASE)
"""What a text says that repeats the notes it was made from, instead of speaking of the picture."""

Beginnings = Mapping[str, Sequence[str]]
"""How words begin that name a class: {"sadness": ["sad"]} finds sad, sadly and sadness."""


class Said(NamedTuple):
    """A question and its answer."""

    question: str
    answer: str


def named(text: str, beginnings: Beginnings) -> set[str]:
    """Return the classes that `text` names.

    >>> sorted(named("Sadly, no awe.", {"sadness": ["sad"], "awe": ["awe"], "fear": ["fear"]}))
    ['awe', 'sadness']
    """
    words = WORD.findall(text.lower())
    return {name for name, begins in beginnings.items() if any(word.startswith(tuple(begins)) for word in words)}


def categorical_flags(said: Sequence[Said], of_class: str, beginnings: Beginnings) -> list[str]:
    """Flag an answer that states another class than the one asked for, or none (`class_unstated`)."""
    return [] if all(named(turn.answer, beginnings) == {of_class} for turn in said) else ["class_unstated"]


def text_flags(
    said: Sequence[Said], attribute: str, of_class: str, beginnings: Beginnings, pairs: tuple[int, int]
) -> list[str]:
    """Return the flags of written questions and answers.

    `turns`: fewer or more pairs than `pairs` allows. `question_leaks`: a question names the class that is to be
    found. `<attribute>_unmentioned`: no answer does. `names_its_source`: the text speaks of the notes it was made from.
    """
    found = {
        "turns": not pairs[0] <= len(said) <= pairs[1],
        "question_leaks": any(of_class in named(turn.question, beginnings) for turn in said),
        f"{attribute}_unmentioned": not any(of_class in named(turn.answer, beginnings) for turn in said),
        "names_its_source": any(SOURCE.search(text) for turn in said for text in turn),
    }
    return [flag for flag, holds in found.items() if holds]
