"""Figure 6 and Appendix D: the same faces described by several models, or annotated by several methods, side by side.

The rule of choice: faces on which the most descriptions have a truth, and of these the ones on which the models lie
farthest apart in the share of right claims, whichever of them is ahead; sources take turns. Nobody picks by hand.

Of annotations only the labels that every method had to make are judged, for human ones are kept by all. Where no truth
of these is known, the faces are those on which two methods differ most.
"""

import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from matplotlib import image
from matplotlib.figure import Figure

from seke.core import runs
from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.figure_style import FAINT, INK, TONES
from seke.core.images import ImageError, open_record
from seke.core.intervals import Estimate
from seke.core.records import ImageRecord, InstructionRecord, Labels, Prediction, read_jsonl
from seke.core.rules import NEAR
from seke.reporting.data.cases import Claim, Span, lines, marked, verdict
from seke.reporting.data.runs import FinishedRun, LeftOut, Outputs, Pictured
from seke.reporting.data.tables import Column, Row, Table, signed
from seke.reporting.page.page import rendered, write_page
from seke.reporting.render import figures
from seke.reporting.render.figures import Panel, styled
from seke.reporting.render.pictures import RECORDS_GONE, Small, small
from seke.reporting.studies.runs import finished
from seke.reporting.studies.study import Section, StudyContext

RULE = (
    "Faces on which the models differ most in the share of right claims, whichever is ahead; sources take turns. "
    f"Valence and arousal are right within {NEAR}; an action unit that an answer does not mention counts as absent."
)
RULE_OF_ANNOTATIONS = (
    "Faces on which the methods differ most in the share of right generated labels, whichever is ahead, or, where none "
    "of these has a known truth, in the labels themselves; sources take turns. Human labels are kept by every method "
    f"and judged of none. Valence and arousal are right within {NEAR}."
)
SIDE = 160
"""Longest side of a picture, in pixels."""
FILES: Final = {"evaluate": "test.jsonl", "generate": "train.jsonl"}
"""The file of a prepared set whose faces the runs of a command are about."""


class Said(NamedTuple):
    """What one model, or method, says about one face, as it was read from its run."""

    judged: Prediction
    """The labels that are judged, and what is known to be right of them."""
    claims: tuple[Claim, ...]
    text: str
    labels: Labels
    """All of them, human ones included."""
    truth: Labels | None
    """What is right of all labels, as far as it is known."""


class ModelAnswer(NamedTuple):
    """What one model says about one face."""

    label: str
    claims: tuple[Claim, ...]
    spans: Sequence[Span]


class Face(NamedTuple):
    """One face with what every model says."""

    id: str
    facts: Mapping[str, str]
    """What is known of it, by who says so: "truth", "human labels"."""
    picture: Small
    answers: tuple[ModelAnswer, ...]


@dataclass(frozen=True)
class SideBySide:
    """Several models, or methods of annotation, on the same faces.

    Raises:
        UserError: if `stage` is neither evaluate nor generate.
    """

    name: str
    title: str
    runs: Mapping[str, str]
    """What to call a model -> its evaluation, e.g. {"FEID": "table3-feid"}."""
    count: int = 4
    stage: Literal["evaluate", "generate"] = "evaluate"
    """The command whose runs these are: generate for methods of annotation."""

    def __post_init__(self) -> None:
        if self.stage not in FILES:
            raise UserError("study.stage", self.stage, "no such runs to show", f"set {' or '.join(FILES)}")

    def section(self, context: StudyContext) -> Section:
        """Choose the faces, draw them, and write name.html and the share of right claims beside it."""
        found = {label: finished(context.outputs, self.stage, called) for label, called in self.runs.items()}
        missing = [f"{run.stage}/{run.name}: {run.reason}" for run in found.values() if isinstance(run, LeftOut)]
        there = {label: run for label, run in found.items() if isinstance(run, FinishedRun)}
        if len(there) < 2:
            return Section(self.title, missing=(*missing, "fewer than two runs are there"))
        records, root, truths = _records(next(iter(there.values())), context.outputs, FILES[self.stage])
        if self.stage == "evaluate":
            said = {label: {row.id: _answered(row) for row in run.predictions} for label, run in there.items()}
        else:
            said = _annotated({label: run.instructions for label, run in there.items()}, records, truths)
        shared = sorted(set.intersection(*(set(rows) for rows in said.values())))
        if not shared:
            return Section(self.title, missing=(*missing, "no face was answered in all runs"))
        predictions = {label: {id_: rows[id_].judged for id_ in shared} for label, rows in said.items()}
        chosen = choose(predictions, shared, self.count)
        faces = [_face(id_, said, records.get(id_), root, self.stage) for id_ in chosen]
        rule = RULE if self.stage == "evaluate" else RULE_OF_ANNOTATIONS
        made = [claim for face in faces for answer in face.answers for claim in answer.claims]
        judged = any(_is(claim, verdict) for claim in made for verdict in ("right", "wrong"))
        content = {"faces": faces, "title": self.title, "rule": rule, "judged": judged}
        write_page(context.figures.parent / f"{self.name}.html", content, "faces")
        panel = _panel(context.figures, self.name, faces, [_pixels(records.get(id_), root) for id_ in chosen])
        table = _table(self.name, self.title, predictions, shared, chosen, there, rule)
        return Section(self.title, (table,), (panel,), (), tuple(missing), rendered("page.faces", content))


