"""The spellings of an action unit, joined into one token each, with the value that stands behind it.

One walk over the tokens with a bounded look-ahead, so joining takes time linear in the text.
"""

from collections.abc import Sequence
from typing import Final

from seke.lexicon import END, Token
from seke.spelling import Sentence, sentence_of

_NAME_GLUE: Final = ("(", ":", "-", "|", "=", "[", ",")
_OPENERS: Final = ("[", "(", "{", "-", ",")
_VALUE_WORDS: Final = ("intensity", "score", "value", "level", "strength", "at", "with", "an", "of")
_NOT_UNITS: Final = ("other", "more", "additional", "of", "different", "out", "people", "faces")
OTHERS: Final = 0
"""Stands for "all other action units" among the numbers of action units."""
_SPELT: Final = {"head", "name", "numeral", "others"}
"""Roles without which there is nothing to join."""
_STARTS: Final = {"name", "number", "numeral", "others", "active", "inactive", "side"}
"""Roles that may start a unit or a flag."""
_PLAIN: Final = {"word", "verb", "named", "shown", "cue", "valence", "arousal", "final", "generic", "hedge", "minor"}
"""Roles that end every list of numbers."""
_BRIDGES: Final = {"be", "active", "inactive", "filler", "only", "not"}
"""Roles that may stand between "action units" and their numbers."""
_GRADES: Final = ("intensity", "score", "value", "level", "strength")


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
        return not (self.patience or self.column or flagged) and _SPELT.isdisjoint(roles)

    def join(self, words: Sequence[Token]) -> list[Token]:
        """Return the tokens of a sentence with its units joined."""
        self.out = []
        position = 0
        while position < len(words):
            word = words[position]
            position += 1
            if word.role in _PLAIN:
                self.patience, self.listing = 0, False
                self.out.append(word)
                continue
            following = words[position] if position < len(words) else END
            behind = self._unit(word, following, words, position) if word.role in _STARTS else 0
            if behind:
                position = behind
            else:
                self._take(word, following)
        return self.out

    def _unit(self, word: Token, following: Token, words: Sequence[Token], position: int) -> int:
        """Append the unit, or the flag, that starts with `word`, and return the position behind it; 0 if none does."""
        role, out = word.role, self.out
        if role == "name":
            return _finish(words, position, word.au, out)
        if role == "number":
            if not ((self.patience or self.listing) and _is_unit(word, following, out)):
                row = self.column and following.text == "|" and _starts_row(out) and _is_unit(word, END, out)
                return _finish(words, position, round(word.number), out) if row else 0
            if out and out[-1].role == "head":
                out.pop()
            _drop_name(out, round(word.number))
            self.listing, self.patience = True, 0
            return _finish(words, position, round(word.number), out)
        if role == "numeral" and out and out[-1].role == "head":  # "action unit twenty-three"
            tens = word.number == 20 and following.role == "numeral"
            out.pop()
            return _finish(words, position + tens, round(word.number + following.number * tens), out)
        if role == "others":
            self.listing = False
            return _finish(words, position, OTHERS, out)
        if role in ("active", "inactive") and _is_flag(words[position : position + 4]):
            state = (role == "active") == (words[position + 1].number >= 0.5)
            out.append(Token("active" if state else "inactive", word.text))  # "present": 1
            return position + 2
        if role == "side" and following.role == "number" and (self.patience or self.listing):  # "AU R14"
            return position
        return 0

    def _take(self, word: Token, following: Token) -> None:
        role, text = word.role, word.text
        if text == "\n":
            self.column, self.bars = self.bars > 0 and self.column, 0
        elif text == "|":
            self.bars += 1
        if role == "head":
            self.headed, self.patience = True, 6
            self.column = self.column or (_starts_row(self.out) and following.text in ("|", "number", "no"))
        elif role in ("active", "inactive") and following.text == ":" and self.headed:
            self.patience = 3
        elif role in _BRIDGES or text in _OPENERS:
            self.patience = max(0, self.patience - 1)
            self.listing = self.listing and (text in (",", "(", ":") or self.out[-1].text == ":")
        elif role == "end":
            self.patience = self.patience if text == "\n" and self.patience == 5 else 0
            self.listing, self.headed = False, self.headed and text == ";"
        else:
            self.patience = 0
            self.listing = self.listing and (role in ("link", "no") or text in (")", "]", "nor"))
        self.out.append(word)


def _is_unit(word: Token, following: Token, out: Sequence[Token]) -> bool:
    digits = word.text.removeprefix("+")
    if not (digits.isdecimal() and 1 <= word.number <= 99 and len(digits) <= 2):
        return False
    return (bool(out) and out[-1].role == "head") or following.text not in _NOT_UNITS


def _starts_row(out: Sequence[Token]) -> bool:
    return not out or (len(out) == 1 and out[0].text == "|")


def _is_flag(after: Sequence[Token]) -> bool:
    """Whether a predicate has a truth value of its own: `"present": 1}`, not "active: 1, 2"."""
    return (
        len(after) > 2
        and after[0].text in (":", "=")
        and after[1].text in ("0", "1")
        and not (after[2].text in (",", "and", "/", "+") and after[-1].role == "number")
        and after[2].role != "number"
    )


def _drop_name(out: list[Token], au: int) -> None:
    """Forget the name that stands before a number for the same action unit: "cheek raiser (AU6"."""
    for back in (1, 2):
        if len(out) >= back and out[-back].role == "au" and out[-back].text == "name":
            if back == 1 or out[-1].text in _NAME_GLUE[:-1] or (out[-1].text == "," and out[-back].au == au):
                del out[-back]
            return


def _finish(words: Sequence[Token], position: int, au: int, out: list[Token]) -> int:
    """Append the token of one action unit with its value, if it has one, and return the position behind."""
    named = words[position - 1].role == "name"
    if not named and au != OTHERS:
        for skip in (0, 1, 2):
            glue = words[position : position + skip]
            name = words[position + skip] if position + skip < len(words) else END
            if name.role == "name" and all(sign.text in _NAME_GLUE for sign in glue):
                if not (glue and glue[0].text == "," and name.au != au):
                    position += skip + 1
                break
    state, behind = _value(words, position)
    role = "others" if au == OTHERS else "au"
    out.append(Token(role, "name" if named else f"au{au}", au=au, state=state))
    return behind


def _value(words: Sequence[Token], position: int) -> tuple[bool | None, int]:
    """Return what a number behind an action unit says, and the position behind it: ": 0", "(2/5)", "= 0.8", "| 1"."""
    look = position
    while look < min(len(words), position + 5):
        word = words[look]
        if (
            word.text in (")", "]")
            or word.text in (":", "=", "|", "(", "-", "are", "is")
            or word.text in _VALUE_WORDS
            or (word.text == "," and look + 1 < len(words) and words[look + 1].text in _GRADES)
            or word.role == "head"
        ):
            look += 1
        else:
            break
    if look == position or look >= len(words) or words[look].role != "number":
        return None, position
    if words[look].number < 0 or words[look - 1].role == "head":
        return None, position
    state = words[look].number >= 0.5
    look += 1
    if look + 1 < len(words) and words[look].text == "/" and words[look + 1].role == "number":
        look += 2
    return state, look
