"""Fine-tune a vision LLM on instruction data: outputs/train/<name>/model/ in Hugging Face layout.

    python train.py                                            the tiny model on the demo's instructions, on the CPU
    python train.py model=llava_ov trainer=deepspeed_zero2 data.path=feid name=seke
    python train.py algorithm=grpo model.path=seke data.path=feid name=seke-rl     after that, from human labels alone

Settings: conf/train.yaml. An interrupted run is resumed by the same command; `ckpt=null` starts it again. On SIGTERM
it saves at the next step and ends with exit code 3.
"""

import os
import sys
from pathlib import Path

from omegaconf import DictConfig

from seke.benchmark.run.predict import checkpoint
from seke.cli import next_step
from seke.cli.command import build, command, finished, open_run
from seke.core import runs
from seke.core.errors import UserError


@command
def train(cfg: DictConfig) -> None:
    """Train `model` on `data` with `trainer`, resuming where an interrupted run stopped."""
    if cfg.ckpt not in (None, "last"):
        raise UserError("ckpt", cfg.ckpt, "not a checkpoint", "use last to resume or null to start again")
    outputs = Path(cfg.paths.outputs)
    if "algorithm" in cfg:
        reinforce(cfg, outputs)
        return
    _take_main_run(cfg, outputs)
    data = build(cfg.data)
    if not hasattr(data, "sources"):
        problem, remedy = "records, which hold no answers to imitate", "use data=feid, or algorithm=grpo"
        raise UserError("data.path", cfg.data.path, problem, remedy)
    # A mistaken setting is told while the name is still free; a finished run needs nothing built.
    idle = finished(cfg, "train") and not cfg.dry_run
    parts = None if idle else (build(cfg.model), build(cfg.trainer), build(cfg.optimizer))
    if cfg.dry_run and parts:
        from seke.training.dry_run import as_text, plan

        model, training, optimizer = parts
        print(as_text(plan(model, data, training, optimizer, outputs, cfg.seed, cfg.assumed_mfu)))
        next_step.tell_after_dry_run(cfg, priced=False)
        return
    # Lightning starts the other ranks with this very command; only the first may clear an earlier run.
    cfg.overwrite = cfg.overwrite and os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"
    sources = data.sources(outputs)
    run = open_run(cfg, "train", {part.name: part.files for part in sources})
    if parts is None or run.finished:
        print(f"{run.path} is finished; overwrite=true trains it again")
        next_step.tell(cfg, "train")
        return
    from seke.training import loggers
    from seke.training.train import fit, summary

    logger = loggers.with_dashboard(build(cfg.logger, save_dir=str(run.path)))
    model, training, optimizer = parts
    watched = data.watched(outputs)
    facts = fit(run, model, data, training, logger, sources, watched, cfg.seed, cfg.ckpt == "last", optimizer)
    print("\n".join(summary(facts)) + f": {run.path / 'model'}")
    next_step.tell(cfg, "train")


def reinforce(cfg: DictConfig, outputs: Path) -> None:
    """Reinforce a fine-tuned model by human labels, resuming where an interrupted run stopped."""
    cfg.model.path = checkpoint(str(cfg.model.path), outputs)
    data, algorithm = build(cfg.data), build(cfg.algorithm)
    if not hasattr(data, "held_out"):
        problem, remedy = (
            "instruction data, and no records with human labels",
            "use data=records, which algorithm=grpo sets",
        )
        raise UserError("data.path", cfg.data.path, problem, remedy)
    inputs, idle = data.files(outputs), finished(cfg, "train") and not cfg.dry_run
    parts = None if idle else (build(cfg.model), build(cfg.trainer), build(cfg.optimizer))
    if cfg.dry_run and parts:
        from seke.training.grpo.dry_run import as_text, plan

        print(as_text(plan(parts[0], data, algorithm, parts[1], parts[2], outputs, cfg.seed, cfg.assumed_mfu)))
        next_step.tell_after_dry_run(cfg, priced=False)
        return
    if parts:
        from seke.training.grpo.settings import check_installed

        check_installed()
        algorithm.check(parts[1])
    run = open_run(cfg, "train", inputs)
    if parts is None or run.finished:
        print(f"{run.path} is finished; overwrite=true trains it again")
    else:
        from seke.training import loggers
        from seke.training.grpo.run import fit, summary

        logger = loggers.with_dashboard(build(cfg.logger, save_dir=str(run.path)))
        model, training, optimizer = parts
        facts = fit(run, model, data, algorithm, training, logger, outputs, cfg.seed, cfg.ckpt == "last", optimizer)
        print("\n".join(summary(facts)) + f": {run.path / 'model'}")
    next_step.tell(cfg, "train")


def _take_main_run(cfg: DictConfig, outputs: Path) -> None:
    """Have `data.path` mean the main run of a family, as the demo's are, where no run has that name itself."""
    given = cfg.data.get("path")
    if isinstance(given, str) and (main := runs.main_of(given, outputs, "generate", "instructions.jsonl")) != given:
        print(f"data.path={given}: there is no such run, {main} is taken", file=sys.stderr)
        cfg.data.path = main


if __name__ == "__main__":
    train()
