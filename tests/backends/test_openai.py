"""The OpenAI backend against a real server with faults: nothing lost, nothing bought twice, nothing made up."""

import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from PIL import Image as Pillow

from seke.backends.openai import OpenAI
from seke.errors import UserError
from seke.images import sha256
from seke.ledger import Ledger
from seke.vlm import VLM, Image, Message, Reply, Request

from ..servers.openai_server import ODD, Server, rates, running

ROOT = Path(__file__).resolve().parents[2]
SECRET = "sk-test-SECRET"
SCHEMA = {
    "type": "object",
    "properties": {
        "expression": {"type": "string", "enum": ["anger", "fear", "neutral"]},
        "valence": {"type": "number", "minimum": -1, "maximum": 1},
        "action_units": {"type": "array", "items": {"type": "integer", "enum": [1, 2, 4]}},
        "reasoning": {"type": "string"},
    },
    "required": ["expression", "valence", "action_units", "reasoning"],
    "additionalProperties": False,
}
PRICES = {"gpt-test": [2.0, 10.0, 1.0]}
Make = Callable[..., OpenAI]


@pytest.fixture
def faces(tmp_path: Path) -> list[Image]:
    images = []
    for number in range(8):
        path = tmp_path / f"face_{number}.png"
        Pillow.new("RGB", (24, 24), (number, 9, 9)).save(path)
        images.append(Image(path, sha256(path.read_bytes())))
    return images


@pytest.fixture
def asked(faces: list[Image]) -> Callable[..., list[Request]]:
    def requests(count: int, n: int = 1) -> list[Request]:
        face = [(f"Face {number}?", faces[number % len(faces)]) for number in range(count)]
        return [Request((Message("system", ("Rules.",)), Message("user", parts)), SCHEMA, n=n) for parts in face]

    return requests


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    made: list[OpenAI] = []

    def annotator(server: Server | str, ledger: str = "ledger", **settings: object) -> OpenAI:
        url = server if isinstance(server, str) else server.url
        swift = {"backoff": 0.01, "timeout": 5.0, "patience": 60.0, "prices": PRICES, "concurrency": 8}
        path = tmp_path / f"{ledger}.sqlite"
        made.append(OpenAI("gpt-test", url, ledger=path, **{**swift, **settings}))
        return made[-1]

    yield annotator
    for annotator in made:
        annotator.close()


def replies(annotator: OpenAI, requests: list[Request]) -> list[Reply]:
    try:
        found = dict(annotator.reply(requests))
    finally:
        annotator.close()
    return [found[index] for index in range(len(requests))]


def warnings_of(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)


def test_answers_carry_snapshot_usage_and_cost(make: Make, asked: Callable) -> None:
    with running(cached_tokens=100) as server:
        annotator = make(server)
        assert isinstance(annotator, VLM)
        [reply] = replies(annotator, asked(1, n=3))
    assert [choice.status for choice in reply.choices] == ["ok"] * 3
    assert {"expression", "valence"} <= set(json.loads(reply.choices[0].text))
    assert reply.model == "gpt-test-2026-01-01"
    into, out, cached = reply.usage
    assert cached == 100 and into > 255 and out > 0
    assert reply.cost == pytest.approx(((into - 100) * 2.0 + 100 * 1.0 + out * 10.0) / 1e6)


def test_a_model_without_a_price_has_no_known_cost(make: Make, asked: Callable) -> None:
    with running() as server:
        assert replies(make(server, prices={"other": [1, 1]}), asked(1))[0].cost is None


def test_requests_are_pulled_only_as_they_can_be_in_flight(make: Make, asked: Callable) -> None:
    pulled = 0

    def counted() -> Iterator[Request]:
        nonlocal pulled
        for request in asked(40):
            pulled += 1
            yield request

    with running(latency=0.005) as server:
        for done, _ in enumerate(make(server, concurrency=4).reply(counted())):
            assert pulled - done <= 4
        assert pulled == 40 and server.most_in_flight == 4


