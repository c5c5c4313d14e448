"""LLaVA-OneVision for training and answering: transformers' own model, one path of images, one of clips, one chat path.

    image -> SigLIP tower -> projector -> + image_newline -> Qwen-2        (LLaVA-OneVision, Li et al. 2024, Figure 3)
    clip  -> the same of each frame, pooled bilinearly to half its side, 27 x 27 to 14 x 14 -> + one image_newline

The tower's output ("states") is a value of its own, so that a frozen tower is run once per image and kept.
Shapes: N crops, P patches a crop, D width of the tower, B sequences, T tokens, H width of the language model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.llava_onevision.modeling_llava_onevision import image_size_to_num_patches

from seke.core.errors import UserError
from seke.models import llava_ov_processor
from seke.models.chat import Chat, system_of
from seke.models.checkpoint_checks import (
    check_architecture,
    check_images,
    check_pictures,
    check_processor_files,
)
from seke.models.checkpoint_files import check_numbers, fetched
from seke.models.family import CheckpointFiles, LoadedModel, PartwiseFamily, quiet
from seke.models.fingerprint import fingerprint
from seke.models.lora import merge
from seke.models.matrix_products import llava_onevision
from seke.models.packed_attention import install, segments
from seke.models.protocol import Pixels, Product, Size, TrainableVLM, is_clip
from seke.models.weight_names import hub_state

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

PREFIXES = {"model.vision_tower.": "vision_tower", "model.multi_modal_projector.": "projector"}
"""The part that a parameter's prefix says it belongs to; the rest is the LLM."""


