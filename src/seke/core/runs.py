"""A run's directory: claimed once, resumed by the same command, refused to another configuration.

outputs/<command>/<name>/config.yaml     the resolved configuration, written when the run is claimed
outputs/<command>/<name>/manifest.json   written last: a whole one says that the run is finished
outputs/<command>/<name>/.lock           held by the process that works on the run (`locks`)
outputs/<command>/<name>/.earlier/       what overwrite=true replaces, until the new run is finished
outputs/<command>/<name>/damaged-1/      what a run left whose config.yaml cannot be read any more

A name belongs to a run as soon as there is something to lose. Until then, whatever ended it, the name is free again.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from seke.core import files, identity, locks, manifests
from seke.core.errors import UserError
from seke.core.escape import shortened
from seke.core.files import write_text

PACKAGES = (
    "seke", "torch", "transformers", "tokenizers", "safetensors", "lightning", "deepspeed", "datasets", "openai",
    "torchmetrics", "trl", "pydantic", "hydra-core", "numpy", "scipy", "pillow",
)  # fmt: skip
"""Those whose versions a manifest keeps: they decide numbers, pictures, prompts or settings."""
UPDATED = ".updated"
"""In `EARLIER`: the new run takes over what has not changed (`update`), and does not begin anew."""
LONGEST_NAME = 240
"""Bytes; file systems allow 255, of which some are left for endings."""
MARK, MANIFEST, EARLIER, MOVING = "config.yaml", "manifest.json", ".earlier", ".earlier-moving"
RECORDS = "records.jsonl"
"""Of a reviewed generation: its records with the labels that people gave or looked at."""
TRAIN, TRUTH = "train.jsonl", "truth.jsonl"
"""Of a prepared set: the labels that people gave, and, of drawn pictures alone, those that they were drawn from."""
MAIN = "seke"
"""What the name of the main run of a family ends with."""
SHOWN = 5
"""Runs that an error lists."""
GROWING = ("prepare", "generate")
"""Commands that have the setting `update`."""
REPLACEABLE = ("wandb", EARLIER)
"""Folders in a run's directory that do not make it worth keeping."""

log = logging.getLogger(__name__)

_fresh: dict[Path, bool] = {}
"""Directories that this process has claimed, and whether it has begun what is in them."""


