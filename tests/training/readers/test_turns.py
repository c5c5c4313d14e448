"""Conversations in the forms of other programs: every picture in its place, or the row rejected by name."""

import json
import random

import pytest

from seke.core.records import Rejection, to_line
from seke.training.readers.llava import Llava
from seke.training.readers.row import Row

from ...trees.pictures import save

ANSWER = {"from": "gpt", "value": "Joy."}
ASKED = [{"from": "human", "value": "Who?"}, ANSWER]
PLACED = [{"from": "human", "value": "<image>\nWho?"}, ANSWER]
TWO = [{"from": "human", "value": "<image>\n<image>\nSame?"}, ANSWER]
PART, TEXT = {"type": "image"}, {"type": "text", "text": "Who?"}
SAID = {"role": "assistant", "content": [{"type": "text", "text": "Joy."}]}


def messages(*parts):
    return [{"role": "user", "content": list(parts)}, SAID]


def read(root, *rows):
    for name in ("a.jpg", "b.jpg"):
        save(root / name, name)
    (root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(Llava().read(root / "rows.jsonl", root))


@pytest.mark.parametrize(
    ("row", "names", "places"),
    [
        ({"images": ["a.jpg"], "conversations": ASKED}, "a", [1]),
        ({"images": "a.jpg", "conversations": PLACED}, "a", [1]),
        ({"image": ["a.jpg"], "conversations": PLACED}, "a", [1]),
        ({"image": ["b.jpg", "a.jpg"], "conversations": TWO}, "ba", [2]),
        ({"images": ["b.jpg", "a.jpg"], "image": None, "conversations": ASKED}, "ba", [2]),
        ({"image": "a.jpg", "images": ["a.jpg"], "conversations": PLACED}, "a", [1]),
        ({"image": "a.jpg", "video": None, "videos": [], "conversations": PLACED}, "a", [1]),
        ({"images": [{"bytes": None, "path": "a.jpg"}], "messages": messages(PART, TEXT)}, "a", [1]),
        ({"images": ["b.jpg", "a.jpg"], "messages": messages(PART, TEXT, PART)}, "ba", [2]),
        ({"messages": messages({"type": "image", "image": "b.jpg"}, TEXT, {**PART, "text": None, "path": "a.jpg"})},
         "ba", [2]),
        ({"messages": messages({"type": "image_url", "image_url": {"url": "a.jpg"}}, TEXT)}, "a", [1]),
        ({"images": ["a.jpg"], "messages": messages({"type": "image", "image": "a.jpg"}, TEXT)}, "a", [1]),
        ({"images": ["a.jpg"], "messages": messages("<image>", {"text": "Who?"})}, "a", [1]),
        ({"images": ["a.jpg"], "prompt": messages(PART, TEXT)[:1], "completion": [SAID]}, "a", [1]),
        ({"images": ["a.jpg"], "messages": [{"role": "user", "content": "Who?"}, SAID]}, "a", [1]),
        ({"conversations": [{"from": "user", "value": "1: <img>b.jpg</img> 2: <img>a.jpg</img> Who?"}, ANSWER]},
         "ba", [2]),
        ({"images": ["b.jpg", "a.jpg"], "conversations": PLACED + PLACED}, "ba", [1, 1]),
        ({"image": "a.jpg", "system": "Be brief.", "conversations": PLACED}, "a", [0, 1]),
    ],
)  # fmt: skip
def test_every_picture_comes_to_its_place(tmp_path, row, names, places):
    [found] = read(tmp_path, row)
    assert isinstance(found, Row), found
    assert [file.stem for file in found.images] == list(names)
    assert [turn.images for turn in found.turns if turn.role != "assistant"] == places
    assert all("<" not in turn.text for turn in found.turns) and found.turns[-1].text == "Joy."


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"video": "a.mp4", "conversations": ASKED}, "image"),
        ({"videos": ["a.mp4"], "image": "a.jpg", "conversations": PLACED}, "video"),
        ({"conversations": [{"from": "human", "value": "<video>\nWho?"}, ANSWER]}, "video"),
        ({"messages": messages({"type": "video", "video": "a.mp4"}, TEXT)}, "video"),
        ({"audio": "a.wav", "conversations": ASKED}, "audio"),
        ({"conversations": PLACED}, "image"),
        ({"image": None, "conversations": PLACED}, "image"),
        ({"image": "a.jpg", "conversations": TWO}, "image"),
        ({"image": ["a.jpg", "b.jpg"], "conversations": PLACED}, "image"),
        ({"image": "a.jpg", "images": ["b.jpg"], "conversations": PLACED}, "image"),
        ({"image": {"a": "a.jpg"}, "conversations": PLACED}, "image"),
        ({"image": [["a.jpg"]], "conversations": PLACED}, "image"),
        ({"image": ["a.jpg", None], "conversations": TWO}, "image"),
        ({"image": 7, "conversations": PLACED}, "image"),
        ({"image": "https://host/a.jpg", "conversations": PLACED}, "image"),
        ({"image": "data:image/png;base64,AAAA", "conversations": PLACED}, "image"),
        ({"image": {"bytes": "AAAA", "path": "a.jpg"}, "conversations": PLACED}, "image"),
        ({"image": "a\0.jpg", "conversations": PLACED}, "form"),
        ({"image": "gone.jpg", "conversations": PLACED}, "image"),
        ({"image_path": "a.jpg", "conversations": ASKED}, "image"),
        ({"file": "a.jpg", "conversations": ASKED}, "image"),
        ({"pictures": [{"path": "a"}], "conversations": ASKED}, "image"),
        ({"conversations": [{"from": "human", "value": "Who?", "image": "a.jpg"}, ANSWER]}, "image"),
        ({"image": "a.jpg", "conversations": [{"from": "human", "value": "<image-placeholder> Who?"}, ANSWER]}, "form"),
        ({"image": "a.jpg", "conversations": [{"from": "human", "value": "<|image_1|> Who?"}, ANSWER]}, "form"),
        ({"image": "a.jpg", "conversations": [ASKED[0], {"from": "gpt", "value": "<image>"}]}, "form"),
        ({"image": "a.jpg", "conversations": [ANSWER, *ASKED]}, "form"),
        ({"image": "a.jpg", "conversations": [ASKED[0], {"from": "cat", "value": "x"}]}, "form"),
        ({"image": "a.jpg", "conversations": [ASKED[0], {"from": None, "value": "x"}]}, "form"),
        ({"image": "a.jpg", "conversations": [ASKED[0], {"from": "gpt", "value": None}]}, "form"),
        ({"image": "a.jpg", "conversations": [ASKED[0], {"from": "gpt", "value": 5}]}, "form"),
        ({"image": "a.jpg", "conversations": [ASKED[0], {"from": "gpt", "value": " "}]}, "answer"),
        ({"image": "a.jpg", "conversations": [*PLACED, ASKED[0], {"from": "gpt", "value": ""}]}, "answer"),
        ({"image": "a.jpg", "conversations": ASKED[:1]}, "answer"),
        ({"image": "a.jpg", "conversations": [None]}, "form"),
        ({"image": "a.jpg", "conversations": json.dumps(ASKED)}, "form"),
        ({"image": "a.jpg", "conversations": {"a": 1}}, "form"),
        ({"image": "a.jpg", "conversations": None}, "form"),
        ({"image": "a.jpg", "conversations": PLACED, "messages": messages(PART, TEXT)}, "form"),
        ({"images": ["a.jpg"], "messages": messages(PART, {"type": "tool_use"})}, "form"),
        ({"images": ["a.jpg"], "messages": messages(PART, 5)}, "form"),
        ({"instruction": "Who?", "output": "Joy.", "images": ["a.jpg"]}, "form"),
        ({"metadata": {"source": "x", "image": "a"}, "conversations": ASKED}, "image"),
        ({"meta": [{"files": ["faces/a.jpg"]}], "conversations": ASKED}, "image"),
        ({"conversations": [{"from": "human", "value": "Who?", "image_url": "a"}, ANSWER]}, "image"),
        ({"conversations": [{"from": "human", "value": "Who?", "media": ["a.jpg"]}, ANSWER]}, "image"),
        (
            {"image": "a.jpg", "conversations": [{"from": "human", "role": "assistant", "value": "Who?"}, ANSWER]},
            "form",
        ),
        ({"image": "a.jpg", "conversations": [{"from": "human", "value": "Who?", "content": "What?"}, ANSWER]}, "form"),
        ({"image": "a.jpg", "conversations": [ASKED[0], {**ANSWER, "weight": 0}]}, "answer"),
        ({"image": "a.jpg", "conversations": [ASKED[0], {**ANSWER, "loss": False}]}, "answer"),
        *(
            ({"image": "a.jpg", "conversations": [{"from": "human", "value": f"{place} Who?"}, ANSWER]}, "form")
            for place in (
                "<IMAGE>",
                "< image >",
                "[image]",
                "<img src='a.jpg'>",
                "![a](a.jpg)",
                "<start_of_image>",
                "<im_start><image><im_end>",
                "<image_soft_token>",
            )
        ),
        (None, "form"),
        ("text", "form"),
        (3, "form"),
        ({}, "form"),
    ],
)
def test_what_is_not_understood_whole_is_rejected_by_name(tmp_path, row, reason):
    good = {"image": "a.jpg", "conversations": PLACED}
    first, bad, last = read(tmp_path, good, row, good)
    assert isinstance(first, Row) and isinstance(last, Row)
    assert isinstance(bad, Rejection) and bad.reason == reason, bad
    assert bad.detail and "NoneType" not in bad.detail and "attribute" not in bad.detail


