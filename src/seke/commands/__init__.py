"""The program `seke` of an installed package: `seke prepare|generate|train|evaluate|report|serve <settings>`.

Its commands are the files at the root of the repository, to which the names here are links.
"""

import sys
from difflib import get_close_matches
from importlib import import_module
from typing import Final

COMMANDS: Final = ("prepare", "generate", "train", "evaluate", "report", "serve")
USAGE: Final = f"usage: seke {'|'.join(COMMANDS)} [--help] [<setting>=<value> ...]"


def main() -> None:
    """Run the command that the first word names, as `python <command>.py` does."""
    command, *words = sys.argv[1:] or ["--help"]
    if command in ("--help", "-h"):
        print(USAGE)
    elif command not in COMMANDS:
        near = get_close_matches(command, COMMANDS, 1)
        hint = f"did you mean `seke {near[0]}`? " if near else ""
        print(f"error: {command}: no such command; {hint}{USAGE}", file=sys.stderr)
        raise SystemExit(2)
    else:
        module = import_module(f"seke.commands.{command}")
        sys.argv[:] = [str(module.__file__), *words]  # what starts further processes, such as Lightning, runs that file
        getattr(module, command)()
