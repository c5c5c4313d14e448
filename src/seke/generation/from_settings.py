"""The generator and its annotators as settings ask for them: made in `generate.py`, and in every worker of Ray."""

from collections.abc import Callable, Mapping
from typing import Any

from seke.core import plugins
from seke.core.budget import Budget, Metered, Spent
from seke.core.errors import UserError
from seke.core.prompts import Prompts
from seke.core.vlm import Tabular, layers
from seke.generation.blind import Blind
from seke.generation.outcome import Generator

Build = Callable[..., Any]
"""Makes an object of a node of the settings."""


def annotators(build: Build, cfg: Any, budget: Budget, spent: Spent) -> tuple[Generator, Generator | None, Metered]:
    """Return the generator, the one for what it declines, and the meter of both, which counts into `spent`."""
    check_second(cfg)
    meter = Metered(build(cfg.backend), budget, spent)
    second = {"second": meter.other(build(cfg.second))} if cfg.second else {}
    first = generator(build, cfg, meter, table_of(meter), **second)
    spare = generator(build, cfg, meter.other(build(cfg.fallback)), **first.spare) if cfg.fallback else None
    return first, spare, meter


def backends(cfg: Any) -> list[str]:
    """Return what the backends are for that `annotators` makes, in the order in which their meter lists them."""
    return ["annotator", *(name for name in ("second", "fallback") if cfg[name])]


def check_second(cfg: Any) -> None:
    """Refuse a second annotator that nobody would ask, and a rule that lacks one.

    Raises:
        UserError: for either.
    """
    by_value = "by_value" in str((cfg.get("stopping") or {}).get("_target_", ""))
    takes = "stopping" in cfg.generator
    if cfg.second and not (by_value and takes):
        problem = "a second annotator is asked by stopping=value alone, with generator=seke"
        raise UserError("second", cfg.second.get("model") or "given", problem, "add stopping=value, or leave it out")
    if by_value and takes and not cfg.second:
        remedy = "add '+backend@second=openai' second.model=..., or choose another stopping="
        raise UserError("stopping", "value", "it decides between two annotators, and there is one", remedy)


def table_of(vlm: object) -> Mapping[str, Any] | None:
    """Return what a table that is the annotator says of itself; None where it is a model."""
    return next((layer.table for layer in layers(vlm) if isinstance(layer, Tabular)), None)


def generator(build: Build, cfg: Any, vlm: Any, table: Mapping[str, Any] | None = None, **other: Any) -> Generator:
    """Return the generator that asks `vlm`; one that reads `table` instead, where that is given.

    Raises:
        UserError: if what is made lacks anything that a run needs of it, be it at its end.
    """
    node = cfg.generator
    if table is not None:
        node, other = _not_asking(cfg), {**other, "table": table}
    made: Generator = build(node, vlm=vlm, prompts=build(cfg.prompts), seed=cfg.seed, **other)
    plugins.require("generator", made, "learn", "generate")
    if not isinstance(getattr(made, "prompts", None), Prompts):
        raise plugins.broken("generator", made, "has no prompts", "keep the Prompts that it is made with as `prompts`")
    return made


def _not_asking(cfg: Any) -> dict[str, Any]:
    """Return the settings of a generator that asks nobody, for a table.

    Raises:
        UserError: if the generator that is set makes something else than labels of faces.
    """
    wanted = cfg.generator
    if "witnesses" not in wanted:
        problem = "a table labels faces, and this generator makes something else of a picture"
        raise UserError("backend", "table", problem, "use generator=seke or generator=blind")
    shared = {name: wanted[name] for name in ("hide", "witnesses", "outputs", "folds") if name in wanted}
    return {"_target_": f"{Blind.__module__}.{Blind.__qualname__}", **shared}
