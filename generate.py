"""Have a vision LLM complete partly annotated records: records -> outputs/generate/<name>/instructions.jsonl.

python generate.py                                          the prepared records "demo", simulated annotator
python generate.py records=feid backend=openai dry_run=true what it would cost; budget.usd=50 sets a limit
python generate.py records=mine name=mine update=true       the records have grown: ask about what is new or changed
python generate.py review=review.json name=reviewed         what a person decided about a finished run
python generate.py review=next name=mine n=100              whom a person looks at next, and what that guarantees
"""

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from seke.cli import next_step
from seke.cli.command import build, command, open_run
from seke.core import budget, provenance, runs
from seke.hub import dataset_export
from seke.tracking import wandb_run


@command
def generate(cfg: DictConfig) -> None:
    """Complete the records' labels and write the instruction data."""
    from seke.generation import from_settings
    from seke.generation.run import dry_run, journal, queue, ray_engine, review, update
    from seke.generation.run import generate as generation
    from seke.generation.witnesses import tables

    published = (cfg.paths.images, sys.argv, dataset_export.checked_format(cfg.export), cfg.embed_images)
    if cfg.review == queue.NEXT:
        allowed: Any = {**cfg.guarantee} if isinstance(cfg.guarantee, DictConfig) else cfg.guarantee
        wanted = queue.Wanted(cfg.n, cfg.audit, allowed, cfg.confidence, cfg.seed)
        print(*queue.ask(Path(cfg.paths.outputs), str(cfg.name), wanted), sep="\n")
        next_step.tell_to_look(cfg)
        return
    if cfg.review:
        given = str(cfg.review) if isinstance(cfg.review, str) else [*map(str, cfg.review)]
        to = (Path(cfg.paths.outputs), str(cfg.name), cfg.overwrite, cfg["update"], cfg.prefer)
        run = None if cfg.dry_run else review.apply(given, *to)
        print(
            review.NOTHING_ASKED
            if run is None
            else dataset_export.publish(dataset_export.INSTRUCTIONS, run.path, *published) or review.line(run)
        )
        if run is not None:
            next_step.tell(cfg, "generate")
        return
    path = runs.locate_records(str(cfg.records), Path(cfg.paths.outputs), "train.jsonl")
    root, make = runs.image_root(path, cfg.paths.images), partial(from_settings.annotators, build, cfg)
    generator, spare, meter = make(budget.Budget(**cfg.budget), budget.Spent())
    records = generation.select(path, cfg.split, cfg.limit, cfg.complete, cfg.seed)
    if cfg.dry_run:
        if cfg["update"]:
            records = update.to_ask(Path(cfg.paths.outputs) / "generate" / cfg.name, records)
            if not records:
                print("nothing is new or changed: nobody would be asked")
                return
        ask = partial(from_settings.generator, build, cfg, table=from_settings.table_of(meter))
        asked: dict[str, Any] = dict(zip(from_settings.backends(cfg), meter.backends, strict=True))
        print(dry_run.dry_run(ask, records, generation.opener(root), **asked))
        next_step.tell_after_dry_run(cfg, priced=True)
        return
    engine = ray_engine.engine(cfg.engine, cfg.workers, make)
    inputs: dict[str, Path | Sequence[Path]] = {"records": path, **tables.inputs(getattr(generator, "witnesses", ()))}
    if reused := getattr(generator, "reuse", None):
        inputs["reuse"] = reused
    run = open_run(cfg, "generate", inputs, update=cfg["update"])
    if run.finished:
        print(f"{run.path} is finished; overwrite=true does it again")
    else:
        with meter:
            how = (cfg.chunk, spare, meter, wandb_run.live(), engine, runs.earlier(run.path))
            done = generation.generate(records, root, generator, run.path, *how)
        generation.check_any(done, run.path, str(cfg.records))
        where = {"image_root": os.path.relpath(root.resolve(), run.path.resolve()), **runs.noted(path, "synthetic")}
        run.finish(**where, **done.facts, prompts=generator.prompts.hashes(), made=provenance.made(sys.argv))
        journal.clear(run.path)
        print(*done.warnings, sep="\n", end="\n" if done.warnings else "", file=sys.stderr)
        print(f"{run.path}: {done.line}")
    if line := dataset_export.publish(dataset_export.INSTRUCTIONS, run.path, *published):
        print(line)
    next_step.tell(cfg, "generate")


if __name__ == "__main__":
    generate()
