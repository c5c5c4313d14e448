"""A forest plot: rows of estimates with their intervals, two accounts of each beside each other."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from seke.core.figure_style import FAINT, INK, RULE, TONES
from seke.core.intervals import Estimate

HEIGHT = 0.2
"""Inches of a row."""


class ForestRow(NamedTuple):
    """One line of the plot."""

    name: str
    corrected: Estimate
    naive: Estimate
    zero: bool = False
    """Whether 0 means "no difference", so that a line stands there."""


def forest(axes: Any, rows: Sequence[ForestRow], corrected: str = "corrected", naive: str = "all labels") -> None:
    """Draw rows from top to bottom: the corrected interval in blue, the naive one in orange below it.

    Args:
        axes: of matplotlib, empty.
        rows: what is drawn; a number that nobody knows leaves its place empty.
        corrected: what the legend calls the first.
        naive: what it calls the second.
    """
    for place, row in enumerate(rows):
        for each, tone, marker, down in ((row.corrected, "blue", "o", -0.17), (row.naive, "orange", "D", 0.17)):
            if each.value is None:
                continue
            if each.low is not None and each.high is not None:
                axes.plot([each.low, each.high], [place + down] * 2, color=TONES[tone], linewidth=1.4)
            axes.plot([each.value], [place + down], marker, color=TONES[tone], markersize=3.2)
    for marker, tone, label in (("o", "blue", corrected), ("D", "orange", naive)):
        axes.plot([], [], marker, color=TONES[tone], markersize=4, label=label)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    if any(row.zero for row in rows):
        axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
    axes.grid(axis="x", color=RULE)
    axes.set_axisbelow(True)
