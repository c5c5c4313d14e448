"""Name of the run that this process works on; replies that cost nothing are recalled within that run only."""

_run: str | None = None


def enter(run: str) -> None:
    """Say that this process works on `run`, a name that no other run ever has."""
    global _run
    _run = run


def run() -> str | None:
    """Return which run this process works on; None where none was entered, as in a program of somebody's own."""
    return _run