def choose(predictions: Mapping[str, Mapping[str, Prediction]], shared: Sequence[str], count: int) -> list[str]:
    """Return the ids of up to `count` faces by the module's rule; `predictions`: each model's, by id."""
    first = next(iter(predictions.values()))
    known = {id_: len(_known(first[id_].truth)) for id_ in shared}
    most = max(known.values(), default=0)

    def rank(id_: str) -> tuple[float, str]:
        rows = [of_model[id_] for of_model in predictions.values()]
        return -(_spread(rows) if most else _disagreement(rows)), id_

    queues: dict[str, list[str]] = {}
    for id_ in sorted((id_ for id_ in shared if known[id_] == most), key=rank):
        queues.setdefault(first[id_].source, []).append(id_)
    return [queue[place] for place in range(count) for queue in queues.values() if place < len(queue)][:count]


def _spread(rows: Sequence[Prediction]) -> float:
    """Return how far apart the best and the worst of several answers about one face are, in [0, 1]."""
    shares = [_right_share(row.labels, row.truth) for row in rows]
    return max(shares) - min(shares)


def _disagreement(rows: Sequence[Prediction]) -> float:
    """Return how much the two most unlike answers about one face differ, in [0, 1]."""
    alike = [_right_share(one.labels, other.labels) for one, other in permutations(rows, 2) if _known(other.labels)]
    return 1 - min(alike, default=1.0)


def _known(truth: Labels) -> list[str]:
    names = ("expression", "valence", "arousal", "action_units")
    return [name for name in names if getattr(truth, name) is not None]


def _right_share(labels: Labels, truth: Labels) -> float:
    """Return the mean over the described things with a truth of how much of each is right; no answer is not right."""
    shares = [float(verdict(labels, truth, name) == "right") for name in _known(truth) if name != "action_units"]
    if units := truth.action_units:
        shares.append(sum((au in labels.active) == active for au, active in units.items()) / len(units))
    return sum(shares) / len(shares)


def claims(prediction: Prediction) -> Iterator[Claim]:
    """Yield what an answer claims: expression, valence, arousal, its active AUs, and active ones it left out."""
    labels, truth = prediction.labels, prediction.truth
    for name in ("expression", "valence", "arousal"):
        value = getattr(labels, name)
        text = value if isinstance(value, str) else f"{name} {'not stated' if value is None else signed(value)}"
        known = getattr(truth, name) is not None
        yield Claim(text, None, "wrong" if value is None and known else verdict(labels, truth, name))
    units = truth.action_units or {}
    for au in ACTION_UNITS:
        claimed, fact = au in labels.active, units.get(au)
        if claimed:
            yield Claim(f"AU{au}", None, "unknown" if fact is None else "right" if fact else "wrong")
        elif fact:
            yield Claim(f"AU{au} missed", None, "wrong", missed=True)


