"""EmoNet-Face (Schuhmann et al., NeurIPS 2025 Datasets and Benchmarks): AI-made faces, judged by several experts.

HQ (2,500 faces): each expert marks how strongly a face shows each of 40 emotions, 0 to 7; a test set.
Binary (19,999 faces): experts say whether a face shows one emotion, yes or no; two emotions or so a face.

The Hub's parquet files hold pictures and labels together. What is known of their columns: Binary has a row for each
judgement, with `path` (the picture: bytes and name), `annotator`, `value` and `emotion` (a class whose names are in the
file's schema), as read by others' public code; of HQ the owners' own table, hq.csv, has `annotator` and `annotations`,
a dictionary from emotion to strength. Whether HQ's parquet has a row for each picture or each expert was not seen, so
both are read, and so are annotations that are lists, structs or JSON: verify on the first download.

Every expert's judgement stays in `attributes.experts`; the label is what a majority of them says (`Opinion`).
"""

import ast
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from seke.core import files
from seke.core.affect import EXPRESSIONS
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, Rejection, Split
from seke.sources.base.source import Source

NAME: Final = "emonet_face"
FOLDER: Final = "images"
PICTURES: Final = ("image", "path", "img", "picture")
"""Columns that may hold the picture."""
STRONGEST: Final = 7
"""Of HQ's marks."""
NO_CLASS: Final = "none"
"""In an expert's opinion: an emotion that is no expression of ours."""
ENDINGS: Final = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp"}
"""How files of pictures begin."""

Marks = Mapping[str, float]
"""One expert's: strength by emotion, 1 and 0 where they said yes and no."""


class Face(NamedTuple):
    """A picture, and what each expert said of it."""

    key: str
    """Its name without an ending."""
    file: str
    """Of its copy, in the folder of pictures."""
    experts: dict[str, dict[str, float]]
    facts: dict[str, Any]
    """What else its first row says: prompt, demographics."""


class EmoNetFace(Source):
    """One record for each face; pictures are copied out of the parquet, byte by byte.

    Args:
        root: the folder with the parquet files.
        classes: an expression of ours, or None, for each of the experts' emotions.
        split: of all records.

    Raises:
        UserError: if there is no parquet file, or a setting is none; when reading, if a file has no pictures or no
            judgements, or an emotion is not among `classes`.
    """

    def __init__(self, root: str | None, classes: Mapping[str, str | None], split: Split = "test") -> None:
        if not root or not Path(root).is_dir():
            problem = "no folder is given" if not root else "no such folder (for emonet_face)"
            remedy = "download laion/emonet-face-hq from the Hub and set source.root=<its folder>"
            raise UserError("source.root", root, problem, remedy)
        self.root = Path(root).resolve()
        wrong = {word for word in classes.values() if word is not None and word not in EXPRESSIONS}
        if wrong:
            problem = f"{min(wrong)} is no expression"
            raise UserError("source.classes", dict(classes), problem, f"use {', '.join(EXPRESSIONS)} or null")
        if split not in ("train", "validation", "test"):
            raise UserError("source.split", split, "no such split", "set train, validation or test")
        self.classes, self.split = dict(classes), split
        self._files = sorted(path for path in self.root.rglob("*.parquet") if path.is_file())
        if not self._files:
            found = sorted({path.suffix or path.name for path in self.root.rglob("*") if path.is_file()})[:5]
            problem = f"no *.parquet in it or below (there is: {', '.join(found) or 'nothing'})"
            raise UserError("source.root", self.root, problem, "give the folder of the whole download")

    @property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """The parquet files, which hold labels and pictures."""
        return {"parquet": self._files}

    def image_root(self, run_path: Path) -> str:
        """Return the folder of the copied pictures, relative to the run's."""
        return FOLDER

    def read(self, run_path: Path) -> Iterator[ImageRecord | Rejection]:
        """Copy the pictures that are not there yet, and yield a record for each that an expert has judged."""
        folder = run_path / FOLDER
        folder.mkdir(exist_ok=True)
        files.clear_parts(folder)
        for face in self._faces(folder).values():
            id_ = f"{NAME}/{face.key}"
            if not face.experts:
                yield Rejection(id=id_, reason="no label", detail="no expert judged it")
                continue
            opinions = {expert: opinion(marks, self.classes) for expert, marks in sorted(face.experts.items())}
            yield ImageRecord(
                id=id_,
                image=face.file,
                sha256=None,
                source=NAME,
                subject=None,
                split=self.split,
                labels=Labels(expression=majority(opinions)),
                attributes={**face.facts, "experts": face.experts, "opinions": opinions},
            )

    def understood(self) -> Sequence[str]:
        """Return which emotions are expressions here."""
        said = [f"{emotion} -> {name}" for emotion, name in self.classes.items() if name]
        return [f"emotions with a class: {', '.join(said)}; {len(self.classes) - len(said)} names without"]

    def _faces(self, folder: Path) -> dict[str, Face]:
        faces: dict[str, Face] = {}
        for path in self._files:
            for row in _rows(path):
                name, data = _picture(row, path)
                key = f"{name}" if name else hashlib.sha256(data).hexdigest()[:20]
                if key not in faces:
                    file = f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.{_ending(data)}"
                    if not (folder / file).is_file():
                        with files.whole(folder / file, "wb") as out:
                            out.write(data)
                    faces[key] = Face(key, file, {}, _facts(row))
                for expert, marks in judgements(row, path):
                    unknown = set(marks) - set(self.classes)
                    if unknown:
                        remedy = f"'source.classes={{\"{min(unknown)}\": null}}' (or one of our expressions)"
                        raise UserError("source.classes", min(unknown), f"an emotion of {path.name}", f"say {remedy}")
                    faces[key].experts.setdefault(expert, {}).update(marks)
        return faces


