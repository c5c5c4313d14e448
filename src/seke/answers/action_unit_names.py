"""Joining of the spellings of an action unit into one token each, with the value that stands behind it.

One walk over the tokens with a bounded look-ahead, so joining takes time linear in the text.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final

from seke.answers.lexicon import END, Token
from seke.answers.tokenizer import Sentence, sentence_of

_NAME_GLUE: Final = frozenset("(:-|=[,")
_OPENERS: Final = frozenset("[({-,")
_NOT_UNITS: Final = {"other", "more", "additional", "of", "different", "out", "people", "faces"}
OTHERS: Final = 0
"""Stands for "all other action units" among the numbers of action units."""
BOUND: Final = "bound"
"""Text of a predicate that belongs to the unit before it, whatever comes behind: "AU1 ✗ AU12 ✓"."""
_SPELT: Final = {"head", "name", "numeral", "others"}
"""Roles without which there is nothing to join."""
_STARTS: Final = {"head", "name", "number", "numeral", "others", "active", "inactive", "side"}
"""Roles that may start a unit or a flag."""
_ACTS: Final = {*_STARTS, "be", "end"}
"""Roles that do something outside a list of numbers."""
_PLAIN: Final = {
    "word", "strange", "verb", "named", "shown", "cue", "valence", "arousal", "final", "generic", "hedge",
    "minor",
}  # fmt: skip
"""Roles that end every list of numbers."""
_BRIDGES: Final = {"be", "active", "inactive", "filler", "only", "not"}
"""Roles that may stand between "action units" and their numbers."""
_GRADES: Final = {"intensity", "score", "value", "level", "strength"}
_VALUE_GLUE: Final = {*")]:=|(-{~", "are", "is", "at", "with", "an", "of", "its", "p", "prob", "probability", *_GRADES}
"""What may stand between an action unit and its value."""
_ASSIGNS: Final = frozenset(":=|")
"""Signs behind which stands a value and nothing else."""
_YES: Final = {
    "yes", "y", "true", "t", "on", "+", "positive", "trace", "slight", "weak", "subtle", "mild", "medium", "moderate",
    "marked", "pronounced", "strong", "severe", "extreme", "intense", "maximum", "max", "high", "full", "clear",
    "certain", "definite", "definitely", "minimal", "partial", "unilateral", "bilateral", "both", "left", "right",
    "a", "b", "c", "d", "e",
}  # fmt: skip
_NO: Final = {"no", "n", "false", "f", "off", "-", "negative", "zero", "nil"}
_VALUES: Final = {word: Token("active", BOUND) for word in _YES} | {word: Token("inactive", BOUND) for word in _NO}
"""Words and signs that are the value of an action unit where nothing else stands behind it."""
_BULLETS: Final = frozenset("-•|")
_BARE: Final = {"yes", "y", "true", "t", "on", "no", "n", "false", "f", "off"}
"""Those that need no sign before them: "AU4 yes, AU12 no"."""
_UNREAD: Final = Token("unknown", BOUND)
"""Stands for a value that is not understood."""
_ARROWS: Final = frozenset("↑↓⬆⬇")
_CLOSES: Final = frozenset(",|)]};")
_SUFFIXES: Final = {"r", "c"}
"""Of OpenFace's columns: AU12_r is an intensity, AU12_c a presence."""
_KEYS: Final = {"id", "number", "code"}
"""Before the number of an action unit in a list of objects: {"id": 4, "active": true}."""
_COUNTS: Final = {"number", "count", "total"}
_LISTED: Final = {"head", "number"}
_RANGES: Final = {"-", "to", "through"}


def join_units(sentences: Sequence[Sentence]) -> list[Sentence]:
    """Join the spellings of an action unit into one token of role `au`: AU06, "action units 1, 2 and 5", FACS names.

    A value right behind it ("AU12: 0", "AU6 (3/5)") becomes its `state`: 0.5 or more is active. Where number and name
    disagree the number counts.
    """
    joiner = _Joiner()
    return [sentence if joiner.passes(sentence) else sentence_of(joiner.join(sentence.words)) for sentence in sentences]


