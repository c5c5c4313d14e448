"""DeepSpeed and FSDP2 on real CPU processes, as a cluster runs them: losses against DDP's, validating after fit."""

import csv
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional as F

from seke.models.llava_ov import LlavaOv
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer
from seke.training.data.samplers import Batches
from seke.training.deepspeed_cpu import CPUDeepSpeedStrategy

from ..trees.tried import BUDGETS, FAMILIES, MADE, checkpoint

ROOT = Path(__file__).resolve().parents[2]
LIGHT = ["trainer.max_steps=4", "trainer.max_epochs=2", "trainer.batch_size=1", "trainer.accumulate=2",
         "trainer.threads=1", "trainer.log_every=1",
         "data.group_by_length=false", "model.trainable=full", "trainer.devices=2"]  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A random model and eight rows, half of them without a picture."""
    path = tmp_path_factory.mktemp("base")
    tokenizer = train_tokenizer(["What is it? A very grey face indeed."] * 3, 400)
    build_tiny(tokenizer, image=32, patch=8, vision_width=32, vision_layers=1, width=32, layers=1, heads=2,
               feed_forward=48).save(path / "model")  # fmt: skip
    Image.radial_gradient("L").resize((32, 32)).save(path / "face.png")
    rows = []
    for k in range(8):
        picture = {"image": "face.png"} if k % 2 else {}
        question = "<image>\nWhat is it?" if picture else "What is it?"
        rows.append({"id": str(k), **picture, "conversations": [
            {"from": "human", "value": question}, {"from": "gpt", "value": "very " * k + "grey face."}]})  # fmt: skip
    (path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def settings(base, outputs, name):
    return [f"model.path={base / 'model'}", f"data.path={base / 'rows.jsonl'}", f"paths.outputs={outputs}",
            f"name={name}", *LIGHT]  # fmt: skip


def losses(run, column="loss"):
    with (run / "logs" / "version_0" / "metrics.csv").open() as file:
        return [float(row[column]) for row in csv.DictReader(file) if row[column]]


@pytest.fixture(scope="module")
def ddp(cli, base, tmp_path_factory):
    """Losses, gradient norms and weights of DDP's run."""
    outputs = tmp_path_factory.mktemp("ddp")
    done = cli("train", *settings(base, outputs, "ddp"), "trainer.strategy=ddp")
    assert done.returncode == 0, done.stderr
    run = outputs / "train" / "ddp"
    return losses(run), losses(run, "grad_norm"), weights(run)


def weights(run):
    return weights_of(run / "model")


def weights_of(folder):
    return load_file(folder / "model.safetensors")


def test_the_rows_leave_one_of_two_ranks_without_a_picture():
    order = Batches(torch.ones(8).numpy(), torch.ones(8).numpy(), batch_size=1, group=False).order(0, world=2)
    assert any(drawn[0] % 2 != drawn[1] % 2 for drawn in order)


FSDP2 = ["trainer=fsdp2", "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.answered=0"]
WAYS = {
    **{str(stage): ["trainer=deepspeed_cpu", f"trainer.strategy.stage={stage}"] for stage in (1, 2, 3)},
    "3 and a fused loss": ["trainer=deepspeed_cpu", "trainer.strategy.stage=3", "trainer.fused_loss=torch"],
    "fsdp2": [*FSDP2, "trainer.activation_checkpointing=false"],
    "fsdp2 and a fused loss": [*FSDP2, "trainer.fused_loss=torch"],
}
"""How weights, gradients and moments are split; FSDP2 computes activations again unless told otherwise."""


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_losses_and_weights_of_two_ranks_against_ddp(cli, base, tmp_path, ddp, way):
    done = cli("train", *settings(base, tmp_path, "z"), *WAYS[way])
    assert done.returncode == 0, done.stderr
    curve, norms, reference = ddp
    assert len(curve) == 4 and losses(tmp_path / "train" / "z") == pytest.approx(curve, abs=1e-5)
    # AdamW hardly minds a gradient that is divided twice; clipping does, and so does this.
    assert losses(tmp_path / "train" / "z", "grad_norm") == pytest.approx(norms, rel=1e-3)
    found = weights(tmp_path / "train" / "z")
    assert found.keys() == reference.keys()
    # A key's bias shifts all of a query's scores alike: its gradient is nothing but rounding, which Adam magnifies.
    for name in [name for name in found if "k_proj.bias" not in name]:
        torch.testing.assert_close(found[name], reference[name], atol=1e-5, rtol=1e-5, msg=name)


