import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.budget import Budget, Metered, Spent, model_of
from seke.core.errors import Paused, UserError
from seke.core.vlm import Bill, Choice, Message, Reply, Request, Usage


class Priced:
    """Answers at a price; pulls `window` requests ahead, as a server with that concurrency is asked."""

    ledger = "here"

    def __init__(self, window=1, usd=1.0, tokens=100, recalled=0):
        self.window, self.usd, self.tokens, self.recalled, self.answered, self.closed = (
            window,
            usd,
            tokens,
            recalled,
            0,
            False,
        )

    def reply(self, requests):
        flying = []
        for index, request in enumerate(requests):
            flying.append(index)
            if len(flying) >= self.window:
                yield flying[0], self._answer(request)
                flying.pop(0)
        for index in flying:
            yield index, self._answer(None)

    def _answer(self, request):
        self.answered += 1
        return Reply((Choice("x"),), "m", Usage(self.tokens, 0), self.usd, recalled=self.answered <= self.recalled)

    def close(self):
        self.closed = True


def requests(number):
    return [Request((Message("user", (str(k),)),)) for k in range(number)]


def spend(priced, number, **budget):
    meter = Metered(priced, Budget(**budget))
    got = []
    try:
        for index, _ in meter.reply(requests(number)):
            got.append(index)
    except Paused as pause:
        return meter, got, str(pause)
    return meter, got, None


@given(st.integers(1, 8), st.integers(0, 30), st.floats(0.5, 40))
def test_a_budget_in_dollars_is_never_overdrawn_and_all_that_was_answered_is_handed_on(window, number, usd):
    priced = Priced(window)
    meter, got, pause = spend(priced, number, usd=usd)
    assert meter.spent.usd == priced.answered
    assert got == list(range(priced.answered))
    # All that the budget allows is asked, however many are in flight; the first may cost more than all of it.
    assert priced.answered == min(number, max(int(usd), 1))
    assert (pause is None) == (priced.answered == number)


@given(st.integers(1, 8), st.integers(1, 3000))
def test_a_budget_in_tokens_is_never_overdrawn(window, tokens):
    priced = Priced(window)
    meter, _, pause = spend(priced, 20, tokens=tokens)
    assert meter.spent.tokens <= max(tokens, 100)
    if pause:
        assert f"budget.tokens={tokens}" in pause


def test_without_a_budget_everything_is_asked():
    assert spend(Priced(4), 30)[1] == list(range(30))


def test_what_the_ledger_holds_costs_nothing():
    meter, got, pause = spend(Priced(recalled=10), 13, usd=3)
    assert (len(got), meter.spent.recalled, meter.spent.usd, pause) == (13, 10, 3.0, None)


def test_dollars_need_a_price():
    with pytest.raises(UserError, match="price of m is not known"):
        spend(Priced(usd=None), 3, usd=5)
    assert spend(Priced(usd=None), 3, tokens=500)[0].spent.usd is None


def test_a_backend_without_a_ledger_is_stopped_between_chunks():
    class Forgetful:
        def reply(self, asked):
            return Priced().reply(asked)

    meter = Metered(Forgetful(), Budget(usd=2))
    assert len(list(meter.reply(requests(5)))) == 5
    with pytest.raises(Paused, match=r"budget\.usd=2 is spent"):
        meter.pause_if_spent()


def test_another_backend_counts_into_the_same_purse_and_all_is_closed():
    priced, spare = Priced(), Priced()
    meter = Metered(priced, Budget())
    with meter:
        list(meter.reply(requests(2)))
        list(meter.other(spare).reply(requests(3)))
    assert meter.spent.usd == 5
    assert priced.closed


@pytest.mark.parametrize("budget", [{"usd": 0}, {"usd": -1.0}, {"tokens": 0}, {"tokens": True}])
def test_a_budget_that_allows_nothing_is_refused(budget):
    with pytest.raises(UserError, match=r"budget\."):
        Budget(**budget)


def test_the_meter_reads_well():
    meter = spend(Priced(usd=0.5, recalled=1), 3)[0]
    assert meter.spent.line() == "2 calls, 0.00 M tokens, $1.00, 1 recalled"
    assert meter.spent.row() == {
        "calls": 2, "tokens": 200, "usd": 1.0, "recalled": 1, "tokens_at_most": 200, "usd_at_most": 1.0
    }  # fmt: skip


