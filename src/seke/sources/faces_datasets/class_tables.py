"""Tables beside class folders, as Kaggle's RAF-DB and AffectNet have them, and what they say against the folders.

    train_labels.csv    image,label        train_00001_aligned.jpg,5
    labels.csv          ,pth,label,relFCs  0,anger/image0000006.jpg,surprise,0.87

The folder is the label; a table that names another one for a picture makes it a picture with two labels, which nobody
can learn from. Tables of other columns are passed over.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from seke.core import file_tree
from seke.core.class_words import Vocabulary
from seke.core.errors import UserError
from seke.sources.base.table_file import open_table
from seke.sources.base.tables import RowError, TableError
from seke.sources.faces_datasets.row_matching import matched

IMAGE: Final = ("image", "pth", "path", "file", "filename", "file_name", "image_name", "image_path", "name", "img")
LABEL: Final = ("label", "labels", "expression", "emotion", "class")


class TableLabel(NamedTuple):
    """What a table says of one picture."""

    label: str
    where: str
    """File and line."""


def tables(root: Path) -> list[Path]:
    """Return the tables of labels that lie directly in the folder."""
    return [Path(entry.path) for entry in file_tree.files(root, ".csv") if "label" in entry.name.lower()]


def contradictions(files: Iterable[Path], folders: Mapping[str, str], vocabulary: Vocabulary) -> dict[str, TableLabel]:
    """Return the pictures, of which `folders` names the class, that a table gives another expression.

    Raises:
        UserError: if a table cannot be read as text, or a quote in it is never closed.
    """
    found: dict[str, TableLabel] = {}
    for file in files:
        rows = _rows(file)
        pictures, _ = matched(rows, folders)
        for picture, row in pictures.items():
            label = rows[row]
            if vocabulary.knows(label.label) and _differ(vocabulary, label.label, folders[picture]):
                found[picture] = label
    return found


def _differ(vocabulary: Vocabulary, one: str, other: str) -> bool:
    return vocabulary.expression(one) != vocabulary.expression(other)


def _rows(file: Path) -> dict[str, TableLabel]:
    try:
        lines = open_table(file, None, None, lambda _: 2).rows
        header = next(lines, (1, []))[1]
        names = [] if isinstance(header, RowError) else [cell.strip().lower() for cell in header]
        image = next((names.index(name) for name in IMAGE if names.count(name) == 1), None)
        label = next((names.index(name) for name in LABEL if names.count(name) == 1), None)
        if image is None or label is None:
            return {}
        return {
            cells[image].strip().replace("\\", "/"): TableLabel(cells[label].strip(), f"{file.name}, line {line}")
            for line, cells in lines
            if not isinstance(cells, RowError) and len(cells) == len(names)
        }
    except TableError as error:
        remedy = "correct the table, or move it away if the folders are right"
        raise UserError("source.root", file, str(error), remedy) from None
