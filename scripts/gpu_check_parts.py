"""The parts of the GPU check (gpu_check.py), each run in a process of its own: what it measures is told line by line.

    python gpu_check_parts.py <part> '{"tiny": ..., ...}'        what `Asked` takes, as JSON

What trains is the project's own path: `prepare`, `Packs`, `Sft` and `Training.lightning`, and speed is what
`Throughput` logs of every training. Weights are random. With `tiny`, everything runs with tiny models on the CPU: the
steps are the same, the float formats too (the 7B case is in bfloat16 there), only the kernel is not there.
"""

import gc
import hashlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

import gpu_check_older
from bench_train_ways import BATCH, CASES, FEID, WARM_UP, Case, build, hugging_face, memory, now, write
from seke.training.data.flops import peak, work
from seke.training.data.flops import training as flops_of

SAMPLES = {"0.5b": 224, "7b": 96}
SECONDS = {"0.5b": 15.0, "7b": 30.0}
"""Of training, warm-up not counted: after that a way stops, whatever is left of its samples."""
LENGTHS = (4200, 2900, 2900, 2900, 1500, 1500, 800, 61, 1)
"""Of a pack's conversations, as FEID's are: 16,762 tokens."""
DIFFERENCE = "largest difference of losses, as a share"
HEADS = {"0.5b": (14, 2, 64), "7b": (28, 4, 128)}
"""Query heads, key heads and their width."""


class Asked(NamedTuple):
    """What the check wants."""

    tiny: bool
    peak_tflops: float | None
    scratch: str
    """A folder of the part's own."""
    told: str
    """The file that figures are told in."""
    shared: str
    """A folder that the parts share: rows are written once."""

    @property
    def gpu(self) -> bool:
        """Whether a GPU computes."""
        return not self.tiny

    def seconds(self, name: str) -> float:
        """Return how long a case is trained."""
        return SECONDS[name] if self.gpu else 1.0

    @property
    def device(self) -> str:
        """What computes."""
        return "cuda" if self.gpu else "cpu"

    def tell(self, what: str, value: float | None, note: str = "") -> None:
        """Tell a figure; what follows may fail."""
        with Path(self.told).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"what": what, "value": value, "note": note}) + "\n")

    def case(self, name: str) -> Case:
        """Return what is trained: 0.5b or 7b, or what stands for it."""
        workers = max(1, min(CASES[name].workers, (os.cpu_count() or 2) - 1))
        if self.gpu:
            return CASES[name]._replace(samples=SAMPLES[name], workers=workers)
        half = CASES[name].low_memory  # bfloat16 is slow on CPUs
        return CASES["tiny"]._replace(samples=8 if half else 16, pack_tokens=600, workers=0, low_memory=half)

    def model(self, case: Case) -> Any:
        """Return the model with its processor, on its device."""
        loaded = build(case)
        if self.tiny and case.low_memory:
            for parameter in loaded.model.parameters():  # buffers stay: rotary frequencies have to be float32
                parameter.data = parameter.data.bfloat16()
        return loaded

    def rows(self, name: str, case: Case) -> Path:
        """Return the file of a case's rows."""
        folder = Path(self.shared) / f"rows-{name}-{case.samples}"
        if not folder.is_dir():
            own = Path(self.scratch) / folder.name
            own.mkdir()
            write(own, case)
            with suppress(OSError):  # another part was faster
                own.replace(folder)
        return folder / "rows.jsonl"


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


def seconds(work: Callable[[], Any], gpu: bool, repeats: int = 3) -> float:
    """Return what one of several takes, after one that does not count."""
    work()
    began = now(gpu)
    for _ in range(repeats):
        work()
    return (now(gpu) - began) / repeats


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


# -- training ---------------------------------------------------------------------------------------------------------


def sft(asked: Asked, name: str) -> None:
    """Train all parts as train.py does, in packs."""
    from seke.models.llava_ov import LlavaOv

    case = asked.case(name)
    loaded = asked.model(case)
    groups = LlavaOv("", lr=1e-5).train(loaded)
    samples = prepared(asked, name, case, loaded)
    asked.tell("tokens of a sample, mean", float(samples.lengths.mean()))
    ways = settings_of(case)
    for number, (optimizer, checkpointing, note) in enumerate(ways):
        if checkpointing:
            loaded.model.activation_checkpointing_enable()
        try:
            trained(asked, case, loaded, groups, samples, optimizer, asked.seconds(name), finished=(name, note))
            return
        except Exception as error:
            if number + 1 == len(ways):
                raise
            asked.tell(f"not possible: {note}", None, " ".join(f"{type(error).__name__}: {error}".split())[:150])
        loaded.model.zero_grad(set_to_none=True)
        gc.collect()
        if asked.gpu:
            torch.cuda.empty_cache()


