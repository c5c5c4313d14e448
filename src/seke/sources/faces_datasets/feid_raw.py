"""The raw data of FEID and FEAB: the six datasets of Table 1 in one, each drawn down to the paper's counts (Sec. 4.1).

Every dataset keeps its own labels, subjects and split. The draw is ours where the paper is silent: expression sets are
balanced over expressions, AU sets over each image's rarest active AU, and subjects take turns in both. What an AU
set is tested on is drawn plainly: a balanced test side would show every AU more often than people do, and F1 with it.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, get_args

from seke.core.errors import UserError
from seke.core.records import Description, ImageRecord, Rejection
from seke.sources.base.source import Source
from seke.sources.prepare.subsample import BALANCE, draw, draw_plainly

REMEDY: Final = "move (or mount) them below one folder, or prepare each by itself"
PLAIN: Final = "none"
"""The balance of a draw that is even over nothing."""
SIDES: Final[Mapping[str, tuple[str, ...]]] = {"train": ("train", "validation"), "test": ("test",)}
"""The paper's train is our train and validation together."""


@dataclass(frozen=True)
class Draw:
    """How one dataset is drawn down (conf/source/feid_raw.yaml)."""

    train: int
    """Images for FEID, our validation among them."""
    test: int
    """Images for FEAB."""
    balance: str = "expression"
    """What the draw is even over: expression, action_units (the rarest one active), or none (drawn plainly)."""
    balance_test: str | None = None
    """The same of the test side; None: as `balance`."""
    require: tuple[str, ...] = ()
    """Labels that an image must carry to be drawn."""

    @classmethod
    def checked(cls, name: str, settings: Mapping[str, Any]) -> "Draw":
        """Build one from its YAML.

        Raises:
            UserError: if a number, a label or the balance is none.
        """
        where = f"source.draw.{name}"
        try:
            made = cls(**{**settings, "require": tuple(settings.get("require", ()))})
        except TypeError as error:
            raise UserError(
                where, dict(settings), str(error), "use train, test, balance, balance_test and require"
            ) from error
        for side in ("train", "test"):
            number = getattr(made, side)
            if isinstance(number, bool) or not isinstance(number, int) or number < 0:
                raise UserError(f"{where}.{side}", number, "not a number of images", "set 0 or more")
        for key, value in (("balance", made.balance), ("balance_test", made.balance_test or made.balance)):
            if value not in (*BALANCE, PLAIN):
                raise UserError(f"{where}.{key}", value, "unknown", f"use {', '.join(BALANCE)} or {PLAIN}")
        for label in made.require:
            if label not in get_args(Description):
                raise UserError(f"{where}.require", label, "no such label", f"use {', '.join(get_args(Description))}")
        return made


class FeidRaw(Source):
    """Several sources as one; a source without an entry in `draw` is taken whole.

    Raises:
        UserError: if there is no source, if they share no folder, or if a draw is none.
    """

    def __init__(self, sources: Mapping[str, Source], draw: Mapping[str, Mapping[str, Any]], seed: int = 0) -> None:
        if not sources:
            raise UserError("source.sources", {}, "no dataset left", "keep at least one of the six")
        self.sources, self.seed = dict(sources), seed
        self._prefixes: dict[str, PurePosixPath] = {}
        self.draws = {name: Draw.checked(name, settings) for name, settings in draw.items() if name in sources}

    @property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """Every source's label files, as `<source>.<name>`."""
        return {f"{name}.{key}": files for name, source in self.sources.items() for key, files in source.inputs.items()}

    def roots(self, run_path: Path) -> Sequence[Path]:
        """Return every source's folders."""
        return [root for source in self.sources.values() for root in source.roots(run_path)]

    def image_root(self, run_path: Path) -> str:
        """Return the deepest folder that holds all roots (as a rule paths.data).

        Raises:
            UserError: if that is the whole disk, which would be no root at all.
        """
        roots = self._roots(run_path)
        try:
            shared = Path(os.path.commonpath(list(roots.values())))
        except ValueError:  # different drives
            shared = Path(os.sep)
        if shared == Path(shared.anchor):
            listed = ", ".join(map(str, roots.values()))
            raise UserError("source.sources", listed, "these folders share nothing but the disk", REMEDY)
        return str(shared)

    def read(self, run_path: Path) -> Iterator[ImageRecord | Rejection]:
        """Yield what the sources yield, one after the other, with images relative to the shared folder."""
        shared = self.image_root(run_path)
        for name, source in self.sources.items():
            prefix = PurePosixPath(self._roots(run_path)[name].relative_to(shared).as_posix())
            self._prefixes[name] = prefix
            for row in source.read(run_path):
                if isinstance(row, Rejection):
                    yield row
                    continue
                if row.source != name:
                    raise UserError(f"source.sources.{name}", row.source, "is another dataset", f"call it {row.source}")
                yield row.model_copy(update={"image": str(prefix / row.image)})

    def draw(self, pool: Sequence[ImageRecord]) -> Sequence[ImageRecord]:
        """Return each source's share of the pool, train and test drawn apart."""
        chosen: list[ImageRecord] = []
        for name in self.sources:
            own = [record for record in pool if record.source == name]
            chosen += self._share(own, self.draws[name]) if name in self.draws else own
        return chosen

    def fetch(self, records: Sequence[ImageRecord]) -> Iterator[Rejection]:
        """Let each source bring its own images into being."""
        for name, source in self.sources.items():
            own = [self._as_its_own(record) for record in records if record.source == name]
            if own:
                yield from source.fetch(own)

    def shown(self, record: ImageRecord) -> ImageRecord:
        """Return a fetched record with what its source has learnt of it, its files relative to the shared folder."""
        prefix = self._prefixes[record.source]
        found = self.sources[record.source].shown(self._as_its_own(record))
        below = {"image": str(prefix / found.image)}
        if found.clip is None or not found.clip.frames:
            return found.model_copy(update=below)
        frames = tuple(str(prefix / frame) for frame in found.clip.frames)
        return found.model_copy(update={**below, "clip": found.clip.model_copy(update={"frames": frames})})

    def _as_its_own(self, record: ImageRecord) -> ImageRecord:
        """Return a record as its source has it, with its image relative to the source's root."""
        image = PurePosixPath(record.image).relative_to(self._prefixes[record.source])
        return record.model_copy(update={"image": str(image)})

    def _share(self, own: Sequence[ImageRecord], share: Draw) -> list[ImageRecord]:
        usable = [r for r in own if all(getattr(r.labels, label) is not None for label in share.require)]
        chosen: list[ImageRecord] = []
        for side, splits in SIDES.items():
            pool = [record for record in usable if record.split in splits]
            balance = (share.balance_test if side == "test" else None) or share.balance
            count = getattr(share, side)
            if balance == PLAIN:
                chosen += draw_plainly(pool, count, self.seed)
            else:
                chosen += draw(pool, count, BALANCE[balance](pool), self.seed)
        return chosen

    def _roots(self, run_path: Path) -> dict[str, Path]:
        return {name: (run_path / source.image_root(run_path)).resolve() for name, source in self.sources.items()}
