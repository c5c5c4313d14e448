"""The gallery's data: all instruction records of one generation as compact JSON, and their pictures in blocks.

The page draws only what is in sight, so records and pictures travel as data, not as HTML. Texts that recur (sources,
flags, questions, annotators, attributes) are sent once and meant by their number, and so is a picture that several
records share; action units are bits, in the order of `affect.ACTION_UNITS`. Everything is escaped such that no text of
a model can leave its block. What a record carries decides what is shown of it: labels of a face, or the attributes and
the conversation of a scene.

A page that its pictures would make too large to be mailed leaves them in the folder beside it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from markupsafe import Markup

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.flags import meaning
from seke.core.limit import checked, limited
from seke.core.records import InstructionRecord, Labels, Trace
from seke.reporting.data import cases, spread
from seke.reporting.data.collect import InspectedRun
from seke.reporting.render.pictures import Pictures, data_uri

BLOCK = 128
"""Pictures in one block: what the page decodes at a time."""
FIELDS = ("expression", "valence", "arousal")
FACETS = ("kind", "emotion")
"""Attributes by which records can be filtered, where they have them."""
ORIGINS = {None: 0, "manual": 1, "generated": 2}
BITS = {au: 1 << place for place, au in enumerate(ACTION_UNITS)}
_ESCAPES = str.maketrans({"<": r"\u003c", ">": r"\u003e", "&": r"\u0026"})


@dataclass(frozen=True)
class GallerySettings:
    """What conf/report.yaml decides about the gallery.

    Raises:
        UserError: for a setting out of range.
    """

    run: str
    """The suffix of the generation that is shown."""
    limit: int | None = None
    """So many records, as everywhere (`seke.core.limit`); None for all."""
    thumbnails: int | None = 96
    """Longest side of a picture in pixels; None leaves the pictures out."""
    page_mb: float = 50
    """Above so many megabytes the pictures are left beside the page."""
    seed: int = 0
    """Which records a limit chooses."""

    def __post_init__(self) -> None:
        checked(self.limit, "gallery.limit")
        if not self.page_mb >= 0:
            raise UserError("gallery.page_mb", self.page_mb, "no size in megabytes", "set 0 or more")
        if self.thumbnails is not None and not 16 <= self.thumbnails <= 512:
            raise UserError("gallery.thumbnails", self.thumbnails, "no size in pixels", "set 16 to 512, or null")


class GalleryData(NamedTuple):
    """What the template writes of a gallery into the page."""

    run: str
    anchor: str
    shown: int
    total: int
    truth: bool
    """Whether it is known which labels are right."""
    labelled: bool
    """Whether any record has labels: these can be filtered by, and corrected."""
    facets: tuple[str, ...]
    """Those of `FACETS` that any record has."""
    flags: tuple[str, ...]
    """Those that any record has."""
    data: Markup
    """The records as one JSON object."""
    pictures: Iterator[Markup]
    """JSON lists of up to `BLOCK` data URIs each; in place of a picture that is missing stands [the reason]. None where
    the pictures lie beside the page."""
    queued: int
    """How many of them people are asked to look at next."""
    beside_mb: float | None
    """Megabytes of pictures that lie beside the page; None where they are in it."""
    page_mb: float
    """Megabytes that the gallery adds to the page."""


class Gallery:
    """The instructions of one generation, to be made the page's data once their pictures are made."""

    def __init__(self, report: str, inspected: InspectedRun, settings: GallerySettings, pictures: Pictures) -> None:
        """Ask for the pictures.

        Args:
            report: the report's name; the browser keeps decisions under it and the hash of the run's manifest.
            inspected: the generation, its true labels and the folder of its pictures.
            settings: which records, and how large a page.
            pictures: those of the whole report.
        """
        self._report, self._inspected, self._settings, self._pictures = report, inspected, settings, pictures
        every = inspected.run.instructions
        asked, kept = set(inspected.run.queue), {row.id for row in limited(every, settings.limit, settings.seed)}
        self._rows = [row for row in every if row.id in kept or row.id in asked]
        self._numbers = pictures.add(inspected.image_root, [inspected.picture(row) for row in self._rows])

    def data(self) -> GalleryData:
        """Return all of it, in the order of the records."""
        inspected, rows, texts = self._inspected, self._rows, SharedTexts()
        run, truth = inspected.run, inspected.truth
        records = json_markup([encode_record(row, run.draws.get(row.id), truth.get(row.id), texts) for row in rows])
        order = list(dict.fromkeys(self._numbers))
        bytes_of_pictures = self._pictures.size(order) * 4 // 3
        beside = len(records) + bytes_of_pictures > self._settings.page_mb * 1e6
        place = {number: k for k, number in enumerate(order)}
        at = {row.id: k for k, row in enumerate(rows)}
        queue = [at[record] for record in run.queue if record in at]
        head = {
            "report": self._report,
            "run": {"name": run.name, "manifest": run.manifest_sha256},
            "expressions": EXPRESSIONS,
            "units": list(ACTION_UNITS.items()),
            "facets": (facets := tuple(facet for facet in FACETS if any(facet in row.attributes for row in rows))),
            "names": texts.lists,
            "flags": {flag: meaning(flag) for flag in texts.lists["flag"]},
            # of each record its picture, where several share one
            "pictures": [place[number] for number in self._numbers] if len(order) < len(rows) else None,
            "queue": queue,
            "block": BLOCK if order and not beside else None,
            "beside": beside_page(self._pictures, order) if order else None,
            "originals": self._pictures.originals(inspected.image_root),
        }
        return GalleryData(
            run=run.name,
            anchor=run.anchor,
            shown=len(rows),
            total=len(run.instructions),
            truth=bool(truth),
            labelled=any(not row.labels.empty for row in rows),
            facets=facets,
            flags=tuple(texts.lists["flag"]),
            queued=len(queue),
            data=Markup(f'{json_markup(head)[:-1]},"records":{records}}}'),
            pictures=iter(()) if beside else self._blocks(order),
            beside_mb=self._pictures.size(order) / 1e6 if beside and order else None,
            page_mb=(len(records) + (0 if beside else bytes_of_pictures)) / 1e6,
        )

    def _blocks(self, order: list[int]) -> Iterator[Markup]:
        for start in range(0, len(order), BLOCK):
            block = order[start : start + BLOCK]
            yield json_markup(
                [
                    [problem] if (problem := self._pictures.problem(n)) else data_uri(self._pictures.data(n))
                    for n in block
                ]
            )


