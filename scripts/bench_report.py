"""How long a report on a whole dataset takes, how large its page is, and how it behaves in a browser.

    python scripts/bench_report.py                       52,000 records, twice as many as the paper's dataset has
    python scripts/bench_report.py --rows 2000 --keep    fewer; the folder with the page stays
    python scripts/bench_report.py --rows 100000 --no-browser    the files alone, and what it takes to make them

A finished generation and its evaluation are made up on the spot: labels, draws, texts, and a picture of 256 x 256
pixels with a photograph's fine grain for every record (some hundred different ones, linked under as many names as there
are records, so they are read from memory, but each is decoded). The report is written in a process of its own; then
headless Chromium ($CHROMIUM, or the one on the PATH) opens the page from disk, and the page of the predictions.

People are asked to look at some of the records (`review=next`, a tenth of `--looks` at random) before the report is
written, so its gallery has a queue; then their looks are applied and `benchmark=conclusions` is asked.

The obvious alternative is one HTML table with a row for each record, its picture inside it: the same small pictures,
labels and texts, and nothing to filter or review them with.
"""

import html
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any, Final, NamedTuple

import numpy as np
import yaml
from PIL import Image

from bench import ROOT, Target, apart, cost, options, peak, tell
from seke.answers.extract import describe
from seke.core import runs
from seke.core.affect import ACTION_UNITS, AUS_OF_SOURCE, EXPRESSIONS
from seke.core.images import sha256
from seke.core.records import (
    ImageRecord,
    InstructionRecord,
    Labels,
    Origins,
    Prediction,
    Trace,
    Turn,
    Uncertainty,
    read_jsonl,
    write_jsonl,
)
from seke.core.runs import Run
from seke.generation.run import review
from seke.generation.run.queue import ROWS, Wanted, ask
from seke.reporting.page.gallery import GallerySettings
from seke.reporting.render.pictures import data_uri
from seke.reporting.report import Settings, write_report
from seke.sources.synthetic.face_model import draw_face

SOURCES = ("ck_plus", "raf_db", "affectnet", "disfa", "bp4d", "aff_wild2")
PICTURES, SIDE = 256, 256
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
REASONS = "The brows and the corners of the mouth speak for it, and the eyes do not contradict; the gaze is steady."
FILTERS = {
    "source": "1", "expression": "4", "unit": "3", "flag": "0", "origin": "1", "from": "0.2", "order": "falling",
    "search": "brow raiser disfa",
}  # fmt: skip
TIMED = """async ([name, value]) => {
  const filters = document.querySelector(".filters"), field = filters.elements[name];
  const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  await painted();
  const start = performance.now();
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  await painted();
  const took = performance.now() - start;
  field.value = "";
  field.dispatchEvent(new Event("input", { bubbles: true }));
  return took;
}"""
"""Sets one filter and waits until the list it leaves is painted; then clears it."""


SCROLLED = """async () => {
  for (let before = scrollY; scrollY === before;) {
    scrollBy(0, 400);
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  }
}"""
"""Scrolls a plain page and waits until that is painted."""

PATIENCE = 180_000
"""Milliseconds after which a page is given up: the plain one takes minutes, and holds them all in one layout."""
WRITING, MEMORY, OPENING, PAGE, FILTERING = 180.0, 2.0, 3.0, 60.0, 100.0
"""Targets at 52,000 records: seconds of processor time to write, GB, seconds until the page answers a key, its MB, and
ms of the slowest filter."""
QUEUEING, CONCLUDING = 60.0, 120.0
"""Targets at 52,000 records: seconds of processor time to draw a queue, and to conclude."""
WHOLE: Final = 52_000
LOOKS: Final = 2_000
AT_RANDOM: Final = 0.1


class Opened(NamedTuple):
    """How a page opens."""

    seconds: float
    """Until it answers the reader."""
    processor: float
    """Seconds of the browser's work until then, in all its processes: what the clock would say on an idle machine."""
    megabytes: float
    """That the browser's process of this page then holds."""
    answered: bool
    """Whether it answered within `PATIENCE`; if not, the rest is what it had taken by then."""


