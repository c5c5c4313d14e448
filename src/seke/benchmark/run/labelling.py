"""Labelling of new pictures, of which nobody knows what is right: `python evaluate.py records=new model.path=mine`.

    records, 512 at a time -> answers, further draws -> chunks/000000.jsonl, ... -> predictions.jsonl, labels.csv, ...

No more than one chunk is in memory, however many pictures there are. A chunk's file appears whole or not at all, and
an interrupted run goes on with those that are not there, with any number of ranks: each takes every n-th. Replies that
were paid for are in the backend's ledger besides, so that what is done again costs nothing.
"""

import shutil
import time
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from tqdm import tqdm

from seke.benchmark.answer import Answer
from seke.benchmark.confidence import agreement, by_column, by_description, stated
from seke.benchmark.judging.judge import Judging, parse, ready
from seke.benchmark.protocol import Benchmark, Planned, predicted
from seke.benchmark.run import import_predictions, predict
from seke.benchmark.run.annotators import Annotator, located
from seke.benchmark.run.label_tables import CHUNKS, Labelled, chunk_file, write_chunk, write_tables
from seke.core import files, images, runs
from seke.core.budget import Metered, Spent
from seke.core.errors import UserError
from seke.core.images import sha256
from seke.core.limit import checked, chosen_ids
from seke.core.records import ImageRecord, Labels, Prediction, read_jsonl
from seke.core.shown import shown
from seke.core.vlm import Image, Request, closing

CHUNK: Final = 512
"""Pictures; the same in every release, since a run's chunks are counted by it."""
DRAWS: Final = 5
"""Further answers that say how sure a label is, where `draws` is not set."""
SPLITS: Final = ("train", "validation")
"""What a prepared set holds beside the file that a benchmark tests on."""


