"""What robustness.py measures: its settings, the worlds and the claims, read and checked (conf/robustness.yaml)."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from hydra.errors import HydraException, InstantiationException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seke.cli import settings
from seke.cli.command import build, composed
from seke.core.errors import UserError
from seke.core.runs import checked_name
from seke.core.setting_checks import check_between, check_whole

CONF = Path(__file__).resolve().parent.parent / "conf"
LOWER_IS_BETTER = ("valence", "arousal", "ece")
MEASURES = ("accuracy", "f1", *LOWER_IS_BETTER)


class Claim(NamedTuple):
    """What is claimed of a method; see conf/robustness.yaml."""

    says: str
    measure: tuple[str, ...]
    of: str
    above: tuple[str, ...] = ()
    by: float = 0.0
    at_most: float | None = None
    pooled: bool = False
    """Whether it is judged on the means over seeds: what claims a tie fails by chance with one seed or another."""

    def margin(self, measured: Mapping[str, Mapping[str, float | None]]) -> float | None:
        """Return by how many points it holds in one world with one seed (below 0: fails), None where one is unknown."""
        margins = [self._margin(measured, name) for name in self.measure]
        return None if None in margins else min(margin for margin in margins if margin is not None)

    def _margin(self, measured: Mapping[str, Mapping[str, float | None]], name: str) -> float | None:
        value = measured[self.of][name]
        if self.above:
            others = [measured[other][name] for other in self.above]
            known = [other for other in others if other is not None]
            if value is None or len(known) < len(others):
                return None
            ahead = min(known) - value if name in LOWER_IS_BETTER else value - max(known)
            return ahead - self.by
        return None if value is None or self.at_most is None else self.at_most - value


class World(NamedTuple):
    """One annotator, one kind of faces and one seed: what one process measures at a time."""

    annotator: str
    faces: str
    seed: int
    backend: dict[str, Any]
    source: dict[str, Any]
    methods: dict[str, dict[str, Any]]
    """Settings of generate for each method, by name."""
    budgets: dict[str, list[str]]
    kept: Path
    """Where the result is kept."""
    overwrite: bool

    @property
    def said(self) -> dict[str, Any]:
        """All that decides the result."""
        return {name: value for name, value in self._asdict().items() if name not in ("kept", "overwrite")}


def read_settings(words: Sequence[str]) -> dict[str, Any]:
    """Return conf/robustness.yaml with a configuration of one's own and the words of a command line.

    Raises:
        UserError: for what is no setting, no world, no method or no claim.
    """
    known = OmegaConf.load(CONF / "robustness.yaml")
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UserError("robustness", word, "no setting", "write <setting>=<value>")
        if name not in known:
            raise UserError(name, value, "no such setting", f"use one of {', '.join(map(str, known))}")
    try:
        typed = OmegaConf.from_dotlist(list(words))
        own = OmegaConf.create()
        if path := typed.get("config"):
            if not Path(path).is_file():
                raise UserError("config", path, "no such file", "give a YAML file like conf/robustness.yaml")
            try:
                own = OmegaConf.load(path)
            except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
                problem = " ".join(str(error).split())
                raise UserError("config", path, problem, "give a YAML file like conf/robustness.yaml") from None
            if not OmegaConf.is_dict(own):
                raise UserError("config", path, "holds no settings", "give a YAML file like conf/robustness.yaml")
            if strange := [str(name) for name in own if name not in known]:
                problem = f"{strange[0]} is no such setting"
                raise UserError("config", path, problem, f"use some of {', '.join(map(str, known))}")
        found: Any = OmegaConf.to_container(OmegaConf.merge(known, own, typed), resolve=True)
    except OmegaConfBaseException as error:
        raise UserError("robustness", " ".join(words), str(error).splitlines()[0], "write <setting>=<value>") from None
    check(found)
    return found


def check(found: Mapping[str, Any]) -> None:
    """Refuse numbers out of range, and names that nothing has.

    Raises:
        UserError: naming the setting.
    """
    for name in ("name", "outputs"):
        if not isinstance(found[name], str) or not found[name]:
            raise UserError(name, found[name], "not a name", f"use for example {name}={name}")
    checked_name(found["name"])
    check_whole("faces", found["faces"], 60)
    check_whole("pilot", found["pilot"], 40)
    if 2 * found["pilot"] > found["faces"]:
        problem = f"more than half of faces={found['faces']}, so too few would be left to score"
        raise UserError("pilot", found["pilot"], problem, "give more faces, or a smaller pilot")
    check_whole("workers", found["workers"], 1, 1024, optional=True)
    if not isinstance(found["seeds"], list) or not found["seeds"]:
        raise UserError("seeds", found["seeds"], "no list of seeds", "use for example seeds=[0,1,2]")
    for seed in found["seeds"]:
        check_whole("seeds", seed, 0)
    if len(set(found["seeds"])) < len(found["seeds"]):
        raise UserError("seeds", found["seeds"], "one stands there twice", "name each once")
    for group in ("annotator_settings", "face_settings", "method_settings", "claim_settings", "budgets"):
        if not isinstance(found[group], Mapping) or not (found[group] or group == "budgets"):
            raise UserError(group, found[group], "not settings by name", "write them as in conf/robustness.yaml")
    for group in ("annotator_settings", "face_settings", "method_settings"):
        for name, words in found[group].items():
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                raise UserError(f"{group}.{name}", words, "no list of settings", "write for example [name=value]")
    for names, among in (
        ("annotators", "annotator_settings"),
        ("worlds", "face_settings"),
        ("claims", "claim_settings"),
    ):
        listed = found[names]
        if listed is not None and (not isinstance(listed, list) or not listed):
            remedy = f"use for example {names}=[{next(iter(found[among]))}], or null for all"
            raise UserError(names, listed, "no list of names", remedy)
        for name in listed or ():
            _named(names, name, found[among])
    for method, others in found["budgets"].items():
        if not isinstance(others, list) or len(others) != 2:
            raise UserError(f"budgets.{method}", others, "not two methods", "name one, and one that takes all draws")
        for name in (method, *others):
            _named("budgets", name, found["method_settings"])
    claims_of(found)


def claims_of(found: Mapping[str, Any]) -> dict[str, Claim]:
    """Return the claims that are asked about.

    Raises:
        UserError: if one names a measure or method that there is not, or claims nothing.
    """
    claims = {}
    for name, said in chosen(found, "claims", "claim_settings").items():
        where = f"claim_settings.{name}"
        if not isinstance(said, Mapping):
            raise UserError(where, said, "no claim", f"give its {listed(Claim._fields)}")
        if strange := sorted(set(said) - set(Claim._fields)):
            raise UserError(
                f"{where}.{strange[0]}", said[strange[0]], "no part of a claim", f"use {listed(Claim._fields)}"
            )
        if absent := [part for part in ("says", "measure", "of") if part not in said]:
            raise UserError(where, "", f"lacks {absent[0]}", "say what is claimed of which method")
        for part in ("by", "at_most"):
            if part in said:
                check_between(f"{where}.{part}", said[part], -100, 100)
        if not isinstance(pooled := said.get("pooled", False), bool):
            raise UserError(f"{where}.pooled", pooled, "neither true nor false", "use one of them")
        measured, above = _several(said["measure"]), _several(said.get("above", ()))
        for measure in measured:
            _named(f"{where}.measure", measure, MEASURES)
        for method in (said["of"], *above):
            _named(where, method, found["method_settings"])
        if bool(above) == ("at_most" in said):
            raise UserError(
                where, said["says"], "compares with nothing, or with too much", "give either above or at_most"
            )
        claims[name] = Claim(**{**said, "measure": measured, "above": above})
    return claims


def chosen(found: Mapping[str, Any], names: str, among: str) -> dict[str, Any]:
    """Return those that are named, or all."""
    return {name: value for name, value in found[among].items() if found[names] is None or name in found[names]}


def _named(argument: str, name: object, among: Any) -> None:
    if name not in among:
        raise UserError(argument, name, "there is none", f"use one of {listed(among)}")


def _several(value: Any) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def listed(names: Any) -> str:
    """Return names in a row."""
    return ", ".join(map(str, names))


def plain(command: str, words: Sequence[str], group: str | None, where: str) -> dict[str, Any]:
    """Return the settings of a command with these words, of one group if it is given: whose the words must be, too.

    Raises:
        UserError: for a setting that there is not.
    """
    for word in words:
        if group is not None and not word.lstrip("+").startswith((f"{group}.", f"{group}=")):
            raise UserError(where, word, f"no setting of {group}", f"write {group}.<setting>=<value>")
        if group is None and word.lstrip("+").startswith("backend"):
            raise UserError(where, word, "the annotators' settings are theirs", "write it in annotator_settings")
    try:
        found: dict[str, Any] = json.loads(_composed(command, tuple(words)))
    except (HydraException, UserError) as error:
        line = None if isinstance(error, UserError) else settings.mistake(error, list(words), CONF, command)
        raise UserError(where, " ".join(words), line or str(error).splitlines()[0], "correct it") from None
    return found if group is None else found[group]


@cache
def _composed(command: str, words: tuple[str, ...]) -> str:
    """Return the settings as JSON: Hydra takes a third of a second each time."""
    return json.dumps(OmegaConf.to_container(composed(command, words), resolve=True))


def _built(where: str, words: Sequence[str], node: Mapping[str, Any]) -> None:
    try:
        build(node)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise UserError(where, " ".join(words), str(error.__cause__), "correct it") from None
        raise


def worlds_of(found: Mapping[str, Any]) -> list[World]:
    """Return every world with every seed that is asked for.

    Raises:
        UserError: if one has settings that there are not.
    """
    backends = {
        name: plain("generate", words, "backend", f"annotator_settings.{name}")
        for name, words in chosen(found, "annotators", "annotator_settings").items()
    }
    sources = {
        name: plain("prepare", words, "source", f"face_settings.{name}") | {"images": found["faces"], "workers": 1}
        for name, words in chosen(found, "worlds", "face_settings").items()
    }
    # A switch that cannot be is told before anything is measured.
    for kind, nodes in (("face_settings", sources), ("annotator_settings", backends)):
        for name, node in nodes.items():
            _built(f"{kind}.{name}", found[kind][name], node)
    claims = claims_of(found)
    needed = {method for claim in claims.values() for method in (claim.of, *claim.above)} | {"not_looking"}
    needed |= {other for method in needed for other in found["budgets"].get(method, ())}
    methods = {
        name: plain("generate", words, None, f"method_settings.{name}")
        for name, words in found["method_settings"].items()
        if name in needed
    }
    for method in methods.values():
        if "pilot" in method["generator"]:
            method["generator"]["pilot"] = found["pilot"]
    budgets = {method: others for method, others in found["budgets"].items() if method in methods}
    folder = Path(found["outputs"]) / "report" / found["name"] / "worlds"
    return [
        World(
            annotator, faces, seed, backend, source, methods, budgets,
            folder / f"{annotator}-{faces}-{seed}.json", bool(found["overwrite"]),
        )
        for faces, source in sources.items()
        for annotator, backend in backends.items()
        for seed in found["seeds"]
    ]  # fmt: skip
