"""Identity of a run: the settings in which two runs must agree for one to resume the other."""

import json
from collections.abc import Mapping
from typing import Any, Final

from seke.core import moved

HOW_TO_ASK: Final = (
    "concurrency", "timeout", "max_retries", "backoff", "patience", "ledger", "prices", "schema",
    "mode", "folder", "poll", "window", "rows", "megabytes", "retries",
)  # fmt: skip
"""Settings of a backend that its answers do not depend on."""
ASKED: Final = (
    "backend", "second", "fallback", "judge_backend", "second_judge_backend", "judge.vlm",
    "benchmark.judges.first", "benchmark.judges.second",
)  # fmt: skip
"""Where a command's configuration holds backends."""
VOLATILE: Final = (
    "n", "audit", "guarantee", "confidence",
    "overwrite", "update", "review", "results", "paths", "ckpt", "dry_run", "assumed_mfu", "budget", "chunk", "logger",
    "wandb", "wandb_pictures", "objective", "engine", "workers", "export",
    "generator.outputs", "embed_images", "source.workers", "data.workers", "data.cache", "data.cache_dir",
    *(f"{backend}.{name}" for backend in ASKED for name in HOW_TO_ASK),
)  # fmt: skip
"""Settings that change how or where a run is done but not what it yields; a resume may differ in these."""

UNSAID: Final = {
    "model.base_only_when_small": False, "trainer.compile": False, "trainer.float8": False,
    "reader.first_peak": 0, "reader.around": "whole", "source.world": "drawn",
    "generator.normalise": "theoretical", "generator.witnesses": [], "prompts.language": "en",
    "generator.smooth": False, "generator.ask_every": 1, "backend.film_share": 0.5,
    "backend.couplings": "faces", "backend.uncertainty_weight": 1.0, "backend.va_vote": 1.0, "backend.au_shift": 1.0,
    "backend.confident_errors": 0.0, "backend.au_asymmetry": 1.0, "backend.favourite_sets": 0.0,
    "backend.wording_share": 0.0, "algorithm.share_prompts": False, "algorithm.credit": "answer",
    "algorithm.specificity": 1.0, "algorithm.threshold": 0.4, "algorithm.demonstrations": 0,
    "generator.attribute": "emotion", "generator.ask_class": False,
    "generator.tell": ["brightness", "colorfulness", "scene_type", "object", "facial_expression", "human_action"],
}  # fmt: skip
"""What versions without a setting do, by the last two words of its name; of any other setting that is null."""

RENAMED: Final = {"generator.emotions": "classes"}
"""Settings that earlier versions called otherwise, and their last word today."""
NEW_FORMS: Final = ("prompts.templates", "backend.grading")
"""Mappings of which a run that lacks an entry made no use of it: nothing asked for what it says."""


def settled(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a configuration identifies its run, classes by their paths of today."""
    kept: dict[str, Any] = moved.with_current_targets(json.loads(json.dumps(config)))
    for key in VOLATILE:
        *parents, last = key.split(".")
        node: Any = kept
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node.pop(last, None)
    for key, name in RENAMED.items():
        group, earlier = key.split(".")
        if isinstance(node := kept.get(group), dict) and earlier in node:
            node[name] = node.pop(earlier)
    if "backend" in kept:
        kept.pop("model", None)  # whoever is asked and runs it holds it, too
    return kept


def difference(before: Any, now: Any, where: str = "") -> str:
    """Name the first setting that differs, as `key=old (now new)`, or return an empty string.

    >>> difference({"model": {"path": "x", "base_only_when_small": False}}, {"model": {"path": "y"}})
    'model.path=x (now y)'
    """
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            inner = f"{where}.{key}".removeprefix(".").removeprefix("config.")
            if key not in before and any(_within(inner, mapping) for mapping in NEW_FORMS):
                continue
            unsaid = UNSAID.get(".".join(inner.split(".")[-2:]))
            if found := difference(before.get(key, unsaid), now.get(key, unsaid), inner):
                return found
        return ""
    return "" if before == now else f"{where}={before} (now {now})"


def _within(setting: str, mapping: str) -> bool:
    """Whether a setting is this mapping, or an entry of it, wherever it lies."""
    return f".{setting}.".rpartition(f".{mapping}.")[1] != ""
