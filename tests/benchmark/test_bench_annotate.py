"""The cost comparison: what its meter bills, and that it runs from a prepared set to its verdicts."""

import subprocess
import sys
from pathlib import Path

import pytest

from seke.core.affect import ACTION_UNITS
from seke.core.records import ImageRecord, Labels, write_jsonl
from seke.core.vlm import Choice, Message, Reply, Request, Usage

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
NAMES = ("happiness", "anger", "surprise", "neutral")


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


@pytest.mark.slow
def test_it_compares_all_ways_on_the_same_records(tmp_path: Path) -> None:
    rows = []
    for number in range(160):
        units = {au: (number + au) % 4 == 0 for au in ACTION_UNITS}
        truth = Labels(
            expression=NAMES[number % 4], valence=number % 9 / 5 - 0.8, arousal=number % 6 / 5, action_units=units
        )
        rows.append(
            ImageRecord(
                id=f"r{number}", image="x.png", sha256=f"{number:064x}", source="x", subject=f"s{number // 2}",
                split="train", labels=truth,
            )
        )  # fmt: skip
    write_jsonl(tmp_path / "truth.jsonl", rows)
    partly = [Labels(expression=row.labels.expression, action_units=row.labels.action_units) for row in rows]
    write_jsonl(
        tmp_path / "train.jsonl",
        [row.model_copy(update={"labels": labels}) for row, labels in zip(rows, partly, strict=True)],
    )
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "bench_annotate.py"), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    ways = [line for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert len(ways) == 11
    assert "| 100.0% |" in ways[0]
    assert "Ours minus random at our budget, calibrated:" in done.stdout
