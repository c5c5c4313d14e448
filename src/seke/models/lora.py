"""Low-rank adapters (LoRA, Hu et al. 2021, Section 4.1) of the language model.

    y = W x + (alpha / r) B A x        W is frozen, A and B train

Saved, the product has become part of W: nobody who loads the model needs to know of adapters.
"""

import re
from dataclasses import dataclass
from typing import Any

from seke.core.errors import UserError

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Every linear layer of a block of Qwen or LLaMA."""


@dataclass(frozen=True)
class Lora:
    """Adapters instead of the language model's own weights (conf/model/*.yaml: `lora`)."""

    r: int = 64
    """Rank."""
    alpha: int = 128
    """The product is scaled by alpha / r."""
    dropout: float = 0.0
    targets: tuple[str, ...] = LINEAR
    """Last names of the layers that get adapters."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        if self.r < 1:
            raise UserError("model.lora.r", self.r, "not a rank", "use 1 or more")
        for target in self.targets:
            if target not in LINEAR:
                raise UserError("model.lora.targets", target, "no such layer", f"use {', '.join(LINEAR)}")

    def attach(self, model: Any, within: str = "model.language_model.") -> None:
        """Put adapters, in float32, into the layers of `model` whose names begin so, in place; they start as zero."""
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError as error:
            raise UserError("model.lora", "", "peft is not installed", "pip install 'seke[lora]'") from error
        config = LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=f"{re.escape(within)}.*({'|'.join(self.targets)})",
        )
        inject_adapter_in_model(config, model)
        for name, parameter in model.named_parameters():
            if is_adapter(name):
                parameter.data = parameter.data.float()


def is_adapter(parameter: str) -> bool:
    """Whether a parameter of this name belongs to an adapter."""
    return ".lora_" in parameter


def merge(model: Any) -> None:
    """Add every adapter to the weights it stands beside and take it away, in place; no adapter, no change."""
    if not any(is_adapter(name) for name, _ in model.named_parameters()):
        return
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in list(model.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            model.set_submodule(name, layer.get_base_layer())
