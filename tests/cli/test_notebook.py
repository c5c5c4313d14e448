"""The functions of `from seke import ...`: the page about them says what is true, on the embedded default."""

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, Prediction, write_jsonl

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_about_notebooks_is_true(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ("source.images=60", "source.size=48", "limit=8")
    done = cli("prepare", *small, f"paths.outputs={tmp_path / 'outputs'}")
    assert done.returncode == 0, done.stderr
    (tmp_path / "outputs/evaluate/theirs").mkdir(parents=True)
    faces = [
        Prediction(
            id=name, source="x", subject=name, text=name, judged=None, labels=Labels(expression=name),
            truth=Labels(expression=name), status="ok",
        )
        for name in ("anger", "fear", "sadness")
    ]  # fmt: skip
    write_jsonl(tmp_path / "outputs/evaluate/theirs/predictions.jsonl", faces)
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(ROOT / "docs" / "notebook.md"), module_relative=False)
    assert (failed, tried) == (0, 7)


def test_a_mistaken_setting_is_refused_as_the_command_refuses_it(tmp_path: Path) -> None:
    from seke import complete

    record = ImageRecord(
        id="a", image="a.png", sha256=None, source="x", subject=None, split="train", labels=Labels()
    )  # fmt: skip
    with pytest.raises(UserError, match=r"sise=1: generate\.py has no such setting"):
        complete(record, tmp_path, "+sise=1")


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import seke, sys; assert not {'numpy', 'hydra', 'torch', 'pydantic'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
