"""A user's mistake as one line on stderr and exit code 2, at the commands and at scripts.

    @in_one_line()
    def main() -> None: ...

`HYDRA_FULL_ERROR=1` shows the traceback instead.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from seke.core import files
from seke.core.errors import UserError
from seke.core.escape import one_line

WANTS_TRACEBACK = os.environ.get("HYDRA_FULL_ERROR", "0") == "1"


class Mistake(Exception):
    """A user's mistake as the one line that it becomes; it crosses from one process to another."""


def line_of(error: BaseException, outputs: Path | None = None) -> str | None:
    """Return the line of the UserError at the root of `error`, or about the file or the disk that is; None: neither.

    Args:
        error: what was raised.
        outputs: the setting `paths.outputs`; None where there is none.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UserError | Mistake):
            return str(cause)
        if line := files.mistake(cause, outputs):
            return line
        cause = cause.__cause__
    return None


def say(line: str) -> None:
    """Print an error line."""
    with contextlib.suppress(OSError):  # stderr itself may lie on the disk that is full
        print("error: " + one_line(line), file=sys.stderr)


def give_up(line: str) -> NoReturn:
    """Print an error line and end the program with exit code 2."""
    say(line)
    raise SystemExit(2)


@contextlib.contextmanager
def in_one_line(*others: type[Exception]) -> Iterator[None]:
    """End the program in one line, with exit code 2, where a user's mistake or one of `others` is raised within."""
    try:
        yield
    except Exception as error:
        line = line_of(error) or (str(error) if isinstance(error, others) else None)
        if line is None or WANTS_TRACEBACK:
            raise
        give_up(line)
