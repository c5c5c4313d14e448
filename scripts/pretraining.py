"""What the scripts that pre-train the tiny models share: the training loop, padding, words, settings."""

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from seke.answers.extract import describe
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.records import Labels

ROOT = Path(__file__).resolve().parent.parent
SIZE = 96
"""Pixels a side of every picture."""
ASK = ("Describe the picture.", "What do you see?", "Describe this image.", "What does the picture show?")
STATEMENTS = [f"The {expression}. {name.lower()}" for expression in EXPRESSIONS for name in ACTION_UNITS.values()]
"""Every word of expressions and action units, as it stands within a sentence."""


class Head(nn.Module):
    """The throw-away head: every patch keeps its place (mean-pooling learns far slower on so few tokens)."""

    def __init__(self, patches: int, width: int, outputs: int) -> None:
        super().__init__()
        self.token = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 24), nn.GELU(), nn.Flatten())
        self.out = nn.Linear(24 * patches, outputs)

    def forward(self, states_NPD: Tensor) -> Tensor:
        """Return (N, outputs)."""
        out: Tensor = self.out(self.token(states_NPD))
        return out


def rate(share: float, warm_up: float = 0.03) -> float:
    """Return the learning rate's factor after `share` of the work: linear warm-up, then a cosine to 2 %."""
    return min(1.0, share / warm_up) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


def learn(
    stage: str, parameters: Iterable[nn.Parameter], loss: Callable[[int, np.ndarray], Tensor],
    held: Callable[[], str], rng: np.random.Generator, batch: int, lr: float, steps: int, *, of: range,
    every: int = 250, fused: bool | None = None,
) -> None:  # fmt: skip
    """Minimise `loss(step, chosen)` over examples drawn from `of`; print now and then what `held()` says."""
    weights = list(parameters)
    optimiser = torch.optim.AdamW(weights, lr=lr, weight_decay=0.01, fused=fused)
    mean = 0.0
    for step in tqdm(range(1, steps + 1), desc=stage, mininterval=5):
        optimiser.param_groups[0]["lr"] = lr * rate(step / steps)
        value = loss(step, rng.integers(of.start, of.stop, batch))
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        mean = 0.98 * mean + 0.02 * value.item()
        if step % every == 0:
            with torch.no_grad():
                print(f"{stage} step {step} loss {mean:.4f} held-out {held()}", flush=True)


def padded(encoded: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """Return ids (B, T) and which positions predict a supervised token (B, T)."""
    width = max(len(row.ids) for row in encoded)
    ids_BT = torch.zeros(len(encoded), width, dtype=torch.long)
    keep_BT = torch.zeros(len(encoded), width, dtype=torch.bool)
    for place, row in enumerate(encoded):
        ids_BT[place, : len(row.ids)] = torch.tensor(row.ids)
        keep_BT[place, : len(row.ids) - 1] = torch.tensor(row.supervised[1:])
    return ids_BT, keep_BT


def answer_loss(loaded: Any, encoded: Sequence[Any], features: Any) -> Tensor:
    """Return the mean cross-entropy of the supervised tokens."""
    ids_BT, keep_BT = padded(encoded)
    return F.cross_entropy(loaded.logits(ids_BT, None, features, keep_BT), ids_BT.roll(-1, 1)[keep_BT])


def description(action_units: Mapping[int, bool]) -> str:
    """Return an answer that has every kind of number in it."""
    return describe(Labels(expression="neutral", valence=-0.12, arousal=0.34, action_units=dict(action_units)))


def strings(node: Any) -> list[str]:
    """Return all texts in what a YAML file holds."""
    if isinstance(node, str):
        return [node]
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [text for item in inner for text in strings(item)]


def given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with what the command line says, `name=value`, in place of the defaults.

    Raises:
        UserError: for what is no setting, or no value of one.
    """
    said = dict(settings)
    for argument in sys.argv[1:]:
        name, _, value = argument.partition("=")
        if name not in settings:
            raise UserError(name, value, "no such setting", f"use one of {', '.join(settings)}")
        try:
            said[name] = type(settings[name])(value)
        except ValueError:
            problem = f"is no {type(settings[name]).__name__}"
            raise UserError(name, value, problem, f"write for example {name}={settings[name]}") from None
    return said


def save(loaded: Any, out: str) -> None:
    """Write the model to a folder and say how large it is."""
    loaded.save(Path(out))
    weights = sum(parameter.numel() for parameter in loaded.model.parameters())
    print(f"{out}: {weights:,} weights, {len(loaded.processor.tokenizer)} tokens")
