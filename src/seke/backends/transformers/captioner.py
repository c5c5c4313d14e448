"""A captioning model as a `VLM`: BLIP-2, or whatever else transformers makes captions with; it only sees the picture.

    python generate.py generator=emovit captioner=blip2

What a request says is not read: such a model begins its caption from nothing, as EmoVIT's authors let it.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch

from seke.core import devices, images
from seke.core.errors import UserError
from seke.core.vlm import Choice, Image, Reply, Request, Usage
from seke.models.auto import load


class Captions:
    """Captions pictures with the model `model` on this machine.

    Args:
        model: a directory in Hugging Face layout, or a Hub id.
        beams: width of the beam search.
        batch_size: pictures captioned at once.
        device: cpu, cuda, cuda:<number> or auto.
        dtype: of the weights; auto is bfloat16 on a GPU and float32 on a CPU.

    Raises:
        UserError: for a setting out of range. Nothing is loaded before the first request.
    """

    def __init__(
        self, model: str, beams: int = 5, batch_size: int = 16, device: str = "auto", dtype: str = "auto"
    ) -> None:
        for name, value in (("beams", beams), ("batch_size", batch_size)):
            if value < 1:
                raise UserError(f"captioner.vlm.{name}", value, "less than 1", "use 1 or more")
        if dtype != "auto" and not isinstance(getattr(torch, dtype, None), torch.dtype):
            raise UserError("captioner.vlm.dtype", dtype, "no such type", "use auto, bfloat16, float16 or float32")
        self.model, self.beams, self.batch_size = model, beams, batch_size
        self.device = devices.chosen("captioner.vlm.device", device, torch.cuda.device_count())
        own = "float32" if self.device == "cpu" else "bfloat16"
        self.dtype: torch.dtype = getattr(torch, own if dtype == "auto" else dtype)
        self._loaded: tuple[Any, Any] | None = None

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield (index, reply), batch by batch; a picture that cannot be read is an invalid answer.

        Raises:
            UserError: if the model cannot be loaded.
        """
        numbered = iter(enumerate(requests))
        while batch := list(islice(numbered, self.batch_size)):
            seen: list[tuple[int, Request, Any]] = []
            for index, request in batch:
                try:
                    seen.append((index, request, _picture(request.images)))
                except (images.ImageError, OSError) as error:
                    yield index, Reply((Choice(str(error), "invalid"),), self.model, cost=0.0)
            if seen:
                cap = max(request.max_tokens for _, request, _ in seen)
                texts = self._captions([picture for _, _, picture in seen], cap)
                for (index, _, _), (text, tokens) in zip(seen, texts, strict=True):
                    yield index, Reply((Choice(text),), self.model, Usage(0, tokens), cost=0.0)

    def close(self) -> None:
        """Let go of the model; the next request loads it anew."""
        self._loaded = None

    @torch.inference_mode()
    def _captions(self, pictures: Sequence[Any], max_new_tokens: int) -> list[tuple[str, int]]:
        """Return each picture's caption and its number of tokens."""
        model, processor = self._load()
        pixels = processor.image_processor(list(pictures), return_tensors="pt").to(self.device, self.dtype)
        out = model.generate(**pixels, num_beams=self.beams, do_sample=False, max_new_tokens=max_new_tokens)
        # The picture's places, the beginning and the padding come back, too.
        others = {getattr(model.config, "image_token_index", None), *processor.tokenizer.all_special_ids}
        rows = [[id_ for id_ in ids if id_ not in others] for ids in out.tolist()]
        return [(processor.tokenizer.decode(ids).strip(), len(ids)) for ids in rows]

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            model, processor = load("captioner.vlm.model", self.model, self.dtype)
            self._loaded = model.to(self.device), processor
        return self._loaded


def _picture(shown: Sequence[Image]) -> Any:
    if not shown:
        raise images.ImageError("no picture to caption")
    return images.shown(shown[-1].read(), shown[-1].path.name, shown[-1].face)
