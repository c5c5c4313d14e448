"""How right generated labels are: those of a generate run against the latent truth of synthetic faces.

Only labels whose origin is "generated" count; a manual label is right by definition and would flatter the annotator.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from seke.benchmark.answer import Answer
from seke.benchmark.judge import Judge
from seke.benchmark.tables import summary_table
from seke.errors import UserError
from seke.records import ImageRecord, Labels, Origins, Prediction


@dataclass(frozen=True)
class Reliability:
    """Compares the instruction data given by `predictions=` with the truth; asks no model anything."""

    records_file: ClassVar[str] = "truth.jsonl"
    predictions_from: ClassVar[tuple[str, str]] = ("generate", "instructions.jsonl")
    """The door and the file that a name in `predictions=` stands for."""
    request: ClassVar[None] = None
    """No question: there is no model to ask."""

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
            rows.append(
                Prediction(
                    id=record.id,
                    source=record.source,
                    subject=record.subject,
                    text="",
                    judged=None,
                    labels=generated(answer.labels, answer.origin),
                    truth=generated(record.labels, answer.origin),
                    status="ok",
                )
            )
        if not rows:
            raise UserError(
                "predictions", "(no row)", "no record was annotated", "give a generate run on these records"
            )
        return rows, len(records) - len(rows)

    def table(self, name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
        """Return table.md: every metric with its interval."""
        lines = "".join(f"- {note}\n" for note in notes)
        return f"# Reliability of generated labels: {name}\n\n{lines}\n{summary_table(metrics)}"


def generated(labels: Labels, origin: Origins) -> Labels:
    """Return `labels` without those that `origin` does not call generated."""
    units = labels.action_units or {}
    kept = {au: active for au, active in units.items() if origin.action_units.get(str(au)) == "generated"}
    return Labels(
        expression=labels.expression if origin.expression == "generated" else None,
        valence=labels.valence if origin.valence == "generated" else None,
        arousal=labels.arousal if origin.arousal == "generated" else None,
        action_units=kept or None,
    )
