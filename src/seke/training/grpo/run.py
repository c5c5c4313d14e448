"""One reinforcement: from a fine-tuned model and human labels to an exported model, its manifest and its card."""

import contextlib
import dataclasses
import functools
import logging
import math
import os
import platform
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from datasets import Dataset, disable_progress_bars
from transformers.utils import logging as transformers_logging

from seke.core import provenance
from seke.core.errors import Paused, UserError
from seke.core.images import ImageError
from seke.core.records import write_jsonl
from seke.core.runs import Run, manifest_beside
from seke.hub import model_card
from seke.models.protocol import Family, TrainableVLM
from seke.training.callbacks.checkpoints import Checkpoints
from seke.training.callbacks.fault_guard import FaultGuard, MemoryBound, explained
from seke.training.data.pictures import lost_picture
from seke.training.grpo.checkpoints import BEST, resumable
from seke.training.grpo.demonstrations import with_demonstrations
from seke.training.grpo.greedy import Answer, answers, check_base, worth
from seke.training.grpo.records import Face, Faces, Records, conversation, labels_of, order, shuffled
from seke.training.grpo.rewards import Judge, base_rates, rarity_weights
from seke.training.grpo.settings import Grpo, check_installed
from seke.training.grpo.shared_prompts import shareable
from seke.training.grpo.vision_states import kept_states
from seke.training.optimizers import AdamW, Optimizer
from seke.training.settings import Training

FIRST: Final = 64
"""Faces that the base answers before anything is learnt."""


