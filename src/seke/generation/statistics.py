"""The page statistics.md: the number of instructions of each kind and class, where a generator plans for these.

What an entry is for stands in its attributes: `kind`, and its class in `emotion`, or in the one that `class_of` names.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from seke.core.escape import markdown
from seke.core.records import ImageRecord, InstructionRecord
from seke.core.text_tables import markdown_table

KIND: Final = "kind"
CLASS: Final = "emotion"
OF: Final = "class_of"

Entry = ImageRecord | InstructionRecord
"""What is to be made, or what was made of it."""
Counts = Mapping[str, Mapping[str, int]]
"""Number by kind, then by class."""


def counted(entries: Sequence[Entry], rejected: Collection[str] = ()) -> Counts:
    """Return how many of the entries that have a kind are not among the ids `rejected`; kinds and classes in order.

    A kind or class all of whose entries were rejected is there, with 0.
    """
    found: dict[str, Counter[str]] = {}
    for entry in entries:
        if KIND in entry.attributes:
            of_class = str(entry.attributes.get(str(entry.attributes.get(OF, CLASS))))
            found.setdefault(str(entry.attributes[KIND]), Counter())[of_class] += entry.id not in rejected
    return {kind: dict(sorted(found[kind].items())) for kind in sorted(found)}


def page(entries: Sequence[Entry], rejected: Collection[str]) -> str:
    """Return the page: classes down, kinds across, "9 of 10" where one was rejected; empty where nothing has a kind."""
    planned, written = counted(entries), counted(entries, rejected)
    if not planned:
        return ""
    classes = sorted({emotion for numbers in planned.values() for emotion in numbers})
    rows = [[markdown(emotion), *_cells(planned, written, [emotion])] for emotion in classes]
    rows.append(["all", *_cells(planned, written, classes)])
    table = markdown_table(["class", *map(markdown, planned), "all"], rows, "lr")
    return f"# Instructions by kind and class\n\n{table}\n"


def _cells(planned: Counts, written: Counts, classes: Sequence[str]) -> list[str]:
    """Return the cells of one row: each kind's sum over `classes`, then the sum of these."""

    def summed(counts: Counts) -> list[int]:
        each = [sum(numbers.get(emotion, 0) for emotion in classes) for numbers in counts.values()]
        return [*each, sum(each)]

    pairs = zip(summed(planned), summed(written), strict=True)
    return [str(made) if made == wanted else f"{made} of {wanted}" for wanted, made in pairs]
