"""Batches: every sample once, the same on a resume, token counts of the global step exact; states equal no cache."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seke.models.tiny import build_tiny, train_tokenizer
from seke.tuning.batches import Batches, Sample, collate, prepare
from seke.tuning.data import Data, Row, Say


def samples(lengths):
    return [Sample(str(k), [1] * n, [False] + [True] * (n - 1), ()) for k, n in enumerate(lengths)]


@given(
    st.lists(st.integers(2, 40), min_size=1, max_size=60), st.integers(1, 7), st.integers(1, 3), st.integers(1, 3),
    st.booleans(),
)  # fmt: skip
def test_every_sample_once_and_step_tokens_exact(lengths, size, world, accumulate, group):
    every = samples(lengths)
    taken, totals = [], []
    for rank in range(world):
        batches = Batches(every, size, accumulate, seed=3, group=group)
        batches.position = lambda rank=rank: (2, rank, world, 0)
        mine = list(batches)
        assert len(mine) == len(batches)
        taken.append([[k for k, _ in batch] for batch in mine])
        totals.append([batch[0][1] for batch in mine])
    # Only a rank that would stand without a batch repeats a sample.
    spare = sum(len(r) for ranks in zip(*taken, strict=True) for r in ranks) - len(every)
    assert 0 <= spare < world
    assert {k for rank in taken for batch in rank for k in batch} == set(range(len(every)))
    assert all(total == totals[0] for total in totals)
    for start in range(0, len(taken[0]), accumulate):
        window = [batch for rank in taken for batch in rank[start : start + accumulate]]
        assert totals[0][start] == sum(every[k].tokens for batch in window for k in batch)


@given(st.integers(1, 50), st.integers(1, 6), st.integers(0, 9))
def test_a_resume_goes_on_where_the_epoch_stopped(n, size, done):
    every = samples([2 + k % 7 for k in range(n)])
    batches = Batches(every, size)
    whole = list(batches)
    batches.position = lambda: (0, 0, 1, done)
    assert list(batches) == whole[done:]


def test_epochs_and_seeds_differ():
    every = samples([5] * 50)
    orders = [Batches(every, 4, seed=seed).order(epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all(a != b for k, a in enumerate(orders) for b in orders[:k])


def test_grouping_pads_less():
    lengths = [2 + (k * 37) % 91 for k in range(400)]
    every = samples(lengths)

    def padding(group):
        return sum(max(lengths[k] for k in b) * len(b) for [b] in Batches(every, 8, group=group).order(0)) - sum(
            lengths
        )

    assert padding(True) < padding(False) / 3


def test_collate_marks_the_position_before_each_supervised_token():
    one = Sample("a", [5, 6, 7, 8], [False, False, True, True], ())
    two = Sample("b", [5, 9], [False, True], ())
    batch = collate([(one, []), (two, [])], pad=0, step_tokens=3)
    assert batch["ids"].tolist() == [[5, 6, 7, 8], [5, 9, 0, 0]]
    assert batch["keep"].tolist() == [[False, True, True, False], [True, False, False, False]]
    assert batch["targets"].tolist() == [7, 8, 9]


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
        made.append(Row(str(k), (Say("user", "What is it?", 1), Say("assistant", "A face.", 0)), (file,)))
    return made


@pytest.mark.parametrize("cache", ["states", "pixels", "none"])
def test_what_is_kept_changes_no_feature(loaded, rows, cache):
    kept, rejected = prepare(rows, loaded, Data(path="x", cache=cache), frozen_tower=True)
    assert not rejected
    for k, row in enumerate(rows):
        sample, [vision] = kept[k]
        pixels = loaded.pixels(Image.open(row.images[0]).convert("RGB"))
        states = vision.values if cache == "states" else loaded.see(vision.values)
        torch.testing.assert_close(states, loaded.see(pixels.crops))
        assert sample.ids.count(loaded.chat.image) == loaded.image_tokens(vision.size)


@pytest.mark.parametrize("cache", ["states", "none"])
def test_broken_images_and_overlong_rows_are_rejected_by_name(loaded, rows, cache):
    rows[1].images[0].write_bytes(b"no picture")
    long = Row("long", (Say("user", "What is it?", 0), Say("assistant", "A face." * 200, 0)), ())
    kept, rejected = prepare([*rows, long], loaded, Data(path="x", cache=cache, max_tokens=300), frozen_tower=True)
    assert [sample.id for sample in kept.samples] == ["0", "2"]
    assert [(r.id, r.reason) for r in rejected] == [("1", "image"), ("long", "length")]
    assert [len(kept[k][1]) for k in range(2)] == [1, 1]
