"""A page for each evaluation: every picture that was scored, its truth, the answer, and what is right of it.

The report's numbers lead here: predictions/<run>.html#<what>, where <what> is a key of metrics.json, or
expression=fear>sadness for a cell of a confusion matrix. The page counts anew what it shows, by the rules of the
benchmark: silence is no expression, and calls no action unit active.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from seke.core import runs
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.records import Prediction
from seke.reporting.data import scenes
from seke.reporting.data.run_labels import NamedRun
from seke.reporting.data.runs import Outputs, Pictured, SceneAnswer
from seke.reporting.page.gallery import SharedTexts, beside_page, encode_labels, json_markup, right_bits
from seke.reporting.page.page import write_page
from seke.reporting.render.pictures import Pictures

FOLDER: Final = "predictions"


class _Row(NamedTuple):
    id: str
    source: str
    subject: str | None
    text: str
    status: str
    labels: list[Any]
    truth: list[Any]
    right: int


class PredictionPages:
    """The pages of a report's evaluations, to be written once their pictures are made."""

    def __init__(self, items: Sequence[NamedRun], outputs: Outputs, images: str | None, pictures: Pictures) -> None:
        """Ask for the pictures.

        Args:
            items: evaluations of faces and scenes.
            outputs: the folder of all runs.
            images: overrides the folder of their pictures.
            pictures: those of the whole report.
        """
        self._pictures = pictures
        self._pages: dict[str, tuple[NamedRun, Path | None, list[int | None]]] = {}
        self.unread: dict[str, str] = {}
        """Why an evaluation's predictions do not read, by its name."""
        for item in items:
            try:
                rows = _rows(item)
            except UserError as error:
                self.unread[item.run.name] = error.problem
                continue
            if not rows:
                continue
            known, root = _pictured(item, outputs)
            root = Path(images) if images else root
            seen = [known.get(row.id) for row in rows]
            numbers = iter(pictures.add(root, [pictured for pictured in seen if pictured]))
            self._pages[item.run.name] = item, root, [pictured and next(numbers, None) for pictured in seen]

    @property
    def by_anchor(self) -> Mapping[str, str]:
        """The names of these evaluations by their anchors: a generation may have the same name."""
        return {item.run.anchor: name for name, (item, *_) in self._pages.items()}

    def __bool__(self) -> bool:
        return bool(self._pages)

    def link(self, run: str, what: str = "") -> str | None:
        """Return the address of an evaluation's predictions as seen from the report's page; None: they are not shown.

        `what`: a key of metrics.json, or a cell of the confusion matrix; empty: all of it.
        """
        if run not in self._pages:
            return None
        return f"{FOLDER}/{quote(run)}.html" + (f"#{quote(what, safe='=')}" if what else "")

    def write(self, report: Path, name: str) -> None:
        """Write all pages into the report's folder."""
        if self._pages:
            (report / FOLDER).mkdir()
        for item, root, numbers in self._pages.values():
            path = report / FOLDER / f"{item.run.name}.html"
            write_page(path, self._content(name, item, root, numbers), "predictions")

    def _content(self, name: str, item: NamedRun, root: Path | None, numbers: Sequence[int | None]) -> dict[str, Any]:
        rows, texts = _rows(item), SharedTexts()
        order = list(dict.fromkeys(number for number in numbers if number is not None))
        place = {number: k for k, number in enumerate(order)}
        task, classes = _task(item)
        records = [
            [
                row.id,
                texts.number("source", row.source),
                None if row.subject is None else texts.number("subject", row.subject),
                None if number is None else place[number],
                texts.number("status", row.status),
                row.labels,
                row.truth,
                row.right,
                row.text,
            ]
            for row, number in zip(rows, numbers, strict=True)
        ]
        data = {
            "run": item.run.name,
            "task": task,
            "classes": classes,
            "units": list(ACTION_UNITS.items()) if task == "expression" else [],
            "names": texts.lists,
            "beside": beside_page(self._pictures, order),
            "originals": self._pictures.originals(root),
            "images": [self._pictures.image(number) for number in order],
            "records": records,
        }
        return {"report": name, "label": item.words.label, "run": item.run.name, "faces": task == "expression",
                "task": task, "data": json_markup(data)}  # fmt: skip


def _rows(item: NamedRun) -> list[_Row]:
    task, classes = _task(item)
    if task == "expression":
        return [_of_face(row) for row in item.run.predictions]
    return list(_of_scenes(item.run.scene_answers, classes))


def _task(item: NamedRun) -> tuple[str, list[str]]:
    """Return what a run was asked to name, and the names."""
    for task in scenes.TASKS:
        if scenes.measures(item.run, task):
            return task, list((item.run.metrics.get("confusion") or {}).get("truth") or ())
    return "expression", list(EXPRESSIONS)


def _of_face(row: Prediction) -> _Row:
    right = right_bits(row.labels, row.truth)
    labels, truth = encode_labels(row.labels), encode_labels(row.truth)
    return _Row(row.id, row.source, row.subject, row.judged or row.text, row.status, labels, truth, right)


def _of_scenes(rows: Sequence[SceneAnswer], classes: Sequence[str]) -> Iterator[_Row]:
    place = {name: number for number, name in enumerate(classes)}
    for row in rows:
        said, truth = (None if name is None else place.get(name) for name in (row.said, row.truth))
        labels, true = ([number, None, None, 0, 0] for number in (said, truth))
        yield _Row(row.id, row.source, None, row.text, row.status, labels, true, int(said == truth is not None))


def _pictured(item: NamedRun, outputs: Outputs) -> tuple[Mapping[str, Pictured], Path | None]:
    """Return the pictures of the records that a run scored, by id, and their folder, as far as these can be read."""
    try:
        records = runs.locate_records(str(item.run.config.get("records")), outputs.path, "test.jsonl")
        return outputs.pictures(records), outputs.image_root(records)
    except UserError:
        return {}, None
