"""Protocols of a model family: a vision LLM as training and local answering use it.

    conf/model/<name>.yaml -> Family -> .load() -> TrainableVLM: a LoadedVLM, and what training needs beside it

A new family is one module with these two (as `llava_ov.py` and `instructblip.py` have them) and one YAML. `family.py`
has what two families share; nobody need inherit from it. Nothing here imports torch, so that every room may name these
types.

A crop is what an image is cut into, square: a tile of AnyRes, or, where a tower reads pictures at their own resolution,
the cell of its grid that becomes one token. How many there are, and of how many tokens, follows from an image's size.

Shapes: N crops, S side of a crop in pixels, P patches a crop, D width of the vision tower (times the layers of it that
are read), B sequences, T tokens, V words of the vocabulary, H width of the language model (times the layers of it that
read images).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from torch import Tensor
    from transformers import PreTrainedModel, ProcessorMixin

Role = Literal["system", "user", "assistant"]
LabelMask = Literal["answer", "llava_next"]
"""Which tokens carry loss: what the model says and the token that ends it, or as LLaVA-NeXT masks."""
Size = tuple[int, ...]
"""Height and width of a picture as it came, in pixels; of a clip how many frames it has, their height and width, and,
where it is known, the milliseconds from one to the next."""
TurnLike = tuple[Role, str, tuple[Size, ...]]
"""A turn of a conversation: who speaks, the text, and the size of each of its images."""


class Pixels(NamedTuple):
    """One image, ready for the tower."""

    crops: "Tensor"
    """(N, 3, S, S), normalised, in the order in which the tower's states stand for the image's tokens."""
    size: Size


def is_clip(size: Size) -> bool:
    """Whether a size is that of a clip.

    >>> is_clip((480, 640)), is_clip((8, 480, 640)), is_clip((8, 480, 640, 250))
    (False, True, True)
    """
    return len(size) > 2


def clip_size(frames: int, frame: Size, between: int) -> Size:
    """Return the size of a clip.

    Args:
        frames: how many it has.
        frame: height and width of each.
        between: milliseconds from one to the next; 0: unknown.

    >>> clip_size(8, (480, 640), 0), clip_size(8, (480, 640), 250)
    ((8, 480, 640), (8, 480, 640, 250))
    """
    return (frames, *frame[-2:], *((between,) if between else ()))


class Product(NamedTuple):
    """A kind of matrix product: its FLOPs a unit of `Work` (`training.data.flops`), what its gradients depend on."""

    part: str
    unit: str
    flops: float
    """Forward, for one of the unit."""
    weight: bool = True
    """Whether a weight is one factor; if not, both are activations (attention)."""
    first: bool = False
    """Whether it reads nothing that its own part has computed."""
    after: tuple[str, ...] = ()
    """The parts whose output it reads, at first hand or not."""


class Encoded(NamedTuple):
    """A conversation as token ids, and which of them carry loss."""

    ids: list[int]
    supervised: list[bool]
    context: Sequence[int] = ()
    """What the image encoder reads beside the image: an instruction-aware Q-Former the instruction, others nothing."""


@runtime_checkable
class LoadedVLM(Protocol):
    """A model with its processor, ready to answer.

    An image goes `pixels` -> `see` -> `features`, a conversation `prompts` -> `generate` -> `decode`. Each answer may
    depend on its own conversation alone, never on what shares its batch.
    """

    model: "PreTrainedModel"
    """transformers' own model; its `device` and `dtype` are those of what `see` is given."""
    processor: "ProcessorMixin"
    """Has a `tokenizer` with a `pad_token_id`."""
    name: str
    """Directory or Hub id it came from."""

    @property
    def end(self) -> int:
        """Id of the token that ends an answer."""
        ...

    def pixels(self, picture: "Picture") -> Pixels:
        """Preprocess one RGB picture; called from several threads at once.

        Raises:
            ImageError: as `image_tokens`.
        """
        ...

    def image_tokens(self, size: Size) -> int:
        """Return how many features an image of this size takes in a sequence, exactly, without reading a pixel.

        Raises:
            ImageError: if the family does not read pictures of this size.
        """
        ...

    def overview(self, size: Size) -> slice:
        """Return which crops of an image of this size show the whole of it, once."""
        ...

    def see(self, crops_NCHW: "Tensor", counts: Sequence[int] = (), sizes: Sequence[Size] = ()) -> "Tensor":
        """Run the vision tower: states (N, P, D), from crops (N, 3, S, S) on the model's device, in its type.

        Args:
            crops_NCHW: of all images, one after another.
            counts: crops of each image; their sum is N. Families that see each crop by itself need not be told.
            sizes: of each image.
        """
        ...

    def features(
        self,
        states_NPD: "Tensor",
        counts: Sequence[int],
        sizes: Sequence[Size],
        contexts: Sequence[Sequence[int]] = (),
    ) -> list["Tensor"]:
        """Return what the language model reads of each image: (tokens, H), with `image_tokens(size)` tokens.

        Args:
            states_NPD: of all images, one after another.
            counts: crops of each image; their sum is N.
            sizes: of each image.
            contexts: what is read beside each image, see `contexts`; () for every image: nothing.
        """
        ...

    def prompts(self, conversations: Iterable[Sequence[TurnLike]]) -> list[list[int]]:
        """Return ids of conversations that the model is to go on with, image tokens among them."""
        ...

    def contexts(self, conversations: Iterable[Sequence[TurnLike]]) -> Sequence[Sequence[int]]:
        """Return the token ids that the image encoder reads beside each conversation's images; () for nothing."""
        ...

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        features: list["Tensor"],
        max_new_tokens: int,
        processors: Sequence[Any] = (),
        sizes: Sequence[Size] = (),
    ) -> "Tensor":
        """Answer prompts in one batch; return the new ids (B, at most `max_new_tokens`), padded after `end`.

        Args:
            prompts: of different lengths, as `prompts` gives them.
            features: of all images, in the order of the prompts.
            max_new_tokens: cap on every answer.
            processors: transformers' LogitsProcessors, asked before each token; the largest logit is taken.
            sizes: of all images, for families whose positions are places in the image.
        """
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return ids as text, special tokens left out."""
        ...

    def try_out(self) -> None:
        """Read a black image and two tokens: a broken checkpoint is to be told before the first request.

        Raises:
            UserError: if that fails, or gives no numbers.
        """
        ...


@runtime_checkable
class TrainableVLM(LoadedVLM, Protocol):
    """A loaded model as training uses it."""

    @property
    def tile(self) -> int:
        """Side S of a crop in pixels."""
        ...

    @property
    def max_tokens(self) -> int:
        """How many tokens a sequence may have, those of images included."""
        ...

    @property
    def packs(self) -> bool:
        """Whether several conversations may share a sequence: whether `logits` keeps them apart by `lengths`."""
        ...

    def crops(self, size: Size) -> int:
        """Return how many crops `pixels` makes of an image of this size."""
        ...

    def seen_together(self, count: int, size: Size) -> Sequence[int]:
        """Return how many crops the tower attends to at once, each time it looks at an image of `count` crops.

        Their sum is what FLOPs are counted from: less than `count` where several frames of a clip are seen as one.
        """
        ...

    def products(self) -> tuple[Product, ...]:
        """Return the matrix products of a forward pass, from which FLOPs are counted."""
        ...

    def encode(self, conversations: Iterable[Sequence[TurnLike]], mask: LabelMask = "answer") -> list[Encoded]:
        """Return ids, which of them carry loss, and the context of each conversation; nothing is ever cut."""
        ...

    def logits(
        self,
        ids_BT: "Tensor",
        attention_BT: "Tensor | None",
        features: list["Tensor"],
        keep_BT: "Tensor | None" = None,
        lengths: Sequence[int] = (),
        sizes: Sequence[Size] = (),
    ) -> "Tensor":
        """Return logits (B, T, V), or (kept, V) at the positions that `keep_BT` marks: the head runs on those alone.

        Args:
            ids_BT: right-padded.
            attention_BT: 1 where there is a token; None: everywhere, for nothing looks at the padding to its right.
            features: of all images, in the order of their tokens.
            keep_BT: bool.
            lengths: those of the conversations that share the one sequence (B = 1); only where `packs`.
            sizes: of all images, for families whose positions are places in the image.
        """
        ...

    def nothing(self, states: bool) -> "Tensor":
        """Return a black image, or, with `states`, what stands for its states: (1, 3, S, S) or (1, P, D), zeros."""
        ...

    def part(self, parameter: str) -> str:
        """Return the part that a named parameter belongs to; the tower's is "vision_tower"."""
        ...

    def train_mode(self) -> None:
        """Put into training mode what is tuned, and what else needs it."""
        ...

    def fingerprint(self) -> str:
        """Return what names the states of an image: the tower's weights and the preprocessing, and nothing else."""
        ...

    def save(self, path: Path) -> None:
        """Write weights (safetensors), configuration and processor to a directory in Hugging Face layout."""
        ...


