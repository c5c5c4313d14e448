"""What finished labels say of people, by benchmark=conclusions: a table, and the rows of a forest plot."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from seke.core.forest import ForestRow
from seke.core.intervals import Estimate
from seke.reporting.data.run_labels import NamedRun
from seke.reporting.data.runs import FinishedRun
from seke.reporting.data.tables import Cell, Column, Row, Table

KEY: Final = "conclusions"
MOST: Final = 60
"""Rows of a plot."""
OWN_SIZE: Final = ("odds",)
"""Kinds of number that are of another size than shares and differences."""
COLUMNS: Final = (
    Column("corrected", "corrected", "Interval by", 3),
    Column("naive", "all labels as right", "Interval by", 3),
    Column("human", "people alone", "Interval by", 3),
    Column.count("effective", "worth", "Human labels"),
    Column.count("drawn", "audited", "Human labels"),
    Column.count("subjects", "subjects", "Human labels"),
)


def is_conclusion(run: FinishedRun) -> bool:
    """Whether an evaluation draws conclusions from finished labels."""
    return isinstance(run.metrics.get(KEY), Mapping)


def table(runs: Sequence[NamedRun]) -> Table:
    """Return a row of each quantity of each evaluation."""
    rows = []
    for run, words, _ in runs:
        for found in run.metrics[KEY]["quantities"]:
            label = str(found["name"]) if len(runs) == 1 else f"{words.short}: {found['name']}"
            rows.append(Row(label, _cells(found), run.name, run.anchor, reference=True))
    caption = (
        "Corrected: prediction-powered inference (PPI++), by the audit. Worth: randomly drawn human labels that would "
        "have told as much. 95 % intervals; of many, one in twenty misses."
    )
    return Table(KEY, "Conclusions from the labels", "Quantity", COLUMNS, tuple(rows), caption)


def _cells(found: Mapping[str, Any]) -> dict[str, Cell]:
    return {
        "corrected": Estimate(found["value"], *(found["ci95"] or (None, None))),
        "naive": Estimate(found["naive"], *(found["naive_ci95"] or (None, None))),
        "human": Estimate(found["human"], *(found["human_ci95"] or (None, None))),
        **{name: Estimate(found[name]) for name in ("effective", "drawn", "subjects")},
    }


def forest_rows(run: FinishedRun) -> list[ForestRow]:
    """Return what is drawn: all numbers of one size, in the order of the settings."""
    found = [each for each in run.metrics[KEY]["quantities"] if each["kind"] not in OWN_SIZE]
    cells = [_cells(each) for each in found[:MOST]]
    return [
        ForestRow(str(each["name"]), _number(cell["corrected"]), _number(cell["naive"]), each["kind"] not in LEVELS)
        for each, cell in zip(found, cells, strict=False)
    ]


LEVELS: Final = ("prevalence", "mean")
"""Kinds of number for which 0 says nothing in particular."""


def _number(cell: Cell) -> Estimate:
    assert isinstance(cell, Estimate)
    return cell
