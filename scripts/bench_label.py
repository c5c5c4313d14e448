"""How much memory labelling new pictures takes, by how many there are. Exit code 1: it grows with them.

    python scripts/bench_label.py                                    10,000 and 100,000 pictures; minutes
    python scripts/bench_label.py --pictures 10000 1000000           a million; most of an hour on two busy cores

ours    what `python evaluate.py records=new` does from records to predictions.jsonl, labels.csv and labels.xlsx, with a
        model that answers at once, in a process of its own; every picture is read and its sha256 compared
naive   the same with all records, answers and rows in lists, up to --naive pictures; no labels.xlsx

All records show one of three small picture files. Peaks are of the whole process, its libraries included.
"""

import csv
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image as Picture

from bench import Target, apart, cost, options, peak, tell
from seke.core.images import sha256

GROWTH = 1.25
"""Times the memory that ten times the pictures, or a hundred times, may take."""


def main() -> int:
    """Measure each number of pictures, and tell."""
    parser = options(__doc__, rounds=None)
    parser.add_argument("--pictures", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--naive", type=int, default=100_000, help="most pictures of the naive way")
    asked = parser.parse_args()
    rows: list[list[object]] = []
    for count in asked.pictures:
        for way in ("ours", "naive") if count <= asked.naive else ("ours",):
            seconds, held, size = apart(measured, count, way)
            rows.append([f"{way}, {count:,} pictures", held / 1e6, count / seconds, size / 1e6])
            print(f"{rows[-1][0]}: {held / 1e6:,.0f} MB", file=sys.stderr)
    ours = [row for row in rows if str(row[0]).startswith("ours")]
    targets = [
        Target(f"times the memory of {ours[0][0]}: {row[0]}", float(str(row[1])) / float(str(ours[0][1])), most=GROWTH)
        for row in ours[1:]
    ]
    return tell("label", ["way", "peak MB", "pictures/s", "MB of tables"], rows, targets)


def measured(count: int, way: str) -> tuple[float, float, int]:
    """Return seconds, the most memory held, and the bytes of what was written."""
    with TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        outputs = Path(folder)
        prepared(outputs / "prepare" / "new", count)
        said, sys.stdout, sys.stderr = (sys.stdout, sys.stderr), nowhere, nowhere
        try:
            taken = cost(lambda: (ours if way == "ours" else naive)(outputs))
        finally:
            sys.stdout, sys.stderr = said
        size = sum(path.stat().st_size for path in (outputs / "evaluate" / "new").iterdir() if path.is_file())
    return taken.seconds, peak(), size


def prepared(folder: Path, count: int) -> None:
    """Write the records of so many pictures that nobody has labelled."""
    images = folder / "images"
    images.mkdir(parents=True)
    for number in range(3):
        Picture.new("RGB", (16, 16), (number * 40, 0, 0)).save(images / f"{number}.png")
    digests = [sha256((images / f"{number}.png").read_bytes()) for number in range(3)]
    with (folder / "train.jsonl").open("w") as out:
        for number in range(count):
            row = {"id": f"face-{number:07d}", "image": f"{number % 3}.png", "sha256": digests[number % 3],
                   "source": "folder", "subject": None, "split": "train", "labels": {}, "attributes": {}}  # fmt: skip
            out.write(json.dumps(row) + "\n")
    (folder / "test.jsonl").write_text("")
    (folder / "manifest.json").write_text(json.dumps({"image_root": "images"}))


class AtOnce:
    """A model that answers at once, every tenth picture otherwise."""

    def reply(self, requests):  # noqa: ANN001, ANN201  (VLM's)
        """Yield (index, reply) in order."""
        from seke.answers.extract import describe
        from seke.core.affect import ACTION_UNITS
        from seke.core.records import Labels
        from seke.core.vlm import Choice, Reply

        units = {au: au < 5 for au in ACTION_UNITS}
        said = (Labels(expression=name, valence=-0.5, arousal=0.5, action_units=units) for name in ("fear", "anger"))
        texts = list(map(describe, said))
        for index, request in enumerate(requests):
            yield index, Reply((Choice(texts[index % 10 == 0]),) * request.n, "at-once-1", cost=0.0)


def ours(outputs: Path) -> None:
    """Label the pictures as the command does, each with one further answer."""
    from seke.benchmark.judging.judge import Parse
    from seke.benchmark.run import labelling, predict
    from seke.benchmark.tasks.feab import Feab
    from seke.core.budget import Metered

    benchmark = Feab("What emotion does this face show?")
    asked = {"records": "new", "label": None, "draws": 1, "predictions": None, "predictions_fields": None,
             "compare": None, "groups": [], "limit": None, "seed": 0}  # fmt: skip
    task = labelling.planned(benchmark, outputs, asked)
    run = outputs / "evaluate" / "new"
    run.mkdir(parents=True)
    root = outputs / "prepare" / "new" / "images"
    assert task is not None
    labelling.label(task, benchmark, Parse(), Metered(AtOnce()), root, run, predict.Process())
    labelling.clear(run)


def naive(outputs: Path) -> None:
    """Label the pictures with everything in lists."""
    from dataclasses import replace

    from seke.answers.extract import extract
    from seke.benchmark.tasks.feab import Feab
    from seke.core import images
    from seke.core.records import ImageRecord, Prediction, read_jsonl, write_jsonl
    from seke.core.vlm import Image, Request

    benchmark, root = Feab("What emotion does this face show?"), outputs / "prepare" / "new" / "images"
    records = list(read_jsonl(outputs / "prepare" / "new" / "train.jsonl", ImageRecord))

    def requests() -> Iterator[Request]:
        for record in records:
            request = benchmark.request(Image(*images.unchanged(record, root)))
            yield from (request, replace(request, temperature=1.0))

    replies = [reply for _, reply in AtOnce().reply(requests())]
    rows = [
        Prediction(
            id=record.id, source=record.source, subject=None, text=replies[2 * place].choices[0].text, judged=None,
            labels=extract(replies[2 * place].choices[0].text), truth=record.labels, status="ok",
        )
        for place, record in enumerate(records)
    ]  # fmt: skip
    sure = [extract(replies[2 * place + 1].choices[0].text) == row.labels for place, row in enumerate(rows)]
    run = outputs / "evaluate" / "new"
    run.mkdir(parents=True)
    write_jsonl(run / "predictions.jsonl", rows)
    with (run / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerows(
            [
                row.id,
                row.labels.expression,
                row.labels.valence,
                row.labels.arousal,
                *row.labels.active,
                agrees,
                row.text,
            ]
            for row, agrees in zip(rows, sure, strict=True)
        )


if __name__ == "__main__":
    sys.exit(main())
