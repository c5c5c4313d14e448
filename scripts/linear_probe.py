"""Linear probe beside a tuned model: logistic regression on the frozen tower's states of the same rows' pictures.

    python scripts/linear_probe.py outputs/prepare/emovit/test.jsonl answers.jsonl --train experiment=emovit name=emovit
    python scripts/linear_probe.py ... 'answers-{share}.jsonl' --shares 0.1 1 --pool patches --train ...

The settings of train.py say which model's tower and which rows of which instructions (data.path, data.share, seed); a
row's class is its --attribute. answers.jsonl has an answer for each test picture, in the words of --says, which
`python evaluate.py predictions=answers.jsonl` scores like any model's.
"""

import argparse
import json
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from pretraining import ROOT
from seke.cli.settings import written
from seke.core import images, runs
from seke.core.files import write_text
from seke.core.records import ImageRecord, InstructionRecord, read_jsonl
from seke.training.data.mixture import Data, stream
from seke.training.linear_probe import POOLS, fit, tower_states
from seke.training.readers.row import Row


def trained_on(data: Data, outputs: Path, attribute: str, seed: int) -> dict[Path, str]:
    """Return the pictures of the rows that `data` draws, each once, with their class."""
    classes: dict[Path, str] = {}
    for part in data.sources(outputs):
        known = {row.id: row.attributes.get(attribute) for row in read_jsonl(part.path, InstructionRecord)}
        rows = (row for row in stream(part, seed) if isinstance(row, Row))
        classes |= {row.images[0]: str(known[row.id]) for row in rows if row.images and known[row.id] is not None}
    return classes


def settings(words: list[str]) -> DictConfig:
    """Return train.py's settings as these words make them."""
    conf = ROOT / "conf"
    with initialize_config_dir(str(conf), version_base="1.3"):
        cfg = compose("train", written(words, conf, "train"))
    OmegaConf.resolve(cfg)
    return cfg


def main() -> None:
    """Fit on the rows' pictures, answer the test records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, help="test records")
    parser.add_argument("answers", type=Path, help="JSON Lines to write")
    parser.add_argument("--train", nargs="*", default=[], dest="settings", help="settings of train.py")
    parser.add_argument("--attribute", default="emotion", help="what holds a row's class")
    parser.add_argument("--says", default="Predict emotion: {}", help="an answer's words, {} for the class")
    parser.add_argument("--shares", nargs="*", default=[], help="of the rows, {share} in the name of the answers")
    parser.add_argument("--pool", default="mean", choices=POOLS, help="of a picture's patches: their mean, or all")
    given = parser.parse_args()
    tests = list(read_jsonl(given.records, ImageRecord))
    root = runs.image_root(given.records)
    for share in given.shares or [None]:
        cfg = settings([*given.settings, *([f"data.share={share}"] if share else [])])
        data, loaded = instantiate(cfg.data), instantiate(cfg.model).load(dtype="float32")
        classes = trained_on(data, Path(cfg.paths.outputs), given.attribute, cfg.seed)
        probe = fit(tower_states(loaded, list(classes), given.pool), list(classes.values()), cfg.seed)
        files = [images.resolve(root, record.image) for record in tests]
        named = probe.predict(tower_states(loaded, files, given.pool))
        answers = Path(str(given.answers).replace("{share}", str(share)))
        answers.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"id": record.id, "text": given.says.format(name)} for record, name in zip(tests, named, strict=True)]
        write_text(answers, "".join(json.dumps(row) + "\n" for row in rows))
        chosen = probe.best_params_["logisticregression__C"]
        print(f"{answers}: {len(rows)} answers, fitted on {len(classes)} pictures, C = {chosen:g}")


if __name__ == "__main__":
    main()
