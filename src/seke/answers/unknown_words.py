"""Filter for labels beside unknown words: "AU6 bulunmuyor" and "AU12 obfuscates AU15" state nothing.

Words are many and grammar is short, so this works the other way round than a list of exceptions: a unit or emotion
counts only if no word of unknown meaning stands between it and the end of its clause, a sign, or a word that ends the
unknown word's reach. The words that are known to change nothing are those of `PLAIN_WORDS`.
"""

from collections.abc import Sequence
from typing import Final

from seke.answers.lexicon import AFFIRMED, Token
from seke.answers.tokenizer import Sentence, sentence_of

_LABELS: Final = {"au", "others", "named"}
_CLOSING: Final = {"end", "but", "strange", "active", "inactive", "unknown"}
"""Roles that end the reach of an unknown word on either side."""
_SIGNS: Final = frozenset(",;()[]{}|:=-•/")
_LEADS: Final = {"be", "verb", "cue", "not", "no", "head", "valence", "arousal"}
"""Roles before a label that say what is meant by it, whatever stands before them."""
_SETS_OFF: Final = {"and", "or", "&", "with", "via", "by", "without"}
_TRAILS: Final = {"cue", "valence", "arousal"}
_COMPLETES: Final = {
    "in", "of", "with", "on", "at", "as", "by", "from", "through", "around", "near", "due", "and", "or", "&", "face",
    "look", "smile", "mood", "demeanor", "demeanour", "state", "here", "during", "when", "where", "this",
    "that", "because", "since", "which", "who", "without", "about",
}  # fmt: skip
"""Behind a label these begin something new: "AU4 in the glabella"."""
_JOINS: Final = {",", "and", "or", "&", "+", "/", "nor"}
DOUBTS: Final = {"strange", "minor"}
_LIKENS: Final = {"like", "resembles", "resemble", "resembling"}
_WORD: Final = Token("word", "label")


def understood(sentence: Sentence) -> Sentence:
    """Return the sentence without the labels that an unknown word reaches; linear in its length."""
    roles = sentence.roles
    if roles.isdisjoint(DOUBTS) or _LABELS.isdisjoint(roles):
        return sentence
    words = sentence.words
    open_labels: set[int] = set()
    for place, word in enumerate(words):
        if word.role == "strange" or word.text in _LIKENS:
            # A sign that is not understood ("AU4 ███") is said of what stands before it; before a label it is a bullet.
            for label in (_before(words, place), _behind(words, place) if word.text.isalnum() else None):
                if label is None or label in open_labels:
                    continue
                if word.role == "strange" or words[label].role == "au":  # "looks like anger" is a way to say anger
                    open_labels.update(_group(words, label))
    if not open_labels:
        return sentence
    return sentence_of([_WORD if place in open_labels else word for place, word in enumerate(words)])


def _before(words: Sequence[Token], place: int) -> int | None:
    """Return the label that an unknown word may be said of: "AU6 bulunmuyor"."""
    for look in range(place - 1, max(place - 7, -1), -1):
        word = words[look]
        if word.role in _LABELS:
            return look if word.state is None else None
        if word.role in _CLOSING or word.role in _TRAILS or word.text in _SIGNS or word.text in _COMPLETES:
            return None
    return None


def _behind(words: Sequence[Token], place: int) -> int | None:
    """Return the label that an unknown word may lead to: "one might argue for AU17"."""
    for look in range(place + 1, min(place + 7, len(words))):
        word = words[look]
        if word.role in _LABELS:
            return look if word.state is None or look == place + 1 else None
        if (
            word.role in _CLOSING
            or word.role in _LEADS
            or word.text in _SIGNS
            or word.text in _SETS_OFF
            or word.text in AFFIRMED
        ):
            return None
    return None


def _group(words: Sequence[Token], place: int) -> list[int]:
    """Return the places of the labels that are joined to one: "AU4, AU7 and AU24"."""
    places = [place]
    for step in (-1, 1):
        look = place + step
        while 0 <= look < len(words) and (words[look].role in _LABELS or words[look].text in _JOINS):
            if words[look].role in _LABELS:
                places.append(look)
            look += step
    return places
