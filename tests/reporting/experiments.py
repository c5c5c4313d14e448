"""Miniature finished runs of experiments, in the doors' own form, and the studies that their YAML defines."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf

from seke.affect import ACTION_UNITS, EXPRESSIONS
from seke.benchmark.metrics import evaluate
from seke.benchmark.significance import compare
from seke.records import ImageRecord, Labels, Prediction, write_jsonl
from seke.reporting.studies import Compiled, Study
from seke.runs import Run

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("aff_wild2", "disfa", "ck_plus")
PAIRED = partial(compare, draws=200)


def predictions(skill: float, seed: int = 0, faces: int = 48) -> list[Prediction]:
    """Answers about the same faces whatever `skill`, which is the share of them that are right."""
    fixed, chance = Random(0), Random(f"{skill} {seed}")
    rows = []
    for number in range(faces):
        valence = fixed.uniform(-0.8, 0.8)
        truth = Labels(
            expression=EXPRESSIONS[number % 8], valence=round(valence, 3), arousal=round(-valence, 3),
            action_units={au: (number + au) % 3 == 0 for au in ACTION_UNITS},
        )  # fmt: skip
        off = 0.6 * (1 - skill) * chance.choice((-1, 1))
        units = truth.action_units or {}
        labels = Labels(
            expression=truth.expression if chance.random() < skill else chance.choice(EXPRESSIONS),
            valence=round(max(-1, min(1, valence + off)), 3), arousal=round(max(-1, min(1, -valence + off)), 3),
            action_units={au: on if chance.random() < skill else not on for au, on in units.items()},
        )  # fmt: skip
        text = f"The face shows {labels.expression}, valence {labels.valence:+.2f} <script>alert(1)</script>."
        rows.append(
            Prediction(
                id=f"face-{number:03d}", source=SOURCES[number % 3], subject=f"S{number % 12}", text=text, judged=None,
                labels=labels, truth=truth, status="ok",
            )
        )  # fmt: skip
    return rows


def record(id_: str, source: str, labels: Labels, split: Any = "test") -> ImageRecord:
    return ImageRecord(id=id_, image="a.png", sha256=None, source=source, subject=None, split=split, labels=labels)


def evaluation(
    outputs: Path, name: str, skill: float, seed: int = 0, notes: Sequence[str] = ("synthetic faces",)
) -> None:
    folder = outputs / "evaluate" / name
    folder.mkdir(parents=True)
    rows = predictions(skill, seed)
    write_jsonl(folder / "predictions.jsonl", rows)
    metrics = {**evaluate(rows, draws=50), "missing": 0}
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    Run(folder, {"name": name, "records": "faces"}, {}).finish(notes=list(notes))


def generation(outputs: Path, name: str, requests: int, usd: float | None = None) -> None:
    folder = outputs / "generate" / name
    folder.mkdir(parents=True)
    cost = {"records": 100, "requests": requests, "mean_samples": requests / 100, "input_tokens": 9 * requests,
            "output_tokens": requests, "usd": usd}  # fmt: skip
    (folder / "cost.json").write_text(json.dumps(cost), encoding="utf-8")
    Run(folder, {"name": name}, {}).finish()


def study(name: str) -> Study:
    """The study of an experiment as its YAML defines it."""
    conf = OmegaConf.load(ROOT / "conf" / "experiment" / name / "report.yaml")
    OmegaConf.resolve(conf)
    made: Study = instantiate(conf.study, _convert_="all")
    return made


def compiled(outputs: Path, name: str, drawn: bool = False) -> Compiled:
    """The study of an experiment, compiled from the runs below `outputs`; drawings only where they are looked at."""
    of_yaml = study(name)
    parts = [part if drawn or not hasattr(part, "figures") else replace(part, figures=()) for part in of_yaml.parts]
    return replace(of_yaml, parts=parts).compile(outputs, name, outputs / "report", PAIRED)
