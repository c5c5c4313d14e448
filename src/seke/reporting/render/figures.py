"""The report's figures: matplotlib, one small panel each, written as PNG and SVG and set into the page as SVG.

Panels are 2.8 inches wide, so that a page sets four in a row and a phone stacks them at a readable size.
In the page every colour becomes a CSS variable: one drawing serves light and dark. Nothing is told by colour alone:
rows are named, lines differ in dash and marker, bars carry their values.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import matplotlib as mpl
from matplotlib import patches, ticker
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seke.core.affect import ACTION_UNITS
from seke.core.figure_style import FAINT, HEAT, INK, RULE, STYLE, TITLE, TONES
from seke.core.forest import HEIGHT, ForestRow, forest
from seke.core.intervals import Estimate
from seke.reporting.data.results import Bin, Confusion, Sampling
from seke.reporting.data.run_labels import Words
from seke.reporting.data.runs import Curve
from seke.reporting.data.tables import Column, shown

MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
WIDTH = 2.8
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
BESIDE = "../"
"""What leads from a figure's file to the files beside the page; a drawing inside the page needs none."""


class Panel(NamedTuple):
    """A drawn panel: the stem of its files, what it shows in words, and its SVG for the page."""

    name: str
    alt: str
    svg: str


DrawT = TypeVar("DrawT", bound=Callable[..., Any])


def styled(draw: DrawT) -> DrawT:
    """Decorate what draws with the report's style."""
    decorated: DrawT = mpl.rc_context(STYLE)(draw)
    return decorated


@styled
def save(figure: Any, folder: Path, name: str, alt: str) -> Panel:
    """Write `figure` to folder/name.{png,svg} and return it with an SVG whose colours are the page's variables."""
    FigureCanvasAgg(figure)
    if layout := figure.get_layout_engine():
        layout.execute(figure)
        figure.set_layout_engine(None)  # the layout is found now; each file would look for it again
    figure.savefig(folder / f"{name}.png", dpi=160, metadata={"Software": None})
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    (folder / f"{name}.svg").write_text(out.getvalue(), encoding="utf-8")
    return Panel(name, alt, inline(out.getvalue(), name))


def inline(svg: str, name: str) -> str:
    """Return matplotlib's SVG ready to stand inside HTML: unique ids, colours as variables, no prologue, no paper."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\1{name}-", svg)
    svg = re.sub(r'<g id="[^"]*-patch_1">.*?</g>', "", svg, count=1, flags=re.DOTALL)  # the white background
    svg = re.sub(r"\bxlink:href=", "href=", svg)
    # The page has the same links as text; and one goes back from where they lead.
    svg = svg.replace(f'<a href="{BESIDE}', '<a tabindex="-1" href="').replace(' target="_blank"', "")
    svg = re.sub(r"\sxmlns(:xlink)?=\"[^\"]*\"", "", svg)
    svg = re.sub(r"font: ([^;']*?)'[^;]*", r"font: \1var(--sans)", svg)
    for variable, colour in {"ink": INK, "faint": FAINT, "rule": RULE, "heat": HEAT, **TONES}.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def panel(title: str, width: float, height: float) -> tuple[Any, Any]:
    """Return an empty figure of `width` x `height` inches under its title, and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    if title:
        # at the edge of the figure, not of the axes: beside long row names a title would be cut off
        figure.suptitle(title, x=0.01, ha="left", **TITLE)
    return figure, axes


def legend(figure: Any, columns: int = 2, **options: Any) -> None:
    """Put the legend below the axes, where no line or bar can lie under it."""
    figure.legend(loc="outside lower left", ncols=columns, handlelength=1.8, columnspacing=1.2, **options)


def scale(axis: Any, ticks: int, factor: float = 1.0, unit: str = "") -> None:
    """Give an axis grid lines at up to `ticks` intervals, labelled with `factor` times the value, and `unit`."""
    axis.set_major_locator(ticker.MaxNLocator(ticks))
    axis.set_major_formatter(lambda tick, _: f"{tick * factor:g}{unit}")
    axis.grid(True)
    axis.axes.set_axisbelow(True)


