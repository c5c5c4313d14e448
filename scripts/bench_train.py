"""Samples a second of our training, against Hugging Face's `Trainer` and TRL's `SFTTrainer`, in one run.

    python scripts/bench_train.py                             tiny, on the CPU: a few minutes
    python scripts/bench_train.py --samples 32 --rounds 1     a look
    python scripts/bench_train.py --case 0.5b                 on one GPU, random weights at the true shapes; also 7b
    python scripts/bench_train.py model=instructblip_tiny     what keeping features is worth: bench_train_features.py

All train all parts of the same LLaVA-OneVision, from the same weights, on the same conversations for one epoch: images
drawn as Table 1 counts FEID's sources, each at its source's size, with answers of 80 to 400 tokens. For the tiny model
sizes shrink with its tiles, a quarter in each direction; answers do not. Each way runs in a process of its own, alone,
and decodes images with as many workers; steps that warm up are not timed; rounds alternate and medians count.
    packed    ours: packs, segments apart in attention, logits where supervised
    grouped   ours: batches of 8, padded, like lengths together
    Trainer   transformers: batches of 8 in the drawn order, padded
    SFTTrainer  TRL: the same tokens through its own loss; it packs no conversation that has images
`waste` is the share of computed positions that are padding, `wait` of the time spent waiting for data, MFU that of the
device's bfloat16 peak. Trainer and SFTTrainer need `pip install accelerate trl`.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import bench_train_features
from bench import Target, apart, options, tell, threads, times
from bench_train_ways import CASES, FEID, WAYS, Case, Took, run, write

FEATURES = "model=instructblip_tiny"
OF_TRAINER, WAIT, HOURS = 1.5, 0.05, 2.0
"""Targets: at least so many times the samples/s, at most so much waiting, and an epoch of FEID for 7B on one GPU."""
HEAD = ("way", "samples/s", "real tokens/s", "peak GiB", "waste", "MFU", "wait", "times Trainer")


def measure(way: Callable[[], Took]) -> Took | str:
    """Return what a round took; a failure is told by its last line."""
    try:
        return way()
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())[:150]


def rows(rounds: dict[str, list[Took]], failed: dict[str, str], samples: int) -> Iterator[list[object]]:
    """Yield the table's rows: the middle round of each way."""
    base = rounds.get("Trainer")
    for way in WAYS:
        if way in failed:
            yield [way, f"failed: {failed[way]}", *[""] * (len(HEAD) - 2)]
            continue
        middle = sorted(rounds[way], key=lambda took: took.seconds)[len(rounds[way]) // 2]
        yield [
            way, samples / middle.seconds, middle.tokens / middle.seconds, middle.memory / 2**30,
            f"{1 - middle.tokens / middle.computed:.1%}",
            f"{middle.flops / middle.seconds / middle.peak:.1%}" if middle.peak else "–",
            f"{middle.waited / middle.seconds:.1%}", ratio(base, rounds[way]) if base else "–",
        ]  # fmt: skip


def ratio(base: list[Took], rounds: list[Took]) -> float:
    """Return how many times as fast."""
    return times([took.seconds for took in base], [took.seconds for took in rounds])


def targets(case: Case, rounds: dict[str, list[Took]], samples: int) -> Iterator[Target]:
    """Yield what each target says."""
    packed = sorted(rounds["packed"], key=lambda took: took.seconds)
    middle = packed[len(packed) // 2]
    if "Trainer" in rounds:
        yield Target("packed / Trainer", ratio(rounds["Trainer"], rounds["packed"]), least=OF_TRAINER)
    waits = sorted(took.waited / took.seconds for took in packed)
    yield Target("share of its time that packed waits for data", waits[len(waits) // 2], most=WAIT)
    if case.mfu and middle.peak:
        yield Target("MFU", middle.flops / middle.seconds / middle.peak, least=case.mfu)
    if case.text:
        hours = FEID / samples * middle.seconds / 3600
        yield Target(f"hours of an epoch of FEID, {FEID:,} images", hours, most=HOURS)


def main() -> int:
    """Measure and tell; return the exit code."""
    parser = options(__doc__)
    parser.add_argument("model", nargs="?", choices=["model=llava_ov_tiny", FEATURES], help="what is trained")
    parser.add_argument("--case", choices=CASES, default="tiny")
    parser.add_argument("--samples", type=int, help="of the epoch that is timed")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each way")
    asked = parser.parse_args()
    if asked.model == FEATURES:
        if asked.case != "tiny":
            parser.error(f"--case {asked.case} is of LLaVA-OneVision; leave it out with {FEATURES}")
        return bench_train_features.measure(asked.samples or 256, asked.rounds, asked.threads)
    case = CASES[asked.case]
    case = case._replace(samples=asked.samples or case.samples)
    rounds, failed = dict[str, list[Took]](), dict[str, str]()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), case)
        for _ in range(asked.rounds):
            for way in [way for way in WAYS if way not in failed]:
                took = measure(lambda way=way: apart(run, case, way, Path(folder), **threads(asked.threads)))
                if isinstance(took, str):
                    failed[way] = took
                    rounds.pop(way, None)
                else:
                    rounds.setdefault(way, []).append(took)
    held = list(targets(case, rounds, case.samples)) if "packed" in rounds else []
    about = f"{asked.case}, {case.samples} samples, {asked.threads} threads, medians of {asked.rounds} rounds"
    told = tell(about, HEAD, list(rows(rounds, failed, case.samples)), held)
    return told if held and "Trainer" in rounds else 1


if __name__ == "__main__":
    raise SystemExit(main())
