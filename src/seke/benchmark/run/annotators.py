"""Annotators held against each other, truth or not: `python evaluate.py compare=[gpt,qwen] name=gpt-qwen`.

outputs/evaluate/<name>/agreement.json     kappa, Krippendorff's alpha, ICC, Bland and Altman's limits, with intervals
outputs/evaluate/<name>/agreement.md       the same as tables, and where the annotators differ
outputs/evaluate/<name>/differences.csv    every image and description on which they differ, and what each says

An annotator is a generate run, of which the labels that it generated count and no human's; an evaluate run; or, as
prepare/<name>, what people have labelled.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from seke.benchmark.scoring.annotators import DIMENSIONS, Annotated, compared, differing, said, several
from seke.benchmark.scoring.arrays import AUS, UNKNOWN
from seke.benchmark.scoring.tables import ABSENT, with_interval, with_signed_interval
from seke.benchmark.tasks.reliability import generated
from seke.core import files, runs
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.escape import csv_cell, markdown, visible
from seke.core.records import Labels, Origins, read_jsonl
from seke.core.text_tables import markdown_table

FILES: Final = {
    "evaluate": ("predictions.jsonl",),
    "generate": ("instructions.jsonl",),
    "prepare": ("train.jsonl", "validation.jsonl", "test.jsonl"),
}
"""Where the labels of a command's run stand."""
DIFFERENCES: Final = "differences.csv"
MOST: Final = 8
"""Kinds of difference that a table lists of each two annotators."""
REMEDY: Final = "name two or more finished runs: generate or evaluate runs, or prepare/<name> for people's labels"


class Said(BaseModel):
    """What a row of a generate or evaluate run, or of a prepared set, says about one face."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    id: str
    source: str
    subject: str | None
    labels: Labels
    origin: Origins | None = None
    """Only rows of instructions.jsonl have it."""


class Annotator(NamedTuple):
    """A run by the name that was given, and its files."""

    name: str
    files: tuple[Path, ...]


def listed(compare: object, outputs: Path) -> list[Annotator] | None:
    """Return the runs that `compare=[a, b]` lists; None where it names one run or none.

    Raises:
        UserError: for a list of fewer than two, of something twice, or of what is not there.
    """
    if not isinstance(compare, list):
        return None
    names = [str(name) for name in compare]
    if len(names) < 2 or len(set(names)) < len(names):
        raise UserError("compare", ",".join(names), "not two or more different runs", REMEDY)
    return [located(name, outputs) for name in names]


def inputs(annotators: Sequence[Annotator]) -> dict[str, Sequence[Path]]:
    """Return the files of annotators by name, as a run's inputs."""
    return {f"compare/{one.name}": one.files for one in annotators}


def located(name: str, outputs: Path) -> Annotator:
    """Return the annotator that a name means: a run's, <command>/<run's>, a run's directory, or a file of rows.

    Raises:
        UserError: if there is none, or runs of two commands are called so.
    """
    command, _, rest = name.partition("/")
    given = Path(name)
    folders = [(command, outputs / command / rest)] if command in FILES and rest else []
    folders += [] if "/" in name else [(each, outputs / each / name) for each in ("evaluate", "generate")]
    folders += [(each, given) for each in FILES]
    found = {
        folder: there
        for each, folder in folders
        if (there := tuple(path for file in FILES[each] if (path := folder / file).is_file()))
    }
    if given.is_file():
        return Annotator(given.stem, (given,))
    if not found:
        raise UserError("compare", name, "no finished run of that name, nor a file of its rows", REMEDY)
    if len(found) > 1:
        both = " and ".join(f"{folder.parent.name}/{folder.name}" for folder in found)
        raise UserError("compare", name, f"there are {both}", f"say which: {both}")
    return Annotator(name, next(iter(found.values())))