class _Joiner:
    """Walks over the sentences of a text; a heading or the first row of a table is remembered for the lines below."""

    __slots__ = (
        "bars", "column", "headed", "listing", "marks_first", "out", "patience",
    )  # fmt: skip

    def __init__(self) -> None:
        self.out: list[Token] = []
        self.patience = 0
        """How many more tokens may stand between "action units" and their first number."""
        self.listing = self.headed = False
        """Whether the last unit may be followed by more numbers; whether "action units" was named."""
        self.column = False
        """Whether this is a table whose first column holds action units."""
        self.bars = 0
        """Bars of the table's row so far."""
        self.marks_first = False
        """Whether this line puts its marks before the units: "✓ AU6"."""

    def passes(self, sentence: Sentence) -> bool:
        """Return whether a sentence holds nothing to join."""
        roles = sentence.roles
        if self.patience or self.column or not _SPELT.isdisjoint(roles):
            return False
        return "number" not in roles or not ("active" in roles or "inactive" in roles)

    def join(self, words: Sequence[Token]) -> list[Token]:
        """Return the tokens of a sentence with its units joined."""
        out = self.out = []
        end = len(words) - 1  # the token that closes the sentence
        position = 0
        self.marks_first = words[words[0].text in _BULLETS].text in _VALUES
        while position < end:
            word = words[position]
            position += 1
            if word.role in _PLAIN:
                self.patience, self.listing = 0, False
                out.append(word)
            elif word.role in _STARTS and (behind := self._unit(word, words, position)):
                position = behind
            elif word.role in _ACTS or self.patience or self.listing:
                self._take(word, words[position])
            else:
                out.append(word)
        self._take(words[end], END)
        return out

    def _unit(self, word: Token, words: Sequence[Token], position: int) -> int:
        """Append the unit, or the flag, that starts with `word`, and return the position behind it; 0 if none does."""
        role, out, following = word.role, self.out, words[position]
        if role == "head" and following.au and following.role == "number":
            self.headed = True
            return self._number(following, words, position + 1)
        if role == "name":
            return self._finish(words, position, word.au)
        if role == "number" and word.au:
            if self.patience or self.listing:
                headed = _ends_with_head(out)
                counts = not headed and (
                    following.text in _NOT_UNITS
                    or (not self.listing and following.role in {"word", "strange", "foreign"})
                    or (following.text == "(" and words[position + 1].role == "head" and out[-1].text == "only")
                )
                if not counts:
                    del out[len(out) - headed :]
                    return self._number(word, words, position)
            row = self.column and following.text == "|" and _starts_row(out)
            row = row or (self.headed and len(out) > 1 and out[-1].text in {":", "="} and out[-2].text in _KEYS)
            return self._finish(words, position, word.au) if row else 0
        if role == "numeral" and _ends_with_head(out):  # "action unit twenty-three"
            tens = word.number == 20 and following.role == "numeral"
            out.pop()
            return self._finish(words, position + tens, round(word.number + following.number * tens))
        if role == "others":
            self.listing = False
            return self._finish(words, position, OTHERS)
        if role in {"active", "inactive"} and _is_flag(words[position : position + 4]):
            state = (role == "active") == (words[position + 1].number >= 0.5)
            out.append(Token("active" if state else "inactive", word.text))  # "present": 1
            return position + 2
        if role == "side" and following.role == "number" and (self.patience or self.listing):  # "AU R14"
            return position
        return 0

    def _number(self, word: Token, words: Sequence[Token], position: int) -> int:
        """Append the unit of a number that follows "action units" or continues a list of theirs."""
        _drop_name(self.out, word.au)
        self.listing, self.patience = True, 0
        return self._finish(words, position, word.au)

    def _finish(self, words: Sequence[Token], position: int, au: int) -> int:
        """Append the token of one action unit with its value, if it has one, and return the position behind."""
        out = self.out
        named = words[position - 1].role == "name"
        following = words[position]
        if following.role == "end" or (following.text == "," and words[position + 1].role in _LISTED):  # "AU6, AU12"
            out.append(_joined(au, named, None))
            return position
        if not named and au != OTHERS:
            if words[position].text in _SUFFIXES and (
                words[position + 1].text in _ASSIGNS or words[position + 1].role == "number"
            ):
                position += 1
            skip = 0
            while skip < 2 and words[position + skip].text in _NAME_GLUE:
                skip += 1
            name = words[position + skip]
            if name.role == "name" and not (skip and words[position].text == "," and name.au != au):
                position += skip + 1
        following = words[position]
        if (
            following.role == "end"
            or following.text == "and"
            or (following.text == "," and words[position + 1].text not in _GRADES)
        ):
            out.append(_joined(au, named, None))
            return position
        if following.text in _RANGES and (behind := _range_end(words, position, au)):
            out.append(Token("word", "range"))  # "AU1-AU4": which ones are meant is not said
            return behind
        state, behind = _value(words, position)
        out.append(_joined(au, named, state))
        if state is None and au != OTHERS:
            value, behind = _value_word(words, position, self.marks_first)
            if value:
                out.append(value)
        return behind

    def _take(self, word: Token, following: Token) -> None:
        role, text = word.role, word.text
        if role == "end":
            if text == "\n":
                self.column, self.bars = self.bars > 0 and self.column, 0
            self.patience = self.patience if text == "\n" and self.patience == 5 else 0
            self.listing, self.headed = False, self.headed and text == ";"
        elif role == "head":
            counted = _counted(self.out, following)
            self.headed, self.patience = True, 0 if counted else 6
            self.column = self.column or (_starts_row(self.out) and following.text in {"|", "number", "no"})
        elif role in {"active", "inactive"} and following.text == ":" and self.headed:
            self.patience = 3
        elif role in _BRIDGES or text in _OPENERS:
            self.patience -= self.patience > 0
            self.bars += text == "|"
            self.listing = self.listing and (text in {",", "(", ":", "not"} or self.out[-1].text == ":")
        else:
            self.patience = 0
            self.listing = self.listing and (
                role in {"link", "no"} or text in {")", "]", "nor"} or (text == "but" and following.text == "not")
            )
        self.out.append(word)


