"""Tables of estimates, and the four forms they are written in: Markdown, CSV, LaTeX and the terminal.

The page draws the same `Table` as HTML. Files for people (Markdown, LaTeX) show scaled, rounded values with their
intervals; CSV keeps the raw numbers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple

from seke.core import files
from seke.core.escape import latex, markdown, one_line, visible
from seke.core.intervals import Estimate
from seke.core.rules import Measure, percent_answered
from seke.core.text_tables import csv_table, markdown_table

MISSING = "n/a"
LABEL = "label"
Cell = Estimate | str | None
"""A number with its interval, a plain text, or None: not measured."""


@dataclass(frozen=True)
class Column:
    """One column: which key of a row it shows, and how."""

    key: str
    label: str
    group: str = ""
    digits: int = 3
    scale: float = 1.0
    """100 shows a share as per cent."""
    better: Literal["high", "low", ""] = ""
    signed: bool = False
    """Whether a number is a difference: + stands before what is above 0."""
    under: str = ""
    """The key of the column below whose numbers the page shows these, instead of in a column of their own; `LABEL`:
    below the row's label."""
    run: str = ""
    """Where columns are runs: the run whose predictions its numbers are about."""

    @classmethod
    def of(cls, measure: Measure, key: str = "", label: str = "") -> "Column":
        """Return the column of one of Table 2's measures, by its key in metrics.json or another."""
        digits, scale, better = measure.digits, measure.scale, measure.better
        return cls(key or measure.key, label or measure.label, measure.group, digits, scale, better)

    @classmethod
    def percent(cls, key: str, label: str, group: str, better: Literal["high", "low", ""] = "high") -> "Column":
        """Return the column of a share in [0, 1], shown as per cent with one digit."""
        return cls(key, label, group, 1, 100, better)

    @classmethod
    def count(cls, key: str, label: str, group: str) -> "Column":
        """Return the column of a number without digits behind the point."""
        return cls(key, label, group, 0)


class Partial(NamedTuple):
    """A number over the images that were answered, where others were not."""

    coverage: float
    """The answered share of the images with truth, in [0, 1)."""
    over_all: float | None
    """The number over all of them, silence counted as the best constant answer; None where nobody knows."""
    rival: float | None
    """With what it competes for the best value; None: not at all (`rules.competing`)."""


@dataclass(frozen=True)
class Row:
    """One row: a label, the run it comes from, and its cells by column key."""

    label: str
    cells: Mapping[str, Cell]
    run: str = ""
    anchor: str = ""
    reference: bool = False
    """A reference row (the untuned base, the upper bound) does not compete for the best value."""
    partial: Mapping[str, Partial] = field(default_factory=dict)
    """By column key, the numbers that are not over all images with truth."""
    about: str = ""
    """Where columns are runs: what of a run's predictions its numbers are about."""
    tags: tuple[str, ...] = ()
    """Words by which a page's filters hide it."""

    def rival(self, column: "Column") -> float | None:
        """Return the number with which a cell competes; None where it does not."""
        partial = self.partial.get(column.key)
        return _value(self.cells.get(column.key)) if partial is None else partial.rival


@dataclass(frozen=True)
class Table:
    """A titled table; `name` is the stem of its files."""

    name: str
    title: str
    head: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""
    made_of: str = ""
    """What of every row is synthetic or simulated, where that is one statement; it ends the caption, too."""
    across: bool = False
    """Whether cells compete along their row (columns are systems) or down their column (rows are systems)."""

    def is_best(self, row: Row, column: Column) -> bool:
        """Whether a cell is the best of at least two that compete; values that print alike are all best."""
        if row.reference or not column.better:
            return False
        cells = (
            [(row, other) for other in self.columns if other.better]
            if self.across
            else [(other, column) for other in self.rows if not other.reference]
        )
        rivals = [rival for other, key in cells if (rival := other.rival(key)) is not None]
        own = row.rival(column)
        if len(rivals) < 2 or own is None:
            return False
        best = max(rivals) if column.better == "high" else min(rivals)
        return _rounded(own, column) == _rounded(best, column)

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The columns' groups with how many neighbouring columns each spans."""
        return _spans(self.columns)

    @property
    def upper(self) -> list[Column]:
        """The columns that the page shows as such."""
        return [column for column in self.columns if not column.under]

    @property
    def upper_groups(self) -> list[tuple[str, int]]:
        """The groups of `upper`."""
        return _spans(self.upper)

    @property
    def below_label(self) -> list[Column]:
        """The columns whose texts the page shows below the rows' labels."""
        return [column for column in self.columns if column.under == LABEL]

    def below(self, column: Column) -> list[Column]:
        """Return the columns whose numbers the page shows below those of `column`."""
        return [other for other in self.columns if other.under == column.key]


def _spans(columns: Iterable[Column]) -> list[tuple[str, int]]:
    return [(group, len(list(alike))) for group, alike in groupby(columns, key=lambda column: column.group)]


