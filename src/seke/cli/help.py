"""What `python <command>.py --help` prints: what it does, the settings that matter most, and where the rest is.

The words beside a setting are the comment beside it in conf/, so that the two cannot differ. `--help=all` is Hydra's
own list of every group and setting; `source=disfa --help` adds all settings of that option.
"""

import itertools
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final, NamedTuple

import yaml
from hydra._internal.utils import get_args_parser

from seke.cli.program import program_of
from seke.core.errors import UserError

WORDS: Final = ("--help", "-h")
ALL: Final = "--help=all"
BASE: Final = "command"
"""The configuration that all commands have."""
MATTER: Final[Mapping[str, Sequence[str]]] = {
    "prepare": ("name", "source", "source.root@folder", "source.labels@folder", "source.test_share@folder",
                "paths.data", "limit", "near_duplicate", "export", "update", "overwrite"),
    "generate": ("name", "records", "backend", "backend.model@openai", "dry_run", "budget", "limit", "generator",
                 "prompts", "update", "review"),
    "train": ("name", "data.path@feid", "model", "model.path@llava_ov", "trainer", "trainer.max_epochs@cpu",
              "optimizer", "data.validation@feid", "algorithm", "dry_run", "wandb"),
    "evaluate": ("name", "records", "model", "model.path@llava_ov", "backend", "backend.model@openai", "predictions",
                 "compare", "dry_run", "budget"),
    "report": ("name", "runs", "experiment", "gallery", "cases", "focus", "paths.images", "paths.outputs"),
    "serve": ("model", "model.path@llava_ov", "backend", "backend.model@openai", "draws", "page.port", "page.host",
              "budget", "dry_run"),
}  # fmt: skip
"""Settings that matter most; `@` names the option of the group that has it. What a command lacks is left out."""
BESIDE: Final = re.compile(r" # (.*)")
COMMENT: Final = re.compile(r" *# (.*)")
EXAMPLE: Final = re.compile(r"# +(python|\.\.\.) |# @")
WIDEST: Final = 110
EXPLAINED: Final = ("source", "trainer", "backend")
"""Groups of which one stands as an example."""
COLUMN: Final = 30
"""Characters of a setting; longer ones have the line to themselves."""


class Setting(NamedTuple):
    """A line of conf/."""

    name: str
    value: str
    says: str
    """The comment beside it."""

    def lines(self, width: int) -> Iterator[str]:
        """Yield it in a column, and its comment in another."""
        left = f"  {self.name}={self.value}"
        said = textwrap.wrap(self.says, width - COLUMN - 2, break_long_words=False) or [""]
        if len(left) > COLUMN:
            yield left[:width]
        else:
            yield f"{left:<{COLUMN}}  {said.pop(0)}".rstrip()
        yield from (f"{'':{COLUMN}}  {line}" for line in said if line)


def asked(words: Sequence[str]) -> bool:
    """Whether a command line asks for this help."""
    return any(word in WORDS for word in words)


def check_flags(words: Sequence[str]) -> None:
    """Refuse what begins with `--` and is no option of Hydra's.

    Raises:
        UserError: naming the nearest one.
    """
    known = [name for name in get_args_parser()._option_string_actions if name.startswith("--")]
    for word in words:
        flag = word.partition("=")[0]
        if flag.startswith("--") and not any(name.startswith(flag) for name in known):
            near = [] if "=" in word else get_close_matches(flag, known, 1, 0.5)
            remedy = f"did you mean {near[0]}?" if near else f"settings have no dashes: {word.lstrip('-')}"
            raise UserError(flag, word.partition("=")[2], "no such option", remedy)


def text(command: str, about: str, words: Sequence[str], conf: Path) -> str:
    """Return the help of a command.

    Args:
        command: its name.
        about: its module's docstring.
        words: the command line; `group=option` in it asks for that option's settings, too.
        conf: the folder of its configuration.
    """
    width = min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)
    program = program_of(command)
    own = {**_settings(conf / f"{BASE}.yaml"), **_settings(conf / f"{command}.yaml")}
    chosen = _chosen(words, conf)
    shown = [_found(name, command, own, chosen, conf) for name in MATTER.get(command, tuple(own))]
    lines = [about.strip(), "", "Settings that matter most:"]
    lines += [line for setting in shown if setting is not None for line in setting.lines(width)]
    for group, option in chosen.items():
        head, settings = _option(conf, group, option)
        lines += ["", *textwrap.wrap(f"{group}={option}: {head}".rstrip(": "), width)]
        lines += [line for name, of in settings.items() for line in Setting(f"{group}.{name}", *of).lines(width)]
    lines += ["", f"All settings:                 {program} {ALL}"]
    if example := next((group for group in EXPLAINED if group in own), None):
        lines.append(f"Those of an option:           {program} {example}={own[example][0]} --help")
    lines.append(f"What they come to:            {program} --cfg job")
    return "\n".join(lines)