def settings_of(case: Case) -> list[tuple[Any, bool, str]]:
    """Return the optimisers and whether activations are computed again, what costs least time first."""
    from seke.training.optimizers import AdamW, StochasticAdamW

    if not case.low_memory:
        return [(AdamW(), again, "adamw" + ", activations computed again" * again) for again in (False, True)]
    plain = (AdamW(), True, "AdamW on bfloat16 weights, for speed alone, activations computed again")
    if importlib.util.find_spec("torchao") is None:
        return [(plain[0], True, f"torchao is not installed: {plain[2]}")]
    own = [("adamw_bf16", StochasticAdamW()), ("adamw_8bit", StochasticAdamW("8bit"))]
    return [*((made, True, f"{called}, activations computed again") for called, made in own), plain]


def prepared(asked: Asked, name: str, case: Case, loaded: Any, arrow: str = "", **data: Any) -> Any:
    """Return the samples of a case."""
    from seke.training.data.dataset import prepare
    from seke.training.data.mixture import Data, stream

    settings = Data(path=str(asked.rows(name, case)), **{"cache": "none", **data})
    file = Path(asked.scratch) / f"{name}-{os.getpid()}{arrow}.arrow"
    return prepare([stream(part) for part in settings.sources(file.parent)], loaded, settings, False, file)


def trained(
    asked: Asked, case: Case, loaded: Any, groups: Any, samples: Any, optimizer: Any, seconds: float,
    finished: tuple[str, str] | None = None, states: bool = False, loss: Any = None, warm_up: int = WARM_UP,
) -> dict[str, float]:  # fmt: skip
    """Train for so many seconds and return what `Throughput` logs of them; `finished`: tell, and end this process."""
    from torch.utils.data import DataLoader

    from seke.training.callbacks.throughput import Throughput, Window
    from seke.training.data.samplers import Packs, Steps, collate_step
    from seke.training.module import Sft
    from seke.training.settings import Training

    watched = dict(loaded.model.named_parameters())["model.language_model.layers.0.self_attn.q_proj.weight"]

    class Measured(Throughput):
        """Leaves the first steps out, and stops in time."""

        steps, began = 0, 0.0

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
            self.steps, self.batch = self.steps + 1, batch
            if self.steps == warm_up:
                self.began, self.before = now(asked.gpu), watched.detach().clone()
                self._window, self._waiting.seconds = Window(), 0.0
            elif self.steps > warm_up and time.perf_counter() - self.began > seconds:
                trainer.should_stop = True

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            super().on_train_end(trainer, pl_module)
            if finished is None:
                return
            tell_training(asked, self.latest, self.steps, *finished)
            if case.low_memory:
                moved = float((watched != self.before).float().mean())
                steps = f"{self.steps - WARM_UP} steps at 1e-5 and less"
                asked.tell("share of a matrix that its steps have moved", moved, steps)
            apart(asked, pl_module, self.batch, self._device)
            if asked.gpu:  # nothing is left to do, and Lightning would first move all states to the host's memory
                os._exit(0)

    kind: dict[str, Any] = {"accelerator": "gpu", "precision": "bf16-mixed"} if asked.gpu else {}
    if asked.tiny and case.low_memory:
        kind = {"precision": "bf16-mixed"}
    loader = DataLoader(
        Steps(samples), batch_sampler=Packs(samples.lengths, samples.tokens, case.pack_tokens),
        collate_fn=partial(collate_step, pad=loaded.processor.tokenizer.pad_token_id, pack=True),
        num_workers=case.workers,
    )  # fmt: skip
    measured = Measured(asked.peak_tflops)
    trainer = Training(log_every=10**9, **kind).lightning(
        logger=False, callbacks=[measured], enable_checkpointing=False, enable_progress_bar=False
    )
    fresh = [dict(group) for group in groups]  # an optimiser leaves its own settings in them
    trainer.fit(Sft(loaded, fresh, optimizer=optimizer, states=states, loss=loss), loader)
    return measured.latest


