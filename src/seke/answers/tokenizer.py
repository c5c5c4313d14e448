"""Tokenizer of answers: one spelling for every sign, then words, phrases and FACS names from the lexicon.

Splitting takes time linear in the text: no pattern can match one character in two ways. A repair is only tried where
its needle occurs, and a word is looked up once and remembered, because answers repeat themselves.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import compress, count
from typing import Final

from seke.answers.lexicon import ACTIONS, END, PARTS, PHRASES, ROLE, WORDS, Token
from seke.answers.plain_words import PLAIN_WORDS

_SIGNS: Final = str.maketrans(
    {
        **dict.fromkeys("−‐‑‒–﹣－", "-"), **dict.fromkeys("—―", " - "), **dict.fromkeys("‘’ʼ´", "'"),
        **dict.fromkeys("①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳", ", "),
        **dict.fromkeys("✓✔✅☑", " yes "), **dict.fromkeys("✗✘❌✖☐×❎", " false "),
        **dict.fromkeys('"“”„«»`*#\\$', None),
        **dict.fromkeys("≈≃≅≡", "="), **dict.fromkeys("→⇒➔", ":"), "_": " ", "\t": " | ", "。": ". ",
        "；": ";", "、": ",",
    }
)  # fmt: skip
_UNUSUAL: Final = re.compile("[" + re.escape("".join(map(chr, _SIGNS)) + "<[>|'{/") + "]")
"""A text without such a sign needs no translation, and only the repairs of `_COMMON_REPAIRS`."""
_REPAIRS: Final[tuple[tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = tuple(
    (needle, re.compile(pattern), new)
    for needle, pattern, new in (
        ("<", r"<(expression|emotion|valence|arousal|aus?|action units?)>", r"\n\1: "),
        ("<", r"<br ?/?>", "\n"),
        ("<", r"(?<=[0-9] )<([a-z]+)>", r"\1"),  # "AU4 <absent>"
        ("<", r"</?[a-z][a-z ]{0,20}>", " "),
        ("boxed", r"\b(?:boxed|text|mathrm) ?\{([^{}\n]*)\}", r" \1 "),
        ("n:", r"(?<![^\n])[-• ]*n: ?(?=au)", "inactive: "),
        ("..", r"\.{2,}", " - "),
        ("(+)", r"\(\+\) ?(?=au)", " active: "),
        ("(-)", r"\(-\) ?(?=au)", " inactive: "),
        ("[ ]", r"\[ \](?= ?[a-z])", " false "),
        ("[", r"\[ ?\]", " none "),
        ("[", r"\[0,1\]", "[0, 1]"),  # two numbers, not 0.1
        ("[", r"\[x\]", " yes "),
        (">", r"[-=]>", ":"),
        ("|", r"(?<=[=:]) ?[0-9]{1,2}(?:\|[0-9]{1,2})+", lambda bars: bars[0].replace("|", ",")),
        ("can", r"\b(?:can't|cannot)\b", "can not"),
        ("won't", r"\bwon't\b", "will not"),
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
_COMMON_REPAIRS: Final = tuple(repair for repair in _REPAIRS if not _UNUSUAL.search(repair[0]) and repair[0] != "boxed")
_INITIAL: Final = re.compile(r"[va](?![b-z])(?<!\w[va])(?:a\b| ?[:=,/&-] ?[-+.0-9a]| [-+]?[0-9]*\.[0-9])")
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
_TOKEN, _ASCII_TOKEN = (
    re.compile(
        rf"((?:vs|approx|cf|resp|ca)\.|{letter}+(?:'{letter}+)?|[^-+.!\w\s]|\n"
        r"|(?:(?<![0-9a-z)\]])[+-])?(?:0,[0-9]+(?![0-9]|[.,][0-9])|1,0+(?![0-9]|[.,][0-9])"
        r"|[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|(?<![0-9])\.[0-9]+)"
        r"(?:[a-elr]?[a-dlr](?!\w)|e(?![\w+-])|\ ?%)?"  # intensity and side (AU12CL), or percent
        r"|[.!](?:\s|$)|[-+]) *"
    )
    for letter in (r"[^\W\d_]", "[a-z]")
)
"""Any token, and the same faster where all letters are ASCII."""


@dataclass(slots=True)
class Sentence:
    """A sentence or line."""

    words: list[Token]
    """Its tokens; the last has the role `end`."""
    roles: set[str]
    """The roles that occur in it."""

    @property
    def asks(self) -> bool:
        """Whether it is a question, which states nothing."""
        return self.words[-1].text == "?"


def _without_ordinals(text: str) -> str:
    """Blank what numbers the items of a list: at the start of lines, before "AU", and in a run that begins with 1."""
    text = _ORDINAL.sub(" ", text)
    run, expected = [], 1
    for match in _ENUMERATED.finditer(text):
        if int(match[1]) == expected:
            run.append(match)
            expected += 1
    if len(run) < 2:
        return text
    for match in reversed(run):
        text = f"{text[: match.start()]}, {text[match.end() :]}"
    return text


_LISTED: Final = re.compile(r"[0-9](?<![\w.][0-9])[0-9]?[.)\]]{1,2}[ :]")
_ORDINAL: Final = re.compile(
    r"(?:^|(?<=\n))[ •-]{0,8}[(\[]?[0-9]{1,2}[.)\]]{1,2} (?=[ •-]{0,8}[^\W\d])|[(\[][0-9]{1,2}[)\]][ :.]?(?= ?au)"
)
_ENUMERATED: Final = re.compile(r"(?<![^\s:;,(])\(?([0-9]{1,2})[.)] (?=[a-z(])")


def normalise(text: str) -> str:
    """Return `text` in lower case, without mark-up and quotes, contractions undone, signs in one spelling."""
    unusual = _UNUSUAL.search(text) is not None
    if not text.isascii():
        unusual, text = True, unicodedata.normalize("NFKC", text.translate(_SIGNS))
    if unusual:
        text = text.translate(_SIGNS)
    text = text.casefold()
    if _LISTED.search(text):
        text = _without_ordinals(text)
    if _INITIAL.search(text):
        for initial, words in _INITIALS:
            text = initial.sub(words, text)
    for needle, pattern, new in _REPAIRS if unusual else _COMMON_REPAIRS:
        if needle in text:
            text = pattern.sub(new, text)
    return text


def split(normal: str) -> list[str]:
    """Split normalised text into words, numbers and signs."""
    return (_ASCII_TOKEN if normal.isascii() else _TOKEN).findall(normal)


def tokens(plain: list[str]) -> list[Token]:
    """Return the tokens of a split text; the end of a sentence, line or half-sentence has the role `end`."""
    words = _with_phrases(plain)
    return words if PARTS.isdisjoint(plain) else _with_names(words)


def sentences(words: list[Token]) -> list[Sentence]:
    """Return the sentences and lines of a text, each with its closing token."""
    roles = [*map(ROLE, words)]
    parts: list[Sentence] = []
    start = end = 0
    for _ in range(roles.count("end")):
        end = roles.index("end", end) + 1
        if words[end - 1].text != ";":
            parts.append(Sentence(words[start:end], set(roles[start:end])))
            start = end
    if start < len(words):
        parts.append(sentence_of([*words[start:], END]))
    return parts


def yes_or_no(words: Sequence[Token]) -> bool | None:
    """Return what a sentence answers to the question before it: "Yes.", "A: no"; None if neither."""
    for word in words[:4]:
        if word.text in {"yes", "no"}:
            return word.text == "yes"
        if word.text not in {"a", "answer", ":", "-"}:
            break
    return None


def sentence_of(words: list[Token]) -> Sentence:
    """Return the sentence that some tokens make."""
    return Sentence(words, set(map(ROLE, words)))


class _Tokens(dict[str, Token]):
    """The token of every word met so far, 20,000 at most: answers repeat themselves."""

    def __missing__(self, text: str) -> Token:
        if len(self) >= 20_000:
            self.clear()
        self[text] = _token(text)
        return self[text]


_TOKENS: Final = _Tokens()


def _token(text: str) -> Token:
    known = WORDS.get(text)
    if known:
        return known
    if any(sign.isdecimal() for sign in text):
        return _number(text)
    if text[0] in ".!?;\n":
        return Token("end", text[0])
    if not text[0].isalpha():
        return Token(
            "sign" if text.isascii() or not ("\u2500" <= text <= "\u25ff" or text in "★☆") else "strange", text
        )
    if text.isascii():
        return Token("word" if text in PLAIN_WORDS or (text.endswith("ly") and len(text) > 4) else "strange", text)
    if _AFFIRMED.fullmatch(text):
        return Token("affirmed", text)
    if _ASKED.fullmatch(text):
        return Token("cue", text)
    return Token("denial" if _DENIAL.search(text) else "foreign", text)


_AFFIRMED: Final = re.compile(
    r"(?:被|已|主要)?(?:激活|活跃)?的?(?:面部)?(?:动作|运动)单[元位](?:为|是|有|包括)?|[被已]?激活的?"
)
_ASKED: Final = re.compile(r"(?:面部)?(?:表情|情绪|情感)[为是]?")
_DENIAL: Final = re.compile(r"[不没無无未非缺否]|ない|ません|않|없|아니")
"""The Chinese words that answers mixed with English keep around units and expressions, and what denies them."""


def _number(text: str) -> Token:
    percent, digits = "%" in text, text.rstrip(" %abcdelr")
    if digits == "-0":  # the text breaks off within "-0.4"
        return Token("number", digits, number=float("nan"))
    value = float(digits.replace(",", "."))
    plain = digits.removeprefix("+")
    au = int(plain) if plain.isdecimal() and len(plain) <= 2 and not percent else 0
    return Token("number", digits + "%" * percent, au=au, number=value / 100 if percent else value)


def _with_phrases(plain: list[str]) -> list[Token]:
    """Return the token of every word, and one token for every phrase."""
    out: list[Token] = []
    done = 0
    last = len(plain) - 1
    for position in compress(count(), map(PHRASES.__contains__, plain)):
        if position < done or position == last:
            continue
        for phrase, token in PHRASES[plain[position]].get(plain[position + 1], ()):
            end = position + len(phrase)
            if plain[position:end] == phrase:
                out += [*map(_TOKENS.__getitem__, plain[done:position]), token]
                done = end
                break
    return [*out, *map(_TOKENS.__getitem__, plain[done:])] if done else [*map(_TOKENS.__getitem__, plain)]


def _with_names(words: Sequence[Token]) -> list[Token]:
    """Join a part and its movement into one token of role `name`: "cheek raiser", "raised cheeks", "lips are parted".

    A "not" between the two is put before them.
    """
    out: list[Token] = []
    done, padded = 0, [*words, END, END]
    for position in [position for position, word in enumerate(words, 1) if word.role == "part"]:
        part = padded[position - 1].text
        out += padded[done : position - 1]
        done = behind = position
        while behind < position + 3 and _may_stand_between(padded[behind]):
            behind += 1
        compared = padded[behind].text == "lower" and padded[behind - 1].role == "be"  # "the brows are lower"
        if not compared and (name := ACTIONS.get((part, padded[behind].text))):
            out += [other for other in padded[position:behind] if other.role == "not"]
            down = name.au == 12 and padded[behind + 1].text.startswith("down")
            out.append(Token("name", part, au=15) if down else name)
            done = behind + 1
        elif out and (name := ACTIONS.get((part, out[-1].text))):
            out[-1] = name
        else:
            out.append(_still(part))
    return [*out, *words[done:]]


@cache
def _still(part: str) -> Token:
    """Return the token of a part of the face that does not move; there are few of them."""
    return Token("word", part)


def _may_stand_between(word: Token) -> bool:
    return word.role == "not" or word.text in {"is", "are", "do", "does", "did"} or word.text.endswith("ly")
