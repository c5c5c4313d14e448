"""Miniature runs in the real formats: 24 faces, three generations, three trainings, twelve evaluations.

runs_of_all_stages(outputs)     writes them all; a test takes away or changes what it is about
"""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from PIL import Image

from seke.core.affect import ACTION_UNITS, AUS_OF_SOURCE, EXPRESSIONS, VA_OF_EXPRESSION, au_probability
from seke.core.images import sha256
from seke.core.records import (
    ImageRecord,
    InstructionRecord,
    Labels,
    Origins,
    Prediction,
    Turn,
    Uncertainty,
    to_line,
    write_jsonl,
)
from seke.core.runs import Run
from seke.reporting.render import figures
from seke.reporting.report import Settings

from ..browser import chromium

ROOT = Path(__file__).resolve().parents[2]
SIZE = (96, 72)
"""Of the pictures, which are not square."""
PATIENCE = 180_000
"""Milliseconds: on a machine with twenty other programs half a minute is short for a page."""
SOURCES = ("aff_wild2", "affectnet", "bp4d", "ck_plus", "disfa", "raf_db")
SCORES = {  # run: accuracy, macro F1, mean F1 of 14 and 17, then valence MAE RMSE CCC and arousal MAE RMSE CCC
    "base": (0.125, 0.031, 0.08, 0.075, 0.52, 0.61, 0.01, 0.43, 0.5, -0.02),
    "single": (0.62, 0.58, 0.501, 0.48, 0.262, 0.33, 0.6, 0.231, 0.3, 0.41),
    "seke": (0.757, 0.731, 0.683, 0.66, 0.171, 0.22, 0.82, 0.16, 0.21, 0.7),
    "truth": (0.85, 0.84, 0.76, 0.74, 0.1, 0.14, 0.93, 0.09, 0.12, 0.9),
    "labels-single": (0.611, 0.57, 0.29, 0.28, 0.342, 0.43, 0.5, 0.291, 0.36, 0.4),
    "labels-seke": (0.79, 0.77, 0.63, 0.61, 0.181, 0.24, 0.81, 0.167, 0.22, 0.72),
    "calibrated": (0.74, 0.72, 0.7, 0.68, 0.15, 0.2, 0.84, 0.15, 0.2, 0.72),
    "labels-calibrated": (0.8, 0.77, 0.7, 0.68, 0.16, 0.22, 0.82, 0.15, 0.2, 0.74),
    "blind": (0.6, 0.57, 0.6, 0.58, 0.19, 0.24, 0.7, 0.18, 0.23, 0.6),
    "prior": (0.7, 0.66, 0.6, 0.58, 0.2, 0.26, 0.7, 0.19, 0.25, 0.5),
    "probe": (0.3, 0.21, 0.55, 0.52, 0.3, 0.37, 0.3, 0.25, 0.31, 0.2),
    "constant": (0.15, 0.03, 0.3, 0.3, 0.4, 0.5, 0.0, 0.3, 0.4, 0.0),
    "labels-blind": (0.6, 0.55, 0.64, 0.62, 0.16, 0.2, 0.8, 0.15, 0.2, 0.7),
    "labels-prior": (0.75, 0.7, 0.5, 0.48, 0.2, 0.25, 0.7, 0.19, 0.24, 0.6),
}


_FOLDER = tempfile.TemporaryDirectory(prefix="reports-")


