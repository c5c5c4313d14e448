"""In how many worlds does each claim hold? Annotators x faces x seeds, in this process: see conf/robustness.yaml.

    python scripts/robustness.py [<setting>=<value> ...]

Every world is a simulated annotator with switches of its own, and synthetic faces of a kind of their own. Each method
annotates the same latent faces through the product's own generator; no picture is drawn, since the annotator looks at
nothing but its sha256. What humans did not label is scored against the truth, without the subjects of a pilot.

A claim holds in a world where it does with every seed, fails where it fails with every seed, and else depends on the
seed. Of two methods that do not differ, one is ahead with all of three seeds in one world of eight: what holds in few
worlds says nothing, and what holds in most is not chance.
"""

import hashlib
import json
import logging
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from tqdm import tqdm

from robustness_settings import World, claims_of, read_settings, worlds_of
from robustness_table import as_csv, claim_rows, measure_rows, picture, table
from seke.benchmark.answer import Answer
from seke.benchmark.scoring.arrays import columns
from seke.benchmark.scoring.bootstrap import point
from seke.benchmark.scoring.calibration import Judged, judged
from seke.benchmark.scoring.calibration_metrics import ece_debiased
from seke.benchmark.tasks.reliability import generated, labelled
from seke.cli.command import build
from seke.cli.mistakes import in_one_line
from seke.core.errors import UserError
from seke.core.files import write_text
from seke.core.parallel import cores, parallel_map
from seke.core.records import ImageRecord, InstructionRecord, Prediction, write_jsonl
from seke.core.vlm import Image
from seke.generation import from_settings
from seke.generation.outcome import Face, completed
from seke.generation.seke.learning import Learner


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

    def marked(row: ImageRecord) -> ImageRecord:
        """Return a row with a digest of its own, as if of its picture, which nobody draws."""
        name, _, index = row.id.rpartition("-")
        return row.model_copy(
            update={"sha256": hashlib.sha256(f"{name}/{int(index)}/{world.seed}".encode()).hexdigest()}
        )

    records, truth = zip(*((marked(record), marked(whole)) for record, whole in source.labelled()), strict=True)
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
    write_text(folder / "claims.csv", as_csv(head, claim_rows(claims, measured)))
    head = ("annotator", "faces", "seed", "method", "measure", "value")
    write_text(folder / "measures.csv", as_csv(head, measure_rows(measured)))
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
