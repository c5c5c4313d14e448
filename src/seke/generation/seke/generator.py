"""SEKE: human labels as prior knowledge, self-verification by repeated draws, and a summary of both (Sec. 3, Fig. 2).

    records -> [ prior-knowledge prompt -> draws (Algorithm 1) -> summary prompt ] -> instructions, rejections

The last step is a choice: the annotator sums up its draws (`aggregate=summary`, the paper), or `aggregation` does and
the annotator only describes the result.

A record's random stream is seeded by (seed, record id) alone, and what it asks depends on nothing but itself: order,
chunking and a resume change nothing.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from seke.answers.extract import describe
from seke.core import plugins
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.prompts import Prompts
from seke.core.records import (
    ImageRecord,
    InstructionRecord,
    Labels,
    Rejection,
    Uncertainty,
)
from seke.core.vlm import VLM, Choice, Image, Message, Request
from seke.generation.asked import FIELDS, Asked, fields, missing
from seke.generation.calibration import calibration_file
from seke.generation.calibration import pilot as pilot_study
from seke.generation.calibration.arms import Arm, prompts_of
from seke.generation.calibration.grades import mean_grades
from seke.generation.calibration.logprobs import SoftDraw
from seke.generation.calibration.patterns import pattern_of
from seke.generation.calibration.posterior import Posterior, confidence
from seke.generation.calibration.smoother import Smoother
from seke.generation.calibration.study import SHOWN
from seke.generation.calibration.whom import FIRST, SECOND, Whom
from seke.generation.outcome import Face, Outcome
from seke.generation.seke import by_value, checks, normalisation, over_time
from seke.generation.seke.aggregation import AGGREGATES, Aggregate, settle
from seke.generation.seke.by_value import ByValue, Consulted, Two, consult, to_second
from seke.generation.seke.learning import WITNESSES, Learner, Learnt, Second, learn
from seke.generation.seke.rows import conversation, instruction, nobody, origins, trace
from seke.generation.seke.sampling import Bill, Dialogue, Sampled, in_rounds, insist, sample
from seke.generation.seke.schema import FORMS, Answer, Form, Unusable, read, schema
from seke.generation.seke.stopping import INITIAL_DRAWS, Floored, StoppingRule, check_max_samples, fixed
from seke.generation.seke.uncertainty import PerAU
from seke.generation.witnesses.tables import entries

log = logging.getLogger(__name__)

NOT_LOOKING = "not_looking"
"""The flag of a row for which nobody was asked; `not_looking_au` and the like where that holds for a description."""
THIN = "thin_pilot"
"""The flag of a row whose pattern of known labels had too few images in the pilot."""

SLOTS = {
    "system": {"expressions", "action_units"},
    "prior": {"labels"},
    "draw": {"prior", "asked"},
    "annotate": {"prior", "asked"},
    "summary": {"prior", "predictions", "uncertainty", "asked"},
    "describe": {"prior", "asked"},
    "settled": {"labels", "asked"},
    "prediction": {"number", "labels"},
    "ask_expression": set[str](),
    "ask_valence": set[str](),
    "ask_arousal": set[str](),
    "ask_action_units": {"numbers"},
    "ask_reasoning": set[str](),
    "again": set[str](),
    "questions": set[str](),
}
SLOTS_OF: Mapping[Form, Mapping[str, set[str]]] = {
    "draws": {},
    "logprobs": {"ask_each_action_unit": {"numbers"}},
    "graded": {"ask_shares": {"expressions"}, "ask_intensities": {"numbers"}},
}
"""Of the templates that only one form of asking needs."""
FRAMINGS = ("draw", "draw_reasons_first")
"""The templates whose variants are the ways in which draws are framed, in their order; the second one need not be."""

_WITHOUT_PILOT: Mapping[str, Any] = {
    "aggregate": "summary", "normalise": "theoretical", "witnesses": (), "reuse": None, "smooth": False, "ask_every": 1,
}  # fmt: skip
"""Settings of a generator that need not ask a pilot."""


class Seke:
    """The generator. `generate` turns a chunk of faces into outcomes, in their order."""

    learns_from_records: bool
    """Whether workers elsewhere must learn, too; from what the first of them left in the run's folder."""
    spare: ClassVar[Mapping[str, Any]] = _WITHOUT_PILOT

    def __init__(
        self,
        vlm: VLM,
        stopping: StoppingRule,
        prompts: Prompts,
        *,
        use_prior: bool = True,
        self_verify: bool = True,
        max_samples: int = 5,
        hide: Sequence[str] = (),
        per_au: PerAU = "mean",
        normalise: str | Mapping[str, float] = "theoretical",
        uncertainty: Form = "draws",
        aggregate: Aggregate = "summary",
        pilot: int = 400,
        witnesses: Sequence[Any] = (),
        reuse: str | None = None,
        smooth: bool = False,
        ask_every: int = 1,
        outputs: str = "outputs",
        second: VLM | None = None,
        temperature: float = 1.0,
        max_tokens: int = 512,
        seed: int = 0,
    ) -> None:
        _check_settings(max_samples, per_au, uncertainty, aggregate, pilot, temperature)
        self.form = uncertainty
        plugins.require("stopping", stopping, "__call__")
        if lacking := [name for name in SLOTS_OF["graded"] if self.form == "graded" and name not in prompts.templates]:
            problem = f"graded questions need the template {lacking[0]}, which these prompts lack"
            raise UserError("generator.uncertainty", uncertainty, problem, "set prompts=seke_graded, or write it")
        optional = {name: SLOTS["draw"] for name in FRAMINGS if name in prompts.templates}
        prompts.require(**{**SLOTS, **SLOTS_OF[self.form], **optional})
        self.framings = [(name, way) for name in optional for way in range(prompts.variants(name))]
        checks.questions_leak_nothing(prompts)
        self.vlm, self.stopping, self.prompts = vlm, stopping, prompts
        self.use_prior, self.self_verify = use_prior, self_verify
        self.max_samples, self.per_au = max_samples, per_au
        self.scales, self.learns_from_records = normalisation.scales_of(normalise), normalise == "empirical"
        self.hide, self.hidden = tuple(hide), fields(hide)
        self.aggregate, self.pilot = aggregate, pilot
        self.witnesses, self.reuse = entries(witnesses, Path(outputs)), calibration_file.located(reuse, Path(outputs))
        if self.reuse is not None and (aggregate != "calibrated" or not self_verify):
            problem = f"draws are read again by a calibrated annotator model, and labels are made by {aggregate} here"
            raise UserError("generator.reuse", reuse, problem, "set generator.aggregate=calibrated")
        if self.witnesses and (aggregate != "calibrated" or not self_verify):
            problem = f"witnesses are heard by a calibrated annotator model, and labels are made by {aggregate} here"
            raise UserError("generator.witnesses", witnesses, problem, "set generator.aggregate=calibrated")
        if self.reuse is not None and second is not None:
            raise UserError("generator.reuse", reuse, "two annotators are asked by value here", "leave second out")
        if isinstance(stopping, ByValue) and second is not None and (aggregate != "calibrated" or not self_verify):
            problem = f"a calibrated annotator model says what an answer is worth, and labels are made by {aggregate}"
            raise UserError("stopping", "value", problem, "set generator.aggregate=calibrated")
        over_time.check(smooth, ask_every, aggregate == "calibrated" and self_verify, isinstance(stopping, ByValue))
        self.whole_videos, self.ask_every = smooth, ask_every
        self.second = second
        self.learnt: Learnt | None = None
        self._warned = False
        self.temperature, self.max_tokens, self.seed = temperature, max_tokens, seed
        taught = prompts.render("system", expressions=", ".join(EXPRESSIONS), action_units=_AUS)
        self._system = Message("system", (taught,))
        self._asked_lines = lru_cache(maxsize=1024)(self._list_asked)

    @property
    def floor(self) -> float | None:
        """E[S] where the draws never disagree, if its stopping rule knows that."""
        return self.stopping.floor if self.self_verify and isinstance(self.stopping, Floored) else None

    def learn(self, records: Sequence[ImageRecord], opened: Callable[[ImageRecord], Face | None], folder: Path) -> None:
        """Ask the annotator about a pilot and fit what the settings need; nothing, where they need nothing.

        Raises:
            UserError: if too few records carry human labels.
        """
        if self.self_verify and self.learns_from_records:
            how: dict[str, Any] = {"count": self.pilot, "seed": self.seed, "per_au": self.per_au}
            self.scales = normalisation.learn(records, opened, self._first_draws, folder, **how)
        learner = self.stopping if isinstance(self.stopping, Learner) else None
        if not self.self_verify or (learner is None and self.aggregate != "calibrated"):
            return
        if self.whole_videos:
            over_time.check_videos(records)
        self.learnt = learn(
            records,
            opened,
            self._ask_pilot,
            folder,
            size=self.pilot,
            seed=self.seed,
            hide=self.hide,
            draws=self.max_samples,
            show=self.use_prior,
            choose=self.aggregate == "calibrated",
            rule=learner,
            witnesses=self.witnesses,
            second=self._second(),
            reuse=self.reuse,
            every=self.ask_every if self.whole_videos else None,
        )

    def _second(self) -> Second | None:
        """Return the second annotator as the pilot asks it, if there is one."""
        if self.second is None or not isinstance(self.stopping, ByValue):
            return None
        price = {FIRST: by_value.price("backend", self.vlm), SECOND: by_value.price("second", self.second)}
        return Second(self.stopping, partial(self._ask_pilot, vlm=self.second), price)

    def suppose_asked(self, worst: bool) -> None:
        """Suppose, for an estimate, that the annotator is worth asking: all draws, at worst by both prompts."""
        if self.learnt is not None and self.learnt.whom is not None:
            self.learnt.whom.suppose(worst)
        elif self.learnt is not None and self.aggregate == "calibrated":
            self.learnt = self.learnt.supposing_asked(self.max_samples, worst and self.use_prior)

    def _ask_pilot(
        self, questions: Sequence[pilot_study.Question], bills: list[Bill], vlm: VLM | None = None
    ) -> list[tuple[Labels, ...]]:
        """Return all the draws that a record may ever get, for each question."""
        every = fixed(self.max_samples)
        bills += [Bill() for _ in questions]
        dialogues = [
            self._sample(face, shown, shown, asked, bill, every, self.max_samples)
            for (face, shown, asked), bill in zip(questions, bills, strict=True)
        ]
        return [tuple(sampled.draws) for sampled in in_rounds(dialogues, vlm or self.vlm)]

    def _first_draws(self, faces: Sequence[Face]) -> list[Sequence[Labels]]:
        """Return the draws that Algorithm 1 begins with, of each face that anything is asked of."""
        known = [self._manual(face.record) for face in faces]
        told = [manual if self.use_prior else Labels() for manual in known]
        dialogues = [
            self._sample(face, prior, prior, missing(manual), Bill(), fixed(INITIAL_DRAWS), self.max_samples)
            for face, prior, manual in zip(faces, told, known, strict=True)
            if missing(manual).anything
        ]
        return [sampled.draws for sampled in in_rounds(dialogues, self.vlm)]

    def _manual(self, record: ImageRecord) -> Labels:
        """Return what is known of a record when it is annotated."""
        return record.labels.model_copy(update=dict.fromkeys(self.hidden))

    def generate(self, faces: Sequence[Face]) -> Iterator[Outcome]:
        """Yield one outcome per face, in order; all their requests share the rounds."""
        vlm = self.vlm if self.second is None else Two(self.vlm, self.second)
        if self.learnt is None or (smoother := self.learnt.smoother) is None:
            yield from in_rounds([self.annotate(face) for face in faces], vlm)
            return
        known = [self._manual(face.record) for face in faces]
        to_ask = over_time.to_ask(smoother, [face.record for face in faces], known)
        seen = in_rounds([self._see(face, face.record.id in to_ask) for face in faces], vlm)
        yield from in_rounds([self._settle(each) for each in self._informed(smoother, seen)], vlm)

    def plan(self, records: Sequence[ImageRecord]) -> list[ImageRecord]:
        """Return the records as they are; frames of a video together, where they inform each other."""
        return over_time.in_order(records) if self.whole_videos else list(records)

    def annotate(self, face: Face) -> Dialogue[Outcome]:
        """Complete one face's labels: Figure 2 from left to right."""
        seen = yield from self._see(face)
        return (yield from self._settle(seen))

    def _see(self, face: Face, ask: bool = True) -> Dialogue["Seen"]:
        """Draw as often as it takes; `ask`: else nobody is asked, and known labels alone say what they can."""
        manual = self._manual(face.record)
        asked, learnt = missing(manual), self.learnt
        prior = manual if self.use_prior else Labels()
        arms = learnt.calibration.of(manual) if learnt else {}
        thresholds = learnt.calibration.thresholds if learnt else {}
        seen = Seen(face, manual, asked, prior, arms, thresholds, Bill())
        if not self.self_verify or not asked.anything:
            return seen
        try:
            if learnt is not None and (whom := learnt.whom) is not None:
                consulted = yield from self._consult(whom, face, manual, asked, seen.bill)
                seen.drawn, seen.belief, seen.arms, _, seen.told = consulted
                seen.thresholds, seen.flags = whom.thresholds, consulted.flags(whom)
            else:
                seen.drawn = (yield from self._draw(face, manual, asked, arms, seen.bill)) if ask else {}
                seen.belief = self._belief(face.record, arms, prior, asked, seen.drawn)
                seen.told = SHOWN in seen.drawn or not seen.drawn
        except Unusable as unusable:
            seen.failure = unusable
        if not ask:
            seen.flags = [over_time.INFERRED]
        return seen

    def _informed(self, smoother: Smoother, seen: Sequence["Seen"]) -> Sequence["Seen"]:
        """Return what was seen of faces, beliefs of a video's frames informed by each other."""
        frames = [over_time.Frame(each.face.record, each.prior, each.asked, each.belief) for each in seen]
        beliefs = over_time.informed(smoother, frames)
        for each in seen:
            if (belief := beliefs.get(each.face.record.id)) is not None:
                each.belief, each.smoothed = belief, True
        return seen

    def _settle(self, seen: "Seen") -> Dialogue[Outcome]:
        """Make one annotation of what was seen of a face, and have it described."""
        face, manual, asked, prior, bill = seen.face, seen.manual, seen.asked, seen.prior, seen.bill
        record, sampled = face.record, _together(seen.drawn)
        try:
            if seen.failure is not None:
                raise seen.failure
            if not self.self_verify or (not asked.anything and self.aggregate == "summary"):
                summary = yield from self._single_pass(face.image, prior, asked, bill)
            elif not asked.anything:
                summary = Answer(Labels(), (yield from self._describe(face.image, manual, bill)))
            elif (settled := settle(self.aggregate, sampled.draws, seen.belief, seen.thresholds)) is None:
                summary = yield from self._summarise(face.image, prior, asked, sampled, bill)
            elif not seen.drawn:  # the annotator adds nothing, and nobody is asked
                summary = Answer(settled, "")
            else:
                final = manual.completed_by(settled)
                summary = Answer(settled, (yield from self._describe(face.image, final, bill)))
        except Unusable as unusable:
            rejection = Rejection(id=record.id, reason=unusable.reason, detail=unusable.detail)
            return Outcome(rejection, trace(record.id, prior, sampled.draws, None, bill), bill)
        shown = prior if seen.told else Labels()
        sure = _confidence(seen.arms, seen.belief, summary.labels)
        smoothed = [over_time.SMOOTHED] if seen.smoothed else []
        flags = [*(_flags(seen.arms) if seen.flags is None else seen.flags), *smoothed]
        row = self._instruction(face, manual, sampled, summary, sure, seen.arms, bill, flags)
        return Outcome(row, trace(record.id, shown, sampled.draws, summary.labels, bill), bill)

    def _consult(self, whom: Whom, face: Face, manual: Labels, asked: Asked, bill: Bill) -> Dialogue[Consulted]:
        """Ask two annotators about a face as far as that is worth its price.

        Raises:
            Unusable: if no answer was usable.
        """
        prior = manual if self.use_prior else Labels()

        def ask(who: str, prompt: str, draws: int, before: int) -> Dialogue[Sampled]:
            shown = prior if prompt == SHOWN else Labels()
            asking = self._sample(face, shown, prior, asked, bill, fixed(draws), draws, before)
            return to_second(asking) if who == SECOND else asking

        witnessed = self.learnt.witnessed.get(face.record.id, ()) if self.learnt else ()
        return consult(whom, face.record, manual, prior, asked, witnessed, ask)

    def _draw(
        self, face: Face, manual: Labels, asked: Asked, arms: Mapping[str, Arm], bill: Bill
    ) -> Dialogue[dict[str, Sampled]]:
        """Draw as the arms of a record's pattern want it: by one prompt or both, or not at all.

        Raises:
            Unusable: if no draw of a prompt was usable.
        """
        prior = manual if self.use_prior else Labels()
        prompts = prompts_of(arms) if self.aggregate == "calibrated" else {SHOWN: self.max_samples}
        drawn: dict[str, Sampled] = {}
        for prompt, most in prompts.items():
            key = pattern_of(manual), prompt
            rule = self.learnt.rules.get(key, self.stopping) if self.learnt else self.stopping
            shown = prior if prompt == SHOWN else Labels()
            sampled = yield from self._sample(face, shown, prior, asked, bill, rule, most)
            if not sampled.draws and sampled.failure:
                raise sampled.failure
            drawn[prompt] = sampled
        return drawn

    def _belief(
        self, record: ImageRecord, arms: Mapping[str, Arm], known: Labels, asked: Asked, drawn: Mapping[str, Sampled]
    ) -> Posterior | None:
        """Return what the arms make of the draws; None where there are no arms, or no draws that they could read."""
        if self.learnt is None or any(not sampled.draws for sampled in drawn.values()):
            return None
        draws = {prompt: sampled.draws for prompt, sampled in drawn.items()}
        witnessed = self.learnt.witnessed.get(record.id, ())
        return self.learnt.calibration.posterior(arms, known, asked, draws, witnessed, record.source)

    def _sample(
        self,
        face: Face,
        shown: Labels,
        known: Labels,
        asked: Asked,
        bill: Bill,
        stopping: StoppingRule,
        most: int,
        before: int = 0,
    ) -> Dialogue[Sampled]:
        """Sample a face's draws; `before`: how many there are already."""
        lines = self._asked_lines(asked, False, self.form)
        logprobs = self.form == "logprobs"

        def framing(draw: int) -> tuple[str, int]:
            return self.framings[(before + draw) % len(self.framings)]

        def reasons(draw: int) -> bool:
            return framing(draw)[0] == "draw_reasons_first"

        def ask(n: int, draw: int, again: bool) -> Request:
            text = self.prompts.render(*framing(draw), prior=self._prior(shown), asked=lines)
            form = schema(asked, reasons(draw), self.form, reasons_first=True)
            return self._request(text, face.image, form, n, before + draw, again, logprobs)

        def labels(choice: Choice, draw: int) -> Labels:
            drawn = read(choice, asked, reasons(draw), self.form).labels
            self._warn_of(drawn)
            return drawn

        rng = self._rng(face.record.id, "draws")
        return sample(ask, labels, stopping, rng, bill, most, self.per_au, known, self.scales, len(self.framings))

    def _single_pass(self, image: Image, prior: Labels, asked: Asked, bill: Bill) -> Dialogue[Answer]:
        template = "annotate" if asked.anything else "describe"
        text = self.prompts.render(template, prior=self._prior(prior), asked=self._asked_lines(asked, True))
        return self._insist(text, image, asked, bill)

    def _summarise(self, image: Image, prior: Labels, asked: Asked, sampled: Sampled, bill: Bill) -> Dialogue[Answer]:
        if not sampled.draws:
            return self._single_pass(image, prior, asked, bill)
        predictions = "\n".join(
            self.prompts.render("prediction", number=str(number), labels=describe(draw, digits=2))
            for number, draw in enumerate(sampled.draws, start=1)
        )
        text = self.prompts.render(
            "summary",
            prior=self._prior(prior),
            predictions=predictions,
            uncertainty=_uncertainty_lines(sampled.uncertainty),
            asked=self._asked_lines(asked, True),
        )
        return self._insist(text, image, asked, bill)

    def _describe(self, image: Image, labels: Labels, bill: Bill) -> Dialogue[str]:
        """Have complete labels explained: nothing but the reasoning is asked."""
        nothing = missing(labels)
        text = self.prompts.render("settled", labels=describe(labels, digits=2), asked=self._asked_lines(nothing, True))
        answer = yield from self._insist(text, image, nothing, bill)
        return answer.reasoning

    def _insist(self, text: str, image: Image, asked: Asked, bill: Bill) -> Dialogue[Answer]:
        def ask(n: int, draw: int, again: bool) -> Request:
            return self._request(text, image, schema(asked, True), n, draw, again)

        def answer(choice: Choice) -> Answer:
            return read(choice, asked, True)

        return insist(ask, answer, bill)

    def _request(
        self, text: str, image: Image, form: Mapping[str, Any], n: int, draw: int, again: bool, logprobs: bool = False
    ) -> Request:
        parts = (text, self.prompts.render("again"), image) if again else (text, image)
        return Request(
            messages=(self._system, Message("user", parts)),
            schema=form,
            temperature=self.temperature,
            n=n,
            max_tokens=self.max_tokens,
            seed=self.seed,
            draw=draw,
            logprobs=logprobs,
        )

    def _warn_of(self, drawn: Labels) -> None:
        """Say once that soft labels were asked and plain ones came."""
        if self.form == "logprobs" and not self._warned and not isinstance(drawn, SoftDraw):
            self._warned = True
            log.warning("no log probabilities came with the answers; without them these are plain draws (no_logprobs)")

    def _prior(self, prior: Labels) -> str:
        told = describe(prior, digits=2)  # "" too where nothing but AU intensities is known
        return self.prompts.render("prior", labels=told) if told else ""

    def _list_asked(self, asked: Asked, reasoning: bool, form: Form = "draws") -> str:
        render = self.prompts.render
        lines = [render(f"ask_{name}") for name in ("expression", "valence", "arousal") if getattr(asked, name)]
        if asked.expression and form == "graded":
            lines[0] = render("ask_shares", expressions=", ".join(EXPRESSIONS))
        if asked.action_units:
            template = {"draws": "ask_action_units", "logprobs": "ask_each_action_unit", "graded": "ask_intensities"}
            lines.append(render(template[form], numbers=", ".join(map(str, asked.action_units))))
        if reasoning:
            lines.append(render("ask_reasoning"))
        return "\n".join(lines)

    def _rng(self, record_id: str, purpose: str) -> Random:
        return Random(f"{self.seed}/{record_id}/{purpose}")

    def _instruction(
        self,
        face: Face,
        manual: Labels,
        sampled: Sampled,
        summary: Answer,
        sure: Mapping[str, Any] | None,
        arms: Mapping[str, Arm],
        bill: Bill,
        how: Sequence[str],
    ) -> InstructionRecord:
        record = face.record
        final = manual.completed_by(summary.labels)
        assert final.complete
        assert checks.prior_kept(manual, final)
        flags = checks.coupling_flags(final)
        if sampled.failure:
            flags.append("unusable_draws")
        if self.form == "logprobs" and not all(isinstance(draw, SoftDraw) for draw in sampled.draws):
            flags.append("no_logprobs")
        if self.aggregate == "summary" and checks.summary_drifts(sampled.draws, summary.labels):
            flags.append("summary_drift")
        if self.learnt and pilot_study.group(record) in self.learnt.groups:
            flags.append("pilot")
        flags += how
        if heard := self.learnt.heard(record.id, arms) if self.learnt else ():
            flags.append(WITNESSES)
        if bill.blind:
            flags.append("blind")
        statement = describe(final, digits=2)
        text = f"{statement} {summary.reasoning}".strip()
        if not checks.text_agrees(text, final):
            text = statement
            flags.append("reasoning_contradicts")
        return instruction(
            face,
            conversation(self.prompts, self.seed, record.id, text),
            bill,
            flags,
            labels=final,
            origin=origins(manual, final),
            uncertainty=sampled.uncertainty,
            samples=len(sampled.draws),
            confidence=dict(sure) if sure is not None else None,
            grades=mean_grades(sampled.draws),
            nobody=nobody(heard),
        )


