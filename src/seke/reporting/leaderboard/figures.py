"""Figures of a leaderboard: cost against quality with the Pareto front, and scores under conditions."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib import ticker

from seke.core.figure_style import FAINT, INK, RULE, TONES
from seke.reporting.leaderboard.board import Board, Entry
from seke.reporting.leaderboard.ranking import pareto
from seke.reporting.leaderboard.tables import clean_row, heading, places
from seke.reporting.render.figures import DASHES, MARKERS, WIDTH, Panel, legend, panel, save, styled

LINES: Final = 8
"""Systems that one drawing of conditions tells apart."""


def cost_panels(folder: Path, board: Board) -> list[Panel]:
    """Draw the headline over dollars and over tokens, of the rows of which these are known."""
    stem = board.name.replace(".", "-")
    kinds: Sequence[tuple[str, str, Callable[[Entry], float | None]]] = (
        ("usd", "US dollars for 1,000 pictures", lambda entry: entry.usd_per_thousand),
        ("tokens", "tokens a picture, in and out", lambda entry: entry.tokens),
    )
    return [
        drawn
        for kind, unit, cost in kinds
        if (drawn := _cost_quality(folder, f"{stem}-{kind}", board, unit, cost)) is not None
    ]


@styled
def _cost_quality(
    folder: Path, name: str, board: Board, unit: str, cost: Callable[[Entry], float | None]
) -> Panel | None:
    key = board.keys[0]
    measure, place = board.measure(key), places(board)
    shown = [
        (entry, spent, entry.row.measures[key])
        for entry in board.ranked
        if key in entry.row.measures and (spent := cost(entry)) is not None
    ]
    if len(shown) < 2:
        return None
    factor, sign = (100 if measure.percent else 1), (1 if measure.better == "high" else -1)
    front = pareto([spent for _, spent, _ in shown], [sign * found.value for _, _, found in shown])
    figure, axes = panel(heading(measure), WIDTH, 2.4)
    points = [(shown[k][1], factor * shown[k][2].value) for k in front]
    axes.step(*zip(*points, strict=True), where="post", color=TONES["blue"], linewidth=1.2, linestyle=DASHES[1])
    for k, (entry, spent, found) in enumerate(shown):
        best = k in front
        if found.ci95 is not None and found.coverage == 1:
            axes.plot((spent, spent), [factor * end for end in found.ci95], color=FAINT, linewidth=0.7)
        axes.plot(
            spent, factor * found.value, "o" if best else "s", color=TONES["blue" if best else "grey"], markersize=5
        )
        axes.annotate(
            str(place[id(entry)]),
            (spent, factor * found.value),
            (4, 3),
            textcoords="offset points",
            color=INK,
            fontweight="bold" if best else "normal",
        )
    costs = [spent for _, spent, _ in shown]
    if 0 < 8 * min(costs) < max(costs):
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda tick, _: f"{tick:g}")
    axes.set_xlabel(unit)
    if measure.better == "low":
        axes.invert_yaxis()
    axes.grid(True, color=RULE)
    axes.set_axisbelow(True)
    unknown = len(board.ranked) - len(shown)
    told = "; ".join(
        f"{place[id(entry)]} {entry.label}: {factor * found.value:.3g} at {spent:.3g}{' (front)' * (k in front)}"
        for k, (entry, spent, found) in enumerate(shown)
    )
    rest = f" {unknown} systems of unknown cost are not drawn." if unknown else ""
    return save(figure, folder, name, f"{heading(measure)} over {unit}; circles: the Pareto front. {told}.{rest}")


@styled
def condition_panels(folder: Path, board: Board) -> list[Panel]:
    """Draw the headline over severity, a drawing for each kind of condition and a line for each system."""
    key = board.keys[0]
    measure = board.measure(key) if board.changed else None
    conditions = [entry.row.task.condition for entry in board.changed if entry.row.task]
    kinds = sorted({condition.kind for condition in conditions if condition})
    return [_curve(folder, board, kind, heading(measure), 100 if measure.percent else 1) for kind in kinds if measure]


def _curve(folder: Path, board: Board, kind: str, title: str, factor: int) -> Panel:
    key = board.keys[0]
    lines: dict[str, list[tuple[int, float]]] = {}
    for entry in board.changed:
        task, found = entry.row.task, entry.row.measures.get(key)
        if task is None or task.condition is None or task.condition.kind != kind or found is None:
            continue
        line = lines.setdefault(entry.label, [])
        line.append((task.condition.severity, factor * found.value))
        clean = clean_row(board, entry)
        at_clean = clean and clean.row.measures.get(key)
        if at_clean and not any(severity == 0 for severity, _ in line):
            line.append((0, factor * at_clean.value))
    figure, axes = panel(kind, WIDTH, 2.4)
    _draw_lines(axes, lines)
    axes.set_xlabel("severity, 0: as it was")
    axes.set_ylabel(title)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    axes.grid(axis="y")
    legend(figure, 1)
    told = "; ".join(
        f"{label} {', '.join(f'{value:.3g} at {severity}' for severity, value in sorted(line))}"
        for label, line in sorted(lines.items())
    )
    return save(figure, folder, f"{board.name.replace('.', '-')}-{kind}", f"{title} by severity of {kind}: {told}.")


def _draw_lines(axes: Any, lines: dict[str, list[tuple[int, float]]]) -> None:
    tones = [tone for tone in TONES if tone != "grey"]
    for number, (label, line) in enumerate(sorted(lines.items())):
        told = number < LINES
        axes.plot(
            *zip(*sorted(line), strict=True),
            color=TONES[tones[number % len(tones)] if told else "grey"],
            marker=MARKERS[number % len(MARKERS)] if told else "",
            markersize=4,
            linewidth=1.3 if told else 0.7,
            linestyle=DASHES[number % len(DASHES)],
            label=label if told else None,
        )
