"""Dry run of a training (train.py dry_run=true): steps, memory, disk and hours, counted as the trainer counts.

    rows -> encoded in a folder that goes again -> packs or batches -> steps        exact
    config -> parameters, FLOPs (flops.py)                                         exact
    -> bytes a device and on disk                                                  exact but for activations
    -> hours at an assumed MFU                                                     as good as the assumption

The model has no weights here (torch's `meta` device): its config, tokenizer and image settings are enough.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import torch

from seke.core.errors import UserError
from seke.core.records import Rejection, read_jsonl
from seke.models.protocol import Family, TrainableVLM
from seke.training.callbacks.checkpoints import KEPT
from seke.training.data import flops
from seke.training.data.dataset import Samples, prepare
from seke.training.data.mixture import Data, stream
from seke.training.data.samplers import Epochs, epoch_indices
from seke.training.optimizers import AdamW, Optimizer
from seke.training.settings import Training
from seke.training.setup import TunedModel, epochs, tuned_model

GIB: Final = 2**30
MIB: Final = 2**20
ASSUMED_GPU: Final = "H100"
"""Whose peak is assumed where no GPU is at hand and trainer.peak_tflops says nothing."""
ASSUMED_BYTES: Final = 80 * GIB
"""Memory of that GPU."""
ROOM: Final = 0.8
"""Share of a GPU's memory that trainer.activation_checkpointing=auto fills; the rest is for what nobody counts."""
MASTER_BYTES: Final = 4
"""A float32 copy of a weight, which DeepSpeed keeps beside its bfloat16."""


class Memory(NamedTuple):
    """Bytes, of a device or on disk, by what they hold."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    """Roughly: what a forward pass keeps for its backward, of the largest batch."""

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self)


class Sizes(NamedTuple):
    """A model's parameters."""

    all: int
    trained: int
    all_bytes: int
    """As they lie in memory while training."""
    trained_bytes: int
    of_part: Mapping[str, int]
    """Trained ones."""


class Batch(NamedTuple):
    """What a batch computes."""

    tokens: int
    """Positions of the language model, padding included."""
    supervised: int
    crops: int
    """That the tower sees."""


class Plan(NamedTuple):
    """What a training would take."""

    model: str
    sizes: Sizes
    rows: int
    rejected: Mapping[str, int]
    """By reason."""
    tokens: int
    """Of an epoch, those of images included."""
    supervised: int
    longest: int
    crops: int
    batches: int
    """Of an epoch, of all ranks together."""
    packed: bool
    steps: int
    """Of an epoch."""
    total_steps: int
    ranks: int
    on_gpu: bool
    memory: Memory
    host_bytes: float
    """Of the tower's states that are kept in the host's memory, and of offloaded states."""
    checkpoint_bytes: float
    checkpoints: int
    """How many lie on the disk at once, at most."""
    export_bytes: float
    rows_bytes: int
    """The encoded rows, as long as training goes on."""
    flops: float
    peak: float | None
    """FLOP/s of one device."""
    peak_of: str
    mfu: float

    @property
    def hours(self) -> float | None:
        """Return the hours of training; None where nobody knows the device's peak."""
        return None if self.peak is None else self.flops / (self.peak * self.mfu * self.ranks) / 3600


def checked_mfu(mfu: object) -> float:
    """Return an assumed MFU.

    Raises:
        UserError: if it is no share above 0.
    """
    if isinstance(mfu, bool) or not isinstance(mfu, int | float) or not 0 < mfu <= 1:
        raise UserError("assumed_mfu", mfu, "no share of a device's peak", "set a number above 0, up to 1")
    return float(mfu)


