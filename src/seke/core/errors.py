"""Errors that a user can fix, each reported in one line, and the pause of a run that the same command goes on with."""

from typing import Any

from seke.core.escape import visible


class UserError(ValueError):
    """A mistake in a setting or a file; ends the program with exit code 2 and this one line.

    >>> print(UserError("generator.max_samples", 1, "two draws are the least", "set 2 or more"))
    generator.max_samples=1: two draws are the least; set 2 or more
    """

    def __init__(self, argument: str, value: object, problem: str, remedy: str) -> None:
        super().__init__(visible(f"{argument}={value}: {problem}; {remedy}"))
        self.value, self.problem = value, problem

    def __reduce__(self) -> Any:
        """Cross from one process to another as the line that it is."""
        return _read, (str(self), str(self.value), self.problem)


class Paused(Exception):
    """A run that stops before its end and goes on by the same command: its budget is spent, or others must work first.

    The command prints the message and ends with exit code 3.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(visible(message))


def _read(line: str, value: object, problem: str) -> UserError:
    error = UserError.__new__(UserError, line)
    error.value, error.problem = value, problem
    return error