def _found(
    name: str, command: str, own: Mapping[str, tuple[str, str]], chosen: Mapping[str, str], conf: Path
) -> Setting | None:
    """Return a setting as the help shows it; None where the command has none of that name."""
    name, _, option = name.partition("@")
    if option:
        group, _, key = name.partition(".")
        option = chosen.get(group, option)
        settings = _option(conf, group, option)[1]
        value, says = settings.get(key, ("", ""))
        only = f"of {group}={option}: " if option not in (own.get(group, [""])[0], chosen.get(group)) else ""
        return Setting(name, value, f"{only}{says}") if key in settings else None
    if name not in own:
        return None
    value, says = own[name]
    if (conf / name).is_dir() or (conf / command / name).is_dir():
        files = [*(conf / name).glob("*.yaml"), *(conf / command / name).glob("*.yaml")]
        options = ", ".join(sorted({file.stem for file in files}))
        says = f"{says.rstrip('.')}: {options}" if says else options
    return Setting(name, chosen.get(name, value), says)


def _chosen(words: Sequence[str], conf: Path) -> dict[str, str]:
    """Return the options that a command line chooses."""
    pairs = (word.partition("=")[::2] for word in words)
    return {group: option for group, option in pairs if (conf / group / f"{option}.yaml").is_file()}


def _option(conf: Path, group: str, option: str) -> tuple[str, dict[str, tuple[str, str]]]:
    """Return the head of an option's file, and its settings with those of the options that it builds on."""
    path = conf / group / f"{option}.yaml"
    if not path.is_file():
        return "", {}
    written = path.read_text(encoding="utf-8")
    comments = itertools.takewhile(COMMENT.fullmatch, written.splitlines())
    head = " ".join(line[1:].strip() for line in comments if not EXAMPLE.match(line))
    settings: dict[str, tuple[str, str]] = {}
    for base in (yaml.safe_load(written) or {}).get("defaults", ()):
        if isinstance(base, str) and base != "_self_":
            settings |= _option(conf, group, base)[1]
    mine = {name: of for name, of in _settings(path).items() if not name.startswith("_") and name != "defaults"}
    for name, (value, says) in mine.items():
        settings[name] = (value, says or settings.get(name, ("", ""))[1])
    return head, settings


def _settings(path: Path) -> dict[str, tuple[str, str]]:
    """Return value and comment of each setting of a YAML file, by its dotted name, as they are written there."""
    written = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = written.splitlines()
    found: dict[str, tuple[str, str]] = {}

    def read(node: yaml.Node | None, above: str = "") -> None:
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            name = f"{above}{key.value}".removeprefix("override /")
            if key.value == "defaults":  # a list of group: option
                for item in value.value:
                    read(item)
            elif isinstance(value, yaml.MappingNode) and not value.flow_style:
                read(value, f"{name}.")
            else:
                text = re.sub(r"\s+#.*\n\s*|\s+", " ", written[value.start_mark.index : value.end_mark.index])
                found[name] = (text, _comment(lines, key.start_mark.line, value.end_mark.line))

    read(yaml.compose(written))
    return {name: of for name, of in found.items() if not name.startswith("hydra")}


def _comment(lines: Sequence[str], first: int, last: int) -> str:
    """Return the comment of the setting that stands in these lines: beside it, going on below it, or else above it."""
    beside = [match[1] for line in lines[first : last + 1] if (match := BESIDE.search(line))]
    if beside:
        below = itertools.takewhile(lambda line: re.match(r" +#", line), lines[last + 1 :])
        return " ".join([*beside, *(COMMENT.sub(r"\1", line) for line in below)])
    above = list(itertools.takewhile(COMMENT.fullmatch, reversed(lines[:first])))
    head = len(above) == first  # it is about the whole file
    return "" if head else " ".join(COMMENT.sub(r"\1", line) for line in reversed(above))