def make(outputs: Path, rows: int) -> None:
    """Write prepare/bench and the finished generation bench-seke."""
    chance = Random(rows)
    prepared, generated = outputs / "prepare" / "bench", outputs / "generate" / "bench-seke"
    generated.mkdir(parents=True)
    digests = pictures(prepared / "images", rows)
    truths = [face(number, digests[number % PICTURES], chance) for number in range(rows)]
    write_jsonl(prepared / "truth.jsonl", truths)
    write_jsonl(prepared / "train.jsonl", (row.model_copy(update={"labels": given(row)}) for row in truths))
    finish(prepared, {"source": "synthetic"}, image_root="images")
    made = [instruction(row, chance) for row in truths]
    write_jsonl(generated / "instructions.jsonl", (row for row, _ in made))
    write_jsonl(generated / "draws.jsonl", (trace for _, trace in made))
    write_jsonl(generated / "rejected.jsonl", ())
    rule = {"_target_": "seke.generation.seke.stopping.uamc"}
    finish(generated, {"records": "bench", "generator": {"max_samples": 5}, "stopping": rule})
    evaluated = outputs / "evaluate" / "bench-labels-seke"
    evaluated.mkdir(parents=True)
    scored = [prediction(truth, row) for truth, (row, _) in zip(truths, made, strict=True)]
    write_jsonl(evaluated / "predictions.jsonl", scored)
    right = sum(row.labels.expression == row.truth.expression for row in scored) / rows
    metrics = {"n": rows, "expression": {"accuracy": right, "n": rows}, "ci95": {}}
    (evaluated / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    finish(evaluated, {"records": str(prepared / "truth.jsonl")}, scores="labels")


def pictures(folder: Path, rows: int) -> list[str]:
    """Write `PICTURES` pictures of colours with 1/f noise, and link every record's name to one; return their sha256."""
    folder.mkdir(parents=True)
    digests = []
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None])
    frequency[0, 0] = 1
    for number in range(rows):
        if number < PICTURES:
            noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=(SIDE, SIDE))) / frequency).real
            pixels = rng.uniform(60, 190, 3) + 40 * (noise / noise.std())[..., None]
            out = io.BytesIO()
            Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(out, "JPEG", quality=90)
            (folder / f"{number:05d}.jpg").write_bytes(out.getvalue())
            digests.append(sha256(out.getvalue()))
        else:
            os.link(folder / f"{number % PICTURES:05d}.jpg", folder / f"{number:05d}.jpg")
    return digests


def face(number: int, digest: str, chance: Random) -> ImageRecord:
    """Return one face with all its labels."""
    source = SOURCES[number % len(SOURCES)]
    return ImageRecord(
        id=f"{source}-{number:05d}", image=f"{number:05d}.jpg", sha256=digest, source=source,
        subject=f"{source}-s{number // 60}", split="train", labels=draw_face(chance).labels,
    )  # fmt: skip


def given(record: ImageRecord) -> Labels:
    """Return what the record's source annotates."""
    if record.source in AUS_OF_SOURCE:
        return Labels(action_units={au: (record.labels.action_units or {})[au] for au in AUS_OF_SOURCE[record.source]})
    return Labels(expression=record.labels.expression)


