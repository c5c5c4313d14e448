"""Optimisers (conf/optimizer/): AdamW with float32 masters, or one that bfloat16 weights suffice for.

At a learning rate of 1e-5 a step changes a weight of 0.02 by 5e-4 of itself, while neighbouring bfloat16 numbers lie
4e-3 to 8e-3 apart: rounded to the nearest, the step is lost, every time. Rounded up or down at random, with the
probability that makes it right on average, it is not (torchao's `bf16_stochastic_round`).
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from seke.core.errors import UserError

Groups = list[dict[str, Any]]
BLOCK, SCALE_BYTES = 256, 4
"""Moments of 8 bits share a float32 scale block by block."""


class Optimizer(Protocol):
    """How weights are updated: what conf/optimizer/ offers."""

    @property
    def keeps_bfloat16(self) -> bool:
        """Whether small steps survive on bfloat16 weights without a float32 copy of them."""
        ...

    def state_bytes(self, numbers: int, bytes_: int) -> float:
        """Return the bytes of its states of so many weights, which take `bytes_` themselves."""
        ...

    def __call__(self, groups: Groups) -> torch.optim.Optimizer:
        """Return the optimiser of parameter groups, each with a learning rate `lr` of its own."""
        ...


@dataclass(frozen=True)
class AdamW:
    """PyTorch's AdamW, fused (Loshchilov and Hutter 2019, Algorithm 2)."""

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    keeps_bfloat16: ClassVar[bool] = False
    """Whether small steps survive on bfloat16 weights without a float32 copy of them."""

    def state_bytes(self, numbers: int, bytes_: int) -> float:
        """Return the bytes of its moments of so many weights, which take `bytes_` themselves: float32, or as they."""
        return 2.0 * bytes_

    def __call__(self, groups: Groups) -> torch.optim.Optimizer:
        """Return the optimiser of parameter groups, each with its own learning rate."""
        optimiser = torch.optim.AdamW(
            groups, betas=(self.betas[0], self.betas[1]), eps=self.eps, weight_decay=self.weight_decay, fused=True
        )
        # Fused it can undo float16's loss scaling, for which Lightning would not clip; here no loss is scaled.
        vars(optimiser)["_step_supports_amp_scaling"] = False
        return optimiser


@dataclass(frozen=True)
class StochasticAdamW:
    """torchao's AdamW: bfloat16 weights rounded stochastically, moments in 8 bits or in the weights' type."""

    states: Literal["8bit", "weights"] = "weights"
    """Type of both moments: 8 bits in blocks of 256 (Dettmers et al. 2022), or as the weights."""
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    keeps_bfloat16: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.states not in ("8bit", "weights"):
            raise UserError("optimizer.states", self.states, "no such type", "use 8bit or weights")
        try:
            # Here already: a checkpoint with 8-bit states cannot be read before their type is known.
            import torchao.optim  # noqa: F401
        except ImportError as error:
            raise UserError("optimizer", "", "torchao is not installed", "pip install 'seke[lowmem]'") from error

    def state_bytes(self, numbers: int, bytes_: int) -> float:
        """Return the bytes of its moments of so many weights, which take `bytes_` themselves."""
        return 2.0 * bytes_ if self.states == "weights" else 2 * numbers * (1 + SCALE_BYTES / BLOCK)

    def __call__(self, groups: Groups) -> torch.optim.Optimizer:
        """Return the optimiser of parameter groups, each with its own learning rate."""
        from torchao.optim import AdamW8bit, _AdamW

        base = AdamW8bit if self.states == "8bit" else _AdamW
        optimiser: torch.optim.Optimizer = _repeatable(base)(
            groups, betas=tuple(self.betas), eps=self.eps, weight_decay=self.weight_decay, bf16_stochastic_round=True
        )
        return optimiser


def _repeatable(base: Any) -> Any:
    """Return `base` with the random numbers of step n drawn from n alone.

    A resumed run then rounds as the undisturbed one, and the replicas of a weight on several ranks stay equal.
    """

    class Repeatable(base):  # type: ignore[misc]
        def step(self, closure: Any = None) -> Any:
            with torch.enable_grad():
                loss = None if closure is None else closure()
            first: Tensor = self.param_groups[0]["params"][0]
            done = int(self.state[first]["step"]) if self.state[first] else 0
            with _drawing_from(done, first.device):
                super().step()
            return loss

    return Repeatable


@contextlib.contextmanager
def _drawing_from(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the random numbers, and put back afterwards what they were; on a CPU, compile nothing."""
    # Compiled, each shape of a weight takes seconds: only a GPU repays that.
    stance = "force_eager" if device.type == "cpu" else "default"
    with torch.random.fork_rng([] if device.type == "cpu" else [device]), torch.compiler.set_stance(stance):
        torch.manual_seed(seed)
        yield
