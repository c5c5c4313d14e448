"""The generator and its annotators as settings ask for them: made in `generate.py`, and in every worker of Ray."""

from collections.abc import Callable
from typing import Any

from seke.core import plugins
from seke.core.budget import Budget, Metered, Spent
from seke.core.prompts import Prompts
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
    """Return the generator that asks `vlm`.

    Raises:
        UserError: if what is made lacks anything that a run needs of it, be it at its end.
    """
    made: Generator = build(cfg.generator, vlm=vlm, prompts=build(cfg.prompts), seed=cfg.seed, **other)
    plugins.require("generator", made, "learn", "generate")
    if not isinstance(getattr(made, "prompts", None), Prompts):
        raise plugins.broken("generator", made, "has no prompts", "keep the Prompts that it is made with as `prompts`")
    return made
