"""Text -> tokens: one spelling for every sign, then words, phrases and FACS names from the lexicon.

Splitting takes time linear in the text: no pattern can match one character in two ways. A repair is only tried where
its needle occurs, and a word is looked up once and remembered, because answers repeat themselves.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from seke.lexicon import ACTIONS, END, PHRASES, WORDS, Token

_SIGNS: Final = str.maketrans(
    {
        **dict.fromkeys("−‐‑‒–﹣－", "-"), **dict.fromkeys("—―", " - "), **dict.fromkeys("‘’ʼ´", "'"),
        **dict.fromkeys("✓✔✅☑", " yes "), **dict.fromkeys("✗✘❌✖☐", " false "), **dict.fromkeys('"“”„«»`*#\\$', None),
        **dict.fromkeys("≈≃≅≡", "="), **dict.fromkeys("→⇒➔", ":"), "_": " ", "\t": " | ", "。": ". ",
        "；": ";", "、": ",",
    }
)  # fmt: skip
_REPAIRS: Final[tuple[tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = tuple(
    (needle, re.compile(pattern), new)
    for needle, pattern, new in (
        ("<", r"<br ?/?>", "\n"),
        ("<", r"</?[a-z][a-z ]{0,20}>", " "),
        ("boxed", r"\b(?:boxed|text|mathrm) ?\{([^{}\n]*)\}", r" \1 "),
        ("..", r"\.{2,}", " - "),
        ("[", r"\[ ?\]", " none "),
        ("[", r"\[x\]", " yes "),
        (">", r"[-=]>", ":"),
        ("|", r"(?<=[=:]) ?[0-9]{1,2}(?:\|[0-9]{1,2})+", lambda bars: bars[0].replace("|", ",")),
        ("can", r"\b(?:can't|cannot)\b", "can not"),
        ("n't", r"n't\b", " not"),
        ("'s", r"'s\b", ""),
        ("'", r"(?<![a-z])'|'(?![a-z])", ""),
        ("n/a", r"\bn/a\b", "unknown"),
        ("e.g.", r"\be\.g\.", "for example"),
        ("i.e.", r"\bi\.e\.", "for example"),
        ("-", r"-(?<=[a-z]-)(?=[a-z])", " "),
        ("{", r"(?<=au )\{([0-9]{1,2})\}", r"\1"),
    )
)
"""What to look for, the pattern that holds it, and what to put instead."""
_INITIAL: Final = re.compile(r"[va](?<!\w[va])(?:a\b| ?[:=,/&-] ?[-+.0-9a]| [-+]?[0-9]*\.[0-9])")
"""Valence or arousal by its initial: "v = 0.3", "V/A", "VA"."""
_INITIALS: Final = tuple(
    (re.compile(pattern), new)
    for pattern, new in (
        (r"v(?<!\wv)(?: ?[,/&-] ?a|a)\b", "valence, arousal"),
        (
            r"v(?<!\wv) ?[:=]? ?([-+]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+))[;,/| ]+a ?[:=]?(?= ?[-+.0-9])",
            r"valence: \1; arousal:",
        ),
        (r"v(?<!\wv) ?[:=](?= ?[-+.0-9])", "valence:"),
        (r"a(?<!\wa) ?[:=](?= ?[-+.0-9])", "arousal:"),
    )
)
_TOKEN: Final = re.compile(
    r"(?:(?<![0-9a-z)\]])[+-])?(?:0,[0-9]+(?![0-9]|[.,][0-9])|1,0+(?![0-9]|[.,][0-9])"
    r"|[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|(?<![0-9])\.[0-9]+)"
    r"(?:[a-elr]?[a-dlr](?!\w)|e(?![\w+-])|\ ?%)?"  # intensity and side (AU12CL), or percent
    r"|(?:vs|approx|cf|resp|ca)\."
    r"|[^\W\d_]+(?:'[^\W\d_]+)?"
    r"|[?;\n]"
    r"|[.!](?:\s|$)"
    r"|[^\w\s.!]"
)


class Sentence(NamedTuple):
    """A sentence or line."""

    words: list[Token]
    """Its tokens; the last has the role `end`."""
    roles: set[str]
    """The roles that occur in it."""

    @property
    def asks(self) -> bool:
        """Whether it is a question, which states nothing."""
        return self.words[-1].text == "?"


def normalise(text: str) -> str:
    """Return `text` in lower case, without mark-up and quotes, contractions undone, signs in one spelling."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_SIGNS))
    text = text.translate(_SIGNS).casefold()
    if _INITIAL.search(text):
        for initial, words in _INITIALS:
            text = initial.sub(words, text)
    for needle, pattern, new in _REPAIRS:
        if needle in text:
            text = pattern.sub(new, text)
    return text


