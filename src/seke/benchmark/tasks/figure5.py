"""Figure 5 of the paper: accuracy of generated labels where the human ones were masked, one description at a time.

A method has three generate runs on the same records, with `generator.hide=[expression]`, `[va]` and `[au]`. What each
of them generated in place of what it could not see is put together to one prediction per record. Records that any
method saw as a pilot are left out for all: every row of the table is about the same faces.

What a method adds to not looking is its difference to the control (`generator=blind`), which infers the masked
description from the record's other two, as other subjects' labels hang together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from seke.benchmark.answer import Answer
from seke.benchmark.scoring.arrays import columns
from seke.benchmark.scoring.calibration import trust
from seke.benchmark.scoring.cost_quality import Calls, Price, paired_differences, quality, subjects_of
from seke.benchmark.scoring.tables import (
    ABSENT,
    CALIBRATION,
    CALIBRATION_NOTE,
    calibration_cells,
    with_interval,
    with_signed_interval,
)
from seke.benchmark.tasks.reliability import labelled
from seke.core.errors import UserError
from seke.core.escape import markdown
from seke.core.intervals import Difference, Estimate
from seke.core.records import ImageRecord, Labels, Origins, Prediction, Uncertainty
from seke.core.text_tables import markdown_table

MASKS: Final = {"expression": ("expression",), "va": ("valence", "arousal"), "au": ("action_units",)}
"""The values of `generator.hide`, and the label fields that each masks."""


@dataclass(frozen=True)
class Method:
    """One way of annotating, and what its three runs made of the records."""

    name: str
    answers: Mapping[str, Mapping[str, Answer]]
    """Per mask, by record id."""
    calls: Sequence[Calls]
    """Of the three runs."""
    pilots: Sequence[Calls]
    """What learning the annotator's habits cost, once; empty where nothing was learnt."""
    annotated: int
    """Records of one run, the pilot's among them."""


def shared(records: Sequence[ImageRecord], methods: Sequence[Method]) -> list[ImageRecord]:
    """Return the records that every method annotated under every mask and that taught none of them.

    Raises:
        UserError: if there is none.
    """
    tables = [answers for method in methods for answers in method.answers.values()]
    kept = [
        record
        for record in records
        if all(record.id in answers and "pilot" not in answers[record.id].flags for answers in tables)
    ]
    if not kept:
        raise UserError("records", "(none)", "no record was annotated by all methods", "generate on the same records")
    return kept


def joined(record: ImageRecord, answers: Mapping[str, Mapping[str, Answer]]) -> tuple[Prediction, Answer]:
    """Return what the three runs put in the masked labels' place, and their joint confidences and uncertainties."""
    labels: dict[str, Any] = {}
    confidence: dict[str, Any] = {}
    uncertainty: dict[str, Any] = {}
    for mask, masked in MASKS.items():
        row = answers[mask][record.id]
        for field in masked:
            if not _generated(row.origin, field):
                raise UserError("generator.hide", f"[{mask}]", f"{record.id} was shown its {field}", "mask it")
            labels[field] = getattr(row.labels, field)
            uncertainty[field] = getattr(row.uncertainty, field)
            if row.confidence and field in row.confidence:
                confidence[field] = row.confidence[field]
    return labelled(record, Labels(**labels), record.labels), Answer(
        id=record.id, confidence=confidence or None, uncertainty=Uncertainty(**uncertainty)
    )


