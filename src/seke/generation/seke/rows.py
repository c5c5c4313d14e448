"""Rows: an instruction and its trace, whoever completed the labels or wrote the text."""

from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any

from seke.core.prompts import Prompts
from seke.core.records import (
    NOBODY,
    WITNESS,
    InstructionRecord,
    Labels,
    Origin,
    Origins,
    Trace,
    Turn,
    Uncertainty,
)
from seke.generation.outcome import Face
from seke.generation.seke.sampling import Bill


def instruction(
    face: Face,
    turns: Sequence[Turn],
    bill: Bill,
    flags: Sequence[str],
    *,
    labels: Labels,
    origin: Origins,
    uncertainty: Uncertainty,
    samples: int,
    nobody: str = NOBODY,
    attributes: Mapping[str, Any] = MappingProxyType({}),
    **more: Any,
) -> InstructionRecord:
    """Return the row of instructions.jsonl that says `turns` about a face's picture.

    Args:
        face: the record and its picture.
        turns: the conversation.
        bill: says who was asked.
        flags: of the row.
        labels: complete; none where the row is about no face.
        origin: of the labels.
        uncertainty: of the draws.
        samples: how many draws there were.
        nobody: the annotator's name where none was asked.
        attributes: of the row, beside the part of the picture that it is about.
        more: confidence and grades, where there are any.
    """
    record = face.record
    part = {name: value for name, value in record.attributes.items() if name == "face" and value is not None}
    return InstructionRecord(
        id=record.id,
        image=record.image,
        source=record.source,
        subject=record.subject,
        conversations=tuple(turns),
        labels=labels,
        origin=origin,
        uncertainty=uncertainty,
        samples=samples,
        annotator=", ".join(bill.models) or nobody,
        simulated=bill.simulated,
        flags=tuple(flags),
        sha256=face.image.sha256,
        attributes={**part, **attributes},
        clip=record.clip,
        **more,
    )


def nobody(heard: Sequence[str]) -> str:
    """Return the annotator of a row about which nobody was asked, by the witnesses that were heard."""
    return WITNESS + ", ".join(heard) if heard else NOBODY


def conversation(prompts: Prompts, seed: int, record_id: str, text: str) -> tuple[Turn, Turn]:
    """Return one of FEID's questions, chosen by seed and record, and `text` as its answer."""
    variant = Random(f"{seed}/{record_id}/question").randrange(prompts.variants("questions"))
    question = prompts.render("questions", variant)
    return Turn(speaker="human", value=f"<image>\n{question}"), Turn(speaker="gpt", value=text)


def origins(manual: Labels, final: Labels) -> Origins:
    """Return where each label of `final`, which has all three descriptions, comes from."""

    def of(value: object) -> Origin:
        return "generated" if value is None else "manual"

    known = manual.action_units or {}
    return Origins(
        expression=of(manual.expression),
        valence=of(manual.valence),
        arousal=of(manual.arousal),
        action_units={str(au): of(known.get(au)) for au in final.action_units or {}},
    )


def trace(record_id: str, prior: Labels, draws: Sequence[Labels], summary: Labels | None, bill: Bill) -> Trace:
    """Return how a record's labels came about, and what that took."""
    return Trace(
        id=record_id,
        prior=prior,
        draws=tuple(draws),
        summary=summary,
        requests=bill.requests,
        input_tokens=bill.input_tokens,
        output_tokens=bill.output_tokens,
    )
