"""How long witnesses take that cost nothing else: reading tables, fitting them, and the posteriors of all records.

    python scripts/bench_witnesses.py                            26,000 made-up faces of six sources, two witnesses
    python scripts/bench_witnesses.py --images 2600 --rounds 1

Faces and tables are made up: AUs, expressions and valence hang on a random truth, arousal is dice; each record carries
what one of three kinds of source carries. The obvious alternative to the channels' fit is scikit-learn's
LogisticRegression, one an AU, over the same scores; it fits AUs alone, once, while ours fits all descriptions, by
source, and for both halves of the people. Processor seconds count: what the clock would say on an idle machine.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml

from bench import ROOT, Target, cost, options, tell
from seke.cli.mistakes import in_one_line
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.label_prior import tabulate
from seke.core.prompts import Prompts
from seke.core.records import ImageRecord, Labels
from seke.core.vlm import Image
from seke.generation.blind import Blind
from seke.generation.outcome import Face
from seke.generation.witnesses.tables import entries, matched

FULL = 26_000
MOST = 60.0
"""Seconds."""
SOURCES = ("a", "b", "c", "d", "e", "f")


def world(folder: Path, images: int, seed: int) -> list[ImageRecord]:
    """Return faces, and write two tables of them."""
    rng = np.random.default_rng(seed)
    p_EA = rng.uniform(0.05, 0.6, (len(EXPRESSIONS), len(ACTION_UNITS)))
    records = []
    lines = [
        [",".join(["id", *(f"AU{au}_r" for au in ACTION_UNITS), *EXPRESSIONS, "valence", "arousal"])] for _ in "ab"
    ]
    for number in range(images):
        e = int(rng.integers(len(EXPRESSIONS)))
        units = dict(zip(ACTION_UNITS, (rng.random(len(ACTION_UNITS)) < p_EA[e]).tolist(), strict=True))
        whole = Labels(
            expression=EXPRESSIONS[e],
            valence=float(np.clip(rng.normal(0.1 * e - 0.4, 0.2), -1, 1)),
            arousal=float(np.clip(rng.normal(0, 0.3), -1, 1)),
            action_units=units,
        )
        kept = [{"action_units"}, {"expression"}, {"expression", "valence", "arousal", "action_units"}][number % 3]
        records.append(
            ImageRecord(
                id=f"r{number}", image=f"{number}.png", sha256=f"{number:064}", source=SOURCES[number % 6],
                subject=f"p{number // 60 % 100}", split="train",
                labels=Labels(**{name: getattr(whole, name) for name in kept}),
            )
        )  # fmt: skip
        for table, strength in zip(lines, (1.5, 0.8), strict=True):
            score = strength * np.array([*units.values()]) + rng.normal(size=len(units))
            share = np.exp(rng.normal(size=8) + strength * (np.arange(8) == e))
            cells = [*score, *(share / share.sum()), whole.valence + 0.3 * rng.normal(), 0.3 * rng.normal()]
            table.append(",".join([f"r{number}", *(f"{cell:.3f}" for cell in cells)]))
    for name, table in zip("ab", lines, strict=True):
        (folder / f"{name}.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    return records


def plain(records: list[ImageRecord], folder: Path) -> None:
    """Fit one logistic regression an AU to each table."""
    from sklearn.linear_model import LogisticRegression

    truth_NA = tabulate(record.labels for record in records).units_NA
    for entry in entries([str(folder / "a.csv"), str(folder / "b.csv")], folder):
        said = matched(entry, records).said
        for column in range(truth_NA.shape[1]):
            told_N = np.isfinite(truth_NA[:, column])
            LogisticRegression().fit(said.units_NAF[told_N, column], truth_NA[told_N, column])


@in_one_line()
def main() -> None:
    """Measure."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--images", type=int, default=FULL)
    asked = parser.parse_args()
    prompts = Prompts(yaml.safe_load((ROOT / "conf/prompts/seke.yaml").read_text(encoding="utf-8"))["templates"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = world(folder, asked.images, 0)
        faces = [Face(record, Image(Path(record.image), record.sha256 or "")) for record in records]
        blind = Blind(None, prompts, witnesses=[str(folder / "a.csv"), str(folder / "b.csv")])  # type: ignore[arg-type]
        fitted = cost(lambda: blind.learn(records, lambda record: None, folder))
        written = cost(lambda: sum(1 for _ in blind.generate(faces)))
        other = cost(lambda: plain(records, folder))
    scaled = FULL / asked.images
    table = [
        ["reading and fitting two witnesses", fitted.processor, fitted.seconds],
        [f"posteriors and rows of {asked.images:,} records", written.processor, written.seconds],
        ["reading, and scikit-learn, AUs alone", other.processor, other.seconds],
    ]
    both = fitted.processor + written.processor
    tell(
        f"two witnesses, {asked.images:,} records of six sources",
        ["what", "processor s", "clock s"],
        table,
        [
            Target(f"processor s for {FULL:,} records, on one core", both * scaled, most=MOST),
            Target("times what plain regressions of AUs take", both / max(other.processor, 1e-9), most=10.0),
        ],
    )


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
