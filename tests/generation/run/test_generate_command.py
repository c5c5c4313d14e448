"""`python generate.py` as a user runs it."""

import json

import pytest
from PIL import Image as Pictures

from seke.core import images
from seke.core.records import ImageRecord, InstructionRecord, Labels, read_jsonl, write_jsonl


@pytest.fixture
def outputs(data, tmp_path):
    """Return an outputs folder of its own that holds the prepared records `tiny`."""
    (tmp_path / "prepare").mkdir()
    (tmp_path / "prepare" / "tiny").symlink_to(data.folder)
    return tmp_path


def test_from_records_to_instructions_and_once_more(cli, data, outputs):
    arguments = ("records=tiny", "name=it", f"paths.outputs={outputs}")
    first = cli("generate", *arguments)
    assert first.returncode == 0, first.stderr
    folder = outputs / "generate" / "it"
    rows = list(read_jsonl(folder / "instructions.jsonl", InstructionRecord))
    assert [row.id for row in rows] == [row.id for row in data.records]
    assert {row.annotator for row in rows} == {"simulated-annotator"}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["counts"] == {"records": 40, "instructions": 40, "rejected": 0}
    assert set(manifest["prompts"]) >= {"system", "draw", "summary", "questions"}
    for row in rows:
        assert (folder / manifest["image_root"] / row.image).is_file()
    second = cli("generate", *arguments)
    assert second.returncode == 0
    assert "finished" in second.stdout
    other = cli("generate", *arguments, "generator.max_samples=3")
    assert other.returncode == 2
    assert "overwrite=true" in other.stderr


def test_a_sweep_gives_each_cell_a_directory(cli, outputs):
    done = cli("generate", "-m", "records=tiny", "limit=6", f"paths.outputs={outputs}", "generator.max_samples=2,3,5")
    assert done.returncode == 0, done.stderr
    costs = {
        path.parent.name: json.loads(path.read_text())["mean_samples"]
        for path in (outputs / "generate").glob("*/cost.json")
    }
    assert len(costs) == 3
    assert min(costs.values()) == 2 == next(value for name, value in costs.items() if "max_samples=2" in name)


def test_images_that_the_simulated_annotator_cannot_see_are_named(cli, tmp_path):
    Pictures.new("RGB", (9, 9), (1, 2, 3)).save(tmp_path / "own.png")
    row = ImageRecord(
        id="own", image="own.png", sha256=images.sha256((tmp_path / "own.png").read_bytes()), source="mine",
        subject=None, split="train", labels=Labels(expression="happiness"),
    )  # fmt: skip
    write_jsonl(tmp_path / "own.jsonl", [row])
    done = cli("generate", f"records={tmp_path / 'own.jsonl'}", f"paths.outputs={tmp_path / 'outputs'}")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning: ") == 1
    (written,) = read_jsonl(tmp_path / "outputs" / "generate" / "demo" / "instructions.jsonl", InstructionRecord)
    assert "blind" in written.flags
    assert written.labels.expression == "happiness"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("records=nowhere", "error: records=nowhere: "),
        ("generator.max_samples=1", "error: generator.max_samples=1: "),
        ("generator.hide=[mood]", "error: generator.hide=mood: "),
        ("stopping=never", "error: stopping=never: "),
        ("limit=0", "error: limit=0: "),
    ],
)
def test_mistakes_end_with_one_line(cli, outputs, argument, message):
    done = cli("generate", "records=tiny", f"paths.outputs={outputs}", argument)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
    assert not (outputs / "generate").exists()


def test_a_broken_row_names_file_line_and_field(cli, outputs, tmp_path):
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"id": "a", "image": 3}\n')
    done = cli("generate", f"records={broken}", f"paths.outputs={outputs}")
    assert done.returncode == 2
    assert "broken.jsonl" in done.stderr
    assert "line 1, field image" in done.stderr


def test_where_every_record_is_rejected_the_commonest_reason_is_one_line_and_exit_code_2(cli, data, outputs, tmp_path):
    arguments = ("records=tiny", "name=none", f"paths.outputs={outputs}", f"paths.images={tmp_path}", "limit=6")
    for _ in range(2):
        done = cli("generate", *arguments)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("error: records=tiny: no record became an instruction (6 of 6 image, such as ")
        assert not done.stdout
    assert len((outputs / "generate" / "none" / "rejected.jsonl").read_text().splitlines()) == 6
    assert not (outputs / "generate" / "none" / "manifest.json").exists()
