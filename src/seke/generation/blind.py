"""The control that does not look: labels from the human ones alone, in rows like any other; nobody is asked.

A record's missing labels follow from its known ones and from how labels hang together in other subjects
(`calibration.not_looking`): subjects are dealt into folds, and a fold's labels are inferred with couplings and
thresholds fitted on the others. What an annotator is worth is what it adds to these.

Descriptions in `hide` are hidden of the record that is annotated; those of other subjects teach, as they would where a
description is annotated for a part of a data set. So the control is as strong as human labels make it, and nobody's
own labels are among what he is judged by.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from seke.answers.extract import describe
from seke.core.prompts import Prompts
from seke.core.records import ImageRecord, InstructionRecord, Labels, Rejection, Uncertainty
from seke.core.setting_checks import check_whole
from seke.core.vlm import VLM
from seke.generation.asked import fields, missing
from seke.generation.calibration.not_looking import FOLDS, NotLooking, both, cross_fitted
from seke.generation.calibration.pilot import group
from seke.generation.calibration.posterior import confidence, decided
from seke.generation.outcome import Face, Outcome
from seke.generation.seke import checks
from seke.generation.seke.learning import WITNESSES, Learnt, learn
from seke.generation.seke.rows import conversation, instruction, nobody, origins, trace
from seke.generation.seke.sampling import Bill
from seke.generation.witnesses.tables import annotator, entries

FLAG: Final = "not_looking"
"""The flag of such a row."""
PILOT: Final = 400
"""About how many images tell which witnesses to hear, and how far."""


class Blind:
    """The generator. It knows of each record only what `learn` was given.

    Raises:
        UserError: if a setting is out of range.
    """

    spare: ClassVar[Mapping[str, Any]] = {}
    learns_from_records: ClassVar[bool] = True

    def __init__(
        self,
        vlm: VLM,
        prompts: Prompts,
        *,
        hide: Sequence[str] = (),
        folds: int = FOLDS,
        witnesses: Sequence[Any] = (),
        table: Mapping[str, Any] | None = None,
        outputs: str = "outputs",
        seed: int = 0,
    ) -> None:
        """Take `vlm` as every generator does; it is never asked. `table`: what backend=table says of one."""
        check_whole("generator.folds", folds, 2, 1000)
        prompts.require(questions=set[str]())
        checks.questions_leak_nothing(prompts)
        self.prompts, self.seed, self.folds, self.hidden = prompts, seed, folds, fields(hide)
        self.hide, self.witnesses = tuple(hide), entries(witnesses, Path(outputs))
        if table is not None:
            self.witnesses = [annotator(table, Path(outputs)), *self.witnesses]
        self._fitted: Mapping[str, NotLooking] = {}
        self._learnt: Learnt | None = None

    def learn(self, records: Sequence[ImageRecord], opened: Callable[[ImageRecord], Face | None], folder: Path) -> None:
        """Fit couplings and thresholds for every subject on the human labels of the other folds' subjects.

        Raises:
            UserError: if the records are of fewer than two subjects.
        """
        by_subject: dict[str, list[Labels]] = {}
        for record in records:
            by_subject.setdefault(group(record), []).append(record.labels)
        self._fitted = cross_fitted(by_subject, self.hidden, self.folds)
        if self.witnesses:
            how: dict[str, Any] = {"size": PILOT, "seed": self.seed, "hide": self.hide, "witnesses": self.witnesses}
            self._learnt = learn(records, opened, None, folder, draws=0, show=True, choose=True, rule=None, **how)

    def generate(self, faces: Sequence[Face]) -> Iterator[Outcome]:
        """Yield one outcome per face, in order."""
        return map(self.annotate, faces)

    def annotate(self, face: Face) -> Outcome:
        """Complete one face's labels as far as other subjects' labels tell how."""
        record, bill = face.record, Bill()
        manual = record.labels.model_copy(update=dict.fromkeys(self.hidden))
        fitted = self._fitted[group(record)]
        belief = fitted.posterior(manual, missing(manual))
        inferred = fitted.decide(belief)
        flags: tuple[str, ...] = ()
        heard: tuple[str, ...] = ()
        if (learnt := self._learnt) is not None and missing(manual).anything:
            arms, asked = learnt.calibration.of(manual), both(missing(manual), fitted.carried)
            belief = learnt.calibration.posterior(arms, manual, asked, {}, learnt.witnessed.get(record.id, ()))
            inferred = decided(belief, learnt.calibration.thresholds)
            heard = learnt.heard(record.id, arms)
            flags = ("pilot",) * (group(record) in learnt.groups) + (WITNESSES,) * bool(heard)
        final = manual.completed_by(inferred)
        row: InstructionRecord | Rejection
        if final.described:
            partial = () if final.complete else ("partial_action_units",)
            turns = conversation(self.prompts, self.seed, record.id, describe(final, digits=2))
            row = instruction(
                face,
                turns,
                bill,
                (*checks.coupling_flags(final), FLAG, *flags, *partial),
                labels=final,
                origin=origins(manual, final),
                uncertainty=Uncertainty(),
                samples=0,
                confidence=confidence(belief, inferred) or None,
                nobody=nobody(heard),
            )
        else:
            row = Rejection(id=record.id, reason="not_inferable", detail=_lacking(final))
        return Outcome(row, trace(record.id, manual, (), inferred, bill), bill)


def _lacking(final: Labels) -> str:
    absent = [name for name in ("expression", "valence", "arousal") if getattr(final, name) is None]
    absent += ["action units"] * (not final.action_units)
    return f"no other subject has human labels of {', '.join(absent)}"
