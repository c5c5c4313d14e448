"""Check of the settings that a command is given: an unknown key is refused and the nearest known one is named.

    words = written(sys.argv[1:], conf, "generate")   # what was typed, as Hydra is to read it
    check(cfg, "generate")                            # inside a run of Hydra: raises UserError for what no config knows

A typing mistake must cost nothing: `+dry_run=true` at a command without dry runs would pay for everything. So known is
only what the command's own configuration has with the options chosen, with or without `+`. Some mappings are open, as
their keys are names that only the user knows (`OPEN`); a few nodes also take what their Python class does (`BY_CLASS`).
"""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import IntervalSweep
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seke.cli import typed_text
from seke.core import moved
from seke.core.errors import UserError

BY_COMMAND: Final = ("experiment", "scale")
"""Groups whose options differ by command: they are files of conf/<command>/experiment and conf/<command>/scale."""
OLD_SPELLING: Final = re.compile(r"\+(experiment|scale)/([^=/]+)=\w+")
"""`+experiment/table4=generate`, which experiment=table4 was until version 0.3; still understood."""
OPEN: Final = re.compile(
    r"(.+\.)?(extra_body|prices|lr_of|classes|columns|splits|au_bias|grading)|data\.mixture|model\.lora"
    r"|backend\.model\.lora|predictions_fields|guarantee|benchmark\.(prevalence|questions)|generator\.(counts_of|normalise)|wording\.\w+"
)
"""Mappings whose keys are the user's own, by their dotted names: parameters of a server, models, datasets, classes."""
BY_CLASS: Final = re.compile(r"data\.reader|trainer\.strategy|logger")
"""Nodes to which whatever their class takes may be added."""
READ_BY_THE_PROGRAM: Final = ("cell",)
"""Settings that stand in no configuration, and are read where they are given."""
SECRET: Final = re.compile(r"key|secret|password|authorization|credential", re.IGNORECASE)


def written(words: Sequence[str], conf: Path, command: str) -> list[str]:
    """Return the words of a command line as Hydra is to read them.

    A key that may be new, in an open mapping or behind a `+`, is set whether it is there or not: `check` decides which
    keys there are. Names and paths stay as they are typed (`typed_text`). An option of a group is put in its place, or
    added, as need be.

    >>> written(["limit=3", "backend.extra_body.effort=none", "name=1e5"], Path("conf"), "generate")
    ['limit=3', '++backend.extra_body.effort=none', "name='1e5'"]

    Raises:
        UserError: for a path with a comma in a sweep, where commas part the cells.
    """
    sweeping = typed_text.is_sweep(words)
    words = [OLD_SPELLING.sub(r"\1=\2", word) for word in words]
    folders = [conf, conf / command, *_config_folders(words)]
    read: list[str] = []
    plain_groups: list[str] = []
    added: list[int] = []
    for word in words:
        key, equals, value = word.partition("=")
        plain = key.lstrip("+")
        if not equals or key.startswith(("-", "~")) or plain.startswith("hydra"):
            read.append(word)
        elif any((folder / plain.partition("@")[0]).is_dir() for folder in folders) and not value.startswith("{"):
            if key != plain or "@" in key:
                added.append(len(read))
            else:
                plain_groups.append(_first_choice(word))
            read.append(word)
        else:
            force = "++" if key.startswith("+") or value.startswith("{") or _may_be_new(plain) else ""
            read.append(f"{force}{plain}={typed_text.quoted(plain, value, sweeping)}")
    if added:
        with _initialised(conf):
            composed = hydra.compose(command, plain_groups, return_hydra_config=True)
        there = {str(group) for group in composed.hydra.runtime.choices}
        for place in added:
            plain = read[place].lstrip("+")
            read[place] = plain if plain.partition("=")[0] in there else f"+{plain}"
    return read


def check(cfg: DictConfig, command: str) -> None:
    """Refuse keys of `cfg` that `command` does not know, and values of another type than their default's.

    Called where Hydra has composed `cfg`, with its own node in it or in HydraConfig.

    Raises:
        UserError: naming the key, what it was set to, and the nearest key that is known.
    """
    hydra_config = cfg.hydra if "hydra" in cfg else HydraConfig.get()
    choices = {str(group): option for group, option in hydra_config.runtime.choices.items() if option is not None}
    overrides: list[str] = list(hydra_config.overrides.task)
    added = {override.lstrip("+").partition("=")[0] for override in overrides if override.startswith("+")}
    own = {
        group: option for group, option in choices.items() if group not in BY_COMMAND and not group.startswith("hydra/")
    }
    mine: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
    mine.pop("hydra", None)
    plain = _composed(command, own, added, with_added=False)
    bare = _tree(plain)
    text = OmegaConf.to_yaml(OmegaConf.create(mine)) + str(hydra_config.sweeper.get("params", ""))
    for group in added & own.keys():
        package = group.rpartition("@")[2]
        if not _reaches(bare, package) and not _is_read(package, text):
            raise _no_setting(group, own[group], command, bare, choices, overrides)
    known = _tree(_composed(command, own, added)) if added & own.keys() else bare
    for key, value in _unknown(mine, known):
        if "." in key or not _is_read(key, text):
            raise _no_setting(*_innermost(key, value), command, known, choices, overrides)
    alike = not added & choices.keys() and not choices.keys() & set(BY_COMMAND)
    _check_types(cfg, plain if alike else _composed(command, choices, added), overrides)