def figure5(
    records: Sequence[ImageRecord],
    methods: Sequence[Method],
    reference: str,
    price: Price,
    seed: int = 0,
    control: str | None = None,
) -> list[dict[str, Any]]:
    """Return one row per method: quality, calibration, cost, and paired differences.

    Args:
        records: those that carry all three descriptions.
        methods: what each run made of them.
        reference: the method that "difference" is taken to.
        price: of the tokens. "per_1000" is all that was paid, the pilot too, which has "pilot_usd" of it.
        seed: of the bootstrap.
        control: the method that "gain" is taken to.
    """
    kept = shared(records, methods)
    pairs = {method.name: [joined(record, method.answers) for record in kept] for method in methods}
    scored = {name: [prediction for prediction, _ in both] for name, both in pairs.items()}
    present = int((columns(scored[reference]).au_true_NA == 1).any(0).sum())

    def over(method: str, other: str | None) -> dict[str, Difference] | None:
        return None if other in (None, method) else paired_differences(scored[method], scored[str(other)], seed)

    rows = []
    for method in methods:
        predictions = scored[method.name]
        calibration, bounds = trust(predictions, {answer.id: answer for _, answer in pairs[method.name]}, seed)
        calls = Calls.sum([*method.calls, *method.pilots]).per_thousand(method.annotated * len(method.calls))
        gains = {"difference": over(method.name, reference), "gain": over(method.name, control)}
        rows.append(
            {
                "method": method.name,
                "n": len(kept),
                "aus_present": present,
                "quality": quality(predictions, seed),
                "subjects": subjects_of(predictions),
                **{
                    which: None if found is None else {name: gain.estimate for name, gain in found.items()}
                    for which, found in gains.items()
                },
                "p": {
                    which: {name: gain.p for name, gain in found.items()}
                    for which, found in gains.items()
                    if found is not None
                },
                "calibration": calibration,
                "ci95": bounds,
                "per_1000": {**calls._asdict(), "usd": calls.usd(price)},
                "pilot_usd": Calls.sum(method.pilots).usd(price) if method.pilots else None,
            }
        )
    return rows


def table(rows: Sequence[Mapping[str, Any]], reference: str, notes: Sequence[str], control: str | None = None) -> str:
    """Return the rows in Markdown: Figure 5's measures and cost, differences to reference and control, calibration."""
    mean = f"(mean of {rows[0]['aus_present']} present)"
    measures = [name.replace("(present)", mean) for name in rows[0]["quality"]]
    heads = {"requests": "Requests", "input_tokens": "Input tokens", "output_tokens": "Output tokens", "usd": "USD"}
    parts = [
        f"# Reliability of generated labels where human ones were masked ({rows[0]['n']} records)\n",
        *(f"- {note}" for note in notes),
        "",
        markdown_table(
            ["Method", *measures, *(f"{head} per 1,000" for head in heads.values()), "Of it pilot (USD in all)"],
            [
                [
                    markdown(row["method"]),
                    *(
                        with_interval(e.value, None if e.low is None else e[1:], row["subjects"][name])
                        for name, e in row["quality"].items()
                    ),
                    *(f"{row['per_1000'][name]:,.{2 if name == 'usd' else 0}f}" for name in heads),
                    ABSENT if row["pilot_usd"] is None else f"{row['pilot_usd']:.2f}",
                ]
                for row in rows
            ],
            "lr",
        ),
        *_differences(rows, "gain", f"Gain over {control}", measures),
        *_differences(rows, "difference", f"Difference to {reference}", measures),
        "\nConfidence: is it the share of right labels (ECE, Brier), and does it rank them (AURC)? Lower is better. "
        f"{CALIBRATION_NOTE}\n",
        markdown_table(
            ["Method", "Task", *CALIBRATION],
            [
                [
                    markdown(row["method"]),
                    task,
                    *calibration_cells(found, row["ci95"][task]),
                ]
                for row in rows
                for task, found in row["calibration"].items()
                if found is not None
            ],
            "lr",
        ),
        "\nIntervals: 95 %, bootstrap over subjects. Per 1,000: images of which one description was masked; all that "
        "was paid for these, a pilot's calls too.",
    ]
    return "\n".join(parts) + "\n"


def _differences(rows: Sequence[Mapping[str, Any]], which: str, title: str, measures: Sequence[str]) -> Iterator[str]:
    lines = [
        [markdown(row["method"]), *(_signed(found, row["subjects"][name]) for name, found in row[which].items())]
        for row in rows
        if row[which]
    ]
    if lines:
        yield f"\n{title}, paired by subject (* the interval excludes 0):\n"
        yield markdown_table(["Method", *measures], lines, "lr")


def _signed(difference: Estimate, subjects: int) -> str:
    value, low, high = difference
    if low is None or high is None:
        return with_signed_interval(value, None, subjects)
    return with_signed_interval(value, (low, high)) + (" *" if low > 0 or high < 0 else "")


def _generated(origin: Origins | None, field: str) -> bool:
    if origin is None:
        return False
    value = getattr(origin, field)
    return set(value.values()) == {"generated"} if isinstance(value, Mapping) else value == "generated"
