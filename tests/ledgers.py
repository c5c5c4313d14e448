"""What the ledger's tests share: a call that is sent and settled, and the line by which a file is refused."""

from pathlib import Path

import pytest

from seke.core.errors import UserError
from seke.core.ledger import Ledger


def settle(ledger: Ledger, key: str, raw: str = "{}", model: str = "model") -> None:
    ledger.sent(key, f"about {key}")
    ledger.done(key, raw, model, 10, 2).result()


def refused(path: Path) -> str:
    """Return the one line with which opening `path` is refused."""
    with pytest.raises(UserError) as caught:
        Ledger(path)
    line = str(caught.value)
    assert line.startswith(f"backend.ledger={path}: ") and "\n" not in line
    return line
