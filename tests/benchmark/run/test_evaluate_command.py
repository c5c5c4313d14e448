"""`python evaluate.py` as a user runs it: asking, scoring files, reliability, and what it says to a mistake."""

import json
import os
import time
from pathlib import Path

import pytest
from PIL import Image as Picture

from seke.answers.extract import describe
from seke.benchmark.answer import Answer
from seke.core.escape import markdown
from seke.core.images import sha256
from seke.core.records import (
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

from ... import warm
from ...servers import openai_server

ROOT = Path(__file__).resolve().parents[3]
TEMPLATED = "The expression is happiness. Valence is 0.5. Active action units: AU12."
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


@pytest.fixture
def templated(monkeypatch: pytest.MonkeyPatch):
    """A server that answers everything with the same template: any face, and any answer to rewrite."""
    monkeypatch.setattr(openai_server.Server, "_answer", lambda self, request, choice: TEMPLATED)
    with openai_server.running() as server:
        yield server


def metrics(outputs: Path, name: str) -> dict:
    return json.loads((outputs / "evaluate" / name / "metrics.json").read_text())


def test_a_mistaken_setting_takes_no_name_and_clears_no_run_away(outputs: Path, cli) -> None:
    command = ("evaluate", f"paths.outputs={outputs}", "name=vllm", "backend=vllm", "backend.concurrency=0")
    run = outputs / "evaluate" / "vllm"
    done = cli(*command)
    assert (done.returncode, done.stderr) == (2, "error: backend.concurrency=0: too small; set 1 or more\n")
    assert not run.exists()
    run.mkdir(parents=True)
    for name in ("config.yaml", "manifest.json"):
        (run / name).write_text("{}")
    assert cli(*command, "overwrite=true").returncode == 2
    assert (run / "manifest.json").is_file()


def test_a_login_in_an_address_is_written_nowhere(outputs: Path, cli) -> None:
    command = ("evaluate", f"paths.outputs={outputs}", "name=vllm", "backend=vllm")
    done = cli(*command, "backend.base_url=http://me:hunter2@localhost:9/v1")
    assert done.returncode == 2
    assert done.stderr.startswith("error: backend.base_url=***: the login") and "hunter2" not in done.stderr
    assert not (outputs / "evaluate").exists()


def test_a_backend_is_asked_and_scored_and_a_finished_run_says_so(outputs: Path, cli) -> None:
    command = ("evaluate", f"paths.outputs={outputs}", "backend=simulated", "name=annotator")
    done = cli(*command)
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
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["models"] == ["simulated-annotator"]
    assert manifest["made"]["command"].startswith("python evaluate.py ") and "commit" in manifest["made"]
    again = cli(*command)
    assert again.returncode == 0
    assert "is finished" in again.stdout


def test_a_file_of_answers_made_elsewhere_is_scored(outputs: Path, cli) -> None:
    file = outputs / "theirs.jsonl"
    write_jsonl(file, [Answer(id="r0", text=describe(TRUTH)), Answer(id="r1", text="A face.")])
    done = cli("evaluate", f"paths.outputs={outputs}", f"predictions={file}", "name=theirs")
    assert done.returncode == 0, done.stderr
    found = metrics(outputs, "theirs")
    assert found["expression"] == {"accuracy": 0.25, "f1_macro": pytest.approx(0.4), "n": 4}
    assert found["valence"]["mae"] == 0.0
    assert found["missing"] == 2
    assert found["unanswered"]["valence"] == 3
    assert found["status"] == {"ok": 1, "unanswered": 3}


def test_the_constant_answer_stands_in_its_own_table(outputs: Path, cli) -> None:
    prepared = outputs / "prepare" / "demo"
    taught = [row.model_copy(update={"split": "train"}) for row in read_jsonl(prepared / "test.jsonl", ImageRecord)]
    write_jsonl(prepared / "train.jsonl", taught)
    done = cli("evaluate", f"paths.outputs={outputs}", "system=constant", "name=constant")
    assert done.returncode == 0, done.stderr
    assert metrics(outputs, "constant")["expression"]["accuracy"] == 0.75  # one picture cannot be opened: not asked
    assert "constant answer, no picture is looked at: " in (outputs / "evaluate" / "constant" / "table.md").read_text()
    assert json.loads((outputs / "evaluate" / "constant" / "manifest.json").read_text())["models"] == ["constant"]


def test_the_released_list_is_an_input_and_a_prevalence_a_column(outputs: Path, cli) -> None:
    (outputs / "prepare" / "demo" / "truth.jsonl").unlink()  # else the faces count as drawn ones
    digests = [row.sha256 for row in read_jsonl(outputs / "prepare" / "demo" / "test.jsonl", ImageRecord)]
    file, listed = outputs / "theirs.jsonl", outputs / "feab.sha256"
    write_jsonl(file, [Answer(id="r0", text=describe(TRUTH))])
    listed.write_text("".join(f"{digest}  FEAB/{place}.jpg\n" for place, digest in enumerate(digests)))
    command = ("evaluate", f"paths.outputs={outputs}", f"predictions={file}", "benchmark.prevalence={12: 0.3}")
    done = cli(*command, f"benchmark.release={listed}", "name=theirs")
    assert done.returncode == 0, done.stderr
    manifest = json.loads((outputs / "evaluate" / "theirs" / "manifest.json").read_text())
    assert manifest["inputs"]["release"] == sha256(listed.read_bytes())
    assert manifest["notes"] == ["the 4 images of the list in benchmark.release, not the paper's 3035"]
    assert metrics(outputs, "theirs")["action_units"]["at_prevalence"]["prevalence"] == {"12": 0.3}
    own = cli(*command, "name=own")
    assert "note: own draw of 4 images, not known to be the released FEAB\n" in own.stderr


def test_reliability_of_a_generate_run(outputs: Path, cli) -> None:
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
    done = cli(*command, "predictions=labels")
    assert done.returncode == 0, done.stderr
    found = metrics(outputs, "reliability")
    assert found["expression"] is found["arousal"] is None
    assert {key: found["valence"][key] for key in ("mae", "rmse", "ccc", "n")} == {
        "mae": 0.25, "rmse": 0.25, "ccc": None, "n": 1,
    }  # fmt: skip
    assert {au: f1 for au, f1 in found["action_units"]["f1"].items() if f1 is not None} == {"1": 1.0, "12": 0.0}
    assert found["missing"] == 3
    seen = [row, row.model_copy(update={"id": "r1", "image": "1.png", "subject": "s1"})]
    write_jsonl(outputs / "generate" / "labels" / "instructions.jsonl", seen)
    done = cli(*command[:-1], "name=more", "predictions=labels", "compare=reliability")
    assert done.returncode == 0, done.stderr
    said = (outputs / "evaluate" / "more" / "comparison.md").read_text()
    assert "On the 1 records that both scored; 1 of ours and 0 of the other are not." in said
    asked = cli(*command, "overwrite=true")
    assert asked.returncode == 2
    assert asked.stderr.startswith("error: predictions=None: this benchmark asks no model")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["judge=oracle"], "error: judge=oracle: "),
        (["system=emotion_llama"], "error: predictions=emotion_llama.jsonl: "),
        (["image=nowhere.png", "backend=simulated"], "error: image=nowhere.png: cannot be read"),
        (["limit=0", "backend=simulated"], "error: limit=0: "),
        (["predictions=nobody"], "error: predictions=nobody: "),
        (["model.path=/no/such/model"], "error: model.path=/no/such/model: "),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_mistake_is_told_before_the_run_is_claimed(outputs: Path, cli, arguments: list[str], line: str) -> None:
    done = cli("evaluate", f"paths.outputs={outputs}", "name=wrong", *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1
    assert not (outputs / "evaluate").exists()


def test_a_csv_is_scored_by_a_mapping_and_says_what_it_could_not_take(outputs: Path, cli) -> None:
    (outputs / "theirs.csv").write_text("file,v,emotion\nr0,0.5,happy\nr1,7,bored\n")
    fields = "predictions_fields={id: file, valence: v, expression: emotion}"
    done = cli("evaluate", f"paths.outputs={outputs}", f"predictions={outputs / 'theirs.csv'}", fields, "name=theirs")
    assert done.returncode == 0, done.stderr
    found = metrics(outputs, "theirs")
    assert (found["expression"]["accuracy"], found["valence"]["mae"], found["missing"]) == (0.25, None, 2)
    assert found["unanswered"]["valence"] == 4
    said = "2 x cell of a column with valence out of [-1, 1], such as 7: unanswered"
    assert said in done.stderr and markdown(said) in (outputs / "evaluate" / "theirs" / "table.md").read_text()


def test_a_checkpoint_trained_on_test_subjects_is_refused_before_it_is_loaded(outputs: Path, cli) -> None:
    run = outputs / "train" / "leaky"
    (run / "model").mkdir(parents=True)
    rows = outputs / "rows.jsonl"
    rows.write_text('{"id": "x", "image": "x.png", "source": "aff_wild2", "subject": "s1", "conversations": []}\n')
    (run / "manifest.json").write_text(json.dumps({"base": "b/b", "config": {"data": {"path": str(rows)}}}))
    done = cli("evaluate", f"paths.outputs={outputs}", "model.path=leaky", "name=leaky")
    assert done.returncode == 2
    assert "trained on what it is tested on: 1 subjects (aff_wild2/s1)" in done.stderr
    assert done.stderr.count("\n") == 1


def test_one_picture_is_asked_about_without_any_run(tmp_path: Path, cli, templated) -> None:
    Picture.new("RGB", (32, 32)).save(tmp_path / "face.png")
    server = f"backend.base_url={templated.url}"
    done = cli("evaluate", f"image={tmp_path / 'face.png'}", "backend=openai", server, f"paths.outputs={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert TEMPLATED in done.stdout and "Unclosed" not in done.stderr
    assert "expression: happiness" in done.stdout
    assert "action units: AU12 Lip Corner Puller" in done.stdout
    assert "arousal: not stated" in done.stdout
    assert not (tmp_path / "evaluate").exists()


def test_where_no_picture_can_be_read_there_is_one_line_and_nothing_is_scored(outputs: Path, cli, tmp_path) -> None:
    arguments = ("backend=simulated", "name=none", f"paths.outputs={outputs}", f"paths.images={tmp_path}")
    for _ in range(2):
        done = cli("evaluate", *arguments)
        assert done.returncode == 2
        line = done.stderr.rpartition("error: ")[2]
        assert line.startswith("name=none: no record was answered (4 of 4 unanswered, such as r0: 0.png: no such file")
    folder = outputs / "evaluate" / "none"
    assert len((folder / "answers.jsonl").read_text().splitlines()) == 4
    assert not (folder / "metrics.json").exists() and not (folder / "manifest.json").exists()


@pytest.mark.slow
def test_a_run_killed_and_resumed_leaves_the_same_files_and_pays_nothing_twice(outputs: Path, cli, templated) -> None:
    files = ("predictions.jsonl", "metrics.json", "table.md")
    asked = ("backend=openai", f"backend.base_url={templated.url}", "backend.concurrency=1")
    judged = ("judge=llm", f"judge_backend.base_url={templated.url}", f"paths.outputs={outputs}")
    command = [ROOT / "evaluate.py", *asked, *judged, "name=killed"]
    templated.latency = 0.4
    child = warm.start(*command, said=outputs / "said", cwd=ROOT, env=os.environ)
    answers = outputs / "evaluate" / "killed" / "answers.jsonl"
    while not (answers.is_file() and answers.read_bytes().count(b"\n")):
        assert child.poll() is None
        time.sleep(0.02)
    child.killed()
    assert answers.read_bytes().count(b"\n") < 4 and not (answers.parent / "manifest.json").exists()
    templated.latency = 0.0
    assert cli("evaluate", *asked, *judged, "name=killed").returncode == 0
    # What was in flight when the process died may have been paid for twice, and nothing else.
    assert sum(templated.paid.values()) <= len(templated.paid) + 1
    before = sum(templated.seen.values())
    whole = cli("evaluate", *asked, *judged, "name=whole")
    assert whole.returncode == 0, whole.stderr
    assert sum(templated.seen.values()) == before
    for file in files:
        one, other = (outputs / "evaluate" / name / file for name in ("killed", "whole"))
        assert one.read_text().replace("killed", "whole") == other.read_text()
    rows = list(read_jsonl(outputs / "evaluate" / "whole" / "predictions.jsonl", Prediction))
    assert [row.judged for row in rows] == [TEMPLATED, TEMPLATED, TEMPLATED, None]
