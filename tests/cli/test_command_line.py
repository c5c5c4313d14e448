"""What every command does with a mistake, shown on the smallest command there is."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
from omegaconf import DictConfig
from seke.cli.command import build, command, open_run
from seke.core.errors import UserError

@command
def toy(cfg: DictConfig) -> None:
    if cfg.size < 1:
        raise UserError("size", cfg.size, "too small", "set 1 or more")
    if cfg.size > 10:
        raise RuntimeError("a bug")
    run = open_run(cfg, "toy", {})
    if cfg.size == 7:
        raise UserError("KEY", "", "wants a key", "export KEY=...")
    if cfg.size == 8:
        (run.path / "rows.jsonl").symlink_to("/dev/full")
        (run.path / "rows.jsonl").write_text("row")
    print(run.path.name, "finished" if run.finished else "new", build(cfg.thing))
    run.finish()

if __name__ == "__main__":
    toy()
"""
CONFIG = """
defaults:
  - command
  - thing: text
  - _self_
  - experiment: null
  - override hydra/job_logging: disabled
  - override hydra/hydra_logging: disabled
size: 1
"""


@pytest.fixture
def toy(command: Callable[..., CompletedProcess[str]], tmp_path: Path) -> Callable[..., CompletedProcess[str]]:
    conf = tmp_path / "conf"
    (conf / "thing").mkdir(parents=True)
    (tmp_path / "toy.py").write_text(SCRIPT)
    (conf / "toy.yaml").write_text(CONFIG)
    (conf / "command.yaml").write_text((ROOT / "conf" / "command.yaml").read_text())
    (conf / "thing" / "text.yaml").write_text("_target_: builtins.str\nobject: hello\n")
    (conf / "thing" / "broken.yaml").write_text("_target_: seke.core.prompts.Prompts\n")

    return partial(command, tmp_path / "toy.py")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["size=0"], "error: size=0: too small; set 1 or more"),
        (["sise=3"], "error: sise=3: toy.py has no such setting; did you mean `size`?"),
        (["thing=nope"], "error: thing=nope: no such option; use broken, text"),
        (["thing.colour=red"], "error: thing.colour=red: toy.py has no such setting; `python toy.py --help=all`"),
        (["size="], "error: size=: not a number; its default is 1"),
        (["overwrite=maybe"], "error: overwrite=maybe: not true or false; its default is False"),
        (["size=[1"], "error: size=[1: "),
        (["seed=-1"], "error: seed=-1: no seed; use a whole number from 0 to 4294967295"),
        (["seed=1.5"], "error: seed=1.5: no seed"),
        (["seed=true"], "error: seed=True: no seed"),
        (["seed=null"], "error: seed=None: no seed"),
        (["seed=4294967296"], "error: seed=4294967296: no seed"),
        (["name=null"], "error: name=: no name of a directory; use a plain name, without slashes"),
        (["name=.."], "error: name=..: no name of a directory"),
        (["name=/tmp/x"], "error: name=/tmp/x: no name of a directory"),
        (["name=" + "x" * 300], "error: name=" + "x" * 60 + "...: longer than 240 bytes; use a shorter one"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(toy, arguments: list[str], line: str) -> None:
    done = toy(*arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_the_nearest_option_is_named(toy) -> None:
    line = "error: thing=txt: no such option; did you mean `text`? There are broken, text\n"
    assert toy("thing=txt").stderr == line


def test_an_option_of_the_program_that_there_is_not_is_one_line(toy) -> None:
    assert toy("--hlep").stderr == "error: --hlep=: no such option; did you mean --help?\n"
    assert toy("--size=3").stderr == "error: --size=3: no such option; settings have no dashes: size=3\n"


def test_the_traceback_is_there_for_those_who_ask(toy) -> None:
    done = toy("size=0", HYDRA_FULL_ERROR="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "UserError" in done.stderr


def test_a_bug_is_no_mistake_of_the_users(toy) -> None:
    done = toy("size=11")
    assert done.returncode == 1
    assert "RuntimeError: a bug" in done.stderr


def test_the_same_command_again_resumes_and_another_is_refused(toy) -> None:
    assert toy().stdout == "demo new hello\n"
    assert toy().stdout == "demo finished hello\n"
    done = toy("size=2")
    assert done.returncode == 2
    assert "holds a run with size=1 (now 2); choose another name= or say overwrite=true" in done.stderr
    assert toy("size=2", "overwrite=true").stdout == "demo new hello\n"


def test_a_start_that_comes_to_nothing_leaves_the_name_free_and_an_earlier_run_there(toy, tmp_path: Path) -> None:
    assert toy("size=7").returncode == 2
    assert not (tmp_path / "outputs" / "toy" / "demo").exists()
    assert toy("size=2").stdout == "demo new hello\n"
    assert toy("size=7", "overwrite=true").returncode == 2
    assert toy("size=2").stdout == "demo finished hello\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_line(toy) -> None:
    done = toy("size=8")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: paths.outputs=outputs: cannot be written (No space left on device); see to")
    assert done.stderr.count("\n") == 1


def test_outputs_below_a_file_or_for_everybody_are_one_line(toy) -> None:
    assert toy("paths.outputs=toy.py").stderr.startswith("error: paths.outputs=toy.py: toy.py/toy cannot be")
    done = toy("paths.mode=777", "name=open")
    assert done.returncode == 0, done.stderr
    assert toy("paths.mode=077").stderr.startswith("error: paths.mode=077: no mode of a folder of yours; set 700")


def test_a_name_does_not_lead_to_another_commands_run(toy, tmp_path: Path) -> None:
    theirs = tmp_path / "outputs" / "prepare" / "demo" / "config.yaml"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("config: {}\ninputs: {}\n")
    done = toy("name=../prepare/demo", "overwrite=true")
    assert done.returncode == 2
    assert done.stderr.startswith("error: name=../prepare/demo: no name of a directory")
    assert theirs.read_text() == "config: {}\ninputs: {}\n"
    assert not (tmp_path / "outputs" / "toy").exists()


def test_cells_of_a_sweep_have_directories_of_their_own(toy, tmp_path: Path) -> None:
    done = toy("-m", "size=1,2,3", "name=grid")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["grid-size=1", "grid-size=2", "grid-size=3"]
    assert sorted(path.name for path in (tmp_path / "outputs" / "toy").iterdir()) == [
        "grid-size=1", "grid-size=2", "grid-size=3",
    ]  # fmt: skip


def test_a_cell_that_fails_does_not_stop_the_others(toy) -> None:
    done = toy("-m", "size=1,0,2")
    assert done.returncode == 2
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["demo-size=1", "demo-size=2"]
    assert done.stderr == "error: size=0: too small; set 1 or more\nfailed cells, 1: size=0\n"


@pytest.fixture
def experiment(tmp_path: Path, toy) -> None:
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir()
    text = "# @package _global_\nname: sizes\ncell: of-${size}\nhydra: {sweeper: {params: {size: '2,3'}}}\n"
    (folder / "sizes.yaml").write_text(text)


@pytest.mark.usefixtures("experiment")
def test_an_experiment_sweeps_at_its_command_and_names_its_cells(toy) -> None:
    done = toy("-m", "experiment=sizes")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "sizes-of-2 new hello\nsizes-of-3 new hello\n"
    assert toy("-m", "experiment=sizes", "size=4", "name=other").stdout == "other-of-4 new hello\n"


@pytest.mark.usefixtures("experiment")
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("colours", "error: experiment=colours: no such experiment; use sizes"),
        ("", "error: experiment=: no such experiment; use sizes"),
    ],
)
def test_an_experiment_that_is_not_there_is_one_line(toy, name: str, line: str) -> None:
    done = toy(f"experiment={name}")
    assert done.returncode == 2 and done.stderr == line + "\n"


@pytest.mark.usefixtures("experiment")
def test_an_experiment_says_at_which_commands_it_runs(toy, tmp_path: Path) -> None:
    (tmp_path / "conf" / "train").mkdir()
    (tmp_path / "conf" / "experiment").rename(tmp_path / "conf" / "train" / "experiment")
    done = toy("-m", "experiment=sizes")
    assert done.returncode == 2
    assert done.stderr == "error: experiment=sizes: it has nothing for toy.py; it runs at train.py\n"


@pytest.mark.usefixtures("experiment")
def test_the_old_spelling_of_an_experiment_is_understood(toy) -> None:
    assert toy("+experiment/sizes=toy").stdout == "sizes new hello\n"


@pytest.mark.usefixtures("experiment")
def test_help_lists_what_can_be_typed_and_no_group_of_another_command(toy, tmp_path: Path) -> None:
    (tmp_path / "conf" / "colour").mkdir()
    (tmp_path / "conf" / "colour" / "red.yaml").write_text("shade: 1\n")
    listed = toy("--help=all").stdout.partition("(group=option)\n\n")[2].partition("\n\n")[0]
    assert listed == "experiment: sizes\nthing: broken, text"
