"""Asking a vision LLM about every record. What has been answered is on disk at once, and an interrupted run goes on.

Under `torchrun --nproc-per-node=4 evaluate.py ...` every rank asks about every fourth record and writes a file of its
own, answers.<rank>.jsonl; the first waits for the others and scores. A resume may have another number of ranks.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError
from tqdm import tqdm

from seke.benchmark.answer import Answer
from seke.benchmark.protocol import Benchmark, Planned
from seke.core import files, images, runs
from seke.core.budget import Spent
from seke.core.errors import UserError
from seke.core.escape import shortened
from seke.core.records import ImageRecord, read_jsonl, to_line
from seke.core.shown import shown
from seke.core.vlm import VLM, Image, Reply, Request, closing

FILE: Final = "answers.jsonl"
WAIT_S: Final = 0.5
"""Between two looks at what the other ranks have answered."""


class Process(NamedTuple):
    """The rank of this process among those that torchrun started."""

    rank: int = 0
    ranks: int = 1

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Process":
        """Return the rank that torchrun gave this process; alone where it did not."""
        return cls(int(environment.get("RANK", 0)), int(environment.get("WORLD_SIZE", 1)))

    def enter(self, run: Path, overwrite: bool) -> None:
        """Let the first process claim the run's directory, and wait until it has.

        Raises:
            UserError: for overwrite=true among several: one would clear away what another has answered already.
        """
        if overwrite and self.ranks > 1:
            raise UserError("overwrite", overwrite, "ranks would clear each other's answers", "choose another name=")
        while self.rank > 0 and not (run / "config.yaml").is_file():
            time.sleep(WAIT_S)


def read_records(path: Path) -> list[ImageRecord]:
    """Return the records of a file.

    Raises:
        UserError: if there is none or if an id occurs twice.
    """
    records = list(read_jsonl(path, ImageRecord))
    if not records:
        remedy = "give a prepared set with images to test on, or its train.jsonl with label=true to label those"
        raise UserError("records", path, "the file holds no record", remedy)
    for id_, times in Counter(record.id for record in records).items():
        if times > 1:
            raise UserError("records", path, f"id {id_!r} occurs {times} times", "give every image its own id")
    return records


def planned(benchmark: Benchmark, files: Mapping[str, Path], images_below: str | None) -> list[ImageRecord]:
    """Return the records to ask about: a benchmark with a `plan` has a question of its own for each that it takes.

    Raises:
        UserError: as `read_records`, or if the benchmark can do nothing with the records.
    """
    records = read_records(files["records"])
    if not isinstance(benchmark, Planned):
        return records
    return list(benchmark.plan(records, runs.image_root(files["records"], images_below), files))


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
            f"{runs.choices(outputs, 'train', 'model')}, or give a directory in Hugging Face layout or a Hub id",
        )
    return reference


def weights(path: str) -> dict[str, Path]:
    """Return a local model's weight files by name: a model trained anew is another input under the same path."""
    return {f"model/{file.name}": file for file in sorted(Path(path).glob("*.safetensors")) if file.is_file()}


def ask_all(
    records: Sequence[ImageRecord],
    vlm: VLM,
    request: Callable[[ImageRecord, Image], Request],
    root: Path,
    run: Path,
    process: Process | None = None,
) -> dict[str, Answer] | None:
    """Ask about this rank's share of the records; return all answers by id to the first rank, None to the others.

    What `run` holds already, whoever wrote it, is not asked again.
    """
    process = process or Process()
    done = _answered(run, records)
    share = [record for record in records[process.rank :: process.ranks] if record.id not in done]
    ask(share, vlm, request, root, run / (FILE if process.ranks == 1 else f"answers.{process.rank}.jsonl"))
    if process.rank > 0:
        return None
    while len(done := _answered(run, records)) < len(records):
        time.sleep(WAIT_S)  # torchrun ends this process, too, if one of the others fails
    return done


def check_any(answers: Mapping[str, Answer], name: str) -> None:
    """Refuse to score where nobody said anything; the answers stay, and what they cost.

    Args:
        answers: by record id.
        name: the run's.

    Raises:
        UserError: naming what the commonest of them has instead of words and labels, how often, and why.
    """
    if not answers or not all(answer.silent for answer in answers.values()):
        return
    [(status, count)] = Counter(answer.status for answer in answers.values()).most_common(1)
    first = next(answer for answer in answers.values() if answer.status == status)
    kind = "empty" if status == "ok" else status
    why = f"{first.id}: {shortened(first.detail, 200)}" if first.detail else first.id
    problem = f"no record was answered ({count} of {len(answers)} {kind}, such as {why})"
    raise UserError("name", name, problem, "set right what keeps answers away; overwrite=true asks again")


