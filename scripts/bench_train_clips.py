"""What clips cost in training: packs that mix them with pictures, and a frozen tower's states kept by frame.

    python scripts/bench_train_clips.py                            two to three minutes on one core
    python scripts/bench_train_clips.py --samples 16 --rounds 1    a look

The tiny LLaVA-OneVision with its tower frozen, on as many pictures (FEID's sizes, a quarter in each direction, as in
bench_train.py) as clips of 8 frames, with answers of 80 to 400 words; a process a round, seconds of processor of
loss and gradients for one epoch, one way after the other, medians of the rounds count.
    pictures, clips   packed, each kind by itself
    mixed             both kinds in the same packs
    padded            both kinds in batches of 8, like lengths together
    none, states      the clips alone, eight times shorter answers: a step decodes frames and runs the tower, or finds
                      each frame's states kept (`data.cache`)
`alone / mixed` is what both kinds cost packed by themselves over what they cost together: 1 loses nothing.
"""

import random
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from bench import ROOT, Target, apart, cost, options, tell, threads, times
from bench_train_ways import ANSWERS, SOURCES

ASSET = ROOT / "assets" / "llava_ov_tiny"
FRAMES, SIZE, BATCH, PACK = 8, 96, 8, 4096
"""Frames of a clip and their side in pixels, samples of a padded batch, tokens of a pack."""
WAYS = ("pictures", "clips", "mixed", "padded", "none", "states")
WORDS = ("brow", "lip", "calm", "rises", "then", "the")
SHORT = ("none", "states")
LOSSLESS, KEPT = 0.95, 2.0
"""Targets: alone / mixed, and how many times as fast clips of 8 frames train with states kept by frame."""


class Took(NamedTuple):
    """What one round of one way took."""

    seconds: float
    """Of processor, for one epoch's losses and gradients; what is kept beforehand is not in it."""
    first: float
    """Of processor, until training can begin."""
    samples: int
    tokens: int
    computed: int
    """Positions, padding included."""


def write(folder: Path, samples: int) -> list[tuple[str, list[Path], str]]:
    """Draw as many pictures as clips; return the kind, the files and the answer of each."""
    chance = random.Random(0)
    sizes = [size for count, size in SOURCES.values() for _ in range(count)]
    noise = np.random.default_rng(0)
    found = []
    for number in range(samples):
        for kind in ("picture", "clip"):
            height, width = (max(round(side / 4), 24) for side in chance.choice(sizes))
            shape, count = ((height, width), 1) if kind == "picture" else ((SIZE, SIZE), FRAMES)
            files = []
            for frame in range(count):
                coarse = Image.fromarray(noise.integers(0, 256, (6, 6, 3), dtype=np.uint8))
                files.append(folder / f"{kind}-{number}-{frame}.jpg")
                coarse.resize((shape[1], shape[0])).save(files[-1], quality=95)
            words = " ".join(
                chance.choices(["brow", "lip", "calm", "rises", "then", "the"], k=chance.randint(*ANSWERS))
            )
            found.append((kind, files, words))
    return found


