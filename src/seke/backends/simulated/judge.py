"""A simulated judge of what is said about synthetic scenes: it marks by the words that it finds, and no prose.

It is asked as a benchmark's rubric asks: the reported emotion in an <emotion> block, the answer in an <answer> block,
and a schema of "reasons" and criteria. Of what it perceives of the scene (`scenes`) it marks from 1 to 5

    emotion         5 where the answer names the reported emotion, else 1
    evidence        1, and 2 more for each thing named that is there
    coherence       1, and 1 more for each sentence
    truthfulness    5, and 2 less for each thing named that is not there
    another one     3: it has no opinion

and by one more or less where it errs.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from random import Random
from typing import Any, Final

REASONS: Final = "reasons"
"""The property that tells a rubric's schema from all others."""
LOWEST, HIGHEST = 1, 5
NO_OPINION: Final = 3
ANSWER: Final = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
EMOTION: Final = re.compile(r"<emotion>(.*?)</emotion>", re.DOTALL)
SENTENCE: Final = re.compile(r"\w[^.!?]*[.!?]")


def marked(
    text: str, asked: Iterable[str], there: Collection[str], known: Collection[str], mistakes: float, rng: Random
) -> dict[str, Any]:
    """Return the filled schema.

    Args:
        text: the request's, with the two blocks.
        asked: the schema's properties.
        there: the words for what the judge sees in the picture.
        known: the words for all that any picture may show.
        mistakes: the share of marks that are off by one.
        rng: of the mistakes.
    """
    answer, emotion = (block.findall(text)[-1].strip().lower() for block in (ANSWER, EMOTION))
    seen, invented = named(there, answer), named(set(known) - set(there), answer)
    marks = {
        "emotion": HIGHEST if named([emotion], answer) else LOWEST,
        "evidence": LOWEST + 2 * len(seen),
        "coherence": LOWEST + len(SENTENCE.findall(answer)),
        "truthfulness": HIGHEST - 2 * len(invented),
    }
    criteria = [name for name in asked if name != REASONS]
    reasons = f"There: {', '.join(seen) or 'nothing'}. Not there: {', '.join(invented) or 'nothing'}."
    return {REASONS: reasons, **{name: _given(marks.get(name, NO_OPINION), mistakes, rng) for name in criteria}}


def _given(mark: int, mistakes: float, rng: Random) -> int:
    off = rng.choice((-1, 1)) if rng.random() < mistakes else 0
    return min(HIGHEST, max(LOWEST, min(HIGHEST, max(LOWEST, mark)) + off))


def named(words: Iterable[str], answer: str) -> list[str]:
    """Return, sorted, those of the words that stand in a lower-case answer as words of their own.

    >>> named(["dog", "awe", "lying"], "an awesome dog, lying there.")
    ['dog', 'lying']
    """
    return sorted(word for word in set(words) if re.search(rf"\b{re.escape(word.lower())}\b", answer))


def words_of(values: Mapping[str, Sequence[Any]]) -> set[str]:
    """Return the words among some values of attributes: names of places, things, looks and actions.

    >>> sorted(words_of({"object": [["dog", "gift"], ["bird"]], "scene_type": ["forest"], "brightness": [0.2]}))
    ['bird', 'dog', 'forest', 'gift']
    """
    every = [value for found in values.values() for value in found]
    parts = [part for value in every for part in (value if isinstance(value, list | tuple) else [value])]
    return {part for part in parts if isinstance(part, str)}
