"""FABA-Bench (EmoLA, ECCV 2024): emotions and action units of AffectNet's faces, by our rule and by theirs.

Theirs is emollava/eval/eval_FABA.py of JackYFL/EmoLA at 0cd4a12:

emotion   sentences that contain one of `DENIALS` anywhere, even inside a word ("no" in "nose"), are dropped; the first
          word of the first sentence that is a keyword decides, else the emotion with most keywords in the rest, and
          where there is none, happiness; without an end of a sentence the program stops with an error. Contempt is a
          keyword of disgust.
units     every "AU" with a number right behind it is active, denied or not; "AU 12" and "AU06" are none. Mean F1 of
          twelve units, AU43 among them; a unit of which all faces are alike, and all answers as they, is left out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from seke.benchmark.tasks.two_rules import Reading, TwoRules, TwoRulesPrediction, f1_of

DENIALS: Final = ("not", "no", "isn't ", "nothing", "cannot", "won't", "shouldn't", "neither", "nor")
KEYWORDS: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(words.split())
    for name, words in {
        "happiness": "happiness happy smiling smile pleasant content contentment relaxed relaxation cheerful joy "
        "amusement amused positivity positive lightheartedness joyful friendly warmth bright",
        "sadness": "sadness crying distress concern discomfort anguish somber",
        "surprise": "surprise surprised startled puzzled astonishment disbelief wonder curiosity curious confusion "
        "bewilderment skepticism excitement uncertainty",
        "anger": "anger mad irate outraged agitation irritated enraged annoyed incensed serious frustration displeased "
        "stern",
        "neutral": "neutral neutrality calm contemplative concerned thoughtful focused solemn mild",
        "disgust": "disgust distaste disgusted discomfort displeasure displeased disapproval disdain contempt",
        "fear": "fear shock anxiety apprehension tension panic alertness focus worry alarm curiosity contemplation",
    }.items()
}
"""Of each emotion, in the order in which they are tried."""
SCORED: Final = ("1", "2", "4", "5", "6", "10", "12", "17", "24", "25", "26", "43")
_SENTENCE: Final = re.compile(r"(?<!\w\.\w.)(?<![A-Z][a-z]\.)(?<=\.|\?)\s")
_FIRST: Final = re.compile(r"^(.*?)[.!?]")


@dataclass(frozen=True)
class Faba(TwoRules):
    """The two questions, and how answers become two scores."""

    prepared_by: ClassVar[str] = "faba"
    board: ClassVar[str] = "faba"
    title: ClassVar[str] = "FABA-Bench"
    pictures: ClassVar[int | None] = 403 + 325
    their_source: ClassVar[str] = "emollava/eval/eval_FABA.py of JackYFL/EmoLA at 0cd4a12"

    def their_reading(self, text: str, published: Reading) -> Reading:
        """Return the emotion or the units that their program reads, whichever the question is about."""
        if published.units is not None:
            return Reading(units=their_units(text))
        return Reading(label=their_emotion(text))

    def their_f1(self, rows: Sequence[TwoRulesPrediction]) -> dict[str, float]:
        """Return F1 of their twelve units."""
        found = {}
        for unit in SCORED:
            truth, said = ([unit in (reading.units or ()) for reading in of] for of in _readings(rows))
            if len({*truth, *said}) > 1:
                found[unit] = f1_of(truth, said)
        return found


def their_emotion(text: str) -> str | None:
    """Return the emotion that their program reads from an answer; None where it stops with an error.

    >>> their_emotion("He looks sad. The nose is wrinkled in disgust."), their_emotion("A sad face")
    ('happiness', None)
    """
    kept = [part for part in _SENTENCE.split(text) if not any(word in part.lower() for word in DENIALS)]
    positive = " ".join(kept) or text
    first = _FIRST.match(positive)
    if first is None:
        return None
    for word in re.findall(r"\b\w+\b", first[1].lower()):
        for name, words in KEYWORDS.items():
            if word in words:
                return name
    rest = re.findall(r"\b\w+\b", _FIRST.sub("", positive).lower())
    counts = {name: sum(word in words for word in rest) for name, words in KEYWORDS.items()}
    return max(counts, key=lambda name: counts[name])


def their_units(text: str) -> tuple[str, ...]:
    """Return the units that their program reads from an answer.

    >>> their_units("AU12 is not active, AU 6 is; AU04.")
    ('12', '04')
    """
    return tuple(re.findall(r"AU(\d+)", text))


def _readings(rows: Sequence[TwoRulesPrediction]) -> tuple[list[Reading], list[Reading]]:
    return [row.published for row in rows], [row.theirs for row in rows]
