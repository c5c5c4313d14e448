"""The card of a tuned model: README.md in the Hub's form beside its weights, with a place for results.

It shows the manifest of the run, and of the data that this names. evaluate.py fills in what it measures.
"""

import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from huggingface_hub import ModelCard, ModelCardData
from yaml import YAMLError

from seke.core.errors import UserError
from seke.core.files import write_text
from seke.core.provenance import made, public_path
from seke.core.runs import Run, manifest_beside, root_by
from seke.hub import dataset_export
from seke.hub.dataset_card import Content, rendered

INSTRUCTIONS: Final = "instructions.jsonl"
PACKAGES: Final = ("torch", "transformers", "lightning")
SILENT: Final = (
    "_target_", "path", "reader", "mixture", "validation", "image_root", "cache", "cache_dir", "workers", "threads",
    "log_every", "checkpoint_every", "peak_tflops", "answered", "answer_every", "accelerator", "devices", "num_nodes",
    "pack",
)  # fmt: skip
"""Settings that say where a run's files are or how it was watched, or that the card shows by their results."""


def circumstances(trainer: Any, samples: Any, chosen: Any, packed: bool) -> dict[str, Any]:
    """Return what the manifest keeps of a fit for the card: command and commit, tokens of an epoch, the hardware.

    Args:
        trainer: the Lightning trainer after fit.
        samples: everything encoded, with `lengths` and supervised `tokens`.
        chosen: the indices that make an epoch.
        packed: whether conversations shared sequences.
    """
    device = trainer.strategy.root_device
    name = platform.machine()
    if device.type == "cuda":
        import torch

        name = torch.cuda.get_device_name(device)
    return {
        "made": made(sys.argv),
        "packed": packed,
        "epoch_tokens": {
            "all": int(samples.lengths[chosen].sum()),
            "supervised": int(samples.tokens[chosen].sum()),
        },
        "hardware": {"device": f"{device.type} {name}", "processes": trainer.world_size, "nodes": trainer.num_nodes},
        "precision": trainer.precision,
    }


def write(run: Run, facts: Mapping[str, Any]) -> None:
    """Write the card of a run that is about to finish, with `facts` for its manifest, beside the model's weights."""
    text = card(run.path.name, {**facts, "config": run.config, "inputs": run.inputs})
    write_text(run.path / "model" / "README.md", text)


def card(name: str, manifest: Mapping[str, Any]) -> str:
    """Return the card of the model `name` that a train run's manifest describes."""
    config, base = manifest["config"], str(manifest["base"])
    paths = _paths(config.get("data") or {})
    contents = list(_contents(manifest["trained_on"]))
    local = Path(base).is_dir()
    simulated = [_simulated(content) for content in contents if content.simulated]
    drawn = [content.name for content in contents if content.drawn]
    wholly = len(contents) == len(manifest["parts"])
    reinforced = "algorithm" in manifest
    if reinforced and manifest["synthetic"]:  # of prepared records, which no card describes
        drawn, wholly = list(manifest["parts"]), True
    data = ModelCardData(
        language="en",
        license="other",
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        base_model=_base_model(Path(base)) if local else base,
        datasets=list(paths.values()),
        tags=[
            "affective-computing",
            *sorted({content.subject for content in contents} or {"facial-expression"}),
            *(["synthetic"] if drawn else []),
            *(["simulated-annotator"] if simulated else []),
        ],
    )
    digests = {part: digest[:12] for part, digest in manifest["inputs"].items()}
    return rendered(
        "model_card.md.jinja",
        front=data.to_yaml(),
        name=name,
        base=_directory(base) if local else base,
        local=local,
        manifest=manifest,
        best=(manifest["best"] or {}).get("validation_loss"),
        packages={package: version(package) for package in PACKAGES},
        parts=[(part, paths.get(part), rows, digests.get(part)) for part, rows in manifest["parts"].items()],
        contents=contents,
        sources=sorted({source for content in contents if not content.drawn for source in content.sources}),
        simulated=simulated,
        simulated_wholly=wholly and bool(contents) and all(content.simulated_wholly for content in contents),
        drawn=drawn,
        drawn_wholly=wholly and len(drawn) == len(contents or manifest["parts"]),
        reinforced=reinforced,
        settings=list(_settings(config)),
    )


def _simulated(content: Content) -> str:
    """Return the name of a dataset, and how much of it a simulated annotator wrote, if not all."""
    rows = sum(content.annotators.values())
    return content.name if content.simulated_wholly else f"{content.name} ({content.simulated:,} of {rows:,} rows)"


def _paths(data: Mapping[str, Any]) -> dict[str, str]:
    """Return what each part of the training data is called in the settings."""
    if data.get("path"):
        return {"data0": public_path(data["path"])}
    mixture = data.get("mixture") or {}
    named = mixture.items() if isinstance(mixture, Mapping) else ((f"data{k}", part) for k, part in enumerate(mixture))
    return {str(name): public_path(part["path"]) for name, part in named if part is not None}


def _contents(files: Iterable[str]) -> Iterator[Content]:
    """Yield what is in those files that a generate run has made and that are still there."""
    for file in map(Path, files):
        manifest = manifest_beside(file) if file.name == INSTRUCTIONS and file.is_file() else {}
        if not manifest:
            continue
        with suppress(UserError):  # training may read what a stricter reader refuses
            yield dataset_export.describe(dataset_export.INSTRUCTIONS, file.parent, root_by(manifest, file).resolve())


def _base_model(directory: Path) -> str | None:
    """Return the Hub's model that a local one goes back to, as its own card says; None where none does."""
    try:
        base: str | None = ModelCard.load(directory / "README.md").data.get("base_model")
    except (ValueError, YAMLError):  # there is none, or somebody's own notes: no reason to lose a training
        return None
    return base


def _directory(base: str) -> str:
    """Return the name of a local model: its run's, where train.py made it."""
    path = Path(base)
    return path.parent.name if path.name == "model" else path.name


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the hyper-parameters as dotted settings."""
    for group in ("algorithm", "model", "optimizer", "trainer", "data"):
        node = config.get(group) or {}
        if group in ("model", "optimizer"):
            yield group, str(node.get("_target_")).rpartition(".")[2]
        for key, value in node.items():
            if key not in SILENT:
                yield f"{group}.{key}", _public_value(value)
    yield "seed", config.get("seed")


def _public_value(value: Any) -> Any:
    if isinstance(value, Mapping) and "_target_" in value:
        return {
            "class": value["_target_"].rpartition(".")[2],
            **{k: _public_value(v) for k, v in value.items() if k != "_target_"},
        }
    return public_path(value) if isinstance(value, str) else value
