"""The kinds of figure that a study may name in its YAML, such as bars or curves; each returns its panels.

    figures:
      - { _target_: seke.reporting.studies.figures.radar, _partial_: true }

Whiskers are 95 % intervals, or one standard deviation over several seeds. Nothing is told by colour alone.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib import ticker
from matplotlib.figure import Figure

from seke.core.figure_style import FAINT, INK, TONES
from seke.core.intervals import Estimate
from seke.reporting.data.tables import Column, shown
from seke.reporting.render import figures
from seke.reporting.render.figures import DASHES, MARKERS, WIDTH, Panel, styled
from seke.reporting.studies.runs import Line
from seke.reporting.studies.tables import COLUMNS


class FigureData(NamedTuple):
    """What a figure shows: rows, the paper's among them or apart, and measures."""

    name: str
    """The stem of the figure's files."""
    lines: Sequence[Line]
    paper: Sequence[Line]
    measures: Sequence[Column]
    control: str | None = None
    """The row that is no step of a sweep: the others are measured by it."""


def bars(folder: Path, data: FigureData, paper: bool = False, measures: Sequence[str] | None = None) -> list[Panel]:
    """Draw a panel of bars per measure of quality, or of `measures`; `paper` adds the paper's rows, pale."""
    lines = [*data.lines, *(data.paper if paper else ())]
    return [
        figures.bars(
            folder, f"{data.name}_{_stem(column)}", _title(column), column,
            [(line.words, _reach(line, column)) for line in lines], WIDTH * (1.5 if paper else 1),
        )
        for column in _quality(data)
        if (measures is None or column.key in measures)
        and any(_reach(line, column).value is not None for line in lines)
    ]  # fmt: skip


@styled
def radar(folder: Path, data: FigureData) -> list[Panel]:
    """Draw Figure 4: each row as a polygon over the measures, errors as 1 - MAE, so that more area is better."""
    lines = data.lines
    axes_of = [column for column in _quality(data) if any(_high(line, column) is not None for line in lines)]
    names = [("1 − " if column.better == "low" else "") + _title(column).removesuffix(" %") for column in axes_of]
    angles = [2 * math.pi * place / len(axes_of) for place in range(len(axes_of))]
    figure = Figure(figsize=(4.6, 3.6), layout="constrained")
    axes = figure.add_subplot(projection="polar")
    axes.set_theta_zero_location("N")
    for number, line in enumerate(lines):
        values = [_high(line, column) for column in axes_of]
        points = [(angle, value) for angle, value in zip(angles, values, strict=True) if value is not None]
        if points:
            axes.plot(
                *zip(*points, points[0], strict=True),
                marker=MARKERS[number % len(MARKERS)],
                markersize=4.5,
                linewidth=1.5,
                linestyle=DASHES[number % len(DASHES)],
                color=TONES[line.words.tone],
                label=line.words.short,
            )
            axes.fill(*zip(*points, strict=True), color=TONES[line.words.tone], alpha=0.08)
    axes.set_xticks(angles, names)
    axes.tick_params(axis="x", labelcolor=INK, pad=4)
    for text, angle in zip(axes.get_xticklabels(), angles, strict=True):
        side = round(math.sin(angle))  # names stand beside the circle, not across its edge
        text.set_horizontalalignment({-1: "left", 0: "center", 1: "right"}[side])
    axes.set_ylim(0, 1)
    axes.set_yticks([0.25, 0.5, 0.75, 1.0], ["", "0.5", "", "1"])
    axes.spines["polar"].set_color(FAINT)
    figure.legend(loc="outside lower center", ncols=2)
    alt = "; ".join(
        f"{line.words.short}: "
        + ", ".join(
            f"{name} {'n/a' if (value := _high(line, column)) is None else f'{value:.3f}'}"
            for name, column in zip(names, axes_of, strict=True)
        )
        for line in lines
    )
    return [figures.save(figure, folder, f"{data.name}_radar", f"Radar. {alt}.")]


def front(folder: Path, data: FigureData, trace: bool = False, unpriced: str = "requests") -> list[Panel]:
    """Draw quality over cost, US$ per 1,000 images, or `unpriced` where any row has no price; the front as a line.

    The front joins the rows than which no other is both cheaper and better. `trace` joins all rows in their order
    instead, as in a sweep of one setting, but for the control.
    """
    priced = all(line.value("cost.usd").value is not None for line in data.lines)
    cost = COLUMNS["cost.usd" if priced else f"cost.{unpriced}"]
    panels = []
    for column in _quality(data):
        points = [
            (line, spent, _reach(line, column))
            for line in data.lines
            if (spent := line.value(cost.key).value) is not None and line.value(column.key).value is not None
        ]
        swept = [point for point in points if point[0].key != data.control] if trace else None
        if points:
            panels.append(_front(folder, f"{data.name}_front_{_stem(column)}", column, cost, points, swept))
    return panels


