"""A study: one table or figure of the paper, or one open question, from its runs to what a reader sees.

conf/report/experiment/<name>.yaml defines it, wholly: `python report.py name=<its runs' name> experiment=<name>`.

    study:
      _target_: seke.reporting.studies.study.Study
      title: What human prior knowledge and self-verification each gain
      section: Table 4
      parts:
        - _target_: seke.reporting.studies.study.Cells
          name: tuned                                        the stem of its files
          runs: { evaluate: "{name}-{cell}" }                how its runs are called, by stage
          rows: { plain: Neither, prior: { label: Prior only, tone: sky }, ... }
          measures: [expression.accuracy, ...]
          paper: { file: table4.csv, rows: { Neither: { prior: "no", sv_uamc: "no" }, ... } }
          expect: [[prior, plain], ...]                      better, worse
          control: blind                                     the row over which every other one's gain is told
          figures: [{ _target_: seke.reporting.studies.figures.bars, _partial_: true }]

Each part becomes a section: tables, panels, what came of the expected orders, and which runs are missing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple, Protocol

from markupsafe import Markup

from seke.core import files
from seke.core.errors import UserError
from seke.core.intervals import Estimate
from seke.core.small_data import few_images
from seke.reporting.data.runs import Outputs
from seke.reporting.data.tables import Column, Table, shown, to_markdown, to_terminal, write_tables
from seke.reporting.render.figures import Panel
from seke.reporting.studies.figures import FigureData
from seke.reporting.studies.orders import Comparisons, judge_orders, orders_table, sentences
from seke.reporting.studies.runs import MeasuredRows, label, read_rows
from seke.reporting.studies.tables import columns, paper_rows, table, varies


class Section(NamedTuple):
    """One part of a study, ready to be shown."""

    title: str
    tables: tuple[Table, ...] = ()
    panels: tuple[Panel, ...] = ()
    findings: tuple[str, ...] = ()
    """Sentences: on how many measures each expected order holds, how far wordings spread, which gap is the largest."""
    missing: tuple[str, ...] = ()
    """Runs that the study names and that are not there or not finished, each with the reason."""
    markup: Markup = Markup("")
    """What is neither table nor panel, as HTML that this package made and escaped."""


@dataclass(frozen=True)
class StudyContext:
    """What a part needs beside its own settings."""

    outputs: Outputs
    name: str
    """Of the experiment's runs."""
    figures: Path
    """The folder for drawings."""
    compare: Comparisons


class Part(Protocol):
    """What `study.parts` holds."""

    def section(self, context: StudyContext) -> Section:
        """Read the runs, tabulate, draw and judge."""


@dataclass(frozen=True)
class Cells:
    """Cells of a sweep as the rows of a table; see the module for the settings."""

    name: str
    title: str
    runs: Mapping[str, str]
    rows: Mapping[str, Any]
    measures: Sequence[str]
    head: str = "Setting"
    caption: str = ""
    paper: Mapping[str, Any] | None = None
    expect: Sequence[Sequence[str]] = ()
    expect_on: Sequence[str] | None = None
    """The measures that the expected orders are about; None: all but the cost."""
    control: str | None = None
    """A row: beside each measure of quality stands what every other row gains over it."""
    spreads: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What to call a group of rows, and the rows whose scores' spread is told in a sentence."""
    figures: Sequence[Callable[[Path, FigureData], list[Panel]]] = ()

    def section(self, context: StudyContext) -> Section:
        """Read the cells, tabulate them beside the paper's rows, draw and judge.

        Raises:
            UserError: if a row or measure that is spoken of does not exist.
        """
        spoken_of = {
            "study.expect": [key for keys in (*self.expect, *self.spreads.values()) for key in keys],
            "study.control": [self.control] if self.control else [],
        }
        for setting, named in spoken_of.items():
            for key in named:
                if key not in self.rows:
                    raise UserError(setting, key, "no row of that name", f"choose from {', '.join(self.rows)}")
        measures = columns(self.measures)
        measured = read_rows(context.outputs, context.name, self.runs, self.rows)
        missing = tuple(f"{run.stage}/{run.name}: {run.reason}" for run in measured.missing)
        keys = {line.key for line in measured.lines}
        unjudged = [
            f"{label(self.rows, a)} above {label(self.rows, b)}: not judged, a run is missing."
            for a, b in self.expect
            if not {a, b} <= keys
        ]
        if not measured.lines:
            return Section(self.title, findings=tuple(unjudged), missing=missing)
        images = [n for line in measured.lines if (n := line.value("n").value) is not None]
        few = few_images(round(max(images))) if images and self.paper else ""
        paper = paper_rows(**self.paper) if self.paper and not few else ()
        caption = f"{self.caption} {few}.".strip() if few else self.caption
        quality = columns(self.expect_on) if self.expect_on else [column for column in measures if column.better]
        over_control = [(line.key, self.control) for line in measured.lines if self.control not in (None, line.key)]
        gains = judge_orders(measured.lines, over_control, quality, context.compare)
        tables = [table(self.name, self.title, self.head, measures, measured, paper, caption, gains)]
        orders = judge_orders(measured.lines, self.expect, quality, context.compare)
        if orders:
            title = f"{self.title}: does the expected order hold?"
            tables.append(orders_table(f"{self.name}_orders", title, orders, quality))
        data = FigureData(self.name, measured.lines, paper, measures, self.control)
        panels = [panel for draw in self.figures for panel in draw(context.figures, data)]
        findings = [*sentences(orders), *unjudged, *self._spreads(measured, measures)]
        return Section(self.title, tuple(tables), tuple(panels), tuple(findings), missing)

    def _spreads(self, measured: MeasuredRows, measures: Sequence[Column]) -> list[str]:
        sentences = []
        for group, keys in self.spreads.items():
            lines = [line for line in measured.lines if line.key in keys]
            parts = [
                f"{column.group} {column.label} {_printed(fmean(values), column)} ± "
                f"{_printed(stdev(values), column)} ({_printed(min(values), column)} to "
                f"{_printed(max(values), column)})"
                for column in measures
                if varies(column)
                and len(values := [v for line in lines if (v := line.value(column.key).value) is not None]) > 1
            ]
            if parts:
                sentences.append(f"{group}, {len(lines)}, mean ± sd (least to most): {'; '.join(parts)}.")
        return sentences


