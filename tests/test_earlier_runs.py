"""Runs begun with an earlier version, and settings files written for it, go on: tests/data/begun_at_c65e9f9."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml
from omegaconf import OmegaConf
from PIL import Image

from seke.cli import command, settings
from seke.core import identity, moved

BEGUN = Path(__file__).parent / "data" / "begun_at_c65e9f9"
COMMANDS = {
    "prepare": ("name=p", "source.images=80"),
    "train": (
        "name=train", "model.path=llava65", "trainer=deepspeed_cpu", "trainer.max_steps=1", "optimizer=adamw_bf16",
        "data.path=rows.json", "data.image_root=pictures",
    ),
    "evaluate": (
        "name=evaluate", "records=faces.jsonl", "allow_overlap=true", "model.path=llava65", "judge=llm",
        "judge_backend.base_url=http://localhost:9/v1",
    ),
}  # fmt: skip
"""What was said at c65e9f9, but for model.base_only_when_small=false, which every model does today."""
GENERATED = {
    "seke": ("faces", (
        "backend.seen=2.0", "backend.unseen=0.3", "backend.knowledge=0.8", "backend.couplings=faces",
        "backend.uncertainty_weight=1",
    )),
    "emovit": ("scenes", ("generator=emovit", "generator.counts={categorical: 1, conversation: 1, reasoning: 0}")),
}  # fmt: skip
"""The records of each unfinished generate run, and its settings that are not today's defaults."""


@pytest.fixture
def resume(tmp_path: Path, cli):
    """Return `resume(name, *settings)`: the same command again on a copy of what c65e9f9 left of the run `name`."""
    shutil.copytree(BEGUN / "generate", tmp_path / "generate")
    (tmp_path / "pictures").mkdir()
    for number in range(6):
        Image.new("RGB", (64, 64), (40 * number, 90, 200 - 30 * number)).save(tmp_path / f"pictures/{number}.png")

    for records, _ in GENERATED.values():  # where the relative path that was given then is found from any folder
        (tmp_path / "prepare" / f"{records}.jsonl").mkdir(parents=True)
        shutil.copy(BEGUN / f"{records}.jsonl", tmp_path / "prepare" / f"{records}.jsonl" / "train.jsonl")

    def run(name: str, *more: str):
        records, words = GENERATED[name]
        where = (f"paths.outputs={tmp_path}", f"paths.images={tmp_path / 'pictures'}")
        return cli(
            "generate", f"name={name}", f"records={records}.jsonl", "backend.truth=truth.jsonl", *where, *words, *more
        )

    return run


@pytest.mark.parametrize("name", GENERATED)
def test_an_unfinished_generation_is_finished_and_its_rows_stay(resume, tmp_path: Path, name: str) -> None:
    begun = [json.loads(line)["row"] for line in (BEGUN / "generate" / name / "progress.jsonl").open()]
    done = resume(name)
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "generate" / name / "instructions.jsonl").read_text().splitlines()
    assert 0 < len(begun) < len(rows) == 6 and rows[: len(begun)] == begun
    assert len({json.loads(row)["id"].split("/")[1] for row in rows}) == 6
    assert "is finished; overwrite=true does it again\n" in resume(name).stdout


@pytest.mark.parametrize("setting", ["seed=1", "generator.temperature=0.5", "stopping=fixed"])
def test_another_run_is_refused_as_ever(resume, setting: str) -> None:
    done = resume("seke", setting)
    assert done.returncode == 2
    assert re.match(r"error: name=seke: .* holds a run with .* choose another name= or say overwrite=true", done.stderr)


def test_a_run_is_not_mixed_with_other_records(resume, tmp_path: Path) -> None:
    """As by limit=, which chose the first records once."""
    journal = tmp_path / "generate" / "seke" / "progress.jsonl"
    journal.write_text(journal.read_text().replace("mine/1", "mine/7"))
    done = resume("seke")
    assert done.returncode == 2
    assert "was begun with other records: mine/7 where mine/1 is due; choose another name=" in done.stderr
    assert "mine/7" in journal.read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_same_command_means_the_same_run(cli, command: str) -> None:
    before = yaml.safe_load((BEGUN / f"{command}.yaml").read_text())["config"]
    words = [word for word in COMMANDS[command] if not word.startswith("data.image_root")]
    shown = cli(command, *words, "paths.images=pictures", "--cfg", "job", "--resolve")
    now = identity.settled(yaml.safe_load(shown.stdout))
    assert identity.difference(identity.settled(before), now) == ""
    assert identity.difference(identity.settled({**before, "seed": 1}), now) == "seed=1 (now 0)"


