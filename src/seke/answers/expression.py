"""Reader of the expression: which one of the eight the sentences of a text state.

Every mention of an expression gets a level, from evidence ("a smile") to a final verdict; the highest level counts.
One walk over the tokens with a bounded look-ahead, so reading takes time linear in the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seke.answers.lexicon import Token
from seke.answers.tokenizer import Sentence, yes_or_no

_PLAIN: Final = {"word", "strange", "sign", "number"}
"""Roles that only lengthen a clause."""
_SILENT: Final = {"filler", "active", "all"}
"""Roles that change nothing."""
_SPEAKS: Final = {"named", "shown", "cue"}
"""Roles without which a sentence says nothing about the expression."""
_ASSIGNS: Final = frozenset(":=(|-")
"""Signs between an expression and its score."""
_YES: Final = {"yes", "true", "present", "y"}
_NO: Final = {"no", "false", "absent", "none", "n", "not"}
_CLOSES: Final = frozenset(",;.|)}\n")


@dataclass(slots=True)
class _Mention:
    expression: str
    """One of the eight, or "" for a rival outside them."""
    level: float
    """How firmly it is stated: 0 not at all, 1 evidence, 2 statement, 3 verdict ("the expression is"), above 4 a
    final verdict."""
    score: float | None = None
    """The probability that the text gives it."""
    chain: int = 0
    """Mentions joined by "and", "or" and commas form a chain."""
    typical: bool = False
    """Whether it is said of action units or people at large, not of this face."""


def read_expression(sentences: Sequence[Sentence], seen: bool = True) -> str | None:
    """Return the expression that is stated most firmly; None where there is none or several are stated alike.

    Where no face was `seen`, neither "no emotion" nor "blank" speaks of a neutral one.
    """
    mentions: list[_Mention] = []
    announced = False
    asked: list[str] = []
    for sentence in sentences:
        if sentence.words[-1].text == "?":
            asked = [word.expression for word in sentence.words if word.role == "named"]
            continue
        if asked:
            if len(asked) == 1 and yes_or_no(sentence.words):
                mentions.append(_Mention(asked[0], 3))
            asked = []
        if "correction" in sentence.roles and _SPEAKS & sentence.roles:
            mentions.clear()
        if announced or not _SPEAKS.isdisjoint(sentence.roles):
            reader = _ExpressionReader(announced, seen)
            mentions += reader.read(sentence)
            announced = reader.announces
    firmest = _firmest(mentions)
    return firmest if seen or firmest != "neutral" else None


def _firmest(mentions: list[_Mention]) -> str | None:
    if len(mentions) == 1:
        (only,) = mentions
        return only.expression or None if only.score is None or only.score >= 0.5 else None
    scores: dict[str, float] = {}
    for mention in mentions:
        if mention.score is not None:
            scores[mention.expression] = max(mention.score, scores.get(mention.expression, 0.0))
    if len(scores) > 1:
        highest = max(scores.values())
        if not highest:
            return None
        mentions = [mention for mention in mentions if mention.score is None]
        mentions += [_Mention(expression, 3.25) for expression, score in scores.items() if score == highest]
    firmest = max((mention.level for mention in mentions), default=0)
    counts: dict[str, int] = {}
    for mention in mentions:
        if mention.level == firmest:
            counts[mention.expression] = counts.get(mention.expression, 0) + 1
    often = max(counts.values(), default=0)
    winners = [expression for expression, count in counts.items() if count == often]
    return winners[0] or None if len(winners) == 1 else None


class _ExpressionReader:
    """Walks over one sentence and collects the expressions that it states."""

    __slots__ = (
        "alternative", "announces", "certain", "chain", "content", "cue", "denied", "dimension", "distance",
        "final", "fresh", "hedged", "less", "linked", "mentions", "minor", "negative", "seen", "settled",
        "typical", "units", "valued", "verdict",
    )  # fmt: skip

    def __init__(self, announced: bool, seen: bool) -> None:
        self.seen = seen
        self.mentions: list[_Mention] = []
        self.units = False
        """Whether the sentence names action units."""
        self.cue = self.verdict = announced
        """Whether "the expression" was named, and whether what comes now is said of it."""
        self.final = self.hedged = self.minor = self.typical = False
        self.denied = self.negative = False
        """Within the reach of a negation; whether the sentence holds one at all."""
        self.content = False
        """Whether the reach of the negation holds more than verbs and fillers: the next verb ends it."""
        self.certain = False
        """After "I don't think that" no verb ends it."""
        self.dimension = False
        """Whether the clause is about valence or arousal."""
        self.linked = False
        """Whether a verb came since the last mention."""
        self.settled = True
        """Whether the hedges that led to the last mention are over, or new ones came."""
        self.distance = 99
        """Tokens since the last mention, not counting connectors."""
        self.chain = 0
        self.alternative = False
        """After "or": what comes is no more and no less chosen than the last mention."""
        self.fresh = False
        """Whether the expression is announced once more ("emotion: happy ... emotion: sad")."""
        self.valued = self.less = False
        """Whether a "no" is the value of the last mention; whether the next feeling is the lesser one."""
        self.announces = announced
        """Whether the next line says what the expression is ("Expression:")."""

    def read(self, sentence: Sentence) -> list[_Mention]:
        """Return the mentions that count."""
        words, roles = sentence.words, sentence.roles
        self.units = "au" in roles
        for position, word in enumerate(words, 1):
            role = word.role
            if self.valued and role in {"no", "not", "inactive"}:  # "happy: no, sad: yes"
                self.valued = False
            elif role in {"named", "shown"}:
                self._take_feeling(word, words[position : position + 5])
            elif role in {"link", "minor", "typical"}:
                self.minor = self.minor or role == "minor"
                self.typical = self.typical or role == "typical"
                self.alternative = self.alternative or word.text == "or"
            else:
                if self.distance == 0:
                    self.verdict = False  # a verdict is its first mention and what is joined to that
                self.distance += 1
                if role in _PLAIN:
                    self.content = True
                elif role in {"be", "verb"}:
                    self._take_verb()
                elif role not in _SILENT:
                    self._take(word, words, position)
        if "if" in roles and ("hypothetical" in roles or [word.text for word in words[:3]] == ["if", "you", "see"]):
            return []
        if words[0].role == "if" and words[1].role in {"au", "head", "valence", "arousal"}:  # "if AU12 > 0: ..."
            return []
        if self.mentions:
            self.announces = False
            return self._counting(several=2 if "options" in roles else 3)
        body = [word for word in words if word.role != "end" and word.text != "|"]
        titled = bool(body) and (body[-1].text in {":", "="} or all(word.role in _TITLE for word in body))
        self.announces = (self.cue and titled) or (self.announces and not body)
        return []

    def _counting(self, several: int) -> list[_Mention]:
        """Return the mentions that count: no lists of `several` options, nor what only might or would be."""
        if len(self.mentions) == 1:
            (only,) = self.mentions
            return [only] if only.level > 0 and not (only.typical and self.negative) else []
        chains: dict[int, set[str]] = {}
        rivals: dict[int, set[str]] = {}
        for mention in self.mentions:
            (chains if mention.level else rivals).setdefault(mention.chain, set()).add(mention.expression)
        return [
            mention
            for mention in self.mentions
            # "AU4, which is common in anger, is absent" states no anger.
            if mention.level > 0
            and rivals.get(mention.chain, set()) <= {mention.expression}  # "concentration or fear"
            and not (mention.typical and self.negative)
            and (mention.score is not None or len(chains[mention.chain]) < several)
        ]

    def _take(self, word: Token, words: Sequence[Token], position: int) -> None:
        """Take a word; `words[position]` is the next."""
        role = word.role
        if role == "less":
            self.less = True
        elif role == "than" and self.less:
            self.less = self.denied = False
        elif role in {"not", "no", "than", "past"} or (
            role in {"heard", "place"} and words[position].text in {"is", "are", "was", "sounds"}
        ):
            self.denied, self.content, self.certain, self.negative = True, False, False, True
        elif role == "but" or word.text == ";":
            self.denied = self.hedged = self.minor = self.typical = self.dimension = self.alternative = False
            self.verdict = self._undecided()
        elif role == "cue":
            self._take_cue(word, words, position)
        elif role == "rival":
            self._take_rival(word)
        else:
            self._take_modifier(word, words, position)

    def _take_modifier(self, word: Token, words: Sequence[Token], position: int) -> None:
        """Take a word that says how firmly, of what or of whom the next mention, or the last, is meant."""
        role = word.role
        if role == "final":
            self.final = True
            if (
                self.mentions
                and self.distance <= 4
                and any(next.role == "cue" for next in words[position : position + 3])
            ):
                self._raise_last(4.5)  # "anger is the dominant emotion"
        elif role == "prevails":
            if self.mentions and self.distance <= 2:
                self._raise_last(4.5)
        elif role in {"generic", "hypothetical"}:
            self.typical = True
            if self.mentions and self.distance <= (3 if role == "hypothetical" or self.units else 0):
                self.mentions[-1].level = 0  # "a happy person would show"
        elif role in {"valence", "arousal"}:
            self.dimension = True
        elif role in {"hedge", "may", "doubt"}:
            self.hedged, self.settled = True, True
        elif role == "unlikely":
            if self.mentions and self.distance <= 3:
                self.mentions.pop()  # "anger is unlikely"
            self.denied = not self.mentions
        elif role in {"except", "au", "others"}:
            self.denied = False
        elif role == "opinion":
            self.certain = self.denied
        elif role == "correction":
            self.mentions.clear()
            self.denied = False
        else:
            self.content = True

    def _take_feeling(self, word: Token, after: Sequence[Token]) -> None:
        if word.role == "shown" and (word.expression != "neutral" or not self.seen):
            self._take_rival(word)
            return
        named = word.role == "named"
        self.content = True
        self.fresh = False
        if not self.denied and (self.verdict or not _about_dimension(word, self.dimension, after)):
            joined = self.alternative and self.mentions
            if self.distance and not joined:
                self.chain += 1
            level = self.mentions[-1].level if joined and named and not self.final else self._level(named)
            score = _score(after)
            self.valued = score == 0
            if self.less:
                self.chain += 1
            else:
                self.mentions.append(_Mention(word.expression, level, score, self.chain, self.typical))
        # Evidence leaves a verdict open: "the expression shows a smile, hence happiness".
        self.distance = 0 if named and not self.minor and not self.typical else min(self.distance, 1)
        self.linked = self.settled = self.alternative = False

    def _take_rival(self, word: Token) -> None:
        """Take a behaviour or a feeling outside the eight; it counts as the other half of an "or" only."""
        self.content = True
        if not self.denied:
            if not (self.alternative and self.mentions):
                self.chain += 1
            self.mentions.append(_Mention(word.expression, 0, chain=self.chain))
        self.alternative = False

    def _level(self, named: bool) -> float:
        if self.minor or self.typical:
            return 1.0 if named else 0.5
        base = 2 + self.verdict + 1.5 * self.final if named else 1 + self.verdict + 0.5 * self.final
        return base - 0.25 * self.hedged

    def _take_cue(self, word: Token, words: Sequence[Token], position: int) -> None:
        """Take "expression" or "emotion": announced, stated ("anger is the emotion shown") or denied ("no emotion")."""
        if (
            self.denied
            and not self.content
            and word.text.startswith(("express", "emotion"))
            and words[position].text != "of"
        ):
            self.chain += 1
            if self.seen and _only_denied(words[position : position + 5]):
                self.mentions.append(_Mention("neutral", 2, chain=self.chain))
        elif self.mentions and self.linked and self.distance <= 4:
            self._raise_last(3)
        elif self.distance != 1:  # not "a happy expression"
            self.cue = True
            self.fresh = words[position].text == ":"
        self.content = True

    def _take_verb(self) -> None:
        self.linked = True
        self.verdict = self.verdict or self._undecided()
        if self.content and not self.certain:
            self.denied = False
        if not self.settled:
            self.hedged = self.minor = self.typical = False
            self.settled = True

    def _undecided(self) -> bool:
        return self.cue and (self.fresh or not self._verdicts())

    def _verdicts(self) -> bool:
        return bool([mention for mention in self.mentions if mention.level >= 2.5]) if self.mentions else False

    def _raise_last(self, level: float) -> None:
        self.mentions[-1].level = max(level, self.mentions[-1].level)


def _only_denied(after: Sequence[Token]) -> bool:
    """Whether "no emotion" is said of the face, not of what could be made out: "no emotion was detected"."""
    for word in after:
        if word.role == "end" or word.text in {",", ")"} or word.role == "but":
            return True
        if word.text in _TRIES or word.role in {"word", "strange", "hedge", "may", "unknown"}:
            return word.text in {"on", "in", "at", "here", "whatsoever", "her", "his", "their"}
    return True


_TRIES: Final = {"was", "were", "detected", "identified", "can not", "has", "have", "could", "may"}

_TITLE = ("cue", "filler", "final")
"""Words of a title line that announces the expression: "### Facial Expression"."""


def _about_dimension(word: Token, dimension: bool, after: Sequence[Token]) -> bool:
    """Whether the word describes valence, arousal or a thing, not a face: "neutral valence", "low arousal (calm)"."""
    if after[0].role == "place":  # "a calm sea", "Happy Birthday"
        return True
    if word.role == "shown":
        return dimension
    if word.expression != "neutral":
        return False
    for next_word in after[:3]:
        if next_word.text in {"and", "to", "or"}:
            continue
        if next_word.role in {"end", "link", "cue"}:
            break
        if next_word.role in {"valence", "arousal", "place"}:
            return True
    return dimension


def _score(after: Sequence[Token]) -> float | None:
    """Return the score behind an expression: "happiness: 0.8", "sad (15%)", "anger: 7/10", "fear: yes"."""
    assigned = bool(after) and after[0].text in _ASSIGNS
    if assigned:
        after = after[1:]
    elif after and after[0].role != "number":
        return None
    if not after:
        return None
    value, *rest = after
    if value.role == "number" and value.number >= 0:
        if len(rest) > 1 and rest[0].text == "/" and rest[1].role == "number" and rest[1].number > 0:
            return value.number / rest[1].number
        return value.number if assigned or value.number <= 1 else None
    if assigned and rest and (rest[0].text in _CLOSES or rest[0].role == "end"):
        return 1.0 if value.text in _YES else 0.0 if value.text in _NO else None
    return None
