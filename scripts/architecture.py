"""Draw the packages of src/seke from their imports: docs/architecture.svg, and the table in docs/architecture.md.

    python scripts/architecture.py            writes the picture and the table
    python scripts/architecture.py --check    tells whether they show today's imports (exit code 1: they do not)
    python scripts/architecture.py --measure <checkout>...    sizes of these checkouts, side by side

tests/test_house.py holds the rules about these arrows with the functions of this file.
"""

import argparse
import ast
import html
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "seke"
PAGE = ROOT / "docs" / "architecture.md"
PICTURE = ROOT / "docs" / "architecture.svg"
OPEN = ("core", "answers", "hub", "tracking", "models.protocol", "models.auto")
"""What one room may import of another: these packages whole, and of `models` its protocol and its loader."""
PIPELINE = ("sources", "generation", "training", "benchmark", "reporting", "backends")
TITLE = "Rooms of src/seke. An arrow is an import; the commands use every room, and every room uses core."
WIDTH, GAP, LINE = 1080, 20, 17
"""Pixels: of the picture, between boxes, from one line of text to the next."""
STYLE = (
    "text{font:13px sans-serif;fill:#333}.name{font-weight:bold;font-size:15px;fill:#111}"
    ".room{fill:#f4f7fb;stroke:#5b7aa5}.base{fill:#f3f1e7;stroke:#a08f5b}"
    ".arrow{stroke:#5b7aa5;stroke-width:1.3;marker-end:url(#tip)}"
)
TIP = (
    '<marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="3" orient="auto">'
    '<path d="M0,0 L7,3 L0,6 z" fill="#5b7aa5"/></marker>'
)
START, END = "<!-- rooms: scripts/architecture.py -->\n", "<!-- end of rooms -->\n"

Graph = Mapping[str, set[str]]


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Return every module of the package by its dotted name below `seke`; a package is its `__init__`."""
    names = {path: ".".join(path.relative_to(package).with_suffix("").parts) for path in sorted(package.rglob("*.py"))}
    return {name.removesuffix(".__init__"): path for path, name in names.items() if name != "__init__"}


@cache
def imports(path: Path, at_start_only: bool = False) -> set[str]:
    """Return the dotted names that a file imports, but for those that only the type checker reads.

    Args:
        path: a Python file.
        at_start_only: leave out what functions import when they are called.
    """
    text = path.read_text(encoding="utf-8")
    tree, asks = ast.parse(text), "TYPE_CHECKING" in text
    left_out: set[int] = set()
    for node in ast.walk(tree):
        typing_only = asks and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        later = at_start_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if typing_only or later:
            left_out.update(id(inner) for inner in ast.walk(node))
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def graph(found: Mapping[str, Path]) -> dict[str, set[str]]:
    """Return which modules of the package each module imports."""
    arrows: dict[str, set[str]] = {}
    for name, path in found.items():
        own = {target.removeprefix("seke.") for target in imports(path) if target.startswith("seke.")}
        targets = {target if target in found else target.rpartition(".")[0] for target in own}
        arrows[name] = (targets & found.keys()) - {name}
    return arrows


def subroom(name: str) -> str:
    """Return the package that a module lies in; a module directly in a room stands for itself."""
    parts = name.split(".")
    return ".".join(parts[:2])


def merged(arrows: Graph, by: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the arrows between groups of modules, `by` module."""
    groups: dict[str, set[str]] = {}
    for name, targets in arrows.items():
        groups.setdefault(by[name], set()).update(by[target] for target in targets if by[target] != by[name])
    return groups


