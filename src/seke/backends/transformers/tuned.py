"""A vision LLM on this machine as a `VLM`: batched, left-padded, with a key/value cache.

Answers depend on the request alone, never on what shares its batch: at temperature 0 they are the greedy ones, above
it every choice has a random stream of its own, seeded by the request's key.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import LogitsProcessor

from seke.backends.thinking import complete_answer, truncated_answer
from seke.backends.transformers.base import LocalModel, pictures, unreadable
from seke.core.clip_frames import pace
from seke.core.errors import UserError
from seke.core.images import ImageError
from seke.core.vlm import Choice, Clip, Image, Reply, Request, Usage
from seke.models.protocol import LoadedVLM, Loader, Pixels, ReadsClips, TrainableVLM, clip_size, is_clip

CHUNK = 16
"""Batches read ahead, so that answers of one length share a batch."""


class Prepared(NamedTuple):
    """A request ready for the model."""

    place: int
    request: Request
    ids: list[int]
    pixels: list[Pixels]
    context: Sequence[int] = ()
    """What the image encoder reads beside its images."""


class Gumbel(LogitsProcessor):  # type: ignore[misc]
    """Turns greedy search into sampling: argmax(logits / T + Gumbel noise), the noise from each row's own generator."""

    def __init__(self, temperature: float, seeds: Sequence[int]) -> None:
        self.temperature = temperature
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return perturbed scores (B, V)."""
        uniform = torch.stack([torch.rand(scores.shape[1], generator=g) for g in self.generators])
        noise = -torch.log(-torch.log(uniform.clamp(1e-9, 1 - 1e-7)))
        return scores.float() / self.temperature + noise.to(scores.device)


class Local(LocalModel[LoadedVLM]):
    """Answers with the model that `model` loads (conf/model/*.yaml), from `path` if given.

    Args:
        model: what has `.load(path)`, e.g. `seke.models.llava_ov.LlavaOv`.
        path: a directory or a Hub id; None takes the model's own.
        batch_size: requests answered at once.
        max_new_tokens: cap on an answer, whatever a request allows.
        device: cpu, cuda, cuda:<number>, or auto; under torchrun cuda and auto give every process a GPU of its own.
        threads: CPU threads; None leaves PyTorch's choice.

    Raises:
        UserError: for a setting out of range. Nothing is loaded before the first request.
    """

    def __init__(
        self,
        model: Loader,
        path: str | None = None,
        batch_size: int = 64,
        max_new_tokens: int = 512,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        super().__init__("backend", device, threads, batch_size=batch_size, max_new_tokens=max_new_tokens)
        self.model, self.path, self.batch_size, self.max_new_tokens = model, path, batch_size, max_new_tokens

    @property
    def name(self) -> str:
        """The directory or Hub id that answers."""
        return str(self.path or self.model.path)

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield (index, reply); requests are read some batches ahead and answered longest first."""
        loaded = self.loaded
        numbered = iter(enumerate(requests))
        while chunk := list(islice(numbered, self.batch_size * CHUNK)):
            prepared, broken = _prepare(loaded, chunk)
            requested = dict(chunk)
            for index, problem in broken:
                yield index, unreadable(problem, self.name, requested[index].n)
            # One batch has one temperature and one cap, and prompts of nearly one length.
            prepared.sort(key=lambda p: (p.request.temperature, p.request.max_tokens, len(p.ids)), reverse=True)
            for batch in _batches(prepared, self.batch_size):
                yield from self._answers(loaded, batch)

    def _answers(self, loaded: LoadedVLM, batch: Sequence[Prepared]) -> Iterator[tuple[int, Reply]]:
        seen = [pixels for item in batch for pixels in item.pixels]
        with torch.no_grad():
            features = _features(loaded, seen, [item.context for item in batch for _ in item.pixels])
        counts = iter(features)
        features_of = [[next(counts) for _ in item.pixels] for item in batch]
        rows = [(k, choice) for k, item in enumerate(batch) for choice in range(item.request.n)]
        request = batch[0].request
        processors: list[Any] = []
        if request.temperature > 0:
            seeds = [_seed(batch[k].request.key, choice) for k, choice in rows]
            processors.append(Gumbel(request.temperature, seeds))
        new = loaded.generate(
            [batch[k].ids for k, _ in rows],
            [feature for k, _ in rows for feature in features_of[k]],
            min(self.max_new_tokens, request.max_tokens),
            processors,
            [pixels.size for k, _ in rows for pixels in batch[k].pixels],
        ).tolist()
        choices_of: dict[int, list[tuple[Choice, int]]] = {k: [] for k in range(len(batch))}
        for (k, _), ids in zip(rows, new, strict=True):
            choices_of[k].append(_choice(loaded, ids))
        for k, item in enumerate(batch):
            usage = Usage(len(item.ids), sum(tokens for _, tokens in choices_of[k]))
            yield item.place, Reply(tuple(choice for choice, _ in choices_of[k]), self.name, usage, cost=0.0)

    def _load(self) -> LoadedVLM:
        loaded = self.model.load(self.path)
        loaded.model.to(self.device)
        loaded.try_out()
        return loaded


def _prepare(loaded: LoadedVLM, chunk: Sequence[tuple[int, Request]]) -> tuple[list[Prepared], list[tuple[int, str]]]:
    """Decode images and encode prompts; requests whose image cannot be read come back with the reason."""

    def pixels_of(request: Request) -> list[Pixels] | str:
        try:
            return [_pixels(loaded, part) for part in request.shown]
        except (ImageError, OSError) as error:
            return str(error)

    with ThreadPoolExecutor() as pool:
        opened = list(pool.map(pixels_of, [request for _, request in chunk]))
    broken = [(index, seen) for (index, _), seen in zip(chunk, opened, strict=True) if isinstance(seen, str)]
    good = [(i, r, seen) for (i, r), seen in zip(chunk, opened, strict=True) if not isinstance(seen, str)]
    turns = []
    for _, request, seen in good:
        left = iter([pixels.size for pixels in seen])
        turns.append([(m.role, m.text, tuple(next(left) for _ in m.shown)) for m in request.messages])
    encoded = zip(loaded.prompts(turns), loaded.contexts(turns), strict=True)
    prepared = [Prepared(i, r, ids, seen, read) for (i, r, seen), (ids, read) in zip(good, encoded, strict=True)]
    broken += [(item.place, problem) for item in prepared if (problem := _too_long(loaded, item))]
    return [item for item in prepared if not _too_long(loaded, item)], broken


def _pixels(loaded: LoadedVLM, part: Image) -> Pixels:
    """Return a picture, or a clip, as the tower sees it.

    Raises:
        ImageError, OSError: if it cannot be read, or the frames of a clip differ in size.
        UserError: if it is a clip, and the model reads none.
    """
    if not isinstance(part, Clip):
        return loaded.pixels(pictures([part])[0])
    if not isinstance(loaded, ReadsClips):
        remedy = "use a LLaVA-OneVision or a Qwen-VL, or shown=1"
        raise UserError("model.path", loaded.name, "this family reads no clips", remedy)
    frames = [loaded.frame(picture, len(part.frames)) for picture in pictures(part.frames)]
    if len({frame.size for frame in frames}) > 1:
        raise ImageError(f"{part.path.name}: the frames of its clip change their size")
    return Pixels(
        torch.cat([frame.crops for frame in frames]), clip_size(len(frames), frames[0].size, pace(part.times))
    )


def _too_long(loaded: LoadedVLM, item: Prepared) -> str:
    """Return why a request with clips has no room in the model's context; empty where it has."""
    frames = sum(pixels.size[0] for pixels in item.pixels if is_clip(pixels.size))
    if not frames or not isinstance(loaded, TrainableVLM) or len(item.ids) < loaded.max_tokens:
        return ""
    return f"{len(item.ids)} tokens ({frames} frames of clips), more than the model's {loaded.max_tokens} positions"


def _features(loaded: LoadedVLM, seen: Sequence[Pixels], contexts: Sequence[Sequence[int]]) -> list[Tensor]:
    if not seen:
        return []
    crops = torch.cat([pixels.crops for pixels in seen]).to(loaded.model.device, loaded.model.dtype)
    counts, sizes = [len(pixels.crops) for pixels in seen], [pixels.size for pixels in seen]
    return loaded.features(loaded.see(crops, counts, sizes), counts, sizes, contexts)


def _batches(prepared: Sequence[Prepared], size: int) -> Iterator[Sequence[Prepared]]:
    """Cut a sorted sequence into batches of one temperature and cap, with at most `size` answers (or one request)."""
    batch: list[Prepared] = []
    for item in prepared:
        first = batch[0].request if batch else item.request
        same = (first.temperature, first.max_tokens) == (item.request.temperature, item.request.max_tokens)
        if batch and (not same or sum(p.request.n for p in batch) + item.request.n > size):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _choice(loaded: LoadedVLM, ids: list[int]) -> tuple[Choice, int]:
    if loaded.end in ids:
        length = ids.index(loaded.end)
        return complete_answer(loaded.decode(ids[:length])), length + 1
    return truncated_answer(loaded.decode(ids)), len(ids)


def _seed(key: str, choice: int) -> int:
    return int.from_bytes(hashlib.sha256(json.dumps([key, choice]).encode()).digest()[:7], "big")