def annotations(row: InstructionRecord, truth: Labels | None) -> Iterator[Claim]:
    """Yield what an annotation states, with who said so: expression, valence, arousal, active and missed AUs."""
    for line in lines(row, None, truth):
        name = f"{line.field.lower()} " if line.field in ("Valence", "Arousal") else ""
        for claim in line.final:
            yield claim._replace(text=f"{name}{claim.text}{' missed' if claim.missed else ''}")


def _answered(row: Prediction) -> Said:
    return Said(row, tuple(claims(row)), row.text, row.labels, row.truth)


def _annotated(
    methods: Mapping[str, Sequence[InstructionRecord]],
    records: Mapping[str, ImageRecord],
    truths: Mapping[str, Labels],
) -> dict[str, dict[str, Said]]:
    """Return what each method made of the faces that all of them annotated, pilots left out.

    Right is what is so in truth, of drawn faces, or what people say where their label was hidden from the method.
    """
    by_id = {label: {row.id: row for row in rows if "pilot" not in row.flags} for label, rows in methods.items()}
    said: dict[str, dict[str, Said]] = {label: {} for label in methods}
    for id_ in set.intersection(*(set(rows) for rows in by_id.values())):
        of_methods = {label: rows[id_] for label, rows in by_id.items()}
        human = records[id_].labels if id_ in records else None
        truth = truths.get(id_, human)
        judged = _made(truth or Labels(), of_methods.values())
        for label, row in of_methods.items():
            labels = _made(row.labels, of_methods.values())
            text = row.conversations[-1].value
            said[label][id_] = Said(
                Prediction(
                    id=id_, source=row.source, subject=row.subject, text=text, judged=None, labels=labels, truth=judged,
                    status="ok",
                ),
                tuple(annotations(row, truth)), text, row.labels, truth,
            )  # fmt: skip
    return said


def _made(labels: Labels, rows: Collection[InstructionRecord]) -> Labels:
    """Return the labels that are generated in all of the rows."""

    def kept(name: str) -> Any:
        return getattr(labels, name) if all(getattr(row.origin, name) == "generated" for row in rows) else None

    units = {
        au: active
        for au, active in (labels.action_units or {}).items()
        if all(row.origin.action_units.get(str(au)) == "generated" for row in rows)
    }
    return Labels(**{name: kept(name) for name in ("expression", "valence", "arousal")}, action_units=units or None)


def _records(
    run: FinishedRun, outputs: Outputs, file: str
) -> tuple[dict[str, ImageRecord], Path | None, Mapping[str, Labels]]:
    """Return the faces' records, the folder of their pictures and what is true of them, as far as these are there."""
    try:
        path = runs.locate_records(str(run.config.get("records")), outputs.path, file)
    except UserError:
        return {}, None, {}
    return {row.id: row for row in read_jsonl(path, ImageRecord)}, outputs.image_root(path), outputs.truth(path)


def _face(
    id_: str, said: Mapping[str, Mapping[str, Said]], record: ImageRecord | None, root: Path | None, stage: str
) -> Face:
    of_models = tuple(
        ModelAnswer(label, row.claims, marked(row.text, row.labels, row.truth))
        for label, rows in said.items()
        for row in (rows[id_],)
    )
    truth = next(iter(said.values()))[id_].truth
    human = record.labels if record and stage == "generate" else None
    facts = {} if human is None else {"human labels": _labels_text(human)}
    if truth is not None and truth is not human:
        facts["truth"] = _labels_text(truth)
    picture = Small(b"", RECORDS_GONE) if record is None else small(root, Pictured(record.image, record.sha256), SIDE)
    return Face(id_, facts, picture, of_models)


def _labels_text(truth: Labels) -> str:
    parts = [truth.expression] if truth.expression else []
    parts += [
        f"{name} {signed(value)}" for name in ("valence", "arousal") if (value := getattr(truth, name)) is not None
    ]
    if truth.action_units is not None:
        parts.append(" ".join(f"AU{au}" for au in truth.active) or "no active AU")
    return ", ".join(parts) or "none"


