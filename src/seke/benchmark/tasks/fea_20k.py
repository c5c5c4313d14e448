"""FEA-20K (Facial-R1, AAAI 2026): an expression and action units of faces of seven datasets, by our rule and by theirs.

Theirs is src/eval/eval_qwen.py with utils/eval_utils.py of RobitsG/Facial-R1 at 0b1be9b:

label   the first word of the first <answer>, or of the whole answer without one, equal to the truth letter for letter
        ("Happiness" and "happiness." are wrong); an empty one stops the program
units   every "AU" with a number right behind it, inside the first <think>, or anywhere without one, denied or not. F1
        of each unit that a face of the set shows, and their mean, dataset by dataset

Their prompt (definitions of the units, an example, a ban on "not" and "maybe") is not asked here: the row's own
question is, with a request for units and an <answer>. Backends cut marked thoughts out of answers, so units belong
outside them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from seke.benchmark.tasks.two_rules import Reading, TwoRules, TwoRulesPrediction, f1_of

_THINK: Final = re.compile(r"<think>(.*?)</think>", re.DOTALL)
_ANSWER: Final = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


@dataclass(frozen=True)
class Fea20k(TwoRules):
    """The rows' questions, and how answers become two scores."""

    prepared_by: ClassVar[str] = "fea_20k"
    board: ClassVar[str] = "fea_20k"
    title: ClassVar[str] = "FEA-20K"
    pictures: ClassVar[int | None] = 1688
    their_source: ClassVar[str] = "src/eval/eval_qwen.py of RobitsG/Facial-R1 at 0b1be9b"

    def their_reading(self, text: str, published: Reading) -> Reading:
        """Return the label and the units that their program reads."""
        return Reading(label=their_label(text), units=their_units(text))

    def their_f1(self, rows: Sequence[TwoRulesPrediction]) -> dict[str, float]:
        """Return F1 of each unit that is true of a face."""
        shown = sorted({unit for row in rows for unit in row.published.units or ()}, key=lambda unit: (len(unit), unit))
        return {
            unit.removeprefix("AU"): f1_of(
                [unit in (row.published.units or ()) for row in rows],
                [unit in (row.theirs.units or ()) for row in rows],
            )
            for unit in shown
        }


def their_label(text: str) -> str | None:
    """Return the label that their program reads from an answer; None where it stops with an error.

    >>> their_label("<answer>happiness, joy</answer>"), their_label("Happiness."), their_label("<answer> </answer>")
    ('happiness', 'Happiness.', None)
    """
    tagged = _ANSWER.search(text)
    words = [word for word in re.split(r"[,;，；\s]+", tagged[1].strip() if tagged else text) if word.strip()]
    return words[0] if words else None


def their_units(text: str) -> tuple[str, ...]:
    """Return the units that their program reads from an answer.

    >>> their_units("<think>AU4, no AU12</think> AU1"), their_units("AU 4 and AU06")
    (('AU4', 'AU12'), ('AU06',))
    """
    thought = _THINK.search(text)
    return tuple(dict.fromkeys(re.findall(r"AU\d+", thought[1] if thought else text)))
