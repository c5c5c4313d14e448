"""What keeping a frozen tower's features is worth: the same fine-tuning with them recomputed and read from disk.

    python scripts/bench_train.py model=instructblip_tiny                          some minutes on two cores
    python scripts/bench_train.py model=instructblip_tiny --samples 64 --rounds 1  a look

EmoVIT's flow makes the data: drawn scenes, and categorical, conversation and reasoning instructions in the paper's
proportions. The tiny InstructBLIP learns them for one epoch, in three ways, each in a process of its own; rounds
alternate and medians count.
    none    every step opens its pictures, makes their pixels ready and runs the tower
    pixels  the pixels stay in memory; every step runs the tower
    disk    the tower runs once a picture, and its states are kept on disk (seke/tuning/state_store.py)
`first` and `again` are the seconds until training can start: where no run has been before, and where one has. For none
and pixels these are one. A `feature` is a picture's states, from its file, or from the disk; the disk's files have just
been written, so that the system may hold them in memory. Pictures have two sizes: the demo's, which is the tower's own,
and the largest that can be drawn, about as many pixels as a small photograph. The target, training at least twice as
fast, is held against both; the line says how fast it would be if features cost nothing. Losses have to be the same in
every way.
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ASSET = ROOT / "assets" / "instructblip_tiny"
WAYS = ("none", "pixels", "disk")
SIZES = (96, 512)
"""Pixels a side of the pictures."""
TIMES, ALIKE = 2.0, 1e-4
"""Targets: at least so many times the samples/s, and losses that differ by at most this share."""
BATCH, WARM_UP = 8, 2
"""Samples a step, and steps before the clock runs."""
SPARE = 1.3
"""Scenes drawn for every sample wanted: some go to the other splits."""


class Took(NamedTuple):
    """What one round of one way took."""

    first: float
    again: float
    features: float
    """Features a second."""
    samples: float
    """Samples a second of training."""
    memory: float
    """Peak of the process in bytes."""
    losses: list[float]
    """Of every step."""
    tokens: float
    """Mean length of a sample."""
    context: float
    """Mean length of what the Q-Former reads beside the image."""


# -- one round, in a process of its own -------------------------------------------------------------------------------


def run(way: str, rows: Path, samples: int) -> Took:
    """Train one epoch."""
    import lightning.pytorch as pl
    from lightning.pytorch.callbacks import Callback
    from torch.utils.data import DataLoader

    from seke.models.instructblip import InstructBlip
    from seke.tuning.batches import Batches, Steps, collate_step
    from seke.tuning.data import Data, stream
    from seke.tuning.module import Sft
    from seke.tuning.samples import Samples, prepare
    from seke.tuning.training import Training

    class Clock(Callback):  # type: ignore[misc]
        began, ended, done = 0.0, 0.0, 0

        def __init__(self) -> None:
            self.losses: list[float] = []

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, number: int) -> None:
            self.losses.append(float(outputs["loss"]))
            if len(self.losses) == WARM_UP:
                self.began = time.perf_counter()
            elif len(self.losses) > WARM_UP:
                self.ended, self.done = time.perf_counter(), self.done + batch["samples"]

    model = InstructBlip(str(ASSET), lr=1e-3)
    loaded = model.load()
    groups = model.train(loaded)
    with tempfile.TemporaryDirectory() as folder:
        data = Data(path=str(rows), limit=samples, cache=way, cache_dir=f"{folder}/cache")  # type: ignore[arg-type]

        def ready(name: str) -> tuple[Samples, float]:
            began = time.perf_counter()
            made = prepare([stream(part) for part in data.sources(ROOT)], loaded, data, True, Path(folder) / name)
            return made, time.perf_counter() - began

        found, first = ready("first.arrow")
        again = first
        if way == "disk":
            found, again = ready("again.arrow")
        features = rate(loaded, found.pictures, way)
        pl.seed_everything(0, verbose=False)
        clock = Clock()
        trainer = Training(batch_size=BATCH).lightning(
            logger=False, callbacks=[clock], enable_checkpointing=False, enable_progress_bar=False
        )
        pad = loaded.processor.tokenizer.pad_token_id
        loader = DataLoader(
            Steps(found), batch_sampler=Batches(found.lengths, found.tokens, BATCH),
            collate_fn=partial(collate_step, pad=pad, pack=False),
        )  # fmt: skip
        trainer.fit(Sft(loaded, groups, states=way == "disk"), loader)
        context = statistics.mean(len(found.sample(number).context) for number in range(len(found)))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    speed = clock.done / (clock.ended - clock.began)
    return Took(first, again, features, speed, memory, clock.losses, float(found.lengths.mean()), context)


def rate(loaded: Any, pictures: Any, way: str) -> float:
    """Return how many pictures' states a second a training step gets, batch by batch."""
    import torch

    numbers = range(len(pictures.files))
    batches = [numbers[start : start + BATCH] for start in range(0, len(numbers), BATCH)]

    @torch.no_grad()
    def states(batch: Sequence[int]) -> Any:
        seen = torch.cat([pictures.open(number).values for number in batch])
        return seen if way == "disk" else loaded.see(seen)

    for batch in batches[:WARM_UP]:
        states(batch)
    began = time.perf_counter()
    for batch in batches:
        states(batch)
    return len(numbers) / (time.perf_counter() - began)


# -- all rounds -------------------------------------------------------------------------------------------------------


