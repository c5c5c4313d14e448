"""Files that appear whole or not at all, and journals that a kill may cut at any byte."""

import json

import pytest

from seke.core import files


def test_a_file_is_replaced_only_by_a_whole_one(tmp_path):
    path = tmp_path / "face.jpg"
    path.write_bytes(b"old")
    with pytest.raises(UnicodeEncodeError), files.replacing(path) as part:
        part.write_text("half, then a letter that is no ASCII: é", encoding="ascii")
    assert path.read_bytes() == b"old"
    with files.replacing(path) as part:
        part.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


def test_a_writer_that_writes_nothing_is_told(tmp_path):
    with pytest.raises(FileNotFoundError), files.replacing(tmp_path / "face.jpg"):
        pass


def test_a_journal_cut_at_any_byte_goes_on_after_its_last_whole_line(tmp_path):
    lines = ['{"id": "a"}', '{"id": "é"}']
    text = "".join(line + "\n" for line in lines).encode()
    path = tmp_path / "answers.jsonl"
    for size in range(len(text) + 1):
        path.write_bytes(text[:size])
        whole = text[:size].count(b"\n")
        assert [line.decode() for line in files.whole_lines(path)] == lines[:whole]
        with files.journal(path) as file:
            files.append(file, lines[whole:])
        assert path.read_bytes() == text


def test_a_journal_may_be_new(tmp_path):
    assert files.cut_torn(tmp_path / "answers.jsonl") == 0
    with files.journal(tmp_path / "answers.jsonl") as file:
        files.append(file, ["a", "b"], durable=False)
        assert list(files.whole_lines(tmp_path / "answers.jsonl")) == [b"a", b"b"]


def test_what_a_power_cut_damaged_goes_with_all_that_follows(tmp_path):
    path = tmp_path / "progress.jsonl"
    path.write_bytes(b'{"a": 1}\n\x00\x00\x00\n{"a": 3}\n')
    assert files.cut_torn(path, json.loads) == 1
    assert path.read_bytes() == b'{"a": 1}\n'


def test_a_line_that_comes_while_it_is_read_is_left_for_the_next_look(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b"first\nsec")
    found = files.whole_lines(path)
    assert next(found) == b"first"
    with path.open("ab") as file:
        file.write(b"ond\n")
    assert list(found) in ([], [b"second"])