@styled
def _front(
    folder: Path,
    name: str,
    column: Column,
    cost: Column,
    points: Sequence[tuple[Line, float, Estimate]],
    swept: Sequence[tuple[Line, float, Estimate]] | None,
) -> Panel:
    trace = swept is not None
    best = _undominated(points, column) if swept is None else swept
    named = 0.0 if trace else 0.16 * math.ceil(len(points) / 2)
    figure, axes = figures.panel(_title(column), WIDTH, 2.5 + named)
    axes.plot(
        [spent for _, spent, _ in best],
        [estimate.value for *_, estimate in best],
        color=FAINT,
        linewidth=1,
        linestyle=DASHES[1],
        zorder=1,
    )
    for number, (line, spent, (value, low, high)) in enumerate(points):
        colour = TONES[line.words.tone]
        if low is not None:
            axes.plot((spent, spent), (low, high), color=colour, linewidth=1, alpha=0.6)
        axes.plot(
            spent,
            value,
            MARKERS[number % len(MARKERS)],
            color=colour,
            markersize=5,
            label=line.words.short,
        )
        if trace:
            offset = (4, 5 if number % 2 else -9)
            axes.annotate(line.words.short, (spent, value), offset, textcoords="offset points", fontsize=7)
    if not trace:
        figure.legend(loc="outside lower center", ncols=2, handletextpad=0.1, columnspacing=1.0)
    axes.margins(x=0.15, y=0.12)
    axes.set_xlabel(f"{cost.label} per 1,000 images")
    axes.xaxis.set_major_formatter(lambda tick, _: f"{tick:,g}" if tick < 1e6 else f"{tick / 1e6:g} M")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
    figures.scale(axes.yaxis, 5, column.scale)
    if column.better == "low":
        axes.invert_yaxis()  # better is up in every panel
    axes.grid(axis="x")
    alt = "; ".join(
        f"{line.words.short} {shown(estimate, column)} at {spent:,.{cost.digits}f}" for line, spent, estimate in points
    )
    return figures.save(figure, folder, name, f"{_title(column)} over {cost.label} per 1,000 images: {alt}.")


def _undominated(points: Sequence[tuple[Line, float, Estimate]], column: Column) -> list[tuple[Line, float, Estimate]]:
    """Return the rows that no cheaper or equally cheap row beats, from cheap to dear."""
    sign, best, front_rows = -1 if column.better == "low" else 1, -math.inf, []
    for point in sorted(points, key=lambda each: (each[1], -sign * (each[2].value or 0.0))):
        if (reached := sign * (point[2].value or 0.0)) > best:
            best = reached
            front_rows.append(point)
    return front_rows


@styled
def tradeoff(folder: Path, data: FigureData, x: str, y: str) -> list[Panel]:
    """Draw one measure over another, a point for each row with both whiskers: what is gained there and lost here.

    Rows in which one of the two is not measured are left out.
    """
    across, up = COLUMNS[x], COLUMNS[y]
    points = [(line, _reach(line, across), _reach(line, up)) for line in data.lines]
    points = [point for point in points if point[1].value is not None and point[2].value is not None]
    if not points:
        return []
    figure, axes = figures.panel(_title(up), WIDTH * 1.2, 2.6 + 0.16 * math.ceil(len(points) / 2))
    for number, (line, over, of) in enumerate(points):
        colour = TONES[line.words.tone]
        if over.low is not None:
            axes.plot((over.low, over.high), (of.value, of.value), color=colour, linewidth=1, alpha=0.6)
        if of.low is not None:
            axes.plot((over.value, over.value), (of.low, of.high), color=colour, linewidth=1, alpha=0.6)
        look = MARKERS[number % len(MARKERS)]
        axes.plot(over.value, of.value, look, color=colour, markersize=5, label=line.words.short)
    axes.set_xlabel(_title(across))
    figures.scale(axes.xaxis, 5, across.scale)
    figures.scale(axes.yaxis, 5, up.scale)
    axes.grid(axis="x")
    figure.legend(loc="outside lower center", ncols=2, handletextpad=0.1, columnspacing=1.0)
    alt = "; ".join(f"{line.words.short} {shown(of, up)} at {shown(over, across)}" for line, over, of in points)
    name = f"{data.name}_{_stem(up)}_over_{_stem(across)}"
    return [figures.save(figure, folder, name, f"{_title(up)} over {_title(across)}: {alt}.")]


def dots(folder: Path, data: FigureData, groups: Mapping[str, Sequence[str]]) -> list[Panel]:
    """Draw a panel per measure, a line per group of rows, a dot for each row: how far do they lie apart?

    Rows of the same short name look alike over all groups, and stand in the legend where they are few.
    """
    rows = {line.key: line for line in data.lines}
    there = {label: [rows[key] for key in keys if key in rows] for label, keys in groups.items()}
    looks = list(dict.fromkeys(line.words.short for lines in there.values() for line in lines))
    return [
        _dots(folder, f"{data.name}_{_stem(column)}", column, there, looks)
        for column in _quality(data)
        if any(line.value(column.key).value is not None for lines in there.values() for line in lines)
    ]


