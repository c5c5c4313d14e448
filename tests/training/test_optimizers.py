"""Optimisers of bfloat16 weights: small steps arrive, on average right, and are drawn again the same."""

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from seke.core.errors import UserError
from seke.training.optimizers import AdamW, StochasticAdamW

LR, STEPS = 1e-5, 40
pytest.importorskip("torchao")


def walked(optimizer, dtype=torch.bfloat16, steps=STEPS, lr=LR, split=None):
    """Weights of 0.02 after steps under a gradient that always points one way; saved and loaded again at `split`."""
    weight = torch.nn.Parameter(torch.full((64, 256), 0.02, dtype=dtype))
    groups = [{"name": "all", "params": [weight], "lr": lr}]
    optimiser = optimizer(groups)
    for step in range(steps):
        if step == split:
            state, optimiser = optimiser.state_dict(), optimizer(groups)
            optimiser.load_state_dict(state)
        weight.grad = torch.full_like(weight, 0.5)
        optimiser.step()
    return weight.detach().float()


def test_plain_adamw_loses_steps_that_bfloat16_cannot_hold():
    assert torch.equal(walked(AdamW()), torch.full((64, 256), 0.02, dtype=torch.bfloat16).float())


@pytest.mark.parametrize("states", ["weights", "8bit"])
def test_stochastic_rounding_moves_weights_as_far_as_float32_on_average(states):
    start = torch.tensor(0.02, dtype=torch.bfloat16).float()
    moved = walked(StochasticAdamW(states)) - start
    exact = walked(AdamW(), torch.float32).mean() - 0.02
    # 16,384 weights, each a walk of grid steps 1.2e-4: the mean's standard error is below 2 % of the way.
    assert moved.unique().numel() > 2
    assert moved.mean().item() == pytest.approx(exact.item(), rel=0.08)


def test_float32_weights_are_updated_as_by_plain_adamw():
    torch.testing.assert_close(
        walked(StochasticAdamW(), torch.float32), walked(AdamW(), torch.float32), atol=1e-8, rtol=1e-6
    )


@pytest.mark.parametrize("states", ["weights", "8bit"])
def test_a_resumed_run_rounds_as_the_undisturbed_one(states):
    whole = walked(StochasticAdamW(states), steps=6)
    torch.rand(3)
    assert torch.equal(walked(StochasticAdamW(states), steps=6, split=3), whole)


def test_nobody_elses_random_numbers_are_used_up():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    walked(StochasticAdamW(), steps=2)
    assert torch.equal(torch.rand(3), expected)


def test_a_schedule_changes_every_groups_learning_rate():
    weights = [torch.nn.Parameter(torch.ones(8)) for _ in range(2)]
    groups = [{"name": str(k), "params": [weight], "lr": 0.1 * (k + 1)} for k, weight in enumerate(weights)]
    optimiser = StochasticAdamW()(groups)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.5**step)
    for weight in weights:
        weight.grad = torch.ones(8)
    optimiser.step()
    schedule.step()
    assert [float(group["lr"]) for group in optimiser.param_groups] == pytest.approx([0.05, 0.1])
    assert [group["name"] for group in optimiser.param_groups] == ["0", "1"]


class Line(pl.LightningModule):
    """Draws a bfloat16 vector towards one."""

    def __init__(self, optimizer):
        super().__init__()
        self.optimizer, self.weight = optimizer, torch.nn.Parameter(torch.full((4096,), 0.02, dtype=torch.bfloat16))

    def training_step(self, *_):
        return (self.weight.float() - 1).square().mean()

    def configure_optimizers(self):
        optimiser = self.optimizer([{"name": "all", "params": [self.weight], "lr": LR}])
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / 20)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def train_dataloader(self):
        return [torch.zeros(1)] * 6


class Io(TorchCheckpointIO):
    """Reads as seke.training.callbacks.checkpoints does: Lightning's own way cannot place 8-bit states."""

    def load_checkpoint(self, path, *_, **__):
        return torch.load(path, map_location="cpu", weights_only=True)


@pytest.mark.parametrize("states", ["weights", "8bit"])
def test_lightning_trains_saves_and_resumes_it(tmp_path, states):
    def fitted(steps, checkpoint=None):
        trainer = pl.Trainer(
            accelerator="cpu", max_steps=steps, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, gradient_clip_val=1.0, default_root_dir=tmp_path,
            plugins=[Io()],
        )  # fmt: skip
        module = Line(StochasticAdamW(states))
        trainer.fit(module, ckpt_path=checkpoint)
        trainer.save_checkpoint(tmp_path / f"{steps}.ckpt")
        return module.weight.detach()

    whole = fitted(6)
    fitted(3)
    assert torch.equal(fitted(6, tmp_path / "3.ckpt"), whole) and whole.unique().numel() > 1


@pytest.mark.parametrize("optimizer", [AdamW(), StochasticAdamW(), StochasticAdamW("8bit")])
def test_gradients_are_clipped_in_mixed_precision(tmp_path, optimizer):
    # Lightning refuses to clip for a fused AdamW, as which it takes the one that PyTorch makes.
    module = Line(optimizer)
    pl.Trainer(
        accelerator="cpu", precision="bf16-mixed", gradient_clip_val=1.0, max_steps=2, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    ).fit(module)  # fmt: skip
    assert module.trainer.global_step == 2


def test_eight_bit_states_take_a_quarter_of_float32s():
    weight = torch.nn.Parameter(torch.ones(256, 256, dtype=torch.bfloat16))
    weight.grad = torch.ones_like(weight)
    optimiser = StochasticAdamW("8bit")([{"params": [weight], "lr": LR}])
    optimiser.step()
    moments = [optimiser.state[weight][name] for name in ("exp_avg", "exp_avg_sq")]
    assert sum(m.codes.nbytes + m.scale.nbytes + m.qmap.nbytes for m in moments) < 2.1 * weight.numel()


def test_an_unknown_type_of_states_is_a_users_mistake():
    with pytest.raises(UserError, match=r"^optimizer\.states=4bit"):
        StochasticAdamW("4bit")