def test_an_answer_that_is_weighed_fully_and_keys_that_agree_are_a_row(tmp_path):
    answer = {**ANSWER, "weight": 1.0, "role": "gpt", "loss": None}
    [row] = read(tmp_path, {"image": "a.jpg", "conversations": [PLACED[0], answer]})
    assert isinstance(row, Row) and row.turns[-1].text == "Joy."


def test_text_alone_is_a_row_without_a_picture(tmp_path):
    [row] = read(tmp_path, {"id": "a.jpg", "source": "x", "conversations": ASKED})
    assert row.images == () and row.turns[0].images == 0


@pytest.mark.parametrize("odd", [["a"], {"x": 1}, None, True, "", "\ud83d", "\x1b[31m" * 999, 10**40])
def test_ids_of_any_kind_fit_into_a_file(tmp_path, odd):
    [found] = read(tmp_path, {"id": odd, "conversations": ASKED, "image": "gone.jpg"})
    line = to_line(found)
    assert line.encode() and len(line) < 600 and found.id.isprintable()


def test_sources_and_kinds_of_any_type_are_no_tracebacks(tmp_path):
    rows = [{"source": ["x"], "attributes": [1], "conversations": ASKED}, {"attributes": {"kind": {}}, **ANSWER}]
    read(tmp_path, *rows)
    assert list(Llava(without=["x"], kinds=["y"]).read(tmp_path / "rows.jsonl", tmp_path)) == []


