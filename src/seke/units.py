"""The spellings of an action unit, joined into one token each, with the value that stands behind it.

One walk over the tokens with a bounded look-ahead, so joining takes time linear in the text.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final

from seke.lexicon import END, Token
from seke.spelling import Sentence, sentence_of

_NAME_GLUE: Final = frozenset("(:-|=[,")
_OPENERS: Final = frozenset("[({-,")
_NOT_UNITS: Final = {"other", "more", "additional", "of", "different", "out", "people", "faces"}
OTHERS: Final = 0
"""Stands for "all other action units" among the numbers of action units."""
_SPELT: Final = {"head", "name", "numeral", "others"}
"""Roles without which there is nothing to join."""
_STARTS: Final = {"head", "name", "number", "numeral", "others", "active", "inactive", "side"}
"""Roles that may start a unit or a flag."""
_ACTS: Final = {*_STARTS, "be", "end"}
"""Roles that do something outside a list of numbers."""
_PLAIN: Final = {"word", "verb", "named", "shown", "cue", "valence", "arousal", "final", "generic", "hedge", "minor"}
"""Roles that end every list of numbers."""
_BRIDGES: Final = {"be", "active", "inactive", "filler", "only", "not"}
"""Roles that may stand between "action units" and their numbers."""
_GRADES: Final = {"intensity", "score", "value", "level", "strength"}
_VALUE_GLUE: Final = {*")]:=|(-", "are", "is", "at", "with", "an", "of", *_GRADES}
"""What may stand between an action unit and its value."""


def join_units(sentences: Sequence[Sentence]) -> list[Sentence]:
    """Join the spellings of an action unit into one token of role `au`: AU06, "action units 1, 2 and 5", FACS names.

    A value right behind it ("AU12: 0", "AU6 (3/5)") becomes its `state`: 0.5 or more is active. Where number and name
    disagree the number counts.
    """
    joiner = _Joiner()
    return [sentence if joiner.passes(sentence) else sentence_of(joiner.join(sentence.words)) for sentence in sentences]


class _Joiner:
    """Walks over the sentences of a text; a heading or the first row of a table is remembered for the lines below."""

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

    def passes(self, sentence: Sentence) -> bool:
        """Return whether a sentence holds nothing to join."""
        roles = sentence.roles
        flagged = "number" in roles and ("active" in roles or "inactive" in roles)
        return _SPELT.isdisjoint(roles) and not (self.patience or self.column or flagged)

    def join(self, words: Sequence[Token]) -> list[Token]:
        """Return the tokens of a sentence with its units joined."""
        out = self.out = []
        end = len(words) - 1  # the token that closes the sentence
        position = 0
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
            return _finish(words, position, word.au, out)
        if role == "number" and word.au:
            headed = _ends_with_head(out)
            if (self.patience or self.listing) and (headed or following.text not in _NOT_UNITS):
                del out[len(out) - headed :]
                return self._number(word, words, position)
            row = self.column and following.text == "|" and _starts_row(out)
            return _finish(words, position, word.au, out) if row else 0
        if role == "numeral" and _ends_with_head(out):  # "action unit twenty-three"
            tens = word.number == 20 and following.role == "numeral"
            out.pop()
            return _finish(words, position + tens, round(word.number + following.number * tens), out)
        if role == "others":
            self.listing = False
            return _finish(words, position, OTHERS, out)
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
        return _finish(words, position, word.au, self.out)

    def _take(self, word: Token, following: Token) -> None:
        role, text = word.role, word.text
        if role == "head":
            self.headed, self.patience = True, 6
            self.column = self.column or (_starts_row(self.out) and following.text in {"|", "number", "no"})
        elif role in {"active", "inactive"} and following.text == ":" and self.headed:
            self.patience = 3
        elif role in _BRIDGES or text in _OPENERS:
            self.patience -= self.patience > 0
            self.bars += text == "|"
            self.listing = self.listing and (text in {",", "(", ":"} or self.out[-1].text == ":")
        elif role == "end":
            if text == "\n":
                self.column, self.bars = self.bars > 0 and self.column, 0
            self.patience = self.patience if text == "\n" and self.patience == 5 else 0
            self.listing, self.headed = False, self.headed and text == ";"
        else:
            self.patience = 0
            self.listing = self.listing and (role in {"link", "no"} or text in {")", "]", "nor"})
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


def _finish(words: Sequence[Token], position: int, au: int, out: list[Token]) -> int:
    """Append the token of one action unit with its value, if it has one, and return the position behind."""
    named = words[position - 1].role == "name"
    if not named and au != OTHERS:
        skip = 0
        while skip < 2 and words[position + skip].text in _NAME_GLUE:
            skip += 1
        name = words[position + skip]
        if name.role == "name" and not (skip and words[position].text == "," and name.au != au):
            position += skip + 1
    state, behind = _value(words, position)
    out.append(_joined(au, named, state))
    return behind


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
    if look == position or number.role != "number" or number.number < 0 or words[look - 1].role == "head":
        return None, position
    fraction = words[look + 1].text == "/" and words[look + 2].role == "number"
    return number.number >= 0.5, look + (3 if fraction else 1)
