"""A generation from a file of records to instructions.jsonl, rejected.jsonl and draws.jsonl, chunk by chunk.

select -> plan -> learn -> annotate: [ an engine works through the chunks -> journal ] -> result files, pages
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Generator as Stream
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from seke.core import files, images
from seke.core.budget import Metered, Spent
from seke.core.errors import UserError
from seke.core.escape import shortened
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
)
from seke.core.shown import in_clip
from seke.core.vlm import Image, Screened, layers
from seke.generation import statistics, text_diversity
from seke.generation.emovit.captioners import through
from seke.generation.outcome import Face, Generator, OfVideos, Outcome, completed, planned
from seke.generation.run import journal, review, update, worker_ledgers
from seke.generation.run.unanswered import unanswered
from seke.generation.seke.stopping import Floored

Log = Callable[[Mapping[str, Any]], None]
DECLINED = ("refusal", "filtered", "truncated", "invalid", "incomplete")
"""Why the annotator gave no labels; another one may."""
FEW = 16
"""Records that may all be declined by chance."""


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
    pool: Sequence[ImageRecord] = ()
    """All that there is to learn from, where an update works on a part; empty: `records`."""


class Chunk(NamedTuple):
    """What has become of some records that follow each other."""

    outcomes: list[Outcome]
    seconds: float


Engine = Callable[[Work, int], Stream[Chunk]]
"""Works through the records from that number on; yields chunks in the records' order."""


class Summary(NamedTuple):
    """How a finished generation went."""

    instructions: int
    reasons: dict[str, int]
    """Why the others are rejected, the commonest reason first."""
    flags: dict[str, int]
    """How many instructions carry each flag."""
    cost: dict[str, Any]
    """The content of cost.json."""
    kinds: statistics.Counts
    """How many instructions there are of each kind and class; empty unless a generator plans for these."""
    diversity: text_diversity.ByKind
    """Of questions and answers by kind; empty as `kinds` is."""
    floor: float | None
    """E[S] where the draws never disagree; None where nobody knows."""
    update: dict[str, Any] = {}  # noqa: RUF012
    """What an update has taken over, asked and lost; empty where there was none."""

    @property
    def rejected(self) -> int:
        """How many records became no instruction."""
        return sum(self.reasons.values())

    @property
    def facts(self) -> dict[str, Any]:
        """What the manifest says of it."""
        counts = {"records": self.cost["records"], "instructions": self.instructions, "rejected": self.rejected}
        kinds = {"kinds": self.kinds} if self.kinds else {}
        texts = {kind: {part: of._asdict() for part, of in each.items()} for kind, each in self.diversity.items()}
        return {
            "counts": counts,
            "flags": self.flags,
            "floor": self.floor,
            **self.update,
            **kinds,
            **({"diversity": texts} if texts else {}),
        }

    @property
    def line(self) -> str:
        """The last line that the command prints."""
        spent = Spent(usd=self.cost["usd"], usd_at_most=self.cost["usd_at_most"])
        usd = f", {spent.dollars()}" if spent.usd_at_most else ""
        draws = f"{self.cost['mean_samples']:.2f} draws a record"
        kinds = "".join(f", {sum(classes.values())} {kind}" for kind, classes in self.kinds.items())
        why = f" ({', '.join(f'{number} {reason}' for reason, number in self.reasons.items())})" if self.reasons else ""
        return f"{self.instructions} instructions, {self.rejected} rejected{why}{kinds}, {draws}{usd}"

    @property
    def warnings(self) -> list[str]:
        """What the user should know about the annotator."""
        blind = self.flags.get("blind")
        return (
            [f"warning: the simulated annotator could not see {blind} images; it guessed (it sees drawn ones)"]
            if blind
            else []
        )


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
    records: list[ImageRecord],
    image_root: Path,
    generator: Generator,
    folder: Path,
    chunk: int,
    fallback: Generator | None = None,
    meter: Metered | None = None,
    log: Log | None = None,
    engine: Engine | None = None,
    before: Path | None = None,
) -> Summary:
    """Work through `records`, going on where `folder` shows that an earlier run ended, and write the result files.

    A generator that plans works through what it makes of them.
    `fallback` gets the records that `generator` was refused an answer for; `meter` tells what that has cost, which
    the progress bar shows and `log` gets after each chunk. `engine` says who works; None: this process. `before` is
    the finished run that this one updates: what of it still holds is taken over, and nobody is asked about it.

    Raises:
        Paused: when the meter's budget is spent; what is done so far is kept.
    """
    if chunk < 1:
        raise UserError("chunk", chunk, "a chunk holds at least one record", "set 1 or more")
    connect(generator, fallback, meter)
    worker_ledgers.recover(folder, meter)
    journal.take_over_blocks(folder)
    records = planned(generator, records)
    if before is not None and not update.is_under_way(folder):
        print(update.begin(folder, before, records).line)
    asked = update.left(folder, records)
    done = journal.resume(folder, asked)
    if done < len(asked) or not update.is_under_way(folder):
        generator.learn(records, opener(image_root), folder)
    work = Work(asked, image_root, generator, fallback, meter, folder, chunk, records)
    annotate(work, done, engine or local, log)
    said = update.corrections(folder, asked)
    amend = (lambda row: review.corrected(row, said[row.id]) if row.id in said else row) if said else None
    results = journal.finish(folder, [record.id for record in records], amend)
    update.note(folder, records)
    grown = update.facts(folder)
    files.write_text(folder / "unanswered.md", unanswered(records, results.rejected))
    kinds = statistics.counted(records, results.rejected)
    diversity: text_diversity.ByKind = {}
    if page := statistics.page(records, results.rejected):
        diversity = text_diversity.of_instructions(read_jsonl(folder / "instructions.jsonl", InstructionRecord))
        files.write_text(folder / "statistics.md", page + text_diversity.page(diversity))
    floor = generator.floor if isinstance(generator, Floored) else None
    reasons = dict(Counter(results.rejected.values()).most_common())
    counts = (results.instructions, reasons, results.flags, results.cost)
    return Summary(*counts, kinds, diversity, floor, grown)


