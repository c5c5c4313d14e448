"""Common parts of the simulated backends: the truth behind a picture, and token usage estimated from the text."""

import glob
from collections.abc import Sequence
from pathlib import Path

from seke.core.dry_run import CHARACTERS_PER_TOKEN, IMAGE_TOKENS
from seke.core.records import ImageRecord, read_jsonl
from seke.core.vlm import Choice, Reply, Request, Usage


def truths(pattern: str) -> dict[str, ImageRecord]:
    """Return the records in the truth files that a glob names, by the sha256 of their pictures.

    The folders that it begins with and that are there are no part of the pattern, whatever signs their names have.
    """
    parts = Path(pattern).parts
    there = max((n for n in range(len(parts) + 1) if Path(*parts[:n]).is_dir()), default=0)
    escaped = str(Path(*map(glob.escape, parts[:there]), *parts[there:]))
    rows = (row for file in sorted(glob.glob(escaped)) for row in read_jsonl(Path(file), ImageRecord))
    return {row.sha256: row for row in rows if row.sha256}


def simulated(
    request: Request, choices: Sequence[Choice], model: str, usd_per_million: tuple[float, float] | None, blind: bool
) -> Reply:
    """Return the reply of a simulation, its usage and cost estimated.

    Args:
        request: what was asked.
        choices: the answers.
        model: who seems to have answered.
        usd_per_million: price of input and output tokens, to play through; None: no price is known.
        blind: whether the picture was in none of the truth files.
    """
    usage = Usage(
        len(request.text) // CHARACTERS_PER_TOKEN + IMAGE_TOKENS * len(request.images),
        sum(len(choice.text) for choice in choices) // CHARACTERS_PER_TOKEN,
    )
    cost = None
    if usd_per_million is not None:
        into, out = usd_per_million
        cost = (usage.input_tokens * into + usage.output_tokens * out) / 1_000_000
    return Reply(tuple(choices), model, usage, cost, simulated=True, blind=blind)
