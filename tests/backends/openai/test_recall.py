"""What cost money is recalled for ever, what a server of your own said within one run; a damaged reply is told once."""

import pickle
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seke.backends.openai.protocol import server_identity
from seke.core import current_run
from seke.core.ledger import Ledger
from seke.generation.run.worker_ledgers import Shard

from ...servers.openai_server import running
from ..openai_asked import replies, warnings_of
from .conftest import PRICES, Make


@pytest.fixture(autouse=True)
def outside() -> Iterator[None]:
    yield
    current_run._run = None


@pytest.mark.parametrize(
    ("address", "prices", "stands"),
    [
        ("https://api.openai.com/v1", {}, "api.openai.com"),
        ("http://gpu:8000/v1", {}, "gpu"),
        ("http://localhost:8000/v1", PRICES, "local"),
        ("http://localhost:8000/v1", {"gpt-test": [0, 0]}, "local:8000 evaluate/a"),
        ("http://127.0.0.1:8001/v1", {}, "local:8001 evaluate/a"),
        ("http://[::1]/v1", {"other": [1, 1]}, "local:80 evaluate/a"),
    ],
)
def test_a_reply_is_known_by_who_gave_it(address: str, prices: dict, stands: str) -> None:
    assert server_identity(address, "gpt-test", prices, "evaluate/a") == stands


def test_what_a_server_of_ones_own_said_is_recalled_within_its_run_alone(make: Make, asked: Callable) -> None:
    with running() as server:
        current_run.enter("generate/a 1")
        replies(make(server, prices={}), asked(3))
        replies(make(server, prices={}), asked(3))
        assert sum(server.seen.values()) == 3, "a resume asks nothing twice"
        current_run.enter("generate/a 2")  # overwrite=true: perhaps there are new weights
        [first, *_] = replies(make(server, prices={}), asked(3))
        assert sum(server.seen.values()) == 6 and not first.recalled


def test_what_cost_money_is_recalled_in_every_run(make: Make, asked: Callable) -> None:
    with running() as server:
        for run in ("generate/a 1", "evaluate/b 2"):
            current_run.enter(run)
            replies(make(server), asked(3))
        assert sum(server.seen.values()) == 3


def test_another_port_is_another_server(make: Make, asked: Callable) -> None:
    current_run.enter("generate/a 1")
    for _ in range(2):
        with running() as server:
            replies(make(server, prices={}), asked(1))
            assert sum(server.seen.values()) == 1


def test_a_worker_in_another_process_works_on_the_same_run(make: Make, asked: Callable) -> None:
    with running() as server:
        current_run.enter("generate/a 1")
        annotator = make(server, prices={})
        replies(annotator, asked(2))
        packed = pickle.dumps(annotator)
        current_run.enter("elsewhere 2")
        assert replies(pickle.loads(packed), asked(2))[0].recalled


def test_what_was_recalled_is_said_at_the_end(make: Make, asked: Callable, caplog: pytest.LogCaptureFixture) -> None:
    with running() as server:
        replies(make(server), asked(3))
        assert "recalled" not in warnings_of(caplog)
        replies(make(server), asked(5))
    assert "gpt-test: 3 replies recalled from the ledger, 2 asked for" in warnings_of(caplog)


@pytest.mark.parametrize("spoilt", ['{"choices": [{"mess', "", "null", "{}", b"\xff\xfe{"])
def test_a_damaged_reply_is_told_and_paid_for_once(
    make: Make, asked: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture, spoilt: str | bytes
) -> None:
    with running() as server:
        first = replies(make(server), asked(3))
        with sqlite3.connect(tmp_path / "ledger.sqlite") as db:
            db.execute("UPDATE replies SET raw = CAST(? AS TEXT) WHERE rowid = 2", (spoilt,))
        db.close()
        assert replies(make(server), asked(3)) == first
        assert sum(server.seen.values()) == 4
        assert warnings_of(caplog).count("a stored reply is damaged") == 1
        replies(make(server), asked(3))
        assert sum(server.seen.values()) == 4
        assert warnings_of(caplog).count("a stored reply is damaged") == 1


def test_a_damaged_reply_is_replaced_by_what_a_worker_was_told(tmp_path: Path) -> None:
    trunk, branch = tmp_path / "ledger.sqlite", tmp_path / "worker.sqlite"
    with Ledger(trunk) as ledger:
        ledger.done("bad", '{"choices"', "m", 1, 1).result()
        ledger.done("good", '{"choices": [1]}', "m", 1, 1).result()
    with Shard(branch, trunk) as worker:
        assert worker.find(["bad", "good"])["bad"] == '{"choices"'
        worker.done("bad", '{"choices": [2]}', "m", 2, 2).result()
        worker.done("good", '{"choices": [3]}', "m", 2, 2).result()
    with Ledger(trunk) as ledger:
        assert ledger.merge(branch) == 1
        assert ledger.find(["bad", "good"]) == {"bad": '{"choices": [2]}', "good": '{"choices": [1]}'}
        assert ledger.totals()["m"].input_tokens == 3
