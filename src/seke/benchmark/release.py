"""The released FEAB: which images it consists of, and whether a run's images are these.

A number may be held against the paper's only on the paper's own test images. As many images of the same datasets are
not these: another draw has other people, other expressions and other shares of active units. The list is the user's
(`benchmark.release`), one image a line:

    bp4d/F001/T1/2440                                                  a record's id, or
    1b4f0e98...c7d1  FEAB/BP4D/F001_T1_2440.jpg                        what sha256sum prints of the released picture

`find FEAB -type f -exec sha256sum {} + > feab.sha256` lists a folder of released pictures.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seke.core.errors import UserError
from seke.core.records import ImageRecord

DIGEST: Final = re.compile(r"\\?([0-9a-f]{64})(?:[ \t].*)?")
"""A line of sha256sum; it begins with a backslash where the file's name had to be escaped."""


@dataclass(frozen=True)
class Release:
    """The images of a benchmark, as whoever released it lists them."""

    ids: frozenset[str]
    """Of records."""
    digests: frozenset[str]
    """sha256 of pictures."""

    def difference(self, records: Sequence[ImageRecord]) -> str:
        """Return how the images of `records` differ from these, or an empty string where they are the same."""
        ours = {digest for record in records if (digest := record.sha256) in self.digests}
        ours |= {record.id for record in records if record.id in self.ids}
        others = sum(record.id not in self.ids and record.sha256 not in self.digests for record in records)
        missing = len(self.ids) + len(self.digests) - len(ours)
        if not missing and not others:
            return ""
        return f"{missing} of the release's {len(self.ids) + len(self.digests)} images are missing, {others} are others"


def read_release(file: Path) -> Release:
    """Return the images that a list names, one a line; empty lines, and those that begin with #, name none.

    Raises:
        UserError: if it is no text, or names no image.
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        remedy = "give a text with one image a line: its record's id, or what sha256sum prints of it"
        raise UserError("benchmark.release", file, f"does not read as text ({error})", remedy) from error
    named = [line for line in lines if line and not line.startswith("#")]
    if not named:
        raise UserError("benchmark.release", file, "names no image", "list one a line, by id or by sha256sum")
    found = [DIGEST.fullmatch(line) for line in named]
    return Release(
        ids=frozenset(line for line, digest in zip(named, found, strict=True) if digest is None),
        digests=frozenset(digest[1] for digest in found if digest is not None),
    )
