"""Detection of the launcher that started this process, torchrun or deepspeed. Free of torch: train.py asks at once.

Each tells its processes by environment variables how many there are. Lightning believes the settings instead, and
would train as many times over as there are processes.
"""

import os
from collections.abc import Mapping, MutableMapping
from typing import Any, NamedTuple

from seke.core.errors import UserError


class Launched(NamedTuple):
    """The processes that a launcher has started."""

    by: str
    ranks: int
    """Processes of a machine."""
    machines: int


def launched(environ: Mapping[str, str]) -> Launched | None:
    """Return what has started this process; None: nothing that says so, as when Lightning starts the ranks itself.

    >>> launched({"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"})
    Launched(by='torchrun', ranks=4, machines=2)
    >>> launched({"LOCAL_RANK": "1", "WORLD_SIZE": "2"})
    """
    for by, size, sign in (
        ("torchrun", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID"),
        ("deepspeed", "LOCAL_SIZE", "RANK"),
    ):
        if {size, sign, "WORLD_SIZE"} <= environ.keys() and (ranks := _number(environ[size])):
            return Launched(by, ranks, max(1, _number(environ["WORLD_SIZE"]) // ranks))
    return None


def resolved(devices: Any, num_nodes: Any, environ: MutableMapping[str, str] = os.environ) -> tuple[Any, Any]:
    """Return devices and num_nodes as this process's launcher says, or as they are set where none has started it.

    Raises:
        UserError: if the settings name other numbers, beside their defaults.
    """
    found = launched(environ)
    if found is None:
        return devices, num_nodes
    for argument, value, own, free in (
        ("trainer.devices", devices, found.ranks, (1, "1", -1, "-1", "auto")),
        ("trainer.num_nodes", num_nodes, found.machines, (1,)),
    ):
        if value not in (own, str(own), *free):
            raise UserError(argument, value, f"{found.by} has started {own}", "leave it out, or start as many")
    if found.by == "deepspeed" and "CROSS_RANK" in environ:
        environ.setdefault("NODE_RANK", environ["CROSS_RANK"])  # what Lightning calls it
    return found.ranks, found.machines


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
