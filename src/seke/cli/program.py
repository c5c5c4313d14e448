"""How a command is called: `python prepare.py` in a checkout, `seke prepare` where the package is installed."""

import sys
from pathlib import Path
from typing import Final

INSTALLED: Final = "commands"
"""The package whose files the program `seke` runs."""


def program_of(command: str) -> str:
    """Return the words that call another command as this one was called."""
    return f"seke {command}" if Path(sys.argv[0]).parent.name == INSTALLED else f"python {command}.py"
