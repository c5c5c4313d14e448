"""Packing: an exact epoch in packs that hold what they may, equally many and equally dear on every rank."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.models.tiny.llava_ov import build_tiny, train_tokenizer
from seke.training.data.flops import forward, work
from seke.training.data.packing import best_fit, cost, halves, rounded, rounds, split
from seke.training.data.samplers import FILLER, Packs, epoch_indices

LENGTHS = st.lists(st.integers(2, 300), min_size=1, max_size=80)
WORLDS = st.integers(1, 8)


def sampler(lengths, capacity=256, accumulate=1, **more):
    lengths = np.array(lengths)
    return Packs(lengths, lengths - 1, capacity, accumulate, **more)


def ranks(made, world, epoch=2, done=0):
    """What every rank is given in an epoch."""
    for rank in range(world):
        made.position = lambda rank=rank: (epoch, rank, world, done)
        yield list(made)


def skewed(number, seed=0):
    """Lengths as real sets have them: most near the mean, some many times longer."""
    return np.random.default_rng(seed).lognormal(6, 0.6, number).clip(60, 4000).astype(int)


def naive(sizes, capacity):
    """Best fit as the textbook has it: look at every pack."""
    packs = []
    for item, size in enumerate(sizes):
        room = [(capacity - sum(sizes[k] for k in pack), pack) for pack in packs]
        fitting = [left for left, _ in room if left >= size]
        if fitting:
            next(pack for left, pack in reversed(room) if left == min(fitting)).append(item)
        else:
            packs.append([item])
    return packs


def filled(packs, sizes):
    return sorted(sorted(sizes[item] for item in pack) for pack in packs)


@given(LENGTHS, st.integers(1, 256))
def test_best_fit_against_looking_at_every_pack(lengths, capacity):
    sizes = sorted(lengths, reverse=True)
    assert filled(best_fit(sizes, capacity), sizes) == filled(naive(sizes, capacity), sizes)


@given(LENGTHS, st.integers(1, 256))
def test_every_item_in_one_pack_and_none_too_full(lengths, capacity):
    packs = best_fit(lengths, capacity)
    assert sorted(item for pack in packs for item in pack) == list(range(len(lengths)))
    assert all(sum(lengths[item] for item in pack) <= capacity for pack in packs if len(pack) > 1)


@given(LENGTHS, st.integers(0, 40))
def test_splitting_gives_the_count_asked_for_or_packs_of_one(lengths, more):
    packs = best_fit(lengths, 256)
    made = split(packs, lengths, len(packs) + more)
    assert len(made) == len(packs) + more
    assert sorted(item for pack in made for item in pack) == list(range(len(lengths)))
    assert all(pack for pack in made) or all(len(pack) <= 1 for pack in made)


@given(st.lists(st.integers(1, 300), min_size=2, max_size=30))
def test_halves_differ_by_one_item_at_most(sizes):
    one, other = (sum(sizes[item] for item in half) for half in halves(range(len(sizes)), sizes))
    assert one > 0 and other > 0 and abs(one - other) <= max(sizes)


@given(LENGTHS)
def test_rounding_gives_away_one_in_sixty_four_at_most(lengths):
    lengths = np.array(lengths)
    more = rounded(lengths) - lengths
    assert (more >= 0).all() and more.sum() <= lengths.sum() / 64 + 1e-9


@given(LENGTHS, WORLDS, st.integers(1, 3), st.sampled_from([0.5, 1, 2.5]), st.integers(0, 3))
def test_every_entry_of_the_epoch_once_over_all_ranks(lengths, world, accumulate, weight, epoch):
    chosen = epoch_indices(np.zeros(len(lengths)), [weight], seed=3)
    if not len(chosen):
        return
    made = sampler(lengths, accumulate=accumulate, seed=3, chosen=chosen)
    given_out = list(ranks(made, world, epoch))
    assert {len(mine) for mine in given_out} == {len(made)} and len(made) % accumulate == 0
    packs = [[k for k, _ in pack] for mine in given_out for pack in mine]
    assert sorted(k for pack in packs for k in pack if k != FILLER) == sorted(chosen.tolist())
    assert all(sum(lengths[k] for k in pack) <= 256 for pack in packs if len(pack) > 1)
    assert len(chosen) < len(packs) or not any(FILLER in pack for pack in packs)


@given(LENGTHS, WORLDS, st.integers(1, 3))
def test_step_tokens_are_those_of_all_ranks_and_accumulated_packs(lengths, world, accumulate):
    made = sampler(lengths, accumulate=accumulate)
    given_out = list(ranks(made, world))
    for start in range(0, len(made), accumulate):
        window = [item for mine in given_out for pack in mine[start : start + accumulate] for item in pack]
        assert {total for _, total in window} == {sum(lengths[k] - 1 for k, _ in window if k != FILLER)}
        assert any(k != FILLER for k, _ in window)


@given(LENGTHS, WORLDS, st.integers(0, 30))
def test_a_resume_goes_on_where_the_epoch_stopped(lengths, world, done):
    whole = list(ranks(sampler(lengths), world))
    rest = list(ranks(sampler(lengths), world, done=done))
    assert rest == [mine[done:] for mine in whole]


def test_all_epochs_have_as_many_packs():
    made = sampler(skewed(700), capacity=4096, accumulate=2)
    counts = {len(mine) for epoch in range(6) for mine in ranks(made, 3, epoch)}
    assert counts == {made.count(3)}


def test_epochs_and_seeds_mix_samples_differently():
    lengths = skewed(5000)

    def partners(seed, epoch):
        """Whom each sample shares its pack with."""
        packs = [set(pack.tolist()) for [pack] in sampler(lengths, 4096, seed=seed).dealt(epoch, 1)]
        return {k: pack - {k} for pack in packs for k in pack}

    def kept(one, other):
        return np.mean([len(one[k] & other[k]) / len(one[k]) for k in one if one[k]])

    first = partners(0, 0)
    assert first == partners(0, 0)
    assert kept(first, partners(0, 1)) < 0.2
    assert kept(first, partners(1, 0)) < 0.2


@pytest.mark.parametrize("capacity", [4096, 16384])
def test_packs_are_full_but_for_two_in_a_hundred(capacity):
    lengths = skewed(5000)
    made = sampler(lengths, capacity)
    assert len(made.packs) <= np.ceil(1.02 * lengths.sum() / capacity)


def test_ranks_take_packs_of_nearly_equal_cost_together():
    lengths = skewed(3000)
    costs = lengths + lengths**2 / 2000
    made = sampler(lengths, 8192, costs=costs)

    def wait(dealt):
        """Share of all ranks' time that is waiting for the slowest."""
        each = np.array([[costs[pack].sum() for pack in together] for together in dealt])
        return 1 - each.mean() / each.max(axis=1).mean()

    dealt = made.dealt(0, 8)
    shuffled = [dealt[k // 8][k % 8] for k in np.random.default_rng(0).permutation(8 * len(dealt))]
    assert wait(dealt) < 0.03
    assert wait([shuffled[k : k + 8] for k in range(0, len(shuffled), 8)]) > 0.15


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 99))
def test_rounds_deal_every_pack_once(width, number, seed):
    costs = np.random.default_rng(seed).random(width * number)
    dealt = rounds(costs, width, np.random.default_rng(seed))
    assert dealt.shape == (number, width)
    assert sorted(dealt.ravel().tolist()) == list(range(width * number))
    spans = sorted((min(costs[k] for k in together), max(costs[k] for k in together)) for together in dealt)
    assert all(above[0] >= below[1] for below, above in pairwise(spans))


def test_a_pack_lies_longest_first():
    lengths = skewed(300)
    for [pack] in sampler(lengths, 4096).dealt(0, 1):
        assert lengths[pack].tolist() == sorted(lengths[pack], reverse=True)


def test_a_sample_above_the_capacity_is_alone():
    packs = [[k for k, _ in pack] for pack in sampler([500, 100, 100, 50], capacity=256)]
    assert [0] in packs and sorted(map(len, packs)) == [1, 3]


def test_cost_against_the_flops_of_a_batch():
    loaded = build_tiny(train_tokenizer(["a face"], 300), image=32, patch=8, layers=2)
    known = loaded.products()
    lengths, crops = np.array([40, 7]), np.array([3, 0])
    whole = sum(forward(known, work(crops=3, lengths=[40, 7], supervised=0)).values())
    assert cost(known, lengths, crops).sum() == pytest.approx(whole)
    assert cost(known, lengths)[0] < cost(known, lengths, crops)[0]