def tell_training(asked: Asked, logged: dict[str, float], steps: int, name: str, note: str) -> None:
    """Tell what has been logged of a training."""
    asked.tell("samples/s", logged["samples_per_s"], note)
    asked.tell("real tokens/s", logged["tokens_per_s"], f"{steps - WARM_UP} steps")
    unknown = "" if "mfu" in logged else "the device's name does not tell what it can do: set peak_tflops="
    asked.tell("MFU", logged.get("mfu"), unknown)
    asked.tell("TFLOP/s of vision, of the whole time", logged["tflops_vision"])
    asked.tell("TFLOP/s of language, of the whole time", logged["tflops_language"])
    asked.tell("share of waiting", logged["data_wait"])
    asked.tell("padding", logged["padding"])
    asked.tell("peak GiB", logged["memory_gib"])
    asked.tell("loss", logged["loss_mean"], "random weights")
    if name == "7b":
        asked.tell("hours of an epoch of FEID", FEID / logged["samples_per_s"] / 3600, f"{FEID:,} images, one card")


def apart(asked: Asked, module: Any, batch: dict[str, Any], device: Any) -> None:
    """Tell the MFU of the tower with the projector, and of the language model, each run by itself on a pack."""
    loaded = module.loaded
    half = loaded.model.dtype == torch.bfloat16 or asked.gpu
    loaded.model.zero_grad(set_to_none=True)

    def features() -> list[Tensor]:
        states = loaded.see(batch["vision"].to(loaded.model.dtype))
        found: list[Tensor] = loaded.features(states, batch["counts"], batch["sizes"], batch["contexts"])
        return found

    def vision() -> None:
        with torch.autocast(asked.device, torch.bfloat16, enabled=half):
            total = torch.cat(features()).float().sum()
        total.backward()

    with torch.no_grad(), torch.autocast(asked.device, torch.bfloat16, enabled=half):
        given = [feature.detach().requires_grad_() for feature in features()]

    def language() -> None:
        with torch.autocast(asked.device, torch.bfloat16, enabled=half):
            logits = loaded.logits(batch["ids"], None, given, batch["keep"], batch["lengths"])
        torch.nn.functional.cross_entropy(logits.float(), batch["targets"], reduction="sum").backward()

    done = work(sum(batch["counts"]), batch["lengths"], len(batch["targets"]))
    flops = flops_of(device.products, done, device.trained, device.live)
    of_language = flops.pop("language_model")
    for side, run, needed in (("vision", vision, sum(flops.values())), ("language", language, of_language)):
        took = seconds(run, asked.gpu)
        asked.tell(f"TFLOP/s of {side} alone", needed / took / 1e12)
        if device.peak:
            asked.tell(f"MFU of {side} alone", needed / took / device.peak)


def trainer(asked: Asked, name: str) -> None:
    """Train on the same samples with transformers' `Trainer`, padded, in the largest batch up to 8 that fits."""
    import numpy as np
    import transformers

    from seke.models.llava_ov import LlavaOv
    from seke.training.data.samplers import Batches

    case = asked.case(name)
    loaded = asked.model(case)
    parts = {group["name"] for group in LlavaOv("", lr=1e-5).train(loaded)}
    samples = prepared(asked, name, case, loaded)
    order = np.concatenate(Batches(samples.lengths, samples.tokens, BATCH, group=False).order(0))
    loaded.model.set_attn_implementation("sdpa")

    class Clock(transformers.TrainerCallback):
        def __init__(self) -> None:
            self.steps, self.began, self.sums = 0, 0.0, {"waited": 0.0, "computed": 0.0}

        def on_step_end(self, arguments: Any, state: Any, control: Any, **_: Any) -> None:
            self.steps += 1
            if self.steps == WARM_UP:
                self.began = now(asked.gpu)
                self.sums.update(waited=0.0, computed=0.0)
            elif self.steps > WARM_UP and time.perf_counter() - self.began > asked.seconds(name):
                control.should_training_stop = True

    batch, note = BATCH if asked.gpu else 1, ""
    while True:
        clock = Clock()
        try:
            folder = str(Path(asked.scratch) / "theirs")
            hugging_face(
                case, loaded, samples, order, "Trainer", asked.gpu, folder, clock.sums, clock, batch=batch
            ).train()
            break
        except torch.OutOfMemoryError:
            if batch == 1:
                if case.low_memory:
                    raise
                case, batch, note = case._replace(low_memory=True), 2 * BATCH, ", activations computed again"
            batch //= 2
        loaded.model.zero_grad(set_to_none=True)
        gc.collect()
        torch.cuda.empty_cache()
    took = now(asked.gpu) - clock.began
    seen = order[WARM_UP * batch : clock.steps * batch]
    done = work(int(samples.crops[seen].sum()), samples.lengths[seen].tolist(), int(samples.tokens[seen].sum()))
    flops = sum(flops_of(loaded.products(), done, parts, parts).values())
    asked.tell("samples/s", len(seen) / took, f"batches of {batch}{note}, {clock.steps - WARM_UP} steps")
    asked.tell("real tokens/s", done.tokens / took)
    best = peak_of(asked)
    asked.tell("MFU of its samples", flops / took / best if best else None, "" if best else "set peak_tflops=")
    asked.tell("share of waiting", clock.sums["waited"] / took)
    asked.tell("padding", 1 - done.tokens / clock.sums["computed"])
    asked.tell("peak GiB", memory(asked.gpu) / 2**30)


