"""What keeping a frozen tower's features is worth: the same fine-tuning with them recomputed and read from disk.

    python scripts/bench_train.py model=instructblip_tiny                          some minutes on two cores
    python scripts/bench_train.py model=instructblip_tiny --samples 64 --rounds 1  a look

EmoVIT's flow makes the data: drawn scenes, and categorical, conversation and reasoning instructions in the paper's
proportions. The tiny InstructBLIP learns them for one epoch, in three ways, each in a process of its own; rounds
alternate and medians count.
    none    every step opens its pictures, makes their pixels ready and runs the tower
    pixels  the pixels stay in memory; every step runs the tower
    disk    the tower runs once a picture, and its states are kept on disk (seke/training/data/feature_cache.py)
`first` and `again` are the seconds until training can start: where no run has been before, and where one has. For none
and pixels these are one. A `feature` is a picture's states, from its file, or from the disk; the disk's files have just
been written, so that the system may hold them in memory. Pictures have two sizes: the demo's, which is the tower's own,
and the largest that can be drawn, about as many pixels as a small photograph. The target, training at least twice as
fast, is held against both; the line says how fast it would be if features cost nothing. Losses have to be the same in
every way.
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from bench import ROOT, Target, apart, by_turns, cost, peak, tell, threads
from bench import times as ratio

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
    from seke.training.data.dataset import Samples, prepare
    from seke.training.data.mixture import Data, stream
    from seke.training.data.samplers import Batches, Steps, collate_step
    from seke.training.module import Sft
    from seke.training.settings import Training

    class Clock(Callback):  # type: ignore[misc]
        began, ended, done = 0.0, 0.0, 0

        def __init__(self) -> None:
            self.losses: list[float] = []

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, number: int) -> None:
            self.losses.append(float(outputs["loss"]))
            if len(self.losses) == WARM_UP:
                self.began = perf_counter()
            elif len(self.losses) > WARM_UP:
                self.ended, self.done = perf_counter(), self.done + batch["samples"]

    model = InstructBlip(str(ASSET), lr=1e-3)
    loaded = model.load()
    groups = model.train(loaded)
    with tempfile.TemporaryDirectory() as folder:
        data = Data(path=str(rows), limit=samples, cache=way, cache_dir=f"{folder}/cache")  # type: ignore[arg-type]

        def ready(name: str) -> tuple[Samples, float]:
            sources = [stream(part) for part in data.sources(ROOT)]
            took = cost(lambda: prepare(sources, loaded, data, True, Path(folder) / name))
            return took.result, took.seconds

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
    speed = clock.done / (clock.ended - clock.began)
    return Took(first, again, features, speed, peak(), clock.losses, float(found.lengths.mean()), context)


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
    return len(numbers) / cost(lambda: [*map(states, batches)]).seconds


# -- all rounds -------------------------------------------------------------------------------------------------------


def draw(folder: Path, samples: int, size: int) -> Path:
    """Draw scenes and write instructions about them, as a user does; return the instructions."""
    here = [f"paths.outputs={folder}", f"name=scenes{size}"]
    scenes = ["source=synthetic_scenes", f"source.images={round(SPARE * samples)}", f"source.size={size}"]
    for stage, settings in {
        "prepare": [*scenes, "source.workers=1"],
        "generate": ["generator=emovit", f"records=scenes{size}"],
    }.items():
        command = [sys.executable, str(ROOT / f"{stage}.py"), *here, *settings]
        subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    return folder / "generate" / f"scenes{size}" / "instructions.jsonl"


def rows(size: int, rounds: dict[str, list[Took]]) -> Iterator[list[object]]:
    """Yield the table's rows of one size: medians."""
    for way, took in rounds.items():
        first, again, features, samples, memory = (
            statistics.median(values) for values in zip(*(round_[:5] for round_ in took), strict=True)
        )
        yield [f"{size} px", way, first, again, features, samples, memory / 2**30, times("samples", rounds, way)]


def times(what: str, rounds: dict[str, list[Took]], way: str = "disk") -> float:
    """Return how many times as fast as recomputing."""
    return ratio((getattr(kept, what) for kept in rounds[way]), (getattr(anew, what) for anew in rounds["none"]))


def most(rounds: dict[str, list[Took]]) -> float:
    """Return how many times as fast training would be if features cost nothing.

    >>> most({"none": [Took(0, 0, features=1000, samples=500, memory=0, losses=[], tokens=0, context=0)]})
    2.0
    """
    shares = [took.samples / took.features for took in rounds["none"]]
    return statistics.median(1 / (1 - share) if share < 1 else float("inf") for share in shares)


def apart_losses(rounds: dict[str, list[Took]]) -> float:
    """Return the largest difference between two ways' losses at the same step, as a share of the loss."""
    steps = zip(*(took.losses for way in rounds.values() for took in way), strict=True)
    return max((max(losses) - min(losses)) / max(losses) for losses in steps)


def targets(size: int, rounds: dict[str, list[Took]]) -> Iterator[Target]:
    """Yield what each target says of one size."""
    could = f"({most(rounds):.2f} if features cost nothing)"
    yield Target(f"{size} px: features, times as fast from disk", times("features", rounds), least=TIMES)
    yield Target(f"{size} px: training, times as fast from disk {could}", times("samples", rounds), least=TIMES)
    yield Target(f"{size} px: losses differ at most by this share of themselves", apart_losses(rounds), most=ALIKE)


def tower_shares(tokens: float, context: float) -> tuple[float, float]:
    """Return the tower's share of a step's FLOPs, in the tiny model and in InstructBLIP-Vicuna-7B, on like samples.

    `tokens` and `context` are the mean lengths of a sample in the tiny model; the 7B model has more queries.
    """
    from transformers import InstructBlipConfig, LlamaConfig

    from seke.models.matrix_products import instructblip
    from seke.training.data.flops import training, work

    tiny = InstructBlipConfig.from_pretrained(ASSET)
    text = LlamaConfig(vocab_size=32001).to_dict()  # LlamaConfig's sizes are the 7B model's
    large = InstructBlipConfig(text_config=text, num_query_tokens=32)  # as the vision's and the Q-Former's are
    found = []
    for config in (tiny, large):
        length = round(tokens) + config.num_query_tokens - tiny.num_query_tokens
        parts = {"qformer", "projector"}
        flops = training(instructblip(config), work(1, [length], length // 2, [round(context)]), parts, parts)
        found.append(flops["vision_tower"] / sum(flops.values()))
    return found[0], found[1]


def measure(samples: int, rounds: int, number: int) -> int:
    """Measure with so many threads and tell; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = {size: draw(Path(folder), samples, size) for size in SIZES}
        ways = {
            (size, way): partial(apart, run, way, drawn[size], samples, **threads(number))
            for size in SIZES
            for way in WAYS
        }
        measured = by_turns(ways, rounds)
    took = {size: {way: measured[size, way] for way in WAYS} for size in SIZES}
    some = took[SIZES[0]]["none"][0]
    tiny, large = tower_shares(some.tokens, some.context)
    return tell(
        f"instructblip_tiny, {samples} samples, {number} threads, medians of {rounds} rounds; the tower's share of a "
        f"step's FLOPs: {tiny:.0%} here, {large:.0%} with InstructBLIP-Vicuna-7B",
        ["pictures", "data.cache", "first s", "again s", "features/s", "samples/s", "peak GiB", "times none"],
        [row for size in SIZES for row in rows(size, took[size])],
        [target for size in SIZES for target in targets(size, took[size])],
    )
