"""A reviewer's day: a paper's table, its system's published answers, and the question whether the numbers compare."""

import csv
import importlib.metadata
import json
import re
import shutil
from random import Random

import pytest
import yaml

from seke.benchmark.scoring.tables import paper
from seke.core.affect import EXPRESSIONS
from seke.core.records import ImageRecord, read_jsonl
from seke.core.runs import file_sha256

from ..conftest import ROOT
from ..trees import feid_raw
from .terminal import Terminal

UNANSWERED = 6
"""Pictures that the published file leaves out."""


def answer(record: ImageRecord, dice: Random, skill: float) -> tuple[str, str]:
    """Return the expression that a system names, and its answer; each label is right in about `skill` of the cases."""
    truth = record.labels
    word = truth.expression if truth.expression and dice.random() < skill else dice.choice(EXPRESSIONS)
    numbers = [
        value if value is not None and dice.random() < skill else round(dice.uniform(-1, 1), 2)
        for value in (truth.valence, truth.arousal)
    ]
    units = (truth.action_units or {}).items()
    named = [f"AU{au}" for au, on in units if (on if dice.random() < skill else dice.random() < 0.3)]
    active = ", ".join(named) or "none"
    return word, f"The expression is {word}. Valence is {numbers[0]} and arousal is {numbers[1]}. Active AUs: {active}."


@pytest.fixture
def day(tmp_path, cli):
    """The reviewer's own draw of the six datasets, and the answers of two systems to it."""
    feid_raw.make(tmp_path / "data")
    day = Terminal(cli, tmp_path / "outputs")
    day.data = tmp_path / "data"
    day("prepare", "source=feid_raw", f"paths.data={day.data}", "name=raw")
    day.records = list(read_jsonl(day.outputs / "prepare" / "raw" / "test.jsonl", ImageRecord))
    dice = Random(0)
    answers = [answer(record, dice, 0.8) for record in day.records]
    day.right = sum(
        word == record.labels.expression
        for (word, _), record in list(zip(answers, day.records, strict=True))[:-UNANSWERED]
        if record.labels.expression
    )
    day.published = tmp_path / "published.csv"
    with day.published.open("w", encoding="utf-8", newline="") as file:
        rows = [(record.id, text) for record, (_, text) in zip(day.records, answers, strict=True)]
        csv.writer(file).writerows([("file", "response"), *rows[:-UNANSWERED]])
    day.rival = tmp_path / "rival.jsonl"
    lines = [json.dumps({"id": record.id, "text": answer(record, dice, 0.4)[1]}) for record in day.records]
    day.rival.write_text("\n".join(lines))
    day.release = tmp_path / "feab.sha256"
    return day


FIELDS = "predictions_fields={id: file, text: response}"


@pytest.mark.slow
def test_a_reviewer_holds_published_answers_against_a_table(day) -> None:
    unmapped = day("evaluate", "records=raw", f"predictions={day.published}", "name=review-paper", code=2)
    assert "has the columns file, response, not id and text" in unmapped and "predictions_fields=" in unmapped
    day("evaluate", "records=raw", "system=constant", "name=review-constant")
    shutil.rmtree(day.data)  # whoever scores what others have answered needs no pictures
    day("evaluate", "records=raw", f"predictions={day.rival}", "name=review-rival")
    mine = ("evaluate", "records=raw", f"predictions={day.published}", FIELDS)
    said = day(*mine, "name=review-paper", "compare=review-rival")
    assert f"{UNANSWERED} of {len(day.records)} records have no prediction: unanswered" in said
    assert f"note: own draw of {len(day.records)} images, not known to be the released FEAB" in said

    metrics = json.loads(day.read("evaluate", "review-paper", "metrics.json"))
    of_truth = sum(record.labels.expression is not None for record in day.records)
    assert metrics["expression"]["accuracy"] == pytest.approx(day.right / of_truth)  # no answer is a wrong one
    assert metrics["unanswered"]["expression"] == UNANSWERED
    assert 0.7 < metrics["valence"]["coverage"] < 0.8
    low, high = metrics["ci95"]["expression"]["accuracy"]
    assert low < metrics["expression"]["accuracy"] < high

    table = day.read("evaluate", "review-paper", "table.md")
    for row in paper("table2.csv"):
        [line] = [line for line in table.splitlines() if line.startswith(f"| {row['method']} |")]
        assert [float(cell.strip("* ")) for cell in line.split("|")[2:-1]] == [
            float(cell) for name, cell in row.items() if name != "method"
        ]
    assert "| review-paper † |" in table and "† Not comparable with the paper's rows: own draw of" in table
    assert re.search(r"0\.\d{3} \(n = 7\d %; over all 0\.\d{3}\)", table)

    comparison = json.loads(day.read("evaluate", "review-paper", "comparison.json"))
    for row in comparison["metrics"]:
        span = 1 if row["task"] in ("expression", "action_units") else 2
        assert row["ci95"] is None or all(-span <= end <= span for end in row["ci95"]), row
    told = day.read("evaluate", "review-paper", "comparison.md")
    assert "p, Holm" in told and "McNemar, expression" in told and "Paired bootstrap over subjects" in told


@pytest.mark.slow
def test_numbers_are_comparable_on_the_releases_images_only(day) -> None:
    mine = ("evaluate", "records=raw", f"predictions={day.published}", FIELDS, f"benchmark.release={day.release}")
    lines = [f"{record.sha256}  ./FEAB/{number}.jpg" for number, record in enumerate(day.records)]
    day.release.write_text("\n".join(lines[3:]))
    assert f"not the released FEAB: 0 of the release's {len(lines) - 3} images are missing, 3 are others" in day(
        *mine, "name=others"
    )
    day.release.write_text("\n".join(lines))
    assert f"the {len(lines)} images of the list in benchmark.release, not the paper's 3035" in day(*mine, "name=same")


@pytest.mark.slow
def test_the_report_says_what_was_held_against_what_and_the_program_how_to_cite_it(day) -> None:
    day("evaluate", "records=raw", f"predictions={day.published}", FIELDS, "name=review-paper")
    day("report", "name=review")
    page = day.outputs / "report" / "review" / "index.html"
    assert "evaluate.py system=constant beside a model" in page.read_text(encoding="utf-8")
    day("evaluate", "records=raw", "system=constant", "name=review-constant")
    said = day("report", "name=review")
    assert "no finished run for" not in said, "nobody has promised the demo's runs"
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8")))
    gain = r"\(\+[\d.]+ points, 95 % \+[\d.]+ to \+[\d.]+\)"
    assert re.search(rf"review-paper is better than the best answer that never looks in expression {gain}", text)
    assert f"predictions {file_sha256(day.published)[:12]}" in text and "commit " in text and "Python 3." in text
    assert "Own draw of the test images, not known to be the released FEAB." in text

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert citation["preferred-citation"]["title"] in readme
    assert f"arXiv preprint {citation['preferred-citation']['identifiers'][0]['value']}" in readme
    assert str(citation["version"]) == importlib.metadata.version("seke")
