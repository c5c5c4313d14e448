"""SEKE: human labels as prior knowledge, self-verification by repeated draws, and a summary of both (Sec. 3, Fig. 2).

    records -> [ prior-knowledge prompt -> draws (Algorithm 1) -> summary prompt ] -> instructions, rejections

The last step is a choice: the annotator sums up its draws (`aggregate=summary`, the paper), or `aggregation` does and
the annotator only describes the result.

A record's random stream is seeded by (seed, record id) alone, and what it asks depends on nothing but itself: order,
chunking and a resume change nothing.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Protocol, runtime_checkable

from seke.answers.extract import describe
from seke.core import plugins
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.files import write_text
from seke.core.label_prior import Couplings, couplings
from seke.core.prompts import Prompts
from seke.core.records import (
    ImageRecord,
    InstructionRecord,
    Labels,
    Rejection,
    Uncertainty,
)
from seke.core.vlm import VLM, Choice, Image, Message, Request
from seke.generation.asked import Asked, fields, missing
from seke.generation.calibration import pilot as pilot_study
from seke.generation.calibration.annotator_model import Annotator, Masked
from seke.generation.calibration.fit import fit
from seke.generation.calibration.grades import mean_grades
from seke.generation.calibration.logprobs import SoftDraw
from seke.generation.outcome import Face, Outcome
from seke.generation.seke import checks
from seke.generation.seke.aggregation import AGGREGATES, Aggregate, confident, settle
from seke.generation.seke.rows import conversation, origins, trace
from seke.generation.seke.sampling import Bill, Dialogue, Sampled, in_rounds, insist, sample, total
from seke.generation.seke.schema import FORMS, Answer, Form, Unusable, read, schema
from seke.generation.seke.stopping import Floored, StoppingRule, check_max_samples, fixed
from seke.generation.seke.uncertainty import PerAU

log = logging.getLogger(__name__)

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


@runtime_checkable
class Learner(Protocol):
    """A stopping rule that is fitted to a pilot before it is used."""

    def learn(self, annotator: Annotator, pilot: Sequence[Masked], couplings: Couplings) -> None:
        """Take from the pilot what the rule needs."""


class Seke:
    """The generator. `generate` turns a chunk of faces into outcomes, in their order."""

    spare: ClassVar[Mapping[str, Any]] = {"aggregate": "summary"}

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
        uncertainty: Form = "draws",
        aggregate: Aggregate = "summary",
        pilot: int = 400,
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
        prompts.require(**SLOTS, **SLOTS_OF[self.form])
        checks.questions_leak_nothing(prompts)
        self.vlm, self.stopping, self.prompts = vlm, stopping, prompts
        self.use_prior, self.self_verify = use_prior, self_verify
        self.max_samples, self.per_au = max_samples, per_au
        self.hide, self.hidden = tuple(hide), fields(hide)
        self.aggregate, self.pilot = aggregate, pilot
        self.annotator: Annotator | None = None
        self._warned = False
        self._pilot_groups: set[str] = set()
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
        learner = self.stopping if isinstance(self.stopping, Learner) else None
        if not self.self_verify or (learner is None and self.aggregate != "calibrated"):
            return
        tasks = pilot_study.pick(records, self.pilot, self.seed, self.hide)
        if not self.use_prior:
            tasks = [task._replace(known=Labels()) for task in tasks]
        bills: list[Bill] = []
        masked = pilot_study.asked(tasks, opened, lambda faces: self._ask_pilot(faces, bills), folder)
        if bills:
            write_text(folder / pilot_study.COST, json.dumps(total(bills), indent=2) + "\n")
        # The pilot's own labels teach, too: its subjects are never scored, and with `hide` nobody else shows them.
        pilots = (task.record.labels for task in tasks)
        links = couplings([*pilots, *pilot_study.others(records, tasks, self.hide)])
        self.annotator = fit(masked, links)
        self._pilot_groups = {pilot_study.group(task.record) for task in tasks}
        if learner is not None:
            learner.learn(self.annotator, masked, links)

    def _ask_pilot(self, faces: Sequence[tuple[Face, Labels]], bills: list[Bill]) -> list[tuple[Labels, ...]]:
        """Return all the draws that a record may ever get, of each face, given what the annotator is told of it."""
        every = fixed(self.max_samples)
        bills += [Bill() for _ in faces]
        dialogues = [
            self._sample(face, known, missing(known), bill, every)
            for (face, known), bill in zip(faces, bills, strict=True)
        ]
        return [tuple(sampled.draws) for sampled in in_rounds(dialogues, self.vlm)]

    def generate(self, faces: Sequence[Face]) -> Iterator[Outcome]:
        """Yield one outcome per face, in order; all their requests share the rounds."""
        yield from in_rounds([self.annotate(face) for face in faces], self.vlm)

    def annotate(self, face: Face) -> Dialogue[Outcome]:
        """Complete one face's labels: Figure 2 from left to right."""
        record, bill = face.record, Bill()
        manual = record.labels.model_copy(update=dict.fromkeys(self.hidden))
        asked = missing(manual)
        prior = manual if self.use_prior else Labels()
        sampled, settled = Sampled(), None
        try:
            if not self.self_verify:
                summary = yield from self._single_pass(face.image, prior, asked, bill)
            else:
                if asked.anything:
                    sampled = yield from self._sample(face, prior, asked, bill, self.stopping)
                    if not sampled.draws and sampled.failure:
                        raise sampled.failure
                    settled = settle(self.aggregate, self.annotator, prior, sampled.draws)
                if settled is not None:
                    final = manual.completed_by(settled.labels)
                    reasoning = yield from self._describe(face.image, final, bill)
                    summary = Answer(settled.labels, reasoning)
                else:
                    summary = yield from self._summarise(face.image, prior, asked, sampled, bill)
        except Unusable as unusable:
            return Outcome(
                Rejection(id=record.id, reason=unusable.reason, detail=unusable.detail),
                trace(record.id, prior, sampled.draws, None, bill),
                bill,
            )
        sure = settled.confidence if settled else confident(self.annotator, prior, sampled.draws, summary.labels)
        instruction = self._instruction(face, manual, sampled, summary, sure, bill)
        return Outcome(instruction, trace(record.id, prior, sampled.draws, summary.labels, bill), bill)

    def _sample(self, face: Face, prior: Labels, asked: Asked, bill: Bill, stopping: StoppingRule) -> Dialogue[Sampled]:
        text = self.prompts.render("draw", prior=self._prior(prior), asked=self._asked_lines(asked, False, self.form))
        logprobs = self.form == "logprobs"

        def ask(n: int, draw: int, again: bool) -> Request:
            return self._request(text, face.image, schema(asked, False, self.form), n, draw, again, logprobs)

        def labels(choice: Choice) -> Labels:
            drawn = read(choice, asked, False, self.form).labels
            self._warn_of(drawn)
            return drawn

        rng = self._rng(face.record.id, "draws")
        return sample(ask, labels, stopping, rng, bill, self.max_samples, self.per_au, prior)

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
        bill: Bill,
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
        if pilot_study.group(record) in self._pilot_groups:
            flags.append("pilot")
        if bill.blind:
            flags.append("blind")
        statement = describe(final, digits=2)
        text = f"{statement} {summary.reasoning}"
        if not checks.text_agrees(text, final):
            text = statement
            flags.append("reasoning_contradicts")
        return InstructionRecord(
            id=record.id,
            image=record.image,
            source=record.source,
            subject=record.subject,
            conversations=conversation(self.prompts, self.seed, record.id, text),
            labels=final,
            origin=origins(manual, final),
            uncertainty=sampled.uncertainty,
            confidence=dict(sure) if sure is not None else None,
            samples=len(sampled.draws),
            grades=mean_grades(sampled.draws),
            annotator=", ".join(bill.models),
            simulated=bill.simulated,
            flags=tuple(flags),
            sha256=face.image.sha256,
        )


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
