"""Provenance of a run (command, commit, settings, cost, evaluations), as cards of data and of models show it.

Everything is read from the files that a run has left; what none of them says is None, and shown as unknown.
"""

import hashlib
import json
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Final, NamedTuple

from seke.core import old_runs
from seke.core.machine import machine
from seke.core.records import Rejection, read_jsonl
from seke.core.runs import file_sha256, manifest_beside

ROOT: Final = Path(__file__).resolve().parents[3]
"""The checkout that this program runs from; of an installed package a folder without .git."""
_SECRET: Final = re.compile(r"api_?key|secret|password|authorization", re.IGNORECASE)
_OF_COMMAND: Final = re.compile(r"\+(experiment|scale)/([^=]+)=\w+")
"""What a command makes of experiment= and scale= before Hydra sees them."""
_LOGIN: Final = re.compile(r"(https?://)[^/@\s]+@")
_ABSOLUTE: Final = re.compile(r"""(?<![\w.:/*?-])~?/(?:[^,/\[\]{}"'=]+/)*([^,/\[\]{}"'=]*)""")


class Number(NamedTuple):
    """One metric of an evaluation."""

    task: str
    metric: str
    value: float | None
    interval: tuple[float, float] | None
    """Of 95 %."""
    n: int | None
    """Images whose truth for this task is known."""
    unanswered: int | None


class Evaluation(NamedTuple):
    """A finished evaluation."""

    name: str
    benchmark: str
    """FEAB, EmoSet, Reliability, ..."""
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    notes: tuple[str, ...]
    """Why its numbers may not be held against the paper's."""
    numbers: tuple[Number, ...]
    scores: str = "answers"
    """Of a model; or the "labels" that were given, and no model was asked."""


class GenerationSummary(NamedTuple):
    """How instruction data came to be."""

    settings: tuple[tuple[str, Any], ...]
    """Dotted setting and value; None is a setting that is off."""
    cost: Mapping[str, Any]
    """The content of cost.json; empty where there is none."""
    rejected: Mapping[str, int]
    """Records without an instruction, by reason."""
    flags: Mapping[str, int]
    """Instructions that carry each flag of the checks."""
    prompts: Mapping[str, str]
    """Hex sha256 of every prompt."""
    reliability: tuple[Evaluation, ...]
    """What has been measured on this very data by now."""


def made(argv: Sequence[str]) -> dict[str, Any]:
    """Return what a manifest keeps of how its run was made: command, commit, the sha256 of changes to it, machine."""
    return {"command": public_command(argv), "commit": commit(), "diff": diff_sha256(), "machine": machine()}


def public_command(argv: Sequence[str]) -> str:
    """Return the command line without what is nobody else's business: folders of this machine, logins, keys.

    >>> public_command(["/home/me/generate.py", "records=/home/me/my faces/a.jsonl", "backend.base_url=http://me:x@host/v1"])
    "python generate.py records=.../a.jsonl 'backend.base_url=http://***@host/v1'"
    >>> public_command(["train.py", "+experiment/table4=train", "name=x"])
    'python train.py experiment=table4 name=x'
    """
    return shlex.join(["python", Path(argv[0]).name, *map(_public, argv[1:])])


def commit(root: Path = ROOT) -> str | None:
    """Return the commit that is checked out, with "+changes" where files differ from it; None outside a checkout."""
    if not (root / ".git").exists():  # a parent's repository is not this program's
        return None
    try:
        head = _git(root, "rev-parse", "HEAD").decode().strip()
        return head + ("+changes" if _git(root, "status", "--porcelain", "--untracked-files=no").strip() else "")
    except (OSError, subprocess.SubprocessError):
        return None


