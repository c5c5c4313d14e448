import json
from pathlib import Path

import pytest

from . import warm

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "held_out.py"


def run(folder: Path, *losses: float | None) -> Path:
    """A run with two patterns, of 100 and of 300 records, in which AUs have these losses."""
    folder.mkdir()
    patterns = {
        name: {"asked": {"au": records}, "arms": {"au": {"log_loss": loss}}}
        for name, records, loss in zip(("expression", "va"), (100.0, 300.0), losses, strict=True)
    }
    (folder / "calibration.json").write_text(json.dumps({"patterns": patterns}))
    return folder


@pytest.mark.parametrize(("after", "code"), [((0.5, 0.1), 0), ((0.1, 0.4), 1), ((0.2, 0.3), 1)])
def test_records_weigh_and_a_tie_is_no_better(tmp_path: Path, after: tuple[float, float], code: int) -> None:
    found = warm.run(SCRIPT, run(tmp_path / "a", 0.2, 0.3), run(tmp_path / "b", *after))
    assert (found.returncode, found.stderr) == (code, "")
    assert found.stdout.splitlines()[0] == "a: held-out log loss au 0.2750"


def test_what_was_not_judged_does_not_count(tmp_path: Path) -> None:
    found = warm.run(SCRIPT, run(tmp_path / "a", None, 0.3), run(tmp_path / "b", None, 0.2))
    assert found.returncode == 0
    assert "b: held-out log loss au 0.2000" in found.stdout


def test_a_run_without_calibration_is_named(tmp_path: Path) -> None:
    found = warm.run(SCRIPT, tmp_path, tmp_path)
    assert found.returncode == 2
    assert found.stderr.startswith("error: run=")
