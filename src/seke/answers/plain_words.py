"""List of the words that may stand beside a label without changing what is said of it.

Grammar, people, parts of the face and how they move, degrees, and the words of describing and judging. What takes a
label back, puts it in doubt or gives it to somebody else ("lost", "hides", "pretends", "might argue") is no plain word,
nor is any word that is not listed here.
"""

from typing import Final

_GRAMMAR: Final = """
    i you he she it we they me him her them us my your his its our their himself herself itself themselves this that
    these those there here which who whom whose what where when while how why a an the some few several many most
    more less such same own another both half one two three am will shall can must should want let if because since
    than thus therefore hence plus minus not only in on at of for from to into onto by as about across around along
    near over through throughout within upon toward towards per via during before after behind beside between
    against among up down out off away back forth together apart forward aside with without inside outside alone
    like now then still just even already again once soon first second third last next finally also too so very
    quite fairly pretty rather well instead indeed almost ever nonetheless nevertheless moreover furthermore
    additionally besides i'm i'd i'll i've it'll he'd she'd they're we're there're b c d front respectively namely
"""
_PEOPLE: Final = """
    person persons people man woman boy girl child kid baby infant toddler lady gentleman guy adult teen teenager
    youth human individual subject actor actress speaker patient male female someone somebody elderly young older
    younger middle aged old face faces facial head image picture photo photograph frame snapshot view camera viewer
    shot portrait
"""
_PARTS: Final = """
    feature features region regions area areas zone zones part parts section portion brow brows eyebrow eyebrows eye
    eyes eyelid eyelids eyelash lid lids gaze stare iris sclera pupil pupils nose nostril nostrils nasal nasion
    bridge root cheek cheeks cheekbone cheekbones lip lips mouth corner corners teeth tooth tongue gums chin boss
    jaw jawline forehead temple temples skin neck ear ears hair beard moustache mustache glasses wrinkle wrinkles
    crease creases crow feet fold folds furrow furrows line lines dimple dimples bulge bulges pouch pouches bag bags
    nasolabial glabella glabellar infraorbital triangle muscle muscles frontalis corrugator supercilii procerus
    orbicularis oculi oris zygomatic zygomaticus major minor pars lateralis medialis levator labii superioris
    alaeque nasi depressor anguli triangularis mentalis risorius buccinator masseter platysma incisivii side sides
    left right centre center upper lower inner outer upward upwards downward downwards outward outwards inward
    inwards sideways laterally medially
"""
_MOVEMENTS: Final = """
    raise raises raising raised raiser lift lifts lifting lifted elevate elevates elevated elevation pull pulls
    pulling pulled puller draw draws drawing drawn lowers lowering lowered depress depresses depressed press presses
    pressing pressed push pushes pushing pushed stretch stretches stretched stretching tighten tightens tightened
    tightening parting parted drop drops dropping dropped narrow narrows narrowed narrowing widen widens widened
    widening squint squints squinting squinted curl curls curled curling curve curves curved curving upturned
    downturned turned knit knitted contract contracts contracting contraction flare flares flared flaring clench
    clenched bare bared baring exposed exposing expose reveal revealing revealed showing gape gaping agape compress
    compressed purse pursed pucker puckered slack hang hanging arched arch arching bunched bunching smile smiles
    smiling smiled grin grins grinning laugh laughs laughing laughter beam beaming smirk smirks smirking frown
    frowns frowning frowned scowl scowls scowling grimace grimaces grimacing glare glares glaring pout pouting sneer
    sneers sneering tear tears cry cries crying wrinkling wrinkled creased creasing crinkle crinkles crinkled
    crinkling folded furrowed furrowing bulging bulged opens opening opened tilt tilted tilts open closed shut
    relaxed tense action activation tension movement movements motion contorted distorted twisted shout shouts
    shouting yell yells yelling tremble trembles trembling
"""
_DEGREES: Final = """
    abject additional affective apparent assessment asymmetric asymmetrical authentic best better big bilateral
    bitter brief bright broad canonical central characteristic chief classic clear clearer clearest close closer
    cluster cold complement component composed confident consider considerable consistent conspicuous contained
    controlled core current deep deeper deepest descriptive different dominant dramatic element emotional energetic
    extreme exuberant faint fainter final firm full fuller further general gentle genuine give good great heavy high
    higher honest important infectious infer initial intense internal judgement judgment key large light little low
    main manifest marked marker maximal medium mental mildest minimal moderate natural nearer negative normal
    notable number obvious outright palpable partial plain playful pleasant polite positive prominent prototypical
    pure quick quiet radiant raw real relevant reserved respective rest restrained salient serene sharp sheer signal
    sincere single slightest slow small social soft sole spontaneous stereotypical strong stronger strongest sudden
    symmetric symmetrical tangible tight tiny top total true typical undeniable understated unilateral unmistakable
    unpleasant utter various vibrant visceral visible warm weak weaker wide wider wistful youthful
"""
_JUDGEMENTS: Final = """
    occur occurs occurring co hallmark hallmarks engage engages engaging lean leans leaning sparkle sparkles shine
    shines gleam gleams align aligns aligned fitting blended evidences evidenced manifested typifies typify tired
    above accentuate accentuated accentuates accompany accompanying accordingly activated add added adding adds
    affect air amount analysis annotate annotated appearance arise arises aroused aspect aspects assess assessed
    assign assigned associated attitude basis bear bearing bears became become becomes becoming betray betrays
    bilaterally blend bring brings brought bunch bunches call called calls came carefree carries carry carrying case
    category cause caused causes causing certain certainty characterise characterised characterize characterized
    checked choice choose chosen class classes clue clues code coded codes combination combinations combine combined
    combines combining come comes complements completely components confidently configuration confirm confirmed
    confirming confirms considered contain contains contribute contributes contributing convey correspond
    corresponding corresponds count counted counts create created creates creating crinkly cross crosses crossing
    cue cues deduce deduced deepen deepens deeply degree demeanor demeanour demonstrate demonstrated demonstrates
    demonstrating describe described describes description detail details detect detects display dominate dominating
    duchenne elements emanate emanates emerge emerges emerging emote emotes emoting emotion emotionally emotions
    emphasize emphasizes enhance enhances enhancing entirely estimate estimated evidence evince evoke evokes evoking
    exaggerated excited exhibit experience experiences experiencing express extremely exuberance exude exudes
    exuding facs feeling feelings felt fill filled fills find finding finds fit fits fitting flood floods follow
    following follows form formed forming forms found friendly fully gesture get gets getting given gives giving go
    goes got grade group hearty heightened held highlight highlights highly hold holds identifies identify
    illustrate illustrates implies imply implying impression inclined include included indicator indicators inferred
    intensifies intensify intensity interpret interpretation interpreted involve involves involving join joined
    joining joins judge judged keep keeps kept keys kind label labels lead leading leads least level lights list
    lists lit lively look looks low-key made make makes making manifesting manifests mark markers marks match
    matches matching max maximum mean meaning meet meeting meets minimum mix mixture mood muted name named need
    needs note noted notes notice notices numbers observe observes option overwhelming paint painted pattern
    patterns perfectly permeate permeates pervade pervades pick picked pleasantness point pointing points pose
    position posture prevailing produce produced produces producing profound prototype put question questions
    quietly radiate radiates radiating range rate rated rating reaction reading recognise recognised recognize
    recognized record recorded recruit recruiting recruits reinforce reinforces report reported response resting
    result resulting results rounded rounding said sat saw say says scale score scored scores scream screaming
    screams see seen sees select selected sense set settle settled shape shaped shapes shaping sign signaled
    signaling signalling signals signifies signify signs simply sit sits sob sobbing soften softened softens speaks
    spread spreads stand stands state stated states stay stays stem stems stood strength strengthen strengthens
    subdued summary support supported supporting supports sure swept system take taken takes tell tells textbook
    tone took toothy totally touch truly try tuck tucked turn turns type unbridled underscore underscores
    unilaterally unit units unpleasantness unrestrained use used uses using vibe vivid wear wearing wears weep
    weeping wholehearted wholly widely work works write written
"""

PLAIN_WORDS: Final = frozenset(f"{_GRAMMAR} {_PEOPLE} {_PARTS} {_MOVEMENTS} {_DEGREES} {_JUDGEMENTS}".split())
"""Words in lower case. Adverbs in -ly need no entry: they are plain unless the lexicon gives them a meaning."""
