"""The parts of the GPU check (gpu_check.py), each run in a process of its own: what it measures is told line by line.

    python gpu_check_parts.py <part> '{"tiny": ..., ...}'        what `Asked` takes, as JSON
    gpu_check_training.py, gpu_check_ways.py                     the parts that train; here are the kernel and answering

What trains is the project's own path: `prepare`, `Packs`, `Sft` and `Training.lightning`, and speed is what
`Throughput` logs of every training. Weights are random. With `tiny`, everything runs with tiny models on the CPU: the
steps are the same, the float formats too (the 7B case is in bfloat16 there), only the kernel is not there.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

import gpu_check_older
from bench_train_ways import CASES, build, memory, now
from gpu_check_asked import Asked, seconds
from gpu_check_training import sft, trainer
from gpu_check_ways import cache, options, split

LENGTHS = (4200, 2900, 2900, 2900, 1500, 1500, 800, 61, 1)
"""Of a pack's conversations, as FEID's are: 16,762 tokens."""
HEADS = {"0.5b": (14, 2, 64), "7b": (28, 4, 128)}
"""Query heads, key heads and their width."""


# -- the kernel -------------------------------------------------------------------------------------------------------


def kernel(asked: Asked) -> None:
    """Hold the packed kernel against attention written out in float32, and measure its speed by that of segments."""
    from seke.models.packed_attention import by_segment, fused

    lengths = LENGTHS if asked.gpu else (40, 21, 21, 1)
    bounds = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()], dtype=torch.int32, device=asked.device)
    worst, ratios, speeds = 0.0, [], []
    for query_heads, key_heads, width in HEADS.values():
        torch.manual_seed(0)
        three = [torch.randn(1, count, sum(lengths), width, device=asked.device) for count in
                 (query_heads, key_heads, key_heads)]  # fmt: skip
        weights = torch.randn(1, sum(lengths), query_heads, width, device=asked.device)
        scale, module = width**-0.5, SimpleNamespace(num_key_value_groups=query_heads // key_heads)

        def segments(q: Tensor, k: Tensor, v: Tensor, module: Any = module, scale: float = scale) -> Tensor:
            return by_segment(module, q, k, v, lengths, scaling=scale)

        def one(q: Tensor, k: Tensor, v: Tensor, scale: float = scale) -> Tensor:
            return fused(q, k, v, bounds, max(lengths), scale)

        packed = one if asked.gpu else segments
        reference = with_gradients(lambda q, k, v, s=scale: exact(q, k, v, lengths, s), three, weights)
        halves = [whole.bfloat16() for whole in three]
        mine, plain = (with_gradients(way, halves, weights) for way in (packed, segments))
        for out, other, true in zip(mine, plain, reference, strict=True):
            error, usual = (float((found.float() - true).abs().max()) for found in (out, other))
            worst = max(worst, error / float(true.abs().max()))
            ratios.append(error / usual if usual else float(error > 0))
        speeds.append([seconds(lambda w=way, h=halves, g=weights: with_gradients(w, h, g), asked.gpu) for way in
                       (packed, segments)])  # fmt: skip
    note = "" if asked.gpu else "attention by segment stands for the kernel, which needs a GPU"
    asked.tell("largest error against float32, by the largest value", worst, note)
    asked.tell("largest error, times that of segments in bfloat16", max(ratios), note)
    for size, (own, other) in zip(HEADS, speeds, strict=True):
        asked.tell(f"{size}: times as fast as by segment, forward and backward", other / own, note)
    asked.tell("conversations of a pack apart: logits differ by this share of the largest", apartness(asked))


def exact(query: Tensor, key: Tensor, value: Tensor, lengths: Sequence[int], scale: float) -> Tensor:
    """Attend as it is written, softmax(q k^T s) v, causal, segment by segment: (1, L, H, D) of (1, H or G, L, D)."""
    outs, ends = [], [0, *torch.tensor(lengths).cumsum(0).tolist()]
    for start, stop in pairwise(ends):
        q, k, v = (whole[0, :, start:stop].float() for whole in (query, key, value))
        k, v = (part.repeat_interleave(len(q) // len(part), dim=0) for part in (k, v))
        future = torch.ones(stop - start, stop - start, dtype=torch.bool, device=q.device).triu(1)
        outs.append((torch.softmax((q @ k.mT * scale).masked_fill(future, -torch.inf), -1) @ v).transpose(0, 1))
    return torch.cat(outs)[None]


def with_gradients(
    attend: Callable[..., Tensor], three: Sequence[Tensor], weights: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the output, and the gradients of its weighted sum by query, key and value."""
    leaves = [whole.detach().clone().requires_grad_() for whole in three]
    out = attend(*leaves)
    gradients = torch.autograd.grad((out.float() * weights).sum(), leaves)
    return (out.detach(), *gradients)


