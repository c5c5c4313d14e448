"""Reader of valence and arousal: the numbers in a sequence of tokens, and which dimension each belongs to.

A number counts if it is given on the scale from -1 to 1. An interval counts with its middle; a bound ("above 0.5"), two
values to choose from and another scale leave the dimension unknown. One walk over the tokens with a bounded look-ahead,
so reading takes time linear in the text.
"""

from collections.abc import Sequence
from typing import Final

from seke.answers.lexicon import END, ROLE, Token
from seke.answers.tokenizer import Sentence

_SCALES: Final = {
    (-1, 1), (0, 1), (0, 5), (1, 5), (1, 7), (0, 7), (0, 9), (0, 10), (1, 9), (1, 10), (0, 100), (1, 100), (-2, 2),
    (-3, 3), (-5, 5), (-10, 10), (-100, 100),
}  # fmt: skip
_OF: Final = ("for", "in", "on", "of", "(", "the")
"""What may stand between a number and the dimension it is of: "0.4 in valence"."""
_PATIENCE: Final = 14
"""How many plain words may stand between "valence" and its number."""
_BOTH: Final = ("valence", "arousal")
_BOTH_SET: Final = frozenset(_BOTH)
_SPEAKS: Final = {"valence", "arousal", "number", "scale", "correction", "final"}
"""Roles without which a sentence says nothing about the dimensions."""
_SILENT: Final = {"link", "be", "sign", "filler", "hedge", "doubt"}
"""Roles that change nothing between a dimension and its number."""
_FRACTION: Final = frozenset(".,e%")
"""Signs that no whole number has."""
_UNKNOWN: Final = float("nan")
"""A value that is stated but cannot be used."""
_IMAGINED: Final = {"if", "hypothetical"}
"""Roles of what would be: "the valence would be 0.4 if she smiled"."""
_POINTS: Final = {"star", "stars", "point", "points"}
_OTHER_SCALE: Final = Token("scale", "foreign")
_MOVES: Final = {
    "rose", "rises", "rise", "went", "goes", "fell", "falls", "dropped", "drops", "changed", "changes", "shifted",
    "shifts", "moved", "moves", "increased", "increases", "decreased", "decreases", "climbed", "climbs", "declined",
    "declines", "swung", "swings",
}  # fmt: skip
"""What a value did that was another before: "valence went from 0.5 to -0.2"."""


def read_valence_arousal(sentences: Sequence[Sentence]) -> tuple[float | None, float | None]:
    """Return valence and arousal, in [-1, 1]; None where unstated, out of range, contradictory or on another scale."""
    reader = _DimensionReader()
    for sentence in sentences:
        if sentence.roles >= _IMAGINED and sentence.words[0].role != "if":
            continue
        if reader.waiting or not _SPEAKS.isdisjoint(sentence.roles):
            reader.rated = "confidence" in sentence.roles
            reader.read(_with_intervals(sentence.words))
    return reader.result("valence"), reader.result("arousal")


