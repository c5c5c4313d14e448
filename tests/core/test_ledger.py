"""What the ledger is told is what it says: calls found, in doubt, summed and merged, whatever their text."""

import random
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seke.core.errors import UserError
from seke.core.ledger import Ledger, Total, Unsettled

from ..ledgers import settle


def test_a_settled_call_is_found_after_reopening(tmp_path: Path):
    with Ledger(tmp_path / "deep" / "ledger.sqlite") as ledger:
        settle(ledger, "a", '{"choices": []}')
        ledger.sent("b", "record b").result()
    with Ledger(tmp_path / "deep" / "ledger.sqlite") as ledger:
        assert ledger.find(["a", "b", "c"]) == {"a": '{"choices": []}'}
        assert [(call.key, call.about) for call in ledger.unsettled()] == [("b", "record b")]


def test_many_keys_are_found_in_one_call(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for number in range(0, 3000, 2):
            ledger.done(f"{number}", f"raw {number}", "model", 1, 1)
        found = ledger.find([f"{number}" for number in range(3000)])
        assert found == {f"{number}": f"raw {number}" for number in range(0, 3000, 2)}
        assert ledger.find([]) == {}


def test_a_call_that_cannot_be_stored_fails_alone(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        release = threading.Event()
        ledger._submit(lambda db: release.wait())
        receipts = [ledger.done(str(number), "{}", "model", 2**70 if number == 5 else 1, 1) for number in range(10)]
        release.set()
        with pytest.raises(OverflowError):
            receipts[5].result()
        assert "".join(sorted(ledger.find(list("0123456789")))) == "012346789"


def test_done_twice_keeps_the_first_and_says_nothing(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        settle(ledger, "a", "first")
        ledger.done("a", "second", "other model", 99, 99).result()
        assert ledger.find(["a"]) == {"a": "first"}
        assert ledger.totals() == {"model": Total(calls=1, input_tokens=10, output_tokens=2, resent=0)}


def test_tokens_that_a_server_does_not_state_are_counted_as_unknown_and_in_no_sum(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        settle(ledger, "a", "stated")
        ledger.done("b", "unstated", "model", None, None).result()
        ledger.done("c", "as the first ledgers held it", "model", 0, 0).result()
        assert ledger.totals() == {"model": Total(calls=3, input_tokens=10, output_tokens=2, resent=0, unstated=2)}
        ledger.done("d", "half", "model", 7, 0).result()
        assert ledger.totals()["model"].unstated == 2
    with Ledger(tmp_path / "copy.sqlite") as copy:
        copy.merge(tmp_path / "ledger.sqlite")
        assert copy.totals()["model"] == Total(calls=4, input_tokens=17, output_tokens=2, resent=0, unstated=2)


def test_a_failed_call_may_be_sent_again(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.sent("a", "record a").result()
        ledger.failed("a", "HTTP 429").result()
        assert ledger.unsettled() == []
        settle(ledger, "a", "paid")
        assert ledger.find(["a"]) == {"a": "paid"}
        assert ledger.totals()["model"].resent == 0


def test_a_refused_repeat_does_not_clear_the_doubt_about_an_earlier_sending(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.sent("a", "timed out, perhaps billed").result()
        ledger.sent("a", "once more").result()
        ledger.failed("a", "HTTP 429").result()
        assert [call.key for call in ledger.unsettled()] == ["a"]
        settle(ledger, "a")
        assert ledger.unsettled() == []
        assert ledger.totals()["model"].resent == 1


def test_unsettled_calls_are_listed_oldest_first_in_utc(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for key in ("c", "a", "b"):
            ledger.sent(key, key).result()
            time.sleep(0.002)
        calls = ledger.unsettled()
    assert [call.key for call in calls] == ["c", "a", "b"]
    assert all(isinstance(call, Unsettled) and call.sent_at.endswith("+00:00") for call in calls)


KEYS = st.sampled_from("abcd")

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("sent"), KEYS),
        st.tuples(st.just("done"), KEYS, st.text(max_size=5), st.sampled_from("xy"), st.integers(0, 9)),
        st.tuples(st.just("failed"), KEYS),
        st.tuples(st.just("reopen")),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(OPERATIONS)
def test_any_sequence_of_calls_equals_a_dictionary(operations: list[tuple]):
    pending: Counter[str] = Counter()
    replies: dict[str, tuple] = {}
    sendings: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder, "ledger.sqlite"))
        for operation, *details in operations:
            match operation, details:
                case "sent", [key]:
                    ledger.sent(key, key)
                    pending[key] += 1
                case "done", [key, raw, model, tokens]:
                    ledger.done(key, raw, model, tokens, 1)
                    replies.setdefault(key, (raw, model, tokens))
                    sendings[key] += pending.pop(key, 0)
                case "failed", [key]:
                    ledger.failed(key, "HTTP 503")
                    pending[key] = max(pending[key] - 1, 0)
                case _:
                    ledger.close()
                    ledger = Ledger(Path(folder, "ledger.sqlite"))
        with ledger:
            assert ledger.find(list("abcd")) == {key: raw for key, (raw, *_) in replies.items()}
            assert {call.key for call in ledger.unsettled()} == set(+pending)
            assert ledger.totals() == {
                model: Total(
                    calls=sum(answered == model for _, answered, _ in replies.values()),
                    input_tokens=sum(tokens for _, answered, tokens in replies.values() if answered == model),
                    output_tokens=sum(answered == model for _, answered, _ in replies.values()),
                    resent=sum(max(sendings[key] - 1, 0) for key, row in replies.items() if row[1] == model),
                )
                for model in {answered for _, answered, _ in replies.values()}
            }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=())), max_size=10))
