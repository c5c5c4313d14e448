"""What families share that transformers has a class for: a tower, a projector, a decoder, and a chat template.

    conf/model/<name>.yaml -> NativeFamily -> .load() -> NativeLoaded

A family is one module: a `NativeLoaded` with how it sees images, and a `NativeFamily` that names transformers' classes.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from seke.core.errors import UserError
from seke.models.chat import Turn
from seke.models.checkpoint_checks import check_architecture, check_images, check_processor_files
from seke.models.checkpoint_files import check_numbers, fetched
from seke.models.family import CheckpointFiles, LoadedModel, PartwiseFamily, quiet
from seke.models.fingerprint import fingerprint
from seke.models.generate import insert_features
from seke.models.lora import merge
from seke.models.packed_attention import PACKED, install, segments
from seke.models.processor_parts import ProcessorFiles, without_videos
from seke.models.protocol import Size, TrainableVLM
from seke.models.template_chat import TemplateChat


@dataclass
class NativeLoaded(LoadedModel):
    """A model with its processor; a family adds how it sees images, and computes logits."""

    files: ProcessorFiles
    """What the processor was read from."""
    parts: ClassVar[Mapping[str, str]]
    """The part that a parameter's prefix says it belongs to; the first that fits counts, and all else is the LLM."""
    image: ClassVar[str]
    """How the chat template writes an image."""
    video: ClassVar[str | None] = None
    """How it writes a clip; None: the family reads none."""
    ends: ClassVar[str]
    """The token that ends an answer."""

    def __post_init__(self) -> None:
        self.text = TemplateChat(self.name, self.processor, self.image, self.layout, self.ends, self.video)
        self.packs = install(self.model)
        """Whether several conversations may share a sequence; some attentions cannot keep them apart."""

    @property
    def decoder(self) -> Any:
        """The whole model generates from embeddings."""
        return self.model

    @property
    @abstractmethod
    def tower(self) -> Any:
        """The vision tower, projectors that transformers keeps in it included."""

    def layout(self, turn: Turn, number: int) -> list[int]:
        """Return the ids that an image of a turn becomes in a sequence: image tokens, unless a family has more."""
        return [int(self.model.config.image_token_id)] * turn.images[number]

    def part(self, parameter: str) -> str:
        """Return the part a named parameter belongs to: vision_tower, projector or language_model."""
        return next((part for prefix, part in self.parts.items() if parameter.startswith(prefix)), "language_model")

    def train_mode(self) -> None:
        """Set the model to training, without which neither adapters drop out nor activations are checkpointed."""
        self.model.train()

    def fingerprint(self) -> str:
        """Return what names the states of an image: the tower's weights and the preprocessing."""
        named = [(n, w) for n, w in self.model.named_parameters() if self.part(n) == "vision_tower"]
        return fingerprint(named, self.processor.image_processor.to_dict())

    def masks(self, attention_BT: Tensor | None, lengths: Sequence[int], device: torch.device) -> dict[str, Any]:
        """Return the arguments by which the decoder keeps padding away, or the conversations of a pack apart."""
        if not lengths:
            return {"attention_mask": attention_BT}
        kept = segments(lengths, device)
        # Our attentions read the lengths; a mask of four dimensions has transformers make none of its own, L x L.
        ours = str(self.model.config.text_config._attn_implementation).startswith(PACKED)
        return kept | {"attention_mask": torch.zeros(1, 1, 1, 1, device=device) if ours else None}

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

        `lengths`: those of the conversations that share the one sequence of a pack.
        """
        embedded_BTH = self.model.get_input_embeddings()(ids_BT)
        output = self.model(
            inputs_embeds=insert_features(embedded_BTH, ids_BT == self.model.config.image_token_id, features),
            **self.masks(attention_BT, lengths, ids_BT.device),
            use_cache=False,
            logits_to_keep=keep_BT if keep_BT is not None else 0,
        )
        logits: Tensor = output.logits
        return logits.view(-1, logits.shape[-1]) if keep_BT is not None else logits

    def save(self, path: Path) -> None:
        """Write weights (safetensors) and configuration, and the processor's files as they were published.

        Adapters are merged, in place.
        """
        merge(self.model)
        self.model.config.dtype = next(self.model.parameters()).dtype
        with quiet():
            self.model.save_pretrained(path)
        self.files.save(path)


@dataclass
class NativeFamily(PartwiseFamily):
    """Which checkpoint of a family, and how it is tuned (conf/model/*.yaml)."""

    kind: ClassVar[str]
    """`model_type` in config.json."""
    configuration: ClassVar[Any]
    """transformers' class of the configuration."""
    processor: ClassVar[Any]
    """That of the processor."""
    pictures: ClassVar[Any]
    """The Pillow variant of its image processor."""
    loaded: ClassVar[type[NativeLoaded]]

    def changed(self, pictures: Any) -> dict[str, Any]:
        """Return the settings of the image processor that are asked to differ from the checkpoint's."""
        return {}

    def processed(self, pictures: Any, tokenizer: Any, files: ProcessorFiles) -> Any:
        """Return the processor of its parts."""
        return without_videos(self.processor)(pictures, tokenizer, chat_template=files.template())

    @abstractmethod
    def check(self, source: str, config: Any, processor: Any) -> Mapping[str, bool]:
        """Return by name what of a configuration and a processor must fit together, and whether it does."""

    def files(self, source: str, weights: bool) -> CheckpointFiles:
        """Check a checkpoint's small files and read them; `weights`: whether these are fetched, too."""
        directory = fetched("model.path", source, weights)
        config = check_architecture(source, directory, self.kind)
        check_numbers("model.path", source, config)
        check_processor_files(source, directory)
        files = ProcessorFiles.read(source, directory)
        pictures, tokenizer = files.images(self.pictures), files.tokenizer()
        changed = self.changed(pictures)
        for name, value in changed.items():
            setattr(pictures, name, value)
        processor = self.processed(pictures, tokenizer, files)
        processor.files = files._replace(changed=changed)
        settings = self.configuration.from_pretrained(directory)
        check_images(source, tokenizer, self.loaded.image, settings.image_token_id, directory)
        largest = max(tokenizer.get_vocab().values(), default=0)
        std = [float(value) for value in pictures.image_std or ()]
        fits = {
            **self.check(source, settings, processor),
            "image_std": len(std) == 3 and all(value > 0 for value in std),
            "vocab_size": largest < settings.get_text_config().vocab_size,
        }
        for name, sound in fits.items():
            if not sound:
                problem = f"{name} of its processor and of its model do not fit together"
                raise UserError("model.path", source, problem, "use the processor that belongs to this checkpoint")
        end = tokenizer.convert_tokens_to_ids(self.loaded.ends)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = self.loaded.ends
        return CheckpointFiles(
            directory, settings, processor, {"eos_token_id": end, "pad_token_id": tokenizer.pad_token_id}
        )

    def finished(self, model: Any, files: CheckpointFiles, source: str) -> TrainableVLM:
        """Return what training and answering ask of a model that is read."""
        made: Any = self.loaded
        loaded: TrainableVLM = made(model, files.processor, source, files.processor.files)
        return loaded