def _pixels(record: ImageRecord | None, root: Path | None) -> Any:
    """Return a picture for the drawing, or None where it cannot be shown."""
    if record is None or root is None:
        return None
    try:
        picture = open_record(record, root).picture
    except ImageError:
        return None
    picture.thumbnail((SIDE, SIDE))
    return image.pil_to_array(picture)


@styled
def _panel(folder: Path, name: str, faces: Sequence[Face], pictures: Sequence[Any]) -> Panel:
    """Draw a face per row and a model per column; right claims bear a tick, wrong ones a cross."""
    models = [answer.label for answer in faces[0].answers]
    figure = Figure(figsize=(1.5 + 2.0 * len(models), 0.3 + 1.75 * len(faces)), layout="constrained")
    widths = [1.3, *[2.0] * len(models)]
    grid = figure.subplots(len(faces), 1 + len(models), squeeze=False, gridspec_kw={"width_ratios": widths})
    for face, picture, (first, *others) in zip(faces, pictures, grid, strict=True):
        if picture is None:
            first.text(0.5, 0.5, "no picture", ha="center", va="center", color=FAINT)
        else:
            first.imshow(picture)
        known = list(face.facts.values())[-1] if face.facts else "nothing known"  # human labels bear their mark
        first.set_title(textwrap.fill(f"{face.id}: {known}", 28), fontsize=6.5, loc="left")
        for axes, answer in zip(others, face.answers, strict=True):
            axes.set_title(answer.label, fontsize=8.5, fontweight="bold", loc="left")
            _write(axes, answer.claims)
        for axes in (first, *others):
            axes.set_axis_off()
    alt = "; ".join(
        f"{face.id}, {answer.label}: {sum(_is(c, 'right') for c in answer.claims)} claims right, "
        f"{sum(_is(c, 'wrong') for c in answer.claims)} wrong"
        for face in faces
        for answer in face.answers
    )
    return figures.save(figure, folder, name, f"Faces side by side. {alt}.")


def _is(claim: Claim, verdict: str) -> bool:
    """Whether a claim of a model, none that people made, is right, or wrong."""
    return claim.origin != "manual" and claim.verdict == verdict


def _write(axes: Any, claims: Sequence[Claim]) -> None:
    """Write expression, valence and arousal one below the other, and the action units in two columns below."""
    axes.set_xlim(0, 1)
    axes.set_ylim(12, 0)
    scalars, units = claims[:3], claims[3:]
    for place, claim in enumerate(scalars):
        _claim(axes, 0.0, 0.6 + place, claim)
    for place, claim in enumerate(units):
        _claim(axes, 0.5 * (place % 2), 4.0 + place // 2, claim)


def _claim(axes: Any, left: float, top: float, claim: Claim) -> None:
    colours, signs = {"right": TONES["green"], "wrong": TONES["red"]}, {"right": " ✓", "wrong": " ✗"}
    if claim.origin == "manual":
        text, colour = f"{claim.text} (human)", FAINT
    else:
        text, colour = claim.text + signs.get(claim.verdict, ""), colours.get(claim.verdict, INK)
    axes.text(left, top, text, color=colour, fontsize=7.5, va="center")


def _table(
    name: str,
    title: str,
    predictions: Mapping[str, Mapping[str, Prediction]],
    shared: Sequence[str],
    chosen: Sequence[str],
    found: Mapping[str, FinishedRun],
    rule: str,
) -> Table:
    """Return each model's share of right claims, on the chosen faces and, so that nobody is misled, on all of them."""
    columns = (
        Column("all", "right %", f"All {len(shared)} faces", 1, 100, "high"),
        *(Column(id_, "right %", id_, 0, 100) for id_ in chosen),
    )
    rows = []
    for label, of_model in predictions.items():
        judged = {id_: row for id_, row in of_model.items() if _known(row.truth)}
        shares = {id_: _right_share(row.labels, row.truth) for id_, row in judged.items()}
        mean = sum(shares.values()) / len(shares) if shares else None
        cells = {"all": Estimate(mean), **{id_: Estimate(shares.get(id_)) for id_ in chosen}}
        rows.append(Row(label, cells, found[label].name, found[label].anchor))
    return Table(name, title, "Model", columns, tuple(rows), rule)