@dataclass
class Seen:
    """What is known of a face before it is decided: human labels, draws, and what is believed."""

    face: Face
    manual: Labels
    asked: Asked
    prior: Labels
    """What of `manual` may be used."""
    arms: Mapping[str, Arm]
    thresholds: Mapping[int, float]
    bill: Bill
    drawn: Mapping[str, Sampled] = field(default_factory=dict)
    belief: Posterior | None = None
    told: bool = True
    """Whether an annotator was shown what is known."""
    flags: Sequence[str] | None = None
    """How labels were chosen; None: as its arms say."""
    smoothed: bool = False
    """Whether its neighbours in a video were heard."""
    failure: Unusable | None = None
    """Why no annotator could be heard."""


def _together(drawn: Mapping[str, Sampled]) -> Sampled:
    """Return the draws of all prompts; how much they disagree is said of the first one's."""
    if not drawn:
        return Sampled()
    first = next(iter(drawn.values()))
    failures = [sampled.failure for sampled in drawn.values() if sampled.failure]
    draws = [draw for sampled in drawn.values() for draw in sampled.draws]
    return Sampled(draws, first.uncertainty, failures[0] if failures else None)


def _confidence(arms: Mapping[str, Arm], belief: Posterior | None, labels: Labels) -> dict[str, Any] | None:
    """Return how probable each label is, as far as the pilot could tell."""
    if belief is None:
        return None
    untold = {field for name, arm in arms.items() if not arm.judged for field in FIELDS[name]}
    return {name: value for name, value in confidence(belief, labels).items() if name not in untold} or None


