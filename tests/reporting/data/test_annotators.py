"""Runs without truth in a report: annotators held against each other, and labels of new pictures."""

import json
from pathlib import Path

import pytest

from seke.benchmark.answer import Answer
from seke.benchmark.run import annotators as runs
from seke.benchmark.run.label_tables import Labelled, write_chunk, write_tables
from seke.core.budget import Spent
from seke.core.records import ImageRecord, Labels, Prediction
from seke.core.runs import claim
from seke.reporting.data.annotators import agreement_table, differences_table, labels_table
from seke.reporting.data.collect import collect
from seke.reporting.data.run_labels import named
from seke.reporting.data.runs import Outputs, gather
from seke.reporting.data.tables import shown, to_csv, to_markdown
from seke.reporting.report import Settings, write_report


@pytest.fixture
def compared(outputs: Path) -> Path:
    """Three generations held against each other, beside the miniature runs."""
    names = [f"generate/demo-{name}" for name in ("seke", "single", "prior")]
    held = [runs.located(name, outputs) for name in names if (outputs / name).is_dir()]
    run = claim(outputs / "evaluate" / "demo-agree", {}, runs.inputs(held))
    run.finish(**runs.compare(held, run.path, 0))
    return outputs


def labelling(outputs: Path, name: str = "demo-new") -> None:
    """A labelling of two pictures, one of which nobody answered about."""
    run = claim(outputs / "evaluate" / name, {"records": "demo"}, {})
    (run.path / "chunks").mkdir()
    rows, said = [], [Labels(expression="fear", valence=0.5), Labels()]
    for number, labels in enumerate(said):
        rows.append(
            Prediction(
                id=f"r{number}", source="x", subject=None, text="<b>", judged=None, labels=labels, truth=Labels(),
                status="ok" if number == 0 else "unanswered",
            )
        )  # fmt: skip
    records = [
        ImageRecord(id=row.id, image="a.png", sha256=None, source="x", subject=None, split="train", labels=Labels())
        for row in rows
    ]
    labels = [{"expression": "fear", "valence": 0.5, "AU1": True}, {"expression": None, "valence": None, "AU1": None}]
    shares = [{"expression": 0.8, "valence": 0.6, "AU1": 0.4}, dict.fromkeys(("expression", "valence", "AU1"))]
    chunk = Labelled(
        records, rows, labels, shares, Spent(), {"m-1": False}, ["r1: gone"], [], {"r0": Answer(id="r0", text="<b>")}
    )
    write_chunk(run.path, 0, chunk)
    run.finish(**write_tables(run.path, 1, 5))


def of_report(outputs: Path):
    gathered = gather(Outputs(outputs), "demo", None)
    return collect(gathered, Outputs(outputs), {}, "seke", None, None)


def test_each_two_annotators_have_a_row_with_what_agreement_json_says(compared: Path) -> None:
    material = of_report(compared)
    found = json.loads((compared / "evaluate" / "demo-agree" / "agreement.json").read_text())
    table = agreement_table(material.agreeing)
    pairs = [row for row in table.rows if not row.label.startswith("all")]
    assert [row.label for row in pairs] == [f"{pair['first']} and {pair['second']}" for pair in found["pairs"]]
    columns = {column.key: column for column in table.columns}
    for row, pair in zip(pairs, found["pairs"], strict=True):
        assert row.cells["expression.kappa"].value == pair["expression"]["kappa"]
        assert [*row.cells["valence.icc"]][1:] == (pair["ci95"]["valence"]["icc"] or [None, None])
        assert shown(row.cells["valence.bias"], columns["valence.bias"])[0] in "+−0n"
    if len(found["annotators"]) > 2:
        assert table.rows[0].cells["expression.kappa"].value == found["expression"]["alpha"]
    assert "Nobody knows here what is right" in to_markdown(table)
    assert to_csv(differences_table(material.agreeing)).count("\n") == 1 + len(found["pairs"])


@pytest.mark.usefixtures("undrawn")
def test_such_runs_are_no_scores_and_have_sections_of_their_own(compared: Path, settings: Settings) -> None:
    before = [item.run.name for item in of_report(compared).scored]
    labelling(compared)
    material = of_report(compared)
    assert [item.run.name for item in material.scored] == before and "demo-agree" not in before
    assert [item.run.name for item in material.labelled] == ["demo-new"]
    written = write_report(compared, "demo", None, settings)
    page = written.page.read_text(encoding="utf-8")
    assert 'id="annotators"' in page and 'id="labels"' in page
    assert {"labels", "annotators"} <= {table.name for table in written.main}
    for name in ("labels", "annotators", "annotators_differ"):
        assert (written.page.parent / "tables" / f"{name}.csv").is_file()


def test_a_labelling_has_its_counts_and_mean_confidences(outputs: Path) -> None:
    labelling(outputs)
    [item] = named(gather(Outputs(outputs), "demo-new", None).of("evaluate"), {})
    [row] = labels_table([item]).rows
    numbers = {key: cell.value for key, cell in row.cells.items() if not isinstance(cell, str)}
    assert numbers == {
        "pictures": 2, "unanswered": 1, "valence": 0.5, "arousal": None, "expression.confidence": 0.8,
        "valence.confidence": 0.6, "arousal.confidence": None, "action units.confidence": 0.4,
    }  # fmt: skip
    assert row.cells["expression"] == "fear (1)"
