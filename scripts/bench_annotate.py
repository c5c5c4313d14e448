"""What annotating 1,000 images costs, and how good the labels are, for every way of deciding when to stop asking.

    python prepare.py name=bench && python scripts/bench_annotate.py outputs/prepare/bench
    python scripts/bench_annotate.py outputs/prepare/bench --images 1000 --seed 1

The annotator is simulated: the numbers say how the rules compare on it, not how good GPT-4o is. Each way annotates the
same partly labelled records; only generated labels of subjects outside the pilot are scored, against the true labels.
Dollars are OpenAI's list prices for gpt-4o; a token is four characters, an image 255 tokens. "Sequential" bills the
prompt with every draw, as Algorithm 1 asks; its labels are those of the same rule asking with `n`.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bench import ROOT, options, tell
from seke.backends.simulated.faces import Simulated
from seke.benchmark.scoring.cost_quality import Calls, Price, differences, quality
from seke.benchmark.tasks.reliability import generated, labelled
from seke.cli.mistakes import in_one_line
from seke.core.intervals import Estimate
from seke.core.prompts import Prompts
from seke.core.records import ImageRecord, InstructionRecord, Prediction, read_jsonl
from seke.core.vlm import VLM, Image, Reply, Request
from seke.generation.outcome import Face
from seke.generation.seke import stopping
from seke.generation.seke.empirical_bayes import EmpiricalBayes
from seke.generation.seke.generator import Seke

GPT4O = Price(2.5, 10.0)
CHUNK = 256
DRAWS = 5
"""N of Algorithm 1."""
STAGES = (3, DRAWS)


class Metered:
    """A `VLM` that counts what passes, as it is asked (`together`) and as if each answer were a request (`apart`)."""

    def __init__(self, vlm: VLM) -> None:
        self.vlm, self.together, self.apart = vlm, Calls(), Calls()

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield the replies unchanged."""
        asked = list(requests)
        for index, reply in self.vlm.reply(asked):
            (into, out, _), n = reply.usage or (0, reply.bound.tokens, 0), asked[index].n
            self.together = Calls.sum([self.together, Calls(1, into, out)])
            self.apart = Calls.sum([self.apart, Calls(n, n * into, out)])
            yield index, reply


class Way(NamedTuple):
    """One way of annotating and what it came to."""

    name: str
    samples: float
    """Draws per image."""
    bill: Calls
    apart: Calls
    pilot: Calls
    rows: dict[str, Prediction]
    """Scorable predictions by record id."""


