"""Algorithm 1 as a dialogue, and dialogues in rounds."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.records import Labels
from seke.core.vlm import Choice, Reply, Request
from seke.generation.seke.sampling import REASKS, Bill, in_rounds, insist, sample
from seke.generation.seke.schema import Unusable
from seke.generation.seke.stopping import fixed, uamc


def ask(n, draw, again):
    return Request(messages=(), n=n, draw=draw, temperature=0.5 if again else 1.0)


def read(choice, draw=0):
    if choice.status != "ok":
        raise Unusable(choice.status, "told so")
    return Labels(valence=float(choice.text))


def play(dialogue, usable, values=None):
    """Answer every draw by its number: `usable(number)` says whether; return the result and the requests."""
    requests = []
    try:
        request = next(dialogue)
        while True:
            requests.append(request)
            numbers = range(request.draw, request.draw + request.n)
            value = values or (lambda number: 0.0)
            choices = [Choice(str(value(n)), "ok" if usable(n) else "refusal") for n in numbers]
            request = dialogue.send(Reply(tuple(choices), "m"))
    except StopIteration as end:
        return end.value, requests


@given(st.integers(2, 8), st.integers(0, 1000))
def test_algorithm_1_draws_two_then_one_by_one_up_to_n(most, seed):
    sampled, requests = play(sample(ask, read, uamc(most), Random(seed), Bill(), most), lambda number: True)
    assert [request.n for request in requests] == [2] + [1] * (len(requests) - 1)
    assert 2 <= len(sampled.draws) <= most
    assert sampled.failure is None
    # The reference: the same dice, thrown by hand.
    dice, by_hand = Random(seed), 2
    while by_hand < most and dice.random() < 0.5:  # all draws agree: U = 0
        by_hand += 1
    assert len(sampled.draws) == by_hand


@given(st.integers(2, 8), st.integers(0, 1000))
def test_full_disagreement_draws_n(most, seed):
    opposite = lambda number: 1.0 if number % 2 else -1.0  # noqa: E731
    sampled, _ = play(sample(ask, read, uamc(2), Random(seed), Bill(), most), lambda n: True, opposite)
    assert sampled.uncertainty.valence == 1.0
    fully, _ = play(sample(ask, read, fixed(most), Random(seed), Bill(), most), lambda n: True, opposite)
    assert len(fully.draws) == most


@given(st.sets(st.integers(0, 12)), st.integers(2, 6))
def test_unusable_draws_are_asked_anew_and_do_not_count(bad, most):
    bill = Bill()
    sampled, requests = play(sample(ask, read, fixed(most), Random(0), bill, most), lambda number: number not in bad)
    numbers = [number for request in requests for number in range(request.draw, request.draw + request.n)]
    assert numbers == list(range(len(numbers))), "every draw has a number of its own"
    usable = [number for number in numbers if number not in bad]
    assert len(sampled.draws) == len(usable) <= most
    assert bill.requests == len(requests) <= 1 + REASKS
    assert (sampled.failure is not None) == bool(set(numbers) & bad)
    if len(sampled.draws) < most:
        assert len(requests) == 1 + REASKS, "given up only after all re-asks"
    assert [request.temperature for request in requests] == [1.0] + [0.5] * (len(requests) - 1)


@given(st.integers(2, 5), st.integers(1, 8), st.sets(st.integers(0, 15)))
def test_each_way_of_framing_is_a_request_and_draws_keep_their_order(framings, most, bad):
    """The answers' texts are their draws' numbers; a request holds every so many-th of them."""
    dialogue = sample(ask, read, fixed(most), Random(0), Bill(), most, framings=framings)
    numbers, reply = [], None
    while True:
        try:
            request = dialogue.send(reply)
        except StopIteration as end:
            sampled = end.value
            break
        own = [request.draw + framings * place for place in range(request.n)]
        numbers += own
        choices = [Choice(str(number / 100), "refusal" if number in bad else "ok") for number in own]
        reply = Reply(tuple(choices), "m")
    first = numbers[:most]
    assert sorted(first) == list(range(most)), "what is wanted at once, before anything is asked anew"
    assert [number % framings for number in first] == sorted(number % framings for number in first)
    assert sorted(numbers) == list(range(len(numbers))), "every draw has a number of its own"
    usable = [number for number in sorted(numbers) if number not in bad]
    assert [draw.valence for draw in sampled.draws] == [number / 100 for number in usable]
    assert (sampled.failure is not None) == bool(set(numbers) & bad)


def test_a_refused_draw_does_not_throw_the_dice_again():
    for seed in range(30):
        clean, _ = play(sample(ask, read, uamc(5), Random(seed), Bill(), 5), lambda number: True)
        once, _ = play(sample(ask, read, uamc(5), Random(seed), Bill(), 5), lambda number: number != 1)
        assert len(clean.draws) == len(once.draws)


def test_fewer_choices_than_wanted_are_asked_for():
    dialogue = sample(ask, read, fixed(2), Random(0), Bill(), 2)
    assert next(dialogue).n == 2
    following = dialogue.send(Reply((Choice("0.5"),), "m"))
    assert (following.n, following.draw) == (1, 2)


def test_insist_gives_up_with_the_last_reason():
    with pytest.raises(Unusable) as caught:
        play(insist(ask, read, Bill()), lambda number: False)
    assert caught.value.reason == "refusal"
    labels, requests = play(insist(ask, read, Bill()), lambda number: number == REASKS)
    assert labels == Labels(valence=0.0)
    assert [request.draw for request in requests] == list(range(1 + REASKS))


@given(st.lists(st.integers(0, 4), max_size=8), st.booleans())
def test_rounds_keep_order_and_ask_each_dialogue_once_a_round(lengths, reverse):
    rounds = []

    class Counting:
        def reply(self, requests):
            asked = list(enumerate(requests))
            rounds.append(len(asked))
            for index, request in reversed(asked) if reverse else asked:
                yield index, Reply((Choice(str(request.draw)),), "m")

    def dialogue(number, length):
        got = []
        for turn in range(length):
            reply = yield Request(messages=(), draw=100 * number + turn)
            got.append(int(reply.choices[0].text))
        return number, got

    results = in_rounds([dialogue(number, length) for number, length in enumerate(lengths)], Counting())
    assert results == [(n, [100 * n + turn for turn in range(length)]) for n, length in enumerate(lengths)]
    assert rounds == [sum(length > turn for length in lengths) for turn in range(max(lengths, default=0))]


def test_an_unknown_price_makes_the_sum_unknown():
    bill = Bill()
    bill.add(Reply((), "a", cost=0.5))
    assert bill.usd == 0.5
    bill.add(Reply((), "b"))
    assert bill.usd is None
    assert bill.models == ["a", "b"]
