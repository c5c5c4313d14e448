"""Qwen3-VL for training and answering: Qwen2.5-VL's cells and positions, and features of several layers of the tower.

    image -> cells of 32 x 32 pixels -> ViT, three of whose layers are read beside its last -> four mergers
          -> the last one's token enters the sequence, the others are added to the states of the first decoder layers
                                                                (DeepStack, Meng et al. 2024, as Qwen3-VL has it)

The states of all layers that are read lie beside each other in one tensor, (N, P, D x layers), and so do the features,
(tokens, H x layers): whoever keeps or moves them need not know of layers.
Shapes: N cells, P patches a cell, D width of the tower, H width of the language model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor
from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures
from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize
from transformers.vision_utils import (
    get_vision_attention_seqlens,
    get_vision_interpolation_indices_and_weights,
    get_vision_position_ids,
)

from seke.models import matrix_products, qwen2_5_vl
from seke.models.chat import Turn
from seke.models.protocol import Product, Size, is_clip
from seke.models.qwen_positions import Grid, Planes, timestamps


@dataclass
class Loaded(qwen2_5_vl.Loaded):
    """A model with its processor, and everything that training and answering ask of them."""

    parts: ClassVar[Mapping[str, str]] = {
        "model.visual.merger.": "projector",
        "model.visual.deepstack_merger_list.": "projector",
        "model.visual.": "vision_tower",
    }

    @property
    def layers(self) -> int:
        """How many layers of the tower are read."""
        return 1 + len(self.model.config.vision_config.deepstack_visual_indexes)

    def _states(self, patches: Tensor, thw: Tensor) -> Tensor:
        """Return the states of every patch: transformers' forward pass of the tower, without its mergers."""
        tower = self.tower
        near, weights = get_vision_interpolation_indices_and_weights(
            thw,
            num_grid_per_side=tower.num_grid_per_side,
            mode=tower.interpolation_mode,
            align_corners=tower.interpolation_align_corners,
            spatial_merge_size=self.merge,
        )
        bounds, longest = get_vision_attention_seqlens(thw, tower.config)
        hidden = tower.patch_embed(patches)
        hidden = hidden + (tower.pos_embed(near) * weights[:, :, None]).sum(1).to(hidden.dtype)
        rotary = tower.rotary_pos_emb(hidden, get_vision_position_ids(thw, self.merge))
        read: dict[int, Tensor] = {}
        for number, block in enumerate(tower.blocks):
            hidden = block(hidden, cu_seqlens=bounds, max_seqlen=longest, position_embeddings=rotary)
            if number in tower.deepstack_visual_indexes:
                read[tower.deepstack_visual_indexes.index(number)] = hidden
        return torch.cat([hidden, *(read[place] for place in sorted(read))], dim=-1)

    def features(
        self,
        states_NPD: Tensor,
        counts: Sequence[int],
        sizes: Sequence[Size],
        contexts: Sequence[Sequence[int]] = (),
    ) -> list[Tensor]:
        """Merge the patches of each cell, layer by layer: one (tokens, H x layers) tensor per image."""
        tower = self.tower
        mergers = [tower.merger, *tower.deepstack_merger_list]
        layers = states_NPD.to(tower.merger.linear_fc1.weight.dtype).flatten(0, 1).chunk(len(mergers), dim=-1)
        merged = [merger(layer.contiguous()) for merger, layer in zip(mergers, layers, strict=True)]
        return list(torch.split(torch.cat(merged, dim=-1), self._cells_seen(counts, sizes)))

    def _clip_resized(self, frames: int, height: int, width: int, least: int, most: int) -> tuple[int, int]:
        tall, wide = smart_resize(max(frames, self._frames), height, width, self._frames, self.tile, least, most)
        return int(tall), int(wide)

    def planes(self, size: Size) -> list[Grid | Planes]:
        """Return where the tokens of an image or a clip lie: every two frames of it are a block of their own."""
        return [self.clip_grid(size)] * self._times(size) if is_clip(size) else [self.grid(size)]

    def layout(self, turn: Turn, number: int) -> list[int]:
        """Return the ids that an image or a clip of a turn becomes: every two frames of it with their time before."""
        if not turn.clips[number]:
            return super().layout(turn, number)
        config, size = self.model.config, turn.sizes[number]
        cells = turn.images[number] // self._times(size)
        block = [config.vision_start_token_id, *[config.video_token_id] * cells, config.vision_end_token_id]
        times = [f"<{time:.1f} seconds>" for time in timestamps(size, self._frames)]
        texts = self.processor.tokenizer(times, add_special_tokens=False)["input_ids"]
        return [int(token) for text in texts for token in (*text, *block)]

    def _grids(self, kind: str, sizes: Sequence[Size], device: torch.device) -> dict[str, Tensor]:
        found = super()._grids(kind, sizes, device)
        return {name: value for name, value in found.items() if name != "second_per_grid_ts"}

    def _encoder_outputs(self, features: Sequence[Tensor]) -> Any:
        width = self.model.config.text_config.hidden_size
        layers = list(zip(*(torch.split(feature, width, dim=-1) for feature in features), strict=True))
        return BaseModelOutputWithDeepstackFeatures(
            pooler_output=list(layers[0]), deepstack_features=[list(layer) for layer in layers[1:]]
        )

    def products(self) -> tuple[Product, ...]:
        """Return the matrix products of a forward pass."""
        return matrix_products.qwen3_vl(self.model.config)


@dataclass
class Qwen3Vl(qwen2_5_vl.Qwen25Vl):
    """Which Qwen3-VL, and how it is tuned (conf/model/*.yaml); one that answers at once, not one that always thinks."""

    kind = "qwen3_vl"
    architecture = Qwen3VLForConditionalGeneration
    configuration = Qwen3VLConfig
    processor = Qwen3VLProcessor
    loaded = Loaded
