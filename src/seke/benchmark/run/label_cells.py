"""Reader of the label cells of other programs' tables: a cell, or a whole column, is understood or it is unanswered.

A cell that is half understood would be a false label: of the vector [0, 1, 0, 1] only the 1s look like action units,
of valences on a scale of 1 to 9 only the 1s lie in [-1, 1]. So one cell that follows another convention than ours says
that its column does, and the whole column is unanswered; a cell that is only unclear is unanswered alone.
"""

import ast
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from seke.answers import extract
from seke.core.affect import ACTION_UNITS, EXPRESSIONS, STRONGEST

NONE_ACTIVE: Final = ("none", "-", "[]", "{}", "()", "set()", "no au", "no aus", "no action unit", "no action units")
"""How a cell says that no action unit is active; an empty cell says nothing."""
TRUE, FALSE = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")
ADVERBS: Final = {
    "happily": "happiness", "sadly": "sadness", "fearfully": "fear", "angrily": "anger", "disgustedly": "disgust",
    "surprisedly": "surprise", "contemptuously": "contempt",
}  # fmt: skip
"""How compound expressions begin: happily surprised is neither of the two."""
FACS: Final = range(1, 65)
"""Numbers of FACS codes, of which ours are 17. A list that names others is understood; it says nothing of these."""
MOST: Final = 1000
"""Characters of a cell that lists action units; a longer one lists something else."""
_UNIT: Final = re.compile(r"(?:(?:AU|action unit)[\s_-]*)?[LRU]?0?(\d{1,2})(?:\.0+)?[A-ELRU]?", re.IGNORECASE)
"""More zeros would be those of a bit string: 000010 is not AU10."""
_PAIR: Final = re.compile(r"(?P<name>[^:=()]+?)\s*(?:[:=]\s*(?P<value>[^:=()]+)|\(\s*(?P<inner>[^:=()]+)\))", re.I)

OTHERS: Final = "action unit that is none of the 17"