def run(way: str, drawn: Sequence[tuple[str, list[Path], str]]) -> Took:
    """Compute losses and gradients of one epoch, without an optimiser."""
    from seke.models.llava_ov import LlavaOv
    from seke.training.data.dataset import prepare
    from seke.training.data.mixture import Data
    from seke.training.data.samplers import Batches, Packs, Steps, collate_step
    from seke.training.module import Sft
    from seke.training.readers.row import Row, Turn

    wanted = {"pictures": ("picture",), "mixed": ("picture", "clip"), "padded": ("picture", "clip")}.get(way, ("clip",))
    rows = [
        Row(
            str(files[0]),
            (Turn("user", "How does it look?", 1), Turn("assistant", _answer(way, words), 0)),
            tuple(files),
            clips=(len(files) if kind == "clip" else 0,),
        )
        for kind, files, words in drawn
        if kind in wanted
    ]
    model = LlavaOv(str(ASSET), trainable=["projector", "llm"], attention="eager")
    loaded = model.load()
    module = Sft(loaded, model.train(loaded), states=way != "none")
    module.train()
    with tempfile.TemporaryDirectory() as folder:
        data = Data(path="drawn", cache="none" if way == "none" else "states")
        ready = cost(lambda: prepare([rows], loaded, data, True, Path(folder) / "rows.arrow"))
        kept = ready.result
        assert len(kept) == len(rows), "none is rejected"
        packed = way not in ("padded", "none", "states")
        order: Any = Packs(kept.lengths, kept.tokens, PACK) if packed else Batches(kept.lengths, kept.tokens, BATCH)
        batches, steps = list(order), Steps(kept)
        collate = partial(collate_step, pad=loaded.processor.tokenizer.pad_token_id, pack=packed)
        computed = 0

        def step(batch: Sequence[tuple[int, int]]) -> None:
            nonlocal computed
            made = collate([steps[item] for item in batch])
            computed += made["ids"].numel()
            module.loss_sum(made).backward()
            module.zero_grad()

        step(batches[0])  # what is made once is not measured
        computed = 0
        took = cost(lambda: [*map(step, batches)])
        return Took(took.processor, ready.processor, len(rows), int(kept.lengths.sum()), computed)


def every_way(drawn: Sequence[tuple[str, list[Path], str]]) -> dict[str, Took]:
    """Measure every way once."""
    return {way: run(way, drawn) for way in WAYS}


def _answer(way: str, words: str) -> str:
    """Return the whole answer, or an eighth of it where the tower's share is measured: a label in a sentence."""
    return words[: len(words) // 8] if way in SHORT else words


def rows_of(rounds: dict[str, list[Took]]) -> Iterator[list[object]]:
    """Yield the table's rows: the middle round of each way."""
    for way in WAYS:
        middle = sorted(rounds[way], key=lambda took: took.seconds)[len(rounds[way]) // 2]
        yield [
            way, middle.samples, middle.tokens, f"{1 - middle.tokens / middle.computed:.1%}", middle.first,
            middle.seconds, middle.tokens / middle.seconds, middle.samples / middle.seconds,
        ]  # fmt: skip


def ratio(base: Sequence[Sequence[Took]], ours: Sequence[Took]) -> float:
    """Return how many times as fast as what the ways of `base` take one after the other.

    >>> took = lambda seconds: [Took(seconds, 0.0, 1, 1, 1)]
    >>> ratio([took(1.0), took(2.0)], took(1.5))
    2.0
    """
    together = [sum(took.seconds for took in each) for each in zip(*base, strict=True)]
    return times(together, [took.seconds for took in ours])


def targets(rounds: dict[str, list[Took]]) -> list[Target]:
    """Return what each target says."""
    mixed = rounds["mixed"]
    return [
        Target("alone / mixed", ratio([rounds["pictures"], rounds["clips"]], mixed), least=LOSSLESS),
        Target("padded / mixed", ratio([rounds["padded"]], mixed), least=1.0),
        Target(
            "clips of 8 frames, times as fast with states kept", ratio([rounds["none"]], rounds["states"]), least=KEPT
        ),
    ]


def main() -> int:
    """Measure and tell; return the exit code."""
    parser = options(__doc__)
    parser.add_argument("--samples", type=int, default=96, help="pictures, and as many clips")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        drawn = write(Path(folder), given.samples)
        every = [apart(every_way, drawn, **threads(1)) for _ in range(given.rounds)]
    rounds = {way: [took[way] for took in every] for way in WAYS}
    return tell(
        f"llava_ov_tiny, {given.samples} pictures and {given.samples} clips of {FRAMES} frames, one thread, medians of "
        f"{given.rounds} rounds",
        ["way", "samples", "tokens", "padding", "first s", "s", "tokens/s", "samples/s"],
        list(rows_of(rounds)),
        targets(rounds),
    )


if __name__ == "__main__":
    raise SystemExit(main())
