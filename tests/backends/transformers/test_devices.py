"""Devices: a local model runs on the device that was asked for, or says why it cannot."""

import pytest

from seke.backends.transformers import devices
from seke.core.errors import UserError


@pytest.mark.parametrize(
    ("wanted", "gpus", "rank", "device"),
    [
        ("auto", 0, 0, "cpu"), ("auto", 1, 0, "cuda:0"), ("auto", 8, 3, "cuda:3"), ("cuda", 8, 3, "cuda:3"),
        ("cuda:1", 2, 0, "cuda:1"), ("cuda:1", 2, 7, "cuda:1"), ("cpu", 8, 3, "cpu"), ("auto", 0, 3, "cpu"),
    ],
)  # fmt: skip
def test_a_device_is_the_one_that_was_asked_for(wanted: str, gpus: int, rank: int, device: str) -> None:
    assert devices.chosen("backend.device", wanted, gpus, rank) == device


@pytest.mark.parametrize(
    ("wanted", "gpus", "rank", "said"),
    [
        ("gpu", 1, 0, "no such device; use cpu, cuda, cuda:<number> or auto"),
        ("cuda:", 1, 0, "no such device"),
        ("cuda:-1", 1, 0, "no such device"),
        ("CPU", 1, 0, "no such device"),
        (None, 1, 0, "no such device"),
        (0, 1, 0, "no such device"),
        ("cuda", 0, 0, "PyTorch sees no GPU here; use cpu or auto"),
        ("cuda:1", 1, 0, "PyTorch sees 1 GPU here; use cpu, or cuda:0 to cuda:0"),
        ("auto", 2, 2, "PyTorch sees 2 GPUs here, and this is process 2 of those that want one each; use cpu"),
    ],
)
def test_no_device_takes_anothers_place(wanted: object, gpus: int, rank: int, said: str) -> None:
    with pytest.raises(UserError) as mistake:
        devices.chosen("backend.device", wanted, gpus, rank)
    assert str(mistake.value).startswith(f"backend.device={wanted}: {said}")
