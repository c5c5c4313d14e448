"""Export of a finished run's rows as a Hugging Face dataset, which `datasets.load_dataset(<folder>)` opens.

outputs/generate/<name>/README.md                                     the dataset card of the rows as they are
outputs/<command>/<name>/parquet/README.md                            the dataset card of the export
outputs/<command>/<name>/parquet/data/train-00000-of-00001.parquet    one file or more per split that has rows
outputs/<command>/<name>/parquet/manifest.json                        what it was made from: an equal export is kept

Images stay where they are unless they are embedded: licences forbid to pass them on. Rows name them relative to the
folder that they lie in; nothing in the export says where on this machine that is.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import chain
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from tqdm import tqdm

from seke.core import images, old_runs
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.files import write_text
from seke.core.provenance import GenerationSummary, generation_summary, public_command
from seke.core.records import ImageRecord, InstructionRecord, read_jsonl
from seke.core.runs import file_sha256, image_root, manifest_beside
from seke.hub.dataset_card import ANNOTATOR, SIMULATED, Content, card

FORMAT = "parquet"
SHARD_BYTES = 500 << 20
"""A split goes on in another file once one is this large, as the Hub recommends."""
GROUP_ROWS, GROUP_BYTES = 1000, 32 << 20
"""A row group ends at so many rows or bytes of images, whichever comes first; more is never held in memory."""


class Column(NamedTuple):
    """One column of the dataset: its `datasets` feature, and what the card says about it."""

    feature: Any
    meaning: str


class Form(NamedTuple):
    """What one command exports, and which columns its rows have beside those of every face."""

    title: str
    task: str
    """The Hub's task category."""
    files: Mapping[str, str]
    """The file of each split."""
    row: type[ImageRecord] | type[InstructionRecord]
    columns: Callable[[], dict[str, Column]]
    values: Callable[[Any], dict[str, Any]]
    provenance: Callable[[Any], Iterable[tuple[str, str]]]
    """Where a row's labels come from, in the pairs of `Content.provenance`."""
    generation: Callable[[Path], GenerationSummary | None] = lambda run: None
    """How a finished run completed the labels; None where every label is its source's own."""


def checked_format(value: object) -> str | None:
    """Return the setting `export` if it is a format or None.

    Raises:
        UserError: if it is neither.
    """
    if value is not None and value != FORMAT:
        raise UserError("export", value, "no such format", f"set {FORMAT}, or null to export nothing")
    return FORMAT if value else None


