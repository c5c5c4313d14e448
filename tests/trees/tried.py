"""A model family tried out: what every test of families talks to it about."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch

from seke.models.protocol import Family, TrainableVLM

from ..contracts.offered import ROOT, built, composed, options
from .families import MAKERS
from .pictures import picture

FAMILIES = {option: composed("train", f"model={option}").model for option in options("model")}
IN_ASSETS = [option for option, settings in FAMILIES.items() if (ROOT / settings.path).is_dir()]
FIRST = {settings["_target_"]: option for option, settings in reversed(FAMILIES.items())}
MADE = [FIRST[target] for target in MAKERS]
HERE = [*IN_ASSETS, *MADE]
"""Options that can be tried: their checkpoint lies in assets/, or a test makes one (`families.MAKERS`)."""
BUDGETS = ("min_pixels", "max_pixels", "longest_edge", "max_patches")
"""Settings of how large pictures are shown; null: as the checkpoint has it."""
SIZES = ((48, 48), (40, 90), (130, 60))
ANSWER = "It shows fear, and AU4 is active."
_FOLDER = tempfile.TemporaryDirectory(prefix="families-")


@cache
def checkpoint(option: str) -> Path:
    """Return the directory of an option's small checkpoint."""
    settings = FAMILIES[option]
    if option in IN_ASSETS:
        return Path(ROOT / settings.path)
    folder = Path(_FOLDER.name) / option
    folder.mkdir()
    MAKERS[settings["_target_"]](folder)
    return folder


def family(option: str, path: Path | None = None, **changed: Any) -> Family:
    """Return a family as its option has it, at the tiny scale: in float32, with the checkpoint's own pixel budget."""
    settings = FAMILIES[option].copy()
    settings.path = str(path or checkpoint(option))
    if option in MADE:
        settings.dtype = "float32"
        for budget in BUDGETS:
            if budget in settings:
                settings[budget] = None
    for name, value in changed.items():
        settings[name] = value
    made: Family = built(settings)
    return made


class Tried:
    """A family with its small checkpoint loaded."""

    def __init__(self, option: str, path: Path | None = None, **changed: Any) -> None:
        self.option = option
        self.family = family(option, path, **changed)
        self.loaded: TrainableVLM = self.family.load()

    def picture(self, number: int) -> Any:
        """Return the picture of a size."""
        return picture(str(number), SIZES[number][::-1])

    def talk(self, number: int, answered: bool = False) -> list[Any]:
        """Return a conversation about the picture of a size, longer with each number."""
        turns = [("user", "What does this face show?" + " Look closely." * number, (SIZES[number],))]
        return [*turns, ("assistant", ANSWER, ())] if answered else turns

    def features(self, *numbers: int) -> list[torch.Tensor]:
        """Return what the language model reads of the pictures."""
        seen = [self.loaded.pixels(self.picture(number)) for number in numbers]
        counts, sizes = [len(pixels.crops) for pixels in seen], [pixels.size for pixels in seen]
        with torch.no_grad():
            states = self.loaded.see(torch.cat([pixels.crops for pixels in seen]), counts, sizes)
            contexts = self.loaded.contexts([self.talk(number) for number in numbers])
            return self.loaded.features(states, counts, sizes, contexts)

    def sizes(self, *numbers: int) -> list[tuple[int, int]]:
        """Return the pictures' sizes."""
        return [SIZES[number] for number in numbers]

    def answers(self, *numbers: int) -> list[list[int]]:
        """Return the ids of greedy answers, asked together."""
        prompts = self.loaded.prompts([self.talk(number) for number in numbers])
        with torch.no_grad():
            new = self.loaded.generate(prompts, self.features(*numbers), 8, sizes=self.sizes(*numbers)).tolist()
        return [ids[: ids.index(self.loaded.end) + 1] if self.loaded.end in ids else ids for ids in new]
