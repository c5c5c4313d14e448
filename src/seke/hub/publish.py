"""Upload of a run to the Hugging Face Hub: a dataset without its pictures unless their licence allows it, or a model.

    generate/feid, prepare/raw   the Parquet export, made by export=parquet, with its card
    train/mine                   the checkpoint, with the newest card that holds its results

A repository is private unless it is said to be public. Its token is HF_TOKEN's or that of `hf auth login`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from seke.core import manifests, runs
from seke.core.errors import UserError
from seke.hub.dataset_export import FORMAT
from seke.hub.licences import licence

DATASETS: Final = ("prepare", "generate")
CARD: Final = "README.md"


class Upload(NamedTuple):
    """What would lie in the repository."""

    kind: str
    """dataset or model."""
    files: Mapping[str, Path]
    """By their names in the repository."""
    notes: Sequence[str]
    """What whoever publishes this should know."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.files.values())


def plan(run: str, outputs: Path, licensed: bool) -> Upload:
    """Return what publishing a finished run would upload.

    Args:
        run: <command>/<name>.
        outputs: the folder of all runs.
        licensed: whether the licence of the pictures allows to pass them on, where the export holds them.

    Raises:
        UserError: if there is no such run, no export of it, or one with pictures that nobody says are licensed.
    """
    command, _, name = run.partition("/")
    folder = outputs / command / name
    if command not in (*DATASETS, "train") or not name or not runs.is_finished(folder):
        remedy = "give the <command>/<name> of a finished run: train/mine, generate/feid or prepare/raw"
        raise UserError("run", run, f"no finished run of that name below {outputs}", remedy)
    return _model(run, folder) if command == "train" else _dataset(run, folder, licensed)


def _dataset(run: str, folder: Path, licensed: bool) -> Upload:
    export = folder / FORMAT
    made = manifests.read(export / runs.MANIFEST)
    if made is None or not (export / CARD).is_file():
        command = f"python {folder.parent.name}.py ... name={folder.name} export={FORMAT}"
        raise UserError("run", run, "there is no export of it", f"make one: {command}")
    given: dict[str, int] = made.get("files") or {}
    data = {name: export / "data" / name for name in sorted(given)}
    if any(not path.is_file() or path.stat().st_size != given[name] for name, path in data.items()):
        raise UserError("run", run, f"{export} is not what was exported", "export it again, after moving it away")
    sources = _sources(folder)
    terms = [f"{source}: {licence(source).terms}" for source in sources]
    if made.get("embed_images") and not licensed:
        problem = f"its export holds the picture files themselves, of {', '.join(sources) or 'unknown sources'}"
        remedy = "export without embed_images=true, or say --licensed if their licence allows to pass them on"
        raise UserError("run", run, problem, remedy)
    pictures = "the picture files are in it" if made.get("embed_images") else "no picture is in it, only their names"
    files = {CARD: export / CARD, **{f"data/{name}": path for name, path in data.items()}}
    return Upload("dataset", files, [pictures, *terms])


def _sources(folder: Path) -> list[str]:
    """Return the sources of a run's rows, drawn ones by that name."""
    drawn = runs.manifest_beside(folder / runs.MANIFEST).get("synthetic") or "nothing"
    if drawn != "nothing":
        return ["synthetic" if drawn == "faces" else "synthetic_scenes"]
    found: set[str] = set()
    for file in folder.glob("*.jsonl"):
        with file.open(encoding="utf-8") as rows:
            found |= {str(row["source"]) for line in rows if "source" in (row := _row(line))}
    return sorted(found)


def _row(line: str) -> dict[str, Any]:
    row = json.loads(line) if line.strip() else {}
    return row if isinstance(row, dict) else {}


def _model(run: str, folder: Path) -> Upload:
    weights = {path.name: path for path in sorted((folder / "model").glob("*.safetensors"))}
    if not weights:
        raise UserError("run", run, f"{folder / 'model'} holds no weights", "train it first")
    files = {path.name: path for path in sorted((folder / "model").iterdir()) if _shown(path)}
    card = _newest_card(folder.parent.parent, weights)
    if card is not None:
        files[CARD] = card
    return Upload("model", files, [f"card: {card or files.get(CARD, 'none')}"])


def _shown(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _newest_card(outputs: Path, weights: Mapping[str, Path]) -> Path | None:
    """Return the newest card that an evaluation of just these weights has filled; None where there is none."""
    digests = {f"model/{name}": runs.file_sha256(path) for name, path in weights.items()}
    cards = [
        card
        for card in outputs.glob("evaluate/*/model_card.md")
        if digests.items() <= dict(runs.manifest_beside(card).get("inputs") or {}).items()
    ]
    return max(cards, key=lambda card: card.stat().st_mtime, default=None)


def publish(upload: Upload, repository: str, public: bool, message: str) -> str:
    """Upload the files into a repository, which is made unless it is there; return the commit's address.

    Raises:
        UserError: if the Hub refuses, or the repository is public and that is not said to be meant.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi()
    try:
        api.create_repo(repository, repo_type=upload.kind, private=not public, exist_ok=True)
        if not public and not api.repo_info(repository, repo_type=upload.kind).private:
            problem = "this repository is public already"
            raise UserError("repository", repository, problem, "say --public if that is meant, or name another")
        operations = [
            CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in upload.files.items()
        ]
        done = api.create_commit(repository, operations, commit_message=message, repo_type=upload.kind)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        problem = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError("repository", repository, problem, "see its name, and HF_TOKEN or `hf auth login`") from error
    return str(done.commit_url)
