"""Files of a labelling: its chunks, and what they become when all are there, row by row.

outputs/evaluate/<name>/chunks/000000.jsonl    a first line of facts (what it cost, who answered), then a line a picture
outputs/evaluate/<name>/predictions.jsonl      the rows, as every evaluation has them, with the labels' confidence
outputs/evaluate/<name>/labels.csv, .xlsx      a row a picture, and beside each label how sure it is
outputs/evaluate/<name>/table.md               how many pictures have which label
"""

import csv
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from seke.benchmark.answer import Answer
from seke.benchmark.confidence import DIMENSIONS
from seke.core import files, old_runs
from seke.core.affect import ACTION_UNITS
from seke.core.budget import Spent
from seke.core.errors import UserError
from seke.core.escape import csv_cell, markdown, shortened, visible
from seke.core.records import ImageRecord, to_line
from seke.core.text_tables import markdown_table

CHUNKS: Final = "chunks"
FIRST: Final = ("id", "image", "subject", "status")
"""Columns before the labels; the answer's text comes after them."""
CSV, XLSX = "labels.csv", "labels.xlsx"
SHEET_ROWS: Final = 1_048_575
"""What a sheet holds beside its head; a larger table goes on in another one."""
CELL: Final = 32_767
"""Characters that a cell of a sheet holds."""
SHOWN: Final = 3
"""Examples of pictures without an answer."""
NOT_TRUE: Final = (
    "These are a model's labels, not truth. Confidence: the share of {draws} further answers to the same question that "
    "agree (valence and arousal within 0.2); no probability until it was measured on pictures whose labels are known."
)


class Labelled(NamedTuple):
    """The labels of a chunk of N pictures."""

    records: Sequence[ImageRecord]
    rows: Sequence[Any]
    """Of predictions.jsonl."""
    labels: Sequence[Mapping[str, Any]]
    """By column (`confidence.stated`)."""
    confidences: Sequence[Mapping[str, float | None]]
    """By column, in [0, 1]."""
    paid: Spent
    models: Mapping[str, bool | None]
    """Who answered, and whether that was a simulation; None where nobody noted it."""
    silent: Sequence[str]
    """Why pictures have no answer."""
    remarks: Sequence[str]
    """What is to be known of the judging."""
    answers: Mapping[str, Answer]
    """By record id."""

    @property
    def spoken(self) -> int:
        """How many of the answers hold words or labels."""
        return sum(not answer.silent for answer in self.answers.values())


def chunk_file(run: Path, number: int) -> Path:
    """Return the file of a chunk."""
    return run / CHUNKS / f"{number:06d}.jsonl"


def write_chunk(run: Path, number: int, chunk: Labelled) -> None:
    """Write a chunk; its file appears whole or not at all."""
    facts = {
        "paid": chunk.paid.numbers(),
        "models": list(chunk.models.items()),
        "spoken": chunk.spoken,
        "silent": [len(chunk.silent), list(chunk.silent[:SHOWN])],
        "remarks": list(chunk.remarks),
    }
    with files.whole(chunk_file(run, number)) as out:
        out.write(json.dumps(facts, ensure_ascii=False) + "\n")
        for record, row, labels, shares in zip(chunk.records, chunk.rows, chunk.labels, chunk.confidences, strict=True):
            line = {"row": to_line(row), "image": record.image, "labels": labels, "confidences": shares}
            out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def paid(run: Path) -> Spent | None:
    """Return what the chunks that are there have cost; None where nobody was asked for any."""
    total, chunks = Spent(), sorted((run / CHUNKS).glob("*.jsonl"))
    for file in chunks:
        total.plus(Spent(**_facts(file)["paid"]))
    return total if total.requests or total.recalled else None


def _facts(file: Path) -> dict[str, Any]:
    with file.open(encoding="utf-8") as lines:
        facts: dict[str, Any] = json.loads(next(lines))
    return facts


