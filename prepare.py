"""Dataset on disk -> outputs/prepare/<name>/{train,validation,test,rejected}.jsonl and statistics.md.

python prepare.py                                          # synthetic faces: nothing to download
python prepare.py source=folder source.root=/pictures name=mine
python prepare.py source=folder source.root=/pictures name=mine update=true # more pictures, corrected labels
python prepare.py source=feid_raw paths.data=/data name=raw # the six datasets of Table 1, drawn to its counts
python prepare.py export=parquet                           # also as a Hugging Face dataset, in parquet/
"""

import sys
from pathlib import Path

from omegaconf import DictConfig

from seke.cli import next_step
from seke.cli.command import build, command, open_run
from seke.core import limit, runs
from seke.core.escape import visible
from seke.core.provenance import made
from seke.hub import dataset_export


@command
def prepare(cfg: DictConfig) -> None:
    """Read one source, split it by subject and write its records."""
    from seke.sources.faces_datasets import table_template
    from seke.sources.prepare import advice, changes, inventory
    from seke.sources.prepare.leakage import checked_distance
    from seke.sources.prepare.prepare import counted_reasons, write

    if template := cfg.source.get("template"):
        print(table_template.write(Path(template), cfg.source.root))
        return
    # Every mistake in a setting is found before the run's directory is claimed.
    source, most = build(cfg.source), limit.checked(cfg.limit)
    distance, exported = checked_distance(cfg.near_duplicate), dataset_export.checked_format(cfg.export)
    stale = cfg["update"] and bool(inventory.differences(source, Path(cfg.paths.outputs) / "prepare" / cfg.name))
    run = open_run(cfg, "prepare", dict(source.inputs), cfg["update"], stale)
    if run.finished:
        inventory.check(source, run.path)
        print(f"{run.path} is finished already; overwrite=true makes it anew")
    else:
        before = runs.earlier(run.path)
        earlier = changes.records_of(before) if before else []
        source.earlier = changes.splits_of(earlier)
        counts = write(source, run.path, most, cfg.seed, distance)
        differing = changes.changes(earlier, changes.records_of(run.path)) if before else None
        facts = {"image_root": source.image_root(run.path), "synthetic": source.synthetic, "counts": counts}
        facts |= {"asked_by": source.asked_by} if source.asked_by else {}
        told = [visible(line) for line in source.understood()]
        noted = {**({"understood": told} if told else {}), **({"update": differing.counts} if differing else {})}
        run.finish(**facts, **noted, made=made(sys.argv))
        print(f"{run.path}: " + ", ".join(f"{number} {name}" for name, number in counts.items()))
        if reasons := counted_reasons(run.path):
            print(reasons)
        if differing:
            print(visible(differing.line))
        if told:
            print(*told, *(() if source.asked_by else advice.of(run.path)), sep="\n")  # a benchmark's are as published
    if exported:
        print(dataset_export.export(dataset_export.RECORDS, run.path, cfg.paths.images, cfg.embed_images, sys.argv))
    next_step.tell(cfg, "prepare")


if __name__ == "__main__":
    prepare()
