"""Qwen2.5-VL for training and answering: pictures at their own resolution, positions in three dimensions.

    image -> cells of 28 x 28 pixels -> ViT (windows of 4 x 4 cells, some layers the whole image) -> one token a cell
                                                                          (Qwen2.5-VL, Bai et al. 2025, Figure 1)

A crop is a cell: the patches that the merger makes one token of. So an image has as many crops as tokens, and the
tower's states of a cell are those of its patches. A token's position is (time, row, column): text counts all three up
together, an image's tokens lie on a plane at one time, and what follows it goes on after the longer side of the plane
(M-RoPE, Qwen2-VL, Wang et al. 2024, Section 2.1). In a pack every conversation's positions begin anew.
Shapes: N cells, P patches a cell, D width of the tower, B sequences, T tokens, H width of the language model.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize
from transformers.vision_utils import get_vision_attention_seqlens, get_vision_position_ids, get_vision_window_index

from seke.core.errors import UserError
from seke.core.images import ImageError
from seke.models import matrix_products
from seke.models.family import CheckpointFiles
from seke.models.native import NativeFamily, NativeLoaded
from seke.models.protocol import Pixels, Product, Size, TrainableVLM

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Grid = tuple[int, int]
"""Rows and columns of an image's cells."""


def rope_positions(ids: Sequence[int], image: int, grids: Iterator[Grid]) -> NDArray[np.int64]:
    """Return the positions (3, T) of a conversation's tokens in time, rows and columns (M-RoPE).

    Args:
        ids: (T,), image tokens in place.
        image: the image token.
        grids: those of the images, in order; as many are taken as there are.

    >>> rope_positions([1, 9, 9, 9, 9, 9, 9, 2], 9, iter([(2, 3)])).tolist()[1:]
    [[0, 1, 1, 1, 2, 2, 2, 4], [0, 1, 2, 3, 1, 2, 3, 4]]
    """
    ids_T = np.asarray(ids)
    parts: list[NDArray[np.int64]] = []
    begin = position = 0
    shown_T = np.flatnonzero(ids_T == image)
    while begin < len(ids_T):
        coming = shown_T[np.searchsorted(shown_T, begin) :]
        start = int(coming[0]) if len(coming) else len(ids_T)
        parts.append(np.tile(np.arange(position, position + start - begin), (3, 1)))
        position += start - begin
        begin = start
        if begin < len(ids_T):
            rows, columns = next(grids)
            plane = np.indices((1, rows, columns)).reshape(3, -1) + position
            parts.append(plane)
            position += max(rows, columns)
            begin += rows * columns
    return np.concatenate(parts, axis=1) if parts else np.zeros((3, 0), np.int64)


