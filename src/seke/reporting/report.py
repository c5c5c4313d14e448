"""The report, written whole or not at all: tables, figures, chosen cases and one page of finished runs.

outputs/report/<name>/index.html               one page, opens from disk
outputs/report/<name>/predictions/<run>.html   what each number of an evaluation is counted from
outputs/report/<name>/tables/*.{md,csv,tex}
outputs/report/<name>/figures/*.{png,svg}
outputs/report/<name>/pictures/                small pictures; in index.html, too, unless it would be too large
outputs/report/<name>/originals/               links to the folders of the pictures themselves
outputs/report/<name>/manifest.json            which runs it was made from, by the sha256 of their manifests
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from seke.core import files, flags, locks
from seke.core.errors import UserError
from seke.core.intervals import Estimate
from seke.core.rules import NEAR
from seke.reporting.data import annotators, cases, conclusions, general, people, provenance, results, scenes, verdict
from seke.reporting.data.collect import InspectedRun, Material, collect
from seke.reporting.data.picture_folder import IMAGES
from seke.reporting.data.run_labels import NamedRun
from seke.reporting.data.runs import Gathered, Outputs, gather, leave_out
from seke.reporting.data.tables import Column, Row, Table, write_tables
from seke.reporting.page.gallery import Gallery, GallerySettings
from seke.reporting.page.page import write_page
from seke.reporting.page.player import Player
from seke.reporting.page.predictions import PredictionPages
from seke.reporting.render import figure_set
from seke.reporting.render.pictures import Pictures, small
from seke.reporting.studies.orders import Comparisons
from seke.reporting.studies.study import Compiled, Study

CASE_SIDE = 160
"""Longest side of a case's picture, in pixels."""
DRAFT = ".draft-"
"""Prefix of the folder in which a report lies until it is whole."""
WHOLE = ("n", "subjects")
"""Columns whose numbers are about all of a run's predictions."""
COUNTED = (*results.TASKS.values(), *scenes.TASKS, "unanswered")
"""What the keys of other columns begin with whose numbers are counted from predictions."""
PRINTED = (
    "feab",
    "scenes",
    "classes",
    "reasoning",
    "agreement",
    "reliability",
    "labels",
    "annotators",
    "conclusions",
    "cost",
    "guarantee",
    "looks",
    "reviewers",
)
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
    baselines: Mapping[str, str]
    """Suffix of an evaluation of what never looks at the pictures -> what to call it; the first there is counts."""
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
            with replacing(outputs / "report" / name) as draft:
                return _write(draft, opened, name, pattern, gathered, settings, study, compare)
        except UserError as error:
            gathered = leave_out(gathered, error)  # one damaged run must not cost the others their report


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
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
    pictures = Pictures(draft, settings.gallery.thumbnails if settings.gallery else GallerySettings("").thumbnails)
    gallery = _gallery(name, material, settings.gallery, pictures)
    chosen = cases.choose(material.chosen.run.instructions, settings.cases_count) if material.chosen else []
    numbers = pictures.add(
        material.chosen and material.chosen.image_root,
        [material.chosen.picture(record) for _, record in chosen] if material.chosen else [],
    )
    videos = Player(material.gallery if settings.gallery else None, pictures)
    evaluated = [*material.scored, *material.checked, *material.scenes, *material.classified]
    predictions = PredictionPages(evaluated, outputs, settings.images, pictures)
    pictures.start()  # first: other processes make them beside all the rest
    for part in ("tables", "figures"):
        (draft / part).mkdir()
    tables = {table.name: table for table in _tables(material)}
    write_tables(draft / "tables", tables.values())
    compiled = study.compile(outputs, name, draft, compare) if study and compare else None
    found = (
        []
        if study
        else verdict.verdicts(  # a study judges by its own expected orders
            material, settings.focus, settings.ceiling, settings.baselines, compare and compare.faces
        )
    )
    panels = figure_set.draw(draft / "figures", material, lambda item, what: predictions.link(item.run.name, what))
    nature = provenance.nature(material.natures)
    pictures.finish()
    shown = gallery and gallery.data()
    notes = _notes(gathered, material, predictions.unread, complete=study is not None)
    if shown and settings.gallery and shown.page_mb > settings.gallery.page_mb:
        notes.append(f"the records alone make this page {shown.page_mb:.0f} MB large; gallery.limit= shows fewer")
    seen = {flag for _, record in chosen for flag in record.flags} | {*(shown.flags if shown else ())}
    content = {
        "name": name,
        "study": compiled,
        "nature": nature,
        "uniform": provenance.uniform(material.natures),
        "notes": notes,
        "verdicts": found,
        "tables": tables,
        "links": _links(predictions),
        "link_of": predictions.link,
        "has_predictions": bool(predictions),
        "panels": panels,
        "chosen": material.chosen,
        "cases": _cases(material.chosen, chosen, numbers, pictures) if material.chosen else [],
        "flags": [(flag, flags.meaning(flag) or "Set by an extension.") for flag in sorted(seen)],
        "gallery": shown,
        "videos": videos,
        "promises": [
            (item.words.label, promise)
            for item in material.generated
            if (promise := people.promised(item.run.guarantee))
        ],
        "linked": pictures.linked,
        "provenance": provenance.entries(gathered),
        "commands": settings.commands,
    }
    write_page(draft / "index.html", content)
    predictions.write(draft, name)
    inputs = {f"{run.stage}/{run.name}": run.manifest_sha256 for run in gathered.runs}
    manifest = json.dumps({"name": name, "runs": pattern, IMAGES: settings.images, "inputs": inputs}, indent=2)
    files.write_text(draft / "manifest.json", manifest + "\n")
    printed = tuple(tables[key] for key in PRINTED if key in tables)
    return WrittenReport(outputs.path / "report" / name / "index.html", printed, nature, tuple(notes), compiled)


