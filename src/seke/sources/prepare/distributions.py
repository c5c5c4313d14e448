"""statistics.png: Appendix B's distributions of a prepared set, to look at rather than to read."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.files import replacing
from seke.core.records import ImageRecord
from seke.sources.prepare.statistics import SPLITS, TABLE1

COLOURS: Final = {"train": "#4878a8", "validation": "#a9c4de", "test": "#d9822b"}
DPI: Final = 110


def distributions(records: Sequence[ImageRecord], title: str, path: Path) -> None:
    """Draw images per source, expressions, AUs, and the valence/arousal plane; the same records give the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 9), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    axes = figure.subplots(2, 2)
    _sources(axes[0][0], records)
    _expressions(axes[0][1], records)
    _action_units(axes[1][0], records)
    _plane(axes[1][1], records)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(SPLITS), frameon=False)
    with replacing(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})


def _sources(axis: Any, records: Sequence[ImageRecord]) -> None:
    counts = Counter((record.source, record.split) for record in records)
    present = {record.source for record in records}
    names = [*(name for name in TABLE1 if name in present), *sorted(present - {*TABLE1})]
    _stacked(axis, names, [[counts[name, split] for name in names] for split in SPLITS])
    for place, name in enumerate(names):
        if name in TABLE1:
            total = TABLE1[name].train + TABLE1[name].test
            axis.plot([place - 0.4, place + 0.4], [total, total], color="black", linewidth=1, linestyle=":")
    axis.set_title("Images per source (dotted: Table 1, train and test)")


def _expressions(axis: Any, records: Sequence[ImageRecord]) -> None:
    counts = Counter((record.labels.expression, record.split) for record in records)
    _stacked(axis, EXPRESSIONS, [[counts[name, split] for name in EXPRESSIONS] for split in SPLITS])
    axis.set_title("Expressions, where annotated")


def _action_units(axis: Any, records: Sequence[ImageRecord]) -> None:
    counts = Counter((au, record.split) for record in records for au in record.labels.active)
    annotated = Counter(au for record in records for au in record.labels.action_units or {})
    names = [f"AU{au}" for au in ACTION_UNITS]
    _stacked(axis, names, [[counts[au, split] for au in ACTION_UNITS] for split in SPLITS])
    axis.plot(range(len(names)), [annotated[au] for au in ACTION_UNITS], "_", color="black", markersize=14)
    axis.set_title("Active AUs (dash: images annotated for that AU)")


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
    axis.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xlabel="valence", ylabel="arousal", title="Valence and arousal")
    axis.axhline(0, color="grey", linewidth=0.5)
    axis.axvline(0, color="grey", linewidth=0.5)


def _stacked(axis: Any, names: Sequence[str], heights: Sequence[Sequence[int]]) -> None:
    floor = [0] * len(names)
    for split, row in zip(SPLITS, heights, strict=True):
        axis.bar(range(len(names)), row, bottom=floor, color=COLOURS[split], label=split)
        floor = [below + height for below, height in zip(floor, row, strict=True)]
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