def read_mappings(cfg: DictConfig, overrides: Sequence[str] | None = None) -> None:
    """Read the mappings that `written` has quoted, since Hydra's grammar knows no letters but ASCII's in them.

    Raises:
        UserError: if one is none.
    """
    for override in HydraConfig.get().overrides.task if overrides is None else overrides:
        key = override.lstrip("+~").partition("=")[0]
        if (read := typed_text.mapping(key, OmegaConf.select(cfg, key))) is not None:
            OmegaConf.update(cfg, key, read, merge=False, force_add=True)


def mistake(error: Exception, words: Sequence[str], conf: Path, command: str) -> str | None:
    """Return the line for a key that Hydra itself does not find, as in a sweep's parameters; None for other errors."""
    if isinstance(error, HydraException | ValueError) and (line := _not_here(words, conf, command)):
        return line
    if isinstance(error, ValueError) and str(error).startswith("Config group override must be"):
        return _no_option(words, conf)
    if absent := re.search(r"Could not find '([^']+)/([^'/]+)'\s+Available options in", str(error)):
        options = sorted(path.stem for path in (conf / absent[1]).glob("*.yaml"))
        return str(UserError(absent[1], absent[2], "no such option", _one_of(absent[2], options)))
    found = re.search(
        r"Could not (?:override|delete from config\.) '([^']+)'|Key '([^']+)' is not in struct", str(error)
    )
    if not isinstance(error, HydraException) or found is None or "Could not find" in str(error):
        return None
    inner = re.search(r"full_key: (\S+)", str(error))
    key = inner.group(1) if inner else found.group(1) or found.group(2)
    about = [word for word in words if _is_part(key, word.lstrip("+~").partition("=")[0])]
    value = next((told for word in about if (told := _value(word, key)) != ""), "")  # generator=blind says none of it
    pairs = (word.lstrip("+").partition("=")[::2] for word in words)
    chosen = {group: option for group, option in pairs if (conf / group / f"{option}.yaml").is_file()}
    with _initialised(conf):
        return str(_no_setting(key, value, command, _tree(_composed(command, chosen, set())), {}, [key]))


def _no_option(words: Sequence[str], conf: Path) -> str | None:
    """Return the line for a group that is given null, or true, in place of one of its options."""
    for group, _, value in (word.lstrip("+").partition("=") for word in words):
        options = sorted(path.stem for path in (conf / group.partition("@")[0]).glob("*.yaml"))
        if options and value in ("null", "~", "false", "true", ""):
            return str(UserError(group, value, "no option of this group", f"use {', '.join(options)}"))
    return None


def _one_of(word: str, options: Sequence[str]) -> str:
    """Return what to do about a word that is none of these: the nearest one, and all that there are.

    >>> _one_of("foldr", ["disfa", "folder"]), _one_of("x", ["disfa", "folder"])
    ('did you mean `folder`? There are disfa, folder', 'use disfa, folder')
    """
    listed, near = ", ".join(options), get_close_matches(word, options, 1, 0.6)
    return f"did you mean `{near[0]}`? There are {listed}" if near else f"use {listed}"


def _not_here(words: Sequence[str], conf: Path, command: str) -> str | None:
    """Return the line for an experiment or a scale that there is not, or that has nothing for this command."""
    for group, _, value in (word.partition("=") for word in words):
        if group not in BY_COMMAND or "," in value:
            continue
        here = [folder / group for folder in (conf, conf / command, *_config_folders(words))]
        if any((folder / f"{value}.yaml").is_file() for folder in here):
            continue
        if elsewhere := sorted(path.parts[-3] for path in conf.glob(f"*/{group}/*.yaml") if path.stem == value):
            problem, remedy = f"it has nothing for {command}.py", f"it runs at {', '.join(elsewhere)}.py"
        elif group == "experiment" and (conf.parent / "scripts" / f"{value}.sh").is_file():
            problem, remedy = "it is a recipe of several steps", f"run bash scripts/{value}.sh"
        else:
            names = sorted({path.stem for folder in here for path in folder.glob("*.yaml")})
            problem, remedy = f"no such {group}", _one_of(value, names)
        return str(UserError(group, value, problem, remedy))
    return None