def apartness(asked: Asked) -> float:
    """Return the largest difference between a conversation's logits in a pack and alone, by the largest logit."""
    from seke.models.protocol import TurnLike

    loaded = build(CASES["tiny"])
    loaded.model.to(asked.device)
    talks: list[list[TurnLike]] = [
        [("user", f"What is it? {'Say more. ' * number}", ()), ("assistant", "A face.", ())] for number in (1, 9, 4)
    ]
    ids = [encoded.ids for encoded in loaded.encode(talks)]

    def logits(parts: Sequence[Sequence[int]]) -> Tensor:
        row = torch.tensor([[token for part in parts for token in part]], device=asked.device)
        with torch.no_grad(), torch.autocast(asked.device, torch.bfloat16):
            found: Tensor = loaded.logits(row, None, [], torch.ones_like(row, dtype=torch.bool), [*map(len, parts)])
        return found.float()

    alone = torch.cat([logits([part]) for part in ids])
    return float((logits(ids) - alone).abs().max() / alone.abs().max())


# -- answering --------------------------------------------------------------------------------------------------------


def answering(asked: Asked) -> None:
    """Ask about faces in batches and one at a time, through the backend that evaluates tuned models."""
    from seke.backends.transformers.tuned import Local
    from seke.core.vlm import Image, Message, Request

    case = asked.case("0.5b")._replace(low_memory=True)
    loaded = asked.model(case)
    files = sorted(asked.rows("0.5b", asked.case("0.5b")).parent.glob("*.jpg"))
    many, few, words = (128, 8, 64) if asked.gpu else (8, 3, 8)

    class Ready:
        path = "random"

        def load(self, path: Any = None, dtype: Any = None) -> Any:
            return loaded

    def ask(number: int, size: int) -> tuple[float, list[str], int]:
        backend = Local(Ready(), batch_size=size, max_new_tokens=words, device=asked.device)
        backend.load()
        asking = [
            Request((Message("user", (Image(file, hashlib.sha256(file.read_bytes()).hexdigest()), "How is it?")),),
                    temperature=0.0, max_tokens=words)
            for file in (files * (number // len(files) + 1))[:number]
        ]  # fmt: skip
        began = now(asked.gpu)
        replies = dict(backend.reply(asking))
        took = now(asked.gpu) - began
        tokens = sum(reply.usage.output_tokens for reply in replies.values())
        return took / number, [replies[k].choices[0].text for k in range(number)], round(tokens / took)

    ask(2, 2)
    one, texts, _ = ask(few, 1)
    batched, others, speed = ask(many, 32)
    asked.tell("answers/s", 1 / batched, f"0.5B, {words} tokens each, batches of 32")
    asked.tell("new tokens/s", speed)
    asked.tell("times one at a time", one / batched)
    alike = sum(a == b for a, b in zip(texts, others, strict=False)) / few
    asked.tell("answers alike", alike, "random weights: the two likeliest words are often equal in bfloat16")
    asked.tell("peak GiB", memory(asked.gpu) / 2**30)


RUN: dict[str, Callable[[Asked], None]] = {
    "kernel": kernel,
    "sft_05b": partial(sft, name="0.5b"),
    "trainer_05b": partial(trainer, name="0.5b"),
    "sft_7b": partial(sft, name="7b"),
    "trainer_7b": partial(trainer, name="7b"),
    "answering": answering,
    "cache": cache,
    "zero3": partial(split, way="zero3"),
    "fsdp2": partial(split, way="fsdp2"),
    "options": options,
}


def main(part: str, settings: str) -> None:
    """Run a part."""
    asked = Asked(**json.loads(settings))
    gpu_check_older.apply()
    RUN[part](asked)


if __name__ == "__main__":
    main(*sys.argv[1:])