def plan(
    model: Family,
    data: Data,
    training: Training,
    optimizer: Optimizer | None,
    outputs: Path,
    seed: int = 0,
    mfu: float = 0.4,
) -> Plan:
    """Return what `seke.training.train.fit` would do with the same settings.

    Raises:
        UserError: as `fit`, as far as it can be known without weights.
    """
    mfu, optimizer = checked_mfu(mfu), optimizer or AdamW()
    parts, watched = data.sources(outputs), data.watched(outputs)
    tuned = tuned_model(model, data, training, optimizer, weights=False)
    loaded = tuned.loaded
    ranks = training.ranks
    with TemporaryDirectory(prefix="seke-dry-run-") as scratch:
        folder = Path(scratch)
        counting, arrow = replace(data, cache="none"), folder / "rows.arrow"
        samples = prepare([stream(part, seed, folder) for part in parts], loaded, counting, tuned.frozen_tower, arrow)
        rejected = Counter(row.reason for row in read_jsonl(arrow.with_suffix(".jsonl"), Rejection))
        chosen = epoch_indices(samples.part, [part.weight for part in parts], seed)
        if not len(chosen):
            raise UserError("data.path", data.path, f"no usable row ({samples.rejected} rejected)", "give other rows")
        batches = epochs(samples, chosen, tuned, data, training, seed)
        rows_bytes, work = arrow.stat().st_size, _work(samples, chosen, loaded)
        largest = _largest(batches, samples, tuned.packed, ranks)
        kept = _states(loaded, samples) if tuned.states and data.cache != "disk" else 0.0
        once = work_of_tower(loaded, samples) if tuned.states else 0.0
    count = batches.count(ranks)
    steps = count // training.accumulate
    total = steps * training.max_epochs
    total = min(total, training.max_steps) if training.max_steps >= 0 else total
    sizes = sizes_of(loaded)
    again = recomputes(tuned, samples, batches, training, optimizer)
    memory, host, checkpoint = _bytes(loaded, sizes, training, optimizer, largest, ranks, again)
    best = watched is not None and training.keep_best
    peak, peak_of = peak_of_device(training)
    return Plan(
        model=str(loaded.name),
        sizes=sizes,
        rows=len(chosen),
        rejected=dict(sorted(rejected.items())),
        tokens=work.tokens,
        supervised=work.supervised,
        longest=int(samples.lengths.max()),
        crops=int(samples.crops[chosen].sum()),
        batches=count * ranks,
        packed=tuned.packed,
        steps=steps,
        total_steps=total,
        ranks=ranks,
        on_gpu=training.on_gpu,
        memory=memory,
        host_bytes=host + kept,
        checkpoint_bytes=checkpoint,
        checkpoints=KEPT + 1 if total > training.checkpoint_every else 0,
        export_bytes=sizes.all * width_of(model.dtype) + (sizes.trained_bytes if best else 0),
        rows_bytes=rows_bytes,
        flops=_flops(loaded, work, tuned.states) * total / max(steps, 1) + once,
        peak=peak,
        peak_of=peak_of,
        mfu=mfu,
    )


def sizes_of(loaded: TrainableVLM) -> Sizes:
    """Return how many parameters a model has that is ready to train, and how many bytes they take."""
    parts: Counter[str] = Counter()
    everything, trained = [0, 0], [0, 0]
    for name, parameter in loaded.model.named_parameters():
        number, size = parameter.numel(), parameter.numel() * parameter.element_size()
        everything = [everything[0] + number, everything[1] + size]
        if parameter.requires_grad:
            trained = [trained[0] + number, trained[1] + size]
            parts[loaded.part(name)] += number
    return Sizes(everything[0], trained[0], everything[1], trained[1], dict(parts))


def recomputes(tuned: TunedModel, samples: Samples, batches: Epochs, training: Training, optimizer: Optimizer) -> bool:
    """Return whether activations are computed again in the backward pass, to save memory.

    As trainer.activation_checkpointing says; `auto`: where the largest batch's would not fit into the GPU beside
    weights, gradients and optimizer states; never on a CPU.
    """
    if training.activation_checkpointing != "auto":
        return bool(training.activation_checkpointing)
    if not training.on_gpu:
        return False
    gpu = training.own_gpu
    capacity = torch.cuda.get_device_properties(gpu).total_memory if gpu else ASSUMED_BYTES
    largest = _largest(batches, samples, tuned.packed, training.ranks)
    memory, *_ = _bytes(tuned.loaded, sizes_of(tuned.loaded), training, optimizer, largest, training.ranks, False)
    return memory.total > ROOM * capacity


