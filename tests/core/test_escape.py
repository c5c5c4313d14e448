"""Words of models, servers, label files and file names: shown in tables and on terminals, never obeyed."""

import csv
import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.errors import Paused, UserError
from seke.core.escape import CONTROLS, VisibleFormatter, csv_cell, latex, markdown, one_line, visible
from seke.hub.dataset_card import as_markdown, fenced
from seke.reporting.data.tables import Column, Row, Table, to_csv, to_latex, to_markdown, to_terminal

HOSTILE = (
    "\x1b]0;owned\x07\x1b[31m<script>alert(1)</script>|![i](http://evil.invalid)\n# h\n---\n`x` \u202etxt \\input{x}"
)
COLUMN = Column("score", "score", "", 1)


def table(label: str) -> Table:
    return Table("t", label, "", (COLUMN,), (Row(label, {"score": label}, label),), label)


@given(st.text())
def test_nothing_that_a_terminal_would_obey_is_left(text: str) -> None:
    assert not CONTROLS.search(visible(text))
    assert "\n" not in one_line(text) and not CONTROLS.search(one_line(text))
    one_line(text).encode()


@given(st.text(alphabet="|\\<>[]*`_~ a\n", max_size=12))
def test_a_cell_of_markdown_has_no_unescaped_markup(text: str) -> None:
    cell, escaped = markdown(text), False
    for place, sign in enumerate(cell):
        if sign in "|<>[]*`~" or (sign == "_" and not (cell[place - 1 : place] == cell[place + 1 : place + 2] == "a")):
            assert escaped, cell
        escaped = sign == "\\" and not escaped
    assert not escaped and "\n" not in cell


@given(st.text(alphabet="=+-@\t\r ＝a1.%\x00", max_size=8))
def test_a_spreadsheet_finds_no_formula(text: str) -> None:
    cell = csv_cell(text)
    out = io.StringIO()
    csv.writer(out).writerow([cell])
    assert next(csv.reader(io.StringIO(out.getvalue()))) == [cell]
    first = cell.lstrip()[:1]
    assert first not in ("=", "@", "＝") and (first not in ("+", "-") or cell.strip()[1:2].isdigit() or "." in cell)


@pytest.mark.parametrize("number", ["-0.5", "+3", "-1e-7", "-12.5%", "-.5"])
def test_a_number_stays_a_number_in_a_spreadsheet(number: str) -> None:
    assert csv_cell(number) == number


def test_a_table_shows_hostile_labels_in_all_its_forms() -> None:
    hostile = table(HOSTILE)
    for text in (to_markdown(hostile), to_csv(hostile), to_latex(hostile), to_terminal(hostile)):
        assert "\x1b" not in text and "\u202e" not in text
    assert "<script>" not in to_markdown(hostile).replace("\\<", "")
    assert len([line for line in to_markdown(hostile).splitlines() if line.startswith("|")]) == 3
    _, *body = to_latex(hostile).splitlines()  # the first line is a comment
    assert not any("\\input" in line for line in body) and len(body) == 7
    assert "'=cmd()" in to_csv(table("=cmd()")) and "\n=cmd()" not in to_csv(table("=cmd()"))


def test_latex_keeps_text_of_every_kind_on_its_line() -> None:
    assert latex("50 % of\n{a_b} & c#1 $x$ ~^") == (
        r"50 \% of \{a\_b\} \& c\#1 \$x\$ \textasciitilde{}\textasciicircum{}"
    )


def test_cards_show_hostile_values() -> None:
    assert "\x1b" not in as_markdown(HOSTILE) and "\x1b" not in fenced(HOSTILE)
    assert "\n" not in as_markdown(HOSTILE)


def test_an_error_line_is_one_that_a_terminal_shows() -> None:
    mistake = UserError("backend.model", "m\x1b[2J", "the server said \x9b31m", "try\u202e another")
    assert not CONTROLS.search(str(mistake)) and "\\x1b[2J" in str(mistake)
    assert not CONTROLS.search(str(Paused("\x1b[2J")))


def test_log_messages_show_what_a_server_said() -> None:
    record = logging.LogRecord("x", logging.WARNING, "x.py", 1, "%s says %s", ("m", "\x1b[2Jhello"), None)
    assert VisibleFormatter().format(record) == "m says \\x1b[2Jhello"
