"""Samples: what is kept changes no feature, what cannot be used is rejected by name, rows and samples are not kept."""

import gc
import json
import pickle
import tracemalloc
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from seke.core.errors import UserError
from seke.core.images import sha256
from seke.core.records import Rejection
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer
from seke.training.callbacks.fault_guard import explained
from seke.training.data.dataset import prepare
from seke.training.data.mixture import Data, stream
from seke.training.readers.row import Row, Turn


@pytest.fixture(scope="module")
def loaded():
    return build_tiny(train_tokenizer(["What is it? A face."], 400), image=32, patch=8, vision_width=32,
                      vision_layers=2, width=32, layers=2, heads=2, feed_forward=48)  # fmt: skip


@pytest.fixture
def rows(tmp_path):
    made = []
    for k, size in enumerate([(32, 32), (50, 32), (20, 90)]):
        file = tmp_path / f"{k}.png"
        Image.radial_gradient("L").resize(size).save(file)
        made.append(Row(str(k), (Turn("user", "What is it?", 1), Turn("assistant", "A face.", 0)), (file,)))
    return made


def rejections(arrow):
    return [json.loads(line) for line in arrow.with_suffix(".jsonl").read_text().splitlines()]


@pytest.mark.parametrize("cache", ["states", "pixels", "none"])
def test_what_is_kept_changes_no_feature(loaded, rows, tmp_path, cache):
    kept = prepare([rows], loaded, Data(path="x", cache=cache), True, tmp_path / "x.arrow")
    assert kept.rejected == 0
    for k, row in enumerate(rows):
        sample, [vision] = kept[k]
        pixels = loaded.pixels(Image.open(row.images[0]).convert("RGB"))
        states = vision.values if cache == "states" else loaded.see(vision.values)
        torch.testing.assert_close(states, loaded.see(pixels.crops))
        assert sample.ids.count(loaded.text.image) == loaded.image_tokens(vision.size)


@pytest.mark.parametrize("cache", ["states", "none"])
def test_broken_images_and_overlong_rows_are_rejected_by_name(loaded, rows, tmp_path, cache):
    rows[1].images[0].write_bytes(b"no picture")
    long = Row("long", (Turn("user", "What is it?", 0), Turn("assistant", "A face." * 200, 0)), ())
    unread = Rejection(id="unread", reason="image", detail="")
    data = Data(path="x", cache=cache, max_tokens=300)
    kept = prepare([[unread, *rows, long]], loaded, data, True, tmp_path / "x.arrow")
    assert [kept.sample(k).id for k in range(len(kept))] == ["0", "2"]
    assert [(r["id"], r["reason"]) for r in rejections(kept.arrow)] == [
        ("unread", "image"), ("1", "image"), ("long", "length")
    ]  # fmt: skip
    assert kept.rejected == 3
    assert [len(kept[k][1]) for k in range(2)] == [1, 1]


def test_samples_come_back_as_they_were_encoded(loaded, rows, tmp_path):
    turns = (Turn("user", "What is it?", 2), Turn("assistant", "A face.", 0))
    two = Row("two", turns, rows[2].images + rows[0].images)
    kept = prepare([rows, [two]], loaded, Data(path="x", cache="pixels"), True, tmp_path / "x.arrow")
    encoded = loaded.encode([[("user", "What is it?", ((32, 32),)), ("assistant", "A face.", ())]])
    assert (kept.sample(0).ids, kept.sample(0).supervised) == tuple(encoded[0][:2])
    assert kept.sample(3).images == (2, 0) and kept.part.tolist() == [0, 0, 0, 1]
    assert kept.lengths.tolist() == [len(kept.sample(k).ids) for k in range(4)]
    assert kept.tokens.tolist() == [kept.sample(k).tokens for k in range(4)]


def test_an_image_that_parts_share_is_looked_at_once(loaded, rows, tmp_path, monkeypatch):
    looked = []
    pixels = type(loaded).pixels
    monkeypatch.setattr(type(loaded), "pixels", lambda self, picture: looked.append(1) or pixels(self, picture))
    prepare([rows, rows, rows[:1]], loaded, Data(path="x", cache="states"), True, tmp_path / "x.arrow")
    assert len(looked) == 3


