"""How long a report on a whole dataset takes, how much memory, and how the page behaves in a browser.

    python scripts/bench_report.py                       26,238 records, as many as the paper's dataset has
    python scripts/bench_report.py --rows 2000 --keep    fewer; the folder with the page stays

A finished generation is made up on the spot: labels, draws, texts, and a picture of 256 x 256 pixels with a
photograph's fine grain for every record (some hundred different ones, linked under as many names as there are
records, so they are read from memory, but each is decoded). The report is written in a process of its own; then
headless Chromium ($CHROMIUM, or the one on the PATH) opens the page from disk.
"""

import io
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any

import numpy as np
import yaml
from PIL import Image

from bench import ROOT, Target, apart, cost, options, tell
from seke.answers.extract import describe
from seke.core.affect import ACTION_UNITS, AUS_OF_SOURCE, EXPRESSIONS
from seke.core.records import ImageRecord, InstructionRecord, Labels, Origins, Trace, Turn, Uncertainty, write_jsonl
from seke.core.runs import Run
from seke.reporting.page.gallery import GallerySettings
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


WRITING, MEMORY, OPENING, FILTERING = 60.0, 2.0, 2.0, 100.0
"""Targets: seconds to write, GB, seconds until the page answers a key, and ms of the slowest filter."""


def make(outputs: Path, rows: int) -> None:
    """Write prepare/bench and the finished generation bench-seke."""
    chance = Random(rows)
    prepared, generated = outputs / "prepare" / "bench", outputs / "generate" / "bench-seke"
    generated.mkdir(parents=True)
    pictures(prepared / "images", rows)
    truths = [face(number, chance) for number in range(rows)]
    write_jsonl(prepared / "truth.jsonl", truths)
    write_jsonl(prepared / "train.jsonl", (row.model_copy(update={"labels": given(row)}) for row in truths))
    finish(prepared, {"source": "synthetic"}, image_root="images")
    made = [instruction(row, chance) for row in truths]
    write_jsonl(generated / "instructions.jsonl", (row for row, _ in made))
    write_jsonl(generated / "draws.jsonl", (trace for _, trace in made))
    write_jsonl(generated / "rejected.jsonl", ())
    finish(generated, {"records": "bench", "generator": {"max_samples": 5}, "stopping": "uamc"})


def pictures(folder: Path, rows: int) -> None:
    """Write `PICTURES` pictures of colours with 1/f noise, and link every record's name to one of them."""
    folder.mkdir(parents=True)
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
        else:
            os.link(folder / f"{number % PICTURES:05d}.jpg", folder / f"{number:05d}.jpg")


def face(number: int, chance: Random) -> ImageRecord:
    """Return one face with all its labels."""
    source = SOURCES[number % len(SOURCES)]
    return ImageRecord(
        id=f"{source}-{number:05d}", image=f"{number:05d}.jpg", sha256="0" * 64, source=source,
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
        samples=len(draws), annotator="simulated-annotator", flags=("summary_drift",) if chance.random() < 0.1 else (),
    )  # fmt: skip
    trace = Trace(
        id=record.id, prior=manual, draws=draws, summary=final, requests=2, input_tokens=1500, output_tokens=120
    )
    return row, trace


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


def report(outputs: Path) -> tuple[float, float, float]:
    """Write the report of conf/report.yaml; return its seconds, processor seconds of all processes, and peak GB.

    On idle cores the clock shows the processor time divided by their number.
    """
    conf = yaml.safe_load((ROOT / "conf" / "report.yaml").read_text(encoding="utf-8"))
    settings = Settings(
        wording=conf["wording"], focus=conf["focus"], ceiling=conf["ceiling"], cases_run=conf["cases"]["run"],
        cases_count=conf["cases"]["count"], commands=conf["commands"], gallery=GallerySettings(**conf["gallery"]),
    )  # fmt: skip
    seen, done = [0.0], Event()
    watcher = Thread(target=watch, args=(seen, done))
    watcher.start()
    seconds = cost(lambda: write_report(outputs, "bench", None, settings)).seconds
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


def browse(page_file: Path) -> tuple[float, dict[str, float]]:
    """Open the page; return seconds until it answers a key, and milliseconds of each filter."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)))
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        start = time.perf_counter()
        page.goto(page_file.as_uri(), wait_until="commit")
        page.locator("#gallery .row").first.wait_for()
        page.keyboard.press("j")
        page.locator("#gallery .row[aria-posinset='2'][aria-selected=true]").wait_for()
        seconds = time.perf_counter() - start
        page.wait_for_load_state("load")
        filters = {name: page.evaluate(TIMED, [name, value]) for name, value in FILTERS.items()}
        browser.close()
    return seconds, filters


def main() -> int:
    """Measure and tell; return the exit code."""
    parser = options(__doc__, rounds=None)
    parser.add_argument("--rows", type=int, default=26_238, help="number of records")
    parser.add_argument("--keep", action="store_true", help="leave the folder with the page")
    asked = parser.parse_args()
    outputs = Path(tempfile.mkdtemp(prefix="bench_report_"))
    try:
        make(outputs, asked.rows)
        seconds, processor, gigabytes = apart(report, outputs)
        page = outputs / "report" / "bench" / "index.html"
        size = page.stat().st_size / 1e6
        opening, filters = browse(page)
    finally:
        if not asked.keep:
            shutil.rmtree(outputs)
    if asked.keep:
        print(page)
    targets = [
        Target("seconds to write the report", seconds, most=WRITING),
        Target("peak memory of all its processes, GB", gigabytes, most=MEMORY),
        Target("seconds until the page answers a key", opening, most=OPENING),
        Target("ms of the slowest filter", max(filters.values()), most=FILTERING),
    ]
    about = f"{asked.rows:,} records; page of {size:.1f} MB, {processor:.1f} s of processor time"
    return tell(about, ["filter", "ms"], [[name, took] for name, took in filters.items()], targets)


if __name__ == "__main__":
    raise SystemExit(main())