def fit(
    run: Run,
    model: Family,
    data: Records,
    algorithm: Grpo,
    training: Training,
    logger: Any,
    outputs: Path,
    seed: int = 0,
    resume: bool = True,
    optimizer: Optimizer | None = None,
) -> dict[str, Any]:
    """Reinforce `model` by the human labels of `data`, save it below the run's directory, and write the manifest.

    An interrupted run goes on from its last checkpoint; on a CPU in float32 it ends as if it had not been interrupted.

    Args:
        run: the directory, claimed.
        model: a fine-tuned model, and which parts of it train.
        data: whose labels reward its answers.
        algorithm: how.
        training: steps, device, precision, checkpoints.
        logger: Lightning's, or several; False: none.
        outputs: where names of prepared sets are looked up.
        seed: of the faces' order and of what is sampled.
        resume: whether to go on from a checkpoint; False: from the start.
        optimizer: makes an optimiser of parameter groups; None: AdamW.

    Returns:
        What the manifest tells.

    Raises:
        Paused: if a scheduler asked this run to stop; it is saved.
        UserError: if it cannot go on.
    """
    check_installed()
    check(algorithm, training)
    training.check_machine()
    folder = run.path / "checkpoints"
    bound = MemoryBound("trainer.accumulate", training.accumulate, "raise it: fewer answers are learnt from at once")
    guard = FaultGuard(Checkpoints(folder, training.checkpoint_every), bound)
    loggers: Sequence[Any] = logger if isinstance(logger, list) else [logger] if logger else []
    with _quiet(), guard.listening(), explained(guard, str(model.path)):
        if training.threads:
            torch.set_num_threads(training.threads)
        found, watched = data.train(outputs, seed), data.held_out(outputs, seed)
        labels_of(found.faces)
        judge = judge_of(algorithm, found.faces)
        loaded, groups = loaded_model(model, algorithm, optimizer or AdamW())
        if not getattr(loaded.processor, "chat_template", None):
            raise UserError("model", type(model).__name__, "no chat template, which TRL needs", "use model=llava_ov")
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
        since, watch = resumable(folder)
        from seke.training.grpo.engine import RewardFunction, load_trained, save_trained
        from seke.training.grpo.steps import Steps

        if training.own_gpu:
            loaded.model.to(training.own_gpu)
        if since is None:
            check_base(judge, _ask(loaded, found.faces[:: max(1, len(found.faces) // FIRST)][:FIRST], data, algorithm),
                       str(model.path), algorithm.max_tokens)  # fmt: skip
        write_jsonl(run.path / "rejected.jsonl", found.rejected)  # not before: until then a name is free
        faces = shuffled(found.faces, seed) if algorithm.shuffle else found.faces
        threshold = algorithm.threshold if algorithm.credit == "statement" else None
        reward = RewardFunction(judge, faces, loaded.end, algorithm.group_size, threshold, _pieces(loaded.processor),
                                algorithm.demonstrations)  # fmt: skip
        with kept_states(loaded.model) if algorithm.keep_states else contextlib.nullcontext() as kept:
            steps = Steps(
                run.path, training, reward, guard, loggers, data.question, watch,
                look=(lambda: _look(loaded, judge, watched.faces, data, algorithm)) if watched else None,
                keep_best=lambda: _keep(lambda: save_trained(loaded.model, folder / BEST), folder),
                iterations=algorithm.iterations, kept=kept,
            )  # fmt: skip
            engine = _engine(loaded, groups, algorithm, training, faces, reward, steps, data, folder, seed,
                             optimizer or AdamW())  # fmt: skip
            steps.engine = engine
            try:
                engine.train(resume_from_checkpoint=None if since is None else str(since))
            except RuntimeError as error:
                if "probability tensor" not in str(error):
                    raise
                raise steps.spoilt("(its answers cannot be sampled)", int(engine.state.global_step)) from error
            except ImageError as error:
                raise lost_picture(error) from error
        done = int(engine.state.global_step)
        if steps.paused:
            raise Paused(f"saved at step {done}")
        if watched and training.keep_best and (folder / BEST).is_file():
            load_trained(loaded.model, folder / BEST)
        export(loaded, run.path / "model", model.dtype)
    facts = _facts(loaded, found, algorithm, steps, done, training)
    model_card.write(run, facts)
    run.finish(**facts)
    shutil.rmtree(folder, ignore_errors=True)
    return facts


def check(algorithm: Grpo, training: Training) -> None:
    """Refuse settings that do not go together.

    Raises:
        UserError: naming one.
    """
    algorithm.check(training)
    if training.checkpoint_every % algorithm.iterations:
        problem = "a checkpoint in the midst of updates on the same answers cannot be gone on from"
        remedy = f"use a multiple of algorithm.iterations={algorithm.iterations}"
        raise UserError("trainer.checkpoint_every", training.checkpoint_every, problem, remedy)


def judge_of(algorithm: Grpo, faces: Sequence[Face]) -> Judge:
    """Return who rewards answers: weights of AUs are by their base rates among these faces.

    Raises:
        UserError: if no face has a label that is weighted.
    """
    rates = base_rates(face.labels for face in faces)
    units = rarity_weights(rates, algorithm.rarity)
    judge = Judge(algorithm.rewards, algorithm.reach, units, algorithm.specificity, rates)
    counts = labelled(faces)
    if not any(counts.get(name) for name, weight in algorithm.rewards.items() if weight and name != "form"):
        there = ", ".join(name for name, count in counts.items() if count) or "nothing"
        weighted = ", ".join(name for name, weight in algorithm.rewards.items() if weight)
        problem = f"these records have human labels of {there} alone"
        raise UserError("algorithm.rewards", weighted, problem, "weight what they have, or give other records")
    return judge


def labelled(faces: Sequence[Face]) -> dict[str, int]:
    """Return of how many faces there is a human label for each task."""
    counts = Counter[str]()
    for face in faces:
        truth = face.labels
        counts.update(name for name in ("expression", "valence", "arousal") if getattr(truth, name) is not None)
        counts.update(["action_units"] if truth.action_units else [])
    return dict(counts)


def loaded_model(
    model: Family, algorithm: Grpo, optimizer: Optimizer, weights: bool = True
) -> tuple[TrainableVLM, list[dict[str, Any]]]:
    """Return the model with the parts that train, and the optimiser's groups at the learning rates of reinforcement."""
    load = model.load if weights else model.outline
    loaded = load(dtype=None if optimizer.keeps_bfloat16 else "float32")
    groups = model.train(loaded)
    return loaded, [{**group, "lr": group["lr"] * algorithm.lr_share} for group in groups]


def export(loaded: TrainableVLM, path: Path, dtype: str) -> None:
    """Write the model to `path` in Hugging Face layout and `dtype`."""
    loaded.model.to("cpu")
    for parameter in loaded.model.parameters():  # parameters only: rotary frequencies are buffers and stay float32
        parameter.data = parameter.data.to(getattr(torch, dtype))
    loaded.save(path)


def _engine(
    loaded: TrainableVLM,
    groups: list[dict[str, Any]],
    algorithm: Grpo,
    training: Training,
    faces: Sequence[Face],
    reward: Any,
    steps: Any,
    data: Records,
    folder: Path,
    seed: int,
    optimizer: Optimizer,
) -> Any:
    from transformers import PrinterCallback
    from trl import GRPOConfig

    from seke.training.grpo.engine import Engine

    asked = order(len(faces), math.ceil(training.max_steps / algorithm.iterations), algorithm.prompts, seed)
    rows = Dataset.from_dict({"face": asked}).with_transform(_Rows(faces, data.question))
    adam = optimizer(groups)
    warm = math.ceil(training.warm_up * training.max_steps)
    rate = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: min(1.0, (step + 1) / warm) if warm else 1.0)
    engine = Engine(
        model=loaded.model,
        reward_funcs=reward,
        args=GRPOConfig(**algorithm.trl(training, str(folder), seed)),
        train_dataset=rows,
        processing_class=loaded.processor,
        callbacks=[steps],
        optimizers=(adam, rate),
        token_advantages=reward.token_advantages if algorithm.credit == "statement" else None,
        demonstrations=algorithm.demonstrations,
        demonstrate=_demonstrate(algorithm, faces, loaded) if algorithm.demonstrations else None,
        share=algorithm.share_prompts and shareable(loaded.model, bool(training.activation_checkpointing)),
    )
    engine.remove_callback(PrinterCallback)
    return engine


class _Rows:
    """Faces as TRL reads them. The pictures of the batch in hand stay open: each is read for all of its answers."""

    def __init__(self, faces: Sequence[Face], question: str) -> None:
        self.faces, self.question = faces, question
        self.opened: dict[int, Any] = {}

    def __call__(self, batch: Mapping[str, list[int]]) -> dict[str, list[Any]]:
        numbers = batch["face"]
        for gone in set(self.opened) - set(numbers):
            del self.opened[gone]
        for number in numbers:
            if number not in self.opened:
                self.opened[number] = self.faces[number].picture.picture()
        prompts = [conversation(self.question) for _ in numbers]
        return {"prompt": prompts, "image": [self.opened[number] for number in numbers], "face": numbers}

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: `datasets` pickles what transforms rows to name it, and would pickle all faces."""
        return {}


def _demonstrate(
    algorithm: Grpo, faces: Sequence[Face], loaded: TrainableVLM
) -> Callable[[Sequence[list[int]], Sequence[int]], list[list[int]]]:
    """Return what puts demonstrations among sampled answers."""
    tokenizer = loaded.processor.tokenizer

    def encode(text: str) -> list[int]:
        return [*tokenizer.encode(text, add_special_tokens=False), loaded.end]

    def demonstrate(answers: Sequence[list[int]], asked: Sequence[int]) -> list[list[int]]:
        truths = [faces[number].labels for number in asked]
        return with_demonstrations(
            answers, truths, algorithm.group_size, algorithm.demonstrations, loaded.decode, encode
        )

    return demonstrate


def _pieces(processor: Any) -> Callable[[int], str]:
    """Return what writes a token alone, "" where it is none of the text's."""

    @functools.cache
    def piece(token: int) -> str:
        return str(processor.tokenizer.decode([token], skip_special_tokens=True))

    return piece


def _ask(loaded: TrainableVLM, faces: Sequence[Face], data: Records, algorithm: Grpo) -> list[Answer]:
    return list(answers(loaded, faces, data.question, algorithm.max_tokens))


def _look(
    loaded: TrainableVLM, judge: Judge, faces: Sequence[Face], data: Records, algorithm: Grpo
) -> dict[str, float]:
    by_labels = dataclasses.replace(
        judge, weights={**judge.weights, "form": 0.0}
    )  # what is kept is chosen by labels alone
    found = worth(by_labels, _ask(loaded, faces, data, algorithm))
    parts = {f"validation_{name}": value for name, value in found.parts.items()}
    return {"validation_reward": found.reward, "validation_length": found.tokens, **parts}


def _keep(save: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save()


def _facts(
    loaded: TrainableVLM, found: Faces, algorithm: Grpo, steps: Any, done: int, training: Training
) -> dict[str, Any]:
    """Return what the manifest tells of a reinforcement that is done."""
    device = platform.machine()
    if training.own_gpu:
        device = torch.cuda.get_device_name(training.own_gpu)
    return {
        "algorithm": "grpo",
        "base": str(loaded.name),
        "synthetic": manifest_beside(found.file).get("synthetic"),
        "rows": len(found.faces),
        "rejected": len(found.rejected),
        "rejected_for": found.rejected_for,
        "without_picture": 0,
        "parts": {"data0": len(found.faces)},
        "labels": labelled(found.faces),
        "steps": done,
        "epochs": round(done * algorithm.prompts / len(found.faces) / algorithm.iterations, 2),
        "answers": done * algorithm.answers // algorithm.iterations,
        "loss": steps.latest.get("loss"),
        "reward": {"first": steps.first.get("reward"), "last": steps.latest.get("reward")},
        "last": steps.latest,
        "speed": steps.speed(),
        "validation_loss": None,
        "best": None if steps.watch.step is None else {"step": steps.watch.step, "reward": steps.watch.reward},
        "annotations": [],
        "advice": [],
        "trained_on": [str(found.file.resolve())],
        "made": provenance.made(sys.argv),
        "packed": False,
        "epoch_tokens": {"all": None, "supervised": None},
        "hardware": {"device": f"{'cuda' if training.own_gpu else 'cpu'} {device}", "processes": 1, "nodes": 1},
        "precision": training.numerics,
    }


def summary(facts: Mapping[str, Any]) -> list[str]:
    """Return the facts of a finished reinforcement as lines of text."""
    lines = []
    if facts["rejected_for"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in facts["rejected_for"].items())
        lines.append(f"rejected: {reasons}; see rejected.jsonl")
    first, last = facts["reward"]["first"], facts["reward"]["last"]
    reward = "" if first is None or last is None else f", mean reward {first:.3f} -> {last:.3f}"
    if facts["best"]:
        reward += f", validation's best {facts['best']['reward']:.3f} at step {facts['best']['step']}"
    if speed := facts.get("speed"):
        lines.append(
            f"sampled {speed['sampled_per_s']:.3g} answers/s ({speed['sampling']:.0%} of the steps' time), "
            f"learnt from {speed['learnt_per_s']:.3g}/s ({speed['learning']:.0%}), "
            f"{speed['answers_per_s']:.3g}/s in all"
        )
    return [*lines, f"{facts['rows']} faces, {facts['steps']} steps, {facts['answers']} answers{reward}"]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence TRL's and transformers' advice; errors still come as exceptions."""
    before = transformers_logging.get_verbosity()
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed, which transformers looks at, warns
    transformers_logging.set_verbosity_error()
    disable_progress_bars()
    names = ("trl", "accelerate", "transformers")
    levels = [logging.getLogger(name).level for name in names]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            transformers_logging.set_verbosity(before)
            for name, level in zip(names, levels, strict=True):
                logging.getLogger(name).setLevel(level)
