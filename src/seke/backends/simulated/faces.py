"""A simulated annotator: a vision LLM by its seam, a noise model of one inside. Its numbers are called simulated.

It gets only the request: the image (by its content), the text as sent, the schema, temperature, seed and draw. What it
sees is what a synthetic face was drawn from through the channels of `perception`; an image that is in none of
the truth files it cannot see, and it says so in its model name. It reads known labels in a <human_annotation> or, when
they are settled, an <annotation> block and earlier predictions in <prediction> blocks. It knows nothing of the
experiment's settings.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from random import Random
from typing import Any

from seke.answers.extract import describe, extract
from seke.backends.simulated.couplings import COUPLINGS
from seke.backends.simulated.grading import Grading, grades, is_graded, shares
from seke.backends.simulated.perception import (
    Channel,
    Habits,
    Impression,
    Knowledge,
    Votes,
    beliefs,
    conclude,
    glance,
    habitual,
    infer,
    look,
    weigh,
)
from seke.backends.simulated.replies import simulated, truths
from seke.core.affect import ACTION_UNITS, AU_GIVEN_EXPRESSION
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels
from seke.core.setting_checks import check_between
from seke.core.vlm import Choice, Reply, Request

MODEL = "simulated-annotator"
BLIND = "simulated-annotator-blind"
"""The model of a reply about an image that it could not see."""

HUMAN = re.compile(r"<(?:human_)?annotation>(.*?)</(?:human_)?annotation>", re.DOTALL)
PREDICTION = re.compile(r'<prediction n="\d+">(.*?)</prediction>', re.DOTALL)
UNCERTAINTY = re.compile(r"<uncertainty>(.*?)</uncertainty>", re.DOTALL)
TOLD = re.compile(r"<(\w+)[^>]*>.*?</\1>", re.DOTALL)
"""What a request tells between tags, which is no part of its wording."""
STATED = re.compile(r"^\s*([a-z ]+): ([\d.]+)\s*$", re.MULTILINE)


class Simulated:
    """The annotator. Token usage is an estimate (`replies.simulated`).

    Args:
        truth: glob of truth.jsonl files.
        expression: gain, systematic and random error of what it sees (`perception.Channel`), ...
        action_units: ... in log-odds, ...
        valence: ... and of numbers in [-1, 1].
        arousal: likewise.
        au_bias: log-odds of each AU that does not show.
        va_bias: what it adds to valence and to arousal.
        systematic_share: share of the variance of all errors that an image keeps in every draw; None: as the channels.
        confident_errors: share of images about which it is wrong and certain.
        au_asymmetry: factor of the differences between the AUs' biases; 0: all AUs are missed alike.
        couplings: how it believes that labels hang together, by a name of `COUPLINGS`.
        knowledge: weight of known labels; 1: it believes them and its couplings by the letter.
        au_shift: factor by which it lets them move AUs.
        seen: vote, in log-odds, of an earlier prediction that an AU is active ...
        unseen: ... and of one that it is not.
        expression_vote: likewise of an expression.
        va_vote: weight of an earlier valence or arousal; its own view has 1.
        uncertainty_weight: how far a stated uncertainty reduces these votes, in [0, 1].
        favourite_sets: share of answers whose AUs become a habitual set.
        va_step: valence and arousal are multiples of this; None: two decimals.
        wording_share: share of the variance of an image's systematic errors that differs between requests in other
            words, in [0, 1]; what a request tells (labels, predictions) is no wording. Confident errors have no part
            in it.
        film_share: share of the variance of an image's systematic errors that all frames of its film have alike, in
            [0, 1]: what is misread once is misread in the next frame, too. Of pictures of no film it says nothing.
        grading: what differs from the habits of `grading.Grading`.
        seed: of its errors.
        usd_per_million: price of input and output tokens, to play through.

    Raises:
        UserError: if a number is out of range, or `couplings` is no such name.
    """

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
        va_vote: float = 1.0,
        uncertainty_weight: float = 0.0,
        couplings: str = "textbook",
        au_shift: float = 1.0,
        systematic_share: float | None = None,
        confident_errors: float = 0.0,
        au_asymmetry: float = 1.0,
        favourite_sets: float = 0.0,
        va_step: float | None = None,
        wording_share: float = 0.0,
        film_share: float = 0.0,
        grading: Mapping[str, Any] | None = None,
        seed: int = 0,
        usd_per_million: tuple[float, float] | None = None,
    ) -> None:
        weights = {
            "knowledge": knowledge, "seen": seen, "unseen": unseen, "expression_vote": expression_vote,
            "va_vote": va_vote, "au_shift": au_shift, "au_asymmetry": au_asymmetry,
        }  # fmt: skip
        shares_of_one = {
            "uncertainty_weight": uncertainty_weight, "systematic_share": systematic_share,
            "confident_errors": confident_errors, "favourite_sets": favourite_sets,
            "wording_share": wording_share, "film_share": film_share,
        }  # fmt: skip
        for name, weight in weights.items():
            check_between(f"backend.{name}", weight, 0)
        for name, share in shares_of_one.items():
            check_between(f"backend.{name}", share, 0, 1, optional=name == "systematic_share")
        check_between("backend.va_step", va_step, 0.01, 1, optional=True)
        if couplings not in COUPLINGS:
            raise UserError("backend.couplings", couplings, "no such couplings", f"use {' or '.join(COUPLINGS)}")
        if grading is not None and not isinstance(grading, Mapping):
            raise UserError("backend.grading", grading, "no habits", "write for example {middle: 2.0, used: [0, 3, 5]}")
        if strange := [au for au in au_bias if str(au) not in map(str, ACTION_UNITS)]:
            units = ", ".join(map(str, ACTION_UNITS))
            raise UserError(f"backend.au_bias.{strange[0]}", au_bias[strange[0]], "no such action unit", f"use {units}")
        for argument, pair in (("backend.va_bias", va_bias), ("backend.usd_per_million", usd_per_million)):
            _check_pair(argument, pair)
        for name in grading or ():
            if name not in Grading.__dataclass_fields__:
                habits = ", ".join(Grading.__dataclass_fields__)
                raise UserError(f"backend.grading.{name}", (grading or {})[name], "no such habit", f"use {habits}")
        self.pattern = truth
        self.habits = Habits(
            expression=_shared(Channel(**expression), systematic_share),
            action_units=_shared(Channel(**action_units), systematic_share),
            valence=_shared(Channel(**valence), systematic_share),
            arousal=_shared(Channel(**arousal), systematic_share),
            au_bias=_spread({int(au): bias for au, bias in au_bias.items()}, au_asymmetry),
            va_bias=(va_bias[0], va_bias[1]),
            confident_errors=confident_errors,
            couplings=COUPLINGS[couplings],
            knowledge=knowledge,
            au_shift=au_shift,
            votes=Votes(seen, unseen, expression_vote, va_vote, uncertainty_weight),
            favourite_sets=favourite_sets,
            va_step=va_step,
            wording_share=wording_share,
            film_share=film_share,
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
        picture = request.shown[-1].sha256 if request.shown else ""
        first = self._impression(picture, _wording(text) if self.habits.wording_share else "")
        known, knowledge = self._told(text)
        predictions = [extract(block.strip()) for block in PREDICTION.findall(text)]
        doubt = _stated_uncertainty(text) if predictions else {}
        choices = []
        for number in range(request.n):
            rng = Random(f"{self.seed}/{request.key}/{number}")
            view = look(first, self.habits, request.temperature, rng)
            opinion = habitual(weigh(view, knowledge, predictions, doubt, self.habits), self.habits, rng)
            log_p = beliefs(opinion) if request.logprobs else {}
            graded = self._graded(opinion, request, rng)
            tokens = tuple(_written(conclude(opinion, self.habits.va_step), known, request.schema, log_p, graded))
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
        return known, None if known.empty else infer(known, self.habits.couplings, self.habits.knowledge)

    def _impression(self, picture: str, wording: str) -> Impression:
        """Return the image's systematic view, the same in every request that shows it and is worded so."""
        key = f"{picture}/{wording}"
        if key not in self._impressions:
            record = self._truths.get(picture)
            intensity = {int(au): float(value) for au, value in _intensities(record).items()}
            rng, of_wording = Random(f"{self.seed}/{picture}"), Random(f"{self.seed}/{key}")
            labels = record.labels if record else None
            clip = record.clip if record else None
            of_film = Random(f"{self.seed}/film/{clip.video}") if clip is not None else None
            self._impressions[key] = glance(labels, intensity, self.habits, rng, of_wording, of_film)
        return self._impressions[key]

    @cached_property
    def _truths(self) -> dict[str, ImageRecord]:
        return truths(self.pattern)


