"""The base of the backends in this package: a model that the first request loads onto a device of this machine."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import torch

from seke.backends.transformers import devices
from seke.core import images
from seke.core.errors import UserError
from seke.core.vlm import Choice, Image, Reply

T = TypeVar("T")


class LocalModel(ABC, Generic[T]):
    """Settings, device and life of a model; `T` is what loading it gives.

    Args:
        setting: where its settings stand, "backend" for example, as errors name them.
        device: cpu, cuda, cuda:<number>, or auto; under torchrun cuda and auto give every process a GPU of its own.
        threads: CPU threads; None leaves PyTorch's choice.
        counts: settings that must be whole numbers from 1 on.

    Raises:
        UserError: for a setting out of range. Nothing is loaded before the first request.
    """

    def __init__(self, setting: str, device: str, threads: int | None = None, **counts: int) -> None:
        for name, value in counts.items():
            if not isinstance(value, int) or value < 1:
                raise UserError(f"{setting}.{name}", value, "not a whole number from 1 on", "use 1 or more")
        rank = int(os.environ.get("LOCAL_RANK", "0"))
        self.device = devices.chosen(f"{setting}.device", device, torch.cuda.device_count(), rank)
        self._setting, self._threads = setting, threads
        self._loaded: T | None = None

    @property
    def loaded(self) -> T:
        """The model on its device.

        Raises:
            UserError: if it cannot be loaded.
        """
        if self._loaded is None:
            if self._threads:
                torch.set_num_threads(self._threads)
            self._loaded = self._load()
        return self._loaded

    def load(self) -> None:
        """Load the model, unless it is loaded.

        Raises:
            UserError: if it cannot be loaded.
        """
        _ = self.loaded

    @abstractmethod
    def _load(self) -> T:
        """Load the model onto `device`."""

    def close(self) -> None:
        """Let go of the model; the next request loads it anew."""
        self._loaded = None

    def _dtype(self, name: str) -> torch.dtype:
        """Return the type of weights that a setting names; auto is bfloat16 on a GPU and float32 on a CPU."""
        own = torch.float32 if self.device == "cpu" else torch.bfloat16
        dtype = own if name == "auto" else getattr(torch, name, None)
        if not isinstance(dtype, torch.dtype):
            remedy = "use auto, bfloat16, float16 or float32"
            raise UserError(f"{self._setting}.dtype", name, "no such type", remedy)
        return dtype


def pictures(parts: Sequence[Image]) -> list[Any]:
    """Return the pictures in a request as a model is shown them (`core.images.shown`).

    Raises:
        ImageError, OSError: if one cannot be read.
    """
    return [images.shown(image.read(), image.path.name, image.face) for image in parts]


def unreadable(problem: object, model: str, n: int = 1) -> Reply:
    """Return the reply to a request with a picture that cannot be read: n invalid choices, which cost nothing."""
    return Reply((Choice(str(problem), "invalid"),) * n, model, cost=0.0)
