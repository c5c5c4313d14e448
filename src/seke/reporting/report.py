"""The report, written whole or not at all: tables, figures, chosen cases and one page of finished runs.

outputs/report/<name>/index.html          one page, opens from disk
outputs/report/<name>/tables/*.{md,csv,tex}
outputs/report/<name>/figures/*.{png,svg}
outputs/report/<name>/manifest.json       which runs it was made from, by the sha256 of their manifests
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from seke.core import files, locks
from seke.core.errors import UserError
from seke.core.intervals import Estimate
from seke.core.rules import NEAR
from seke.reporting.data import cases, provenance, results, scenes
from seke.reporting.data.collect import InspectedRun, Material, collect
from seke.reporting.data.run_labels import NamedRun
from seke.reporting.data.runs import Gathered, Outputs, gather, leave_out
from seke.reporting.data.tables import Column, Table, interval, shown, write_tables
from seke.reporting.page.gallery import GalleryData, GallerySettings, gallery_data
from seke.reporting.page.page import write_page
from seke.reporting.render import figure_set
from seke.reporting.render.thumbnails import thumbnail
from seke.reporting.studies.orders import Comparisons
from seke.reporting.studies.study import Compiled, Study

CASE_SIDE = 160
"""Longest side of a case's picture, in pixels."""
DRAFT = ".draft-"
"""Prefix of the folder in which a report lies until it is whole."""
PRINTED = ("feab", "scenes", "classes", "reasoning", "agreement", "reliability", "cost")
"""The tables that are printed."""


@dataclass(frozen=True)
class Settings:
    """What conf/report.yaml decides."""

    wording: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """Command -> suffix of a run's name -> its words (`run_labels.name_runs`)."""
    focus: str
    """The suffix of the evaluation that heads the page."""
    ceiling: str
    """The suffix of the evaluation that is the upper bound."""
    cases_run: str
    """The suffix of the generation whose records are shown."""
    cases_count: int
    commands: Sequence[Mapping[str, str]]
    """What to change for one's own data, annotator and GPU: {what, text, command}."""
    images: str | None = None
    """Overrides the image root of the records."""
    gallery: GallerySettings | None = None
    """Which records can be looked through and reviewed; None: none."""


class WrittenReport(NamedTuple):
    """What a report left behind."""

    page: Path
    main: tuple[Table, ...]
    """The tables to print."""
    nature: str
    """What is synthetic or simulated in any of the runs; the tables say in which. Empty: nothing."""
    notes: tuple[str, ...]
    study: Compiled | None = None


