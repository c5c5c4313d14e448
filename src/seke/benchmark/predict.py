"""Ask a vision LLM about every record. What has been answered is on disk at once, and an interrupted run goes on."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from seke import images
from seke.benchmark.answer import Answer, read_answers
from seke.errors import UserError
from seke.records import ImageRecord, read_jsonl, to_line
from seke.vlm import VLM, Image, Request


def read_records(path: Path) -> list[ImageRecord]:
    """Return the records of a file.

    Raises:
        UserError: if there is none or if an id occurs twice.
    """
    records = list(read_jsonl(path, ImageRecord))
    if not records:
        raise UserError("records", path, "the file holds no record", "give a prepared set with images to test on")
    for id_, times in Counter(record.id for record in records).items():
        if times > 1:
            raise UserError("records", path, f"id {id_!r} occurs {times} times", "give every image its own id")
    return records


def evenly(records: Sequence[ImageRecord], limit: int | None) -> list[ImageRecord]:
    """Return `limit` records spaced evenly over the list, so that every source is met; all of them for None.

    Raises:
        UserError: if `limit` is no positive whole number.
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise UserError("limit", limit, "not a number of records", "set 1 or more, or leave it out for all")
    count = len(records) if limit is None else min(limit, len(records))
    return [records[index * len(records) // count] for index in range(count)]


def checkpoint(reference: str, outputs: Path) -> str:
    """Return the model that `model.path` means: a train run's by the run's name or directory, else as it is given.

    Raises:
        UserError: if it is none of these, nor a directory, nor looks like a Hub id.
    """
    for path in (outputs / "train" / reference / "model", Path(reference) / "model", Path(reference)):
        if path.is_dir():
            return str(path)
    if reference.count("/") != 1 or reference.startswith((".", "/")):
        raise UserError(
            "model.path",
            reference,
            "neither a finished `python train.py name=...` nor a directory",
            "give the name of a train run, a directory in Hugging Face layout or a Hub id",
        )
    return reference


def weights(path: str) -> dict[str, Path]:
    """Return a local model's weight files by name: a model trained anew is another input under the same path."""
    return {f"model/{file.name}": file for file in sorted(Path(path).glob("*.safetensors"))}


def ask(
    records: Sequence[ImageRecord], vlm: VLM, request: Callable[[Image], Request], root: Path, out: Path
) -> dict[str, Answer]:
    """Append the answer about every record that `out` does not hold yet, and return all answers by id.

    An image that cannot be read is not sent: its answer has the status "unanswered" and says why. `out` has the
    answers in the order in which they came; the caller orders them.
    """
    _drop_torn_line(out)
    done = read_answers(out, {record.id for record in records}) if out.is_file() else {}
    pending = [record for record in records if record.id not in done]
    sent: list[ImageRecord] = []
    unreadable: list[Answer] = []

    def requests() -> Iterator[Request]:
        for record in pending:
            try:
                path = images.resolve(root, record.image)
                data = path.read_bytes()
                images.decode(data, record.image)
            except (images.ImageError, OSError) as error:
                unreadable.append(Answer(id=record.id, status="unanswered", detail=str(error)))
                continue
            sent.append(record)
            yield request(Image(path, images.sha256(data)))

    with out.open("a", encoding="utf-8") as file, tqdm(total=len(pending), desc="answers", unit="image") as bar:
        for index, reply in vlm.reply(requests()):
            choice = reply.choices[0] if reply.choices else None
            status = choice.status if choice else "unanswered"
            text = choice.text if choice else ""
            done[sent[index].id] = answer = Answer(id=sent[index].id, text=text, status=status, model=reply.model)
            _append(file, answer)
            bar.update()
        for answer in unreadable:
            done[answer.id] = answer
            _append(file, answer)
            bar.update()
    return done


def _append(file: TextIO, answer: Answer) -> None:
    file.write(to_line(answer) + "\n")
    file.flush()


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that a kill left half-written."""
    if path.is_file():
        whole = path.read_bytes().rfind(b"\n") + 1
        os.truncate(path, whole)
