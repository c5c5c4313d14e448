"""Trainings that cannot go on: a loss that is no number, too little memory, images that do not fit their tokens."""

import signal

import pytest
import torch

from seke.core.errors import UserError
from seke.training.callbacks.best_checkpoint import BestCheckpoint
from seke.training.callbacks.checkpoints import newest
from seke.training.callbacks.fault_guard import FaultGuard, MemoryBound, explained
from seke.training.module import Sft

BOUND = MemoryBound("trainer.batch_size", 2, "lower it")


def spoil(monkeypatch, name, value=float("nan")):
    """Let the loss of every batch with this record be `value`; return the batches seen."""
    batches, loss_sum = [], Sft.loss_sum

    def spoilt(module, batch):
        batches.append(batch["names"])
        return loss_sum(module, batch) * (value if name in batch["names"] else 1.0)

    monkeypatch.setattr(Sft, "loss_sum", spoilt)
    return batches


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_and_names_the_records(sft, tmp_path, monkeypatch, value):
    batches = spoil(monkeypatch, "row4", value)
    with pytest.raises(UserError) as stop:
        sft.train(tmp_path / "run", batch_size=2, checkpoint_every=1)
    guilty = next(names for names in batches if "row4" in names)
    step = batches.index(guilty) + 1
    assert str(stop.value).startswith(f"loss={value}: at step {step}, on the records {', '.join(guilty)};")
    assert len(batches) == step and not (tmp_path / "run" / "model").exists()


def test_the_batch_of_an_accumulated_step_is_named_alone(sft, tmp_path, monkeypatch):
    batches = spoil(monkeypatch, "row4")
    with pytest.raises(UserError, match=r"on the records row4;"):
        sft.train(tmp_path / "run", batch_size=1, accumulate=5)
    assert len(batches) in (5, 10)


def test_the_last_good_checkpoint_is_kept_and_resumed(sft, tmp_path, monkeypatch):
    whole = sft.train(tmp_path / "whole")
    with monkeypatch.context() as patched:
        batches = spoil(patched, "row4")
        with pytest.raises(UserError, match="the last good checkpoint is kept"):
            sft.train(tmp_path / "run", checkpoint_every=1)
    good = len(batches) - 1
    path, broken = newest(tmp_path / "run" / "checkpoints")
    assert not broken and (path is None if good == 0 else path.name == f"step-{good:08}")
    assert sft.train(tmp_path / "run", checkpoint_every=1)["steps"] == whole["steps"]
    assert sft.weights(tmp_path / "run") == sft.weights(tmp_path / "whole")


def test_spoilt_weights_are_neither_saved_nor_exported(sft, tmp_path, monkeypatch):
    # The loss is a number, its gradient is none; the next batch's loss would tell, but there is none.
    step = Sft.training_step

    def poisoned(module, batch, number):
        loss = step(module, batch, number)
        last = module.trainer.global_step == 9
        return loss + torch.sqrt(0 * next(p for p in module.parameters() if p.requires_grad).sum()) if last else loss

    monkeypatch.setattr(Sft, "training_step", poisoned)
    with pytest.raises(UserError, match=r"^loss=finite, but not the weights after it: at step 10, on the records row"):
        sft.train(tmp_path / "run", checkpoint_every=3)
    assert newest(tmp_path / "run" / "checkpoints")[0].name == "step-00000009"
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: not enough memory: you tried to ..."),
        MemoryError(),
    ],
    ids=["device", "cpu allocator", "python"],
)
def test_out_of_memory_says_what_to_lower(sft, tmp_path, error):
    sft.stop_before(step=1, how=error)
    with pytest.raises(UserError) as stop:
        sft.train(tmp_path / "run", batch_size=2)
    line = str(stop.value)
    assert line.startswith("trainer.batch_size=2: out of memory (records row") and "\n" not in line
    assert line.endswith("; lower it, or set trainer.activation_checkpointing=true or optimizer=adamw_8bit")


