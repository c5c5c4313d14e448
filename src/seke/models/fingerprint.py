"""Fingerprint of what decides a vision tower's output: its weights and the preprocessing of pictures."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def fingerprint(weights: Iterable[tuple[str, Tensor]], settings: dict[str, Any]) -> str:
    """Return 32 hex digits that change with any weight, its type or a setting.

    >>> one = torch.ones(2)
    >>> fingerprint([("w", one)], {"side": 96}) == fingerprint([("w", one.bfloat16())], {"side": 96})
    False
    """
    found = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, weight in weights:
        found.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        found.update(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()[:32]
