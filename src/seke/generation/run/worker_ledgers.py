"""Ledger shards: each worker of engine=ray writes into one of its own and reads the ledger of all runs underneath.

    <run>/ledgers/<worker>.sqlite    what a worker has paid for, on disk reply by reply

Once the workers have ended, or when the run goes on after a crash, the shards are merged into the ledger of all runs.
"""

import json
import logging
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from seke.core.budget import Metered
from seke.core.errors import UserError
from seke.core.ledger import Ledger, decoded
from seke.core.vlm import Recording

log = logging.getLogger(__name__)

LEDGERS: Final = "ledgers"
DEATH_S = 30.0
"""How long a worker that has been ended may take to be gone, with its lock."""
FIND: Final = "SELECT key, raw FROM replies WHERE key IN (SELECT value FROM json_each(?))"
TELLS: Final = "SELECT 1 FROM replies WHERE substr(about, 1, ?) = ? LIMIT 1"


class Shard(Ledger):
    """One worker's ledger, with what `shared` held when the run began underneath.

    A worker that was started anew opens the shard of its former self, and finds there what that has paid for.
    """

    def __init__(self, path: Path, shared: Path) -> None:
        _when_free(path).close()
        super().__init__(path)
        # `immutable`: neither lock nor write-ahead log is looked at, since the driver holds the file and leaves it be.
        self._shared = sqlite3.connect(f"{shared.absolute().as_uri()}?immutable=1", uri=True, check_same_thread=False)
        self._shared.text_factory = decoded

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the raw replies of those `keys` that are settled, here or in the shared ledger."""
        found = super().find(keys)
        rest = [key for key in keys if key not in found]
        return {**dict(self._shared.execute(FIND, (json.dumps(rest),))), **found} if rest else found

    def has_answered(self, about: str) -> bool:
        """Return whether any call whose `about` begins so has ever been answered, here or in the shared ledger."""
        return super().has_answered(about) or self._shared.execute(TELLS, (len(about), about)).fetchone() is not None


def ledger_of(meter: Metered | None) -> Path | None:
    """Close what the annotators of one budget have open; return the ledger that they keep, where they do.

    Raises:
        UserError: if they keep two.
    """
    if meter is None:
        return None
    meter.close()
    kept = (backend.ledger for backend in meter.backends if isinstance(backend, Recording))
    first, *others = sorted({str(Path(path).absolute()) for path in kept if isinstance(path, str | Path)}) or [""]
    if others:
        raise UserError(
            "backend.ledger", first, f"another annotator of this run keeps another, {others[0]}", "give both the same"
        )
    return Path(first) if first else None


def recover(folder: Path, meter: Metered | None) -> None:
    """Merge what workers left in a run's folder when it was killed, whichever engine goes on with it now."""
    if (folder / LEDGERS).is_dir() and (ledger := ledger_of(meter)) is not None:
        with Ledger(ledger) as trunk:
            gather(trunk, folder / LEDGERS)


@contextmanager
def sharing(shared: Path, folder: Path) -> Iterator[None]:
    """Hold `shared` while workers write shards into `folder`, and merge these when they have ended.

    Raises:
        UserError: if the shared ledger, or the shard of a worker that will not end, is in use.
    """
    with Ledger(shared) as trunk:
        gather(trunk, folder)  # of a run that was killed
        if doubt := trunk.in_doubt():
            log.warning("%s", doubt)
    # Closed once, all that it holds is in the one file that the workers read, and nothing in its write-ahead log.
    with Ledger(shared) as trunk:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield
        finally:
            gather(trunk, folder)


def gather(trunk: Ledger, folder: Path) -> None:
    """Merge the shards in `folder` into `trunk` and remove them; calls in doubt go along, and stay in doubt."""
    for path in sorted(folder.glob("*.sqlite")):
        with _when_free(path) as shard:
            doubts = shard.unsettled()
        trunk.merge(path)
        for doubt in doubts:
            trunk.sent(doubt.key, f"{doubt.about}, by a worker at {doubt.sent_at}").result()
    # What was in doubt here and has been paid for by a worker since is settled: with a further sending on its account.
    for key, raw in trunk.find([call.key for call in trunk.unsettled()]).items():
        trunk.done(key, raw, "", 0, 0).result()
    shutil.rmtree(folder, ignore_errors=True)


def _when_free(path: Path) -> Ledger:
    """Open the ledger at `path` as soon as no other process has it open any more."""
    deadline = time.monotonic() + DEATH_S
    while time.monotonic() < deadline:
        with suppress(UserError):
            return Ledger(path)
        time.sleep(0.1)
    return Ledger(path)
