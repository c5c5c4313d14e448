"""What is synthetic or simulated is said of each row: one simulated annotator does not make the others simulated."""

import json
from pathlib import Path

import pytest

from seke.core.records import InstructionRecord, read_jsonl, write_jsonl
from seke.reporting.data.provenance import nature, state_nature, uniform
from seke.reporting.data.tables import Column, Row, Table, to_csv, to_markdown
from seke.reporting.report import Settings, write_report

pytestmark = pytest.mark.usefixtures("undrawn")


def real(outputs: Path, name: str, share: float = 1.0) -> None:
    """Have a generation's rows, a part of them, come from a model that is none of ours."""
    path = outputs / "generate" / name / "instructions.jsonl"
    rows = list(read_jsonl(path, InstructionRecord))
    kept = round(share * len(rows))
    write_jsonl(path, [r.model_copy(update={"annotator": "gpt-4o"}) if k < kept else r for k, r in enumerate(rows)])


def of_photographs(outputs: Path) -> None:
    for file in outputs.glob("prepare/*/truth.jsonl"):
        file.unlink()


def test_real_and_simulated_annotators_stand_in_their_own_rows(outputs: Path, settings: Settings) -> None:
    of_photographs(outputs)
    real(outputs, "demo-seke")
    real(outputs, "demo-single", 0.25)
    written = write_report(outputs, "demo", None, settings)
    [cost] = [table for table in written.main if table.name == "cost"]
    cells = {row.run: row.cells["nature"] for row in cost.rows}
    assert (cells["demo-seke"], cells["demo-truth"]) == ("no", "simulated annotator")
    assert str(cells["demo-single"]).startswith("simulated annotator (") and cells["demo-single"].endswith(" rows)")
    assert "imulated" not in cost.caption and not cost.made_of
    for suffix in ("md", "csv", "tex"):
        assert "simulated annotator" in (written.page.parent / "tables" / f"cost.{suffix}").read_text()
    page = written.page.read_text(encoding="utf-8")
    assert "Every number on this page" not in page and "Not all of this page is real (simulated annotator occur" in page
    [feab] = [table for table in written.main if table.name == "feab"]
    assert "imulated" not in feab.caption, "no evaluation was simulated"


def test_a_model_trained_on_simulated_labels_is_told_apart(outputs: Path, settings: Settings) -> None:
    of_photographs(outputs)
    for name in ("seke", "truth"):
        real(outputs, "demo-truth")
        trained = outputs / "train" / f"demo-{name}" / "manifest.json"
        manifest = json.loads(trained.read_text())
        manifest["trained_on"] = [str(outputs / "generate" / f"demo-{name}" / "instructions.jsonl")]
        trained.write_text(json.dumps(manifest))
        tested = outputs / "evaluate" / f"demo-{name}" / "manifest.json"
        manifest = json.loads(tested.read_text())
        manifest["config"]["backend"] = {"model": {"path": str(trained.parent / "model")}}
        tested.write_text(json.dumps(manifest))
    [feab] = [table for table in write_report(outputs, "demo", None, settings).main if table.name == "feab"]
    cells = {row.run: row.cells["nature"] for row in feab.rows}
    assert cells["demo-seke"] == "trained on labels of a simulated annotator"
    assert cells["demo-truth"] == cells["demo-base"] == "no"


def test_a_name_alone_changes_no_caption(outputs: Path, settings: Settings) -> None:
    """A user's model may be called simulated-x, and a dataset's folder may hold a file of that name."""
    for run in outputs.glob("generate/*/instructions.jsonl"):
        rows = [row.model_copy(update={"annotator": "simulated-x"}) for row in read_jsonl(run, InstructionRecord)]
        write_jsonl(run, [row.model_copy(update={"simulated": False}) if k % 2 else row for k, row in enumerate(rows)])
    for file in (*outputs.glob("generate/*/manifest.json"), *outputs.glob("evaluate/*/manifest.json")):
        manifest = {**json.loads(file.read_text()), "synthetic": "nothing", "models": ["simulated-x"], "simulated": []}
        file.write_text(json.dumps(manifest))
    written = write_report(outputs, "demo", None, settings)
    assert written.nature == ""
    assert not any("simulated annotator" in table.caption for table in written.main)


def test_what_is_noted_counts_whatever_the_names(outputs: Path, settings: Settings) -> None:
    of_photographs(outputs)
    for file in outputs.glob("evaluate/*/manifest.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "models": ["gpt-4o"], "simulated": ["gpt-4o"]}))
    [feab] = [table for table in write_report(outputs, "demo", None, settings).main if table.name == "feab"]
    assert feab.made_of == "Every row: simulated annotator."


def test_one_statement_stands_once() -> None:
    table = Table(
        "t", "T", "Run", (Column("n", "n"),), (Row("a", {}, "a"), Row("b", {}, "b"), Row("paper", {}, "paper"))
    )
    alike = {("evaluate", "a"): "synthetic faces", ("evaluate", "b"): "synthetic faces"}
    once = state_nature(table, "evaluate", alike)
    assert once.columns == table.columns and once.caption == once.made_of == "Every row: synthetic faces."
    assert uniform(alike) and nature(alike) == "synthetic faces"
    some = "synthetic faces, simulated judges (1 of 2 judges)"
    mixed = {("evaluate", "a"): some, ("evaluate", "b"): ""}
    told = state_nature(table, "evaluate", mixed)
    assert [row.cells.get("nature") for row in told.rows] == [
        "synthetic faces, simulated judges (1 of 2 judges)",
        "no",
        None,
    ]
    assert [column.key for column in told.below_label] == ["nature"] and told.upper == list(table.columns)
    assert "synthetic or simulated" in to_markdown(told) and "1 of 2 judges" in to_csv(told)
    assert not uniform(mixed) and nature(mixed) == "synthetic faces, simulated judges"
    across = state_nature(table, "evaluate", mixed, {"A": "a", "B": "b"})
    assert across.caption == "Synthetic or simulated: A: synthetic faces, simulated judges (1 of 2 judges); B: no."
    assert state_nature(table, "evaluate", {("evaluate", "a"): ""}) is table
