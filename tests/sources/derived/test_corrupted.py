"""A prepared set with corrupted pictures: the same records, new files, and what cannot be made."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seke.core.errors import UserError
from seke.core.images import sha256
from seke.core.records import ImageRecord, read_jsonl, write_jsonl
from seke.core.runs import Run
from seke.sources.derived.corrupted import Corrupted
from seke.sources.prepare import prepare

from ...trees import corrupted
from ..rows import by_id


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    corrupted.make(tmp_path / "prepare" / "toy")
    return tmp_path


def run_folder(outputs: Path, name: str) -> Path:
    (outputs / "prepare" / name).mkdir(parents=True)
    return outputs / "prepare" / name


def test_records_keep_all_but_their_picture(toy: Path) -> None:
    before = {row.id: row for row in read_jsonl(toy / "prepare" / "toy" / "test.jsonl", ImageRecord)}
    folder = run_folder(toy, "toy-blur2")
    source = Corrupted("toy", str(toy), kind="blur", severity=2)
    counts = prepare.write(source, folder)
    rows = {row.id: row for row in read_jsonl(folder / "test.jsonl", ImageRecord)}
    assert (counts["test"], counts["rejected"], counts["train"]) == (12, 0, 0)
    for id_, row in rows.items():
        data = (folder / source.image_root(folder) / row.image).read_bytes()
        assert row.sha256 == sha256(data) != before[id_].sha256
        assert row.attributes["condition"] == {"kind": "blur", "severity": 2}
        same = {name: getattr(before[id_], name) for name in ("image", "sha256", "attributes")}
        assert row.model_copy(update=same) == before[id_]
    assert not (folder / "truth.jsonl").exists(), "nobody can look up what a corrupted picture shows"


def test_a_place_stays_as_severity_grows_and_differs_between_faces(toy: Path) -> None:
    def covered(severity: int) -> dict[str, tuple[float, ...]]:
        folder = run_folder(toy, f"o{severity}")
        found = {}
        for id_, row in by_id(Corrupted("toy", str(toy), kind="occlusion", severity=severity).read(folder))[0].items():
            with Image.open(folder / "images" / row.image) as shown:
                ys, xs = np.nonzero((np.asarray(shown) == 128).all(axis=2))
            found[id_] = (np.median(xs), np.median(ys), *np.quantile(xs, (0.02, 0.98)), *np.quantile(ys, (0.02, 0.98)))
        return found

    small, large = covered(1), covered(3)
    assert len(set(small.values())) > 8
    for id_, (x, y, *_) in small.items():
        _, _, left, right, top, bottom = large[id_]
        assert left <= x <= right and top <= y <= bottom


def test_a_changed_picture_is_rejected_and_a_path_that_leads_away_writes_nothing_there(toy: Path) -> None:
    set_ = toy / "prepare" / "toy"
    rows = list(read_jsonl(set_ / "test.jsonl", ImageRecord))
    (set_ / rows[0].image).write_bytes((set_ / rows[1].image).read_bytes())
    rows[2] = rows[2].model_copy(update={"image": "../../../elsewhere/x.jpg"})
    write_jsonl(set_ / "test.jsonl", rows)
    folder = run_folder(toy, "light")
    records, rejected = by_id(Corrupted("toy", str(toy), kind="light").read(folder))
    assert len(records) == 10
    assert "changed after it was prepared" in rejected["toy/0"].detail
    assert "leads out of the image root" in rejected["toy/2"].detail
    assert sorted(path.name for path in toy.iterdir()) == ["prepare"]


def test_drawn_faces_stay_drawn_faces(toy: Path) -> None:
    assert Corrupted("toy", str(toy)).synthetic == "nothing"
    Run(toy / "prepare" / "toy", {}, {}).finish(synthetic="faces")
    assert Corrupted("toy", str(toy)).synthetic == "faces"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"records": None}, r"source\.records=None: there is nothing to corrupt; give the name of a prepared set"),
        ({"records": "gone"}, r"source\.records=gone: neither a file nor a finished .*test\.jsonl"),
        ({"kind": "rain"}, r"source\.kind=rain: no such corruption; set light, blur, resolution, occlusion, pose"),
        ({"severity": 4}, r"source\.severity=4: "),
        ({"split": "all"}, r"source\.split=all: no such split"),
        ({"split": "train"}, r"source\.records=toy: neither"),
    ],
)
def test_mistakes_are_told_in_one_line(toy: Path, settings: dict, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        Corrupted(**{"records": "toy", "outputs": str(toy), **settings})


def test_an_empty_split_is_told(toy: Path) -> None:
    (toy / "prepare" / "toy" / "validation.jsonl").touch()
    with pytest.raises(UserError, match="no record in it"):
        list(Corrupted("toy", str(toy), split="validation").read(run_folder(toy, "x")))


@pytest.mark.parametrize(("kind", "kept"), [("crop", False), ("surround", False), ("blur", True)])
def test_a_framing_forgets_where_the_face_was(toy: Path, kind: str, kept: bool) -> None:
    file = toy / "prepare" / "toy" / "test.jsonl"
    marked = [
        row.model_copy(update={"attributes": {**row.attributes, "face": [4, 4, 20, 20]}})
        for row in read_jsonl(file, ImageRecord)
    ]
    write_jsonl(file, marked)
    rows, _ = by_id(Corrupted("toy", str(toy), kind=kind, severity=1).read(run_folder(toy, kind)))
    assert {"face" in row.attributes for row in rows.values()} == {kept}
