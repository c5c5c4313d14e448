"""What is logged of a training: exact sums over windows, ranks and padding; where it goes; what a bar says."""

import csv

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from seke.models.llava_ov import LlavaOv
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer
from seke.training.callbacks import progress_bar
from seke.training.callbacks.progress_bar import StepProgress
from seke.training.callbacks.throughput import DataWait, Device, Sums, Throughput, Window, window_metrics
from seke.training.data import flops
from seke.training.data.dataset import Sample
from seke.training.data.pictures import Vision
from seke.training.data.samplers import collate
from seke.training.loggers import wandb
from seke.training.module import Sft

LENGTHS = (12, 7, 9, 20)
"""Tokens of the samples: rows of two are padded to 12 and to 20."""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("base")
    build_tiny(train_tokenizer(["What is it?"], 300), image=32, patch=8, vision_width=32, vision_layers=1, width=32,
               layers=1, heads=2, feed_forward=48).save(path)  # fmt: skip
    return path


def batches(pad, accumulate=1):
    """Two batches of two samples; a sample has half of its tokens supervised and no image, but for the first."""
    samples = []
    for k, length in enumerate(LENGTHS):
        ids = [20 + k] * length
        samples.append((Sample(str(k), ids, [j >= length // 2 for j in range(length)], ()), []))
    pairs = [samples[:2], samples[2:]]
    tokens = [sum(sample.tokens for sample, _ in pair) for pair in pairs]
    totals = tokens if accumulate == 1 else [sum(tokens)] * 2
    return [collate(pair, pad, total) for pair, total in zip(pairs, totals, strict=True)]


def with_image(loaded, pad):
    image = loaded.model.config.image_token_index
    tokens = loaded.image_tokens((32, 32))
    ids = [image] * tokens + [20] * 5
    sample = Sample("image", ids, [False] * tokens + [True] * 5, (0,))
    return collate([(sample, [Vision(torch.randn(loaded.crops((32, 32)), 3, 32, 32), (32, 32))])], pad, sample.tokens)


def train(base, where, every=1, accumulate=1, made=batches, more=(), clip=1.0):
    """Train two batches; return what each window logged, and the module."""
    torch.manual_seed(0)
    model = LlavaOv(str(base), lr=1e-3, lr_of={"vision_tower": 1e-4})
    loaded = model.load()
    module = Sft(loaded, model.train(loaded))
    pace = Throughput()
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, max_epochs=1, logger=CSVLogger(where, "logs"),
        callbacks=[pace, *more], enable_checkpointing=False, enable_model_summary=False, log_every_n_steps=every,
        gradient_clip_val=clip,
        accumulate_grad_batches=accumulate, enable_progress_bar=bool(more), use_distributed_sampler=False,
    )  # fmt: skip
    data = made(loaded.processor.tokenizer.pad_token_id)
    trainer.fit(module, DataLoader(data, batch_size=None))
    with (where / "logs" / "version_0" / "metrics.csv").open() as file:
        rows = [{name: float(v) for name, v in row.items() if v} for row in csv.DictReader(file)]
    return [row for row in rows if "tokens_per_s" in row], module


def test_a_window_is_logged_with_everything_that_is_known(base, tmp_path):
    first, second = train(base, tmp_path)[0]
    assert {"loss", "grad_norm", "lr_language_model", "lr_projector", "lr_vision_tower", "tokens_per_s",
            "samples_per_s", "crops_per_s", "tflops_vision", "tflops_language", "memory_gib", "padding",
            "data_wait"} <= set(first)  # fmt: skip
    assert "mfu" not in first, "no peak is known of a CPU"
    assert first["lr_vision_tower"] == pytest.approx(first["lr_language_model"] / 10)
    assert first["padding"] == pytest.approx(5 / 24) and second["padding"] == pytest.approx(11 / 40)
    assert 0 <= first["data_wait"] < 1 and first["memory_gib"] > 0


def test_the_loss_is_the_mean_over_all_supervised_tokens_of_a_window(base, tmp_path):
    apart, _ = train(base, tmp_path / "apart", accumulate=1, every=1)
    (together,), _ = train(base, tmp_path / "one", accumulate=2, every=1, made=lambda pad: batches(pad, 2))
    tokens = [sum(length - length // 2 for length in LENGTHS[:2]), sum(length - length // 2 for length in LENGTHS[2:])]
    model = LlavaOv(str(base)).load()
    fresh = Sft(model, [])
    pad = model.processor.tokenizer.pad_token_id
    sums = [fresh.loss_sum(batch).item() for batch in batches(pad)]
    assert apart[0]["loss"] == pytest.approx(sums[0] / tokens[0], rel=1e-5)
    assert together["loss"] == pytest.approx(sum(sums) / sum(tokens), rel=1e-5)


def test_the_gradient_norm_is_that_before_clipping(base, tmp_path):
    clipped, _ = train(base, tmp_path / "clipped", clip=1e-4)
    free, _ = train(base, tmp_path / "free", clip=0.0)
    assert clipped[0]["grad_norm"] == pytest.approx(free[0]["grad_norm"], rel=1e-5) and free[0]["grad_norm"] > 1e-2


def test_the_last_window_is_logged_even_if_it_is_short(base, tmp_path):
    (row,), _ = train(base, tmp_path, every=10)
    assert row["step"] == 2 and row["padding"] == pytest.approx(16 / 64)


def test_an_image_costs_flops_of_the_vision_side(base, tmp_path):
    model = LlavaOv(str(base)).load()
    rows, _ = train(base, tmp_path, made=lambda pad: [with_image(model, pad), *batches(pad)[:1]])
    assert rows[0]["tflops_vision"] > 0 and rows[0]["crops_per_s"] > 0
    assert rows[1]["tflops_vision"] == 0 and rows[1]["tflops_language"] > 0


def test_a_packs_work_is_that_of_its_segments_and_nothing_is_padding(base):
    window = Window()
    pack = {"ids": torch.zeros(1, 9), "lengths": [4, 5], "targets": torch.zeros(3), "counts": [2], "sizes": [(40, 60)],
            "contexts": [()], "samples": 2}  # fmt: skip
    window.add(pack, torch.tensor(6.0), pad=0, loaded=LlavaOv(str(base)).load())
    sums = window.sums(waited=1.0)
    assert sums.work == flops.work(2, [4, 5], 3) and sums.computed == sums.work.tokens == 9
    assert (sums.loss, sums.samples, sums.waited) == (6.0, 2, 1.0)


DEVICE = Device((flops.Product("language_model", "tokens", 10.0), flops.Product("projector", "crops", 5.0)),
                frozenset({"language_model"}), frozenset({"language_model"}), 100.0)  # fmt: skip


def test_mfu_is_of_one_device_and_waiting_is_part_of_the_time():
    # Two ranks, each busy for 3 seconds and waiting for 1; the language model trained, the projector before it not.
    sums = Sums(loss=6.0, busy=6.0, waited=2.0, computed=50, samples=8,
                work=flops.Work(crops=4, tokens=40, supervised=3))  # fmt: skip
    found = window_metrics(sums, 2, DEVICE)
    assert found["tokens_per_s"] == 10 and found["samples_per_s"] == 2 and found["loss"] == 2.0
    assert found["data_wait"] == 0.25 and found["padding"] == pytest.approx(0.2)
    assert found["mfu"] == pytest.approx((40 * 10 * 3 + 4 * 5) / 4 / 2 / 100)
    assert "mfu" not in window_metrics(sums, 2, DEVICE._replace(peak=None))


def test_a_window_without_supervision_has_no_loss():
    sums = Sums(loss=0.0, busy=1.0, waited=0.0, computed=8, samples=1, work=flops.Work(tokens=8))
    assert "loss" not in window_metrics(sums, 1, DEVICE)


def test_only_the_fetching_of_training_batches_counts_as_waiting():
    waiting = DataWait()
    for action in ("[_TrainingEpochLoop].train_dataloader_next", "[Strategy]SingleDeviceStrategy.training_step"):
        waiting.start(action)
        waiting.stop(action)
        if action.endswith("next"):
            waited = waiting.seconds
    assert 0 < waited == waiting.seconds


def test_where_there_is_no_terminal_the_bar_is_plain_lines(base, tmp_path, capfd):
    train(base, tmp_path, more=[StepProgress()])
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("train: ")]
    assert len(lines) == 1 and lines[0].startswith("train: step 2 of 2, loss ")
    assert all(character.isprintable() for character in lines[0])


def test_the_time_left_is_reckoned_from_where_a_resumed_run_began():
    assert progress_bar.left(done=30, total=100, first=10, seconds=60.0) == "0:03:30 left"


def test_weights_and_biases_gets_the_resolved_settings_and_no_secret(tmp_path, monkeypatch):
    secrets = {"WANDB_API_KEY": "0123456789abcdef" * 2 + "01234567", "OPENAI_API_KEY": "sk-not-for-any-file"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = tmp_path / "lr=2"
    run.mkdir()
    (run / "config.yaml").write_text("config:\n  model:\n    lr: 0.125\ninputs: {}\n")
    logger = wandb(str(run), project="seke", group="sweep")
    logger.log_metrics({"loss": 1.0}, step=1)
    assert logger.experiment.name == "lr=2" and logger.experiment.group == "sweep"
    assert logger.experiment.config["model"] == {"lr": 0.125}
    logger.experiment.finish()
    files = [path for path in run.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    assert not [path for path in files for value in secrets.values() if value.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("key", "mode", "offline"),
    [(None, None, True), ("k", None, False), ("k", "offline", True), (None, "online", False)],
)
def test_weights_and_biases_is_online_with_a_key_and_offline_without(tmp_path, monkeypatch, key, mode, offline):
    for name, value in {"WANDB_API_KEY": key, "WANDB_MODE": mode}.items():
        monkeypatch.delenv(name, raising=False)
        if value:
            monkeypatch.setenv(name, value)
    assert wandb(str(tmp_path), project="seke")._offline is offline
