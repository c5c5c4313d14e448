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
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from random import Random

import numpy as np

from bench import ROOT, Cost, Target, by_turns, cost, options, tell, times
from seke.core.affect import ACTION_UNITS, AUS_OF_SOURCE, EXPRESSIONS
from seke.core.images import sha256
from seke.core.records import Labels, Prediction
from seke.core.vlm import VLM, Image, Message, Request

QUESTION = (
    "What emotion does this face show? Describe its expression, its valence and arousal, and its active facial action "
    "units."
)
DRAWS, NAIVE_DRAWS = 1000, 3
SCORE_SECONDS, BATCHED_RATIO, ANSWERS_PER_SECOND = 30.0, 4.0, 20_000.0


def score(asked: argparse.Namespace) -> int:
    """Score made-up predictions, of subjects with five images on average."""
    from seke.benchmark.scoring.metrics import evaluate

    rows = made_up(asked.predictions)
    evaluate(rows[:1000], draws=2)  # imports and first calls
    rounds = [cost(lambda: evaluate(rows, DRAWS)).seconds for _ in range(asked.rounds)]
    ours, theirs = statistics.median(rounds), naive(rows)
    return tell(
        f"score: {len(rows):,} predictions, {DRAWS:,} draws; ours source by source as well",
        ["way", "seconds", "times ours"],
        [
            ["seke", ours, 1.0],
            [f"scikit-learn in a loop, extrapolated from {NAIVE_DRAWS} draws", theirs, theirs / ours],
        ],
        [Target("seconds to score", ours, most=SCORE_SECONDS)],
    )


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

    from seke.benchmark.scoring.arrays import UNKNOWN, columns

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
    return DRAWS * statistics.mean(cost(draw).seconds for _ in range(NAIVE_DRAWS))


def generate(asked: argparse.Namespace) -> int:
    """Ask the tiny model about drawn faces, batched and one at a time."""
    from seke.backends.transformers.tuned import Local
    from seke.models.llava_ov import LlavaOv

    tiny = LlavaOv(str(ROOT / "assets" / "llava_ov_tiny"), attention="eager")
    sizes = {"batched": 128, "one at a time": 1}
    models = {name: Local(tiny, device="cpu", batch_size=size) for name, size in sizes.items()}
    with tempfile.TemporaryDirectory() as folder:
        requests = faces(Path(folder), asked.images)
        for model in models.values():
            answers(model, requests[:2])  # loads it
        ways = {name: partial(cost, partial(answers, model, requests)) for name, model in models.items()}
        took = by_turns(ways, asked.rounds)
    batched, single = took.values()
    same = sum(a == b for a, b in zip(batched[-1].result, single[-1].result, strict=True))
    rates = {name: asked.images / statistics.median(each.seconds for each in rounds) for name, rounds in took.items()}
    ratio = rates["batched"] / rates["one at a time"]
    return tell(
        f"generate: the tiny model on CPU, {asked.images} faces, {same} answers identical",
        ["way", "records/s", "times"],
        [["batched", rates["batched"], ratio], ["one at a time", rates["one at a time"], 1.0]],
        [
            Target("batched records/s over one at a time", ratio, least=BATCHED_RATIO),
            Target("share of identical answers", same / asked.images, least=1.0),
        ],
    )


def faces(folder: Path, count: int) -> list[Request]:
    """Draw synthetic faces and ask FEAB's question about each."""
    from seke.sources.synthetic.face_identity import draw_identity
    from seke.sources.synthetic.face_model import draw_face
    from seke.sources.synthetic.face_renderer import draw, draw_scene

    rng, requests = Random(0), []
    for number in range(count):
        face = draw_face(rng, rng.choice(EXPRESSIONS))
        file = folder / f"{number}.png"
        draw(face.au_intensity, draw_identity(rng), draw_scene(rng, wild=bool(number % 2)), 96).save(file)
        parts = (Image(file, sha256(file.read_bytes())), QUESTION)
        requests.append(Request((Message("user", parts),), temperature=0.0))
    return requests


def answers(vlm: VLM, requests: Sequence[Request]) -> list[str]:
    """Return the answers in the order of the requests."""
    replies = dict(vlm.reply(requests))
    return [replies[index].choices[0].text for index in range(len(requests))]


def parse(asked: argparse.Namespace) -> int:
    """Read the corpus of hand-written answers again and again."""
    from seke.answers.extract import extract

    rows = [json.loads(line) for line in (ROOT / "tests" / "data" / "answers.jsonl").open(encoding="utf-8")]
    texts, truths = [row["text"] for row in rows], [Labels(**row["labels"]) for row in rows]
    extract(texts[0])  # what is compiled once
    readers = {"seke": extract, "a few regular expressions": naive_extract}
    ways = {name: partial(cost, lambda reads=reads: [*map(reads, texts)]) for name, reads in readers.items()}
    took = by_turns(ways, 10 * asked.rounds)
    table = list[list[object]]()
    for name, rounds in took.items():
        rates = [len(texts) / statistics.median(getattr(each, what) for each in rounds) for what in Cost._fields[:2]]
        right = sum(read == truth for read, truth in zip(rounds[-1].result, truths, strict=True)) / len(texts)
        table.append(
            [
                name,
                *rates[::-1],
                f"{right:.1%}",
                times(
                    [each.processor for each in took["a few regular expressions"]], [each.processor for each in rounds]
                ),
            ]
        )
    return tell(
        f"parse: {len(texts)} answers of {sum(map(len, texts)) / len(texts):.0f} characters, one process",
        ["reader", "answers/s of processor time", "by the clock", "all labels right", "times"],
        table,
        [Target("answers read per second", float(str(table[0][1])), least=ANSWERS_PER_SECOND)],
    )


WORDS = {
    **{name: name for name in EXPRESSIONS}, "happy": "happiness", "sad": "sadness", "surprised": "surprise",
    "afraid": "fear", "fearful": "fear", "disgusted": "disgust", "angry": "anger", "contemptuous": "contempt",
}  # fmt: skip
WORD = re.compile(rf"\b(?:{'|'.join(WORDS)})\b")


def naive_extract(text: str) -> Labels:
    """Return what a few searches find: no negation, no scale, no list of what is inactive."""
    low = text.lower()
    word, units = WORD.search(low), {int(number) for number in re.findall(r"\bau ?0?(\d{1,2})\b", low)}
    numbers = {name: re.search(rf"\b{name}\D*?(-?\d\.?\d*)", low) for name in ("valence", "arousal")}
    values = {name: float(found[1]) for name, found in numbers.items() if found and abs(float(found[1])) <= 1}
    active = dict.fromkeys(sorted(units & set(ACTION_UNITS)), True)
    return Labels(expression=WORDS[word[0]] if word else None, action_units=active or None, **values)


def main() -> int:
    """Run the parts; return the exit code."""
    parts = {part.__name__: part for part in (score, generate, parse)}
    parser = options(__doc__)
    parser.add_argument("parts", nargs="*", default=list(parts), help=", ".join(parts))
    parser.add_argument("--predictions", type=int, default=100_000, help="to score")
    parser.add_argument("--images", type=int, default=128, help="to ask the tiny model about")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(parts):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return max([parts[name](asked) for name in asked.parts])


if __name__ == "__main__":
    raise SystemExit(main())
