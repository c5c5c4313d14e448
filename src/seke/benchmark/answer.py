"""A model's answer (a row of answers.jsonl, or of a file made elsewhere), and the labels that a judge reads from it."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from seke.core.records import AnswerStatus, Intensity, Labels, Origins, Uncertainty

SILENT: Final = ("refusal", "filtered", "unanswered")
"""Statuses of answers that say nothing about the picture, whatever words came with them."""


class Answer(BaseModel):
    """One answer. Rows of predictions.jsonl and instructions.jsonl are answers too: further fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, populate_by_name=True)

    id: str = Field(min_length=1)
    text: str = ""
    """What the model said; the judge reads the labels from it."""
    status: AnswerStatus = "ok"
    labels: Labels = Labels()
    """Taken as they stand where there is no text to read."""
    origin: Origins | None = None
    """Where each label came from: only rows of instructions.jsonl have it."""
    confidence: dict[str, Any] | None = None
    """How sure each generated label is, as instructions.jsonl states it; None where nobody knows."""
    grades: Mapping[str, Intensity] | None = None
    """AU intensities as graded draws gave them; only rows of instructions.jsonl have them."""
    uncertainty: Uncertainty = Uncertainty()
    """How much the draws disagreed; only rows of instructions.jsonl have it."""
    model: str | None = Field(default=None, validation_alias=AliasChoices("model", "annotator"))
    """The exact model that answered; instructions.jsonl calls it the annotator."""
    simulated: bool | None = None
    """Whether a simulation answered, and no model; None where nobody noted it."""
    flags: tuple[str, ...] = Field(default=(), strict=False)
    """`pilot`: its subject's human labels taught the annotator model, so it must not be scored for reliability."""
    paid: dict[str, float | None] | None = None
    """What it cost (the fields of `seke.core.budget.Spent`); None where it was made elsewhere, or nobody was asked."""
    detail: str = ""
    """Why there is no answer, where there is none."""

    @property
    def silent(self) -> bool:
        """Whether neither words nor labels came."""
        return not self.text.strip() and self.labels.empty


class Verdict(NamedTuple):
    """What a judge read from one answer."""

    labels: Labels
    judged: str | None
    """The answer rewritten into the universal template; None where it was read as it stands, "" where that failed."""
    status: AnswerStatus


Judge = Callable[[Answer], Verdict]
