"""The generator and its annotators as settings ask for them: made in `generate.py`, and in every worker of Ray."""

from collections.abc import Callable
from typing import Any

from seke.core.budget import Budget, Metered, Spent
from seke.generation.outcome import Generator

Build = Callable[..., Any]
"""Makes an object of a node of the settings."""


def annotators(build: Build, cfg: Any, budget: Budget, spent: Spent) -> tuple[Generator, Generator | None, Metered]:
    """Return the generator, the one for what it declines, and the meter of both, which counts into `spent`."""
    meter = Metered(build(cfg.backend), budget, spent)
    first = generator(build, cfg, meter)
    spare = generator(build, cfg, meter.other(build(cfg.fallback)), **first.spare) if cfg.fallback else None
    return first, spare, meter


def generator(build: Build, cfg: Any, vlm: Any, **other: Any) -> Generator:
    """Return the generator that asks `vlm`."""
    made: Generator = build(cfg.generator, vlm=vlm, prompts=build(cfg.prompts), seed=cfg.seed, **other)
    return made