@styled
def _dots(folder: Path, name: str, column: Column, groups: Mapping[str, Sequence[Line]], looks: Sequence[str]) -> Panel:
    few = 1 < len(looks) <= 4
    figure, axes = figures.panel(_title(column), WIDTH, 0.9 + 0.3 * len(groups) + 0.15 * few)
    for place, lines in enumerate(groups.values()):
        known = [(line, reach) for line in lines if (reach := _reach(line, column)).value is not None]
        if values := [reach.value for _, reach in known if reach.value is not None]:
            axes.plot((min(values), max(values)), (place, place), color=FAINT, linewidth=1, zorder=1)
        for number, (line, (value, low, high)) in enumerate(known):
            # side by side, so that equal values and their whiskers do not hide each other
            level = place + (0.16 * (number - (len(known) - 1) / 2) if few else 0.0)
            look, colour = looks.index(line.words.short), TONES[line.words.tone if few else "blue"]
            if few and low is not None:
                axes.plot((low, high), (level, level), color=colour, linewidth=1, alpha=0.7)
            axes.plot(
                value,
                level,
                MARKERS[look % len(MARKERS)] if few else "o",
                color=colour,
                markersize=5,
                alpha=1.0 if few else 0.6,
                label=line.words.short,
            )
    axes.set_yticks(range(len(groups)), list(groups))
    axes.set_ylim(len(groups) - 0.5, -0.5)
    figures.scale(axes.xaxis, 4, column.scale)
    axes.tick_params(axis="y", length=0)
    handles, labels = axes.get_legend_handles_labels()
    if few:
        once = dict(zip(labels, handles, strict=True))
        figure.legend(once.values(), once.keys(), loc="outside lower center", ncols=len(once), handletextpad=0.1)
    alt = "; ".join(
        f"{label}: " + ", ".join(f"{line.words.short} {shown(_reach(line, column), column)}" for line in lines)
        for label, lines in groups.items()
    )
    return figures.save(figure, folder, name, f"{_title(column)}. {alt}.")


def curves(
    folder: Path,
    data: FigureData,
    groups: Mapping[str, Mapping[str, float]],
    over: str,
    measures: Sequence[str] | None = None,
    logarithmic: bool = True,
) -> list[Panel]:
    """Draw a panel per measure: each group of rows as a line over a quantity.

    Args:
        folder: for the drawings.
        data: rows and measures.
        groups: per line of the legend its rows and where each stands, e.g. {"Tuned": {"share-0.1": 10}}.
        over: what the axis is called.
        measures: those to draw; None: all of quality.
        logarithmic: whether the axis is; all quantities are then above 0.
    """
    rows = {line.key: line for line in data.lines}
    return [
        _curves(folder, f"{data.name}_{_stem(column)}_curves", column, groups, rows, over, logarithmic)
        for column in _quality(data)
        if (measures is None or column.key in measures)
        and any(line.value(column.key).value is not None for line in rows.values())
    ]


@styled
def _curves(
    folder: Path,
    name: str,
    column: Column,
    groups: Mapping[str, Mapping[str, float]],
    rows: Mapping[str, Line],
    over: str,
    logarithmic: bool,
) -> Panel:
    figure, axes = figures.panel(_title(column), WIDTH * 1.4, 2.6 + 0.15 * len(groups))
    told = []
    for number, (label, places) in enumerate(groups.items()):
        there = [(at, rows[key], _reach(rows[key], column)) for key, at in places.items() if key in rows]
        points = [(at, line, reach) for at, line, reach in there if reach.value is not None]
        if not points:
            continue
        colour = TONES[points[-1][1].words.tone]  # the first may be one that all lines begin at
        look = {"marker": MARKERS[number % len(MARKERS)], "linestyle": DASHES[number % len(DASHES)]}
        values = [reach.value for *_, reach in points]
        axes.plot([at for at, *_ in points], values, color=colour, markersize=4.5, linewidth=1.4, label=label, **look)
        for at, _, (_, low, high) in points:
            if low is not None:
                axes.plot((at, at), (low, high), color=colour, linewidth=1, alpha=0.6)
        told.append(f"{label}: " + ", ".join(f"{shown(reach, column)} at {at:g}" for at, _, reach in points))
    ticks = sorted({at for places in groups.values() for at in places.values()})
    axes.set_xscale("log" if logarithmic else "linear")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlabel(over)
    figures.scale(axes.yaxis, 5, column.scale)
    figure.legend(loc="outside lower center", ncols=1)
    return figures.save(figure, folder, name, f"{_title(column)} over {over}. {'; '.join(told)}.")


def _quality(data: FigureData) -> list[Column]:
    """Return the measures that say how good a row is, not what it cost."""
    return [column for column in data.measures if column.better and not column.key.startswith("cost.")]


def _high(line: Line, column: Column) -> float | None:
    value = line.value(column.key).value
    return None if value is None else 1 - value if column.better == "low" else value


def _reach(line: Line, column: Column) -> Estimate:
    return line.value(column.key).reach


def _title(column: Column) -> str:
    return f"{column.group} {column.label}"


def _stem(column: Column) -> str:
    return column.key.replace(".", "_")
