"""A finished evaluation as a leaderboard's row: outputs/evaluate/<name>/result.json, and results/<board>--<name>.json.

Everything is read from what the run has left, so that a run of an earlier version gives a row, too.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from seke.benchmark.answer import Answer
from seke.benchmark.protocol import Benchmark, Planned, Ranked, RankedMetric
from seke.benchmark.run import contamination
from seke.benchmark.scoring.ranked import DRAWS
from seke.core import files, old_runs, runs
from seke.core.intervals import interval
from seke.core.records import ImageRecord, Prediction, read_jsonl
from seke.core.result_file import (
    SUFFIX,
    Condition,
    Contamination,
    Cost,
    Counts,
    Made,
    Measure,
    Replicates,
    Result,
    System,
    Task,
    rounded,
    to_text,
)  # fmt: skip
from seke.core.vlm import Image

FILE: Final = "result.json"
REFUSED: Final = ("refusal", "filtered")
BLANK: Final = Image(Path("picture"), "0" * 64)
"""Stands for any picture in a question."""
ASKED_WITH: Final = ("image", "extra_body", "batch_size", "max_new_tokens", "dtype", "overview", "pixels")
"""Settings of a backend that answers depend on."""


def write(run: Path, benchmark: Benchmark, records: Sequence[ImageRecord], folder: Path | None) -> Path | None:
    """Write the row of a finished run into it, and into `folder`; return that file, or None where there is none.

    Args:
        run: the run's directory.
        benchmark: whose rows of predictions it holds.
        records: what was asked about, in the file's order.
        folder: where a leaderboard's rows are; None: nowhere.
    """
    found = row(run, benchmark, records)
    if found is None:
        return None
    text = to_text(found)
    if not (run / FILE).is_file() or (run / FILE).read_text(encoding="utf-8") != text:
        files.write_text(run / FILE, text)
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.=,+-]", "_", f"{found.benchmark}--{run.name}{SUFFIX}")
    files.write_text(folder / name, text)
    return folder / name


def row(run: Path, benchmark: Benchmark, records: Sequence[ImageRecord]) -> Result | None:
    """Return the row of a finished run; None for a benchmark without a leaderboard, and where nothing was measured."""
    if not isinstance(benchmark, Ranked) or benchmark.request is None:
        return None
    manifest = runs.manifest_beside(run / FILE)
    config = manifest["config"]
    rows: list[Any] = list(read_jsonl(run / "predictions.jsonl", getattr(benchmark, "row", Prediction)))
    by_id = {record.id: record for record in records}
    scored = [by_id[row.id] for row in rows if row.id in by_id]
    seed = int(config["seed"])
    ranked = [metric for metric in benchmark.ranked(rows, seed, DRAWS) if not np.isnan(metric.value)]
    if not ranked or len(scored) != len(rows):
        return None
    remarks = [str(remark) for remark in manifest.get("remarks", ())]
    about = [text for text in (*manifest.get("notes", ()), *remarks) if contamination.is_about(text)]
    return Result(
        format=1,
        kind="measured",
        system=_system(run.name, manifest),
        task=Task(
            name=benchmark.board,
            records=_digest(f"{row.id}\0{row.subject}\0{_truth(row)}" for row in rows),
            pictures=_digest(str(record.sha256) for record in scored),
            prompt=_prompt(benchmark, config, scored),
            reader=_reader(config),
            synthetic=_synthetic(manifest),
            condition=_condition(scored),
        ),
        benchmark=benchmark.board,
        measures={metric.key: measure_of(metric) for metric in ranked},
        headline=benchmark.headline if any(metric.key == benchmark.headline for metric in ranked) else ranked[0].key,
        counts=_counts(rows, _answers(run)),
        replicates=Replicates(
            seed=seed,
            draws=DRAWS,
            values={metric.key: rounded(metric.drawn_B) for metric in ranked if not np.isnan(metric.rival)},
        ),
        cost=_cost(run),
        contamination=Contamination(verdict=_verdict(about), remarks=tuple(about)),
        notes=tuple(text for text in (*manifest.get("notes", ()), *remarks) if text not in about),
        made=_made(manifest),
    )


def measure_of(metric: RankedMetric) -> Measure:
    """Return a measure as a row keeps it."""
    competes = not np.isnan(metric.rival)
    # Of what the row keeps, so that whoever checks it finds the same.
    drawn_B = np.array([np.nan if value is None else value for value in rounded(metric.drawn_B)])
    found = interval(drawn_B, metric.rival, metric.drawn_from, metric.within) if competes else None
    low, high = (None if np.isinf(end) else float(end) for end in metric.within)
    return Measure(
        value=metric.value,
        better=metric.better,
        title=metric.title,
        percent=metric.percent,
        n=metric.n,
        coverage=metric.coverage,
        rival=metric.rival if competes else None,
        ci95=None if found is None else (found[0], found[1]),
        within=(low, high),
        clusters=metric.drawn_from,
    )


def _counts(rows: Sequence[Any], answers: Mapping[str, Answer]) -> Counts:
    """Return what became of every record that is scored."""
    kinds = Counter(_outcome(row, answers.get(row.id)) for row in rows)
    return Counts(asked=len(rows), **{kind: kinds[kind] for kind in Counts.model_fields if kind != "asked"})


def _outcome(row: Any, answer: Answer | None) -> str:
    if row.status in REFUSED:
        return "refused"
    if answer is not None and answer.status == "unanswered":
        return "missing_pictures" if answer.detail else "no_answer"
    if row.status in ("unanswered", "invalid"):
        return "unreadable" if row.text.strip() or answer is not None else "no_answer"
    return "answered"


def _answers(run: Path) -> dict[str, Answer]:
    return {answer.id: answer for file in sorted(run.glob("answers*.jsonl")) for answer in read_jsonl(file, Answer)}


def _system(run: str, manifest: Mapping[str, Any]) -> System:
    config, models = manifest["config"], tuple(map(str, manifest.get("models", ())))
    own = (config.get("system") or {}).get("name")
    backend = {} if config.get("predictions") is not None else config.get("backend") or {}
    asked = {name: backend[name] for name in ASKED_WITH if backend.get(name) is not None}
    weights = {name: digest for name, digest in manifest["inputs"].items() if name.startswith("model/")}
    trained = bool(weights) or not models
    return System(
        name=str(own) if own and not trained else run if trained else ", ".join(models),
        models=models,
        simulated=bool(manifest.get("simulated")) or any(old_runs.simulated(None, model) for model in models),
        weights=weights,
        settings=dict(_flat(asked)),
    )


def _flat(node: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        elif value is None or isinstance(value, str | int | float | bool):
            yield f"{above}{name}", value
        else:
            yield f"{above}{name}", json.dumps(value)


def _prompt(benchmark: Benchmark, config: Mapping[str, Any], records: Sequence[ImageRecord]) -> str:
    """Return the hex sha256 of what is asked: of every picture, or of the settings and each record's question."""
    if benchmark.request is None or isinstance(benchmark, Planned):
        settings = {name: value for name, value in config["benchmark"].items() if name != "_target_"}
        asked = (str(record.attributes.get("question")) for record in records)
        return _digest([json.dumps(settings, sort_keys=True), *asked])
    request = benchmark.request(BLANK)
    said = [
        [message.role, ["picture" if isinstance(part, Image) else part for part in message.parts]]
        for message in request.messages
    ]
    how = [request.schema, request.temperature, request.n]  # not how long an answer may be: who thinks needs room
    return _digest([json.dumps([said, how], sort_keys=True)])


