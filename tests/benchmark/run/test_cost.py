"""What an evaluation pays for: estimated without asking, held by the budget, written to cost.json, never paid twice."""

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image as Picture

from seke.backends.openai.client import OpenAI
from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import Parse
from seke.benchmark.judging.llm import LlmJudge
from seke.benchmark.judging.rubric import Rubric
from seke.benchmark.run import cost as paying
from seke.benchmark.run import single_image
from seke.benchmark.run.plan import Task
from seke.benchmark.tasks.feab import Feab
from seke.benchmark.tasks.reasoning import AffectiveReasoning
from seke.core.budget import Budget
from seke.core.errors import Paused, UserError
from seke.core.images import sha256
from seke.core.prompts import Prompts
from seke.core.records import ImageRecord, Labels, write_jsonl
from seke.core.vlm import Choice, Reply

from ...servers import openai_server

CONF = Path(__file__).resolve().parents[3] / "conf"
PRICE = {"model-1": [2.0, 10.0], "judge-1": [1.0, 5.0]}
QUESTION = Feab("What does this face show?")


def prompts(name: str) -> Prompts:
    return Prompts(yaml.safe_load((CONF / "prompts" / f"{name}.yaml").read_text())["templates"])


@pytest.fixture
def asked(tmp_path: Path) -> Task:
    """Twelve faces to be asked about."""
    records = []
    for number in range(12):
        path = tmp_path / f"{number}.png"
        Picture.new("RGB", (8, 8), (number * 20, 0, 0)).save(path)
        records.append(
            ImageRecord(
                id=f"r{number}", image=path.name, sha256=sha256(path.read_bytes()), source="aff_wild2", subject=None,
                split="test", labels=Labels(expression="happiness"), attributes={"emotion": "awe"},
            )
        )  # fmt: skip
    write_jsonl(tmp_path / "test.jsonl", records)
    return Task(records, {"records": tmp_path / "test.jsonl"}, None, {}, ())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(openai_server.Server, "_answer", lambda self, request, choice: f"Joy. {hash(str(request))}")
    with openai_server.running() as running:
        yield running


def backend(server, folder: Path, model: str = "model-1") -> OpenAI:
    return OpenAI(model, base_url=server.url, ledger=folder / "ledger.sqlite", backoff=0.01, prices=PRICE)


def judging(server, folder: Path) -> LlmJudge:
    return LlmJudge(backend(server, folder, "judge-1"), prompts("judge"))


def test_a_dry_run_counts_answers_and_judge_and_asks_nobody(server, asked: Task, tmp_path: Path) -> None:
    text = paying.dry_run(asked, QUESTION, judging(server, tmp_path), backend(server, tmp_path), str(tmp_path))
    lines = [line.split() for line in text.splitlines()]
    assert text.startswith("12 records; nothing was asked, nothing was paid")
    assert [line[-2:] for line in lines if line[:1] == ["requests"]] == [["12", "12"], ["12", "12"]]
    assert [line[0] for line in lines if line[-1].startswith("$")] == ["model-1", "judge-1", "together"]
    assert "answers (model-1)" in text and "judge (judge-1)" in text
    assert not server.seen and not (tmp_path / "ledger.sqlite").exists()
    alone = paying.dry_run(asked, QUESTION, Parse(), backend(server, tmp_path), str(tmp_path))
    assert alone.count("requests") == 1 and "together" not in alone


def test_given_answers_cost_their_judging_alone_and_equal_ones_are_judged_once(server, asked, tmp_path: Path) -> None:
    given = {record.id: Answer(id=record.id, text="Joy." if k < 4 else f"Joy, {k}.") for k, record in
             enumerate(asked.records)}  # fmt: skip
    text = paying.dry_run(asked._replace(answers=given), QUESTION, judging(server, tmp_path), None, str(tmp_path))
    assert [line.split()[-2:] for line in text.splitlines() if line.startswith("requests")] == [["9", "9"]]
    assert "costs nothing" in paying.dry_run(asked._replace(answers=given), QUESTION, Parse(), None, str(tmp_path))


def test_two_judges_with_a_rubric_are_estimated_each(server, asked: Task, tmp_path: Path) -> None:
    judges = {name: backend(server, tmp_path, "judge-1") for name in ("first", "second")}
    benchmark = AffectiveReasoning(Rubric(prompts("rubric")), judges, {"affective": ["Which emotion?"]})
    entries = benchmark.plan(asked.records, tmp_path, {})
    task = asked._replace(records=entries)
    text = paying.dry_run(task, benchmark, Parse(), backend(server, tmp_path), str(tmp_path))
    assert text.count("requests                              12              12") == 3
    assert "judge first (judge-1)" in text and "judge second (judge-1)" in text and not server.seen


