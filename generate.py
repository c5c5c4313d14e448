"""Have a vision LLM complete partly annotated records: records -> outputs/generate/<name>/instructions.jsonl.

python generate.py                                          the prepared records "demo", simulated annotator
python generate.py records=feid generator.max_samples=3
python generate.py -m generator.use_prior=true,false generator.self_verify=true,false
python generate.py export=parquet                           also as a Hugging Face dataset, in parquet/
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from seke import hub, runs
from seke.doors import build, door, open_run


@door
def generate(cfg: DictConfig) -> None:
    """Complete the records' labels and write the instruction data."""
    from seke.generation import progress

    path = runs.locate("records", str(cfg.records), Path(cfg.paths.outputs), "prepare", "train.jsonl")
    parts = {"vlm": build(cfg.backend), "stopping": build(cfg.stopping), "prompts": build(cfg.prompts)}
    generator = build(cfg.generator, **parts, seed=cfg.seed)
    records, exported = progress.select(path, cfg.split, cfg.limit), hub.checked_format(cfg.export)
    run = open_run(cfg, "generate", {"records": path})
    if run.finished:
        print(f"{run.path} is finished; overwrite=true does it again")
    else:
        _complete(cfg, run, path, records, generator)
    if exported:
        print(hub.export(hub.INSTRUCTIONS, run.path, cfg.paths.images, cfg.embed_images, sys.argv))


def _complete(cfg: DictConfig, run: runs.Run, path: Path, records: Sequence[Any], generator: Any) -> None:
    from seke.generation import progress

    root = runs.image_root(path, cfg.paths.images)
    done = progress.generate(records, root, generator, run.path, cfg.chunk)
    run.finish(
        image_root=os.path.relpath(root.resolve(), run.path.resolve()),
        counts={"records": len(records), "instructions": done.instructions, "rejected": done.rejected},
        flags=done.flags,
        prompts=generator.prompts.hashes(),
    )
    (run.path / progress.PROGRESS).unlink()
    if blind := done.flags.get("blind"):
        print(f"warning: the simulated annotator could not see {blind} images; it guessed", file=sys.stderr)
    samples = f"{done.cost['mean_samples']:.2f} draws a record"
    print(f"{run.path}: {done.instructions} instructions, {done.rejected} rejected, {samples}")


if __name__ == "__main__":
    generate()
