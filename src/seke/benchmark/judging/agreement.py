"""Agreement of two judges on the same answers, and the answers on which they differ: agreement.md.

    python -m seke.benchmark.judging.agreement <evaluate run> <evaluate run> [agreement.md]       see
    scripts/judge_agreement.sh

Labels are compared, not scores: a judge that reads more than the answer says may score better, and be worse.
"""

import operator
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from seke.core.errors import UserError
from seke.core.escape import markdown, visible
from seke.core.files import write_text
from seke.core.records import Prediction, read_jsonl
from seke.core.text_tables import markdown_table

CLOSE: Final = 0.005
"""Valences and arousals this close are the same: what is left of rounding to two decimals."""
EXAMPLES: Final = 10
"""Shown of each task."""
CUT: Final = 160


class Task(NamedTuple):
    """What is compared, how it reads, and when two readings of it are the same."""

    name: str
    label: Callable[[Prediction], Any]
    """None: the judge read nothing."""
    same: Callable[[Any, Any], bool]


class Agreement(NamedTuple):
    """Two judges on one task, over all answers."""

    task: str
    same: int
    """Both read the same label, or both none."""
    different: int
    only_first: int
    """The first read a label where the second read none."""
    only_second: int
    examples: tuple[tuple[Prediction, Prediction], ...]

    @property
    def share(self) -> float:
        """Answers on which the two agree, in [0, 1]."""
        return self.same / (self.same + self.different + self.only_first + self.only_second)


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= CLOSE


TASKS: Final = (
    Task("expression", lambda row: row.labels.expression, operator.eq),
    Task(
        "active action units", lambda row: None if row.labels.action_units is None else row.labels.active, operator.eq
    ),
    Task("valence", lambda row: row.labels.valence, _close),
    Task("arousal", lambda row: row.labels.arousal, _close),
)


def agreement(first: Sequence[Prediction], second: Sequence[Prediction]) -> list[Agreement]:
    """Compare two readings of the same answers, task by task.

    Raises:
        UserError: if they are not about the same answers to the same records.
    """
    theirs = {row.id: row for row in second}
    if {row.id: row.text for row in first} != {row.id: row.text for row in second} or not first:
        remedy = "make both by evaluate.py with predictions=<one run>"
        raise UserError("predictions", "two runs", "they are not readings of the same answers", remedy)
    return [_compared(task, [(row, theirs[row.id]) for row in first]) for task in TASKS]


def _compared(task: Task, pairs: Sequence[tuple[Prediction, Prediction]]) -> Agreement:
    kinds: dict[str, list[tuple[Prediction, Prediction]]] = {"same": [], "different": [], "first": [], "second": []}
    for pair in pairs:
        a, b = task.label(pair[0]), task.label(pair[1])
        if a is None or b is None:
            kind = "same" if a is b else "second" if a is None else "first"
        else:
            kind = "same" if task.same(a, b) else "different"
        kinds[kind].append(pair)
    odd = [*kinds["different"], *kinds["first"], *kinds["second"]]
    same, different, first, second = (len(found) for found in kinds.values())
    return Agreement(task.name, same, different, first, second, tuple(odd[:EXAMPLES]))


def table(found: Sequence[Agreement], names: tuple[str, str]) -> str:
    """Return agreement.md."""
    a, b = map(markdown, names)
    head = ["Label", "Agree (%)", "Same", "Different", f"Only {a}", f"Only {b}"]
    rows = [
        [row.task, f"{100 * row.share:.1f}", *map(str, (row.same, row.different, row.only_first, row.only_second))]
        for row in found
    ]
    lines = [f"# Judges: {a} and {b}", "", markdown_table(head, rows, "lr")]
    lines += ["", "Same: both read the same, or both nothing. Only: the other judge read nothing."]
    for task, row in zip(TASKS, found, strict=True):
        if row.examples:
            examples = [
                [markdown(ours.id), str(task.label(ours)), str(task.label(theirs)), _short(ours.text)]
                for ours, theirs in row.examples
            ]
            lines += ["", f"## {row.task}", "", markdown_table(["Record", a, b, "Answer"], examples)]
    return "\n".join(lines) + "\n"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return markdown(line if len(line) <= CUT else line[:CUT] + " ...")


def main(arguments: Sequence[str]) -> None:
    """Compare two evaluate runs' directories, print the table and write it."""
    runs = [Path(argument) for argument in arguments[:2]]
    first, second = (list(read_jsonl(run / "predictions.jsonl", Prediction)) for run in runs)
    text = table(agreement(first, second), (runs[0].name, runs[1].name))
    print(visible(text))
    write_text(Path(arguments[2]) if len(arguments) > 2 else runs[1] / "agreement.md", text)


if __name__ == "__main__":
    main(sys.argv[1:])
