"""The check while you work: lint, types, and the tests of what changed. `make quick` runs it.

    python scripts/quick.py              what differs from the last commit; if nothing does, what it changed
    python scripts/quick.py --since main what differs from `main`
    python scripts/quick.py FILE...      these files

A changed module runs the tests of its own part of the house, a changed configuration or a new part the contracts, and
every change the rules of the house. `make test` runs everything.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
EXTENSIBLE = {  # a part that is found through conf/, and the contracts that it is held to
    "source": "sources",
    "stopping": "stopping",
    "backend": "backends",
    "captioner": "backends",
    "generator": "generators",
    "model": "models",
    "data": "readers",
    "benchmark": "benchmarks",
    "judge": "judges",
}
ALWAYS = ("tests/test_house.py",)


def changed(since: str | None) -> list[str]:
    """Return the files that differ from a commit, new ones included; of a clean checkout, those of its last commit."""

    def git(*words: str) -> list[str]:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    new = git("ls-files", "--others", "--exclude-standard")
    files = [*git("diff", "--name-only", since or "HEAD"), *new]
    return files or git("diff", "--name-only", "HEAD~1")


def tests_of(file: str) -> list[str]:
    """Return the tests that a changed file calls for.

    >>> tests_of("conf/stopping/mine.yaml")
    ['tests/contracts/test_stopping.py', 'tests/test_configs.py']
    >>> tests_of("README.md")
    []
    """
    path = Path(file)
    if path.parts[0] == "tests" and path.name.startswith("test_"):
        return [file] if (ROOT / file).is_file() else []
    if path.parts[0] == "tests":  # what several tests share
        return [str(path.parent)] if len(path.parts) > 2 and path.parts[1] not in ("servers", "trees", "data") else []
    if path.parts[0] == "conf" and path.suffix == ".yaml":
        kind = EXTENSIBLE.get(path.parts[1])
        return [*([f"tests/contracts/test_{kind}.py"] if kind else []), "tests/test_configs.py"]
    if path.parts[:2] != ("src", "seke") or path.suffix not in (".py", ".jinja"):
        return []
    folder = Path("tests", *path.parts[2:-1])
    own = folder / f"test_{path.stem}.py"
    if (ROOT / own).is_file():
        return [str(own)]
    while not list((ROOT / folder).glob("test_*.py")) and len(folder.parts) > 1:
        folder = folder.parent
    return [str(folder)] if len(folder.parts) > 1 else []


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
    tests = smallest([*ALWAYS, *(test for file in files for test in tests_of(file))])
    steps = [["mypy"], ["pytest", "-q", "-m", "not slow", "-n", "2", "--dist", "worksteal", *tests]]
    if python:
        steps = [["ruff", "check", *python], ["ruff", "format", "--check", *python], *steps]
    for program, *arguments in steps:
        began = time.monotonic()
        print(f"$ {program} {' '.join(arguments)}", flush=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        code = subprocess.run([BIN / program, *arguments], cwd=ROOT, env=environment, check=False).returncode
        print(f"  {time.monotonic() - began:.0f} s", flush=True)
        if code:
            sys.exit(code)


if __name__ == "__main__":
    main()
