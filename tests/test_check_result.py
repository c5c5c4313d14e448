"""scripts/check_result.py: a stranger's row is checked in one line a fault, with exit code 2."""

import json
from pathlib import Path

from seke.core.result_file import to_text

from . import warm
from .results import row

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "check_result.py"


def test_rows_are_checked_and_every_fault_has_its_line(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(to_text(row("A", 0.7)))
    done = warm.run(SCRIPT, tmp_path)
    assert (done.returncode, done.stdout) == (0, "1 row, 0 faults\n"), done.stderr
    content = json.loads(to_text(row("B", 0.7)))
    content["counts"]["asked"] = 5
    content["format"] = 3
    (tmp_path / "bad.json").write_text(json.dumps(content))
    done = warm.run(SCRIPT, tmp_path)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert [line.partition("bad.json: ")[2].partition(":")[0] for line in lines] == ["format", "counts"]
    assert done.stdout == "2 rows, 2 faults\n"


def test_nothing_to_check_is_a_mistake(tmp_path: Path) -> None:
    done = warm.run(SCRIPT, tmp_path)
    assert done.returncode == 2
    assert "no file of a row" in done.stderr