@dataclass(frozen=True)
class Run:
    """One claimed directory."""

    path: Path
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    """sha256 of every input file, by name."""

    @property
    def finished(self) -> bool:
        """Whether the run has written its manifest."""
        return is_finished(self.path)

    def finish(self, **facts: Any) -> None:
        """Write manifest.json: the run's facts (image_root, counts, ...), its config, inputs and package versions."""
        manifest = {**facts, "config": self.config, "inputs": self.inputs, "packages": _packages()}
        for file in (*self.path.glob("*"), *self.path.glob("model/*")):
            if file.is_file() and not locks.is_lock(file):
                files.sync(file)  # a manifest must not outlast a power cut that its results do not
        write_text(self.path / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
        shutil.rmtree(self.path / EARLIER, ignore_errors=True)


def is_finished(path: Path) -> bool:
    """Whether the directory holds the whole manifest of a finished run; an empty or cut one does not count."""
    return manifests.read(path / MANIFEST) is not None


def checked_name(name: str) -> str:
    """Return the name of a run, which is that of its directory, as it stands.

    >>> checked_name("sizes-size=3")
    'sizes-size=3'

    Raises:
        UserError: if it would lead out of the command's own folder, where other runs lie, or cannot name a directory.
    """
    shown = shortened(name, 63)
    if name in ("", ".", "..") or "/" in name or "\\" in name or not name.isprintable():
        raise UserError("name", shown, "no name of a directory", "use a plain name, without slashes")
    if len(name.encode()) > LONGEST_NAME:
        remedy = "use a shorter one; of a sweep's cells, give the experiment a cell: of its own"
        raise UserError("name", shown, f"longer than {LONGEST_NAME} bytes", remedy)
    return name


def claim(
    path: Path,
    config: Mapping[str, Any],
    inputs: Mapping[str, Path | Sequence[Path]],
    overwrite: bool = False,
    rank: str = "0",
    update: bool = False,
    stale: bool = False,
) -> Run:
    """Claim `path` for a run of `config` on `inputs`; an earlier, equal run is handed back as it stands.

    An input that is many files counts as one: their names and contents, in order, make one sha256. A run that is not
    finished is locked until `release`, or the end of the process. What is overwritten is kept until the new run is
    finished.

    Args:
        path: the run's directory.
        config: the resolved configuration.
        inputs: the files that the run reads, by name.
        overwrite: whether another run, or this one done before, may be replaced.
        rank: which of several processes of one run this is; all but "0" take what they find.
        update: whether a run of the same settings and other input files may be replaced, to be made of these. It lies
            in `earlier(path)` until the new one is finished, which may take over what has not changed.
        stale: with `update`, whether to do so though the input files are the same: something else has changed.

    Raises:
        UserError: if the directory belongs to a run with other settings or other input files, or to nobody's, or if
            another process works in it.
    """
    digests = {
        name: file_sha256(paths) if isinstance(paths, Path) else _files_sha256(paths)
        for name, paths in sorted(inputs.items())
    }
    run, now = Run(path, config, digests), {"config": identity.settled(config), "inputs": digests}
    if path.is_dir() and not (path / MARK).is_file() and any(_content(path)) and not _is_put_by(path):
        # Never cleared, not even by overwrite=true: it may be somebody's thesis.
        raise UserError("name", path.name, f"{path} holds files that no run wrote", "choose another name=")
    settled = run.finished and not (path / MOVING).is_dir() and not overwrite and not stale
    if settled and not identity.difference(_before(path, now), now):
        return run
    files.folder(path)
    locks.hold(path, rank)
    key = path.absolute()
    try:
        fresh = _take(path, now, overwrite, update, stale) if rank == "0" else _join(path, now)
    except BaseException:
        if key not in _fresh:
            locks.release(path)
        raise
    _fresh[key] = fresh or _fresh.get(key, False)
    return run


def release(failed: bool) -> None:
    """Give free what this process has claimed; after a failure also the names of runs that came to nothing."""
    for path, fresh in list(_fresh.items()):
        del _fresh[path]
        if failed and fresh and path.is_dir() and not is_finished(path) and _is_idle(path):
            _restore(path)
        locks.release(path)
        with suppress(OSError):  # it holds something, as it should
            path.rmdir()


def earlier(path: Path) -> Path | None:
    """Return where the run lies that the one in `path` updates; None where it updates none."""
    return path / EARLIER if is_finished(path / EARLIER) and (path / EARLIER / UPDATED).is_file() else None


def _take(path: Path, now: Mapping[str, Any], overwrite: bool, update: bool, stale: bool) -> bool:
    """Make `path`, which is locked, the directory of the run `now`; return whether that begins here."""
    _bring_back(path)
    if (path / EARLIER).is_dir() and _is_idle(path) and not is_finished(path):
        _restore(path)  # overwriting it came to nothing
    there, before = (path / MARK).is_file(), _before(path, now)
    if (
        update
        and before is not None
        and (difference := identity.difference(before["config"], now["config"], "config"))
        and (is_finished(path) or not _is_idle(path))
    ):
        raise _other(path, difference)
    renewed = update and before is not None and (before["inputs"] != now["inputs"] or (stale and is_finished(path)))
    if there and (overwrite or renewed):
        _put_by(path)
        if renewed:
            (path / EARLIER / UPDATED).touch()
        else:
            (path / EARLIER / UPDATED).unlink(missing_ok=True)
    elif there and before is None and not _is_idle(path):
        log.warning("%s is damaged; its run is begun anew, what it left is in %s", path / MARK, _set_aside(path))
    elif before is not None:
        difference = identity.difference(before, now)
        if difference and (is_finished(path) or not _is_idle(path)):
            raise _other(path, difference)
        if not difference:
            files.clear_parts(path)
            if (path / MARK).read_bytes() != _text(now):
                write_text(path / MARK, _text(now).decode())
            return False
        _remove(path)
    files.clear_parts(path)
    write_text(path / MARK, _text(now).decode())
    if renewed and (path / EARLIER / MARK).is_file():  # an update is the same run still, by what `current_run` knows it
        os.utime(path / MARK, ns=(began := (path / EARLIER / MARK).stat().st_mtime_ns, began))
    return True


def _join(path: Path, now: Mapping[str, Any]) -> bool:
    """Take part in a run that another process has claimed, or will."""
    before = _before(path, now)
    if before is not None and (difference := identity.difference(before, now)):
        raise _other(path, difference)
    if before is None:
        write_text(path / MARK, _text(now).decode())
    return False


def _other(path: Path, difference: str) -> UserError:
    remedy = "choose another name= or say overwrite=true"
    if difference.startswith("inputs."):
        changed = difference.removeprefix("inputs.").partition("=")[0]
        grows = "say update=true to take over what is the same, " if path.parent.name in GROWING else ""
        return UserError("name", path.name, f"{path} was made before its {changed} changed", f"{grows}{remedy}")
    return UserError("name", path.name, f"{path} holds a run with {difference}", remedy)


def _text(now: Mapping[str, Any]) -> bytes:
    text: str = yaml.safe_dump(dict(now), sort_keys=False)
    return text.encode()


def _before(path: Path, now: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return config and inputs of the run in `path`; None where there is none, or neither of its files holds them."""
    try:
        written = (path / MARK).read_bytes()
        before = yaml.safe_load(written)
    except (OSError, ValueError, yaml.YAMLError):
        written, before = b"", None
    cut = written != _text(now) and _text(now).startswith(written)
    for kept in ({} if cut else before, manifests.read(path / MANIFEST)):
        if isinstance(kept, dict) and isinstance(kept.get("config"), dict) and isinstance(kept.get("inputs"), dict):
            return {"config": identity.settled(kept["config"]), "inputs": kept["inputs"]}
    return None


def _content(path: Path) -> Iterator[Path]:
    """Yield what lies in a run's directory, but for locks and what was being written when a process was killed."""
    return (child for child in path.iterdir() if not locks.is_lock(child) and child.suffix != files.PART)


def _is_idle(path: Path) -> bool:
    """Whether a run has left nothing: no file with a byte in it, apart from its configuration."""
    for child in _content(path):
        if child.name in (MARK, *REPLACEABLE):
            continue
        if not child.is_dir():
            if child.stat().st_size:
                return False
        elif any(file.is_file() and file.stat().st_size for file in child.rglob("*")):
            return False
    return not locks.held_by_others(path)


def _remove(path: Path) -> None:
    for child in path.iterdir():
        if child.name in (EARLIER, MOVING) or locks.is_lock(child):
            continue
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()


def _put_by(path: Path) -> None:
    """Keep what is to be overwritten, or, where that came to nothing itself, what it was to overwrite."""
    earlier = path / EARLIER
    if is_finished(earlier) and not is_finished(path):
        _remove(path)
        return
    shutil.rmtree(earlier, ignore_errors=True)
    _move(path, files.folder(path / MOVING))
    os.replace(path / MOVING, earlier)


def _is_put_by(path: Path) -> bool:
    return any((path / folder).is_dir() for folder in (EARLIER, MOVING))


def _restore(path: Path) -> None:
    """Undo `_put_by`, for a run that has left nothing."""
    _remove(path)
    if (path / EARLIER).is_dir():
        os.replace(path / EARLIER, path / MOVING)
    _bring_back(path)


def _bring_back(path: Path) -> None:
    """Finish what a kill may have interrupted: what is on its way out of the directory, or back, belongs into it."""
    if (path / MOVING).is_dir():
        (path / MOVING / UPDATED).unlink(missing_ok=True)
        for child in (path / MOVING).iterdir():
            os.replace(child, path / child.name)
        (path / MOVING).rmdir()


def _set_aside(path: Path) -> Path:
    number = 1 + sum(1 for _ in path.glob("damaged-*"))
    _move(path, files.folder(path / f"damaged-{number}"))
    return path / f"damaged-{number}"


def _move(path: Path, to: Path) -> None:
    for child in list(_content(path)):
        if child.name not in (EARLIER, MOVING) and not child.name.startswith("damaged-"):
            os.replace(child, to / child.name)


def locate(argument: str, reference: str, outputs: Path, stage: str, file: str) -> Path:
    """Return the file that `argument`=`reference` means: a path as it is, a name under outputs/<command>/<name>/.

    Raises:
        UserError: if there is no such file; it lists the runs that there are.
    """
    given = Path(reference)
    candidates = [outputs / stage / reference / file, given / file, given]
    file_path = next((path for path in candidates if path.is_file()), None)
    if file_path is None and file == TRUTH and (outputs / stage / reference / TRAIN).is_file():
        problem = f"a prepared set of people's labels: only drawn pictures have a {TRUTH}"
        remedy = f"of runs that masked some (generator.hide=[au]), say {argument}={outputs / stage / reference / TRAIN}"
        raise UserError(argument, reference, problem, remedy)
    if file_path is None:
        problem = f"neither a file nor a finished `python {stage}.py name={given.name}` with {file}"
        other = f"give the path of a {Path(file).suffix or 'file'}"
        raise UserError(argument, reference, problem, f"{choices(outputs, stage, file)}, or {other}")
    return file_path


def locate_records(reference: str, outputs: Path, file: str) -> Path:
    """Return the file of records that `records=` means: as `locate`, or what a review has made of a generation.

    Raises:
        UserError: if there is no such file.
    """
    reviewed = outputs / "generate" / reference / RECORDS
    try:
        return locate("records", reference, outputs, "prepare", file)
    except UserError:
        if reviewed.is_file():
            return reviewed
        raise


def finished(outputs: Path, stage: str, file: str = MANIFEST) -> list[str]:
    """Return the names of the finished runs of a command that have `file`, the newest first."""
    found = [path for path in (outputs / stage).glob(f"*/{MANIFEST}") if (path.parent / file).exists()]
    return [path.parent.name for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)]


def choices(outputs: Path, stage: str, file: str = MANIFEST) -> str:
    """Return what a person can choose among, in words: the finished runs of a command, or how to make one."""
    names = finished(outputs, stage, file)
    if not names:
        return f"there is none yet: make one with `python {stage}.py` and its settings"
    more = f" and {len(names) - SHOWN} older ones" if len(names) > SHOWN else ""
    return f"there are {', '.join(names[:SHOWN])}{more} (newest first); `python {stage}.py name=...` makes another"


def main_of(reference: str, outputs: Path, stage: str, file: str) -> str:
    """Return the run that a name means where no run has it: of a family `<name>-...`, such as the demo's, the main one.

    A report shows that one of it as well. Where there is none either, the name stays as it is.
    """
    main = f"{reference}-{MAIN}"
    there = (outputs / stage / reference / file).exists() or Path(reference).exists()
    return main if not there and (outputs / stage / main / file).is_file() else reference


def manifest_beside(file: Path) -> dict[str, Any]:
    """Return the manifest.json next to `file`, or an empty dictionary where there is none.

    Raises:
        UserError: if there is one that is damaged: what it would say is not known.
    """
    path = file.parent / MANIFEST
    manifest = manifests.read(path)
    if manifest is None and path.is_file():
        problem = "damaged: empty, cut off or no manifest of a run"
        raise UserError("file", path, problem, "run the command that made it again, or move it away")
    return manifest or {}


def noted(file: Path, fact: str) -> dict[str, Any]:
    """Return a fact of the manifest next to `file`, by its name; nothing where nobody noted it."""
    return {name: value for name, value in manifest_beside(file).items() if name == fact}


def image_root(records: Path, override: str | None = None) -> Path:
    """Return the folder that `image` fields are relative to: `paths.images`, or what the manifest beside them says."""
    return Path(override) if override else root_by(manifest_beside(records), records)


def root_by(manifest: Mapping[str, Any], records: Path) -> Path:
    """Return the folder that `image` fields are relative to, as the `manifest` beside the `records` says."""
    return records.parent / str(manifest.get("image_root", "."))


def file_sha256(path: Path) -> str:
    """Return the hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files_sha256(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0{file_sha256(path)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _packages() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
