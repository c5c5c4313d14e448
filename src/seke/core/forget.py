"""Removal of a person, or of one picture, from everything below outputs/, with a list of what to make anew.

    reviews, updates       what generations note of decisions and of records that were asked anew
    rows of *.jsonl        prepared records, instructions, rejections, draws, answers, predictions
    the ledger             replies to requests that showed one of the pictures
    whole folders          a Parquet export, a report or W&B's local files of a run that held a row
    files                  kept features of the pictures, and pictures that a command wrote below outputs/

The picture files of a dataset are its owner's and stay. Weights that learnt from a row are named, not edited.
"""

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from seke.core import files, runs
from seke.core.errors import UserError
from seke.core.images import sha256

FOLDERS: Final = ("parquet", "wandb")
"""Below a run: made of its rows, and quicker made anew than edited."""
PAGES: Final = (
    "unanswered.md", "agreement.md", "model_card.md", "labels.csv", "labels.xlsx", "differences.csv",
    "contradictions.csv",
)  # fmt: skip
"""Files of a run that may quote a single row."""
NESTED: Final = ("row", "trace")
"""Keys of progress.jsonl under which a row stands as text."""


@dataclass(frozen=True)
class Person:
    """What is known of who is to be forgotten."""

    who: str
    ids: frozenset[str]
    images: frozenset[str]
    """Paths as rows have them."""
    digests: frozenset[str]
    """sha256 of the picture files."""

    def concerns(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row is about this person: by its picture's hash if it has one, else by its id or path."""
        if digest := row.get("sha256"):
            return digest in self.digests
        id_ = str(row.get("id"))
        return id_ in self.ids or id_.rpartition("/")[0] in self.ids or row.get("image") in self.images


@dataclass
class Removed:
    """What was removed, and what has to be made anew."""

    rows: dict[Path, int] = field(default_factory=dict)
    replies: int = 0
    nameless: int = 0
    """Replies of the ledger that name no picture, such as judges': nobody can tell whose they are."""
    paths: list[Path] = field(default_factory=list)
    """Folders and files."""
    anew: list[str] = field(default_factory=list)

    def lines(self, outputs: Path) -> Iterator[str]:
        """Yield what a person wants to read of it."""
        for file, count in self.rows.items():
            yield f"{file.relative_to(outputs)}: {count} rows"
        if self.replies:
            yield f"ledger: {self.replies} replies"
        yield from (f"{path.relative_to(outputs)}: removed" for path in self.paths)
        yield from (f"make anew: {line}" for line in self.anew)
        if self.nameless:
            yield (
                f"note: {self.nameless} replies in the ledger name no picture (judges, Batch API) and were left; "
                "only deleting the ledger removes those"
            )


def find(who: str, outputs: Path) -> Person:
    """Return what the rows below `outputs` know of `who`: a subject (also as source/subject), a record's id, a
    picture as rows name it, its sha256, or a picture file.

    Raises:
        UserError: if no row is about it.
    """
    digest = sha256(Path(who).read_bytes()) if Path(who).is_file() else who
    rows = [
        row
        for file in _row_files(outputs)
        for line in _lines(file)
        for row in _rows(line)
        if who in (row.get("subject"), f"{row.get('source')}/{row.get('subject')}", row.get("id"), row.get("image"))
        or digest == row.get("sha256")
    ]
    if not rows:
        raise UserError("who", who, f"no row below {outputs} is about it", "give a subject, an id or a picture")
    return Person(
        who,
        frozenset(str(row["id"]) for row in rows if row.get("id")),
        frozenset(str(row["image"]) for row in rows if row.get("image")),
        frozenset(str(row["sha256"]) for row in rows if row.get("sha256")),
    )


def forget(person: Person, outputs: Path, ledger: Path | None = None, dry_run: bool = False) -> Removed:
    """Remove `person` below `outputs`; with `dry_run`, only say what would be removed.

    Args:
        person: as `find` found it.
        outputs: the folder of all runs.
        ledger: its ledger; None: `outputs`/ledger.sqlite.
        dry_run: change nothing.

    Raises:
        UserError: if the ledger is in use. Nothing is removed then.
    """
    removed = Removed()
    ledger = ledger or outputs / "ledger.sqlite"
    if ledger.is_file():
        removed.replies, removed.nameless = _from_ledger(ledger, person, dry_run)
    for path in _pictures(outputs, person):  # while the rows still tell where they are
        removed.paths.append(path)
    for file in _row_files(outputs):
        if count := _from_rows(file, person, dry_run):
            removed.rows[file] = count
    removed.rows |= _from_notes(outputs, person, dry_run)
    touched = {_run_of(file, outputs) for file in removed.rows}
    for run in sorted(run for run in touched if run is not None):
        removed.paths += [run / name for name in (*FOLDERS, *PAGES) if (run / name).exists()]
    for run, line in _made_of(touched, outputs):
        removed.anew.append(line)
        if run.parent.name == "report":
            removed.paths.append(run)
    removed.paths += [path for path in outputs.rglob("*.safetensors") if path.stem in person.digests]
    if not dry_run:
        for path in removed.paths:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return removed


def _row_files(outputs: Path) -> list[Path]:
    return sorted(path for path in outputs.rglob("*.jsonl") if "wandb" not in path.parts)


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as lines:
        yield from lines


def _rows(line: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the row that a line is, or the rows that it holds; a line that is no object holds none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return
    if isinstance(row, list) and row and isinstance(row[0], str):  # what prepare.py notes of each picture file
        yield {"image": row[0]}
    if not isinstance(row, dict):
        return
    nested = [row[key] for key in NESTED if isinstance(row.get(key), str)]
    if nested and "id" not in row:
        for text in nested:
            yield from _rows(text.encode())
    else:
        yield row


def _from_rows(file: Path, person: Person, dry_run: bool) -> int:
    kept, count = [], 0
    for line in _lines(file):
        if any(person.concerns(row) for row in _rows(line)):
            count += 1
        else:
            kept.append(line)
    if count and not dry_run:
        with files.whole(file, "wb") as out:
            out.writelines(kept)
            shutil.copymode(file, out.name)
    return count


def _from_notes(outputs: Path, person: Person, dry_run: bool) -> dict[Path, int]:
    """Remove the person from what generations note of reviews and updates, where records are named, not rows."""
    counts: dict[Path, int] = {}
    for file in sorted((*outputs.glob("generate/*/review.json"), *outputs.glob("generate/*/updates.jsonl"))):
        text = file.read_text(encoding="utf-8")
        notes = [json.loads(line) for line in (text.splitlines() if file.suffix == ".jsonl" else [text])]
        for note in notes:
            named = note.get("asked", {})
            own = [key for key in named if person.concerns({"id": key})]
            kept = [row for row in note.get("decisions", ()) if not person.concerns(row)]
            counts[file] = counts.get(file, 0) + len(own) + len(note.get("decisions", ())) - len(kept)
            note |= {"asked": {key: why for key, why in named.items() if key not in own}} if own else {}
            note |= {"decisions": kept} if "decisions" in note else {}
        if counts.get(file) and not dry_run:
            files.write_text(file, "".join(json.dumps(note, ensure_ascii=False) + "\n" for note in notes))
    return {file: count for file, count in counts.items() if count}


def _from_ledger(file: Path, person: Person, dry_run: bool) -> tuple[int, int]:
    """Remove the replies that name one of the person's pictures; return how many these are, and how many name none."""
    names = {Path(image).name for image in person.images}
    marks = "|".join(digest[:12] for digest in person.digests) or "$^"
    named = re.compile(rf"#(?:{marks})\b|: (?:.* )?(?:{'|'.join(map(re.escape, names)) or '$^'})(?: |, draw)")
    try:
        with closing(sqlite3.connect(file, timeout=1, isolation_level=None)) as db:
            db.execute("PRAGMA secure_delete = ON")
            db.execute("BEGIN EXCLUSIVE")
            calls = [*db.execute("SELECT key, about FROM replies UNION SELECT key, about FROM pending")]
            keys = [(key,) for key, about in calls if about and named.search(str(about))]
            nameless = sum(
                not about or not re.search(r"\.\w+(?:#\w+)?(?: .*)?, draw \d", str(about)) for _, about in calls
            )
            for table in ("replies", "pending", "failures") if keys and not dry_run else ():
                db.executemany(f"DELETE FROM {table} WHERE key = ?", keys)
            db.execute("COMMIT")
            if keys and not dry_run:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                db.execute("VACUUM")
    except sqlite3.Error as error:
        raise UserError("ledger", file, str(error), "end the command that uses it, or check the file") from error
    return len(keys), nameless


def _pictures(outputs: Path, person: Person) -> Iterator[Path]:
    """Yield the person's picture files that lie below `outputs`, where a command has drawn or cut them out."""
    for file in _row_files(outputs):
        here = {
            str(row["image"]) for line in _lines(file) for row in _rows(line) if "image" in row and person.concerns(row)
        }
        root = runs.image_root(file) if here else outputs
        for image in sorted(here):
            path = (root / image).resolve()
            if path.is_relative_to(outputs.resolve()) and path.is_file() and file.parent in path.parents:
                yield path


def _run_of(file: Path, outputs: Path) -> Path | None:
    parts = file.relative_to(outputs).parts
    return outputs / parts[0] / parts[1] if len(parts) > 2 else None


def _made_of(touched: set[Path | None], outputs: Path) -> Iterator[tuple[Path, str]]:
    """Yield each finished run that something was removed from, or that was made of such a run, and how to renew it."""
    names = {f"{run.parent.name}/{run.name}" for run in touched if run is not None}
    for file in sorted(outputs.glob("*/*/manifest.json")):
        run, own = file.parent, f"{file.parent.parent.name}/{file.parent.name}"
        manifest = _manifest(file)
        text = json.dumps([manifest.get(key) for key in ("inputs", "trained_on", "base")])
        if run in touched and run.parent.name != "train":
            yield run, f"{own}, whose counts and scores are still those with the rows"
        elif any(re.search(rf"\b{re.escape(name)}\b", text) for name in names) or _names(manifest) & names:
            kind = "weights that learnt from the rows" if run.parent.name == "train" else "made of what has changed"
            yield run, f"{own}, {kind}"


def _manifest(file: Path) -> Mapping[str, Any]:
    """Return what a manifest holds; nothing where it is damaged."""
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _names(manifest: Mapping[str, Any]) -> set[str]:
    """Return the runs that a manifest's settings name, as <command>/<name>."""
    config = manifest.get("config") or {}
    data = config.get("data")
    path = data.get("path") if isinstance(data, dict) else None
    pairs = (("prepare", config.get("records")), ("generate", path), ("evaluate", config.get("predictions")))
    return {f"{command}/{name}" for command, name in pairs if isinstance(name, str)}
