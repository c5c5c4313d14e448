"""Reliability of generated labels: how right they are, and how far their confidence can be trusted (Sec. 4.5.2).

Those of a generate run are held against the true labels of synthetic faces (`against=truth`), or against what humans
annotated and `generator.hide` masked (`against=manual`), which is the paper's protocol and works on any data.

Only labels whose origin is "generated" count; a manual label is right by definition and would flatter the annotator.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from seke.benchmark.answer import Answer, Judge
from seke.benchmark.scoring.calibration import trust
from seke.benchmark.scoring.tables import calibration_table, summary_table
from seke.core.errors import UserError
from seke.core.escape import markdown
from seke.core.records import ImageRecord, InstructionRecord, Labels, Origins, Prediction

FILES: Final = {"truth": "truth.jsonl", "manual": "train.jsonl"}
"""Which of a prepared set's files says what is right."""


@dataclass(frozen=True)
class Reliability:
    """Compares the instruction data given by `predictions=` with what is right; asks no model anything.

    Raises:
        UserError: if `against` is neither truth nor manual.
    """

    against: str = "truth"
    predictions_from: ClassVar[tuple[str, str]] = ("generate", "instructions.jsonl")
    """The command and the file that a name in `predictions=` stands for."""
    request: ClassVar[None] = None
    """No question: there is no model to ask."""

    def __post_init__(self) -> None:
        if self.against not in FILES:
            raise UserError("benchmark.against", self.against, "unknown", f"set {' or '.join(FILES)}")

    @property
    def records_file(self) -> str:
        """The file that a prepared set's name in `records=` stands for."""
        return FILES[self.against]

    def predictions(
        self, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: Judge
    ) -> tuple[list[Prediction], int]:
        """Return one prediction per annotated record, in the records' order, and how many records are not annotated.

        The generate run covers the training split only, so records without a row are left out and counted, and so are
        those of pilot subjects, whose human labels the annotator model was fitted to.
        """
        rows = []
        for record in records:
            answer = answers.get(record.id)
            if answer is None or "pilot" in answer.flags:
                continue
            if answer.origin is None:
                raise UserError(
                    "predictions", record.id, "this row does not say where its labels come from", "give a generate run"
                )
            labels, truth = (generated(some, answer.origin) for some in (answer.labels, record.labels))
            if answer.grades is not None:
                labels = labels.model_copy(update={"au_intensity": {int(au): g for au, g in answer.grades.items()}})
            else:  # nobody who was not asked for intensities is measured by them
                truth = truth.model_copy(update={"au_intensity": None})
            rows.append(labelled(record, labels, truth))
        if not rows:
            raise UserError(
                "predictions", "(no row)", "no record was annotated", "give a generate run on these records"
            )
        if all(row.truth.empty for row in rows):
            remedy = "mask human labels (generate.py generator.hide=[au]), or give the truth.jsonl of drawn pictures"
            raise UserError("predictions", "(all rows)", "no generated label has a known truth", remedy)
        return rows, len(records) - len(rows)

    def trust(
        self, predictions: Sequence[Prediction], answers: Mapping[str, Answer], seed: int
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the calibration of the labels' confidences, and its intervals."""
        return trust(predictions, answers, seed)

    def table(self, name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
        """Return table.md: every metric with its interval."""
        lines = "".join(f"- {markdown(note)}\n" for note in notes)
        head = f"# Reliability of generated labels: {markdown(name)}"
        return f"{head}\n\n{lines}\n{summary_table(metrics)}\n{calibration_table(metrics)}"


def labelled(record: ImageRecord | InstructionRecord, labels: Labels, truth: Labels) -> Prediction:
    """Return a record's row where labels are scored and no answer's text."""
    id_, source, subject = record.id, record.source, record.subject
    return Prediction(
        id=id_, source=source, subject=subject, text="", judged=None, labels=labels, truth=truth, status="ok"
    )


def generated(labels: Labels, origin: Origins) -> Labels:
    """Return `labels` without those that `origin` does not call generated."""
    units = labels.action_units or {}
    kept = {au: active for au, active in units.items() if origin.action_units.get(str(au)) == "generated"}
    intensity = {au: value for au, value in (labels.au_intensity or {}).items() if au in kept}
    return Labels(
        expression=labels.expression if origin.expression == "generated" else None,
        valence=labels.valence if origin.valence == "generated" else None,
        arousal=labels.arousal if origin.arousal == "generated" else None,
        action_units=kept or None,
        au_intensity=intensity or None,
    )
