import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.errors import Paused, UserError
from seke.money import Budget, Metered
from seke.vlm import Choice, Message, Reply, Request, Usage


class Shop:
    """Answers at a price; pulls `window` requests ahead, as a server with that concurrency is asked."""

    ledger = "here"

    def __init__(self, window=1, usd=1.0, tokens=100, recalled=0):
        self.window, self.usd, self.tokens, self.recalled, self.sold, self.closed = (
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
                yield flying[0], self._sell(request)
                flying.pop(0)
        for index in flying:
            yield index, self._sell(None)

    def _sell(self, request):
        self.sold += 1
        return Reply((Choice("x"),), "m", Usage(self.tokens, 0), self.usd, recalled=self.sold <= self.recalled)

    def close(self):
        self.closed = True


def requests(number):
    return [Request((Message("user", (str(k),)),)) for k in range(number)]


def buy(shop, number, **budget):
    meter = Metered(shop, Budget(**budget))
    got = []
    try:
        for index, _ in meter.reply(requests(number)):
            got.append(index)
    except Paused as pause:
        return meter, got, str(pause)
    return meter, got, None


@given(st.integers(1, 8), st.integers(0, 30), st.floats(0.5, 40))
def test_a_budget_in_dollars_is_never_overdrawn_and_all_that_was_sold_is_handed_on(window, number, usd):
    shop = Shop(window)
    meter, got, pause = buy(shop, number, usd=usd)
    assert meter.spent.usd == shop.sold
    assert got == list(range(shop.sold))
    # All that the budget allows is bought, however many are in flight; the first may cost more than all of it.
    assert shop.sold == min(number, max(int(usd), 1))
    assert (pause is None) == (shop.sold == number)


@given(st.integers(1, 8), st.integers(1, 3000))
def test_a_budget_in_tokens_is_never_overdrawn(window, tokens):
    shop = Shop(window)
    meter, _, pause = buy(shop, 20, tokens=tokens)
    assert meter.spent.tokens <= max(tokens, 100)
    if pause:
        assert f"budget.tokens={tokens}" in pause


def test_without_a_budget_everything_is_asked():
    assert buy(Shop(4), 30)[1] == list(range(30))


def test_what_the_ledger_holds_costs_nothing():
    meter, got, pause = buy(Shop(recalled=10), 13, usd=3)
    assert (len(got), meter.spent.recalled, meter.spent.usd, pause) == (13, 10, 3.0, None)


def test_dollars_need_a_price():
    with pytest.raises(UserError, match="price of m is not known"):
        buy(Shop(usd=None), 3, usd=5)
    assert buy(Shop(usd=None), 3, tokens=500)[0].spent.usd is None


def test_a_backend_without_a_ledger_is_stopped_between_chunks():
    class Forgetful:
        def reply(self, asked):
            return Shop().reply(asked)

    meter = Metered(Forgetful(), Budget(usd=2))
    assert len(list(meter.reply(requests(5)))) == 5
    with pytest.raises(Paused, match=r"budget\.usd=2 is spent"):
        meter.pause_if_spent()


def test_another_backend_counts_into_the_same_purse_and_all_is_closed():
    shop, spare = Shop(), Shop()
    meter = Metered(shop, Budget())
    with meter:
        list(meter.reply(requests(2)))
        list(meter.other(spare).reply(requests(3)))
    assert meter.spent.usd == 5
    assert shop.closed


@pytest.mark.parametrize("budget", [{"usd": 0}, {"usd": -1.0}, {"tokens": 0}, {"tokens": True}])
def test_a_budget_that_buys_nothing_is_refused(budget):
    with pytest.raises(UserError, match=r"budget\."):
        Budget(**budget)


def test_the_meter_reads_well():
    meter = buy(Shop(usd=0.5, recalled=1), 3)[0]
    assert meter.spent.line() == "2 calls, 0.00 M tokens, $1.00, 1 recalled"
    assert meter.spent.row() == {
        "calls": 2, "tokens": 200, "usd": 1.0, "recalled": 1, "tokens_at_most": 200, "usd_at_most": 1.0
    }  # fmt: skip
