"""The examples of CONTRIBUTING.md work as they stand there, as parts of a package of one's own."""

import importlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"`([^`\n]+)`:\n\n```(?:python|yaml)\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE))
"""What the guide shows of each file, by its path."""
CHECKS = {words.split()[0]: words.split() for words in re.findall(r"then\s+`python ([^`]+)`", GUIDE)}
"""The command that tries each example, by its program."""
Cli = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of settings beside a package `mine`, with all that the guide shows."""
    base = tmp_path_factory.mktemp("own")
    (base / "mine").mkdir()
    for name, text in BLOCKS.items():
        inside = "toyset_tree.py" if name.startswith("tests/") else Path(name).name
        path = base / name if name.startswith("conf/") else base / "mine" / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(re.sub(r"^_target_: seke\..*\.(\w+\.\w+)$", r"_target_: mine.\1", text, flags=re.MULTILINE))
    return base / "conf"


@pytest.fixture(scope="module")
def own(conf: Path) -> list[str]:
    """Return the settings of a command that uses them, on a small set; results lie beside."""
    data = conf.parent / "data"
    path = conf.parent / "mine" / "toyset_tree.py"
    spec = importlib.util.spec_from_file_location("tests.trees.toyset", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.make(data / "toyset")
    return [f"paths.outputs={conf.parent / 'outputs'}", f"paths.data={data}"]


def test_the_guide_shows_the_files_that_it_speaks_of() -> None:
    assert {"evaluate.py", "generate.py", "prepare.py"} <= set(CHECKS)
    assert [Path(name).suffix for name in BLOCKS].count(".py") == 4
    for path in re.findall(r"`((?:tests/contracts|models|training|benchmark|generation)/\w[\w/]*\.py)`", GUIDE):
        assert (ROOT / path).is_file() or (ROOT / "src" / "seke" / path).is_file(), path
    for module, name in re.findall(r"`(seke(?:\.\w+)+)\.(\w+)`", GUIDE):
        assert hasattr(importlib.import_module(module), name)


def test_the_examples_work_in_a_package_of_ones_own(cli: Cli, conf: Path, own: list[str]) -> None:
    for program in ("prepare.py", "generate.py", "evaluate.py"):
        records = [] if program == "prepare.py" else ["records=toyset"]
        words = [f"--config-dir={conf}", *CHECKS[program][1:], *records, *own]
        path = f"{conf.parent}:{ROOT / 'src'}"
        done = cli(program.removesuffix(".py"), *words, PYTHONPATH=path)
        assert done.returncode == 0, done.stderr
    outputs = conf.parent / "outputs"
    assert "toyset/person" in (outputs / "prepare" / "toyset" / "train.jsonl").read_text()
    assert (outputs / "generate" / "unanimous" / "instructions.jsonl").stat().st_size
    said = BLOCKS["conf/backend/echo.yaml"].split("text: ")[1].strip()
    assert said in (outputs / "evaluate" / "echo" / "predictions.jsonl").read_text()


def test_the_experiment_runs_its_cells_and_makes_its_table(cli: Cli, conf: Path, own: list[str]) -> None:
    outputs = conf.parent / "outputs"
    for words in (
        ["prepare", "name=demo", "source.images=60", "source.size=48"],
        ["generate", "-m", f"--config-dir={conf / 'generate'}", "experiment=mine", "limit=2"],
        ["report", f"--config-dir={conf / 'report'}", "experiment=mine"],
    ):
        done = cli(*words, *own)
        assert done.returncode == 0, done.stderr
    table = (outputs / "report" / "mine" / "tables" / "mine.csv").read_text()
    assert "N = 2" in table
    assert "N = 5" in table


def test_the_first_change_is_needed_and_works(tmp_path: Path) -> None:
    row = json.loads(re.search(r"^ *(\{\"id\".*\})$", GUIDE, re.MULTILINE)[1])
    shutil.copytree(ROOT / "src" / "seke", tmp_path / "seke", symlinks=True)
    lexicon = tmp_path / "seke" / "answers" / "lexicon.py"
    probe = f"from seke.answers.extract import extract; print(extract({row['text']!r}).expression)"

    def read() -> str:
        command = [sys.executable, "-B", "-c", probe]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(tmp_path)}
        ).stdout

    assert read() == "None\n"
    word, after = re.search(r"put `(\w+)` after `(\w+)`", GUIDE).groups()
    lexicon.write_text(re.sub(rf"\b{after}$", f"{after} {word}", lexicon.read_text(), count=1, flags=re.MULTILINE))
    assert read() == f"{row['labels']['expression']}\n"
