"""InternVL for training and answering: tiles of one size in the picture's own shape, then the whole picture.

    image -> 1 to 12 tiles of 448 x 448 pixels and the whole -> InternViT -> 2 x 2 patches put together -> Qwen
                                                                              (InternVL 1.5, Chen et al. 2024, Figure 4)

These are the checkpoints that transformers has a class for (names that end in -hf): 2.5, 3 and 3.5.
Shapes: N crops, P states a crop, D width of the tower, H width of the language model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor
from transformers import InternVLConfig, InternVLForConditionalGeneration, InternVLProcessor
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

from seke.core.errors import UserError
from seke.models import matrix_products
from seke.models.chat import Turn
from seke.models.native import NativeFamily
from seke.models.processor_parts import ProcessorFiles, without_videos
from seke.models.protocol import Pixels, Product, Size
from seke.models.tiles import TiledLoaded

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MOST_TILES = 40
"""Of a picture; the published models are trained with up to 12."""


@dataclass
class Loaded(TiledLoaded):
    """A model with its processor, and everything that training and answering ask of them."""

    parts: ClassVar[Mapping[str, str]] = {
        "model.vision_tower.": "vision_tower",
        "model.multi_modal_projector.": "projector",
    }
    image = "<IMG_CONTEXT>"
    ends = "<|im_end|>"

    @property
    def tower(self) -> Any:
        """The vision tower."""
        return self.model.model.vision_tower

    @property
    def tile(self) -> int:
        """Side of a crop in pixels."""
        return _side(self.model.config.vision_config.image_size)

    @property
    def patches(self) -> int:
        """States of a crop that are read: those of its patches."""
        return (self.tile // _side(self.model.config.vision_config.patch_size)) ** 2

    def pixels(self, picture: "Picture") -> Pixels:
        """Preprocess one RGB picture: its tiles, row by row, then, where there are several, the whole of it."""
        crops = self.processor.image_processor([picture], crop_to_patches=True, return_tensors="pt")["pixel_values"]
        return Pixels(crops, (picture.height, picture.width))

    def crops(self, size: Size) -> int:
        """Return how many crops of an image the tower sees."""
        return int(self.processor.image_processor.get_number_of_image_patches(*size, {"crop_to_patches": True}))

    @property
    def crop_tokens(self) -> int:
        """How many tokens a crop takes in a sequence."""
        return int(self.processor.image_seq_length)

    def layout(self, turn: Turn, number: int) -> list[int]:
        """Return the ids of an image: its tokens between the two that open and close it."""
        inner = super().layout(turn, number)
        return [self.processor.start_image_token_id, *inner, self.processor.end_image_token_id]

    def see(self, crops_NCHW: Tensor, counts: Sequence[int] = (), sizes: Sequence[Size] = ()) -> Tensor:
        """Run the vision tower: states (N, P, D) of the layer that the projector reads, without the class token."""
        config, layer = self.model.config, self.model.config.vision_feature_layer
        seen = self.tower(pixel_values=crops_NCHW, output_hidden_states=layer != -1)
        states: Tensor = seen.last_hidden_state if layer == -1 else seen.hidden_states[layer]
        return states[:, 1:] if config.vision_feature_select_strategy == "default" else states

    def projected(self, states_NPD: Tensor) -> Tensor:
        """Put patches together and project them: (N, crop tokens, H)."""
        inner = self.model.model
        side = int(states_NPD.shape[1] ** 0.5)
        typed = states_NPD.to(inner.multi_modal_projector.linear_1.weight.dtype)
        square = typed.reshape(len(typed), side, side, -1)
        shuffled = inner.pixel_shuffle(square, scale_factor=self.model.config.downsample_ratio)
        seen: Tensor = inner.multi_modal_projector(shuffled.flatten(1, 2))
        return seen

    def products(self) -> tuple[Product, ...]:
        """Return the matrix products of a forward pass."""
        config = self.model.config
        patch, factor = _side(config.vision_config.patch_size), round(1 / config.downsample_ratio)
        return matrix_products.shuffled(config, self.tile, patch, factor, config.text_config.hidden_size, extra=1)


@dataclass
class InternVl(NativeFamily):
    """Which InternVL, and how it is tuned (conf/model/*.yaml)."""

    kind = "internvl"
    architecture = InternVLForConditionalGeneration
    configuration = InternVLConfig
    processor = InternVLProcessor
    pictures = GotOcr2ImageProcessorPil
    loaded = Loaded

    max_patches: int | None = None
    """Tiles of a picture at most, the whole of it not counted; null: as the checkpoint has it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        most = self.max_patches
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST_TILES):
            raise UserError("model.max_patches", most, f"not from 1 to {MOST_TILES} tiles", "use 12, or null")

    def changed(self, pictures: Any) -> dict[str, Any]:
        """Return how many tiles a picture may have, where another number is asked for than the checkpoint's."""
        return {"max_patches": self.max_patches} if self.max_patches not in (None, pictures.max_patches) else {}

    def processed(self, pictures: Any, tokenizer: Any, files: ProcessorFiles) -> Any:
        """Return the processor of its parts."""
        length = int(files.settings().get("image_seq_length", 256))
        return without_videos(InternVLProcessor)(
            pictures, tokenizer, chat_template=files.template(), image_seq_length=length
        )

    def check(self, source: str, config: Any, processor: Any) -> Mapping[str, bool]:
        """Return what of a configuration and a processor must fit together, and whether it does."""
        vision, pictures = config.vision_config, processor.image_processor
        side, patch = _side(vision.image_size), _side(vision.patch_size)
        layer = config.vision_feature_layer
        return {
            "size": {dict(pictures.size).get(name) for name in ("height", "width")} == {side},
            "image_seq_length": processor.image_seq_length
            == config.image_seq_length
            == int((side // patch) ** 2 * config.downsample_ratio**2),
            "max_patches": 1 <= pictures.min_patches <= pictures.max_patches <= MOST_TILES,
            "vision_feature_layer": isinstance(layer, int) and -vision.num_hidden_layers <= layer < 0,
            "vision_feature_select_strategy": config.vision_feature_select_strategy == "default",
        }


def _side(value: Any) -> int:
    """Return the side of a square that a configuration gives as one number or as two."""
    sides = {int(side) for side in value} if isinstance(value, list | tuple) else {int(value)}
    if len(sides) != 1:
        raise ValueError(f"tiles or patches of {sorted(sides)} are not square")
    return sides.pop()
