"""Loggers of a training (conf/logger/): Weights & Biases, with a key or without one, beside others."""

import os
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.loggers import WandbLogger

from seke.core.errors import UserError
from seke.tracking import wandb_run

OFFLINE = ("offline", "dryrun")
"""What WANDB_MODE calls it, now and formerly."""
CONFIG = "config.yaml"
"""The run's resolved settings, which its directory holds from its beginning."""


def with_dashboard(logger: Any) -> Any:
    """Return `logger`, and with it the W&B run that is open already where `wandb=` has the whole stage shown.

    `logger=null` logs nowhere else; Lightning would take None as a wish for its own.
    """
    shown = not isinstance(logger, WandbLogger) and wandb_run.live() is not None
    return [*([logger] if logger else []), WandbLogger()] if shown else logger or False


def wandb(save_dir: str, project: str, group: str | None = None) -> Any:
    """Return a logger to Weights & Biases: online if WANDB_API_KEY is set, else offline (`wandb sync` uploads later).

    WANDB_MODE, if set, decides instead; where `wandb=` shows the whole stage already, that run is used.

    Args:
        save_dir: the run's directory; its name is the W&B run's, its config.yaml the W&B run's config.
        project: the project there.
        group: what the cells of one sweep have in common.

    Raises:
        UserError: if WANDB_MODE is none that W&B knows, or project or group no name.
    """
    for argument, value in (("logger.project", project), ("logger.group", group)):
        if not isinstance(value, str | int | float | None):
            raise UserError(argument, value, "no name", "give a text")
    mode = wandb_run.mode_of_environment() or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
    settings = Path(save_dir) / CONFIG
    resolved = yaml.safe_load(settings.read_text(encoding="utf-8"))["config"] if settings.is_file() else None
    return WandbLogger(
        name=Path(save_dir).name,
        save_dir=save_dir,
        project=None if project is None else str(project),
        group=None if group is None else str(group),
        offline=mode in OFFLINE,
        config=resolved,
    )