def _ends_with_head(out: Sequence[Token]) -> bool:
    return bool(out) and out[-1].role == "head"


def _starts_row(out: Sequence[Token]) -> bool:
    return not out or (len(out) == 1 and out[0].text == "|")


def _is_flag(after: Sequence[Token]) -> bool:
    """Whether a predicate has a truth value of its own: `"present": 1}`, not "active: 1, 2"."""
    return (
        len(after) > 2
        and after[0].text in {":", "="}
        and after[1].text in {"0", "1"}
        and not (after[2].text in {",", "and", "/", "+"} and after[-1].role == "number")
        and after[2].role != "number"
    )


def _drop_name(out: list[Token], au: int) -> None:
    """Forget the name that stands before a number for the same action unit: "cheek raiser (AU6"."""
    if out and (out[-1].role, out[-1].text) == ("au", "name"):
        del out[-1]
    elif (
        len(out) > 1
        and (out[-2].role, out[-2].text) == ("au", "name")
        and out[-1].text in _NAME_GLUE
        and (out[-1].text != "," or out[-2].au == au)
    ):
        del out[-2]


@cache
def _joined(au: int, named: bool, state: bool | None) -> Token:
    return Token("others" if au == OTHERS else "au", "name" if named else f"au{au}", au=au, state=state)


