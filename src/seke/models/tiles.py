"""What families share that cut a picture into tiles of one size and show the whole of it last.

Shapes: N crops, P states a crop, D width of the tower, H width of the language model.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seke.models.native import NativeLoaded
from seke.models.protocol import Size


@dataclass
class TiledLoaded(NativeLoaded):
    """A model with its processor; a family adds how many tiles there are, and how they are seen and projected."""

    @property
    @abstractmethod
    def crop_tokens(self) -> int:
        """How many tokens a crop takes in a sequence."""

    @abstractmethod
    def crops(self, size: Size) -> int:
        """Return how many crops of an image the tower sees."""

    @abstractmethod
    def projected(self, states_NPD: Tensor) -> Tensor:
        """Put patches together and project them: (N, crop tokens, H)."""

    def image_tokens(self, size: Size) -> int:
        """Return how many features an image takes, exactly, without reading a pixel."""
        return self.crops(size) * self.crop_tokens

    def overview(self, size: Size) -> slice:
        """Return which crop shows the whole image: the last."""
        return slice(self.crops(size) - 1, None)

    def features(
        self,
        states_NPD: Tensor,
        counts: Sequence[int],
        sizes: Sequence[Size],
        contexts: Sequence[Sequence[int]] = (),
    ) -> list[Tensor]:
        """Return what the language model reads of each image: its crops' tokens, (tokens, H)."""
        return [one.flatten(0, 1) for one in torch.split(self.projected(states_NPD), list(counts))]
