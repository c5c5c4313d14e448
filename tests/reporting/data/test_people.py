"""What people's looks left is shown of the run as it stands, and in words that a lab reads."""

import json
from pathlib import Path

import pytest

from seke.core.runs import file_sha256
from seke.reporting.data import people
from seke.reporting.data.run_labels import named
from seke.reporting.data.runs import Outputs
from seke.reporting.render import figures

FOUND = {
    "guarantee": 0.05,
    "records": 500, "left_to_machine": 400, "upper_bound": 0.048, "upper_bound_if_all_were_left": 0.09,
    "wrong_in_audit": 2, "labels_in_audit": 100, "still_to_look_at": 80,
}  # fmt: skip
FACTS = {
    "confidence": 0.95, "problem": None, "descriptions": {"action_units": FOUND},
    "still_to_look_at": 80, "reached": False,
}  # fmt: skip
LOOKS = {
    "looks": [0, 10, 20], "expected": [0.0, 15.0, 24.0], "observed": [0, 14, 22], "stated": True, "unknown": 0,
    "at_random": {"looks": 5, "observed": 2},
}  # fmt: skip
PAIR = {"n": 4, "agree": 0.75, "kappa": 0.5}
REVIEWERS = {
    "pairs": [
        {"reviewers": ["ann", "bob"], "n": 4}
        | dict.fromkeys(("expression", "action_units", "decision"), PAIR)
        | {key: {**PAIR, "kappa": None} for key in ("valence", "arousal")}
    ]
}


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "generate" / "mine"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"config": {}}')
    manifest = file_sha256(folder / "manifest.json")
    (folder / "queue.json").write_text(json.dumps({"manifest": manifest}))
    (folder / "queue.jsonl").write_text('{"id": "b", "why": "audit"}\n{"id": "a", "why": "doubt"}\n')
    (folder / "guarantee.json").write_text(json.dumps({"manifest": manifest, **FACTS}))
    (folder / "looks.json").write_text(json.dumps(LOOKS))
    (folder / "reviewers.json").write_text(json.dumps(REVIEWERS))
    return folder


def test_tables_say_what_stands_beside_the_rows(folder) -> None:
    run = Outputs(folder.parents[1]).open(folder)
    assert run.queue == ("b", "a")
    guarantee, looks, reviewers = people.tables(named([run], {}))
    (row,) = guarantee.rows
    assert (row.cells["kept"].value, row.cells["found"]) == (400, "2 of 100")
    assert {key: looks.rows[0].cells[key].value for key in ("expected", "corrected", "random")} == {
        "expected": 1.2, "corrected": 1.1, "random": 0.4,
    }  # fmt: skip
    assert reviewers.rows[0].cells["expression.kappa"].value == 0.5
    assert "valence.kappa" not in {column.key for column in reviewers.columns}
    said = people.promised(run.guarantee)
    assert said == (
        "Once people have looked at 80 more faces, of the finished labels, at most 5 % of action units are wrong, with "
        "95 % confidence each."
    )
    every = {**FACTS, "reached": True, "descriptions": dict.fromkeys(people.DESCRIPTIONS, FOUND)}
    assert people.promised(every).startswith(
        "The guarantee is reached: at most 5 % of each description's finished labels are wrong, with 95 % confidence"
    )
    assert people.promised({**FACTS, "problem": "why"}) == "There is no guarantee yet: why."


def test_what_was_asked_of_a_run_as_it_was_before_is_not_shown(folder) -> None:
    (folder / "manifest.json").write_text('{"config": {}, "made": "anew"}')
    run = Outputs(folder.parents[1]).open(folder)
    assert (run.queue, run.guarantee, people.promised(run.guarantee)) == ((), {}, "")


def test_the_curve_says_where_its_lines_end(tmp_path, folder) -> None:
    (item,) = named([Outputs(folder.parents[1]).open(folder)], {})
    panel = figures.looks(tmp_path, "looks", item.words, item.run.looks)
    assert panel.alt.endswith("wrong labels after 20 looks. corrected: 22; expected: 24; at random: 8.")
