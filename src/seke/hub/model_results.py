"""Evaluation results in the card of a tuned model: model_card.md, ready to go onto the Hub with the model.

    outputs/train/<name>/model/README.md  ->  outputs/evaluate/<name>/model_card.md

A command writes into its own run's directory only: the checkpoint stays as it was trained, may be read-only, and
several evaluations of it may run at once. Every card holds what is finished by then, so that the last one holds all.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from seke.core.files import write_text
from seke.core.provenance import Evaluation, Number, evaluation, evaluations
from seke.core.runs import Run, manifest_beside
from seke.hub import forgetting
from seke.hub.dataset_card import as_markdown, measured

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

RESULTS: Final = re.compile(r"(<!-- results -->\n).*?(\n<!-- end of results -->)", re.DOTALL)
METRICS: Final = {"f1_macro": "f1", "f1_mean_14": "f1", "f1_mean_17": "f1", "pearson": "pearsonr"}
"""The Hub's names of metrics, where they are others."""


def fill(run: Run, model: str, notes: Sequence[str], compare: forgetting.Compare | None = None) -> Path | None:
    """Write the card of the checkpoint in `model` with `run`'s results into `run`; None where train.py made no card.

    Args:
        run: an evaluation that has its metrics.json.
        model: a checkpoint's directory or a Hub id.
        notes: why this run's numbers may not be held against the paper's.
        compare: how the general questions of the model and its base are compared; None: the card says nothing of them.
    """
    source = Path(model) / "README.md"
    if not source.is_file() or "trained_on" not in manifest_beside(Path(model)):
        return None
    found = [evaluation(run.path, run.config, run.inputs, notes), *_others(run)]
    lost = forgetting.section(run.path.parent.parent, Path(model), found, compare) if compare else ""
    text = filled(source.read_text(encoding="utf-8"), Path(model).resolve().parent.name, found, lost)
    write_text(run.path / "model_card.md", text)
    return run.path / "model_card.md"


def filled(card: str, name: str, found: Sequence[Evaluation], lost: str = "") -> str:
    """Return a model's card with these evaluations in its model-index and between its marks; filled again, it is equal.

    `lost` is what the card says of forgetting. A metric that is not known has no place in a model-index, but stands in
    the table as unknown.
    """
    from huggingface_hub import ModelCard

    ordered = sorted(found, key=lambda one: one.name)
    parsed = ModelCard(card)
    parsed.data["model_name"] = name
    known = [(one, number) for one in ordered for number in one.numbers if number.value is not None]
    parsed.data["eval_results"] = [_result(one, number) for one, number in known]
    section = "\n\n".join([*_section(ordered), *([lost] if lost else [])])
    parsed.text = RESULTS.sub(lambda marks: marks[1] + section + marks[2], parsed.text)
    return str(parsed.content)


def _others(run: Run) -> Iterator[Evaluation]:
    """Yield the finished evaluations of the very same weights."""
    ours = _weights(run.inputs)
    for name, digest in list(ours.items())[:1]:
        for other in evaluations(run.path.parent.parent, name, digest):
            if other.name != run.path.name and _weights(other.inputs) == ours:
                yield other


def _weights(inputs: Mapping[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in sorted(inputs.items()) if name.startswith("model/")}


def _section(found: Sequence[Evaluation]) -> Iterator[str]:
    yield "Measured by `evaluate.py`. Intervals: 95 %, by bootstrap. Unanswered is counted, never guessed."
    yield measured(found)
    for one in found:
        if one.notes:
            name, why = as_markdown(one.name), as_markdown("; ".join(one.notes))
            yield f"{name} is not comparable with the paper's numbers: {why}."


def _result(one: Evaluation, number: Number) -> "EvalResult":
    from huggingface_hub import EvalResult

    how = {"n": number.n, "unanswered": number.unanswered, "ci95": number.interval and list(number.interval)}
    return EvalResult(
        task_type="image-text-to-text",
        dataset_type=one.benchmark.lower(),
        dataset_name=one.benchmark + (f" ({'; '.join(one.notes)})" if one.notes else ""),
        dataset_config=one.name,
        dataset_revision=one.inputs.get("records"),
        metric_type=METRICS.get(number.metric, number.metric),
        metric_name=f"{number.task} {number.metric}",
        metric_value=number.value,
        metric_args=how,
    )
