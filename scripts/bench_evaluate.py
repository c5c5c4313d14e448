"""How fast a benchmark run is: scoring, a local model's answers, and reading labels from text. Exit code 1: too slow.

    python scripts/bench_evaluate.py                     all three parts, targets met or missed
    python scripts/bench_evaluate.py score --predictions 10000
    python scripts/bench_evaluate.py generate --images 32 --rounds 1

score       every metric of 100,000 predictions with 1,000 bootstrap draws, all together and source by source
            naive: one draw at a time, subjects' rows gathered anew and given to scikit-learn (extrapolated)
generate    the tiny model on CPU, batched, must give the answers it gives to one face at a time
parse       seke.answers.extract on the hand-written answers of tests/data/answers.jsonl, one process, in seconds of
            processor time; the clock's are printed too, and are more where others compute on the same machine.
            From pass to pass it remembers the role of single words, and no answer or sentence
            naive: the first expression word, and every number behind "AU", "valence" and "arousal"
"""

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from seke.affect import ACTION_UNITS, AUS_OF_SOURCE, EXPRESSIONS
from seke.images import sha256
from seke.records import Labels, Prediction
from seke.vlm import VLM, Image, Message, Request

ROOT = Path(__file__).resolve().parent.parent
QUESTION = (
    "What emotion does this face show? Describe its expression, its valence and arousal, and its active facial action "
    "units."
)
DRAWS, NAIVE_DRAWS = 1000, 3
SCORE_SECONDS, BATCHED_RATIO, ANSWERS_PER_SECOND = 30.0, 4.0, 20_000.0


class Verdict(NamedTuple):
    """One target and what was measured."""

    what: str
    measured: float
    target: float
    lower_is_better: bool = False

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.measured <= self.target if self.lower_is_better else self.measured >= self.target


def seconds(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return the result of `work` and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def score(options: argparse.Namespace) -> list[Verdict]:
    """Score made-up predictions, of subjects with five images on average."""
    from seke.benchmark.metrics import evaluate

    rows = made_up(options.predictions)
    evaluate(rows[:1000], draws=2)  # imports and first calls
    rounds = [seconds(lambda: evaluate(rows, DRAWS))[1] for _ in range(options.rounds)]
    ours = statistics.median(rounds)
    theirs = naive(rows)
    print(f"score: {len(rows):,} predictions, {DRAWS:,} draws, {options.rounds} rounds")
    print(f"  seke              {ours:9.1f} s ({min(rounds):.1f} to {max(rounds):.1f}), and source by source within it")
    print(
        f"  naive, all only   {theirs:9.0f} s, EXTRAPOLATED from {NAIVE_DRAWS} draws; {theirs / ours:.0f} times seke's"
    )
    return [Verdict(f"seconds to score {len(rows):,}", ours, SCORE_SECONDS, lower_is_better=True)]


def made_up(count: int) -> list[Prediction]:
    """Return predictions whose labels are drawn from a few thousand."""
    rng = Random(count)
    sources = ("ck_plus", "disfa", "bp4d", "aff_wild2")
    truths = {source: [_labels(rng, AUS_OF_SOURCE.get(source, ())) for _ in range(500)] for source in sources}
    said = [_labels(rng, tuple(ACTION_UNITS)) for _ in range(2000)]
    rows = []
    for number in range(count):
        source = rng.choice(sources)
        rows.append(
            Prediction(
                id=str(number), source=source, subject=f"s{rng.randrange(max(count // 20, 1))}", text="", judged=None,
                labels=rng.choice(said), truth=rng.choice(truths[source]), status="ok",
            )
        )  # fmt: skip
    return rows


def _labels(rng: Random, units: Sequence[int]) -> Labels:
    return Labels(
        expression=rng.choice(EXPRESSIONS) if rng.random() < 0.9 else None,
        valence=round(rng.uniform(-1, 1), 2) if rng.random() < 0.9 else None,
        arousal=round(rng.uniform(-1, 1), 2) if rng.random() < 0.9 else None,
        action_units={unit: rng.random() < 0.3 for unit in units} or None,
    )


def naive(rows: Sequence[Prediction]) -> float:
    """Return the seconds of all draws by scikit-learn, from `NAIVE_DRAWS` of them; arrays are made beforehand."""
    from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, root_mean_squared_error

    from seke.benchmark.columns import UNKNOWN, columns

    data = columns(rows)
    order = np.argsort(data.group_N, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(data.group_N))[:-1])
    rng = np.random.default_rng(0)

    def draw() -> None:
        at = np.concatenate([members[subject] for subject in rng.integers(len(members), size=len(members))])
        known = at[data.expression_true_N[at] != UNKNOWN]
        accuracy_score(data.expression_true_N[known], data.expression_N[known])
        f1_score(data.expression_true_N[known], data.expression_N[known], average="macro", zero_division=0)
        for place in range(len(ACTION_UNITS)):
            annotated = at[data.au_true_NA[at, place] != UNKNOWN]
            f1_score(data.au_true_NA[annotated, place], data.au_NA[annotated, place], zero_division=0)
        for place in (0, 1):
            paired = at[~np.isnan(data.va_true_N2[at, place] + data.va_N2[at, place])]
            truth, said = data.va_true_N2[paired, place], data.va_N2[paired, place]
            mean_absolute_error(truth, said)
            root_mean_squared_error(truth, said)
            covariance = np.cov(truth, said)
            2 * covariance[0, 1] / (np.trace(covariance) + (truth.mean() - said.mean()) ** 2)
            np.corrcoef(truth, said)

    draw()
    return DRAWS * statistics.mean(seconds(draw)[1] for _ in range(NAIVE_DRAWS))


