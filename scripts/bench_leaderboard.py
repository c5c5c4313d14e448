"""How long a leaderboard takes: 20 systems on 5 benchmarks of 10,000 answers. Exit code 1: a target is missed.

    python scripts/bench_leaderboard.py
    python scripts/bench_leaderboard.py --systems 6 --answers 500 --keep /tmp/rows    fewer; the rows stay there

rows     each answer is drawn (right with the system's own probability, a little harder on some pictures), read, scored
         and resampled by the benchmarks' own code, and written as a file that check_result.py accepts
page     what `python report.py leaderboard=<rows>` does, in a process of its own
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench import Target, apart, cost, options, peak, tell

MOST_SECONDS, MOST_MB = 60.0, 2000.0
CLASSES = ("happiness", "sadness", "anger", "fear", "surprise", "disgust", "contempt", "neutral")
BOARDS = ("feab", "emoset", "emonet", "ferbench", "picture_classes.scene_type")


def main() -> int:
    """Make the rows, report them, and tell."""
    parser = options(__doc__, rounds=None)
    parser.add_argument("--systems", type=int, default=20)
    parser.add_argument("--answers", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="folder for the rows, which stay")
    asked = parser.parse_args()
    with TemporaryDirectory() as made:
        folder = asked.keep or Path(made) / "results"
        folder.mkdir(parents=True, exist_ok=True)
        rows = cost(lambda: write_rows(folder, asked.systems, asked.answers))
        seconds, processor, held, size = apart(reported, folder, Path(made))
    what = f"rows: {asked.systems} systems, {len(BOARDS)} benchmarks, {asked.answers:,} answers"
    table = [
        [what, rows.seconds, rows.processor, "", ""],
        ["page", seconds, processor, held / 1e6, size / 1e6],
    ]
    targets = [
        Target("seconds of the page", seconds, most=MOST_SECONDS),
        Target("MB of the page's process", held / 1e6, most=MOST_MB),
    ]
    return tell("leaderboard", ["what", "seconds", "of the processor", "peak MB", "MB of the page"], table, targets)


def write_rows(folder: Path, systems: int, answers: int) -> None:
    """Write a row for each system and benchmark, the systems a little better one after the other."""
    from seke.core.result_file import to_text

    for board in BOARDS:
        for system in range(systems):
            row = made_up(board, system, systems, answers)
            (folder / f"{board}--system-{system:02d}.json").write_text(to_text(row), encoding="utf-8")


def made_up(board: str, system: int, systems: int, answers: int) -> Any:
    """Return a row of answers that were drawn."""
    from seke.benchmark.run.result import measure_of
    from seke.benchmark.scoring.ranked import DRAWS, ranked_classes, ranked_faces
    from seke.core.result_file import Contamination, Cost, Counts, Made, Replicates, Result, System, Task, rounded

    world, dice = np.random.default_rng(BOARDS.index(board)), np.random.default_rng([BOARDS.index(board), system])
    hard_N, truth_N = world.normal(0, 0.6, answers), world.integers(len(CLASSES), size=answers)
    skill = 0.2 + 1.2 * system / max(systems - 1, 1)
    right_N = dice.random(answers) < 1 / (1 + np.exp(-(skill - hard_N)))
    silent_N = dice.random(answers) < 0.01 * (system % 4)
    said_N = np.where(right_N, truth_N, dice.integers(len(CLASSES), size=answers))
    if board == "feab":
        ranked = ranked_faces(list(faces(truth_N, said_N, silent_N, world, dice, skill)), 0)
    else:
        named = [None if silent else CLASSES[said] for said, silent in zip(said_N, silent_N, strict=True)]
        ids = zip(map(str, range(answers)), (CLASSES[truth] for truth in truth_N), named, strict=True)
        ranked = ranked_classes("emotion", CLASSES, list(ids), 0)
    silent = int(silent_N.sum())
    return Result(
        format=1,
        kind="measured",
        system=System(name=f"System {system:02d}", models=(f"made-up/{system:02d}",)),
        task=Task(
            name=board, records=f"{answers:064x}", pictures="0" * 64, prompt="0" * 64, reader="parse",
            synthetic="scenes" if board.startswith("picture") else "faces",
        ),
        benchmark=board,
        measures={metric.key: measure_of(metric) for metric in ranked},
        headline=ranked[0].key,
        counts=Counts(
            asked=answers, answered=answers - silent, refused=silent, unreadable=0, missing_pictures=0, no_answer=0
        ),
        replicates=Replicates(
            seed=0,
            draws=DRAWS,
            values={metric.key: rounded(metric.drawn_B) for metric in ranked if not np.isnan(metric.rival)},
        ),
        cost=Cost(
            usd=None if system % 3 else answers / 1000 * 0.05 * 1.5 ** ((system * 7) % systems),
            input_tokens=answers * (300 + 90 * ((system * 5) % systems)),
            output_tokens=answers * 60,
        ),
        contamination=Contamination(verdict="unknown"),
        made=Made(command="python scripts/bench_leaderboard.py", commit=None, packages={}),
    )  # fmt: skip


def faces(truth_N: Any, said_N: Any, silent_N: Any, world: Any, dice: Any, skill: float) -> Iterator[Any]:
    """Yield predictions of all labels, ten pictures a subject."""
    from seke.core.affect import ACTION_UNITS
    from seke.core.records import Labels, Prediction

    active_NA = world.random((len(truth_N), len(ACTION_UNITS))) < 0.25
    called_NA = np.where(dice.random(active_NA.shape) < 0.6 + 0.2 * skill, active_NA, ~active_NA)
    va_N2 = world.uniform(-1, 1, (len(truth_N), 2))
    said_N2 = np.clip(va_N2 + dice.normal(0, 0.6 - 0.3 * skill, va_N2.shape), -1, 1)
    for n, truth in enumerate(truth_N):
        units = {au: bool(active_NA[n, place]) for place, au in enumerate(ACTION_UNITS)}
        called = {au: bool(called_NA[n, place]) for place, au in enumerate(ACTION_UNITS)}
        known = Labels(expression=CLASSES[truth], valence=va_N2[n, 0], arousal=va_N2[n, 1], action_units=units)
        said = Labels(expression=CLASSES[said_N[n]], valence=said_N2[n, 0], arousal=said_N2[n, 1], action_units=called)
        yield Prediction(
            id=str(n), source="made-up", subject=f"s{n // 10}", text="", judged=None,
            labels=Labels() if silent_N[n] else said, truth=known, status="refusal" if silent_N[n] else "ok",
        )  # fmt: skip


def reported(folder: Path, outputs: Path) -> tuple[float, float, float, int]:
    """Return seconds, those of the processor, the most memory held in bytes, and the page's size in bytes."""
    from seke.reporting.leaderboard.report import write_leaderboard

    taken = cost(lambda: write_leaderboard(outputs, "board", folder))
    return taken.seconds, taken.processor, peak(), taken.result.page.stat().st_size


if __name__ == "__main__":
    sys.exit(main())
