"""A simulated annotator: a vision LLM by its seam, a noise model of one inside. Its numbers are called simulated.

It gets only the request: the image (by its content), the text as sent, the schema, temperature, seed and draw. What it
sees is the latent truth of a synthetic face through the channels of `perception`; an image that is in none of
the truth files it cannot see, and it says so in its model name. It reads known labels in a <human_annotation> or, when
they are settled, an <annotation> block and earlier predictions in <prediction> blocks. It knows nothing of the
experiment's settings.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from random import Random
from typing import Any

from seke.answers.extract import describe, extract
from seke.backends.simulated.grading import Grading, grades, is_graded, shares
from seke.backends.simulated.perception import (
    Channel,
    Habits,
    Impression,
    Knowledge,
    beliefs,
    conclude,
    glance,
    infer,
    look,
    weigh,
)
from seke.backends.simulated.replies import simulated, truths
from seke.core.affect import ACTION_UNITS, AU_GIVEN_EXPRESSION
from seke.core.records import ImageRecord, Labels
from seke.core.vlm import Choice, Reply, Request

MODEL = "simulated-annotator"
BLIND = "simulated-annotator-blind"
"""The model of a reply about an image that it could not see."""

HUMAN = re.compile(r"<(?:human_)?annotation>(.*?)</(?:human_)?annotation>", re.DOTALL)
PREDICTION = re.compile(r'<prediction n="\d+">(.*?)</prediction>', re.DOTALL)
UNCERTAINTY = re.compile(r"<uncertainty>(.*?)</uncertainty>", re.DOTALL)
STATED = re.compile(r"^\s*([a-z ]+): ([\d.]+)\s*$", re.MULTILINE)


class Simulated:
    """The annotator. Token usage is an estimate (`replies.simulated`)."""

    def __init__(
        self,
        truth: str,
        expression: Mapping[str, float],
        action_units: Mapping[str, float],
        valence: Mapping[str, float],
        arousal: Mapping[str, float],
        au_bias: Mapping[int, float],
        va_bias: tuple[float, float],
        knowledge: float,
        seen: float,
        unseen: float,
        expression_vote: float,
        grading: Mapping[str, Any] | None = None,
        seed: int = 0,
        usd_per_million: tuple[float, float] | None = None,
    ) -> None:
        """`truth`: glob of truth.jsonl files; `usd_per_million`: price of input and output tokens, to play through."""
        self.pattern = truth
        self.habits = Habits(
            expression=Channel(**expression),
            action_units=Channel(**action_units),
            valence=Channel(**valence),
            arousal=Channel(**arousal),
            au_bias={int(au): bias for au, bias in au_bias.items()},
            va_bias=(va_bias[0], va_bias[1]),
            knowledge=knowledge,
            seen=seen,
            unseen=unseen,
            expression_vote=expression_vote,
        )
        self.grading = Grading(**(grading or {}))
        self.seed, self.usd_per_million = seed, usd_per_million
        self._impressions: dict[str, Impression] = {}
        # One face is asked about several times with the same known labels.
        self._inferred = lru_cache(maxsize=4096)(self._infer)

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield (index, reply), in order: nothing here takes long."""
        for index, request in enumerate(requests):
            yield index, self._answer(request)

    def _answer(self, request: Request) -> Reply:
        text = request.text
        picture = request.images[-1].sha256 if request.images else ""
        first = self._impression(picture)
        known, knowledge = self._told(text)
        predictions = [extract(block.strip()) for block in PREDICTION.findall(text)]
        doubt = _stated_uncertainty(text) if predictions else {}
        choices = []
        for number in range(request.n):
            rng = Random(f"{self.seed}/{request.key}/{number}")
            view = look(first, self.habits, request.temperature, rng)
            opinion = weigh(view, knowledge, predictions, doubt, self.habits)
            log_p = beliefs(opinion) if request.logprobs else {}
            graded = self._graded(opinion, request, rng)
            tokens = tuple(_written(conclude(opinion), known, request.schema, log_p, graded))
            answer = "".join(token for token, _ in tokens)
            choices.append(Choice(answer, logprobs=tokens if request.logprobs else None))
        blind = picture not in self._truths
        return simulated(request, choices, BLIND if blind else MODEL, self.usd_per_million, blind)

    def _graded(self, opinion: Impression, request: Request, rng: Random) -> dict[str, Any]:
        """Return the fields of an answer that its schema asks grades for."""
        properties = (request.schema or {}).get("properties", {})
        given: dict[str, Any] = {}
        if is_graded(properties.get("expression", {})):
            given["expression"] = shares(opinion.expression, self.grading)
        if is_graded(units := properties.get("action_units", {})):
            every = grades(opinion.action_units, self.grading, request.temperature, rng)
            given["action_units"] = {name: every[int(name[2:])] for name in units["properties"]}
        return given

    def _told(self, text: str) -> tuple[Labels, Knowledge | None]:
        """Return the known labels that the text states, and what follows from them."""
        match = HUMAN.search(text)
        if match is None:
            return Labels(), None
        return self._inferred(match[1].strip())

    def _infer(self, block: str) -> tuple[Labels, Knowledge | None]:
        known = extract(block)
        return known, None if known.empty else infer(known, self.habits.knowledge)

    def _impression(self, picture: str) -> Impression:
        """Return the image's systematic view, the same in every request that shows it."""
        if picture not in self._impressions:
            record = self._truths.get(picture)
            intensity = {int(au): float(value) for au, value in _intensities(record).items()}
            rng = Random(f"{self.seed}/{picture}")
            self._impressions[picture] = glance(record.labels if record else None, intensity, self.habits, rng)
        return self._impressions[picture]

    @cached_property
    def _truths(self) -> dict[str, ImageRecord]:
        return truths(self.pattern)


