"""InstructBLIP for training and answering: transformers' own model, its Q-Former tuned, all else frozen.

    image -> ViT -> post_layernorm -> Q-Former(queries, instruction) -> language_projection -> LLaMA
                                                         (InstructBLIP, Dai et al. 2023, Figure 3; EmoVIT, Figure 2)

The ViT's output before `post_layernorm` ("states") is a value of its own: it is computed once per image and kept,
whether or not that normalisation (LAVIS's `ln_vision`) is trained.
Shapes: N images, P patches and the class token, D width of the ViT, Q queries, B sequences, T tokens, H width of the
language model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from transformers import InstructBlipConfig, InstructBlipForConditionalGeneration, InstructBlipProcessor
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from seke.core.errors import UserError
from seke.models.checkpoint_checks import check_architecture, check_processor_files
from seke.models.checkpoint_files import check_numbers, fetched
from seke.models.family import CheckpointFamily, CheckpointFiles, LoadedModel, parameter_groups, quiet
from seke.models.fingerprint import fingerprint
from seke.models.generate import insert_features
from seke.models.instructblip_text import Instructions
from seke.models.matrix_products import instructblip
from seke.models.protocol import Pixels, Product, Size, TrainableVLM
from seke.models.weight_checks import generation_config

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

PARTS = {
    "vision_model.post_layernorm.": "ln_vision",
    "vision_model.": "vision_tower",
    "query_tokens": "qformer",
    "qformer.": "qformer",
    "language_projection.": "projector",
    "language_model.": "language_model",
}
"""The part that a parameter's prefix says it belongs to; the first prefix that fits counts."""
TRAINED = ("qformer", "projector")
"""What InstructBLIP's authors tune: Q-Former with its queries, and the projection into the language model."""


