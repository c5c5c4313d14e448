"""Reader of action units: which ones the sentences of a text assert as active or inactive.

The grammar is small on purpose: units wait for a predicate ("AU4 and AU7 are absent"), or a predicate announces its
units ("Inactive: AU4, AU7"); a negation turns the next of either; sentences, semicolons and "but" end its reach. One
walk over the tokens with a bounded look-ahead, so reading takes time linear in the text.
"""

from collections.abc import Sequence
from typing import Final

from seke.answers.action_unit_names import BOUND, OTHERS
from seke.answers.lexicon import END, Token
from seke.answers.tokenizer import Sentence, yes_or_no
from seke.core.affect import ACTION_UNITS

_MOST: Final = len(ACTION_UNITS) - 2
"""A bare list of so many units is the list of all that there are."""
_NONE: Final = -1
"""Stands for "no action unit": it denies none by name, but "no action unit other than AU4" is a complete list."""
_UNREAL: Final = {"hypothetical", "past", "whether", "if"}
_CONDITIONS: Final = {"when", "whenever", "should", "had", "were"}
"""First words of a clause that says what would be."""
_IF: Final = Token("if", "if")
_UNITS: Final = {"au", "head", "others", "complete"}
_PLAIN: Final = {"word", "strange", "verb", "named", "shown", "cue", "valence", "arousal", "final"}
_OF_UNITS: Final = {"be", "not", "no", "may", "doubt", "active", "inactive", "unknown", "filler", "link", "number"}
"""Roles that may stand in an aside about the units before it."""
_SIGNS: Final = frozenset(",|)](")
"""Signs that end a part of a clause, or begin an aside."""
_SILENT: Final = {"link", "be", "sign", "number"}
"""Roles that change nothing between units and their predicate."""
_SPEAKS: Final = {*_UNITS, "active", "inactive", "unknown", "unlikely", "correction"}
"""Roles without which a sentence asserts nothing about action units."""


def read_action_units(sentences: Sequence[Sentence], seen: bool = True) -> dict[int, bool]:
    """Return which action units the text says are active and inactive; all 17 if it says that all others are not.

    Where no face was `seen`, "no AU6" denies nothing.
    """
    reader = _UnitReader()
    for sentence in sentences:
        reader.read(sentence)
    units = reader.result()
    return units if seen else {au: active for au, active in units.items() if active}


