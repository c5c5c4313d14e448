"""What earlier versions of PyTorch and transformers lack of what training needs; only gpu_check.sh runs with these.

torch 2.11          varlen_attn without `enable_gqa`: keys and values are repeated for their queries
transformers 5.17   LLaVA-OneVision without `mm_encoder_outputs`: features are put among the embeddings here
                    PreTrainedModel without `activation_checkpointing_enable`: it had another name
"""

import inspect
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn.attention import varlen
from transformers import LlavaOnevisionModel, PreTrainedModel

from seke.models.generate import insert_features
from seke.models.llava_ov import Loaded
from seke.models.packed_attention import segments


def apply() -> list[str]:
    """Put in what these versions lack, and return it by name."""
    lacking = []
    if "enable_gqa" not in inspect.signature(varlen.varlen_attn).parameters:
        varlen.varlen_attn = repeating(varlen.varlen_attn)
        lacking.append("enable_gqa")
    if "mm_encoder_outputs" not in inspect.signature(LlavaOnevisionModel.forward).parameters:
        Loaded.logits = logits  # type: ignore[method-assign]
        lacking.append("mm_encoder_outputs")
    if not hasattr(PreTrainedModel, "activation_checkpointing_enable"):
        PreTrainedModel.activation_checkpointing_enable = PreTrainedModel.gradient_checkpointing_enable
        lacking.append("activation_checkpointing_enable")
    return lacking


def repeating(attend: Any) -> Any:
    """Return varlen attention over as many key heads as query heads, of (L, H, D), (L, G, D) and (L, G, D)."""

    def attention(
        query: Tensor, key: Tensor, value: Tensor, *bounds: Any, enable_gqa: bool = False, **more: Any
    ) -> Any:
        times = query.shape[1] // key.shape[1]
        return attend(query, *(part.repeat_interleave(times, dim=1) for part in (key, value)), *bounds, **more)

    return attention


def logits(
    self: Loaded,
    ids_BT: Tensor,
    attention_BT: Tensor | None,
    features: list[Tensor],
    keep_BT: Tensor | None = None,
    lengths: Sequence[int] = (),
) -> Tensor:
    """Return what `Loaded.logits` does: (B, T, V), or (kept, V)."""
    model = self.model
    embedded_BTH = model.get_input_embeddings()(ids_BT)
    embedded_BTH = insert_features(embedded_BTH, ids_BT == model.config.image_token_id, features)
    masked = segments(lengths, ids_BT.device) if lengths else {"attention_mask": attention_BT}
    hidden_BTH = model.model.language_model(inputs_embeds=embedded_BTH, **masked, use_cache=False).last_hidden_state
    found: Tensor = model.lm_head(hidden_BTH if keep_BT is None else hidden_BTH[keep_BT])
    return found
