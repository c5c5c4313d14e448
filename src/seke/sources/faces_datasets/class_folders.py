r"""Pictures in folders that are called like expressions, as FER2013, CK+48, RAF-DB and AffectNet go round.

    fer2013/{train,test}/{angry,disgust,fear,happy,neutral,sad,surprise}/*.jpg
    CK+48/{anger,contempt,disgust,fear,happy,sadness,surprise}/S010_004_00000017.png       the subject is S010
    DATASET/{train,test}/{1,2,3,4,5,6,7}/train_00001_aligned.jpg                           classes=raf_db
    AffectNet/{train,val,test}/{0,1,2,3,4,5,6,7}/*.jpg                                     classes=affectnet

The word of a folder is the label; a table beside the folders that says otherwise rejects the picture. Numbers are read
by the convention that `classes` states, never guessed. Folders around it that name a split are the split. Where none
does, people are kept together by what file names say of them, and pictures of nobody known are each hashed.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Unpack

from seke.core import file_tree
from seke.core.class_words import Vocabulary, bare
from seke.core.errors import UserError
from seke.core.records import Labels, Split
from seke.sources.base.licensed import Licensed, SplitSettings
from seke.sources.base.source import results
from seke.sources.base.split import Draw, Listed
from seke.sources.base.split_words import check_lists, checked_splits, split_folders, split_word
from seke.sources.faces_datasets.class_tables import contradictions, tables

SUBJECT: Final = r"(S\d{3})_\d{3}_\d+"
"""How CK+ names its frames: subject, sequence, number."""


class FolderPicture(NamedTuple):
    """A picture and the folder that names its class."""

    image: str
    """Relative to the root."""
    folder: str
    place: tuple[str, ...]
    """The folders around that may name a split."""


class ClassFolders(Licensed):
    """One record for each picture in a folder that names an expression.

    Args:
        name: what records and reports call the dataset.
        classes: what folders are called beside the known words: a convention for numbers (raf_db, affectnet, fer2013,
            ck_plus), or names with their expressions; null leaves the pictures of a class out.
        splits: folders whose names do not tell, with their split; null hashes their pictures.
        subject: regular expression at the beginning of a file name, whose first group is the person; None: nobody is
            known.

    Raises:
        UserError: if a setting is none of these; later if a folder names no expression, if numbers are not those of the
            convention, or if one folder names a split and another one beside it does not.
    """

    def __init__(
        self,
        root: str | None,
        name: str = "class_folders",
        classes: object = None,
        splits: object = None,
        subject: str | None = SUBJECT,
        **split: Unpack[SplitSettings],
    ) -> None:
        self.name = name
        if not isinstance(name, str) or not re.fullmatch(r"[\w.+-]+", name):
            raise UserError("source.name", name, "no name of a dataset", "use letters, digits and _")
        super().__init__(root, **split)
        self.vocabulary, self.splits = Vocabulary(classes), checked_splits(splits)
        self._folders: Counter[str] = Counter()
        try:
            self.subject = re.compile(subject) if subject is not None else None
        except (re.error, TypeError) as error:
            raise UserError(
                "source.subject", subject, f"no regular expression ({error})", "set for example ^(S\\d+)_"
            ) from None
        if self.subject is not None and self.subject.groups < 1:
            raise UserError("source.subject", subject, "it has no group", "put what names the person into ( )")

    @property
    def inputs(self) -> dict[str, Path]:
        """The tables of labels beside the folders, if there are any."""
        return {table.name: table for table in tables(self.root)}

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield every picture in a class folder, and a rejection for each of a class that is no expression, or of none.

        Raises:
            UserError: see the class.
        """
        filed, loose = self._sorted(results(run_path))
        if not filed:
            none = file_tree.missing(self.root, "pictures in folders called angry, happy, sad, ... (or 0, 1, 2, ...)")
            remedy = "give the folder around them, or say what yours mean: 'source.classes={joie: happiness}'"
            raise UserError("source.root", self.root, none.problem, remedy)
        self.vocabulary.check_numbers({row.folder for row in filed})
        self._folders = Counter(row.folder for row in filed)
        sides = split_folders(self.root, [row.place for row in filed], self.splits)
        check_lists(self.root, sides, self.splits)
        known = Counter(side for side in sides.values() if side)
        contradicted = contradictions(tables(self.root), {row.image: row.folder for row in filed}, self.vocabulary)
        for row in filed:
            if other := contradicted.get(row.image):
                detail = f"its folder says {row.folder}, and {other.where} says {other.label[:40]}"
                yield self.rejection(row.image, "two labels", detail)
                continue
            key = self._subject(row.image) or row.image
            expression = self.vocabulary.expression(row.folder)
            yield self.record(
                row.image, row.image, Labels(expression=expression), self._split(key, sides[row.place], known),
                self._subject(row.image), why_empty=f"the class {row.folder} is no expression",
            )  # fmt: skip
        for image in loose:
            yield self.no_label(image, "no folder around it names a class")

    def understood(self) -> Sequence[str]:
        """Return what each folder was read as, and how many pictures it holds."""
        read = {folder: self.vocabulary.expression(folder) or "left out" for folder in sorted(self._folders)}
        return ["folders: " + ", ".join(f"{folder} -> {read[folder]} ({self._folders[folder]})" for folder in read)]

    def _sorted(self, outputs: Path) -> tuple[list[FolderPicture], list[str]]:
        """Return the pictures in class folders, and those that lie outside any."""
        filed, loose = [], []
        unknown: Counter[str] = Counter()
        for path in file_tree.walk(self.root, *file_tree.IMAGES, leave=outputs):
            relative = path.relative_to(self.root)
            around = relative.parts[:-1]
            at = self._class(around)
            if at is not None:
                inner = (part for part in around[at + 1 :] if split_word(part, exact=True))
                filed.append(FolderPicture(relative.as_posix(), around[at], (*around[:at], *inner)))
            elif not around or around[-1].lower() in self.splits or split_word(around[-1]):
                loose.append(relative.as_posix())
            else:
                unknown["/".join(around)] += 1
        if unknown and filed:
            raise self._unknown(unknown)
        if unknown and not filed and any(self.vocabulary.nearest(place.rpartition("/")[2]) for place in unknown):
            raise self._unknown(unknown)
        return filed, loose

    def _class(self, around: tuple[str, ...]) -> int | None:
        """Return which of the folders around a picture names its class: a word, or else the only number.

        Raises:
            UserError: if two of them name different classes.
        """
        words = [at for at, part in enumerate(around) if self.vocabulary.knows(part) and not bare(part).isdigit()]
        if len({self.vocabulary.expression(around[at]) for at in words}) > 1:
            problem = f"{'/'.join(around)} names two classes"
            raise UserError("source.root", self.root, problem, "move its pictures into the folder of one class")
        if words:
            return words[-1]
        numbers = [at for at, part in enumerate(around) if part.isascii() and part.isdigit()]
        return numbers[0] if len(numbers) == 1 else None

    def _unknown(self, folders: Counter[str]) -> UserError:
        place = min(folders)
        name = place.rpartition("/")[2]
        near = self.vocabulary.nearest(name)
        others = f", nor do {len(folders) - 1} others" if len(folders) > 1 else ""
        problem = f"the folder {place} ({folders[place]} pictures) names no expression{others}"
        meant = f"did you mean {near}? rename it, or " if near else ""
        remedy = f"{meant}set 'source.classes={{{name}: {self.vocabulary.expression(near or '') or 'null'}}}'"
        return UserError("source.root", self.root, problem, f"{remedy} (null leaves its pictures out)")

    def _split(self, key: str, side: Split | None, sides: Counter[Split]) -> Split | Draw:
        if side is None:
            return self.split(key)
        # Where the owners set nothing aside to choose settings on, a part of their training side is.
        return self.official(key, test=False) if side == "train" and not sides["validation"] else side

    def _subject(self, image: str) -> str | None:
        found = self.subject.match(image.rpartition("/")[2]) if self.subject else None
        return found[1] if found else None