def check_shown(words: Sequence[str], conf: Path, command: str) -> None:
    """Check the settings of a command line that only asks to see the configuration (--cfg), which runs nothing.

    Raises:
        UserError: as `check`.
    """
    asked = (word for word in words if word.startswith("~") or ("=" in word and not word.startswith("-")))
    overrides = [_first_choice(word) for word in asked]
    with _initialised(conf):
        check(hydra.compose(command, overrides, return_hydra_config=True), command)


def groups_taken() -> str:
    """Return the groups that the running command takes, one a line with their options, for its --help=all."""
    running = HydraConfig.get()
    loader = GlobalHydra.instance().config_loader()
    groups = sorted({str(group).partition("@")[0] for group in running.runtime.choices})
    options = {group: loader.get_group_options(group, config_name=running.job.config_name) for group in groups}
    return "".join(
        f"{group}: {', '.join(sorted(of))}\n" for group, of in options.items() if of and "hydra" not in group
    )


def _config_folders(words: Sequence[str]) -> Iterator[Path]:
    for word, following in zip(words, [*words, ""][1:], strict=True):
        if word in ("--config-dir", "-cd"):
            yield Path(following)
        elif word.startswith("--config-dir="):
            yield Path(word.partition("=")[2])


def _may_be_new(key: str) -> bool:
    parts = key.split(".")
    above = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return any(OPEN.fullmatch(node) or BY_CLASS.fullmatch(node) for node in above)


def _first_choice(word: str) -> str:
    """Return one override of those that a sweep makes of `word`."""
    parsed = typed_text.parser().parse_override(word)
    if not parsed.is_sweep_override():
        return word
    sweep = parsed.value()
    first = sweep.start if isinstance(sweep, IntervalSweep) else next(iter(parsed.sweep_string_iterator()), "")
    return f"{word.partition('=')[0]}={first}"


@contextmanager
def _initialised(conf: Path) -> Iterator[None]:
    """Have Hydra know the command's configuration where no run of it has begun, or one has ended by an error."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(conf), version_base="1.3"):
        yield


def _composed(command: str, choices: Mapping[str, Any], added: set[str], with_added: bool = True) -> DictConfig:
    """Return the configuration with these options and no value set; options that only others' bring are left out."""
    loader = GlobalHydra.instance().config_loader()
    chosen = {
        group: f"{'+' if group in added else ''}{group}={option}"
        for group, option in choices.items()
        if not group.startswith("hydra/") and (with_added or group not in added)
    }
    while True:
        try:
            return loader.load_configuration(command, list(chosen.values()), RunMode.RUN)
        except ConfigCompositionException as error:
            absent = re.search(r"Could not override '([^']+)'", str(error))
            if absent is None or chosen.pop(absent.group(1), None) is None:
                raise


def _tree(cfg: DictConfig) -> dict[str, Any]:
    tree: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
    tree.pop("hydra", None)
    return tree


