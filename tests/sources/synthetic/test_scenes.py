import json

import pytest

from seke.core.errors import UserError
from seke.core.images import sha256
from seke.core.records import ImageRecord, Labels, read_jsonl
from seke.sources.scene_datasets.emoset import EMOTIONS, EmoSet
from seke.sources.synthetic.scenes import SyntheticScenes, latent

from ... import warm
from ..rows import fetched


def rows(path, **settings):
    return fetched(SyntheticScenes(**{"images": 48, "workers": 1, **settings}), path)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    return path, rows(path)


def test_emotions_take_turns_and_stand_in_the_attributes_alone(drawn):
    _, records = drawn
    assert [record.attributes["emotion"] for record in records] == list(EMOTIONS) * 6
    assert all(record.labels == Labels() and record.subject is None for record in records)


def test_each_picture_and_its_annotation_are_where_emoset_has_them(drawn):
    path, records = drawn
    for record in records:
        emotion, name = record.image.split("/")[1:]
        assert name.startswith(f"{emotion}_0000")
        assert sha256((path / "scenes" / record.image).read_bytes()) == record.sha256
        note = path / "scenes" / "annotation" / emotion / name.replace(".jpg", ".json")
        assert json.loads(note.read_text()) == record.attributes


def test_source_emoset_reads_the_folder_back(drawn):
    path, records = drawn
    again = list(EmoSet(str(path / "scenes")).read(path))
    assert all(isinstance(row, ImageRecord) for row in again)
    assert {row.image: row.attributes for row in again} == {row.image: row.attributes for row in records}


def test_the_commands_prepare_scenes_and_read_them_back(tmp_path, request):
    def prepared(name, *settings):
        script = request.config.rootpath / "prepare.py"
        words = [f"name={name}", f"paths.outputs={tmp_path}", *settings]
        warm.run(script, *words, cwd=script.parent).check_returncode()
        folder = tmp_path / "prepare" / name
        splits = [folder / f"{split}.jsonl" for split in ("train", "validation", "test")]
        return {row.sha256: row.attributes for file in splits for row in read_jsonl(file, ImageRecord)}

    scenes = prepared("scenes", "source=synthetic_scenes", "source.images=24")
    again = prepared("again", "source=emoset", f"source.root={tmp_path}/prepare/scenes/scenes")
    assert len(scenes) == 24
    assert again == scenes


def test_the_truth_lies_beside_the_records(drawn):
    path, records = drawn
    assert list(read_jsonl(path / "scenes.jsonl", ImageRecord)) == records


def test_attributes_are_those_of_the_scene_that_was_drawn(drawn):
    _, records = drawn
    scene, _ = latent(0, 9)
    assert records[9].attributes == {"image_id": "anger_00002", **scene.attributes}


def test_workers_and_a_resumed_run_give_the_same_bytes(drawn, tmp_path, monkeypatch):
    _, records = drawn
    first = tmp_path / "one"
    monkeypatch.setattr(SyntheticScenes, "one_process", 1)
    assert fetched(SyntheticScenes(images=48, workers=2), first) == records
    (first / "scenes" / records[3].image).write_bytes(b"half a picture")
    assert rows(first) == records


def test_another_seed_draws_other_pictures_and_splits(drawn, tmp_path):
    _, records = drawn
    others = rows(tmp_path, seed=1, test_share=0.3, validation_share=0.3)
    assert not {row.sha256 for row in records} & {row.sha256 for row in others}
    assert {row.split for row in others} == {"train", "validation", "test"}


def test_more_pictures_leave_those_before_as_they_are(drawn, tmp_path):
    _, records = drawn
    more = rows(tmp_path, images=56)[:48]
    assert [row.model_copy(update={"split": "train"}) for row in more] == [
        row.model_copy(update={"split": "train"}) for row in records
    ]


@pytest.mark.parametrize(
    ("setting", "value"), [("images", 7), ("size", 8), ("workers", 0), ("test_share", 2), ("images", 9.5)]
)
def test_a_setting_out_of_range_is_named(setting, value):
    with pytest.raises(UserError, match=f"source.{setting}="):
        SyntheticScenes(**{setting: value})
