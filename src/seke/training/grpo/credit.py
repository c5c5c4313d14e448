"""Which tokens of an answer a reward is due to: each statement is paid for itself, not for all that is said beside it.

    answers of a group -> what each statement earns, less the group's mean -> the tokens that decide that statement

GRPO gives one number to all tokens of an answer. A face has up to fifteen labels, so that a wrong action unit is made
likelier whenever the expression beside it is right, and what eight answers teach of one label drowns in the others'.
The estimate here has less variance and a bias: what a statement does to those that follow it is not counted.

Action units are paid so that their F1 rises, whose best threshold is half of the F1 that is reached (Lipton et al.
2014, Theorem 1): to name one earns 1 - c where it is active and -c where not, with c = F1 / 2; to leave it out, 0.
Pure functions; no state, no torch.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Final, NamedTuple

from seke.answers.extract import extract
from seke.core.records import Labels
from seke.training.grpo.rewards import UNIT, Judge, Rewards

Key = str | int
"""Of a statement: the name of a reward, or the number of an action unit."""
_SENTENCE: Final = re.compile(r"[^.!?\n]*(?:[.!?](?=\S)[^.!?\n]*)*[.!?\n]*\s*")
_DIMENSION: Final = re.compile(r"\b(valence|arousal)\b", re.IGNORECASE)


class Span(NamedTuple):
    """Characters start to end of a text, and the statements that they decide."""

    start: int
    end: int
    keys: tuple[Key, ...]


def spans(text: str, annotated: Sequence[int] = ()) -> list[Span]:
    """Return the parts of a text that state something, in order.

    A mention of an action unit decides upon it and upon those with lower numbers that are passed over, as lists ascend;
    what follows the last mention in its sentence decides upon the rest. What is said again later decides nothing.

    Args:
        text: an answer.
        annotated: the action units that somebody has labelled.

    >>> [(s.start, s.keys) for s in spans("It is fear. Valence is -0.5 and arousal 0.2. AU1, AU4.", [1, 2, 4, 12])]
    [(0, ('expression',)), (12, ('valence',)), (32, ('arousal',)), (45, (1,)), (48, (2, 4)), (53, (12,))]
    """
    found: list[Span] = []
    open_: set[Key] = {"expression", "valence", "arousal", *annotated}
    for sentence in _SENTENCE.finditer(text):
        said, start, end = sentence.group(), sentence.start(), sentence.end()
        mentions = list(UNIT.finditer(text, start, end))
        if mentions and any(isinstance(key, int) for key in open_):
            for before, mention in pairwise([None, *mentions]):
                assert mention is not None
                unit = int(mention.group(1))
                keys = tuple(sorted(key for key in open_ if isinstance(key, int) and key <= unit))
                found.append(Span(before.end() if before else start, mention.end(), keys))
                open_.difference_update(keys)
            rest = tuple(sorted(key for key in open_ if isinstance(key, int)))
            found.append(Span(mentions[-1].end(), end, rest))
            open_.difference_update(rest)
            continue
        cuts = [*_DIMENSION.finditer(text, start, end)]
        for place, cut in enumerate(cuts):
            name = cut.group(1).lower()
            stop = cuts[place + 1].start() if place + 1 < len(cuts) else end
            if name in open_:
                found.append(Span(cut.start() if place else start, stop, (name,)))
                open_.discard(name)
        if not cuts and "expression" in open_ and extract(said).expression is not None:
            found.append(Span(start, end, ("expression",)))
            open_.discard("expression")
    return [span for span in found if span.keys]


def earned(said: Labels, truth: Labels, parts: Rewards, judge: Judge, threshold: float) -> dict[Key, float]:
    """Return what each statement of an answer earns, by its reward's weight.

    An action unit's is weighted by its rarity, over the weight of those that a face has on the mean, so that an answer
    that names what is active and nothing else earns the reward's weight on the mean.
    """
    found: dict[Key, float] = {
        name: judge.weights.get(name, 0.0) * value
        for name in ("expression", "valence", "arousal")
        if (value := getattr(parts, name)) is not None
    }
    units, claimed = truth.action_units or {}, said.action_units or {}
    weight = {au: 1.0 if judge.units is None else judge.units.get(au, 1.0) for au in units}
    usual = sum(weight[au] * judge.rates.get(au, 0.0) for au in units) or 1.0
    scale = judge.weights.get("action_units", 0.0) / usual / (1 - threshold)
    for au, active in units.items():
        found[au] = scale * weight[au] * (active - threshold) if claimed.get(au) else 0.0
    return found


def advantages(
    pieces: Sequence[Sequence[str]],
    earnings: Sequence[Mapping[Key, float]],
    forms: Sequence[float],
    annotated: Sequence[int],
) -> list[list[float]]:
    """Return the advantage of each token of a group's answers to one face.

    Args:
        pieces: for each answer the text of its tokens, one after another; "" where a token is none, as the end is.
        earnings: what its statements earn, the same ones in all answers.
        forms: what its form earns, which is due to all of its tokens alike.
        annotated: the action units that somebody has labelled for this face.
    """
    usual = {key: fmean(one[key] for one in earnings) for key in earnings[0]}
    form = fmean(forms)
    found: list[list[float]] = []  # a token belongs where its first letter stands
    for answer, earning, own in zip(pieces, earnings, forms, strict=True):
        due = iter(spans("".join(answer), annotated))
        values, here, place = list[float](), next(due, None), 0
        for piece in answer:
            first = place + len(piece) - len(piece.lstrip())
            while here is not None and here.end <= first:
                here = next(due, None)
            keys = here.keys if here is not None and piece.strip() and here.start <= first else ()
            place += len(piece)
            values.append(own - form + sum(earning[key] - usual[key] for key in keys if key in usual))
        found.append(values)
    return found


def scaled(groups: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return advantages over their root mean square, those of 0 left out of it; all 0 stays 0.

    >>> scaled([[0.0, 3.0], [-3.0]])
    [[0.0, 1.0], [-1.0]]
    """
    squares = [value * value for row in groups for value in row if value]
    size = fmean(squares) ** 0.5 if squares else 1.0
    return [[value / size for value in row] for row in groups]
