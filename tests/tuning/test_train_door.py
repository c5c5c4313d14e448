"""train.py as a user runs it: three steps of the shipped tiny base, the same command again, and mistakes."""

import json

import pytest
from PIL import Image

LIGHT = ["trainer.max_steps=3", "trainer.batch_size=2", "trainer.threads=1", "trainer.log_every=1"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    lines = []
    for k in range(8):
        Image.radial_gradient("L").rotate(45 * k).resize((96, 96)).save(folder / f"{k}.png")
        lines.append({"id": str(k), "image": f"{k}.png", "conversations": [
            {"from": "human", "value": "<image>\nWhat emotion is it?"},
            {"from": "gpt", "value": "The expression is fear."}]})  # fmt: skip
    lines.append({**lines[0], "id": "gone", "image": "gone.png"})
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "rows.jsonl"


def test_trains_saves_and_says_when_it_is_finished(door, rows, tmp_path):
    settings = [f"data.path={rows}", f"paths.outputs={tmp_path}", "name=x", *LIGHT]
    done = door("train", *settings)
    assert done.returncode == 0, done.stderr
    assert "8 rows, 1 rejected, 3 steps" in done.stdout
    run = tmp_path / "train" / "x"
    files = {path.name for path in (run / "model").iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "processor_config.json",
            "chat_template.jinja"} <= files  # fmt: skip
    assert json.loads((run / "rejected.jsonl").read_text())["id"] == "gone"
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["steps"] == 3 and manifest["inputs"]["data0"]
    header = (run / "logs" / "version_0" / "metrics.csv").read_text().splitlines()[0]
    assert "loss" in header
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr
    again = door("train", *settings)
    assert again.returncode == 0 and "is finished" in again.stdout
    other = door("train", *settings, "model.lr=1.0")
    assert other.returncode == 2 and other.stderr.startswith("error: name=x: ") and "model.lr" in other.stderr


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("data.path=nowhere", "error: data.path=nowhere: "),
        ("data.keep=aus", "error: data.keep=aus: "),
        ("ckpt=first", "error: ckpt=first: "),
        ("trainer=abacus", "abacus"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(door, tmp_path, rows, mistake, said):
    done = door("train", f"paths.outputs={tmp_path}", f"data.path={rows}", mistake)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and said in done.stderr


def test_weights_and_biases_logs_offline_without_a_key(door, rows, tmp_path):
    done = door("train", f"paths.outputs={tmp_path}", f"data.path={rows}", "name=w", "logger=wandb", *LIGHT)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "train" / "w" / "wandb").glob("offline-run-*/*.wandb"))
