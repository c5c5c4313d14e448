"""A whole SFT run in a second: a random model on disk, ten rows, and a way to cut the power."""

import json
import os
import sys

import pytest
from PIL import Image

from seke.core.runs import Run
from seke.models.llava_ov import LlavaOv
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer
from seke.training.data.mixture import Data
from seke.training.module import Sft
from seke.training.settings import Training
from seke.training.train import fit


class PowerCut(BaseException):
    """Ends a run where it stands, like kill -9, but leaves the test alive."""


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    """A folder with a random model and ten rows whose answers differ in length."""
    path = tmp_path_factory.mktemp("base")
    tokenizer = train_tokenizer(["What is it? A very grey face indeed."] * 3, 400)
    build_tiny(tokenizer, image=32, patch=8, vision_width=32, vision_layers=1, width=32, layers=1, heads=2,
               feed_forward=48).save(path / "model")  # fmt: skip
    rows = []
    for k in range(10):
        Image.new("L", (32, 32), 25 * k).save(path / f"{k}.png")
        answer = " ".join(["A", *["very"] * k, "grey face."])
        rows.append({"id": f"row{k}", "image": f"{k}.png", "conversations": [
            {"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": answer}]})  # fmt: skip
    (path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "watched.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[7:]))
    return path


class Runs:
    """Trains the tiny base; knows how to fail."""

    PowerCut = PowerCut

    def __init__(self, base, monkeypatch):
        self.base, self.monkeypatch, self.step = base, monkeypatch, Sft.training_step

    def train(
        self, where, trainable=("projector", "llm"), lr=1e-3, lora=None, data=None, logger=False, resume=True,
        **training,
    ):  # fmt: skip
        settings = {"batch_size": 2, "max_epochs": 2, "clip": 0.0, **training}
        where.mkdir(exist_ok=True)
        model = LlavaOv(str(self.base / "model"), trainable=list(trainable), lr=lr, lora=lora)
        data = Data(**{"path": str(self.base / "rows.jsonl"), **(data or {})})
        sources, watched = data.sources(where), data.watched(where)
        return fit(Run(where, {}, {}), model, data, Training(**settings), logger, sources, watched, resume=resume)

    def weights(self, where):
        return (where / "model" / "model.safetensors").read_bytes()

    def stop_before(self, step=None, batch=None, how=PowerCut):
        """Cut the power before a global step, or before the so many-th batch of a process."""
        seen, original = [], self.step

        def cut(module, given, number):
            seen.append(number)
            if module.trainer.global_step == step or len(seen) - 1 == batch:
                raise how
            return original(module, given, number)

        self.monkeypatch.setattr(Sft, "training_step", cut)

    def tell(self, process, number, batch):
        """Send a signal before the so many-th batch."""
        seen, original = [], self.step

        def told(module, given, position):
            seen.append(position)
            if len(seen) - 1 == batch:
                os.kill(process, number)
            return original(module, given, position)

        self.monkeypatch.setattr(Sft, "training_step", told)

    def go_on(self):
        self.monkeypatch.setattr(Sft, "training_step", self.step)


@pytest.fixture
def sft(tiny_base, monkeypatch):
    return Runs(tiny_base, monkeypatch)


@pytest.fixture(autouse=True)
def _no_dashboard_is_left_open():
    """A W&B run that one test leaves open would be written to by the next."""
    yield
    if "wandb" in sys.modules:
        sys.modules["wandb"].finish()