def instruction(record: ImageRecord, chance: Random) -> tuple[InstructionRecord, Trace]:
    """Return what an annotator might have made of a record: two to five draws, and the first of them kept."""
    manual, truth = given(record), record.labels
    draws = tuple(_guess(truth, chance) for _ in range(chance.choice((2, 2, 3, 3, 4, 5))))
    final = manual.completed_by(draws[0])
    level = round(chance.random() ** 3, 6)
    scalars = {
        name: "manual" if getattr(manual, name) is not None else "generated"
        for name in ("expression", "valence", "arousal")
    }
    known = manual.action_units or {}
    units = {str(au): "manual" if au in known else "generated" for au in ACTION_UNITS}
    row = InstructionRecord(
        id=record.id, image=record.image, source=record.source, subject=record.subject,
        conversations=(
            Turn(speaker="human", value="<image>\nHow does the person in the image feel, and which muscles show it?"),
            Turn(speaker="gpt", value=f"{describe(final, digits=2)} {REASONS}"),
        ),
        labels=final, origin=Origins.model_validate({**scalars, "action_units": units}),
        uncertainty=Uncertainty(expression=level, valence=level, arousal=level, action_units=level, max=level),
        samples=len(draws), annotator="simulated-annotator", sha256=record.sha256,
        flags=("summary_drift",) if chance.random() < 0.1 else (),
    )  # fmt: skip
    trace = Trace(
        id=record.id, prior=manual, draws=draws, summary=final, requests=2, input_tokens=1500, output_tokens=120
    )
    return row, trace


def prediction(truth: ImageRecord, row: InstructionRecord) -> Prediction:
    """Return the labels of an instruction as what is scored."""
    return Prediction(
        id=row.id, source=row.source, subject=row.subject, text=row.conversations[1].value, judged=None,
        labels=row.labels, truth=truth.labels, status="ok",
    )  # fmt: skip


def plain(outputs: Path, path: Path) -> None:
    """Write the obvious alternative: a table of all records with their pictures."""
    rows = read_jsonl(outputs / "generate" / "bench-seke" / "instructions.jsonl", InstructionRecord)
    draws = {row.id: row.draws for row in read_jsonl(outputs / "generate" / "bench-seke" / "draws.jsonl", Trace)}
    small = sorted((outputs / "report" / "bench" / "pictures").rglob("*.webp"))
    with path.open("w", encoding="utf-8") as out:
        out.write("<!DOCTYPE html><meta charset=utf-8><title>Records</title><table>")
        for row, picture in zip(rows, small, strict=True):
            said = [
                row.id,
                row.source,
                row.subject,
                row.annotator,
                row.conversations[1].value,
                describe(row.labels, digits=2),
            ]
            said += [describe(draw, digits=2) for draw in draws[row.id]]
            cells = "".join(f"<td>{html.escape(str(cell))}" for cell in said)
            out.write(f'<tr><td><img width=96 height=96 src="{data_uri(picture.read_bytes())}">{cells}')


def _guess(truth: Labels, chance: Random) -> Labels:
    return Labels(
        expression=truth.expression if chance.random() < 0.8 else chance.choice(EXPRESSIONS),
        valence=round(_inside(chance.gauss(truth.valence or 0.0, 0.15)), 2),
        arousal=round(_inside(chance.gauss(truth.arousal or 0.0, 0.15)), 2),
        action_units={au: active != (chance.random() < 0.1) for au, active in (truth.action_units or {}).items()},
    )


def _inside(value: float) -> float:
    return max(-1.0, min(1.0, value))


def finish(folder: Path, config: dict[str, Any], **facts: Any) -> None:
    """Write a manifest as a command does."""
    Run(folder, {"seed": 0, "name": folder.name, **config}, {}).finish(**facts)


def queue(outputs: Path, looks: int) -> tuple[float, float]:
    """Ask people to look at so many of the records; return processor seconds, and peak GB."""
    took = cost(lambda: ask(outputs, "bench-seke", Wanted(n=looks, audit=AT_RANDOM)))
    return took.processor, peak() / 1024**3


def looked(outputs: Path) -> None:
    """Apply what people said about the queue: the truth where a description is wrong."""
    folder, truth_file = outputs / "generate" / "bench-seke", outputs / "prepare" / "bench" / "truth.jsonl"
    with (folder / ROWS).open(encoding="utf-8") as lines:
        asked = {json.loads(line)["id"] for line in lines}
    truth = {row.id: row.labels for row in read_jsonl(truth_file, ImageRecord) if row.id in asked}
    said = [
        {"id": row.id, "decision": "correct", "labels": truth[row.id].model_dump(mode="json")}
        for row in read_jsonl(folder / "instructions.jsonl", InstructionRecord)
        if row.id in asked
    ]
    file = outputs / "review.json"
    about = {"name": folder.name, "manifest": runs.file_sha256(folder / runs.MANIFEST)}
    file.write_text(json.dumps({"run": about, "decisions": said}), encoding="utf-8")
    review.apply(str(file), outputs, "bench-looked")