def read(annotators: Sequence[Annotator]) -> tuple[Annotated, list[Said]]:
    """Return what the annotators say, and one row of each image that two or more have labelled, in the first's order.

    Raises:
        UserError: if a row is broken or no row of faces, an id occurs twice, or no two have labelled the same.
    """
    place: dict[str, int] = {}
    rows: list[Said] = []
    said: list[dict[int, Labels]] = []
    for annotator in annotators:
        own = dict[int, Labels]()
        for row in _rows(annotator):
            number = place.setdefault(row.id, len(place))
            if number == len(rows):
                rows.append(row)
            if number in own:
                raise UserError("compare", annotator.name, f"id {row.id!r} occurs twice", "give every image its own id")
            own[number] = row.labels
        said.append(own)
    times = Counter(number for own in said for number in own)
    kept = [number for number in range(len(rows)) if times[number] > 1]
    names = tuple(annotator.name for annotator in annotators)
    data, images = _arrays(names, said, [(number, rows[number]) for number in kept])
    if not several(data).any():
        problem = "no two of them have labelled the same description of the same image"
        raise UserError("compare", ",".join(names), problem, "compare runs on the same records=, that answered")
    return data, images


def _rows(annotator: Annotator) -> Iterator[Said]:
    for file in annotator.files:
        answers = file.name == FILES["evaluate"][0]
        try:
            for row in read_jsonl(file, Said):
                if row.origin is not None:
                    yield row.model_copy(update={"labels": generated(row.labels, row.origin)})
                elif answers and row.labels.action_units is not None:  # what an answer leaves out is inactive
                    units = {au: row.labels.action_units.get(au, False) for au in ACTION_UNITS}
                    yield row.model_copy(update={"labels": row.labels.model_copy(update={"action_units": units})})
                else:
                    yield row
        except UserError as error:
            raise UserError("compare", annotator.name, f"no labels of faces ({error})", REMEDY) from None


def _arrays(
    names: tuple[str, ...], said: Sequence[Mapping[int, Labels]], kept: Sequence[tuple[int, Said]]
) -> tuple[Annotated, list[Said]]:
    count, coders = len(kept), len(names)
    codes = {name: number for number, name in enumerate(EXPRESSIONS)}
    expression = np.full((coders, count), UNKNOWN)
    units = np.full((coders, count, len(AUS)), UNKNOWN)
    affect = np.full((coders, count, 2), np.nan)
    groups: dict[tuple[str, str | None, str], int] = {}
    group = np.zeros(count, dtype=np.int64)
    for at, (number, row) in enumerate(kept):
        lone = row.id if row.subject is None else ""
        group[at] = groups.setdefault((row.source, row.subject, lone), len(groups))
        for coder, own in enumerate(said):
            if (labels := own.get(number)) is None:
                continue
            if labels.expression is not None:
                expression[coder, at] = codes[labels.expression]
            affect[coder, at] = [np.nan if value is None else value for value in (labels.valence, labels.arousal)]
            for a, au in enumerate(AUS):
                if (active := (labels.action_units or {}).get(au)) is not None:
                    units[coder, at, a] = active
    return Annotated(names, expression, units, affect, group), [row for _, row in kept]


def compare(annotators: Sequence[Annotator], run: Path, seed: int) -> dict[str, Any]:
    """Write agreement.json, agreement.md and differences.csv into `run`; return facts for a manifest.

    Raises:
        UserError: as `read`.
    """
    data, rows = read(annotators)
    found = compared(data, seed)
    found["remarks"] = [*_remarks(annotators, data), *nothing_shared(found["pairs"])]
    counts = _write_differences(run / DIFFERENCES, data, rows)
    found["differences"] = [
        {"first": pair["first"], "second": pair["second"], **_where(data.of(*places), rows)}
        for pair, places in zip(found["pairs"], _places(len(annotators)), strict=True)
    ]
    files.write_text(run / "agreement.json", json.dumps(found, indent=1, allow_nan=False) + "\n")
    text = agreement_table(found)
    files.write_text(run / "agreement.md", f"# Agreement: {markdown(run.name)}\n\n{text}")
    print(visible(text))
    print(f"{run}: agreement.md, agreement.json, {DIFFERENCES} ({counts:,} of {found['n']:,} images differ)")
    facts = {"images": found["n"], "differing": counts}
    return {"counts": facts, "scores": "agreement", "annotators": found["annotators"], "remarks": found["remarks"]}


