"""A study's tables: our rows, the paper's beside them, set apart where the two cannot be compared."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Final

from seke.core.affect import TABLE2_AUS
from seke.core.errors import UserError
from seke.core.intervals import Estimate
from seke.core.rules import MEASURES
from seke.reporting.data import general, results, scenes
from seke.reporting.data.run_labels import NO_DRAWS, Words
from seke.reporting.data.tables import Cell, Column, Row, Table
from seke.reporting.studies.orders import ExpectedOrder, orders_table
from seke.reporting.studies.runs import Line, MeasuredRows, Value

COLUMNS: Final[Mapping[str, Column]] = {
    column.key: column
    for column in (
        *results.SCORES,
        *scenes.SCORES,
        *scenes.CLASS_SCORES,
        *general.SCORES,
        *map(general.of_kind, general.OURS),
        *(Column.percent(f"action_units.f1.{au}", f"AU{au}", "F1 %") for au in TABLE2_AUS),
        Column("au_intensity.icc31_mean", "ICC(3,1)", "AU intensity", better="high"),
        Column("au_intensity.icc11_mean", "ICC(1,1)", "AU intensity", better="high"),
        Column("au_intensity.mae_mean", "MAE", "AU intensity", better="low"),
        Column("cost.mean_samples", "E[S]", "Cost per 1,000 images", 2),
        Column.count("cost.requests", "requests", "Cost per 1,000 images"),
        Column.count("cost.input_tokens", "tokens in", "Cost per 1,000 images"),
        Column.count("cost.output_tokens", "tokens out", "Cost per 1,000 images"),
        Column("cost.usd", "US$", "Cost per 1,000 images", 2),
        Column.percent("texts.class_differs", "other class %", "Instructions", better=""),
        Column.count("texts.questions", "different questions", "Instructions"),
        Column("texts.distinct_2", "answers' distinct-2", "Instructions"),
        Column("texts.compression_ratio", "answers' compression ratio", "Instructions", 1),
        Column.count("train.rows", "rows", "Training"),
        Column.count("train.steps", "steps", "Training"),
        Column.count("images.train", "train", "Images"),
        Column.count("images.test", "test", "Images"),
    )
}
"""Every measure that a study can show."""
PRINTED: Final[Mapping[str, tuple[str, float]]] = {
    **{measure.key: (measure.paper, measure.scale) for measure in MEASURES},
    **{f"action_units.f1.{au}": (f"AU{au}", 100) for au in TABLE2_AUS},
    "emotion.accuracy": ("accuracy", 100),
    "images.train": ("train", 1),
    "images.test": ("test", 1),
}
"""Measure -> the column of the paper's tables that holds it, and that column's unit."""


def columns(measures: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns of `measures`.

    Raises:
        UserError: if there is no such measure.
    """
    for measure in measures:
        if measure not in COLUMNS:
            raise UserError("study.measures", measure, "no such measure", f"choose from {', '.join(COLUMNS)}")
    return tuple(COLUMNS[measure] for measure in measures)


def paper_rows(file: str, rows: Mapping[str, Mapping[str, str]]) -> tuple[Line, ...]:
    """Return rows of one of the paper's tables, verbatim.

    Args:
        file: in benchmark/scoring/paper/, e.g. "table4.csv".
        rows: what to call each row, and the cells that tell it, e.g. {"Neither": {"prior": "no", "sv_uamc": "no"}}.

    Raises:
        UserError: if the table has no such row.
    """
    text = (files("seke") / "benchmark" / "scoring" / "paper" / file).read_text(encoding="utf-8")
    every = list(csv.DictReader(text.splitlines()))
    return tuple(_paper_row(file, every, label, cells) for label, cells in rows.items())


def _paper_row(file: str, every: Sequence[Mapping[str, str]], label: str, cells: Mapping[str, str]) -> Line:
    row = next((row for row in every if all(row.get(name) == cell for name, cell in cells.items())), None)
    if row is None:
        raise UserError("study.paper", dict(cells), f"{file} has no such row", "write cells as printed")
    values = {measure: Estimate(_number(row.get(name), unit)) for measure, (name, unit) in PRINTED.items()}
    return Line(label, Words(f"{label} (paper)", f"{label} (paper)", "grey", reference=True), {"paper": values})


def _number(cell: str | None, unit: float) -> float | None:
    """Return a printed number in our unit; "N/A" and "-" are unknown."""
    return float(cell) / unit if cell and cell.replace(".", "", 1).isdigit() else None


