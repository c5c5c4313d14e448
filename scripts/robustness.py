"""In how many worlds does each claim hold? Annotators x faces x seeds, in this process: see conf/robustness.yaml.

    python scripts/robustness.py [<setting>=<value> ...]

Every world is a simulated annotator with switches of its own, and synthetic faces of a kind of their own. Each method
annotates the same latent faces through the product's own generator; no picture is drawn, since the annotator looks at
nothing but its sha256. What humans did not label is scored against the truth, without the subjects of a pilot.

A claim holds in a world where it does with every seed, fails where it fails with every seed, and else depends on the
seed. Of two methods that do not differ, one is ahead with all of three seeds in one world of eight: what holds in few
worlds says nothing, and what holds in most is not chance.
"""

import csv
import hashlib
import io
import json
import logging
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from hydra.errors import HydraException, InstantiationException
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from tqdm import tqdm

from seke.benchmark.answer import Answer
from seke.benchmark.scoring.arrays import columns
from seke.benchmark.scoring.bootstrap import point
from seke.benchmark.scoring.calibration import Judged, judged
from seke.benchmark.scoring.calibration_metrics import ece_debiased
from seke.benchmark.tasks.reliability import generated, labelled
from seke.cli import settings
from seke.cli.command import build, composed
from seke.cli.mistakes import in_one_line
from seke.core.errors import UserError
from seke.core.files import write_text
from seke.core.parallel import cores, parallel_map
from seke.core.records import ImageRecord, InstructionRecord, Prediction, write_jsonl
from seke.core.runs import checked_name
from seke.core.setting_checks import check_between, check_whole
from seke.core.vlm import Image
from seke.generation import from_settings
from seke.generation.outcome import Face, completed
from seke.generation.seke.generator import Learner

CONF = Path(__file__).resolve().parent.parent / "conf"
LOWER_IS_BETTER = ("valence", "arousal", "ece")
MEASURES = ("accuracy", "f1", *LOWER_IS_BETTER)
MOST = 0.8
"""Share of the worlds that README may state a claim for: eight of ten."""


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