_PLAIN: Final = re.compile(r"[-+]?\d{1,20}(?:\.\d{0,20})?(?:e[-+]?\d{1,2})?", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?|[-+]?(?:nan|inf|infinity)", re.I | re.ASCII)
_DECIMAL_COMMA: Final = re.compile(r"[-+]?(?:0,\d+|1,0{1,2})", re.ASCII)
"""A number of [-1, 1] as German or French spreadsheets write it."""

Value = TypeVar("Value")


class Unclear(ValueError):
    """A cell that is not understood as a whole."""

    def __init__(self, problem: str, convention: bool = False) -> None:
        super().__init__(problem)
        self.convention = convention
        """Whether it shows that its whole column follows another convention than ours."""


class Column(NamedTuple, Generic[Value]):
    """What the cells of a column say."""

    values: list[Value | None]
    """Cell by cell; None where it says nothing, or nothing that is understood."""
    problems: list[str]
    """Cell by cell, what is wrong with it; empty where nothing is."""

    def counted(self, counts: Sequence[bool]) -> Counter[str]:
        """Return how often each problem occurs in the cells that count."""
        return Counter(problem for problem, count in zip(self.problems, counts, strict=True) if problem and count)


def expressions(cells: Sequence[Any]) -> Column[str]:
    """Read a column of expressions.

    >>> expressions(["Happy", "", "bored"]).values
    ['happiness', None, None]
    """
    return _read(cells, _expression)


def numbers(name: str, cells: Sequence[Any]) -> Column[float]:
    """Read a column of valence or arousal, in [-1, 1]; one number beyond that shows that it has another scale.

    >>> numbers("valence", ["0.5", "-1"]).values, numbers("valence", [1, 5, 9]).values
    ([0.5, -1.0], [None, None, None])
    """
    return _read(cells, lambda cell: _number(name, cell))


def unit_lists(cells: Sequence[Any]) -> Column[dict[int, bool]]:
    """Read a column whose cells list the active action units, or state some: {"6": 1, "12": 0}.

    A list says that the units it does not name are absent; what states units one by one says nothing of others.

    >>> column = unit_lists(["AU6 + AU12", "{'AU6': 1, 'AU12': 0}", "none", ""])
    >>> [value and [au for au, active in value.items() if active] for value in column.values]
    [[6, 12], [6], [], None]
    """
    return _read(cells, _units)


def unit_columns(columns: Mapping[int, Sequence[Any]]) -> dict[int, Column[bool]]:
    """Read the columns of several action units, by their numbers, each of 0 and 1.

    Any other number shows that a column has intensities, codes or probabilities. An intensity or a probability in one
    of them shows what the numbers of all are: a rare unit's column, in which only 0 and 1 occur, is one of intensities
    too.

    >>> unit_columns({1: ["1", "0", ""]})[1].values
    [True, False, None]
    >>> columns = unit_columns({1: ["0", "1"], 12: ["3", "0"]})
    >>> columns[1].values, columns[12].values
    ([None, None], [None, None])
    """
    graded = next((cell for cells in columns.values() for cell in cells if _graded(cell)), None)
    if graded is None:
        return {au: _read(cells, lambda cell: (_active(cell), "")) for au, cells in columns.items()}
    return {au: _other(cells, str(_neither(graded))) for au, cells in columns.items()}


def intensity_columns(columns: Mapping[int, Sequence[Any]]) -> dict[int, Column[float]]:
    """Read the columns of several action units' intensities, by their numbers: from 0, absent, to 5.

    A number beyond shows that all of them have another scale, such as per cent.

    >>> intensity_columns({12: ["3.5", "", 0]})[12].values, intensity_columns({1: ["80"], 12: ["3"]})[12].values
    ([3.5, None, 0.0], [None])
    """
    for cell in (cell for cells in columns.values() for cell in cells if not _blank(cell)):
        try:
            _intensity(cell)
        except Unclear as unclear:
            if unclear.convention:
                return {au: _other(cells, str(unclear)) for au, cells in columns.items()}
    return {au: _read(cells, lambda cell: (_intensity(cell), "")) for au, cells in columns.items()}


def intensity_maps(cells: Sequence[Any]) -> Column[dict[int, float]]:
    """Read a column whose cells state intensities of some action units.

    >>> intensity_maps([{"1": 2.5, "AU12": 0}, "{'AU6': 5}", None]).values
    [{1: 2.5, 12: 0.0}, {6: 5.0}, None]
    """
    return _read(cells, _intensities)


def _read(cells: Sequence[Any], understand: Callable[[Any], tuple[Value | None, str]]) -> Column[Value]:
    values: list[Value | None] = []
    problems: list[str] = []
    convention = ""
    for cell in cells:
        try:
            value, problem = (None, "") if _blank(cell) else understand(cell)
            values.append(value)
            problems.append(problem)
        except Unclear as unclear:
            values.append(None)
            problems.append(str(unclear))
            convention = convention or (str(unclear) if unclear.convention else "")
    return _other(cells, convention) if convention else Column(values, problems)


def _other(cells: Sequence[Any], convention: str) -> Column[Any]:
    """Return a column of which nothing is understood, because its cells follow another convention."""
    problems = ["" if _blank(cell) else f"cell of a column with {convention}" for cell in cells]
    return Column([None] * len(cells), problems)


def _expression(cell: Any) -> tuple[str, str]:
    word = str(cell).strip().lower()
    found = word if word in EXPRESSIONS else extract.extract(f"Expression: {word}").expression
    if found is None:
        raise Unclear("expression that is none of the eight")
    if not any(sign.isdigit() for sign in word):  # scores are weighed by the reader; words side by side are no answer
        words = re.findall(r"[^\W\d_]+", word)
        named = {ADVERBS.get(one) or extract.extract(f"Expression: {one}").expression for one in words}
        if len(named - {None}) > 1:
            raise Unclear("cell that names several expressions")
    return found, ""


def _number(name: str, cell: Any) -> tuple[float | None, str]:
    text = cell.strip() if isinstance(cell, str) else cell
    if isinstance(text, str):
        text = text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text
        if not _NUMBER.fullmatch(text):
            # "50%" and "1/9" show the scale of the 1s beside them; "high" shows nothing.
            raise Unclear(f"{name} that is no number", convention=any(sign.isdigit() for sign in text))
    try:
        number = float(text) if isinstance(text, str | int | float) and not isinstance(text, bool) else None
    except OverflowError:
        number = None
    if number is None:
        raise Unclear(f"{name} that is no number")
    if math.isnan(number):
        return None, ""
    if not -1 <= number <= 1:
        raise Unclear(f"{name} out of [-1, 1], such as {number:g}", convention=True)
    return number, ""


def _units(cell: Any) -> tuple[dict[int, bool] | None, str]:
    if isinstance(cell, str):
        cell = _parsed(cell)
    if isinstance(cell, Mapping):
        return _stated(cell)
    listed = list(cell) if isinstance(cell, list | tuple | set | frozenset) else [cell]
    return _listed(listed)


def _parsed(text: str) -> Any:
    """Return what a cell's text spells: a list, a mapping, or the words between its separators."""
    text = text.strip()
    if len(text) > MOST:
        raise Unclear("text that lists no action units")
    if text.lower() in NONE_ACTIVE:
        return []
    inner = re.sub(r"^(?:np\.)?array\((.*?)(?:,\s*dtype=\w+)?\)$", r"\1", text, flags=re.DOTALL)
    try:
        spelt = ast.literal_eval(inner)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        spelt = None
    if isinstance(spelt, list | tuple | set | dict):
        return spelt
    parts = [part.strip() for part in re.split(r"[,;|\n]+", _unwrapped(inner)) if part.strip()]
    pairs = [_PAIR.fullmatch(part) for part in parts]
    if parts and all(pairs):
        return {pair["name"]: pair["value"] or pair["inner"] for pair in pairs if pair}
    words = [word for part in parts for word in re.split(r"[\s+/&]+|\band\b", re.sub(r"(?i)\bAU\s+(?=\d)", "AU", part))]
    return [word for word in words if word]


def _unwrapped(text: str) -> str:
    return text[1:-1] if text[:1] + text[-1:] in ("[]", "()", "{}") else text


def _stated(cell: Mapping[Any, Any]) -> tuple[dict[int, bool] | None, str]:
    """Return what {name: 0 or 1} states; a unit whose value is blank, or that is not one of ours, is left out."""
    stated: dict[int, bool] = {}
    others = ""
    for name, value in cell.items():
        number = facs(str(name).strip(" '\""))
        if number is None:
            raise Unclear("a name that is no action unit's")
        if number not in ACTION_UNITS:
            others = OTHERS
        elif not _blank(value):
            stated[number] = _active(value)
    return stated or None, others


def _intensities(cell: Any) -> tuple[dict[int, float] | None, str]:
    stated = _parsed(cell) if isinstance(cell, str) else cell
    if not isinstance(stated, Mapping):
        raise Unclear("text that states no intensities of action units")
    units = {facs(str(name).strip(" '\"")): value for name, value in stated.items()}
    if None in units:
        raise Unclear("a name that is no action unit's")
    ours = {au: _intensity(units[au]) for au in ACTION_UNITS if not _blank(units.get(au))}
    return ours or None, OTHERS if units.keys() - ACTION_UNITS.keys() else ""


def _intensity(cell: Any) -> float:
    text = str(cell).strip()
    if isinstance(cell, bool) or not _NUMBER.fullmatch(text):
        raise Unclear("intensity of an action unit that is no number")
    if not 0 <= float(text) <= STRONGEST:
        raise Unclear(f"intensities out of [0, {STRONGEST}], such as {float(text):g}", convention=True)
    return float(text)


def _listed(cell: Sequence[Any]) -> tuple[dict[int, bool] | None, str]:
    """Return the labels of a list of active action units, from which the other ones are absent."""
    words = [str(each).strip(" '\"") for each in cell]
    numbers = [float(word) for word in words if _PLAIN.fullmatch(word)]
    fractions = any(number < 1 or number != int(number) for number in numbers)
    if fractions or len(set(numbers)) < len(numbers) or any(isinstance(each, bool) for each in cell):
        raise Unclear("vectors in place of lists of action units", convention=True)
    found = [facs(word) for word in words]
    if None in found:
        raise Unclear("text that is no list of action units")
    active = set(found) & set(ACTION_UNITS)
    others = OTHERS if len(active) < len(set(found)) else ""
    return (None if others and not active else {au: au in active for au in ACTION_UNITS}), others


def facs(name: str) -> int | None:
    """Return the number of a FACS code: 6, AU06, au 6, R12, 12C."""
    found = _UNIT.fullmatch(name)
    return int(found[1]) if found and int(found[1]) in FACS else None


def _active(cell: Any) -> bool:
    word = str(cell).strip().lower()
    if word not in TRUE + FALSE and not re.fullmatch(r"[01]\.0+", word, re.ASCII):
        raise _neither(cell)
    return word in TRUE or word.startswith("1")


def _neither(cell: Any) -> Unclear:
    text = str(cell).strip().lower()[:20]
    return Unclear(f"action units that are neither 0 nor 1, such as {text}", convention=True)


def _graded(cell: Any) -> bool:
    """Whether a cell of an action unit's column is an intensity or a probability."""
    text = str(cell).strip()
    number = float(text) if _PLAIN.fullmatch(text) else 0.0
    return 0 < number <= STRONGEST and number != 1


def _blank(value: Any) -> bool:
    no_number = isinstance(value, float) and math.isnan(value)
    return value is None or no_number or (isinstance(value, str) and not value.strip())
