"""Miniature finished runs of experiments, in the stages' own form, and the studies that their YAML defines."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf

from seke.benchmark.judging.rubric import Marks
from seke.benchmark.scoring.metrics import evaluate
from seke.benchmark.scoring.significance import compare
from seke.benchmark.tasks.emoset import EMOTIONS, EmotionPrediction, paired, scores
from seke.benchmark.tasks.reasoning import JudgedAnswer
from seke.benchmark.tasks.reasoning import scores as marked
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.records import ImageRecord, Labels, Prediction, Trace, write_jsonl
from seke.core.runs import Run
from seke.reporting.data.runs import Outputs
from seke.reporting.studies.orders import Comparisons
from seke.reporting.studies.study import Compiled, Study

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("aff_wild2", "disfa", "ck_plus")
PAIRED = Comparisons(partial(compare, draws=200), partial(compare, draws=200, pairing=paired))


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
        off = Random(number).uniform(0.4, 0.8) * (1 - skill) * chance.choice((-1, 1))
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


def traced(id_: str, draws: Sequence[Labels]) -> Trace:
    """A row of draws.jsonl."""
    return Trace(id=id_, prior=Labels(), draws=tuple(draws), summary=None, requests=0, input_tokens=0, output_tokens=0)


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


def scenes(
    outputs: Path, name: str, skill: float, seed: int = 0, pictures: int = 60, notes: Sequence[str] = ("drawn scenes",)
) -> None:
    """An evaluation of the emotion of scenes: the same pictures whatever `skill`, the first emotion twice as often."""
    folder = outputs / "evaluate" / name
    folder.mkdir(parents=True)
    chance, rows = Random(f"{skill} {seed}"), []
    for number in range(pictures):
        truth = EMOTIONS[max(0, number % 9 - 1)]
        said = truth if chance.random() < skill else chance.choice(EMOTIONS)
        rows.append(
            EmotionPrediction(
                id=f"scene-{number:03d}", source="synthetic_scenes", subject=None, text=f"It is {said}.", judged=None,
                emotion=said, truth=truth, status="ok",
            )
        )  # fmt: skip
    write_jsonl(folder / "predictions.jsonl", rows)
    (folder / "metrics.json").write_text(json.dumps(scores(rows, draws=50)), encoding="utf-8")
    Run(folder, {"name": name, "records": "scenes"}, {"records": "ab" * 32}).finish(notes=list(notes))


def reasoning(outputs: Path, name: str, first: int, second: int) -> None:
    """An evaluation of ten free answers, each marked by two simulated judges."""
    folder = outputs / "evaluate" / name
    folder.mkdir(parents=True)
    marks = {
        judge: Marks(status="ok", marks={"emotion": mark, "evidence": 3}, model=f"simulated-{judge}", simulated=True)
        for judge, mark in (("mild", first), ("stern", second))
    }
    rows = [
        JudgedAnswer(
            id=str(number), source="synthetic_scenes", subject=None, kind="humour", question="?", text="Awe.",
            truth="awe", status="ok" if number else "unanswered", model="m", marks=marks if number else {},
        )
        for number in range(10)
    ]  # fmt: skip
    write_jsonl(folder / "predictions.jsonl", rows)
    found = marked(rows, ["emotion", "evidence"], ["mild", "stern"], draws=20)
    (folder / "metrics.json").write_text(json.dumps(found), encoding="utf-8")
    Run(folder, {"name": name, "records": "scenes"}, {"records": "ab" * 32}).finish(notes=[])


def generation(outputs: Path, name: str, requests: int, usd: float | None = None) -> None:
    folder = outputs / "generate" / name
    folder.mkdir(parents=True)
    cost = {"records": 100, "requests": requests, "mean_samples": requests / 100, "input_tokens": 9 * requests,
            "output_tokens": requests, "usd": usd}  # fmt: skip
    (folder / "cost.json").write_text(json.dumps(cost), encoding="utf-8")
    Run(folder, {"name": name}, {}).finish()


def study(name: str) -> Study:
    """The study of an experiment as its YAML defines it."""
    conf = OmegaConf.load(ROOT / "conf" / "report" / "experiment" / f"{name}.yaml")
    OmegaConf.resolve(conf)
    made: Study = instantiate(conf.study, _convert_="all")
    return made


def compiled(outputs: Path, name: str, drawn: bool = False, runs: str | None = None) -> Compiled:
    """The study of an experiment, compiled from the runs below `outputs`; drawings only where they are looked at.

    `runs`: what the runs are called, where it is not as the experiment.
    """
    of_yaml = study(name)
    parts = [part if drawn or not hasattr(part, "figures") else replace(part, figures=()) for part in of_yaml.parts]
    return replace(of_yaml, parts=parts).compile(Outputs(outputs), runs or name, outputs / "report", PAIRED)
