"""Batches: an exact epoch for any ranks and workers, the same on a resume, token counts of the global step exact."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from seke.training.data.dataset import Sample, prepare
from seke.training.data.mixture import Data
from seke.training.data.samplers import (
    EMPTY,
    FILLER,
    Batches,
    Packs,
    Steps,
    collate,
    collate_pack,
    collate_step,
    epoch_indices,
)
from seke.training.readers.row import Row, Turn


def batches(lengths, *settings, **more):
    lengths = np.array(lengths)
    return Batches(lengths, lengths - 1, *settings, **more)


def ranks(made, world, epoch=2):
    """What every rank is given in an epoch."""
    for rank in range(world):
        made.position = lambda rank=rank: (epoch, rank, world, 0)
        yield list(made)


@given(
    st.lists(st.integers(2, 40), min_size=1, max_size=60), st.integers(1, 7), st.integers(1, 8), st.integers(1, 4),
    st.booleans(), st.sampled_from([0.5, 1, 2.5]),
)  # fmt: skip
def test_every_entry_of_the_epoch_once_and_step_tokens_exact(lengths, size, world, accumulate, group, weight):
    chosen = epoch_indices(np.zeros(len(lengths)), [weight], seed=3)
    made = batches(lengths, size, accumulate, seed=3, group=group, chosen=chosen)
    given_out = list(ranks(made, world))
    assert {len(mine) for mine in given_out} == {len(made)} and len(made) % accumulate == 0
    taken = [k for mine in given_out for batch in mine for k, _ in batch if k != FILLER]
    assert sorted(taken) == sorted(chosen.tolist())
    assert all(len(batch) == 1 for mine in given_out for batch in mine if FILLER in dict(batch))
    for start in range(0, len(made), accumulate):
        window = [item for mine in given_out for batch in mine[start : start + accumulate] for item in batch]
        assert {total for _, total in window} == {sum(lengths[k] - 1 for k, _ in window if k != FILLER)}
        assert any(k != FILLER for k, _ in window)


@given(st.integers(1, 50), st.integers(1, 6), st.integers(0, 9))
def test_a_resume_goes_on_where_the_epoch_stopped(n, size, done):
    made = batches([2 + k % 7 for k in range(n)], size)
    whole = list(made)
    made.position = lambda: (0, 0, 1, done)
    assert list(made) == whole[done:]


def test_epochs_and_seeds_differ():
    orders = [np.concatenate(batches([5] * 50, 4, seed=s).order(epoch)).tolist() for s in (0, 1) for epoch in (0, 1)]
    assert all(a != b for k, a in enumerate(orders) for b in orders[:k])


def test_grouping_pads_less():
    lengths = [2 + (k * 37) % 91 for k in range(400)]

    def padding(group):
        rounds = batches(lengths, 8, group=group).order(0)
        return sum(max(lengths[k] for k in b) * len(b) for b in rounds) - sum(lengths)

    assert padding(True) < padding(False) / 3


def test_weights_repeat_and_draw_a_part():
    part = np.repeat([0, 1], [10, 20])
    made = epoch_indices(part, [2.5, 0.25], seed=1)
    counts = np.bincount(made, minlength=30)
    assert counts[:10].tolist().count(3) == 5 and counts[:10].tolist().count(2) == 5
    assert counts[10:].sum() == 5 and counts[10:].max() == 1
    assert made.tolist() == epoch_indices(part, [2.5, 0.25], seed=1).tolist()
    assert made.tolist() != epoch_indices(part, [2.5, 0.25], seed=2).tolist()


def test_collate_marks_the_position_before_each_supervised_token():
    one = Sample("a", [5, 6, 7, 8], [False, False, True, True], ())
    two = Sample("b", [5, 9], [False, True], ())
    batch = collate([(one, []), (two, [])], pad=0, step_tokens=3)
    assert batch["ids"].tolist() == [[5, 6, 7, 8], [5, 9, 0, 0]]
    assert batch["keep"].tolist() == [[False, True, True, False], [True, False, False, False]]
    assert batch["targets"].tolist() == [7, 8, 9]


def test_a_filler_carries_no_loss_and_is_not_counted():
    batch = collate([(EMPTY, [])], pad=0, step_tokens=7)
    assert not batch["keep"].any() and batch["targets"].tolist() == []
    assert batch["samples"] == 0 and batch["step_tokens"] == 7


def test_a_pack_lays_samples_one_after_another_and_predicts_nothing_across_them():
    one = Sample("a", [5, 6, 7, 8], [False, False, True, True], ())
    two = Sample("b", [5, 9, 4], [True, True, False], ())
    batch = collate_pack([(one, []), (two, [])], step_tokens=3)
    assert batch["ids"].tolist() == [[5, 6, 7, 8, 5, 9, 4]]
    assert batch["lengths"] == [4, 3]
    # The second's first token is supervised, but what stands before it is the first's end.
    assert batch["keep"].tolist() == [[False, True, True, False, True, False, False]]
    assert batch["targets"].tolist() == [7, 8, 9]
    assert batch["names"] == ["a", "b"] and batch["samples"] == 2


def test_a_pack_supervises_what_padded_batches_supervise():
    items = [(Sample(str(k), list(range(1, k + 2)), [k % 2 == 0] * (k + 1), ()), []) for k in range(1, 6)]
    assert collate_pack(items, 1)["targets"].tolist() == collate(items, pad=0, step_tokens=1)["targets"].tolist()


def test_a_filler_pack_carries_no_loss():
    batch = collate_step([((EMPTY, []), 7)], pad=0, pack=True)
    assert batch["lengths"] == [1] and not batch["keep"].any()
    assert batch["samples"] == 0 and batch["step_tokens"] == 7


@pytest.fixture
def samples(tmp_path):
    """Seven text-only samples; sample k has k + 2 tokens."""
    loaded = SimpleNamespace(
        max_tokens=1_000_000,
        encode=lambda turns, mask: [([len(t[1][1])] * len(t[1][1]), [True] * len(t[1][1]), ()) for t in turns],
    )
    rows = [Row(str(k), (Turn("user", "?", 0), Turn("assistant", "x" * (k + 2), 0)), ()) for k in range(7)]
    return prepare([rows], loaded, Data(path="x"), False, tmp_path / "x.arrow")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("world", [1, 3])
def test_a_loader_gives_every_sample_once_over_ranks_and_workers(samples, workers, world):
    seen, fillers = [], 0
    for rank in range(world):
        order = Batches(samples.lengths, samples.tokens, batch_size=2, accumulate=2)
        order.position = lambda rank=rank: (0, rank, world, 0)
        for batch in DataLoader(
            Steps(samples), batch_sampler=order, num_workers=workers, collate_fn=lambda items: collate_step(items, 0)
        ):
            seen += [int(ids[0]) for ids in batch["ids"] if ids[0]]
            fillers += batch["samples"] == 0
    assert sorted(seen) == list(range(2, 9))
    assert fillers == {1: 0, 3: 2}[world]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_packs_every_sample_once_over_ranks_and_workers(samples, workers):
    seen = []
    for rank in range(2):
        order = Packs(samples.lengths, samples.tokens, capacity=12, accumulate=2)
        order.position = lambda rank=rank: (0, rank, 2, 0)
        loader = DataLoader(
            Steps(samples), batch_sampler=order, num_workers=workers,
            collate_fn=lambda items: collate_step(items, 0, pack=True),
        )  # fmt: skip
        for batch in loader:
            assert batch["ids"].shape == (1, sum(batch["lengths"])) and sum(batch["lengths"]) <= 12
            seen += batch["names"]
    assert sorted(filter(None, seen)) == [str(k) for k in range(7)]
