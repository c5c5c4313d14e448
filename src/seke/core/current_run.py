"""Which run this process works on: what cost nothing is recalled within that run, and in no other."""

_run: str | None = None


def enter(run: str) -> None:
    """Say that this process works on `run`, a name that no other run ever has."""
    global _run
    _run = run


def run() -> str | None:
    """Return which run this process works on; None where nobody said, as in a program of somebody's own."""
    return _run
