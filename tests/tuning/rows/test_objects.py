"""JSON one row at a time: lists and lines alike, whatever the size of a bite, and one line for what is broken."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.records import RecordError
from seke.tuning.rows import objects as room
from seke.tuning.rows.objects import objects

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
ROWS = st.lists(st.dictionaries(TEXT, TEXT | st.integers() | st.lists(TEXT, max_size=3), max_size=4), max_size=8)


@given(ROWS, st.integers(1, 60), st.sampled_from([None, 1]), st.booleans())
def test_lists_and_lines_of_any_bite_give_what_json_gives(tmp_path_factory, rows, bite, indent, escaped):
    file = tmp_path_factory.mktemp("x") / "x.json"
    before, room.CHUNK = room.CHUNK, bite
    try:
        file.write_text(json.dumps(rows, indent=indent, ensure_ascii=escaped), encoding="utf-8")
        assert list(objects(file)) == [(f"row {k}", row) for k, row in enumerate(rows, start=1)]
        lines = [json.dumps(row, ensure_ascii=escaped) for row in rows]
        file.write_text("\ufeff" + "\n\n".join(lines), encoding="utf-8")
        assert list(objects(file)) == [(f"line {1 + 2 * k}", row) for k, row in enumerate(rows)]
    finally:
        room.CHUNK = before


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'[{"a": 1}, {"a": ]', "row 2, no JSON"),
        (b'[{"a": 1},\n{"a": 2}', "row 3, no JSON"),
        (b'{"a": 1}\n{"a"', "line 2, no JSON"),
        (b'{"a": 1}\nnull x', "line 2, no JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"[" + b"[" * 100_000, "row 1, no"),
        (b'{"a": ' + b"9" * 5000 + b"}", "line 1, no sane JSON"),
    ],
)
def test_what_is_broken_is_one_line(tmp_path, data, said):
    file = tmp_path / "x.json"
    file.write_bytes(data)
    with pytest.raises(RecordError, match=said):
        list(objects(file))


def test_an_error_is_found_without_reading_on(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "CHUNK", 100)
    file = tmp_path / "x.jsonl"
    file.write_text('{"a": oh}\n' + '{"a": 1}\n' * 100)
    with file.open() as text, pytest.raises(RecordError, match="line 1"):
        list(room._values(file, text))
    # Two bites at most: the file is never gathered in memory to find that its first row is broken.
    with file.open() as text:
        with pytest.raises(RecordError):
            list(room._values(file, text))
        assert len(text.read()) >= 700


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(RecordError, match="cannot be read"):
        list(objects(tmp_path / "x.json"))
