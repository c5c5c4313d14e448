"""What a command ends with can be copied and works; what it says depends on what the pictures are."""

import json
import shlex
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from seke.cli import next_step


def following(command: str, name: str, outputs: Path, update: bool = False, **facts: object) -> list[str]:
    cfg = OmegaConf.create({"name": name, "update": update, "data": {"path": name}, "paths": {"outputs": str(outputs)}})
    return [f"{stage} {shlex.join(words)}" for stage, words in next_step._after(command, cfg, facts)]


def test_photographs_are_sent_to_an_api_only_after_its_cost_was_told(tmp_path: Path) -> None:
    [drawn] = following("prepare", "demo", tmp_path, synthetic="faces")
    assert drawn == "generate records=demo name=demo"
    [photographs] = following("prepare", "my faces", tmp_path, synthetic="nothing")
    assert photographs == "generate 'records=my faces' 'name=my faces' backend=openai dry_run=true"
    [grown] = following("prepare", "mine", tmp_path, synthetic="nothing", update=True)
    assert grown.endswith(" dry_run=true update=true")
    [asked] = following("prepare", "general", tmp_path, synthetic="scenes", asked_by="general")
    assert asked == "evaluate benchmark=general records=general name=general"
    assert following("generate", "mine", tmp_path) == [
        "report name=mine",
        "train data.path=mine name=mine model=llava_ov_05b trainer=gpu dry_run=true",
    ]


def test_a_report_asks_for_the_review_of_what_nobody_has_reviewed(tmp_path: Path) -> None:
    for name, facts in (("mine", {}), ("seen", {"reviewed": {}})):
        (tmp_path / "generate" / name).mkdir(parents=True)
        (tmp_path / "generate" / name / "manifest.json").write_text(json.dumps({"config": {}, **facts}))
    assert following("report", "mine", tmp_path) == ["generate review=review.json name=mine-reviewed"]
    assert not following("report", "seen", tmp_path) and not following("report", "none", tmp_path)


@pytest.mark.parametrize(("tested", "stage"), [("", "serve model.path=mine"), ("{}\n", "evaluate records=set ")])
def test_a_model_of_records_without_a_test_set_is_tried_on_a_page(tmp_path, monkeypatch, tested, stage) -> None:
    (tmp_path / "generate" / "mine").mkdir(parents=True)
    (tmp_path / "generate" / "mine" / "manifest.json").write_text('{"config": {"records": "set"}}')
    (tmp_path / "prepare" / "set").mkdir(parents=True)
    (tmp_path / "prepare" / "set" / "test.jsonl").write_text(tested)
    monkeypatch.setattr(next_step, "_model", list)
    [line] = following("train", "mine", tmp_path)
    assert line.startswith(stage)


@pytest.mark.slow
def test_each_command_names_the_next_and_it_runs(cli, tmp_path: Path) -> None:
    done = cli("prepare", "source.images=30", f"paths.outputs={tmp_path}")
    for command in ("generate", "report"):
        assert done.returncode == 0, done.stderr
        [line] = [line for line in done.stdout.splitlines() if line.startswith(f"next: python {command}.py ")]
        done = cli(command, *shlex.split(line)[3:])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report" / "demo" / "index.html").is_file()


@pytest.mark.parametrize(
    ("priced", "usd", "line"),
    [
        (True, None, "nothing was asked or paid for; without dry_run=true the same command asks; budget.usd=<dollars> "
         "is a hard limit"),
        (True, 5.0, "nothing was asked or paid for; without dry_run=true the same command asks"),
        (False, None, "next: the same command without dry_run=true"),
    ],
)  # fmt: skip
def test_a_dry_run_advises_nobody_to_spend(priced, usd, line, monkeypatch, capsys) -> None:
    monkeypatch.setattr(next_step.HydraConfig, "get", lambda: OmegaConf.create({"mode": "RUN"}))
    next_step.tell_after_dry_run(OmegaConf.create({"budget": {"usd": usd}}), priced)
    assert capsys.readouterr().out == line + "\n"
