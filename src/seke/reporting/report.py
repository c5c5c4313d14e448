"""The report from end to end: gather, tabulate, draw, choose cases, write files and page.

outputs/report/<name>/index.html          one page, opens from disk
outputs/report/<name>/tables/*.{md,csv,tex}
outputs/report/<name>/figures/*.{png,svg}
outputs/report/<name>/manifest.json       which runs it was made from, by the hash of their manifests
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

from seke.core import files, locks, runs
from seke.core.errors import UserError
from seke.core.intervals import Estimate
from seke.core.rules import NEAR
from seke.reporting.data import cases, provenance, results, scenes
from seke.reporting.data.collect import Material, collect
from seke.reporting.data.run_labels import NamedRun
from seke.reporting.data.runs import Draws, Gathered, Outputs, gather, without
from seke.reporting.data.tables import Column, Table, interval, shown, to_csv, to_latex, to_markdown
from seke.reporting.page.gallery import Gallery, Shelf, fill
from seke.reporting.page.page import write_page
from seke.reporting.render import figure_set
from seke.reporting.render.thumbnails import thumbnail
from seke.reporting.studies.orders import Compare
from seke.reporting.studies.study import Compiled, Study

CASE_SIDE = 160
"""Longest side of a case's picture, in pixels."""
DRAFT = ".draft-"
"""Prefix of the folder in which a report lies until it is whole."""
MAIN = ("feab", "scenes", "reasoning", "agreement", "reliability", "cost")
"""The tables that are printed."""


@dataclass(frozen=True)
class Settings:
    """What conf/report.yaml decides."""

    wording: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """Door -> suffix of a run's name -> its words."""
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
    gallery: Gallery | None = None
    """Which records can be looked through and reviewed; None: none."""


class Written(NamedTuple):
    """What a report left behind."""

    page: Path
    main: tuple[Table, ...]
    """The tables to print."""
    nature: str
    """What any of the numbers comes from where it is not real; the tables say which."""
    notes: tuple[str, ...]
    study: Compiled | None = None


