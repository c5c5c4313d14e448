"""The configuration as tests read it: composed once for the same words, and handed out as a copy."""

from copy import deepcopy
from functools import cache
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

CONF = Path(__file__).resolve().parents[1] / "conf"


def composed(command: str, *overrides: str) -> DictConfig:
    """Return the settings of a command as Hydra composes them; the caller may change them."""
    return deepcopy(_composed(command, overrides))


@cache
def _composed(command: str, overrides: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(command, list(overrides))
