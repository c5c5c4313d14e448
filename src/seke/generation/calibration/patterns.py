"""Patterns of human labels: which descriptions of a record are known when it is annotated, and which are asked.

An annotator that is told an image's action units errs in another way than one that is told nothing, so what is learnt
of its habits holds for images of the same pattern. A labelled image can serve as an example of a pattern if it carries
more than the pattern knows: the rest is masked and becomes the truth.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from seke.core.affect import ACTION_UNITS
from seke.core.records import Labels
from seke.generation.asked import FIELDS, missing

FEWEST_AUS: Final = 6
"""Where all descriptions are known but some AUs, a part of so many known ones can be masked to learn about AUs."""
MASKED_AUS: Final = 1 / 3
"""The part."""
IN_WORDS: Final = {"expression": "expressions", "va": "valence and arousal", "au": "action units"}
"""The descriptions as messages name them."""


class Pattern(NamedTuple):
    """Which descriptions are known, be it in part."""

    expression: bool
    va: bool
    au: bool

    @property
    def name(self) -> str:
        """The known descriptions in one word, as files have it.

        >>> Pattern(True, True, False).name, Pattern(False, False, False).name
        ('expression+va', 'nothing')
        """
        return "+".join(name for name in FIELDS if getattr(self, name)) or "nothing"

    @property
    def in_words(self) -> str:
        """Return what is known, as messages say it.

        >>> Pattern(True, True, False).in_words, Pattern(False, False, False).in_words
        ('expressions and valence and arousal are known', 'nothing is known')
        """
        known = " and ".join(IN_WORDS[name] for name in FIELDS if getattr(self, name))
        return f"{known} are known" if known else "nothing is known"

    def distance(self, other: "Pattern") -> int:
        """Return in how many descriptions two patterns differ."""
        return sum(one != two for one, two in zip(self, other, strict=True))


def pattern_of(known: Labels) -> Pattern:
    """Return the pattern of a record of which `known` is known."""
    va = known.valence is not None or known.arousal is not None
    return Pattern(known.expression is not None, va, bool(known.action_units))


def named(name: str) -> Pattern:
    """Return the pattern of this `Pattern.name`."""
    known = name.split("+")
    return Pattern(**{description: description in known for description in FIELDS})


def only(labels: Labels, descriptions: Iterable[str]) -> Labels:
    """Return these descriptions of `labels`."""
    return Labels(**{field: getattr(labels, field) for name in descriptions for field in FIELDS[name]})


def asked_of(known: Labels) -> dict[str, float]:
    """Return the descriptions that are asked about a record, and the share of their labels, in (0, 1].

    >>> asked_of(Labels(expression="fear", valence=0.1))
    {'va': 0.5, 'au': 1.0}
    """
    asked = missing(known)
    shares = {
        "expression": float(asked.expression),
        "va": (asked.valence + asked.arousal) / 2,
        "au": len(asked.action_units) / len(ACTION_UNITS),
    }
    return {name: share for name, share in shares.items() if share}


class Demand(NamedTuple):
    """What production asks of the records of one pattern."""

    records: int
    asked: Mapping[str, float]
    """Of how many of them each description is asked; where a part of its labels is, of so much less."""
    units: Mapping[int, int] = MappingProxyType({})
    """Of how many of them each AU is asked."""


def demands(knowns: Iterable[Labels]) -> dict[Pattern, Demand]:
    """Return the patterns of the records to annotate, the commonest first; records of which nothing is asked have none.

    Args:
        knowns: what is known of each record when it is annotated.
    """
    records, asked = Counter[Pattern](), dict[Pattern, dict[str, float]]()
    units = dict[Pattern, Counter[int]]()
    for known in knowns:
        parts = asked_of(known)
        if parts:
            pattern = pattern_of(known)
            records[pattern] += 1
            sums = asked.setdefault(pattern, {})
            for name, part in parts.items():
                sums[name] = sums.get(name, 0.0) + part
            units.setdefault(pattern, Counter()).update(missing(known).action_units)
    return {pattern: Demand(count, asked[pattern], units[pattern]) for pattern, count in records.most_common()}


class Kind(NamedTuple):
    """What humans said of an image, as far as it matters to what it can be an example of."""

    labels: Pattern
    aus: bool
    """Whether there are `FEWEST_AUS` or more."""


class Lesson(NamedTuple):
    """One way in which an image can be an example of a pattern."""

    pattern: Pattern
    masks: tuple[str, ...]
    """The descriptions that are masked: all that the pattern does not know, or a part of the AUs if it knows some."""


def kind_of(labels: Labels) -> Kind:
    """Return an image's kind."""
    return Kind(pattern_of(labels), len(labels.action_units or {}) >= FEWEST_AUS)


def lessons(kind: Kind, pattern: Pattern) -> list[Lesson]:
    """Return how an image of a kind can be an example of a pattern; nothing where it lacks what the pattern knows.

    All that the pattern does not know is masked. Or, where the pattern knows AUs and asks others, a part of those that
    humans annotated. What stays known is what the pattern knows, and no more.

    >>> lessons(Kind(Pattern(True, True, True), aus=True), Pattern(False, False, True))[1].masks
    ('au',)
    """
    if any(known and not there for known, there in zip(pattern, kind.labels, strict=True)):
        return []
    masked = tuple(name for name in FIELDS if getattr(kind.labels, name) and not getattr(pattern, name))
    whole = [Lesson(pattern, masked)] if masked else []
    return [*whole, Lesson(pattern, ("au",))] if pattern.au and kind.aus else whole


class Masking(NamedTuple):
    """An image's human labels, masked for a lesson."""

    known: Labels
    truth: Labels
    """What is masked."""


def mask(labels: Labels, lesson: Lesson, key: str) -> Masking:
    """Return human labels as a lesson has them; `key` chooses the AUs where a part of them is masked."""
    known = only(labels, [name for name in FIELDS if getattr(lesson.pattern, name)])
    if not lesson.pattern.au or "au" not in lesson.masks:
        return Masking(known, only(labels, lesson.masks))
    units, intensity = labels.action_units or {}, labels.au_intensity or {}
    ranked = sorted(units, key=lambda au: hashlib.sha256(f"{key}\0{au}".encode()).digest())
    masked = set(ranked[: round(MASKED_AUS * len(ranked))])
    told = {
        "action_units": {au: active for au, active in units.items() if au not in masked},
        "au_intensity": {au: value for au, value in intensity.items() if au not in masked} or None,
    }
    return Masking(known.model_copy(update=told), Labels(action_units={au: units[au] for au in sorted(masked)}))