def peak_of(asked: Asked) -> float | None:
    """Return what the device can do, in FLOP/s, None if it is not known."""
    if asked.peak_tflops:
        return asked.peak_tflops * 1e12
    return peak(torch.cuda.get_device_name()) if asked.gpu else None


# -- answering, kept features, ZeRO-3, FSDP2 ---------------------------------------------------------------------------


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


def cache(asked: Asked) -> None:
    """Train behind a frozen tower, its states computed anew and read from the disk."""
    from seke.models.llava_ov import LlavaOv
    from seke.training.data.samplers import collate_pack
    from seke.training.module import Sft
    from seke.training.optimizers import AdamW

    case = asked.case("0.5b")
    case = case._replace(samples=64 if asked.gpu else 8)
    loaded = asked.model(case)
    groups = LlavaOv("", trainable=["projector", "llm"], lr=1e-5).train(loaded)

    def ready(name: str, **data: Any) -> tuple[Any, float]:
        began = now(asked.gpu)
        found = prepared(asked, "0.5b", case, loaded, name, **data)
        return found, now(asked.gpu) - began

    kept = {"cache": "disk", "cache_dir": str(Path(asked.scratch) / "states")}
    anew, _ = ready("anew")
    _, first = ready("first", **kept)
    disk, again = ready("again", **kept)
    asked.tell("seconds until training starts, first", first)
    asked.tell("seconds until training starts, again", again)

    def states(samples: Samples, number: int) -> Tensor:
        values = samples.pictures.open(number).values.to(asked.device, loaded.model.dtype)
        return values if samples is disk else loaded.see(values)

    some = range(min(16, len(anew.pictures.files)))
    with torch.no_grad():
        rates = [seconds(lambda s=samples: [states(s, k) for k in some], asked.gpu, 1) for samples in (anew, disk)]
        batches = [collate_pack([samples[k] for k in range(4)], 1) for samples in (anew, disk)]
        losses = []
        for batch, given in zip(batches, (False, True), strict=True):
            placed = {k: v.to(asked.device) if isinstance(v, Tensor) else v for k, v in batch.items()}
            with torch.autocast(asked.device, torch.bfloat16, enabled=asked.gpu):
                losses.append(float(Sft(loaded, groups, states=given).loss_sum(placed)))
    asked.tell("features from the disk, times as fast", rates[0] / rates[1])
    asked.tell(DIFFERENCE, abs(losses[0] - losses[1]) / losses[0])
    train = partial(trained, asked, case, loaded, groups, optimizer=AdamW(), seconds=5.0 if asked.gpu else 1.0)
    ways = [train(samples=samples, states=given) for samples, given in ((anew, False), (disk, True))]
    asked.tell("samples/s, states computed anew", ways[0]["samples_per_s"])
    asked.tell("samples/s, states from the disk", ways[1]["samples_per_s"])


Samples = Any
"""`seke.training.data.dataset.Samples`, which is not imported where nothing is trained."""