class _DimensionReader:
    """Walks over the tokens of a text and collects the values of each dimension."""

    __slots__ = (
        "bounded", "corrected", "elsewhere", "foreign", "last", "latest", "loose", "percent", "plain",
        "rated", "scale_ends", "signed", "values", "waiting", "whole",
    )  # fmt: skip

    def __init__(self) -> None:
        self.values: dict[str, set[float]] = {"valence": set(), "arousal": set()}
        self.percent: set[str] = set()
        """Dimensions given in percent."""
        self.signed = False
        """Whether the percent of this text are signed."""
        self.foreign: set[str] = set()
        """Dimensions given on another scale."""
        self.whole: dict[str, bool] = {}
        """Whether a dimension was given as a whole number: beside a 7 a 1 is of another scale."""
        self.waiting: list[str] = []
        """Dimensions that wait for their number."""
        self.plain = 0
        """Plain words since the dimension was named."""
        self.last = ""
        """The dimension that this line named last."""
        self.latest = ""
        """The dimension that the text named last."""
        self.elsewhere = False
        """Whether this line speaks of something else that has a scale."""
        self.loose: list[float] = []
        """Numbers that wait for their dimension: "0.4 for valence", "-0.5, -0.2 for valence and arousal"."""
        self.scale_ends = 0
        """How many ends of a scale ("ranges from -1 (low) to 1 (high)") are still to come."""
        self.bounded = self.corrected = False
        self.rated = False
        """Whether the sentence speaks of how certain something is."""

    def result(self, name: str) -> float | None:
        """Return the one value in range that the text gives a dimension."""
        if name in self.foreign or (name in self.percent and not self.signed) or len(self.values[name]) != 1:
            return None
        (value,) = self.values[name]
        if self.whole.get(name) and any(abs(other) >= 2 for values in self.values.values() for other in values):
            return None
        return value if -1 <= value <= 1 else None

    def read(self, words: Sequence[Token]) -> None:
        """Read one sentence or line."""
        before = END
        for position, word in enumerate(words, 1):
            if self.loose or word.role not in _SILENT:
                self._take(word, before, words, position)
            before = word

    def _take(self, word: Token, before: Token, words: Sequence[Token], position: int) -> None:
        """Take a word; `words[position]` is the next."""
        role = word.role
        if self.loose and role not in (*_BOTH, "number", "link") and word.text not in _OF:
            self.loose = []
        if role in _BOTH:
            apart = before.role in {"link", "filler", "word", "strange"}
            if self.rated and apart and _is_certainty(words[max(position - 4, 0) : position - 1]):
                self.plain += 1  # "my confidence in the valence is 0.8"
                return
            self._take_dimension(role, before, words[position : position + 2])
        elif role == "number":
            self._take_number(word, before, words[position : position + 2])
        elif role == "end":
            self._take_end(word)
        elif role == "scale":
            self._take_scale(word)
        elif role == "range":
            self.scale_ends = 2
            if before.text in _POINTS:  # "on a 7-point scale"
                self._take_scale(_OTHER_SCALE)
        elif role == "bound":
            self.bounded = True
        elif role in {"correction", "final"}:
            self.corrected = True
            if role == "correction" and self.latest and not self.waiting:
                self.waiting, self.plain = [self.last or self.latest], 0
        elif role not in _SILENT:
            self.elsewhere = self.elsewhere or role in {"head", "au", "confidence"}
            if role not in {"named", "shown", "active"}:
                self.plain += 1
            if self.plain > _PATIENCE:
                self.waiting = []

    def _take_dimension(self, name: str, before: Token, after: Sequence[Token]) -> None:
        if before.text == "(" and self.last == name and after and after[0].text == ")":  # "v = 0.3 (valence)"
            return
        own = bool(after) and after[0].role in {"be", "number"}
        if self.loose and not self.waiting and not own and (before.role != "link" or after[0].role == "end"):
            if len(self.loose) == 2 and after[0].role == "link" and after[-1].role in _BOTH:
                self._set(after[-1].role, self.loose.pop())
            self._set(name, self.loose[-1])
        elif self.waiting and self.plain == 0 and before.role in {"link", "be", "sign", "valence", "arousal"}:
            self.waiting.append(name)
        else:
            self.waiting = [name]
        self.last, self.loose, self.plain, self.scale_ends, self.bounded = name, [], 0, 0, False
        self.latest = name

    def _take_number(self, word: Token, before: Token, after: Sequence[Token]) -> None:
        if before.text in {"±", "not"} or before.role == "confidence":
            return
        if _is_legend(after):
            if abs(word.number) > 1 or (word.number == 0 and after[1].text in _LOWEST):
                self._take_scale(_OTHER_SCALE)
            return
        whole = _FRACTION.isdisjoint(word.text) or word.text.lstrip("+-") in {"1.0", "1.00"}
        if self.scale_ends and whole:
            self.scale_ends -= 1
            return
        negative = before.text in {"minus", "negative"}
        value = -word.number if negative else word.number
        if word.text.endswith("%"):
            self.signed = self.signed or negative or word.text[0] in "+-"
            self.percent.update(self.waiting[:1])
        if self.bounded or _is_part_of_another_scale(after) or _has_alternative(after):
            value = _UNKNOWN
        self.bounded = False
        if self.waiting:
            self.whole[self.waiting[0]] = whole
            self._set(self.waiting.pop(0), value)
            self.plain = 0
        elif not whole:
            self.loose.append(value)

    def _take_end(self, word: Token) -> None:
        self.scale_ends, self.bounded = 0, False
        if word.text in ".?!" or (word.text == "\n" and self.plain):
            self.waiting, self.loose = [], []
        if word.text != ";" and not self.waiting:
            self.last, self.elsewhere = "", False

    def _take_scale(self, word: Token) -> None:
        """Take "-1 to 1" or "(1-10)": it is the scale of the dimension named before, else of both."""
        if word.text == "percent":
            self.signed = True
        elif word.text.startswith("same"):
            self.foreign.update(_BOTH if self.foreign else ())
        elif word.text != "own" and (self.last or not self.elsewhere):
            self.foreign.update([self.last] if self.last else _BOTH)

    def _set(self, name: str, value: float) -> None:
        if self.corrected:
            self.values[name].clear()
        self.values[name].add(value)