def conclude(outputs: Path) -> tuple[float, float]:
    """Run `benchmark=conclusions` as a user does; return processor seconds, and peak GB."""
    records = outputs / "prepare" / "bench" / "train.jsonl"
    settings = ("benchmark=conclusions", f"records={records}", "predictions=bench-looked", "name=bench-says")
    command = [sys.executable, str(ROOT / "evaluate.py"), *settings, f"paths.outputs={outputs}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024**2


def report(outputs: Path) -> tuple[float, float, float]:
    """Write the report of conf/report.yaml; return its seconds, processor seconds of all processes, and peak GB.

    On idle cores the clock shows the processor time divided by their number.
    """
    conf = yaml.safe_load((ROOT / "conf" / "report.yaml").read_text(encoding="utf-8"))
    settings = Settings(
        wording=conf["wording"], focus=conf["focus"], ceiling=conf["ceiling"], cases_run=conf["cases"]["run"],
        cases_count=conf["cases"]["count"], commands=conf["commands"], baselines=conf["baselines"],
        gallery=GallerySettings(**conf["gallery"]),
    )  # fmt: skip
    seen, done = [0.0], Event()
    watcher = Thread(target=watch, args=(seen, done))
    watcher.start()
    try:
        seconds = cost(lambda: write_report(outputs, "bench", None, settings)).seconds
    finally:
        done.set()
        watcher.join()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return seconds, sum(each.ru_utime + each.ru_stime for each in used), max(seen)


def watch(seen: list[float], done: Event) -> None:
    """Append the gigabytes that this process and its children hold, ten times a second, until `done`."""
    pid = os.getpid()
    while not done.wait(0.1):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        seen.append(sum(map(resident, [str(pid), *children])))


def resident(pid: str) -> float:
    """Return the gigabytes that a process holds; none where it has just ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * resource.getpagesize() / 1024**3


def gallery(page: Any) -> None:
    """Wait until the report's page answers a key."""
    page.locator("#gallery .row").first.wait_for()
    page.keyboard.press("j")
    page.locator("#gallery .row[aria-posinset='2'][aria-selected=true]").wait_for()


def listed(page: Any) -> None:
    """Wait until the page of predictions answers a key."""
    page.locator(".predictions .row").first.wait_for()
    page.keyboard.press("j")
    page.locator(".predictions .row[aria-posinset='2'][aria-selected=true]").wait_for()


def scrolled(page: Any) -> None:
    """Wait until a plain page scrolls: what stands in it is there once it is read."""
    page.wait_for_load_state("load")
    page.evaluate(SCROLLED)


def browse(pages: dict[Path, Any]) -> tuple[list[Opened], dict[str, float]]:
    """Open each page and wait for it; return how that went, and milliseconds of each filter of the first."""
    from playwright.sync_api import TimeoutError as NoAnswer
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)))
    opened: list[Opened] = []
    filters: dict[str, float] = {}
    with sync_playwright() as started:
        for file, ready in pages.items():
            browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(PATIENCE)
            start, before = time.perf_counter(), worked()
            page.goto(file.as_uri(), wait_until="commit")
            try:
                ready(page)
                answered = True
            except NoAnswer:
                answered = False
            opened.append(Opened(time.perf_counter() - start, worked() - before, renderer(), answered))
            if not filters:
                page.wait_for_load_state("load")
                filters = {name: page.evaluate(TIMED, [name, value]) for name, value in FILTERS.items()}
            browser.close()
    return opened, filters