def test_nothing_is_bought_twice(make: Make, asked: Callable) -> None:
    with running() as server:
        first = replies(make(server), asked(20, n=2))
        again = replies(make(server), [*reversed(asked(20, n=2)), *asked(25, n=2)])
        assert sum(server.seen.values()) == 25
    assert again[:20][::-1] == first and again[20:40] == first


def test_what_is_settled_needs_neither_server_nor_key(
    make: Make, asked: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as server:
        first = replies(make(server), asked(5))
    monkeypatch.delenv("OPENAI_API_KEY")
    assert replies(make("http://127.0.0.1:9/v1"), asked(5)) == first


def test_what_another_host_answered_is_not_taken_for_this_ones(
    make: Make, asked: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as server:
        replies(make(server), asked(1))
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UserError, match="wants a key"):
        replies(make("https://api.example.com/v1"), asked(1))


def test_the_same_prompt_is_bought_again_for_another_draw(make: Make, asked: Callable) -> None:
    [request] = asked(1)
    with running() as server:
        draws = replies(make(server), [replace(request, draw=draw) for draw in range(3)])
        together = replies(make(server), [replace(request, n=3)])
    texts = [reply.choices[0].text for reply in draws]
    assert len(set(texts)) == 3
    assert [choice.text for choice in together[0].choices] == texts


@pytest.mark.parametrize(("n", "wasted"), [("no", 1), ("ignored", 0)])
def test_a_server_without_n_is_asked_once_whether_it_has_it(make: Make, asked: Callable, n: str, wasted: int) -> None:
    with running() as server:
        expected = replies(make(server, "plain"), asked(6, n=3))
    with running(n=n) as server:
        annotator = make(server)
        assert [reply.choices for reply in replies(annotator, asked(6, n=3))] == [r.choices for r in expected]
        assert sum(body.get("n", 1) > 1 for body in server.bodies) == 1
        assert sum(server.seen.values()) == 6 * 3 + wasted
        # Another session finds the single draws in the ledger, although it would ask for all at once.
        replies(make(server, n=True), asked(6, n=3))
        assert sum(server.seen.values()) == 6 * 3 + wasted


def test_n_can_be_switched_off(make: Make, asked: Callable) -> None:
    with running() as server:
        replies(make(server, n=False), asked(2, n=3))
        assert [body.get("n", 1) for body in server.bodies] == [1] * 6


def test_choices_that_did_not_come_are_asked_for_one_by_one(make: Make, asked: Callable) -> None:
    with running() as server:
        [expected] = replies(make(server, "plain"), asked(1, n=3))
        server.script.append("fewer")
        [reply] = replies(make(server), asked(1, n=3))
        assert [body.get("n", 1) for body in server.bodies] == [3, 3, 1]
    assert reply.choices == expected.choices
    assert reply.usage.input_tokens == 2 * expected.usage.input_tokens


def test_parameters_that_a_model_refuses_are_dropped_with_one_warning(
    make: Make, asked: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    with running(refuses=["temperature", "max_tokens"]) as server:
        found = replies(make(server), asked(10))
        assert "max_completion_tokens" in server.bodies[-1] and "temperature" not in server.bodies[-1]
        assert sum(server.seen.values()) == 12
    assert all(reply.choices[0].status == "ok" for reply in found)
    assert warnings_of(caplog).count("gpt-test does not accept") == 2


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("schema", "invalid"),
        ("surrogate", "invalid"),
        ("refusal", "refusal"),
        ("refusal_text", "refusal"),
        ("filter", "filtered"),
        ("length", "truncated"),
        ("400_filter", "filtered"),
        ("400", "invalid"),
    ],
)
def test_an_unusable_answer_is_a_status_of_its_own(make: Make, asked: Callable, fault: str, status: str) -> None:
    with running() as server:
        server.script.extend(["ok", fault])
        good, bad, after = replies(make(server, concurrency=1), asked(3))
    assert [reply.choices[0].status for reply in (good, bad, after)] == ["ok", status, "ok"]
    bad.choices[0].text.encode()


