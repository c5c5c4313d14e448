"""Contamination check: ids, subjects and image bytes that a checkpoint's training set shares with the test records.

    <run>/model <- <run>/manifest.json: trained_on -> each part's rows -> the generate run's records, or the pictures
                                        base       -> the run that this one went on from
    <run>/predictions.jsonl <- <run>/manifest.json: config.backend.model -> the model that answered
                                                    config.predictions   -> the run whose answers were scored again

`trained_on` lists the very files; where a manifest lacks it, or they have moved, config.data's names are looked up. A
training set that cannot be found or read any more is reported as unchecked, and so is a model without a manifest: no
verdict is ever made up. Only LLaVA conversations (.json, .jsonl) and instructions.jsonl name what they are about.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from seke.core import images, runs
from seke.core.errors import UserError
from seke.core.records import ImageRecord, read_jsonl

OVERLAP: Final = "trained on what it is tested on"
"""How the note of an allowed overlap begins."""
UNCHECKED: Final = "training data "
"""How remarks on training data that were not, or not wholly, checked begin."""
NAMED: Final = 3
"""Examples that an error names of each kind."""


class Identities(NamedTuple):
    """The ids, subjects and images of a set of records."""

    ids: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    """As source/subject."""
    hashes: frozenset[str] = frozenset()
    """sha256 of the image files."""

    def __or__(self, other: "Identities") -> "Identities":
        return Identities(*(mine | theirs for mine, theirs in zip(self, other, strict=True)))


class Finding(NamedTuple):
    """The verdict on one model."""

    notes: tuple[str, ...] = ()
    """Why its scores may not be held against the paper's."""
    remarks: tuple[str, ...] = ()
    """What was not, or not wholly, checked."""


def check(
    records: Sequence[ImageRecord],
    model: str | None,
    outputs: Path,
    allow_overlap: bool = False,
    argument: str = "model.path",
) -> Finding:
    """Compare the test records with what the checkpoint in `model` was trained on.

    Args:
        records: what is asked about.
        model: a checkpoint's directory; a Hub id, or None for a model behind an API or an unknown one, cannot be
            checked.
        outputs: where names of runs are looked up, beside the training run's own.
        allow_overlap: make an overlap a note.
        argument: the setting that brought the model.

    Raises:
        UserError: if training and test set overlap.
    """
    if model is None or not Path(model).is_dir():
        who = model or "what answered"
        return Finding(remarks=(f"{UNCHECKED}not checked: {who} is not known as a checkpoint of train.py",))
    seen, remarks = trained_on(Path(model), outputs)
    tested = of_records(records)
    shared = {
        kind: sorted(ours & theirs)
        for kind, ours, theirs in zip(("ids", "subjects", "images"), tested, seen, strict=True)
        if ours & theirs
    }
    if not shared:
        return Finding(remarks=remarks)
    overlap = ", ".join(f"{len(found)} {kind} ({_first(found)})" for kind, found in shared.items())
    if not allow_overlap:
        remedy = "test another model, or say allow_overlap=true, which the table will state"
        raise UserError(argument, model, f"it was {OVERLAP}: {overlap}", remedy)
    return Finding((f"{OVERLAP}: {overlap}",), remarks)


def answered_by(predictions: Path, outputs: Path) -> str | None:
    """Return the checkpoint that an evaluate run asked for these answers; None if nothing beside them names one.

    A run that scored another's answers is followed to that one, if its file is there still, and the same.
    """
    file: Path | None = predictions
    done = set[Path]()
    while file is not None and file.resolve() not in done:
        done.add(file.resolve())
        manifest = runs.manifest_beside(file)
        config = manifest.get("config", {})
        if config.get("predictions") is None:
            model = (config.get("backend") or {}).get("model")
            return str(model["path"]) if isinstance(model, Mapping) else None
        places = (outputs, Path(config.get("paths", {}).get("outputs", outputs)))
        file = _same_file(str(config["predictions"]), manifest.get("inputs", {}).get("predictions"), places)
    return None


def is_about(remark: str) -> bool:
    """Whether a note or remark of an evaluation is about test pictures among training data."""
    return remark.startswith((OVERLAP, UNCHECKED))


