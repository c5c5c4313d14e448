"""One picture, one answer, and the labels read from it: `python evaluate.py image=face.jpg`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seke.benchmark.confidence import ENVELOPE
from seke.benchmark.judging.judge import Judging, ready
from seke.benchmark.protocol import Benchmark, Planned, predicted
from seke.benchmark.run.cost import ANSWERS, Spending, dry_run_of_one, replace_backends
from seke.benchmark.run.predict import ask_once
from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.escape import shortened, visible
from seke.core.records import ImageRecord, Labels
from seke.core.vlm import VLM


def report(path: Path, vlm: VLM, benchmark: Benchmark, judging: Judging, spending: Spending | None = None) -> str:
    """Return what `vlm` says about a picture, and what is read from it, in lines to print.

    `spending` pays; without one nobody is asked, and the lines say what it would cost.

    Raises:
        UserError: if the picture cannot be read, the benchmark asks no question about it, or no answer comes.
    """
    if benchmark.request is None:
        raise UserError("image", path, "this benchmark asks no model", "use benchmark=feab")
    if isinstance(benchmark, Planned):
        problem = "this benchmark judges an answer by what is known of its record"
        raise UserError("image", path, problem, "use benchmark=feab or benchmark=emoset")
    if spending is None:
        return dry_run_of_one(path, vlm, benchmark, judging)
    replace_backends((judging, benchmark), spending.metered)
    answer = ask_once(path, spending.metered(ANSWERS, vlm), benchmark.request)
    if answer.silent:
        problem = f"no answer came ({shortened(answer.detail or answer.status, 200)})"
        raise UserError("image", path, problem, "see backend= and its model")
    read = ready(judging, {answer.id: answer}).read
    record = ImageRecord(
        id=answer.id, image=path.name, sha256=None, source="image", subject=None, split="test", labels=Labels()
    )
    [row], _ = predicted(benchmark, [record], {answer.id: answer}, read)
    found = row.model_dump()
    labels = {key: value for key, value in found.items() if key not in ENVELOPE}
    lines = [visible(answer.text), "", f"status: {row.status}"]
    lines += [f"judged: {visible(row.judged)}"] if row.judged else []
    lines += [f"cost: {spending.spent.line()}"] if spending.spent.usd_at_most != 0 else []
    return "\n".join([*lines, *_lines(labels.pop("labels", {}) | labels)])


def _lines(labels: Mapping[str, Any]) -> Iterator[str]:
    for name, value in labels.items():
        if name == "action_units" and value is not None:
            active = ", ".join(f"AU{au} {ACTION_UNITS[au]}" for au, on in value.items() if on)
            yield f"action units: {active or 'none'}"
        else:
            yield f"{name.replace('_', ' ')}: {'not stated' if value is None else value}"
