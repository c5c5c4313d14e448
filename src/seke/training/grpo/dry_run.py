"""Dry run of a reinforcement (train.py algorithm=grpo dry_run=true): steps, answers, memory, disk and hours.

    records -> faces, their prompts' lengths       exact
    config -> parameters, bytes a device           exact but for activations
    -> FLOPs where every answer is as long as it may be, at an assumed MFU: sampling a token at a time reaches less

The model has no weights here (torch's `meta` device).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from seke.core.errors import UserError
from seke.models.protocol import Family
from seke.training.data import flops
from seke.training.dry_run import Batch as LargestBatch
from seke.training.dry_run import Memory, activations_of, checked_mfu, gib, many, peak_of_device, sizes_of, width_of
from seke.training.grpo.records import Records
from seke.training.grpo.run import check, judge_of, labelled, loaded_model
from seke.training.grpo.settings import Grpo
from seke.training.optimizers import Optimizer
from seke.training.settings import Training

LOOKED_AT = 256
"""Pictures whose sizes are read; the rest are taken to be like them."""


class Plan(NamedTuple):
    """What a reinforcement would take."""

    model: str
    parameters: int
    trained: int
    faces: int
    rejected: Mapping[str, int]
    labels: Mapping[str, int]
    watched: int
    steps: int
    passes: float
    answers: int
    prompt_tokens: float
    max_tokens: int
    memory: Memory
    copy_bytes: float
    """Of the model that it began with, where algorithm.kl is above 0."""
    checkpoint_bytes: float
    export_bytes: float
    flops: float
    hours: float | None
    mfu: float


def plan(
    model: Family,
    data: Records,
    algorithm: Grpo,
    training: Training,
    optimizer: Optimizer,
    outputs: Path,
    seed: int = 0,
    mfu: float = 0.4,
) -> Plan:
    """Return what `seke.training.grpo.run.fit` would do with the same settings.

    Raises:
        UserError: as `fit`, as far as it can be known without weights.
    """
    mfu = checked_mfu(mfu)
    check(algorithm, training)
    found, watched = data.train(outputs, seed), data.held_out(outputs, seed)
    judge_of(algorithm, found.faces)
    loaded, _ = loaded_model(model, algorithm, optimizer, weights=False)
    faces = found.faces[:: max(1, len(found.faces) // LOOKED_AT)][:LOOKED_AT]
    pictures = [face.picture.picture() for face in faces]
    sizes = [(picture.height, picture.width) for picture in pictures]
    lengths = [len(ids) for ids in loaded.prompts([[("user", data.question, (size,))] for size in sizes])]
    prompt, crops = sum(lengths) / len(lengths), sum(map(loaded.crops, sizes)) / len(sizes)
    longest = max(lengths) + algorithm.max_tokens
    if longest > loaded.max_tokens:
        problem = f"with a prompt of {max(lengths)} tokens more than the model's {loaded.max_tokens}"
        raise UserError("algorithm.max_tokens", algorithm.max_tokens, problem, "lower it")
    size, products = sizes_of(loaded), loaded.products()
    answers = training.max_steps * algorithm.answers // algorithm.iterations
    batch = algorithm.answers // training.accumulate
    activations = activations_of(
        loaded, training, LargestBatch(longest * batch, algorithm.max_tokens * batch, round(crops * batch)),
        bool(training.activation_checkpointing), "vision_tower" in size.of_part,
    )  # fmt: skip
    state = float(optimizer.state_bytes(size.trained, size.trained_bytes))
    memory = Memory(size.all_bytes, size.trained_bytes, state, activations)
    work = flops.work([round(crops)] * 1, [round(prompt) + algorithm.max_tokens], algorithm.max_tokens)
    free = [(loaded.part(name), p) for name, p in loaded.model.named_parameters() if p.requires_grad]
    parts = {part for part, p in free if p.ndim > 1}
    once = sum(flops.forward(products, work).values())
    update = sum(flops.training(products, work, parts, {part for part, _ in free}).values())
    passes = 1 + (1 if algorithm.kl else 0) + (1 if algorithm.iterations > 1 else 0)
    total = answers * (once * passes + update * algorithm.iterations)
    peak, _ = peak_of_device(training)
    return Plan(
        model=str(loaded.name), parameters=size.all, trained=size.trained, faces=len(found.faces),
        rejected=found.rejected_for, labels=labelled(found.faces), watched=len(watched.faces) if watched else 0,
        steps=training.max_steps, passes=training.max_steps * algorithm.prompts / len(found.faces), answers=answers,
        prompt_tokens=prompt, max_tokens=algorithm.max_tokens, memory=memory,
        copy_bytes=size.all_bytes if algorithm.kl else 0.0, checkpoint_bytes=size.trained_bytes + state,
        export_bytes=size.all * width_of(model.dtype), flops=total,
        hours=None if peak is None else total / (peak * mfu) / 3600, mfu=mfu,
    )  # fmt: skip


def as_text(found: Plan) -> str:
    """Return a plan as lines of text."""
    memory = found.memory
    reasons = ", ".join(f"{number} {reason}" for reason, number in found.rejected.items())
    hours = "not known: set trainer.peak_tflops to what the device can do"
    if found.hours is not None:
        hours = f"{found.hours:,.2f} hours at an assumed MFU of {found.mfu:.0%}; sampling reaches less"
    lines = {
        "model": f"{found.model}: {many(found.parameters)} parameters, {many(found.trained)} trained",
        "faces": f"{found.faces:,}, {sum(found.rejected.values()):,} rejected{reasons and f' ({reasons})'}; "
        f"{found.watched} watched",
        "human labels": ", ".join(f"{name} {count:,}" for name, count in found.labels.items()),
        "steps": f"{found.steps:,}, {found.passes:.2f} passes over the faces, {found.answers:,} answers",
        "tokens": f"{found.prompt_tokens:,.0f} of a prompt, at most {found.max_tokens} of an answer",
        "memory": f"{gib(memory.total + found.copy_bytes)}: weights {gib(memory.weights)}, gradients "
        f"{gib(memory.gradients)}, optimizer {gib(memory.optimizer)}, the model at the start {gib(found.copy_bytes)}, "
        f"activations roughly {gib(memory.activations)}; keys and values of answers come on top",
        "disk": f"{gib(3 * found.checkpoint_bytes + found.export_bytes)}: at most 3 checkpoints of "
        f"{gib(found.checkpoint_bytes)}, exported model {gib(found.export_bytes)}",
        "compute": f"{found.flops / 1e12:,.3g} TFLOP where every answer is as long as it may be",
        "time": hours,
    }
    return "\n".join(["dry run: nothing was trained, nothing was written", *(f"{a:<15}{b}" for a, b in lines.items())])
