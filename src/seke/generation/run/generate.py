"""From a file of records to instructions.jsonl, rejected.jsonl and draws.jsonl, durably.

Each finished chunk is appended to progress.jsonl and synced to the disk before the next one is asked, in the records'
order. An interrupted run goes on after the last whole row; the result is byte for byte that of an uninterrupted one.
"""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Generator as Stream
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from tqdm import tqdm

from seke.core import files, images
from seke.core.budget import Metered, Spent
from seke.core.errors import UserError
from seke.core.files import write_text
from seke.core.ledger import Ledger
from seke.core.limit import checked, limited
from seke.core.records import (
    ImageRecord,
    InstructionRecord,
    Labels,
    RecordError,
    Rejection,
    Split,
    Trace,
    read_jsonl,
    to_line,
)
from seke.core.vlm import Image, Screened, layers
from seke.generation import statistics
from seke.generation.calibration.pilot import COST as PILOT_COST
from seke.generation.emovit.captioners import through
from seke.generation.outcome import Face, Generator, Outcome, completed, planned
from seke.generation.run.unanswered import unanswered
from seke.generation.run.worker_ledgers import LEDGERS, gather, ledger_of
from seke.generation.seke.stopping import Floored

Log = Callable[[Mapping[str, Any]], None]
PROGRESS = "progress.jsonl"
BLOCKS = "blocks"
"""Where engine=ray of version 0.2 and before kept what it had finished out of order."""
DECLINED = ("refusal", "filtered", "truncated", "invalid", "incomplete")
"""Why the annotator gave no labels; another one may."""
FEW = 16
"""Records that may all be declined by chance."""
COUNTED = ("requests", "samples", "input_tokens", "output_tokens")


class Work(NamedTuple):
    """What an engine is to do, and with whom."""

    records: list[ImageRecord]
    image_root: Path
    generator: Generator
    """Has learnt what it needs."""
    fallback: Generator | None
    meter: Metered | None
    folder: Path
    """The run's."""
    chunk: int
    """How many records are worked on together."""


class Chunk(NamedTuple):
    """What has become of some records that follow each other."""

    outcomes: list[Outcome]
    seconds: float


Engine = Callable[[Work, int], Stream[Chunk]]
"""Works through the records from that number on; yields chunks in the records' order."""


class Summary(NamedTuple):
    """How a finished generation went."""

    instructions: int
    rejected: int
    flags: dict[str, int]
    """How many instructions carry each flag."""
    cost: dict[str, Any]
    """The content of cost.json."""
    kinds: statistics.Counts | None = None
    """How many instructions there are of each kind and class, where a generator plans for these."""
    floor: float | None = None
    """E[S] where the draws never disagree; None where nobody knows."""

    @property
    def facts(self) -> dict[str, Any]:
        """What the manifest says of it."""
        counts = {"records": self.cost["records"], "instructions": self.instructions, "rejected": self.rejected}
        kinds = {"kinds": self.kinds} if self.kinds else {}
        return {"counts": counts, "flags": self.flags, "floor": self.floor, **kinds}

    @property
    def line(self) -> str:
        """The last line that the door prints."""
        spent = Spent(usd=self.cost["usd"], usd_at_most=self.cost["usd_at_most"])
        usd = f", {spent.dollars()}" if spent.usd_at_most else ""
        draws = f"{self.cost['mean_samples']:.2f} draws a record"
        kinds = "".join(f", {sum(classes.values())} {kind}" for kind, classes in (self.kinds or {}).items())
        return f"{self.instructions} instructions, {self.rejected} rejected{kinds}, {draws}{usd}"

    @property
    def warnings(self) -> list[str]:
        """What the user should know about the annotator."""
        blind = self.flags.get("blind")
        return [f"warning: the simulated annotator could not see {blind} images; it guessed"] if blind else []


def select(
    path: Path, split: Split | None, limit: int | None, complete: bool = False, seed: int = 0
) -> list[ImageRecord]:
    """Read the records to work on, in the file's order; `complete`: those alone with all three descriptions.

    `limit` keeps so many of these, as everywhere (`seke.core.limit`).

    Raises:
        UserError: for a setting out of range, no records at all, or an id that occurs twice.
    """
    if split not in (None, "train", "validation", "test"):
        raise UserError("split", split, "no such split", "set train, validation, test or null")
    most = checked(limit)
    rows = (record for record in read_jsonl(path, ImageRecord) if split in (None, record.split))
    if complete:
        rows = (record for record in rows if record.labels.described)
    records = list(rows)
    if not records:
        wanted = (f" of split {split}" if split else "") + (" with all three descriptions" if complete else "")
        raise UserError("records", path, f"holds no records{wanted}", "choose other records")
    twice, count = Counter(record.id for record in records).most_common(1)[0]
    if count > 1:
        raise RecordError(path, f"id {twice} occurs {count} times")
    return limited(records, most, seed)