WORDS = SimpleNamespace(
    max_tokens=1_000_000,
    encode=lambda turns, mask: [
        (list(range(1, len(t[1][1].split()) + 1)), [True] * len(t[1][1].split()), ()) for t in turns
    ],
)
"""A model for text alone: one token a word."""


def test_neither_rows_nor_samples_stay_in_memory(tmp_path):
    answer = "word " * 40
    with (tmp_path / "rows.jsonl").open("w") as file:
        for k in range(20_000):
            turns = [{"from": "human", "value": f"Question {k}?"}, {"from": "gpt", "value": answer}]
            file.write(json.dumps({"id": str(k), "conversations": turns}) + "\n")
    [part] = Data(path=str(tmp_path / "rows.jsonl")).sources(tmp_path)
    prepare(
        [islice(stream(part), 1)], WORDS, Data(path="x"), False, tmp_path / "y.arrow"
    )  # what is imported on first use
    tracemalloc.start()
    try:
        kept = prepare([stream(part)], WORDS, Data(path="x"), False, tmp_path / "x.arrow")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(kept) == 20_000 and kept.sample(19_999).id == "19999"
    # Rows alone would take 20 MB, their tokens as Python lists 13 MB.
    assert peak < 8_000_000
    gc.collect()
    assert not any(isinstance(found, Row) and answer.strip() in found.turns[1] for found in gc.get_objects())


def test_a_worker_that_inherits_nothing_opens_the_file_itself(tmp_path):
    row = Row("a", (Turn("user", "?", 0), Turn("assistant", "three words here", 0)), ())
    kept = prepare([[row] * 1000], WORDS, Data(path="x"), False, tmp_path / "x.arrow")
    kept.pictures.loaded = None
    state = pickle.dumps(kept)
    assert len(state) < 30_000
    assert pickle.loads(state).sample(999) == kept.sample(999) == ("a", [1, 2, 3], [True] * 3, (), [], [])


def test_nothing_usable_is_an_empty_set(tmp_path):
    kept = prepare([[Rejection(id="a", reason="image")], []], WORDS, Data(path="x"), False, tmp_path / "x.arrow")
    assert len(kept) == 0 and kept.rejected == 1


@pytest.mark.parametrize("cache", ["states", "none"])
def test_a_picture_that_changed_after_it_was_annotated_is_not_learnt_from(loaded, rows, tmp_path, cache):
    annotated = [replace(row, sha256=sha256(row.images[0].read_bytes())) for row in rows]
    rows[1].images[0].write_bytes(rows[2].images[0].read_bytes())
    kept = prepare([annotated, rows[1:2]], loaded, Data(path="x", cache=cache), True, tmp_path / "x.arrow")
    assert [kept.sample(k).id for k in range(len(kept))] == ["0", "2", "1"]  # the last row says nothing of its picture
    [rejected] = rejections(kept.arrow)
    assert (rejected["id"], rejected["reason"]) == ("1", "image") and "changed" in rejected["detail"]


def test_a_picture_that_changes_while_it_is_trained_on_ends_the_training(loaded, rows, tmp_path):
    annotated = [replace(row, sha256=sha256(row.images[0].read_bytes())) for row in rows]
    kept = prepare([annotated], loaded, Data(path="x", cache="none"), True, tmp_path / "x.arrow")
    rows[1].images[0].write_bytes(rows[2].images[0].read_bytes())
    assert len(kept[0][1]) == 1
    for workers in (0, 1):
        loader = DataLoader(kept, batch_size=None, num_workers=workers)
        with pytest.raises(UserError) as caught, explained(None, ""):
            list(loader)
        line = str(caught.value)
        assert line.startswith("image=1.png: lost while it was trained on (1.png changed after it was prepared")
        assert line.endswith("put the picture back, then run the same command again to go on") and "\n" not in line
