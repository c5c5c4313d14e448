"""Scores by group of faces, and the largest gap between groups, of a model or of generated labels.

Among many groups some gap is always seen: the largest is within chance unless its p-value, which allows for all pairs
of groups, is below 0.05.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

from seke.core.figure_style import INK, TONES
from seke.core.intervals import Estimate
from seke.core.rules import MEASURES
from seke.reporting.data.runs import FinishedRun, LeftOut, estimate
from seke.reporting.data.tables import Cell, Column, Row, Table, interval, shown
from seke.reporting.render import figures
from seke.reporting.render.figures import MARKERS, Panel, styled
from seke.reporting.studies.runs import finished
from seke.reporting.studies.study import Section, StudyContext

COLUMNS: Final = tuple(Column.of(each, each.name, each.label.replace(" (14)", "")) for each in MEASURES)
"""The measures of metrics.json's "groups", by their names there."""


@dataclass(frozen=True)
class Groups:
    """Evaluations that were made with `groups=`; a section of a table and a drawing for each key of each run."""

    name: str
    title: str
    runs: Mapping[str, str]
    """What is measured -> how its evaluation is called, e.g. {"A tuned model": "{name}-model"}."""

    def section(self, context: StudyContext) -> Section:
        """Tabulate and draw each run's groups, and say where the largest gaps are."""
        tables, panels, findings, missing = list[Table](), list[Panel](), list[str](), list[str]()
        for number, (label, called) in enumerate(self.runs.items(), start=1):
            run = finished(context.outputs, "evaluate", called.format(name=context.name))
            if isinstance(run, LeftOut):
                missing.append(f"{run.stage}/{run.name}: {run.reason}")
                continue
            of_keys = run.metrics.get("groups") or {}
            if not of_keys:
                missing.append(f"evaluate/{run.name}: made without groups=")
            for key, measured in of_keys.items():
                stem = f"{self.name}_{number}_" + "".join(sign if sign.isalnum() else "_" for sign in key)
                tables.append(_table(stem, label, key, measured, run))
                panels.append(_panel(context.figures, stem, f"{label}, by {key}", measured))
                findings += _gaps(label, key, measured)
        return Section(self.title, tuple(tables), tuple(panels), tuple(findings), tuple(missing))


def _table(name: str, label: str, key: str, measured: Mapping[str, Any], run: FinishedRun) -> Table:
    columns = (Column.count("n", "n", "Images"), *COLUMNS)
    rows = [
        Row(
            group, {"n": Estimate(cells["n"]), **{c.key: estimate(cells[c.key]) for c in COLUMNS}}, run.name, run.anchor
        )
        for group, cells in measured["groups"].items()
    ]
    gaps: dict[str, Cell] = {"n": "", **{c.key: estimate(measured["gaps"][c.key], "gap") for c in COLUMNS}}
    rows.append(Row("Largest gap", gaps, run.name, run.anchor, reference=True))
    units = ", ".join(f"AU{au}" for au in measured["aus"]) or "no AU that every group shows"
    notes = run.manifest.get("notes") or []
    caption = (
        "With 95 % intervals over subjects; that of the largest gap allows for all pairs of groups. Groups of fewer "
        f"than {measured['fewest']} images with truth are no end of a gap. F1: mean of {units}."
        + (f" Measured on {'; '.join(notes)}." if notes else "")
    )
    return Table(name, f"{label}, by {key}", key, columns, tuple(rows), caption)


def _gaps(label: str, key: str, measured: Mapping[str, Any]) -> Iterator[str]:
    """Say, per measure, between which groups the largest gap lies."""
    parts = []
    for column in COLUMNS:
        if gap := measured["gaps"][column.key]:
            cell = estimate(gap, "gap")
            span = interval(cell, column) if "p" in gap else ""
            parts.append(
                f"{column.group} {column.label.removesuffix(' %')} {shown(cell, column)}"
                f"{f' (95 % {span})' if span else ''} from {gap['lowest']} to {gap['highest']}"
                f"{_remark(gap)}"
            )
    if parts:
        yield f"{label}, largest gaps by {key}: {'; '.join(parts)}."


def _remark(gap: Mapping[str, Any]) -> str:
    if "p" not in gap:
        return ", not tested by this earlier release: make the run anew"
    if gap["p"] is None:
        return f", not tested: too few subjects ({gap['drawn_from']}), or no spread"
    return f", p = {gap['p']:.3f}" + ("" if gap["p"] < 0.05 else ", within chance")


@styled
def _panel(folder: Path, name: str, title: str, measured: Mapping[str, Any]) -> Panel:
    """Draw a group per line and a measure per column, with intervals; hollow: too few images to be an end of a gap."""
    groups = measured["groups"]
    figure = Figure(figsize=(6.4, 0.9 + 0.24 * len(groups)), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=9.5, fontweight="bold")
    every = figure.subplots(1, len(COLUMNS), sharey=True)
    for axes, column, tone, marker in zip(every, COLUMNS, ("blue", "green", "orange", "purple"), MARKERS, strict=False):
        for place, cells in enumerate(groups.values()):
            value, low, high = estimate(cells[column.key])
            if value is None:
                continue
            if low is not None:
                axes.plot((low, high), (place, place), color=INK, linewidth=1)
            few = cells[column.key]["n"] < measured["fewest"]
            axes.plot(value, place, marker, color=TONES[tone], markersize=5, markerfacecolor="none" if few else None)
        axes.set_title(f"{column.group} {column.label}", fontsize=8)
        figures.scale(axes.xaxis, 3, column.scale)
        axes.tick_params(axis="y", length=0)
    every[0].set_yticks(range(len(groups)), [f"{group}  n = {cells['n']:,}" for group, cells in groups.items()])
    every[0].set_ylim(len(groups) - 0.5, -0.5)
    alt = "; ".join(
        f"{group}: " + ", ".join(f"{c.key} {shown(estimate(cells[c.key]), c)}" for c in COLUMNS)
        for group, cells in groups.items()
    )
    return figures.save(figure, folder, name, f"{title}. {alt}.")