def _bytes(
    loaded: TrainableVLM,
    sizes: Sizes,
    training: Training,
    optimizer: Optimizer,
    largest: Batch,
    ranks: int,
    again: bool,
) -> tuple[Memory, float, float]:
    """Return bytes of a device, of the host's memory, and of a checkpoint (all ranks together)."""
    zero = training.zero
    state = float(optimizer.state_bytes(sizes.trained, sizes.trained_bytes))
    if training.master_weights:
        state = sizes.trained * (MASTER_BYTES + 2 * MASTER_BYTES)
    shared = [ranks if zero.stage >= stage else 1 for stage in (3, 2, 1)]
    held = [size / share for size, share in zip((sizes.all_bytes, sizes.trained_bytes, state), shared, strict=True)]
    host = 0.0
    if zero.offload_optimizer:
        held[2], host = 0.0, host + state
    if zero.offload_parameters:
        held[0], host = 0.0, host + sizes.all_bytes
    activations = activations_of(loaded, training, largest, again, "vision_tower" in sizes.of_part)
    weights, gradients, moments = held
    return Memory(weights, gradients, moments, activations), host, sizes.trained_bytes + state


def activations_of(loaded: TrainableVLM, training: Training, batch: Batch, again: bool, tower: bool) -> float:
    """Return roughly what a forward pass keeps for its backward, in bytes; `tower`: whether that is trained, too.

    With checkpointing a hidden state a layer and one layer's own; else all layers' own: about sixteen vectors of the
    hidden size a token, and three of the feed-forward's, two in the tower, which has no gate. The head's logits are
    float32, with their gradient.
    """
    config = loaded.model.config
    width = 2 if "16" in training.numerics or training.master_weights else 4
    kept = _of_layers(config.text_config, batch.tokens, 3, again)
    if tower:
        kept += _of_layers(config.vision_config, batch.crops * loaded.nothing(True).shape[1], 2, again)
    return float(kept * width + batch.supervised * config.text_config.vocab_size * 4 * 2)


def _of_layers(config: Any, positions: int, wide: int, again: bool) -> int:
    """Return how many numbers the layers of a transformer keep."""
    width, layers = int(config.hidden_size), int(config.num_hidden_layers)
    layer = positions * (16 * width + wide * int(config.intermediate_size))
    return layers * positions * width + layer if again else layers * layer


def _largest(batches: Epochs, samples: Samples, packed: bool, ranks: int) -> Batch:
    """Return the batch of the first epoch that computes most."""
    most = Batch(0, 0, 0)
    for batch in (batch for dealt in batches.dealt(0, ranks) for batch in dealt if len(batch)):
        lengths = samples.lengths[batch]
        computed = int(lengths.sum()) if packed else int(lengths.max()) * len(batch)
        most = max(most, Batch(computed, int(samples.tokens[batch].sum()), int(samples.crops[batch].sum())))
    return most


def _states(loaded: TrainableVLM, samples: Samples) -> float:
    """Return bytes of the frozen tower's states of all pictures, which are kept."""
    one = loaded.nothing(True)
    return float(sum(samples.pictures.crops) * one.numel() * one.element_size())


def work_of_tower(loaded: TrainableVLM, samples: Samples) -> float:
    """Return the FLOPs of a frozen tower that sees every picture once."""
    seen = flops.work(samples.pictures.crops, [], 0)
    return flops.forward(loaded.products(), seen).get("vision_tower", 0.0)


def _work(samples: Samples, chosen: Any, loaded: TrainableVLM) -> flops.Work:
    """Return what an epoch holds."""
    contexts: Sequence[int] = ()
    if any(product.unit == "context" for product in loaded.products()):
        of_sample = [samples.sample(int(index)) for index in chosen]
        contexts = [len(sample.context) for sample in of_sample for _ in sample.images]
    crops, supervised = samples.crops[chosen].tolist(), int(samples.tokens[chosen].sum())
    return flops.work(crops, samples.lengths[chosen].tolist(), supervised, contexts)


