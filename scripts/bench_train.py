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
device's bfloat16 peak. Trainer and SFTTrainer need `pip install accelerate trl`. Exits with 1 if a target is missed.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import bench_train_features
from bench_train_ways import CASES, FEID, WAYS, Case, Took, run, write

FEATURES = "model=instructblip_tiny"
OF_TRAINER, WAIT, HOURS = 1.5, 0.05, 2.0
"""Targets: at least so many times the samples/s, at most so much waiting, and an epoch of FEID for 7B on one GPU."""


def child(case: str, samples: int, threads: int, way: str, folder: Path) -> Took | str:
    """Run one round in a process of its own; a failure is told by its last line."""
    command = [sys.executable, __file__, "--case", case, "--samples", str(samples), "--child", way, str(folder)]
    # Threads that wait without spinning lose less where other programs run too.
    settings = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"}
    settings["TOKENIZERS_PARALLELISM"] = "false"
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    told = [line for line in done.stdout.splitlines() if line.startswith("TOOK ")]
    if done.returncode or not told:
        return " ".join((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1].split())[:150]
    return Took(*json.loads(told[0].removeprefix("TOOK ")))


def lines(rounds: dict[str, list[Took]], failed: dict[str, str], samples: int) -> Iterator[str]:
    """Yield the table."""
    yield "| way | samples/s | real tokens/s | peak GiB | waste | MFU | wait | times Trainer |"
    yield "|---|---|---|---|---|---|---|---|"
    base = rounds.get("Trainer")
    for way in WAYS:
        if way in failed:
            yield f"| {way} | failed: {failed[way]} | | | | | | |"
            continue
        middle = sorted(rounds[way], key=lambda took: took.seconds)[len(rounds[way]) // 2]
        mfu = f"{middle.flops / middle.seconds / middle.peak:.1%}" if middle.peak else "–"
        times = f"{ratio(base, rounds[way]):.2f}" if base else "–"
        yield (
            f"| {way} | {samples / middle.seconds:.2f} | {middle.tokens / middle.seconds:,.0f} | "
            f"{middle.memory / 2**30:.2f} | {1 - middle.tokens / middle.computed:.1%} | {mfu} | "
            f"{middle.waited / middle.seconds:.1%} | {times} |"
        )


def ratio(base: Sequence[Took], rounds: Sequence[Took]) -> float:
    """Return how many times as fast, the median over rounds."""
    return statistics.median(theirs.seconds / ours.seconds for theirs, ours in zip(base, rounds, strict=True))


def verdicts(case: Case, rounds: dict[str, list[Took]], samples: int) -> Iterator[tuple[str, bool]]:
    """Yield what each target says, and whether it is met."""
    packed = rounds["packed"]
    if "Trainer" in rounds:
        times = ratio(rounds["Trainer"], packed)
        yield f"packed / Trainer: {times:.2f} (target {OF_TRAINER})", times >= OF_TRAINER
    wait = statistics.median(took.waited / took.seconds for took in packed)
    yield f"packed waits for data: {wait:.1%} (target below {WAIT:.0%})", wait < WAIT
    seconds = statistics.median(took.seconds for took in packed)
    if case.mfu and packed[0].peak:
        mfu = packed[0].flops / seconds / packed[0].peak
        yield f"MFU: {mfu:.1%} (target {case.mfu:.0%})", mfu >= case.mfu
    if case.text:
        hours = FEID / samples * seconds / 3600
        yield f"an epoch of FEID, {FEID:,} images: {hours:.2f} h (target {HOURS} h)", hours < HOURS


def main() -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", choices=["model=llava_ov_tiny", FEATURES], help="what is trained")
    parser.add_argument("--case", choices=CASES, default="tiny")
    parser.add_argument("--samples", type=int, help="of the epoch that is timed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each way")
    parser.add_argument("--child", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.model == FEATURES:
        if arguments.case != "tiny":
            parser.error(f"--case {arguments.case} is of LLaVA-OneVision; leave it out with {FEATURES}")
        return bench_train_features.measure(arguments.samples or 256, arguments.rounds, arguments.threads)
    case = CASES[arguments.case]
    case = case._replace(samples=arguments.samples or case.samples)
    if arguments.child:
        print("TOOK", json.dumps(run(case, arguments.child[0], Path(arguments.child[1]))))
        return 0
    before = os.getloadavg()[0]
    rounds: dict[str, list[Took]] = {}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), case)
        for _ in range(arguments.rounds):
            for way in [way for way in WAYS if way not in failed]:
                took = child(arguments.case, case.samples, arguments.threads, way, Path(folder))
                if isinstance(took, str):
                    failed[way] = took
                    rounds.pop(way, None)
                else:
                    rounds.setdefault(way, []).append(took)
    print(
        f"{arguments.case}, {case.samples} samples; {platform.machine()}, {arguments.threads} threads on "
        f"{os.cpu_count()} CPUs, Python {platform.python_version()}; medians of {arguments.rounds} "
        f"rounds; load {before:.1f} before, {os.getloadavg()[0]:.1f} after"
    )
    print("\n".join(lines(rounds, failed, case.samples)))
    if "packed" not in rounds:
        print("TARGET MISSED")
        return 1
    told = list(verdicts(case, rounds, case.samples))
    print("\n".join(text for text, _ in told))
    met = "Trainer" in rounds and all(met for _, met in told)
    print("targets met" if met else "TARGET MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
