"""What a day's commands have in common: one folder of runs, and a look at how each ended."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

HASH = re.compile(r"[0-9a-f]{64}")


class Terminal:
    """Runs commands as a user types them, with one folder of runs, and returns all that they print."""

    def __init__(self, cli: Callable[..., CompletedProcess[str]], outputs: Path, **environment: str) -> None:
        self.cli, self.outputs, self.environment = cli, outputs, environment

    def __call__(self, command: str, *words: object, code: int = 0) -> str:
        done = self.cli(command, *words, f"paths.outputs={self.outputs}", **self.environment)
        said = done.stdout + done.stderr
        assert done.returncode == code, f"{command} {shlex.join(map(str, words))}: {said}"
        assert not HASH.search(said), "a hash where a person reads"
        return said

    def read(self, *place: str) -> str:
        """Return a file of a run, such as `read("evaluate", "mine", "table.md")`."""
        return self.outputs.joinpath(*place).read_text(encoding="utf-8")
