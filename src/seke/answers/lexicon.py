"""Lexicon of the words that answers about faces are made of, each with the role it plays. Vocabulary only.

`seke.answers.tokenizer` splits a text into these words; `seke.answers.expression`, `seke.answers.valence_arousal` and
`seke.answers.action_units` decide what a sequence of roles means. Words are whole words: "nose", "noticeable" and
"another" hold no "no", and "depressor" is not "depressed".
"""

from dataclasses import dataclass
from operator import attrgetter
from typing import Final

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
"""Behaviour, manner and neighbouring feelings. They betray an expression but state none ("a smile"), except for the
manner of a neutral face, which counts where no word names another."""

EXPRESSION_WORDS: Final = frozenset(
    word for words in (NAMED, SHOWN) for line in words.values() for word in line.split()
)
"""Every word that names or betrays an expression; a text without them leaks no expression."""
EXPRESSION_OF: Final = {word: expression for expression, words in NAMED.items() for word in words.split()}
"""The expression that a word names, where the word stands alone."""

_RAISED = "raiser raisers raise raised raises raising"
_TIGHT = "tightener tighteners tighten tightened tightens tightening"
_MOVEMENTS: Final = {
    1: ("inner brow; inner brows; inner eyebrow; inner eyebrows", _RAISED),
    2: ("outer brow; outer brows; outer eyebrow; outer eyebrows", _RAISED),
    4: ("brow; brows; eyebrow; eyebrows", "lowerer lowerers lower lowered lowering lowers furrowed furrowing"),
    5: ("upper lid; upper lids; upper eyelid; upper eyelids", _RAISED),
    6: ("cheek; cheeks", _RAISED),
    7: ("lid; lids; eyelid; eyelids", _TIGHT),
    9: ("nose", "wrinkler wrinklers wrinkle wrinkled wrinkles wrinkling"),
    10: ("upper lip; upper lips", _RAISED),
    12: ("lip corner; lip corners", "puller pullers pull pulled pulls pulling"),
    15: ("lip corner; lip corners", "depressor depressors depress depressed depressing depression"),
    17: ("chin; chins", "raiser raisers raise raising"),
    20: ("lip; lips", "stretcher stretchers stretch stretched stretches stretching"),
    23: ("lip; lips", _TIGHT),
    24: ("lip; lips", "pressor pressors presser press pressed pressing"),
    25: ("lip; lips", "part parted parts parting"),
    26: ("jaw", "drop dropped drops dropping"),
}
"""FACS names as a part of the face and what it does; the Dimpler (AU14) is one word. "Chin raised" is left out: it
describes a pose as often as AU17."""

