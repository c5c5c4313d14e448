"""Two annotators: the budget and its prices, who gets which request, resume, estimates, and what is refused."""

import json
from random import Random

import pytest

from seke.core.errors import UserError
from seke.core.records import InstructionRecord, Labels
from seke.core.vlm import Choice, Message, Reply, Request, Usage
from seke.generation.calibration import pilot
from seke.generation.calibration.patterns import Demand, Pattern
from seke.generation.calibration.pilot import Question
from seke.generation.from_settings import check_second
from seke.generation.run.dry_run import dry_run
from seke.generation.seke import by_value
from seke.generation.seke.by_value import ByValue, ToSecond, Two, price, to_second, took
from seke.generation.seke.sampling import Bill, in_rounds
from seke.generation.seke.stopping import State

NOTHING = Pattern(False, False, False)


class Named:
    """A backend that answers by its name and keeps what it was asked."""

    def __init__(self, name):
        self.name, self.asked = name, []

    def reply(self, requests):
        for index, request in enumerate(requests):
            self.asked.append(request)
            yield index, Reply((Choice(self.name),) * request.n, self.name, Usage(100, 10))


def request(text):
    return Request((Message("user", (text,)),))


def test_each_annotator_gets_its_own_requests_under_the_keys_that_they_would_have_alone():
    first, second = Named("first"), Named("second")

    def dialogue(text):
        reply = yield request(text)
        return reply.model

    dialogues = [to_second(dialogue("a")), dialogue("b"), to_second(dialogue("c"))]
    assert in_rounds(dialogues, Two(first, second)) == ["second", "first", "second"]
    assert [each.text for each in first.asked] == ["b"]
    assert [each.key for each in second.asked] == [request("a").key, request("c").key], "a ledger recalls them"
    assert all(isinstance(each, ToSecond) for each in second.asked)


def test_dollars_of_a_question_by_hand():
    shown = [Labels(expression="fear"), Labels(), Labels()]
    questions = [Question(None, known, None) for known in shown]
    bills = []
    for tokens in ((600, 70), (500, 70), (520, 50)):
        bills.append(Bill())
        bills[-1].add(Reply((Choice(""),), "m", Usage(*tokens)))
    found = took(questions, bills, (2.0, 10.0))
    assert found["told"] == {"questions": 1, "tokens": [600.0, 70.0], "usd": [1200.0, 700.0]}
    assert found["untold"]["usd"] == [1020.0, 600.0]


def test_a_budget_is_set_or_the_price_of_one_annotator_alone():
    usd = {NOTHING: {"first": 0.01, "again": 0.02, "second": 0.5}}
    demand = {NOTHING: Demand(100, {"au": 100.0})}
    assert ByValue((3, 5), "first").budget(demand, usd) == pytest.approx(3.0)
    assert ByValue((3, 5), "second").budget(demand, usd) == pytest.approx(50.0)
    assert ByValue((3, 5), 7).budget(demand, usd) == 7.0


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"stages": [5, 3]}, "stopping.stages"),
        ({"stages": [3, 5], "usd": 0}, "stopping.usd"),
        ({"stages": [3, 5], "usd": "third"}, "stopping.usd"),
        ({"stages": [3, 5], "rule": "dice"}, "stopping.rule"),
        ({"stages": [3, 5], "weights": {"aus": 1}}, "stopping.weights.aus"),
        ({"stages": [3, 5], "weights": {"au": -1}}, "stopping.weights.au"),
    ],
)
def test_settings_out_of_range(settings, setting):
    with pytest.raises(UserError, match=setting):
        ByValue(**settings)
    assert ByValue((3, 5))(State(), Random(0)) == 5


def test_a_price_that_nobody_knows_is_refused_and_one_of_this_machine_is_nothing(annotator):
    priced = Named("x")
    priced.prices, priced.model = {"gpt": [2.0, 8.0]}, "gpt-2026"
    assert price("second", priced) == (2e-6, 8e-6)
    priced.model = "other"
    with pytest.raises(UserError, match=r"second\.model=other: its price is not known"):
        price("second", priced)
    assert price("backend", annotator) == price("backend", Named("y")) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("second", "rule", "message"),
    [
        ({"model": "x"}, "stopping.uamc", "second=x: a second annotator"),
        (None, "seke.by_value.ByValue", "there is one"),
    ],
)
def test_a_second_one_without_the_rule_and_the_rule_without_a_second_one(second, rule, message):
    class Settings(dict):
        __getattr__ = dict.__getitem__

    cfg = Settings(second=second, stopping={"_target_": rule}, generator={"stopping": 1})
    with pytest.raises(UserError, match=message):
        check_second(cfg)


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(pilot, "FEWEST", 5)


def made(make_seke, second, **settings):
    how = {"stopping": ByValue((2, 2)), "aggregate": "calibrated", "pilot": 8, "max_samples": 2}
    return make_seke(second=second, **{**how, **settings})


@pytest.mark.slow
def test_rows_say_who_was_asked_and_a_resume_takes_the_pilot_as_it_is(make_seke, data, annotator, few, tmp_path):
    def opened(record):
        return next(face for face in data.faces if face.record.id == record.id)

    seke = made(make_seke, annotator)
    seke.learn(data.records, opened, tmp_path)
    rows = [outcome.row for outcome in seke.generate(data.faces)]
    assert all(isinstance(row, InstructionRecord) for row in rows)
    said = json.loads((tmp_path / by_value.WHOM).read_text())
    assert said["asks"] in ("value", "first", "second")
    assert {"pilot.jsonl", "second_pilot.jsonl", "second_pilot_cost.json"} <= {each.name for each in tmp_path.iterdir()}
    for row in rows:
        assert (row.samples == 0) == ("not_looking" in row.flags)

    class Silent:
        def reply(self, requests):
            raise AssertionError("the pilot was asked again")

    again = made(make_seke, Silent(), vlm=Silent())
    again.learn(data.records, opened, tmp_path)
    assert again.learnt.whom.facts == seke.learnt.whom.facts
    chunks = [outcome.row for face in data.faces[::-1] for outcome in seke.generate([face])]
    assert chunks[::-1] == rows, "neither order nor chunks change anything"


@pytest.mark.slow
def test_an_estimate_counts_both_pilots_and_at_worst_both_about_all(make_seke, data, few):
    def opened(record):
        return next(face for face in data.faces if face.record.id == record.id)

    dear = Named("dear")
    dear.prices, dear.model = {"dear": [2.0, 8.0]}, "dear"

    def make(vlm, second):
        return made(make_seke, second, vlm=vlm)

    text = dry_run(make, data.records, opened, Named("cheap"), second=dear)
    assert "second annotator, the pilot and at worst all (dear)" in text
    assert "whom the records ask is decided after both pilots" in text
    part = text[text.index("second annotator") :]
    expected, worst = (float(word.replace(",", "")) for word in part.splitlines()[1].split()[1:])
    assert expected < worst


def test_without_a_calibrated_model_nobody_can_say_what_an_answer_is_worth(make_seke, annotator):
    with pytest.raises(UserError, match=r"stopping=value: a calibrated annotator model"):
        made(make_seke, annotator, aggregate="majority")
