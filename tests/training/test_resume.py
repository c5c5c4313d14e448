"""A resume against an undisturbed run: the same weights, byte for byte, and the same losses, wherever it was cut."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from lightning.pytorch.loggers import CSVLogger

from seke.core.errors import Paused
from seke.training.callbacks import best_checkpoint, checkpoints
from seke.training.callbacks.checkpoints import newest

from ..conftest import ROOT

KILLER = """
import os, runpy, signal, sys
import torch
from seke.training.callbacks import checkpoints
from seke.training.module import Sft

where, countdown = sys.argv.pop(1), [int(sys.argv.pop(1))]

def die(*_, **__):
    countdown[0] -= 1
    if countdown[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)

def before(function, blow):
    def wrapped(*arguments, **named):
        blow(*arguments)
        return function(*arguments, **named)
    return wrapped

def tear(checkpoint, file):
    torch_save(checkpoint, file)
    if hasattr(file, "name") and file.name.endswith("state"):
        size = file.tell()
        file.flush()
        if countdown[0] == 0:
            os.truncate(file.name, size // 2)
        die()

torch_save = torch.save
if where == "batch":
    Sft.training_step = before(Sft.training_step, die)
elif where == "state":
    torch.save = tear
elif where == "mark":
    checkpoints.write_mark = before(checkpoints.write_mark, die)
elif where == "prune":
    checkpoints.prune = before(checkpoints.prune, die)
sys.argv[0] = "train.py"
runpy.run_path("train.py", run_name="__main__")
"""


def losses(run):
    """The logged loss of every step; a step that was done twice must have the same loss."""
    logged = {}
    for file in sorted(run.glob("logs/version_*/metrics.csv")):
        for row in csv.DictReader(file.open()):
            if row.get("loss"):
                assert logged.setdefault(int(row["step"]), row["loss"]) == row["loss"]
    return logged


def settings(base, tmp_path, name, *more):
    return [
        f"model.path={base / 'model'}", f"data.path={base / 'rows.jsonl'}", f"paths.outputs={tmp_path}", f"name={name}",
        "trainer.batch_size=1", "trainer.accumulate=2", "trainer.max_epochs=2", "trainer.checkpoint_every=2",
        "trainer.log_every=1", "trainer.threads=1", *more,
    ]  # fmt: skip


@pytest.mark.slow
def test_kill_9_anywhere_changes_nothing(cli, tiny_base, tmp_path):
    given = settings(tiny_base, tmp_path, "cut")
    draw = random.Random(5)
    # In the midst of an accumulation window, of a checkpoint's file, of its completion; 20 batches are 10 steps.
    moments = [("batch", 2 * draw.randrange(2, 4) + 1), ("state", 1), (draw.choice(["mark", "prune"]), 0)]
    for where, count in moments:
        command = [sys.executable, "-c", KILLER, where, str(count), *given]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
    resumed = cli("train", *given)
    assert resumed.returncode == 0, resumed.stderr
    whole = cli("train", *settings(tiny_base, tmp_path, "whole"))
    assert whole.returncode == 0, whole.stderr
    one, other = (tmp_path / "train" / name for name in ("whole", "cut"))
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (one, other)]
    assert weights[0] == weights[1]
    # Of the step at whose checkpoint it was killed the logger may not have heard yet.
    assert len(losses(one)) == 10 and len(losses(other)) >= 9 and losses(other).items() <= losses(one).items()


@pytest.mark.parametrize("every", [1, 3])
def test_a_cut_before_any_batch_changes_nothing(sft, tmp_path, every):
    # Ten batches an epoch, two a step: in the midst of steps, at both ends of an epoch. Dropout draws at random.
    plan = {"batch_size": 1, "accumulate": 2, "checkpoint_every": every, "lora": {"r": 2, "alpha": 4, "dropout": 0.3}}
    sft.train(tmp_path / "whole", logger=CSVLogger(tmp_path / "whole", "logs"), log_every=1, **plan)
    for batch in [*random.Random(every).sample(range(1, 20), 5), 10]:
        where = tmp_path / f"cut{batch}"
        sft.stop_before(batch=batch)
        with pytest.raises(sft.PowerCut):
            sft.train(where, logger=CSVLogger(where, "logs"), log_every=1, **plan)
        sft.go_on()
        assert sft.train(where, logger=CSVLogger(where, "logs"), log_every=1, **plan)["steps"] == 10
        assert sft.weights(where) == sft.weights(tmp_path / "whole"), batch
        assert losses(where) == losses(tmp_path / "whole")


@pytest.mark.parametrize("every", [3, 5], ids=["mid-epoch", "end of an epoch"])
def test_workers_that_read_ahead_resume_at_the_right_batch(sft, tmp_path, every):
    plan = {"batch_size": 2, "checkpoint_every": every, "data": {"workers": 1}}
    sft.train(tmp_path / "whole", **plan)
    sft.stop_before(step=7)
    with pytest.raises(sft.PowerCut):
        sft.train(tmp_path / "cut", **plan)
    sft.go_on()
    sft.train(tmp_path / "cut", **plan)
    assert sft.weights(tmp_path / "cut") == sft.weights(tmp_path / "whole")


def test_packs_resume_in_the_midst_of_an_epoch_and_at_its_end(sft, tmp_path):
    plan = {"checkpoint_every": 1, "data": {"pack": True, "pack_tokens": 90}, "max_epochs": 3}
    steps = sft.train(tmp_path / "whole", **plan)["steps"]
    assert steps % 3 == 0 and steps // 2 % (steps // 3)
    for step in (2, steps // 3, steps // 2, steps - 1):
        sft.stop_before(step=step)
        with pytest.raises(sft.PowerCut):
            sft.train(tmp_path / f"cut{step}", **plan)
        sft.go_on()
        sft.train(tmp_path / f"cut{step}", **plan)
        assert sft.weights(tmp_path / f"cut{step}") == sft.weights(tmp_path / "whole")


@pytest.mark.parametrize("moment", ["torch.save", "write_mark", "prune"])
def test_a_cut_while_a_checkpoint_is_written_changes_nothing(sft, tmp_path, monkeypatch, capsys, moment):
    sft.train(tmp_path / "whole", checkpoint_every=2)
    function, calls = getattr(checkpoints, moment) if moment != "torch.save" else checkpoints.torch.save, []

    def cut(*arguments, **named):
        calls.append(1)
        if len(calls) == 3:
            raise sft.PowerCut
        return function(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.torch if moment == "torch.save" else checkpoints, moment.split(".")[-1], cut)
        with pytest.raises(sft.PowerCut):
            sft.train(tmp_path / "cut", checkpoint_every=2)
    capsys.readouterr()
    sft.train(tmp_path / "cut", checkpoint_every=2)
    assert ("was not written to its end" in capsys.readouterr().err) == (moment != "prune")
    assert sft.weights(tmp_path / "cut") == sft.weights(tmp_path / "whole")


def test_starting_again_forgets_the_old_checkpoints(sft, tmp_path, monkeypatch):
    sft.stop_before(step=8)
    with pytest.raises(sft.PowerCut):
        sft.train(tmp_path / "run", checkpoint_every=3)
    monkeypatch.setattr("seke.training.train.resumable", None)  # never asked
    sft.stop_before(step=4)
    with pytest.raises(sft.PowerCut):
        sft.train(tmp_path / "run", checkpoint_every=3, resume=False)
    path, _ = newest(tmp_path / "run" / "checkpoints")
    assert path.name == "step-00000003"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_schedulers_signal_saves_at_the_next_step_and_pauses(sft, tmp_path, number):
    plan = {"batch_size": 1, "accumulate": 2, "log_every": 1}
    sft.train(tmp_path / "whole", logger=CSVLogger(tmp_path / "whole", "logs"), **plan)
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]
    sft.tell(os.getpid(), number, batch=6)
    with pytest.raises(Paused, match="step 4"):
        sft.train(tmp_path / "cut", logger=CSVLogger(tmp_path / "cut", "logs"), **plan)
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)] == before
    path, broken = newest(tmp_path / "cut" / "checkpoints")
    assert path.name == "step-00000004" and not broken
    sft.go_on()
    sft.train(tmp_path / "cut", logger=CSVLogger(tmp_path / "cut", "logs"), **plan)
    assert sft.weights(tmp_path / "cut") == sft.weights(tmp_path / "whole")
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole") and len(losses(tmp_path / "whole")) == 10


def test_a_signal_in_the_last_step_lets_the_run_finish(sft, tmp_path):
    sft.tell(os.getpid(), signal.SIGTERM, batch=9)
    assert sft.train(tmp_path / "run")["steps"] == 10
    assert (tmp_path / "run" / "manifest.json").exists()


def watched(base):
    return {"validation": str(base / "watched.jsonl")}


@pytest.mark.parametrize("pause", [1, 3, 4, 6, 8])
def test_a_pause_owes_no_validation(sft, tiny_base, tmp_path, pause, monkeypatch):
    # Validation comes every 2 steps, and 5 steps are an epoch; the decision to stop early must be the same.
    seen = []
    take = best_checkpoint.BestCheckpoint.on_validation_end

    def noted(self, trainer, module):
        take(self, trainer, module)
        seen[-1].append((trainer.global_step, self.loss, self.waited))

    monkeypatch.setattr(best_checkpoint.BestCheckpoint, "on_validation_end", noted)
    plan = {"data": watched(tiny_base), "validate_every": 2, "patience": 2, "lr": 0.05}
    seen.append([])
    whole = sft.train(tmp_path / "whole", **plan)
    seen.append([])
    sft.tell(os.getpid(), signal.SIGTERM, batch=pause - 1)
    with pytest.raises(Paused, match=f"step {pause}"):
        sft.train(tmp_path / "cut", **plan)
    sft.go_on()
    cut = sft.train(tmp_path / "cut", **plan)
    assert seen[0] == seen[1] and len(seen[0]) >= 3
    assert cut["best"] == whole["best"] and cut["steps"] == whole["steps"]
    assert sft.weights(tmp_path / "cut") == sft.weights(tmp_path / "whole")


def test_a_validation_at_an_epochs_end_is_owed_too(sft, tiny_base, tmp_path):
    plan = {"data": watched(tiny_base), "max_epochs": 3}
    whole = sft.train(tmp_path / "whole", **plan)
    sft.tell(os.getpid(), signal.SIGTERM, batch=4)
    with pytest.raises(Paused, match="step 5"):
        sft.train(tmp_path / "cut", **plan)
    sft.go_on()
    assert sft.train(tmp_path / "cut", **plan)["best"] == whole["best"]
    assert sft.weights(tmp_path / "cut") == sft.weights(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["zero-2", "zero-3", "fsdp2"])
def test_split_checkpoints_resume_and_bring_the_best_weights_back(sft, tiny_base, tmp_path, way, monkeypatch):
    from seke.training.deepspeed_cpu import CPUDeepSpeedStrategy
    from seke.training.fully_sharded import FullyShardedStrategy

    take = best_checkpoint.BestCheckpoint.on_validation_end
    early = lambda self, trainer, module: take(self, trainer, module) if trainer.global_step < 5 else None  # noqa: E731
    monkeypatch.setattr(best_checkpoint.BestCheckpoint, "on_validation_end", early)

    def plan():
        zero = {"overlap_comm": False, "process_group_backend": "gloo", "logging_batch_size_per_gpu": 1}
        fsdp = way == "fsdp2"
        return {
            "strategy": FullyShardedStrategy() if fsdp else CPUDeepSpeedStrategy(stage=int(way[-1]), **zero),
            "data": watched(tiny_base),
            "validate_every": 2,
            "lr": 0.05,
            "checkpoint_every": 3,
        }

    whole = sft.train(tmp_path / "whole", **plan())
    sft.stop_before(step=7)
    with pytest.raises(sft.PowerCut):
        sft.train(tmp_path / "cut", **plan())
    state = newest(tmp_path / "cut" / "checkpoints")[0] / "state"
    assert state.is_dir()
    sft.go_on()
    assert sft.train(tmp_path / "cut", **plan())["best"] == whole["best"]
    assert sft.weights(tmp_path / "cut") == sft.weights(tmp_path / "whole")
    assert whole["best"]["step"] < whole["steps"]
    last = sft.train(tmp_path / "last", **plan(), keep_best=False)
    assert last["steps"] == whole["steps"] and sft.weights(tmp_path / "last") != sft.weights(tmp_path / "whole")


@pytest.mark.slow
def test_two_ranks_pause_together(tiny_base, tmp_path):
    given = [*settings(tiny_base, tmp_path, "two"), "trainer.devices=2", "trainer.strategy=ddp",
             "trainer.max_epochs=400", "trainer.checkpoint_every=100000", "trainer.log_every=100"]  # fmt: skip
    with subprocess.Popen([sys.executable, "train.py", *given], cwd=ROOT, text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:  # fmt: skip
        # Lightning's logger writes its first line only once steps are being done.
        while process.poll() is None and not list(tmp_path.glob("train/two/logs/version_*/metrics.csv")):
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 3, errors
    assert len([line for line in errors.splitlines() if line.startswith("paused: saved at step ")]) == 1
    path, broken = newest(tmp_path / "train" / "two" / "checkpoints")
    assert json.loads((path / "complete.json").read_text())["world"] == 2 and not broken
    assert {file.name for file in path.glob("random-*")} == {"random-0.pt", "random-1.pt"}
