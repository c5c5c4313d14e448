"""A simulated annotator of synthetic scenes: a vision LLM by its seam, an error model of one inside.

It gets only the request. What it sees is the truth of a synthetic scene (found by the image's content), some attributes
missed and some mistaken; an image that is in none of the truth files it cannot see, and says so in its model name.

    no schema, "Predict scene type"         the benchmark's question: names that attribute, in some scenes wrongly
    no schema, "emotion" in the question    so without that form
    no schema                               describes what it sees, without a word about feelings
    schema {attribute}                      names its class, in some scenes a wrong one: one of the schema's
    schema {"conversation": [...]}          three questions and answers   } from what the text tells: EmoVIT's caption
    schema {"question", "answer"}           one question with reasons     } and attributes, and the image if it is shown
    schema {"reasons", criteria}            a judge's marks for an answer about the image (judge.py)

What it does depends on (seed, request key, answer) alone. It knows nothing of the experiment's settings.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from random import Random
from typing import Any, Final

from seke.backends.simulated.judge import REASONS, marked, words_of
from seke.backends.simulated.replies import simulated, truths
from seke.core.errors import UserError
from seke.core.vlm import Choice, Reply, Request

MODEL: Final = "simulated-scene-annotator"
JUDGE: Final = "simulated-scene-judge"
BLIND: Final = "simulated-scene-annotator-blind"
"""The model of a reply about an image that it could not see."""
SEEN: Final = ("brightness", "colorfulness", "scene_type", "object", "facial_expression", "human_action")
UNCOUNTED: Final = ("fireworks", "garbage", "lightning", "rain", "smoke")
"""Objects that take no article."""
LIGHT: Final = ("dark", "dimly lit", "bright")
COLOUR: Final = ("grey", "soft", "colourful")
LOOKS: Final = {*LIGHT, *COLOUR}
CAPTION = re.compile(r"<caption>(.*?)</caption>", re.DOTALL)
ATTRIBUTES = re.compile(r"<attributes>(.*?)</attributes>", re.DOTALL)
FORM = re.compile(r"Predict ([a-z ]+):")
EMOTION: Final = "emotion"

Attributes = Mapping[str, Any]


class SimulatedScenes:
    """The annotator. Token usage is an estimate (`replies.simulated`).

    Args:
        truth: glob of files as source=synthetic_scenes writes them.
        misses: share of attributes that it does not see.
        mistakes: share of those seen that it takes for another value.
        wrong_emotions: share of scenes whose emotion, or other class, it names wrongly when asked for that.
        seed: of its errors.
        usd_per_million: price of input and output tokens, to play through.

    Raises:
        UserError: if a share is none.
    """

    def __init__(
        self,
        truth: str,
        misses: float,
        mistakes: float,
        wrong_emotions: float,
        seed: int = 0,
        usd_per_million: tuple[float, float] | None = None,
    ) -> None:
        for name, share in {"misses": misses, "mistakes": mistakes, "wrong_emotions": wrong_emotions}.items():
            if not 0 <= share <= 1:
                raise UserError(f"backend.{name}", share, "a share lies between 0 and 1", "set for example 0.05")
        self.pattern, self.seed, self.usd_per_million = truth, seed, usd_per_million
        self.misses, self.mistakes, self.wrong_emotions = misses, mistakes, wrong_emotions

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield (index, reply), in order: nothing here takes long."""
        for index, request in enumerate(requests):
            yield index, self._answer(request)

    def _answer(self, request: Request) -> Reply:
        picture = request.shown[-1].sha256 if request.shown else None
        truth = self._truths.get(picture or "")
        streams = [Random(f"{self.seed}/{request.key}/{number}") for number in range(request.n)]
        texts = [self._written(request, truth, rng) for rng in streams]
        blind = bool(picture) and truth is None
        model = BLIND if blind else JUDGE if _judges(request) else MODEL
        return simulated(request, tuple(map(Choice, texts)), model, self.usd_per_million, blind)

    def _written(self, request: Request, truth: Attributes | None, rng: Random) -> str:
        if request.schema is None:
            if asked := FORM.search(request.text):
                return f"{asked[0]} {self._class(asked[1].replace(' ', '_'), truth, rng)}"
            if EMOTION in request.text.lower():
                return f"Predict emotion: {self._class(EMOTION, truth, rng)}"
            return described(self._perceived(truth or {}, rng))
        properties = request.schema["properties"]
        if _judges(request):
            return json.dumps(self._marked(request, self._perceived(truth or {}, rng), rng))
        if (writer := WRITERS.get(frozenset(properties))) is None:
            (name,) = properties
            return json.dumps({name: self._class(name, truth, rng, properties[name].get("enum", ()))})
        told = stated(request.text)
        attribute = next((name for name in told if name != "caption"), EMOTION)  # the class is told first
        of_class = str(told.pop(attribute, None) or self._class(attribute, truth, rng))
        return json.dumps(writer({**self._perceived(truth or {}, rng), **told}, attribute, of_class, rng))

    def _perceived(self, truth: Attributes, rng: Random) -> dict[str, Any]:
        """Return what it makes of a scene: some attributes are missed, some mistaken for another scene's."""
        seen: dict[str, Any] = {}
        for name in SEEN:
            if name in truth and rng.random() >= self.misses:
                mistaken = rng.random() < self.mistakes
                seen[name] = rng.choice(self._vocabulary[name]) if mistaken else truth[name]
        return seen

    def _marked(self, request: Request, scene: Attributes, rng: Random) -> dict[str, Any]:
        there = words_of({name: [value] for name, value in scene.items()}) | set(looks(scene))
        known = words_of({name: self._vocabulary.get(name, ()) for name in SEEN}) | LOOKS
        return marked(request.text, (request.schema or {})["properties"], there, known, self.mistakes, rng)

    def _class(self, attribute: str, truth: Attributes | None, rng: Random, of: Sequence[str] = ()) -> str:
        """Return the class that it names: of those in `of`, else of all that occur; any, where it does not know."""
        classes = list(of) or self._vocabulary.get(attribute) or ["awe"]
        right = (truth or {}).get(attribute)
        others = [name for name in classes if name != right] or classes
        known = right is not None and rng.random() >= self.wrong_emotions
        return str(right if known else rng.choice(others))

    @cached_property
    def _truths(self) -> dict[str, Attributes]:
        return {sha256: record.attributes for sha256, record in truths(self.pattern).items()}

    @cached_property
    def _vocabulary(self) -> dict[str, list[Any]]:
        """All values of each attribute in the truth files, sorted: what one of them can be mistaken for."""
        found: dict[str, dict[str, Any]] = {}
        for attributes in self._truths.values():
            for name, value in attributes.items():
                found.setdefault(name, {})[json.dumps(value)] = value
        return {name: [values[key] for key in sorted(values)] for name, values in found.items()}


