"""Tables: what is printed, what is bold, what is missing; against values worked out by hand."""

import csv
import io

import pytest

from seke.core.intervals import Estimate
from seke.reporting.data.tables import (
    Cell,
    Column,
    Partial,
    Row,
    Table,
    interval,
    shown,
    to_csv,
    to_latex,
    to_markdown,
    to_terminal,
)

ACCURACY = Column("acc", "acc. %", "Expression", 1, 100, "high")
MAE = Column("mae", "MAE", "Valence", 3, 1, "low")
COLUMNS = (ACCURACY, MAE)


def table(*rows: Row) -> Table:
    return Table("t", "Title", "System", COLUMNS, rows, "Caption.")


def row(label: str, accuracy: Cell, mae: Cell, reference: bool = False) -> Row:
    return Row(label, {"acc": accuracy, "mae": mae}, run=f"run-{label}", reference=reference)


THREE = table(
    row("base", Estimate(0.99, 0.98, 1.0), Estimate(0.001), reference=True),
    row("one", Estimate(0.611, 0.58, 0.642), Estimate(0.342, 0.33, 0.36)),
    row("two", Estimate(0.694, 0.66, 0.72), Estimate(None)),
    row("three", None, Estimate(0.2951, -0.01, 0.31)),
)


def test_markdown_by_hand() -> None:
    assert to_markdown(THREE).splitlines() == [
        "### Title",
        "",
        "| System | Expression acc. % | Valence MAE |",
        "| --- | ---: | ---: |",
        "| base | 99.0 [98.0–100.0] | 0.001 |",
        "| one | 61.1 [58.0–64.2] | 0.342 [0.330–0.360] |",
        "| two | **69.4** [66.0–72.0] | n/a |",
        "| three | n/a | **0.295** [−0.010 to 0.310] |",
        "",
        "Caption.",
    ]


SILENT = table(
    Row("half", {"mae": Estimate(0.102)}, partial={"mae": Partial(0.44, 0.231, None)}),
    Row("most", {"mae": Estimate(0.25, 0.2, 0.3)}, partial={"mae": Partial(0.98, 0.27, 0.29)}),
    Row("all", {"mae": Estimate(0.28)}),
    Row("earlier", {"mae": Estimate(0.29)}, partial={"mae": Partial(0.9, None, None)}),
)


def test_a_number_over_few_answers_says_so_in_every_form_and_is_not_the_best() -> None:
    lines = [line.split(" | ")[-1].rstrip(" |") for line in to_markdown(SILENT).splitlines()[4:8]]
    assert lines == [
        "0.102 (n = 44 %; over all 0.231)",
        "0.250 (n = 98 %; over all 0.270) [0.200–0.300]",
        "**0.280**",
        "0.290 (n = 90 %)",
    ]
    assert "0.102 (n = 44 \\%; over all 0.231)" in to_latex(SILENT) and r"\textbf{0.280}" in to_latex(SILENT)
    assert [line[-1] for line in to_terminal(SILENT).splitlines()[2:]] == [")", ")", "*", ")"]


def test_csv_keeps_raw_numbers_and_leaves_unknown_cells_empty() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(THREE))))
    assert [line["acc"] for line in rows] == ["0.99", "0.611", "0.694", ""]
    assert [line["mae"] for line in rows] == ["0.001", "0.342", "", "0.2951"]
    assert [line["mae.low"] for line in rows] == ["", "0.33", "", "-0.01"]
    assert [line["run"] for line in rows] == ["run-base", "run-one", "run-two", "run-three"]


def test_latex_by_hand() -> None:
    lines = to_latex(THREE).splitlines()
    assert r" & \multicolumn{1}{c}{Expression} & \multicolumn{1}{c}{Valence} \\" in lines
    assert r"two & \textbf{69.4} {\scriptsize [66.0--72.0]} & n/a \\" in lines
    assert to_latex(table(row(r"50 % & {x}_1\y", None, None))).splitlines()[6] == (
        r"50 \% \& \{x\}\_1\textbackslash{}y & n/a & n/a \\"
    )


def test_terminal_marks_the_best_and_aligns() -> None:
    header, names, *rows = to_terminal(THREE).splitlines()
    assert header.split() == ["Expression", "Valence"]
    assert names.split() == ["System", "acc.", "%", "MAE"]
    assert [line.split()[1:] for line in rows] == [
        ["99.0", "0.001"],
        ["61.1", "0.342"],
        ["69.4*", "n/a"],
        ["n/a", "0.295*"],
    ]
    assert len({line.rstrip("*").rfind(".") for line in rows if line.startswith(("base", "one", "three"))}) == 1


def test_a_reference_row_never_wins_and_one_rival_is_no_competition() -> None:
    alone = table(row("base", Estimate(0.9), None, reference=True), row("one", Estimate(0.1), None))
    assert not any(alone.is_best(line, column) for line in alone.rows for column in COLUMNS)


def test_values_that_print_alike_are_all_best() -> None:
    tie = table(row("a", Estimate(0.70001), None), row("b", Estimate(0.70004), None), row("c", Estimate(0.5), None))
    assert [tie.is_best(line, ACCURACY) for line in tie.rows] == [True, True, False]


def test_across_compares_the_systems_of_one_row() -> None:
    systems = (Column("base", "base"), Column("x", "x", better="high"), Column("y", "y", better="high"))
    first = Row("AU1", {"base": Estimate(0.99), "x": Estimate(0.3), "y": Estimate(0.4)})
    second = Row("AU2", {"base": Estimate(0.1), "x": Estimate(0.9), "y": Estimate(0.8)})
    made = Table("t", "T", "AU", systems, (first, second), across=True)
    assert [made.is_best(first, column) for column in systems] == [False, False, True]
    assert [made.is_best(second, column) for column in systems] == [False, True, False]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "n/a"),
        (Estimate(None), "n/a"),
        (Estimate(0.0), "0.000"),
        (Estimate(-0.0001), "0.000"),
        (Estimate(-0.25), "−0.250"),
        (Estimate(12345.678), "12,345.678"),
        ("no draws", "no draws"),
    ],
)
def test_unknown_is_never_zero(cell: Cell, text: str) -> None:
    assert shown(cell, MAE) == text


def test_an_interval_needs_value_and_both_ends() -> None:
    assert interval(Estimate(0.5, 0.4, None), MAE) == ""
    assert interval(Estimate(None, 0.4, 0.6), MAE) == ""
    assert interval("text", MAE) == ""


def test_markdown_escapes_what_would_break_the_table() -> None:
    assert r"| a\|b\*c\<i\> |" in to_markdown(table(row("a|b*c<i>\n", None, None)))
