"""Selection of the parts of an answer that speak about the face: no refusals, no quotations, one face of several.

Everything here works on text, before it is split into tokens.
"""

import re
from collections.abc import Set
from typing import Final

_REST: Final = r"(?:[^.!?\n]|\.(?=\S))"
_REFUSED: Final = (
    r"help|assist|identify\w*|determine|provide|analy[sz]e|recogni[sz]e|infer|describe|comment|fulfill|comply|make|answer"
    r"|process|view|access|give|offer|discuss|interpret|assess|evaluate|label|classify|tell|guess|speculate"
)
_REFUSAL: Final = re.compile(
    rf"\b(?:i|we|i'm|me)\b{_REST}{{0,60}}?\b(?:"
    rf"(?:can not|could not|unable|not able|not possible|will not){_REST}{{0,40}}?\b(?:{_REFUSED})\b"
    r"|not (?:feel )?comfortable|must decline|not have the (?:ability|capability)"
    r"|not (?:help|assist|provide|comply|analy[sz]e|infer)\b"
    r"|not see (?:an|any|the) (?:image|picture|photo)"
    rf"){_REST}*"
    rf"|\bunable to (?:{_REFUSED})\b{_REST}*"
    rf"|\b(?:once|as soon as) (?:i|you)\b{_REST}*"
    rf"|\boutside my (?:abilities|ability|capabilities|scope|remit|competence)\b"
    rf"|\b(?:i|we) must refuse\b{_REST}*"
    rf"|\b(?:not something i can|something i can not|beyond what i can)\b{_REST}*"
)
"""A clause in which the writer declines or asks for the picture, to the end of the sentence."""
_REFUSAL_NEEDLES: Final = (" not ", "unable", "decline", "beyond", "once ", "soon as", "outside my", "refuse")
"""No refusal is without one of these."""
_REFUSING: Final = frozenset(["not", "unable", "decline", "beyond", "once", "soon", "outside", "refuse"])
"""The same as words."""
_BEYOND: Final = ("not something", "something", "beyond", "outside")
_TURN: Final = re.compile(r"\b(?:but|however|though)\b")
_QUOTATION: Final = re.compile(
    r"(?:(?<=[A-Za-z])(?<!\bas)(?<!\bis)(?<!\bbe),? "
    r"|\b(?:asks?|asked|says?|said|reads?|cries|shouts?|whispers?) ?: ?[*_]*)"
    r'"(?=[^"\s]* )[^"\n]*"(?! ?:)[*_]*'
    r'|(?<= says |reads )"[^"\n]*"'
)
"""Somebody's words: several of them, behind a word of the sentence and not as a value ("label: ...", "as ...")."""

