"""Valence and arousal on Russell's circumplex: where an answer lies, and where the eight expressions do."""

import io
from collections.abc import Sequence
from typing import Final

from matplotlib import patches

from seke.core.affect import EXPRESSIONS, VA_OF_EXPRESSION
from seke.core.figure_style import FAINT, INK, RULE, TONES
from seke.reporting.render import figures

BESIDE: Final = {"fear": "right", "disgust": "right", "anger": "left", "contempt": "left"}
"""Where names would overlap: the end of the name that stands at its expression's place; else its middle does."""
Point = tuple[float | None, float | None]
"""Valence and arousal, each in [-1, 1]; None where the answer says nothing of it."""
SIDE: Final = 3.4
"""Inches."""


@figures.styled
def circumplex(answer: Point, draws: Sequence[Point] = (), name: str = "circumplex") -> str:
    """Return an SVG for a page: the answer's point, faintly those of further draws, and the expressions' anchors.

    An answer without valence or arousal has no point; the drawing then says so. `name` makes its ids its own.
    """
    figure, axes = figures.panel("", SIDE, SIDE)
    axes.add_patch(patches.Circle((0, 0), 1, facecolor="none", edgecolor=RULE, linewidth=1))
    axes.axhline(0, color=RULE, linewidth=0.8)
    axes.axvline(0, color=RULE, linewidth=0.8)
    for expression in EXPRESSIONS:
        anchor = VA_OF_EXPRESSION[expression]
        axes.plot(anchor.valence, anchor.arousal, "+", color=FAINT, markersize=4)
        axes.annotate(
            expression,
            (anchor.valence, anchor.arousal),
            xytext=(0, 4),
            textcoords="offset points",
            ha=BESIDE.get(expression, "center"),
            fontsize=7.5,
            color=FAINT,
        )
    known = [point for point in draws if None not in point]
    if known:
        axes.plot(*zip(*known, strict=True), "o", color=TONES["sky"], markersize=5, alpha=0.6, linestyle="none")
    if None in answer:
        axes.text(0, -1.12, "no valence and arousal in the answer", ha="center", fontsize=8)
    else:
        axes.plot(*answer, "o", color=TONES["blue"], markersize=10, markeredgecolor=INK, markeredgewidth=1)
    axes.set_xlim(-1.2, 1.2)
    axes.set_ylim(-1.2, 1.2)
    axes.set_aspect("equal")
    axes.set_xticks((-1, 0, 1), ("−1", "0", "1"))
    axes.set_yticks((-1, 0, 1), ("−1", "0", "1"))
    axes.set_xlabel("valence (unpleasant to pleasant)")
    axes.set_ylabel("arousal (calm to excited)")
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return figures.inline(out.getvalue(), name)
