"""Labels <-> text, both ways: `describe(labels)` writes the universal template, `extract(text)` reads any answer.

The paper has an LLM rewrite answers into a "universal template" (Appendix C), which is not public; this template is our
own, kept short because a small model has to learn to write it. `extract` reads it and the free prose of vision LLMs
by rules alone: the same text always gives the same labels, in time linear in its length, and what a text leaves open
stays unknown. `extract(describe(x)) == x` for every `Labels` x.
"""

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, Final

from seke.answers.action_unit_names import join_units
from seke.answers.action_units import read_action_units
from seke.answers.answer_tables import tables_as_lines
from seke.answers.expression import read_expression
from seke.answers.lexicon import EXPRESSION_WORDS
from seke.answers.scope import CLOSER_LOOK, faces, may_refuse, refuses, without_quotations, without_refusals
from seke.answers.stance import SUSPECT, about_this_face
from seke.answers.tokenizer import Sentence, normalise, sentences, split, tokens
from seke.answers.unknown_words import DOUBTS, understood
from seke.answers.valence_arousal import read_valence_arousal
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.records import Labels

__all__ = ["EXPRESSION_WORDS", "describe", "extract", "is_refusal"]

_NUMBER: Final = r"-?[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?"
_UNITS: Final = r"AU[0-9]{1,2}(?:, AU[0-9]{1,2})*"
_TEMPLATE: Final = re.compile(
    r"(?:The expression is ([a-z]+)\. ?)?"
    rf"(?:(?:Valence is ({_NUMBER})(?: and arousal is ({_NUMBER}))?|Arousal is ({_NUMBER}))\. ?)?"
    rf"(?:(?:(No action unit is active)|Active action units: ({_UNITS})"
    rf"(?:; (?:(all others are inactive)|inactive: ({_UNITS})))?|Inactive action units: ({_UNITS}))\.)?"
)
_STARTS: Final = (
    "The expression is ",
    "Valence is ",
    "Arousal is ",
    "No action ",
    "Active action ",
    "Inactive action ",
)
"""How a text in the template begins."""
_THOUGHT: Final = re.compile(r"</(?:think|thinking|reasoning)>")
_DRAFT: Final = re.compile(r"\bdraft\b", re.IGNORECASE)
_REVISED: Final = re.compile(
    r"\b(?:revised|revision|final|corrected|clean)(?: (?:answer|version|labels?|draft))?[*_]* ?:", re.IGNORECASE
)
"""What replaces a draft; two patterns, because one would take quadratic time."""
_DIMENSIONS: Final = {"valence", "arousal"}
_EXPRESSIONS: Final = {"named", "shown", "cue"}
_UNITS_SPELT: Final = {"head", "name", "others", "complete"}
_ANSWER_TAG: Final = re.compile(r"<answer>|(?:assistant|Assistant|ASSISTANT) ?: ?(?=\S)")


def describe(labels: Labels, digits: int | None = None) -> str:
    """Return `labels` in the universal template; what is unknown is left out.

    Args:
        labels: what is known about one face.
        digits: decimals of valence and arousal, for text that a model is to learn; None writes them exactly.

    >>> describe(Labels(expression="fear", valence=-0.5, arousal=0.25, action_units={1: True, 2: False}))
    'The expression is fear. Valence is -0.5 and arousal is 0.25. Active action units: AU1; inactive: AU2.'
    """
    parts = [] if labels.expression is None else [f"The expression is {labels.expression}."]
    valence, arousal = _decimal(labels.valence, digits), _decimal(labels.arousal, digits)
    if valence and arousal:
        parts.append(f"Valence is {valence} and arousal is {arousal}.")
    elif valence or arousal:
        parts.append(f"Valence is {valence}." if valence else f"Arousal is {arousal}.")
    if labels.action_units:
        parts.append(_describe_action_units(labels.action_units))
    return " ".join(parts)


def _describe_action_units(units: Mapping[int, bool]) -> str:
    on = ", ".join(f"AU{au}" for au, active in units.items() if active)
    off = ", ".join(f"AU{au}" for au, active in units.items() if not active)
    everything = len(units) == len(ACTION_UNITS)
    if on and off:
        return f"Active action units: {on}; {'all others are inactive' if everything else f'inactive: {off}'}."
    if on:
        return f"Active action units: {on}."
    return "No action unit is active." if everything else f"Inactive action units: {off}."


def _decimal(value: float | None, digits: int | None) -> str:
    if value is None:
        return ""
    # `+ 0.0` turns the -0.0 that rounding may leave into 0.0.
    return repr(float(value)) if digits is None else f"{round(value, digits) + 0.0:.{digits}f}"


