"""What the model families share: loading, freezing, conversations to tokens and answers. A family adds the rest."""

import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers.utils import logging as transformers_logging

from seke.models.chat import Turn
from seke.models.checkpoint_checks import load_errors
from seke.models.checkpoint_files import check_numbers, read_weights
from seke.models.generate import answer
from seke.models.protocol import Encoded, LabelMask, TrainableVLM, TurnLike
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
        """Return ids, label masks and contexts of conversations: turns of (role, text, image tokens of each image)."""
        return self.text.encode(_turns(conversations), mask)

    def prompts(self, conversations: Iterable[Sequence[TurnLike]]) -> list[list[int]]:
        """Return ids of conversations that the model is to go on with."""
        return self.text.prompts(_turns(conversations))

    def contexts(self, conversations: Iterable[Sequence[TurnLike]]) -> Sequence[Sequence[int]]:
        """Return what the image encoder reads beside each conversation's images."""
        return self.text.contexts(_turns(conversations))

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        features: list[Tensor],
        max_new_tokens: int,
        processors: Sequence[Any] = (),
    ) -> Tensor:
        """Answer prompts greedily in one left-padded batch; see `seke.models.generate.answer`."""
        pad = self.processor.tokenizer.pad_token_id
        image = self.model.config.image_token_id
        return answer(self.decoder, prompts, features, image, self.end, pad, max_new_tokens, processors)

    def decode(self, ids: Sequence[int]) -> str:
        """Return ids as text, special tokens left out."""
        return str(self.processor.tokenizer.decode(ids, skip_special_tokens=True)).strip()


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


def _turns(conversations: Iterable[Sequence[TurnLike]]) -> list[list[Turn]]:
    return [[Turn(*turn) for turn in turns] for turns in conversations]


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