def browsers() -> dict[str, bytes]:
    """Return the command lines of all processes of a browser below this one, by their numbers."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"chrom" in line.partition(b"\0")[0] and os.getpid() in ancestors(process.name):
            found[process.name] = line
    return found


def worked() -> float:
    """Return the processor seconds that the browser's processes have used so far."""
    ticks = 0
    for pid in browsers():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def renderer() -> float:
    """Return the megabytes of the largest process of a browser that draws a page."""
    drawing = (resident(pid) * 1024 for pid, line in browsers().items() if b"--type=renderer" in line)
    return max(drawing, default=0.0)


def ancestors(pid: str) -> list[int]:
    """Return the processes from which one descends."""
    found = []
    while pid not in ("", "0"):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            break
        pid = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:"))
        found.append(int(pid))
    return found


def main() -> int:
    """Measure and tell; return the exit code."""
    parser = options(__doc__, rounds=None)
    parser.add_argument("--rows", type=int, default=52_000, help="number of records")
    parser.add_argument("--looks", type=int, default=LOOKS, help="records that people are asked to look at")
    parser.add_argument("--no-browser", action="store_true", help="do not open the pages")
    parser.add_argument("--keep", action="store_true", help="leave the folder with the page")
    asked = parser.parse_args()
    outputs, share = Path(tempfile.mkdtemp(prefix="bench_report_")), max(1.0, asked.rows / WHOLE)
    try:
        make(outputs, asked.rows)
        queueing, held = apart(queue, outputs, asked.looks)
        seconds, processor, gigabytes = apart(report, outputs)
        apart(looked, outputs)
        concluding, concluded_gb = apart(conclude, outputs)
        written = [
            Target("seconds of processor time to draw a queue", queueing, most=QUEUEING * share),
            Target("peak memory of that, GB", held, most=MEMORY * share),
            Target("seconds of processor time to write the report", processor, most=WRITING * share),
            Target("peak memory of all its processes, GB", gigabytes, most=MEMORY * share),
            Target("seconds of processor time of benchmark=conclusions", concluding, most=CONCLUDING * share),
            Target("peak memory of that, GB", concluded_gb, most=MEMORY * share),
        ]
        folder = outputs / "report" / "bench"
        page, predictions, alternative = (
            folder / "index.html",
            folder / "predictions/bench-labels-seke.html",
            outputs / "plain.html",
        )
        if asked.no_browser:
            about = f"{asked.rows:,} records, {asked.looks:,} in the queue; written in {seconds:.1f} s"
            size = [["MB of the page", page.stat().st_size / 1e6]]
            return tell(about, ["of the gallery", "ours"], size, written)
        plain(outputs, alternative)
        sizes = [file.stat().st_size / 1e6 for file in (page, alternative, predictions)]
        (ours, counted, theirs), filters = browse({page: gallery, predictions: listed, alternative: scrolled})
    finally:
        if not asked.keep:
            shutil.rmtree(outputs)
    if asked.keep:
        print(page)
    targets = [
        *written,
        Target("seconds until the page answers a key", ours.seconds, most=OPENING),
        Target("MB of the page", sizes[0], most=PAGE),
        Target("seconds until the predictions answer a key", counted.seconds, most=OPENING),
        Target("MB of the predictions", sizes[2], most=PAGE),
        Target("ms of the slowest filter", max(filters.values()), most=FILTERING),
    ]
    about = f"{asked.rows:,} records; written in {seconds:.1f} s; filters: " + ", ".join(
        f"{name} {took:.0f} ms" for name, took in filters.items()
    )
    if not theirs.answered:
        about += "; the one table had not answered when it was given up, so its figures and ratios are the least"
    rows = [
        ["MB of the page", sizes[0], sizes[1], sizes[1] / sizes[0], sizes[2]],
        ["seconds until it answers", ours.seconds, theirs.seconds, theirs.seconds / ours.seconds, counted.seconds],
        ["of the processor", ours.processor, theirs.processor, theirs.processor / ours.processor, counted.processor],
        ["MB in the browser", ours.megabytes, theirs.megabytes, theirs.megabytes / ours.megabytes, counted.megabytes],
    ]
    return tell(about, ["of the gallery", "ours", "one table", "ratio", "predictions"], rows, targets)


if __name__ == "__main__":
    raise SystemExit(main())
