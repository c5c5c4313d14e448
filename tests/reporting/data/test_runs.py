"""What is gathered, what is left out and said so, and how files of other stages are read."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.errors import UserError
from seke.reporting.data.run_labels import named
from seke.reporting.data.runs import FinishedRun, Outputs, gather, leave_out, natural
from seke.reporting.report import Settings, write_report

from ...opens import opens
from .. import experiments


def run_at(path: Path, stage: str = "evaluate") -> FinishedRun:
    path.mkdir(parents=True, exist_ok=True)
    return FinishedRun(stage, path.name, path, {})


def finished(outputs: Path, *names: str) -> None:
    for name in names:
        folder = outputs / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text('{"config": {}}')


def test_a_name_means_itself_and_its_suffixed_runs(tmp_path: Path) -> None:
    finished(tmp_path, "evaluate/demo-seke", "prepare/demo", "prepare/demo2", "train/other-demo", "report/demo")
    found = gather(Outputs(tmp_path), "demo", None)
    assert [(run.stage, run.name) for run in found.runs] == [("prepare", "demo"), ("evaluate", "demo-seke")]


def test_runs_of_a_sweep_are_listed_by_their_numbers(tmp_path: Path) -> None:
    names = ["sweep_n-s0-n1", "sweep_n-s0-n2", "sweep_n-s0-n10", "sweep_n-s10-n1"]
    finished(tmp_path, *(f"generate/{name}" for name in names))
    runs = gather(Outputs(tmp_path), "sweep_n", None).runs
    assert [run.name for run in runs] == names
    assert [item.run.name for item in named(runs[::-1], {})] == names


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b-"]), st.integers(0, 200), st.sampled_from(["", "x", "-s"]))))
def test_names_that_differ_in_numbers_sort_as_the_numbers_do(parts) -> None:
    def joined(part) -> str:
        return "{}{}{}".format(*part)

    assert sorted(map(joined, parts), key=natural) == list(map(joined, sorted(parts)))


@given(st.data(), st.lists(st.text(st.sampled_from("01²٣a-")), max_size=6))
def test_any_names_sort_and_always_alike(data, names) -> None:
    assert sorted(data.draw(st.permutations(names)), key=natural) == sorted(names, key=natural)


def test_a_glob_chooses_freely_but_only_among_runs(tmp_path: Path) -> None:
    finished(tmp_path, "evaluate/a", "evaluate/b", "report/a", "train/a/model")
    assert [run.path.name for run in gather(Outputs(tmp_path), "x", "*/a*").runs] == ["a"]
    assert [run.path.name for run in gather(Outputs(tmp_path), "x", "evaluate/*").runs] == ["a", "b"]


def test_unfinished_and_unreadable_runs_are_named(tmp_path: Path) -> None:
    finished(tmp_path, "evaluate/demo-a", "train/demo-b", "train/demo-d")
    (tmp_path / "train" / "demo-b" / "manifest.json").write_text("{half")
    (tmp_path / "train" / "demo-d" / "manifest.json").write_text("{}")
    (tmp_path / "train" / "demo-c").mkdir()
    left = {run.name: run.reason for run in gather(Outputs(tmp_path), "demo", None).left_out}
    assert left["demo-c"] == "not finished: no manifest.json"
    assert left["demo-b"].startswith("manifest.json does not read")
    assert left["demo-d"] == "manifest.json does not read: it holds no config"


def test_a_run_with_a_file_that_does_not_read_is_left_out_unless_it_is_the_only_one(tmp_path: Path) -> None:
    finished(tmp_path, "evaluate/demo-a", "train/demo-b")
    error = UserError("file", tmp_path / "train" / "demo-b" / "logs" / "metrics.csv", "no text", "make it anew")
    found = leave_out(gather(Outputs(tmp_path), "demo", None), error)
    assert [run.name for run in found.runs] == ["demo-a"]
    assert [(left.name, left.reason) for left in found.left_out] == [("demo-b", f"{Path('logs/metrics.csv')}: no text")]
    with pytest.raises(UserError, match="no text"):  # it reads no better the second time
        leave_out(found, error)
    with pytest.raises(UserError, match="half"):
        leave_out(found, UserError("file", tmp_path / "evaluate" / "demo-a" / "metrics.json", "half", "make it anew"))


@pytest.mark.parametrize(
    ("pattern", "argument"), [(None, "name=demo"), ("nothing/*", "runs=nothing/*"), ("/abs", "runs=/abs")]
)
def test_nothing_found_is_the_users_to_correct(tmp_path: Path, pattern: str | None, argument: str) -> None:
    (tmp_path / "train" / "demo").mkdir(parents=True)
    with pytest.raises(UserError, match=f"^{argument}: ".replace("*", r"\*")):
        gather(Outputs(tmp_path), "demo", pattern)


def test_metrics_are_flat_with_their_intervals_and_null_stays_unknown(tmp_path: Path) -> None:
    content = {
        "n": 7,
        "expression": {"accuracy": 0.5, "f1_macro": None},
        "action_units": {"f1": {"1": 0.25}},
        "valence": None,
        "ci95": {"expression": {"accuracy": [0.4, 0.6]}, "action_units": {"f1": {"1": None}}},
    }
    run = run_at(tmp_path / "r")
    (run.path / "metrics.json").write_text(json.dumps(content))
    found = run.scores
    assert found["expression.accuracy"] == (0.5, 0.4, 0.6)
    assert found["action_units.f1.1"] == (0.25, None, None)
    assert found["expression.f1_macro"].value is None
    assert "valence.mae" not in found
    assert run_at(tmp_path / "without").scores == {}


def test_broken_metrics_name_the_file(tmp_path: Path) -> None:
    run = run_at(tmp_path / "r")
    (run.path / "metrics.json").write_text("[1, 2]")
    with pytest.raises(UserError, match=r"metrics\.json: not readable: metrics\.json is no JSON object"):
        _ = run.scores


def test_a_broken_draw_names_its_line(tmp_path: Path) -> None:
    run = run_at(tmp_path / "r")
    row = {"id": "a", "prior": {}, "draws": [], "summary": None, "requests": 0, "input_tokens": 0, "output_tokens": 0}
    lines = [json.dumps(row), "", json.dumps({**row, "draws": [{"valence": 3}]})]
    (run.path / "draws.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"line 3, field draws\.0\.valence"):
        _ = run.draws
    (run.path / "draws.jsonl").write_bytes(f'{lines[0]}\n{{"id": "'.encode() + b'\xff"}\n')
    with pytest.raises(UserError, match=r"draws\.jsonl: not UTF-8 text"):
        _ = run.draws


def test_a_log_that_is_no_text_names_the_file(tmp_path: Path) -> None:
    run = run_at(tmp_path / "r", "train")
    (run.path / "metrics.csv").write_bytes(b"step,loss\n1,\xff\n")
    with pytest.raises(UserError, match=r"metrics\.csv: not readable"):
        _ = run.curves


def test_curves_skip_empty_cells_and_a_resumed_log_wins(tmp_path: Path) -> None:
    run = run_at(tmp_path / "r", "train")
    for version, text in {
        "version_10": "step,epoch,train_loss,val_loss\n2,0,0.2,\n2,0,,0.9\n",
        "version_2": "step,epoch,train_loss\n1,0,0.5\n2,0,0.4\n,,3\n3,0,nan\n",
    }.items():
        (run.path / "csv" / version).mkdir(parents=True)
        (run.path / "csv" / version / "metrics.csv").write_text(text)
    curves = run.curves
    assert curves["train_loss"] == ((1.0, 2.0), (0.5, 0.2))
    assert curves["val_loss"] == ((2.0,), (0.9,))
    assert set(curves) == {"train_loss", "val_loss"}


def test_the_longest_suffix_names_a_run_and_twins_say_which_they_are(tmp_path: Path) -> None:
    wording = {"seke": {"label": "SEKE", "tone": "blue"}, "labels-seke": {"label": "Labels"}}
    names = ["x-labels-seke", "a-seke", "b-seke", "strange"]
    found = named([FinishedRun("evaluate", name, tmp_path, {}) for name in names], wording)
    assert [item.words.label for item in found] == ["SEKE (a-seke)", "SEKE (b-seke)", "Labels", "strange"]


def test_a_report_opens_each_file_of_a_run_once(outputs: Path, settings: Settings) -> None:
    with opens(outputs) as seen:
        write_report(outputs, "demo", None, settings)
    own = {path for path in seen if path.endswith(".png") or path.startswith("report/")}
    assert {path: times for path, times in seen.items() if times > 1 and path not in own} == {}
    expected = {"generate/demo-seke/draws.jsonl", "prepare/demo/truth.jsonl", "evaluate/demo-labels-seke/metrics.json"}
    assert expected < set(seen)


def test_a_study_opens_each_file_of_its_runs_once_though_it_compares_all_pairs(tmp_path: Path) -> None:
    for skill, cell in enumerate(("neither", "prior", "sv", "both"), start=1):
        experiments.evaluation(tmp_path, f"table4-{cell}", skill / 5)
        experiments.evaluation(tmp_path, f"table4-labels-{cell}", skill / 5)
        experiments.generation(tmp_path, f"table4-{cell}", 100)
    with opens(tmp_path) as seen:
        experiments.compiled(tmp_path, "table4")
    assert {path: times for path, times in seen.items() if times > 1 and not path.startswith("report/")} == {}
    assert "evaluate/table4-both/predictions.jsonl" in seen


def test_runs_that_are_no_glob_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"runs=\['a', 'b'\]: not a glob"):
        gather(Outputs(tmp_path), "x", ["a", "b"])