def _reader(config: Mapping[str, Any]) -> str:
    judge = config["judge"]
    model = (judge.get("vlm") or {}).get("model")
    return "parse" if model is None else f"{model} ({judge.get('template')})"


def _condition(records: Sequence[ImageRecord]) -> Condition | None:
    """Return what `source=corrupted` did to the pictures, where it noted it with every record, the same with each."""
    noted = {json.dumps(record.attributes.get("condition"), sort_keys=True) for record in records}
    found = json.loads(noted.pop()) if len(noted) == 1 else None
    return None if found is None else Condition(kind=str(found["kind"]), severity=int(found["severity"]))


def _synthetic(manifest: Mapping[str, Any]) -> Literal["faces", "scenes", "nothing"]:
    noted = manifest.get("synthetic")
    if noted in ("faces", "scenes"):
        return "faces" if noted == "faces" else "scenes"
    return "faces" if any(old_runs.synthetic_by_notes(manifest)) else "nothing"


def _verdict(about: Sequence[str]) -> Literal["none found", "overlap", "unknown"]:
    if any(remark.startswith(contamination.OVERLAP) for remark in about):
        return "overlap"
    return "unknown" if about else "none found"


def _cost(run: Path) -> Cost:
    """Return what cost.json says; of answers that were made elsewhere nobody knows."""
    file = run / "cost.json"
    said = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if not said.get("requests"):
        return Cost(usd=None, input_tokens=None, output_tokens=None)
    usd = said.get("usd")
    return Cost(
        usd=None if usd is None else float(usd),
        input_tokens=int(said["input_tokens"]),
        output_tokens=int(said["output_tokens"]),
    )


def _made(manifest: Mapping[str, Any]) -> Made:
    made = manifest.get("made") or {}
    machine = made.get("machine") or {}
    return Made(
        command=made.get("command") or "unknown: of an earlier version",
        commit=made.get("commit"),
        packages=manifest.get("packages") or {},
        python=machine.get("python"),
        gpus=tuple(machine.get("gpus") or ()),
    )


def _truth(row: Any) -> str:
    truth = row.truth
    return truth.model_dump_json() if hasattr(truth, "model_dump_json") else json.dumps(truth)


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode(errors="surrogateescape") + b"\n")
    return digest.hexdigest()