def _printed(value: float, column: Column) -> str:
    return shown(Estimate(value), column)


@dataclass(frozen=True)
class Study:
    """One table or figure of the paper, or one open question."""

    title: str
    section: str
    """Where the paper has it, or what asks it."""
    parts: Sequence[Part]
    paper_says: str = ""
    """What the paper reports where it prints no table, in our words."""

    def compile(self, outputs: Outputs, name: str, folder: Path, compare: Comparisons) -> "Compiled":
        """Make every part; its drawings go to folder/figures/, its tables to folder/tables/, all in words to study.md.

        Raises:
            UserError: if not one run of the study is finished.
        """
        for place in ("tables", "figures"):
            (folder / place).mkdir(parents=True, exist_ok=True)
        context = StudyContext(outputs, name, folder / "figures", compare)
        sections = tuple(part.section(context) for part in self.parts)
        compiled = Compiled(self.title, self.section, self.paper_says, sections)
        if not any(section.tables or section.panels for section in sections):
            gone = "; ".join(reason for section in sections for reason in section.missing[:3])
            raise UserError("name", name, f"no finished run of this experiment ({gone}, ...)", "run its script first")
        write_tables(folder / "tables", compiled.tables)
        files.write_text(folder / "study.md", compiled.markdown)
        return compiled


class Compiled(NamedTuple):
    """A study with everything in it."""

    title: str
    where: str
    paper_says: str
    sections: tuple[Section, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables, in order."""
        return tuple(each for section in self.sections for each in section.tables)

    @property
    def markdown(self) -> str:
        """The study as one Markdown page."""
        parts = [f"# {self.where}: {self.title}", *([f"The paper: {self.paper_says}"] if self.paper_says else [])]
        for section in self.sections:
            parts += [to_markdown(each).rstrip() for each in section.tables]
            parts += [_listed(section.findings)] if section.findings else []
            parts += [f"Missing or failed:\n\n{_listed(section.missing)}"] if section.missing else []
            parts += [f"![{panel.alt}](figures/{panel.name}.svg)" for panel in section.panels]
        return "\n\n".join(parts) + "\n"

    @property
    def terminal(self) -> str:
        """The study as it is printed: tables without their intervals, findings, what is missing."""
        parts = [f"{self.where}: {self.title}", *([f"The paper: {self.paper_says}"] if self.paper_says else [])]
        for section in self.sections:
            parts += [f"{each.title}\n{to_terminal(each)}\n{each.caption}" for each in section.tables]
            parts += ["\n".join(section.findings)] * bool(section.findings)
            parts += ["\n".join(f"missing: {reason}" for reason in section.missing)] * bool(section.missing)
        return "\n\n".join(parts)


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
