"""How every figure of the program looks: colours, fonts and lines, as settings of matplotlib, which is not loaded here.

with matplotlib.rc_context(STYLE): ...
"""

from collections.abc import Mapping
from typing import Any, Final

TONES: Final[Mapping[str, str]] = {
    "grey": "#767c86", "orange": "#d98200", "blue": "#0072b2", "green": "#00875f", "purple": "#b0629a",
    "sky": "#3f9fd6", "red": "#c4501b", "yellow": "#a38b00",
}  # fmt: skip
"""Okabe and Ito's colour-blind-safe hues, darkened where needed to reach 3:1 on white."""
INK, FAINT, RULE, HEAT = "#1c2530", "#5c6570", "#d5dae1", "#56b4e9"
TITLE: Final[Mapping[str, Any]] = {"fontsize": 9.5, "fontweight": "bold", "color": INK}
"""A panel's title, which stands at the left."""
STYLE: Final[dict[str, Any]] = {
    "text.parse_math": False,
    "svg.fonttype": "none", "svg.hashsalt": "seke", "font.family": "sans-serif", "font.size": 8.5,
    "axes.edgecolor": FAINT, "axes.labelcolor": FAINT, "axes.spines.top": False, "axes.spines.right": False,
    "axes.linewidth": 0.6, "xtick.color": FAINT, "ytick.color": FAINT, "xtick.labelcolor": FAINT,
    "ytick.labelcolor": INK, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "grid.color": RULE,
    "grid.linewidth": 0.6, "text.color": INK, "legend.frameon": False, "legend.fontsize": 8,
    "savefig.transparent": False, "figure.facecolor": "#ffffff", "axes.facecolor": "none",
}  # fmt: skip