def _value(words: Sequence[Token], position: int) -> tuple[bool | None, int]:
    """Return what a number behind an action unit says, and the position behind it: ": 0", "(2/5)", "= 0.8", "| 1"."""
    look = position
    while look < position + 5 and (
        words[look].text in _VALUE_GLUE
        or words[look].role == "head"
        or (words[look].text == "," and words[look + 1].text in _GRADES)
    ):
        look += 1
    number = words[look]
    if number.role != "number" or number.number < 0 or words[look - 1].role == "head":
        return None, position
    if look == position and (
        number.au > 1 or not (_closes(words[look + 1]) or words[look + 1].role == "head")
    ):  # "AU6 12", but "AU6 0, AU12 1"
        return None, position
    fraction = words[look + 1].text == "/" and words[look + 2].role == "number"
    if number.number > 5 and not fraction and words[look - 1].text in _ASSIGNS and _closes(words[look + 1]):
        return None, position  # of a scale that FACS does not know
    return number.number >= 0.5, look + (3 if fraction else 1)


def _value_word(words: Sequence[Token], position: int, marks_first: bool) -> tuple[Token | None, int]:
    """Return the predicate that a word or sign behind an action unit stands for, and the position behind it.

    "AU4: y", "AU12 (+)", "AU6-, AU12+" and "AU1 ✗ AU12 ✓" have values; "AU6: blorp" has one that is not understood.
    """
    first, second = words[position], words[position + 1 : position + 3] or (END,)
    if first.text in _ARROWS or (first.text == "+" and second[0].text == "="):
        return _UNREAD, position + 1
    if first.text in _VALUES and first.text in {"+", "-"}:
        return (
            (_VALUES[first.text], position + 1)
            if second[0].text in _CLOSES or second[0].role == "end"
            else (None, position)
        )
    if first.text == "(" and len(second) > 1 and second[0].text in {"+", "-"} and second[1].text == ")":
        return _VALUES[second[0].text], position + 3
    if first.text in _BARE and not marks_first:
        after = second[0]
        if _closes(after) or (after.role in {"au", "head"} and first.text != "no"):
            return _VALUES[first.text], position + 1
        return None, position
    if first.text in _ASSIGNS or first.text in {"(", "is", "at", "scores"}:
        look = position + 1
        while look < position + 4 and words[look].text in _VALUE_GLUE and words[look].role != "end":
            look += 1
        value = words[look]
        if words[look - 1].text == "-" and first.text in _ASSIGNS and _closes(value):  # "AU12: -"
            return _UNREAD, look
        closed = value.role != "end" and _closes(words[look + 1])
        if closed and value.text in _VALUES:
            return _VALUES[value.text], look + 1
        if value.text == "see" and words[look + 1].role == "head":  # "AU7: see AU6"
            return _UNREAD, look + 3
        if value.text == "same" and words[look + 1].text == "as":
            return _UNREAD, look + 1
        if value.role == "strange" and (first.text == "=" or not value.text.isalnum()):  # "AU4 = int(True)"
            return _UNREAD, look + 1
        if not closed:
            return None, position
        strange = value.role in {"word", "strange", "foreign", "confidence", "doubt", "same", "number"} and (
            len(value.text) > 1 or value.text == "x"
        )
        if first.text in _ASSIGNS and (strange or value.text in _ARROWS):
            return _UNREAD, look + 1
    return None, position


def _closes(word: Token) -> bool:
    """Whether nothing more is said of a value before this word."""
    return word.text in _CLOSES or word.role == "end" or word.text == "and"


def _counted(before: Sequence[Token], following: Token) -> bool:
    """Whether "action units" are only counted: "of the 17 action units, 2 are active", "number of AUs: 2"."""
    if before and before[-1].role in {"number", "numeral"} and following.text == ",":
        return True
    return following.text in _COUNTS or not _COUNTS.isdisjoint([word.text for word in before[-4:]])


def _range_end(words: Sequence[Token], position: int, au: int) -> int:
    """Return the position behind "-AU4" or "to 4", 0 if no range of units ends there."""
    look = position + 1 + (words[position + 1].role == "head")
    if look < len(words) and (last := words[look]).role == "number" and last.au > au:
        headed = look > position + 1
        if headed or (_closes(words[look + 1]) and last.au > 5) or words[look + 1].role in {"be", "active", "inactive"}:
            return look + 1
    return 0