# settings -------------------------------------------------------------------------------------------------------------


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
            raise UserError(where, said, "no claim", f"give its {_list(Claim._fields)}")
        if strange := sorted(set(said) - set(Claim._fields)):
            raise UserError(
                f"{where}.{strange[0]}", said[strange[0]], "no part of a claim", f"use {_list(Claim._fields)}"
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
        raise UserError(argument, name, "there is none", f"use one of {_list(among)}")


def _several(value: Any) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _list(names: Any) -> str:
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


# measuring ------------------------------------------------------------------------------------------------------------


def measure(world: World) -> dict[str, dict[str, float | None]]:
    """Return every method's measures in one world, in points of 100, from what is kept if that is of these settings."""
    said = hashlib.sha256(json.dumps(world.said, sort_keys=True, default=str).encode()).hexdigest()
    if world.kept.is_file() and not world.overwrite:
        before = json.loads(world.kept.read_text(encoding="utf-8"))
        if before["settings"] == said:
            return before["measures"]
    with tempfile.TemporaryDirectory() as folder:
        found = measured(world, Path(folder))
    world.kept.parent.mkdir(parents=True, exist_ok=True)
    write_text(world.kept, json.dumps({"settings": said, "measures": found}, indent=1) + "\n")
    return found


def measured(world: World, folder: Path) -> dict[str, dict[str, float | None]]:
    """Annotate a world's faces by every method; `folder` holds their truth and the pilots' answers meanwhile."""
    logging.getLogger("seke").setLevel(logging.ERROR)  # what a generator has learnt is told to a user of one of them
    source = build(world.source, seed=world.seed)
    digests = {
        (name, index): hashlib.sha256(f"{name}/{index}/{world.seed}".encode()).hexdigest()
        for name, count in source.counts.items()
        for index in range(count)
    }
    records, truth = zip(*source.labelled(digests), strict=True)
    write_jsonl(folder / "truth.jsonl", truth)
    annotator = build(world.backend, truth=str(folder / "truth.jsonl"), seed=world.seed)
    rows: dict[str, dict[str, InstructionRecord]] = {}
    costs: dict[str, dict[str, float]] = {}
    later = [name for name in world.methods if name in world.budgets]
    taught: dict[str, Any] = {}
    for name in [name for name in world.methods if name not in world.budgets] + later:
        method = json.loads(json.dumps(world.methods[name])) | {"seed": world.seed}
        if name in world.budgets:
            rule = method["generator"]["stopping"]
            spent, most = (costs[other]["samples"] for other in world.budgets[name])
            # A record may get draws by two prompts, or none: what counts is the share of all draws that there may be.
            share = spent / most if most else 1.0
            rule["mean_samples"] = min(max(share * rule["stages"][1], rule["stages"][0]), rule["stages"][1])
        outcomes = annotate(method, annotator, records, folder, taught)
        rows[name] = {outcome.row.id: outcome.row for outcome in outcomes if isinstance(outcome.row, InstructionRecord)}
        costs[name] = {
            "samples": sum(len(outcome.trace.draws) for outcome in outcomes) / len(outcomes),
            "requests": sum(outcome.trace.requests for outcome in outcomes) / len(outcomes),
        }
    pilot = {id_ for made in rows.values() for id_, row in made.items() if "pilot" in row.flags}
    scored = [row for row in truth if row.id not in pilot and all(row.id in made for made in rows.values())]
    if not scored:
        raise UserError("faces", len(records), "none is left beside the pilot's", "give more faces, or a smaller pilot")
    return {name: {**scores(scored, made), **costs[name], "n": len(scored)} for name, made in rows.items()}


def annotate(
    method: dict[str, Any], annotator: Any, records: Sequence[ImageRecord], folder: Path, taught: dict[str, Any]
) -> list[Any]:
    """Return a method's outcomes, after it has learnt what it needs.

    Generators that differ in nothing but when they stop share their pilot, and, unless the rule is taught by it, too,
    what is fitted to it: `taught` holds them by their settings.
    """
    asked = {name: value for name, value in method["generator"].items() if name != "stopping"}
    key = hashlib.sha256(json.dumps([asked, method["prompts"]], sort_keys=True).encode()).hexdigest()
    (folder / key).mkdir(exist_ok=True)
    generator = from_settings.generator(build, OmegaConf.create(method), annotator)
    rule = getattr(generator, "stopping", None)
    if key in taught and not isinstance(rule, Learner):
        generator = taught[key]
        generator.stopping = rule
    else:
        generator.learn(records, _face, folder / key)
        if not isinstance(rule, Learner):
            taught[key] = generator
    return completed(generator, [_face(record) for record in records])


def _face(record: ImageRecord) -> Face:
    return Face(record, Image(Path(record.image), record.sha256 or ""))


def scores(truth: Sequence[ImageRecord], rows: Mapping[str, InstructionRecord]) -> dict[str, float | None]:
    """Return how right generated labels are, in points of 100: accuracy, F1 (mean of 14 AUs), errors, debiased ECE.

    None where it is unknown.
    """
    predictions: list[Prediction] = []
    told_sure: list[Judged] = []
    for record in truth:
        row = rows[record.id]
        told = record.labels.model_copy(update={"au_intensity": None})
        prediction = labelled(record, generated(row.labels, row.origin), generated(told, row.origin))
        predictions.append(prediction)
        answer = Answer(id=row.id, confidence=row.confidence, uncertainty=row.uncertainty)
        told_sure += [one for one in judged(prediction, answer, "expression") if one.confidence is not None]
    found = point(columns(predictions))
    values = {
        "accuracy": found["expression"]["accuracy"],
        "f1": found["action_units"]["f1_mean_14"],
        "valence": found["valence"]["mae"],
        "arousal": found["arousal"]["mae"],
        "ece": _ece(told_sure) if told_sure else None,
    }
    return {name: None if value is None or math.isnan(value) else 100 * value for name, value in values.items()}


def _ece(labels: Sequence[Judged]) -> float:
    subject_N = np.unique([label.subject for label in labels], return_inverse=True)[1]
    p_N, right_N = ([getattr(label, name) for label in labels] for name in ("confidence", "right"))
    return ece_debiased(np.array(p_N), np.array(right_N), subject_N)


# the table ------------------------------------------------------------------------------------------------------------

Measured = Mapping[tuple[str, str, int], Mapping[str, Mapping[str, float | None]]]
"""By annotator, faces and seed: each method's measures."""
VERDICTS = ("holds", "fails", "depends on the seed", "unknown")


class Verdict(NamedTuple):
    """One claim in one world."""

    says: str
    """One of `VERDICTS`."""
    margin: float | None
    """Mean over the seeds, in points; None where any is unknown."""


def verdict(margins: Sequence[float | None]) -> Verdict:
    """Return what the margins of one claim in one world, one for each seed, come to.

    A margin of 0 is no lead: it fails.

    >>> verdict([1.0, 3.0]).says, verdict([1.0, -1.0]).says, verdict([0.0, -1.0]).says, verdict([None, 1.0]).says
    ('holds', 'depends on the seed', 'fails', 'unknown')
    """
    known = [margin for margin in margins if margin is not None]
    if len(known) < len(margins) or not known:
        return Verdict("unknown", None)
    mean = sum(known) / len(known)
    if all(margin > 0 for margin in known):
        return Verdict("holds", mean)
    return Verdict("fails" if all(margin <= 0 for margin in known) else "depends on the seed", mean)


def judge(claims: Mapping[str, Claim], measured: Measured) -> dict[str, dict[tuple[str, str], Verdict]]:
    """Return every claim's verdict in every world (annotator, faces)."""
    worlds: dict[tuple[str, str], list[Mapping[str, Mapping[str, float | None]]]] = {}
    for (annotator, faces, _), found in measured.items():
        worlds.setdefault((annotator, faces), []).append(found)
    pooled = {world: [mean_over_seeds(of_seeds)] for world, of_seeds in worlds.items()}
    return {
        name: {
            world: verdict([claim.margin(found) for found in (pooled if claim.pooled else worlds)[world]])
            for world in worlds
        }
        for name, claim in claims.items()
    }


def mean_over_seeds(
    measured: Sequence[Mapping[str, Mapping[str, float | None]]],
) -> dict[str, dict[str, float | None]]:
    """Return each method's measures, averaged; None where one is unknown."""

    def mean(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if len(known) == len(values) else None

    return {
        method: {name: mean([found[method][name] for found in measured]) for name in values}
        for method, values in measured[0].items()
    }


def table(found: Mapping[str, Any], claims: Mapping[str, Claim], measured: Measured) -> str:
    """Return table.md."""
    verdicts = judge(claims, measured)
    faces = list(dict.fromkeys(kind for _, kind, _ in measured))
    annotators = list(dict.fromkeys(name for name, _, _ in measured))
    seeds = ", ".join(str(seed) for seed in found["seeds"])
    lines = [
        f"# In how many worlds each claim holds: {found['name']}",
        "",
        f"{len(annotators)} simulated annotators, {len(faces)} kinds of faces ({_list(faces)}), seeds {seeds}, "
        f"{found['faces']} latent faces each, of which a pilot of about {found['pilot']} is not scored. Simulations: "
        "they say what depends on the annotator, not how any vision LLM does.",
        "",
        "A claim holds in a world where it does with every seed, and fails where it fails with every seed; one of a "
        "tie (pooled) is judged on the means over seeds. Of two "
        f"methods that do not differ, one is ahead with all of {len(found['seeds'])} seeds in one world of "
        f"{2 ** len(found['seeds'])}. The margin is the mean over the seeds, in points of 100; in brackets that of the "
        f"worst and of the best world. **Bold** holds in at least {MOST:.0%} of the worlds.",
        "",
        f"| claim | {' | '.join(f'{kind}: holds / fails' for kind in faces)} | all worlds | margin |",
        f"|---|{'---|' * len(faces)}---|---|",
    ]
    for name, claim in claims.items():
        of_world = verdicts[name]
        cells = []
        for kind in faces:
            here = [one for (_, where), one in of_world.items() if where == kind]
            cells.append(f"{_count(here, 'holds')} / {_count(here, 'fails')} of {len(here)}")
        holds = _count(of_world.values(), "holds")
        every = f"{holds} of {len(of_world)}"
        if unknown := _count(of_world.values(), "unknown"):
            every += f" ({unknown} unknown)"
        lines.append(
            f"| {claim.says} | {' | '.join(cells)} | {f'**{every}**' if holds >= MOST * len(of_world) else every} "
            f"| {_span([one.margin for one in of_world.values()])} |"
        )
    return "\n".join([*lines, "", *_by_world(claims, verdicts, annotators, faces), *_means(measured, faces)]) + "\n"


def _by_world(
    claims: Mapping[str, Claim],
    verdicts: Mapping[str, Mapping[tuple[str, str], Verdict]],
    annotators: Sequence[str],
    faces: Sequence[str],
) -> Iterator[str]:
    """Yield, for every kind of faces, the margin of each claim with each annotator."""
    for kind in faces:
        yield f"## Margins by annotator, {kind} faces"
        yield ""
        yield "Points of 100, mean over the seeds; + holds, - fails, ~ depends on the seed, ? unknown."
        yield ""
        yield f"| claim | {' | '.join(name.replace('_', ' ') for name in annotators)} |"
        yield f"|---|{'---|' * len(annotators)}"
        for name, claim in claims.items():
            yield f"| {claim.says} | {' | '.join(_cell(verdicts[name][annotator, kind]) for annotator in annotators)} |"
        yield ""


def _means(measured: Measured, faces: Sequence[str]) -> Iterator[str]:
    """Yield each method's measures with the first annotator, mean over the seeds."""
    first = next(iter(measured))[0]
    for kind in faces:
        here = [found for (annotator, where, _), found in measured.items() if (annotator, where) == (first, kind)]
        yield f"## Measures: {first.replace('_', ' ')} annotator, {kind} faces"
        yield ""
        yield "| method | accuracy | AU F1 | V error | A error | ECE | draws | requests |"
        yield f"|{'---|' * 8}"
        for method in here[0]:
            cells = []
            for name in (*MEASURES, "samples", "requests"):
                values = [value for found in here if (value := found[method].get(name)) is not None]
                cells.append(f"{sum(values) / len(values):.1f}" if len(values) == len(here) else "-")
            yield f"| {method.replace('_', ' ')} | {' | '.join(cells)} |"
        yield ""


def _cell(one: Verdict) -> str:
    sign = {"holds": "+", "fails": "-", "depends on the seed": "~", "unknown": "?"}[one.says]
    return sign if one.margin is None else f"{sign} {abs(one.margin):.1f}" if sign in "+-" else f"~ {one.margin:.1f}"


def _count(verdicts: Any, says: str) -> int:
    return sum(one.says == says for one in verdicts)


def _span(margins: Sequence[float | None]) -> str:
    known = [margin for margin in margins if margin is not None]
    return f"{sum(known) / len(known):+.1f} ({min(known):+.1f} to {max(known):+.1f})" if known else "-"


def picture(path: Path, claims: Mapping[str, Claim], measured: Measured) -> None:
    """Draw the claims (rows) by world (columns): colour is the margin, a dot what depends on the seed."""
    verdicts = judge(claims, measured)
    worlds = list(next(iter(verdicts.values())))
    figure = Figure(figsize=(4.5 + 0.34 * len(worlds), 1.8 + 0.27 * len(claims)), layout="constrained")
    axes = figure.add_subplot()
    margins = [[verdicts[name][world].margin for world in worlds] for name in claims]
    shown = axes.imshow(
        [[math.nan if margin is None else margin for margin in row] for row in margins],
        cmap="RdBu", vmin=-5, vmax=5, aspect="auto",
    )  # fmt: skip
    for row, name in enumerate(claims):
        for column, world in enumerate(worlds):
            if verdicts[name][world].says == "depends on the seed":
                axes.text(column, row, "~", ha="center", va="center", fontsize=8)
    axes.set_yticks(range(len(claims)), [claim.says for claim in claims.values()], fontsize=7)
    labels = [f"{annotator.replace('_', ' ')}, {faces}" for annotator, faces in worlds]
    axes.set_xticks(range(len(worlds)), labels, fontsize=7, rotation=90)
    figure.colorbar(shown, ax=axes, extend="both", label="margin, points (red: fails; ~: depends on the seed)")
    FigureCanvasAgg(figure).print_png(str(path))


def as_csv(head: Sequence[str], rows: Iterator[Sequence[Any]]) -> str:
    """Return rows as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()


def _claim_rows(claims: Mapping[str, Claim], measured: Measured) -> Iterator[Sequence[Any]]:
    for name, of_world in judge(claims, measured).items():
        for (annotator, faces), one in of_world.items():
            yield name, annotator, faces, one.says, "" if one.margin is None else f"{one.margin:.3f}"


def _measure_rows(measured: Measured) -> Iterator[Sequence[Any]]:
    for where, found in measured.items():
        for method, values in found.items():
            for name, value in values.items():
                yield *where, method, name, "" if value is None else f"{value:.3f}"


def run(found: Mapping[str, Any]) -> Path:
    """Measure every world and write the report; return its folder."""
    worlds, claims = worlds_of(found), claims_of(found)
    workers = min(found["workers"] or cores(), len(worlds))
    folder = Path(found["outputs"]) / "report" / found["name"]
    measured = {}
    with tqdm(total=len(worlds), desc="worlds", unit="world", disable=None) as bar:
        for world, result in zip(worlds, parallel_map(measure, worlds, workers), strict=True):
            measured[world.annotator, world.faces, world.seed] = result
            bar.update()
    write_text(folder / "table.md", table(found, claims, measured))
    head = ("claim", "annotator", "faces", "verdict", "margin")
    write_text(folder / "claims.csv", as_csv(head, _claim_rows(claims, measured)))
    head = ("annotator", "faces", "seed", "method", "measure", "value")
    write_text(folder / "measures.csv", as_csv(head, _measure_rows(measured)))
    picture(folder / "claims.png", claims, measured)
    return folder


@in_one_line()
def main(words: Sequence[str]) -> None:
    """Measure, write and print."""
    folder = run(read_settings(words))
    print((folder / "table.md").read_text(encoding="utf-8"))
    print(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
