"""SEKE: human labels as prior knowledge, self-verification by repeated draws, and a summary of both (Sec. 3, Fig. 2).

    records -> [ prior-knowledge prompt -> draws (Algorithm 1) -> summary prompt ] -> instructions, rejections

The last step is a choice: the annotator sums up its draws (`aggregate=summary`, the paper), or `aggregation` does and
the annotator only describes the result.

A record's random stream is seeded by (seed, record id) alone, and what it asks depends on nothing but itself: order,
chunking and a resume change nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from seke.answers.extract import describe
from seke.core import plugins
from seke.core.prompts import Prompts
from seke.core.records import ImageRecord, InstructionRecord, Labels, Rejection
from seke.core.vlm import VLM
from seke.generation.asked import Asked, fields, missing
from seke.generation.calibration import calibration_file
from seke.generation.calibration import pilot as pilot_study
from seke.generation.calibration.arms import Arm, prompts_of
from seke.generation.calibration.grades import mean_grades
from seke.generation.calibration.logprobs import SoftDraw
from seke.generation.calibration.patterns import pattern_of
from seke.generation.calibration.posterior import Posterior
from seke.generation.calibration.smoother import Smoother
from seke.generation.calibration.study import SHOWN
from seke.generation.calibration.whom import FIRST, SECOND, Whom
from seke.generation.outcome import Face, Outcome
from seke.generation.seke import by_value, checks, normalisation, over_time, settings
from seke.generation.seke.aggregation import Aggregate, settle
from seke.generation.seke.asking import Asking
from seke.generation.seke.by_value import ByValue, Consulted, Two, consult, to_second
from seke.generation.seke.learning import WITNESSES, Learner, Learnt, Second, learn
from seke.generation.seke.rows import conversation, instruction, nobody, origins, trace
from seke.generation.seke.sampling import Bill, Dialogue, Sampled, in_rounds, sample
from seke.generation.seke.schema import Answer, Form, Unusable
from seke.generation.seke.seen import Seen, confidences, flags_of, together
from seke.generation.seke.stopping import INITIAL_DRAWS, Floored, StoppingRule, fixed
from seke.generation.seke.uncertainty import PerAU
from seke.generation.witnesses.tables import entries

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
        settings.check(max_samples, per_au, uncertainty, aggregate, pilot, temperature)
        plugins.require("stopping", stopping, "__call__")
        self.asking = Asking(prompts, uncertainty, temperature=temperature, max_tokens=max_tokens, seed=seed)
        self.vlm, self.stopping, self.prompts, self.form = vlm, stopping, prompts, uncertainty
        self.use_prior, self.self_verify = use_prior, self_verify
        self.max_samples, self.per_au = max_samples, per_au
        self.scales, self.learns_from_records = normalisation.scales_of(normalise), normalise == "empirical"
        self.hide, self.hidden = tuple(hide), fields(hide)
        self.aggregate, self.pilot, self.seed = aggregate, pilot, seed
        self.witnesses, self.reuse = entries(witnesses, Path(outputs)), calibration_file.located(reuse, Path(outputs))
        calibrates, by_price = aggregate == "calibrated" and self_verify, isinstance(stopping, ByValue)
        settings.check_calibrated(aggregate, calibrates, reuse, witnesses, by_price, two=second is not None)
        over_time.check(smooth, ask_every, calibrates, by_price)
        self.whole_videos, self.ask_every = smooth, ask_every
        self.second = second
        self.learnt: Learnt | None = None

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

    def _see(self, face: Face, ask: bool = True) -> Dialogue[Seen]:
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

    def _informed(self, smoother: Smoother, seen: Sequence[Seen]) -> Sequence[Seen]:
        """Return what was seen of faces, beliefs of a video's frames informed by each other."""
        frames = [
            over_time.Frame(each.face.record, each.prior, each.asked, each.belief, self._alone(each)) for each in seen
        ]
        beliefs = over_time.informed(smoother, frames)
        for each in seen:
            if (belief := beliefs.get(each.face.record.id)) is not None:
                each.belief, each.smoothed = belief, True
        return seen

    def _settle(self, seen: Seen) -> Dialogue[Outcome]:
        """Make one annotation of what was seen of a face, and have it described."""
        face, manual, asked, prior, bill = seen.face, seen.manual, seen.asked, seen.prior, seen.bill
        record, sampled = face.record, together(seen.drawn)
        try:
            if seen.failure is not None:
                raise seen.failure
            if not self.self_verify or (not asked.anything and self.aggregate == "summary"):
                summary = yield from self.asking.single_pass(face.image, prior, asked, bill)
            elif not asked.anything:
                summary = Answer(Labels(), (yield from self.asking.describe(face.image, manual, bill)))
            elif (settled := settle(self.aggregate, sampled.draws, seen.belief, seen.thresholds)) is None:
                summary = yield from self.asking.summarise(face.image, prior, asked, sampled, bill)
            elif not seen.drawn:  # the annotator adds nothing, and nobody is asked
                summary = Answer(settled, "")
            else:
                final = manual.completed_by(settled)
                summary = Answer(settled, (yield from self.asking.describe(face.image, final, bill)))
        except Unusable as unusable:
            rejection = Rejection(id=record.id, reason=unusable.reason, detail=unusable.detail)
            return Outcome(rejection, trace(record.id, prior, sampled.draws, None, bill), bill)
        shown = prior if seen.told else Labels()
        sure = confidences(seen.arms, seen.belief, summary.labels)
        smoothed = [over_time.SMOOTHED] if seen.smoothed else []
        flags = [*(flags_of(seen.arms) if seen.flags is None else seen.flags), *smoothed]
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

    def _alone(self, seen: Seen) -> Posterior | None:
        """Return what would be believed of a face if nobody had been asked; None where nothing is believed."""
        if seen.belief is None:
            return None
        return self._belief(seen.face.record, seen.arms, seen.prior, seen.asked, {})

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
        ask, labels = self.asking.draws(face.image, shown, asked, before)
        rng = self._rng(face.record.id, "draws")
        return sample(
            ask, labels, stopping, rng, bill, most, self.per_au, known, self.scales, len(self.asking.framings)
        )

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
