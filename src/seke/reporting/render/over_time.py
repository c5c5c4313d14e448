"""Labels over time: a video's valence and arousal as lines, its expression as a strip, its action units as bands.

Human labels are marked by dots, and frames about which nobody was asked by ticks below: nothing is told by colour
alone.
"""

from itertools import groupby
from pathlib import Path
from typing import Any, Final

from matplotlib import ticker
from matplotlib.figure import Figure

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.figure_style import FAINT, INK, TITLE, TONES
from seke.reporting.data.films import Film
from seke.reporting.render.figures import DASHES, WIDTH, Panel, save, styled

INFERRED: Final = "inferred_from_neighbours"
SHORT: Final = {name: name[:4] for name in EXPRESSIONS}
COLOUR: Final = dict(
    zip(EXPRESSIONS, ("grey", "yellow", "blue", "sky", "purple", "green", "red", "orange"), strict=True)
)


@styled
def over_time(folder: Path, name: str, film: Film) -> Panel:
    """Draw a film's labels over time.

    Args:
        folder: for the drawing.
        name: the stem of its files.
        film: the video.
    """
    units = [au for au in ACTION_UNITS if any(au in row.labels.active for row in film.rows)]
    figure = Figure(figsize=(2 * WIDTH, 2.5 + 0.16 * len(units)), layout="constrained")
    heights = [1.3, 0.28, max(0.16 * len(units), 0.2)]
    above, middle, below = figure.subplots(3, sharex=True, height_ratios=heights)
    figure.suptitle(f"{film.source}: {film.video}", x=0.01, ha="left", **TITLE)
    _lines(above, film)
    _strip(middle, film)
    _bands(below, film, units)
    left_out = [time for time, row in zip(film.times, film.rows, strict=True) if INFERRED in row.flags]
    if left_out:
        below.plot(left_out, [0.02] * len(left_out), "|", color=FAINT, transform=below.get_xaxis_transform())
    below.set_xlabel("seconds (dots: labelled by people" + ("; ticks: nobody was asked)" if left_out else ")"))
    figure.legend(*above.get_legend_handles_labels(), loc="outside upper right", ncols=2, handlelength=1.8)
    return save(figure, folder, name, _in_words(film, units))


def _lines(axes: Any, film: Film) -> None:
    for quantity, tone, dash in zip(("valence", "arousal"), ("blue", "orange"), DASHES, strict=False):
        values = [getattr(row.labels, quantity) for row in film.rows]
        known = [value if value is not None else float("nan") for value in values]
        axes.plot(film.times, known, color=TONES[tone], linewidth=1.5, linestyle=dash, label=quantity)
        told = [k for k, row in enumerate(film.rows) if getattr(row.origin, quantity) == "manual"]
        axes.plot([film.times[k] for k in told], [known[k] for k in told], "o", color=TONES[tone], markersize=2.5)
    axes.set_ylim(-1.05, 1.05)
    axes.yaxis.set_major_locator(ticker.MultipleLocator(0.5))
    axes.grid(axis="y")


def _strip(axes: Any, film: Film) -> None:
    ends = _ends(film)
    runs = groupby(enumerate(film.rows), key=lambda entry: entry[1].labels.expression)
    for expression, frames in runs:
        places = [place for place, _ in frames]
        if expression is None:
            continue
        begin, end = film.times[places[0]], ends[places[-1]]
        axes.axvspan(begin, end, color=TONES[COLOUR[expression]], alpha=0.35, linewidth=0)
        if end - begin > 0.08 * (ends[-1] - film.times[0]):
            axes.text((begin + end) / 2, 0.5, SHORT[expression], ha="center", va="center", color=INK, fontsize=7)
    told = [time for time, row in zip(film.times, film.rows, strict=True) if row.origin.expression == "manual"]
    axes.plot(told, [0.08] * len(told), "o", color=INK, markersize=2)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5], ["expression"])


def _bands(axes: Any, film: Film, units: list[int]) -> None:
    ends = _ends(film)
    for level, au in enumerate(units):
        active = [k for k, row in enumerate(film.rows) if au in row.labels.active]
        spans = [(film.times[k], ends[k] - film.times[k]) for k in active]
        axes.broken_barh(spans, (level - 0.35, 0.7), color=TONES["blue"], alpha=0.45, linewidth=0)
        told = [k for k, row in enumerate(film.rows) if row.origin.action_units.get(str(au)) == "manual"]
        shown = [k for k in told if k in set(active)]
        axes.plot([film.times[k] for k in shown], [level] * len(shown), "o", color=INK, markersize=1.8)
    axes.set_yticks(range(len(units)), [f"AU{au}" for au in units], fontsize=7)
    axes.set_ylim(len(units) - 0.4, -0.6) if units else axes.set_yticks([])
    axes.set_xlim(film.times[0], ends[-1])


def _ends(film: Film) -> list[float]:
    """Return until when each frame's labels are drawn: until the next one, the last as long as the one before it."""
    last = film.times[-1] + (film.times[-1] - film.times[-2])
    return [*film.times[1:], last]


def _in_words(film: Film, units: list[int]) -> str:
    order = [name for name, _ in groupby(row.labels.expression or "unknown" for row in film.rows)]
    told = sum(row.origin.expression == "manual" for row in film.rows)
    called = ", ".join(f"AU{au}" for au in units) or "no action unit"
    return (
        f"{film.video}, {len(film.rows)} frames: {', then '.join(order)}; {called} at some time; people named the "
        f"expression in {told} frames."
    )
