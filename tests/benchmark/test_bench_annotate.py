"""The cost comparison: what its meter bills, and that it runs from a prepared set to its verdicts."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from seke.core.records import ImageRecord, write_jsonl
from seke.core.vlm import Choice, Message, Reply, Request, Usage
from seke.generation.calibration.patterns import only
from seke.sources.synthetic.face_model import draw_face

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


class Echo:
    """Answers every request with a fixed usage."""

    def reply(self, requests):
        for index, request in enumerate(requests):
            yield index, Reply(tuple(Choice("{}") for _ in range(request.n)), "echo", Usage(100, 7 * request.n))


def test_the_meter_bills_a_prompt_once_or_with_every_answer(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from bench_annotate import Metered

    meter = Metered(Echo())
    message = Message("user", ("hello",))
    replies = list(meter.reply([Request((message,), n=3), Request((message,), n=1)]))
    assert [len(reply.choices) for _, reply in replies] == [3, 1]
    assert meter.together == (2, 200, 28)
    assert meter.apart == (4, 400, 28)


def prepared(folder: Path, known) -> Path:
    """Write 320 faces of 160 people, of which a record carries the descriptions that `known(number)` names."""
    rng, truth, train = Random(0), [], []
    for number in range(320):
        labels = draw_face(rng).labels
        record = ImageRecord(
            id=f"r{number}", image="x.png", sha256=f"{number:064x}", source="x", subject=f"s{number // 2}",
            split="train", labels=labels,
        )  # fmt: skip
        truth.append(record)
        train.append(record.model_copy(update={"labels": only(labels, known(number))}))
    write_jsonl(folder / "truth.jsonl", truth)
    write_jsonl(folder / "train.jsonl", train)
    return folder


def compare(folder: Path):
    return subprocess.run([sys.executable, SCRIPTS / "bench_annotate.py", folder], capture_output=True, text=True)


@pytest.mark.slow
def test_it_compares_all_ways_on_the_same_records(tmp_path: Path) -> None:
    """On records as data sets have them: some with AUs alone, some with expression and V/A, some with everything."""
    sources = (["au"], ["expression", "va"], ["expression", "au"], ["expression", "va", "au"])
    done = compare(prepared(tmp_path, lambda number: sources[number // 2 % 4]))
    assert done.returncode == 0, done.stderr
    ways = [line for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert len(ways) == 11
    assert "| 100.0% |" in ways[0]
    assert "Ours minus random at our budget, calibrated:" in done.stdout


@pytest.mark.slow
def test_records_that_cannot_teach_what_is_asked_are_one_line(tmp_path: Path) -> None:
    done = compare(prepared(tmp_path, lambda _: ["expression", "au"]))
    assert done.returncode == 2
    assert done.stderr.startswith("error: generator.pilot=400: only 0 images with human labels could serve as pilot: ")
    assert done.stderr.count("\n") == 1
    assert not done.stdout