@dataclass
class Loaded(NativeLoaded):
    """A model with its processor, and everything that training and answering ask of them."""

    reject_larger: bool = False
    """Whether a picture above the pixel budget is refused rather than scaled."""
    parts: ClassVar[Mapping[str, str]] = {"model.visual.merger.": "projector", "model.visual.": "vision_tower"}
    image = "<|image_pad|>"
    ends = "<|im_end|>"

    @property
    def tower(self) -> Any:
        """The vision tower, with its merger."""
        return self.model.model.visual

    @property
    def merge(self) -> int:
        """Patches a side of a cell."""
        return int(self.model.config.vision_config.spatial_merge_size)

    @property
    def tile(self) -> int:
        """Side of a cell in pixels."""
        return self.merge * int(self.model.config.vision_config.patch_size)

    @property
    def patches(self) -> int:
        """Patches of a cell."""
        return self.merge**2

    @property
    def layers(self) -> int:
        """How many layers of the tower are read."""
        return 1

    # -- images -------------------------------------------------------------------------------------------------------

    def grid(self, size: Size) -> Grid:
        """Return rows and columns of the cells of an image, scaled to the pixel budget.

        Raises:
            ImageError: if the picture is more than 200 times as long as wide, or too large for the budget.
        """
        height, width = size
        pictures = self.processor.image_processor
        least, most = pictures.size["shortest_edge"], pictures.size["longest_edge"]
        if self.reject_larger and height * width > most:
            raise ImageError(f"{width} x {height} pixels, more than model.max_pixels={most}")
        try:
            tall, wide = smart_resize(height, width, self.tile, least, most)
        except ValueError as error:
            raise ImageError(f"{width} x {height} pixels: {error}") from error
        return tall // self.tile, wide // self.tile

    def pixels(self, picture: "Picture") -> Pixels:
        """Preprocess one RGB picture: scaled to whole cells within the pixel budget, cell by cell."""
        size = (picture.height, picture.width)
        self.grid(size)
        seen = self.processor.image_processor([picture], return_tensors="np")["pixel_values"]
        side, patch = self.merge, self.tile // self.merge
        # A still image fills every frame of a patch alike.
        frame = seen.reshape(-1, side, side, 3, self._frames, patch, patch)[:, :, :, :, 0]
        cells_NCHW = frame.transpose(0, 3, 1, 4, 2, 5).reshape(-1, 3, self.tile, self.tile)
        return Pixels(torch.from_numpy(np.ascontiguousarray(cells_NCHW)), size)

    @property
    def _frames(self) -> int:
        return int(self.model.config.vision_config.temporal_patch_size)

    def image_tokens(self, size: Size) -> int:
        """Return how many tokens an image takes, one a cell, exactly, without reading a pixel."""
        rows, columns = self.grid(size)
        return rows * columns

    def crops(self, size: Size) -> int:
        """Return how many cells an image has."""
        return self.image_tokens(size)

    def overview(self, size: Size) -> slice:
        """Return which cells show the whole image: all."""
        return slice(None)

    def nothing(self, states: bool) -> Tensor:
        """Return a black cell, or, with `states`, what stands for its states."""
        width = self.model.config.vision_config.hidden_size * self.layers
        shape = (1, self.patches, width) if states else (1, 3, self.tile, self.tile)
        return torch.zeros(shape, device=self.model.device, dtype=self.model.dtype)

    def see(self, crops_NCHW: Tensor, counts: Sequence[int] = (), sizes: Sequence[Size] = ()) -> Tensor:
        """Run the ViT over whole images: states (N, P, D) of its last layer, before the merger.

        Args:
            crops_NCHW: the cells of all images.
            counts: those of each image.
            sizes: of each image; with neither it is one, of one row of cells.
        """
        grids = [self.grid(size) for size in sizes] if sizes else [(1, len(crops_NCHW))]
        if counts and list(counts) != [rows * columns for rows, columns in grids]:
            # A single cell stands for no image (`nothing`), whatever the size that is told with it.
            grids = [(1, count) if count == 1 else grid for count, grid in zip(counts, grids, strict=True)]
        side, patch = self.merge, self.tile // self.merge
        cut = crops_NCHW.reshape(len(crops_NCHW), 3, side, patch, side, patch).permute(0, 2, 4, 1, 3, 5)
        patches = cut.unsqueeze(4).expand(-1, -1, -1, -1, self._frames, -1, -1).reshape(len(crops_NCHW) * side**2, -1)
        thw = torch.tensor([(1, rows * side, columns * side) for rows, columns in grids], device=crops_NCHW.device)
        states = self._states(patches, thw)
        return states.view(len(crops_NCHW), self.patches, -1)

    def _states(self, patches: Tensor, thw: Tensor) -> Tensor:
        """Return the states of every patch: transformers' forward pass of the tower, without the merger at its end."""
        tower = self.tower
        order, windows = get_vision_window_index(thw, self.merge, tower.window_size, tower.patch_size)
        order = order.to(patches.device)
        bounds, longest = get_vision_attention_seqlens(thw, tower.config)
        places = get_vision_position_ids(thw, self.merge)
        largest = int(windows.diff().max()) if longest is not None else None

        def windowed(values: Tensor) -> Tensor:
            return values.view(-1, self.patches, values.shape[-1])[order].flatten(0, 1)

        hidden = windowed(tower.patch_embed(patches))
        rotary = tuple(windowed(values) for values in tower.rotary_pos_emb(hidden, places))
        for number, block in enumerate(tower.blocks):
            whole = number in tower.fullatt_block_indexes
            hidden = block(
                hidden,
                cu_seqlens=bounds if whole else windows,
                max_seqlen=longest if whole else largest,
                position_embeddings=rotary,
            )
        return hidden.view(-1, self.patches, hidden.shape[-1])[order.argsort()].flatten(0, 1)

    def features(
        self,
        states_NPD: Tensor,
        counts: Sequence[int],
        sizes: Sequence[Size],
        contexts: Sequence[Sequence[int]] = (),
    ) -> list[Tensor]:
        """Merge the patches of each cell into a token: one (tokens, H) tensor per image."""
        merger = self.tower.merger
        tokens_NH = merger(states_NPD.flatten(0, 1).to(merger.mlp[0].weight.dtype))
        return list(torch.split(tokens_NH, list(counts)))

    def products(self) -> tuple[Product, ...]:
        """Return the matrix products of a forward pass; a window that an edge cuts counts as a whole one."""
        return matrix_products.qwen2_5_vl(self.model.config)

    # -- sequences ----------------------------------------------------------------------------------------------------

    def _encoder_outputs(self, features: Sequence[Tensor]) -> Any:
        return BaseModelOutputWithPooling(pooler_output=list(features))

    def _positions(self, ids_BT: Tensor, lengths: Sequence[int], sizes: Sequence[Size]) -> Tensor:
        """Return (3, B, T), those of every conversation counted from 0."""
        rows = ids_BT.tolist()
        if lengths:
            bounds = np.cumsum([0, *lengths])
            rows = [rows[0][start:stop] for start, stop in pairwise(bounds)]
        grids = iter([self.grid(size) for size in sizes])
        found = [rope_positions(row, self.model.config.image_token_id, grids) for row in rows]
        positions = np.concatenate(found, axis=1)[:, None] if lengths else np.stack(found, axis=1)
        return torch.from_numpy(positions).to(ids_BT.device)

    def logits(
        self,
        ids_BT: Tensor,
        attention_BT: Tensor | None,
        features: list[Tensor],
        keep_BT: Tensor | None = None,
        lengths: Sequence[int] = (),
        sizes: Sequence[Size] = (),
    ) -> Tensor:
        """Return logits (B, T, V), or (kept, V) at the positions that `keep_BT` marks: the head runs on those alone.

        `lengths`: those of the conversations that share the one sequence of a pack; `sizes`: of all images.
        """
        masks = self.masks(attention_BT, lengths, ids_BT.device)
        output = self.model(
            input_ids=ids_BT,
            **masks | {"position_ids": self._positions(ids_BT, lengths, sizes)},
            mm_encoder_outputs={"image": self._encoder_outputs(features)} if features else None,
            use_cache=False,
            logits_to_keep=keep_BT if keep_BT is not None else 0,
        )
        logits: Tensor = output.logits
        return logits.view(-1, logits.shape[-1]) if keep_BT is not None else logits

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        features: list[Tensor],
        max_new_tokens: int,
        processors: Sequence[Any] = (),
        sizes: Sequence[Size] = (),
    ) -> Tensor:
        """Answer prompts greedily in one left-padded batch; return the new ids, padded after `end`."""
        device, width = self.model.device, max(map(len, prompts))
        pad, image = self.processor.tokenizer.pad_token_id, self.model.config.image_token_id
        ids_BT = torch.tensor([[pad] * (width - len(ids)) + list(ids) for ids in prompts], device=device)
        attention_BT = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts], device=device)
        seen: dict[str, Any] = {}
        if features:
            side = self.merge
            grids = [(1, rows * side, columns * side) for rows, columns in map(self.grid, sizes)]
            seen = {
                "mm_encoder_outputs": {"image": self._encoder_outputs(features)},
                "mm_token_type_ids": (ids_BT == image).int(),
                "image_grid_thw": torch.tensor(grids, device=device),
            }
        config = GenerationConfig(
            eos_token_id=self.end, pad_token_id=pad, use_cache=True, do_sample=False, max_new_tokens=max_new_tokens
        )
        new: Tensor = self.model.generate(
            input_ids=ids_BT,
            attention_mask=attention_BT,
            **seen,
            generation_config=config,
            logits_processor=LogitsProcessorList(processors),
        )
        return new[:, width:]


