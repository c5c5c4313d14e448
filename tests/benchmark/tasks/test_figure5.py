"""Figure 5 put together from masked runs, and ways compared on the same faces."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seke.benchmark.answer import Answer
from seke.benchmark.scoring.cost_quality import Calls, Price, differences, quality
from seke.benchmark.tasks.figure5 import MASKS, Method, figure5, joined, shared, table
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, Origins, Uncertainty, write_jsonl

from ... import warm
from ..faces import prediction, predictions

TRUTH = Labels(expression="fear", valence=0.0, arousal=0.5, action_units={1: True, 2: False})
MANUAL = Origins(
    expression="manual", valence="manual", arousal="manual", action_units={"1": "manual", "2": "manual"}
)  # fmt: skip
HIDDEN = {
    "expression": {"expression": "generated"},
    "va": {"valence": "generated", "arousal": "generated"},
    "au": {"action_units": {"1": "generated", "2": "generated"}},
}
SAID = Labels(expression="anger", valence=0.2, arousal=0.4, action_units={1: True, 2: True})


def record(number: int) -> ImageRecord:
    return ImageRecord(
        id=f"r{number}", image="r.png", sha256=None, source="x", subject=f"s{number}", split="train", labels=TRUTH
    )


def run(mask: str, said: Labels, count: int = 6, flags: tuple[str, ...] = ()) -> dict[str, Answer]:
    shown = {name: getattr(TRUTH, name) for name in Labels.model_fields if name not in MASKS[mask]}
    return {
        f"r{number}": Answer(
            id=f"r{number}",
            labels=said.model_copy(update=shown),
            origin=MANUAL.model_copy(update=HIDDEN[mask]),
            confidence=dict.fromkeys(MASKS[mask], 0.5) if mask != "au" else {"action_units": {"1": 0.9, "2": 0.9}},
            uncertainty=Uncertainty(expression=0.4, max=0.4),
            flags=flags if number == 0 else (),
        )
        for number in range(count)
    }


def method(name: str, said: Labels, requests: int = 12, **settings: object) -> Method:
    answers = {mask: run(mask, said, **settings) for mask in MASKS}
    return Method(name, answers, [Calls(requests, 1e6, 1e5)] * 3, [], 6)


RECORDS = [record(number) for number in range(6)]


def test_each_masked_run_contributes_what_it_could_not_see() -> None:
    found, answer = joined(RECORDS[0], method("ours", SAID).answers)
    assert (found.labels, found.truth) == (SAID, TRUTH)
    assert answer.confidence == {
        "expression": 0.5, "valence": 0.5, "arousal": 0.5, "action_units": {"1": 0.9, "2": 0.9}
    }  # fmt: skip
    assert answer.uncertainty.expression == 0.4


def test_a_run_that_was_shown_the_label_is_refused() -> None:
    answers = {**method("ours", SAID).answers, "va": run("au", SAID)}
    with pytest.raises(UserError, match=r"generator\.hide=\[va\]: r0 was shown its valence"):
        joined(RECORDS[0], answers)


def test_one_methods_pilot_is_scored_for_none() -> None:
    methods = [method("a", SAID), method("b", SAID, flags=("pilot",)), method("c", SAID, count=5)]
    assert [kept.id for kept in shared(RECORDS, methods)] == ["r1", "r2", "r3", "r4"]
    with pytest.raises(UserError, match="no record was annotated by all methods"):
        shared(RECORDS[:1], methods)


def test_the_figure_holds_quality_cost_and_differences() -> None:
    rows = figure5(RECORDS, [method("plain", SAID), method("ours", TRUTH, 6)], "plain", Price(2.5, 10.0))
    plain, ours = rows
    assert {name: round(e.value, 6) for name, e in plain["quality"].items()} == {
        "Expression accuracy": 0.0, "AU F1 (present)": 1.0, "Valence 1-MAE": 0.8, "Arousal 1-MAE": 0.9
    }  # fmt: skip
    assert plain["difference"] is None
    assert ours["difference"]["Expression accuracy"] == (1.0, None, None)  # all six subjects say the same
    assert plain["calibration"]["action_units"]["brier"] == pytest.approx((0.01 + 0.81) / 2)
    # 3 runs of 6 images: 18 annotations for 3 x 12 requests and 3 x $3.50.
    assert plain["per_1000"]["requests"] == pytest.approx(2000)
    assert plain["per_1000"]["usd"] == pytest.approx(10.5 / 18 * 1000)
    text = table(rows, "plain", ["a note"])
    assert "- a note" in text
    assert "| ours | +1.000 (6 subjects) |" in text


def test_a_gain_over_the_control_and_a_mean_that_says_of_how_many_units_it_is() -> None:
    methods = [method("blind", SAID), method("seke", TRUTH), method("ours", TRUTH)]
    rows = figure5(RECORDS, methods, "seke", Price(2.5, 10.0), control="blind")
    blind, seke, ours = rows
    assert blind["gain"] is None and seke["difference"] is None
    paired = differences(*([joined(row, one.answers)[0] for row in RECORDS] for one in (methods[2], methods[0])))
    assert ours["gain"] == paired
    assert blind["difference"] == {name: (-e.value, *(end and -end for end in e[:0:-1])) for name, e in paired.items()}
    assert {row["aus_present"] for row in rows} == {1}  # AU2 is annotated, and nobody shows it
    text = table(rows, "seke", [], "blind")
    assert "AU F1 (mean of 1 present)" in text and "| AU F1 |" not in text
    assert "Gain over blind, paired by subject" in text and "Difference to seke, paired by subject" in text
    alone = figure5(RECORDS, methods[:1], "blind", Price(2.5, 10.0), control="blind")
    assert "paired" not in table(alone, "blind", [], "blind")


def test_what_is_paid_for_a_pilot_is_part_of_the_price() -> None:
    fitted = replace(method("ours", TRUTH), pilots=[Calls(9, 3e6, 0)] * 3)
    plain, ours = figure5(RECORDS, [method("plain", SAID), fitted], "plain", Price(2.5, 10.0))
    assert ours["pilot_usd"] == pytest.approx(22.5)
    assert ours["per_1000"]["usd"] - plain["per_1000"]["usd"] == pytest.approx(22.5 / 18 * 1000)
    assert ours["per_1000"]["requests"] == pytest.approx((36 + 27) / 18 * 1000)


def test_a_paired_difference_of_equal_answers_is_zero() -> None:
    rows = predictions(3, 60)
    assert all(e == (0.0, None, None) for e in differences(rows, rows).values())


def test_pairing_is_narrower_than_two_intervals() -> None:
    """Two ways that differ in four faces of sixty: each interval is wide, their difference is not."""
    fear, anger = Labels(expression="fear"), Labels(expression="anger")
    right = np.random.default_rng(0).random(60) < 0.6
    a = [prediction(fear, fear if good else anger, n, subject=str(n)) for n, good in enumerate(right)]
    b = [prediction(fear, fear if good == (n > 3) else anger, n, subject=str(n)) for n, good in enumerate(right)]
    apart, paired = quality(a)["Expression accuracy"], differences(a, b)["Expression accuracy"]
    assert paired.high - paired.low < (apart.high - apart.low) * 2 / 3


def test_different_records_cannot_be_paired() -> None:
    rows = predictions(3, 10)
    with pytest.raises(ValueError, match="different records"):
        differences(rows, rows[::-1])


SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "figure5.py"


def script(*arguments: object) -> str:
    done = warm.run(SCRIPT, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_table_is_made_of_finished_generate_runs(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "complete.jsonl", RECORDS)
    cost = {"records": 6, "requests": 12, "input_tokens": 6_000_000, "output_tokens": 0}
    for name, said in (("seke", SAID), ("ours", TRUTH)):
        for mask in MASKS:
            folder = tmp_path / "generate" / f"f5-{name}-{mask}"
            folder.mkdir(parents=True)
            write_jsonl(folder / "instructions.jsonl", run(mask, said).values())
            pilot = {"pilot": {**cost, "usd": None}} if name == "ours" else {}
            (folder / "cost.json").write_text(json.dumps({**cost, **pilot}))
    printed = script(tmp_path, tmp_path / "complete.jsonl", "f5", "seke", "seke=SEKE", "ours=Ours, fitted")
    assert printed.strip() == (tmp_path / "figure5" / "f5" / "table.md").read_text().strip()
    assert "| Ours, fitted | 1.000 (6 subjects) |" in printed
    # 1 M input tokens an image; the pilots of three masks, 6 M tokens each.
    assert "| 4,000 | 2,000,000,000 | 0 | 5,000.00 | 45.00 |" in printed


@pytest.mark.parametrize(
    ("reference", "methods", "problem"),
    [
        ("other", ["seke=SEKE"], "error: reference=other: is none of the methods; name one of seke"),
        ("seke --control=blind", ["seke=SEKE"], "error: control=blind: is none of the methods; name one of seke"),
        ("seke", ["seke=SEKE"], "error: methods=seke: no finished generate run in "),
    ],
)
def test_a_mistake_ends_in_one_line(tmp_path: Path, reference: str, methods: list[str], problem: str) -> None:
    write_jsonl(tmp_path / "complete.jsonl", RECORDS)
    done = warm.run(SCRIPT, tmp_path, tmp_path / "complete.jsonl", "f5", *reference.split(), *methods)
    assert done.returncode == 2
    assert done.stderr.startswith(problem) and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_recipe_shows_what_the_paper_shows(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = ["bash", str(SCRIPT.with_suffix(".sh")), f"outputs={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stderr[-3000:]
    rows = {row["method"]: row for row in json.loads((tmp_path / "figure5" / "figure5" / "rows.json").read_text())}
    single, ours = (rows[next(name for name in rows if name.startswith(start))] for start in ("Simple", "Ours"))
    for measure in ours["quality"]:
        assert ours["quality"][measure][1] > single["quality"][measure][2], measure
    assert ours["difference"]["AU F1 (present)"][1] > 0
