"""The figures of a report, as far as there are data: groups of panels, each written as PNG and SVG."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from seke.core.intervals import Estimate
from seke.reporting.data import conclusions, films, results, scenes
from seke.reporting.data.collect import Material
from seke.reporting.data.run_labels import NamedRun, Words
from seke.reporting.data.runs import Curve
from seke.reporting.data.spread import UNITS, spread
from seke.reporting.data.tables import Column
from seke.reporting.data.verdict import HEADLINE
from seke.reporting.render import figures
from seke.reporting.render.figures import Panel
from seke.reporting.render.over_time import over_time

SCENES = [(f"{column.group} {column.label}", column) for column in scenes.SCORES if column.better]


REWARD: Final = "reward"
"""What a training that is a reinforcement logs."""
OF_ANSWERS: Final = {
    "reward": (REWARD, "validation_reward"),
    "by task": ("reward_expression", "reward_action_units", "reward_valence", "reward_arousal"),
    "tokens of an answer": ("length", "validation_length"),
    "shares": ("distinct", "constant_groups", "repeating", "cut"),
}
"""Panels of a reinforcement, and what it logs for each."""
Links = Callable[[NamedRun, str], str | None]
"""(evaluation, what of it) -> where its predictions are listed, as seen from the page; None where they are not."""


def draw(folder: Path, material: Material, links: Links) -> dict[str, list[Panel]]:
    """Draw everything there is data for into `folder` and return it by group; a group may be empty."""
    return {
        "scores": _bars(folder, "feab", material.scored, HEADLINE),
        "scenes": _bars(folder, "scenes", material.scenes, SCENES),
        "reliability": _bars(folder, "reliability", material.checked, HEADLINE),
        "action_units": _action_units(folder, material.scored),
        "confusion": _confusion(folder, material.scored, links),
        "emotions": _confusion(folder, material.scenes, links),
        "samples": _samples(folder, material),
        "spread": _spread(folder, material),
        "trust": _trust(folder, material),
        "conclusions": [
            figures.forest_plot(folder, f"conclusions_{number}", item.words.short, rows)
            for number, item in enumerate(material.concluding, start=1)
            if (rows := conclusions.forest_rows(item.run))
        ],
        "curves": _curves(folder, material.trained),
        "rewards": _rewards(folder, material.trained),
        "looks": _looks(folder, material.generated),
        "over_time": _over_time(folder, material),
    }


def _over_time(folder: Path, material: Material) -> list[Panel]:
    """Draw labels over time of some videos of the gallery's generation."""
    rows = material.gallery.run.instructions if material.gallery else ()
    return [over_time(folder, f"over_time_{number}", film) for number, film in enumerate(films.chosen(rows), start=1)]


def _bars(
    folder: Path, name: str, evaluated: Sequence[NamedRun], measures: Sequence[tuple[str, Column]]
) -> list[Panel]:
    """Draw a measure of several runs; that of a single one stands in its table, and a lonely bar says no more."""
    panels = []
    metrics = [(item.words, item.run.scores) for item in evaluated]
    for title, column in measures:
        estimates = [(words, scores.get(column.key, Estimate(None))) for words, scores in metrics]
        if sum(estimate.value is not None for _, estimate in estimates) > 1:
            panels.append(figures.bars(folder, f"{name}_{_stem(column.key)}", title, column, estimates))
    return panels


def _action_units(folder: Path, scored: Sequence[NamedRun]) -> list[Panel]:
    metrics = [(item.words, item.run.scores) for item in scored]
    known = any(
        key.startswith("action_units.f1.") and scores[key].value is not None for _, scores in metrics for key in scores
    )
    return [figures.action_units(folder, "action_units", metrics)] if known else []


def _confusion(folder: Path, scored: Sequence[NamedRun], links: Links) -> list[Panel]:
    """Draw what is taken for what; of a run that always answers the same there is nothing to see."""
    panels = []
    for number, item in enumerate(scored, start=1):
        matrix = results.confusion(item.run)
        if matrix is not None and sum(map(any, zip(*matrix.counts, strict=True))) > 1:
            stem = f"confusion_{number}_{_stem(item.words.short)}"
            cells = partial(links, item) if links(item, "") is not None else None
            panels.append(figures.confusion_map(folder, stem, item.words.short, matrix, cells))
    return panels


def _samples(folder: Path, material: Material) -> list[Panel]:
    panels = []
    for number, item in enumerate(material.generated, start=1):
        sampling = results.sampling(item.run)
        if sum(map(bool, sampling.distribution)) > 1:  # where all take equally many, the table says it
            panels.append(figures.samples(folder, f"samples_{number}_{_stem(item.words.short)}", item.words, sampling))
    return panels