def circles(arrows: Graph) -> list[list[str]]:
    """Return the groups of nodes that import each other, directly or through others (Tarjan 1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    result: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        stack.append(node)
        for target in sorted(arrows.get(node, ())):
            if target not in number:
                visit(target)
                lowest[node] = min(lowest[node], lowest[target])
            elif target in stack:
                lowest[node] = min(lowest[node], number[target])
        if lowest[node] == number[node]:
            circle = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(circle) > 1:
                result.append(sorted(circle))

    for node in sorted(arrows):
        if node not in number:
            visit(node)
    return result


def floors(arrows: Graph) -> dict[str, int]:
    """Return how many others lie below each node at most; the graph has no circles."""
    heights: dict[str, int] = {}

    def height(node: str) -> int:
        if node not in heights:
            heights[node] = max((height(target) + 1 for target in arrows.get(node, ())), default=0)
        return heights[node]

    for node in arrows:
        height(node)
    return heights


def room(name: str) -> str:
    """Return the room of a module: the first part of its dotted name."""
    return name.partition(".")[0]


def parts(found: Iterable[str], name: str) -> list[str]:
    """Return the packages inside a room."""
    return sorted({each.split(".")[1] for each in found if room(each) == name and each.count(".") > 1})


def table() -> str:
    """Return the rooms as a Markdown table: what lies in each, its parts, and which other rooms it imports."""
    found = modules()
    between = merged(graph(found), {name: room(name) for name in found})
    rows = ["| room | what it is | parts | imports |", "|---|---|---|---|"]
    for name in sorted(between, key=lambda each: (-floors(between)[each], each)):
        summary = (ast.get_docstring(ast.parse(found[name].read_text(encoding="utf-8"))) or "").splitlines()[0]
        escaped, below = summary.replace("|", "\\|"), ", ".join(sorted(between[name])) or "nothing"
        rows.append(f"| `{name}` | {escaped} | {', '.join(parts(found, name))} | {below} |")
    return "\n".join(rows) + "\n"


def measured(checkout: Path) -> dict[str, int]:
    """Return how large a checkout of this project is, and how its modules hang together.

    A room is a package or a loose file of src/seke.
    """
    package = checkout / "src" / "seke"
    found = modules(package)
    files = {name: path for name, path in found.items() if path.name != "__init__.py"}
    folders = [path.parent for path in files.values()]
    arrows = graph(found)
    between = merged(arrows, {name: room(name) for name in found})
    lines = {
        folder: sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (checkout / folder).rglob("*.py"))
        for folder in ("src", "tests", "scripts")
    }
    return {
        "rooms": len(between),
        "floors": max(floors(between).values()) + 1,
        "arrows between rooms": sum(len(targets) for targets in between.values()),
        "circles of modules": len(circles(arrows)),
        "packages": len(set(folders)),
        "most files in one package": max(folders.count(folder) for folder in set(folders)),
        "loose files of src/seke": folders.count(package),
        "modules": len(files),
        **{f"lines of {folder}": number for folder, number in lines.items()},
    }


def rows(between: Graph) -> list[list[str]]:
    """Return the rooms row by row, each right below the lowest of those that use it, as the commands use every room."""
    between = {**between, "commands": set(between) - {"commands"}}
    height = floors(between)
    upwards = {name: {other for other, targets in between.items() if name in targets} for name in between}
    depth = floors(upwards)
    lowest = max(height.values())
    place = {name: lowest if height[name] == 0 else depth[name] for name in between}
    return [sorted((name for name in between if place[name] == row), key=order) for row in range(lowest + 1)]


def order(name: str) -> tuple[int, str]:
    """Return what rooms of a row are sorted by: when their command comes."""
    return (PIPELINE.index(name) if name in PIPELINE else len(PIPELINE), name)


def picture() -> str:
    """Return the house as SVG: the commands, the rooms that each belongs to, and what all of them build on."""
    found = modules()
    between = merged(graph(found), {name: room(name) for name in found})
    boxes: dict[str, tuple[float, float, float, float]] = {}
    texts: dict[str, list[str]] = {name: [f"{part}/" for part in parts(found, name)] for name in between}
    files = [name.partition(".")[2] for name in found if room(name) == "core" and "." in name]
    texts["core"] = wrap(", ".join(files), 150)
    at = 56.0
    for names in rows(between):
        wide = (WIDTH - GAP * (len(names) + 1)) / len(names)
        tall = 44 + LINE * max(len(texts[name]) for name in names)
        for index, name in enumerate(names):
            boxes[name] = (GAP + index * (wide + GAP), at, wide, tall)
        at += tall + 64
    drawn = [arrow(boxes[name], boxes[target]) for name, target in drawn_arrows(between)]
    for name, (x, y, wide, tall) in boxes.items():
        kind = "base" if name == "core" else "room"
        drawn.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="{wide:.0f}" height="{tall:.0f}" rx="6" class="{kind}"/>')
        drawn.append(label(x + 12, y + 24, name, ' class="name"'))
        for index, text in enumerate(texts[name]):
            drawn.append(label(x + 12, y + 43 + LINE * index, text))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {at - 40:.0f}" role="img">'
    head += f"<title>{TITLE}</title><style>{STYLE}</style><defs>{TIP}</defs>"
    paper = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([head, paper, label(GAP, 32, TITLE), *drawn, "</svg>", ""])


def drawn_arrows(between: Graph) -> list[tuple[str, str]]:
    """Return the arrows that the title does not tell: none from the commands, none to core."""
    shown = [name for name in sorted(between) if name != "commands"]
    return [(name, target) for name in shown for target in sorted(between[name] - {"core"})]


def label(x: float, y: float, text: str, kind: str = "") -> str:
    """Return a line of text that begins at (x, y)."""
    return f'<text x="{x:.0f}" y="{y:.0f}"{kind}>{html.escape(text)}</text>'


def arrow(start: tuple[float, float, float, float], end: tuple[float, float, float, float]) -> str:
    """Return a line from the bottom of one box (left, top, width, height) to the top of another."""
    (x1, y1, w1, h1), (x2, y2, w2, _) = start, end
    ends = f'x1="{x1 + w1 / 2:.0f}" y1="{y1 + h1:.0f}" x2="{x2 + w2 / 2:.0f}" y2="{y2:.0f}"'
    return f'<line {ends} class="arrow"/>'


def page() -> str:
    """Return docs/architecture.md with today's table of rooms in its place."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    return before + START + table() + END + rest.partition(END)[2]


def main() -> None:
    """Write the picture and the table, or compare them with what is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if they are out of date")
    parser.add_argument("--measure", nargs="+", type=Path, metavar="CHECKOUT", help="print sizes of these checkouts")
    asked = parser.parse_args()
    if asked.measure:
        sizes = [measured(checkout) for checkout in asked.measure]
        rows = [f"| {key} | {' | '.join(f'{size[key]:,}' for size in sizes)} |" for key in sizes[0]]
        print(
            f"| | {' | '.join(checkout.name for checkout in asked.measure)} |",
            f"|---|{'---:|' * len(sizes)}",
            *rows,
            sep="\n",
        )
        return
    if asked.check:
        current = PAGE.read_text(encoding="utf-8") == page() and PICTURE.read_text(encoding="utf-8") == picture()
        sys.exit(0 if current else "docs/architecture is out of date: run python scripts/architecture.py")
    PAGE.write_text(page(), encoding="utf-8")
    PICTURE.write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    main()
