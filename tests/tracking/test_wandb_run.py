"""Real offline W&B runs: what stands in the files that `wandb sync` would upload."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from seke.core import runs
from seke.core.errors import UserError
from seke.tracking import image_table, wandb_run

from ..offline_wandb import logs

KEYS = {"WANDB_API_KEY": "0123456789abcdef" * 2 + "01234567", "OPENAI_API_KEY": "sk-SECRET-of-the-environment"}
FACE = {"expression": "fear", "valence": -0.5, "arousal": None, "action_units": {"1": True, "2": False}}
METRICS = {
    "n": 2,
    "expression": {"accuracy": 0.5, "f1_macro": None},
    "action_units": {"f1": {"1": 1.0}},
    "ci95": {"n": [0, 1]},
}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    for name in ("WANDB_RUN_GROUP", "WANDB_PROJECT", "RANK", "LOCAL_RANK", wandb_run.STAGING):
        monkeypatch.delenv(name, raising=False)
    yield
    wandb_run.close()


def begin(path: Path, inputs=None, mode="offline", config=None, said=None, pictures=24, group="study"):
    run = runs.claim(path, {"paths": {"images": None}, **(config or {})}, inputs or {})
    return wandb_run.watch(run, path.parent.name, inputs or {}, mode, group, said or {}, pictures)


def prepared(outputs: Path) -> Path:
    """A finished prepare run of two faces; returns its file of records."""
    run = begin(outputs / "prepare" / "faces", mode=None)
    for number in (0, 1):
        Image.new("RGB", (400, 300), (90 * number, 80, 70)).save(run.path / f"{number}.png")
    rows = [{"id": f"f{k}", "image": f"{k}.png", "source": "disfa", "labels": FACE} for k in (0, 1)]
    (run.path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run.finish(image_root=".", counts={"train": 2})
    return run.path / "train.jsonl"


def evaluated(outputs: Path, **how) -> Path:
    """An evaluation of both faces, shown; returns its directory."""
    run = begin(outputs / "evaluate" / "mine", {"records": prepared(outputs)}, **how)
    rows = [
        {"id": "f0", "source": "disfa", "text": "Fear.", "labels": FACE, "truth": FACE},
        {"id": "f1", "source": "disfa", "text": "<script>", "labels": {}, "truth": FACE},
    ]
    (run.path / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run.path / "metrics.json").write_text(json.dumps(METRICS))
    run.finish(counts={"predictions": 2})
    return run.path


def test_a_stage_is_one_run_under_its_group_with_its_command_as_the_job(tmp_path):
    [log] = logs(evaluated(tmp_path))
    assert (log.group, log.job, log.name, log.exit_code) == ("study", "evaluate", "mine", 0)


def test_the_environment_names_the_group_before_the_command_does(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_GROUP", "thesis")
    [log] = logs(evaluated(tmp_path))
    assert log.group == "thesis"


def test_settings_that_were_asked_for_are_top_level_fields_beside_the_whole_config(tmp_path):
    said = {"generator.max_samples": 5, "stopping": "uamc"}
    [log] = logs(evaluated(tmp_path, config={"generator": {"max_samples": 5}}, said=said))
    assert log.config["sweep_generator_max_samples"] == 5
    assert log.config["sweep_stopping"] == "uamc"
    assert log.config["generator"] == {"max_samples": 5}


def test_the_summary_holds_the_headline_numbers_and_no_unknown_ones(tmp_path):
    [log] = logs(evaluated(tmp_path))
    told = {key: value for key, value in log.summary.items() if "/" in key or key == "n"}
    assert told == {"n": 2, "expression/accuracy": 0.5, "counts/predictions": 2}


def test_answered_images_stand_in_a_table_with_text_labels_and_truth(tmp_path):
    path = evaluated(tmp_path)
    [file] = path.glob("wandb/offline-run-*/files/media/table/*.json")
    table = json.loads(file.read_text())
    assert tuple(table["columns"]) == image_table.COLUMNS
    fear = "fear, valence -0.50, AU1 of 2"
    assert [row[1:6] for row in table["data"]] == [
        ["f0", "disfa", "Fear.", fear, fear],
        ["f1", "disfa", "<script>", None, fear],
    ]
    [shown] = [found for found in logs(path)[0].artefacts if found.type == "run_table"]
    assert sum(name.endswith(".png") for name in shown.files) == 2


def test_pictures_that_wait_for_their_upload_lie_with_the_run_and_are_small(tmp_path):
    path = evaluated(tmp_path)
    staged = [file for file in path.glob("wandb/artifacts/staging/*") if file.read_bytes().startswith(b"\x89PNG")]
    assert [Image.open(file).size for file in staged] == [(224, 168)] * 2


def test_no_picture_goes_along_where_none_may(tmp_path):
    path = evaluated(tmp_path, pictures=0)
    assert not list(path.rglob("*.table.json"))
    assert [found.type for found in logs(path)[0].artefacts] == ["records", "metrics"]


def test_a_picture_that_is_gone_is_no_reason_to_fail(tmp_path):
    records = prepared(tmp_path)
    (records.parent / "1.png").unlink()
    rows = image_table.table(records.parent, None, {"paths": {"images": None}}, 2).rows
    assert [row[0] is None for row in rows] == [False, True]


def test_what_a_stage_reads_is_the_very_artefact_that_its_maker_made(tmp_path):
    records = begin(tmp_path / "prepare" / "p")
    (records.path / "train.jsonl").write_text('{"id": "a"}\n')
    records.finish(image_root=".")
    feid = begin(tmp_path / "generate" / "g", {"records": records.path / "train.jsonl"})
    (feid.path / "instructions.jsonl").write_text("")
    feid.finish(image_root=".", counts={"instructions": 0})
    model = begin(tmp_path / "train" / "t", {"data0": [feid.path / "instructions.jsonl"]})
    (model.path / "model").mkdir()
    (model.path / "model" / "model.safetensors").write_bytes(b"w")
    model.finish(loss=1.0)
    inputs = {
        "records": records.path / "train.jsonl",
        "model/model.safetensors": model.path / "model" / "model.safetensors",
    }
    score = begin(tmp_path / "evaluate" / "e", inputs, pictures=0)
    score.finish()
    [prepare], [generate], [train], [evaluate] = (logs(run.path) for run in (records, feid, model, score))
    assert generate.used == prepare.made
    assert train.used == generate.made
    assert evaluate.used == train.made | prepare.made
    types = [found.type for log in (prepare, generate, train, evaluate) for found in log.artefacts if not found.used]
    assert types[-3:] == ["instructions", "checkpoint", "metrics"]
    assert len({*prepare.made.values(), *generate.made.values(), *train.made.values(), *evaluate.made.values()}) == 4


def test_inputs_are_told_by_digest(tmp_path):
    path = evaluated(tmp_path)
    [log] = logs(path)
    assert log.config["sha256"] == {"records": runs.file_sha256(tmp_path / "prepare" / "faces" / "train.jsonl")}


def test_an_interrupted_stage_goes_on_as_the_same_run(tmp_path):
    run = begin(tmp_path / "generate" / "g")
    log = wandb_run.live()
    log({"records": 1, "usd": None})
    wandb_run.close()
    begin(run.path).finish()
    first, second = logs(run.path)
    assert first.id == second.id
    assert (first.exit_code, second.exit_code) == (1, 0)


def test_nobody_watches_without_a_mode_on_another_rank_or_when_all_is_done(tmp_path, monkeypatch):
    finished = begin(tmp_path / "prepare" / "a", mode=None)
    finished.finish()
    begin(finished.path)
    monkeypatch.setenv("LOCAL_RANK", "1")
    begin(tmp_path / "prepare" / "b")
    assert wandb_run.live() is None
    assert not list(tmp_path.rglob("wandb"))


def test_no_key_of_the_environment_or_the_config_is_in_any_file(tmp_path, monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    path = evaluated(tmp_path, config={"backend": {"base_url": "https://me:PASSWORD@host/v1"}})
    files = [file for file in (path / "wandb").rglob("*") if file.is_file()]
    assert any(b"https://***@host" in file.read_bytes() for file in files)
    told = [file.read_bytes() for file in files]
    assert not [text for text in told for secret in (*KEYS.values(), "PASSWORD") if secret.encode() in text]


def test_an_unknown_mode_is_refused():
    with pytest.raises(UserError, match="wandb=yes: no such mode; set offline, online or null"):
        wandb_run.checked("yes")


def test_headline_numbers_are_those_of_a_finished_run(tmp_path):
    assert wandb_run.headline(tmp_path) == {}
    (tmp_path / "manifest.json").write_text(json.dumps({"loss": 2.5, "best": {"step": 3}, "config": {"seed": 7}}))
    (tmp_path / "cost.json").write_text(json.dumps({"usd": None, "requests": 9, "complete": True}))
    assert wandb_run.headline(tmp_path) == {"loss": 2.5, "best/step": 3, "requests": 9}


@pytest.fixture
def setup(monkeypatch):
    pytest.importorskip("wandb_workspaces")
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "scripts"))
    import wandb_dashboard

    yield wandb_dashboard
    del sys.modules["wandb_dashboard"]


def test_the_workspace_has_a_section_for_each_stage_with_parallel_coordinates(setup):
    spec = setup.workspace("team", "seke")._to_model().model_dump_json()
    sections = json.loads(spec)["spec"]["section"]["panel_bank_config"]["sections"]
    assert [section["name"] for section in sections] == [part.title for part in setup.PARTS]
    axes = [
        panel["config"]["columns"] for section in sections for panel in section["panels"] if "columns" in str(panel)
    ]
    assert "sweep_generator_max_samples" in str(axes) and "expression/f1_macro" in str(axes)


def test_the_report_shows_each_stage_its_own_runs(setup):
    grids = [block for block in setup.report("team", "seke").blocks if hasattr(block, "runsets")]
    assert [grid.runsets[0].filters for grid in grids] == [f"JobType == '{part.stage}'" for part in setup.PARTS]
    assert [len(grid.panels) for grid in grids] == [len(part.plots) for part in setup.PARTS]


def test_every_stage_has_its_part_and_the_plots_name_what_runs_log(setup):
    assert {part.stage for part in setup.PARTS} == set(wandb_run.MADE)
    tables = {plot.of[0] for part in setup.PARTS for plot in part.plots if plot.kind == "tables"}
    assert tables == {*image_table.FILES.values(), "answered"}


def test_without_a_key_the_script_says_what_it_would_create_and_ends_with_2(setup, monkeypatch, capsys, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["wandb_dashboard.py", "entity=team"])
    with pytest.raises(SystemExit) as stop:
        setup.main()
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert said.out.startswith("Nothing was created.") and "N of Algorithm 1 against its cost" in said.out
    assert "error: no entity= or no key" in said.err


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_is_the_scripts_head(setup, monkeypatch, capsys, word):
    monkeypatch.setattr(sys, "argv", ["wandb_dashboard.py", word])
    setup.main()
    assert capsys.readouterr().out == f"{setup.__doc__.strip()}\n"
