"""The words that answers about faces are made of: text -> tokens, each with the role its word plays.

Only vocabulary and splitting live here; `seke.readings` and `seke.units` decide what a sequence of roles means.
Words are whole words: "nose", "noticeable" and "another" hold no "no", and "depressor" is not "depressed".
Splitting takes time linear in the text: no pattern can match one character in two ways.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

NAMED: Final = {
    "neutral": "neutral neutrality neutrally expressionless emotionless unemotional impassive deadpan stoic",
    "happiness": """
        happy happiness happier joy joyful joyous joyfully cheerful cheerfulness cheery delighted delight elated
        elation glad gladness pleased gleeful glee amused amusement ecstatic jubilant contentment contented enjoyment
        merry overjoyed euphoric blissful mirth
    """,
    "sadness": """
        sad sadness sadder saddened unhappy unhappiness sorrow sorrowful melancholy melancholic dejected dejection
        gloomy grief grieving mournful despondent downcast heartbroken miserable misery despair despairing
    """,
    "surprise": """
        surprise surprised astonished astonishment amazed amazement shock shocked startled stunned astounded
        dumbfounded flabbergasted
    """,
    "fear": """
        fear fearful fearfulness afraid scared frightened fright terrified terror horrified horror panic panicked
        panicky petrified dread alarmed
    """,
    "disgust": "disgust disgusted revulsion revolted repulsed repulsion nauseated repugnance distaste grossed",
    "anger": """
        anger angry angered mad furious fury enraged rage raging irate outraged outrage infuriated irritated
        irritation annoyed annoyance hostile hostility wrath wrathful
    """,
    "contempt": "contempt contemptuous scorn scornful disdain disdainful derision derisive",
}
"""Words that name an expression or attribute it to somebody."""

SHOWN: Final = {
    "neutral": "calm calmly calmness composed serene placid blank",
    "happiness": """
        smile smiles smiling smiled grin grins grinning laugh laughs laughing laughter beaming happily excited
        excitement
    """,
    "sadness": "crying cries tearful weeping sobbing sadly depressed disappointed disappointment",
    "fear": "anxious anxiety nervous nervousness worried worry apprehensive apprehension fearfully",
    "disgust": "disgusting aversion",
    "anger": "scowl scowling glaring angrily frustrated frustration aggressive aggression",
    "contempt": "sneer sneering smirk smirking smug smugness mocking condescending contemptuously scornfully",
}
"""Behaviour, manner and neighbouring feelings: evidence of an expression, overruled by any word that names one."""

EXPRESSION_WORDS: Final = frozenset(
    word for words in (NAMED, SHOWN) for line in words.values() for word in line.split()
)
"""Every word that names or betrays an expression; a text without them leaks no expression."""

_RAISED, _TIGHT = "raiser raise raised raises raising", "tightener tighten tightened tightens tightening"
_MOVEMENTS: Final = {
    1: ("inner brow; inner brows; inner eyebrow; inner eyebrows", _RAISED),
    2: ("outer brow; outer brows; outer eyebrow; outer eyebrows", _RAISED),
    4: ("brow; brows; eyebrow; eyebrows", "lowerer lowered lowering lowers furrowed furrowing"),
    5: ("upper lid; upper lids; upper eyelid; upper eyelids", _RAISED),
    6: ("cheek; cheeks", _RAISED),
    7: ("lid; lids; eyelid; eyelids", _TIGHT),
    9: ("nose", "wrinkler wrinkle wrinkled wrinkles wrinkling"),
    10: ("upper lip; upper lips", _RAISED),
    12: ("lip corner; lip corners", "puller pull pulled pulls pulling"),
    15: ("lip corner; lip corners", "depressor depress depressed depressing depression"),
    17: ("chin", "raiser raise raising"),
    20: ("lip; lips", "stretcher stretch"),
    23: ("lip; lips", _TIGHT),
    24: ("lip; lips", "pressor presser press pressed pressing"),
    25: ("lip; lips", "part parted parts parting"),
    26: ("jaw", "drop dropped drops dropping"),
}
"""FACS names as a part of the face and what it does; the Dimpler (AU14) is one word. "Chin raised" and "lips stretched"
are left out: they describe a pose and a smile as often as AU17 and AU20."""

_ROLES: Final = {
    "not": """
        not never neither nor lack lacks lacking lacked absence hardly barely scarcely unlike isnt arent doesnt dont
        didnt wasnt cant nothing devoid non fails fail failing; rather than; instead of; as opposed to; opposed to;
        ruled out; rules out; rule out; mistaken for; confused with; distinguished from; far from; anything but; free
        of; none of; little to; little evidence; wrong to; incorrect to; little sign; no longer; contrary to
    """,
    "no": "no without",
    "but": """
        but while whereas although though however yet instead rather despite just because so since; on the other hand;
        in contrast
    """,
    "active": """
        active activated activates activation activations present presence visible visibly observed observable
        detected engaged engagement evident apparent yes true triggered seen noticeable identified noted exhibited
        involved contracted occurring occurs recruited
    """,
    "inactive": """
        inactive absent false missing none deactivated unactivated nonexistent inactivity undetected unengaged
        invisible
    """,
    "unknown": """
        unclear unknown uncertain unsure undetermined indeterminate occluded obscured hidden null; hard to; difficult
        to; may or may not; might or might not; can not be determined; could not be determined; could not be assessed;
        could not be judged; can not be assessed; can not be judged; can not be reliably; can not tell; not clear; not
        sure; not certain; not applicable
    """,
    "head": "au aus actionunits actionunit units; action unit; action units",
    "others": "others other remaining rest remainder",
    "complete": "; nothing else",
    "all": "all every each",
    "only": "only solely exclusively",
    "except": "except besides excluding beyond; other than; except for; apart from; aside from; with the exception of",
    "same": "; as is; as are; so is; so are; as well as",
    "valence": "valence val",
    "arousal": "arousal aro",
    "cue": "expression expressions emotion emotions emotional affect answer label prediction category class verdict",
    "final": """
        overall primary primarily dominant dominantly main mainly predominant predominantly principal conclusion
        summary summarize conclude therefore thus hence final predict predicted classified categorized labeled
        labelled strongest; most likely; most prominent; most consistent; best described; best matches; best match;
        most closely; best fits
    """,
    "prevails": "dominates dominating prevails prevailing predominates",
    "hedge": """
        possibly possible might may maybe perhaps could potentially potential slight slightly subtle somewhat mild
        mildly either
    """,
    "minor": """
        hint hints tinge tinged touch trace traces undertone undertones secondary secondarily also alongside
        accompanied element elements underlying like resemble resembles resembling; mixed with; combined with;
        followed by; a bit of; hinting at; bordering on; blended with; with some; and some; such as; similar to;
        reminiscent of
    """,
    "typical": """
        ; associated with; associate with; linked to; typical of; characteristic of; common in; commonly seen in; seen
        in; related to; correlated with
    """,
    "generic": "typically usually commonly generally often normally",
    "hypothetical": "would",
    "if": "if unless",
    "than": "than",
    "be": "is are was were be being been remains remain : = | includes include including",
    "verb": """
        look looks looking seem seems seemed appear appears appearing appeared show shows showing shown display
        displays displaying displayed express expresses expressing expressed convey conveys conveying conveyed exhibit
        exhibits exhibiting suggest suggests suggesting suggestive indicate indicates indicating indicative reveal
        reveals reflect reflects reflecting portray portrays depict depicts feel feels feeling has have having had do
        does did perceive read reads communicate communicates; would say; would describe; would estimate; would rate;
        would classify; would identify; would suggest; would think; would assess; would place; would assign; would
        characterize; would be around; would be approximately; would be about
    """,
    "opinion": "think believe that",
    "filler": """
        any particular specific strong clear discernible noticeably obvious significant intense overt much a an the
        very of facial sign signs evidence indication indications really particularly distinct readily to kind sort
        pronounced real these those this following listed
    """,
    "options": "options choices candidates choose select categories; one of the following",
    "link": "and or , / & + (",
    "range": "range ranges ranging scale between from interval where",
    "confidence": "confidence certainty probability likelihood sure",
    "place": "position background backgrounds color colour colors lighting wall tone tones setting point",
    "word": """
        ; not only; not just; not merely; not limited to; no doubt; without doubt; without a doubt; no question; help
        but; nothing but; happy to; glad to; pleased to; delighted to; i'm afraid; i am afraid; not to mention; in
        other words
    """,
}
"""The role of each word: single words before the first semicolon, phrases after it; the last entry of a word counts."""


class Token(NamedTuple):
    """A word, number or sign, its role, and what it stands for."""

    role: str
    text: str
    expression: str = ""
    """The expression that a word of role `named` or `shown` stands for."""
    au: int = 0
    """The action unit that a token of role `name` or `au` stands for."""
    number: float = 0.0
    """The value of a token of role `number`; percent are already divided by 100."""
    state: bool | None = None
    """What a value right behind an action unit says: AU12: 0."""


END: Final = Token("end", "\n")


def _vocabulary() -> tuple[dict[str, Token], dict[str, list[tuple[tuple[str, ...], Token]]]]:
    words: dict[str, Token] = {}
    phrases: dict[str, list[tuple[tuple[str, ...], Token]]] = {}

    def add(text: str, token: Token) -> None:
        first, *more = text.split()
        if more:
            phrases.setdefault(first, []).append(((first, *more), token))
        else:
            words[first] = token

    for role, entries in _ROLES.items():
        singles, *several = entries.split(";")
        for entry in (*singles.split(), *several):
            add(entry, Token(role, " ".join(entry.split())))
    for role, classes in (("named", NAMED), ("shown", SHOWN)):
        for expression, line in classes.items():
            for word in line.split():
                add(word, Token(role, word, expression))
    for text, expression in (("taken aback", "surprise"), ("poker face", "neutral"), ("wide eyed", "surprise")):
        add(text, Token("shown", text, expression))
    for parts, _ in _MOVEMENTS.values():
        for part in parts.split("; "):
            add(part, Token("part", part))
    add("dimpler", Token("name", "dimpler", au=14))
    for ways in phrases.values():
        ways.sort(key=lambda way: -len(way[0]))
    return words, phrases


_WORDS, _PHRASES = _vocabulary()
_ACTIONS: Final = {
    (part, action): au
    for au, (parts, actions) in _MOVEMENTS.items()
    for part in parts.split("; ")
    for action in actions.split()
}
_SIGNS: Final = str.maketrans(
    {
        **dict.fromkeys("−‐‑‒–﹣－", "-"), **dict.fromkeys("—―", " - "), **dict.fromkeys("‘’ʼ´", "'"),
        **dict.fromkeys("✓✔✅☑", " yes "), **dict.fromkeys("✗✘❌✖☐", " false "), **dict.fromkeys('"“”„«»`*#\\$', None),
        **dict.fromkeys("≈≃≅≡", "="), **dict.fromkeys("→⇒➔", ":"), "_": " ", "\t": " | ", "。": ". ",
        "；": ";", "、": ",",
    }
)  # fmt: skip
_REPAIRS: Final = tuple(
    (re.compile(pattern), new)
    for pattern, new in (
        (r"<br ?/?>", "\n"),
        (r"</?[a-z][a-z ]{0,20}>", " "),
        (r"\.{2,}", " - "),
        (r"\bv ?[:=](?= ?[-+.0-9])", "valence:"),
        (r"\ba ?[:=](?= ?[-+.0-9])", "arousal:"),
        (r"\bv ?[,/&-] ?a\b|\bva\b", "valence, arousal"),
        (r"\[ ?\]", " none "),
        (r"\[x\]", " yes "),
        (r"[-=]>", ":"),
        (r"\b(?:can't|cannot)\b", "can not"),
        (r"n't\b", " not"),
        (r"'s\b", ""),
        (r"\bn/a\b", "unknown"),
        (r"\be\.g\.|\bi\.e\.", "for example"),
        (r"\b(vs|approx|cf|resp|ca)\.", r"\1"),
        (r"(?<=[a-z])-(?=[a-z])", " "),
        (r"(?<=[0-9])(?:[a-d](?!\w)|e(?![\w+-]))", ""),  # intensity letters: AU12C
    )
)
_TOKEN: Final = re.compile(
    r"(?P<number>(?:(?<![0-9a-z)\]])[+-])?"
    r"(?:0,[0-9]+(?![0-9.,])|1,0+(?![0-9.,])|[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|(?<![0-9])\.[0-9]+))"
    r"(?P<percent>\ ?%)?"
    r"|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)?)"
    r"|(?P<end>[.!](?=\s|$)|[?;\n])"
    r"|(?P<sign>[^\w\s])"
)


def normalise(text: str) -> str:
    """Return `text` in lower case, without mark-up and quotes, contractions undone, signs in one spelling."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_SIGNS))
    text = text.translate(_SIGNS).casefold()
    for pattern, new in _REPAIRS:
        text = pattern.sub(new, text)
    return text


