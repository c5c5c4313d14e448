"""`python evaluate.py` as a user runs it: asking, scoring files, reliability, and what it says to a mistake."""

import json
from pathlib import Path

import pytest
from PIL import Image as Picture

from seke.answers import describe
from seke.benchmark.answer import Answer
from seke.images import sha256
from seke.records import (
    ImageRecord,
    InstructionRecord,
    Labels,
    Origins,
    Prediction,
    Turn,
    Uncertainty,
    read_jsonl,
    write_jsonl,
)

UNITS = {1: True, 2: False, 4: False, 6: False, 12: True}
TRUTH = Labels(expression="happiness", valence=0.5, arousal=0.25, action_units=UNITS)


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Four prepared test faces of two subjects; the last one's image is cut short."""
    prepared = tmp_path / "prepare" / "demo"
    (prepared / "images").mkdir(parents=True)
    records = []
    for number in range(4):
        path = prepared / "images" / f"{number}.png"
        Picture.new("RGB", (8, 8), (number * 40, 0, 0)).save(path)
        records.append(
            ImageRecord(
                id=f"r{number}",
                image=path.name,
                sha256=sha256(path.read_bytes()),
                source="aff_wild2",
                subject=f"s{number % 2}",
                split="test",
                labels=TRUTH,
            )
        )
    path.write_bytes(path.read_bytes()[:30])
    write_jsonl(prepared / "test.jsonl", records)
    write_jsonl(prepared / "truth.jsonl", records)
    (prepared / "manifest.json").write_text('{"image_root": "images"}')
    return tmp_path


def metrics(outputs: Path, name: str) -> dict:
    return json.loads((outputs / "evaluate" / name / "metrics.json").read_text())


def test_a_backend_is_asked_and_scored_and_a_finished_run_says_so(outputs: Path, door) -> None:
    command = ("evaluate", f"paths.outputs={outputs}", "backend=simulated", "name=annotator")
    done = door(*command)
    assert done.returncode == 0, done.stderr
    run = outputs / "evaluate" / "annotator"
    rows = list(read_jsonl(run / "predictions.jsonl", Prediction))
    assert [row.id for row in rows] == ["r0", "r1", "r2", "r3"]
    assert [row.status for row in rows] == ["ok", "ok", "ok", "unanswered"]
    assert all(row.truth == TRUTH for row in rows)
    found = metrics(outputs, "annotator")
    assert found["n"] == 4
    assert found["unanswered"] == {"expression": 1, "action_units": 1, "valence": 1, "arousal": 1}
    assert "simulated annotator" in (run / "table.md").read_text()
    assert "accuracy" in done.stdout
    assert json.loads((run / "manifest.json").read_text())["models"] == ["simulated-annotator"]
    again = door(*command)
    assert again.returncode == 0
    assert "is finished" in again.stdout


def test_a_file_of_answers_made_elsewhere_is_scored(outputs: Path, door) -> None:
    file = outputs / "theirs.jsonl"
    write_jsonl(file, [Answer(id="r0", text=describe(TRUTH)), Answer(id="r1", text="A face.")])
    done = door("evaluate", f"paths.outputs={outputs}", f"predictions={file}", "name=theirs")
    assert done.returncode == 0, done.stderr
    found = metrics(outputs, "theirs")
    assert found["expression"] == {"accuracy": 0.25, "f1_macro": pytest.approx(0.4), "n": 4}
    assert found["valence"]["mae"] == 0.0
    assert found["missing"] == 2
    assert found["unanswered"]["valence"] == 3
    assert found["status"] == {"ok": 1, "unanswered": 3}


def test_reliability_of_a_generate_run(outputs: Path, door) -> None:
    labels = TRUTH.model_copy(update={"valence": 0.25, "action_units": {**UNITS, 12: False}})
    origin = Origins(
        expression="manual", valence="generated", arousal="manual", action_units={"1": "generated", "12": "generated"}
    )
    turns = (Turn(speaker="human", value="<image>\nWhat?"), Turn(speaker="gpt", value=describe(labels)))
    row = InstructionRecord(
        id="r0",
        image="0.png",
        source="aff_wild2",
        subject="s0",
        conversations=turns,
        labels=labels,
        origin=origin,
        uncertainty=Uncertainty(),
        samples=2,
        annotator="simulated-annotator",
    )
    (outputs / "generate" / "labels").mkdir(parents=True)
    write_jsonl(outputs / "generate" / "labels" / "instructions.jsonl", [row])
    command = ("evaluate", f"paths.outputs={outputs}", "benchmark=reliability", "name=reliability")
    done = door(*command, "predictions=labels")
    assert done.returncode == 0, done.stderr
    found = metrics(outputs, "reliability")
    assert found["expression"] is found["arousal"] is None
    assert found["valence"] == {"mae": 0.25, "rmse": 0.25, "ccc": None, "n": 1}
    assert {au: f1 for au, f1 in found["action_units"]["f1"].items() if f1 is not None} == {"1": 1.0, "12": 0.0}
    assert found["missing"] == 3
    asked = door(*command, "overwrite=true")
    assert asked.returncode == 2
    assert asked.stderr.startswith("error: predictions=None: this benchmark asks no model")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["judge=llm"], "error: judge=llm: no such judge yet; use judge=parse"),
        (["limit=0", "backend=simulated"], "error: limit=0: "),
        (["predictions=nobody"], "error: predictions=nobody: "),
        (["model.path=/no/such/model"], "error: model.path=/no/such/model: "),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_mistake_is_told_before_the_run_is_claimed(outputs: Path, door, arguments: list[str], line: str) -> None:
    done = door("evaluate", f"paths.outputs={outputs}", "name=wrong", *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1
    assert not (outputs / "evaluate").exists()