@styled
def bars(
    folder: Path,
    name: str,
    title: str,
    column: Column,
    rows: Sequence[tuple[Words, Estimate]],
    width: float = WIDTH,
) -> Panel:
    """Draw one score of several runs as bars from zero, with 95 % intervals and values; a missing value says so."""
    figure, axes = panel(title, width, 0.62 + 0.25 * len(rows))
    values = [(estimate.value, estimate.low, estimate.high) for _, estimate in rows]
    top = max((abs(number) for triple in values for number in triple if number is not None), default=1.0) or 1.0
    bottom = min((number for triple in values for number in triple if number is not None), default=0.0)
    for place, (words, estimate) in enumerate(rows):
        value, low, high = estimate
        axes.text(
            1.02,
            place,
            shown(estimate, column),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontweight="normal" if words.reference else "bold",
        )
        if value is None:
            continue
        colour = TONES[words.tone]
        axes.barh(place, value, 0.62, facecolor=colour, alpha=0.4 if words.reference else 0.75, edgecolor=colour)
        if low is not None and high is not None:
            axes.plot((low, high), (place, place), color=INK, linewidth=1.1, solid_capstyle="butt")
            axes.plot((low, high), (place, place), "|", color=INK, markersize=5)
    axes.set_yticks(range(len(rows)), [words.short for words, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(min(0.0, bottom * 1.05), top * 1.03)
    if bottom < 0:
        axes.axvline(0, color=FAINT, linewidth=0.6)
    scale(axes.xaxis, 4, column.scale)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    alt = "; ".join(f"{words.short} {shown(estimate, column)}" for words, estimate in rows)
    return save(figure, folder, name, f"{title}: {alt}.")


@styled
def action_units(folder: Path, name: str, runs: Sequence[tuple[Words, Mapping[str, Estimate]]]) -> Panel:
    """Draw the F1 of each AU as a dot per run, AUs from top to bottom."""
    figure, axes = panel("", 4.6, 4.6)
    for number, (words, metrics) in enumerate(runs):
        points = [
            (estimate.value, place)
            for place, au in enumerate(ACTION_UNITS)
            if (estimate := metrics.get(f"action_units.f1.{au}")) and estimate.value is not None
        ]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                MARKERS[number % len(MARKERS)],
                color=TONES[words.tone],
                markersize=5.5,
                label=words.short,
                markerfacecolor="none" if words.reference else TONES[words.tone],
            )
    axes.set_yticks(range(len(ACTION_UNITS)), [f"{label}  AU{au}" for au, label in ACTION_UNITS.items()])
    axes.set_ylim(len(ACTION_UNITS) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(lambda tick, _: f"{tick * 100:g}")
    axes.set_xlabel("F1, %")
    axes.grid(axis="both")
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[0]:
        legend(figure, 4, handletextpad=0.1)
    return save(figure, folder, name, "F1 of each action unit by system; the numbers stand in the table beside it.")


@styled
def confusion_map(
    folder: Path, name: str, title: str, matrix: Confusion, link: Callable[[str], str | None] | None = None
) -> Panel:
    """Draw a confusion matrix, each row as shares of its truth, in per cent; rows are the truth.

    `link`: of a cell, as "fear>sadness", where its pictures are listed, as seen from the page.
    """
    figure, axes = panel(title, WIDTH, 2.9)
    answers = (*matrix.classes, "none")
    for row, counts in enumerate(matrix.counts):
        total = sum(counts)
        for place, count in enumerate(counts):
            share = count / total if total else 0.0
            corner = (place - 0.5, row - 0.5)
            look = {"facecolor": HEAT, "alpha": share, "linewidth": 0} if count else {"fill": False, "linewidth": 0}
            axes.add_patch(patches.Rectangle(corner, 0.96, 0.94, **look))
            if count:
                weight = "bold" if place == row else "normal"
                # Text shares the cell's link: it lies on top of it.
                text = axes.text(
                    place, row, f"{share * 100:.0f}", ha="center", va="center", fontsize=6.5, fontweight=weight
                )
                if address := link and link(f"{matrix.task}={matrix.classes[row]}>{answers[place]}"):
                    text.set_url(BESIDE + address)
    side = max(len(matrix.classes), 1)
    axes.set_xlim(-0.5, len(answers) - 0.5)
    axes.set_ylim(side - 0.5, -0.5)
    axes.set_xticks(range(len(answers)), answers, rotation=90)
    axes.set_yticks(range(len(matrix.classes)), matrix.classes)
    axes.hlines([place + 0.47 for place in range(side - 1)], -0.5, len(answers) - 0.5, color=RULE, linewidth=0.4)
    axes.axvline(len(answers) - 1.52, color=FAINT, linewidth=0.6)  # what lies beyond is no class
    axes.tick_params(length=0, pad=2)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    for spine in axes.spines.values():
        spine.set_visible(False)
    right, total = sum(row[i] for i, row in enumerate(matrix.counts)), sum(map(sum, matrix.counts))
    return save(figure, folder, name, f"Confusion matrix, {title}: {right} of {total} on the diagonal.")


@styled
def samples(folder: Path, name: str, words: Words, sampling: Sampling) -> Panel:
    """Draw how many records took how many draws, with E[S] and the floor of Algorithm 1 as lines."""
    figure, axes = panel(f"Draws, {words.short}", WIDTH, 2.2)
    total = sum(sampling.distribution.values())
    for draws, count in sampling.distribution.items():
        axes.bar(draws, count / total, 0.7, color=TONES[words.tone], alpha=0.75)
    if sampling.floor is not None:
        label = f"floor at U = 0: {sampling.floor:.3f}"
        axes.axvline(sampling.floor, color=INK, linewidth=1, linestyle=DASHES[2], label=label)
    if sampling.mean is not None:
        axes.axvline(sampling.mean, color=INK, linewidth=1.3, label=f"E[S] = {sampling.mean:.3f}")
    taken = sorted(sampling.distribution)
    axes.set_xticks(taken)
    axes.set_xlim(min(taken) - 1, max(taken) + 1)
    shares(axes, max(sampling.distribution.values()) / total)
    axes.set_xlabel("draws per record, S")
    legend(figure)
    alt = ", ".join(f"{count} records took {draws}" for draws, count in sampling.distribution.items())
    return save(figure, folder, name, f"Draws per record, {words.short}: {alt}.")


def shares(axes: Any, most: float) -> None:
    """Give axes whose heights are shares a scale in per cent that ends a little above `most`, and never above 100 %."""
    scale(axes.yaxis, 3, 100, " %")
    axes.set_ylim(0, min(1.0, most * 1.08) if most else 1.0)


@styled
def spreads(folder: Path, name: str, title: str, over: str, runs: Sequence[tuple[Words, Sequence[float]]]) -> Panel:
    """Draw how far draws lie apart, one stepped line per generation; `over` says in which unit."""
    figure, axes = panel(title, WIDTH, 2.1)
    top = max(0.05, *(max(values) for _, values in runs))
    most = 0.0
    for number, (words, values) in enumerate(runs):
        heights, *_ = axes.hist(
            values,
            bins=20,
            range=(0, top),
            weights=[1 / len(values)] * len(values),
            label=words.short,
            color=TONES[words.tone],
            histtype="stepfilled" if len(runs) == 1 else "step",
            linewidth=1.4,
            linestyle=DASHES[number % len(DASHES)],
        )
        most = max(most, *heights)
    shares(axes, most)
    axes.set_ylabel("of the records")
    axes.set_xlim(0, top)
    axes.set_xlabel(over)
    if len(runs) > 1:
        legend(figure)
    alt = "; ".join(f"{words.short}: mean {sum(values) / len(values):.3f}" for words, values in runs)
    return save(figure, folder, name, f"{title}, {over}. {alt}.")


@styled
def accuracy_bars(folder: Path, name: str, title: str, words: Words, bins: Sequence[Bin]) -> Panel:
    """Draw how often generated labels are right at each level of their uncertainty that there is."""
    figure, axes = panel(title, WIDTH, 1.8)
    for place, level in enumerate(bins):
        share = level.right / level.n
        axes.bar(place, share, 0.62, color=TONES[words.tone], alpha=0.75)
        axes.text(place, share, f"{share * 100:.0f}", ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(bins)), [f"{level.label}\nn = {level.n:,}" for level in bins])
    axes.set_xlim(-0.6, max(len(bins), 2) - 0.4)
    axes.set_ylim(0, 1.12)
    axes.yaxis.set_visible(False)
    axes.spines["left"].set_visible(False)
    alt = "; ".join(f"uncertainty {level.label}: {level.right} of {level.n} right" for level in bins)
    return save(figure, folder, name, f"{title}: {alt or 'nothing to compare'}.")


@styled
def learning_curves(
    folder: Path,
    name: str,
    words: Words,
    curves: Mapping[str, Curve],
    others: Sequence[Curve] = (),
    limits: tuple[float, float] | None = None,
) -> Panel:
    """Draw what one training logged over its steps, its points faintly and their running means in full.

    Args:
        folder: for the drawing.
        name: the stem of its files.
        words: the training's.
        curves: by the quantity's name, a line each.
        others: the first quantity of the other trainings, behind in grey: so many lines in one colour each would hide
            one another.
        limits: of the vertical axis, the same for all trainings.
    """
    figure, axes = panel(words.short, WIDTH, 2.2)
    for curve in others:
        axes.plot(curve.steps, running_mean(curve.values), color=RULE, linewidth=1, zorder=0)
    for number, (quantity, curve) in enumerate(curves.items()):
        colour = TONES[words.tone]
        if len(curve.values) > 20:
            axes.plot(curve.steps, curve.values, color=colour, linewidth=0.5, alpha=0.3)
        axes.plot(
            curve.steps,
            running_mean(curve.values),
            color=colour,
            linewidth=1.5,
            linestyle=DASHES[number % len(DASHES)],
            label=quantity,
            marker="o" if len(curve.steps) < 8 else "",
            markersize=3.5,
        )
    axes.set_xlabel("step")
    axes.grid(axis="y")
    axes.yaxis.set_major_locator(ticker.MaxNLocator(4))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(4, integer=True))
    if limits:
        axes.set_ylim(*limits)
    legend(figure)
    alt = "; ".join(f"{quantity} ends at {curve.values[-1]:.4g}" for quantity, curve in curves.items())
    return save(figure, folder, name, f"{words.short} over training steps: {alt}.")


