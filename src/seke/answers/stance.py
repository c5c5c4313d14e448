"""Filter for sentences about the face at hand: nothing general, imagined, asked for, or in another language.

What is not understood states nothing: a sentence of another language, a definition ("AU12 is the lip corner puller"),
the task repeated ("choose among ...") and an example of an answer are left out before anything is read.
"""

from collections.abc import Sequence
from typing import Final

from seke.answers.lexicon import Token
from seke.answers.tokenizer import Sentence, sentence_of

SUSPECT: Final = {"foreign", "denial", "affirmed", "lore", "example", "order", "told", "generic"}
"""Roles without which every sentence is kept."""
_NEUTRAL_ROLES: Final = {
    "word", "sign", "number", "head", "end", "foreign", "denial", "affirmed", "shown", "cue", "valence", "active",
    "inactive", "side", "unknown", "name", "part",
}  # fmt: skip
"""Roles of words that are spelt alike in several languages, or belong to none."""
_COGNATES: Final = {
    "no", "a", "me", "an", "in", "on", "as", "include", "intense", "real", "facial", "final", "or", "do", "is", "was",
    "are", "neutral", "surprise", "horror", "terror", "rage", "panic", "mad", "glad", "content",
}  # fmt: skip
_FOREIGN: Final = {"foreign", "denial", "affirmed"}
_AND: Final = {"und", "et", "y", "e", "和", "与", "及"}
_JOINS: Final = frozenset({*",:+/&(", "and", *_AND})
_CONTRASTS: Final = {"but", "however", "yet", "though", "although"}
"""Words that turn from what holds in general to this face; "while" goes on with it."""
_BULLETS: Final = frozenset("-•|+>)")


def about_this_face(sentences: Sequence[Sentence], suspects: set[str]) -> list[Sentence]:
    """Return the sentences that state something; of a definition that turns ("..., but here AU9 is absent") the rest.

    Args:
        sentences: all sentences of a text.
        suspects: the roles of `SUSPECT` that occur in it.
    """
    kept = [rest for sentence in sentences if (rest := _stated(sentence)) is not None]
    return kept if suspects.isdisjoint(_FOREIGN) else _in_english(kept)


def _stated(sentence: Sentence) -> Sentence | None:
    roles = sentence.roles
    if roles.isdisjoint(SUSPECT):
        return sentence
    if "order" in roles and _orders(sentence.words):
        return None
    if "lore" in roles or "example" in roles:
        turns = [place for place, word in enumerate(sentence.words) if word.text in _CONTRASTS]
        last = max(place for place, word in enumerate(sentence.words) if word.role in {"lore", "example"})
        behind = [place for place in turns if place > last]
        return sentence_of(sentence.words[behind[0] :]) if behind else None
    return None if _first(sentence.words).role in {"told", "generic"} else sentence


def _first(words: Sequence[Token]) -> Token:
    return next((word for word in words if word.text not in _BULLETS), words[0])


def _orders(words: Sequence[Token]) -> bool:
    """Whether a sentence begins as an instruction: "Describe ...", "Task: ...", not "Estimate: 0.4"."""
    for place, word in enumerate(words[:-1]):
        if word.role == "order":
            if words[place + 1].role == "number":  # "Task 2 - AUs: ..."
                return False
            return words[place + 1].text not in {":", "=", "-"} or word.text in {"task", "please", "instruction"}
        if word.text not in _BULLETS and word.text != "please":
            return False
    return False


def _in_english(sentences: Sequence[Sentence]) -> list[Sentence]:
    """Leave out what is written in another language, but for units that it plainly affirms and for numbers."""
    counts = [_languages(sentence) for sentence in sentences]
    strange, english = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    kept = []
    for sentence, (foreign, own) in zip(sentences, counts, strict=True):
        if foreign:
            spoken = own >= foreign and own > 0
        else:  # "AU12 ausente." says nothing by itself; the sentences around it do
            spoken = own > 0 or strange <= english or sentence.roles.isdisjoint({"word", "strange"})
        if spoken:
            kept.append(sentence_of([_as_word(word) for word in sentence.words]))
        else:
            kept.append(sentence_of(_understood(sentence)))
    return kept


def _as_word(word: Token) -> Token:
    return Token("word", word.text) if word.role in _FOREIGN else word


def _understood(sentence: Sentence) -> list[Token]:
    """Return what is understood of a sentence in another language: "AU1 and AU4 are affirmed", and numbers."""
    words, roles = sentence.words, sentence.roles
    if "affirmed" in roles and "denial" not in roles:
        listed = _affirmed(words)
        return [*([Token("active", "active"), Token("be", ":")] if listed else []), *listed, words[-1]]
    if roles.isdisjoint({"valence", "arousal"}):
        return [words[-1]]
    return [
        word for word in words if word.role in {"valence", "arousal", "number", "sign", "link", "be", "scale", "end"}
    ]


def _affirmed(words: Sequence[Token]) -> list[Token]:
    """Return the units that stand right behind or before an affirming word."""
    place = next(place for place, word in enumerate(words) if word.role == "affirmed")
    behind = _run(words[place + 1 :])
    return behind or _run(words[:place][::-1])[::-1]


def _run(words: Sequence[Token]) -> list[Token]:
    run: list[Token] = []
    for word in words:
        if word.role in {"head", "number"} or word.text in _JOINS:
            run.append(Token("link", ",") if word.text in _AND else word)
        else:
            break
    return run if any(word.role == "number" for word in run) else []


def _languages(sentence: Sentence) -> tuple[int, int]:
    """Return how many words are of another language, and how many of English only; a gloss in brackets is of none."""
    words = sentence.words
    foreign = sum(
        word.role in _FOREIGN and not (place and words[place - 1].text == "(" and words[place + 1].text == ")")
        for place, word in enumerate(words)
    )
    own = sum(word.text.isalpha() and word.text not in _COGNATES and word.role not in _NEUTRAL_ROLES for word in words)
    return foreign, own