@dataclass
class Loaded(LoadedModel):
    """A model with its processor, and everything that training and answering ask of them."""

    packs: ClassVar[bool] = False
    """Whether several conversations may share a sequence."""

    def __post_init__(self) -> None:
        config = self.model.config
        positions = config.qformer_config.max_position_embeddings
        self.text = Instructions(
            self.processor.tokenizer, self.processor.qformer_tokenizer, config.image_token_id, positions
        )

    @property
    def decoder(self) -> Any:
        """The language model generates from embeddings."""
        return self.model.language_model

    @property
    def patches(self) -> int:
        """Patches of an image and the class token."""
        return int((self.tile // self.model.config.vision_config.patch_size) ** 2) + 1

    # -- images -------------------------------------------------------------------------------------------------------

    def pixels(self, picture: "Picture") -> Pixels:
        """Preprocess one RGB picture: squeezed into the ViT's square, as the processor does."""
        crops = self.processor.image_processor([picture], return_tensors="pt")["pixel_values"]
        return Pixels(crops, (picture.height, picture.width))

    def image_tokens(self, size: Size) -> int:
        """Return how many tokens an image takes: one a query, whatever its (height, width)."""
        return int(self.model.config.num_query_tokens)

    def crops(self, size: Size) -> int:
        """Return how many crops of an image the tower sees: the whole image, whatever its size."""
        return 1

    def see(self, crops_NCHW: Tensor, counts: Sequence[int] = (), sizes: Sequence[Size] = ()) -> Tensor:
        """Run the ViT: states (N, P, D) of its last layer, not yet normalised."""
        vision = self.model.vision_model
        states: Tensor = vision.encoder(inputs_embeds=vision.embeddings(crops_NCHW)).last_hidden_state
        return states

    def features(
        self,
        states_NPD: Tensor,
        counts: Sequence[int],
        sizes: Sequence[Size],
        contexts: Sequence[Sequence[int]] = (),
    ) -> list[Tensor]:
        """Return one (Q, H) tensor per image: what its queries found, led by the instruction in `contexts`.

        Every image has one crop, so `counts` and `sizes` say nothing. An image without a context is read under the
        empty instruction, [CLS] [SEP], so that the Q-Former's text weights always take part.
        """
        inner = self.model
        norm = inner.vision_model.post_layernorm
        seen_NPD = norm(states_NPD.to(norm.weight.dtype)).to(inner.language_projection.weight.dtype)
        ids_NT, mask_NT = self._read(contexts or [()] * len(states_NPD))
        queries_NQD = inner.query_tokens.expand(len(states_NPD), -1, -1)
        hidden = inner.qformer(
            input_ids=ids_NT,
            attention_mask=torch.cat([mask_NT.new_ones(queries_NQD.shape[:2]), mask_NT], dim=1),
            query_embeds=queries_NQD,
            encoder_hidden_states=seen_NPD,
        ).last_hidden_state
        return list(inner.language_projection(hidden[:, : queries_NQD.shape[1]]))

    def _read(self, contexts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Return the Q-Former's ids and attention mask, right-padded."""
        reader, device = self.processor.qformer_tokenizer, self.model.device
        texts = [list(context) or reader("")["input_ids"] for context in contexts]
        width = max(map(len, texts))
        ids = [text + [reader.pad_token_id] * (width - len(text)) for text in texts]
        mask = [[1] * len(text) + [0] * (width - len(text)) for text in texts]
        return torch.tensor(ids, device=device), torch.tensor(mask, device=device)

    def fingerprint(self) -> str:
        """Return what names the states of an image: the ViT's weights and the preprocessing."""
        vision = self.model.vision_model
        weights = [(name, weight) for name, weight in vision.named_parameters() if "post_layernorm" not in name]
        return fingerprint(weights, self.processor.image_processor.to_dict())

    def products(self) -> tuple[Product, ...]:
        """Return the matrix products of a forward pass."""
        return instructblip(self.model.config)

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
        """Return logits (B, T, V), or (kept, V) at the positions that `keep_BT` marks: the head runs on those alone."""
        assert not lengths, "this attention cannot keep the conversations of a pack apart"
        decoder = self.model.language_model
        seen_BTH = insert_features(
            decoder.get_input_embeddings()(ids_BT), ids_BT == self.model.config.image_token_id, features
        )
        hidden = decoder.base_model(inputs_embeds=seen_BTH, attention_mask=attention_BT, use_cache=False)[0]
        logits: Tensor = decoder.get_output_embeddings()(hidden if keep_BT is None else hidden[keep_BT])
        return logits

    # -- weights ------------------------------------------------------------------------------------------------------

    def part(self, parameter: str) -> str:
        """Return the part a named parameter belongs to, one of `PARTS`."""
        return next(part for prefix, part in PARTS.items() if parameter.startswith(prefix))

    def train_mode(self) -> None:
        """Set the Q-Former to training (its dropout acts) and everything else to evaluation."""
        self.model.eval()
        self.model.qformer.train()

    def save(self, path: Path) -> None:
        """Write weights (safetensors), configuration, processor and both tokenizers in Hugging Face layout."""
        config = self.model.config
        config.dtype = next(self.model.parameters()).dtype
        # The Hub's configuration names LLaMA's eos as it was before the tokenizer got its own: answers would not end.
        for holder in (config.text_config, self.model.generation_config, self.model.language_model.generation_config):
            holder.eos_token_id, holder.pad_token_id = self.end, self.processor.tokenizer.pad_token_id
        with quiet():
            self.model.save_pretrained(path)
            self.processor.save_pretrained(path)


@dataclass
class InstructBlip(CheckpointFamily):
    """Which InstructBLIP, and how it is tuned (conf/model/*.yaml); its language model is a decoder (Vicuna)."""

    architecture = InstructBlipForConditionalGeneration

    ln_vision: bool = False
    """Whether the normalisation of the ViT's output is trained too, as LAVIS does."""

    def __post_init__(self) -> None:
        for part in self.lr_of or {}:
            if part not in self.trained:
                raise UserError("model.lr_of", part, "is not trained", f"use {', '.join(self.trained)}")

    @property
    def trained(self) -> tuple[str, ...]:
        """The parts that SFT changes."""
        return (*TRAINED, "ln_vision") if self.ln_vision else TRAINED

    def train(self, loaded: TrainableVLM) -> list[dict[str, Any]]:
        """Freeze all but what is tuned, and return AdamW's parameter groups, each with its `name` and `lr`."""
        return parameter_groups(loaded, lambda _, part: part in self.trained, self.lr, self.lr_of, self.dtype)

    def files(self, source: str, weights: bool) -> CheckpointFiles:
        """Check a checkpoint's small files and read them; `weights`: whether these are fetched, too."""
        directory = fetched("model.path", source, weights)
        config = check_architecture(source, directory, "instructblip")
        check_numbers("model.path", source, config)
        check_processor_files(source, directory, ("", "qformer_tokenizer/"))
        settings = InstructBlipConfig.from_pretrained(directory)
        processor = InstructBlipProcessor.from_pretrained(directory, trust_remote_code=False, local_files_only=True)
        # Never another backend: without torchvision this is what loads, and its pixels differ a little.
        processor.image_processor = BlipImageProcessorPil.from_pretrained(directory, local_files_only=True)
        _check(source, config, settings, processor)
        ends = {f"{name}_token_id": getattr(processor.tokenizer, f"{name}_token_id") for name in ("eos", "pad")}
        return CheckpointFiles(directory, settings, processor, ends)

    def finished(self, model: Any, files: CheckpointFiles, source: str) -> TrainableVLM:
        """Return what training and answering ask of a model that is read."""
        model.language_model.generation_config = generation_config(files.directory, **files.ends)[0]
        return Loaded(model, files.processor, source)


def _check(source: str, config: dict[str, Any], settings: Any, processor: Any) -> None:
    """Refuse what is no InstructBLIP with a decoder, or whose processor belongs to another."""
    inner = (config.get("text_config") or {}).get("model_type", "opt")
    if inner == "t5":
        problem = "its language model, t5, is an encoder-decoder"
        raise UserError("model.path", source, problem, "use Salesforce/instructblip-vicuna-7b")
    image = processor.tokenizer.convert_tokens_to_ids("<image>")
    if settings.image_token_id != image:
        problem = f"image token {settings.image_token_id} in config.json, {image} in its tokenizer"
        raise UserError("model.path", source, problem, "take a newer revision of the checkpoint")
    tile, pictures = settings.vision_config.image_size, processor.image_processor
    shown = {(pictures.size or {}).get(side) for side in ("height", "width")}
    sound = {
        "num_query_tokens": processor.num_query_tokens in (None, settings.num_query_tokens),
        "size": shown == {tile},
        "image_std": len(pictures.image_std or ()) == 3 and all(float(value) > 0 for value in pictures.image_std),
        "vocab_size": max(processor.tokenizer.get_vocab().values(), default=0) < settings.text_config.vocab_size,
        "qformer_config.vocab_size": max(processor.qformer_tokenizer.get_vocab().values(), default=0)
        < settings.qformer_config.vocab_size,
    }
    for name, fits in sound.items():
        if not fits:
            problem = f"{name} of its processor and of its model do not fit together"
            raise UserError("model.path", source, problem, "use the processor that belongs to this checkpoint")