def beside_page(pictures: Pictures, order: list[int]) -> dict[str, Any]:
    """Return where these pictures lie as seen from the page: `numbers`, those with a larger copy, and those missing.

    Numbers that follow one another from 0 are left out: None.
    """
    return {
        "numbers": None if order == list(range(len(order))) else order,
        "copies": [number for number in order if pictures.has_copy(number)],
        "problems": {number: problem for number in order if (problem := pictures.problem(number))},
    }


class SharedTexts:
    """Texts that recur: each is sent once, and records hold its number."""

    KINDS = ("source", "subject", "annotator", "question", "flag", "attribute", "value", "spread", "status")

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {kind: {} for kind in self.KINDS}

    def number(self, kind: str, text: str) -> int:
        """Return the number of `text` among those of its kind."""
        known = self._numbers[kind]
        return known.setdefault(text, len(known))

    @property
    def lists(self) -> dict[str, list[str]]:
        """The texts of each kind, in the order of their numbers."""
        return {kind: list(known) for kind, known in self._numbers.items()}


def encode_record(row: InstructionRecord, trace: Trace | None, truth: Labels | None, texts: SharedTexts) -> list[Any]:
    """Return one record as the list that page.records.js reads; what is unknown is null, and no truth is null.

    Attributes, and turns behind the first answer, stand at its end where a record has either.
    """
    question, answer = (turn.value.replace("<image>", "").strip() for turn in row.conversations[:2])
    units = {int(au): origin for au, origin in row.origin.action_units.items()}
    described = (*FIELDS, "action_units")
    levels = [getattr(row.uncertainty, field) for field in (*described, "max")]
    draws = trace.draws if trace else ()
    apart = [spread.words(field, level, draws) for field, level in zip(described, levels, strict=False)]
    return [
        row.id,
        row.image,
        texts.number("source", row.source),
        None if row.subject is None else texts.number("subject", row.subject),
        texts.number("annotator", row.annotator),
        texts.number("question", question),
        row.samples,
        encode_labels(row.labels),
        [*(ORIGINS[getattr(row.origin, field)] for field in FIELDS), _bits(units, "manual")],
        [
            *(None if level is None else round(level, 4) for level in levels),
            *(texts.number("spread", said) for said in apart),
        ],
        [texts.number("flag", flag) for flag in row.flags],
        [_piece(span) for span in cases.marked(answer, row.labels, truth)],
        [encode_labels(draw) for draw in draws],
        None if truth is None else [*encode_labels(truth), right_bits(row.labels, truth)],
        *_beside_labels(row, texts),
    ]


def _beside_labels(row: InstructionRecord, texts: SharedTexts) -> list[Any]:
    """Return the attributes, value by name, both as numbers, and the further turns as [whether a model's, text]."""
    turns = [[int(turn.speaker == "gpt"), turn.value] for turn in row.conversations[2:]]
    known = {name: value for name, value in row.attributes.items() if value not in (None, "", [])}
    attributes = {
        texts.number("attribute", name): texts.number("value", _attribute_text(value)) for name, value in known.items()
    }
    return [attributes, turns] if attributes or turns else []


def _attribute_text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def encode_labels(labels: Labels) -> list[Any]:
    """Return expression (its number, or null), valence, arousal, the known AUs and the active ones as bits."""
    units = labels.action_units or {}
    return [
        None if labels.expression is None else EXPRESSIONS.index(labels.expression),
        *(None if value is None else round(value, 4) for value in (labels.valence, labels.arousal)),
        sum(BITS[au] for au in units),
        _bits(units, True),
    ]


def right_bits(labels: Labels, truth: Labels) -> int:
    """Return which of `FIELDS` are right, as bits; the page is told and does not judge anew what was rounded for it."""
    return sum(1 << place for place, field in enumerate(FIELDS) if cases.verdict(labels, truth, field) == "right")


def _bits(units: Mapping[int, Any], wanted: object) -> int:
    return sum(BITS[au] for au, value in units.items() if value == wanted)


def _piece(span: cases.Span) -> str | list[Any]:
    """Return a stretch of text; one that claims something comes with 1 where it is right, else with 0."""
    return [span.text, int(span.verdict == "right")] if span.verdict else span.text


def json_markup(value: object) -> Markup:
    r"""Return `value` as JSON that may stand in a `<script>`: pure ASCII without any `<`, `>` or `&`.

    >>> print(json_markup("</script>"))
    "\u003c/script\u003e"
    """
    return Markup(json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_ESCAPES))
