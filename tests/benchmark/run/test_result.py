"""A finished evaluation's row: what became of every question, what was asked, and what is not known."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Picture

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import parse
from seke.benchmark.run.result import row, write
from seke.benchmark.scoring.score import score
from seke.benchmark.tasks.feab import Feab
from seke.benchmark.tasks.reliability import Reliability
from seke.core.images import sha256
from seke.core.records import ImageRecord, Labels, to_line, write_jsonl
from seke.core.result_file import Counts, Result, faults
from seke.core.runs import Run

from ... import warm

ROOT = Path(__file__).resolve().parents[3]
FEAB = Feab("What emotion does this face show?")
SAID = "The expression is {}. Valence is 0.5. Active action units: AU12."


def records(count: int, attributes: dict[str, Any] | None = None) -> list[ImageRecord]:
    return [
        ImageRecord(
            id=f"r{n}", image=f"{n}.png", sha256=f"{n:064x}", source="s", subject=f"p{n % 4}", split="test",
            labels=Labels(expression="happiness", valence=0.5, action_units={12: True}), attributes=attributes or {},
        )
        for n in range(count)
    ]  # fmt: skip


def run(outputs: Path, asked: list[ImageRecord], answers: list[Answer], **config: Any) -> Path:
    """Score answers as evaluate.py does, and finish the run."""
    path = outputs / "evaluate" / "run"
    path.mkdir(parents=True)
    (path / "answers.jsonl").write_text("".join(to_line(answer) + "\n" for answer in answers))
    file = outputs / "test.jsonl"
    write_jsonl(file, asked)
    settings: dict[str, Any] = {
        "seed": 0, "system": {"name": None}, "predictions": None, "judge": {"_target_": "Parse"},
        "benchmark": {"_target_": "Feab"}, "backend": {"_target_": "OpenAI", "model": "m-1", "image": {"side": 512}},
    }  # fmt: skip
    facts = score(path, FEAB, asked, {answer.id: answer for answer in answers}, parse, file, 0)
    made = {"command": "python evaluate.py name=run", "commit": "abc", "machine": {"python": "3.11", "gpus": []}}
    Run(path, settings | config, {"records": "0" * 64}).finish(**facts, made=made)
    return path


def made(path: Path, asked: list[ImageRecord]) -> Result:
    found = row(path, FEAB, asked)
    assert found is not None
    return found


def test_every_question_is_counted_once_and_stays_in_the_denominator(tmp_path: Path) -> None:
    asked = records(10)
    answers = [
        *(Answer(id=f"r{n}", text=SAID.format("happiness"), model="m-1") for n in range(4)),
        Answer(id="r4", text=SAID.format("anger"), model="m-1"),
        Answer(id="r5", text="I cannot help with pictures of people.", status="refusal", model="m-1"),
        Answer(id="r6", text="", status="filtered", model="m-1"),
        Answer(id="r7", text="A nice picture.", model="m-1"),
        Answer(id="r8", status="unanswered", detail="no such file"),
    ]
    found = made(run(tmp_path, asked, answers), asked)
    assert found.counts == Counts(asked=10, answered=5, refused=2, unreadable=1, missing_pictures=1, no_answer=1)
    accuracy = found.measures["expression.accuracy"]
    assert (accuracy.value, accuracy.n, accuracy.clusters) == (0.4, 10, 4)
    assert found.system.models == ("m-1",)
    assert found.system.settings == {"image.side": 512}
    assert found.cost is not None
    assert found.cost.usd is None, "nobody noted what it cost, which is not nothing"
    valence = found.measures["valence.mae"]
    assert valence.coverage == 0.5
    assert valence.rival is None
    assert valence.ci95 is None


def test_a_row_passes_its_own_check_and_lies_in_the_run_and_in_the_folder(tmp_path: Path) -> None:
    asked = records(8)
    path = run(tmp_path, asked, [Answer(id=f"r{n}", text=SAID.format("happiness")) for n in range(6)])
    file = write(path, FEAB, asked, tmp_path / "results")
    assert file == tmp_path / "results" / "feab--run.json"
    assert faults(file) == []
    assert (path / "result.json").read_bytes() == file.read_bytes()
    assert write(path, FEAB, asked, None) is None


def test_rows_about_the_same_records_share_digests_and_other_questions_do_not(tmp_path: Path) -> None:
    asked = records(8)
    answers = [Answer(id=f"r{n}", text=SAID.format("happiness")) for n in range(8)]
    task = made(run(tmp_path / "a", asked, answers), asked).task
    again = made(run(tmp_path / "b", asked, answers[:5]), asked).task
    assert again == task
    other = row(tmp_path / "a" / "evaluate" / "run", Feab("Which emotion is it?"), asked)
    assert other is not None
    assert other.task is not None
    assert task is not None
    assert other.task.prompt != task.prompt
    assert (other.task.records, other.task.pictures) == (task.records, task.pictures)
    darker = records(8, {"condition": {"kind": "light", "severity": 2}})
    darker = [one.model_copy(update={"sha256": "f" * 64}) for one in darker]
    dark = made(run(tmp_path / "c", darker, answers), darker).task
    assert dark is not None
    assert dark.condition is not None
    assert (dark.condition.kind, dark.condition.severity) == ("light", 2)
    assert dark.records == task.records, "what is resampled alike is compared picture by picture"
    assert dark.pictures != task.pictures


def test_a_benchmark_that_scores_labels_has_no_row(tmp_path: Path) -> None:
    asked = records(4)
    path = run(tmp_path, asked, [Answer(id=f"r{n}", text=SAID.format("fear")) for n in range(4)])
    assert row(path, Reliability(), asked) is None


def test_contamination_is_unknown_unless_it_was_checked(tmp_path: Path) -> None:
    asked = records(4)
    path = run(tmp_path, asked, [Answer(id=f"r{n}", text=SAID.format("fear")) for n in range(4)])
    manifest = json.loads((path / "manifest.json").read_text())
    assert made(path, asked).contamination.verdict == "none found"
    for remark, verdict in (
        ("training data not checked: m", "unknown"),
        ("trained on what it is tested on: 1 ids", "overlap"),
    ):
        manifest["remarks"] = [remark, "something else"]
        (path / "manifest.json").write_text(json.dumps(manifest))
        found = made(path, asked)
        assert (found.contamination.verdict, found.contamination.remarks) == (verdict, (remark,))
        assert "something else" in found.notes


@pytest.mark.slow
def test_evaluate_writes_the_row_and_report_the_page(tmp_path: Path) -> None:
    prepared = tmp_path / "outputs" / "prepare" / "faces"
    (prepared / "images").mkdir(parents=True)
    rows = []
    for number, one in enumerate(records(8)):
        file = prepared / "images" / one.image
        Picture.new("RGB", (8, 8), (number * 20, 0, 0)).save(file)
        rows.append(one.model_copy(update={"sha256": sha256(file.read_bytes())}))
    (prepared / "images" / "3.png").unlink()
    for name in ("test", "train"):
        write_jsonl(prepared / f"{name}.jsonl", [one.model_copy(update={"split": name}) for one in rows])
    (prepared / "manifest.json").write_text('{"image_root": "images"}')
    asked = (
        "records=faces",
        "system=constant",
        "name=constant",
        "results=results",
        f"paths.outputs={tmp_path / 'outputs'}",
    )
    done = warm.run(ROOT / "evaluate.py", *asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "results" / "feab--constant.json").read_text())
    assert found["counts"]["missing_pictures"] == 1
    (tmp_path / "results" / "feab--constant.json").unlink()
    assert warm.run(ROOT / "evaluate.py", *asked, cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "results" / "feab--constant.json").read_text()) == found
    page = warm.run(ROOT / "report.py", "name=board", "leaderboard=results", asked[-1], cwd=tmp_path)
    assert page.returncode == 0, page.stderr
    assert "Constant answer" in (tmp_path / "outputs" / "report" / "board" / "index.html").read_text()
