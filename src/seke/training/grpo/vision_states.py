"""A frozen tower that sees each picture of a step once: what it made of a crop is kept until the next step begins.

TRL runs the whole model for each of a face's answers, once to sample and once more to learn, with the same pixels.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling


class KeptStates:
    """Stands in for a tower's `forward`; equal crops are seen once until `forget` is called.

    `seen` and `asked` count crops.
    """

    def __init__(self, tower: Any, layer: int, layers: int) -> None:
        self.tower, self.layer, self.layers = tower, layer, layers
        self.forward = tower.forward
        self.seen = self.asked = 0
        self._kept: dict[bytes, Tensor] = {}

    def __call__(self, pixel_values: Tensor, **_: Any) -> BaseModelOutputWithPooling:
        """Return the states of crops (N, 3, S, S): (N, P, D), as every one of the tower's hidden states."""
        names = [hashlib.blake2b(crop.tobytes(), digest_size=16).digest() for crop in _bytes(pixel_values)]
        new = {name: place for place, name in enumerate(names) if name not in self._kept}
        self.asked, self.seen = self.asked + len(names), self.seen + len(new)
        if new:
            with torch.no_grad():
                crops = pixel_values[list(new.values())]
                states = self.forward(crops, output_hidden_states=True).hidden_states[self.layer]
            self._kept |= dict(zip(new, states, strict=True))
        states = torch.stack([self._kept[name] for name in names])
        return BaseModelOutputWithPooling(last_hidden_state=states, hidden_states=(states,) * (self.layers + 1))

    def forget(self) -> None:
        """Let go of what was kept."""
        self._kept.clear()


def _bytes(crops: Tensor) -> Any:
    return crops.detach().to("cpu", torch.float32).contiguous().numpy()


@contextmanager
def kept_states(model: Any) -> Iterator[KeptStates | None]:
    """Have a LLaVA-OneVision's frozen tower keep what it saw; None, and no change, for other models and towers."""
    tower: Any = getattr(model.model, "vision_tower", None)
    layer = getattr(model.config, "vision_feature_layer", None)
    frozen = tower is not None and not any(parameter.requires_grad for parameter in tower.parameters())
    if model.config.model_type != "llava_onevision" or not frozen or not isinstance(layer, int):
        yield None
        return
    kept = KeptStates(tower, layer, int(model.config.vision_config.num_hidden_layers))
    tower.forward = kept
    try:
        yield kept
    finally:
        del tower.forward
