"""A setting that no configuration knows is refused however it is written; names and open mappings stay as typed."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig

from seke.cli.command import without_launchers_words
from seke.cli.settings import check_shown, mistake, written
from seke.core.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
defaults:
  - command
  - thing: text
  - _self_
  - experiment: null
  - override hydra/job_logging: disabled
  - override hydra/hydra_logging: disabled
size: 1
other: null
limits: { usd: null, rows: 10 }
"""
SHOWN = """
from omegaconf import DictConfig, OmegaConf
from seke.cli.command import command

@command
def toy(cfg: DictConfig) -> None:
    print(cfg.name, OmegaConf.to_container(cfg.thing, resolve=True), cfg.size, cfg.limits)

if __name__ == "__main__":
    toy()
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """The configuration of a small command, toy.py, with a group `thing` of which one option takes anything."""
    conf = tmp_path / "conf"
    for folder in ("thing", "experiment", "colour"):
        (conf / folder).mkdir(parents=True)
    (tmp_path / "toy.py").write_text(SHOWN)
    (conf / "toy.yaml").write_text(CONFIG)
    (conf / "command.yaml").write_text((ROOT / "conf" / "command.yaml").read_text())
    (conf / "colour" / "red.yaml").write_text("shade: 1\n")
    (conf / "thing" / "text.yaml").write_text("_target_: builtins.str\nobject: hello\n")
    (conf / "thing" / "server.yaml").write_text("_target_: builtins.dict\nimage: { side: 512 }\nextra_body: {}\n")
    return conf


@pytest.fixture
def toy(tmp_path: Path, conf: Path, command):
    """Return what runs that command."""
    return lambda *words: command(tmp_path / "toy.py", *words)


def refusal(conf: Path, *words: str) -> str | None:
    """Return the line about these words, as the command would say it."""
    try:
        check_shown(written(words, conf, "toy"), conf, "toy")
    except UserError as error:
        return str(error)
    except HydraException as error:
        return mistake(error, words, conf, "toy")
    return None


def composed(conf: Path, *words: str) -> DictConfig:
    assert refusal(conf, *words) is None
    read = written(words, conf, "toy")
    with initialize_config_dir(str(conf), version_base="1.3"):
        return compose("toy", read)


@pytest.mark.parametrize(
    ("words", "told", "hint"),
    [
        (["sice=3"], "sice=3", "size"),
        (["+sice=3"], "sice=3", "size"),
        (["++sice=3"], "sice=3", "size"),
        (["+usd=3"], "usd=3", "limits.usd"),
        (["limit.rows=3"], "limit.rows=3", "limits.rows"),
        (["+limits.row=3"], "limits.row=3", "limits.rows"),
        (["limits={usd: 1, row: 2}"], "limits.row=2", "limits.rows"),
        (["+limits={usd: 1, row: 2}"], "limits.row=2", "limits.rows"),
        (["limits.usd.cents=3"], "limits.usd.cents=3", None),
        (["+limits.usd.cents=3"], "limits.usd.cents=3", None),
        (["thing=server", "thing.image={side: 1, sied: 2}"], "thing.image.sied=2", "thing.image.side"),
        (["thing=server", "+thing.extra_boddy.a=2"], "thing.extra_boddy.a=2", "thing.extra_body"),
        (["+thing.extra_body.a=2"], "thing.extra_body.a=2", "thing=server"),
        (["thing=server", "thing.object=3"], "thing.object=3", "thing=text"),  # server does not have it
        (["colour=red"], "colour=red", None),
        (["+colour=red"], "colour=red", None),
        (["+thing@othr=server"], "thing@othr=server", "other"),
        (["~sice"], "sice=", "size"),
        (["+api_kye=sk-1"], "api_kye=sk-1", None),
        (["+api_key=sk-1"], "api_key=***", None),
    ],
)
def test_a_key_that_no_configuration_has_is_refused_with_the_nearest_one(conf: Path, words, told, hint) -> None:
    remedy = f"did you mean `{hint}`?" if hint else "`python toy.py --help=all` lists what there is"
    remedy = f"it belongs to {hint}: say which" if hint and "=" in hint else remedy
    assert refusal(conf, *words) == f"{told}: toy.py has no such setting; {remedy}"


@pytest.mark.parametrize("words", [["sice=3"], ["+sice=3"], ["--cfg", "job", "+sice=3"], ["--local_rank=1", "+sice=3"]])
def test_a_command_says_so_in_one_line_and_does_nothing(toy, words) -> None:
    done = toy(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "error: sice=3: toy.py has no such setting; did you mean `size`?\n"


@pytest.mark.parametrize("words", [["+sice=1,2"], ["sice=1,2"], ["experiment=sizes"]])
def test_a_sweep_is_refused_too(toy, tmp_path: Path, words) -> None:
    text = "# @package _global_\nhydra: { sweeper: { params: { sice: '3,4' } } }\n"
    (tmp_path / "conf/experiment/sizes.yaml").write_text(text)
    done = toy("-m", *words)
    assert done.returncode == 2 and done.stdout == ""
    assert "did you mean `size`?" in done.stderr and "append" not in done.stderr


def test_cells_are_called_as_before_whatever_the_pluses(toy) -> None:
    done = toy("-m", "thing=server", "+size=2", "thing.extra_body.effort=low,high")
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "demo-size=2,thing.extra_body.effort=low,thing=server",
        "demo-size=2,thing.extra_body.effort=high,thing=server",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["thing.extra_body={reasoning_effort: none}"],
        ["thing.extra_body.reasoning_effort=none"],
        ["+thing.extra_body.reasoning_effort=none"],
        ["++thing.extra_body={reasoning_effort: none}"],
    ],
)
def test_an_open_mapping_takes_any_key_and_none_is_a_word(conf: Path, words) -> None:
    assert composed(conf, "thing=server", *words).thing.extra_body == {"reasoning_effort": "none"}


@pytest.mark.parametrize("word", ["limits={}", "thing.extra_body={}", "++thing.extra_body={}"])
def test_an_empty_mapping_is_refused_where_it_would_keep_what_is_there(conf: Path, word: str) -> None:
    assert composed(conf, "thing=server", "thing.extra_body={}").thing.extra_body == {}, "there is nothing to keep"
    server = conf / "thing" / "server.yaml"
    server.write_text(server.read_text().replace("extra_body: {}", "extra_body: { effort: low }"))
    key = word.lstrip("+").partition("=")[0]
    remedy = f"take each of them out by ~{key}.<its name>"
    assert refusal(conf, "thing=server", word) == f"{key}={{}}: an empty mapping keeps the default's keys; {remedy}"
    assert composed(conf, "thing=server", "~thing.extra_body.effort").thing.extra_body == {}


def test_what_is_known_may_carry_a_plus(conf: Path) -> None:
    cfg = composed(conf, "+size=3", "++limits.usd=2", "+thing=server")
    assert (cfg.size, cfg.limits, cfg.thing.image.side) == (3, {"usd": 2, "rows": 10}, 512)


@pytest.mark.parametrize("words", [["thing@other=server"], ["+thing@other=server"]])
def test_an_option_is_put_under_another_name_that_is_known(conf: Path, words) -> None:
    assert composed(conf, *words, "other.image.side=3", "other.extra_body.a=1").other.image.side == 3


@pytest.mark.parametrize("name", ["1e5", "true", "007", "12", ".5", "-3", "nan", "null?", "Off", "1_000"])
def test_a_name_is_what_was_typed(conf: Path, name) -> None:
    assert composed(conf, f"name={name}").name == name


def test_so_are_the_names_of_a_sweep_and_paths() -> None:
    assert written(["-m", "name=1e5,b,true", "model.path=3"], ROOT / "conf", "train") == [
        "-m", "name='1e5',b,'true'", "model.path='3'",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sice: 3\n", "sice=3: toy.py has no such setting (it stands in experiment=sizes); did you mean `size`?"),
        ("limits: { rows: 2, usdd: 1 }\n", "limits.usdd=1: toy.py has no such setting (it stands in"),
        ("wanted: 2\nsize: ${wanted}\nwnated: 3\n", "wnated=3: toy.py has no such setting (it stands in"),
    ],
)
def test_an_experiment_file_may_not_set_what_nothing_reads(conf: Path, text: str, told: str) -> None:
    (conf / "experiment/sizes.yaml").write_text("# @package _global_\n" + text)
    found = refusal(conf, "experiment=sizes")
    assert found is not None and found.startswith(told)


def test_an_experiment_may_have_settings_of_its_own_that_it_reads(toy, conf: Path) -> None:
    text = "# @package _global_\ndefaults: [/thing@words: server]\nwanted: 2\nsize: ${wanted}\n"
    (conf / "experiment/sizes.yaml").write_text(text + "name: ${words._target_}\n")
    done = toy("experiment=sizes", "wanted=4")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("builtins.dict {'_target_': 'builtins.str', 'object': 'hello'} 4 ")


def test_what_a_launcher_adds_to_the_command_line_is_left_out(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")  # what is set here is restored
    words = ["--local_rank=1", "name=x", "data.path=a", "--local-rank", "3", "+x=--local_rank"]
    assert without_launchers_words(words) == ["name=x", "data.path=a", "+x=--local_rank"]


@pytest.mark.parametrize(
    ("command", "word"), [("train", "logger=null"), ("train", "trainer=false"), ("evaluate", "judge=null")]
)
def test_no_option_of_a_group_names_the_options(cli, tmp_path, command, word):
    done = cli(command, word, f"paths.outputs={tmp_path}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {word}: no option of this group; use ") and done.stderr.count("\n") == 1


def test_an_experiment_of_several_steps_names_its_recipe(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "worlds.sh").touch()
    line = mistake(HydraException(), ["experiment=worlds"], tmp_path / "conf", "generate")
    assert line == "experiment=worlds: it is a recipe of several steps; run bash scripts/worlds.sh"
