"""The check while you work: lint, types, and the tests of what changed. `make quick` runs it.

    python scripts/quick.py              what differs from the last commit; if nothing does, what it changed
    python scripts/quick.py --since main what differs from `main`
    python scripts/quick.py FILE...      these files

A changed module runs the tests of its own part of the house; a YAML of conf/ its contract and its composition, of that
option alone; every change the rules of the house. `make test` runs everything.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
EXTENSIBLE = {  # a group of conf/ that takes new parts, and the contract that they are held to
    "source": "sources",
    "stopping": "stopping_rules",
    "backend": "backends",
    "generator": "generators",
    "model": "models",
    "data": "readers",
    "benchmark": "benchmarks",
    "judge": "judges",
}
ALWAYS = ("tests/test_house.py",)
NONE_SELECTED = 5
"""Exit code of pytest where no test is of the options asked for: a YAML that is not of a part, such as prompts."""


def changed(since: str | None) -> list[str]:
    """Return the files that differ from a commit, new ones included; of a clean checkout, those of its last commit."""

    def git(*words: str) -> list[str]:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    new = git("ls-files", "--others", "--exclude-standard")
    files = [*git("diff", "--name-only", since or "HEAD"), *new]
    return files or git("diff", "--name-only", "HEAD~1")


def imported(module: Path) -> bool:
    """Return whether another Python file names a module of src/; a part that only conf/ names is held by its contract.

    >>> imported(Path("src/seke/core/errors.py")), imported(Path("src/seke/backends/nobody.py"))
    (True, False)
    """
    parts = module.relative_to("src").with_suffix("").parts
    package, name = r"\.".join(parts[:-1]), parts[-1]
    named = re.compile(rf"{package}\.{name}\b|from {package} import (\([^)]*|[^(\n]*)\b{name}\b")
    files = (path for top in ("src", "tests", "scripts") for path in (ROOT / top).rglob("*.py"))
    return any(named.search(path.read_text(encoding="utf-8")) for path in files if path != ROOT / module)


def tests_of(file: str) -> list[tuple[str, str]]:
    """Return the tests that a changed file calls for: a file or a folder, and which option alone ("": all of it).

    >>> tests_of("conf/stopping/mine.yaml")
    [('tests/contracts/test_stopping_rules.py', 'mine'), ('tests/test_configs.py', 'mine')]
    >>> tests_of("conf/generate/experiment/mine.yaml"), tests_of("conf/generate.yaml")
    ([('tests/test_configs.py', 'mine')], [('tests/test_configs.py', '')])
    >>> tests_of("tests/trees/toyset.py")
    [('tests/contracts/test_sources.py', 'toyset'), ('tests/contracts/test_readers.py', 'toyset')]
    >>> tests_of("src/seke/answers/extract.py"), tests_of("src/seke/backends/nobody.py"), tests_of("README.md")
    ([('tests/answers/test_extract.py', '')], [], [])
    """
    path = Path(file)
    if path.parts[0] == "tests" and path.name.startswith("test_"):
        return [(file, "")]
    if path.parts[:2] == ("tests", "trees"):
        return [(f"tests/contracts/test_{kind}.py", path.stem) for kind in ("sources", "readers")]
    if path.parts[0] == "tests":  # what several tests share
        return [(str(path.parent), "")] if len(path.parts) > 2 and path.parts[1] not in ("servers", "data") else []
    if path.parts[0] == "conf" and path.suffix == ".yaml":
        kind, option = EXTENSIBLE.get(path.parts[1]), path.stem if len(path.parts) > 2 else ""
        return [*([(f"tests/contracts/test_{kind}.py", option)] if kind else []), ("tests/test_configs.py", option)]
    if file == "CONTRIBUTING.md":
        return [("tests/test_contributing.py", "")]
    if path.parts[:2] != ("src", "seke") or path.suffix not in (".py", ".jinja"):
        return []
    folder = Path("tests", *path.parts[2:-1])
    own = folder / f"test_{path.stem}.py"
    if (ROOT / own).is_file():
        return [(str(own), "")]
    if path.suffix == ".py" and path.stem != "__init__" and not imported(path):
        return []
    while not list((ROOT / folder).glob("test_*.py")) and len(folder.parts) > 1:
        folder = folder.parent
    return [(str(folder), "")] if len(folder.parts) > 1 else []


def smallest(paths: Iterable[str]) -> list[str]:
    """Return these files and folders without those that lie in another of them, and without what is not there.

    >>> smallest(["tests/core", "tests/core/test_files.py", "tests/nowhere"])
    ['tests/core']
    """
    there = sorted({path for path in paths if (ROOT / path).exists()})
    return [path for path in there if not any(path.startswith(f"{other}/") for other in there)]


def main() -> None:
    """Run ruff, mypy and the tests that a change calls for, and say how long each took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="files that changed; by default those that git knows of")
    parser.add_argument("--since", help="commit to compare with")
    asked = parser.parse_args()
    files = asked.files or changed(asked.since)
    python = [file for file in files if file.endswith(".py") and (ROOT / file).is_file()]
    called_for = [test for file in files for test in tests_of(file)]
    whole = smallest([*ALWAYS, *(path for path, option in called_for if not option)])
    in_part = smallest(path for path, option in called_for if option and path not in whole)
    options = " or ".join(sorted({option for _, option in called_for if option}))
    steps = [["mypy"], ["pytest", "-q", "-m", "not slow", "-n", "2", "--dist", "worksteal", *whole]]
    if in_part:
        steps.insert(1, ["pytest", "-q", "-m", "not slow", "-k", options, *in_part])
    if python:
        steps = [["ruff", "check", *python], ["ruff", "format", "--check", *python], *steps]
    for program, *arguments in steps:
        began = time.monotonic()
        print(f"$ {program} {' '.join(arguments)}", flush=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        code = subprocess.run([BIN / program, *arguments], cwd=ROOT, env=environment, check=False).returncode
        print(f"  {time.monotonic() - began:.0f} s", flush=True)
        if code and not (code == NONE_SELECTED and "-k" in arguments):
            sys.exit(code)


if __name__ == "__main__":
    main()
