"""What a name of a run means, and what is said where there is none."""

import os

import pytest

from seke.core import runs
from seke.core.errors import UserError


def finished(outputs, stage, name, file, age):
    """Leave a run that was finished `age` seconds after another one."""
    folder = outputs / stage / name
    folder.mkdir(parents=True)
    (folder / file).write_text("{}\n")
    (folder / "manifest.json").write_text("{}")
    os.utime(folder / "manifest.json", (1e9 + age, 1e9 + age))


def test_a_missing_name_lists_the_runs_there_are_newest_first_and_the_command(tmp_path):
    for age, name in enumerate(("old", "older-than-new", "new")):
        finished(tmp_path, "prepare", name, "train.jsonl", age)
    finished(tmp_path, "prepare", "without", "other.jsonl", 9)
    with pytest.raises(
        UserError, match=r"there are new, older-than-new, old \(newest first\); `python prepare\.py name="
    ):
        runs.locate("records", "gone", tmp_path, "prepare", "train.jsonl")


def test_the_oldest_of_many_are_counted(tmp_path):
    for age in range(8):
        finished(tmp_path, "prepare", f"r{age}", "train.jsonl", age)
    assert "r7, r6, r5, r4, r3 and 3 older ones (newest first)" in runs.choices(tmp_path, "prepare", "train.jsonl")


def test_without_any_run_only_the_command_is_named(tmp_path):
    with pytest.raises(UserError, match=r"there is none yet: make one with `python generate\.py`"):
        runs.locate("data.path", "gone", tmp_path, "generate", "instructions.jsonl")


def test_the_name_of_a_family_means_its_main_run_unless_a_run_has_it(tmp_path):
    finished(tmp_path, "generate", "demo-seke", "instructions.jsonl", 0)
    asked = ("demo", tmp_path, "generate", "instructions.jsonl")
    assert runs.main_of(*asked) == "demo-seke"
    assert runs.main_of("mine", *asked[1:]) == "mine"
    finished(tmp_path, "generate", "demo", "instructions.jsonl", 1)
    assert runs.main_of(*asked) == "demo"


def test_records_may_be_what_a_review_made_of_a_generation(tmp_path):
    finished(tmp_path, "generate", "reviewed", "records.jsonl", 0)
    found = runs.locate_records("reviewed", tmp_path, "train.jsonl")
    assert found == tmp_path / "generate" / "reviewed" / "records.jsonl"
    finished(tmp_path, "prepare", "reviewed", "train.jsonl", 0)
    assert runs.locate_records("reviewed", tmp_path, "train.jsonl").parts[-3] == "prepare"


def test_a_set_of_peoples_labels_has_no_truth_and_the_line_says_which_file_has_what_they_said(tmp_path):
    finished(tmp_path, "prepare", "aff", "train.jsonl", 0)
    with pytest.raises(UserError, match=r"only drawn pictures have a truth\.jsonl; .*say records=.*aff/train\.jsonl$"):
        runs.locate_records("aff", tmp_path, "truth.jsonl")