@runtime_checkable
class ReadsClips(Protocol):
    """A model that reads clips, beside `LoadedVLM`: where that takes an image's size, it takes a clip's as well.

    A clip's crops are those of its frames, one after another, so that a frame which several clips show is decoded once.
    """

    @property
    def frame_by_frame(self) -> bool:
        """Whether the tower sees each frame by itself, so that its states may be kept; if not, some at a time."""
        ...

    def frame(self, picture: "Picture", frames: int = 1) -> Pixels:
        """Preprocess one RGB picture as one of the frames of a clip: crops (N, 3, S, S), size (1, height, width).

        Args:
            picture: the frame.
            frames: how many the clip has, on which the resolution of each may depend.

        Raises:
            ImageError: if the family does not read frames of this size.
        """
        ...


class Loader(Protocol):
    """Which model is to answer."""

    path: str
    """Directory in Hugging Face layout, or Hub id."""

    def load(self, path: str | Path | None = None, dtype: str | None = None) -> LoadedVLM:
        """Load model and processor, in eval mode, without code from the Hub; arguments default to the settings.

        Raises:
            UserError: if there is no such model here and the Hub cannot be reached, or its files are not whole.
        """
        ...


class Family(Loader, Protocol):
    """Which model is to be tuned, and how: what conf/model/ offers."""

    dtype: str
    """Of the frozen weights, and of the exported model, as torch names it: float32, bfloat16, ..."""

    @property
    def trained(self) -> Sequence[str]:
        """The parts that training changes, as `TrainableVLM.part` names them."""
        ...

    def load(self, path: str | Path | None = None, dtype: str | None = None) -> TrainableVLM:
        """Load model and processor; see `Loader.load`."""
        ...

    def outline(self, dtype: str | None = None) -> TrainableVLM:
        """Return the model without its weights (on the device `meta`), with its processor: what is counted from.

        Raises:
            UserError: as `load`.
        """
        ...

    def train(self, loaded: TrainableVLM) -> list[dict[str, Any]]:
        """Freeze what is to be frozen, in place, and return the optimiser's groups.

        Returns:
            "name" (the part), "params" and "lr" of each group, which must not be empty.

        Raises:
            UserError: if nothing is left to train.
        """
        ...
