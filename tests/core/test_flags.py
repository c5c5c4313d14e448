"""Every flag that the program sets is explained where people see it."""

from collections.abc import Iterator
from pathlib import Path

from seke.core.affect import ACTION_UNITS
from seke.core.flags import MEANINGS, meaning
from seke.core.records import Labels
from seke.generation import blind
from seke.generation.asked import FIELDS
from seke.generation.emovit.checks import Said, categorical_flags, text_flags
from seke.generation.run import review
from seke.generation.seke import checks, generator, over_time, seen

BEGINNINGS = {"awe": ["awe"], "fear": ["fear"]}
SOURCES = [
    Path(str(module.__file__)).read_text(encoding="utf-8")
    for module in (blind, checks, generator, over_time, review, seen)
]


def of_checks() -> Iterator[str]:
    odd = Labels(expression="happiness", valence=-0.9, arousal=0.9, action_units=dict.fromkeys(ACTION_UNITS, True))
    yield from checks.coupling_flags(odd)
    said = [Said("Is it awe?", "The caption says fear.")]
    yield from categorical_flags(said, "awe", BEGINNINGS)
    yield from text_flags(said, "emotion", "awe", BEGINNINGS, (2, 3))
    yield from (seen.THIN, seen.NOT_LOOKING, blind.FLAG)
    yield from (f"{seen.NOT_LOOKING}_{name}" for name in FIELDS)


def test_what_the_checks_find_is_explained() -> None:
    found = set(of_checks())
    assert len(found) > 8
    assert [flag for flag in found if meaning(flag) is None] == []


def test_no_explanation_is_of_a_flag_that_is_gone() -> None:
    computed = {*of_checks(), "class_differs"}
    assert [
        flag for flag in MEANINGS if flag not in computed and not any(f'"{flag}"' in text for text in SOURCES)
    ] == []
