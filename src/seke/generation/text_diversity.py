"""How diverse the texts of a generation are: distinct texts, distinct n-grams, and how far they can be compressed.

Distinct-n falls with the number of texts, so only sets of about one size compare; a compression ratio of twice as many
like texts is about the same. Both are taken of questions and of answers separately.
"""

import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from seke.core.records import InstructionRecord
from seke.core.text_tables import markdown_table
from seke.generation.statistics import KIND

ALL: Final = "all"
SPEAKERS: Final = {"human": "questions", "gpt": "answers"}
_TOKEN: Final = re.compile(r"\w+|[^\w\s]")


class Diversity(NamedTuple):
    """Of some texts, in lower case."""

    texts: int
    distinct: int
    """Different texts among these."""
    distinct_1: float
    """Different words in parts of all words, in (0, 1] (distinct-1: Li et al., NAACL 2016)."""
    distinct_2: float
    """The same of pairs of words that follow each other within a text; 0 where no text has two words."""
    compression_ratio: float
    """Bytes in parts of their compressed bytes, 1 or more but for the shortest texts: the higher, the more repetitive
    (Shaib et al. 2024, "Standardizing the Measurement of Text Diversity", who use gzip)."""


ByKind = Mapping[str, Mapping[str, Diversity]]
"""Of questions and of answers, by kind of instruction."""


def diversity(texts: Iterable[str]) -> Diversity | None:
    """Return how diverse texts are; None where there are none, or none with a word."""
    seen: set[str] = set()
    grams: tuple[set[tuple[str, ...]], set[tuple[str, ...]]] = (set(), set())
    totals = [0, 0]
    number = length = compressed = 0
    packer = zlib.compressobj(9)
    for text in texts:
        lower = text.lower()
        tokens = _TOKEN.findall(lower)
        for size, found in enumerate(grams):
            each = list(zip(*(tokens[start:] for start in range(size + 1)), strict=False))
            found.update(each)
            totals[size] += len(each)
        seen.add(lower)
        content = (lower + "\n").encode()
        length += len(content)
        compressed += len(packer.compress(content))
        number += 1
    compressed += len(packer.flush())
    if not totals[0]:
        return None
    shares = [round(len(found) / total, 4) if total else 0.0 for found, total in zip(grams, totals, strict=True)]
    return Diversity(number, len(seen), shares[0], shares[1], round(length / compressed, 3))


def of_instructions(rows: Iterable[InstructionRecord]) -> ByKind:
    """Return the diversity of questions and of answers by kind, and of all kinds together under "all".

    Empty where no row has a kind. A picture's placeholder is no part of a question.
    """
    said: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        if KIND not in row.attributes:
            continue
        for turn in row.conversations:
            text = turn.value.replace("<image>", "").strip()
            for kind in (ALL, str(row.attributes[KIND])):
                said.setdefault(kind, {}).setdefault(SPEAKERS[turn.speaker], []).append(text)
    return {
        kind: {part: found for part, texts in sorted(parts.items()) if (found := diversity(texts))}
        for kind, parts in sorted(said.items(), key=lambda item: (item[0] == ALL, item[0]))
    }


def page(found: ByKind) -> str:
    """Return the diversity as a section of statistics.md; empty where nothing has a kind."""
    rows = [
        [
            f"{kind}, {part}", str(of.texts), str(of.distinct), f"{of.distinct_1:.3f}", f"{of.distinct_2:.3f}",
            f"{of.compression_ratio:.1f}",
        ]
        for kind, parts in found.items()
        for part, of in parts.items()
    ]  # fmt: skip
    if not rows:
        return ""
    head = ["texts", "number", "different", "distinct-1", "distinct-2", "compression ratio"]
    return f"\n# Diversity of the texts\n\n{markdown_table(head, rows, 'lr')}\n"