def test_a_setting_that_is_gone_and_did_something_else_is_another_run() -> None:
    before = yaml.safe_load((BEGUN / "train.yaml").read_text())["config"]
    now = identity.settled(before)
    del now["model"]["base_only_when_small"]
    before["model"]["base_only_when_small"] = True
    assert identity.difference(identity.settled(before), now) == "model.base_only_when_small=True (now False)"


# classes that have moved ----------------------------------------------------------------------------------------------

TARGETS = (BEGUN / "targets.txt").read_text().split()


@pytest.mark.parametrize("target", TARGETS)
def test_every_class_that_a_setting_named_is_still_to_be_had(target: str) -> None:
    assert callable(hydra.utils.get_object(moved.current(target)))


def test_different_classes_of_one_name_stay_different() -> None:
    assert len({moved.current(target) for target in TARGETS}) == len(TARGETS)


def test_a_path_of_today_moves_nowhere() -> None:
    for path in moved.MOVED.values():
        target = path if path.rpartition(".")[2][0].isupper() else f"{path}.Thing"
        assert moved.current(target) == target


@pytest.fixture
def moves(monkeypatch):
    """A module that has become a package, and one of which a class has got another name."""
    monkeypatch.setitem(moved.MOVED, "seke.old.things", "seke.things.base")
    monkeypatch.setitem(moved.MOVED, "seke.old.fractions", "fractions")
    monkeypatch.setitem(moved.MOVED, "seke.old.fractions.Ratio", "fractions.Fraction")
    command._tell_of_move.cache_clear()


def test_earlier_paths_are_followed_wherever_they_stand(moves, capsys) -> None:
    mine = {"_target_": "my.old.things.Thing"}
    cfg = OmegaConf.create(
        {
            "source": {"_target_": "seke.old.things.Thing", "inner": {"_target_": "seke.old.fractions.Ratio"}},
            "listed": [{"_target_": "seke.old.things.draw", "_partial_": True}, mine, None, "seke.old.things.Thing"],
            "mine": mine, "empty": None, "due": "???", "lists": [["x"]],
            "gpt-4.1": {"_target_": "seke.old.things.Thing"}, "text": "seke.old.things.Thing",
        }
    )  # fmt: skip
    command._follow_moves(cfg)
    command._follow_moves(cfg)
    assert OmegaConf.to_container(cfg) == {
        "source": {"_target_": "seke.things.base.Thing", "inner": {"_target_": "fractions.Fraction"}},
        "listed": [{"_target_": "seke.things.base.draw", "_partial_": True}, mine, None, "seke.old.things.Thing"],
        "mine": mine, "empty": None, "due": "???", "lists": [["x"]],
        "gpt-4.1": {"_target_": "seke.things.base.Thing"}, "text": "seke.old.things.Thing",
    }  # fmt: skip
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3  # one for each path
    assert told[0].startswith("warning: seke.old.things.Thing is seke.things.base.Thing now; ")


def test_what_is_built_of_an_earlier_path_is_of_the_class_of_today(moves) -> None:
    cfg = OmegaConf.create({"ratio": {"_target_": "seke.old.fractions.Ratio", "numerator": 3}})
    command._follow_moves(cfg)
    assert command.build(cfg.ratio) == 3


def test_a_class_of_an_earlier_path_says_which_settings_it_takes(moves) -> None:
    assert settings._is_taken("logger", "numerator", {"_target_": "seke.old.fractions.Ratio"})
    assert not settings._is_taken("logger", "colour", {"_target_": "seke.old.fractions.Ratio"})


def test_a_run_is_the_same_after_its_classes_have_moved(moves) -> None:
    def run(*targets: str) -> dict[str, Any]:
        return identity.settled({"parts": [{"_target_": target} for target in targets]})

    before = run("seke.old.things.Thing", "my.old.things.Thing")
    assert identity.difference(before, run("seke.things.base.Thing", "my.old.things.Thing")) == ""
    for other in ("seke.things.base.Other", "seke.other.Thing", "things.base.Thing"):
        assert identity.difference(before, run(other, "my.old.things.Thing"))
    assert identity.difference(before, run("seke.things.base.Thing", "my.things.base.Thing"))
