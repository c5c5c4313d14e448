"""source=raf_au on its published form: units of a side, null, lines and pictures without each other."""

from pathlib import Path

import pytest

from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Rejection
from seke.sources.faces_datasets.raf_au import RAFAU

from ...trees import raf_au as tree


def test_a_coded_face_has_every_unit_and_null_is_no_label(tmp_path: Path) -> None:
    tree.make(tmp_path)
    rows = list(RAFAU(str(tmp_path)).read(tmp_path / "run"))
    records = {row.id: row for row in rows if isinstance(row, ImageRecord)}
    assert sorted(records) == [f"raf_au/{stem}" for stem in ("0001", "0002", "0004", "0005", "0007")]
    first, sided = records["raf_au/0001"], records["raf_au/0002"]
    assert first.image == "aligned/0001_aligned.jpg"
    assert first.labels.active == (1, 2, 5, 25)
    assert set(first.labels.action_units or {}) == set(ACTION_UNITS)
    assert sided.labels.active == (4, 12, 14)
    assert sided.attributes == {"listed": ["4", "L12", "R14"], "one_sided": ["L12", "R14"]}
    assert records["raf_au/0007"].labels.active == (17,)  # AU39 is none of the 17
    reasons = {row.id: row.reason for row in rows if isinstance(row, Rejection)}
    assert reasons == {
        "raf_au/0003": "no label",
        "raf_au/RAFAU_label.txt, line 6": "bad row",
        "raf_au/0099": "no image",
        "raf_au/0006_aligned.jpg": "no label",
        "raf_au/0010_aligned.jpg": "no label",
    }


def test_original_pictures_and_a_list_without_zeros(tmp_path: Path) -> None:
    tree.make(tmp_path)
    (tmp_path / "RAFAU_label.txt").write_text("1.jpg 6+12\n")
    rows = list(RAFAU(str(tmp_path), images="original").read(tmp_path / "run"))
    assert [row.image for row in rows if isinstance(row, ImageRecord)] == ["original/0001.jpg"]
    with pytest.raises(UserError, match=r"source.images=cropped: no such images; use aligned or original"):
        RAFAU(str(tmp_path), images="cropped")