def write_report(
    outputs: Path,
    name: str,
    pattern: str | None,
    settings: Settings,
    study: Study | None = None,
    compare: Comparisons | None = None,
) -> WrittenReport:
    """Write outputs/report/<name>/ from the finished runs that `name` or `pattern` selects.

    Args:
        outputs: the folder of all runs.
        name: of the report, and, unless `pattern` is given, the beginning of its runs' names.
        pattern: a glob over `outputs`.
        settings: what conf/report.yaml decides.
        study: an experiment whose runs these are (conf/report/experiment/*.yaml).
        compare: how the predictions of two of the study's runs are compared.

    Raises:
        UserError: if there is no finished run whose files read, or if `cases_count` is negative.
    """
    if settings.cases_count < 0:
        raise UserError("cases.count", settings.cases_count, "no number of cases", "set 0 or more")
    opened = Outputs(outputs)
    gathered = gather(opened, name, pattern)
    while True:
        try:
            with _replacing(outputs / "report" / name) as draft:
                return _write(draft, opened, name, pattern, gathered, settings, study, compare)
        except UserError as error:
            gathered = leave_out(gathered, error)  # one damaged run must not cost the others their report


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder; what is written into it replaces, at the end and only then, its namesakes in `folder`."""
    files.folder(folder)
    locks.hold(folder)
    try:
        for left in folder.glob(f"{DRAFT}*"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        with TemporaryDirectory(prefix=DRAFT, dir=folder) as draft:
            yield Path(draft)
            # The manifest last: it speaks of all the others.
            for part in sorted(Path(draft).iterdir(), key=lambda part: part.name == "manifest.json"):
                if part.is_dir():  # a table of a run that is gone must not stay behind
                    shutil.rmtree(folder / part.name, ignore_errors=True)
                os.replace(part, folder / part.name)
    finally:
        locks.release(folder)
        with suppress(OSError):  # it holds a report, as it should
            folder.rmdir()


def _write(
    draft: Path,
    outputs: Outputs,
    name: str,
    pattern: str | None,
    gathered: Gathered,
    settings: Settings,
    study: Study | None,
    compare: Comparisons | None,
) -> WrittenReport:
    gallery_run = settings.gallery.run if settings.gallery else None
    material = collect(gathered, outputs, settings.wording, settings.cases_run, gallery_run, settings.images)
    gallery = _gallery(name, material, settings.gallery)  # first: other processes make its pictures beside all the rest
    for part in ("tables", "figures"):
        (draft / part).mkdir()
    tables = {table.name: table for table in _tables(material)}
    write_tables(draft / "tables", tables.values())
    compiled = study.compile(outputs, name, draft, compare) if study and compare else None
    nature = provenance.nature(material.natures)
    notes = _notes(gathered, material, complete=study is not None)
    content = {
        "name": name,
        "study": compiled,
        "nature": nature,
        "uniform": provenance.uniform(material.natures),
        "notes": notes,
        "tiles": _tiles(material, settings),
        "tables": tables,
        "panels": figure_set.draw(draft / "figures", material),
        "chosen": material.chosen,
        "cases": _cases(material.chosen, settings.cases_count) if material.chosen else [],
        "most_uncertain": _largest_uncertainty(material.chosen),
        "gallery": gallery,
        "provenance": provenance.entries(gathered),
        "packages": provenance.packages(gathered),
        "commands": settings.commands,
    }
    write_page(draft / "index.html", content)
    inputs = {f"{run.stage}/{run.name}": run.manifest_sha256 for run in gathered.runs}
    manifest = json.dumps({"name": name, "runs": pattern, "inputs": inputs}, indent=2)
    files.write_text(draft / "manifest.json", manifest + "\n")
    printed = tuple(tables[key] for key in PRINTED if key in tables)
    return WrittenReport(outputs.path / "report" / name / "index.html", printed, nature, tuple(notes), compiled)


def _notes(gathered: Gathered, material: Material, complete: bool) -> list[str]:
    """Return what a reader must know of the runs: which are left out, absent unless `complete`, damaged or suspicious.

    Damaged predictions leave a run's numbers standing: they are those of its metrics.json.
    """
    notes = [f"{run.stage}/{run.name} left out, {run.reason}" for run in gathered.left_out]
    if material.absent and not complete:
        notes.append("no finished run for: " + "; ".join(material.absent))
    notes += [
        f"evaluate/{run.name}: predictions.jsonl is damaged ({run.damage}); its scores are those of metrics.json"
        for run in gathered.of("evaluate")
        if run.damage
    ]
    return notes + [
        f"{item.words.label}: {warning}"
        for item in (*material.scored, *material.checked, *material.scenes, *material.classified, *material.reasoned)
        for warning in item.run.warnings
    ]


def _tables(material: Material) -> list[Table]:
    """Return the tables there are runs for, each with what is synthetic or simulated in it."""

    def of_rows(table: Table, stage: str = "evaluate") -> Table:
        return provenance.state_nature(table, stage, material.natures)

    def of_columns(table: Table, runs: Sequence[NamedRun]) -> Table:
        names = {item.words.label: item.run.name for item in runs}
        return provenance.state_nature(table, "evaluate", material.natures, names)

    best = " Bold: the best of the rows that compete; reference rows do not."
    over_pictures = "With 95 % intervals, bootstrap over pictures."
    intervals = (
        "With 95 % intervals. n: images with a truth; no answer: those of them whose answer holds no such label "
        "(E expression, AU action units, V valence, A arousal, where these differ)."
    )
    tables: list[Table | None] = []
    if material.scored:
        title = "FEAB on held-out subjects"
        scores = results.score_table("feab", title, "System", material.scored, intervals + best)
        tables.append(of_rows(results.with_gains(scores, material.scored)))
        caption = "Positive-class F1 over the images whose source annotates the AU." + best
        units = results.au_table(material.scored, caption)
        if any(
            isinstance(cell, Estimate) and cell.value is not None for row in units.rows for cell in row.cells.values()
        ):
            tables.append(of_columns(units, material.scored))
    if material.scenes:
        tables.append(of_rows(scenes.score_table(material.scenes, over_pictures + best)))
        classes = scenes.class_table(material.scenes, "Over the pictures that were scored." + best)
        tables.append(of_columns(classes, material.scenes))
    if material.classified:
        tables.append(of_rows(scenes.classified_table(material.classified, over_pictures)))
    if material.reasoned:
        caption = f"Means over the answers that were marked. {over_pictures}"
        tables.append(of_rows(scenes.marks_table(material.reasoned, caption)))
        agreement = scenes.agreement_table(material.reasoned)
        tables.append(agreement and of_rows(agreement))
    if material.checked:
        title = "Generated labels against the latent truth"
        caption = "Only labels that the generator made; those people gave are right by definition. " + intervals + best
        scores = results.score_table("reliability", title, "Generator", material.checked, caption)
        tables.append(of_rows(results.with_gains(scores, material.checked)))
    if material.generated:
        caption = (
            "E[S]: mean draws per record. Floor: what Algorithm 1 takes at zero uncertainty, 3 − 2^(2−N), so 2.875 at "
            "N = 5. US$ n/a: the annotator has no price."
        )
        tables.append(of_rows(results.cost_table(material.generated, caption), "generate"))
    if material.chosen and any(level.n for levels in material.right_by_uncertainty.values() for level in levels):
        nature = material.natures.get(("generate", material.chosen.run.name))
        caption = (
            f"{material.chosen.words.label}; labels that people gave do not enter. Valence and arousal are right "
            f"within {NEAR} of the truth (Fig. 6); each AU counts by itself, under the uncertainty of its record's AUs."
            + (f" All of it: {nature}." if nature else "")
        )
        tables.append(results.uncertainty_table(material.right_by_uncertainty, caption))
    return [table for table in tables if table]


def _tiles(material: Material, settings: Settings) -> list[dict[str, Any]]:
    """Return the four headline scores of the run in focus, each beside those of the other runs."""
    focus = next((item for item in material.scored if item.suffix == settings.focus), None)
    if focus is None:
        return []
    others = [item for item in material.scored if item is not focus]
    ceiling = next((item for item in others if item.suffix == settings.ceiling), None)
    return [
        {
            "title": title,
            "label": focus.words.label,
            "value": shown(focus.run.scores.get(column.key), column),
            "interval": interval(focus.run.scores.get(column.key), column),
            "others": [(item.words.short, shown(item.run.scores.get(column.key), column)) for item in others],
            "ceiling": _share_of(ceiling, focus, column) if ceiling else "",
        }
        for title, column in figure_set.HEADLINE
    ]


def _share_of(ceiling: NamedRun, run: NamedRun, column: Column) -> str:
    """Say how much of the upper bound a score reaches, for scores of which more is better."""
    own, most = (item.run.scores.get(column.key, Estimate(None)).value for item in (run, ceiling))
    if column.better != "high" or own is None or not most:
        return ""
    return f"{own / most:.0%} of {ceiling.words.short}".replace("%", " %")


def _largest_uncertainty(chosen: InspectedRun | None) -> float:
    """Return the largest uncertainty of a generation: the full length of the page's small bars."""
    rows = chosen.run.instructions if chosen else ()
    return max((row.uncertainty.max or 0.0 for row in rows), default=0.0) or 1.0


def _gallery(name: str, material: Material, settings: GallerySettings | None) -> GalleryData | None:
    inspected = material.gallery
    if inspected is None or settings is None or not inspected.run.instructions:
        return None
    return gallery_data(name, inspected, settings)


def _cases(chosen: InspectedRun, count: int) -> list[dict[str, Any]]:
    """Return what the page shows of each chosen record."""
    shown_cases = []
    for level, record in cases.choose(chosen.run.instructions, count):
        question, answer = (turn.value.replace("<image>", "").strip() for turn in record.conversations[:2])
        truth = chosen.truth.get(record.id)
        shown_cases.append(
            {
                "level": level,
                "record": record,
                "picture": thumbnail(chosen.image_root, record.image, CASE_SIDE, record.sha256),
                "lines": cases.lines(record, chosen.run.draws.get(record.id), truth),
                "manual": cases.manual_note(record),
                "question": question,
                "answer": cases.marked(answer, record.labels, truth),
                "known": truth is not None,
            }
        )
    return shown_cases