@pytest.fixture(scope="module")
def of_family(cli, base, tmp_path_factory):
    """A function: two ranks' run of a family, trained in a way; one that was made is not made again."""

    @cache
    def train(option, *how):
        outputs = tmp_path_factory.mktemp("family")
        model = [f"model={option}", f"model.path={checkpoint(option)}", "model.dtype=float32", "model.lr=1e-3"]
        model += [f"model.{budget}=null" for budget in BUDGETS if budget in FAMILIES[option]]
        common = [f"data.path={base / 'rows.jsonl'}", f"paths.outputs={outputs}", "name=x", *LIGHT]
        done = cli("train", *model, *common, *how)
        assert done.returncode == 0, done.stderr
        return outputs / "train" / "x"

    return train


@pytest.mark.slow
@pytest.mark.parametrize("option", MADE)
@pytest.mark.parametrize("way", ["2", "3", "fsdp2"])
def test_two_ranks_of_each_family_against_ddp(of_family, option, way):
    ddp, other = of_family(option, "trainer.strategy=ddp"), of_family(option, *WAYS[way])
    assert len(losses(ddp)) == 4 and losses(other) == pytest.approx(losses(ddp), abs=1e-5)
    assert losses(other, "grad_norm") == pytest.approx(losses(ddp, "grad_norm"), rel=1e-3)
    reference, found = weights(ddp), weights(other)
    assert found.keys() == reference.keys() == weights_of(checkpoint(option)).keys()
    for name in [name for name in found if not name.endswith(("k_proj.bias", "qkv.bias", "k_norm.weight"))]:
        torch.testing.assert_close(found[name], reference[name], atol=1e-4, rtol=1e-4, msg=name)


@pytest.mark.slow
def test_torchrun_starts_the_ranks_as_lightning_does(base, tmp_path, ddp):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "train.py",
               *settings(base, tmp_path, "t"), "trainer=deepspeed_cpu", "trainer.strategy.stage=3"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path / "train" / "t") == pytest.approx(ddp[0], abs=1e-5)


class Plain(pl.LightningModule):
    """The least that trains and validates on one picture."""

    def __init__(self, loaded):
        super().__init__()
        self.loaded, self.model = loaded, loaded.model

    def loss(self):
        whole_and_tile = torch.ones(2, 3, 32, 32, dtype=self.model.dtype)
        features = self.loaded.features(self.loaded.see(whole_and_tile), [2], [(32, 32)])
        ids = torch.tensor(self.loaded.prompts([[("user", "What is it?", ((32, 32),))]]))
        return F.cross_entropy(self.loaded.logits(ids, None, features)[0, :-1].float(), ids[0, 1:])

    def training_step(self, *_):
        return self.loss()

    def validation_step(self, *_):
        self.log("seen", self.loss(), batch_size=1)

    def configure_optimizers(self):
        return torch.optim.AdamW([p for p in self.model.parameters() if p.requires_grad], lr=1e-3, fused=True)

    def train_dataloader(self):
        return [0, 1]

    val_dataloader = train_dataloader


def trained(base, tmp_path, dtype="float32", precision="32-true", **strategy):
    model = LlavaOv(str(base / "model"), dtype=dtype)
    loaded = model.load()
    model.train(loaded)
    strategy = CPUDeepSpeedStrategy(
        overlap_comm=False, process_group_backend="gloo", logging_batch_size_per_gpu=1, **strategy
    )
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, strategy=strategy, precision=precision, max_epochs=1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, check_val_every_n_epoch=2,
        default_root_dir=tmp_path,
    )  # fmt: skip
    module = Plain(loaded)
    trainer.fit(module)
    return trainer, module


@pytest.mark.slow
@pytest.mark.parametrize("stage", [2, 3])
def test_a_model_can_be_validated_after_fit(base, tmp_path, stage):
    # Lightning strips the hooks by which transformers collects the tower's hidden states.
    trainer, module = trained(base, tmp_path, stage=stage)
    [seen] = trainer.validate(module, verbose=False)
    [again] = trainer.validate(module, verbose=False)
    assert 0 < seen["seen"] == again["seen"] < 20


@pytest.mark.slow
def test_rotary_frequencies_stay_float32_where_weights_are_bfloat16(base, tmp_path):
    _, module = trained(base, tmp_path, dtype="bfloat16", precision="bf16-mixed", stage=2)
    assert {parameter.dtype for parameter in module.parameters()} == {torch.bfloat16}
    frequencies = [buffer for name, buffer in module.named_buffers() if "inv_freq" in name]
    assert frequencies and {buffer.dtype for buffer in frequencies} == {torch.float32}


@pytest.mark.slow
@pytest.mark.parametrize("stage", [2, 3])
def test_offloaded_states_change_nothing(base, tmp_path, stage):
    _, here = trained(base, tmp_path, stage=stage)
    _, away = trained(base, tmp_path, stage=stage, offload_optimizer=True, offload_parameters=stage == 3)
    for one, other in zip(here.parameters(), away.parameters(), strict=True):
        shard = getattr(one, "ds_tensor", one), getattr(other, "ds_tensor", other)
        torch.testing.assert_close(*shard, atol=1e-6, rtol=1e-6)
