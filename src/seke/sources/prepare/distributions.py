"""statistics.png: Appendix B's distributions of a prepared set, to look at rather than to read."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.figure_style import FAINT, INK, STYLE, TITLE, TONES
from seke.core.files import replacing
from seke.core.records import ImageRecord
from seke.sources.prepare.statistics import SPLITS, TABLE1

COLOURS: Final = {"train": TONES["blue"], "validation": TONES["sky"], "test": TONES["orange"]}
DPI: Final = 140


def distributions(records: Sequence[ImageRecord], title: str, path: Path) -> None:
    """Draw images per source, expressions, AUs, and the valence/arousal plane; the same records give the same bytes."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 7), dpi=DPI, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.01, ha="left", **TITLE)
        axes = figure.subplots(2, 2)
        _sources(axes[0][0], records)
        _expressions(axes[0][1], records)
        _action_units(axes[1][0], records)
        _plane(axes[1][1], records)
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower left", ncols=len(SPLITS))
        with replacing(path) as part:
            canvas.print_png(part, metadata={"Software": None})  # savefig would draw it twice, for the layout first


def _sources(axis: Any, records: Sequence[ImageRecord]) -> None:
    counts = Counter((record.source, record.split) for record in records)
    present = {record.source for record in records}
    names = [*(name for name in TABLE1 if name in present), *sorted(present - {*TABLE1})]
    _stacked(axis, names, [[counts[name, split] for name in names] for split in SPLITS])
    for place, name in enumerate(names):
        count = sum(counts[name, split] for split in SPLITS)
        # as text: beside Table 1's thousands the bars of a small set would not be seen
        of = f"\nof {TABLE1[name].train + TABLE1[name].test:,}" if name in TABLE1 else ""
        axis.text(place, count, f"{count:,}{of}", ha="center", va="bottom", fontsize=7)
    axis.margins(y=0.16)
    _titled(axis, "Images per source (of how many in Table 1)")


def _expressions(axis: Any, records: Sequence[ImageRecord]) -> None:
    counts = Counter((record.labels.expression, record.split) for record in records)
    _stacked(axis, EXPRESSIONS, [[counts[name, split] for name in EXPRESSIONS] for split in SPLITS])
    _titled(axis, "Expressions, where annotated")


def _action_units(axis: Any, records: Sequence[ImageRecord]) -> None:
    counts = Counter((au, record.split) for record in records for au in record.labels.active)
    annotated = Counter(au for record in records for au in record.labels.action_units or {})
    names = [f"AU{au}" for au in ACTION_UNITS]
    _stacked(axis, names, [[counts[au, split] for au in ACTION_UNITS] for split in SPLITS])
    axis.plot(range(len(names)), [annotated[au] for au in ACTION_UNITS], "_", color=INK, markersize=12)
    _titled(axis, "Active AUs (dash: images annotated for that AU)")


def _plane(axis: Any, records: Sequence[ImageRecord]) -> None:
    for split in SPLITS:
        known = [r.labels for r in records if r.split == split and None not in (r.labels.valence, r.labels.arousal)]
        axis.scatter(
            [labels.valence for labels in known],
            [labels.arousal for labels in known],
            s=4,
            alpha=0.5,
            color=COLOURS[split],
            label=split,
            linewidths=0,
        )
    axis.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xlabel="valence", ylabel="arousal")
    _titled(axis, "Valence and arousal, where annotated")
    axis.axhline(0, color=FAINT, linewidth=0.5)
    axis.axvline(0, color=FAINT, linewidth=0.5)


def _titled(axis: Any, title: str) -> None:
    axis.set_title(title, loc="left", **TITLE)


def _stacked(axis: Any, names: Sequence[str], heights: Sequence[Sequence[int]]) -> None:
    floor = [0] * len(names)
    for split, row in zip(SPLITS, heights, strict=True):
        axis.bar(range(len(names)), row, bottom=floor, color=COLOURS[split], label=split)
        floor = [below + height for below, height in zip(floor, row, strict=True)]
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axis.grid(axis="y")
    axis.set_axisbelow(True)
