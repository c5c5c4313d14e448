"""The decorator of the six commands: Hydra, the one error line, a run's directory, the name of a sweep's cell.

    @command
    def prepare(cfg: DictConfig) -> None: ...

A user's mistake ends with exit code 2 and one line on stderr; `HYDRA_FULL_ERROR=1` shows the traceback instead.
In a sweep such a line does not stop the other cells. What `experiment=figure5` and `scale=demo` mean differs by
command: each has conf/<command>/ in its search path, with experiment/figure5.yaml and scale/demo.yaml in it. Only the
commands know Hydra.
"""

import functools
import inspect
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seke.cli import help as manual
from seke.cli import interrupts, settings, typed_text
from seke.cli.mistakes import WANTS_TRACEBACK, Mistake, give_up, line_of, say
from seke.cli.settings import BY_COMMAND
from seke.core import current_run, files, moved, runs, secrecy
from seke.core.errors import Paused, UserError
from seke.core.escape import VisibleFormatter
from seke.tracking import wandb_run

PAUSED = 3
LARGEST_SEED = 2**32 - 1
"""NumPy's legacy generator, which training seeds as well, takes no larger one."""

LAUNCHERS = re.compile(r"--local[-_]rank(=\d+)?")


def command(main: Callable[[DictConfig], None]) -> Callable[[], None]:
    """Turn `main(cfg)` into a command-line program on conf/<name of main>.yaml."""

    @functools.wraps(main)
    def job(cfg: DictConfig) -> float | list[float] | None:
        mistaken = False
        try:
            sys.argv[:] = typed or sys.argv
            settings.read_mappings(cfg)
            settings.check(cfg, main.__name__)
            OmegaConf.resolve(cfg)
            _follow_moves(cfg)
            secrecy.check(plain(cfg))
            files.permit(_mode(cfg.paths.mode))
            _check_seed(cfg.seed)
            OmegaConf.update(cfg, "name", runs.checked_name("" if cfg.name is None else f"{cfg.name}{_cell(cfg)}"))
            current_run.enter(f"{main.__name__} {time.time_ns()} {os.getpid()}")  # until there is a run
            main(cfg)
            return _objective(cfg, main.__name__)
        except Paused as pause:
            print(f"paused: {pause}; the same command goes on from here", file=sys.stderr)
            raise SystemExit(PAUSED) from None
        except Exception as error:
            mistaken = True
            mistake = _users_mistake(error, cfg)
            if mistake is None or WANTS_TRACEBACK:
                raise
            if _counted_elsewhere(cfg):
                raise Mistake(mistake) from None
            if _sweeping():
                failed.append(_overrides())
                say(mistake)
                return None
            give_up(mistake + typed_text.sweep_hint(sys.argv[1:], mistake))
        finally:
            wandb_run.close()
            runs.release(failed=mistaken)

    failed: list[str] = []
    typed: list[str] = []
    beside = Path(inspect.getfile(main)).resolve().parent / "conf"
    conf = (
        beside if beside.is_dir() else Path(__file__).parents[1] / "conf"
    )  # in a checkout, or in an installed package
    app = hydra.main(version_base="1.3", config_path=str(conf), config_name=main.__name__)(job)

    @functools.wraps(main)
    def program() -> None:
        assert logging.lastResort is not None
        logging.lastResort.setFormatter(VisibleFormatter())
        # Hydra would print several lines and exit with 1; asked for full errors, it lets them through to us.
        os.environ["HYDRA_FULL_ERROR"] = "1"
        try:
            interrupts.listen()
            OmegaConf.register_new_resolver("groups_taken", settings.groups_taken, replace=True)  # in --help
            typed[:] = without_launchers_words(sys.argv)
            if manual.asked(typed[1:]):
                print(manual.text(main.__name__, str(main.__globals__["__doc__"] or ""), typed[1:], conf))
                return
            typed[:] = ["--help" if word == manual.ALL else word for word in typed]
            manual.check_flags(typed[1:])
            words = settings.written(typed[1:], conf, main.__name__)
            if {"--cfg", "-c"} & set(words):
                settings.check_shown(words, conf, main.__name__)
            sys.argv[1:] = words
            app()
        except KeyboardInterrupt as stop:
            print("interrupted; the same command goes on from here", file=sys.stderr)
            raise SystemExit(interrupts.exit_code(stop)) from None
        except BrokenPipeError:  # `--help | head`: the reader has what it wanted
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except Exception as error:
            line = settings.mistake(error, typed[1:], conf, main.__name__) or _users_mistake(error)
            if line is None or WANTS_TRACEBACK:
                raise
            give_up(line)
        if failed:
            print(f"failed cells, {len(failed)}: {'; '.join(failed)}", file=sys.stderr)
            raise SystemExit(2)

    return program