_LOWEST: Final = {
    "negative",
    "unpleasant",
    "very",
    "most",
    "low",
    "lowest",
    "passive",
    "calm",
    "sleepy",
    "not",
    "relaxed",
}
"""What only the lower end of a scale is called: "0 = calm, 1 = excited" is no scale from -1."""


def _is_legend(after: Sequence[Token]) -> bool:
    """Whether a number is only explained: "(-1 = very negative, 1 = very positive)"."""
    return len(after) > 1 and after[0].text in {"=", "is", "being"} and after[1].role != "number"


def _is_part_of_another_scale(after: Sequence[Token]) -> bool:
    """Whether a number is one out of more than 1: "4/5", "7 out of 10"."""
    if len(after) < 2:
        return False
    return (
        (after[0].text in {"/", "of"} and after[1].role == "number" and after[1].number > 1)
        or (after[0].text == "out" and after[1].text == "of")
        or after[0].text in _POINTS
    )


def _is_certainty(before: Sequence[Token]) -> bool:
    """Whether what comes is the certainty about a dimension, not its value."""
    return any(word.role == "confidence" for word in before) and any(
        word.text in {"in", "of", "for"} for word in before
    )


def _has_alternative(after: Sequence[Token]) -> bool:
    """Whether the text leaves two values to choose from: "0.5 or 0.7"."""
    return len(after) > 1 and after[0].text == "or" and after[1].role == "number"


def _with_intervals(words: list[Token]) -> list[Token]:
    """Put a token `scale` for a stated scale ("-1 to 1", "[-1, 1]") and the middle for an interval ("0.6-0.8")."""
    roles = [*map(ROLE, words)]
    if roles.count("number") < 2:
        return words
    out: list[Token] = []
    position = 0
    while position < len(words):
        word = words[position]
        if word.role == "number" and position + 2 < len(words) and words[position + 2].role == "number":
            before = words[position - 1].text if position else ""
            between, high = words[position + 1].text, words[position + 2]
            spans = between in {"to", "-", "~", "through"} or (before in {"between", "from"} and between == "and")
            ends = (word.number, high.number)
            boxed = between == "," and before in {"[", "("}
            single = boxed and _of_one_dimension(out)
            unclaimed = boxed and before == "[" and (single or _BOTH_SET.isdisjoint(map(ROLE, out)))
            named = boxed and len(out) > 1 and out[-2].text == "on"  # "0.9 on [0, 1]"
            if _is_scale(word, high) and (spans or unclaimed or named or (boxed and ends[0] < 0)):
                kind = "own" if ends == (-1, 1) else "percent" if ends[0] == -100 else "foreign"
                out.append(Token("scale", "percent" if high.text.endswith("%") and ends == (-1, 1) else kind))
                position += 3
                continue
            if before == "from" and any(other.text in _MOVES for other in out[-5:]):
                out[-1] = high  # what it was before does not count
                position += 3
                continue
            if (spans and ends[0] < ends[1]) or single:
                if out and before in {"between", "from"}:
                    out.pop()
                middle = round((ends[0] + ends[1]) / 2, 6)
                within = -1 <= ends[0] < ends[1] <= 1
                out.append(Token("number", "." + high.text[-1:], number=middle if within else _UNKNOWN))
                position += 3
                continue
        out.append(word)
        position += 1
    return out


def _of_one_dimension(before: Sequence[Token]) -> bool:
    """Whether a bracket stands behind one dimension and holds its interval, not the values of both."""
    near = [word.role for word in before[-6:]]
    return sum(role in _BOTH and "number" not in near[place:] for place, role in enumerate(near)) == 1


def _is_scale(low: Token, high: Token) -> bool:
    whole = not any("." in end.text.removesuffix(".0") or "," in end.text for end in (low, high))
    return whole and (low.number, high.number) in _SCALES
