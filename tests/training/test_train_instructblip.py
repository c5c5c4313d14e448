"""InstructBLIP as a user tunes it: train.py, what changed and what did not, and evaluate.py with the outcome."""

import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import InstructBlipForConditionalGeneration, InstructBlipProcessor

from seke.core.runs import Run
from seke.models.instructblip import InstructBlip, Loaded
from seke.training.data.mixture import Data
from seke.training.data.samplers import EMPTY, collate
from seke.training.module import Sft
from seke.training.settings import Training
from seke.training.train import fit

from ..conftest import ROOT

ASSET = ROOT / "assets" / "instructblip_tiny"
LIGHT = ["trainer.max_steps=3", "trainer.batch_size=2", "trainer.threads=1", "trainer.log_every=1"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    lines = []
    for k in range(8):
        Image.radial_gradient("L").rotate(45 * k).resize((96 + k, 96)).save(folder / f"{k}.png")
        lines.append({"id": str(k), "image": f"{k}.png", "conversations": [
            {"from": "human", "value": "<image>\nWhat emotion is it?"}, {"from": "gpt", "value": "It is awe."},
            {"from": "human", "value": "Why?"}, {"from": "gpt", "value": "It shines."}]})  # fmt: skip
    lines.append({"id": "text", "conversations": lines[0]["conversations"][2:]})
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "rows.jsonl"


@pytest.fixture(scope="module")
def trained(cli, rows, tmp_path_factory):
    """The outputs folder of a run of three steps."""
    outputs = tmp_path_factory.mktemp("outputs")
    done = cli(
        "train", "model=instructblip_tiny", f"data.path={rows}", f"paths.outputs={outputs}", "name=x", *LIGHT,
        "data.cache=disk",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "9 rows, 0 rejected, 3 steps" in done.stdout
    return outputs


def test_training_changes_the_qformer_the_queries_and_the_projection_alone(trained):
    before = load_file(ASSET / "model.safetensors")
    after = load_file(trained / "train" / "x" / "model" / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] for name in changed} == {"qformer", "query_tokens", "language_projection"}


def test_what_was_trained_loads_with_plain_transformers(trained):
    path = trained / "train" / "x" / "model"
    model = InstructBlipForConditionalGeneration.from_pretrained(path)
    given = InstructBlipProcessor.from_pretrained(path)(
        images=Image.new("RGB", (50, 50)), text="What emotion is it?", return_tensors="pt"
    )
    assert model.generate(**given, max_new_tokens=3, do_sample=False).shape[1] <= given["input_ids"].shape[1] + 3


def test_a_later_run_finds_the_states_on_disk(rows, trained, tmp_path, monkeypatch):
    entries = sorted((trained / "cache").rglob("*.safetensors"))
    assert len(entries) == 8

    def run(cache):
        model = InstructBlip(str(ASSET), lr=1e-3)
        data = Data(path=str(rows), cache=cache, cache_dir=str(trained / "cache"))
        (tmp_path / cache).mkdir()
        training = Training(batch_size=2, max_steps=3)
        fit(Run(tmp_path / cache, {}, {}), model, data, training, False, data.sources(tmp_path))
        return load_file(tmp_path / cache / "model" / "model.safetensors")

    states = run("states")
    monkeypatch.setattr(Loaded, "see", lambda *_: pytest.fail("the tower was asked"))
    disk = run("disk")
    assert sorted((trained / "cache").rglob("*.safetensors")) == entries
    assert all(torch.equal(disk[name], states[name]) for name in states)


@pytest.mark.slow
def test_the_benchmark_asks_what_was_trained(cli, trained):
    here = [f"paths.outputs={trained}", "name=x"]
    done = cli("prepare", *here, "source.images=40", "source.workers=1")
    assert done.returncode == 0, done.stderr
    done = cli(
        "evaluate", *here, "records=x", "model=instructblip_tiny", "model.path=x", "limit=2", "backend.threads=1",
        "backend.max_new_tokens=8", "benchmark.question=What emotion is it?",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in (trained / "evaluate" / "x" / "predictions.jsonl").read_text().splitlines()]
    assert len(said) == 2 and all(line["text"] for line in said)


@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("ln_vision", [False, True])
def test_a_batch_without_images_touches_every_trained_part(states, ln_vision):
    model = InstructBlip(str(ASSET), ln_vision=ln_vision)
    loaded = model.load()
    module = Sft(loaded, model.train(loaded), states=states)
    loss = module.loss_sum(collate([(EMPTY, [])], pad=1, step_tokens=9))
    loss.backward()
    free = [parameter for parameter in loaded.model.parameters() if parameter.requires_grad]
    assert loss.item() == 0
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in free)


def test_frozen_parts_stay_in_evaluation_mode_when_the_module_is_set_to_training():
    model = InstructBlip(str(ASSET))
    loaded = model.load()
    module = Sft(loaded, model.train(loaded))
    module.eval()
    module.train()
    training = {name.split(".")[0] for name, inner in loaded.model.named_modules() if inner.training}
    assert training == {"qformer"}


def test_as_many_steps_are_taken_of_few_rows_as_of_many(rows, tmp_path):
    def steps(share):
        data = Data(path=str(rows), share=share)
        (tmp_path / str(share)).mkdir()
        training = Training(batch_size=2, max_steps=7, max_epochs=7)
        model = InstructBlip(str(ASSET), lr=1e-3)
        facts = fit(Run(tmp_path / str(share), {}, {}), model, data, training, False, data.sources(tmp_path))
        return facts["rows"], facts["steps"]

    assert (steps(0.25), steps(1.0)) == ((2, 7), (9, 7))
