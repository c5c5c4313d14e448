"""A Weights & Biases run that shows how a generation goes; offline it needs no key, `wandb sync` uploads it later."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seke.errors import UserError

MODES = ("offline", "online")


@contextmanager
def dashboard(
    mode: str | None, name: str, folder: Path, config: Mapping[str, Any]
) -> Iterator[Callable[[Mapping[str, Any]], None] | None]:
    """Give what takes a row of numbers after each chunk; None without a `mode`.

    Raises:
        UserError: for another mode than offline, online or None.
    """
    if mode is None:
        yield None
        return
    if mode not in MODES:
        raise UserError("wandb", mode, "no such mode", "set offline, online or null")
    import wandb

    wandb_mode: Any = mode
    run = wandb.init(project="seke", job_type="generate", name=name, dir=folder, config=dict(config), mode=wandb_mode)
    try:
        yield lambda row: run.log({key: value for key, value in row.items() if value is not None})
    finally:
        run.finish()