def _links(predictions: PredictionPages) -> Callable[[Row, Column, str], str | None]:
    """Return what tells where the predictions behind a table's number are listed."""

    def link(row: Row, column: Column, key: str) -> str | None:
        cell = row.cells.get(column.key)
        if cell is None or (isinstance(cell, Estimate) and cell.value is None):
            return None
        if column.run:
            return predictions.link(column.run, row.about)
        run = predictions.by_anchor.get(row.anchor)
        counted = key in WHOLE or key.partition(".")[0] in COUNTED
        return predictions.link(run, "" if key in WHOLE else key) if run is not None and counted else None

    return link


def _notes(gathered: Gathered, material: Material, unread: Mapping[str, str], complete: bool) -> list[str]:
    """Return what a reader must know of the runs: which are left out, absent unless `complete`, damaged or suspicious.

    Damaged predictions leave a run's numbers standing: they are those of its metrics.json. `unread`: what is wrong with
    them, by the evaluation's name, as far as they have been read already.
    """
    notes = [f"{run.stage}/{run.name} left out, {run.reason}" for run in gathered.left_out]
    if material.absent and not complete:
        notes.append("no finished run for: " + "; ".join(material.absent))
    notes += [
        f"evaluate/{run.name}: predictions.jsonl is damaged ({damage}); its scores are those of metrics.json"
        for run in gathered.of("evaluate")
        if (damage := unread.get(run.name) or run.damage)
    ]
    return notes + [
        f"{item.words.label}: {warning}"
        for item in (
            *material.scored,
            *material.checked,
            *material.scenes,
            *material.classified,
            *material.reasoned,
            *material.concluding,
        )
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
    if material.general:
        tables.append(of_rows(general.score_table(material.general, over_pictures + best)))
    if material.options:
        tables.append(of_rows(general.score_table(material.options, over_pictures + best, general.OPTIONS)))
    if material.reasoned:
        caption = f"Means over the answers that were marked. {over_pictures}"
        tables.append(of_rows(scenes.marks_table(material.reasoned, caption)))
        agreement = scenes.agreement_table(material.reasoned)
        tables.append(agreement and of_rows(agreement))
    if material.checked:
        title = "Generated labels against the true labels"
        caption = "Only labels that the generator made; those people gave are right by definition. " + intervals + best
        scores = results.score_table("reliability", title, "Generator", material.checked, caption)
        tables.append(of_rows(results.with_gains(scores, material.checked)))
    if material.labelled:
        tables.append(of_rows(annotators.labels_table(material.labelled)))
    if material.agreeing:
        tables += [annotators.agreement_table(material.agreeing), annotators.differences_table(material.agreeing)]
    if material.concluding:
        tables.append(provenance.state_nature(conclusions.table(material.concluding), "evaluate", material.natures))
    if material.generated:
        caption = (
            "E[S]: mean draws per record. Floor: what Algorithm 1 takes at zero uncertainty, 3 − 2^(2−N), so 2.875 at "
            "N = 5. US$ n/a: the annotator has no price."
        )
        tables.append(of_rows(results.cost_table(material.generated, caption), "generate"))
    if material.chosen and any(material.right_by_uncertainty.values()):
        nature = material.natures.get(("generate", material.chosen.run.name))
        caption = (
            f"{material.chosen.words.label}; labels that people gave do not enter. Valence and arousal are right "
            f"within {NEAR} of the truth (Fig. 6); each AU counts by itself, under the uncertainty of its record's AUs."
            + (f" All of it: {nature}." if nature else "")
        )
        tables.append(results.uncertainty_table(material.right_by_uncertainty, caption))
    tables += [of_rows(table, "generate") for table in people.tables(material.generated)]
    return [table for table in tables if table]


def _gallery(name: str, material: Material, settings: GallerySettings | None, pictures: Pictures) -> Gallery | None:
    inspected = material.gallery
    if inspected is None or settings is None or not inspected.run.instructions:
        return None
    return Gallery(name, inspected, settings, pictures)


def _cases(
    of_run: InspectedRun, chosen: Sequence[cases.Chosen], numbers: Sequence[int], pictures: Pictures
) -> list[dict[str, Any]]:
    """Return what the page shows of each chosen record; `numbers`: of their pictures, none without pictures."""
    shown_cases = []
    for place, (level, record) in enumerate(chosen):
        question, answer = (turn.value.replace("<image>", "").strip() for turn in record.conversations[:2])
        truth, trace = of_run.truth.get(record.id), of_run.run.draws.get(record.id)
        shown_cases.append(
            {
                "level": level,
                "record": record,
                "picture": small(of_run.image_root, of_run.picture(record), CASE_SIDE),
                "large": pictures.large(numbers[place]) if numbers else None,
                "lines": cases.lines(record, trace, truth),
                "manual": cases.manual_note(record),
                "question": question,
                "answer": cases.marked(answer, record.labels, truth),
                "known": truth is not None,
            }
        )
    return shown_cases