def test_a_batch_of_one_is_bounded_by_its_tokens(sft, tmp_path):
    sft.stop_before(step=1, how=MemoryError())
    with pytest.raises(UserError, match=r"^data.max_tokens=32768: .* lower it, or optimizer=adamw_8bit"):
        sft.train(tmp_path / "run", batch_size=1, activation_checkpointing=True)


def test_a_pack_is_bounded_by_its_capacity(sft, tmp_path):
    sft.stop_before(step=1, how=MemoryError())
    with pytest.raises(UserError, match=r"^data.pack_tokens=128: .* lower it, or set trainer.activation"):
        sft.train(tmp_path / "run", data={"pack": True, "pack_tokens": 128})


def test_the_cpus_own_words_are_known():
    with pytest.raises(UserError), explained(FaultGuard(None, BOUND), "x"):
        torch.empty(1 << 60)


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes"), explained(FaultGuard(None, BOUND), "x"):
        raise RuntimeError("shapes differ")


def test_image_tokens_other_than_features_name_model_and_records(sft, tmp_path, monkeypatch):
    from seke.models.llava_ov import Loaded

    monkeypatch.setattr(Loaded, "image_tokens", lambda self, size: 5)
    with pytest.raises(UserError) as stop:
        sft.train(tmp_path / "run")
    line = str(stop.value)
    assert line.startswith(f"model.path={sft.base / 'model'}: Image features and image tokens do not match")
    assert "(records row" in line and "\n" not in line


def test_an_empty_dataset_is_refused_before_training(sft, tmp_path):
    with pytest.raises(
        UserError, match=r"^data.path=.*: no usable row \(10 rejected, 10 for 'length'.*\); see rejected.jsonl"
    ):
        sft.train(tmp_path / "run", data={"max_tokens": 5})


def test_signals_outside_a_training_are_what_they_were():
    before = signal.getsignal(signal.SIGTERM)
    with FaultGuard(None, BOUND).listening():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_best_weights_are_exported_and_patience_ends_the_run(sft, tiny_base, tmp_path):
    watched = {"validation": str(tiny_base / "watched.jsonl")}
    # At this rate the loss falls, then explodes.
    plan = {"data": watched, "lr": 0.05, "max_epochs": 20, "validate_every": 1, "patience": 4, "warm_up": 0.0}
    facts = sft.train(tmp_path / "best", **plan)
    assert facts["steps"] == facts["best"]["step"] + 4 < 100
    assert facts["validation_loss"] > facts["best"]["validation_loss"]
    sft.train(tmp_path / "last", **plan | {"keep_best": False})
    assert sft.weights(tmp_path / "best") != sft.weights(tmp_path / "last")


def measured(best, *losses):
    class Trainer:
        should_stop, global_step, is_global_zero = False, 0, True

    trainer, stopped = Trainer(), []
    for step, loss in enumerate(losses):
        trainer.global_step, trainer.callback_metrics = step, {"validation_loss": torch.tensor(loss)}
        best.on_validation_end(trainer, None)
        stopped.append(trainer.should_stop)
    return stopped


def test_patience_counts_evaluations_since_the_lowest_loss():
    best = BestCheckpoint(None, patience=2)
    assert measured(best, 3.0, 2.0, 2.5, 1.0, 1.0, float("nan")) == [False, False, False, False, False, True]
    assert (best.loss, best.step) == (1.0, 3)


def test_without_patience_it_never_stops():
    assert not any(measured(BestCheckpoint(None, patience=None), 1.0, 2.0, 3.0, 4.0))


def test_a_run_that_had_decided_to_stop_stops_at_once_when_resumed():
    first = BestCheckpoint(None, patience=1)
    measured(first, 1.0, 2.0)
    resumed = BestCheckpoint(None, patience=1)
    resumed.load_state_dict(first.state_dict())

    class Trainer:
        should_stop = False

    resumed.on_train_start(Trainer, None)
    assert Trainer.should_stop
