"""Qwen2.5-VL for training and answering: pictures at their own resolution, positions in three dimensions.

    image -> cells of 28 x 28 pixels -> ViT (windows of 4 x 4 cells, some layers the whole image) -> one token a cell
                                                                          (Qwen2.5-VL, Bai et al. 2025, Figure 1)

A crop is a cell: the patches that the merger makes one token of. So an image has as many crops as tokens, and the
tower's states of a cell are those of its patches. Two frames of a clip make one: their patches are seen together, so
that a token of a clip is a cell of two frames, the last of an odd number standing twice. A token's position is (time,
row, column): text counts all three up together, an image's tokens lie on a plane at one time, and what follows it goes
on after the longer side of the plane (M-RoPE, Qwen2-VL, Wang et al. 2024, Section 2.1); a clip's planes lie as far
apart as its frames do in seconds. In a pack every conversation's positions begin anew.
Shapes: N cells, P patches a cell, D width of the tower, B sequences, T tokens, H width of the language model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
from seke.models.chat import Turn
from seke.models.family import CheckpointFiles
from seke.models.native import NativeFamily, NativeLoaded
from seke.models.protocol import Pixels, Product, Size, TrainableVLM, is_clip
from seke.models.qwen_positions import UNKNOWN_RATE, Grid, Planes, rope_positions

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


@dataclass
class Loaded(NativeLoaded):
    """A model with its processor, and everything that training and answering ask of them."""

    reject_larger: bool = False
    """Whether a picture above the pixel budget is refused rather than scaled."""
    parts: ClassVar[Mapping[str, str]] = {"model.visual.merger.": "projector", "model.visual.": "vision_tower"}
    image = "<|image_pad|>"
    video = "<|video_pad|>"
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

    def clip_grid(self, size: Size) -> Grid:
        """Return rows and columns of the cells of a clip's frames, each within the pixel budget of frames.

        Raises:
            ImageError: if the frames are more than 200 times as long as wide.
        """
        height, width = size[1:3]
        try:
            tall, wide = self._clip_resized(int(size[0]), height, width, *self.budget)
        except ValueError as error:
            raise ImageError(f"frames of {width} x {height} pixels: {error}") from error
        return tall // self.tile, wide // self.tile

    def _clip_resized(self, frames: int, height: int, width: int, least: int, most: int) -> tuple[int, int]:
        tall, wide = smart_resize(height, width, self.tile, least, most)
        return int(tall), int(wide)

    @cached_property
    def budget(self) -> tuple[int, int]:
        """The least and the most pixels of clips as the checkpoint has it: of each frame (Qwen2.5), or of all."""
        said = self.files.video()
        own = self.processor.image_processor.size
        size = said.get("size") or {}
        least = size.get("shortest_edge") or said.get("min_pixels") or own["shortest_edge"]
        return int(least), int(size.get("longest_edge") or said.get("max_pixels") or own["longest_edge"])

    def pixels(self, picture: "Picture") -> Pixels:
        """Preprocess one RGB picture: scaled to whole cells within the pixel budget, cell by cell."""
        size = (picture.height, picture.width)
        self.grid(size)
        return Pixels(self._cells(self.processor.image_processor([picture], return_tensors="np")["pixel_values"]), size)

    @property
    def frame_by_frame(self) -> bool:
        """The tower sees two frames at a time."""
        return False

    def frame(self, picture: "Picture", frames: int = 1) -> Pixels:
        """Preprocess one RGB picture as one of the frames of a clip, cell by cell."""
        rows, columns = self.clip_grid((frames, picture.height, picture.width))
        processor = self.processor.image_processor
        resized = picture.resize((columns * self.tile, rows * self.tile), processor.resample)
        seen = processor([resized], do_resize=False, return_tensors="np")["pixel_values"]
        return Pixels(self._cells(seen), (1, picture.height, picture.width))

    def _cells(self, seen: NDArray[np.float32]) -> Tensor:
        """Return the cells (N, 3, S, S) of patches as the image processor cuts them."""
        side, patch = self.merge, self.tile // self.merge
        # A still image fills every frame of a patch alike.
        frame = seen.reshape(-1, side, side, 3, self._frames, patch, patch)[:, :, :, :, 0]
        cells_NCHW = frame.transpose(0, 3, 1, 4, 2, 5).reshape(-1, 3, self.tile, self.tile)
        return torch.from_numpy(np.ascontiguousarray(cells_NCHW))

    @property
    def _frames(self) -> int:
        return int(self.model.config.vision_config.temporal_patch_size)

    def image_tokens(self, size: Size) -> int:
        """Return how many features an image or a clip takes, one a cell, exactly, without reading a pixel."""
        rows, columns = self.clip_grid(size) if is_clip(size) else self.grid(size)
        return rows * columns * (self._times(size) if is_clip(size) else 1)

    def _times(self, size: Size) -> int:
        """Return at how many times a clip is seen: two frames make one."""
        return -(-int(size[0]) // self._frames)

    def crops(self, size: Size) -> int:
        """Return how many cells an image has, or all frames of a clip together."""
        if not is_clip(size):
            return self.image_tokens(size)
        rows, columns = self.clip_grid(size)
        return rows * columns * int(size[0])

    def seen_together(self, count: int, size: Size) -> Sequence[int]:
        """Return how many cells attend to each other: those of an image; of a clip, of each two frames in turn."""
        if not is_clip(size):
            return [count]
        rows, columns = self.clip_grid(size)
        return [rows * columns] * self._times(size)

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
            crops_NCHW: the cells of all images, and of all frames of clips.
            counts: those of each image.
            sizes: of each image; with neither it is one, of one row of cells.

        Returns:
            Of a clip there are as many as `image_tokens`, those of two frames together.
        """
        counts = counts or ([len(crops_NCHW)] if len(sizes) < 2 else [self.crops(size) for size in sizes])
        sizes = sizes or [()] * len(counts)
        grids = [
            # A single cell stands for no image (`nothing`), whatever the size that is told with it.
            (1, count) if not size or count == 1 else self.clip_grid(size) if is_clip(size) else self.grid(size)
            for size, count in zip(sizes, counts, strict=True)
        ]
        seen = [
            self._in_time(cells, rows * columns)
            if is_clip(size)
            else cells[:, None].expand(-1, self._frames, -1, -1, -1)
            for cells, size, (rows, columns) in zip(torch.split(crops_NCHW, list(counts)), sizes, grids, strict=True)
        ]
        cells_NFCHW = torch.cat(seen)
        side, patch = self.merge, self.tile // self.merge
        cut = cells_NFCHW.reshape(len(cells_NFCHW), self._frames, 3, side, patch, side, patch)
        patches = cut.permute(0, 3, 5, 2, 1, 4, 6).reshape(len(cells_NFCHW) * side**2, -1)
        thw = [
            (len(cells) // (rows * columns), rows * side, columns * side)
            for cells, (rows, columns) in zip(seen, grids, strict=True)
        ]
        states = self._states(patches, torch.tensor(thw, device=crops_NCHW.device))
        return states.view(len(cells_NFCHW), self.patches, -1)

    def _in_time(self, cells_NCHW: Tensor, of_frame: int) -> Tensor:
        """Return a clip's cells (N, F, 3, S, S) of F frames each; the last frame stands in for what one has too few."""
        frames = torch.split(cells_NCHW, of_frame)
        missing = -len(frames) % self._frames
        whole = torch.stack([*frames, *frames[-1:] * missing])
        times = whole.reshape(-1, self._frames, *whole.shape[1:])
        return times.transpose(1, 2).flatten(0, 1)

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
        return list(torch.split(tokens_NH, self._cells_seen(counts, sizes)))

    def _cells_seen(self, counts: Sequence[int], sizes: Sequence[Size]) -> list[int]:
        """Return how many cells of each image, or of two frames of a clip together, the tower has seen."""
        return [self.image_tokens(size) if is_clip(size) else count for count, size in zip(counts, sizes, strict=True)]

    def products(self) -> tuple[Product, ...]:
        """Return the matrix products of a forward pass; a window that an edge cuts counts as a whole one."""
        return matrix_products.qwen2_5_vl(self.model.config)

    # -- sequences ----------------------------------------------------------------------------------------------------

    def _encoder_outputs(self, features: Sequence[Tensor]) -> Any:
        return BaseModelOutputWithPooling(pooler_output=list(features))

    def planes(self, size: Size) -> list[Grid | Planes]:
        """Return where the tokens of an image or a clip lie, block by block of them."""
        if not is_clip(size):
            return [self.grid(size)]
        step = np.float32(self._seconds(size)) * np.float32(self._per_second)
        return [Planes(*self.clip_grid(size), self._times(size), float(step))]

    def _seconds(self, size: Size) -> float:
        """Return how many seconds of a clip a token's two frames stand for."""
        return self._frames / (1000 / size[3] if len(size) > 3 else UNKNOWN_RATE)

    @property
    def _per_second(self) -> float:
        return float(self.model.config.vision_config.tokens_per_second)

    def layout(self, turn: Turn, number: int) -> list[int]:
        """Return the ids that an image or a clip of a turn becomes."""
        token = self.model.config.video_token_id if turn.clips[number] else self.model.config.image_token_id
        return [int(token)] * turn.images[number]

    def _positions(self, ids_BT: Tensor, lengths: Sequence[int], sizes: Sequence[Size]) -> Tensor:
        """Return (3, B, T), those of every conversation counted from 0."""
        rows = ids_BT.tolist()
        if lengths:
            bounds = np.cumsum([0, *lengths])
            rows = [rows[0][start:stop] for start, stop in pairwise(bounds)]
        grids = iter([planes for size in sizes for planes in self.planes(size)])
        image, video = self.model.config.image_token_id, self.model.config.video_token_id
        found = [rope_positions(row, image, grids, video) for row in rows]
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
        video, image = self.model.config.video_token_id, self.model.config.image_token_id
        output = self.model(
            # Inside of the model clips are taken for images: the features of both then keep their order.
            input_ids=ids_BT.masked_fill(ids_BT == video, image),
            **masks | {"position_ids": self._positions(ids_BT, lengths, sizes)},
            mm_encoder_outputs={"image": self._encoder_outputs(features)} if features else None,
            use_cache=False,
            logits_to_keep=keep_BT if keep_BT is not None else 0,
        )
        logits: Tensor = output.logits
        return logits.view(-1, logits.shape[-1]) if keep_BT is not None else logits

    def _grids(self, kind: str, sizes: Sequence[Size], device: torch.device) -> dict[str, Tensor]:
        """Return what transformers computes the positions of images, or of clips, from."""
        side = self.merge
        if kind == "image":
            grids = [(1, rows * side, columns * side) for rows, columns in map(self.grid, sizes)]
            return {"image_grid_thw": torch.tensor(grids, device=device)}
        planes = [(self._times(size), *self.clip_grid(size)) for size in sizes]
        grids = [(times, rows * side, columns * side) for times, rows, columns in planes]
        return {
            "video_grid_thw": torch.tensor(grids, device=device),
            "second_per_grid_ts": torch.tensor([self._seconds(size) for size in sizes], device=device),
        }

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
        video = self.model.config.video_token_id
        ids_BT = torch.tensor([[pad] * (width - len(ids)) + list(ids) for ids in prompts], device=device)
        attention_BT = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts], device=device)
        seen: dict[str, Any] = {}
        if features:
            seen = {
                "mm_token_type_ids": (ids_BT == image).int() + 2 * (ids_BT == video).int(),
                "mm_encoder_outputs": {},
            }
            for kind in ("image", "video"):
                own = [k for k, size in enumerate(sizes) if is_clip(size) == (kind == "video")]
                if own:
                    seen["mm_encoder_outputs"][kind] = self._encoder_outputs([features[k] for k in own])
                    seen |= self._grids(kind, [sizes[k] for k in own], device)
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