def draw(folder: Path, samples: int, size: int) -> Path:
    """Draw scenes and write instructions about them, as a user does; return the instructions."""
    here = [f"paths.outputs={folder}", f"name=scenes{size}"]
    scenes = ["source=synthetic_scenes", f"source.images={round(SPARE * samples)}", f"source.size={size}"]
    for door, settings in {
        "prepare": [*scenes, "source.workers=1"],
        "generate": ["generator=emovit", f"records=scenes{size}"],
    }.items():
        command = [sys.executable, str(ROOT / f"{door}.py"), *here, *settings]
        subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    return folder / "generate" / f"scenes{size}" / "instructions.jsonl"


def child(way: str, rows: Path, samples: int, threads: int) -> Took:
    """Run one round in a process of its own."""
    command = [sys.executable, __file__, way, str(rows), str(samples)]
    settings = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    told = [line for line in done.stdout.splitlines() if line.startswith("TOOK ")]
    if not told:
        raise SystemExit(f"{way} failed:\n{done.stderr}")
    return Took(*json.loads(told[0].removeprefix("TOOK ")))


def lines(size: int, rounds: dict[str, list[Took]]) -> Iterator[str]:
    """Yield the table's rows of one size."""
    for way, took in rounds.items():
        first, again, features, samples, memory = (
            statistics.median(values) for values in zip(*(round_[:5] for round_ in took), strict=True)
        )
        yield (
            f"| {size} px | {way} | {first:.2f} | {again:.2f} | {features:,.0f} | {samples:.1f} | "
            f"{memory / 2**30:.2f} | {times('samples', rounds, way):.2f} |"
        )


def times(what: str, rounds: dict[str, list[Took]], way: str = "disk") -> float:
    """Return how many times as fast as recomputing: the median over rounds, since the machine may slow down for all."""
    pairs = zip(rounds[way], rounds["none"], strict=True)
    return statistics.median(getattr(kept, what) / getattr(anew, what) for kept, anew in pairs)


def most(rounds: dict[str, list[Took]]) -> float:
    """Return how many times as fast training would be if features cost nothing.

    >>> most({"none": [Took(0, 0, features=1000, samples=500, memory=0, losses=[], tokens=0, context=0)]})
    2.0
    """
    shares = [took.samples / took.features for took in rounds["none"]]
    return statistics.median(1 / (1 - share) if share < 1 else float("inf") for share in shares)


def apart(rounds: dict[str, list[Took]]) -> float:
    """Return the largest difference between two ways' losses at the same step, as a share of the loss."""
    steps = zip(*(took.losses for way in rounds.values() for took in way), strict=True)
    return max((max(losses) - min(losses)) / max(losses) for losses in steps)


def verdicts(size: int, rounds: dict[str, list[Took]]) -> Iterator[tuple[str, bool]]:
    """Yield what each target says of one size, and whether it is met."""
    features, samples, differ = times("features", rounds), times("samples", rounds), apart(rounds)
    yield f"{size} px: features {features:.1f} times as fast from disk (target {TIMES:g})", features >= TIMES
    could = f"{most(rounds):.2f} if features cost nothing"
    yield f"{size} px: training {samples:.2f} times as fast from disk (target {TIMES:g}; {could})", samples >= TIMES
    yield f"{size} px: losses differ by {differ:.1e} of themselves at most (target {ALIKE:g})", differ <= ALIKE


def tower_shares(tokens: float, context: float) -> tuple[float, float]:
    """Return the tower's share of a step's FLOPs, in the tiny model and in InstructBLIP-Vicuna-7B, on like samples.

    `tokens` and `context` are the mean lengths of a sample in the tiny model; the 7B model has more queries.
    """
    from transformers import InstructBlipConfig, LlamaConfig

    from seke.tuning.flops import products, training, work

    tiny = InstructBlipConfig.from_pretrained(ASSET)
    text = LlamaConfig(vocab_size=32001).to_dict()  # LlamaConfig's sizes are the 7B model's
    large = InstructBlipConfig(text_config=text, num_query_tokens=32)  # as the vision's and the Q-Former's are
    found = []
    for config in (tiny, large):
        length = round(tokens) + config.num_query_tokens - tiny.num_query_tokens
        parts = {"qformer", "projector"}
        flops = training(products(config), work(1, [length], length // 2, [round(context)]), parts, parts)
        found.append(flops["vision_tower"] / sum(flops.values()))
    return found[0], found[1]


def measure(samples: int, rounds: int, threads: int) -> int:
    """Measure and print; return the exit code."""
    before = os.getloadavg()[0]
    took: dict[int, dict[str, list[Took]]] = {size: {way: [] for way in WAYS} for size in SIZES}
    with tempfile.TemporaryDirectory() as folder:
        rows = {size: draw(Path(folder), samples, size) for size in SIZES}
        for _ in range(rounds):
            for size in SIZES:
                for way in WAYS:
                    took[size][way].append(child(way, rows[size], samples, threads))
    print(
        f"instructblip_tiny, {samples} samples; {platform.machine()}, {threads} threads on {os.cpu_count()} CPUs, "
        f"Python {platform.python_version()}; medians of {rounds} rounds; load {before:.1f} before, "
        f"{os.getloadavg()[0]:.1f} after"
    )
    print("| pictures | data.cache | first s | again s | features/s | samples/s | peak GiB | times none |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(line for size in SIZES for line in lines(size, took[size])))
    some = took[SIZES[0]]["none"][0]
    tiny, large = tower_shares(some.tokens, some.context)
    print(f"the tower's share of a step's FLOPs: {tiny:.0%} here, {large:.0%} with InstructBLIP-Vicuna-7B")
    told = [verdict for size in SIZES for verdict in verdicts(size, took[size])]
    print("\n".join(f"{text}: {'met' if met else 'MISSED'}" for text, met in told))
    met = all(met for _, met in told)
    print("targets met" if met else "TARGET MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    print("TOOK", json.dumps(run(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