def without_launchers_words(words: Sequence[str]) -> list[str]:
    """Return the command line without `--local_rank=<n>`, which some launchers add, and tell the environment of it.

    >>> without_launchers_words(["train.py", "--local_rank=0", "name=x"])
    ['train.py', 'name=x']
    """
    kept: list[str] = []
    expected = False
    for word in words:
        if expected and word.isdigit():
            os.environ.setdefault("LOCAL_RANK", word)
        elif match := LAUNCHERS.fullmatch(word):
            if match.group(1):
                os.environ.setdefault("LOCAL_RANK", match.group(1)[1:])
        else:
            kept.append(word)
        expected = LAUNCHERS.fullmatch(word) is not None and "=" not in word
    return kept


def finished(cfg: DictConfig, stage: str) -> bool:
    """Whether there is nothing left to do, nor to check: the run is finished, and is not to be done again."""
    return not cfg.overwrite and runs.is_finished(Path(cfg.paths.outputs) / stage / cfg.name)


def open_run(
    cfg: DictConfig,
    stage: str,
    inputs: Mapping[str, Path | Sequence[Path]],
    update: bool = False,
    stale: bool = False,
) -> runs.Run:
    """Claim outputs/<command>/<name>/ for this resolved configuration and these input files; `wandb=` shows it.

    `update`, `stale`: as in `runs.claim`.
    """
    mode = wandb_run.checked(cfg.wandb)
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    path = Path(cfg.paths.outputs) / stage / cfg.name
    settled = {str(key): value for key, value in config.items()}
    run = runs.claim(path, settled, inputs, bool(cfg.overwrite), _rank(stage, os.environ), bool(update), stale)
    # A resume is the same run; one that overwrote another is not.
    current_run.enter(f"{stage}/{cfg.name} {(path / 'config.yaml').stat().st_mtime_ns}")
    return wandb_run.watch(run, stage, inputs, mode, _group(cfg), _requested(cfg), cfg.wandb_pictures)


def composed(command: str, words: Sequence[str]) -> DictConfig:
    """Return the settings of `command` with these words of a command line, for those who call functions instead.

    Raises:
        UserError: for a setting that there is not.
    """
    conf = Path(__file__).parents[1] / "conf"
    read = settings.written(words, conf, command)
    settings.check_shown(read, conf, command)
    with hydra.initialize_config_dir(str(conf), version_base="1.3"):
        cfg = hydra.compose(command, read)
    settings.read_mappings(cfg, read)
    return cfg


def build(node: Any, **extra: Any) -> Any:
    """Instantiate a config node into plain Python objects."""
    return hydra.utils.instantiate(node, _convert_="all", **extra)


def _follow_moves(node: DictConfig | ListConfig) -> None:
    """Have every `_target_` below `node`, which is resolved, name by its path of today what it is to build."""
    for key in range(len(node)) if isinstance(node, ListConfig) else list(node):
        value = None if OmegaConf.is_missing(node, key) else node[key]
        if isinstance(value, DictConfig | ListConfig):
            _follow_moves(value)
        elif key == moved.TARGET and isinstance(value, str) and (path := moved.current(value)) != value:
            _tell_of_move(value, path)
            node[key] = path


@functools.cache
def _tell_of_move(earlier: str, path: str) -> None:
    print(
        f"warning: {earlier} is {path} now; name that as _target_ (the earlier path works in this release only)",
        file=sys.stderr,
    )


def plain(node: Any) -> Any:
    """Return a config node as plain Python objects, as it stands."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _check_seed(seed: object) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
        raise UserError("seed", seed, "no seed", f"use a whole number from 0 to {LARGEST_SEED}")


def _mode(text: object) -> int:
    """Return the setting `paths.mode` as a number.

    Raises:
        UserError: if it is no mode of a folder, or one that its owner may not use.
    """
    if not re.fullmatch(r"0?7[0-7]{2}", str(text)):
        raise UserError("paths.mode", text, "no mode of a folder of yours", "set 700 (you alone), 750, 770 or 755")
    return int(str(text), 8)


def _rank(stage: str, environment: Mapping[str, str]) -> str:
    """Return which process of those of one run this is: "0" is the first, or the only one.

    Training and evaluation alone are done by several; started several times, any other command is in its own way.
    """
    if stage == "evaluate" or (stage == "train" and "RANK" in environment):
        return environment.get("RANK", "0")
    if stage != "train":
        return "0"
    if int(environment.get("SLURM_NTASKS", 1)) > 1 and "SLURM_PROCID" in environment:
        return environment["SLURM_PROCID"]
    node, local = environment.get("NODE_RANK", "0"), environment.get("LOCAL_RANK", "0")
    return local if node == "0" else f"{node}.{local}"


def _users_mistake(error: BaseException, cfg: DictConfig | None = None) -> str | None:
    """Return the line of a user's mistake, in what a run met or on the command line; None if it is neither."""
    if line := line_of(error, None if cfg is None else Path(cfg.paths.outputs)):
        return line
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _command_line_mistake(error)
    return None


