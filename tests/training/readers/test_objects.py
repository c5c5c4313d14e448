"""JSON one row at a time: lists and lines alike, whatever the size of a bite, and one line for what is broken."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.records import RecordError
from seke.training.readers import objects as room
from seke.training.readers.objects import Broken, objects

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
        (b"[" + b"[" * 100_000, "row 1, no"),
        (b"PAR1 and so on", "a Parquet file, no JSON"),
        (b"\x1f\x8b\x08\x00", "a gzip archive, no JSON"),
    ],
)
def test_a_file_that_cannot_be_read_on_is_one_line(tmp_path, data, said):
    file = tmp_path / "x.json"
    file.write_bytes(data)
    with pytest.raises(RecordError, match=said):
        list(objects(file))


GOOD = b'{"a": 1}'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"a"', "no JSON"),
        (b"null x", "no JSON"),
        (b"oops{", "no JSON"),
        (b'{"a": "\xff"}', "not UTF-8 text"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no sane JSON"),
        (b"[" * 100_000, "no sane JSON"),
        (b'{"a": ' * 50_000, "no sane JSON"),
    ],
)
def test_a_broken_line_is_told_and_the_others_are_read(tmp_path, line, said):
    file = tmp_path / "x.jsonl"
    file.write_bytes(GOOD + b"\n" + line + b"\n" + GOOD + b"\n")
    before, broken, *after = [value for _, value in objects(file) if value is not None]
    assert before == {"a": 1} and after[-1] == {"a": 1}
    assert isinstance(broken, Broken) and said in broken.problem


@pytest.mark.parametrize("bite", [7, 64, 1 << 20])
@pytest.mark.parametrize("row", [b"[" * 5000 + b"]" * 5000, b'{"a": [' + b"9" * 5000 + b', "]\\\\\\"]"]}'])
def test_a_row_of_a_list_beyond_all_measure_is_passed_over_by_its_brackets(tmp_path, monkeypatch, row, bite):
    monkeypatch.setattr(room, "CHUNK", bite)
    file = tmp_path / "x.json"
    file.write_bytes(b"[" + GOOD + b", " + row + b",\n" + GOOD + b"]")
    before, broken, after = [value for _, value in objects(file)]
    assert before == after == {"a": 1} and isinstance(broken, Broken)


@pytest.mark.parametrize("listed", [False, True])
def test_a_giant_row_is_passed_over_unread(tmp_path, monkeypatch, listed):
    monkeypatch.setattr(room, "CHUNK", 100)
    file = tmp_path / "x.jsonl"
    rows = [GOOD, b'{"a": "' + b"x" * 5000 + b'"}', GOOD]
    file.write_bytes(b"[" + b",\n".join(rows) + b"]" if listed else b"\n".join(rows))
    before, broken, after = [value for _, value in objects(file, longest=1000)]
    assert before == after == {"a": 1} and "longer than 1,000 characters" in broken.problem


@pytest.mark.parametrize(
    "text", ['[{"a": 1}]\n[{"a": 2}, {"a": 3}]', '{"a": 1}\n[{"a": 2}]{"a": 3}', '[]{"a": 1},\n[{"a": 2},{"a": 3}][]']
)
def test_all_lists_and_objects_of_a_file_are_read(tmp_path, text):
    file = tmp_path / "x.json"
    file.write_text(text)
    assert [value for _, value in objects(file)] == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_a_file_of_nothing_but_other_lines_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "MOST_BROKEN", 20)
    file = tmp_path / "x.jsonl"
    file.write_text("a,b\n" * 20 + '{"a": 1}\n' + "a,b\n" * 20)
    assert len(list(objects(file))) == 41
    file.write_text('{"a": 1}\n' + "a,b\n" * 21)
    with pytest.raises(RecordError, match="line 22 and 20 before it, no JSON"):
        list(objects(file))


def test_what_stands_behind_a_list_is_told(tmp_path):
    file = tmp_path / "x.json"
    file.write_text('[{"a": 1}] oops{\n')
    assert [type(value) for _, value in objects(file)] == [dict, Broken]


def test_a_broken_line_is_passed_over_without_reading_on(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "CHUNK", 100)
    file = tmp_path / "x.jsonl"
    file.write_text('{"a": oh}\n' + '{"a": 1}\n' * 100)
    # Two bites at most: the file is never gathered in memory to find that its first row is broken.
    with file.open() as text:
        assert isinstance(next(iter(room._Values(file, text, 1000)))[1], Broken)
        assert len(text.read()) >= 700


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(RecordError, match="cannot be read"):
        list(objects(tmp_path / "x.json"))