def generate(options: argparse.Namespace) -> list[Verdict]:
    """Ask the tiny model about drawn faces, batched and one at a time."""
    from seke.backends.local import Local
    from seke.models.llava_ov import LlavaOv

    tiny = LlavaOv(str(ROOT / "assets" / "llava_ov_tiny"), attention="eager")
    ways = {
        "batched": Local(tiny, device="cpu", batch_size=128),
        "one at a time": Local(tiny, device="cpu", batch_size=1),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        requests = faces(Path(folder), options.images)
        answers = {name: asked(vlm, requests[:2]) for name, vlm in ways.items()}  # loads the model
        for _ in range(options.rounds):
            for name, vlm in ways.items():
                answers[name], spent = seconds(lambda vlm=vlm: asked(vlm, requests))
                took[name].append(spent)
    rates = {name: options.images / statistics.median(times) for name, times in took.items()}
    same = sum(a == b for a, b in zip(*answers.values(), strict=True))
    ratio = rates["batched"] / rates["one at a time"]
    print(f"generate: the tiny model on CPU, {options.images} faces, {options.rounds} rounds")
    for name, rate in rates.items():
        print(f"  {name:<17} {rate:9.1f} records/s ({', '.join(f'{spent:.1f} s' for spent in took[name])})")
    print(f"  ratio {ratio:.1f}; {same} of {options.images} answers identical")
    return [
        Verdict("batched records/s over one at a time", ratio, BATCHED_RATIO),
        Verdict("share of identical answers", same / options.images, 1.0),
    ]


def faces(folder: Path, count: int) -> list[Request]:
    """Draw synthetic faces and ask FEAB's question about each."""
    from seke.sources.faces import draw, draw_identity, draw_scene
    from seke.sources.latent import draw_face

    rng, requests = Random(0), []
    for number in range(count):
        face = draw_face(rng, rng.choice(EXPRESSIONS))
        file = folder / f"{number}.png"
        draw(face.au_intensity, draw_identity(rng), draw_scene(rng, wild=bool(number % 2)), 96).save(file)
        parts = (Image(file, sha256(file.read_bytes())), QUESTION)
        requests.append(Request((Message("user", parts),), temperature=0.0))
    return requests


def asked(vlm: VLM, requests: Sequence[Request]) -> list[str]:
    """Return the answers in the order of the requests."""
    replies = dict(vlm.reply(requests))
    return [replies[index].choices[0].text for index in range(len(requests))]


def parse(options: argparse.Namespace) -> list[Verdict]:
    """Read the corpus of hand-written answers again and again."""
    from seke.answers import extract

    rows = [json.loads(line) for line in (ROOT / "tests" / "data" / "answers.jsonl").open(encoding="utf-8")]
    texts, truths = [row["text"] for row in rows], [Labels(**row["labels"]) for row in rows]
    extract(texts[0])  # what is compiled once
    characters = sum(map(len, texts)) / len(texts)
    print(f"parse: {len(texts)} answers, {characters:.0f} characters each on average, one process")
    readers: dict[str, Callable[[str], Labels]] = {"seke": extract, "naive": naive_extract}
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in readers}
    for _ in range(10 * options.rounds):  # by turns, so that what else the machine does meets both
        for name, reads in readers.items():
            start = time.process_time()
            _, spent = seconds(lambda reads=reads: [reads(text) for text in texts])
            took[name].append((time.process_time() - start, spent))
    rates = {}
    for name, reads in readers.items():
        right = sum(reads(text) == truth for text, truth in zip(texts, truths, strict=True))
        rates[name], clock = (len(texts) / statistics.median(times) for times in zip(*took[name], strict=True))
        print(
            f"  {name:<17} {rates[name]:9,.0f} answers/s of processor time ({clock:,.0f} by the clock), "
            f"{rates[name] * characters:,.0f} characters/s, all labels right in {right / len(texts):.1%}"
        )
    print(f"  ratio to naive {rates['seke'] / rates['naive']:.2f}")
    return [Verdict("answers read per second", rates["seke"], ANSWERS_PER_SECOND)]