_PERSON: Final = r"(?:person|persons|people|man|woman|boy|girl|child|kid|baby|lady|guy|face|individual|one|figure)"
_PLACE: Final = r"(?:left|right|centre|center|middle|front|back|foreground|background|top|bottom)"
_RELATIVES: Final = (
    "mother", "father", "mom", "mum", "dad", "son", "daughter", "husband", "wife", "brother", "sister", "grandmother",
    "grandfather", "grandson", "granddaughter", "bride", "groom", "girlfriend", "boyfriend", "parents", "twin",
    "colleague", "friend", "partner",
)  # fmt: skip
_KIN: Final = f"(?:{'|'.join(_RELATIVES)})"
_DOES: Final = r"(?:are|\w+s)"
_HER: Final = re.compile(rf"(?<=[;,] )(?:(?:and|while|but|whereas) )?s?he(?= {_DOES}\b)")
"""Where an answer that has named somebody's kin turns back to the one they belong to."""
_FACE: Final = re.compile(
    rf"\b{_PERSON}(?: \w+)?,? \(?(?:on|to|at|in) the (?:far )?{_PLACE}\b"
    rf"|\b(?:person|face|individual|subject) ?(?::? ?[0-9]|#?[a-d]|one|two|three)\b(?! is the)"
    rf"|\b(?:first|second|third|fourth|other|left|right) {_PERSON}\b"
    rf"|(?:^|\n)[-*• ]*(?:[0-9][.):] ?)?{_PLACE}(?: {_PERSON})?(?= ?[-:(])"
    rf"|\b(?:the|her|his|their|my|a) {_KIN}(?= {_DOES}\b)"
    rf"|\bthe (?:first|second|third|other|latter|former)(?: one)?(?= {_DOES}\b)"
)
"""Where an answer about several faces turns to one of them."""
_RELATED: Final = re.compile(rf"h(?:er|is) {_KIN}")
_SECOND: Final = re.compile(r"(?:person|face|individual|subject) ?[:#]? ?(?:[2-9]|b\b|two\b)")
_PLACES: Final = frozenset(
    ["left", "right", "centre", "center", "central", "middle", "front", "foreground", "background", *_RELATIVES]
)
_OTHER: Final = re.compile(rf"(?:other|second)(?: one)? (?:{_PERSON}|{_DOES})\b")
_NUMBERS: Final = frozenset(["2", "b", "two"])
_ORDINALS: Final = frozenset(["other", "second", "another"])
"""No answer turns to a second face without a word of these or those."""
CLOSER_LOOK: Final = _REFUSING | _PLACES | _NUMBERS | _ORDINALS
"""An answer without any of these words neither refuses nor describes several faces."""
_SUBJECT: Final = re.compile(
    r"\b(?:subject|in question|main (?:person|face)|focus|foreground|closest|nearest|most prominent (?:person|face)"
    r"|(?:we are|is) asked about|you asked about(?! (?:one|a) ))\b"
)
"""How an answer singles out one face."""


def without_quotations(text: str) -> str:
    """Blank what somebody is quoted to say: 'The subtitle reads "I am so happy"' says nothing about the face."""
    return _QUOTATION.sub(" ", text) if '"' in text or "“" in text else text


def refuses(normal: str) -> bool:
    """Return whether the writer of a normalised text declines to answer, wholly or in part."""
    return any(map(normal.__contains__, _REFUSAL_NEEDLES)) and _REFUSAL.search(normal) is not None


def may_refuse(words: Set[str]) -> bool:
    """Return whether a text of these words needs a closer look for a refusal."""
    return not words.isdisjoint(_REFUSING)


def without_refusals(normal: str) -> str:
    """Blank refusing clauses, up to a "but": "I can't identify people, but she looks happy"."""
    if not refuses(normal):
        return normal
    kept: list[str] = []
    position = 0
    for refusal in _REFUSAL.finditer(normal):
        before = normal[position : refusal.start()]
        if refusal[0].startswith(_BEYOND):  # "naming emotions such as anger is something I can not do"
            before = before[: max(before.rfind(end) for end in ".!?\n") + 1]
        turns = list(_TURN.finditer(refusal[0]))
        kept += [before, " . ", refusal[0][turns[-1].start() :] if turns else ""]
        position = refusal.end()
    return "".join([*kept, normal[position:]])


def faces(normal: str, words: Set[str]) -> list[str]:
    """Return the parts of a text that speak about one of several faces each; none if one face is meant.

    Args:
        normal: a normalised text.
        words: its words.

    >>> text = "the woman on the left is happy, the man on the right is sad"
    >>> faces(text, set(text.split()))
    [' is happy, the ', ' is sad']
    """
    if not (
        not words.isdisjoint(_PLACES)
        or (not words.isdisjoint(_NUMBERS) and _SECOND.search(normal))
        or (not words.isdisjoint(_ORDINALS) and _OTHER.search(normal))
    ):
        return []
    marks = list(_FACE.finditer(normal))
    if len(marks) == 1 and _RELATED.match(marks[0][0]):
        marks += _HER.finditer(normal, marks[0].end())
    if len({mark[0].strip() for mark in marks}) < 2 or _SUBJECT.search(normal):
        return []
    ends = [mark.start() for mark in marks[1:]] + [len(normal)]
    return [normal[mark.end() : end] for mark, end in zip(marks, ends, strict=True)]