def _spread(folder: Path, material: Material) -> list[Panel]:
    panels = []
    for field, label in results.DESCRIPTIONS.items():
        factor = 100 if "%" in UNITS[field] else 1
        spreads = []
        for item in material.generated:
            levels = [getattr(row.uncertainty, field) for row in item.run.instructions]
            if known := [factor * spread(field, level) for level in levels if level is not None]:
                spreads.append((item.words, known))
        if spreads:
            panels.append(figures.spreads(folder, f"spread_{field}", label, UNITS[field], spreads))
    return panels


def _trust(folder: Path, material: Material) -> list[Panel]:
    chosen = material.chosen
    return [
        figures.accuracy_bars(folder, f"trust_{field}", f"{label}: right, %", chosen.words, levels)
        for field, label in results.DESCRIPTIONS.items()
        if chosen and (levels := material.right_by_uncertainty.get(field, ()))
    ]


def _looks(folder: Path, generated: Sequence[NamedRun]) -> list[Panel]:
    """Draw what the looks at each reviewed run have corrected; of none by doubt there is no curve."""
    return [
        figures.looks(folder, f"looks_{number}_{_stem(item.words.short)}", item.words, item.run.looks)
        for number, item in enumerate(generated, start=1)
        if item.run.looks and item.run.looks["looks"][-1]
    ]


def _curves(folder: Path, trained: Sequence[NamedRun]) -> list[Panel]:
    """Draw the losses of each training in a panel of its own, and the learning rates of all in one."""
    losses = [
        {name: item.run.curves[name] for name in sorted(item.run.curves, key=_validation_last) if _is_loss(name)}
        if REWARD not in item.run.curves  # the loss of a reinforcement is near 0 however well it goes
        else {}
        for item in trained
    ]
    firsts = [next(iter(curves.values()), None) for curves in losses]
    drawn = [curve for curves in losses for curve in curves.values()]
    limits = _limits(drawn)
    panels = [
        figures.learning_curves(
            folder,
            f"curve_{number}_{_stem(item.words.short)}",
            item.words,
            curves,
            [other for place, other in enumerate(firsts, start=1) if other and place != number],
            limits,
        )
        for number, (item, curves) in enumerate(zip(trained, losses, strict=True), start=1)
        if curves
    ]
    rates: dict[Curve, str] = {}
    for item in trained:
        for name, curve in item.run.curves.items():
            if _is_rate(name):
                rates.setdefault(curve, f"{name}, {item.words.short}" if name in rates.values() else name)
    if rates:
        curves = {name: curve for curve, name in rates.items()} if len(rates) > 1 else dict.fromkeys(["all"], *rates)
        words = Words("Learning rate", "Learning rate", "grey")
        panels.append(figures.learning_curves(folder, "curve_lr", words, curves))
    return panels


def _rewards(folder: Path, trained: Sequence[NamedRun]) -> list[Panel]:
    """Draw of each reinforcement what its answers earn, by task, how long they are, and how much they differ."""
    panels = []
    for number, item in enumerate(trained, start=1):
        for title, names in OF_ANSWERS.items() if REWARD in item.run.curves else ():
            curves = {name: item.run.curves[name] for name in names if name in item.run.curves}
            words = replace(item.words, short=f"{item.words.short}: {title}")
            stem = f"reward_{_stem(title)}_{number}_{_stem(item.words.short)}"
            if curves:
                panels.append(figures.learning_curves(folder, stem, words, curves))
    return panels


def _limits(curves: Sequence[Curve]) -> tuple[float, float] | None:
    """Return one scale for all, from the lowest to the highest running mean: single points of a loss leap."""
    values = [value for curve in curves for value in figures.running_mean(curve.values)]
    if not values:
        return None
    low, high = min(values), max(values)
    margin = 0.06 * (high - low or abs(high) or 1.0)
    return low - margin, high + margin


def _is_loss(quantity: str) -> bool:
    """Whether a logged quantity is a loss; `_epoch` doubles of a step's are left out."""
    word = quantity.lower()
    return "loss" in word and not word.endswith("_epoch")


def _is_rate(quantity: str) -> bool:
    word = quantity.lower()
    return word in ("lr", "learning_rate") or word.startswith(("lr-", "lr_"))


def _validation_last(quantity: str) -> tuple[bool, str]:
    return "val" in quantity.lower(), quantity


def _stem(text: str) -> str:
    return "".join(sign if sign.isascii() and sign.isalnum() else "_" for sign in text).lower()
