"""Linear probe beside a tuned model: linear models on the frozen tower's states of the same rows' pictures.

    python scripts/linear_probe.py outputs/prepare/emovit/test.jsonl answers.jsonl --train experiment=emovit name=emovit
    python scripts/linear_probe.py ... 'answers-{share}.jsonl' --shares 0.1 1 --pool patches --train ...
    python scripts/linear_probe.py outputs/prepare/demo/test.jsonl answers.jsonl --faces --train data.path=demo-seke

The settings of train.py say which model's tower and which rows of which instructions (data.path, data.share, seed); a
row's class is its --attribute, or with --faces its labels: expression, action units, valence and arousal. answers.jsonl
has an answer for each test picture, in the words of --says or for faces in those of the universal template, which
`python evaluate.py predictions=answers.jsonl` scores like any model's.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from pretraining import ROOT
from seke.answers.extract import describe
from seke.cli.mistakes import in_one_line
from seke.cli.settings import written
from seke.core import images, runs
from seke.core.errors import UserError
from seke.core.files import write_text
from seke.core.records import ImageRecord, InstructionRecord, read_jsonl
from seke.models.protocol import LoadedVLM
from seke.training.data.mixture import Data, stream
from seke.training.linear_probe import POOLS, fit, fit_faces, tower_states
from seke.training.readers.row import Row

Wanted = TypeVar("Wanted")


def trained_on(
    data: Data, outputs: Path, wanted: Callable[[InstructionRecord], Wanted | None], seed: int
) -> dict[Path, Wanted]:
    """Return the pictures of the rows that `data` draws, each once, with what is wanted of a row that has it."""
    found: dict[Path, Wanted] = {}
    for part in data.sources(outputs):
        known = {row.id: wanted(row) for row in read_jsonl(part.path, InstructionRecord)}
        rows = (row for row in stream(part, seed) if isinstance(row, Row))
        pairs = ((row.images[0], known[row.id]) for row in rows if row.images)
        found |= {picture: what for picture, what in pairs if what is not None}
    return found


def settings(words: list[str]) -> DictConfig:
    """Return train.py's settings as these words make them."""
    conf = ROOT / "conf"
    with initialize_config_dir(str(conf), version_base="1.3"):
        cfg = compose("train", written(words, conf, "train"))
    OmegaConf.resolve(cfg)
    return cfg


@in_one_line(HydraException)
def main() -> None:
    """Fit on the rows' pictures, answer the test records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, help="test records")
    parser.add_argument("answers", type=Path, help="JSON Lines to write")
    parser.add_argument("--train", nargs="*", default=[], dest="settings", help="settings of train.py")
    parser.add_argument("--attribute", default="emotion", help="what holds a row's class")
    parser.add_argument("--faces", action="store_true", help="probe the labels of faces instead")
    parser.add_argument("--says", default="Predict emotion: {}", help="an answer's words, {} for the class")
    parser.add_argument("--shares", nargs="*", default=[], help="of the rows, {share} in the name of the answers")
    parser.add_argument("--pool", default="mean", choices=POOLS, help="of a picture's patches: their mean, or all")
    probe(parser.parse_args())


def probe(given: argparse.Namespace) -> None:
    """Fit a probe for each share of the rows, and write its answers.

    Raises:
        UserError: for records that are not there, and whatever keeps rows, model or labels from being read.
    """
    if not given.records.is_file():
        raise UserError("records", given.records, "no such file", "give the test.jsonl of a prepared set")
    tests = list(read_jsonl(given.records, ImageRecord))
    root = runs.image_root(given.records)
    for share in given.shares or [None]:
        cfg = settings([*given.settings, *([f"data.share={share}"] if share else [])])
        data, loaded = instantiate(cfg.data), instantiate(cfg.model).load(dtype="float32")
        outputs, files = Path(cfg.paths.outputs), [images.resolve(root, record.image) for record in tests]

        def states(pictures: Sequence[Path], loaded: LoadedVLM = loaded) -> NDArray[np.float32]:
            return tower_states(loaded, pictures, given.pool)

        if given.faces:
            faces = trained_on(data, outputs, lambda row: row.labels, cfg.seed)
            of_faces = fit_faces(states(list(faces)), list(faces.values()), cfg.seed)
            texts = [describe(labels) for labels in of_faces.predict(states(files))]
            fitted = f"{len(faces)} faces" + "".join(f"; not predicted: {what}" for what in of_faces.untaught)
        else:
            classes = trained_on(data, outputs, lambda row: _text(row.attributes.get(given.attribute)), cfg.seed)
            of_classes = fit(states(list(classes)), list(classes.values()), cfg.seed)
            texts = [given.says.format(name) for name in of_classes.predict(states(files))]
            chosen = of_classes.best_params_["logisticregression__C"]
            fitted = f"{len(classes)} pictures, C = {chosen:g}"
        answers = Path(str(given.answers).replace("{share}", str(share)))
        answers.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"id": record.id, "text": text} for record, text in zip(tests, texts, strict=True)]
        write_text(answers, "".join(json.dumps(row) + "\n" for row in rows))
        print(f"{answers}: {len(rows)} answers, fitted on {fitted}")


def _text(value: object) -> str | None:
    return None if value is None else str(value)


if __name__ == "__main__":
    main()
