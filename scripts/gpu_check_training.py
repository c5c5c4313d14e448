"""Parts of the GPU check that measure training: in packs as `train.py` does, and padded by transformers' `Trainer`."""

import gc
import importlib.util
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench_train_ways import BATCH, FEID, WARM_UP, Case, hugging_face, memory, now
from gpu_check_asked import Asked, seconds
from seke.training.data.flops import peak, work
from seke.training.data.flops import training as flops_of

Samples = Any
"""`seke.training.data.dataset.Samples`, which is not imported where nothing is trained."""


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
