"""What a sequence of tokens states about expression, valence and arousal. One pass for each.

A pass walks once over the tokens with a bounded look-ahead, so reading takes time linear in the text.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from seke.lexicon import END, Token, sentences

# expression -------------------------------------------------------------------------------------------------------


class _Mention(NamedTuple):
    expression: str
    level: float
    """How firmly it is stated: 1 evidence, 2 statement, 3 verdict ("the expression is"), above 4 a final verdict."""
    score: float | None = None
    """The probability that the text gives it."""
    chain: int = 0
    """Mentions joined by "and", "or" and commas form a chain."""
    typical: bool = False
    """Whether it is said of action units or people at large, not of this face."""


def read_expression(words: Sequence[Token]) -> str | None:
    """Return the expression that is stated most firmly; None where there is none or several are stated alike."""
    mentions: list[_Mention] = []
    announced = False
    for sentence in sentences(words):
        reader = _ExpressionReader(announced)
        mentions += reader.read(sentence)
        announced = reader.announces
    scores: dict[str, float] = {}
    for mention in mentions:
        if mention.score is not None:
            scores[mention.expression] = max(mention.score, scores.get(mention.expression, 0.0))
    if len(scores) > 1:
        highest = max(scores.values())
        mentions = [mention for mention in mentions if mention.score is None]
        mentions += [_Mention(expression, 3.25) for expression, score in scores.items() if score == highest]
    firmest = max((mention.level for mention in mentions), default=0)
    ranking = Counter(mention.expression for mention in mentions if mention.level == firmest).most_common(2)
    if not ranking or (len(ranking) > 1 and ranking[0][1] == ranking[1][1]):
        return None
    return ranking[0][0]


class _ExpressionReader:
    """Walks over one sentence and collects the expressions that it states."""

    def __init__(self, announced: bool) -> None:
        self.found: list[_Mention] = []
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
        self.announces = announced
        """Whether the next line says what the expression is ("Expression:")."""

    def read(self, sentence: Sequence[Token]) -> list[_Mention]:
        """Return the mentions that count."""
        for position, word in enumerate(sentence):
            self._take(word, sentence[position + 1 : position + 5])
        if {"if", "hypothetical"} <= {word.role for word in sentence}:
            return []
        several = 2 if any(word.role == "options" for word in sentence) else 3
        chains: dict[int, set[str]] = {}
        for mention in self.found:
            chains.setdefault(mention.chain, set()).add(mention.expression)
        body = [word for word in sentence if word.role != "end" and word.text != "|"]
        titled = bool(body) and (body[-1].text in (":", "=") or all(word.role in _TITLE for word in body))
        self.announces = (self.cue and titled and not self.found) or (self.announces and not body)
        return [
            mention
            for mention in self.found
            # "AU4, which is common in anger, is absent" states no anger.
            if mention.level > 0
            and not (mention.typical and self.negative)
            and (mention.score is not None or len(chains[mention.chain]) < several)
        ]

    def _take(self, word: Token, after: Sequence[Token]) -> None:
        role = word.role
        if role in ("named", "shown"):
            self._take_mention(word, after)
            return
        if role in ("link", "minor", "typical"):
            self.minor = self.minor or role == "minor"
            self.typical = self.typical or role == "typical"
            return
        if self.distance == 0:
            self.verdict = False  # a verdict is its first mention and what is joined to that
        self.distance += 1
        if role in ("not", "no", "than"):
            self.denied, self.content, self.certain, self.negative = True, False, False, True
        elif role == "but" or word.text == ";":
            self.denied = self.hedged = self.minor = self.typical = self.dimension = False
            self.verdict = self._undecided()
        elif role == "cue":
            self._take_cue(word, after)
        elif role in ("be", "verb"):
            self._take_verb()
        elif role == "final":
            self.final = True
            if self.found and self.distance <= 4 and any(following.role == "cue" for following in after[:3]):
                self._raise_last(4.5)  # "anger is the dominant emotion"
        elif role == "prevails":
            if self.found and self.distance <= 2:
                self._raise_last(4.5)
        elif role in ("generic", "hypothetical"):
            self.typical = True
            if role == "hypothetical" and self.found and self.distance <= 3:
                self.found[-1] = self.found[-1]._replace(level=0)  # "a happy person would show"
        elif role in ("valence", "arousal"):
            self.dimension = True
        elif role == "hedge":
            self.hedged, self.settled = True, True
        elif role in ("except", "au", "others"):
            self.denied = False
        elif role == "opinion":
            self.certain = self.denied
        elif role not in ("filler", "active", "all"):
            self.content = True

    def _take_mention(self, word: Token, after: Sequence[Token]) -> None:
        named = word.role == "named"
        self.content = True
        if not self.denied and (self.verdict or not _about_dimension(word, self.dimension, after)):
            if self.distance:
                self.chain += 1
            self.found.append(_Mention(word.expression, self._level(named), _score(after), self.chain, self.typical))
        # Evidence leaves a verdict open: "the expression shows a smile, hence happiness".
        self.distance = 0 if named and not self.minor and not self.typical else min(self.distance, 1)
        self.linked = self.settled = False

    def _level(self, named: bool) -> float:
        if self.minor or self.typical:
            return 1.0 if named else 0.5
        base = 2 + self.verdict + 1.5 * self.final if named else 1 + self.verdict + 0.5 * self.final
        return base - 0.25 * self.hedged

    def _take_cue(self, word: Token, after: Sequence[Token]) -> None:
        """Take "expression" or "emotion": announced, told ("anger is the emotion shown") or denied ("no emotion")."""
        if self.denied and not self.content and word.text.startswith(("express", "emotion")) and not _says(after, "of"):
            self.chain += 1
            self.found.append(_Mention("neutral", 2, chain=self.chain))
        elif self.found and self.linked and self.distance <= 4:
            self._raise_last(3)
        elif self.distance != 1:  # not "a happy expression"
            self.cue = True
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
        return self.cue and not any(mention.level >= 2.5 for mention in self.found)

    def _raise_last(self, level: float) -> None:
        self.found[-1] = self.found[-1]._replace(level=max(level, self.found[-1].level))


_TITLE = ("cue", "filler", "final")
"""Words of a title line that announces the expression: "### Facial Expression"."""


def _about_dimension(word: Token, dimension: bool, after: Sequence[Token]) -> bool:
    """Whether the word describes valence, arousal or a thing, not a face: "neutral valence", "low arousal (calm)"."""
    if word.role == "shown":
        return dimension
    if word.expression != "neutral":
        return False
    for next_word in after[:3]:
        if next_word.text in ("and", "to", "or"):
            continue
        if next_word.role in ("end", "link"):
            break
        if next_word.role in ("valence", "arousal", "place"):
            return True
    return dimension


def _says(after: Sequence[Token], text: str) -> bool:
    return bool(after) and after[0].text == text


def _score(after: Sequence[Token]) -> float | None:
    """Return the probability behind an expression: "happiness: 0.8", "sad (15%)"."""
    if after and after[0].text in (":", "=", "(", "|", "-"):
        after = after[1:]
    if after and after[0].role == "number" and 0 <= after[0].number <= 1:
        return after[0].number
    return None


# valence and arousal ----------------------------------------------------------------------------------------------

_SCALES = {(-1, 1), (0, 1), (0, 5), (1, 5), (1, 7), (0, 10), (1, 9), (1, 10), (0, 100), (-5, 5), (-10, 10), (-100, 100)}
_OF = ("for", "in", "on", "of", "(", "the")
"""What may stand between a number and the dimension it is of: "0.4 in valence"."""
_PATIENCE = 14
"""How many plain words may stand between "valence" and its number."""


def read_valence_arousal(words: Sequence[Token]) -> tuple[float | None, float | None]:
    """Return valence and arousal as stated last, in [-1, 1]; None where unstated, out of range or on another scale."""
    values: dict[str, float | None] = {}
    words, foreign = _without_scales(words)
    waiting: list[str] = []
    plain = 0
    loose: float | None = None
    loose_at = -9
    scale_ends = 0
    for position, word in enumerate(words):
        before = words[position - 1] if position else END
        following = words[position + 1 : position + 3]
        if word.role in ("valence", "arousal"):
            own = bool(following) and (following[0].role == "be" or following[0].role == "number")
            between = words[loose_at + 1 : position]
            if loose is not None and not waiting and not own and all(word.text in _OF for word in between):
                values[word.role] = loose
            elif waiting and plain == 0 and before.role in ("link", "be", "sign", "valence", "arousal"):
                waiting.append(word.role)
            else:
                waiting = [word.role]
            loose, plain, scale_ends = None, 0, 0
        elif word.role == "number":
            if before.text in ("±", "not") or before.role == "confidence" or _is_legend(following):
                continue
            whole = not any(sign in word.text for sign in ".,e%") or word.text.lstrip("+-") in ("1.0", "1.00")
            if scale_ends and whole and "%" not in word.text:
                scale_ends -= 1
                continue
            number: float | None = -word.number if before.text in ("minus", "negative") else word.number
            if (
                _says(following, "/")
                and len(following) > 1
                and following[1].text.isdecimal()
                and following[1].text > "0"
            ):
                number = number if following[1].text == "1" else None
            if waiting:
                values[waiting.pop(0)] = number
                plain = 0
            elif not whole:
                loose, loose_at = number, position
        elif word.role == "range":
            scale_ends = 2
        elif word.role == "end":
            scale_ends = 0
            if word.text in ".?!" or (word.text == "\n" and plain):
                waiting, loose = [], None
        elif word.role not in ("link", "be", "sign", "filler", "hedge"):
            if word.role not in ("named", "shown", "active"):
                plain += 1
            if plain > _PATIENCE:
                waiting = []
    if foreign:
        return None, None
    valence, arousal = (values.get(name) for name in ("valence", "arousal"))
    return _unit(valence), _unit(arousal)


def _unit(value: float | None) -> float | None:
    return value if value is not None and -1 <= value <= 1 else None


def _is_legend(following: Sequence[Token]) -> bool:
    """Whether a number is only explained: "(-1 = very negative, 1 = very positive)"."""
    return len(following) > 1 and following[0].text in ("=", "is", "being") and following[1].role != "number"


def _without_scales(words: Sequence[Token]) -> tuple[list[Token], bool]:
    """Take out stated scales ("-1 to 1", "[-1, 1]") and put the middle for an interval ("0.6-0.8").

    The second result says whether a scale is another one than [-1, 1] or [0, 1].
    """
    out: list[Token] = []
    foreign = False
    position = 0
    while position < len(words):
        word = words[position]
        pair = words[position : position + 3]
        if len(pair) == 3 and word.role == "number" and pair[2].role == "number":
            before = words[position - 1].text if position else ""
            spans = pair[1].text in ("to", "-", "~") or (before in ("between", "from") and pair[1].text == "and")
            ends = (word.number, pair[2].number)
            if ends in _SCALES and (spans or (pair[1].text == "," and before in ("[", "(") and ends[0] < 0)):
                foreign = foreign or ends[1] != 1
                position += 3
                continue
            if spans and ends[0] < ends[1]:
                if out and before in ("between", "from"):
                    out.pop()
                out.append(Token("number", ".", number=round((ends[0] + ends[1]) / 2, 6)))
                position += 3
                continue
        out.append(word)
        position += 1
    return out, foreign
