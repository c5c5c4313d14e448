"""Parts of the GPU check that hold a way of training against plain training: kept states, split weights, options."""

import gc
import importlib.util
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench_train_ways import memory, now
from gpu_check_asked import DIFFERENCE, Asked, seconds
from gpu_check_training import Samples, prepared, trained


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
