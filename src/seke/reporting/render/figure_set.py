"""The figures of a report, as far as there are data: groups of panels, each written as PNG and SVG."""

from collections.abc import Sequence
from pathlib import Path

from seke.core.intervals import Estimate
from seke.core.rules import MEASURES
from seke.reporting.data import results, scenes
from seke.reporting.data.collect import Material
from seke.reporting.data.run_labels import NamedRun
from seke.reporting.data.tables import Column
from seke.reporting.render import figures
from seke.reporting.render.figures import Panel

HEADLINE = [(measure.title, Column.of(measure)) for measure in MEASURES]
"""The four scores that stand for a system wherever there is no room for all, and their names there."""
SCENES = [(f"{column.group} {column.label}", column) for column in scenes.SCORES if column.better]


def draw(folder: Path, material: Material) -> dict[str, list[Panel]]:
    """Draw everything there is data for into `folder` and return it by group; a group may be empty."""
    return {
        "scores": _bars(folder, "feab", material.scored, HEADLINE),
        "scenes": _bars(folder, "scenes", material.scenes, SCENES),
        "reliability": _bars(folder, "reliability", material.checked, HEADLINE),
        "action_units": _action_units(folder, material.scored),
        "confusion": _confusion(folder, material.scored),
        "emotions": _confusion(folder, material.scenes),
        "samples": _samples(folder, material),
        "uncertainty": _uncertainty(folder, material),
        "trust": _trust(folder, material),
        "curves": _curves(folder, material.trained),
    }


def _bars(
    folder: Path, name: str, evaluated: Sequence[NamedRun], measures: Sequence[tuple[str, Column]]
) -> list[Panel]:
    panels = []
    metrics = [(item.words, item.run.scores) for item in evaluated]
    for title, column in measures:
        estimates = [(words, scores.get(column.key, Estimate(None))) for words, scores in metrics]
        if any(estimate.value is not None for _, estimate in estimates):
            panels.append(figures.bars(folder, f"{name}_{_stem(column.key)}", title, column, estimates))
    return panels


def _action_units(folder: Path, scored: Sequence[NamedRun]) -> list[Panel]:
    metrics = [(item.words, item.run.scores) for item in scored]
    known = any(
        key.startswith("action_units.f1.") and scores[key].value is not None for _, scores in metrics for key in scores
    )
    return [figures.action_units(folder, "action_units", metrics)] if known else []


def _confusion(folder: Path, scored: Sequence[NamedRun]) -> list[Panel]:
    panels = []
    for number, item in enumerate(scored, start=1):
        matrix = results.confusion(item.run)
        if matrix is not None and any(map(sum, matrix.counts)):
            stem = f"confusion_{number}_{_stem(item.words.short)}"
            panels.append(figures.confusion_map(folder, stem, item.words.short, matrix))
    return panels


def _samples(folder: Path, material: Material) -> list[Panel]:
    panels = []
    for number, item in enumerate(material.generated, start=1):
        sampling = results.sampling(item.run)
        if any(sampling.distribution):  # a generation that sampled nothing has nothing to show
            panels.append(figures.samples(folder, f"samples_{number}_{_stem(item.words.short)}", item.words, sampling))
    return panels


def _uncertainty(folder: Path, material: Material) -> list[Panel]:
    panels = []
    for field, label in results.DESCRIPTIONS.items():
        spread = []
        for item in material.generated:
            levels = [getattr(row.uncertainty, field) for row in item.run.instructions]
            if any(level is not None for level in levels):
                spread.append((item.words, [level for level in levels if level is not None]))
        if spread:
            panels.append(figures.uncertainties(folder, f"uncertainty_{field}", label, spread))
    return panels


def _trust(folder: Path, material: Material) -> list[Panel]:
    chosen = material.chosen
    return [
        figures.accuracy_bars(
            folder, f"trust_{field}", f"{label}: right, %", chosen.words, material.right_by_uncertainty[field]
        )
        for field, label in results.DESCRIPTIONS.items()
        if chosen and any(level.n for level in material.right_by_uncertainty.get(field, ()))
    ]


def _curves(folder: Path, trained: Sequence[NamedRun]) -> list[Panel]:
    """Draw each logged loss and the learning rate; `_epoch` doubles of a step's quantity are left out."""
    logged = [(item.words, item.run.curves) for item in trained]
    quantities = sorted({name for _, curves in logged for name in curves if _is_shown(name)}, key=_losses_first)
    panels = []
    for name in quantities:
        having = [(words, curves[name]) for words, curves in logged if name in curves]
        panels.append(figures.learning_curves(folder, f"curve_{_stem(name)}", name, having))
    return panels


def _is_shown(quantity: str) -> bool:
    word = quantity.lower()
    return ("loss" in word and not word.endswith("_epoch")) or word in ("lr", "learning_rate") or word.startswith("lr-")


def _losses_first(quantity: str) -> tuple[bool, bool, str]:
    return "loss" not in quantity.lower(), "val" in quantity.lower(), quantity


def _stem(text: str) -> str:
    return "".join(sign if sign.isascii() and sign.isalnum() else "_" for sign in text).lower()