def _judges(request: Request) -> bool:
    return request.schema is not None and REASONS in request.schema["properties"]


def stated(text: str) -> dict[str, Any]:
    r"""Return what a text tells of a scene in its last <attributes> and <caption> blocks.

    >>> stated("<caption>A dog.</caption><attributes>emotion: awe\nobject: dog, gift</attributes>")
    {'caption': 'A dog.', 'emotion': 'awe', 'object': ['dog', 'gift']}
    """
    captions, blocks = CAPTION.findall(text), ATTRIBUTES.findall(text)
    told: dict[str, Any] = {"caption": captions[-1].strip()} if captions else {}
    for line in blocks[-1].strip().splitlines() if blocks else ():
        name, _, value = line.partition(":")
        told[name.strip()] = value.strip()
    for name in ("brightness", "colorfulness"):
        if name in told:
            told[name] = float(told[name])
    if "object" in told:
        told["object"] = told["object"].split(", ")
    return told


def described(scene: Attributes) -> str:
    """Return a caption: what is seen, and no word about feelings.

    >>> described({"brightness": 0.2, "colorfulness": 0.1, "scene_type": "forest", "object": ["ghost"]})
    'a dark and grey picture of a forest with a ghost.'
    """
    opening = " ".join(word for word in ("a", " and ".join(looks(scene)), "picture") if word)
    place = [f"of a {scene['scene_type']}"] if "scene_type" in scene else []
    shown = " and ".join(part for part in (things(scene.get("object", ())), somebody(scene)) if part)
    return " ".join([opening, *place, *([f"with {shown}"] if shown else [])]) + "."


def looks(scene: Attributes) -> list[str]:
    """Return how light and colours are, in a word each, as far as known."""
    levels = (_level(scene.get("brightness"), *LIGHT), _level(scene.get("colorfulness"), *COLOUR))
    return [word for word in levels if word]


def _level(value: float | None, low: str, middle: str, high: str) -> str | None:
    return None if value is None else low if value < 0.35 else middle if value < 0.65 else high


def things(names: Sequence[str]) -> str:
    """Return objects in words: `a dog and fireworks`."""
    return " and ".join(name if name in UNCOUNTED else _one(name) for name in names)


def somebody(scene: Attributes) -> str | None:
    """Return who is there: `a sad person lying`; None where nobody is known to be."""
    look, action = scene.get("facial_expression"), scene.get("human_action")
    if look is None and action is None:
        return None
    return " ".join(word for word in (_one(f"{look} person" if look else "person"), action) if word)


def _one(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _reasons(scene: Attributes) -> list[str]:
    """Return what may evoke an emotion here, in words."""
    place = [f"the {scene['scene_type']}"] if "scene_type" in scene else []
    person = somebody(scene)
    parts = [*place, *(f"the {name}" for name in scene.get("object", ())), *([person] if person else [])]
    return [*parts, *(f"the {word} picture" for word in looks(scene))] or ["the picture"]


def _conversation(scene: Attributes, attribute: str, of_class: str, rng: Random) -> dict[str, Any]:
    parts = _reasons({name: value for name, value in scene.items() if name != attribute})
    reasons = " and ".join(rng.sample(parts, min(2, len(parts))))
    if attribute == EMOTION:
        last = ("What feeling does the picture evoke?", f"It evokes {of_class}, through {reasons}.")
    else:
        last = (f"What is the {attribute.replace('_', ' ')}?", f"It is {of_class}, beside {reasons}.")
    asked = [
        ("What does the picture show?", scene.get("caption") or described(scene)),
        ("How are light and colour?", f"It is {' and '.join(looks(scene)) or 'hard to tell'}."),
        last,
    ]
    return {"conversation": [{"question": question, "answer": answer} for question, answer in asked]}


def _reasoning(scene: Attributes, attribute: str, of_class: str, rng: Random) -> dict[str, Any]:
    reasons = _reasons({name: value for name, value in scene.items() if name != attribute})
    question = rng.choice(("How do the parts of this picture work together?", "Why does this picture affect a viewer?"))
    steps = [f"First one sees {reasons[0]}."]
    steps += [f"Then {' and '.join(reasons[1:])} add to it."] if reasons[1:] else []
    is_ = "evoke" if attribute == EMOTION else "say:"
    return {"question": question, "answer": f"{' '.join(steps)} Together they {is_} {of_class}."}


WRITERS: Final[Mapping[frozenset[str], Callable[[Attributes, str, str, Random], dict[str, Any]]]] = {
    frozenset({"conversation"}): _conversation,
    frozenset({"question", "answer"}): _reasoning,
}
"""What is written, by the properties of the schema."""