def generate(
    records: list[ImageRecord], image_root: Path, generator: Generator, folder: Path, chunk: int,
    fallback: Generator | None = None, meter: Metered | None = None, log: Log | None = None,
    engine: Engine | None = None,
) -> Summary:  # fmt: skip
    """Work through `records`, going on where `folder` shows that an earlier run ended, and write the result files.

    A generator that plans works through what it makes of them.
    `fallback` gets the records that `generator` was refused an answer for; `meter` tells what that has cost, which
    the progress bar shows and `log` gets after each chunk. `engine` says who works; None: this process.

    Raises:
        Paused: when the meter's budget is spent; what is done so far is kept.
    """
    if chunk < 1:
        raise UserError("chunk", chunk, "a chunk holds at least one record", "set 1 or more")
    connect(generator, fallback, meter)
    take_over(folder, meter)
    records = planned(generator, records)
    _check_goes_on(folder, records)
    generator.learn(records, opener(image_root), folder)
    annotate(Work(records, image_root, generator, fallback, meter, folder, chunk), engine or local, log)
    summary = finish(folder / PROGRESS, folder)
    reasons = {row.id: row.reason for row in read_jsonl(folder / "rejected.jsonl", Rejection)}
    write_text(folder / "unanswered.md", unanswered(records, reasons))
    if page := statistics.page(records, reasons):
        write_text(folder / "statistics.md", page)
    floor = generator.floor if isinstance(generator, Floored) else None
    return summary._replace(kinds=statistics.counted(records, reasons), floor=floor)


def connect(generator: Generator, fallback: Generator | None, meter: Metered | None) -> None:
    """Have the captioners metered, and the fallback's annotator know that it is the last resort."""
    _as_last_resort(fallback)
    if meter is not None:
        for each in (generator, fallback):
            through(each, meter.other)


def take_over(folder: Path, meter: Metered | None) -> None:
    """Take in what workers left behind when a run with engine=ray was killed, whoever goes on with it now.

    Of finished blocks, which earlier versions kept, those after a gap are worked on again, by replies from the ledger.
    """
    if (folder / LEDGERS).is_dir() and (ledger := ledger_of(meter)) is not None:
        with Ledger(ledger) as trunk:
            gather(trunk, folder / LEDGERS)
    done = whole_rows(folder / PROGRESS)
    for path in sorted((folder / BLOCKS).glob("*.jsonl")):
        first, lines = int(path.stem), path.read_bytes().splitlines()
        if first > done:
            break
        with files.journal(folder / PROGRESS) as file:
            files.append(file, (line.decode() for line in lines[done - first :]))
        done = max(done, first + len(lines))
    shutil.rmtree(folder / BLOCKS, ignore_errors=True)


def annotate(work: Work, engine: Engine, log: Log | None = None) -> None:
    """Append to progress.jsonl what is missing there, chunk by chunk as `engine` hands it over."""
    total, meter = len(work.records), work.meter
    done = whole_rows(work.folder / PROGRESS)
    with (
        files.journal(work.folder / PROGRESS) as file,
        closing(engine(work, done)) as chunks,
        # Drawn late, so that what a run says or fails of in its first moment has its own line.
        tqdm(total=total, initial=done, unit=" records", desc="generate", mininterval=0.5, delay=0.5) as bar,
    ):
        for found, seconds in chunks:
            if done == 0 and len(found) < total:
                _check_first(found)
            append(file, found, seconds / len(found))
            done += len(found)
            if meter is not None:
                bar.set_postfix_str(meter.spent.line(), refresh=False)
            bar.update(len(found))
            if log is not None:
                rejected = sum(isinstance(outcome.row, Rejection) for outcome in found)
                log({"records": done, "rejected_in_chunk": rejected, **(meter.spent.row() if meter else {})})


def local(work: Work, done: int) -> Stream[Chunk]:
    """Work through the records in this process."""
    for start in range(done, len(work.records), work.chunk):
        if work.meter is not None:
            work.meter.pause_if_spent()
        began = time.perf_counter()
        batch = work.records[start : start + work.chunk]
        found = list(outcomes(batch, work.image_root, work.generator, work.fallback))
        yield Chunk(found, time.perf_counter() - began)


def _check_goes_on(folder: Path, records: list[ImageRecord]) -> None:
    """Refuse to go on with other records than those that the run was begun with: some would be missing, or be twice.

    Raises:
        UserError: as versions of this program choose differently by the same settings, such as `limit`.
    """
    progress = folder / PROGRESS
    lines = files.whole_lines(progress) if progress.is_file() else ()
    for line, record in zip(lines, records, strict=False):
        try:
            begun = json.loads(json.loads(line)["trace"])["id"]
        except ValueError:
            return  # damaged: it will be cut off, with all that follow
        if begun != record.id:
            problem = f"{progress} was begun with other records: {begun} where {record.id} is due"
            raise UserError("name", folder.name, problem, "choose another name= or say overwrite=true")


