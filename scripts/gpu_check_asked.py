"""What a part of the GPU check is asked: its case, model and rows, where it tells figures, and how it takes time."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from bench_train_ways import CASES, Case, build, now, write

SAMPLES = {"0.5b": 224, "7b": 96}
SECONDS = {"0.5b": 15.0, "7b": 30.0}
"""Of training, warm-up not counted: after that a way stops, whatever is left of its samples."""
DIFFERENCE = "largest difference of losses, as a share"


class Asked(NamedTuple):
    """What the check wants."""

    tiny: bool
    peak_tflops: float | None
    scratch: str
    """A folder of the part's own."""
    told: str
    """The file that figures are told in."""
    shared: str
    """A folder that the parts share: rows are written once."""

    @property
    def gpu(self) -> bool:
        """Whether a GPU computes."""
        return not self.tiny

    def seconds(self, name: str) -> float:
        """Return how long a case is trained."""
        return SECONDS[name] if self.gpu else 1.0

    @property
    def device(self) -> str:
        """What computes."""
        return "cuda" if self.gpu else "cpu"

    def tell(self, what: str, value: float | None, note: str = "") -> None:
        """Tell a figure; what follows may fail."""
        with Path(self.told).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"what": what, "value": value, "note": note}) + "\n")

    def case(self, name: str) -> Case:
        """Return what is trained: 0.5b or 7b, or what stands for it."""
        workers = max(1, min(CASES[name].workers, (os.cpu_count() or 2) - 1))
        if self.gpu:
            return CASES[name]._replace(samples=SAMPLES[name], workers=workers)
        half = CASES[name].low_memory  # bfloat16 is slow on CPUs
        return CASES["tiny"]._replace(samples=8 if half else 16, pack_tokens=600, workers=0, low_memory=half)

    def model(self, case: Case) -> Any:
        """Return the model with its processor, on its device."""
        loaded = build(case)
        if self.tiny and case.low_memory:
            for parameter in loaded.model.parameters():  # buffers stay: rotary frequencies have to be float32
                parameter.data = parameter.data.bfloat16()
        return loaded

    def rows(self, name: str, case: Case) -> Path:
        """Return the file of a case's rows."""
        folder = Path(self.shared) / f"rows-{name}-{case.samples}"
        if not folder.is_dir():
            own = Path(self.scratch) / folder.name
            own.mkdir()
            write(own, case)
            with suppress(OSError):  # another part was faster
                own.replace(folder)
        return folder / "rows.jsonl"


def seconds(work: Callable[[], Any], gpu: bool, repeats: int = 3) -> float:
    """Return what one of several takes, after one that does not count."""
    work()
    began = now(gpu)
    for _ in range(repeats):
        work()
    return (now(gpu) - began) / repeats
