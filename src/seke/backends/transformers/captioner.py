"""A captioning model as a `VLM`: BLIP-2, or whatever else transformers makes captions with; it only sees the picture.

    python generate.py generator=emovit captioner=blip2

What a request says is not read: such a model begins its caption from nothing, as EmoVIT's authors let it.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch

from seke.backends.transformers.base import LocalModel, pictures, unreadable
from seke.core.images import ImageError
from seke.core.vlm import Choice, Reply, Request, Usage
from seke.models.auto import load


class Captions(LocalModel[tuple[Any, Any]]):
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
        super().__init__("captioner.vlm", device, beams=beams, batch_size=batch_size)
        self.model, self.beams, self.batch_size = model, beams, batch_size
        self.dtype = self._dtype(dtype)

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
                    seen.append((index, request, _picture(request)))
                except (ImageError, OSError) as error:
                    yield index, unreadable(error, self.model)
            if seen:
                cap = max(request.max_tokens for _, request, _ in seen)
                texts = self._captions([picture for _, _, picture in seen], cap)
                for (index, _, _), (text, tokens) in zip(seen, texts, strict=True):
                    yield index, Reply((Choice(text),), self.model, Usage(0, tokens), cost=0.0)

    @torch.inference_mode()
    def _captions(self, shown: list[Any], max_new_tokens: int) -> list[tuple[str, int]]:
        """Return each picture's caption and its number of tokens."""
        model, processor = self.loaded
        pixels = processor.image_processor(shown, return_tensors="pt").to(self.device, self.dtype)
        out = model.generate(**pixels, num_beams=self.beams, do_sample=False, max_new_tokens=max_new_tokens)
        # The picture's places, the beginning and the padding come back, too.
        others = {getattr(model.config, "image_token_index", None), *processor.tokenizer.all_special_ids}
        rows = [[id_ for id_ in ids if id_ not in others] for ids in out.tolist()]
        return [(processor.tokenizer.decode(ids).strip(), len(ids)) for ids in rows]

    def _load(self) -> tuple[Any, Any]:
        model, processor = load("captioner.vlm.model", self.model, self.dtype)
        return model.to(self.device), processor


def _picture(request: Request) -> Any:
    if not request.shown:
        raise ImageError("no picture to caption")
    return pictures(request.shown[-1:])[0]
