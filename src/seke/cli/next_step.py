"""What a command ends with: the command that comes next, ready to be copied."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from seke.cli.program import program_of
from seke.core import manifests, runs

RANKS: Final = ("RANK", "LOCAL_RANK")
ANNOTATORS: Final[Mapping[str, list[str]]] = {"faces": [], "scenes": ["experiment=emovit", "scale=demo"]}
"""Settings of generate for pictures that were drawn, by what they show: a simulated annotator knows them."""
PLACES: Final = ("paths.outputs", "paths.images")
"""Settings that the next command needs, too, where they were typed."""


def tell(cfg: DictConfig, command: str) -> None:
    """Print the commands that may follow a finished run of `command`; nothing in a sweep, or of another rank than 0."""
    if HydraConfig.get().mode == RunMode.MULTIRUN or any(os.environ.get(rank, "0") != "0" for rank in RANKS):
        return
    run = Path(cfg.paths.outputs) / command / str(cfg.name)
    manifest = manifests.read(run / runs.MANIFEST) or {}
    for following, settings in _after(command, cfg, manifest):
        print(f"next: {program_of(following)} {shlex.join([*settings, *_places(cfg)])}")


def tell_after_dry_run(cfg: DictConfig, priced: bool) -> None:
    """Print what follows a dry run: the run itself, which nobody is told to pay for (`priced`: it may cost money)."""
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        return
    if priced:
        limit = "; budget.usd=<dollars> is a hard limit" if cfg.budget.usd is None else ""
        print(f"nothing was asked or paid for; without dry_run=true the same command asks{limit}")
    else:
        print("next: the same command without dry_run=true")


def tell_to_look(cfg: DictConfig) -> None:
    """Print what follows a queue of faces to look at: the page that shows them."""
    print(f"next: {program_of('report')} {shlex.join([f'name={cfg.name}', *_places(cfg)])}")


def _after(command: str, cfg: DictConfig, manifest: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    name, drawn = str(cfg.name), manifest.get("synthetic") in ("faces", "scenes")
    if command == "prepare" and (benchmark := manifest.get("asked_by")):
        return [("evaluate", [f"benchmark={benchmark}", f"records={name}", f"name={name}"])]
    if command == "prepare":
        annotator = ANNOTATORS.get(str(manifest.get("synthetic")), ["backend=openai", "dry_run=true"])
        grown = ["update=true"] if cfg.get("update") else []
        return [("generate", [f"records={name}", f"name={name}", *annotator, *grown])]
    if command == "generate":
        tuned = [] if drawn else ["model=llava_ov_05b", "trainer=gpu", "dry_run=true"]
        return [("report", [f"name={name}"]), ("train", [f"data.path={name}", f"name={name}", *tuned])]
    if command == "train":
        records, tuned = _records(cfg), [*_model(), f"model.path={name}"]
        return (
            [("serve", tuned)] if _tests_nothing(cfg, records) else [("evaluate", [*records, *tuned, f"name={name}"])]
        )
    if command == "report":
        made = manifests.read(Path(cfg.paths.outputs) / "generate" / name / runs.MANIFEST) or {}
        return (
            [("generate", ["review=review.json", f"name={name}-reviewed"])] if made and "reviewed" not in made else []
        )
    return [("report", [f"name={name}"])]


def _records(cfg: DictConfig) -> list[str]:
    """Return the prepared set whose instructions a model was tuned on, as a setting; nothing where nobody knows."""
    outputs = Path(cfg.paths.outputs)
    if "algorithm" in cfg:
        return [f"records={cfg.data.path}"]
    made = manifests.read(outputs / "generate" / str(cfg.data.path) / runs.MANIFEST) or {}
    records = str((made.get("config") or {}).get("records"))
    return [f"records={records}"] if (outputs / "prepare" / records).is_dir() else []


def _tests_nothing(cfg: DictConfig, records: list[str]) -> bool:
    """Whether the prepared set that `records` names holds nothing to test on."""
    return any(
        (file := Path(cfg.paths.outputs) / "prepare" / word.partition("=")[2] / "test.jsonl").is_file()
        and file.stat().st_size == 0
        for word in records
    )


def _model() -> list[str]:
    """Return the kind of model that was typed, as a setting."""
    return [word for word in HydraConfig.get().overrides.task if word.startswith("model=")]


def _places(cfg: DictConfig) -> list[str]:
    typed = {word.partition("=")[0] for word in HydraConfig.get().overrides.task}
    return [f"{key}={OmegaConf.select(cfg, key)}" for key in PLACES if key in typed]
