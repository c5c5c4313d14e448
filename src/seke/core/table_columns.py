"""Columns of a table of faces: which of ours each one is, by its name, by what tools call it, or by `source.columns`.

    image, Filename, image_path, input      the picture           AU12, au_12, AU12_c      whether an action unit occurs
    subject, participant_id, person         who it shows          AU12_r, au_12_intensity  its intensity, 0 to 5
    expression, emotion, facial_expression  one of eight words    anger, disgust, ...      a share of each: the largest

A column that is none of ours is left unread and listed; one that is nearly called like one of ours is a mistake.
"""

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.class_words import NAMES as CLASS_WORDS
from seke.core.errors import UserError
from seke.core.images import SUFFIXES

SETTING: Final = "source.columns"
"""The setting that says what a table's columns are called."""
ATTRIBUTE: Final = "attributes."
INTENSITY: Final = "_r"
"""What our name of an action unit's column ends with if it holds intensities."""
SHARE: Final = "share."
"""What our name of a column begins with that holds a share of one expression."""
SUCCESS: Final = "success"
"""OpenFace's column that says whether it has found a face."""
CALLED: Final[Mapping[str, tuple[str, ...]]] = {
    "image": (
        "image", "imagename", "imagefile", "imagepath", "filename", "file", "filepath", "path", "pth", "picture",
        "photo", "img", "imgname", "imgpath", "input",
    ),
    "subject": ("subject", "subjectid", "participant", "participantid", "person", "personid"),
    "expression": ("expression", "emotion", "facialexpression", "dominantemotion"),
    "valence": ("valence",),
    "arousal": ("arousal",),
    "frame": ("frame", "frameidx", "frameindex"),
}  # fmt: skip
"""What the columns are called, in lower case and without signs; where a table has several, the first counts."""
UNIT: Final = re.compile(r"(?:au|action[\s_.-]*unit)[\s_.-]*0*([0-9]{1,3})(.*)", re.DOTALL)
OCCURRENCE_ENDINGS: Final = ("", "c", "presence", "present", "occurrence", "occ")
INTENSITY_ENDINGS: Final = ("r", "intensity", "int")
OTHER_UNITS: Final = frozenset((8, 11, 13, 16, 18, 19, 21, 22, *range(27, 47)))
"""Units of FACS, or of a tool's columns, that are none of the 17; there is no AU3."""
OPENFACE3: Final = frozenset(("emotion", "gaze_yaw", "gaze_pitch", "action_units"))
"""Columns by which a table of OpenFace 3 (Hu et al. 2025) is known: its emotions are numbers in AffectNet's order, and
its action units are eight numbers in one cell, whose units the file does not name."""
NEAR: Final = 0.8
SHOWN: Final = 12


class Column(NamedTuple):
    """A column that is read."""

    title: str
    """As the file has it."""
    name: str
    """One of ours: image, frame, subject, expression, valence, arousal, AU12, AU12_r, share.anger, attributes.x."""
    place: int
    """Which cell of a row it is, from 0."""


