"""Figure 6: the same faces described by several tuned models, side by side, right and wrong claims marked.

The rule of choice: faces on which the most descriptions have a truth, and of these the ones on which the models lie
farthest apart in the share of right claims, whichever of them is ahead; sources take turns. Nobody picks by hand.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup
from matplotlib import image
from matplotlib.figure import Figure

from seke.core import runs
from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.escape import in_html
from seke.core.files import write_text
from seke.core.images import ImageError, open_record
from seke.core.intervals import Estimate
from seke.core.records import ImageRecord, Labels, Prediction, read_jsonl
from seke.core.rules import NEAR
from seke.reporting.data.cases import Claim, Span, marked, verdict
from seke.reporting.data.runs import FinishedRun, LeftOut, Outputs
from seke.reporting.data.tables import Column, Row, Table, signed
from seke.reporting.render import figures
from seke.reporting.render.figures import FAINT, INK, TONES, Panel, styled
from seke.reporting.render.thumbnails import RECORDS_GONE, Thumbnail, thumbnail
from seke.reporting.studies.runs import finished
from seke.reporting.studies.study import Section, StudyContext

RULE = (
    "Faces on which the models differ most in the share of right claims, whichever is ahead; sources take turns. "
    f"Valence and arousal are right within {NEAR}; an action unit that an answer does not mention counts as absent."
)
SIDE = 160
"""Longest side of a picture, in pixels."""


class ModelAnswer(NamedTuple):
    """What one model says about one face."""

    label: str
    claims: tuple[Claim, ...]
    spans: Sequence[Span]


class Face(NamedTuple):
    """One test face with what every model says."""

    id: str
    truth: str
    picture: Thumbnail
    answers: tuple[ModelAnswer, ...]


@dataclass(frozen=True)
class SideBySide:
    """Two or three models on the same faces."""

    name: str
    title: str
    runs: Mapping[str, str]
    """What to call a model -> its evaluation, e.g. {"FEID": "table3-feid"}."""
    count: int = 4

    def section(self, context: StudyContext) -> Section:
        """Choose the faces, draw them, and write name.html and the share of right claims beside it."""
        found = {label: finished(context.outputs, "evaluate", called) for label, called in self.runs.items()}
        missing = [f"{run.stage}/{run.name}: {run.reason}" for run in found.values() if isinstance(run, LeftOut)]
        there = {label: run for label, run in found.items() if isinstance(run, FinishedRun)}
        predictions = {label: {row.id: row for row in run.predictions} for label, run in there.items()}
        shared = sorted(set.intersection(*(set(rows) for rows in predictions.values()))) if len(predictions) > 1 else []
        if not shared:
            reason = "fewer than two models are there" if len(predictions) < 2 else "no face was answered by all models"
            return Section(self.title, missing=(*missing, reason))
        chosen = choose(predictions, shared, self.count)
        records, root = _records(next(iter(there.values())), context.outputs)
        faces = [_face(id_, predictions, records.get(id_), root) for id_ in chosen]
        content = {"faces": faces, "title": self.title, "rule": RULE}
        write_text(context.figures.parent / f"{self.name}.html", _rendered(**content, alone=True))
        panel = _panel(context.figures, self.name, faces, [_pixels(records.get(id_), root) for id_ in chosen])
        table = _table(self.name, self.title, predictions, shared, chosen, there)
        return Section(self.title, (table,), (panel,), (), tuple(missing), _rendered(**content, alone=False))


def choose(predictions: Mapping[str, Mapping[str, Prediction]], shared: Sequence[str], count: int) -> list[str]:
    """Return the ids of up to `count` faces by the module's rule; `predictions`: each model's, by id."""
    first = next(iter(predictions.values()))

    def rank(id_: str) -> tuple[int, float, str]:
        shares = [_right_share(rows[id_]) for rows in predictions.values()]
        return -len(_known(first[id_].truth)), min(shares) - max(shares), id_

    queues: dict[str, list[str]] = {}
    for id_ in sorted((id_ for id_ in shared if _known(first[id_].truth)), key=rank):
        queues.setdefault(first[id_].source, []).append(id_)
    most = max((len(_known(first[queue[0]].truth)) for queue in queues.values()), default=0)
    turns = [queue for queue in queues.values() if len(_known(first[queue[0]].truth)) == most]
    turns = [[id_ for id_ in queue if len(_known(first[id_].truth)) == most] for queue in turns]
    return [queue[place] for place in range(count) for queue in turns if place < len(queue)][:count]


def _known(truth: Labels) -> list[str]:
    names = ("expression", "valence", "arousal", "action_units")
    return [name for name in names if getattr(truth, name) is not None]


def _right_share(prediction: Prediction) -> float:
    """Return the mean over the described things with a truth of how much of each is right; no answer is not right."""
    truth = prediction.truth
    shares = [
        float(verdict(prediction.labels, truth, name) == "right") for name in _known(truth) if name != "action_units"
    ]
    if units := truth.action_units:
        shares.append(sum((au in prediction.labels.active) == active for au, active in units.items()) / len(units))
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


def _records(run: FinishedRun, outputs: Outputs) -> tuple[dict[str, ImageRecord], Path | None]:
    """Return the records of the test faces and the folder of their pictures, if they are still there."""
    try:
        path = runs.locate("records", str(run.config.get("records")), outputs.path, "prepare", "test.jsonl")
    except UserError:
        return {}, None
    return {row.id: row for row in read_jsonl(path, ImageRecord)}, outputs.image_root(path)


def _face(
    id_: str, predictions: Mapping[str, Mapping[str, Prediction]], record: ImageRecord | None, root: Path | None
) -> Face:
    of_models = tuple(
        ModelAnswer(label, tuple(claims(row)), marked(row.text, row.labels, row.truth))
        for label, rows in predictions.items()
        for row in (rows[id_],)
    )
    truth = next(iter(predictions.values()))[id_].truth
    picture = Thumbnail(None, RECORDS_GONE) if record is None else thumbnail(root, record.image, SIDE, record.sha256)
    return Face(id_, _truth_text(truth), picture, of_models)


def _truth_text(truth: Labels) -> str:
    parts = [truth.expression] if truth.expression else []
    parts += [
        f"{name} {signed(value)}" for name in ("valence", "arousal") if (value := getattr(truth, name)) is not None
    ]
    if truth.action_units is not None:
        parts.append(" ".join(f"AU{au}" for au in truth.active) or "no active AU")
    return ", ".join(parts)


def _rendered(**content: Any) -> Markup:
    environment = jinja2.Environment(autoescape=True, finalize=in_html, trim_blocks=True, lstrip_blocks=True)
    text = (files("seke.reporting.studies") / "faces.html.jinja").read_text(encoding="utf-8")
    return Markup(environment.from_string(text).render(**content))


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
        first.set_title(textwrap.fill(f"{face.id}: {face.truth}", 30), fontsize=6.5, loc="left")
        for axes, answer in zip(others, face.answers, strict=True):
            axes.set_title(answer.label, fontsize=8.5, fontweight="bold", loc="left")
            _write(axes, answer.claims)
        for axes in (first, *others):
            axes.set_axis_off()
    alt = "; ".join(
        f"{face.id}, {answer.label}: {sum(c.verdict == 'right' for c in answer.claims)} claims right, "
        f"{sum(c.verdict == 'wrong' for c in answer.claims)} wrong"
        for face in faces
        for answer in face.answers
    )
    return figures.save(figure, folder, name, f"Faces side by side. {alt}.")


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
    text = claim.text + signs.get(claim.verdict, "")
    axes.text(left, top, text, color=colours.get(claim.verdict, INK), fontsize=7.5, va="center")


def _table(
    name: str,
    title: str,
    predictions: Mapping[str, Mapping[str, Prediction]],
    shared: Sequence[str],
    chosen: Sequence[str],
    found: Mapping[str, FinishedRun],
) -> Table:
    """Return each model's share of right claims, on the chosen faces and, so that nobody is misled, on all of them."""
    columns = (
        Column("all", "right %", f"All {len(shared)} faces", 1, 100, "high"),
        *(Column(id_, "right %", id_, 0, 100) for id_ in chosen),
    )
    rows = []
    for label, of_model in predictions.items():
        shares = {id_: _right_share(of_model[id_]) for id_ in shared if _known(of_model[id_].truth)}
        mean = sum(shares.values()) / len(shares) if shares else None
        cells = {"all": Estimate(mean), **{id_: Estimate(shares[id_]) for id_ in chosen}}
        rows.append(Row(label, cells, found[label].name, found[label].anchor))
    return Table(name, title, "Model", columns, tuple(rows), RULE)