def test_one_picture_is_estimated_and_paid_for_like_many(server, asked: Task, tmp_path: Path) -> None:
    picture, vlm = tmp_path / "3.png", backend(server, tmp_path)
    text = single_image.report(picture, vlm, QUESTION, judging(server, tmp_path))
    assert text.startswith("1 records; nothing was asked") and not server.seen
    with pytest.raises(UserError, match=r"gone\.png: cannot be read"):
        single_image.report(tmp_path / "gone.png", vlm, QUESTION, Parse())
    with pytest.raises(Paused, match="none was sent"):
        single_image.report(picture, vlm, QUESTION, Parse(), paying.Spending(Budget(usd=1e-8)))
    assert not server.seen
    told = single_image.report(picture, vlm, QUESTION, judging(server, tmp_path), paying.Spending(Budget(usd=5)))
    assert "cost: 2 calls" in told and server.paid.total() == 2
    vlm.close()


class Silent:
    """A model that fails at every request."""

    def reply(self, requests):
        for index, _ in enumerate(requests):
            yield index, Reply((Choice("HTTP 400: no such model", "invalid"),), "silent")


def test_a_picture_without_an_answer_says_why(tmp_path: Path) -> None:
    Picture.new("RGB", (8, 8)).save(tmp_path / "face.png")
    with pytest.raises(UserError, match=r"face\.png: no answer came \(HTTP 400: no such model\); "):
        single_image.report(tmp_path / "face.png", Silent(), QUESTION, Parse(), paying.Spending(Budget()))


def test_a_budget_pauses_and_what_was_paid_for_is_neither_lost_nor_paid_twice(server, asked, tmp_path: Path) -> None:
    run, pauses, most, judges = tmp_path / "run", 0, 0, []
    run.mkdir()
    for _ in range(20):
        spending, vlm = paying.Spending(Budget(tokens=900)), backend(server, tmp_path)
        judges.append(judging(server, tmp_path))
        try:
            with spending.recorded(run):
                answers = spending.answers(asked, QUESTION, judges[-1], vlm, str(tmp_path), run)
                judges[-1].ready(answers)
            break
        except Paused:
            pauses += 1
        finally:
            vlm.close()
            most = max(most, spending.spent.tokens_at_most)
    cost = json.loads((run / "cost.json").read_text())
    assert pauses >= 2 and most <= 900 and len(answers) == 12
    assert cost["requests"] == server.paid.total() == 24 and set(server.paid.values()) == {1}
    assert (cost["by"]["answers"]["requests"], cost["by"]["judge"]["requests"]) == (12, 12)
    assert cost["usd"] == pytest.approx(cost["by"]["answers"]["usd"] + cost["by"]["judge"]["usd"], abs=2e-6)
    assert cost["usd"] == cost["usd_at_most"] > 0 and cost["unknown"] == 0


def test_the_ranks_of_one_evaluation_share_its_budget() -> None:
    spending = paying.Spending(Budget(usd=8.0), paying.predict.Process(1, 4))
    assert spending.budget == Budget(usd=2.0)


def test_the_command_itself_estimates_and_pauses(server, asked: Task, tmp_path: Path, cli) -> None:
    command = ("evaluate", f"records={asked.inputs['records']}", f"paths.images={tmp_path}", "name=paid",
               f"paths.outputs={tmp_path}", "backend=openai", f"backend.base_url={server.url}",
               "backend.model=model-1", "+backend.prices.model-1=[2.0,10.0]", "backend.concurrency=1")  # fmt: skip
    done = cli(*command, "dry_run=true", "limit=5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("5 records; nothing was asked") and not (tmp_path / "evaluate").exists()
    assert not server.seen
    none = cli(*command, "budget.usd=0.0000001")
    assert (none.returncode, server.paid.total()) == (3, 0), none.stderr
    some = cli(*command, "budget.tokens=400")
    assert some.returncode == 3 and 0 < server.paid.total() < 12
    assert "known" not in some.stderr and "paused: budget.tokens=400 is spent" in some.stderr
    assert json.loads((tmp_path / "evaluate" / "paid" / "cost.json").read_text())["requests"] == server.paid.total()
