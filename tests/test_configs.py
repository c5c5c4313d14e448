"""Every option of every group composes at every command that offers the group, and becomes a plain Python object."""

import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from seke.cli.settings import BY_COMMAND, groups_taken

from .composition import CONF, composed

COMMANDS = ("prepare", "generate", "train", "evaluate", "report", "serve")
OF_COMMANDS = sorted(
    (group, path.stem, command)
    for group in BY_COMMAND
    for command in COMMANDS
    for path in (*CONF.glob(f"{command}/{group}/*.yaml"), *(CONF / group).glob("*.yaml"))
    if (CONF / command / group).is_dir()
)
GROUPS = {
    path.name: sorted(file.stem for file in path.glob("*.yaml"))
    for path in CONF.iterdir()
    if path.is_dir() and path.name not in (*BY_COMMAND, *COMMANDS)
}
PARTS = {"vlm": "backend", "prompts": "prompts"}


PLAIN = {command: composed(command) for command in COMMANDS}
"""The settings of each command where nothing is said."""
WITHOUT_SETTINGS = {("train", "algorithm")}
"""Groups whose default sets nothing, so that a run of it is the same as before there was a choice."""
OPTIONS = [
    (command, group, option)
    for command in COMMANDS
    for group in GROUPS
    if group in PLAIN[command] or (command, group) in WITHOUT_SETTINGS
    for option in GROUPS[group]
]
BUILT = [entry for entry in OPTIONS if entry[1] != "source"]
"""Sources are built in contracts/test_sources.py, each where its dataset is."""


def test_every_option_is_offered_at_some_command() -> None:
    offered = {(group, option) for _, group, option in OPTIONS}
    assert offered == {(group, option) for group, options in GROUPS.items() for option in options}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_needs_no_argument(command: str) -> None:
    cfg = PLAIN[command].copy()
    OmegaConf.resolve(cfg)
    assert not OmegaConf.missing_keys(cfg)
    assert {"name", "seed", "overwrite"} <= set(cfg)
    assert {"outputs", "data", "images"} <= set(cfg.paths)


def from_the_command(group: str, cfg: DictConfig, tmp_path: Path) -> dict[str, object]:
    """What a command hands to a group's object beside its YAML."""
    if group == "generator":
        return {part: instantiate(cfg[name]) for part, name in PARTS.items()}
    return {"save_dir": str(tmp_path)} if group == "logger" else {}


@pytest.mark.parametrize(("command", "group", "option"), BUILT, ids=["-".join(option) for option in BUILT])
def test_every_option_composes_and_instantiates(command: str, group: str, option: str, tmp_path: Path) -> None:
    cfg = composed(command, f"{group}={option}")
    cfg.paths.outputs = str(tmp_path)
    OmegaConf.resolve(cfg)
    if group not in cfg:
        assert (command, group) in WITHOUT_SETTINGS and composed(command, f"{group}={option}") == PLAIN[command]
        return
    assert OmegaConf.to_container(cfg[group], throw_on_missing=True) is not None
    instantiate(cfg[group], _convert_="all", **from_the_command(group, cfg, tmp_path))


@pytest.mark.parametrize(("group", "name", "command"), OF_COMMANDS, ids=["-".join(parts) for parts in OF_COMMANDS])
def test_every_experiment_and_scale_composes_at_its_commands_and_sets_only_what_they_read(
    group: str, name: str, command: str
) -> None:
    cfg = composed(command, f"{group}={name}")
    own = set(cfg) - set(PLAIN[command]) - {"hydra", "algorithm", "cell"}
    texts = str(OmegaConf.to_container(cfg, resolve=False))
    unread = {key for key in own if f"${{{key}" not in texts and f"oc.select:'{key}." not in texts}
    assert not unread, f"settings that nothing reads: {unread}"
    composed_but_for_hydra = OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])
    # A word stands for what only a running Hydra knows: which option was chosen.
    text = re.sub(r"\$\{hydra:[^}]*\}", "chosen", OmegaConf.to_yaml(composed_but_for_hydra))
    OmegaConf.resolve(OmegaConf.create(text))
    for parameter in cfg.hydra.sweeper.params if "hydra" in cfg else ():
        assert OmegaConf.select(cfg, parameter) is not None or parameter in GROUPS


def test_the_benchmark_asks_one_of_the_questions_that_instruction_data_asks() -> None:
    questions = PLAIN["generate"].prompts.templates.questions
    assert PLAIN["evaluate"].benchmark.question.strip() in [question.strip() for question in questions]


@pytest.mark.parametrize(
    ("command", "groups"),
    [
        ("prepare", "experiment scale source"),
        ("generate", "backend captioner experiment generator model prompts scale stopping"),
        ("train", "algorithm data experiment logger model optimizer scale trainer"),
        ("evaluate", "backend benchmark experiment judge model scale system"),
        ("report", "experiment"),
        ("serve", "backend benchmark judge model system"),
    ],
)
def test_help_lists_the_groups_that_the_command_takes_with_all_that_can_be_typed(command: str, groups: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        HydraConfig.instance().set_config(compose(command, return_hydra_config=True))
        listed = dict(line.split(": ") for line in groups_taken().splitlines())
    assert list(listed) == groups.split()
    for group, options in listed.items():
        of_command = [name for kind, name, where in OF_COMMANDS if (kind, where) == (group, command)]
        assert options.split(", ") == sorted(of_command or GROUPS[group])
