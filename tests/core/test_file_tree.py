import re
from pathlib import Path

import pytest

from seke.core import file_tree
from seke.core.errors import UserError


def touched(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_folder_is_found_in_any_case_below_what_unpacking_put_around_it(tmp_path):
    inner = tmp_path / "Emotion_labels" / "EMOTION"
    touched(inner / "S005" / "x.txt")
    assert file_tree.find(tmp_path, "Emotion") == inner
    assert file_tree.find(inner, "Emotion") == inner
    assert file_tree.find(tmp_path, "FACS") is None


def test_of_a_folder_unpacked_into_its_own_name_the_inner_one_is_meant(tmp_path):
    touched(tmp_path / "images" / "images" / "a.jpg")
    assert file_tree.find(tmp_path, "images") == tmp_path / "images" / "images"


def test_what_operating_systems_leave_behind_is_not_seen(tmp_path):
    for name in (".DS_Store", "._a.jpg", "__MACOSX/a.jpg", "Thumbs.db", "a.JPG"):
        touched(tmp_path / name)
    assert [entry.name for entry in file_tree.listed(tmp_path)] == ["a.JPG"]
    assert [entry.name for entry in file_tree.images(tmp_path)] == ["a.JPG"]


def test_a_link_to_a_folder_is_not_followed(tmp_path):
    outside, root = tmp_path / "outside", tmp_path / "root"
    touched(outside / "Emotion" / "a.txt")
    root.mkdir()
    (root / "link").symlink_to(outside)
    assert file_tree.find(root, "Emotion") is None
    assert list(file_tree.walk(root, ".txt")) == []


def test_a_missing_part_is_named_with_what_is_there_instead(tmp_path):
    touched(tmp_path / "Photos" / "a.jpg")
    with pytest.raises(UserError, match=r"no Emotion/ in it, found Photos/"):
        file_tree.required(tmp_path, "Emotion")


def test_two_files_of_one_number_stand_for_neither(tmp_path):
    for name in ("1.jpg", "01.jpg", "2.jpg", "x.jpg"):
        touched(tmp_path / name)
    numbered, others = file_tree.by_number(file_tree.images(tmp_path))
    assert numbered == {2: "2.jpg"}
    assert sorted(others) == ["01.jpg", "1.jpg", "x.jpg"]


def test_folders_that_are_skipped_are_not_searched(tmp_path):
    touched(tmp_path / "Pictures" / "lists" / "a.csv")
    assert file_tree.find(tmp_path, "lists") == tmp_path / "Pictures" / "lists"
    assert file_tree.find(tmp_path, "lists", skip=("pictures",)) is None


def test_folders_below_come_level_by_level_and_none_out_of_those_to_leave(tmp_path):
    for name in ("b/S1/x/y", "a/z", "S2/w"):
        (tmp_path / name).mkdir(parents=True)
    found = [path.relative_to(tmp_path).as_posix() for path in file_tree.below(tmp_path, re.compile(r"^S\d"))]
    assert found == [".", "S2", "a", "b", "a/z", "b/S1"]


def test_two_paths_of_one_name_are_both_named(tmp_path):
    assert file_tree.unique([("b", tmp_path / "1"), ("a", tmp_path / "2")], "x") == {
        "a": tmp_path / "2",
        "b": tmp_path / "1",
    }
    with pytest.raises(UserError, match=r"/1: .*/2 is a as well"):
        file_tree.unique([("a", tmp_path / "1"), ("a", tmp_path / "2")], "x")


def test_a_setting_that_names_a_folder_cannot_lead_out_of_the_root(tmp_path):
    (tmp_path / "root" / "in").mkdir(parents=True)
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    assert file_tree.folder_inside(tmp_path / "root", "source.images", "in") == (tmp_path / "root" / "in").resolve()
    for name in ("..", "link", "/etc"):
        with pytest.raises(UserError, match="leads out of"):
            file_tree.folder_inside(tmp_path / "root", "source.images", name)
    with pytest.raises(UserError, match="no such folder"):
        file_tree.folder_inside(tmp_path / "root", "source.images", "gone")