def _flops(loaded: TrainableVLM, work: flops.Work, states: bool) -> float:
    """Return the FLOPs of an epoch, forward and backward, as the logged MFU counts them."""
    free = [(loaded.part(name), name, p) for name, p in loaded.model.named_parameters() if p.requires_grad]
    trained = {part for part, name, p in free if p.ndim > 1 and "lora_" not in name}
    products = loaded.products()
    done = flops.training(
        flops.seen_before(products) if states else products, work, trained, {part for part, *_ in free}
    )
    return sum(done.values())


def peak_of_device(training: Training) -> tuple[float | None, str]:
    """Return the FLOP/s of one device, None where nobody knows, and whose they are."""
    if training.peak_tflops:
        return training.peak_tflops * 1e12, "trainer.peak_tflops"
    if not training.on_gpu:
        return None, "this CPU"
    name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ASSUMED_GPU
    return flops.peak(name), name if torch.cuda.is_available() else f"an {name}, as no GPU is here"


def width_of(dtype: str) -> int:
    """Return the bytes of a number of a type, as torch names it."""
    return int(torch.empty(0, dtype=getattr(torch, dtype), device="meta").element_size())


def as_text(found: Plan) -> str:
    """Return a plan as lines of text."""
    sizes, memory, device = found.sizes, found.memory, "GPU" if found.on_gpu else "process"
    parts = ", ".join(f"{part} {many(number)}" for part, number in sizes.of_part.items())
    reasons = ", ".join(f"{number} {reason}" for reason, number in found.rejected.items())
    disk = found.checkpoints * found.checkpoint_bytes + found.export_bytes + found.rows_bytes
    lines = {
        "model": f"{found.model}: {many(sizes.all)} parameters, {many(sizes.trained)} trained ({parts})",
        "rows": f"{found.rows:,} an epoch, {sum(found.rejected.values()):,} rejected{reasons and f' ({reasons})'}",
        "tokens": f"{found.tokens:,} an epoch, {found.supervised:,} supervised; longest row: {found.longest:,}",
        "pictures": f"{found.crops:,} crops an epoch",
        "packs" if found.packed else "batches": f"{found.batches:,} an epoch; ranks: {found.ranks}",
        "steps": f"{found.steps:,} an epoch, {found.total_steps:,} in all",
        f"{device} memory": f"{gib(memory.total)} each: weights {gib(memory.weights)}, gradients "
        f"{gib(memory.gradients)}, optimizer {gib(memory.optimizer)}, activations roughly {gib(memory.activations)}",
        "host memory": f"{gib(found.host_bytes)} of kept or offloaded states",
        "disk": f"{gib(disk)}: at most {found.checkpoints} checkpoints of {gib(found.checkpoint_bytes)}, exported "
        f"model {gib(found.export_bytes)}, encoded rows {gib(found.rows_bytes)}",
        "compute": f"{found.flops / 1e12:,.3g} TFLOP" if found.flops < 1e15 else f"{found.flops / 1e15:,.1f} PFLOP",
        "time": _duration(found),
    }
    return "\n".join(["dry run: nothing was trained, nothing was written", *(f"{a:<15}{b}" for a, b in lines.items())])


def _duration(found: Plan) -> str:
    if found.hours is None or found.peak is None:
        return "not known: set trainer.peak_tflops to what one device can do"
    hours = f"{found.hours:,.1f} hours" if found.hours >= 1 else f"{found.hours * 60:,.1f} minutes"
    peak = f"{found.peak / 1e12:,.0f} TFLOP/s ({found.peak_of})"
    return f"{hours} at an assumed MFU of {found.mfu:.0%} of {peak} a device; validation and checkpoints come on top"


def gib(size: float) -> str:
    """Return bytes as people say them."""
    return f"{size / GIB:,.2f} GiB" if size >= GIB / 10 or not size else f"{size / MIB:,.1f} MiB"


def many(number: float) -> str:
    """Return a number of parameters as people say it.

    >>> many(8_030_000_000), many(1_234_567), many(999)
    ('8.03 B', '1.23 M', '999')
    """
    for size, sign in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.2f} {sign}"
    return f"{number:.0f}"
