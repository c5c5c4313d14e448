"""Cache on disk of a frozen vision tower's states: computed once per picture, found again by every later run.

    <folder>/<fingerprint of tower and preprocessing>/<first two hex digits>/<sha256 of the image file>.safetensors

Pictures are known by their bytes, towers by their weights, so that no entry is ever out of date: another picture or
another tower has another name. An entry is written beside its place and then moved there, whole: processes may fill one
folder at the same time, and what a crash left half-written counts as missing. Nothing is deleted here.
"""

from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from seke.core.files import replacing
from seke.models.protocol import Size


class Entry(NamedTuple):
    """What is kept of one picture."""

    states: Tensor
    """(N, P, D), in the tower's type."""
    size: Size
    """Height and width of the picture."""


class StateStore:
    """The entries of one tower."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder / fingerprint

    def path(self, digest: str) -> Path:
        """Return where the picture whose bytes have this sha256 (hex digits) lies."""
        return self.folder / digest[:2] / f"{digest}.safetensors"

    def size(self, digest: str) -> Size | None:
        """Return the picture's height and width, or None if it has no whole entry."""
        try:
            with safe_open(self.path(digest), "pt") as file:
                facts = file.metadata()
            return int(facts["height"]), int(facts["width"])
        except (OSError, SafetensorError):
            return None

    def read(self, digest: str) -> Entry:
        """Return an entry that is there."""
        with safe_open(self.path(digest), "pt") as file:
            facts = file.metadata()
            return Entry(file.get_tensor("states"), (int(facts["height"]), int(facts["width"])))

    def write(self, digest: str, entry: Entry) -> None:
        """Keep an entry; one that is there already is replaced by its equal."""
        path = self.path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = map(str, entry.size)
        with replacing(path) as part:
            save_file({"states": entry.states.contiguous()}, part, {"height": height, "width": width})