_ROLES: Final = {
    "not": """
        not never neither nor lack lacks lacking lacked absence hardly barely scarcely unlike isnt arent doesnt dont
        didnt wasnt cant nothing devoid non fails fail failing; rather than; instead of; as opposed to; opposed to;
        ruled out; rules out; rule out; mistaken for; confused with; distinguished from; far from; anything but; free
        of; none of; little to; little evidence; wrong to; incorrect to; inappropriate to; compared with; compared to;
        little sign; no longer; contrary to
    """,
    "no": "no without",
    "but": """
        but while whereas although though however yet instead rather despite just because so since; on the other hand;
        in contrast
    """,
    "active": """
        active activated activates activation activations present presence visible visibly observed observable detected
        engaged engagement activity evident apparent yes true triggered seen noticeable identified noted exhibited
        involved contracted recognised recognized spotted occurring occurs recruited
    """,
    "inactive": """
        inactive absent false missing none deactivated unactivated nonexistent inactivity undetected unengaged invisible
    """,
    "unknown": """
        unclear unknown uncertain unsure undetermined indeterminate occluded obscured hidden null undecidable
        ambiguous doubtful questionable debatable dubious suspected arguable disputable inconclusive
        indiscernible imperceptible; probably not; likely not; can not confirm; hard to; difficult to; may or
        may not; might or might not; can not be determined; could not be determined; could not be assessed;
        could not be judged; can not be assessed; can not be judged; can not be reliably; can not tell; not
        clear; not sure; not certain; not applicable; not visible enough; can not say; can not judge; can not
        decide; could not tell; could not say; not assessed; not determinable; less so; out on; the verge of; on
        the edge of; anyone guess; comes and goes; not in question; beyond question; in question; open to; up
        for; can neither be; barely perceptible; barely visible; barely noticeable; barely detectable; hardly
        perceptible; not available; not given; not stated; can not rule out; can not be ruled out; could not
        rule out; could not be ruled out; can not be excluded; can not exclude; could not be excluded; can not
        be confirmed; can not confirm; can not be made out; can not make out; not ruled out; nearly absent;
        almost absent; almost inactive; nearly inactive; not true; almost imperceptible; not evaluated; not
        visible enough; low confidence; little if any
    """,
    "unlikely": "unlikely improbable implausible; i doubt; doubt that",
    "head": "au aus actionunits actionunit units; action unit; action units",
    "others": "others other remaining rest remainder",
    "complete": "; nothing else; no action unit is active",
    "all": "all every each",
    "only": "only solely exclusively",
    "except": """
        except besides excluding beyond; other than; except for; apart from; aside from; with the exception of
    """,
    "same": "; as is; as are; so is; so are; as well as",
    "valence": "valence val",
    "arousal": "arousal aro",
    "cue": """
        expression expressions emotion emotions emotional affect answer label prediction category class verdict
    """,
    "final": """
        overall primary primarily dominant dominantly main mainly predominant predominantly principal conclusion summary
        summarize conclude therefore thus hence final predict predicted mostly classified categorized labeled labelled
        strongest; most likely; most prominent; most consistent; best described; best matches; best match; most closely;
        best fits
    """,
    "prevails": "dominates dominating prevails prevailing predominates",
    "hedge": """
        slight slightly subtle somewhat mild mildly either
    """,
    "may": "might may could",
    "doubt": "suspect suspects possibility possibly possible maybe perhaps potentially potential conceivably arguably",
    "past": """
        ; first impression; at first glance; at first sight; want to say; wanted to say; tempted to; had been;
        had looked; had seemed; initially i thought; i initially thought; at first i thought; i first thought;
        used to; was previously; were previously
    """,
    "correction": """
        correction; actually no; actually , no; no , wait; hmm , wait; wait , the; wait , no; oh wait; hold on;
        no wait; wait no; scratch that; on second thought; on second thoughts; on reflection; on closer
        inspection; on a closer look; i take that back; let me correct; or rather; looking again; i mean; a
        closer look; change my answer; change my mind; revise my answer
    """,
    "bound": """
        above below over under beneath exceeds exceeding > < ≥ ≤; more than; less than; greater than; lower than; higher
        than; larger than; smaller than; at least; at most; up to; no more than; no less than
    """,
    "minor": """
        hint hints tinge tinged touch trace traces undertone undertones secondary secondarily also alongside accompanied
        element elements underlying like resemble resembles resembling; mixed with; combined with; followed by; a bit
        of; a bit; a little; hinting at; bordering on; blended with; with some; and some; such as; similar to;
        reminiscent of
    """,
    "typical": """
        ; associated with; associate with; linked to; typical of; characteristic of; common in; commonly seen in; seen
        in; related to; correlated with
    """,
    "generic": "typically usually commonly generally often normally",
    "hypothetical": "would",
    "if": "if unless supposing assuming; be surprised if",
    "whether": "whether",
    "side": "l r",
    "than": "than",
    "less": "less",
    "heard": "voice voices speech lyrics soundtrack",
    "unseen": """
        ; no face; no faces; blank frame; nobody in; nothing to judge; see a cat; is a cat; of a cat; see a dog;
        is a dog; of a dog; an animal; a landscape; not see a face; not see any face; see no face; without a
        face; not a face; no person; no people; no human; nobody is; image is blank; picture is blank; screen is
        blank; photo is blank; frame is blank; page is blank; image is empty; empty room; empty image; blank
        image; blank picture; blank page; blank wall; entirely black; completely black; all black; image is
        black; picture is black; is too dark; motion blur; face is turned away; turned away from; out of frame;
        out of view; face is too small; is too blurry; back is to; face is blurred; image is blurred; face is
        blurry; image is blurry; face is covered; face is hidden; face is obscured; face is not visible; not a
        person; not be loaded; not load the; cropped out; face is cropped; back of the head
    """,
    "be": "is are was were be being been remains remain : = | includes include including",
    "verb": """
        look looks looking seem seems seemed appear appears appearing appeared show shows showing shown display displays
        displaying displayed express expresses expressing expressed convey conveys conveying conveyed exhibit exhibits
        exhibiting suggest suggests suggesting suggestive indicate indicates indicating indicative reveal reveals
        reflect reflects reflecting portray portrays depict depicts feel feels feeling has have having had do does did
        perceive read reads communicate communicates; would say; would describe; would estimate; would rate; would
        classify; would identify; would suggest; would think; would assess; would place; would assign; would call; would
        go; would put; would label; would give; would choose; would pick; would conclude; would characterize; would be
        around; would be approximately; would be about
    """,
    "opinion": "think believe that",
    "filler": """
        any particular specific strong clear discernible noticeably obvious significant intense overt much a an the very
        of facial sign signs evidence indication indications really particularly distinct readily to kind sort
        pronounced real these those this following listed code codes combination namely
    """,
    "options": "options choices candidates choose select categories; one of the following",
    "link": "and or , / & + (",
    "range": "range ranges ranging scale between from interval where",
    "confidence": "confidence certainty probability likelihood sure",
    "place": """
        position background backgrounds color colour colors colours lighting wall tone tones setting point sea water
        waters ocean lake river sky scene landscape room evening day weather music song movie film book story news crowd
        dog cat birthday new holiday anniversary hour ending
    """,
    "scale": "manikin likert sam; same scale; same range; nine point; five point; seven point; ten point",
    "lore": """
        definition definitions textbook textbooks; a typical; facs describes; facs defines; denotes the; is the
        prototype of; are the prototype of; is commonly seen in; are commonly seen in; is often seen in; are
        often seen in; is typical of; are typical of; in general; generally speaking; stands for; stand for;
        refers to; refer to; is coded as; are coded as; as background; researchers link; researchers associate;
        studies link; in the literature; is defined as; are defined as; consists of; consist of; is a marker of;
        is a term; for reference; by definition; people who; for instance; i can explain; is usually coded;
        would be coded; typical neutral; usually ranges; there are six; there are seven; there are eight; how
        facs works; basic emotions are; means the; means that the; signalled by; signaled by; is known as
    """,
    "example": """
        placeholder placeholders; example output; example of; example answer; the format is; output format; sample
        output; example response; expected format; for example output; example json
    """,
    "order": """
        imagine suppose consider def describe choose provide identify please classify estimate determine rate return
        task instruction instructions select
    """,
    "told": """
        ; you asked; you said; you told; you wrote; you mentioned; your prompt; the prompt; the question; you want; you
        wanted
    """,
    "denial": """
        nicht kein keine keinen keiner weder fehlt inaktiv kaum ne ni pas aucune aucun jamais absente absentes inactif
        inactifs non nessuna nessun assente assenti não nem sem inativa inativo sin ausente ausentes inactiva inactivo
        inactivas tampoco ninguna ningún ningun niet geen inactief nie ikke inte ej değil yok нет не без
    """,
    "affirmed": """
        zeigt aktiv aktive aktiver aktiviert activas activos activa activo activé activée activés activées actif actifs
        attive attiva attivo ativas ativos ativa ativo actief actieve aktywne
    """,
    "foreign": """
        ist sind und oder aber der das ein eine einen auch sehr gesicht mund augen vorhanden sichtbar deutlich wird mit
        el los las una unos con pero que es está están son del por muy hay observa persona parece presentes presente le
        les et est du des avec une un il elle sont cette visage semble présent présente présents présentes gli della è
        presenti volto sono uma pessoa rosto het een zijn van de toont maar ook jest twarz och er ser ut var ve etkin la
        lo se su
    """,
    "word": """
        ; nothing else to; more plausible; more likely; for example; not the only; not only; not just; not
        merely; not limited to; no doubt; without doubt; without a doubt; no question; help but; nothing but;
        happy to; glad to; pleased to; delighted to; i'm afraid; i am afraid; not to mention; in other words
    """,
}
"""The role of each word: single words before the first semicolon, phrases after it; the last entry of a word counts."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number or sign, its role, and what it stands for."""

    role: str
    text: str
    expression: str = ""
    """The expression that a word of role `named` or `shown` stands for."""
    au: int = 0
    """The action unit that a token of role `name` or `au` stands for, and one of role `number` may stand for."""
    number: float = 0.0
    """The value of a token of role `number`; percent are already divided by 100."""
    state: bool | None = None
    """What a value right behind an action unit says: AU12: 0."""