class Silent(Priced):
    """States no usage; what it may have billed at most is known."""

    def _answer(self, request):
        self.answered += 1
        return Reply((Choice("x"),), "m", None, None, bound=Bill(2, 900, 0.4))


def test_what_nobody_states_is_unknown_and_the_budget_holds_on_its_upper_bound():
    priced = Silent(window=4)
    meter, got, pause = spend(priced, 20, usd=1.3)
    assert (len(got), priced.answered, pause is not None) == (3, 3, True)
    spent = meter.spent
    assert (spent.usd, spent.tokens, spent.unknown, spent.sent, spent.tokens_at_most) == (0.0, 0, 3, 6, 2700)
    assert spent.usd_at_most == pytest.approx(1.2)
    assert "$0.00 known, at most $1.20" in spent.line() and "$0.0000 known, at most $1.2000" in pause
    assert spent.facts()["usd_at_most"] == 1.2


def test_a_reply_that_took_tries_without_an_answer_is_known_in_part():
    spent = Spent()
    spent.add(Reply((), "m", Usage(90, 10), 0.2, bound=Bill(3, 2100, 1.1)))
    spent.add(Reply((), "m", Usage(90, 10), 0.2))
    assert (spent.usd, spent.usd_at_most) == (0.4, pytest.approx(1.3))
    assert (spent.requests, spent.sent, spent.unknown, spent.tokens) == (2, 4, 0, 200)


def test_a_budget_that_does_not_reach_for_one_prompt_sends_nothing():
    priced = Priced()
    priced.model, priced.prices = "m", {"m": [2.5, 10.0]}
    asked = [Request((Message("user", ("word " * 400,)),))]
    for budget in (Budget(usd=1e-7), Budget(tokens=20)):
        with pytest.raises(Paused, match="does not reach for one request"):
            list(Metered(priced, budget).reply(asked))
    assert priced.answered == 0


def test_dollars_without_a_price_are_refused_before_anything_is_paid_for():
    priced = Priced(usd=None)
    priced.model, priced.prices = "m", {"other": [1.0, 1.0]}
    with pytest.raises(UserError, match="price of m is not known"):
        list(Metered(priced, Budget(usd=5)).reply(requests(3)))
    assert priced.answered == 0
    priced.prices = {"m-2026-01-01": [1.0, 1.0]}
    with pytest.raises(UserError, match="price of m is not known"):
        list(Metered(priced, Budget(usd=5)).reply(requests(3)))
    assert priced.answered == 1, "which snapshot answers is known by its answer alone"


def test_the_second_of_two_backends_finds_out_what_its_own_requests_cost():
    meter = Metered(Priced(usd=0.1), Budget(usd=3.0))
    list(meter.reply(requests(5)))
    dear = Priced(window=8, usd=2.0)
    with pytest.raises(Paused):
        list(meter.other(dear).reply(requests(8)))
    assert dear.answered == 1
    assert meter.spent.usd == pytest.approx(2.5)


def test_a_backend_whose_replies_are_kept_is_held_back_without_a_ledger():
    class Forgetful:
        def __init__(self):
            self.priced = Priced()

        def reply(self, asked):
            return self.priced.reply(asked)

    meter = Metered(Forgetful(), Budget(usd=2), kept=True)
    with pytest.raises(Paused):
        list(meter.reply(requests(5)))
    assert meter.spent.requests == 2


@given(st.integers(2, 5), st.integers(1, 900))
def test_shares_of_a_budget_never_make_more_than_it(among, tokens):
    share = Budget(usd=9.0, tokens=1000).share(Spent(usd_at_most=1.0, tokens_at_most=tokens), among)
    assert share.usd * among == pytest.approx(8.0)
    assert share.tokens * among <= max(1000 - tokens, among)


def test_a_model_of_this_machine_is_an_object_with_a_name():
    class Local(Priced):
        model, name = {"an": "object"}, "outputs/train/demo/model"

    meter = Metered(Local(), Budget(usd=3, tokens=10_000), kept=True)
    with pytest.raises(Paused):
        list(meter.reply(requests(5)))
    assert meter.spent.requests == 3 and model_of(meter.vlm) == "outputs/train/demo/model"
    assert model_of(object()) == ""
