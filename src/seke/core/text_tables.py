"""Tables as text: Markdown as GitHub shows it, and CSV that a spreadsheet opens."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from seke.core.escape import csv_cell

RULES: Final = {"l": "---", "r": "---:"}


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str = "l") -> str:
    r"""Return a table in Markdown, without a line's end after its last row.

    Args:
        head: the columns' names.
        rows: the cells. Like the names they are Markdown: text from elsewhere goes through `escape.markdown` first.
        align: a letter a column, l(eft) or r(ight); the last one is that of all further columns.

    >>> print(markdown_table(["label", "n", "F1"], [["AU1", "3", "**0.5**"]], align="lr"))
    | label | n | F1 |
    | --- | ---: | ---: |
    | AU1 | 3 | **0.5** |
    """
    rule = [RULES[letter] for letter in align.ljust(len(head), align[-1])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


def csv_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""Return a table as CSV, each row ended by a line feed; no cell is a formula to a spreadsheet.

    >>> csv_table(["label", "F1"], [["a, b", "0.5"], ["=1+1", ""]])
    'label,F1\n"a, b",0.5\n\'=1+1,\n'
    """
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([csv_cell(cell) for cell in cells] for cells in (head, *rows))
    return out.getvalue()
