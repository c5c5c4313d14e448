"""What a sequence of tokens states about action units.

The grammar is small on purpose: units wait for a predicate ("AU4 and AU7 are absent"), or a predicate announces its
units ("Inactive: AU4, AU7"); a negation turns the next of either; sentences, semicolons and "but" end its reach. One
walk over the tokens with a bounded look-ahead, so reading takes time linear in the text.
"""

from collections.abc import Sequence
from typing import Final

from seke.affect import ACTION_UNITS
from seke.lexicon import END, Token, sentences

_NAME_GLUE: Final = ("(", ":", "-", "|", "=", "[", ",")
_OPENERS: Final = ("[", "(", "{", "-", ",")
_VALUE_WORDS: Final = ("intensity", "score", "value", "level", "strength", "at", "with", "an", "of")
_NOT_UNITS: Final = ("other", "more", "additional", "of", "different", "out", "people", "faces")
OTHERS: Final = 0
"""Stands for "all other action units" among the numbers of action units."""


def join_units(words: Sequence[Token]) -> list[Token]:
    """Join the spellings of an action unit into one token of role `au`: AU06, "action units 1, 2 and 5", FACS names.

    A value right behind it ("AU12: 0", "AU6 (3/5)") becomes its `state`: 0.5 or more is active. Where number and name
    disagree the number counts.
    """
    out: list[Token] = []
    position = 0
    patience = 0  # how many more tokens may stand between "action units" and their first number
    listing = headed = False
    column = False  # whether this is a table whose first column holds action units
    bars = 0  # of the table's row so far
    while position < len(words):
        word = words[position]
        following = words[position + 1] if position + 1 < len(words) else END
        if word.role == "number" and (patience or listing) and _is_unit(word, following, out):
            if out[-1].role == "head":
                out.pop()
            _drop_name(out, round(word.number))
            position = _finish(words, position + 1, round(word.number), out)
            listing, patience = True, 0
            continue
        if word.role == "number" and column and following.text == "|" and _starts_row(out) and _is_unit(word, END, out):
            position = _finish(words, position + 1, round(word.number), out)
            continue
        if word.role == "name":
            position = _finish(words, position + 1, word.au, out)
            continue
        if word.role == "others":
            position = _finish(words, position + 1, OTHERS, out)
            listing = False
            continue
        if word.role in ("active", "inactive") and _is_flag(words[position + 1 : position + 5]):
            state = (word.role == "active") == (words[position + 2].number >= 0.5)
            out.append(Token("active" if state else "inactive", word.text))  # "present": 1
            position += 3
            continue
        if word.text == "\n":
            column, bars = bars > 0 and column, 0
        bars += word.text == "|"
        if word.role == "head":
            headed, patience = True, 6
            column = column or (_starts_row(out) and following.text in ("|", "number", "no"))
        elif word.role in ("active", "inactive") and following.text == ":" and headed:
            patience = 3
        elif word.role in ("be", "active", "inactive", "filler", "only", "not") or word.text in _OPENERS:
            patience = max(0, patience - 1)
            listing = listing and (word.text in (",", "(", ":") or out[-1].text == ":")
        elif word.role == "end":
            patience = patience if word.text == "\n" and patience == 5 else 0
            listing, headed = False, headed and word.text in ";?"
        else:
            patience = 0
            listing = listing and (word.role in ("link", "no") or word.text in (")", "]", "nor"))
        out.append(word)
        position += 1
    return out


def _is_unit(word: Token, following: Token, out: Sequence[Token]) -> bool:
    digits = word.text.removeprefix("+")
    if not (digits.isdecimal() and 1 <= word.number <= 99 and len(digits) <= 2):
        return False
    return out[-1].role == "head" or following.text not in _NOT_UNITS


def _starts_row(out: Sequence[Token]) -> bool:
    before = [word.text for word in out[-2:]]
    return before[-1:] in ([], ["\n"]) or before in (["|"], ["\n", "|"])