END: Final = Token("end", "\n")
ROLE: Final = attrgetter("role")
"""Role of a token; mapped over tokens it is faster than a comprehension."""


RIVALS: Final = """
    confused confusion concentration concentrated concentrating focus focused interest interested curious curiosity
    bored boredom pain pained thoughtful pensive contemplative embarrassed embarrassment shame guilt pride proud tired
    fatigue skeptical skepticism sceptical determined determination serious seriousness attentive attention discomfort
    distress relief relieved envy jealousy awe hope hopeful love nostalgia
"""
"""Feelings and states outside the eight: they leave "concentration or worry" open."""

_NUMERALS: Final = """
    one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen twenty
"""


_Phrases = dict[str, dict[str, list[tuple[list[str], Token]]]]


def _vocabulary() -> tuple[dict[str, Token], _Phrases]:
    words: dict[str, Token] = {}
    phrases: _Phrases = {}

    def add(text: str, token: Token) -> None:
        first, *more = text.split()
        if more:
            phrases.setdefault(first, {}).setdefault(more[0], []).append(([first, *more], token))
        else:
            words[first] = token

    for role, entries in _ROLES.items():
        singles, *several = entries.split(";")
        for entry in (*singles.split(), *several):
            add(entry, Token(role, " ".join(entry.split())))
    for value, word in enumerate(_NUMERALS.split(), 1):
        add(word, Token("numeral", word, number=value))
    for word in RIVALS.split():
        add(word, Token("rival", word))
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
    for seconds in phrases.values():
        for ways in seconds.values():
            ways.sort(key=lambda way: -len(way[0]))
    return words, phrases


WORDS, PHRASES = _vocabulary()
"""Word -> token; first word -> second word -> the phrases that begin so, the longest first, and their tokens."""
AFFIRMED: Final = frozenset(word for word, token in WORDS.items() if token.role == "affirmed")
ACTIONS: Final = {
    (part, action): Token("name", part, au=au)
    for au, (parts, actions) in _MOVEMENTS.items()
    for part in parts.split("; ")
    for action in actions.split()
}
"""(part of the face, movement) -> the name of an action unit."""
PARTS: Final = frozenset(part.split()[0] for part, _ in ACTIONS)
"""First words of the parts of the face that move."""
