"""Labels <-> text, both ways: `describe(labels)` writes the universal template, `extract(text)` reads any answer.

The paper has an LLM rewrite answers into a "universal template" (Appendix C), which is not public; this template is our
own, kept short because a small model has to learn to write it. `extract` reads it and the free prose of vision LLMs
by rules alone: the same text always gives the same labels, in time linear in its length, and what a text leaves open
stays unknown. `extract(describe(x)) == x` for every `Labels` x.
"""

import re
from collections.abc import Mapping
from typing import Final

from seke.affect import ACTION_UNITS, EXPRESSIONS
from seke.lexicon import EXPRESSION_WORDS, normalise, tokens
from seke.readings import read_expression, read_valence_arousal
from seke.records import Labels
from seke.units import join_units, read_action_units

__all__ = ["EXPRESSION_WORDS", "describe", "extract", "is_refusal"]

_NUMBER: Final = r"-?[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?"
_UNITS: Final = r"AU[0-9]{1,2}(?:, AU[0-9]{1,2})*"
_TEMPLATE: Final = re.compile(
    r"(?:The expression is ([a-z]+)\. ?)?"
    rf"(?:(?:Valence is ({_NUMBER})(?: and arousal is ({_NUMBER}))?|Arousal is ({_NUMBER}))\. ?)?"
    rf"(?:(?:(No action unit is active)|Active action units: ({_UNITS})"
    rf"(?:; (?:(all others are inactive)|inactive: ({_UNITS})))?|Inactive action units: ({_UNITS}))\.)?"
)
_THOUGHT: Final = re.compile(r"</(?:think|thinking|reasoning)>")
_ANSWER_TAG: Final = re.compile(r"<answer>|\bassistant ?: ?(?=\S)", re.IGNORECASE)
_REST: Final = r"(?:[^.!?\n]|\.(?=\S))"
_REFUSED: Final = (
    r"help|assist|identify\w*|determine|provide|analy[sz]e|recogni[sz]e|infer|describe|comment|fulfill|comply|make|answer"
    r"|process|view|access|give|offer|discuss|interpret|assess|evaluate|label|classify|tell|guess|speculate"
)
_REFUSAL: Final = re.compile(
    rf"\b(?:i|we|i'm|me)\b{_REST}{{0,60}}?\b(?:"
    rf"(?:can not|could not|unable|not able|not possible|will not){_REST}{{0,40}}?\b(?:{_REFUSED})\b"
    r"|not (?:feel )?comfortable|must decline|not have the (?:ability|capability)|not (?:help|assist|provide|comply)\b"
    rf"){_REST}*"
    rf"|\bunable to (?:{_REFUSED})\b{_REST}*"
    rf"|\b(?:not something i can|something i can not|beyond what i can)\b{_REST}*"
)
"""A clause in which the writer declines, to the end of the sentence."""
_BEYOND: Final = ("not something", "something", "beyond")
_TURN: Final = re.compile(r"\b(?:but|however|though)\b")


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
    template = _from_template(text.strip())
    return template if template is not None else _from_prose(text)


def is_refusal(text: str) -> bool:
    """Return whether `text` declines to answer and states no label all the same."""
    normal = normalise(text)
    return _REFUSAL.search(normal) is not None and extract(text).empty


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
    """Read any text; an answer behind the model's thoughts counts before what was thought."""
    thoughts = list(_THOUGHT.finditer(text))
    if not thoughts:
        return _from_answer(text)
    thought = _from_answer(_THOUGHT.sub("\n", text[: thoughts[-1].start()]))
    return _from_answer(text[thoughts[-1].end() :]).completed_by(thought)


def _from_answer(text: str) -> Labels:
    normal = normalise(_ANSWER_TAG.sub("\n final answer: ", text))
    words = join_units(tokens(_without_refusals(normal)))
    valence, arousal = read_valence_arousal(words)
    return Labels(
        expression=read_expression(words),
        valence=valence,
        arousal=arousal,
        action_units=read_action_units(words) or None,
    )


def _without_refusals(normal: str) -> str:
    """Blank refusing clauses, up to a "but": "I can't identify people, but she looks happy"."""
    kept: list[str] = []
    position = 0
    for refusal in _REFUSAL.finditer(normal):
        before = normal[position : refusal.start()]
        if refusal[0].startswith(_BEYOND):  # "naming emotions such as anger is something I can not do"
            before = before[: max(before.rfind(end) for end in ".!?\n") + 1]
        turns = list(_TURN.finditer(refusal[0]))
        kept += [before, " . ", refusal[0][turns[-1].start() :] if turns else ""]
        position = refusal.end()
    return "".join([*kept, normal[position:]])