def _is_flag(after: Sequence[Token]) -> bool:
    """Whether a predicate has a truth value of its own: `"present": 1}`, not "active: 1, 2"."""
    return (
        len(after) == 4
        and after[0].text in (":", "=")
        and after[1].text in ("0", "1")
        and not (after[2].text in (",", "and", "/", "+") and after[3].role == "number")
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


def read_action_units(words: Sequence[Token]) -> dict[int, bool]:
    """Return which action units the text says are active and inactive; all 17 if it says that its list is complete."""
    if not any(word.role in ("au", "head") for word in words):
        return {}
    reader = _UnitReader()
    for sentence in sentences(words):
        reader.read(sentence)
    return reader.result()


class _UnitReader:
    """Walks over the sentences of a text and collects what is said about each action unit."""

    def __init__(self) -> None:
        self.votes: dict[int, set[tuple[bool, bool]]] = {}
        """Per action unit what was said: (by a predicate, active); empty where it was called unclear."""
        self.exhaustive = False
        """Whether the text says that all units it does not name are inactive."""
        self.heading: tuple[str, bool | None] = ("", None)
        """What a heading says about the lines below it."""
        self.units_in_line = False
        self.closing: tuple[str, bool | None] = ("", None)
        self._start_clause()

    def _start_clause(self) -> None:
        self.group: list[int] = []
        """Units that wait for their predicate."""
        self.excepted: list[int] = []
        self.kind, self.announced = self.heading
        """What was said beforehand: by a "heading", a "predicate" ("absent: AU4"), a "negation" ("no AU4"), or ""."""
        self.negation = self.outer_negation = ""
        """A "not" or "no" that waits for what it negates."""
        self.described = self.described_before_negation = self.content_since_negation = self.soft = False
        self.generic = self.excepting = self.quantified = False
        self.others: bool | None = None
        self.last: bool | None = None
        self.aside = ""
        self.aside_plain = False
        self.denied_aside = False

    def result(self) -> dict[int, bool]:
        """Return the units on which the text agrees with itself; a predicate outweighs a bare mention."""
        units = {}
        for au in ACTION_UNITS:
            votes = self.votes.get(au)
            if votes is None and self.exhaustive:
                units[au] = False
            states = {state for explicit, state in votes or () if explicit} or {state for _, state in votes or ()}
            if len(states) == 1:
                units[au] = states.pop()
        return units

    def read(self, sentence: Sequence[Token]) -> None:
        """Read one sentence or line."""
        if any(word.role == "hypothetical" for word in sentence):
            return
        self._start_clause()
        self.before = END
        for position, word in enumerate(sentence):
            if self.aside and not self._in_aside(word):
                continue
            self._take(word, sentence[position + 1 : position + 4])
            self.before = word
        self._end_line(sentence)

    def _in_aside(self, word: Token) -> bool:
        """Whether a word within brackets or a relative clause speaks about the units: "AU4 (not active)"."""
        if word.text == ")" or word.role == "end" or (self.aside == "which" and word.text == ","):
            self.aside = ""
            if self.denied_aside:  # "(no AU4)" ends with its bracket
                self._settle()
                self._end_negation()
            return True
        if word.role in ("au", "others"):
            return True
        if word.role not in ("be", "not", "no", "active", "inactive", "unknown", "filler", "link", "number"):
            self.aside_plain, self.negation = False, self.outer_negation
        return self.aside_plain

    def _end_negation(self) -> None:
        if self.kind == "negation":
            self._flush()
            self.kind, self.announced = self.heading

    def _open_aside(self, aside: str) -> None:
        if self.described:
            self._end_negation()
        self.aside, self.aside_plain = aside, True
        self.outer_negation, self.denied_aside = self.negation, False

    def _take(self, word: Token, after: Sequence[Token]) -> None:
        role, following = word.role, after[0] if after else END
        if role in ("au", "others"):
            self._take_unit(word)
        elif role == "head":
            self._take_head(after)
        elif role in ("active", "inactive", "unknown"):
            self._take_predicate(role, after)
        elif role in ("not", "no"):
            self.denied_aside = bool(self.aside)
            self.denied_aside = bool(self.aside)
            if following.text != "," or self.group:
                self.negation = role
                self.described_before_negation, self.content_since_negation = self.described, False
        elif role == "but" or role == "end":
            self._end_clause()
        elif word.text in (",", "|", ")", "]"):
            self._settle()
            self.soft = self.soft or self.described
            if following.text == "which":
                self._open_aside("which")
        elif word.text == "(":
            self._open_aside(word.text)
        elif role == "same":
            self.kind, self.announced = "predicate" if self.last is not None else "", self.last
        elif role == "complete":
            self.exhaustive = True
        elif role == "only":
            targets = [other.role for other in after if other.role not in ("filler", "be", "active", "head")]
            self.exhaustive |= bool(targets) and (targets[0] == "au" or (following.role == "end" and bool(self.group)))
        elif role == "except":
            self.excepting = True
        elif role == "all":
            self.quantified = True
        elif role == "generic":
            self.generic = True
        elif role not in ("link", "be", "sign", "number") and (role != "filler" or self.before.text == ","):
            self.described = bool(self.group)
            self.content_since_negation = True

    def _take_unit(self, word: Token) -> None:
        if word.state is not None:
            self._vote([word.au], True, word.state)
            return
        if self.negation:
            self._flush()
            self.kind, self.announced, self.negation = "negation", False, ""
        elif self.described:
            self._flush()
            if self.before.text not in ("or", "nor"):
                self._end_negation()
        (self.excepted if self.excepting and word.au != OTHERS else self.group).append(word.au)
        self.described = self.soft = False

    def _take_head(self, after: Sequence[Token]) -> None:
        """Take "action units" without numbers: "no action unit is active", "action units: none"."""
        told = [other for other in after if other.role not in ("be", "filler") and other.text != "|"]
        lists = bool(after) and after[0].role == "be"
        if lists and told and (told[0].text == "none" or (told[0].role == "no" and len(told) == 1)):
            self._vote([OTHERS], True, self.announced is False)
        elif (lists and told and told[0].role == "au") or self.group:
            return
        elif self.negation or self.kind == "turned":
            self.group, self.kind, self.announced, self.negation = [OTHERS], "negation", False, ""
        elif self.quantified:
            self.group = [OTHERS]

    def _take_predicate(self, role: str, after: Sequence[Token]) -> None:
        state = {"active": True, "inactive": False}.get(role)
        if after and after[0].text in (":", "=") and len(after) > 1:
            if after[1].role in ("active", "inactive", "no"):  # "AU12 active: no"
                return
            heads = after[1].role in ("au", "head")
        else:
            heads = bool(after) and after[0].role in ("au", "head", "others")
        turned = bool(self.negation)
        if turned:
            if self.negation == "no" and self.described_before_negation and self.content_since_negation:
                self.negation = ""  # "lips are parted with no teeth visible" says nothing against the unit
                return
            state, self.negation = None if state is None else not state, ""
        if heads or not self.group:
            self._flush()
            self.kind, self.announced = "turned" if turned and state is False else "predicate", state
        elif self.kind == "negation":
            self._vote(self.group, True, None if state is None else not state)
            self.group = []
            self.kind, self.announced = self.heading
        elif self.kind in ("predicate", "turned") and self.announced is not state:
            self._flush()
            self.kind, self.announced = "predicate", state
        else:
            self._vote(self.group, True, state)
            self.group = []
        self.last, self.described = state, False

    def _vote(self, units: Sequence[int], explicit: bool, state: bool | None) -> None:
        for au in units:
            if au == OTHERS:
                self.others = state
                self.exhaustive |= state is False and explicit
            else:
                votes = self.votes.setdefault(au, set())
                if state is not None:
                    votes.add((explicit, state))

    def _settle(self) -> None:
        """Let a negation that found no predicate deny the waiting units: "AU4 is not", "AU4: no furrowing"."""
        if self.negation and self.group:
            if (self.negation == "not" and not self.soft) or (
                self.negation == "no" and not self.described_before_negation
            ):
                self._vote(self.group, True, False)
                self.group = []
            self.negation = ""

    def _flush(self) -> None:
        """Let the waiting units go as announced; a bare mention counts as active, a definition or list of all not."""
        if self.kind:
            self._vote(self.group, True, self.announced)
        elif not self.generic and len(set(self.group)) < len(ACTION_UNITS) - 2:
            self._vote([au for au in self.group if au != OTHERS], False, True)
        self.group = []

    def _end_clause(self) -> None:
        self._settle()
        self._flush()
        self._vote(self.excepted, True, self.others is not True)
        self.closing, last = (self.kind, self.announced), self.last
        self._start_clause()
        self.last = last

    def _end_line(self, sentence: Sequence[Token]) -> None:
        """Keep what a heading ("Inactive AUs:") says for the lines below, until a line of another kind."""
        self.units_in_line |= any(word.role in ("au", "others") for word in sentence)
        if sentence[-1].text != "\n":
            return
        body = [word for word in sentence if word.role != "end"]
        titles = ("active", "inactive", "unknown", "head", "filler", "be", "not", "no", "all")
        is_title = bool(body) and (
            body[-1].text == ":" or all(word.role in titles and word.text != "|" for word in body)
        )
        if is_title and not self.units_in_line and self.closing[0] in ("predicate", "turned"):
            self.heading = ("heading", self.closing[1])
        elif body and not self.units_in_line and body[0].text not in ("-", "•", "+", "|"):
            self.heading = ("", None)
        self.units_in_line = False
