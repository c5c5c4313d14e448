"""A run's directory: claimed once, resumed by the same command, refused to another configuration.

outputs/<door>/<name>/config.yaml     the resolved configuration, written when the run is claimed
outputs/<door>/<name>/manifest.json   written last: its presence says that the run is finished
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from seke.errors import UserError

PACKAGES = ("seke", "torch", "transformers", "lightning", "deepspeed", "datasets", "openai", "torchmetrics", "pydantic")
HOW_TO_ASK = (
    "concurrency", "timeout", "max_retries", "backoff", "patience", "ledger", "prices", "schema",
    "mode", "folder", "poll", "window", "rows", "megabytes", "retries",
)  # fmt: skip
"""Settings of a backend that its answers do not depend on."""
ASKED = (
    "backend", "fallback", "judge_backend", "second_judge_backend", "judge.vlm",
    "benchmark.judges.first", "benchmark.judges.second",
)  # fmt: skip
"""Where a door's configuration holds backends."""
LONGEST_NAME = 240
"""Bytes; file systems allow 255, of which some are left for endings."""
VOLATILE = (
    "overwrite", "paths", "ckpt", "dry_run", "assumed_mfu", "budget", "chunk", "logger", "wandb", "wandb_pictures",
    "objective", "engine", "workers", "export",
    "embed_images", "source.workers", "data.workers", "data.cache", "data.cache_dir",
    *(f"{backend}.{name}" for backend in ASKED for name in HOW_TO_ASK),
)  # fmt: skip
"""Settings that change how or where a run is done but not what it yields; a resume may differ in these."""


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
        return (self.path / "manifest.json").is_file()

    def finish(self, **facts: Any) -> None:
        """Write manifest.json: the run's facts (image_root, counts, ...), its config, inputs and package versions."""
        manifest = {**facts, "config": self.config, "inputs": self.inputs, "packages": _packages()}
        write_text(self.path / "manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def checked_name(name: str) -> str:
    """Return the name of a run, which is that of its directory, as it stands.

    >>> checked_name("sizes-size=3")
    'sizes-size=3'

    Raises:
        UserError: if it would lead out of the door's own folder, where other runs lie, or cannot name a directory.
    """
    shown = name if len(name) <= 60 else f"{name[:60]}..."
    if name in ("", ".", "..") or "/" in name or "\\" in name or not name.isprintable():
        raise UserError("name", shown, "no name of a directory", "use a plain name, without slashes")
    if len(name.encode()) > LONGEST_NAME:
        remedy = "use a shorter one; of a sweep's cells, give the experiment a cell: of its own"
        raise UserError("name", shown, f"longer than {LONGEST_NAME} bytes", remedy)
    return name


def claim(
    path: Path, config: Mapping[str, Any], inputs: Mapping[str, Path | Sequence[Path]], overwrite: bool = False
) -> Run:
    """Claim `path` for a run of `config` on `inputs`; an earlier, equal run is handed back as it stands.

    An input that is many files counts as one: their names and contents, in order, make one sha256.

    Raises:
        UserError: if the directory belongs to a run with other settings or other input files.
    """
    digests = {
        name: file_sha256(files) if isinstance(files, Path) else _files_sha256(files)
        for name, files in sorted(inputs.items())
    }
    run = Run(path, config, digests)
    mark = path / "config.yaml"
    if path.is_dir() and any(path.iterdir()) and not mark.is_file():
        # Never cleared, not even by overwrite=true: it may be somebody's thesis.
        raise UserError("name", path.name, f"{path} holds files that no run wrote", "choose another name=")
    if overwrite and mark.is_file():
        shutil.rmtree(path)
    if mark.is_file():
        before = yaml.safe_load(mark.read_text(encoding="utf-8"))
        difference = _difference(before, {"config": _settled(config), "inputs": digests})
        if difference:
            raise UserError(
                "name", path.name, f"{path} holds a run with {difference}", "choose another name= or say overwrite=true"
            )
        return run
    path.mkdir(parents=True, exist_ok=True)
    write_text(mark, yaml.safe_dump({"config": _settled(config), "inputs": digests}, sort_keys=False))
    return run


def locate(argument: str, reference: str, outputs: Path, door: str, file: str) -> Path:
    """Return the file that `argument`=`reference` means: a path as it is, a name under outputs/<door>/<name>/.

    Raises:
        UserError: if there is no such file.
    """
    given = Path(reference)
    candidates = [outputs / door / reference / file, given / file, given]
    found: Path | None = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise UserError(
            argument,
            reference,
            f"neither a file nor a finished `python {door}.py name={given.name}` with {file}",
            f"run that first or give the path of a {Path(file).suffix or 'file'}",
        )
    return found


def manifest_beside(file: Path) -> dict[str, Any]:
    """Return the manifest.json next to `file`, or an empty dictionary where there is none."""
    path = file.parent / "manifest.json"
    if not path.is_file():
        return {}
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return manifest


def image_root(records: Path, override: str | None = None) -> Path:
    """Return the folder that `image` fields are relative to: `paths.images`, or what the manifest beside them says."""
    return Path(override) if override else records.parent / str(manifest_beside(records).get("image_root", "."))


def file_sha256(path: Path) -> str:
    """Return the hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(path)


def _files_sha256(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0{file_sha256(path)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write `text` so that the file appears whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def _digest(path: Path) -> str:  # Python 3.10 lacks hashlib.file_digest
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _packages() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _settled(config: Mapping[str, Any]) -> dict[str, Any]:
    settled: dict[str, Any] = json.loads(json.dumps(config))
    for key in VOLATILE:
        *parents, last = key.split(".")
        node: Any = settled
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node.pop(last, None)
    return settled


def _difference(before: Any, now: Any, where: str = "") -> str:
    """Name the first setting that differs, as `key=old (now new)`, or return an empty string."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            inner = f"{where}.{key}".removeprefix(".").removeprefix("config.")
            if found := _difference(before.get(key), now.get(key), inner):
                return found
        return ""
    return "" if before == now else f"{where}={before} (now {now})"