def table(
    name: str,
    title: str,
    head: str,
    measures: Sequence[Column],
    found: MeasuredRows,
    paper: Sequence[Line],
    caption: str = "",
    gains: Sequence[ExpectedOrder] = (),
) -> Table:
    """Return our rows and below them the paper's; over several seeds a mean, with its standard deviation beside it.

    The paper's rows compete for the best value only where nothing is known to differ from the paper's setting.
    `gains`: each row's differences to the control; they stand beside its measures.
    """
    several = len(found.seeds) > 1
    gained = _gained(gains, measures)
    judged = {verdict.column.key for order in gains for verdict in order.verdicts}
    shown: list[Column] = []
    for column in measures:
        shown.append(column)
        if several and varies(column):
            shown.append(_spread(column))
        if column.key in judged:
            shown.append(results.gain_column(column))
    if several:
        shown.append(Column.count("seeds", "n", "Seeds"))
    rows = [
        Row(
            line.words.label,
            {**_cells(line, measures), **gained.get(line.key, {})},
            *_runs(line),
            reference=line.words.reference,
            partial=results.partly_answered(measures, _numbers(line)),
        )
        for line in found.lines
    ]
    mark = " †" if found.notes else ""
    rows += [
        Row(line.words.label + mark, _cells(line, measures, 0), "paper", reference=bool(found.notes)) for line in paper
    ]
    captions = [*_captions(found, paper, caption), *_gains_caption(gains, several), *results.silence(rows)]
    return Table(name, title, head, tuple(shown), tuple(rows), " ".join(captions))


def _gained(gains: Sequence[ExpectedOrder], measures: Sequence[Column]) -> dict[str, dict[str, Cell]]:
    """Return the cells of the gains by row: those of the table of orders. The control gains nothing over itself."""
    cells: dict[str, dict[str, Cell]] = {}
    for order, row in zip(gains, orders_table("", "", gains, measures).rows, strict=True):
        for column in measures:
            cells.setdefault(order.worse.key, {})[f"{column.key}.gain"] = ""
            cells.setdefault(order.better.key, {})[f"{column.key}.gain"] = row.cells.get(column.key)
    return cells


def _gains_caption(gains: Sequence[ExpectedOrder], several: bool) -> Iterator[str]:
    if gains:
        what = "95 % paired by subject" + (", over seeds and subjects together" if several else "")
        yield f"Gain: over {gains[0].worse.words.label}, + is better; {what}. {_shared(gains)}"


def _shared(gains: Sequence[ExpectedOrder]) -> str:
    """Say of how many pictures gains are: of those that a row and the control both scored."""
    numbers = set()
    for better, worse in ((order.better, order.worse) for order in gains):
        for seed, of_tasks in better.runs.items():
            for task, run in of_tasks.items():
                control = worse.runs.get(seed, {}).get(task)
                if control is not None:
                    with suppress(UserError):  # predictions that do not read: the gain is of point estimates
                        numbers.add(len(run.ids & control.ids))
    counts = " to ".join(f"{number:,}" for number in dict.fromkeys((min(numbers), max(numbers)))) if numbers else ""
    return f"Pictures that both scored: {counts}." if counts else ""


def _captions(found: MeasuredRows, paper: Sequence[Line], caption: str) -> list[str]:
    parts = [caption] if caption else []
    if len(found.seeds) > 1:
        parts.append(f"Mean and standard deviation (sd) over {len(found.seeds)} seeds; n: seeds measured.")
    elif any(
        estimate.low is not None for line in found.lines for each in line.each.values() for estimate in each.values()
    ):
        parts.append("With 95 % intervals, bootstrap over subjects, or over pictures that have none.")
    if found.notes:
        head = "† The paper's numbers, not comparable with ours: " if paper else "Measured on "
        parts.append(f"{head}{'; '.join(_notes(found))}.")
    return parts


def _notes(found: MeasuredRows) -> Iterator[str]:
    """Yield what was noted of the rows; what does not hold of all of them, with the names of those of which it does."""
    for note in found.notes:
        rows = [line.words.label for line in found.lines if note in line.notes]
        yield note if len(rows) == len(found.lines) else f"{note} ({', '.join(rows)})"


def varies(column: Column) -> bool:
    """Whether a column says what a run achieved or cost: a spread of what was given to it tells nothing."""
    return bool(column.better) or column.key.startswith("cost.")


def _spread(column: Column) -> Column:
    return Column(f"{column.key}.sd", "sd", column.group, column.digits, column.scale)


def _cells(line: Line, measures: Sequence[Column], seeds: int | None = None) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    values: list[Value] = [line.value(column.key) for column in measures]
    for column, value in zip(measures, values, strict=True):
        unsampled = column.key == "cost.mean_samples" and value.value == 0
        cells[column.key] = NO_DRAWS if unsampled else Estimate(value.value, value.low, value.high)
        cells[f"{column.key}.sd"] = "" if unsampled or seeds == 0 else Estimate(value.sd)
    cells["seeds"] = "" if seeds == 0 else Estimate(max((value.seeds for value in values), default=0))
    return cells


def _numbers(line: Line) -> dict[str, float | None]:
    return {key: line.value(key).value for each in line.each.values() for key in each}


def _runs(line: Line) -> tuple[str, str]:
    """Return the names of a row's runs, and the anchor of its run where it is one."""
    names = {run.name: run.anchor for runs in line.runs.values() for run in runs.values()}
    return " ".join(names), next(iter(names.values())) if len(names) == 1 else ""