@styled
def looks(folder: Path, name: str, words: Words, gained: Mapping[str, Any]) -> Panel:
    """Draw how many labels looks have corrected, by their number, beside what was expected and what dice would correct.

    Args:
        folder: for the drawing.
        name: the stem of its files.
        words: the reviewed run's.
        gained: the content of looks.json.
    """
    figure, axes = panel(words.short, WIDTH, 2.2)
    places, drawn = gained["looks"], gained["at_random"]
    lines = {"corrected": gained["observed"], **({"expected": gained["expected"]} if gained["stated"] else {})}
    if drawn["looks"]:
        lines["at random"] = [place * drawn["observed"] / drawn["looks"] for place in places]
    tones = {"corrected": words.tone, "expected": words.tone, "at random": "grey"}
    for number, (quantity, values) in enumerate(lines.items()):
        dash = DASHES[number % len(DASHES)]
        axes.plot(places, values, color=TONES[tones[quantity]], linewidth=1.5, linestyle=dash, label=quantity)
    axes.set_xlabel("looks")
    axes.set_ylabel("labels")
    axes.grid(axis="y")
    axes.yaxis.set_major_locator(ticker.MaxNLocator(4, integer=True))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(4, integer=True))
    legend(figure)
    alt = "; ".join(f"{quantity}: {values[-1]:.0f}" for quantity, values in lines.items())
    return save(figure, folder, name, f"{words.short}: wrong labels after {places[-1]} looks. {alt}.")


@styled
def forest_plot(folder: Path, name: str, title: str, rows: Sequence[ForestRow]) -> Panel:
    """Draw corrected estimates beside those of all labels taken as right."""
    figure, axes = panel(title, 2 * WIDTH + 1, 1.0 + HEIGHT * len(rows))
    forest(axes, rows, "corrected by the audit", "all labels taken as right")
    legend(figure)
    known = [row for row in rows if row.corrected.value is not None]
    alt = "; ".join(f"{row.name} {row.corrected.value:.3f}, uncorrected {row.naive.value:.3f}" for row in known[:20])
    return save(figure, folder, name, f"{title}, what the labels say: {alt or 'nothing is corrected'}.")


def running_mean(values: Sequence[float]) -> list[float]:
    """Return the mean of each value and its predecessors in a window of a twentieth of the series.

    >>> running_mean([2.0, 4.0])
    [2.0, 4.0]
    """
    window = max(1, len(values) // 20)
    return [sum(part := values[max(0, end - window) : end]) / len(part) for end in range(1, len(values) + 1)]
