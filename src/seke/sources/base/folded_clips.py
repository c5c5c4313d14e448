"""Datasets of clips with one emotion each, dealt into official folds by lists of the owners' (DFEW, MAFW).

A dataset says where its lists and clips lie and how a list is read; what a fold keeps, and why a clip is rejected, is
here. Nobody says who is seen in such clips: no split can keep people apart, the owners' is kept.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

from seke.core.affect import EXPRESSIONS
from seke.core.records import Labels
from seke.sources.base.clip_source import ClipSettings, ClipSource
from seke.sources.base.folds import FOLDS, Fold, Listing, check_complete, checked_fold
from seke.sources.base.split import Listed
from seke.sources.base.tables import Bad


class FoldedClips(ClipSource):
    """One record for each clip of a fold, or of all, with one emotion; `attributes.fold` is the one that tests it.

    An emotion that is none of our expressions stands in `attributes.emotion` alone, where all emotions stand.

    Args:
        root: see `ClipSource`.
        fold: 1 to 5, or "all".
        images: the folder of clips; without it the first of those known is taken.
        settings: see `ClipSource`.

    Raises:
        UserError: see `ClipSource`; if `fold` is none, if there are no lists or clips, or a list is damaged.
    """

    def __init__(
        self, root: str | None, fold: Fold = 1, images: str | None = None, **settings: Unpack[ClipSettings]
    ) -> None:
        super().__init__(root, **settings)
        self.fold = checked_fold(fold)
        self.images = images

    @property
    @abstractmethod
    def lists(self) -> Mapping[tuple[int, bool], Path]:
        """The list of each fold and side (True: test)."""

    @property
    @abstractmethod
    def folders(self) -> Sequence[Path]:
        """The folders of clips."""

    @abstractmethod
    def named(self, folder: Path) -> Mapping[str, Path]:
        """Return the clips of a folder by their names in `listed`."""

    @abstractmethod
    def listed(self, bad: list[Bad]) -> Mapping[str, Listing]:
        """Return what the lists say of each clip, by its name; rows that say nothing go to `bad`."""

    def emotion(self, label: str) -> str | None:
        """Return the emotion that a label of the lists stands for; None: no single one."""
        return label

    @property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """The lists of all folds."""
        return {"labels": list(self.lists.values())}

    def roots(self, run_path: Path) -> Sequence[Path]:
        """Return the folders of clips."""
        return self.folders

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield every clip that the fold's lists name, and a rejection for those without a file or one emotion.

        Raises:
            UserError: if a list is damaged, or the fold's is not there.
        """
        bad: list[Bad] = []
        clips = self.listed(bad)
        tested = {fold: sum(fold in listing.test for listing in clips.values()) for fold in FOLDS}
        check_complete(tested, self.fold)
        yield from self.bad_rows(bad)
        for key, listing in sorted(clips.items()):
            if (side := listing.side(self.fold)) is None:
                continue
            if problem := listing.problem:
                yield self.bad_label(key, problem)
            elif (emotion := self.emotion(listing.label)) is None:
                yield self.no_label(key, f"label {listing.label}, which is no single expression")
            elif key not in self.there:
                where = " or ".join(map(self.relative, self.folders))
                yield self.no_image(key, f"neither a folder nor a video of clip {key} in {where}")
            else:
                labels = Labels(expression=emotion if emotion in EXPRESSIONS else None)
                told: dict[str, Any] = {"fold": listing.fold, "emotion": emotion}
                yield self.clip(key, self.there[key], labels, self.official(key, side == "test"), None, told)

    @cached_property
    def there(self) -> Mapping[str, Path]:
        """The clips by their names; a name that is in several folders is the first one's."""
        found: dict[str, Path] = {}
        for folder in self.folders:
            for name, path in self.named(folder).items():
                found.setdefault(name, path)
        return found
