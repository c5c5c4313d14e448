"""Rows of our own instructions can be left out by source, and chosen by kind."""

import json

import pytest
from PIL import Image

from seke.core.records import Rejection
from seke.training.readers.llava import Llava


@pytest.fixture
def rows(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    talk = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "Grey."}]
    made = [
        {"id": "c", "source": "ck_plus"},
        {"id": "d", "source": "disfa", "attributes": {"kind": "reasoning"}},
        {"id": "e", "attributes": {"kind": "categorical"}},
    ]
    lines = [json.dumps({**row, "image": "a.png", "conversations": talk}) for row in made]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "rows.jsonl"


def read(path, **settings):
    return [row.id for row in Llava(**settings).read(path, path.parent) if not isinstance(row, Rejection)]


def test_a_source_is_left_out(rows):
    assert read(rows) == ["c", "d", "e"]
    assert read(rows, without=["ck_plus"]) == ["d", "e"]


def test_kinds_are_chosen(rows):
    assert read(rows, kinds=["reasoning", "categorical"]) == ["d", "e"]
    assert read(rows, kinds=["reasoning"], without=["disfa"]) == []