@dataclass
class Loaded(LoadedModel):
    """A model with its processor, and everything that training and answering ask of them."""

    def __post_init__(self) -> None:
        self.text = Chat(self.processor.tokenizer, system_of(self.processor.chat_template))
        self.packs = install(self.model)
        """Whether several conversations may share a sequence; some attentions cannot keep them apart."""

    @property
    def decoder(self) -> Any:
        """The whole model generates from embeddings."""
        return self.model

    @property
    def patches(self) -> int:
        """Patches of a crop; this tower has no class token."""
        return int((self.tile // self.model.config.vision_config.patch_size) ** 2)

    # -- images -------------------------------------------------------------------------------------------------------

    def pixels(self, picture: "Picture") -> Pixels:
        """Preprocess one RGB picture: the whole of it, then its AnyRes tiles, as every user of the checkpoint does."""
        size = (picture.height, picture.width)
        processor = self.processor.image_processor
        if size == (self.tile, self.tile) and self.crops(size) == 2:
            # What the processor does to a picture that already has the tile's size, without its 1 ms of bookkeeping.
            crop_HWC = np.asarray(picture, dtype=np.float32) / 255
            mean, std = (np.asarray(v, dtype=np.float32) for v in (processor.image_mean, processor.image_std))
            crop_CHW = torch.from_numpy(((crop_HWC - mean) / std).transpose(2, 0, 1))
            return Pixels(torch.stack([crop_CHW, crop_CHW]), size)
        crops = processor([picture], do_pad=False, return_tensors="np")["pixel_values"][0]
        return Pixels(torch.from_numpy(np.asarray(crops)), size)

    @property
    def frame_by_frame(self) -> bool:
        """SigLIP sees each frame by itself."""
        return True

    def frame(self, picture: "Picture", frames: int = 1) -> Pixels:
        """Preprocess a frame of a clip: the whole of it alone, as transformers' video processor does."""
        processor = self.processor.image_processor
        resized = picture.resize((self.tile, self.tile), processor.resample)
        mean, std = (np.asarray(v, dtype=np.float32) for v in (processor.image_mean, processor.image_std))
        crop_HWC = (np.asarray(resized, dtype=np.float32) * np.float32(processor.rescale_factor) - mean) / std
        return Pixels(torch.from_numpy(crop_HWC.transpose(2, 0, 1))[None], (1, picture.height, picture.width))

    def image_tokens(self, size: Size) -> int:
        """Return how many tokens an image or a clip of this size takes, exactly, without reading a pixel."""
        if is_clip(size):
            side = self.tile // self.model.config.vision_config.patch_size
            return int(size[0] * math.ceil(side / 2) ** 2 + 1)
        return int(self.processor._get_num_multimodal_tokens(image_sizes=[size])["num_image_tokens"][0])

    def crops(self, size: Size) -> int:
        """Return how many crops of an image, or frames of a clip, of this size the tower sees."""
        if is_clip(size):
            return int(size[0])
        return int(image_size_to_num_patches(size, self.model.config.image_grid_pinpoints, self.tile))

    def see(self, crops_NCHW: Tensor, counts: Sequence[int] = (), sizes: Sequence[Size] = ()) -> Tensor:
        """Run the vision tower: states (N, P, D) of the layer the projector reads.

        The one tile of a small square picture shows the whole of it again: without gradients it is seen once.
        """
        if torch.is_grad_enabled() or len(crops_NCHW) < 2:
            return self._states(crops_NCHW)
        new_N = torch.ones(len(crops_NCHW), dtype=torch.bool, device=crops_NCHW.device)
        new_N[1:] = (crops_NCHW[1:] != crops_NCHW[:-1]).flatten(1).any(1)
        return self._states(crops_NCHW[new_N])[new_N.cumsum(0) - 1]

    def _states(self, crops_NCHW: Tensor) -> Tensor:
        hidden = self.model.model.vision_tower(crops_NCHW, output_hidden_states=True).hidden_states
        states: Tensor = hidden[self.model.config.vision_feature_layer]
        return states

    def features(
        self,
        states_NPD: Tensor,
        counts: Sequence[int],
        sizes: Sequence[Size],
        contexts: Sequence[Sequence[int]] = (),
    ) -> list[Tensor]:
        """Project states and lay them out as LLaVA-OneVision does: one (tokens, H) tensor per image or clip.

        `counts`: crops per image. A single crop is the base view and one newline; several are the base view, then
        the tiles' rows, unpadded, with a newline after each row. Frames of a clip are pooled, and one newline ends
        them all. This projector reads no `contexts`.
        """
        inner = self.model.model
        projector = inner.multi_modal_projector
        projected = torch.split(projector(states_NPD.to(projector.linear_1.weight.dtype)), list(counts))
        pictures = [k for k, size in enumerate(sizes) if not is_clip(size)]
        packed: dict[int, Tensor] = {}
        if pictures:
            laid_out, _ = inner.pack_image_features(
                [projected[k] for k in pictures],
                torch.tensor([sizes[k] for k in pictures]),
                image_newline=inner.image_newline,
                vision_aspect_ratio=self.model.config.vision_aspect_ratio,
            )
            packed = dict(zip(pictures, laid_out, strict=True))
        for k in set(range(len(sizes))) - packed.keys():
            frames_TH = inner.apply_pooling(projected[k]).flatten(0, 1)
            packed[k] = torch.cat([frames_TH, inner.image_newline[None].to(frames_TH)])
        return [packed[k] for k in range(len(sizes))]

    def fingerprint(self) -> str:
        """Return what names the states of an image: the tower's weights, the layer read, the preprocessing."""
        tower, settings = self.model.model.vision_tower, self.processor.image_processor.to_dict()
        seeing = {"layer": self.model.config.vision_feature_layer}
        return fingerprint(tower.named_parameters(), settings | seeing)

    def products(self) -> tuple[Product, ...]:
        """Return the matrix products of a forward pass."""
        return llava_onevision(self.model.config)

    # -- sequences ----------------------------------------------------------------------------------------------------

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

        `lengths`: those of the conversations that share the one sequence of a pack, which then needs no attention mask.
        """
        seen = {"image": BaseModelOutputWithPooling(pooler_output=features)} if features else None
        masked = segments(lengths, ids_BT.device) if lengths else {"attention_mask": attention_BT}
        output = self.model(
            input_ids=ids_BT.masked_fill(ids_BT == self.model.config.video_token_id, self.image),
            **masked,
            mm_encoder_outputs=seen,
            use_cache=False,
            logits_to_keep=keep_BT if keep_BT is not None else 0,
        )
        logits: Tensor = output.logits
        return logits.view(-1, logits.shape[-1]) if keep_BT is not None else logits

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        features: list[Tensor],
        max_new_tokens: int,
        processors: Sequence[Any] = (),
        sizes: Sequence[Size] = (),
    ) -> Tensor:
        """Answer prompts greedily in one left-padded batch; see `seke.models.generate.answer`."""
        video = self.model.config.video_token_id
        placed = [[self.image if token == video else token for token in ids] for ids in prompts]
        return super().generate(placed, features, max_new_tokens, processors, sizes)

    @property
    def image(self) -> int:
        """Id that marks the places of features. Those of clips are taken for it inside of the model: the features of
        pictures and clips then keep their order, and whatever embedding a place had is replaced.
        """
        return int(self.model.config.image_token_id)

    # -- weights ------------------------------------------------------------------------------------------------------

    def part(self, parameter: str) -> str:
        """Return the part a named parameter belongs to: vision_tower, projector or language_model."""
        return next((part for prefix, part in PREFIXES.items() if parameter.startswith(prefix)), "language_model")

    def train_mode(self) -> None:
        """Set the model to training, without which neither adapters drop out nor activations are checkpointed."""
        self.model.train()

    def save(self, path: Path) -> None:
        """Write weights (safetensors), configuration, processor and chat template as the Hub has them.

        Adapters are merged, in place.
        """
        merge(self.model)
        with quiet():
            self.model.save_pretrained(path, state_dict=hub_state(self.model), save_original_format=False)
        llava_ov_processor.save(self.processor, path)


@dataclass
class LlavaOv(PartwiseFamily):
    """Which LLaVA-OneVision, and how it is tuned (conf/model/*.yaml)."""

    architecture = LlavaOnevisionForConditionalGeneration

    system: str | None = None
    """Opens conversations that have no system turn; "": nothing does; null: what the checkpoint was trained with."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.system, str | None):
            raise UserError("model.system", self.system, "no text", 'write it in quotes, or "" for none')

    @staticmethod
    def dead(parameter: str) -> bool:
        """Whether a parameter never gets a gradient: `hidden_states[-1]` is before the tower's post_layernorm."""
        return parameter.startswith("model.vision_tower.") and "post_layernorm" in parameter

    def files(self, source: str, weights: bool) -> CheckpointFiles:
        """Check a checkpoint's small files and read them; `weights`: whether these are fetched, too."""
        directory = fetched("model.path", source, weights)
        config = check_architecture(source, directory, "llava_onevision")
        check_numbers("model.path", source, config)
        check_processor_files(source, directory)
        processor = llava_ov_processor.read(directory, system=self.system)
        check_images(source, processor.tokenizer, "<image>", config.get("image_token_index"), directory)
        settings = LlavaOnevisionConfig.from_pretrained(directory)
        check_pictures(source, settings, processor)
        ends = {"eos_token_id": Chat(processor.tokenizer).end, "pad_token_id": processor.tokenizer.pad_token_id}
        return CheckpointFiles(directory, settings, processor, ends)

    def finished(self, model: Any, files: CheckpointFiles, source: str) -> TrainableVLM:
        """Return what training and answering ask of a model that is read."""
        return Loaded(model, files.processor, source)