def tokens(text: str) -> list[Token]:
    """Split normalised text into tokens; the end of a sentence, line or half-sentence is a token of role `end`."""
    plain = [_token(match) for match in _TOKEN.finditer(text)]
    return _with_names(list(_with_phrases(plain)))


def sentences(words: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the sentences and lines of a text, each with its closing token; questions state nothing and are dropped."""
    sentence: list[Token] = []
    for word in words:
        sentence.append(word)
        if word.role == "end" and word.text != ";":
            if word.text != "?":
                yield sentence
            sentence = []
    yield [*sentence, END]


def _token(match: re.Match[str]) -> Token:
    text, role = match[match.lastgroup or 0], match.lastgroup
    if match["number"]:
        value = float(match["number"].replace(",", "."))
        return Token("number", match["number"], number=value / 100 if match["percent"] else value)
    if role == "end":
        return Token("end", text)
    return _WORDS.get(text) or Token("word" if role == "word" else "sign", text)


def _with_phrases(plain: list[Token]) -> Iterator[Token]:
    position = 0
    while position < len(plain):
        for words, token in _PHRASES.get(plain[position].text, ()):
            if tuple(part.text for part in plain[position : position + len(words)]) == words:
                yield token
                position += len(words)
                break
        else:
            yield plain[position]
            position += 1


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
        au = _ACTIONS.get((word.text, action))
        if au is not None:
            after = words[position + between + 2].text if position + between + 2 < len(words) else ""
            out += [other for other in words[position + 1 : position + between + 1] if other.role == "not"]
            out.append(Token("name", word.text, au=15 if au == 12 and after.startswith("down") else au))
            position += between + 2
            continue
        au = _ACTIONS.get((word.text, out[-1].text)) if out else None
        if au is not None:
            out[-1] = Token("name", word.text, au=au)
        else:
            out.append(Token("word", word.text))
        position += 1
    return out


def _may_stand_between(word: Token) -> bool:
    return word.role == "not" or word.text in ("is", "are") or word.text.endswith("ly")
