"""The study of forgetting: FEAB and general questions of each model in one row, paired, with a trade-off figure."""

import json
from functools import partial
from pathlib import Path

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import parse
from seke.benchmark.scoring.significance import compare
from seke.benchmark.tasks.facexbench import FaceXBench
from seke.benchmark.tasks.general import General, paired
from seke.core.records import ImageRecord, Labels, write_jsonl
from seke.core.runs import Run
from seke.reporting.data import collect, general
from seke.reporting.data.runs import Outputs
from seke.reporting.data.tables import to_markdown

from ..experiments import PAIRED, evaluation, study

CELLS = {"base": (0.1, 0.9), "feid": (0.9, 0.2), "replay0.25": (0.9, 0.6), "replay1": (0.8, 0.9)}
"""Share of right answers to FEAB and to the general questions."""


def asked(outputs: Path, name: str, share: float, n: int = 40, benchmark: General = General()) -> None:  # noqa: B008
    statement = [["glasses", "yes"], ["no glasses", "no"]]
    records = [
        ImageRecord(id=f"q{k}", image="a", sha256=None, source="x", subject=None, split="test", labels=Labels(),
                    attributes={"kind": ("glasses", "hair")[k % 2], "question": "?", "expected": [statement],
                                "options": ["yes", "no"], "answer": "A"})
        for k in range(n)
    ]  # fmt: skip
    answers = {row.id: Answer(id=row.id, text="yes" if k < share * n else "no") for k, row in enumerate(records)}
    rows, _ = benchmark.predictions(records, answers, parse)
    folder = outputs / "evaluate" / name
    folder.mkdir(parents=True)
    write_jsonl(folder / "predictions.jsonl", rows)
    (folder / "metrics.json").write_text(json.dumps(benchmark.metrics(rows, 0)))
    Run(folder, {"name": name}, {"records": "cd" * 32}).finish(notes=[])


def test_each_row_has_both_evaluations_and_losses_are_paired_and_drawn(tmp_path: Path) -> None:
    for cell, (faces, questions) in CELLS.items():
        evaluation(tmp_path, f"forgetting-{cell}", faces)
        asked(tmp_path, f"forgetting-{cell}-general", questions)
    compares = PAIRED._replace(general=partial(compare, draws=200, pairing=paired))
    [section] = study("forgetting").compile(Outputs(tmp_path), "forgetting", tmp_path / "report", compares).sections
    assert section.missing == ()
    found, orders = section.tables
    assert [row.cells["general.accuracy"].value for row in found.rows] == [0.9, 0.2, 0.6, 0.9]
    assert found.rows[1].cells["expression.accuracy"].value > found.rows[0].cells["expression.accuracy"].value
    text = " ".join(section.findings)
    assert "General questions acc. +70.0 (95 % +" in text and "point estimates only" not in text
    assert "General questions" in to_markdown(orders)
    names = [panel.name for panel in section.panels]
    assert names == [
        "forgetting_expression_accuracy_over_general_accuracy",
        "forgetting_action_units_f1_mean_14_over_general_accuracy",
    ]


def test_a_run_of_general_questions_is_no_evaluation_of_faces(tmp_path: Path) -> None:
    asked(tmp_path, "x-general", 0.5)
    outputs = Outputs(tmp_path)
    run = outputs.open(tmp_path / "evaluate" / "x-general")
    [item] = collect.named([run], {})
    assert general.asked(run)
    table = general.score_table([item], "")
    assert [column.key for column in table.columns][-2:] == [
        "general.kinds.glasses.accuracy", "general.kinds.hair.accuracy",
    ]  # fmt: skip
    assert table.rows[0].cells["general.accuracy"].value == 0.5


def test_questions_with_options_have_a_table_of_their_own_and_their_rows_are_no_damaged_ones(tmp_path: Path) -> None:
    asked(tmp_path, "x-options", 0.5, benchmark=FaceXBench())
    outputs = Outputs(tmp_path)
    [item] = collect.named([outputs.open(tmp_path / "evaluate" / "x-options")], {})
    assert general.asked(item.run, general.OPTIONS) and not general.asked(item.run)
    table = general.score_table([item], "", general.OPTIONS)
    assert (table.name, table.rows[0].cells["options.accuracy"].value) == ("options", 0.5)
    assert [column.key for column in table.columns][-1] == "options.kinds.hair.accuracy"