def write_tables(folder: Path, tables: Iterable[Table]) -> None:
    """Write folder/<name>.{md,csv,tex} of each table."""
    for table in tables:
        for suffix, text in (("md", to_markdown(table)), ("csv", to_csv(table)), ("tex", to_latex(table))):
            files.write_text(folder / f"{table.name}.{suffix}", text)


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign, the minus as typeset.

    >>> signed(-0.25), signed(0.5, 1)
    ('−0.25', '+0.5')
    """
    return f"{value:+.{digits}f}".replace("-", "−")


def shown(cell: Cell, column: Column) -> str:
    """Return the value as it is printed, without its interval.

    >>> shown(Estimate(0.6944), Column("a", "A", digits=1, scale=100)), shown(None, Column("a", "A"))
    ('69.4', 'n/a')
    """
    if isinstance(cell, str):
        return cell
    if cell is None or cell.value is None:
        return MISSING
    return _rounded(cell.value, column)


def interval(cell: Cell, column: Column) -> str:
    """Return the 95 % interval as it is printed, or an empty string where there is none."""
    if cell is None or isinstance(cell, str) or cell.value is None or cell.low is None or cell.high is None:
        return ""
    plain = cell.low >= 0 and not column.signed
    return f"{_rounded(cell.low, column)}{'–' if plain else ' to '}{_rounded(cell.high, column)}"


def value_of(row: Row, column: Column) -> str:
    """Return a cell's value as it is printed, and where answers are missing, of how many it is and what it hides.

    >>> column = Column("valence.mae", "MAE")
    >>> value_of(Row("a", {column.key: Estimate(0.1)}, partial={column.key: Partial(0.44, 0.231, None)}), column)
    '0.100 (n = 44 %; over all 0.231)'
    """
    value, remark = shown(row.cells.get(column.key), column), remark_of(row, column)
    return f"{value} ({remark})" if remark else value


def remark_of(row: Row, column: Column) -> str:
    """Return, where answers are missing, of how many a cell's number is and what it hides; else an empty string."""
    partial = row.partial.get(column.key)
    if partial is None:
        return ""
    over_all = "" if partial.over_all is None else f"; over all {_rounded(partial.over_all, column)}"
    return f"n = {percent_answered(partial.coverage)}{over_all}"


def _rounded(value: float, column: Column) -> str:
    text = f"{value * column.scale:{'+' if column.signed else ''},.{column.digits}f}"
    # -0.000 would say that something is below zero
    return text.lstrip("+-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def _value(cell: Cell) -> float | None:
    return cell.value if isinstance(cell, Estimate) else None


def to_markdown(table: Table) -> str:
    """Return the table in GitHub's Markdown, the best values in bold, intervals in brackets."""

    def cell(row: Row, column: Column) -> str:
        value, span = value_of(row, column), interval(row.cells.get(column.key), column)
        value = f"**{value}**" if table.is_best(row, column) else markdown(value)
        return f"{value} [{span}]" if span else value

    header = [markdown(table.head), *(markdown(f"{column.group} {column.label}".strip()) for column in table.columns)]
    rows = [[markdown(row.label), *(cell(row, column) for column in table.columns)] for row in table.rows]
    lines = [f"### {markdown(table.title)}", "", markdown_table(header, rows, "lr")]
    return "\n".join([*lines, "", markdown(table.caption), ""]) if table.caption else "\n".join([*lines, ""])


def to_csv(table: Table) -> str:
    """Return the table's raw numbers: per column the value, and low and high where any row has an interval."""
    spanned = {
        column.key
        for column in table.columns
        for row in table.rows
        if isinstance(cell := row.cells.get(column.key), Estimate) and cell.low is not None
    }
    header, rows = [table.head, "run"], []
    for column in table.columns:
        header += [column.key, f"{column.key}.low", f"{column.key}.high"] if column.key in spanned else [column.key]
    for row in table.rows:
        line = [row.label, row.run]
        for column in table.columns:
            cell = row.cells.get(column.key)
            numbers = cell if isinstance(cell, Estimate) else Estimate(None)
            line.append(cell if isinstance(cell, str) else _raw(numbers.value))
            if column.key in spanned:
                line += [_raw(numbers.low), _raw(numbers.high)]
        rows.append(line)
    return csv_table(header, rows)


def _raw(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def to_latex(table: Table) -> str:
    """Return a booktabs tabular with its groups, the best values bold, intervals in small type."""

    def cell(row: Row, column: Column) -> str:
        value, span = value_of(row, column), interval(row.cells.get(column.key), column)
        value = rf"\textbf{{{latex(value)}}}" if table.is_best(row, column) else latex(value)
        return rf"{value} {{\scriptsize [{latex(span)}]}}" if span else value

    lines = [rf"% {one_line(table.caption)}", rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}", r"\toprule"]
    if any(group for group, _ in table.groups):
        groups = [rf"\multicolumn{{{width}}}{{c}}{{{latex(group)}}}" for group, width in table.groups]
        lines.append(" & ".join(["", *groups]) + r" \\")
    lines.append(" & ".join([latex(table.head), *(latex(column.label) for column in table.columns)]) + r" \\")
    lines.append(r"\midrule")
    lines += [
        " & ".join([latex(row.label), *(cell(row, column) for column in table.columns)]) + r" \\" for row in table.rows
    ]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def to_terminal(table: Table) -> str:
    """Return the table as aligned plain text, values only; * marks what the files print in bold."""
    grid = [[table.head, *(column.label for column in table.columns)]]
    for row in table.rows:
        marks = ["*" if table.is_best(row, column) else " " for column in table.columns]
        values = [value_of(row, column) for column in table.columns]
        grid.append([row.label, *(value + mark for value, mark in zip(values, marks, strict=True))])
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    header, start, last = "", widths[0] + 2, ""
    for column, width in zip(table.columns, widths[1:], strict=True):
        if column.group != last:  # a group's name stands once, over its first column, and may hang over the next
            header, last = (header and header + " ").ljust(start) + column.group, column.group
        start += width + 2
    body = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in grid]
    return visible("\n".join([header, *body] if header else body))