def test_any_text_comes_back_as_it_was(texts: list[str]):
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder, "ledger.sqlite")) as ledger:
        for number, text in enumerate(texts):
            ledger.done(f"done-{number}", text, f"model {text}", 1, 1)
            ledger.sent(f"sent-{number}", text)
            ledger.failed(f"failed-{number}", text).result()
        raws = {f"done-{number}": text for number, text in enumerate(texts)}
        assert ledger.find(list(raws)) == raws
        assert set(ledger.totals()) == {f"model {text}" for text in texts}
        assert {call.key: call.about for call in ledger.unsettled()} == {
            f"sent-{number}": text for number, text in enumerate(texts)
        }


@pytest.mark.parametrize(
    "raw",
    ["", "\0", "a\0b\x01\x1b\x7f\r\n", "微笑 😀 é", "\ud83d", "\0é" * 2**19],
    ids=["empty", "NUL", "control", "unicode", "lone surrogate", "a million characters"],
)
def test_strange_and_long_replies_survive_reopening_and_merging(tmp_path: Path, raw: str):
    with Ledger(tmp_path / "worker.sqlite") as worker:
        settle(worker, "a", raw)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.merge(tmp_path / "worker.sqlite")
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.find(["a"]) == {"a": raw}


def test_totals_are_the_plain_sums(tmp_path: Path):
    rng = random.Random(1)
    rows = [(f"{n}", rng.choice(["gpt", "qwen"]), rng.randrange(2000), rng.randrange(500)) for n in range(500)]
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for key, model, into, out in rows:
            ledger.done(key, "{}", model, into, out)
        totals = ledger.totals()
        assert set(totals) == {"gpt", "qwen"}
        for name, total in totals.items():
            own = [(into, out) for _, model, into, out in rows if model == name]
            assert total == (len(own), sum(into for into, _ in own), sum(out for _, out in own), 0, 0)


def test_merging_takes_over_settled_calls_once(tmp_path: Path):
    with Ledger(tmp_path / "worker.sqlite") as worker:
        for number in range(450):
            settle(worker, f"{number}", f"worker {number}")
        worker.sent("nobody knows", "in flight").result()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        settle(ledger, "7", "own")
        assert ledger.merge(tmp_path / "worker.sqlite") == 449
        once = ledger.totals()
        assert ledger.merge(tmp_path / "worker.sqlite") == 0
        assert ledger.totals() == once
        assert once["model"].calls == 450
        assert ledger.find(["7", "8", "nobody knows"]) == {"7": "own", "8": "worker 8"}
        assert ledger.unsettled() == []


def test_merging_a_ledger_that_is_missing_or_in_use_is_refused(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        with pytest.raises(UserError, match="no such file"):
            ledger.merge(tmp_path / "missing.sqlite")
        with pytest.raises(UserError, match="in use by process"):
            ledger.merge(tmp_path / "ledger.sqlite")