def split(asked: Asked, way: str) -> None:
    """Write a checkpoint, and train a step on it with `fit` as train.py does: plainly, and under ZeRO-3 or FSDP2."""
    from seke.core.runs import Run
    from seke.models.llava_ov import LlavaOv
    from seke.training.data.mixture import Data
    from seke.training.settings import Training
    from seke.training.train import fit

    case = asked.case("0.5b")
    rows, scratch = asked.rows("0.5b", case), Path(asked.scratch)
    loaded = asked.model(case._replace(low_memory=asked.gpu))
    loaded.save(scratch / "base")
    del loaded
    gc.collect()
    dtype = "bfloat16" if asked.gpu else "float32"
    small = {"pack": True, "pack_tokens": case.pack_tokens // 2, "workers": 0, "cache": "none"}
    losses = []
    for name in ("plain", way):
        if asked.gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        more: dict[str, Any] = {"accelerator": "gpu", "precision": "bf16-mixed"} if asked.gpu else {}
        if name != "plain":
            more["strategy"] = strategy(way, asked.gpu)
        path = scratch / name
        path.mkdir()
        data = Data(path=str(rows), limit=12, **small)  # type: ignore[arg-type]
        model = LlavaOv(str(scratch / "base"), lr=1e-5, dtype=dtype)
        began = now(asked.gpu)
        facts = fit(Run(path, {}, {}), model, data, Training(max_steps=1, **more), False, data.sources(scratch))
        asked.tell(f"{name}: seconds from loading to the exported model", now(asked.gpu) - began, "0.5B, one step")
        asked.tell(f"{name}: peak GiB", memory(asked.gpu) / 2**30)
        losses.append(float(facts["loss"]))
    asked.tell(DIFFERENCE, abs(losses[0] - losses[1]) / losses[0])


def strategy(way: str, gpu: bool) -> Any:
    """Return Lightning's strategy that splits weights up over the ranks."""
    backend = "nccl" if gpu else "gloo"
    if way == "fsdp2":
        from seke.training.fully_sharded import FullyShardedStrategy

        return FullyShardedStrategy(process_group_backend=backend)
    from seke.training.deepspeed_cpu import CPUDeepSpeedStrategy

    kind = {"overlap_comm": gpu, "process_group_backend": backend}
    return CPUDeepSpeedStrategy(stage=3, logging_batch_size_per_gpu=1, **kind)


# -- options that are off unless asked for ----------------------------------------------------------------------------


def options(asked: Asked) -> None:
    """Train 0.5B with each option for speed: its speed by that without any, and its loss of the same first pack."""
    from seke.models.llava_ov import LlavaOv
    from seke.training.data.samplers import collate_pack
    from seke.training.module import Sft
    from seke.training.optimizers import AdamW
    from seke.training.speedups import compile_blocks, fused_loss, to_float8

    case = asked.case("0.5b")
    ways = {
        "none": (None, False, False), "fused_loss=torch": ("torch", False, False),
        "fused_loss=liger": ("liger", False, False), "compile": (None, True, False),
        "compile and float8": (None, True, True),
    }  # fmt: skip
    plain: dict[str, float] = {}
    samples: Samples = None
    worst = 0.0
    for name, (fused, compiled, float8) in ways.items():
        if fused == "liger" and (importlib.util.find_spec("liger_kernel") is None or asked.tiny):
            note = "it needs a GPU" if asked.tiny else "not installed (pip install liger-kernel)"
            asked.tell(f"{name}: times as fast as without", None, note)
            continue
        loaded = asked.model(case)
        groups = LlavaOv("", lr=1e-5).train(loaded)
        samples = samples or prepared(asked, "0.5b", case, loaded)
        try:
            loss = fused_loss(fused) if fused else None
            if float8:
                to_float8(loaded.model, emulate=asked.tiny)
            if compiled:
                compile_blocks(loaded.model, "inductor" if asked.gpu else "eager")
            batch = collate_pack([samples[k] for k in range(4)], 1)
            loaded.model.to(asked.device)
            placed = {k: v.to(asked.device) if isinstance(v, Tensor) else v for k, v in batch.items()}
            with torch.no_grad(), torch.autocast(asked.device, torch.bfloat16, enabled=asked.gpu):
                first = float(Sft(loaded, groups, loss=loss).loss_sum(placed))
            if asked.gpu:
                torch.cuda.reset_peak_memory_stats()
            # The compiler needs some packs to learn which sizes change.
            found = trained(
                asked, case, loaded, groups, samples, AdamW(), 5.0 if asked.gpu else 1.0, loss=loss, warm_up=6
            )
        except Exception as error:
            asked.tell(
                f"{name}: times as fast as without", None, " ".join(f"{type(error).__name__}: {error}".split())[:150]
            )
            continue
        plain = plain or {**found, "loss": first}
        if name != "none":
            asked.tell(f"{name}: times as fast as without", found["tokens_per_s"] / plain["tokens_per_s"])
            difference = abs(first - plain["loss"]) / plain["loss"]
            asked.tell(f"{name}: difference of losses, as a share", difference)
            worst = worst if float8 else max(worst, difference)
        asked.tell(f"{name}: peak GiB", found["memory_gib"])
        del loaded, groups
        gc.collect()
        if asked.gpu:
            torch.cuda.empty_cache()
    asked.tell(DIFFERENCE, worst, "float8 left out: it rounds")


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