def tokens(text: str) -> list[Token]:
    """Split normalised text into tokens; the end of a sentence, line or half-sentence is a token of role `end`."""
    words = _with_phrases(_TOKEN.findall(text))
    return _with_names(words) if "part" in [word.role for word in words] else words


def sentences(words: Sequence[Token]) -> list[Sentence]:
    """Return the sentences and lines of a text, each with its closing token."""
    found: list[Sentence] = []
    start = 0
    for position, word in enumerate(words, 1):
        if word.role == "end" and word.text != ";":
            found.append(sentence_of([*words[start:position]]))
            start = position
    return [*found, sentence_of([*words[start:], END])]


def sentence_of(words: list[Token]) -> Sentence:
    """Return the sentence that some tokens make."""
    return Sentence(words, {word.role for word in words})


@lru_cache(maxsize=20_000)
def _token(text: str) -> Token:
    known = WORDS.get(text)
    if known:
        return known
    if any(sign.isdecimal() for sign in text):
        return _number(text)
    if text[0] in ".!?;\n":
        return Token("end", text[0])
    return Token("word" if text[0].isalpha() else "sign", text)


def _number(text: str) -> Token:
    percent, digits = "%" in text, text.rstrip(" %abcdelr")
    if digits == "-0":  # the text breaks off within "-0.4"
        return Token("number", digits, number=float("nan"))
    value = float(digits.replace(",", "."))
    return Token("number", digits + "%" * percent, number=value / 100 if percent else value)


def _with_phrases(plain: list[str]) -> list[Token]:
    """Return the token of every word, and one token for every phrase."""
    out: list[Token] = []
    done = 0
    for position in [position for position, text in enumerate(plain) if text in PHRASES]:
        if position < done:
            continue
        for phrase, token in PHRASES[plain[position]]:
            end = position + len(phrase)
            if plain[position:end] == phrase:
                out += [*map(_token, plain[done:position]), token]
                done = end
                break
    return [*out, *map(_token, plain[done:])]


def _with_names(words: Sequence[Token]) -> list[Token]:
    """Join a part and its movement into one token of role `name`: "cheek raiser", "raised cheeks", "lips are parted".

    A "not" between the two is put before them.
    """
    out: list[Token] = []
    position = 0
    while position < len(words):
        word = words[position]
        if word.role != "part":
            out.append(word)
            position += 1
            continue
        between = 0
        while between < 3 and position + between + 1 < len(words) and _may_stand_between(words[position + between + 1]):
            between += 1
        action = words[position + between + 1].text if position + between + 1 < len(words) else ""
        au = ACTIONS.get((word.text, action))
        if au is not None:
            after = words[position + between + 2].text if position + between + 2 < len(words) else ""
            out += [other for other in words[position + 1 : position + between + 1] if other.role == "not"]
            out.append(Token("name", word.text, au=15 if au == 12 and after.startswith("down") else au))
            position += between + 2
            continue
        au = ACTIONS.get((word.text, out[-1].text)) if out else None
        if au is not None:
            out[-1] = Token("name", word.text, au=au)
        else:
            out.append(Token("word", word.text))
        position += 1
    return out


def _may_stand_between(word: Token) -> bool:
    return word.role == "not" or word.text in ("is", "are", "do", "does", "did") or word.text.endswith("ly")
