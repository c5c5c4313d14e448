"""Parameters that a strategy has split up over the ranks, ZeRO-3's and FSDP2's: as a whole, or by their share."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


@contextlib.contextmanager
def whole(parameter: Any, change: bool = False) -> Iterator[Tensor]:
    """Yield a parameter in one piece; where it is split up, every rank has to call.

    With `change`, what rank zero writes into it there reaches all ranks.
    """
    if hasattr(parameter, "ds_id"):
        import deepspeed

        with deepspeed.zero.GatheredParameters([parameter], modifier_rank=0 if change else None):
            yield parameter
    elif isinstance(parameter, DTensor):
        values = parameter.full_tensor().detach()
        yield values
        if change:  # distributing sends what rank zero has
            parts = distribute_tensor(values, parameter.device_mesh, parameter.placements)
            with torch.no_grad():
                parameter.copy_(parts)
    else:
        yield parameter


def share(parameter: Any) -> Tensor:
    """Return what this rank holds of a parameter or of a state of its optimiser: all of it where nothing is split."""
    if isinstance(parameter, DTensor):
        return parameter.to_local()
    held: Tensor = getattr(parameter, "ds_tensor", parameter)
    return held


def as_share_of(value: Tensor, parameter: Any) -> Tensor:
    """Return this rank's share of a state as a part of the whole that its parameter is split up as."""
    if not isinstance(parameter, DTensor) or value.shape != parameter.to_local().shape:
        return value
    mesh, placements = parameter.device_mesh, parameter.placements
    return DTensor.from_local(
        value.to(parameter.to_local().device),
        mesh,
        placements,
        run_check=False,
        shape=parameter.shape,
        stride=parameter.stride(),
    )