@pytest.mark.parametrize("fault", ["schema", "refusal", "filter", "length"])
def test_a_bought_answer_is_read_again_not_bought_again(make: Make, asked: Callable, fault: str) -> None:
    with running(faults={fault: 1.0}) as server:
        first = replies(make(server), asked(3))
        assert replies(make(server), asked(3)) == first
        assert sum(server.seen.values()) == 3


def test_a_400_to_the_first_request_of_all_ends_the_run(make: Make, asked: Callable) -> None:
    with running(faults={"400": 1.0}) as server:
        with pytest.raises(UserError, match=r"backend.model=gpt-test: 400: Invalid body"):
            replies(make(server), asked(20))
        assert sum(server.seen.values()) == 1


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [("401", "OPENAI_API_KEY"), ("403", "choose a model"), ("404", "choose a model"), ("quota", "top it up")],
)
def test_what_cannot_get_better_ends_the_run_and_keeps_what_was_bought(
    make: Make, asked: Callable, tmp_path: Path, fault: str, remedy: str
) -> None:
    with running() as server:
        server.script.extend(["ok"] * 6 + [fault] * 99)
        with pytest.raises(UserError, match=remedy):
            replies(make(server, concurrency=2), asked(30))
        bought = sum(server.bought.values())
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert sum(total.calls for total in ledger.totals().values()) == bought == 6
        assert ledger.unsettled() == []


