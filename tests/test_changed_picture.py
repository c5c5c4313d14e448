"""One face is copied over another after prepare.py: every command rejects it, counts it and tells of it."""

import json
import shutil

import pytest

from seke.core.records import ImageRecord, read_jsonl

TELLS = "changed after it was prepared"


@pytest.fixture(scope="module")
def outputs(cli, tmp_path_factory):
    """Where a prepare run p and a generate run g of it are, of whose pictures two were changed afterwards."""
    root = tmp_path_factory.mktemp("outputs")
    for name, *settings in (("prepare", "name=p", "source.images=60", "source.size=48"), ("generate", "name=g")):
        done = cli(name, f"paths.outputs={root}", *settings, *(["records=p"] if name == "generate" else []))
        assert done.returncode == 0, done.stderr
    for split in ("train", "test"):
        changed, other = changed_and_other(root, split)
        shutil.copy(root / "prepare" / "p" / "images" / other.image, root / "prepare" / "p" / "images" / changed.image)
    return root


def changed_and_other(outputs, split):
    return list(read_jsonl(outputs / "prepare" / "p" / f"{split}.jsonl", ImageRecord))[:2]


def only_row(file):
    [line] = file.read_text().splitlines()
    return json.loads(line)


def test_generate_rejects_it(cli, outputs):
    done = cli("generate", f"paths.outputs={outputs}", "name=later", "records=p")
    assert done.returncode == 0 and ", 1 rejected" in done.stdout, done.stderr
    row = only_row(outputs / "generate" / "later" / "rejected.jsonl")
    assert (row["id"], row["reason"]) == (changed_and_other(outputs, "train")[0].id, "image") and TELLS in row["detail"]


def test_train_rejects_it(cli, outputs):
    few = ["trainer.max_steps=1", "trainer.batch_size=2", "trainer.threads=1"]
    done = cli("train", f"paths.outputs={outputs}", "name=t", "data.path=g", *few)
    assert done.returncode == 0 and "rejected: 1 image" in done.stdout + done.stderr, done.stderr
    row = only_row(outputs / "train" / "t" / "rejected.jsonl")
    assert (row["id"], row["reason"]) == (changed_and_other(outputs, "train")[0].id, "image") and TELLS in row["detail"]


def test_evaluate_scores_it_as_unanswered(cli, outputs):
    done = cli("evaluate", f"paths.outputs={outputs}", "name=e", "backend=simulated", "records=p")
    assert done.returncode == 0, done.stderr
    name = changed_and_other(outputs, "test")[0].id
    assert f"records are scored as unanswered, such as {name}: " in done.stderr and TELLS in done.stderr
    rows = map(json.loads, (outputs / "evaluate" / "e" / "predictions.jsonl").read_text().splitlines())
    assert [row["id"] for row in rows if row["status"] == "unanswered"] == [name]


def test_report_shows_why_there_is_no_picture(cli, outputs):
    done = cli("report", f"paths.outputs={outputs}", "name=r", "runs=*/g", "gallery.run=g")
    assert done.returncode == 0, done.stderr
    page = (outputs / "report" / "r" / "index.html").read_text()
    assert f"{changed_and_other(outputs, 'train')[0].image} {TELLS}" in page


@pytest.mark.parametrize("command", ["prepare", "generate"])
def test_an_export_refuses_it(cli, outputs, command):
    run = {"prepare": ["name=p", "source.images=60", "source.size=48"], "generate": ["name=g", "records=p"]}[command]
    done = cli(command, f"paths.outputs={outputs}", *run, "export=parquet", "embed_images=true")
    assert done.returncode == 2 and done.stderr.startswith("error: embed_images=true: ") and TELLS in done.stderr