class Unlabelled(NamedTuple):
    """Pictures to label."""

    files: tuple[Path, ...]
    """Of their records."""
    inputs: Mapping[str, Path]
    """The files that decide the result, by name."""
    total: int
    """How many these are."""
    chosen: frozenset[str] | None
    """The ids that `limit` leaves; None: all."""
    draws: int
    answers: Mapping[str, Answer] | None
    """By record id, where they were made elsewhere; None: a model is to be asked."""
    others: tuple[Annotator, ...] = ()
    """Runs to hold the labels against."""
    remarks: tuple[str, ...] = ()
    """What a reader of the labels should know, such as what could not be read."""

    def records(self) -> Iterator[ImageRecord]:
        """Yield the records from the disk."""
        return (row for row in _read(self.files) if self.chosen is None or row.id in self.chosen)

    def chunks(self) -> Iterator[list[ImageRecord]]:
        """Yield the records in lists of `CHUNK`."""
        records = self.records()
        while chunk := list(islice(records, CHUNK)):
            yield chunk

    def sample(self, most: int) -> list[ImageRecord]:
        """Return up to so many of the records, spread over all."""
        return list(islice(self.records(), 0, None, max(1, self.total // most)))[:most]


def planned(
    benchmark: Benchmark, outputs: Path, settings: Mapping[str, Any], model: str | None = None
) -> Unlabelled | None:
    """Return the pictures to label, before anything is asked or paid for; None where answers are to be scored.

    Pictures are labelled where no record has a label that the benchmark scores: all of a prepared set if none in it
    has, else those of the file that is tested on. With `label=true` all of the set are, whatever is known of them.

    Args:
        benchmark: whose question is asked.
        outputs: where names of runs are looked up.
        settings: those of conf/evaluate.yaml.
        model: the checkpoint that is asked; None for a model behind an API.

    Raises:
        UserError: for a mistaken setting, a broken file, or an id that occurs twice.
    """
    wanted, draws = settings["label"], settings["draws"]
    if wanted not in (None, True):
        raise UserError("label", wanted, "neither true nor null", "set true to label all records, or null")
    if draws is not None:
        checked_draws(draws)
    found: tuple[Path, ...] = ()
    if benchmark.request is not None and not isinstance(benchmark, Planned):
        reference = str(settings["records"])
        file = runs.locate_records(reference, outputs, benchmark.records_file)
        whole = () if Path(reference).is_file() else tuple(file.with_name(f"{split}.jsonl") for split in SPLITS)
        found = _without_labels(benchmark, file, tuple(path for path in whole if path.is_file()), wanted is True)
    elif wanted:
        raise UserError("label", wanted, "this benchmark does not ask what any picture shows", "use benchmark=feab")
    if not found:
        if draws is not None:
            raise UserError("draws", draws, "these records are scored, not labelled", "set label=true, or leave it out")
        return None
    if settings["groups"]:
        raise UserError("groups", settings["groups"], "new pictures are labelled, not scored", "leave groups= out")
    return _planned(found, outputs, settings, model)


def checked_draws(draws: object) -> int:
    """Return the setting `draws` if it is a number of answers.

    Raises:
        UserError: if it is none.
    """
    if type(draws) is not int or draws < 0:
        raise UserError("draws", draws, "no number of answers", "set 0 or more")
    return draws


def _planned(found: tuple[Path, ...], outputs: Path, settings: Mapping[str, Any], model: str | None) -> Unlabelled:
    most, count = checked(settings["limit"]), _count(found)
    chosen = None if most is None or most >= count else chosen_ids(lambda: _read(found), most, settings["seed"])
    inputs = {"records" if place == 0 else f"records/{file.name}": file for place, file in enumerate(found)}
    others = () if settings["compare"] is None else (located(str(settings["compare"]), outputs),)
    inputs |= {f"compare/{one.name}": one.files[0] for one in others}
    task = Unlabelled(found, inputs, count if chosen is None else len(chosen), chosen, 0, None, others)
    if settings["predictions"] is None:
        draws = DRAWS if settings["draws"] is None else settings["draws"]
        return task._replace(draws=draws, inputs=inputs | (predict.weights(model) if model else {}))
    file = runs.locate("predictions", str(settings["predictions"]), outputs, "evaluate", "predictions.jsonl")
    known, ids = ({row.id for row in rows} for rows in (_read(found), task.records()))
    given = import_predictions.read(file, known, settings["predictions_fields"], ids)
    return task._replace(answers=given.answers, remarks=given.remarks, inputs=inputs | {"predictions": file})


def _without_labels(benchmark: Benchmark, file: Path, others: tuple[Path, ...], wanted: bool) -> tuple[Path, ...]:
    """Return the files whose records are to be labelled; none where they are to be scored, or there are none."""
    every = (*others, file)
    if wanted:
        return every if any(True for _ in _read(every)) else ()
    if _any_truth(benchmark, (file,)):
        return ()
    if not _any_truth(benchmark, others) and any(True for _ in _read(every)):
        return every
    return (file,) if any(True for _ in _read((file,))) else ()


def _any_truth(benchmark: Benchmark, given: Iterable[Path]) -> bool:
    records = _read(given)
    while chunk := list(islice(records, CHUNK)):
        once = {row.id: row for row in chunk}  # what occurs twice is told of later
        rows, _ = predicted(benchmark, list(once.values()), {}, parse)
        if any(not row.truth.empty if isinstance(row.truth, Labels) else row.truth is not None for row in rows):
            return True
    return False


def _count(given: Sequence[Path]) -> int:
    """Return how many records there are; of each id a hash of 8 bytes is held.

    Raises:
        UserError: if an id occurs twice.
    """
    hashes = array("Q", (_hash(row.id) for row in _read(given)))
    values, times = np.unique(np.frombuffer(hashes, dtype=np.uint64), return_counts=True)
    if len(values) < len(hashes):
        twice = set(values[times > 1].tolist())
        id_ = next(row.id for row in _read(given) if _hash(row.id) in twice)
        raise UserError("records", given[0], f"id {id_!r} occurs twice", "give every image its own id")
    return len(hashes)


def _hash(id_: str) -> int:
    return int(sha256(id_.encode(errors="surrogatepass"))[:16], 16)


def _read(given: Iterable[Path]) -> Iterator[ImageRecord]:
    for file in given:
        yield from read_jsonl(file, ImageRecord)


def label(
    task: Unlabelled,
    benchmark: Benchmark,
    judging: Judging,
    vlm: Metered | None,
    root: Path,
    run: Path,
    process: predict.Process,
) -> dict[str, Any] | None:
    """Write the labels of this rank's chunks, then, as the first rank, all files; return facts for the manifest.

    Raises:
        UserError: if nobody answers about the first pictures that are asked about, or about any.

    Args:
        task: as `planned`.
        benchmark: whose question is asked.
        judging: reads labels from answers.
        vlm: who is asked; None where the answers are given.
        root: the folder of the pictures.
        run: the run's directory.
        process: which of the ranks this is; all but the first return None.
    """
    folder = files.folder(run / CHUNKS)
    if process.ranks == 1:
        files.clear_parts(folder)
    count, fresh = 0, True
    bar = tqdm(total=task.total, desc="labels", unit="image")
    with closing(vlm) if vlm else nullcontext(), bar:
        for number, chunk in enumerate(task.chunks()):
            count += 1
            if number % process.ranks == process.rank and not chunk_file(run, number).is_file():
                if vlm is not None:
                    vlm.pause_if_spent()
                made = labelled(chunk, benchmark, judging, vlm, root, task.draws, task.answers)
                if fresh and made.paid.requests:  # a server that is not there need not be asked a million times
                    predict.check_any(made.answers, run.name)
                    fresh = False
                write_chunk(run, number, made)
            bar.update(len(chunk))
    if process.rank > 0:
        return None
    while not all(chunk_file(run, number).is_file() for number in range(count)):
        time.sleep(predict.WAIT_S)  # torchrun ends this process, too, if one of the others fails
    return {**write_tables(run, count, task.draws, task.remarks), **runs.noted(task.files[0], "synthetic")}


def clear(run: Path) -> None:
    """Remove the chunks of a finished run, whose files hold all that is in them."""
    shutil.rmtree(run / CHUNKS, ignore_errors=True)


def labelled(
    records: Sequence[ImageRecord],
    benchmark: Benchmark,
    judging: Judging,
    vlm: Any,
    root: Path,
    draws: int,
    given: Mapping[str, Answer] | None = None,
) -> Labelled:
    """Return the labels of some pictures, with what it has cost to ask `vlm`; the answers may be `given`."""
    paid, drawn = Spent(), dict[str, list[Answer]]()
    if given is None:
        answers, drawn = _asked(records, benchmark, vlm, root, draws, paid)
    else:
        answers = {record.id: given[record.id] for record in records if record.id in given}
    found = reading(records, benchmark, judging, answers, drawn, draws)
    labels, shares = [read.labels for read in found.pictures], [read.confidences for read in found.pictures]
    if given is not None:
        shares = [{**none, **by_column(_confidence(answers, of.id))} for none, of in zip(shares, records, strict=True)]
    rows = [
        of.row.model_copy(update={"confidence": by_description(share)}) if isinstance(of.row, Prediction) else of.row
        for of, share in zip(found.pictures, shares, strict=True)
    ]
    models = {answer.model: answer.simulated for answer in answers.values() if answer.model is not None}
    silent = [f"{answer.id[:80]}: {answer.detail[:200]}" for answer in answers.values() if answer.detail]
    return Labelled(records, rows, labels, shares, paid, models, silent, found.remarks, answers)


class Reading(NamedTuple):
    """What is read from the answers about a picture."""

    row: Any
    """Of predictions.jsonl."""
    labels: Mapping[str, Any]
    """By column (`confidence.stated`)."""
    confidences: Mapping[str, float | None]
    draws: Sequence[Mapping[str, Any]]
    """The labels of each draw."""


class Readings(NamedTuple):
    """What is read from the answers about some pictures, in their order, and what is to be known of the judging."""

    pictures: Sequence[Reading]
    remarks: Sequence[str]


def reading(
    records: Sequence[ImageRecord],
    benchmark: Benchmark,
    judging: Judging,
    answers: Mapping[str, Answer],
    drawn: Mapping[str, Sequence[Answer]],
    draws: int,
) -> Readings:
    """Read the labels from answers, and their confidences from `draws` further answers to each question."""
    judge = ready(judging, {**answers, **{f"{id_}\0{k}": one for id_, of in drawn.items() for k, one in enumerate(of)}})

    def rows(given: Mapping[str, Answer]) -> Sequence[Any]:
        return predicted(benchmark, records, given, judge.read)[0]

    said = rows(answers)
    labels = [stated(row) for row in said]
    of_draws = [[stated(row) for row in rows({id_: of[k] for id_, of in drawn.items()})] for k in range(draws)]
    pictures = []
    for place, row in enumerate(said):
        others = [each[place] for each in of_draws]
        pictures.append(Reading(row, labels[place], agreement(labels[place], others), others))
    return Readings(pictures, judge.remarks)


def questions(image: Image, benchmark: Benchmark, draws: int) -> tuple[Request, ...]:
    """Return the benchmark's question about a picture, and again for so many `draws` at temperature 1, if any."""
    assert benchmark.request is not None, "who labels is asked a question"
    request = benchmark.request(image)
    return (request, replace(request, temperature=1.0, n=draws)) if draws else (request,)


def _asked(
    records: Sequence[ImageRecord], benchmark: Benchmark, vlm: Any, root: Path, draws: int, paid: Spent
) -> tuple[dict[str, Answer], dict[str, list[Answer]]]:
    """Return the answer about each picture, and the further draws; a picture that cannot be read is not sent."""
    answers, drawn = dict[str, Answer](), defaultdict[str, list[Answer]](list)
    sent: list[tuple[str, bool]] = []

    def requests() -> Iterator[Request]:
        for record in records:
            try:
                image = shown(record, root)
            except images.ImageError as error:
                answers[record.id] = Answer(id=record.id, status="unanswered", detail=str(error))
                continue
            for request in questions(image, benchmark, draws):
                sent.append((record.id, request.temperature > 0))
                yield request

    for index, reply in vlm.reply(requests()):
        id_, is_draw = sent[index]
        paid.recalled += int(reply.recalled)
        paid.add(reply)
        if is_draw:
            drawn[id_] = [predict.answer_of(id_, replace(reply, choices=(choice,))) for choice in reply.choices]
        else:
            answers[id_] = predict.answer_of(id_, reply)
    return answers, drawn


def _confidence(answers: Mapping[str, Answer], id_: str) -> Mapping[str, Any]:
    return (answers[id_].confidence if id_ in answers else None) or {}