@dataclass
class Qwen25Vl(NativeFamily):
    """Which Qwen2.5-VL, and how it is tuned (conf/model/*.yaml)."""

    kind = "qwen2_5_vl"
    architecture = Qwen2_5_VLForConditionalGeneration
    configuration = Qwen2_5_VLConfig
    processor = Qwen2_5_VLProcessor
    pictures = Qwen2VLImageProcessorPil
    loaded = Loaded

    min_pixels: int | None = None
    """A smaller picture is scaled up to so many pixels; null: as the checkpoint has it."""
    max_pixels: int | None = None
    """A larger picture is scaled down to so many pixels; null: as the checkpoint has it."""
    larger: str = "scale"
    """What becomes of a picture of more than `max_pixels`: scale, or reject."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("min_pixels", "max_pixels"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise UserError(f"model.{name}", value, "no number of pixels", "use 1 or more, or null")
        if self.min_pixels and self.max_pixels and self.min_pixels > self.max_pixels:
            raise UserError("model.min_pixels", self.min_pixels, f"above max_pixels={self.max_pixels}", "lower it")
        if self.larger not in ("scale", "reject"):
            raise UserError("model.larger", self.larger, "no such choice", "use scale or reject")

    def changed(self, pictures: Any) -> dict[str, Any]:
        """Return the pixel budget, where another is asked for than the checkpoint's."""
        own = pictures.size
        budget = {
            "shortest_edge": self.min_pixels or int(own["shortest_edge"]),
            "longest_edge": self.max_pixels or int(own["longest_edge"]),
        }
        return {} if budget == {name: own[name] for name in budget} else {"size": budget}

    def finished(self, model: Any, files: CheckpointFiles, source: str) -> TrainableVLM:
        """Return what training and answering ask of a model that is read."""
        loaded = super().finished(model, files, source)
        assert isinstance(loaded, Loaded)
        loaded.reject_larger = self.larger == "reject"
        return loaded

    def check(self, source: str, config: Any, processor: Any) -> Mapping[str, bool]:
        """Return what of a configuration and a processor must fit together, and whether it does."""
        vision, pictures = config.vision_config, processor.image_processor
        return {
            "patch_size": pictures.patch_size == vision.patch_size,
            "merge_size": pictures.merge_size == vision.spatial_merge_size,
            "temporal_patch_size": pictures.temporal_patch_size == vision.temporal_patch_size,
            "size": 0 < pictures.size["shortest_edge"] <= pictures.size["longest_edge"] <= 1 << 28,
        }
