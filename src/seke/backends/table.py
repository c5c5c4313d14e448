"""A specialist's table as the annotator: `generate.py backend=table backend.path=openface.csv`, at $0.

A table answers no questions, so nobody is asked any: what its columns mean is learnt on human labels, as of a witness,
and what it does not say follows from what hangs together with it. Here is only what the settings say of it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from seke.core.vlm import Choice, Reply, Request

MODEL: Final = "table"


class Table:
    """The settings of a table.

    Args:
        path: a CSV, a folder of CSVs each named after its picture, a run's name, or several files.
        columns: what columns are called that are not called as known tools do.
    """

    prices: None = None

    def __init__(self, path: str | Sequence[str] | None, columns: Mapping[str, str | None] | None = None) -> None:
        self.table: Mapping[str, Any] = {"path": path, "columns": dict(columns or {})}

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield (index, reply) in order, none of which is an answer."""
        for index, request in enumerate(requests):
            names = ", ".join(image.path.name for image in request.images) or "this text"
            problem = f"{names}: a table answers no questions; generate.py reads it"
            yield index, Reply((Choice(problem, "invalid"),) * request.n, MODEL, cost=0.0)