def _unknown(mine: Mapping[Any, Any], known: Mapping[Any, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key of `mine` that `known` does not have, by its dotted name, with its value."""
    for key, value in mine.items():
        name = f"{above}{key}"
        if key not in known:
            if name not in READ_BY_THE_PROGRAM and not _is_taken(above.removesuffix("."), str(key), mine):
                yield name, value
        elif isinstance(value, Mapping) and not OPEN.fullmatch(name):
            theirs = known[key]
            if isinstance(theirs, Mapping):
                yield from _unknown(value, theirs, f"{name}.")
            elif "_target_" not in value and not str(theirs).startswith("${"):
                yield from ((f"{name}.{inner}", value[inner]) for inner in value)


def _is_taken(node: str, key: str, content: Mapping[Any, Any]) -> bool:
    """Whether the class of a node takes the argument `key`."""
    if not BY_CLASS.fullmatch(node) or "_target_" not in content:
        return False
    made_by = hydra.utils.get_object(moved.current(str(content["_target_"])))
    return key in inspect.signature(made_by).parameters or any(
        key in inspect.signature(base).parameters for base in getattr(made_by, "__mro__", ())[1:-1]
    )


def _is_read(key: str, text: str) -> bool:
    """Whether an interpolation in `text` reads the top-level setting `key`."""
    first = re.escape(key.partition(".")[0])
    return re.search(rf"\$\{{{first}[.}}\[]|oc\.select:'?{first}[.'\[,]", text) is not None


def _innermost(key: str, value: Any) -> tuple[str, Any]:
    while isinstance(value, Mapping) and value:
        inner, value = next(iter(value.items()))
        key = f"{key}.{inner}"
    return key, value


def _reaches(tree: Mapping[Any, Any], name: str) -> bool:
    node: Any = tree
    for part in name.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return True


def _flat(tree: Mapping[Any, Any], above: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if key != "_target_":
            yield f"{above}{key}"
            if isinstance(value, Mapping):
                yield from _flat(value, f"{above}{key}.")


def _no_setting(
    key: str,
    value: object,
    command: str,
    known: Mapping[str, Any],
    choices: Mapping[str, Any],
    overrides: Sequence[str],
) -> UserError:
    here = [
        name for name in _flat(known) if name != key
    ]  # the same name may be another option's: generator=blind has fewer
    nearest = nearest_name(key.rpartition("@")[2], here)
    remedy = f"did you mean `{nearest}`?" if nearest else f"`python {command}.py --help=all` lists what there is"
    if not _reaches(known, ".".join(key.split(".")[:2])) and (having := _options_with(key)):
        remedy = f"it belongs to {', '.join(having)}: say which"
    typed = any(_is_part(key, override.lstrip("+~").partition("=")[0]) for override in overrides)
    files = [f"{group}={choices[group]}" for group in BY_COMMAND if group in choices]
    where = f" (it stands in {' or '.join(files)})" if files and not typed else ""
    return UserError(key, "***" if SECRET.search(key) else value, f"{command}.py has no such setting{where}", remedy)


def _options_with(key: str) -> list[str]:
    """Return the options, as `group=option`, of which one chosen would bring this setting."""
    group, _, inside = key.partition(".")
    loader = GlobalHydra.instance().config_loader()
    files = {option: f"{group}/{option}" for option in loader.get_group_options(group)} if inside else {}
    found = {option: loader.repository.load_config(path) for option, path in files.items()}  # type: ignore[attr-defined]
    return [f"{group}={option}" for option, file in found.items() if file and inside.split(".")[0] in file.config]


def _value(word: str, key: str) -> object:
    """Return what `word` sets `key` to, as it is typed or, within a mapping, as it is read."""
    name, _, text = word.lstrip("+~").partition("=")
    if name == key:
        return text
    try:
        node: Any = typed_text.parser().parse_override(word).value()
        for part in key.removeprefix(f"{name}.").split("."):
            node = node[part]
    except (HydraException, LookupError, TypeError):
        return ""
    return node


def _is_part(key: str, of: str) -> bool:
    return key == of or key.startswith(f"{of}.") or of.startswith(f"{key}.")


def nearest_name(key: str, known: Sequence[str]) -> str | None:
    """Return the known setting that `key` most probably means: the same last word elsewhere, else the closest spelling.

    >>> nearest_name("max_samples", ["seed", "generator.max_samples"]), nearest_name("sorce", ["seed", "source"])
    ('generator.max_samples', 'source')
    >>> nearest_name("backend.modle", ["backend.model", "model"]), nearest_name("zzz", ["seed"])
    ('backend.model', None)
    """
    ordered = sorted(known, key=lambda name: (name.count("."), name))
    last = key.rpartition(".")[2]
    if "." in key and (close := get_close_matches(key, ordered, 1, 0.85)):
        return close[0]
    words: dict[str, str] = {}
    for name in ordered:
        words.setdefault(name.rpartition(".")[2], name)
    alike = [word for word in words if abs(len(word) - len(last)) <= 1 + len(last) // 8]
    close = get_close_matches(last, alike, 1, 0.7)
    return words[close[0]] if close else None


def _check_types(cfg: DictConfig, defaults: DictConfig, overrides: Sequence[str]) -> None:
    """Refuse an override whose type is not its default's: `limit=ten` would else surface far from its cause.

    And an empty mapping where there is a default: Hydra merges the two, so that nothing would change.
    """
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        try:
            before, now = (_plain(OmegaConf.select(node, key)) for node in (defaults, cfg))
        except OmegaConfBaseException:
            continue  # a group's choice, or a value that is interpolated and resolved later
        if before and isinstance(before, Mapping) and _is_empty_mapping(override):
            problem, remedy = "an empty mapping keeps the default's keys", f"take each of them out by ~{key}.<its name>"
            raise UserError(key, "{}", problem, remedy)
        _check_type(key, before, now)


def _is_empty_mapping(override: str) -> bool:
    if "{" not in override:
        return False
    value = typed_text.parser().parse_override(override).value()
    return isinstance(value, Mapping) and not value


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node


def _check_type(key: str, before: Any, now: Any) -> None:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for inner in before.keys() & now.keys():
            _check_type(f"{key}.{inner}", before[inner], now[inner])
        return
    if isinstance(now, str) and "${" in now:
        return  # what it refers to is resolved later
    for kind, noun in ((bool, "true or false"), (int | float, "a number")):
        if isinstance(before, kind) and now is not None and not isinstance(now, kind):
            raise UserError(key, now, f"not {noun}", f"its default is {before}")
