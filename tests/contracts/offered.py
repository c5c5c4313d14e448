"""What conf/ offers, composed and built as a command does, and the miniature dataset of a part's name."""

import importlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from seke.core.errors import UserError

from .. import composition

ROOT = Path(__file__).resolve().parents[2]
CONF = composition.CONF
MISSING = (
    "{group}={name} reads {place}, and there is no miniature of it to try it on: add tests/trees/{name}.py with "
    "`def make(root: Path) -> None`, which writes a few pictures and label files as they lie on disk (see fi.py)"
)


def options(group: str) -> list[str]:
    """Return the options of a group: its YAML files."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@cache
def composed(command: str, *overrides: str) -> DictConfig:
    """Return the settings of a command."""
    settings = composition.composed(command, *overrides)
    OmegaConf.resolve(settings)
    return settings


def built(node: Any, **extra: Any) -> Any:
    """Return the part that a node describes."""
    try:
        return instantiate(node, _convert_="all", **extra)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        raise


def miniature(group: str, name: str, data: Path, place: Path) -> None:
    """Write the dataset of a source's or a reader's name to `place`, which its settings name; `data` is paths.data."""
    if not (ROOT / "tests" / "trees" / f"{name}.py").is_file():
        pytest.fail(MISSING.format(group=group, name=name, place=place), pytrace=False)
    tree = importlib.import_module(f"..trees.{name}", __package__)
    folder = data if hasattr(tree, "IN_DATA") else place
    folder.mkdir(parents=True, exist_ok=True)
    tree.make(folder)
