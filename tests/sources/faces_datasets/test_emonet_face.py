"""source=emonet_face on every form that the download may have, and its table of emotions."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from seke.core.affect import EXPRESSIONS
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Rejection
from seke.sources.faces_datasets.emonet_face import EmoNetFace, judgements, majority, opinion

from ...trees import emonet_face as tree

CLASSES: dict[str, Any] = yaml.safe_load(
    (Path(__file__).resolve().parents[3] / "conf" / "source" / "emonet_face.yaml").read_text()
)["classes"]
EXPECTED = {
    "happy": "happiness", "afraid": "fear", "ashamed": None, "torn": None, "surprised": "surprise", "angry": "anger",
    "blank": None,
}  # fmt: skip


def read(root: Path, run: Path, **settings: Any) -> tuple[dict[str, ImageRecord], list[Rejection]]:
    run.mkdir(parents=True, exist_ok=True)
    rows = list(EmoNetFace(str(root), CLASSES, **settings).read(run))
    records = {row.id.partition("/")[2]: row for row in rows if isinstance(row, ImageRecord)}
    return records, [row for row in rows if isinstance(row, Rejection)]


@pytest.mark.parametrize("form", ["pictures", "rows"])
def test_both_forms_of_hq_give_the_same_records_and_the_bytes_of_the_pictures(tmp_path: Path, form: str) -> None:
    tree.make(tmp_path / "hq", form)
    records, rejected = read(tmp_path / "hq", tmp_path / "run")
    assert rejected == []
    assert {name: record.labels.expression for name, record in records.items()} == EXPECTED
    happy = records["happy"]
    assert happy.attributes["experts"] == {
        "human-1": {"Elation": 7.0, "Fear": 1.0}, "human-2": {"Amusement": 5.0},
        "human-3": {"Elation": 4.0, "Shame": 1.0},
    }  # fmt: skip
    assert happy.attributes["prompt"] == "a face, happy"
    assert happy.split == "test"
    assert (tmp_path / "run" / "images" / happy.image).read_bytes() == tree.image("happy")["bytes"]
    assert records["ashamed"].attributes["opinions"] == {"human-1": "none", "human-2": "none", "human-3": "none"}
    assert records["torn"].attributes["opinions"] == {"human-1": "anger", "human-2": "disgust", "human-3": None}


def test_binary_has_a_row_for_each_judgement_and_its_classes_in_the_schema(tmp_path: Path) -> None:
    tree.make(tmp_path / "binary", "binary")
    records, _ = read(tmp_path / "binary", tmp_path / "run", split="train")
    assert records["afraid"].attributes["experts"]["human-2"] == {"Fear": 1.0, "Distress": 0.0}
    assert records["afraid"].labels.expression == "fear"
    assert records["happy"].split == "train"


def test_reading_again_writes_no_picture_anew(tmp_path: Path) -> None:
    tree.make(tmp_path / "hq")
    read(tmp_path / "hq", tmp_path / "run")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run" / "images").iterdir()}
    read(tmp_path / "hq", tmp_path / "run")
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run" / "images").iterdir()} == before


def test_the_table_has_all_emotions_of_guide_and_binary_and_only_expressions_of_ours() -> None:
    assert len(CLASSES) == 41, "40, one of them under two names"
    assert {"Helplessness", "Hopelessness"} <= set(CLASSES)
    assert set(CLASSES.values()) - {None} == set(EXPRESSIONS) - {"neutral"}


def test_an_emotion_that_the_table_lacks_is_named(tmp_path: Path) -> None:
    tree.make(tmp_path / "hq")
    fewer = {name: of for name, of in CLASSES.items() if name != "Awe"}
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match=r"^source.classes=Awe: an emotion of test-00000"):
        list(EmoNetFace(str(tmp_path / "hq"), fewer).read(tmp_path / "run"))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"image": b"", "label": 3}, "has the columns image, label; expected annotations"),
        ({"annotations": "{"}, "judgements in no form that is known"),
        ({"annotations": {"Fear": 9}}, "a mark of 9; marks are from 0 to 7"),
        ({"annotations": [3]}, "judgements in no form that is known"),
        ({"emotion": "Fear", "value": "perhaps"}, "judgements in no form that is known"),
    ],
)
def test_what_is_no_judgement_is_said(row: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says.replace("(", r"\(")):
        list(judgements(row, Path("a.parquet")))


@pytest.mark.parametrize(
    "annotations",
    [
        {"Fear": 2, "Awe": None},
        "{'Fear': 2}",
        json.dumps([{"annotator": "human-1", "value": {"Negative High-Energy Emotions|Fear": 2}}]),
        {"human-1": {"Fear": 2}},
        [{"annotator": "human-1", "emotion": "Fear", "value": 2}],
        [{"annotator": "human-1", "Fear": 2}],
    ],
)
def test_every_form_of_marks_is_read(annotations: Any) -> None:
    row = {"annotator": "human-1", "annotations": annotations}
    assert list(judgements(row, Path("a.parquet"))) == [("human-1", {"Fear": 2.0})]


@pytest.mark.parametrize(
    ("content", "says"), [(None, "no \\*.parquet in it or below"), (b"PAR1 cut", "damaged, or not wholly downloaded")]
)
def test_a_wrong_or_partial_download_is_told_by_its_file(tmp_path: Path, content: bytes | None, says: str) -> None:
    (tmp_path / "hq").mkdir()
    (tmp_path / "hq" / "README.md").touch()
    if content:
        (tmp_path / "hq" / "test-00000-of-00001.parquet").write_bytes(content)
    with pytest.raises(UserError, match=says):
        read(tmp_path / "hq", tmp_path / "run")
    with pytest.raises(UserError, match=r"^source.root=.*no such folder"):
        EmoNetFace(str(tmp_path / "nowhere"), CLASSES)


def test_a_label_needs_more_than_half_and_a_no_says_nothing() -> None:
    assert opinion({"Fear": 3, "Distress": 5}, CLASSES) == "none"
    assert opinion({"Amusement": 5, "Elation": 5}, CLASSES) == "happiness"
    assert majority({"a": "fear", "b": None, "c": "fear", "d": "anger"}) == "fear"
    assert majority({"a": "fear", "b": "fear", "c": "none", "d": "none"}) is None
    assert majority({"a": None}) is None
