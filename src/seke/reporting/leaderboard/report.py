"""A leaderboard's page, tables and figures, made of a folder of results; written whole or not at all.

outputs/report/<name>/index.html, tables/, figures/, manifest.json (the sha256 of every row's file)
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seke.core import files
from seke.core.result_file import files_in
from seke.core.runs import file_sha256
from seke.reporting.data.tables import Table, write_tables
from seke.reporting.leaderboard.board import Board, Entry, boards, rows_in
from seke.reporting.leaderboard.figures import condition_panels, cost_panels
from seke.reporting.leaderboard.tables import condition_table, main_table, matrix_table, overview
from seke.reporting.page.page import write_page
from seke.reporting.report import replacing


class WrittenBoard(NamedTuple):
    """What was written."""

    page: Path
    main: tuple[Table, ...]
    """The tables to print."""
    notes: tuple[str, ...]
    """Files that are no rows."""


def write_leaderboard(outputs: Path, name: str, folder: Path) -> WrittenBoard:
    """Write outputs/report/<name>/ from the rows of results in `folder` and below.

    Raises:
        UserError: if there is no row.
    """
    rows = rows_in(folder)
    found = boards(rows.entries)
    with replacing(outputs / "report" / name) as draft:
        for part in ("tables", "figures"):
            (draft / part).mkdir()
        sections = [_section(draft / "figures", board) for board in found]
        main = overview(found)
        every = [*([main] if main else []), *(table for section in sections for table in section["tables"])]
        write_tables(draft / "tables", every)
        content = {
            "name": name,
            "overview": main,
            "sections": sections,
            "notes": rows.notes,
            "nature": _nature(rows.entries),
            "systems": sorted({entry.label for entry in rows.entries if entry.row.kind == "measured"}),
            "rows": len(rows.entries),
            "provenance": [_provenance(entry) for entry in rows.entries if entry.row.kind == "measured"],
            "links": lambda *_: None,
        }
        write_page(draft / "index.html", content, "leaderboard")
        inputs = {str(path.relative_to(folder)): file_sha256(path) for path in files_in(folder)}
        files.write_text(draft / "manifest.json", json.dumps({"name": name, "inputs": inputs}, indent=2) + "\n")
    printed = (*([main] if main else ()), *(section["main"] for section in sections))
    return WrittenBoard(outputs / "report" / name / "index.html", printed, rows.notes)


def _section(figures: Path, board: Board) -> dict[str, Any]:
    main, matrix, conditions = main_table(board), matrix_table(board), condition_table(board)
    panels = cost_panels(figures, board)
    return {
        "name": board.name,
        "main": main,
        "matrix": matrix,
        "conditions": conditions,
        "tables": [table for table in (main, matrix, conditions) if table is not None],
        "panels": panels,
        "curves": condition_panels(figures, board),
        "asked": board.ranked[0].row.counts.asked if board.ranked and board.ranked[0].row.counts else None,
        "ranked": len(board.ranked),
        "unranked": sum("incomparable" in entry.tags for entry in board.others),
        "published": sum("published" in entry.tags for entry in board.others),
        "costless": sum(entry.usd_per_thousand is None for entry in board.ranked),
    }


def _nature(entries: tuple[Entry, ...]) -> str:
    """Return what is synthetic or simulated in the rows; empty: nothing."""
    measured = [entry.row for entry in entries if entry.row.task is not None]
    drawn = sum(row.task is not None and row.task.synthetic != "nothing" for row in measured)
    simulated = sum(row.system.simulated for row in measured)
    parts = []
    if drawn:
        parts.append(f"drawn pictures ({drawn} of {len(measured)} rows)")
    if simulated:
        parts.append(f"answers of simulations ({simulated} of {len(measured)} rows)")
    return " and ".join(parts)


def _provenance(entry: Entry) -> Mapping[str, Any]:
    row = entry.row
    made = row.made
    assert made is not None
    return {
        "file": entry.file,
        "label": entry.label,
        "tags": entry.tags,
        "benchmark": row.benchmark,
        "models": ", ".join(row.system.models),
        "command": made.command,
        "commit": made.commit,
        "facts": [
            *(("asked with", f"{name}={value}") for name, value in row.system.settings.items()),
            *(("training data", remark) for remark in row.contamination.remarks),
            *(("note", note) for note in row.notes),
            *(("package", f"{name} {version}") for name, version in made.packages.items()),
            *(("prompt", row.task.prompt[:16]) for _ in (1,) if row.task),
            *(("records", row.task.records[:16]) for _ in (1,) if row.task),
        ],
    }