def _command_line_mistake(error: Exception) -> str:
    """Put Hydra's message on one line, led by the argument and value that it is about."""
    text = re.sub(r"\s*Config search path:.*", "", str(error), flags=re.DOTALL)
    text = re.sub(r"\s*full_key:.*", "", text, flags=re.DOTALL)
    text = "; ".join(line.strip() for line in text.splitlines() if line.strip()).replace(":; ", ": ")
    unparsed: str | None = getattr(error, "override", None)
    argument = unparsed or next((word for word in sys.argv[1:] if _is_about(word, text)), None)
    if argument is None and isinstance(error, InstantiationException) and (line := _unmade(error)):
        return line
    return f"{argument or 'command line'}: {text}; see --help=all"


def _unmade(error: InstantiationException) -> str | None:
    """Return the line about a part of the configuration that its `_target_` does not make; None if it names none."""
    text = str(error)
    place, target = re.search(r"full_key: (\S+)", text), re.search(r"'([^']+)'", text)
    if place is None or target is None:
        return None
    if "locating target" in text:
        why = str(error.__cause__ or "").strip().splitlines()
        problem = f"no such class or function{f' ({why[-1].strip()})' if why else ''}"
        remedy = "_target_ is <module>.<name>, of a module that Python finds from here (PYTHONPATH=<folder>)"
    elif "callable target" in text:
        problem, remedy = "nothing that can be called", "_target_ is a class, or a function that returns the part"
    else:
        problem = f"making it failed with {error.__cause__!r}"
        remedy = "its settings in conf/ are its arguments; HYDRA_FULL_ERROR=1 shows where it failed"
    return f"{place[1]}={target[1]}: {problem}; {remedy}"


def _is_about(word: str, text: str) -> bool:
    key, _, value = word.lstrip("+~").partition("=")
    return bool(value) and (f"'{key}'" in text or f"{key}/{value}" in text or word in text)


def _sweeping() -> bool:
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def _counted_elsewhere(cfg: DictConfig) -> bool:
    """Whether failed cells are the business of the sweeper, which minds an objective, or lie in other processes."""
    return _sweeping() and (cfg.objective is not None or _launcher() != "basic")


def _launcher() -> str:
    return str(HydraConfig.get().runtime.choices["hydra/launcher"])


def _cell(cfg: DictConfig) -> str:
    """Return what a sweep adds to `name`: `cell`, or else the overrides, so that cells never share a directory."""
    if not _sweeping():
        return ""
    own = str(cfg.cell) if "cell" in cfg else _overrides()
    return re.sub(r"[^\w.=,+-]", "_", f"-{own}") if own else ""


def _overrides() -> str:
    """Return what this cell of a sweep sets, as it was typed: Hydra's own `override_dirname`, but for added pluses."""
    job = HydraConfig.get().job.config.override_dirname
    words = [word.lstrip("+") for word in HydraConfig.get().overrides.task]
    kept = sorted(word for word in words if word.lstrip("~").partition("=")[0] not in job.exclude_keys)
    return str(job.item_sep.join(kept))


def _group(cfg: DictConfig) -> str:
    """Return the experiment, or else the name that the cells of a sweep have in common."""
    choices = HydraConfig.get().runtime.choices
    return str(choices.get("experiment") or str(cfg.name).removesuffix(_cell(cfg)))


def _requested(cfg: DictConfig) -> dict[str, Any]:
    """Return the settings that this run's command line, or sweep, asked for; a group's value is its option."""
    choices = HydraConfig.get().runtime.choices
    keys = [override.lstrip("+~").partition("=")[0] for override in HydraConfig.get().overrides.task]
    where = HydraConfig.get().job.config.override_dirname.exclude_keys
    own = [key for key in keys if key not in where and key.partition("/")[0] not in BY_COMMAND]
    return {key: choices[key] if key in choices else plain(OmegaConf.select(cfg, key)) for key in own}


def _objective(cfg: DictConfig, stage: str) -> float | list[float] | None:
    """Return the finished run's `objective`, which is what a sweeper such as Optuna optimises; None without one.

    Raises:
        UserError: if the run has no such number.
    """
    if cfg.objective is None:
        return None
    numbers = wandb_run.headline(Path(cfg.paths.outputs) / stage / str(cfg.name))
    wanted = [cfg.objective] if isinstance(cfg.objective, str) else list(cfg.objective)
    for name in wanted:
        if name not in numbers:
            raise UserError("objective", name, "no number of this run", f"choose among {', '.join(sorted(numbers))}")
    values = [numbers[name] for name in wanted]
    return values[0] if isinstance(cfg.objective, str) else values
