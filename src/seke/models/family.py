"""What the model families share: loading, freezing, conversations to tokens and answers. A family adds the rest."""

import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers.utils import logging as transformers_logging

from seke.core.errors import UserError
from seke.models.chat import Turn
from seke.models.checkpoint_checks import load_errors
from seke.models.checkpoint_files import check_numbers, read_weights
from seke.models.generate import answer
from seke.models.lora import Lora, is_adapter
from seke.models.protocol import Encoded, LabelMask, Role, Size, TrainableVLM, TurnLike
from seke.models.weight_checks import PLAINLY, check_answer, check_loaded, check_size, generation_config, warn_ignored


class CheckpointFiles(NamedTuple):
    """A checkpoint's directory, configuration and processor, checked."""

    directory: Path
    settings: Any
    """The transformers configuration."""
    processor: Any
    ends: Mapping[str, int]
    """Tokens that are known better than generation_config.json knows them, such as `eos_token_id`."""


class Text(Protocol):
    """How a family makes tokens of conversations; see `TrainableVLM`."""

    end: int

    def encode(self, conversations: Iterable[Sequence[Turn]], mask: LabelMask = "answer") -> list[Encoded]:
        """Return ids, label masks and contexts of whole conversations."""

    def prompts(self, conversations: Iterable[Sequence[Turn]]) -> list[list[int]]:
        """Return ids of conversations that the model is to go on with."""

    def contexts(self, conversations: Iterable[Sequence[Turn]]) -> Sequence[Sequence[int]]:
        """Return what the image encoder reads beside each conversation's images."""


PARTS: Final = ("vision_tower", "projector", "language_model")
"""What can be frozen, or given a learning rate of its own."""
SHORT: Final[Mapping[str, tuple[str, ...]]] = {"full": PARTS, "llm": ("language_model",)}