def _check_first(found: list[Outcome]) -> None:
    """Refuse to pay on where the first chunk brought nothing.

    Raises:
        UserError: if the annotator gave labels to none of `FEW` records or more.
    """
    declined = [outcome.row for outcome in found if isinstance(outcome.row, Rejection) and _declined(outcome)]
    if len(declined) < FEW or any(isinstance(outcome.row, InstructionRecord) for outcome in found):
        return
    counts = ", ".join(f"{number} {reason}" for reason, number in Counter(row.reason for row in declined).most_common())
    raise UserError(
        "chunk", len(found), f"the first records brought no instruction ({counts}; the last: {declined[-1].detail})",
        "choose another backend.model, or name a second one with +backend@fallback; what was answered is kept",
    )  # fmt: skip


def _as_last_resort(fallback: Generator | None) -> None:
    """Tell a fallback's annotator that it gets what another one declined, and may well decline all of it."""
    for layer in layers(fallback):
        if isinstance(layer, Screened):
            layer.usable.last_resort = True


def opener(image_root: Path) -> Callable[[ImageRecord], Face | None]:
    """Return what opens a record's face, and gives None where its image cannot be read."""

    def opened(record: ImageRecord) -> Face | None:
        face = _open(record, image_root)
        return face if isinstance(face, Face) else None

    return opened


def outcomes(
    batch: list[ImageRecord], image_root: Path, generator: Generator, fallback: Generator | None
) -> Iterator[Outcome]:
    """Yield one outcome per record, in order; a record whose image cannot be read is asked of nobody."""
    opened = [_open(record, image_root) for record in batch]
    faces = [face for face in opened if isinstance(face, Face)]
    answered = completed(generator, faces)
    if fallback is not None:
        declined = [place for place, outcome in enumerate(answered) if _declined(outcome)]
        for place, outcome in zip(declined, completed(fallback, [faces[place] for place in declined]), strict=True):
            answered[place] = outcome.after(answered[place])
    rest = iter(answered)
    for face in opened:
        yield next(rest) if isinstance(face, Face) else face


def _declined(outcome: Outcome) -> bool:
    return isinstance(outcome.row, Rejection) and outcome.row.reason in DECLINED


def _open(record: ImageRecord, root: Path) -> Face | Outcome:
    try:
        opened = images.open_record(record, root)
    except images.ImageError as error:
        rejection = Rejection(id=record.id, reason="image", detail=str(error))
        nothing = Trace(
            id=record.id, prior=Labels(), draws=(), summary=None, requests=0, input_tokens=0, output_tokens=0
        )
        return Outcome(rejection, nothing, Spent())
    return Face(record, Image(opened.path, opened.sha256, opened.face))


def append(file: TextIO, outcomes: Iterable[Outcome], seconds: float) -> None:
    """Write one line per outcome, its rows as text so that they reach the result files unchanged; sync the disk."""
    lines = (
        {
            "file": "instructions" if isinstance(outcome.row, InstructionRecord) else "rejected",
            "row": to_line(outcome.row),
            "trace": to_line(outcome.trace),
            "samples": len(outcome.trace.draws),
            "requests": outcome.trace.requests,
            "input_tokens": outcome.trace.input_tokens,
            "output_tokens": outcome.trace.output_tokens,
            "cost": outcome.cost.numbers(),
            "seconds": round(seconds, 6),
            "flags": outcome.row.flags if isinstance(outcome.row, InstructionRecord) else (),
        }
        for outcome in outcomes
    )
    files.append(file, (json.dumps(line, ensure_ascii=False) for line in lines))


def whole_rows(progress: Path) -> int:
    """Return how many rows a former run completed, after cutting off what a crash left half written."""
    return files.cut_torn(progress, json.loads)


def finish(progress: Path, folder: Path) -> Summary:
    """Write the result files from the progress file; each appears whole or not at all."""
    rows: dict[str, list[str]] = {"instructions": [], "rejected": [], "draws": []}
    flags: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    seconds, spent = 0.0, Spent()
    with progress.open(encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            rows[line["file"]].append(line["row"])
            rows["draws"].append(line["trace"])
            flags.update(line["flags"])
            sums.update({name: line[name] for name in COUNTED})
            seconds += line["seconds"]
            spent.plus(_cost(line))
    for name, texts in rows.items():
        write_text(folder / f"{name}.jsonl", "".join(text + "\n" for text in texts))
    cost = {
        "records": len(rows["draws"]),
        "rejected": len(rows["rejected"]),
        **{name: sums[name] for name in COUNTED},
        "mean_samples": sums["samples"] / len(rows["draws"]),
        **{name: number for name, number in spent.facts().items() if name not in (*COUNTED, "recalled")},
        "seconds": round(seconds, 3),
    }
    pilot = folder / PILOT_COST
    if pilot.is_file():
        cost["pilot"] = json.loads(pilot.read_text(encoding="utf-8"))
    write_text(folder / "cost.json", json.dumps(cost, indent=2) + "\n")
    return Summary(len(rows["instructions"]), len(rows["rejected"]), dict(sorted(flags.items())), cost)


def _cost(line: Mapping[str, Any]) -> Spent:
    """Return what a row of progress.jsonl cost; those of earlier versions of the program know of no bound."""
    if "cost" in line:
        return Spent(**line["cost"])
    calls, into, out, usd = (line[name] for name in ("requests", "input_tokens", "output_tokens", "usd"))
    return Spent(calls, calls, into, out, into + out, usd, usd)
