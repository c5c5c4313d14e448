"""The leaderboard's page: who is comparable, what is left out, what a filter hides, and that nothing is obeyed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from seke.benchmark.scoring.tables import paper
from seke.core.errors import UserError
from seke.core.result_file import Condition, Measure, Result, Source, System, read, to_text
from seke.core.rules import MEASURES
from seke.reporting.data.tables import Table
from seke.reporting.leaderboard.board import Board, Entry, boards, rows_in
from seke.reporting.leaderboard.report import write_leaderboard
from seke.reporting.leaderboard.tables import condition_table, main_table, matrix_table, overview

from ...browser import chromium, until
from ...results import row

HOSTILE = "<img src=x onerror=alert(1)>"


def board(rows: Sequence[Result]) -> Board:
    [found] = boards([Entry(one, f"file-{n}") for n, one in enumerate(rows)])
    return found


def written(folder: Path, rows: Sequence[Result]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(rows):
        (folder / f"{one.benchmark}--{number}.json").write_text(to_text(one))
    return folder


def cells(table: Table | None, label: str) -> dict[str, Any]:
    assert table is not None
    [found] = [one for one in table.rows if one.label == label]
    return dict(found.cells)


def published(name: str) -> Result:
    accuracy = Measure(value=0.99, better="high", title="Emotion accuracy, %", percent=True, n=None, within=(0.0, 1.0))
    return Result(
        format=1, kind="published", system=System(name=name), benchmark="emonet", headline="emotion.accuracy",
        measures={"emotion.accuracy": accuracy}, source=Source(paper="A paper", place="Table 1"),
    )  # fmt: skip


def test_rows_about_the_same_pictures_are_ranked_and_others_say_why_not() -> None:
    rows = [
        row("Best", 0.95),
        row("Worst", 0.1),
        row("Middle", 0.6),
        row("Other words", 0.9, prompt="d" * 64),
        row("Fewer", 0.9, pictures=50),
        row("Other reader", 0.9, reader="gpt-4o-mini (faces)"),
        row("Same count", 0.9, records="9" * 64),
        row("Simulation", 1.0, system=System(name="Simulation", simulated=True)),
        published("Paper"),
    ]
    found = board(rows)
    assert [entry.label for entry in found.ranked] == ["Best", "Middle", "Worst"]
    assert {entry.label: entry.why for entry in found.others} == {
        "Other words": ("asked in other words",),
        "Fewer": ("other pictures: 50, where the ranked rows have 120",),
        "Other reader": ("answers read by gpt-4o-mini (faces), not parse",),
        "Same count": ("other records of the same number",),
        "Simulation": ("a simulation, which looks the labels up",),
        "Paper": ("A paper, Table 1",),
    }
    table = main_table(found)
    assert cells(table, "1 Best")["rank.emotion.accuracy"] == "1"
    assert cells(table, "3 Worst")["rank.emotion.accuracy"] == "3"
    assert cells(table, "Paper")["rank.emotion.accuracy"] == "–"
    assert not table.is_best(table.rows[-1], table.columns[3]), "a published number competes with nobody's"


def test_simulations_among_themselves_are_ranked() -> None:
    rows = [row(name, skill, system=System(name=name, simulated=True)) for name, skill in (("a", 0.9), ("b", 0.2))]
    assert [entry.label for entry in board(rows).ranked] == ["a", "b"]


def test_the_matrix_marks_what_is_known_and_what_is_not() -> None:
    table = matrix_table(board([row("Best", 0.95), row("Good", 0.94, seed=1), row("Worst", 0.1)]))
    assert table is not None
    top, _, last = (one.cells for one in table.rows)
    assert str(top["against.1"]).endswith("·")
    assert str(top["against.2"]).endswith("▲")
    assert str(last["against.0"]).endswith("▼")
    assert matrix_table(board([row("Alone", 0.9)])) is None


def test_rows_of_other_resamples_are_compared_by_their_intervals_in_brackets() -> None:
    apart = row("B", 0.3)
    assert apart.replicates is not None
    apart = apart.model_copy(update={"replicates": apart.replicates.model_copy(update={"seed": 1})})
    table = matrix_table(board([row("A", 0.9), apart]))
    assert cells(table, "1 A")["against.1"].startswith("(")


def test_conditions_are_held_against_the_clean_row_of_the_same_system() -> None:
    changed = row("A", 0.5, seed=1)
    assert changed.task is not None
    task = changed.task.model_copy(update={"condition": Condition(kind="light", severity=2), "pictures": "f" * 64})
    dark = changed.model_copy(update={"task": task})
    found = board([row("A", 0.9), row("B", 0.8), dark])
    assert [entry.label for entry in found.ranked] == ["A", "B"]
    told = cells(condition_table(found), "A: light 2")
    assert told["paired"] == "picture by picture"
    assert told["lost"].value < -0.1
    assert told["lost"].high < 0
    assert condition_table(board([row("A", 0.9)])) is None


def test_the_overview_is_of_all_boards_in_the_order_of_their_ranks() -> None:
    rows = [row(name, skill, benchmark=on) for on in ("emonet", "emoset") for name, skill in (("Z", 0.9), ("A", 0.3))]
    table = overview(boards([Entry(one, str(n)) for n, one in enumerate(rows)]))
    assert table is not None
    assert [one.label for one in table.rows] == ["Z", "A"]
    assert cells(table, "Z")["emoset.rank"] == "1"
    assert overview([board([row("A", 0.9)])]) is None


def test_files_that_are_no_rows_are_named_and_cost_nobody_else_the_page(tmp_path: Path) -> None:
    folder = written(tmp_path / "results", [row("A", 0.9), row("B", 0.4)])
    (folder / "broken.json").write_text("{")
    done = write_leaderboard(tmp_path / "outputs", "board", folder)
    assert done.notes[0].startswith("broken.json left out: no JSON")
    assert "broken.json left out" in done.page.read_text()
    kept = json.loads((done.page.parent / "manifest.json").read_text())
    assert set(kept["inputs"]) == {"broken.json", "emonet--0.json", "emonet--1.json"}
    assert (done.page.parent / "tables" / "emonet-pairs.csv").is_file()


@pytest.mark.parametrize("content", [None, {}, {"a.json": "{"}])
def test_a_folder_without_rows_is_refused(tmp_path: Path, content: dict[str, str] | None) -> None:
    folder = tmp_path / "results"
    if content is not None:
        folder.mkdir()
        for name, text in content.items():
            (folder / name).write_text(text)
    with pytest.raises(UserError, match=r"^leaderboard=.*(no such folder|holds no row)"):
        rows_in(folder)


def test_the_papers_rows_in_the_repository_are_table_2_against_its_copy() -> None:
    folder = Path(__file__).resolve().parents[3] / "results" / "published"
    found = {one.system.name: one for one in map(read, folder.glob("feab--*.json"))}
    rows = paper("table2.csv")
    assert set(found) == {one["method"].rstrip("*") for one in rows}
    for one in rows:
        measures = found[one["method"].rstrip("*")].measures
        assert {measure.paper: measures[measure.key].value * measure.scale for measure in MEASURES} == pytest.approx(
            {measure.paper: float(one[measure.paper]) for measure in MEASURES}
        )


def test_the_page_filters_rows_and_obeys_none(tmp_path: Path) -> None:
    rows = [
        row("Good", 0.9),
        row(HOSTILE, 0.5),
        row("Words", 0.7, prompt="d" * 64),
        published("Paper"),
        *(row(name, 0.7, benchmark="emoset") for name in ("Good", "Other")),
    ]
    page_file = write_leaderboard(tmp_path / "outputs", "board", written(tmp_path / "results", rows)).page
    assert HOSTILE not in page_file.read_text()
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 800})
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(page_file.as_uri())
        until(page, "!document.querySelector('.filters').hidden")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390

        def shown() -> list[str]:
            names = "[...document.querySelectorAll('#board-emonet tbody tr')].filter(r => !r.hidden && r.offsetParent)"
            return [str(name) for name in page.evaluate(f"{names}.map(r => r.querySelector('th').firstChild.data)")]

        assert shown()[:4] == ["1 Good", f"2 {HOSTILE}", "Words", "Paper"]
        page.uncheck("input[name=published]")
        page.uncheck("input[name=incomparable]")
        assert shown()[:2] == ["1 Good", f"2 {HOSTILE}"]
        assert "Paper" not in shown()
        page.fill("input[name=search]", "good")
        assert set(shown()) == {"1 Good"}
        page.select_option("select[name=board]", "emoset")
        assert shown() == []
        page.click("button[type=reset]")
        until(page, "document.querySelectorAll('tr[hidden]').length === 0")
        assert said == []
