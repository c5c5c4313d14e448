"""What an answer in free words states: for each statement the one of several things that it says, by their wordings.

    [["no glasses", "no"], ["glasses", "yes"]]      a statement: the wordings of what is right, then of what is wrong

A statement is right only if the answer says what is right and none of the others: listing everything does not pay.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal

Wordings = tuple[tuple[str, ...], ...]
"""A statement: what is right first."""
Outcome = Literal["right", "wrong", "unstated"]
_NOT: Final = re.compile(r"(?:not|no|never|without|neither|nor|n['’]t)(?:\W+\w+){0,2}\W*$", re.IGNORECASE)
"""A denial, and up to two words between it and what is denied."""
_CLAUSE: Final = re.compile(r"[.,;:!?]|\bbut\b", re.IGNORECASE)
"""Where a denial ends."""


def stated(text: str, statement: Wordings) -> set[int]:
    """Return which of a statement's alternatives a text says, by their places; what it denies does not count.

    Of wordings that begin at one place the longest counts, so that "no glasses" says nothing of glasses.

    >>> glasses = (("glasses", "yes"), ("no glasses", "no"))
    >>> stated("No, she has no glasses.", glasses), stated("Glasses? Yes!", glasses), stated("A face.", glasses)
    ({1}, {0}, set())
    >>> stated("Not a dog, but a gift", (("gift",), ("dog",))), stated("a dog and a gift", (("gift",), ("dog",)))
    ({0}, {0, 1})
    """
    pattern, place_of = _reading(statement)
    said, behind = set[int](), 0
    for match in pattern.finditer(text):
        clause = _CLAUSE.split(text[behind : match.start()])[-1]
        behind = match.end()
        if not _NOT.search(clause):
            said.add(place_of[_plain(match[0])])
    return said


def outcome(text: str, statement: Wordings) -> Outcome:
    """Return whether a text says what is right and nothing else of a statement.

    >>> outcome("a dog and a gift", (("gift",), ("dog",))), outcome("a face", (("gift",), ("dog",)))
    ('wrong', 'unstated')
    """
    said = stated(text, statement)
    return "right" if said == {0} else "wrong" if said else "unstated"


@lru_cache(maxsize=4096)
def _reading(statement: Wordings) -> tuple[re.Pattern[str], dict[str, int]]:
    place_of = {_plain(words): place for place, wordings in enumerate(statement) for words in wordings}
    longest_first = sorted(place_of, key=len, reverse=True)
    either = "|".join(r"\s+".join(map(re.escape, words.split())) for words in longest_first)
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE), place_of


def _plain(words: str) -> str:
    return " ".join(words.lower().split())


def clash(statement: Sequence[Sequence[str]]) -> str | None:
    """Return a wording that stands for two alternatives, "" for one without any letter or figure; None if all is well.

    >>> clash([["yes"], ["no", "Yes"]]), clash([["yes"], [" "]]), clash([["yes"], ["no"]])
    ('yes', '', None)
    """
    seen: dict[str, int] = {}
    for place, wordings in enumerate(statement):
        for words in wordings:
            if not re.search(r"\w", words):
                return ""
            if seen.setdefault(_plain(words), place) != place:
                return _plain(words)
    return None