def write_report(
    outputs: Path, name: str, pattern: str | None, settings: Settings,
    study: Study | None = None, compare: Compare | None = None,
) -> Written:  # fmt: skip
    """Write outputs/report/<name>/ from the finished runs that `name` or `pattern` selects.

    `study`: an experiment whose runs these are (conf/report/experiment/*.yaml); `compare` tells two of them apart.

    Raises:
        UserError: if there is no finished run whose files read, or if `cases_count` is negative.
    """
    if settings.cases_count < 0:
        raise UserError("cases.count", settings.cases_count, "no number of cases", "set 0 or more")
    opened = Outputs(outputs)
    found = gather(opened, name, pattern)
    while True:
        try:
            with _whole(outputs / "report" / name) as folder:
                return _write(folder, opened, name, pattern, found, settings, study, compare)
        except UserError as error:
            found = without(found, error)  # one damaged run must not cost the others their report


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Yield an empty folder; what is written into it replaces, at the end and only then, its namesakes in `folder`."""
    files.folder(folder)
    locks.hold(folder)
    try:
        for left in folder.glob(f"{DRAFT}*"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        with TemporaryDirectory(prefix=DRAFT, dir=folder) as scratch:
            yield Path(scratch)
            # The manifest last: it speaks of all the others.
            for part in sorted(Path(scratch).iterdir(), key=lambda part: part.name == "manifest.json"):
                if part.is_dir():  # a table of a run that is gone must not stay behind
                    shutil.rmtree(folder / part.name, ignore_errors=True)
                os.replace(part, folder / part.name)
    finally:
        locks.release(folder)
        with suppress(OSError):  # it holds a report, as it should
            folder.rmdir()


def _write(
    folder: Path, outputs: Outputs, name: str, pattern: str | None, found: Gathered, settings: Settings,
    study: Study | None, compare: Compare | None,
) -> Written:  # fmt: skip
    shelf = settings.gallery.run if settings.gallery else None
    material = collect(found, outputs, settings.wording, settings.cases_run, shelf, settings.images)
    looked = [each for each in (material.chosen, material.gallery) if each]
    drawn = {each.run.name: each.run.draws for each in looked}
    gallery = _gallery(name, material, drawn, settings.gallery)  # first: its pictures are made beside all the rest
    tables = {table.name: table for table in _tables(material)}
    for part in ("tables", "figures"):
        (folder / part).mkdir()
    for table in tables.values():
        for suffix, text in (("md", to_markdown(table)), ("csv", to_csv(table)), ("tex", to_latex(table))):
            runs.write_text(folder / "tables" / f"{table.name}.{suffix}", text)

    notes = [f"{run.door}/{run.name} left out, {run.reason}" for run in found.left_out]
    if material.absent and study is None:
        notes.append("no finished run for: " + "; ".join(material.absent))
    notes += [
        f"{item.words.label}: {warning}"
        for item in (*material.scored, *material.checked, *material.scenes, *material.reasoned)
        for warning in item.run.warnings
    ]
    compiled = study.compile(outputs, name, folder, compare) if study and compare else None
    content = {
        "name": name,
        "study": compiled,
        "nature": provenance.nature(material.natures),
        "uniform": provenance.uniform(material.natures),
        "notes": notes,
        "tiles": _tiles(material, settings),
        "tables": tables,
        "panels": figure_set.draw(folder / "figures", material),
        "chosen": material.chosen,
        "cases": _cases(material, drawn, settings.cases_count),
        "most_uncertain": _most_uncertain(material),
        "gallery": gallery,
        "provenance": provenance.entries(found),
        "packages": provenance.packages(found),
        "commands": settings.commands,
    }
    write_page(folder / "index.html", content)
    inputs = {f"{run.door}/{run.name}": run.manifest_sha256 for run in found.runs}
    manifest = json.dumps({"name": name, "runs": pattern, "inputs": inputs}, indent=2)
    runs.write_text(folder / "manifest.json", manifest + "\n")
    nature = provenance.nature(material.natures)
    main = tuple(tables[key] for key in MAIN if key in tables)
    return Written(outputs.path / "report" / name / "index.html", main, nature, tuple(notes), compiled)


def _tables(material: Material) -> list[Table]:
    """Return the tables there are runs for."""
    best = " Bold: the best of the rows that compete; reference rows do not."
    intervals = (
        "With 95 % intervals. n: images with a truth; no answer: those of them whose answer holds no such label "
        "(E expression, AU action units, V valence, A arousal, where these differ)."
    )
    tables = []
    if material.scored:
        title = "FEAB on held-out subjects"
        scored = results.score_table("feab", title, "System", material.scored, intervals + best)
        tables.append(provenance.stated(scored, "evaluate", material.natures))
        caption = "Positive-class F1 over the images whose source annotates the AU." + best
        units = results.au_table(material.scored, caption)
        if _measured(units):
            tables.append(_across(units, material.scored, material))
    tables += _scene_tables(material, best)
    if material.checked:
        title = "Generated labels against the latent truth"
        caption = "Only labels that the generator made; those people gave are right by definition. " + intervals + best
        checked = results.score_table("reliability", title, "Generator", material.checked, caption)
        tables.append(provenance.stated(checked, "evaluate", material.natures))
    if material.generated:
        caption = (
            "E[S]: mean draws per record. Floor: what Algorithm 1 takes at zero uncertainty, 3 − 2^(2−N), so 2.875 at "
            "N = 5. US$ n/a: the annotator has no price."
        )
        cost = results.cost_table(material.generated, material.rows, caption)
        tables.append(provenance.stated(cost, "generate", material.natures))
    if material.chosen and any(level.n for levels in material.trusted.values() for level in levels):
        made = material.natures.get(("generate", material.chosen.run.name))
        caption = (
            f"{material.chosen.words.label}; labels that people gave do not enter. Valence and arousal are right "
            f"within {NEAR} of the truth (Fig. 6); each AU counts by itself, under the uncertainty of its record's AUs."
            + (f" All of it: {made}." if made else "")
        )
        tables.append(results.trust_table(material.trusted, caption))
    return tables


def _measured(table: Table) -> bool:
    cells = [cell for row in table.rows for cell in row.cells.values()]
    return any(isinstance(cell, Estimate) and cell.value is not None for cell in cells)


def _across(table: Table, runs: Sequence[NamedRun], material: Material) -> Table:
    """Return a table whose columns are evaluations, with what of each is not real."""
    return provenance.stated(table, "evaluate", material.natures, {item.words.label: item.run.name for item in runs})


def _scene_tables(material: Material, best: str) -> list[Table]:
    """Return the tables of scenes: whether their emotion is named, and how well it is reasoned about."""
    over = "With 95 % intervals, bootstrap over pictures."
    tables = []
    if material.scenes:
        tables.append(provenance.stated(scenes.score_table(material.scenes, over + best), "evaluate", material.natures))
        classes = scenes.class_table(material.scenes, "Over the pictures that were scored." + best)
        tables.append(_across(classes, material.scenes, material))
    if material.reasoned:
        marks = scenes.marks_table(material.reasoned, f"Means over the answers that were marked. {over}")
        tables.append(provenance.stated(marks, "evaluate", material.natures))
        agreed = scenes.agreement_table(material.reasoned)
        tables += [provenance.stated(agreed, "evaluate", material.natures)] if agreed else []
    return tables


def _tiles(material: Material, settings: Settings) -> list[dict[str, Any]]:
    """Return the four headline scores of the run in focus, each beside those of the other runs."""
    chosen = next((item for item in material.scored if item.suffix == settings.focus), None)
    if chosen is None:
        return []
    metrics = {item.run.name: item.run.scores for item in material.scored}
    others = [item for item in material.scored if item is not chosen]
    ceiling = next((item for item in others if item.suffix == settings.ceiling), None)
    return [
        {
            "title": title,
            "label": chosen.words.label,
            "value": shown(metrics[chosen.run.name].get(column.key), column),
            "interval": interval(metrics[chosen.run.name].get(column.key), column),
            "others": [(item.words.short, shown(metrics[item.run.name].get(column.key), column)) for item in others],
            "ceiling": _share(metrics, chosen, ceiling, column),
        }
        for title, column in figure_set.HEADLINE
    ]


def _share(
    metrics: Mapping[str, Mapping[str, Estimate]], chosen: NamedRun, ceiling: NamedRun | None, column: Column
) -> str:
    """Say how much of the upper bound a score reaches, for scores of which more is better."""
    own = metrics[chosen.run.name].get(column.key)
    most = metrics[ceiling.run.name].get(column.key) if ceiling and column.better == "high" else None
    if ceiling is None or own is None or own.value is None or most is None or not most.value:
        return ""
    return f"{own.value / most.value:.0%} of {ceiling.words.short}".replace("%", " %")


def _most_uncertain(material: Material) -> float:
    """Return the largest uncertainty of the chosen run: the full length of the page's small bars."""
    rows = material.rows[material.chosen.run.name] if material.chosen else ()
    return max((row.uncertainty.max or 0.0 for row in rows), default=0.0) or 1.0


def _gallery(
    name: str, material: Material, drawn: Mapping[str, Mapping[str, Draws]], settings: Gallery | None
) -> Shelf | None:
    looked = material.gallery
    if looked is None or settings is None or not material.rows[looked.run.name]:
        return None
    return fill(name, looked, material.rows[looked.run.name], drawn[looked.run.name], settings)


def _cases(material: Material, drawn: Mapping[str, Mapping[str, Draws]], count: int) -> list[dict[str, Any]]:
    """Return what the page shows of each chosen record."""
    chosen = material.chosen
    if chosen is None:
        return []
    shown_cases = []
    for level, record in cases.choose(material.rows[chosen.run.name], count):
        question, answer = (turn.value.replace("<image>", "").strip() for turn in record.conversations[:2])
        known = chosen.truth.get(record.id)
        shown_cases.append(
            {
                "level": level,
                "record": record,
                "picture": thumbnail(chosen.image_root, record.image, CASE_SIDE, record.sha256),
                "lines": cases.lines(record, drawn[chosen.run.name].get(record.id), known),
                "manual": cases.manual_note(record),
                "question": question,
                "answer": cases.marked(answer, record.labels, known),
                "known": known is not None,
            }
        )
    return shown_cases