@dataclass
class LoadedModel(ABC):
    """A model with its processor; a family adds how it sees images, and computes logits."""

    model: Any
    processor: Any
    name: str
    """Directory or Hub id it came from."""
    text: Text = field(init=False, repr=False)

    @property
    @abstractmethod
    def patches(self) -> int:
        """How many states P the tower has of a crop."""

    @property
    @abstractmethod
    def decoder(self) -> Any:
        """What generates from embeddings: the whole model, or its language model."""

    @property
    def tile(self) -> int:
        """Side S of a crop in pixels."""
        return int(self.model.config.vision_config.image_size)

    @property
    def max_tokens(self) -> int:
        """How long a sequence may be: the language model knows no further positions."""
        return int(self.model.config.text_config.max_position_embeddings)

    @property
    def end(self) -> int:
        """Id of the token that ends an answer."""
        return int(self.text.end)

    @abstractmethod
    def image_tokens(self, size: Size) -> int:
        """Return how many features an image of this size takes in a sequence."""

    def seen_together(self, count: int, size: Size) -> Sequence[int]:
        """Return how many crops the tower attends to at once: those of the image, unless a family says otherwise."""
        return [count]

    def overview(self, size: Size) -> slice:
        """Return which crops of an image show the whole of it: the first, unless a family says otherwise."""
        return slice(0, 1)

    def nothing(self, states: bool) -> Tensor:
        """Return a black image, or, with `states`, what stands for its states: (1, 3, S, S) or (1, P, D), zeros."""
        width = self.model.config.vision_config.hidden_size
        shape = (1, self.patches, width) if states else (1, 3, self.tile, self.tile)
        return torch.zeros(shape, device=self.model.device, dtype=self.model.dtype)

    def try_out(self: TrainableVLM) -> None:
        """Read a black image and two tokens.

        Raises:
            UserError: if that fails, or gives no numbers.
        """
        with load_errors("model.path", self.name), torch.no_grad():
            features = self.features(self.see(self.nothing(states=False)), [1], [(self.tile, self.tile)])
            check_answer(features[0], self.logits(torch.full((1, 2), self.end, device=self.model.device), None, []))

    def encode(self, conversations: Iterable[Sequence[TurnLike]], mask: LabelMask = "answer") -> list[Encoded]:
        """Return ids, label masks and contexts of conversations: turns of (role, text, size of each image)."""
        return self.text.encode(self._turns(conversations), mask)

    def prompts(self, conversations: Iterable[Sequence[TurnLike]]) -> list[list[int]]:
        """Return ids of conversations that the model is to go on with."""
        return self.text.prompts(self._turns(conversations))

    def contexts(self, conversations: Iterable[Sequence[TurnLike]]) -> Sequence[Sequence[int]]:
        """Return what the image encoder reads beside each conversation's images."""
        return self.text.contexts(self._turns(conversations))

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        features: list[Tensor],
        max_new_tokens: int,
        processors: Sequence[Any] = (),
        sizes: Sequence[Size] = (),
    ) -> Tensor:
        """Answer prompts greedily in one left-padded batch; see `seke.models.generate.answer`."""
        pad = self.processor.tokenizer.pad_token_id
        image = self.model.config.image_token_id
        return answer(self.decoder, prompts, features, image, self.end, pad, max_new_tokens, processors)

    def decode(self, ids: Sequence[int]) -> str:
        """Return ids as text, special tokens left out."""
        return str(self.processor.tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def _turns(self, conversations: Iterable[Sequence[TurnLike]]) -> list[list[Turn]]:
        tokens = cache(self.image_tokens)  # most pictures of a dataset have one of a few sizes

        def turn(role: Role, text: str, sizes: Sequence[Size]) -> Turn:
            return Turn(role, text, tuple(map(tokens, sizes)), tuple(sizes))

        return [[turn(*one) for one in turns] for turns in conversations]


@dataclass
class CheckpointFamily(ABC):
    """Which checkpoint of a family, and how it is tuned (conf/model/*.yaml); a family adds which parts train."""

    architecture: ClassVar[Any]
    """transformers' class of the model."""

    path: str
    """Directory in Hugging Face layout, or Hub id."""
    dtype: str = "float32"
    """Type of the frozen weights, and of all when only answering."""
    lr: float = 1e-5
    lr_of: dict[str, float] | None = None
    """Learning rates of parts that differ from `lr`."""
    attention: str = "sdpa"
    """As transformers names it."""

    @abstractmethod
    def files(self, source: str, weights: bool) -> CheckpointFiles:
        """Check a checkpoint's small files and read them; `weights`: whether these are fetched, too."""

    @abstractmethod
    def finished(self, model: Any, files: CheckpointFiles, source: str) -> TrainableVLM:
        """Return what training and answering ask of a model that is read."""

    def load(self, path: str | Path | None = None, dtype: str | None = None) -> TrainableVLM:
        """Load model and processor, in eval mode, without code from the Hub; arguments default to the settings.

        Raises:
            UserError: if there is no such model here and the Hub cannot be reached, its files are not whole, or it is
                of another architecture.
        """
        source = str(path if path is not None else self.path)
        with load_errors("model.path", source), quiet():
            files = self.files(source, True)
            weights = read_weights("model.path", source, files.directory)
            check_numbers("model.path", source, files.settings.to_dict(), weights)
            check_size("model.path", source, lambda: self.architecture(files.settings), weights)
            config, ignored = generation_config(files.directory, **files.ends)
            model, found = self.architecture.from_pretrained(
                files.directory,
                dtype=getattr(torch, dtype or self.dtype),
                attn_implementation=self.attention,
                generation_config=config,
                **PLAINLY,
            )
            check_loaded("model.path", source, model, found)
        warn_ignored(source, ignored)
        return self.finished(model.eval(), files, source)

    def outline(self, dtype: str | None = None) -> TrainableVLM:
        """Return the model without its weights (on the device `meta`), with its processor: what is counted from.

        Raises:
            UserError: as `load`.
        """
        with load_errors("model.path", self.path), quiet():
            files = self.files(self.path, False)
            with torch.device("meta"):
                model = self.architecture._from_config(
                    files.settings, dtype=getattr(torch, dtype or self.dtype), attn_implementation=self.attention
                )
            model.tie_weights()
        return self.finished(model.eval(), files, self.path)


@dataclass
class PartwiseFamily(CheckpointFamily):
    """A family of a vision tower, a projector and a language model, each of which trains or not."""

    trainable: str | Sequence[str] = "full"
    """What SFT changes: full, or one part or several of vision_tower, projector, language_model (llm for short)."""
    lora: Any = None
    """Settings of `seke.models.lora.Lora`: adapters train in place of the language model's own weights; null: none."""

    def __post_init__(self) -> None:
        for part in self.trained:
            if part not in PARTS:
                raise UserError("model.trainable", part, "no such part", f"use full, llm, {', '.join(PARTS)}")
        for part in self.lr_of or {}:
            if part not in PARTS:
                raise UserError("model.lr_of", part, "no such part", f"use {', '.join(PARTS)}")
        if self.lora is not None:
            unknown = sorted(set(self.lora) - {field.name for field in fields(Lora)})
            if unknown:
                raise UserError("model.lora", unknown[0], "no such setting", "use r, alpha, dropout, targets")
            self.lora = Lora(**self.lora)

    @property
    def trained(self) -> tuple[str, ...]:
        """The parts that SFT changes, the language model through its adapters if there are any."""
        named = [self.trainable] if isinstance(self.trainable, str) else list(self.trainable)
        parts = tuple(part for name in named for part in SHORT.get(name, (name,)))
        return parts if self.lora is None or "language_model" in parts else (*parts, "language_model")

    def train(self, loaded: TrainableVLM) -> list[dict[str, Any]]:
        """Freeze what is to be frozen, and return AdamW's parameter groups, each with its `name` and `lr`."""
        if self.lora is not None:
            self.lora.attach(loaded.model, self.decoder)

        def tuned(name: str, part: str) -> bool:
            # Adapters stand for the whole language model, `image_newline` with it.
            stood_for = self.lora is not None and part == "language_model" and not is_adapter(name)
            return part in self.trained and not stood_for

        groups = parameter_groups(loaded, tuned, self.lr, self.lr_of, self.dtype, self.dead)
        if not groups:
            raise UserError("model.trainable", list(self.trained), "nothing is left to train", "name one part")
        return groups

    decoder: ClassVar[str] = "model.language_model."
    """Prefix of the language model's layers, which adapters are put into."""

    @staticmethod
    def dead(parameter: str) -> bool:
        """Whether a parameter never gets a gradient."""
        return False


def parameter_groups(
    loaded: TrainableVLM,
    tuned: Callable[[str, str], bool],
    lr: float,
    lr_of: Mapping[str, float] | None,
    dtype: str,
    dead: Callable[[str], bool] = lambda name: False,
) -> list[dict[str, Any]]:
    """Freeze all parameters but those that are tuned, in place, and put the model into training mode.

    Args:
        loaded: the model.
        tuned: whether a parameter is, by its name and its part. All others are kept in `dtype`: frozen weights need
            no float32, and what passes between the parts is cast there.
        lr: learning rate.
        lr_of: that of a part, where it is another.
        dtype: as torch names it.
        dead: whether a parameter of this name never gets a gradient, on one of which DDP insists.

    Returns:
        A group of each part that has any: its "name", "params" and "lr".
    """
    groups: dict[str, list[Tensor]] = {}
    for name, parameter in loaded.model.named_parameters():
        part = loaded.part(name)
        trains = tuned(name, part)
        parameter.requires_grad_(trains and not dead(name))
        if not trains:
            parameter.data = parameter.data.to(getattr(torch, dtype))
        if parameter.requires_grad:
            groups.setdefault(part, []).append(parameter)
    loaded.train_mode()
    return [{"name": part, "params": params, "lr": (lr_of or {}).get(part, lr)} for part, params in groups.items()]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' loading chatter; errors still come as exceptions."""
    before, root = transformers_logging.get_verbosity(), logging.getLogger("transformers")
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
        root.propagate = False