def _answered(run: Path, records: Sequence[ImageRecord]) -> dict[str, Answer]:
    """Return what all ranks have answered by now; a line that is just being written is left for the next look."""
    known, found = {record.id for record in records}, dict[str, Answer]()
    for file in sorted(run.glob("answers*.jsonl")):
        for answer in _whole_lines(file):
            if answer.id in known:
                found.setdefault(answer.id, answer)
    return found


def _whole_lines(file: Path) -> Iterator[Answer]:
    """Yield the answers of a file; its last line may be half written."""
    for number, line in enumerate(files.whole_lines(file), 1):
        try:
            yield Answer.model_validate_json(line)
        except ValidationError:
            remedy = "delete that line: its answer is asked for again"
            raise UserError("file", file, f"line {number} is damaged", remedy) from None


def ask(
    records: Sequence[ImageRecord], vlm: VLM, request: Callable[[ImageRecord, Image], Request], root: Path, out: Path
) -> dict[str, Answer]:
    """Append the answer about each record to `out`, and return these answers by id.

    An image that cannot be read is not sent: its answer has the status "unanswered" and says why. `out` has the
    answers in the order in which they came; the caller orders them.
    """
    done: dict[str, Answer] = {}
    sent: list[ImageRecord] = []
    unreadable: list[Answer] = []

    def requests() -> Iterator[Request]:
        for record in records:
            try:
                image = shown(record, root)
            except images.ImageError as error:
                unreadable.append(Answer(id=record.id, status="unanswered", detail=str(error)))
                continue
            sent.append(record)
            yield request(record, image)

    progress = tqdm(total=len(records), desc="answers", unit="image")
    with closing(vlm), files.journal(out) as file, progress as bar:
        for index, reply in vlm.reply(requests()):
            done[sent[index].id] = answer = answer_of(sent[index].id, reply)
            files.append(file, [to_line(answer)], durable=False)
            bar.update()
        for answer in unreadable:
            done[answer.id] = answer
        files.append(file, map(to_line, unreadable), durable=False)
        bar.update(len(unreadable))
    return done


def answer_of(id_: str, reply: Reply) -> Answer:
    """Return the first choice of a reply as the answer about a record."""
    paid = Spent(recalled=int(reply.recalled))
    paid.add(reply)
    who: dict[str, Any] = {"model": reply.model, "simulated": reply.simulated, "paid": paid.numbers()}
    if not reply.choices:
        return Answer(id=id_, status="unanswered", **who)
    choice = reply.choices[0]
    if choice.status == "invalid":  # why there is no answer, perhaps in a server's words: no text to read labels from
        return Answer(id=id_, status=choice.status, detail=choice.text, **who)
    return Answer(id=id_, text=choice.text, status=choice.status, **who)


def costs(run: Path) -> Spent | None:
    """Return what the answers in a run's directory have cost, over all commands that it took; None without any."""
    rows = [row for file in sorted(run.glob("answers*.jsonl")) for row in _whole_lines(file) if row.paid is not None]
    total = Spent()
    for row in rows:
        total.plus(Spent(**row.paid))  # type: ignore[arg-type]  # JSON's numbers are whole where they were
    return total if rows else None


def one_picture(path: Path) -> Image:
    """Return a picture, which need not belong to any record.

    Raises:
        UserError: if it cannot be read.
    """
    try:
        data = path.read_bytes()
        images.decode(data, path.name)
    except (images.ImageError, OSError) as error:
        raise UserError("image", path, f"cannot be read ({error})", "give the path of a picture") from error
    return Image(path, images.sha256(data))


def ask_once(path: Path, vlm: VLM, request: Callable[[Image], Request]) -> Answer:
    """Ask about one picture.

    Raises:
        UserError: if it cannot be read.
    """
    image = one_picture(path)
    with closing(vlm):
        [(_, reply)] = vlm.reply([request(image)])
    return answer_of(path.name, reply)