WORDS = {
    **{name: name for name in EXPRESSIONS},
    "happy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
    "afraid": "fear",
    "fearful": "fear",
    "disgusted": "disgust",
    "angry": "anger",
    "contemptuous": "contempt",
}
WORD = re.compile(rf"\b(?:{'|'.join(WORDS)})\b")


def naive_extract(text: str) -> Labels:
    """Return what a few searches find: no negation, no scale, no list of what is inactive."""
    low = text.lower()
    word, units = WORD.search(low), {int(number) for number in re.findall(r"\bau ?0?(\d{1,2})\b", low)}
    numbers = {name: re.search(rf"\b{name}\D*?(-?\d\.?\d*)", low) for name in ("valence", "arousal")}
    values = {name: float(found[1]) for name, found in numbers.items() if found and abs(float(found[1])) <= 1}
    active = dict.fromkeys(sorted(units & set(ACTION_UNITS)), True)
    return Labels(expression=WORDS[word[0]] if word else None, action_units=active or None, **values)


def main() -> None:
    """Run the parts and say which targets they meet."""
    parts = {part.__name__: part for part in (score, generate, parse)}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", default=list(parts), help=", ".join(parts))
    parser.add_argument("--predictions", type=int, default=100_000, help="to score")
    parser.add_argument("--images", type=int, default=128, help="to ask the tiny model about")
    parser.add_argument("--rounds", type=int, default=3, help="measurements, of which the median counts")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(parts):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    verdicts = [verdict for name in options.parts for verdict in parts[name](options)]
    print("targets")
    for verdict in verdicts:
        bound = "at most" if verdict.lower_is_better else "at least"
        told = f"{verdict.what}: {verdict.measured:,.2f} ({bound} {verdict.target:,g})"
        print(f"  {'met   ' if verdict.met else 'MISSED'} {told}")
    sys.exit(not all(verdict.met for verdict in verdicts))


if __name__ == "__main__":
    main()