def extract(text: str) -> Labels:
    """Return the labels that `text` states.

    An action unit is True or False where the text asserts it, and all 17 are filled where the text says that its list
    is complete ("all others are inactive"). Not read are questions, refusals, definitions and scales. Out of range or
    contradictory means unknown (None, or absent from `action_units`), never a clipped or guessed value.

    >>> extract("She isn't angry, she looks sad (valence about -0,4). AU06 is absent, AU 1 and AU4 are visible.")
    Labels(expression='sadness', valence=-0.4, arousal=None, action_units={1: True, 4: True, 6: False})
    """
    template = _from_template(text.strip()) if text.lstrip().startswith(_STARTS) else None
    return template if template is not None else _from_prose(text)


def is_refusal(text: str) -> bool:
    """Return whether `text` declines to answer and states no label all the same."""
    normal = normalise(text)
    return refuses(normal) and extract(text).empty


def _from_template(text: str) -> Labels | None:
    """Read a text that is the template and nothing else, fast; None if it is anything else."""
    match = _TEMPLATE.fullmatch(text)
    if match is None:
        return None
    expression, valence, arousal_too, arousal_alone, none, active, others, inactive, only_inactive = match.groups()
    arousal = arousal_too or arousal_alone
    v, a = float(valence or 0), float(arousal or 0)
    if expression not in (None, *EXPRESSIONS) or not -1 <= v <= 1 or not -1 <= a <= 1:
        return None
    on, off = _numbers(active), _numbers(inactive or only_inactive)
    if not set(ACTION_UNITS).issuperset(on + off) or not set(on).isdisjoint(off):
        return None
    units = dict.fromkeys(ACTION_UNITS if none or others else off, False) | dict.fromkeys(on, True)
    return Labels(
        expression=expression,
        valence=None if valence is None else v,
        arousal=None if arousal is None else a,
        action_units=units or None,
    )


def _numbers(names: str | None) -> list[int]:
    return [int(name[2:]) for name in names.split(", ")] if names else []


def _from_prose(text: str) -> Labels:
    """Read any text; an answer behind the model's thoughts counts before what was thought, a draft not at all."""
    if ("raft" in text or "RAFT" in text) and (draft := _DRAFT.search(text)):
        text = text[max((revised.end() for revised in _REVISED.finditer(text, draft.end())), default=0) :]
    if "<" not in text:
        return _from_answer(text)
    thoughts = list(_THOUGHT.finditer(text))
    if not thoughts:
        return _from_answer(text) if "<think" not in text else Labels()  # it breaks off before any verdict
    thought = _from_answer(_THOUGHT.sub("\n", text[: thoughts[-1].start()]))
    return _from_answer(text[thoughts[-1].end() :]).completed_by(thought)


def _from_answer(text: str) -> Labels:
    """Return the labels of an answer; of several faces those that all of them share."""
    answer = without_quotations(tables_as_lines(text))
    if "ssistant" in answer or "<answer>" in answer or "ASSISTANT" in answer:
        answer = _ANSWER_TAG.sub("\n final answer: ", answer)
    normal = normalise(answer)
    plain = split(normal)
    if CLOSER_LOOK.isdisjoint(plain):
        return _from_part(plain)
    words = frozenset(plain)
    if may_refuse(words):
        kept = without_refusals(normal)
        if kept != normal:
            normal, plain = kept, split(kept)
    parts = faces(normal, words)
    if not parts:
        return _from_part(plain)
    first, *others = [_from_part(split(part)) for part in parts]
    return reduce(_shared, others, first)


def _shared(one: Labels, other: Labels) -> Labels:
    units = (one.action_units or {}).items() & (other.action_units or {}).items()
    return Labels(
        expression=one.expression if one.expression == other.expression else None,
        valence=one.valence if one.valence == other.valence else None,
        arousal=one.arousal if one.arousal == other.arousal else None,
        action_units=dict(units) or None,
    )


def _roles(parts: Sequence[Sentence]) -> set[str]:
    return parts[0].roles if len(parts) == 1 else set().union(*[part.roles for part in parts])


def _from_part(plain: list[str]) -> Labels:
    parts = sentences(tokens(plain))
    roles = _roles(parts)
    if not SUSPECT.isdisjoint(roles):
        parts = about_this_face(parts, SUSPECT & roles)
        roles = _roles(parts)
    parts = join_units(parts)
    if not DOUBTS.isdisjoint(roles):
        parts = [understood(part) for part in parts]
    stated: dict[str, Any] = {}
    seen = "unseen" not in roles
    if not _EXPRESSIONS.isdisjoint(roles):
        stated["expression"] = read_expression(parts, seen)
    if "number" in roles and not _DIMENSIONS.isdisjoint(roles):
        stated["valence"], stated["arousal"] = read_valence_arousal(parts)
    if not _UNITS_SPELT.isdisjoint(roles):
        stated["action_units"] = read_action_units(parts, seen) or None
    return Labels(**stated)