def opinion(marks: Marks, classes: Mapping[str, str | None]) -> str | None:
    """Return the class of what an expert marked most, `NO_CLASS` where that is no expression; None: nothing is known.

    Emotions of one class count once, by the strongest. Who marked two classes equally has no one opinion: None. A "no"
    says what a face does not show, and not what it shows.

    >>> classes = {"Elation": "happiness", "Amusement": "happiness", "Fear": "fear", "Shame": None}
    >>> opinion({"Elation": 5, "Amusement": 6, "Fear": 2}, classes), opinion({"Shame": 3, "Fear": 1}, classes)
    ('happiness', 'none')
    >>> opinion({"Fear": 4, "Elation": 4}, classes), opinion({"Fear": 0}, classes)
    (None, None)
    """
    strongest = max(marks.values(), default=0)
    if not strongest > 0:
        return None
    said = {classes[emotion] or NO_CLASS for emotion, mark in marks.items() if mark == strongest}
    return said.pop() if len(said) == 1 else None


def majority(opinions: Mapping[str, str | None]) -> str | None:
    """Return the expression that more than half of the experts with an opinion see; None: there is none.

    >>> majority({"a": "fear", "b": "fear", "c": "none"}), majority({"a": "fear", "b": "anger"})
    ('fear', None)
    """
    held = Counter(said for said in opinions.values() if said is not None)
    if not held:
        return None
    [(first, votes)] = held.most_common(1)
    return first if 2 * votes > held.total() and first != NO_CLASS else None


