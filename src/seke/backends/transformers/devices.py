"""Where a model on this machine runs: on its processor, or on one of its GPUs."""

import re

from seke.core.errors import UserError


def chosen(argument: str, wanted: object, gpus: int, rank: int = 0) -> str:
    """Return the PyTorch device that `argument`=`wanted` means where PyTorch sees `gpus` GPUs.

    `cuda` and `auto` give every process, the `rank`-th of its machine, a GPU of its own.

    >>> chosen("backend.device", "auto", gpus=0), chosen("backend.device", "cuda", gpus=8, rank=3)
    ('cpu', 'cuda:3')

    Raises:
        UserError: if there is no such device: none takes another's place unasked.
    """
    named = re.fullmatch(r"cpu|auto|cuda(?::(\d+))?", str(wanted))
    if named is None:
        raise UserError(argument, wanted, "no such device", "use cpu, cuda, cuda:<number> or auto")
    if wanted == "cpu" or (wanted == "auto" and not gpus):
        return "cpu"
    number = rank if named[1] is None else int(named[1])
    if number >= gpus:
        whose = "" if named[1] or not rank else f", and this is process {rank} of those that want one each"
        seen = f"PyTorch sees {gpus or 'no'} GPU{'s' * (gpus > 1)} here{whose}"
        raise UserError(argument, wanted, seen, f"use cpu{f', or cuda:0 to cuda:{gpus - 1}' if gpus else ' or auto'}")
    return f"cuda:{number}"
