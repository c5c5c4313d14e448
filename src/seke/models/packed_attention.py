"""Attention of a pack: conversations one after another in a single sequence, none of which sees another.

    lengths a, b, c  ->  tokens (1, a + b + c)  ->  a x a, b x b and c x c, each causal

No mask is ever made: over a whole pack it would cost the square of the pack's length. The lengths travel as the
keyword arguments that transformers' own flash attentions read (`cu_seq_lens_q`, ...), and a call without them is
answered by the plain attention as before, so that padded batches and generation with a KV cache change in nothing.
The choice is made by each call's arguments, not by a switch around the forward pass: activation checkpointing runs
the layers again when such a switch would be back.
Shapes: L tokens of the pack, H query heads and G key heads, D width of a head, n segments of one length T.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, groupby
from typing import Any, Final

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask, sdpa_mask
from transformers.models.qwen2.modeling_qwen2 import eager_attention_forward

Attention = Callable[..., tuple[Tensor, Tensor | None]]
PACKED: Final = "packed_"
"""Begins the names under which transformers knows our attentions; the plain one's name follows."""


def install(model: Any) -> bool:
    """Have the language model's attention read packs, and return whether it can.

    Flash attentions read them without our help. The vision tower keeps its own attention. Installing again changes
    nothing.
    """
    chosen = str(model.config.text_config._attn_implementation)
    if chosen in ("eager", "sdpa"):
        model.set_attn_implementation({"text_config": PACKED + chosen})
    return chosen in ("eager", "sdpa") or chosen.startswith((PACKED, "flash_attention"))


def segments(lengths: Sequence[int], device: torch.device) -> dict[str, Any]:
    """Return the arguments of a forward pass over a pack of conversations of these lengths.

    Positions begin anew in each. `attention_mask` is the empty answer to which mask each kind of layer needs, since
    transformers would make one out of the positions, L x L.
    """
    bounds = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)
    positions = torch.cat([torch.arange(length) for length in lengths])
    return {
        "attention_mask": {"full_attention": None},
        "position_ids": positions[None].to(device),
        "cu_seq_lens_q": bounds,
        "cu_seq_lens_k": bounds,
        "max_length_q": max(lengths),
        "max_length_k": max(lengths),
    }


def by_segment(module: Any, query: Tensor, key: Tensor, value: Tensor, lengths: Sequence[int], **more: Any) -> Tensor:
    """Attend segment by segment, neighbours of one length together: (1, L, H, D) of (1, H or G, L, D)."""
    runs = [(length, len(list(run))) for length, run in groupby(lengths)]
    sizes = [length * count for length, count in runs]
    # One split, not a slice each: its gradient is one concatenation.
    parts = zip(runs, *(torch.split(whole, sizes, dim=2) for whole in (query, key, value)), strict=True)
    outs = []
    for (length, count), *three in parts:
        q_nHTD, k_nGTD, v_nGTD = (part[0].unflatten(1, (count, length)).transpose(0, 1) for part in three)
        out_nTHD, _ = sdpa_attention_forward(module, q_nHTD, k_nGTD, v_nGTD, None, is_causal=True, **more)
        outs.append(out_nTHD.flatten(0, 1))
    return torch.cat(outs)[None]


def grouped(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
    """Attend from the one next token of each sequence, the heads of a group together: (B, 1, H, D) of (B, H, 1, D).

    Plain attention first repeats keys and values (B, G, T, D) for each head; a copy of them a token costs more than
    the products. `mask` (B, 1, 1, T) is added.
    """
    B, G = key.shape[:2]
    scores_BGRT = query.reshape(B, G, -1, query.shape[-1]) @ key.transpose(2, 3) * scaling
    if mask is not None:
        scores_BGRT = scores_BGRT + mask[..., : key.shape[2]]
    weights_BGRT = scores_BGRT.softmax(-1, dtype=torch.float32).to(query.dtype)
    return (weights_BGRT @ value).reshape(B, 1, -1, query.shape[-1])


def fused(query: Tensor, key: Tensor, value: Tensor, bounds: Tensor, longest: int, scaling: float) -> Tensor:
    """Attend in torch's varlen flash kernel, which needs a GPU and 16 bits: (1, L, H, D) of (1, H or G, L, D)."""
    from torch.nn.attention.varlen import varlen_attn

    # Under autocast RoPE leaves queries and keys in float32; values are what autocast makes of all of them.
    q_LHD, k_LGD, v_LGD = (whole[0].transpose(0, 1).to(value.dtype) for whole in (query, key, value))
    out_LHD: Any = varlen_attn(
        q_LHD, k_LGD, v_LGD, bounds, bounds, longest, longest, scale=scaling, window_size=(-1, 0), enable_gqa=True
    )
    packed: Tensor = out_LHD[None]
    return packed


def _aware(plain: Attention) -> Attention:
    """Return `plain`, but aware of packs."""

    def attention(
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float,
        dropout: float = 0.0,
        cu_seq_lens_q: Tensor | None = None,
        max_length_q: int = 0,
        by_group: bool = False,
        **more: Any,
    ) -> tuple[Tensor, Tensor | None]:
        if by_group and query.shape[2] == 1 and not dropout:
            return grouped(query, key, value, attention_mask, scaling), None
        if cu_seq_lens_q is None:
            return plain(module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **more)
        if value.is_cuda and value.dtype in (torch.bfloat16, torch.float16) and not dropout:
            return fused(query, key, value, cu_seq_lens_q, max_length_q, scaling), None
        lengths = cu_seq_lens_q.diff().tolist()
        return by_segment(module, query, key, value, lengths, scaling=scaling, dropout=dropout), None

    return attention


AttentionInterface.register(PACKED + "sdpa", _aware(sdpa_attention_forward))
AttentionInterface.register(PACKED + "eager", _aware(eager_attention_forward))
AttentionMaskInterface.register(PACKED + "sdpa", sdpa_mask)
AttentionMaskInterface.register(PACKED + "eager", eager_mask)