def export(form: Form, run_path: Path, root_override: str | None, embed: bool, command: Sequence[str]) -> str:
    """Write a finished run's rows to `run_path`/parquet and return the line that reports it.

    The folder appears whole or not at all; one made from other rows or settings is replaced. `root_override` is the
    setting `paths.images`, `command` is sys.argv.

    Raises:
        UserError: if there are no rows, if an image to embed is missing, outside its root or not the one that was
            prepared, or if the folder holds files that no export wrote.
    """
    folder = run_path / FORMAT
    files = {split: run_path / name for split, name in form.files.items()}
    root = image_root(next(iter(files.values())), root_override).resolve()
    rows = {path.name: file_sha256(path) for path in files.values()}
    made_from = {"rows": rows, "image_root": sha256(os.fsencode(root)).hexdigest(), "embed_images": embed}
    if folder.exists() and _holds(folder, made_from):
        return f"{folder} is exported already"
    content = describe(form, run_path, root, command)._replace(embedded=embed)
    if not content.rows:
        raise UserError("export", FORMAT, f"{run_path} has no rows", "choose settings that leave some")
    part = folder.with_name(f"{FORMAT}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "data").mkdir(parents=True)
    _write(form, files, content, root, part)
    sizes = {path.name: path.stat().st_size for path in sorted((part / "data").iterdir())}
    write_text(part / "manifest.json", json.dumps({**made_from, "files": sizes}, indent=2, ensure_ascii=False) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    numbers = ", ".join(f"{counts.total()} {split}" for split, counts in content.rows.items())
    return f"{folder}: {numbers}, images {'embedded' if embed else 'not embedded'}"


def _holds(folder: Path, made_from: Mapping[str, Any]) -> bool:
    """Whether `folder` is a whole export of just this; another export may be replaced, anything else may not."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        files: dict[str, int] = manifest.pop("files")
    except (OSError, ValueError, KeyError):
        raise UserError("export", FORMAT, f"{folder} holds files that no export wrote", "move them away") from None
    present = {path.name: path.stat().st_size for path in folder.glob("data/*")}
    return bool(present == files and manifest == made_from)


def describe(form: Form, run_path: Path, root: Path, command: Sequence[str] | None = None) -> Content:
    """Return what the rows of a finished run are, and how they were made; nothing is embedded.

    Args:
        form: whose rows these are.
        run_path: the run's directory.
        root: the folder that images are relative to.
        command: sys.argv, where the run's manifest keeps no command of its own.
    """
    rows: dict[str, Counter[str]] = {}
    provenance: Counter[tuple[str, str]] = Counter()
    for split, name in form.files.items():
        for row in read_jsonl(run_path / name, form.row):
            rows.setdefault(split, Counter())[row.source] += 1
            provenance.update(form.provenance(row))
    manifest, prepared = manifest_beside(run_path / "manifest.json"), manifest_beside(root)
    sources = {source for counts in rows.values() for source in counts}
    noted = manifest.get("synthetic") or prepared.get("synthetic")
    drawn = old_runs.synthetic(noted, root.parent if prepared else None, sources)
    again = {"command": command and public_command(command), "commit": None}
    made = manifest.get("made", again)
    return Content(
        run_path.name, form.title, form.task, rows, provenance, drawn, False, made, form.generation(run_path)
    )


def publish(
    form: Form, run_path: Path, root_override: str | None, command: Sequence[str], exported: str | None, embed: bool
) -> str | None:
    """Write the card of a finished run's rows beside them, and `export` them if asked; return what that reports.

    The card, written again, holds what was measured on the rows since.
    """
    root = image_root(run_path / next(iter(form.files.values())), root_override).resolve()
    content = describe(form, run_path, root, command)._replace(files=form.files)
    write_text(run_path / "README.md", card(content))
    return export(form, run_path, root_override, embed, command) if exported else None


def _write(form: Form, files: Mapping[str, Path], content: Content, root: Path, folder: Path) -> None:
    from datasets import Features

    columns = _columns(form, content.sources)
    features = Features({name: column.feature for name, column in columns.items()})
    for split, counts in content.rows.items():
        read = tqdm(
            read_jsonl(files[split], form.row), desc=f"export {split}", total=counts.total(), unit="row", disable=None
        )
        rows = (
            {**_values(row, content.sources), "image": _picture(row, root, content.embedded), **form.values(row)}
            for row in read
        )
        _write_split(folder / "data", split, rows, features.arrow_schema)
    meanings = {name: column.meaning for name, column in columns.items()}
    write_text(folder / "README.md", card(content, features, meanings))


def _write_split(folder: Path, split: str, rows: Iterable[dict[str, Any]], schema: Any) -> None:
    """Write a split's rows to <split>-00000-of-0000n.parquet and so on; `schema` carries the features as metadata."""
    from pyarrow import OSFile, Table
    from pyarrow.parquet import ParquetWriter

    groups = _groups(rows)
    shards: list[Path] = []
    for first in groups:
        shards.append(folder / f"{split}-{len(shards):05d}")
        with OSFile(str(shards[-1]), "wb") as file, ParquetWriter(file, schema) as writer:
            for group in chain([first], groups):
                writer.write_table(Table.from_pylist(group, schema=schema))
                if file.tell() >= SHARD_BYTES:
                    break
    for path in shards:
        path.rename(f"{path}-of-{len(shards):05d}.parquet")


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows in lists that fit into memory."""
    group: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row["image"]["bytes"] or b"")
        if len(group) == GROUP_ROWS or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _columns(form: Form, sources: Sequence[str]) -> dict[str, Column]:
    from datasets import ClassLabel, Image, Value

    return {
        "id": Column(Value("string"), "unique in the run"),
        "image": Column(Image(), "the face"),
        "file": Column(Value("string"), "the image's path as the rows name it, relative to the image root"),
        "source": Column(ClassLabel(names=list(sources)), "where the face comes from"),
        "subject": Column(Value("string"), "who is shown; null where the source names nobody"),
        "expression": Column(ClassLabel(names=list(EXPRESSIONS)), "one of " + ", ".join(EXPRESSIONS)),
        "valence": Column(Value("float64"), "-1 (unpleasant) to 1 (pleasant)"),
        "arousal": Column(Value("float64"), "-1 (calm) to 1 (excited)"),
        **{f"AU{au}": Column(Value("bool"), f"whether {name} is active") for au, name in ACTION_UNITS.items()},
        **form.columns(),
    }


def _values(row: ImageRecord | InstructionRecord, sources: Sequence[str]) -> dict[str, Any]:
    """Return the columns of every face but its image."""
    labels = row.labels
    units = labels.action_units or {}
    return {
        "id": row.id,
        "file": row.image,
        "source": sources.index(row.source),
        "subject": row.subject,
        "expression": None if labels.expression is None else EXPRESSIONS.index(labels.expression),
        "valence": labels.valence,
        "arousal": labels.arousal,
        **{f"AU{au}": units.get(au) for au in ACTION_UNITS},
    }


def _picture(row: ImageRecord | InstructionRecord, root: Path, embed: bool) -> dict[str, Any]:
    """Return what `datasets.Image` stores: the file's bytes, or nothing but its path below the image root.

    Where that root lies, which mostly names its owner, is nobody else's business.
    """
    if PurePath(row.image).is_absolute():
        raise UserError("export", FORMAT, f"{row.image} of {row.id} is an absolute path", "make its rows anew")
    if not embed:
        return {"bytes": None, "path": row.image}
    try:
        data, _ = images.read_unchanged(images.resolve(root, row.image), row.image, row.sha256)
    except images.ImageError as error:
        raise UserError("embed_images", "true", str(error), "set paths.images= or put the image back") from error
    return {"bytes": data, "path": row.image}


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _record_columns() -> dict[str, Column]:
    from datasets import Value

    return {
        "sha256": Column(Value("string"), "of the image file"),
        "attributes": Column(Value("string"), "what else the source says, as JSON"),
    }


def _instruction_columns() -> dict[str, Column]:
    from datasets import List, Value

    text, number = Value("string"), Value("float64")
    units = {f"AU{au}": text for au in ACTION_UNITS}
    origin = {"expression": text, "valence": text, "arousal": text, **units}
    uncertainty = dict.fromkeys(("expression", "valence", "arousal", "action_units", "max"), number)
    return {
        "conversations": Column(List({"from": text, "value": text}), "LLaVA's turns"),
        "origin": Column(origin, "manual or generated, of each label; null where there is none"),
        "uncertainty": Column(uncertainty, "0 to 1, over the draws; null where nothing was sampled"),
        "confidence": Column(text, "how sure the annotator is of its labels, as JSON"),
        "samples": Column(Value("int32"), "draws that the row took"),
        "annotator": Column(text, "the exact model that answered"),
        "flags": Column(List(text), "what the checks noted"),
        "attributes": Column(text, "what else the generator notes, such as the kind of instruction, as JSON"),
    }


def _instruction_values(row: InstructionRecord) -> dict[str, Any]:
    origin = row.origin.model_dump(exclude={"action_units"})
    return {
        "conversations": [turn.model_dump() for turn in row.conversations],
        "origin": {**origin, **{f"AU{au}": row.origin.action_units.get(str(au)) for au in ACTION_UNITS}},
        "uncertainty": row.uncertainty.model_dump(),
        "confidence": _json(row.confidence),
        "samples": row.samples,
        "annotator": row.annotator,
        "flags": list(row.flags),
        "attributes": _json(row.attributes),
    }


def _instruction_provenance(row: InstructionRecord) -> Iterator[tuple[str, str]]:
    yield ANNOTATOR, row.annotator
    if old_runs.simulated(row.simulated, row.annotator):
        yield SIMULATED, row.annotator
    for name in ("expression", "valence", "arousal"):
        if origin := getattr(row.origin, name):
            yield name, origin
    yield from (("action units", origin) for origin in row.origin.action_units.values())


RECORDS = Form(
    title="Faces with the labels of their sources",
    task="image-classification",
    files={split: f"{split}.jsonl" for split in ("train", "validation", "test")},
    row=ImageRecord,
    columns=_record_columns,
    values=lambda row: {"sha256": row.sha256, "attributes": _json(row.attributes)},
    provenance=lambda row: (),
)
INSTRUCTIONS = Form(
    title="Emotion instruction data",
    task="image-text-to-text",
    files={"train": "instructions.jsonl"},
    row=InstructionRecord,
    columns=_instruction_columns,
    values=_instruction_values,
    provenance=_instruction_provenance,
    generation=generation_summary,
)
