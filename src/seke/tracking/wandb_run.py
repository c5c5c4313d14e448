"""One Weights & Biases run for every stage: its settings, progress, results, a few pictures, and where it came from.

`wandb=offline` with any command writes outputs/<command>/<name>/wandb/, no key, no network; `wandb sync` uploads it.

A stage's run is opened when its directory is claimed and closed when its manifest is written. What a room has to tell
meanwhile goes to the same run (`live`), and a stage that was interrupted goes on under its id. Lineage needs no server:
what a stage reads and what it makes are both described by the maker's manifest, so that both have the same digest and
W&B ties them together once they meet there.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from seke.core.errors import UserError
from seke.core.runs import Run
from seke.tracking import image_table

MODES: Final = ("offline", "online")
WANDB_MODES: Final = ("online", "offline", "disabled", "shared", "dryrun", "run")
"""What WANDB_MODE may be; the last two are former names."""
MADE: Final = {"prepare": "records", "generate": "instructions", "train": "checkpoint", "evaluate": "metrics"}
"""What a stage makes: the type of its artefact."""
RESULTS: Final = ("metrics.json", "cost.json")
"""Numbers beside those of the manifest."""
SHARED: Final = (*RESULTS, "table.md", "statistics.md")
"""Files that stand in the artefact as they are: sums over many faces, never a face."""
NO_RESULT: Final = ("config", "inputs", "packages", "prompts", "ci95", "image_root")
SUCCEEDED, FAILED = 0, 1
STAGING: Final = "WANDB_DATA_DIR"
CHOSEN: Final = os.environ.get(STAGING)


@dataclass(frozen=True)
class Watched(Run):
    """A claimed directory whose finishing is shown: results in the summary, pictures in a table, artefacts."""

    stage: str
    made_by: Mapping[str, Path]
    """The directory of the run that made an input, by the input's name, where one did."""
    records: Path | None
    """The file that says which picture an answer is about, where the stage reads one."""
    pictures: int

    def finish(self, **facts: Any) -> None:
        """Write the manifest, then tell Weights & Biases."""
        super().finish(**facts)
        import wandb

        if (board := wandb.run) is None:
            return
        board.summary.update(headline(self.path))
        table = image_table.table(self.path, self.records, self.config, self.pictures)
        if table.rows:
            shown = [[wandb.Image(row[0]) if row[0] is not None else None, *row[1:]] for row in table.rows]
            board.log({table.name: wandb.Table(columns=list(image_table.COLUMNS), data=shown)})
        for maker in sorted(set(self.made_by.values())):
            _use(board, _artifact(maker))
        board.log_artifact(_artifact(self.path))
        board.finish(exit_code=SUCCEEDED)


def checked(mode: str | None) -> str | None:
    """Return the mode.

    Raises:
        UserError: for another mode than offline, online or None, or if WANDB_MODE is one that W&B does not know.
    """
    if mode is not None and mode not in MODES:
        raise UserError("wandb", mode, "no such mode", "set offline, online or null")
    if mode is not None:
        mode_of_environment()
    return mode


def mode_of_environment() -> str | None:
    """Return WANDB_MODE, if it is set.

    Raises:
        UserError: if W&B knows no such mode.
    """
    mode = os.environ.get("WANDB_MODE") or None
    if mode is not None and mode not in WANDB_MODES:
        raise UserError("WANDB_MODE", mode, "no such mode", f"set one of {', '.join(WANDB_MODES)}, or unset it")
    return mode


def watch(
    run: Run,
    stage: str,
    inputs: Mapping[str, Path | Sequence[Path]],
    mode: str | None,
    group: str,
    requested: Mapping[str, Any],
    pictures: int,
) -> Run:
    """Open a claimed run's W&B run and return the run whose finishing will be shown there.

    A finished run, a `mode` of None and every process but the first leave all as it is.

    Args:
        run: the directory.
        stage: the command that does it.
        inputs: the files that it reads.
        mode: offline, online or None.
        group: what the stages and cells of one experiment have in common; WANDB_RUN_GROUP goes before.
        requested: the settings that the command line set, by name: flat in the config, since that is what plots go by.
        pictures: so many in the table.

    Raises:
        UserError: if W&B is not to be had, such as online without a key.
    """
    if mode is None or run.finished or not _first():
        return run
    import wandb

    # Pictures and artefacts wait for their upload here; W&B would else put those of every run into the user's home.
    os.environ[STAGING] = CHOSEN or str(run.path.resolve() / "wandb")
    wandb_mode: Any = mode
    try:
        wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "seke",
            group=os.environ.get("WANDB_RUN_GROUP") or group,
            job_type=stage,
            name=run.path.name,
            id=_known_id(run.path),
            resume="allow",
            dir=run.path,
            mode=wandb_mode,
            config=_public({**run.config, **flat(requested), "sha256": dict(run.inputs)}),
            settings=wandb.Settings(console="off", quiet=True),  # what a terminal shows may quote a server's answer
        )
    except wandb.errors.Error as error:
        problem = " ".join(str(error).split())
        raise UserError("wandb", mode, problem, "set WANDB_API_KEY, or wandb=offline to upload later") from error
    files = {name: [path] if isinstance(path, Path) else path for name, path in inputs.items()}
    makers = {name: maker for name, paths in files.items() if paths and (maker := _maker(paths[0]))}
    records = files["records"][0] if "records" in files else None
    return Watched(run.path, run.config, run.inputs, stage, makers, records, pictures)