def beside(run: Path, others: Sequence[Annotator], seed: int) -> dict[str, Any]:
    """Hold a labelling that is done against other runs, if there are any; return what its manifest is to note."""
    if not others:
        return {}
    own = Annotator(run.name, (run / FILES["evaluate"][0],))
    return {"agreement": compare([own, *others], run, seed)["counts"]}


def _places(coders: int) -> list[tuple[int, int]]:
    return [(one, two) for one in range(coders) for two in range(one + 1, coders)]


def _remarks(annotators: Sequence[Annotator], data: Annotated) -> Iterator[str]:
    made = [runs.manifest_beside(one.files[0]) for one in annotators]
    inputs = {str((manifest.get("inputs") or {}).get("records")) for manifest in made if manifest.get("inputs")}
    if len(inputs) > 1:
        yield "The runs were made from different files of records; images are the same where their ids are."
    known_K = [
        (data.expression_KN[k] != UNKNOWN) | (data.au_KNA[k] != UNKNOWN).any(1) | ~np.isnan(data.va_KN2[k]).all(1)
        for k in range(len(annotators))
    ]
    for name, known_N in zip(data.names, known_K, strict=True):
        if not known_N.all():
            yield f"{name} has labelled {int(known_N.sum()):,} of these {len(known_N):,} images."


