"""What tuning forgets, in the card of a tuned model: its general questions beside those of its base, paired.

A model and its base are compared where both have an evaluation by benchmark=general of the same records. Where one of
them is missing the card says so, with the command that measures it.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from seke.core.errors import UserError
from seke.core.provenance import Evaluation, evaluations, public_path
from seke.core.runs import file_sha256, manifest_beside
from seke.hub.dataset_card import as_markdown, fenced

GENERAL: Final = "General"
"""How `Evaluation.benchmark` calls it."""
TASK: Final = "general"
TITLE: Final = "**What tuning forgot**"
Compare = Callable[[Path, Path], Mapping[str, Any]]
"""(a run of the model, a run of its base) -> comparison.json's content: differences, model - base, by task."""


def section(outputs: Path, model: Path, found: Sequence[Evaluation], compare: Compare) -> str:
    """Return what the card says of forgetting.

    Args:
        outputs: the folder of all runs.
        model: the tuned checkpoint's directory, whose manifest names its base.
        found: the finished evaluations of the checkpoint.
        compare: of two finished evaluations on the same records.
    """
    base, name = str(manifest_beside(model).get("base")), model.resolve().parent.name
    ours = [one for one in found if one.benchmark == GENERAL]
    lines = [line for one in ours for line in _against(outputs, one, of_base(outputs, base, one), compare)]
    if not lines:
        return _unmeasured(base, name, ours)
    head = f"{TITLE} (questions that are not about emotion, model minus base; 95 % intervals, paired by picture):"
    return "\n".join([head, "", *lines])


def of_base(outputs: Path, base: str, ours: Evaluation) -> list[Evaluation]:
    """Return the general evaluations of a base, on the very records of one of the model's."""
    records = ours.inputs.get("records")
    same = evaluations(outputs, "records", records) if records else iter(())
    weights = {file_sha256(file) for file in sorted(Path(base).glob("*.safetensors"))} if Path(base).is_dir() else set()
    return [one for one in same if one.benchmark == GENERAL and one.name != ours.name and _is_of(one, base, weights)]


def _is_of(one: Evaluation, base: str, weights: set[str]) -> bool:
    """Whether an evaluation is of the base: of these very weights, or of the Hub's model of this name."""
    if weights:
        return {digest for name, digest in one.inputs.items() if name.startswith("model/")} == weights
    model = one.config.get("model")
    return isinstance(model, Mapping) and model.get("path") == base


def _against(outputs: Path, ours: Evaluation, theirs: Sequence[Evaluation], compare: Compare) -> Iterator[str]:
    for base in theirs:
        try:
            found = compare(outputs / "evaluate" / ours.name, outputs / "evaluate" / base.name)
        except UserError:  # of other questions, or a part of them: no comparison
            continue
        told = [_difference(row) for row in found["metrics"]]
        yield f"- {as_markdown(ours.name)} and {as_markdown(base.name)}, {found['n']} pictures: {'; '.join(told)}"


def _difference(row: Mapping[str, Any]) -> str:
    what = "accuracy" if row["task"] == TASK else as_markdown(row["task"])
    if row["difference"] is None:
        return f"{what} unknown"
    low_high = row["ci95"]
    bounds = (
        f" ({low_high[0]:+.3f} to {low_high[1]:+.3f})" if low_high else " (no interval: too few pictures, or all alike)"
    )
    return f"{what} {row['difference']:+.3f}{bounds}, from {row['theirs']:.3f} to {row['ours']:.3f}"


def _unmeasured(base: str, name: str, ours: Sequence[Evaluation]) -> str:
    """Return that nothing was measured, and the commands that do."""
    tested = "general" if not ours else public_path(ours[0].config.get("records", "general"))
    of_base = public_path(base) if Path(base).is_dir() else base
    commands = [["prepare.py", "source=synthetic_questions", "name=general"]] if not ours else []
    for path, run in ((of_base, f"{name}-base-general"), (name, f"{name}-general")):
        commands.append(["evaluate.py", "benchmark=general", f"records={tested}", f"model.path={path}", f"name={run}"])
    lines = "\n".join(shlex.join(["python", *command]) for command in commands)
    why = "its base has no evaluation on the same general questions" if ours else "no general questions were asked"
    return f"{TITLE}: not measured, {why}. With the model= that it was tuned with:\n\n{fenced(lines)}"