class Header(NamedTuple):
    """What the first row of a table says."""

    columns: list[Column]
    unread: list[str]
    """Titles of the columns that are left out."""
    mistakes: list[tuple[str, str]]
    """Titles that cannot be right, and why."""
    openface3: bool = False

    def named(self, name: str) -> Column | None:
        """Return the column of that name, if it is read."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def labelled(self) -> bool:
        """Whether any column says what a face shows."""
        return any(
            column.name in ("expression", "valence", "arousal") or column.name.startswith(("AU", SHARE))
            for column in self.columns
        )


def checked_columns(columns: object, setting: str = SETTING) -> dict[str, str | None]:
    """Return the setting `source.columns`, or another: our name of a column and the title that the table has for it.

    Raises:
        UserError: if it is no mapping, or one of something else than our names to titles.
    """
    if columns is None:
        return {}
    if not isinstance(columns, Mapping):
        raise UserError(setting, columns, "not names of columns", "set for example {image: Bild}")
    checked: dict[str, str | None] = {}
    for ours, title in columns.items():
        name = _unit_name(_plain(str(ours))) or str(ours).strip()
        if name not in CALLED and not _unit_name(_plain(name)) and not re.fullmatch(r"attributes\.\S+", name):
            remedy = f"use {', '.join(CALLED)}, AU1, AU1{INTENSITY} or {ATTRIBUTE}<name>"
            raise UserError(f"{setting}.{ours}", title, "no column of ours", remedy)
        if isinstance(title, Mapping | list) or title == "":
            raise UserError(f"{setting}.{ours}", title, "no title of a column", "set the title, or null")
        checked[name] = None if title is None else str(title)
    return checked


def read_header(titles: Sequence[str], wanted: Mapping[str, str | None], setting: str = SETTING) -> Header:
    """Return which column is what; `setting` is where `wanted` comes from.

    >>> header = read_header(["Bild.jpg", "Filename", "AU12_r", "notes", "valance"], {})
    >>> [column.name for column in header.columns], header.unread, [title for title, _ in header.mistakes]
    (['image', 'AU12_r'], ['Bild.jpg', 'notes'], ['valance'])
    """
    plain = [_plain(title) for title in titles]
    header = Header([], [], [], openface3=set(plain) >= OPENFACE3)
    taken = _taken(titles, plain, wanted, header, setting)
    names = [taken.get(place) or _name(plain, place, wanted) for place in range(len(titles))]
    if "image" in names:
        names = [None if name == "frame" else name for name in names]
    shares = {place for place, title in enumerate(plain) if title in CLASS_WORDS and place not in taken}
    if len(shares) > 1 and "expression" not in names:
        names = [f"{SHARE}{CLASS_WORDS[plain[p]]}" if p in shares else name for p, name in enumerate(names)]
    for place, (title, name) in enumerate(zip(titles, names, strict=True)):
        shown = title.strip()[:80]
        if name and header.named(name):
            header.mistakes.append((shown, "this column stands twice"))
        elif name:
            header.columns.append(Column(shown, name, place))
        elif problem := _problem(plain[place], wanted):
            header.mistakes.append((shown, problem))
        elif shown:
            header.unread.append(shown)
    return header


def columns_named(titles: Sequence[str], wanted: Mapping[str, str | None]) -> int:
    """Return how many of our columns a row of titles names, shares aside; 0 if pictures are not among them.

    >>> columns_named(["Image", "AU12", "notes"], {}), columns_named(["Study of 2024", "happy", "sad"], {})
    (2, 0)
    """
    columns = read_header(titles, wanted).columns
    named = [column.name for column in columns if not column.name.startswith(SHARE)]
    return len(named) if "image" in named else 0


def picture_column(
    titles: Sequence[str], rows: Sequence[Sequence[str]], endings: tuple[str, ...] = SUFFIXES
) -> str | None:
    """Return the title of the only column in which most cells are called like pictures, None if none or several are."""
    likely = [
        title.strip()
        for place, title in enumerate(titles)
        if 2 * sum(row[place].strip().lower().endswith(endings) for row in rows if place < len(row)) > len(rows) > 0
    ]
    return likely[0] if len(likely) == 1 else None


def _taken(
    titles: Sequence[str], plain: Sequence[str], wanted: Mapping[str, str | None], header: Header, setting: str
) -> dict[int, str]:
    """Return the places of the columns that the setting names, and our names of them."""
    taken: dict[int, str] = {}
    for name, title in wanted.items():
        if title is None:
            continue
        places = [place for place, there in enumerate(plain) if there == _plain(title)]
        if len(places) == 1 and places[0] not in taken:
            taken[places[0]] = name
        elif places:
            header.mistakes.append((title[:80], f"{setting} gives it two names, or it stands twice"))
        else:
            there = ", ".join(title.strip()[:40] for title in titles[:SHOWN] if title.strip())
            near = difflib.get_close_matches(_plain(title)[:64], plain, 1, NEAR)
            meant = f"; did you mean {titles[plain.index(near[0])].strip()[:40]}?" if near else ""
            header.mistakes.append((title[:80], f"{setting} calls it {name}, and there are only {there}{meant}"))
    return taken


def _name(plain: Sequence[str], place: int, wanted: Mapping[str, str | None]) -> str | None:
    """Return our name of a column by its title; None of one that is not read, or that has a namesake set by hand."""
    title = plain[place]
    name = _unit_name(title)
    if name is None and title.startswith(ATTRIBUTE) and len(title) > len(ATTRIBUTE):
        name = re.sub(r"\s", "", title)
    if name is None and title == SUCCESS:
        name = SUCCESS if any(_unit_name(other) for other in plain) else None
    if name is None:
        name = next((ours for ours, called in CALLED.items() if _bare(title) in called), None)
        if name and _bare(title) != min(filter(CALLED[name].__contains__, map(_bare, plain)), key=CALLED[name].index):
            name = None  # the table has a better one
    return None if name in wanted else name


def _unit_name(title: str) -> str | None:
    """Return our name of an action unit's column: `au_01`, `AU01_c` and `AU1 (Inner Brow Raiser)` are all AU1."""
    match = UNIT.fullmatch(title)
    if match is None or int(match[1]) not in ACTION_UNITS:
        return None
    unit, ending = int(match[1]), re.sub(r"[\W_]", "", match[2])
    if ending in OCCURRENCE_ENDINGS or ending == ACTION_UNITS[unit].replace(" ", "").lower():
        return f"AU{unit}"
    return f"AU{unit}{INTENSITY}" if ending in INTENSITY_ENDINGS else None


def _problem(title: str, wanted: Mapping[str, str | None]) -> str | None:
    """Return what is wrong with a column that is none of ours; None if it may simply be left out."""
    if match := UNIT.fullmatch(title):
        unit = int(match[1])
        if unit in OTHER_UNITS or wanted.keys() & {f"AU{unit}", f"AU{unit}{INTENSITY}"}:
            return None
        if unit in ACTION_UNITS:
            return f"no column of this table; call it AU{unit} (occurrence) or AU{unit}{INTENSITY} (intensity)"
        return f"none of the 17 AUs ({', '.join(map(str, ACTION_UNITS))})"
    bare, called = _bare(title), {name for names in CALLED.values() for name in names}
    if bare in called:
        return None
    long = [name for name in called if len(name) > 4]
    near = difflib.get_close_matches(bare[:64], long, 1, NEAR)
    return f"no column of this table; did you mean {near[0]}? source.columns says what is what" if near else None


def _plain(title: str) -> str:
    """Return a title composed, in lower case and with single spaces."""
    return " ".join(unicodedata.normalize("NFKC", title).lower().split())


def _bare(title: str) -> str:
    return re.sub(r"[\s_.-]", "", title)


def share_of(name: str) -> str | None:
    """Return the expression of a column that holds its share; None of another one."""
    expression = name.removeprefix(SHARE)
    return expression if name.startswith(SHARE) and expression in EXPRESSIONS else None
