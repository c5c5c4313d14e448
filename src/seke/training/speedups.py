"""What may make training faster and is off unless asked for: compiled blocks, a fused loss, products in float8.

    trainer.compile      torch.compile of every transformer block by itself: one compilation serves all alike
    trainer.fused_loss   the head and the cross-entropy in one, chunk by chunk: the logits are never there as a whole
    trainer.float8       torchao's float8 products in the language model's blocks (Micikevicius et al. 2022)

The first two compute what is computed without them, but for rounding (tested); the third does not, since float8 rounds.
"""

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.modeling_layers import GradientCheckpointingLayer

from seke.core.errors import UserError

FUSED: Final = ("torch", "liger")
FLOAT8_FROM: Final = (8, 9)
"""Compute capability of the first GPUs that multiply in float8: Ada and Hopper."""
MULTIPLE: Final = 16
"""Both sides of a matrix must be multiples of this."""

Loss = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""Summed cross-entropy, of hidden states (kept, H), the head's weight (V, H), targets (kept,) and the head's bias."""


def blocks(model: Any) -> list[Any]:
    """Return a model's transformer blocks, the tower's and the language model's."""
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


# -- compiled blocks --------------------------------------------------------------------------------------------------


def compile_blocks(model: Any, backend: str = "inductor") -> None:
    """Have the forward pass of every block compiled when it is first called, in place.

    Lengths of packs differ, so the compiler is let find out which sizes change. Names of weights stay as they are, and
    hooks on a block run outside what is compiled.
    """
    for block in blocks(model):
        block.forward = torch.compile(block.forward, backend=backend)


def check_compiler(on_gpu: bool) -> None:
    """Check that there is what torch.compile makes kernels with.

    Raises:
        UserError: naming it.
    """
    if on_gpu and importlib.util.find_spec("triton") is None:
        raise UserError("trainer.compile", True, "Triton is not installed", "pip install triton, or leave it out")
    if not on_gpu and shutil.which(os.environ.get("CXX", "g++")) is None and shutil.which("clang++") is None:
        raise UserError("trainer.compile", True, "there is no C++ compiler here", "install g++, or leave it out")


# -- the fused loss ---------------------------------------------------------------------------------------------------


def fused_loss(name: str) -> Loss:
    """Return the fused linear cross-entropy of a library: torch's own, in chunks, or Liger's kernels.

    (Liger Kernel, Hsu et al. 2024, Section 3.2.)

    Raises:
        UserError: if it is not installed.
    """
    if name == "torch":
        return _torch_loss
    try:
        from liger_kernel.ops.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyFunction as Function
    except ImportError as error:
        remedy = "pip install 'seke[liger]', or use trainer.fused_loss=torch"
        raise UserError("trainer.fused_loss", name, "liger-kernel is not installed", remedy) from error

    def loss(hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None) -> Tensor:
        # weights of classes: none; the index that is left out, of which there is none; z-loss and smoothing: 0
        found: Any = Function.apply(hidden, weight, targets, bias, None, -100, 0.0, 0.0, "sum")
        summed: Tensor = found[0] if isinstance(found, tuple) else found
        return summed

    return loss


def _torch_loss(hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None) -> Tensor:
    options: Any = torch.nn.LinearCrossEntropyOptions()
    return F.linear_cross_entropy(hidden, weight, targets, linear_bias=bias, reduction="sum", options=options)


@contextlib.contextmanager
def head_returns(model: Any, loss: Loss, targets: Tensor) -> Iterator[None]:
    """Have a model's head return the summed loss of `targets`, shaped (1, 1, 1), in place of logits.

    Within the head's own forward pass, since whoever has split its weight up puts it together for that.
    """
    head = model.get_output_embeddings()

    def forward(hidden: Tensor) -> Tensor:
        kind, bias = hidden.device.type, getattr(head, "bias", None)
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else head.weight.dtype
        flat, weight = hidden.reshape(-1, hidden.shape[-1]).to(dtype), head.weight.to(dtype)
        return loss(flat, weight, targets, bias).float().view(1, 1, 1)

    head.forward = forward
    try:
        yield
    finally:
        del head.forward


# -- float8 -----------------------------------------------------------------------------------------------------------


def check_float8(on_gpu: bool, device: torch.device | None) -> None:
    """Check that torchao is installed and that the GPU multiplies in float8.

    Raises:
        UserError: naming what lacks.
    """
    if importlib.util.find_spec("torchao") is None:
        raise UserError("trainer.float8", True, "torchao is not installed", "pip install 'seke[lowmem]'")
    if not on_gpu or device is None:
        raise UserError("trainer.float8", True, "it needs a GPU, and none trains", "leave it out")
    if (capability := torch.cuda.get_device_capability(device)) < FLOAT8_FROM:
        name, (major, minor) = torch.cuda.get_device_name(device), capability
        problem = f"{name} (compute capability {major}.{minor}) does not multiply in float8"
        raise UserError("trainer.float8", True, problem, "leave it out; it takes 8.9 or later (Ada, Hopper)")


def to_float8(model: Any, emulate: bool = False) -> int:
    """Have the language model's blocks multiply in float8, scaled row by row, in place; weights stay as they are.

    The tower, the projector and the head are left alone, as are adapters and matrices of odd sides.

    Args:
        model: transformers'.
        emulate: round as float8 does but multiply as usual, for trying out without such a GPU.

    Returns:
        How many matrices multiply so.
    """
    from torchao.float8 import Float8LinearConfig, convert_to_float8_training
    from torchao.float8.float8_linear import Float8Linear

    config = Float8LinearConfig.from_recipe_name("rowwise")
    if emulate:
        object.__setattr__(config, "emulate", True)  # a frozen dataclass, of whose recipes none emulates
    count = 0
    for block in blocks(model.get_decoder()):
        convert_to_float8_training(block, config=config, module_filter_fn=_multiplies_in_float8)
        count += sum(isinstance(module, Float8Linear) for module in block.modules())
    return count


def _multiplies_in_float8(module: Any, name: str) -> bool:
    plain = type(module) is torch.nn.Linear and "lora_" not in name
    return plain and module.in_features % MULTIPLE == module.out_features % MULTIPLE == 0