def test_a_key_is_asked_for_only_when_something_has_to_be_sent(
    tmp_path: Path, asked: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    annotator = OpenAI("gpt-test", ledger=tmp_path / "new" / "ledger.sqlite")
    assert not (tmp_path / "new").exists()
    pickle.loads(pickle.dumps(annotator))
    with pytest.raises(UserError, match=r"OPENAI_API_KEY=: .* wants a key; export"):
        replies(annotator, asked(1))


def test_a_local_server_needs_no_key(make: Make, asked: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with running() as server:
        assert replies(make(server), asked(1))[0].choices[0].status == "ok"


def test_a_key_with_odd_characters_is_refused_unseen(
    make: Make, asked: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{SECRET}\nX: ü")
    with pytest.raises(UserError, match=r"OPENAI_API_KEY=\*\*\*") as failure:
        replies(make("http://127.0.0.1:9/v1"), asked(1))
    assert SECRET not in str(failure.getrepr(chain=True))


def test_faults_leave_no_trace_in_the_answers(make: Make, asked: Callable, tmp_path: Path) -> None:
    requests = asked(60) + asked(60, n=3)
    with running(odd=0.3) as server:
        undisturbed = replies(make(server, "plain"), requests)
    faults = {**rates("transport=0.4"), "die": 0.005}
    with running(odd=0.3, faults=faults, seed=4, hang_s=3, die_s=0.3) as server:
        disturbed = replies(make(server, timeout=0.5), requests)
        assert len(server.faulted) >= 10
        for body, bought in server.bought.items():
            assert bought <= 1 + server.broken[body]
    assert [reply.choices for reply in disturbed] == [reply.choices for reply in undisturbed]
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.unsettled() == []


def test_with_every_fault_at_once_nothing_is_made_up(make: Make, asked: Callable) -> None:
    requests = asked(100, n=2)
    with running() as server:
        undisturbed = replies(make(server, "plain"), requests)
    with running(faults=rates("all=0.5"), seed=1, hang_s=3, die_s=0.2) as server:
        disturbed = replies(make(server, timeout=0.5), requests)
    assert {choice.status for reply in disturbed for choice in reply.choices} > {"ok", "refusal", "invalid"}
    for found, expected in zip(disturbed, undisturbed, strict=True):
        for choice, good in zip(found.choices, expected.choices, strict=True):
            assert choice.status != "ok" or choice == good


def test_a_dead_server_is_waited_for(make: Make, asked: Callable, caplog: pytest.LogCaptureFixture) -> None:
    with running(latency=0.01, die_s=1.0) as server:
        server.script.extend(["ok"] * 10 + ["die"])
        found = replies(make(server), asked(40))
    assert all(reply.choices[0].status == "ok" for reply in found)
    assert "trying again until it answers" in warnings_of(caplog)


def test_a_server_that_stays_dead_is_given_up(make: Make, asked: Callable) -> None:
    with running() as server:
        address = server.url
    with pytest.raises(UserError, match="nothing got through for too long"):
        replies(make(address, patience=0.3), asked(4))


def test_a_picture_that_cannot_be_read_spoils_only_its_own_request(
    make: Make, asked: Callable, faces: list[Image]
) -> None:
    faces[1].path.write_bytes(b"no picture")
    with running() as server:
        found = replies(make(server), asked(3, n=2))
        assert sum(server.seen.values()) == 2
    assert [choice.status for choice in found[1].choices] == ["invalid"] * 2
    assert found[1].choices[0].text.startswith("face_1.png: ") and found[1].cost == 0


def test_odd_characters_come_through(make: Make, asked: Callable) -> None:
    with running(odd=1.0) as server:
        [reply] = replies(make(server), asked(1))
    assert json.loads(reply.choices[0].text)["reasoning"].endswith(ODD)


def test_log_probabilities_are_handed_on(make: Make, asked: Callable) -> None:
    with running() as server:
        [reply] = replies(make(server, logprobs=True), asked(1))
    tokens = reply.choices[0].logprobs
    assert tokens is not None and " ".join(token for token, _ in tokens) == reply.choices[0].text
    assert {probability for _, probability in tokens} == {-0.1}


def test_extra_settings_of_a_server_are_sent_as_they_are(make: Make, asked: Callable) -> None:
    with running() as server:
        replies(make(server, extra_body={"reasoning_effort": "none", "top_k": 5}), asked(1))
        assert server.bodies[0]["reasoning_effort"] == "none" and server.bodies[0]["top_k"] == 5


def test_a_reader_that_leaves_early_loses_nothing(make: Make, asked: Callable, tmp_path: Path) -> None:
    with running(latency=0.05) as server:
        annotator = make(server)
        reading = annotator.reply(asked(40))
        next(reading)
        reading.close()
        annotator.close()
        seen = sum(server.seen.values())
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.unsettled() == []
        assert 1 <= sum(total.calls for total in ledger.totals().values()) == seen <= 16


def test_ctrl_c_waits_for_what_is_in_flight(
    make: Make, asked: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(latency=0.5) as server:
        annotator = make(server)
        interrupt(server, after=[0.0])
        with pytest.raises(KeyboardInterrupt):
            list(annotator.reply(asked(40)))
        annotator.close()
        seen = sum(server.seen.values())
    assert "waiting for 8 requests in flight" in warnings_of(caplog)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.unsettled() == []
        assert sum(total.calls for total in ledger.totals().values()) == seen == 9


def test_a_second_ctrl_c_does_not_wait(make: Make, asked: Callable, tmp_path: Path) -> None:
    with running(faults={"hang": 1.0}, hang_s=30) as server:
        server.script.append("ok")
        annotator = make(server, timeout=30)
        began = time.monotonic()
        interrupt(server, after=[0.0, 0.3])
        with pytest.raises(KeyboardInterrupt):
            list(annotator.reply(asked(40)))
        annotator.close()
        assert time.monotonic() - began < 5
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert len(ledger.unsettled()) == 8


def interrupt(server: Server, after: list[float]) -> None:
    """Press Ctrl-C once eight requests are in flight, and again after so many seconds."""

    def press() -> None:
        while server.in_flight < 8:
            time.sleep(0.005)
        for seconds in after:
            time.sleep(seconds)
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()


CHILD = """
import sys
from pathlib import Path
from seke.backends.openai import OpenAI
from seke.images import sha256
from seke.vlm import Image, Message, Request
url, ledger, face = sys.argv[1:]
image = Image(Path(face), sha256(Path(face).read_bytes()))
requests = [Request((Message("user", (f"Face {number}?", image)),), n=2) for number in range(120)]
for index, reply in OpenAI("gpt-test", url, ledger=ledger, concurrency=8).reply(requests):
    print(index, flush=True)
"""


def test_after_kill_9_only_what_was_in_flight_may_be_paid_twice(tmp_path: Path, faces: list[Image]) -> None:
    path = tmp_path / "ledger.sqlite"
    with running(latency=0.02) as server:
        command = [sys.executable, "-c", CHILD, server.url, str(path), str(faces[0].path)]
        environment = {**os.environ, "OPENAI_API_KEY": SECRET}
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert child.stdout is not None
        for _ in range(30):
            child.stdout.readline()
        child.kill()
        child.wait()
        with Ledger(path) as ledger:
            in_doubt = len(ledger.unsettled())
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        assert sorted(map(int, done.stdout.split())) == list(range(120))
        assert sum(server.seen.values()) <= 120 + in_doubt <= 120 + 8


@pytest.mark.parametrize("fault", ["none", "401", "403", "400", "quota", "429", "500", "reset", "html", "schema"])
def test_the_key_is_in_no_file_message_or_log(
    make: Make, asked: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    caplog.set_level(logging.DEBUG)
    said = ""
    with running(faults={fault: 0.7}, seed=5, echo_key=True) as server:
        try:
            said = repr(replies(make(server, max_retries=2), asked(12)))
        except UserError as error:
            said = "".join(map(repr, [error, error.__cause__, error.__context__]))
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert "SECRET" not in said + caplog.text
    assert b"SECRET" not in written


def test_azure_is_warned_of(make: Make, asked: Callable, caplog: pytest.LogCaptureFixture) -> None:
    annotator = make("http://faces.openai.azure.com.invalid:9/v1", patience=0.0)
    with pytest.raises(UserError):
        replies(annotator, asked(1))
    assert "blurs faces" not in warnings_of(caplog)
    with pytest.raises(UserError):
        replies(make("http://127.0.0.1.azure.com:9/v1", patience=0.0), asked(1))
    assert "Azure blurs faces" in warnings_of(caplog)


@pytest.mark.parametrize(("days", "warned"), [(30, True), (89, True), (120, False), (None, False)])
def test_a_model_that_will_soon_be_gone_is_warned_of(
    make: Make, asked: Callable, caplog: pytest.LogCaptureFixture, days: int | None, warned: bool
) -> None:
    ends = None if days is None else (date.today() + timedelta(days=days)).isoformat()
    with running(shutdown_date=ends, latency=0.2) as server:
        replies(make(server), asked(1))
    assert ("gpt-test is shut down on" in warnings_of(caplog)) is warned


@pytest.mark.parametrize(
    ("setting", "value"),
    [("base_url", "localhost:8000"), ("concurrency", 0), ("timeout", 0), ("max_retries", -1), ("n", "maybe")],
)
def test_a_setting_out_of_range_is_named(tmp_path: Path, setting: str, value: object) -> None:
    with pytest.raises(UserError, match=f"backend.{setting}={value}"):
        OpenAI("gpt-test", ledger=tmp_path / "ledger.sqlite", **{setting: value})


def test_the_server_runs_as_a_program() -> None:
    program = [sys.executable, str(ROOT / "tests/servers/openai_server.py"), "--faults", "429=0.1,all=0.2"]
    child = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline().startswith("http://127.0.0.1:")
    child.terminate()
    child.wait()