def _lines(run: Path, count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        with chunk_file(run, number).open(encoding="utf-8") as lines:
            next(lines)  # the facts
            yield from map(json.loads, lines)


class Tally:
    """How many pictures have which label, and how sure these are."""

    def __init__(self) -> None:
        self.status: Counter[str] = Counter()
        self.words: dict[str, Counter[str]] = {}
        """By column of words, or of yes and no: how often each is said."""
        self.sums: dict[str, list[float]] = {}
        """By column of numbers: how many, their sum, and the sum of their squares."""
        self.sure: dict[str, list[float]] = {}
        """By column: how many labels have a confidence, and its sum."""

    def add(self, status: str, labels: Mapping[str, Any], shares: Mapping[str, float | None]) -> None:
        """Count a picture."""
        self.status[status] += 1
        for name, value in labels.items():
            if isinstance(value, str | bool):
                self.words.setdefault(name, Counter())[str(value)] += 1
            elif value is not None:
                sums = self.sums.setdefault(name, [0, 0.0, 0.0])
                for place, part in enumerate((1, value, value**2)):
                    sums[place] += part
            if (share := shares.get(name)) is not None:
                sure = self.sure.setdefault(name, [0, 0.0])
                sure[0] += 1
                sure[1] += share

    def facts(self) -> dict[str, Any]:
        """Return the numbers by column, for the manifest."""
        return {
            name: {
                **({"counts": dict(self.words[name].most_common())} if name in self.words else self._moments(name)),
                "confidence": self.confidence(name),
            }
            for name in sorted({*self.words, *self.sums}, key=_order)
        }

    def confidence(self, name: str) -> float | None:
        """Return the mean confidence of a column; None where nothing is known of it."""
        count, total = self.sure.get(name, (0, 0.0))
        return round(total / count, 4) if count else None

    def _moments(self, name: str) -> dict[str, float]:
        count, total, squares = self.sums[name]
        mean = total / count
        return {"n": count, "mean": round(mean, 4), "sd": round(math.sqrt(max(squares / count - mean**2, 0.0)), 4)}


def _order(name: str) -> tuple[int, int, str]:
    first = ("expression", *DIMENSIONS)
    au = name.removeprefix("AU")
    return (first.index(name), 0, "") if name in first else (9, int(au) if au.isdecimal() else 0, name)


def write_tables(run: Path, count: int, draws: int, known: Sequence[str] = ()) -> dict[str, Any]:
    """Write all files of a run from its `count` chunks, and return facts for its manifest; `known`: further remarks.

    Raises:
        UserError: if no picture was answered.
    """
    tally, remarks, models, silent, examples = Tally(), Counter[str](), dict[str, bool | None](), 0, list[str]()
    spoken = 0
    for number in range(count):
        facts = _facts(chunk_file(run, number))
        remarks.update(facts["remarks"])
        models |= dict(facts["models"])
        spoken += facts["spoken"]
        silent += facts["silent"][0]
        examples += facts["silent"][1][: SHOWN - len(examples)]
    if not spoken:
        problem = f"no picture was answered{f', such as {examples[0]}' if examples else ''}"
        raise UserError("name", run.name, problem, "set right what keeps answers away; overwrite=true asks again")
    first = next(_lines(run, count))
    names = list(first["labels"])
    head = [*FIRST, *(column for name in names for column in (name, f"{name}_confidence")), "text"]
    with ExitStack() as opened:
        rows = opened.enter_context(files.whole(run / "predictions.jsonl"))
        table = csv.writer(opened.enter_context(files.whole(run / CSV)), lineterminator="\n")
        book = opened.enter_context(_Workbook(run / XLSX, head))
        table.writerow(head)
        for line in _lines(run, count):
            row, labels, shares = json.loads(line["row"]), line["labels"], line["confidences"]
            tally.add(row["status"], labels, shares)
            rows.write(line["row"] + "\n")
            pairs = (value for name in names for value in (labels[name], shares.get(name)))
            cells = [row["id"], line["image"], row["subject"], row["status"], *map(_number, pairs), row["text"]]
            table.writerow(
                ["" if cell is None else csv_cell(cell) if isinstance(cell, str) else cell for cell in cells]
            )
            book.add(cells)
    pictures = tally.status.total()
    notes = list(known)
    notes += [f"{silent:,} of {pictures:,} pictures have no answer, such as {'; '.join(examples)}"] if silent else []
    if not (pictures - sum(map(tally.status.__getitem__, SILENT))):
        notes.append("no answer states a label: was this model taught to describe faces?")
    notes += [f"{remark} ({times} times)" if times > 1 else remark for remark, times in remarks.items()]
    fake = sorted(name for name, noted in models.items() if old_runs.simulated(noted, name))
    text = table_md(run.name, tally, draws, models, fake, notes)
    files.write_text(run / "table.md", text)
    print(visible(text))
    for note in notes:
        print(f"note: {visible(note)}", file=sys.stderr)
    print(f"{run}: {CSV}, {XLSX}, predictions.jsonl")
    return {
        "counts": {"predictions": pictures, "labelled": pictures - sum(map(tally.status.__getitem__, SILENT))},
        "scores": "nothing",
        "models": sorted(models),
        "simulated": fake,
        "draws": draws,
        "labels": tally.facts(),
        "notes": [],
        "remarks": notes,
    }


SILENT: Final = ("refusal", "filtered", "unanswered", "invalid")
"""Statuses of answers that hold no label."""


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else round(value, 4) if isinstance(value, float) else value


class _Workbook:
    """labels.xlsx, written row by row; what a sheet cannot hold goes on in another."""

    def __init__(self, path: Path, head: Sequence[str]) -> None:
        from openpyxl import Workbook

        self._path, self._head, self._book, self._rows = path, head, Workbook(write_only=True), SHEET_ROWS

    def __enter__(self) -> "_Workbook":
        return self

    def add(self, cells: Sequence[Any]) -> None:
        """Add a row; text is text, whatever it begins with."""
        from openpyxl.cell import WriteOnlyCell

        def cell(value: Any) -> Any:
            if not isinstance(value, str):
                return value
            written = WriteOnlyCell(self._sheet, shortened(visible(value), CELL))
            written.data_type = "s"
            return written

        if self._rows >= SHEET_ROWS:
            number = len(self._book.worksheets)
            self._sheet = self._book.create_sheet("labels" if number == 0 else f"labels {number + 1}")
            self._sheet.freeze_panes = "B2"
            self._sheet.append(list(self._head))
            self._rows = 0
        self._sheet.append([cell(value) for value in cells])
        self._rows += 1

    def __exit__(self, kind: object, *error: object) -> None:
        if kind is None:
            with files.whole(self._path, "wb") as out:
                self._book.save(out)
        else:
            self._book.close()


def table_md(
    name: str, tally: Tally, draws: int, models: Mapping[str, Any], simulated: Sequence[str], notes: Sequence[str]
) -> str:
    """Return table.md: how many pictures have which label, with the mean confidence."""
    pictures, found = tally.status.total(), tally.facts()
    status = ", ".join(f"{count:,} {status}" for status, count in tally.status.most_common())
    lines = [f"# Labels of new pictures: {markdown(name)}", "", f"{pictures:,} pictures ({status})."]
    lines += [f"Answered by {markdown(', '.join(sorted(models)))}." if models else "The answers were given."]
    lines += ["Simulated: these numbers say how the program behaves, not how any model does."] if simulated else []
    lines += ["", NOT_TRUE.format(draws=draws) if draws else "Nobody asked how sure these labels are (draws=0).", ""]
    numbers = [(column, facts) for column, facts in found.items() if "mean" in facts]
    if numbers:
        rows = [
            [column, f"{facts['n']:,}", f"{facts['mean']:.3f}", f"{facts['sd']:.3f}", _share(facts["confidence"])]
            for column, facts in numbers
        ]
        lines += [markdown_table(["Label", "n", "Mean", "SD", "Confidence"], rows, "lr"), ""]
    for column, facts in found.items():
        if "counts" in facts and not column.startswith("AU"):
            rows = [[markdown(value), f"{n:,}", _share(n / pictures)] for value, n in facts["counts"].items()]
            sure = f" (mean confidence {_share(facts['confidence'])})" if facts["confidence"] is not None else ""
            lines += [markdown_table([f"{column}{sure}", "n", "of all"], rows, "lr"), ""]
    units = [
        [
            f"{column} {ACTION_UNITS[int(column[2:])]}",
            f"{active:,}",
            _share(active / pictures),
            _share(facts["confidence"]),
        ]
        for column, facts in found.items()
        if column.startswith("AU") and "counts" in facts
        for active in [facts["counts"].get("True", 0)]
    ]
    lines += [markdown_table(["Action unit", "active", "of all", "Confidence"], units, "lr"), ""] if units else []
    return "\n".join([*lines, *(f"- {markdown(note)}" for note in notes)]).rstrip() + "\n"


def _share(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.1f} %"