def judgements(row: Mapping[str, Any], path: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each expert of a row with their marks; nothing of a row without any.

    Raises:
        UserError: if the row has no column of judgements, or one that is no form of them.
    """
    if row.get("emotion") is not None and row.get("value") is not None:
        yield str(row.get("annotator") or "expert"), {str(row["emotion"]): _mark(row["value"], path)}
        return
    if "annotations" not in row:
        problem = f"{path.name} has the columns {', '.join(map(str, row))}"
        raise UserError("source.root", path, problem, "expected annotations, or annotator, value and emotion")
    found = _parsed(row["annotations"], path)
    if isinstance(found, Mapping) and found and all(isinstance(marks, Mapping) for marks in found.values()):
        found = [{"annotator": expert, "annotations": marks} for expert, marks in found.items()]
    if isinstance(found, Mapping):
        yield str(row.get("annotator") or "expert"), _marks(found, path)
        return
    for number, entry in enumerate(found or (), 1):
        entry = _parsed(entry, path)
        if not isinstance(entry, Mapping):
            raise _unreadable(path, entry)
        expert = str(entry.get("annotator") or entry.get("annotator_id") or f"expert-{number}")
        if entry.get("emotion") is not None and entry.get("value") is not None:
            yield expert, {str(entry["emotion"]): _mark(entry["value"], path)}
            continue
        inner = next((entry[name] for name in ("annotations", "value", "emotions", "labels") if name in entry), None)
        marks = _parsed(inner, path) if inner is not None else entry
        if not isinstance(marks, Mapping):
            raise _unreadable(path, marks)
        yield expert, _marks(marks, path)


def _marks(found: Mapping[str, Any], path: Path) -> dict[str, float]:
    """Return marks by emotion: "Positive High-Energy Emotions|Triumph" is Triumph; a null is no mark."""
    return {
        str(name).rpartition("|")[2]: _mark(value, path)
        for name, value in found.items()
        if value is not None and name not in ("annotator", "annotator_id")
    }


def _mark(value: Any, path: Path) -> float:
    try:
        mark = float(value) if not isinstance(value, str) else float({"true": 1, "false": 0}.get(value.lower(), value))
    except (TypeError, ValueError):
        raise _unreadable(path, value) from None
    if not 0 <= mark <= STRONGEST:
        raise UserError("source.root", path, f"a mark of {value}", f"marks are from 0 to {STRONGEST}")
    return mark


def _parsed(value: Any, path: Path) -> Any:
    """Return what a text of JSON, or of Python's own literals as the owners' CSV has them, holds."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        pass
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise _unreadable(path, value) from None


def _unreadable(path: Path, value: object) -> UserError:
    return UserError("source.root", path, f"judgements in no form that is known: {str(value)[:80]}", "download it anew")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a parquet file, classes by their names.

    Raises:
        UserError: if it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = _class_names(file.schema_arrow.metadata or {})
            for group in range(file.num_row_groups):
                for row in file.read_row_group(group).to_pylist():
                    for column, of_class in names.items():
                        if isinstance(row.get(column), int):
                            row[column] = of_class[row[column]]
                    yield row
    except (pa.ArrowException, OSError, IndexError) as error:
        problem = f"damaged, or not wholly downloaded ({str(error).splitlines()[0][:100]})"
        raise UserError("source.root", path, problem, "download it anew") from error


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Return the names of classes by column, as the Hub's library notes them in a file's schema."""
    noted = json.loads(metadata.get(b"huggingface", b"{}"))
    features = (noted.get("info") or {}).get("features") or {}
    return {
        column: list(feature["names"])
        for column, feature in features.items()
        if isinstance(feature, Mapping) and isinstance(feature.get("names"), list)
    }


def _picture(row: Mapping[str, Any], path: Path) -> tuple[str, bytes]:
    """Return a row's picture: its name without an ending, which may be empty, and its bytes.

    Raises:
        UserError: if the row has none.
    """
    for column in PICTURES:
        found = row.get(column)
        if isinstance(found, Mapping) and isinstance(found.get("bytes"), bytes):
            named = found.get("path") or next(
                (row[other] for other in PICTURES if isinstance(row.get(other), str)), None
            )
            return Path(str(named)).stem if named else "", found["bytes"]
        if isinstance(found, bytes):
            return "", found
    problem = f"{path.name} holds no pictures (columns {', '.join(map(str, row))})"
    raise UserError("source.root", path, problem, "download the dataset with its pictures, not a table of labels")


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what JSON can hold of a row beside picture and judgements: its prompt, demographics."""
    left = {"annotations", "annotator", "value", "emotion", "experts", "opinions", *PICTURES}
    return {
        str(name).lower(): value
        for name, value in row.items()
        if name not in left and isinstance(value, str | int | float | bool | Mapping | None) and value is not None
    }


def _ending(data: bytes) -> str:
    return next((ending for start, ending in ENDINGS.items() if data.startswith(start)), "img")