def reasoning(labels: Labels) -> str:
    """Return one short sentence that ties together what `labels` know; a function of the labels alone.

    >>> reasoning(Labels(expression="happiness", valence=0.8, arousal=0.4, action_units={6: True, 12: True}))
    'Cheek Raiser and Lip Corner Puller fit happiness, a pleasant and aroused state.'
    """
    called_for = AU_GIVEN_EXPRESSION.get(labels.expression or "", {})
    likeliest = sorted(labels.active, key=lambda au: (-called_for.get(au, 0.0), au))[:2]
    names = " and ".join(ACTION_UNITS[au] for au in sorted(likeliest))
    subject = names or "A face at rest"
    verb = "fit" if len(likeliest) == 2 else "fits"
    degrees = (
        _degree(labels.valence, "pleasant", "unpleasant", "even"),
        _degree(labels.arousal, "aroused", "subdued", "calm"),
    )
    words = [word for word in degrees if word]
    state = f"{_article(words[0])} {' and '.join(words)} state" if words else ""
    return f"{subject} {verb} {', '.join(part for part in (labels.expression, state) if part) or 'the face'}."


def _degree(value: float | None, high: str, low: str, middle: str) -> str | None:
    if value is None:
        return None
    return high if value > 0.15 else low if value < -0.15 else middle


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _stated_uncertainty(text: str) -> dict[str, float]:
    match = UNCERTAINTY.search(text)
    stated = STATED.findall(match[1]) if match else []
    return {name.strip().replace(" ", "_"): min(float(value), 1.0) for name, value in stated}


def _intensities(record: ImageRecord | None) -> Mapping[str, Any]:
    found: Mapping[str, Any] = record.attributes.get("au_intensity", {}) if record else {}
    return found


def _written(
    concluded: Labels,
    known: Labels,
    schema: Mapping[str, Any] | None,
    log_p: Mapping[str, float],
    graded: Mapping[str, Any],
) -> Iterator[tuple[str, float]]:
    """Write an answer in tokens: JSON with the schema's fields, or without one the universal template and a sentence.

    Action units are written as the schema wants them, a list of the active ones or {"AU1": 0, ...}; what is `graded`
    is written as it is.
    """
    if schema is None:
        everything = known.completed_by(concluded)
        yield f"{describe(everything, digits=2)} {reasoning(everything)}", 0.0
        return
    properties = schema["properties"]
    form = properties.get("action_units", {})
    offered = form.get("items", {}).get("enum") or [int(name[2:]) for name in form.get("properties", ())]
    believed = concluded.action_units or {}
    answered = Labels(
        expression=concluded.expression if "expression" in properties else None,
        valence=concluded.valence if "valence" in properties else None,
        arousal=concluded.arousal if "arousal" in properties else None,
        action_units={au: believed[au] for au in offered} or None,
    )
    fields: dict[str, Any] = {
        "expression": answered.expression,
        "valence": answered.valence,
        "arousal": answered.arousal,
        "action_units": {f"AU{au}": int(believed[au]) for au in offered}
        if "properties" in form
        else list(answered.active),
        "reasoning": reasoning(known.completed_by(answered)) if "reasoning" in properties else "",
        **graded,
    }
    yield from _tokens({name: fields[name] for name in properties}, log_p)


def _tokens(fields: Mapping[str, Any], log_p: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Yield JSON in tokens, a value each; what is not a matter of opinion, and every number, has log probability 0."""
    before = "{"
    for name, value in fields.items():
        yield f"{before}{json.dumps(name)}: ", 0.0
        if isinstance(value, Mapping):
            yield from _tokens(value, log_p)
        else:
            yield json.dumps(value), log_p.get(name, 0.0)
        before = ", "
    yield "}", 0.0