def nothing_shared(pairs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield why two annotators cannot be held against each other, of the pairs of agreement.json.

    >>> nothing = {name: {"n": 0} for name in ("expression", "action_units", "valence", "arousal")}
    >>> next(nothing_shared([{"first": "gpt", "second": "people", **nothing}]))[:62]
    'gpt and people have labelled no description of any image both.'
    >>> list(nothing_shared([{"first": "gpt", "second": "people", **nothing, "valence": {"n": 1}}]))
    []
    """
    for pair in pairs:
        if not any(pair[name]["n"] for name in ("expression", "action_units", *DIMENSIONS)):
            yield (
                f"{pair['first']} and {pair['second']} have labelled no description of any image both. Of a generate "
                "run only what it generated counts: to hold it against people, mask their labels (generator.hide=[au])."
            )


def _write_differences(path: Path, data: Annotated, rows: Sequence[Said]) -> int:
    """Write a row of each image and description on which annotators differ; return how many images these are."""
    where = differing(data)
    places: list[int] = np.flatnonzero(where.any_N).tolist()
    with files.whole(path) as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(map(csv_cell, ["id", "source", "subject", "description", *data.names]))
        for place in places:
            row = rows[place]
            for name, values in said(data, place, where):
                cells = ["" if value is None else value for value in (row.id, row.source, row.subject, name, *values)]
                table.writerow([csv_cell(cell) if isinstance(cell, str) else cell for cell in cells])
    return len(places)


def _where(data: Annotated, rows: Sequence[Said]) -> dict[str, Any]:
    """Return where two annotators differ: which expressions and action units, most often first, and by source."""
    where = differing(data)
    one_N, two_N = data.expression_KN[:, where.expression_N]
    words = Counter(zip(one_N.tolist(), two_N.tolist(), strict=True))
    only_2A = [(where.au_NA & (states_NA == 1)).sum(0) for states_NA in data.au_KNA]
    units = [
        {"au": au, "only_first": int(only_2A[0][a]), "only_second": int(only_2A[1][a])} for a, au in enumerate(AUS)
    ]
    every, differ = (
        Counter(row.source for row in rows),
        Counter(rows[place].source for place in np.flatnonzero(where.any_N).tolist()),
    )
    return {
        "expression": [
            {"first": EXPRESSIONS[one], "second": EXPRESSIONS[two], "n": n} for (one, two), n in words.most_common()
        ],
        "valence": int(where.va_N2[:, 0].sum()),
        "arousal": int(where.va_N2[:, 1].sum()),
        "action_units": sorted(
            (each for each in units if each["only_first"] + each["only_second"]),
            key=lambda each: -each["only_first"] - each["only_second"],
        ),
        "sources": {name: {"n": n, "differing": differ[name]} for name, n in sorted(every.items())},
    }


def agreement_table(found: Mapping[str, Any]) -> str:
    """Return agreement.json in Markdown, without a title."""
    clusters = found["subjects"]

    def cell(block: Mapping[str, Any], task: str, name: str, signed: bool = False) -> str:
        value, ci95 = block[task][name], block["ci95"][task][name]
        return with_signed_interval(value, ci95, clusters, "subjects") if signed else with_interval(value, ci95)

    lines = [
        f"{found['n']:,} images of {clusters:,} subjects, labelled by two or more. 95 % intervals, by subject.",
        "",
    ]
    alphas = [
        [task.replace("_", " "), f"{found[task]['n']:,}", cell(found, task, name)]
        for task, name in (("expression", "alpha"), ("action_units", "alpha_mean"), *((d, "alpha") for d in DIMENSIONS))
    ]
    lines += [markdown_table(["Description", "n", "Krippendorff's alpha"], alphas, "lr"), ""]
    for pair, where in zip(found["pairs"], found["differences"], strict=True):
        lines += [f"## {markdown(pair['first'])} and {markdown(pair['second'])}", ""]
        rows = [
            ["expression", str(pair["expression"]["n"]), cell(pair, "expression", "agreement"),
             f"kappa {cell(pair, 'expression', 'kappa')}", ABSENT, ABSENT],
            ["action units", str(pair["action_units"]["n"]), cell(pair, "action_units", "agreement"),
             f"kappa, mean {cell(pair, 'action_units', 'kappa_mean')}", ABSENT, ABSENT],
            *(
                [name, str(pair[name]["n"]), cell(pair, name, "within"), f"ICC {cell(pair, name, 'icc')}",
                 cell(pair, name, "bias", signed=True), _limits(pair[name])]
                for name in DIMENSIONS
            ),
        ]  # fmt: skip
        head = ["Description", "n", "Agree", "Beyond chance", "Mean difference", "Limits of agreement"]
        lines += [markdown_table(head, rows, "lr"), "", *_units(pair), *_most(pair, where)]
    lines += [
        "Agree: the same expression or state of an action unit, valence and arousal within 0.2. ICC(2,1), absolute "
        "agreement. Differences are first - second; the limits are their mean ± 1.96 standard deviations (Bland "
        f"and Altman). Every image on which annotators differ is in {DIFFERENCES}.",
        *(f"- {markdown(remark)}" for remark in found["remarks"]),
    ]
    return "\n".join(lines) + "\n"


def _limits(values: Mapping[str, Any]) -> str:
    low, high = values["loa_low"], values["loa_high"]
    return ABSENT if low is None or high is None else f"{low:+.3f} to {high:+.3f}"


def _units(pair: Mapping[str, Any]) -> list[str]:
    kappas, bounds = pair["action_units"]["kappa"], pair["ci95"]["action_units"]["kappa"]
    rows = [
        [f"AU{au} {ACTION_UNITS[int(au)]}", with_interval(value, bounds[au])]
        for au, value in kappas.items()
        if value is not None
    ]
    return [markdown_table(["Action unit", "Kappa"], rows, "lr"), ""] if rows else []


def _most(pair: Mapping[str, Any], where: Mapping[str, Any]) -> Iterator[str]:
    first, second = markdown(pair["first"]), markdown(pair["second"])
    words = [[each["first"], each["second"], str(each["n"])] for each in where["expression"][:MOST]]
    if words:
        yield from (markdown_table([f"{first} says", f"{second} says", "n"], words, "llr"), "")
    units = [
        [f"AU{each['au']} {ACTION_UNITS[each['au']]}", str(each["only_first"]), str(each["only_second"])]
        for each in where["action_units"][:MOST]
    ]
    if units:
        yield from (markdown_table(["Action unit", f"active to {first} alone", f"to {second} alone"], units, "lr"), "")
    if len(where["sources"]) > 1:
        rows = [[markdown(name), str(each["n"]), str(each["differing"])] for name, each in where["sources"].items()]
        yield from (markdown_table(["Source", "images", "on which they differ"], rows, "lr"), "")
