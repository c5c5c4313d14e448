"""The commands in documents: every setting that they name is there, so that a reader may copy them."""

import re
import shlex
from pathlib import Path

import pytest

from seke.cli.command import composed
from seke.commands import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
COMMAND = re.compile(rf"^python ({'|'.join(COMMANDS)})\.py (.*)$", re.MULTILINE)
DOCUMENTS = (Path("docs/using.md"), Path("docs/sharing.md"))


def commands(document: Path) -> list[tuple[str, list[str]]]:
    """Return the commands in a document's blocks; not those that leave something out, sweep or only ask for help."""
    blocks = re.findall(r"```(?:bash)?\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)
    found = [match.groups() for block in blocks for match in COMMAND.finditer(block.replace("\\\n", " "))]
    split = [(name, shlex.split(words, comments=True)) for name, words in found]
    return [(name, words) for name, words in split if not any(word.startswith(("-", "...", ">")) for word in words)]


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_settings_of_documented_commands_are_there(document: Path) -> None:
    found = commands(document)
    assert len(found) > 3
    for name, words in found:
        composed(name, words)
