"""Any vision LLM that transformers knows, as a `VLM`: its own processor, its own chat template, greedy answers.

    python evaluate.py backend=transformers backend.model=Qwen/Qwen2.5-VL-7B-Instruct

Nothing is assumed of the architecture beyond AutoModelForImageTextToText and AutoProcessor, and no code of the model's
own is run: what needs that belongs behind a server (backend=vllm). Requests of one length share a left-padded batch.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seke.backends.thinking import complete_answer, truncated_answer
from seke.backends.transformers.base import LocalModel, pictures, unreadable
from seke.core.errors import UserError
from seke.core.images import ImageError
from seke.core.vlm import Choice, Image, Message, Reply, Request, Usage
from seke.models.auto import answer_once, load

CHUNK = 16
"""Batches read ahead, so that requests of one length share a batch."""


class Prepared(NamedTuple):
    """A request ready for the processor."""

    place: int
    cap: int
    """New tokens, at most."""
    text: str
    """Rendered by the model's chat template."""
    pictures: list[Any]

    @property
    def size(self) -> tuple[int, int, int]:
        """What batches are sorted by: the cap, the pictures' pixels and the text's length."""
        return self.cap, sum(picture.width * picture.height for picture in self.pictures), len(self.text)


class AnyVlm(LocalModel[tuple[Any, Any]]):
    """Answers with the model `model` on this machine.

    Args:
        model: a directory in Hugging Face layout, or a Hub id.
        batch_size: requests answered at once.
        max_new_tokens: cap on an answer, whatever a request allows.
        device: cpu, cuda, cuda:<number>, or auto; under torchrun cuda and auto give every process a GPU of its own.
        dtype: of the weights; auto is bfloat16 on a GPU and float32 on a CPU.
        threads: CPU threads; None leaves PyTorch's choice.

    Raises:
        UserError: for a setting out of range. Nothing is loaded before the first request.
    """

    def __init__(
        self,
        model: str,
        batch_size: int = 16,
        max_new_tokens: int = 512,
        device: str = "auto",
        dtype: str = "auto",
        threads: int | None = None,
    ) -> None:
        super().__init__("backend", device, threads, batch_size=batch_size, max_new_tokens=max_new_tokens)
        self.model, self.batch_size, self.max_new_tokens = model, batch_size, max_new_tokens
        self.dtype = self._dtype(dtype)

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield (index, reply); requests are read some batches ahead and answered longest first.

        Raises:
            UserError: if the model cannot be loaded, or something else than one greedy answer is asked for.
        """
        numbered = iter(enumerate(requests))
        while chunk := list(islice(numbered, self.batch_size * CHUNK)):
            if any(request.temperature > 0 or request.n > 1 for _, request in chunk):
                raise UserError("backend", "transformers", "it gives one greedy answer", "use local or vllm to sample")
            prepared = []
            for index, request in chunk:
                try:
                    prepared.append(self._prepared(index, request))
                except (ImageError, OSError) as error:
                    yield index, unreadable(error, self.model)
            prepared.sort(key=lambda item: item.size, reverse=True)
            for start in range(0, len(prepared), self.batch_size):
                yield from self._answers(prepared[start : start + self.batch_size])

    def _prepared(self, index: int, request: Request) -> Prepared:
        _, processor = self.loaded
        turns = [{"role": message.role, "content": _content(message)} for message in request.messages]
        text = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        return Prepared(index, min(self.max_new_tokens, request.max_tokens), text, pictures(request.images))

    def _answers(self, batch: Sequence[Prepared]) -> Iterator[tuple[int, Reply]]:
        model, processor = self.loaded
        shown = [item.pictures for item in batch] if any(item.pictures for item in batch) else None
        try:
            seen = processor(text=[item.text for item in batch], images=shown, padding=True, return_tensors="pt")
        except ValueError as error:
            # The family does not read a picture, such as a strip 200 times as long as wide: that one is unreadable.
            for item in batch if len(batch) > 1 else ():
                yield from self._answers([item])
            if len(batch) == 1:
                yield batch[0].place, unreadable(" ".join(str(error).split()), self.model)
            return
        width = seen["input_ids"].shape[1]
        with torch.inference_mode():
            out: Tensor = model.generate(
                **seen.to(self.device, self.dtype),
                max_new_tokens=max(item.cap for item in batch),
                do_sample=False,
                num_beams=1,
                pad_token_id=processor.tokenizer.pad_token_id,
            )
        prompts = seen["attention_mask"].sum(1).tolist()
        for item, new, prompt in zip(batch, out[:, width:].tolist(), prompts, strict=True):
            choice, tokens = self._choice(new[: item.cap])
            yield item.place, Reply((choice,), self.model, Usage(int(prompt), tokens), cost=0.0)

    def _choice(self, ids: list[int]) -> tuple[Choice, int]:
        model, processor = self.loaded
        ends = model.generation_config.eos_token_id
        ends = set(ends if isinstance(ends, list) else [ends])
        length = next((place for place, id_ in enumerate(ids) if id_ in ends), None)
        text = processor.tokenizer.decode(ids[:length], skip_special_tokens=True).strip()
        return (truncated_answer(text), len(ids)) if length is None else (complete_answer(text), length + 1)

    def _load(self) -> tuple[Any, Any]:
        model, processor = load("backend.model", self.model, self.dtype, conversation=True)
        processor.tokenizer.padding_side = "left"
        if processor.tokenizer.pad_token_id is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token
        model.to(self.device)
        answer_once("backend.model", self.model, model, processor, self.dtype)
        return model, processor


def _content(message: Message) -> list[dict[str, str]]:
    """Return a message's parts as chat templates want them, pictures by their place alone."""
    return [{"type": "image"} if isinstance(part, Image) else {"type": "text", "text": part} for part in message.spelt]
