"""SmolVLM for training and answering: tiles of one size, each named by its row and column, then the whole picture.

    image -> tiles of 512 x 512 pixels and the whole -> SigLIP -> 4 x 4 patches put together -> SmolLM2
                                                                          (SmolVLM, Marafioti et al. 2025, Figure 4)

What a small picture becomes is a setting of the image processor, `longest_edge`: pictures are scaled to it before they
are cut, up as well as down. Up to the side of a tile there is one tile, which is the whole.
Shapes: N crops, P patches a crop, D width of the tower, H width of the language model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor
from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration, SmolVLMProcessor
from transformers.models.smolvlm.image_processing_pil_smolvlm import (
    MAX_IMAGE_SIZE,
    SmolVLMImageProcessorPil,
    _resize_output_size_rescale_to_max_len,
    _resize_output_size_scale_below_upper_bound,
)
from transformers.models.smolvlm.processing_smolvlm import get_image_prompt_string
from transformers.processing_utils import ProcessorMixin

from seke.core.errors import UserError
from seke.models import matrix_products
from seke.models.chat import Turn
from seke.models.native import NativeFamily
from seke.models.processor_parts import ProcessorFiles
from seke.models.protocol import Pixels, Product, Size
from seke.models.tiles import TiledLoaded

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


@lru_cache(maxsize=65536)
def tiles(size: Size, longest: int, side: int) -> tuple[int, int]:
    """Return rows and columns of the tiles of a picture; (0, 0): it is one tile.

    Args:
        size: height and width of the picture.
        longest: what its longer side is scaled to.
        side: of a tile.

    >>> tiles((480, 640), 2048, 512), tiles((100, 100), 512, 512)
    ((3, 4), (0, 0))
    """
    height, width = _resize_output_size_rescale_to_max_len(*size, max_len=longest)
    height, width = _resize_output_size_scale_below_upper_bound(height, width, max_len=MAX_IMAGE_SIZE)
    ratio = width / height
    if width >= height:
        wide = ceil(width / side) * side
        tall = ceil(int(wide / ratio) / side) * side
    else:
        tall = ceil(height / side) * side
        wide = ceil(int(tall * ratio) / side) * side
    return (tall // side, wide // side) if max(tall, wide) > side else (0, 0)


class ImageProcessor(SmolVLMProcessor):  # type: ignore[misc]
    """SmolVLMProcessor without its part for videos and the package that spells out their number of frames."""

    def __init__(
        self, image_processor: Any, tokenizer: Any, image_seq_len: int = 169, chat_template: str | None = None
    ) -> None:
        self.fake_image_token = getattr(tokenizer, "fake_image_token", "<fake_token_around_image>")
        self.image_token = getattr(tokenizer, "image_token", "<image>")
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.end_of_utterance_token = getattr(tokenizer, "end_of_utterance_token", "<end_of_utterance>")
        self.global_image_token = getattr(tokenizer, "global_image_token", "<global-img>")
        self.video_token = getattr(tokenizer, "video_token", "<video>")
        self.image_seq_len = image_seq_len
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    def apply_chat_template(self, conversation: Any, chat_template: str | None = None, **given: Any) -> Any:
        """Render as every processor does; SmolVLM's own asks its part for videos."""
        return ProcessorMixin.apply_chat_template(self, conversation, chat_template, **given)