class _UnitReader:
    """Walks over the sentences of a text and collects what they state about each action unit."""

    __slots__ = (
        "announced", "aside", "aside_plain", "asked", "asked_of_all", "before", "closing",
        "content_since_negation", "denied_aside", "described", "described_before_negation", "equated",
        "excepted", "excepting", "exhaustive", "generic", "group", "heading", "kind", "last", "negation",
        "open", "others", "outer_negation", "quantified", "soft", "units_in_line", "votes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.votes: dict[int, tuple[set[bool], set[bool]]] = {}
        """Per action unit what bare mentions and what predicates said: active or not; none where it is unclear."""
        self.exhaustive = False
        """Whether the text says that all units it does not name are inactive."""
        self.heading: tuple[str, bool | None] = ("", None)
        """What a heading says about the lines below it."""
        self.asked: list[int] = []
        """Units of a question that waits for its answer: "Is AU12 active? No."."""
        self.asked_of_all = False
        """Whether the question was about all of them together, so that a "no" denies none by name."""
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
        self.open = False
        """Whether the last predicate left its units open: "AU4 is debatable, AU7 is not"."""
        self.described = self.described_before_negation = self.content_since_negation = self.soft = False
        self.generic = self.excepting = self.quantified = self.equated = False
        self.others: bool | None = None
        self.last: bool | None = None
        self.aside = ""
        self.aside_plain = False
        self.denied_aside = False

    def result(self) -> dict[int, bool]:
        """Return the units on which the text agrees with itself; a predicate outweighs a bare mention."""
        units = {au: False for au in ACTION_UNITS if au not in self.votes} if self.exhaustive else {}
        for au, (mentioned, stated) in self.votes.items():
            states = stated or mentioned
            if len(states) == 1 and au in ACTION_UNITS:
                (units[au],) = states
        return units

    def read(self, sentence: Sentence) -> None:
        """Read one sentence or line."""
        words, roles = sentence.words, sentence.roles
        if words[-1].text == "?":
            self.asked = [word.au for word in words if word.role == "au"]
            self.asked_of_all = any(word.text in {"and", "both", "all", "&"} for word in words)
            if len(self.asked) > 1 and any(word.text == "or" for word in words):
                self.asked_of_all = False
            return
        if self.asked and (answered := yes_or_no(words)) is not None:
            self._vote(self.asked, True, None if self.asked_of_all and not answered else answered)
        self.asked = []
        if words[0].text == "no" and words[1].text == ",":  # "No, AU9 is not active."
            self._forget(words)
        if words[0].text in _CONDITIONS:
            words, roles = [_IF, *words[1:]], {*roles, "if"}
        if not _UNREAL.isdisjoint(roles):
            words = _asserted(words)
        if _SPEAKS.isdisjoint(roles):
            self.closing = ("", None)
        else:
            self.kind, self.announced = self.heading
            self.last, self.before = None, END
            for position, word in enumerate(words, 1):
                if self.aside and not self._in_aside(word):
                    continue
                role = word.role
                if role in _PLAIN:
                    self.described, self.content_since_negation = bool(self.group), True
                elif role == "au":
                    self._take_unit(word)
                elif word.text in _SIGNS:
                    self._take_sign(word, words[position])
                elif role == "end":
                    self._end_clause()
                elif role not in _SILENT and (role != "filler" or self.before.text == ","):
                    self._take(word, words, position)
                elif role == "be":
                    self.equated = word.text == "is"
                self.before = word
        self.units_in_line |= "au" in roles or "others" in roles
        if words[-1].text == "\n":
            self._end_line(words)

    def _in_aside(self, word: Token) -> bool:
        """Whether a word within brackets or a relative clause speaks about the units: "AU4 (not active)"."""
        if word.text == ")" or word.role == "end" or (self.aside == "which" and word.text == ","):
            self.aside = ""
            if self.denied_aside:  # "(no AU4)" ends with its bracket
                self._settle()
                self._end_negation()
            return True
        if word.role in {"au", "others", "but"}:  # a "but" ends the clause and with it the aside
            return True
        if word.role not in _OF_UNITS:
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

    def _take(self, word: Token, words: Sequence[Token], position: int) -> None:
        """Take a word; `words[position]` is the next."""
        role = word.role
        following = words[position] if position < len(words) else END
        if role == "others":
            self._take_unit(word)
        elif role == "head":
            self._take_head(words[position : position + 3])
        elif role == "active" and following.role == "active" and word.text != BOUND:
            pass  # "no noticeable activation of AU4"
        elif role in {"active", "inactive", "unknown", "unlikely"}:
            self._take_predicate(role, () if word.text == BOUND else words[position : position + 3])
        elif role in {"not", "no"}:
            self.denied_aside = bool(self.aside)
            if following.text != "," or self.group:
                self.negation = role
                self.described_before_negation, self.content_since_negation = self.described, False
        elif word.text == "but" and self.quantified and following.role == "au":  # "all units but AU12 are inactive"
            self.excepting = True
        elif role == "but":
            self._end_clause()
        elif role == "same":
            self.kind, self.announced = "predicate" if self.last is not None else "", self.last
        elif role == "complete":
            self.exhaustive = True
        elif role == "doubt" or (role == "may" and all(word.role != "hedge" for word in words[position:][:3])):
            self._take_doubt(words[position : position + 3])
        elif role == "correction":
            self._vote(self.group, True, False)
            self.group = []
            self._forget(words[position:])
        elif role == "except":
            self.excepting = True
        elif role == "all":
            self.quantified = True
        elif role == "generic":
            self.generic = self.generic or following.text not in {",", "."}  # not "eyes open normally,"
        elif role != "filler" or (self.before.text == "," and following.role not in {"au", "head"}):
            self.described = bool(self.group)
            self.content_since_negation = True

    def _take_sign(self, word: Token, following: Token) -> None:
        """Take a comma, bar or bracket."""
        if word.text == "(":
            self._open_aside(word.text)
            return
        if self.negation:
            self._settle()
        doubted = self.kind == "doubt"
        if doubted:  # "possibly AU4, AU15"
            self._flush()
        if doubted or (self.before.role == "unknown" and not self.group):  # "arousal": null, "action_units": ...
            self.kind, self.announced = self.heading
        self.soft = self.soft or self.described
        if following.text == "which":
            self._open_aside("which")

    def _take_unit(self, word: Token) -> None:
        if word.state is not None:
            if not word.state and self.group and not self.described and self.before.role == "link":  # "AU1, AU2: 0"
                self._vote(self.group, True, None)
                self.group = []
            self._vote([word.au], True, word.state)
            return
        if word.text == "name" and self.group == [word.au] and self.equated:  # "AU12 is the lip corner puller"
            self.group = []
            return
        if self.negation:
            self._flush()
            self.kind, self.announced, self.negation = "negation", False, ""
        elif self.described:
            self._flush()
            if self.before.text not in {"or", "nor"}:
                self._end_negation()
        elif self.before.text == "or" and self.group and self.kind == "":  # "AU1 or AU2"
            self._vote([*self.group, word.au], True, None)
            self.group = []
            return
        (self.excepted if self.excepting and word.au != OTHERS else self.group).append(word.au)
        self.described = self.soft = self.equated = False

    def _take_head(self, after: Sequence[Token]) -> None:
        """Take "action units" without numbers: "no action unit is active", "action units: none"."""
        named = [other for other in after if other.role not in {"be", "filler"} and other.text != "|"]
        lists = bool(after) and after[0].role == "be"
        if (lists and named and named[0].role == "au") or self.group:
            return
        if self.negation or self.kind == "turned":
            self.group, self.kind, self.announced, self.negation = [_NONE], "negation", False, ""
        elif self.quantified:
            self.group = [OTHERS]

    def _take_predicate(self, role: str, after: Sequence[Token]) -> None:
        state = {"active": True, "inactive": False}.get(role)
        self.open = state is None
        if after and after[0].text in {":", "="} and len(after) > 1:
            if after[1].role in {"active", "inactive", "no"}:  # "AU12 active: no"
                return
            heads = after[1].role in {"au", "head"}
        else:
            heads = bool(after) and after[0].role in {"au", "head", "others"}
        if self.aside == "(" and self.kind == "negation" and not self.denied_aside and not self.negation:
            self._vote(self.group, True, state)  # "no cheek raising (AU6 absent)"
            self.group = []
            return
        turned = bool(self.negation)
        if turned:
            if self.negation == "no" and self.described_before_negation and self.content_since_negation:
                self.negation = ""  # "lips are parted with no teeth visible" says nothing against the unit
                return
            state, self.negation = None if state is None else not state, ""
        if state is None and self.group and self.before.role == "be":  # "the presence of AU17 is debatable"
            self._vote(self.group, True, None)
            self.group, self.kind, self.announced = [], *self.heading
        elif heads or not self.group:
            self._flush()
            self.kind, self.announced = "turned" if turned and state is False else "predicate", state
        elif self.kind == "negation":
            self._vote(self.group, True, None if state is None else not state)
            self.group = []
            self.kind, self.announced = self.heading
        elif self.kind in {"predicate", "turned"} and self.announced is not state:
            self._flush()
            self.kind, self.announced = "predicate", state
        else:
            self._vote(self.group, True, state)
            self.group = []
        self.last, self.described = state, False

    def _take_doubt(self, after: Sequence[Token]) -> None:
        """Take "possibly": what it is said of stays open, be it "AU20 is possibly active" or "possibly AU20"."""
        ahead = next(
            (word for word in after if word.role not in {"be", "verb", "opinion"} and word.text not in {"of", "some"}),
            END,
        )
        if ahead.role == "au":
            self._flush()
            self.kind, self.announced = "doubt", None
        elif self.group and (
            after[0].text in {")", ","}
            or after[0].role == "end"
            or any(word.role in {"active", "inactive"} for word in after)
        ):
            self._vote(self.group, True, None)
            self.group = []

    def _vote(self, units: Sequence[int], explicit: bool, state: bool | None) -> None:
        for au in units:
            if au == _NONE:
                self.exhaustive |= self.excepting
            elif au == OTHERS:
                self.others = state
                self.exhaustive |= state is False and explicit
            else:
                if au not in self.votes:
                    self.votes[au] = set(), set()
                if state is not None:
                    self.votes[au][explicit].add(state)

    def _forget(self, words: Sequence[Token]) -> None:
        """Forget what was said so far of the units that a correction names."""
        for word in words:
            if word.role == "au":
                self.votes.pop(word.au, None)

    def _settle(self) -> None:
        """Let a negation that found no predicate deny the waiting units: "AU4 is not", "AU4: no furrowing"."""
        if self.content_since_negation and not self.group:  # "unlike fear, ..."
            self.negation = ""
        if self.negation and self.group:
            if (self.negation == "not" and not self.soft) or (
                self.negation == "no" and not self.described_before_negation
            ):
                self._vote(self.group, True, None if self.open else False)
                self.group = []
            self.negation = ""

    def _flush(self) -> None:
        """Let the waiting units go as announced; a bare mention counts as active, a definition or list of all not."""
        if not self.group:
            return
        if self.kind:
            self._vote(self.group, True, self.announced)
        elif not self.generic and (len(self.group) < _MOST or len(set(self.group)) < _MOST):
            self._vote([au for au in self.group if au > 0], False, True)
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
        in_line, self.units_in_line = self.units_in_line, False
        if in_line:
            return
        body = [word for word in sentence if word.role != "end"]
        titles = ("active", "inactive", "unknown", "head", "filler", "be", "not", "no", "all")
        is_title = bool(body) and (
            body[-1].text == ":" or all(word.role in titles and word.text != "|" for word in body)
        )
        if is_title and self.closing[0] in {"predicate", "turned"}:
            self.heading = ("heading", self.closing[1])
        elif body and body[0].text not in {"-", "•", "+", "|"}:
            self.heading = ("", None)


def _asserted(words: Sequence[Token]) -> list[Token]:
    """Drop the clauses that say what would be, was, or whether: "a felt smile would show AU6, but I see AU12"."""
    kept: list[Token] = []
    clause: list[Token] = []
    aside = False  # within "which would ...,"
    for word, following in zip(words, [*words[1:], END], strict=True):
        if (
            word.role in {"but", "whether", "if"}
            or word.text == ";"
            or (word.text == "," and (aside or following.text == "which"))
        ):
            kept += [] if any(other.role in _UNREAL for other in clause) else clause
            clause, aside = [], following.text == "which" or word.role == "if"
        clause.append(word)
    return [*kept, *([words[-1]] if any(word.role in _UNREAL for word in clause) else clause)]
