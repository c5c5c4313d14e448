"""Names of LLaVA-OneVision's weights as llava-hf publishes them, which is what vLLM and SGLang read.

transformers 5 has other names in memory, and writes back those that it has read: a model built from a configuration,
or read from such a checkpoint, would be saved with a vision tower that no server finds (facts/training.md 2.5, 6).
"""

import re
from typing import Any, Final

from torch import Tensor

HUB: Final = (
    (r"^model\.language_model\.", "language_model.model."),
    (r"^lm_head\.", "language_model.lm_head."),
    (r"^model\.vision_tower\.(vision_model\.)?", "vision_tower.vision_model."),
    (r"^model\.", ""),
)
"""Name in memory -> name on the Hub; the first pattern that fits counts."""


def hub_name(name: str) -> str:
    """Return the Hub's name of a parameter.

    >>> hub_name("model.vision_tower.embeddings.patch_embedding.bias")
    'vision_tower.vision_model.embeddings.patch_embedding.bias'
    >>> hub_name("model.image_newline")
    'image_newline'
    """
    pattern, published = next((pattern, published) for pattern, published in HUB if re.search(pattern, name))
    return re.sub(pattern, published, name)


def hub_state(model: Any) -> dict[str, Tensor]:
    """Return a model's weights under the Hub's names; a head tied to the embedding is not among them."""
    tied = model.lm_head.weight is model.get_input_embeddings().weight
    return {hub_name(k): v for k, v in model.state_dict().items() if not (tied and k == "lm_head.weight")}
