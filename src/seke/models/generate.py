"""Greedy answers in one batch, with image features in the place of the image tokens: alike for every family.

Shapes: B sequences, T tokens, H width of the language model.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList


def insert_features(embedded_BTH: Tensor, image_BT: Tensor, features: Sequence[Tensor]) -> Tensor:
    """Return embeddings with the features, image by image, at the marked positions."""
    if not features:
        return embedded_BTH
    flat_NH = torch.cat(list(features)).to(embedded_BTH)
    assert int(image_BT.sum()) == len(flat_NH), "as many image tokens as image features"
    return embedded_BTH.masked_scatter(image_BT.unsqueeze(-1), flat_NH)


@torch.no_grad()
def answer(
    model: Any,
    prompts: Sequence[Sequence[int]],
    features: Sequence[Tensor],
    image_token: int,
    end: int,
    pad: int,
    max_new_tokens: int,
    processors: Sequence[Any] = (),
) -> Tensor:
    """Answer prompts (token ids, image tokens in place) greedily in one left-padded batch.

    `model` generates from embeddings; `processors` change the scores before the choice. Returns the new ids (B, new),
    padded after `end`.
    """
    width, device = max(map(len, prompts)), model.device
    ids_BT = torch.tensor([[pad] * (width - len(ids)) + list(ids) for ids in prompts], device=device)
    attention_BT = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts], device=device)
    config = GenerationConfig(
        eos_token_id=end, pad_token_id=pad, use_cache=True, do_sample=False, max_new_tokens=max_new_tokens
    )
    new: Tensor = model.generate(
        inputs_embeds=insert_features(model.get_input_embeddings()(ids_BT), ids_BT == image_token, features),
        attention_mask=attention_BT,
        generation_config=config,
        logits_processor=LogitsProcessorList(processors),
    )
    return new