def diff_sha256(root: Path = ROOT) -> str | None:
    """Return the hex sha256 of what `git diff HEAD` prints; None where nothing differs, or outside a checkout.

    Two runs of one commit and one sha256 were made by the same program; files that git does not know do not enter.
    """
    if not (root / ".git").exists():
        return None
    try:
        diff = _git(root, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-color", "--full-index")
    except (OSError, subprocess.SubprocessError):
        return None
    return hashlib.sha256(diff).hexdigest() if diff else None


def generation_summary(run: Path) -> GenerationSummary:
    """Read how the generate run in `run`, which is finished, was made."""
    instructions = run / "instructions.jsonl"
    manifest, cost = manifest_beside(instructions), run / "cost.json"
    rejected = run / "rejected.jsonl"
    of_data = evaluations(run.parent.parent, "predictions", file_sha256(instructions))
    return GenerationSummary(
        tuple(_settings(manifest.get("config", {}))),
        json.loads(cost.read_text(encoding="utf-8")) if cost.is_file() else {},
        Counter(row.reason for row in read_jsonl(rejected, Rejection)) if rejected.is_file() else {},
        manifest.get("flags") or {},
        manifest.get("prompts") or {},
        tuple(run for run in of_data if run.scores == "labels"),
    )


def evaluations(outputs: Path, which: str, sha256: str) -> Iterator[Evaluation]:
    """Yield the finished evaluations below `outputs`, by name, whose input `which` has this sha256."""
    for file in sorted((outputs / "evaluate").glob("*/manifest.json")):
        manifest = manifest_beside(file)
        if manifest.get("inputs", {}).get(which) == sha256 and (file.parent / "metrics.json").is_file():
            of_run = evaluation(file.parent, manifest["config"], manifest["inputs"], manifest.get("notes") or ())
            yield of_run._replace(scores=old_runs.scores(manifest.get("scores"), of_run.config))


def evaluation(run: Path, config: Mapping[str, Any], inputs: Mapping[str, str], notes: Sequence[str]) -> Evaluation:
    """Return the evaluation in `run` with the numbers of its metrics.json."""
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    benchmark = str(config["benchmark"]["_target_"]).rpartition(".")[2].replace("Feab", "FEAB")
    return Evaluation(run.name, benchmark, config, inputs, tuple(notes), tuple(numbers(metrics)))


def numbers(metrics: Mapping[str, Any]) -> Iterator[Number]:
    """Yield the metrics that have an interval, task by task; those of single classes or AUs are not among them."""
    for task, bounds in metrics["ci95"].items():
        values = metrics.get(task) or {}
        for name, interval in bounds.items():
            value = values.get(name)
            if isinstance(interval, dict) or isinstance(value, dict):
                continue
            between = None if interval is None else (interval[0], interval[1])
            yield Number(task, name, value, between, values.get("n"), (metrics.get("unanswered") or {}).get(task))


def public_path(path: object) -> str:
    """Return a path as others may read it: without the folders above, which are this machine's.

    >>> public_path("/home/me/data/faces.json"), public_path("demo"), public_path("outputs/x")
    ('.../faces.json', 'demo', 'outputs/x')
    """
    return _public(str(path))


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("records", "split", "limit", "seed", "review"):
        if name in config:
            yield name, public_path(config[name]) if isinstance(config[name], str) else config[name]
    for group in ("generator", "stopping", "backend", "second", "fallback"):
        node = config.get(group)
        if not isinstance(node, Mapping):
            continue
        yield group, str(node.get("_target_")).rpartition(".")[2]
        shown = {"model": node.get("model")} if group in ("backend", "second", "fallback") else node
        for key, value in shown.items():
            if key != "_target_" and not isinstance(value, Mapping) and (value is not None or group == "generator"):
                yield f"{group}.{key}", public_path(value) if isinstance(value, str) else value


def _public(word: str) -> str:
    key, equals, value = _OF_COMMAND.sub(r"\1=\2", word).partition("=")
    if equals and _SECRET.search(key):
        return f"{key}=***"
    value = value if equals else word
    value = f".../{PurePath(value).name}" if re.match(r"~?/", value) else _ABSOLUTE.sub(r".../\1", value)
    return f"{key}{equals}" * bool(equals) + _LOGIN.sub(r"\1***@", value)


def _git(root: Path, *words: str) -> bytes:
    return subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=True, timeout=20).stdout
