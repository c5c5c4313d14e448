"""Demonstrations: answers of a group that are not sampled but written from the face's human labels.

    a sampled answer + human labels -> the same answer with these in the place of what it said -> one of the group

Where no sampled answer names an active action unit, sampling alone teaches nothing about it: all earn alike. One answer
that names it does, however little the model believes in it (mixed-policy GRPO: Yan et al. 2025, "LUFFY"). What
the source does not label stays as it was sampled, and earns nothing.
"""

from collections.abc import Callable, Sequence

from seke.answers.extract import describe, extract
from seke.core.affect import ACTION_UNITS
from seke.core.records import Labels

DIGITS = 2
"""Decimals of valence and arousal, as in instruction data."""


def corrected(answer: str, human: Labels) -> Labels:
    """Return what an answer says with the human labels in the place of its own; all action units where any is known.

    >>> corrected("The expression is fear. Active action units: AU4.", Labels(action_units={6: True})).active
    (4, 6)
    """
    said = extract(answer)
    units = {**(said.action_units or {}), **(human.action_units or {})}
    if said.action_units:
        units = {au: units.get(au, False) for au in ACTION_UNITS}
    return Labels(
        expression=human.expression or said.expression,
        valence=said.valence if human.valence is None else human.valence,
        arousal=said.arousal if human.arousal is None else human.arousal,
        action_units=units or None,
    )


def demonstration(answer: str, human: Labels) -> str:
    """Return a sampled answer corrected by the human labels, in the universal template."""
    return describe(corrected(answer, human), digits=DIGITS)


def with_demonstrations(
    answers: Sequence[list[int]],
    truths: Sequence[Labels],
    group: int,
    count: int,
    decode: Callable[[list[int]], str],
    encode: Callable[[str], list[int]],
) -> list[list[int]]:
    """Return the answers, of which the last `count` of each group of `group` are its sampled ones corrected, in turn.

    Args:
        answers: tokens, those to one face after another.
        truths: the human labels of each answer's face.
        group: answers to a face.
        count: how many of them are demonstrations.
        decode: writes tokens.
        encode: returns the tokens of an answer, its end among them.
    """
    found = list(answers)
    for start in range(0, len(answers), group):
        for k in range(count):
            place = start + group - count + k
            found[place] = encode(demonstration(decode(answers[start + k % (group - count)]), truths[place]))
    return found
