"""The ledger on disk: other programs' files, damaged ones, read-only folders and full disks, each told in one line."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from seke.core.errors import UserError
from seke.core.ledger import VERSION, Ledger

from ..ledgers import refused, settle

FULL_DISK = """
import resource, sys
from seke.core.errors import UserError
from seke.core.ledger import Ledger
with Ledger(sys.argv[1]) as ledger:
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    stored = 0
    try:
        while True:
            ledger.done(f"key-{stored}", "x" * 10_000, "model", 1, 1).result()
            stored += 1
    except UserError as error:
        print(stored, error, sep="\\n")
"""


@pytest.mark.parametrize(
    "content",
    [b"my thesis", b"not a database " * 1000, b"SQLite format 3\0" + b"\xff" * 5000],
    ids=["short", "long", "broken header"],
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)
    assert "not a ledger" in refused(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path, journal: str):
    path = tmp_path / "ledger.sqlite"
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA journal_mode = {journal}")
    db.execute("CREATE TABLE replies (thesis TEXT)")
    db.close()
    content = path.read_bytes()
    assert "not a ledger" in refused(path)
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.sqlite"]


def test_a_ledger_of_a_later_version_is_refused(tmp_path: Path):
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
    db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    assert "later version" in refused(path)


def test_a_ledger_damaged_in_the_middle_says_so_when_read(tmp_path: Path):
    path = tmp_path / "ledger.sqlite"
    keys = [f"{number}" for number in range(200)]
    with Ledger(path) as ledger:
        for key in keys:
            settle(ledger, key, "x" * 1000)
    with path.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\xff" * 30 * 4096)
    with Ledger(path) as ledger:
        with pytest.raises(UserError, match=r"damaged .* \.recover") as caught:
            ledger.find(keys)
        assert "\n" not in str(caught.value)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """The superuser may write anywhere; for a while be somebody else."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("present", [False, True], ids=["new", "existing"])
def test_a_read_only_folder_is_refused(present: bool):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if present:
            Ledger(folder / "ledger.sqlite").close()
            (folder / "ledger.sqlite").chmod(0o666)
        folder.chmod(0o555)
        try:
            with ordinary_user():
                assert "cannot be written" in refused(folder / "ledger.sqlite")
                assert "cannot be written" in refused(folder / "inner" / "ledger.sqlite")
        finally:
            folder.chmod(0o755)


def test_a_folder_in_the_ledgers_place_is_refused(tmp_path: Path):
    assert "cannot be written" in refused(tmp_path)


def test_a_full_disk_is_one_line_and_loses_nothing_that_was_promised(tmp_path: Path):
    path = tmp_path / "ledger.sqlite"
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    stored, *complaint = done.stdout.splitlines()
    assert len(complaint) == 1 and complaint[0].startswith(f"backend.ledger={path}: cannot be written"), done
    with Ledger(path) as ledger:
        found = ledger.find([f"key-{number}" for number in range(int(stored) + 1)])
        assert int(stored) > 5 and {f"key-{number}" for number in range(int(stored))} <= found.keys()
