"""The training benchmarks: what they train on, how their tables and verdicts follow from what was measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import bench_train

    return bench_train


def took(bench, seconds, waited=0.0, peak=None):
    return bench.Took(seconds, waited, computed=2000, tokens=1500, memory=2**30, flops=6e12, peak=peak)


def test_images_are_drawn_at_their_sources_sizes_and_answers_are_of_80_to_400_words(bench, tmp_path):
    bench.write(tmp_path, bench.CASES["tiny"]._replace(samples=40))
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    answers = [len(row["conversations"][1]["value"].split()) for row in rows]
    sizes = {Image.open(tmp_path / row["image"]).size for row in rows}
    assert len(rows) == 40 and min(answers) >= 80 and max(answers) <= 400 and len(set(answers)) > 20
    assert sizes <= {(160, 122), (25, 25), (56, 56), (256, 192), (260, 348), (28, 28)} and len(sizes) >= 4


def test_an_epoch_of_feid_has_the_papers_number_of_images(bench):
    assert bench.FEID == 26238


def test_the_table_has_a_row_a_way_and_a_failure_says_why(bench):
    rounds = {"packed": [took(bench, 2.0, 0.1)], "grouped": [took(bench, 3.0)], "Trainer": [took(bench, 4.0)]}
    rows = list(bench.rows(rounds, {"SFTTrainer": "ImportError: no trl"}, samples=10))
    assert rows[0] == ["packed", 5.0, 750.0, 1.0, "25.0%", "–", "5.0%", 2.0]
    assert rows[2][-1] == 1.0 and rows[3][:2] == ["SFTTrainer", "failed: ImportError: no trl"]
    assert {len(row) for row in rows} == {len(bench.HEAD)}


def test_ratios_pair_the_rounds_since_the_machine_may_slow_down_for_all(bench):
    base = [took(bench, seconds) for seconds in (2.0, 20.0, 4.0)]
    fast = [took(bench, seconds) for seconds in (1.0, 10.0, 2.0)]
    assert bench.ratio(base, fast) == 2.0


@pytest.mark.parametrize(("slower", "waited", "met"), [(3.0, 0.0, True), (1.4, 0.0, False), (3.0, 0.1, False)])
def test_the_targets_of_the_cpu_are_one_and_a_half_times_trainer_and_hardly_any_waiting(bench, slower, waited, met):
    rounds = {"packed": [took(bench, 1.0, waited)], "Trainer": [took(bench, slower)]}
    assert all(target.met for target in bench.targets(bench.CASES["tiny"], rounds, 10)) is met


def test_on_a_gpu_mfu_and_the_epoch_of_feid_are_targets_too(bench):
    rounds = {"packed": [took(bench, 1.0, peak=10e12)], "Trainer": [took(bench, 2.0)]}
    told = [str(target) for target in bench.targets(bench.CASES["7b"], rounds, samples=10)]
    assert "MFU: 0.6 (at least 0.5): met" in told
    assert "hours of an epoch of FEID, 26,238 images: 0.7288 (at most 2): met" in told


@pytest.mark.slow
def test_it_runs_from_rows_to_its_verdict():
    command = [sys.executable, str(SCRIPTS / "bench_train.py"), "--samples", "16", "--rounds", "1", "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    rows = {line.split("|")[1].strip(): line for line in done.stdout.splitlines() if line.startswith("| ")}
    assert set(rows) == {"way", "packed", "grouped", "Trainer", "SFTTrainer"}
    assert "failed" not in rows["packed"] + rows["grouped"]
    assert done.stdout.splitlines()[-1] == ("targets met" if done.returncode == 0 else "TARGET MISSED")


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import bench_train_features

    return bench_train_features


def rounds(kept, samples, features=5000.0, loss=1.0):
    """Ways at one speed of training each, in samples/s; recomputing makes 200 features a second."""
    one = kept.Took(1.0, 0.1, 200.0, 50.0, 2**30, [1.5, 1.0], tokens=49.0, context=45.0)
    faster = one._replace(features=features, samples=samples, losses=[1.5, loss])
    return {"none": [one] * 3, "pixels": [one] * 3, "disk": [faster] * 3}


@pytest.mark.parametrize(
    ("samples", "features", "loss", "met"),
    [
        (110.0, 5000.0, 1.0, [True, True, True]),
        (90.0, 5000.0, 1.0, [True, False, True]),
        (110.0, 300.0, 1.0, [False, True, True]),
        (110.0, 5000.0, 1.01, [True, True, False]),
    ],
)
def test_kept_features_must_double_the_speed_and_leave_every_loss_as_it_is(kept, samples, features, loss, met):
    told = list(kept.targets(512, rounds(kept, samples, features, loss)))
    assert [target.met for target in told] == met
    assert told[1].least == 2 and told[1].what.endswith("(1.33 if features cost nothing)")


def test_the_table_of_kept_features_tells_a_first_run_from_a_later_one(kept):
    assert list(kept.rows(96, rounds(kept, 110.0)))[2] == ["96 px", "disk", 1.0, 0.1, 5000.0, 110.0, 1.0, 2.2]


def test_the_towers_share_of_a_step_is_a_fifth_in_the_true_model_too(kept):
    tiny, large = kept.tower_shares(tokens=49, context=45)
    assert 0.1 < tiny < 0.3 and 0.15 < large < 0.25


def test_the_model_that_is_named_chooses_the_benchmark(bench, kept, monkeypatch):
    asked = []
    monkeypatch.setattr(kept, "measure", lambda *sizes: asked.append(sizes) or 7)
    monkeypatch.setattr(sys, "argv", ["bench_train.py", "model=instructblip_tiny", "--threads", "1"])
    assert bench.main() == 7 and asked == [(256, 3, 1)]


@pytest.mark.slow
def test_what_keeping_features_is_worth_is_printed_and_losses_stay_the_same(kept, monkeypatch, capsys):
    monkeypatch.setattr(kept, "SIZES", (96,))
    code = kept.measure(samples=24, rounds=1, number=1)
    told = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[1] for line in told if line.startswith("| 96 px")] == ["none", "pixels", "disk"]
    assert any("losses differ at most" in line and line.endswith(": met") for line in told)
    assert told[-1] == ("targets met" if code == 0 else "TARGET MISSED")
