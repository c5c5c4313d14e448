"""The LLM judge against a real server on this machine: it rewrites, the parser reads, the ledger keeps what it cost."""

from pathlib import Path

import pytest
import yaml

from seke.backends.openai.client import OpenAI
from seke.benchmark.answer import Answer
from seke.benchmark.judging.llm import LlmJudge
from seke.core.errors import UserError
from seke.core.prompts import Prompts
from seke.core.records import Labels

from ...servers import openai_server

PROMPTS = Prompts(
    yaml.safe_load((Path(__file__).resolve().parents[3] / "conf" / "prompts" / "judge.yaml").read_text())["templates"]
)
REWRITTEN = {
    "She beams at us.": "The expression is happiness.",
    "Looks down, about -0,4.": "Valence is -0.4.",
    "A face.": "Nothing is stated.",
    "Very pleasant.": "Valence is 3.5.",
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    def answer(self, request, choice) -> str:
        said = request["messages"][1]["content"]
        return next(template for text, template in REWRITTEN.items() if text in said)

    monkeypatch.setattr(openai_server.Server, "_answer", answer)
    with openai_server.running() as running:
        yield running


@pytest.fixture
def judge(server, tmp_path: Path):
    """Return `make(...)`, which makes a judge that asks the server; all have one ledger, and are closed at the end."""
    made = []

    def make(**more) -> LlmJudge:
        made.append(OpenAI("judge-1", base_url=server.url, ledger=tmp_path / "ledger.sqlite", backoff=0.01, **more))
        return LlmJudge(made[-1], PROMPTS)

    yield make
    for vlm in made:
        vlm.close()


def answers(*texts: str) -> dict[str, Answer]:
    return {str(number): Answer(id=str(number), text=text) for number, text in enumerate(texts)}


def test_labels_are_read_from_the_rewriting_and_it_is_kept(server, judge) -> None:
    given = answers(*REWRITTEN)
    ready = judge().ready(given)
    assert [ready.read(given[str(number)]) for number in range(4)] == [
        (Labels(expression="happiness"), "The expression is happiness.", "ok"),
        (Labels(valence=-0.4), "Valence is -0.4.", "ok"),
        (Labels(), "Nothing is stated.", "unanswered"),
        (Labels(), "Valence is 3.5.", "unanswered"),  # out of range is unanswered, never clipped
    ]
    assert ready.remarks == ()


def test_the_judge_sees_the_words_and_no_picture(server, judge) -> None:
    judge().ready(answers("She beams at us."))
    [body] = server.bodies
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert all(isinstance(message["content"], str) for message in body["messages"])
    assert "contempt" in body["messages"][0]["content"] and "AU26 Jaw Drop" in body["messages"][0]["content"]
    assert (body["temperature"], body.get("n", 1)) == (0.0, 1)


def test_equal_answers_are_asked_about_once_and_paid_ones_never_again(server, judge) -> None:
    given = answers("She beams at us.", "She beams at us.", "A face.")
    first = judge()
    assert first.ready(given).read(given["1"]).labels.expression == "happiness"
    first.vlm.close()
    again = judge()
    assert again.ready(given).read(given["0"]).labels.expression == "happiness"
    assert sum(server.seen.values()) == 2


def test_what_says_nothing_is_not_sent(server, judge) -> None:
    given = {
        "a": Answer(id="a", text="I can't.", status="refusal"),
        "b": Answer(id="b", labels=Labels(valence=0.5)),
        "c": Answer(id="c", text=" "),
    }
    ready = judge().ready(given)
    assert [ready.read(given[id_])[::2] for id_ in "abc"] == [
        (Labels(), "refusal"), (Labels(valence=0.5), "ok"), (Labels(), "unanswered"),
    ]  # fmt: skip
    assert not server.seen


def test_a_rewriting_that_is_declined_or_filtered_leaves_the_answer_unanswered_and_is_counted(server, judge) -> None:
    server.script.extend(["refusal", "filter"])  # of "A face." and "She beams at us.", which are asked about in order
    given = answers("She beams at us.", "She beams at us.", "A face.", "Very pleasant.")
    ready = judge(concurrency=1).ready(given)
    found = [ready.read(answer) for answer in given.values()]
    assert found[:3] == [(Labels(), "", "unanswered")] * 3
    assert found[3].judged == "Valence is 3.5."
    [remark] = ready.remarks
    assert "(2 filtered, 1 refusal)" in remark and "unanswered" in remark


def test_a_prompt_without_its_slot_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    vlm = OpenAI("judge-1", base_url="http://127.0.0.1:9/v1", ledger=tmp_path / "ledger.sqlite")
    for templates in ({"faces_system": "Rewrite."}, {"faces": "Rewrite.", "faces_system": ""}):
        with pytest.raises(UserError, match=r"prompts\.templates\.faces"):
            LlmJudge(vlm, Prompts(templates))
    with pytest.raises(UserError, match=r"\{answr\}"):
        LlmJudge(vlm, Prompts({"faces": "{answer}", "faces_system": "{answr}"}))
