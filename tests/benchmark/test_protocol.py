"""What a benchmark may leave out, and what is then done."""

import json
from pathlib import Path

import pytest

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import parse
from seke.benchmark.protocol import Benchmark, Calibrated, Compared, Grouped, Measured, Pays, Planned, Reading
from seke.benchmark.run import predict
from seke.benchmark.scoring import significance, subgroups
from seke.benchmark.scoring.score import score
from seke.core.records import ImageRecord, Labels, Prediction, write_jsonl

OPTIONAL = (Planned, Reading, Measured, Compared, Grouped, Calibrated, Pays)


class Shortest:
    """As little as a benchmark can be."""

    records_file = "test.jsonl"
    predictions_from = ("evaluate", "predictions.jsonl")
    request = None

    def predictions(self, records, answers, judge):
        rows = [
            Prediction(id=r.id, source=r.source, subject=r.subject, text="", judged=None, labels=judge(a).labels,
                       truth=r.labels, status="ok")
            for r in records if (a := answers.get(r.id))
        ]  # fmt: skip
        return rows, len(records) - len(rows)

    def table(self, name, metrics, notes):
        return f"# {name}\n"


def face(name: str) -> ImageRecord:
    return ImageRecord(
        id=name, image="x.png", sha256=None, source="mine", subject=name, split="test", labels=Labels(expression="fear")
    )


def test_what_a_benchmark_leaves_out_is_done_as_for_faces(tmp_path: Path) -> None:
    mine: Benchmark = Shortest()
    assert isinstance(mine, Benchmark)
    assert not any(isinstance(mine, part) for part in OPTIONAL)
    assert significance.pairing_of(mine) is significance.pair_faces
    assert subgroups.grouping_of(mine) is subgroups.group_faces
    records = [face("a"), face("b")]
    write_jsonl(tmp_path / "test.jsonl", records)
    assert predict.planned(mine, {"records": tmp_path / "test.jsonl"}, None) == records
    answers = {name: Answer(id=name, text="This face shows fear.") for name in "ab"}
    (tmp_path / "run").mkdir()
    score(tmp_path / "run", mine, records, answers, parse, tmp_path / "test.jsonl", 0, groups=["source"])
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert found["expression"]["accuracy"] == 1.0
    assert found["groups"]["source"]["groups"].keys() == {"mine"}
    assert "calibration" not in found


@pytest.mark.parametrize("left_out", ["predictions", "table", "request", "records_file", "predictions_from"])
def test_what_every_benchmark_must_have(left_out: str) -> None:
    members = {name: value for name, value in vars(Shortest).items() if name != left_out}
    assert not isinstance(type("Lacking", (), members)(), Benchmark)