@dataclass
class Loaded(TiledLoaded):
    """A model with its processor, and everything that training and answering ask of them."""

    parts: ClassVar[Mapping[str, str]] = {"model.vision_model.": "vision_tower", "model.connector.": "projector"}
    image = "<image>"
    ends = "<end_of_utterance>"

    @property
    def tower(self) -> Any:
        """The vision tower."""
        return self.model.model.vision_model

    @property
    def patches(self) -> int:
        """Patches of a crop; this tower has no class token."""
        return int((self.tile // self.model.config.vision_config.patch_size) ** 2)

    def tiles(self, size: Size) -> tuple[int, int]:
        """Return rows and columns of the tiles of an image; (0, 0): it is one tile."""
        pictures = self.processor.image_processor
        return tiles(size, pictures.size["longest_edge"], self.tile) if pictures.do_image_splitting else (0, 0)

    def pixels(self, picture: "Picture") -> Pixels:
        """Preprocess one RGB picture: its tiles, row by row, then the whole of it."""
        crops = self.processor.image_processor([picture], return_tensors="pt")["pixel_values"][0]
        return Pixels(crops, (picture.height, picture.width))

    def crops(self, size: Size) -> int:
        """Return how many crops of an image the tower sees."""
        rows, columns = self.tiles(size)
        return rows * columns + 1

    @property
    def crop_tokens(self) -> int:
        """How many tokens a crop takes in a sequence."""
        return int(self.processor.image_seq_len)

    def layout(self, turn: Turn, number: int) -> list[int]:
        """Return the ids of an image: every tile behind its row and column, then the whole."""
        return self._layout(self.tiles(turn.sizes[number]))

    def _layout(self, cut: tuple[int, int]) -> list[int]:
        if cut not in self._layouts:
            processor = self.processor
            text = get_image_prompt_string(
                *cut, processor.image_seq_len, fake_token_around_image=processor.fake_image_token,
                image_token=processor.image_token, global_image_token=processor.global_image_token,
            )  # fmt: skip
            self._layouts[cut] = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self._layouts[cut]

    def __post_init__(self) -> None:
        self._layouts: dict[tuple[int, int], list[int]] = {}
        super().__post_init__()

    def see(self, crops_NCHW: Tensor, counts: Sequence[int] = (), sizes: Sequence[Size] = ()) -> Tensor:
        """Run the vision tower: states (N, P, D), normalised."""
        states: Tensor = self.tower(pixel_values=crops_NCHW).last_hidden_state
        return states

    def projected(self, states_NPD: Tensor) -> Tensor:
        """Put patches together and project them: (N, crop tokens, H)."""
        connector = self.model.model.connector
        seen: Tensor = connector(states_NPD.to(connector.modality_projection.proj.weight.dtype))
        return seen

    def products(self) -> tuple[Product, ...]:
        """Return the matrix products of a forward pass."""
        config = self.model.config
        return matrix_products.shuffled(config, self.tile, config.vision_config.patch_size, config.scale_factor, 0)


@dataclass
class SmolVlm(NativeFamily):
    """Which SmolVLM, and how it is tuned (conf/model/*.yaml)."""

    kind = "smolvlm"
    architecture = SmolVLMForConditionalGeneration
    configuration = SmolVLMConfig
    processor = SmolVLMProcessor
    pictures = SmolVLMImageProcessorPil
    loaded = Loaded
    decoder = "model.text_model."

    longest_edge: int | None = None
    """The longer side of every picture is scaled to so many pixels before it is cut; null: as the checkpoint has it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        edge = self.longest_edge
        if edge is not None and (
            isinstance(edge, bool) or not isinstance(edge, int) or not 1 <= edge <= MAX_IMAGE_SIZE
        ):
            raise UserError("model.longest_edge", edge, f"not from 1 to {MAX_IMAGE_SIZE} pixels", "use 512, or null")

    def changed(self, pictures: Any) -> dict[str, Any]:
        """Return the size that pictures are scaled to, where another is asked for than the checkpoint's."""
        own = pictures.size["longest_edge"]
        return {"size": {"longest_edge": self.longest_edge}} if self.longest_edge not in (None, own) else {}

    def processed(self, pictures: Any, tokenizer: Any, files: ProcessorFiles) -> Any:
        """Return the processor of its parts."""
        length = files.settings().get("image_seq_len", 169)
        return ImageProcessor(pictures, tokenizer, image_seq_len=int(length), chat_template=files.template())

    def check(self, source: str, config: Any, processor: Any) -> Mapping[str, bool]:
        """Return what of a configuration and a processor must fit together, and whether it does."""
        vision, pictures = config.vision_config, processor.image_processor
        side = int(vision.image_size) // int(vision.patch_size)
        return {
            "max_image_size": dict(pictures.max_image_size) == {"longest_edge": vision.image_size},
            "image_seq_len": processor.image_seq_len == side**2 // config.scale_factor**2,
            "size": 0 < int(dict(pictures.size).get("longest_edge") or 0) <= MAX_IMAGE_SIZE,
        }