@pytest.fixture
def settings() -> Settings:
    """What conf/report.yaml says, so that the tests read the names that the program uses."""
    conf = yaml.safe_load((ROOT / "conf" / "report.yaml").read_text(encoding="utf-8"))
    return Settings(
        wording=conf["wording"], focus=conf["focus"], ceiling=conf["ceiling"], cases_run=conf["cases"]["run"],
        cases_count=conf["cases"]["count"], commands=conf["commands"], baselines=conf["baselines"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    with chromium() as started:
        yield started


@pytest.fixture
def opened(browser):
    """Return `opened(path, until, **context)`: a page in a new window that remembers nothing, and fails on any error.

    `until`: what is there once it is ready.
    """
    contexts = []

    def opens(path, until="#gallery .row", **options):
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.problems, page.requested = [], []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: (page.problems.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: page.requested.append(request.url))
        page.goto(path.as_uri())
        page.locator(until).first.wait_for()
        return page

    yield opens
    problems = [problem for context in contexts for page in context.pages for problem in page.problems]
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a report's figures built of their data as ever but not drawn, for tests of words and numbers."""

    def save(figure: Any, folder: Path, name: str, alt: str) -> figures.Panel:
        for kind in ("png", "svg"):
            (folder / f"{name}.{kind}").touch()
        return figures.Panel(name, alt, "<svg></svg>")

    monkeypatch.setattr(figures, "save", save)


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """An outputs/ folder with all miniature runs."""
    runs_of_all_stages(tmp_path / "outputs")
    return tmp_path / "outputs"


@pytest.fixture
def rewrite() -> Callable[[Path, Callable[[dict[str, Any]], None]], None]:
    """Return `rewrite(path, change)`, which changes the first row of a JSON Lines file in place."""

    def change_first(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
        first, *others = path.read_text(encoding="utf-8").splitlines()
        row = json.loads(first)
        change(row)
        path.write_text("\n".join([json.dumps(row), *others]) + "\n", encoding="utf-8")

    return change_first


def runs_of_all_stages(outputs: Path) -> None:
    """Write prepare/demo and all runs named demo-... that `make demo` leaves."""
    shutil.copytree(_written_once(), outputs, dirs_exist_ok=True)


@cache
def _written_once() -> Path:
    outputs = Path(_FOLDER.name) / "outputs"
    _write_all_stages(outputs)
    return outputs


def _write_all_stages(outputs: Path, faces: int = 24) -> None:
    chance = Random(0)
    records = [_face(number, chance) for number in range(faces)]
    prepared = outputs / "prepare" / "demo"
    (prepared / "images").mkdir(parents=True)
    for number, record in enumerate(records):
        file = prepared / "images" / record.image
        Image.new("RGB", SIZE, (10 * number % 256, 120, 160)).save(file)
        records[number] = record.model_copy(update={"sha256": sha256(file.read_bytes())})
    write_jsonl(prepared / "truth.jsonl", records)
    write_jsonl(prepared / "train.jsonl", [_as_source_gives(record) for record in records])
    _finish(prepared, {"source": {"_target_": "seke.sources.synthetic.faces.Synthetic"}}, image_root="images")
    for name in ("single", "seke", "truth"):
        _generation(outputs / "generate" / f"demo-{name}", name, records, chance)
        _training(outputs / "train" / f"demo-{name}", chance)
    for name, scores in SCORES.items():
        _evaluation(outputs / "evaluate" / f"demo-{name}", name, scores, records, chance)


def _face(number: int, chance: Random) -> ImageRecord:
    expression = EXPRESSIONS[number % len(EXPRESSIONS)]
    anchor = VA_OF_EXPRESSION[expression]
    labels = Labels(
        expression=expression,
        valence=round(anchor.valence, 3),
        arousal=round(anchor.arousal, 3),
        action_units={au: chance.random() < au_probability(expression, au) for au in ACTION_UNITS},
    )
    source = SOURCES[number % len(SOURCES)]
    return ImageRecord(
        id=f"{source}-{number:04d}", image=f"{number:04d}.png", sha256="0" * 64, source=source,
        subject=f"S{number % 5}", split="train", labels=labels,
    )  # fmt: skip


def _as_source_gives(record: ImageRecord) -> ImageRecord:
    return record.model_copy(update={"labels": _manual(record)})


def _manual(record: ImageRecord) -> Labels:
    units = record.labels.action_units or {}
    if record.source in AUS_OF_SOURCE:
        return Labels(action_units={au: units[au] for au in AUS_OF_SOURCE[record.source]})
    return Labels(expression=record.labels.expression)


def _guess(truth: Labels, chance: Random, skill: float) -> Labels:
    def near(value: float | None) -> float:
        return max(-1.0, min(1.0, round((value or 0.0) + chance.gauss(0, 0.45 * (1.05 - skill)), 3)))

    units = truth.action_units or {}
    return Labels(
        expression=truth.expression if chance.random() < skill else chance.choice(EXPRESSIONS),
        valence=near(truth.valence),
        arousal=near(truth.arousal),
        action_units={au: active if chance.random() < 0.5 + skill / 2 else not active for au, active in units.items()},
    )


def _generation(folder: Path, name: str, records: list[ImageRecord], chance: Random) -> None:
    folder.mkdir(parents=True)
    instructions, draws = [], []
    for record in records:
        manual = record.labels if name == "truth" else Labels() if name == "single" else _manual(record)
        samples = chance.choice((2, 2, 2, 3, 3, 4, 5)) if name == "seke" else 0
        drawn = [_guess(record.labels, chance, 0.6) for _ in range(samples)]
        final = manual.completed_by(_guess(record.labels, chance, {"single": 0.6, "seke": 0.85, "truth": 1.0}[name]))
        level = round(chance.random() ** 2, 3) if samples else None
        units = manual.action_units or {}
        instructions.append(
            InstructionRecord(
                id=record.id, image=record.image, source=record.source, subject=record.subject,
                conversations=(
                    Turn(speaker="human", value="<image>\nWhat does this face show, and why?"),
                    Turn(speaker="gpt", value=_text(final)),
                ),
                labels=final,
                origin=Origins(
                    expression=_origin(manual.expression), valence=_origin(manual.valence),
                    arousal=_origin(manual.arousal),
                    action_units={str(au): _origin(units.get(au)) for au in ACTION_UNITS},
                ),
                uncertainty=Uncertainty(expression=level, valence=level, arousal=level, action_units=level, max=level),
                samples=samples, annotator="simulated-annotator",
                flags=("au12_negative_valence",) if chance.random() < 0.15 else (),
            )
        )  # fmt: skip
        drawn_row = {"id": record.id, "prior": manual, "draws": drawn, "summary": final, "requests": 2,
                     "input_tokens": 900, "output_tokens": 150}  # fmt: skip
        draws.append(json.dumps(drawn_row, default=lambda labels: labels.model_dump(mode="json")))
    write_jsonl(folder / "instructions.jsonl", instructions)
    (folder / "draws.jsonl").write_text("\n".join(draws) + "\n", encoding="utf-8")
    rejected = {"id": "lost-1", "reason": "image", "detail": "truncated"}
    (folder / "rejected.jsonl").write_text(json.dumps(rejected) + "\n", encoding="utf-8")
    total = len(records)
    cost = {"records": total, "rejected": 1, "requests": 2 * total, "samples": sum(row.samples for row in instructions),
            "mean_samples": sum(row.samples for row in instructions) / total, "input_tokens": 900 * total,
            "output_tokens": 150 * total, "usd": None, "seconds": 2.0}  # fmt: skip
    (folder / "cost.json").write_text(json.dumps(cost), encoding="utf-8")
    config = {
        "records": "demo",
        "generator": {"self_verify": name != "single", "use_prior": name != "single", "max_samples": 5},
        "stopping": {"_target_": "seke.generation.seke.stopping.uamc", "max_samples": 5},
        "backend": {"_target_": "seke.backends.simulated.faces.Simulated"},
    }
    _finish(folder, config, image_root="../../prepare/demo/images")


def _origin(value: object) -> str:
    return "generated" if value is None else "manual"


def _text(labels: Labels) -> str:
    units = ", ".join(f"AU{au} ({ACTION_UNITS[au]})" for au in labels.active) or "no action unit"
    return (
        f"The face shows {labels.expression}. Valence is {labels.valence:+.2f} and arousal is {labels.arousal:+.2f}. "
        f"Active are {units}. Together the muscles around the brows and the mouth speak for {labels.expression}, "
        "and the estimate of how pleasant and how tense the person feels agrees with them."
    )


def _training(folder: Path, chance: Random) -> None:
    logs = folder / "logs" / "version_0"
    logs.mkdir(parents=True)
    lines = ["epoch,step,train/loss,val/loss"]
    for step in range(120):
        lines.append(f"0,{step},{2.2 * 0.97**step + 0.3 + chance.gauss(0, 0.05):.4f},")
        if step % 30 == 29:
            lines.append(f"0,{step},,{2.2 * 0.97**step + 0.4:.4f}")
    (logs / "metrics.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _finish(folder, {"data": {"path": folder.name}, "trainer": {"max_steps": 120}})


def _evaluation(folder: Path, name: str, scores: tuple[float, ...], records: list[ImageRecord], chance: Random) -> None:
    folder.mkdir(parents=True)
    accuracy, f1, f1_14, f1_17, *va = scores
    keys = ("mae", "rmse", "ccc")
    tasks = {
        "expression": {"accuracy": accuracy, "f1_macro": f1},
        "action_units": {"f1_mean_14": f1_14, "f1_mean_17": f1_17},
        "valence": dict(zip(keys, va[:3], strict=True)),
        "arousal": dict(zip(keys, va[3:], strict=True)),
    }
    spans = {task: {key: [value - 0.03, value + 0.03] for key, value in found.items()} for task, found in tasks.items()}
    total = len(records)
    units = {str(au): max(0.0, min(1.0, f1_14 + chance.gauss(0, 0.12))) for au in ACTION_UNITS}
    content: dict[str, Any] = {
        "n": total,
        "unanswered": dict.fromkeys(tasks, 3 if name == "base" else 0),
        **{task: {**found, "n": total} for task, found in tasks.items()},
        "ci95": spans,
        "warnings": [],
    }
    content["action_units"]["f1"] = units
    labelled = "labels" in name
    rows = [
        Prediction(
            id=record.id, source=record.source, subject=record.subject, text="", judged=None,
            labels=_guess(record.labels, chance, accuracy), truth=record.labels, status="ok",
        )
        for record in records
    ]  # fmt: skip
    said = Counter((row.truth.expression, row.labels.expression) for row in rows if row.truth.expression)
    counts = [[said[truth, answer] for answer in (*EXPRESSIONS, None)] for truth in EXPRESSIONS]
    content["confusion"] = {"truth": EXPRESSIONS, "predicted": [*EXPRESSIONS, "unanswered"], "counts": counts}
    (folder / "metrics.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "predictions.jsonl").write_text("\n".join(map(to_line, rows)) + "\n", encoding="utf-8")
    target = "reliability.Reliability" if labelled else "feab.Feab"
    _finish(folder, {"records": "demo", "benchmark": {"_target_": f"seke.benchmark.{target}"}})


def _finish(folder: Path, config: dict[str, Any], **facts: Any) -> None:
    Run(folder, {"seed": 0, "name": folder.name, **config}, {"records": "ab" * 32}).finish(**facts)
