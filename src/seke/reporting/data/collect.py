"""The material of one report: its runs in the order of their rows, their records, and the true labels."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from seke.core import runs
from seke.core.errors import UserError
from seke.core.records import InstructionRecord, Labels
from seke.reporting.data import annotators, conclusions, general, results, scenes
from seke.reporting.data.provenance import Natures, natures
from seke.reporting.data.run_labels import NamedRun, Words, named
from seke.reporting.data.runs import FinishedRun, Gathered, Outputs, Pictured


class InspectedRun(NamedTuple):
    """A generation whose records are shown one by one."""

    run: FinishedRun
    words: Words
    truth: Mapping[str, Labels]
    """The latent labels of the records it annotated, by id; empty where nobody knows them."""
    image_root: Path | None
    """The folder of its pictures; None where its records are gone."""
    faces: Mapping[str, tuple[Any, ...]] = MappingProxyType({})
    """Where the face is in a picture, by the record's id, of records that say so."""

    def picture(self, row: InstructionRecord) -> Pictured:
        """Return what a row says of its picture."""
        return Pictured(row.image, row.sha256, self.faces.get(row.id))


@dataclass(frozen=True)
class Material:
    """What tables, figures and cases draw on; an empty part means that no such run was found."""

    scored: Sequence[NamedRun]
    """Evaluations of models on FEAB."""
    checked: Sequence[NamedRun]
    """Evaluations of generated labels against the true labels."""
    scenes: Sequence[NamedRun]
    """Evaluations of the emotion that a scene evokes."""
    reasoned: Sequence[NamedRun]
    """Evaluations of answers that judges marked."""
    generated: Sequence[NamedRun]
    trained: Sequence[NamedRun]
    chosen: InspectedRun | None
    """The generation of the cases."""
    gallery: InspectedRun | None
    """The generation of the gallery."""
    right_by_uncertainty: Mapping[str, tuple[results.Bin, ...]]
    """How often the labels that `chosen` generated are right, by their uncertainty."""
    natures: Natures
    """Of each run, what the numbers come from where it is not real, e.g. "synthetic faces, simulated annotator"."""
    absent: Sequence[str]
    """Labels of evaluations that the wording expects and nobody ran."""
    classified: Sequence[NamedRun] = ()
    """Evaluations of a picture's class by another attribute than the emotion."""
    general: Sequence[NamedRun] = ()
    """Evaluations of what a model knows beside emotion."""
    options: Sequence[NamedRun] = ()
    """Evaluations by questions with options."""
    labelled: Sequence[NamedRun] = ()
    """Labellings of new pictures."""
    agreeing: Sequence[NamedRun] = ()
    """Annotators held against each other, be it beside a labelling."""
    concluding: Sequence[NamedRun] = ()
    """Evaluations of what finished labels say of people."""


def collect(
    gathered: Gathered,
    outputs: Outputs,
    wording: Mapping[str, Mapping[str, Mapping[str, Any]]],
    cases_run: str,
    gallery_run: str | None,
    images: str | None,
) -> Material:
    """Read what the gathered runs left, in the order and under the names that `wording` gives.

    `cases_run` and `gallery_run` are suffixes of generations, `images` overrides the folder of their pictures.
    """
    generated, trained, evaluated = (
        named(gathered.of(stage), wording.get(stage, {})) for stage in ("generate", "train", "evaluate")
    )
    agreeing = [item for item in evaluated if item.run.agreement]
    new = [item for item in evaluated if annotators.is_labelling(item.run)]
    evaluated = [item for item in evaluated if item not in new and not annotators.is_agreement(item.run)]
    concluding = [item for item in evaluated if conclusions.is_conclusion(item.run)]
    evaluated = [item for item in evaluated if item not in concluding]
    scene_runs = [item for item in evaluated if scenes.measures(item.run, scenes.EMOTION)]
    reasoned = [item for item in evaluated if scenes.measures(item.run, scenes.REASONING)]
    classified = [item for item in evaluated if scenes.measures(item.run, scenes.CLASS)]
    asked = [item for item in evaluated if general.asked(item.run)]
    choosing = [item for item in evaluated if general.asked(item.run, general.OPTIONS)]
    of_faces = [item for item in evaluated if item not in (*scene_runs, *reasoned, *classified, *asked, *choosing)]
    labelled = [item for item in generated if any(row.labels != Labels() for row in item.run.instructions)]
    damaged = {outputs.path / each.stage / each.name for each in gathered.left_out}
    chosen = _inspected(_of_suffix(labelled, cases_run), outputs, images, damaged)
    shown = _of_suffix(generated, gallery_run) if gallery_run else None
    same = shown is not None and chosen is not None and shown.run == chosen.run
    return Material(
        scored=[item for item in of_faces if not results.is_reliability(item.run)],
        checked=[item for item in of_faces if results.is_reliability(item.run)],
        scenes=scene_runs,
        reasoned=reasoned,
        generated=generated,
        trained=trained,
        chosen=chosen,
        gallery=chosen if same else _inspected(shown, outputs, images, damaged),
        right_by_uncertainty=results.right_by_uncertainty(chosen.run.instructions, chosen.truth) if chosen else {},
        natures=natures(gathered, outputs.path),
        absent=_absent(of_faces, wording.get("evaluate", {})),
        classified=classified,
        general=asked,
        options=choosing,
        labelled=new,
        agreeing=agreeing,
        concluding=concluding,
    )


def _of_suffix(generated: Sequence[NamedRun], suffix: str) -> NamedRun | None:
    """Return the run of that suffix, or else the first that kept its draws."""
    fitting = [item for item in generated if item.suffix == suffix]
    sampled = [item for item in generated if (item.run.path / "draws.jsonl").is_file()]
    return next(iter([*fitting, *sampled]), None)


def _inspected(
    item: NamedRun | None, outputs: Outputs, images: str | None, damaged: Collection[Path]
) -> InspectedRun | None:
    if item is None:
        return None
    records = _prepared(item.run, outputs.path)
    if records and records.parent in damaged:
        records = None
    root = Path(images) if images else outputs.image_root(records) if records else None
    pictures = outputs.pictures(records) if records else {}
    faces = {id_: pictured.face for id_, pictured in pictures.items() if pictured.face}
    return InspectedRun(item.run, item.words, outputs.truth(records) if records else {}, root, faces)


def _absent(evaluated: Sequence[NamedRun], wording: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what is missing of the runs that the wording expects; nothing where none of them is there at all.

    A reference row alone, such as the constant answer, is what anybody measures beside models of their own.
    """
    present = {item.suffix for item in evaluated if item.suffix}
    if all(item.words.reference for item in evaluated if item.suffix):
        return []
    return [str(words["label"]) for suffix, words in wording.items() if suffix not in present]


def _prepared(run: FinishedRun, outputs: Path) -> Path | None:
    """Return the records file that a generation read, if it is still there."""
    try:
        return runs.locate_records(str(run.config.get("records")), outputs, "train.jsonl")
    except UserError:
        return None