def noted_overlaps(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the overlaps that an evaluate run has noted."""
    return tuple(note for note in manifest.get("notes", ()) if note.startswith(OVERLAP))


def _same_file(reference: str, digest: str | None, places: Sequence[Path]) -> Path | None:
    for outputs in places:
        try:
            file = runs.locate("predictions", reference, outputs, "evaluate", "predictions.jsonl")
        except UserError:
            continue
        if runs.file_sha256(file) == digest:
            return file
    return None


def of_records(records: Sequence[ImageRecord]) -> Identities:
    """Return ids, subjects and hashes of records."""
    return Identities(
        frozenset(record.id for record in records),
        frozenset(f"{record.source}/{record.subject}" for record in records if record.subject is not None),
        frozenset(record.sha256 for record in records if record.sha256 is not None),
    )


def trained_on(model: Path, outputs: Path) -> tuple[Identities, tuple[str, ...]]:
    """Return what a checkpoint, and every one that it went on from, was trained on, and what could not be found out."""
    seen, remarks, done = Identities(), list[str](), set[Path]()
    while model.resolve() not in done:
        done.add(model.resolve())
        manifest = runs.manifest_beside(model)
        if "data" not in manifest.get("config", {}):
            remarks.append(f"{UNCHECKED}of {model} not checked: no manifest of train.py beside it")
            break
        for name, rows, unread in _read_sets(manifest, outputs):
            seen |= rows
            if unread is None:
                remarks.append(f"{UNCHECKED}{name} not checked: it is not there any more, or no conversations")
            elif unread:
                remarks.append(f"training data {name}: {unread} images are not there any more, and were not compared")
        base = Path(str(manifest.get("base", "")))
        if not base.is_dir():
            remarks.append(f"{UNCHECKED}of {base} not checked: it is not a checkpoint of train.py")
            break
        model = base
    return seen, tuple(remarks)


def _read_sets(manifest: Mapping[str, Any], outputs: Path) -> Iterator[tuple[str, Identities, int | None]]:
    """Yield each training set of a manifest, what is in it, and how many images are unread; None if all is."""
    places = (outputs, Path(manifest["config"].get("paths", {}).get("outputs", outputs)))
    for name, root, found in _training_sets(manifest, places):
        files = {file: _conversations(file) for file in found}
        if not files or None in files.values():
            yield name, Identities(), None
            continue
        folder = Path(root) if root else Path(name) if Path(name).is_dir() else None
        seen, unread = Identities(), 0
        for file, rows in files.items():
            more, gone = _identities_in(rows or [], file, folder, places)
            seen, unread = seen | more, unread + gone
        yield name, seen, unread


def _training_sets(manifest: Mapping[str, Any], places: Sequence[Path]) -> Iterator[tuple[str, str | None, list[Path]]]:
    """Yield what the configuration calls each training set, the folder it sets for its images, and its files."""
    data = manifest["config"]["data"]
    mixture = data.get("mixture") or {}
    entries = list(mixture.values() if isinstance(mixture, Mapping) else mixture)
    entries = [{"path": data["path"]}] if data.get("path") else [entry for entry in entries if entry]
    left = [Path(file) for file in manifest.get("trained_on", ())]
    for entry in entries:
        name = str(entry["path"])
        mine = [file for file in left if len(entries) == 1 or _holds(file, Path(name))]
        left = [file for file in left if file not in mine]
        there = any(file.is_file() for file in mine)
        yield name, entry.get("image_root") or data.get("image_root"), mine if there else _located(name, places)
    for file in left:
        yield str(file), data.get("image_root"), [file]


def _holds(file: Path, name: Path) -> bool:
    """Return whether a set called `name`, be it a run, a folder or a file, has this file.

    >>> [_holds(Path("/out/generate/feid/instructions.jsonl"), Path(name)) for name in ("feid", "/out", "mafw")]
    [True, True, False]
    """
    size, parts = len(name.parts), file.parts
    return any(parts[start : start + size] == name.parts for start in range(len(parts) - size + 1))


def _located(name: str, places: Sequence[Path]) -> list[Path]:
    for outputs in places:
        try:
            return [runs.locate("data.path", name, outputs, "generate", "instructions.jsonl")]
        except UserError:
            continue
    return sorted(path for path in Path(name).glob("*.json*") if path.name != "manifest.json")


def _conversations(file: Path) -> list[dict[str, Any]] | None:
    """Return the rows of a file of conversations, each with an id or an image; None if it is no such file."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows = json.loads(text) if file.suffix == ".json" else [json.loads(line) for line in text.splitlines() if line]
    except (OSError, ValueError):
        return None
    return rows if isinstance(rows, list) and all(map(_identifies, rows)) else None


def _identifies(row: Any) -> bool:
    return isinstance(row, dict) and (isinstance(row.get("id"), str) or bool(_pictures(row)))


def _pictures(row: Mapping[str, Any]) -> list[str]:
    """Return a row's images: it may have one, a list of them, or none."""
    named = row.get("image") or []
    return [named] if isinstance(named, str) else list(map(str, named))


def _identities_in(
    rows: Sequence[Mapping[str, Any]], file: Path, root: Path | None, places: Sequence[Path]
) -> tuple[Identities, int]:
    """Return what rows are about, images by the records' hashes or by their own bytes, and how many images are gone."""
    stated = {row["id"]: row["sha256"] for row in rows if isinstance(row.get("id"), str) and row.get("sha256")}
    known, folder = {**_hashes(file, places), **stated}, root or runs.image_root(file)
    pictures = {image for row in rows if row.get("id") not in known for image in _pictures(row)}
    hashes = {image: _hash(folder, image) for image in pictures}
    seen = Identities(
        frozenset(row["id"] for row in rows if isinstance(row.get("id"), str)),
        frozenset(f"{row.get('source')}/{row['subject']}" for row in rows if row.get("subject") is not None),
        frozenset(digest for digest in hashes.values() if digest)
        | frozenset(known[row["id"]] for row in rows if row.get("id") in known),
    )
    return seen, sum(digest is None for digest in hashes.values())


def _hashes(file: Path, places: Sequence[Path]) -> dict[str, str]:
    """Return sha256 by id from the prepared records that a generate run says it annotated; empty if they are gone."""
    records = runs.manifest_beside(file).get("config", {}).get("records")
    for outputs in places if records else ():
        try:
            path = runs.locate_records(str(records), outputs, "train.jsonl")
            return {row.id: row.sha256 for row in read_jsonl(path, ImageRecord) if row.sha256}
        except UserError:
            continue
    return {}


def _hash(folder: Path, image: str) -> str | None:
    try:
        return runs.file_sha256(images.resolve(folder, image))
    except (images.ImageError, OSError):
        return None


def _first(found: Sequence[str]) -> str:
    return ", ".join(name[:40] for name in found[:NAMED]) + (", ..." if len(found) > NAMED else "")