def _check_pair(argument: str, pair: object) -> None:
    """Refuse what is no two numbers."""
    if pair is None:
        return
    listed = list(pair) if isinstance(pair, Iterable) and not isinstance(pair, str | Mapping) else []
    if len(listed) != 2:
        raise UserError(argument, pair, "not two numbers", "write for example [0.5, 1.0]")
    for number in listed:
        check_between(argument, number, -math.inf)


def _shared(channel: Channel, systematic: float | None) -> Channel:
    """Return the channel with its variance shared anew between what an image keeps and what a draw adds."""
    if systematic is None:
        return channel
    total = math.hypot(channel.systematic, channel.random)
    return Channel(channel.gain, total * math.sqrt(systematic), total * math.sqrt(1 - systematic))


def _spread(bias: Mapping[int, float], asymmetry: float) -> Mapping[int, float]:
    """Return the AUs' biases, their distances from the mean times `asymmetry`."""
    mean = sum(bias.values()) / len(bias)
    return bias if asymmetry == 1 else {au: mean + asymmetry * (value - mean) for au, value in bias.items()}


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


def _wording(text: str) -> str:
    """Return what stands for the words of a request: not for what they tell of a face."""
    return hashlib.sha256(TOLD.sub("", text).encode()).hexdigest()


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
