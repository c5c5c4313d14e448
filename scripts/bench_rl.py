"""How fast reinforcement samples and learns, beside TRL alone on the same faces, answers and random numbers.

    python scripts/bench_rl.py [--model assets/llava_ov_tiny] [--steps 2] [--prompts 12] [--rounds 1]

ours    python train.py algorithm=grpo: a frozen tower's states kept, a face's picture and question computed once
TRL     GRPOTrainer on the same model (algorithm.keep_states=false algorithm.share_prompts=false): nothing of ours but
        the rewards; a test holds its weights to those of a bare GRPOTrainer

Seconds are the processor's, in the steps alone: starting, looks at the validation and the export are apart. Both draw
the same random numbers, and so the same answers. The untuned model answers as long as it may, 60 tokens.
"""

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import ROOT, Target, apart, by_turns, options, tell, threads, times

GAIN = 2.0
"""Times the answers a second of TRL alone."""


def main() -> int:
    """Measure both ways, and tell."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--model", default=str(ROOT / "assets" / "llava_ov_tiny"))
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=12, help="faces a step, eight answers to each")
    parser.add_argument("--max-tokens", type=int, default=60)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        faces = [f"source.images={40 * asked.prompts}", "source=synthetic", "name=bench", f"paths.outputs={folder}"]
        subprocess.run([sys.executable, ROOT / "prepare.py", *faces], check=True, stdout=subprocess.DEVNULL)
        settings = (Path(folder), asked.model, asked.steps, asked.prompts, asked.max_tokens)
        ways = {
            name: lambda ours=ours: apart(measured, *settings, ours, **threads(1))
            for name, ours in (("ours", True), ("TRL", False))
        }
        found = by_turns(ways, asked.rounds)
    rows: list[list[object]] = []
    for name, rounds in found.items():
        one = sorted(rounds, key=lambda speed: speed["answers_per_s"])[len(rounds) // 2]
        shares = (one["sampling"], one["learning"], 1 - one["sampling"] - one["learning"])
        speeds = (one["answers_per_s"], one["sampled_per_s"], one["learnt_per_s"])
        rows.append([name, *speeds, *(f"{share:.0%}" for share in shares)])
    gain = times(*((1 / speed["answers_per_s"] for speed in found[name]) for name in ("TRL", "ours")))
    head = ["way", "answers/s", "sampled/s", "learnt from/s", "sampling", "learning", "the rest"]
    return tell("rl", head, rows, [Target("times the answers/s of TRL alone", gain, least=GAIN)])


def measured(outputs: Path, model: str, steps: int, prompts: int, max_tokens: int, ours: bool) -> dict[str, float]:
    """Return what `Steps.speed` says of some steps, in seconds of the processor."""
    from seke.core.runs import Run
    from seke.models.llava_ov import LlavaOv
    from seke.training.grpo import engine, run
    from seke.training.grpo.records import Records
    from seke.training.grpo.settings import Grpo
    from seke.training.settings import Training

    engine.Engine.clock = staticmethod(time.process_time)
    run.check_base = lambda *_: None  # the tiny model has not learnt to answer
    where = outputs / f"ours-{ours}-{time.time_ns()}"
    where.mkdir()
    facts = run.fit(
        Run(where, {}, {}),
        LlavaOv(model, trainable=["projector", "llm"], lr=1e-3, attention="eager"),
        Records("bench", "What emotion does this face show?", watched=0),
        Grpo(
            prompts=prompts, group_size=8, demonstrations=0, max_tokens=max_tokens, keep_states=ours, share_prompts=ours
        ),
        Training(max_steps=steps, threads=1, checkpoint_every=1000),
        False,
        outputs,
    )
    return dict(facts["speed"])


if __name__ == "__main__":
    sys.exit(main())
