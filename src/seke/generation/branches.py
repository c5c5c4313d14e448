"""Ledgers of several workers at once: each has a branch of its own, and the shared ledger underneath is only read.

    with branching(shared, folder):           # holds the shared ledger: no other run writes into it meanwhile
        Branch(folder / "a.sqlite", shared)   # in a worker: finds what the shared one has, writes into its own

At the end, or when the next run begins, the branches are merged into the shared ledger.
"""

import json
import logging
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from seke.errors import UserError
from seke.ledger import Ledger, decoded

log = logging.getLogger(__name__)

DEATH_S = 30.0
"""How long a worker that has been ended may take to be gone, with its lock."""
FIND = "SELECT key, raw FROM replies WHERE key IN (SELECT value FROM json_each(?))"


class Branch(Ledger):
    """One worker's ledger, with what `shared` held when the run began underneath."""

    def __init__(self, path: str | Path, shared: Path) -> None:
        super().__init__(path)
        # `immutable`: neither lock nor write-ahead log is looked at, since the driver holds the file and leaves it be.
        self._shared = sqlite3.connect(f"{shared.absolute().as_uri()}?immutable=1", uri=True, check_same_thread=False)
        self._shared.text_factory = decoded

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the raw replies of those `keys` that are settled, here or in the shared ledger."""
        found = super().find(keys)
        rest = [key for key in keys if key not in found]
        return {**dict(self._shared.execute(FIND, (json.dumps(rest),))), **found} if rest else found


@contextmanager
def branching(shared: Path, folder: Path) -> Iterator[None]:
    """Hold `shared` while workers branch off it into `folder`, and merge their branches when they are done.

    Raises:
        UserError: if the shared ledger, or the branch of a worker that will not end, is in use.
    """
    with Ledger(shared) as trunk:
        gather(trunk, folder)  # of a run that was killed
        if doubt := trunk.in_doubt():
            log.warning("%s", doubt)
    # Closed once, all that it holds is in the one file that the branches read, and nothing in its write-ahead log.
    with Ledger(shared) as trunk:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield
        finally:
            gather(trunk, folder)


def gather(trunk: Ledger, folder: Path) -> None:
    """Merge the branches in `folder` into `trunk` and remove them; calls in doubt go along, and stay in doubt."""
    doubts = []
    for path in sorted(folder.glob("*.sqlite")):
        _wait_for_its_end(path)
        trunk.merge(path)
        with Ledger(path) as branch:
            doubts += branch.unsettled()
    for doubt in doubts:
        trunk.sent(doubt.key, f"{doubt.about}, by a worker at {doubt.sent_at}").result()
    # What was in doubt here and has been bought by a worker since is settled: with a further sending on its account.
    for key, raw in trunk.find([call.key for call in trunk.unsettled()]).items():
        trunk.done(key, raw, "", 0, 0).result()
    shutil.rmtree(folder, ignore_errors=True)


def _wait_for_its_end(path: Path) -> None:
    """Wait until no process has `path` open any more."""
    deadline = time.monotonic() + DEATH_S
    while True:
        try:
            Ledger(path).close()
        except UserError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
