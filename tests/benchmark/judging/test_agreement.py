"""Two judges' readings of the same answers, compared label by label."""

import os
import subprocess
from pathlib import Path

import pytest

from seke.benchmark.judging.agreement import agreement, main, table
from seke.core.errors import UserError
from seke.core.records import Labels, Prediction, write_jsonl

ROOT = Path(__file__).resolve().parents[3]


def rows(*labels: Labels, text: str = "said") -> list[Prediction]:
    return [
        Prediction(
            id=f"r{number}", source="x", subject=None, text=text, judged=None, labels=said, truth=Labels(), status="ok"
        )
        for number, said in enumerate(labels)
    ]


RULES = rows(
    Labels(expression="fear", valence=0.5, action_units={1: True, 2: False}),
    Labels(expression="fear"),
    Labels(valence=0.1),
    Labels(),
)
LLM = rows(
    Labels(expression="fear", valence=0.504, action_units={1: True}),
    Labels(expression="anger"),
    Labels(),
    Labels(valence=0.2),
)


def test_each_label_is_the_same_different_or_read_by_one_judge_only() -> None:
    found = {row.task: row[1:5] for row in agreement(RULES, LLM)}
    assert found == {
        "expression": (3, 1, 0, 0),
        "active action units": (4, 0, 0, 0),
        "valence": (2, 0, 1, 1),
        "arousal": (4, 0, 0, 0),
    }


def test_the_order_of_rows_does_not_matter() -> None:
    assert [row[:5] for row in agreement(RULES, LLM[::-1])] == [row[:5] for row in agreement(RULES, LLM)]


def test_the_table_shows_what_they_differ_on() -> None:
    text = table(agreement(RULES, LLM), ("rules", "llm"))
    assert "| expression | 75.0 | 3 | 1 | 0 | 0 |" in text
    assert "| r1 | fear | anger | said |" in text
    assert "| r2 | 0.1 | None | said |" in text
    assert "## arousal" not in text


def test_readings_of_other_answers_are_not_compared() -> None:
    for other in (RULES[:3], rows(*[row.labels for row in LLM], text="other")):
        with pytest.raises(UserError, match="not readings of the same answers"):
            agreement(RULES, other)


def test_two_runs_are_compared_on_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, found in (("rules", RULES), ("llm", LLM)):
        (tmp_path / name).mkdir()
        write_jsonl(tmp_path / name / "predictions.jsonl", found)
    main([str(tmp_path / "rules"), str(tmp_path / "llm")])
    assert (tmp_path / "llm" / "agreement.md").read_text() in capsys.readouterr().out


def test_what_is_set_for_the_judge_reaches_the_llm_alone_and_all_else_both(tmp_path: Path) -> None:
    log = tmp_path / "log"
    (tmp_path / "python").write_text(f'#!/bin/sh\necho "$*" >> {log}\n')
    (tmp_path / "python").chmod(0o755)
    judges = ("backend@judge_backend=vllm", "judge_backend.model=m")
    words = ("run=cont", "allow_overlap=true", *judges, "limit=9", "outputs=o")
    subprocess.run(
        ["bash", str(ROOT / "scripts" / "judge_agreement.sh"), *words],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=True,
    )
    common = "evaluate.py -m experiment=judge_agreement run=cont judge={} records=demo allow_overlap=true limit=9{}"
    assert log.read_text().splitlines() == [
        common.format("parse", " paths.outputs=o"),
        common.format("llm", f" {' '.join(judges)} paths.outputs=o"),
        "-m seke.benchmark.judging.agreement o/evaluate/cont-judged-parse o/evaluate/cont-judged-llm",
    ]