VALUES = (None, True, -1, 1e308, 10**400, "", "x" * 9999, "\0", "\ud800", [], [[]], {}, {"a": {}}, [None], "<image>",
          "../../etc/passwd", "/etc/passwd", {"type": "image"}, {"bytes": "x"}, ["a.jpg", "a.jpg"])  # fmt: skip


def test_whatever_stands_anywhere_in_a_row_no_row_is_lost(tmp_path):
    dice = random.Random(0)
    keys = ("id", "image", "images", "conversations", "messages", "labels", "system", "video", "from", "value", "role")

    def spoilt(node):
        if isinstance(node, dict):
            made = {key: spoilt(value) for key, value in node.items() if dice.random() > 0.1}
            return {**made, dice.choice(keys): dice.choice(VALUES)} if dice.random() < 0.3 else made
        if isinstance(node, list):
            return [spoilt(value) for value in node]
        return dice.choice(VALUES) if dice.random() < 0.2 else node

    base = [{"id": "1", "image": "a.jpg", "conversations": PLACED}, {"images": ["a.jpg"], "messages": messages(PART)}]
    found = read(tmp_path, *(spoilt(dice.choice(base)) for _ in range(500)))
    assert len(found) == 500 and all(isinstance(one, Row | Rejection) for one in found)
    assert all(to_line(one).encode() for one in found if isinstance(one, Rejection))
    kept = list(Llava().read(tmp_path / "rows.jsonl", tmp_path, "expression"))
    assert len(kept) == 500