def _flags(arms: Mapping[str, Arm]) -> list[str]:
    """Return the flags that say how a record's labels were chosen."""
    flags = [THIN] if any(arm.thin for arm in arms.values()) else []
    unlooked = [name for name, arm in arms.items() if not arm.looks]
    if unlooked and len(unlooked) == len(arms):
        return [*flags, NOT_LOOKING]
    return [*flags, *(f"{NOT_LOOKING}_{name}" for name in unlooked)]


_AUS = ", ".join(f"AU{au} {name}" for au, name in ACTION_UNITS.items())


def _check_settings(
    max_samples: int, per_au: str, uncertainty: str, aggregate: str, pilot: int, temperature: float
) -> None:
    check_max_samples(max_samples)
    if per_au not in ("mean", "max"):
        raise UserError("generator.per_au", per_au, "no such way to combine AUs", "set mean or max")
    if uncertainty not in FORMS:
        raise UserError("generator.uncertainty", uncertainty, "no such source of it", f"set {', '.join(FORMS)}")
    if aggregate not in AGGREGATES:
        raise UserError("generator.aggregate", aggregate, "unknown", f"set {', '.join(AGGREGATES)}")
    if pilot < 1:
        raise UserError("generator.pilot", pilot, "not a number of images", "set for example 400")
    if not 0 <= temperature <= 2:
        raise UserError("generator.temperature", temperature, "out of range", "set a number from 0 to 2")


def _uncertainty_lines(values: Uncertainty) -> str:
    each = {
        "expression": values.expression,
        "valence": values.valence,
        "arousal": values.arousal,
        "action units": values.action_units,
    }
    return "\n".join(f"{name}: {value:.3f}" for name, value in each.items() if value is not None)