class Study:
    """The records, the annotator, and the pilot, which is asked once for all ways that learn."""

    def __init__(self, prepared: Path, images: int | None, seed: int, folder: Path) -> None:
        every = list(read_jsonl(prepared / "train.jsonl", ImageRecord))
        # Evenly over the file: it is ordered by source.
        self.records = every[:: max(1, len(every) // images)] if images else every
        self.truth = {row.id: row for row in read_jsonl(prepared / "truth.jsonl", ImageRecord)}
        settings = _settings("backend/simulated.yaml")
        self.annotator = Simulated(**{**settings, "truth": str(prepared / "truth.jsonl"), "seed": seed})
        self.prompts = Prompts(_settings("prompts/seke.yaml")["templates"])
        self.seed, self.folder = seed, folder

    def annotate(self, name: str, rule: stopping.StoppingRule, **settings: Any) -> Way:
        """Annotate all records."""
        meter = Metered(self.annotator)
        generator = Seke(meter, rule, self.prompts, max_samples=DRAWS, seed=self.seed, **settings)
        generator.learn(self.records, face, self.folder)
        pilot, meter.together, meter.apart = meter.together, Calls(), Calls()
        outcomes = [
            outcome
            for start in range(0, len(self.records), CHUNK)
            for outcome in generator.generate([face(record) for record in self.records[start : start + CHUNK]])
        ]
        samples = sum(len(outcome.trace.draws) for outcome in outcomes) / len(outcomes)
        rows = [outcome.row for outcome in outcomes if isinstance(outcome.row, InstructionRecord)]
        scorable = {row.id: self._scored(row) for row in rows if "pilot" not in row.flags}
        bills = [bill.per_thousand(len(self.records)) for bill in (meter.together, meter.apart)]
        return Way(name, samples, *bills, pilot, scorable)

    def _scored(self, row: InstructionRecord) -> Prediction:
        return labelled(row, generated(row.labels, row.origin), generated(self.truth[row.id].labels, row.origin))


def face(record: ImageRecord) -> Face:
    """Return a face without opening its picture: the simulated annotator only knows the hash."""
    assert record.sha256 is not None
    return Face(record, Image(Path(record.image), record.sha256))


def ways(study: Study, excess: float) -> list[Way]:
    """Annotate in every way; the first is the paper's, the last ours."""
    summed: Callable[..., Way] = partial(study.annotate, aggregate="summary")
    calibrated: Callable[..., Way] = partial(study.annotate, aggregate="calibrated")
    uamc = summed("UAMC with n, summary", stopping.uamc(DRAWS))
    ours = calibrated("empirical_bayes with n, calibrated", EmpiricalBayes(STAGES, excess))
    budget = stopping.random(ours.samples, STAGES)
    return [
        uamc._replace(name="UAMC sequential, summary (the paper)", bill=uamc.apart),
        uamc,
        study.annotate("UAMC with n, majority", stopping.uamc(DRAWS), aggregate="majority"),
        calibrated("UAMC with n, calibrated", stopping.uamc(DRAWS)),
        summed("single pass, no prior", stopping.fixed(1), use_prior=False, self_verify=False),
        summed(f"fixed {DRAWS} with n, summary", stopping.fixed(DRAWS)),
        calibrated(f"fixed {STAGES[0]} with n, calibrated", stopping.fixed(STAGES[0])),
        calibrated(f"fixed {DRAWS} with n, calibrated", stopping.fixed(DRAWS)),
        summed("random at our budget, summary", budget),
        calibrated("random at our budget, calibrated", budget),
        ours,
    ]


def show(found: Sequence[Way], images: int, seed: int) -> None:
    """Tell cost and quality, then the paired differences that the comparison is about."""
    learnt = set.intersection(*(set(way.rows) for way in found))
    rows = {way.name: [row for id_, row in way.rows.items() if id_ in learnt] for way in found}
    paper, control, ours = found[0], found[-2], found[-1]
    scores = {way.name: quality(rows[way.name], seed) for way in found}
    head = ["way", "draws", "requests", "USD per 1,000", "of the paper's", *scores[ours.name]]
    table = [
        [way.name, way.samples, round(way.bill.requests), way.bill.usd(GPT4O),
         f"{way.bill.usd(GPT4O) / paper.bill.usd(GPT4O):.1%}",
         *map(_cell, scores[way.name].values())]
        for way in found
    ]  # fmt: skip
    tell(f"simulated annotator; {len(learnt)} records outside the pilot; 95 % intervals by subject", head, table, [])
    pilot = max((way.pilot for way in found), key=lambda bill: bill.requests)
    print(f"\nThe pilot that calibrated ways and ours learn from costs ${pilot.usd(GPT4O):.2f}, once for a data set.")
    share = 1000 * pilot.usd(GPT4O) / images
    print(f"It is not in the column; spread over these {images} images it adds ${share:.2f} per 1,000.")
    for other in (paper, control):
        print(f"\nOurs minus {other.name}:")
        for name, e in differences(rows[ours.name], rows[other.name], seed).items():
            print(f"  {name:20} {_cell(e, '+.4f')}  {_word(e)}")


def _cell(estimate: Estimate, form: str = ".3f") -> str:
    """Return a number and its interval, as far as they are known."""
    value, low, high = ("-" if number is None else f"{number:{form}}" for number in estimate)
    return value if estimate.low is None else f"{value} ({low} to {high})"


def _word(difference: Estimate) -> str:
    if difference.low is None or difference.high is None:
        return "unknown"
    return "better" if difference.low > 0 else "worse" if difference.high < 0 else "no different"


def _settings(file: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "conf" / file).read_text(encoding="utf-8"))
    content.pop("_target_")
    return content


@in_one_line()
def main() -> None:
    """Tell the comparison."""
    parser = options(__doc__, rounds=None)
    parser.add_argument("prepared", type=Path, help="folder of synthetic faces: outputs/prepare/<name>")
    parser.add_argument("--images", type=int, help="about so many of them, spread evenly (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--excess", type=float, default=_settings("stopping/empirical_bayes.yaml")["excess"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = Study(asked.prepared, asked.images, asked.seed, Path(folder))
        show(ways(study, asked.excess), len(study.records), asked.seed)


if __name__ == "__main__":
    main()