def live() -> Callable[[Mapping[str, Any]], None] | None:
    """Return what takes a row of numbers while a stage goes on; None where nobody watches."""
    board = _board()
    return board and (lambda row: board.log({key: value for key, value in row.items() if value is not None}))


def close() -> None:
    """Close what a stage that did not come to its end has left open."""
    if board := _board():
        board.finish(exit_code=FAILED)


def headline(path: Path) -> dict[str, float]:
    """Return the numbers of a finished run: of its manifest, metrics.json and cost.json, as {"expression/accuracy": x}.

    No deeper than that: the F1 of every AU is in metrics.json.
    """
    numbers: dict[str, float] = {}
    for name in ("manifest.json", *RESULTS):
        if (path / name).is_file():
            numbers |= dict(_numbers(json.loads((path / name).read_text(encoding="utf-8"))))
    return numbers


def flat(requested: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as top-level fields: generator.max_samples=5 is sweep_generator_max_samples=5.

    >>> flat({"generator.max_samples": 5, "backend@fallback": "vllm"})
    {'sweep_generator_max_samples': 5, 'sweep_backend_fallback': 'vllm'}
    """
    return {"sweep_" + re.sub(r"\W+", "_", key): value for key, value in requested.items()}


def _numbers(node: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    for key, value in node.items():
        if key in NO_RESULT or isinstance(value, bool):
            continue
        if isinstance(value, int | float):
            yield above + key, value
        elif isinstance(value, dict) and not above:
            yield from _numbers(value, f"{key}/")


def _artifact(run: Path) -> Any:
    """Describe what a finished run made: its manifest and sums, not its faces, which a licence may forbid to pass on.

    The same from whichever stage it is described.
    """
    import wandb

    stage, name = run.parent.name, run.name
    manifest = _public(json.loads((run / "manifest.json").read_text(encoding="utf-8")))
    artifact = wandb.Artifact(_named(f"{stage}-{name}"), type=MADE.get(stage, stage), metadata=headline(run))
    with artifact.new_file("manifest.json", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1, ensure_ascii=False)
    for shared in (run / name for name in SHARED if (run / name).is_file()):
        artifact.add_file(str(shared), name=shared.name)
    return artifact


def _use(board: Any, artifact: Any) -> None:
    """Say that this stage read what `artifact` describes."""
    if board.offline:
        # use_artifact insists on a server, though its own request for a new artefact can wait for one as any other.
        board._log_artifact(artifact, is_user_created=True, use_after_commit=True)
    else:
        board.use_artifact(artifact)


def _maker(file: Path) -> Path | None:
    """Return the run that `file` is from: the nearest of its folders that holds a manifest of a known stage."""
    folders = file.resolve().parents
    return next((at for at in folders if at.parent.name in MADE and (at / "manifest.json").is_file()), None)


def _known_id(path: Path) -> str | None:
    """Return the id of the W&B run that an interrupted stage has begun; W&B names its file run-<id>.wandb."""
    begun = sorted((path / "wandb").glob("*run-*/run-*.wandb"))
    return begun[-1].stem.removeprefix("run-") if begun else None


def _named(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[-128:]


def _public(node: Any) -> Any:
    """Return `node` with the password taken out of every web address."""
    return json.loads(re.sub(r'(https?://)[^/@\s"]+@', r"\1***@", json.dumps(node)))


def _first() -> bool:
    """Whether this is the first of the processes that work on one stage, by whoever started them."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK"))


def _board() -> Any:
    return sys.modules["wandb"].run if "wandb" in sys.modules else None
