"""One picture, one answer, and the labels read from it: `python evaluate.py image=face.jpg`, and `python serve.py`."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from seke.benchmark.confidence import ENVELOPE
from seke.benchmark.judging.judge import Judging, ready
from seke.benchmark.protocol import Benchmark, Planned, predicted
from seke.benchmark.run.cost import ANSWERS, Spending, dry_run_of_one, replace_backends
from seke.benchmark.run.labelling import Reading, questions, reading
from seke.benchmark.run.predict import answer_of, ask_once
from seke.core import images
from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.escape import shortened, visible
from seke.core.records import ImageRecord, Labels
from seke.core.vlm import VLM, InMemory


def look(data: bytes, vlm: VLM, benchmark: Benchmark, judging: Judging, draws: int) -> Reading:
    """Return what `vlm` says about a picture that is no file, with the confidence that further `draws` give.

    Raises:
        ImageError: if it is no picture.
        UserError: if the benchmark asks no question about it.
    """
    images.decode(data, "the picture")
    image = InMemory(Path("picture"), images.sha256(data), data=data)
    record = ImageRecord(
        id="picture", image="picture", sha256=image.sha256, source="image", subject=None, split="test", labels=Labels()
    )
    asked = dict(vlm.reply(questions(image, benchmark, draws)))
    answers = {record.id: answer_of(record.id, asked[0])}
    drawn = [answer_of(record.id, replace(asked[1], choices=(one,))) for one in asked[1].choices] if draws else []
    [found] = reading([record], benchmark, judging, answers, {record.id: drawn} if draws else {}, draws).pictures
    return found


def check(benchmark: Benchmark, argument: str, value: object) -> None:
    """Make sure that a benchmark has a question about a picture of which nothing is known.

    Raises:
        UserError: if it has not.
    """
    if benchmark.request is None:
        raise UserError(argument, value, "this benchmark asks no model", "use benchmark=feab")
    if isinstance(benchmark, Planned):
        problem = "this benchmark judges an answer by what is known of its record"
        raise UserError(argument, value, problem, "use benchmark=feab or benchmark=emoset")


def report(path: Path, vlm: VLM, benchmark: Benchmark, judging: Judging, spending: Spending | None = None) -> str:
    """Return what `vlm` says about a picture, and what is read from it, in lines to print.

    `spending` pays; without one nobody is asked, and the lines say what it would cost.

    Raises:
        UserError: if the picture cannot be read, the benchmark asks no question about it, or no answer comes.
    """
    check(benchmark, "image", path)
    if spending is None:
        return dry_run_of_one(path, vlm, benchmark, judging)
    replace_backends((judging, benchmark), spending.metered)
    assert benchmark.request is not None, "it was checked"
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
