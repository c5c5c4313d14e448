"""benchmark=ferbench: their rule as their program applies it, ours beside it, and why they differ.

tests/data/ferbench_answers.jsonl holds made-up answers and what eval_total/code/eval_unifer.py (zfkarl/UniFER at
08c2ed6) read from each; OVERALL is what it printed of all, every ninth noted as an error of the model.
"""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import parse
from seke.benchmark.tasks.ferbench import SYNONYMS, FERBench, FERBenchPrediction, their_label, their_scores
from seke.core.class_words import NAMES
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels
from seke.core.vlm import Image

from ...trees.ferbench import PROMPT, SETS

ROWS: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).resolve().parents[2] / "data" / "ferbench_answers.jsonl").read_text().splitlines()
]
CANDIDATES = {form.split("/")[1]: words.split() for form, words in SETS.values()}
OVERALL = {"accuracy": 0.08169014084507042, "f1_macro": 0.07727802055969403, "n": 355, "dropped": 45}


def record(number: int, of_set: str, label: str) -> ImageRecord:
    candidates = CANDIDATES[of_set]
    told = {"set": of_set, "question": PROMPT.format(", ".join(candidates)), "candidates": candidates}
    return ImageRecord(
        id=f"q{number}", image="a.png", sha256=f"{number:064x}", source="ferbench", subject=None, split="test",
        labels=Labels(expression=NAMES[label]), attributes={**told, "true_label": label},
    )  # fmt: skip


def predictions(rows: list[dict[str, Any]], failed: bool = False) -> list[FERBenchPrediction]:
    records = [record(n, row["set"], row["true_label"]) for n, row in enumerate(rows)]
    answers = {
        f"q{n}": Answer(id=f"q{n}", status="invalid", detail="ERROR: out of memory")
        if failed and n % 9 == 0
        else Answer(id=f"q{n}", text=row["text"])
        for n, row in enumerate(rows)
    }
    return FERBench().predictions(records, answers, parse)[0]


def test_every_recorded_answer_is_read_as_their_program_reads_it_against_its_record() -> None:
    assert len(ROWS) == 400
    read = [their_label(row["text"], CANDIDATES[row["set"]], row["set"]) for row in ROWS]
    assert read == [row["theirs"] for row in ROWS]


def test_their_scores_are_those_that_their_program_printed_against_its_record() -> None:
    found = their_scores(predictions(ROWS, failed=True))
    assert {name: found[name] for name in OVERALL} == pytest.approx(OVERALL)


def test_macro_f1_of_theirs_against_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    kept = [(row.truth, row.theirs) for row in predictions(ROWS) if row.theirs is not None]
    truth, said = zip(*kept, strict=True)
    found = their_scores(predictions(ROWS))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, said))
    assert found["f1_macro"] == pytest.approx(metrics.f1_score(truth, said, average="macro", zero_division=0))


@pytest.mark.parametrize(
    ("text", "ours", "theirs", "why"),
    [
        ("<answer>not sad, happy</answer>", None, "happiness", "they read a label, ours none"),
        ("<answer>unhappy, so sad</answer>", "sadness", "happiness", "part of a word, denied or not"),
        ("<answer>not angry but sad</answer>", "sadness", "anger", "part of a word, denied or not"),
        ("<think>It may be angry.</think>Sad.", "sadness", "anger", "out of the reasoning"),
        ("<think>angry?</think><answer>I cannot tell</answer>", None, "anger", "they read a label, ours none"),
        ("<answer>mournful sadness</answer>", "sadness", "sadness", None),
    ],
)
def test_where_theirs_is_wrong_is_listed_with_the_reason(
    text: str, ours: str | None, theirs: str, why: str | None
) -> None:
    [row] = predictions([{"set": "SFEW-2.0", "true_label": "sad", "text": text}])
    assert (row.named, row.theirs) == (ours, theirs)
    metrics = FERBench().metrics([row], 0)
    reasons = [reason for *_, reason in metrics["differences"]]
    assert len(reasons) == (why is not None)
    assert all(why is not None and why in reason for reason in reasons)


def test_what_failed_stays_in_our_denominator_and_leaves_theirs(tmp_path: Path) -> None:
    right = {"set": "RAF-DB", "true_label": "fear", "text": "<answer>fear</answer>"}
    rows = predictions([right] * 10, failed=True)
    metrics = FERBench().metrics(rows, 0)
    assert metrics["class"]["accuracy"] == 0.8
    assert (metrics["theirs"]["accuracy"], metrics["theirs"]["n"], metrics["theirs"]["dropped"]) == (1.0, 8, 2)
    assert "Theirs leaves out 2 answers" in FERBench().table("x", metrics, [])
    FERBench().write(tmp_path, metrics)
    listed = list(csv.DictReader((tmp_path / "differences.csv").open()))
    assert [row["why"] for row in listed] == ["left out of their denominator"] * 2


def test_every_record_is_asked_its_published_question_whatever_else_its_picture_stands_under() -> None:
    records = [record(n, of_set, "fear") for n, of_set in enumerate(SYNONYMS)]
    benchmark = FERBench()
    assert benchmark.plan(records, Path(), {}) == records
    for one in records:
        request = benchmark.ask(one, Image(Path("a.png"), str(one.sha256)))
        assert request.text == one.attributes["question"]
        assert (request.temperature, request.max_tokens) == (0.0, 1024)
    with pytest.raises(UserError, match=r"no attributes.question; prepare them by source=ferbench"):
        benchmark.plan([records[0].model_copy(update={"attributes": {}})], Path(), {})
    same = records[1].model_copy(update={"id": "q9", "sha256": records[0].sha256})
    assert [
        benchmark.ask(row, Image(Path("a.png"), "0" * 64)).text
        for row in benchmark.plan([records[0], same], Path(), {})
    ] == [
        records[0].attributes["question"],
        records[1].attributes["question"],
    ]