def check_any(done: Summary, folder: Path, records: str) -> None:
    """Refuse to call a run finished that brought no instruction at all; its result files stay.

    Raises:
        UserError: naming the commonest reason, how often it stands in rejected.jsonl, and the first that it is of.
    """
    if done.instructions:
        return
    file, (reason, count) = folder / "rejected.jsonl", next(iter(done.reasons.items()))
    first = next(row for row in read_jsonl(file, Rejection) if row.reason == reason)
    example = f"{first.id}: {shortened(first.detail, 200)}"
    problem = f"no record became an instruction ({count} of {done.rejected} {reason}, such as {example})"
    raise UserError("records", records, problem, f"see {file}; overwrite=true does it again")


def connect(generator: Generator, fallback: Generator | None, meter: Metered | None) -> None:
    """Have the captioners metered, and tell the fallback's annotator that it may well decline all that it gets."""
    for layer in layers(fallback):
        if isinstance(layer, Screened):
            layer.usable.last_resort = True
    if meter is not None:
        for each in (generator, fallback):
            through(each, meter.other)


def annotate(work: Work, done: int, engine: Engine, log: Log | None = None) -> None:
    """Append to the journal, where `done` records are finished, what is missing there, chunk by chunk."""
    total, meter = len(work.records), work.meter
    with (
        files.journal(work.folder / journal.PROGRESS) as file,
        closing(engine(work, done)) as chunks,
        # Drawn late, so that what a run says or fails of in its first moment has its own line.
        tqdm(total=total, initial=done, unit=" records", desc="generate", mininterval=0.5, delay=0.5) as bar,
    ):
        for chunk, seconds in chunks:
            if done == 0 and len(chunk) < total:
                _check_first(chunk)
            journal.append(file, chunk, seconds / len(chunk))
            done += len(chunk)
            if meter is not None:
                bar.set_postfix_str(meter.spent.line(), refresh=False)
            bar.update(len(chunk))
            if log is not None:
                rejected = sum(isinstance(outcome.row, Rejection) for outcome in chunk)
                log({"records": done, "rejected_in_chunk": rejected, **(meter.spent.row() if meter else {})})


def _check_first(outcomes: list[Outcome]) -> None:
    """Refuse to pay on where the first chunk brought nothing.

    Raises:
        UserError: if the annotator gave labels to none of `FEW` records or more.
    """
    declined = [outcome.row for outcome in outcomes if isinstance(outcome.row, Rejection) and _declined(outcome)]
    if len(declined) < FEW or any(isinstance(outcome.row, InstructionRecord) for outcome in outcomes):
        return
    counts = ", ".join(f"{number} {reason}" for reason, number in Counter(row.reason for row in declined).most_common())
    raise UserError(
        "chunk",
        len(outcomes),
        f"the first records brought no instruction ({counts}; the last: {declined[-1].detail})",
        "choose another backend.model, or name a second one with +backend@fallback; what was answered is kept",
    )


def local(work: Work, done: int) -> Stream[Chunk]:
    """Work through the records in this process."""
    whole_videos = isinstance(work.generator, OfVideos) and work.generator.whole_videos
    for start, begin, end in spans(work.records, done, work.chunk, whole_videos):
        if work.meter is not None:
            work.meter.pause_if_spent()
        began = time.perf_counter()
        batch = work.records[start:end]
        chunk = list(outcomes(batch, work.image_root, work.generator, work.fallback))[begin - start :]
        yield Chunk(chunk, time.perf_counter() - began)


def spans(
    records: Sequence[ImageRecord], done: int, chunk: int, whole_videos: bool = False
) -> Iterator[tuple[int, int, int]]:
    """Yield where each chunk starts, from where on it is new, and where it ends: `chunk` records after the last one.

    With `whole_videos` a chunk goes on to the end of its last video, and one that a stop has cut is begun anew.
    """

    def inside(place: int) -> bool:
        """Return whether the records before and at a place are frames of one video."""
        if not whole_videos or not 0 < place < len(records):
            return False
        before, here = records[place - 1], records[place]
        videos = [(row.source, row.clip.video) for row in (before, here) if row.clip is not None]
        return len(videos) == 2 and videos[0] == videos[1]

    start = begin = done
    while inside(start):
        start -= 1
    while begin < len(records):
        end = min(begin + chunk, len(records))
        while inside(end):
            end += 1
        yield start, begin, end
        start = begin = end


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


def opener(image_root: Path) -> Callable[[ImageRecord], Face | None]:
    """Return what opens a record's face, and gives None where its image cannot be read."""

    def opened(record: ImageRecord) -> Face | None:
        face = _open(record, image_root)
        return face if isinstance(face, Face) else None

    return opened


def _open(record: ImageRecord, root: Path) -> Face | Outcome:
    try:
        opened = images.open_record(record, root)
        image = in_clip(Image(opened.path, opened.sha256, opened.face), record, root)
    except images.ImageError as error:
        rejection = Rejection(id=record.id, reason="image", detail=str(error))
        nothing = Trace(
            id=record.id, prior=Labels(), draws=(), summary=None, requests=0, input_tokens=0, output_tokens=0
        )
        return Outcome(rejection, nothing, Spent())
    return Face(record, image)
