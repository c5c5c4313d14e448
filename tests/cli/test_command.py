"""The whole loop through the commands, as a user runs it: SEKE on very few faces, EmoVIT on very few scenes."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import matplotlib
import pytest

from seke.core.records import ImageRecord, InstructionRecord, Rejection, read_jsonl

REAL_PHOTOGRAPH = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def succeed(done) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(path: Path, kind):
    return list(read_jsonl(path, kind))


class System(NamedTuple):
    """One of the house's two, what it is run with beside its size, and what then is to be found."""

    prepare: tuple[str, ...]
    generate: tuple[str, ...]
    instructions: int
    train: tuple[str, ...]
    architecture: str
    evaluate: tuple[str, ...]
    metrics: set[str]
    page: tuple[str, ...]
    """What its report speaks of."""


SYSTEMS = {
    "seke": System(
        ("source.images=160",), ("limit=40",), 40, (), "LlavaOnevisionForConditionalGeneration", (),
        {"unanswered", "expression", "action_units", "valence", "arousal", "ci95"}, ("happiness", "AU12"),
    ),
    "emovit": System(
        ("source=synthetic_scenes", "source.images=64"),
        ("generator=emovit", "generator.counts={categorical: 2, conversation: 1, reasoning: 1}"), 4 * 8,
        ("model=instructblip_tiny",), "InstructBlipForConditionalGeneration",
        ("model=instructblip_tiny", "benchmark=emoset"),
        {"unanswered", "emotion", "confusion", "ci95"}, ("contentment", "reasoning"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def run_of(tmp_path_factory, cli) -> Callable[[str], Path]:
    """Return what runs all five commands of a system once, with `name=demo`, and tells where its outputs are."""

    @cache
    def run(name: str) -> Path:
        path = tmp_path_factory.mktemp(name)
        here, system = f"paths.outputs={path}", SYSTEMS[name]
        succeed(cli("prepare", here, *system.prepare, "source.workers=1"))
        succeed(cli("generate", here, *system.generate))
        succeed(cli("train", here, *system.train, "trainer.max_steps=3"))
        succeed(cli("evaluate", here, *system.evaluate, "limit=6", "model.path=demo"))
        succeed(cli("report", here))
        return path

    return run


@pytest.fixture
def outputs(run_of) -> Path:
    """Return what SEKE's commands have left."""
    return run_of("seke")


@pytest.fixture
def scenes(run_of) -> Path:
    """Return what EmoVIT's commands have left."""
    return run_of("emovit")


# -- of both systems ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SYSTEMS)
def test_generate_writes_or_rejects_every_record(run_of, name: str) -> None:
    run = run_of(name) / "generate" / "demo"
    instructions = rows(run / "instructions.jsonl", InstructionRecord)
    assert len(instructions) + len(rows(run / "rejected.jsonl", Rejection)) == SYSTEMS[name].instructions
    assert all(row.conversations[0].value.startswith("<image>\n") for row in instructions)
    assert all("<image>" not in turn.value for row in instructions for turn in row.conversations[1:])


@pytest.mark.parametrize("name", SYSTEMS)
def test_train_writes_a_hugging_face_checkpoint(run_of, name: str) -> None:
    model = run_of(name) / "train" / "demo" / "model"
    assert {"config.json", "model.safetensors", "tokenizer_config.json"} <= {path.name for path in model.iterdir()}
    assert json.loads((model / "config.json").read_text())["architectures"] == [SYSTEMS[name].architecture]


@pytest.mark.parametrize("name", SYSTEMS)
def test_evaluate_scores_every_record_it_was_given(run_of, name: str) -> None:
    run = run_of(name) / "evaluate" / "demo"
    written = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    assert len(written) == 6 and {"id", "text", "truth", "status"} <= written[0].keys()
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["n"] == 6
    assert SYSTEMS[name].metrics <= set(metrics)
    assert "not comparable with the paper" in (run / "table.md").read_text().lower()


@pytest.mark.parametrize("name", SYSTEMS)
def test_report_is_one_page_that_says_what_is_simulated(run_of, name: str) -> None:
    page = (run_of(name) / "report" / "demo" / "index.html").read_text(encoding="utf-8")
    assert all(word in page for word in ("simulated", *SYSTEMS[name].page))
    assert "<script src" not in page


# -- EmoVIT ------------------------------------------------------------------------------------------------------------


def test_every_emotion_has_instructions_of_every_kind_and_each_teaches_it(scenes: Path) -> None:
    instructions = rows(scenes / "generate" / "demo" / "instructions.jsonl", InstructionRecord)
    records = {row.image: row for row in rows(scenes / "prepare" / "demo" / "train.jsonl", ImageRecord)}
    kinds = [(row.attributes["kind"], row.attributes["emotion"]) for row in instructions]
    assert {kind: sum(found == kind for found, _ in kinds) for kind, _ in kinds} == {
        "categorical": 16, "conversation": 8, "reasoning": 8,
    }  # fmt: skip
    assert len(set(kinds)) == 3 * 8
    for row in instructions:
        emotion = records[row.image].attributes["emotion"]
        assert row.attributes["emotion"] == emotion
        assert row.attributes["kind"] != "categorical" or row.conversations[1].value == f"Predict emotion: {emotion}"
        assert row.annotator == ("no model" if row.attributes["kind"] == "categorical" else "simulated-scene-annotator")


def test_the_tuned_scene_model_has_a_row_of_its_own_of_so_few_pictures(scenes: Path) -> None:
    table = (scenes / "evaluate" / "demo" / "table.md").read_text()
    assert "| demo † |" in table and "(paper)" not in table
    assert "6 images: not set beside the paper, which takes 10 or more." in table
    assert "training data of assets/instructblip_tiny not checked" in table
    manifest = json.loads((scenes / "train" / "demo" / "manifest.json").read_text())
    assert manifest["trained_on"] == [str((scenes / "generate" / "demo" / "instructions.jsonl").resolve())]
    assert manifest["rows"] == 32


def test_scenes_that_were_trained_on_are_refused_as_a_test(scenes: Path, cli) -> None:
    where = f"records={scenes / 'prepare' / 'demo' / 'train.jsonl'}"
    asked = ("benchmark=emoset", "model=instructblip_tiny", "model.path=demo", "name=seen")
    refused = cli("evaluate", f"paths.outputs={scenes}", where, *asked)
    assert refused.returncode == 2
    assert (
        refused.stderr.startswith("error: model.path=") and "it was trained on what it is tested on" in refused.stderr
    )


# -- SEKE --------------------------------------------------------------------------------------------------------------


def test_prepare_splits_by_subject_and_keeps_the_truth_apart(outputs: Path) -> None:
    prepared = outputs / "prepare" / "demo"
    splits = {name: rows(prepared / f"{name}.jsonl", ImageRecord) for name in ("train", "validation", "test")}
    assert all(row.split == name for name, records in splits.items() for row in records)
    subjects = [{row.subject for row in records if row.subject} for records in splits.values()]
    assert not subjects[0] & subjects[1] | subjects[0] & subjects[2] | subjects[1] & subjects[2]
    assert not any(row.labels.complete or "au_intensity" in row.attributes for row in splits["train"])
    truth = {row.id: row.labels for row in rows(prepared / "truth.jsonl", ImageRecord)}
    for row in splits["train"] + splits["test"]:
        assert truth[row.id].complete
        occurs = truth[row.id].model_copy(update={"au_intensity": None})  # of drawn faces only the truth knows it
        assert row.labels.completed_by(truth[row.id]) == occurs, "what a source tells is true"


def test_generate_completes_labels_and_changes_no_manual_one(outputs: Path) -> None:
    instructions = rows(outputs / "generate" / "demo" / "instructions.jsonl", InstructionRecord)
    records = {row.id: row for row in rows(outputs / "prepare" / "demo" / "train.jsonl", ImageRecord)}
    for row in instructions:
        assert row.labels.complete
        assert records[row.id].labels.completed_by(row.labels) == row.labels, "a manual label never changes"
        assert row.annotator.startswith("simulated")
        assert 2 <= row.samples <= 5 or records[row.id].labels.complete


def test_the_same_command_again_does_nothing(outputs: Path, cli) -> None:
    before = (outputs / "generate" / "demo" / "instructions.jsonl").stat().st_mtime_ns
    assert "finished" in succeed(cli("generate", f"paths.outputs={outputs}", "limit=40"))
    assert (outputs / "generate" / "demo" / "instructions.jsonl").stat().st_mtime_ns == before
    refused = cli("generate", f"paths.outputs={outputs}", "limit=41")
    assert refused.returncode == 2
    assert "limit=40 (now 41)" in refused.stderr


def test_a_sweep_over_n_gives_each_cell_its_run(outputs: Path, cli) -> None:
    succeed(cli("generate", "-m", f"paths.outputs={outputs}", "generator.max_samples=2,3", "limit=20", "name=sweep"))
    cells = sorted(path.name for path in (outputs / "generate").glob("sweep-*"))
    assert [cell.split(",")[0] for cell in cells] == ["sweep-generator.max_samples=2", "sweep-generator.max_samples=3"]
    mean = [json.loads((outputs / "generate" / cell / "cost.json").read_text())["mean_samples"] for cell in cells]
    assert mean[0] == 2 < mean[1] <= 3


def test_the_loop_runs_on_ones_own_pictures(tmp_path: Path, cli) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    shutil.copy(REAL_PHOTOGRAPH, pictures / "hopper.jpg")
    (pictures / "torn.jpg").write_bytes(REAL_PHOTOGRAPH.read_bytes()[:2000])
    (pictures / "labels.csv").write_text("image,subject,expression,AU12\nhopper.jpg,grace,happiness,1\n")
    here = (f"paths.outputs={tmp_path / 'outputs'}", "name=mine")
    succeed(cli("prepare", *here, "source=folder", f"source.root={pictures}", "source.test_share=0"))
    prepared = tmp_path / "outputs" / "prepare" / "mine"
    (record,) = [
        row for name in ("train", "validation", "test") for row in rows(prepared / f"{name}.jsonl", ImageRecord)
    ]
    assert record.labels.expression == "happiness"
    assert [row.id for row in rows(prepared / "rejected.jsonl", Rejection)]
    done = cli("generate", *here, f"records={prepared / (record.split + '.jsonl')}")
    assert "could not see 1 image" in done.stderr, "a simulated annotator that guesses says so"
    (instruction,) = rows(tmp_path / "outputs" / "generate" / "mine" / "instructions.jsonl", InstructionRecord)
    assert instruction.labels.expression == "happiness"
    assert "blind" in instruction.flags
    succeed(cli("train", *here, "data.path=mine", "trainer.max_steps=1"))
    where = f"records={prepared / (record.split + '.jsonl')}"
    refused = cli("evaluate", *here, where, "model.path=mine")
    assert refused.returncode == 2 and "it was trained on what it is tested on: 1 ids (hopper.jpg)" in refused.stderr
    succeed(cli("evaluate", *here, where, "model.path=mine", "allow_overlap=true"))
    succeed(cli("report", *here))
    assert (tmp_path / "outputs" / "report" / "mine" / "index.html").is_file()


@pytest.mark.parametrize(
    ("name", "arguments", "line"),
    [
        ("prepare", ["source=folder"], "error: source.root="),
        ("prepare", ["source=folder", "source.root=/no/such/folder"], "error: source.root=/no/such/folder: "),
        ("prepare", ["source=laser"], "error: source=laser: "),
        ("prepare", ["limit=-1"], "error: limit=-1: "),
        ("generate", ["records=nowhere"], "error: records=nowhere: "),
        ("generate", ["generator.max_samples=1"], "error: generator.max_samples=1: "),
        ("generate", ["generator.max_samples=-3"], "error: generator.max_samples=-3: "),
        ("generate", ["generator.max_sample=3"], "error: generator.max_sample=3: "),
        ("train", ["data.path=nowhere"], "error: data.path=nowhere: "),
        ("evaluate", ["records=nowhere"], "error: records=nowhere: "),
        ("evaluate", ["model.path=/no/such/model"], "error: model.path=/no/such/model: "),
        ("report", ["name=nothing-is-called-so"], "error: "),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_and_exit_code_2(outputs: Path, cli, name: str, arguments: list[str], line: str) -> None:
    done = cli(name, f"paths.outputs={outputs}", *(["name=new"] if name != "report" else []), *arguments)
    assert done.returncode == 2, done.stderr
    errors = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith(line)
    assert "Traceback" not in done.stderr


def test_a_corrupt_row_is_named(outputs: Path, tmp_path: Path, cli) -> None:
    good = (outputs / "prepare" / "demo" / "train.jsonl").read_text().splitlines()[:2]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join([good[0], good[1].replace('"valence":', '"valance":')]) + "\n")
    done = cli("generate", f"paths.outputs={outputs}", "name=corrupt", f"records={file}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: file={file}: line 2, field labels.valance")


def test_images_missing_or_truncated_are_rejected_and_counted(outputs: Path, tmp_path: Path, cli) -> None:
    records = rows(outputs / "prepare" / "demo" / "train.jsonl", ImageRecord)[:3]
    images = tmp_path / "images"
    source = outputs / "prepare" / "demo" / "images"
    for number, record in enumerate(records):
        (images / record.image).parent.mkdir(parents=True, exist_ok=True)
        data = (source / record.image).read_bytes()
        if number:
            (images / record.image).write_bytes(data if number == 1 else data[: len(data) // 2])
    file = tmp_path / "three.jsonl"
    lines = (outputs / "prepare" / "demo" / "train.jsonl").read_text().splitlines()[:3]
    file.write_text("\n".join(lines) + "\n")
    arguments = (f"paths.outputs={outputs}", f"paths.images={images}", "name=torn", f"records={file}")
    assert "2 rejected" in succeed(cli("generate", *arguments))
    rejected = {row.id for row in rows(outputs / "generate" / "torn" / "rejected.jsonl", Rejection)}
    assert rejected == {records[0].id, records[2].id}
