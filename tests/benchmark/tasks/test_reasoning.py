"""Affective reasoning: the questions, two judges on a real server of this machine, and the command."""

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image as Picture

from seke.backends.openai.client import OpenAI
from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import Parse, parse
from seke.benchmark.judging.rubric import Marks, Rubric
from seke.benchmark.run import plan, single_image
from seke.benchmark.tasks.reasoning import AffectiveReasoning, JudgedAnswer, answer_status, scores
from seke.core.errors import UserError
from seke.core.images import sha256
from seke.core.prompts import Prompts
from seke.core.records import ImageRecord, InstructionRecord, Labels, Origins, Turn, Uncertainty, write_jsonl
from seke.core.vlm import Image

from ...servers import openai_server
from ...trees import emoset as tree

CONF = Path(__file__).resolve().parents[3] / "conf"
QUESTIONS = yaml.safe_load((CONF / "benchmark" / "affective_reasoning.yaml").read_text())["benchmark"]["questions"]
RUBRIC = Rubric(Prompts(yaml.safe_load((CONF / "prompts" / "rubric.yaml").read_text())["templates"]))
CRITERIA = RUBRIC.criteria
SAID = {"Grand peaks, so awe.": 5, "It is a bank.": 1, "Awe.": 3}
"""What the mild judge marks each answer with; the stern one gives one less."""


def marked(request, choice) -> str:
    text = str(request["messages"][1]["content"])
    mark = next(mark for answer, mark in SAID.items() if answer in text)
    marks = dict.fromkeys(CRITERIA, max(1, mark - (request["model"] == "stern")))
    return json.dumps({"reasons": "as told", **marks})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(openai_server.Server, "_answer", lambda self, request, choice: marked(request, choice))
    with openai_server.running() as running:
        yield running


def judges(server, tmp_path: Path, **more) -> dict[str, OpenAI]:
    """Two backends; `AffectiveReasoning` closes what it has used."""
    where = {"base_url": server.url, "ledger": tmp_path / "ledger.sqlite", "backoff": 0.01, **more}
    return {name: OpenAI(name, **where) for name in ("mild", "stern")}


def pictures(folder: Path, number: int) -> list[ImageRecord]:
    folder.mkdir(exist_ok=True)
    records = []
    for place in range(number):
        Picture.new("RGB", (16, 16), (place, 9, 9)).save(folder / f"{place}.png")
        digest = sha256((folder / f"{place}.png").read_bytes())
        records.append(
            ImageRecord(
                id=str(place), image=f"{place}.png", sha256=digest, source="emoset", subject=None, split="test",
                labels=Labels(), attributes={"emotion": "awe"},
            )
        )  # fmt: skip
    return records


def benchmark(**settings) -> AffectiveReasoning:
    return AffectiveReasoning(**{"rubric": RUBRIC, "judges": {"mild": object()}, "questions": QUESTIONS, **settings})


def instruction(record: str, kind: str, question: str) -> InstructionRecord:
    turns = (Turn(speaker="human", value=f"<image>\n{question}"), Turn(speaker="gpt", value="Because."))
    return InstructionRecord(
        id=f"{record}/{kind}", image="a.png", source="emoset", subject=None, conversations=turns, labels=Labels(),
        origin=Origins(), uncertainty=Uncertainty(), samples=0, annotator="m", attributes={"kind": kind},
    )  # fmt: skip


def test_every_picture_is_asked_one_question_of_either_kind_always_the_same(tmp_path: Path) -> None:
    records = pictures(tmp_path / "p", 40)
    entries = benchmark().plan(records, tmp_path / "p", {})
    assert [entry.id for entry in entries] == [record.id for record in records]
    kinds = {entry.attributes["question_kind"]: entry.attributes["question"] for entry in entries}
    assert set(kinds) == {"affective", "humour"}
    assert all(question in [text.strip() for text in QUESTIONS[kind]] for kind, question in kinds.items())
    assert benchmark().plan(records[::-1], tmp_path / "p", {})[::-1] == entries
    assert benchmark(seed=1).plan(records, tmp_path / "p", {}) != entries


def test_the_model_is_sent_its_pictures_question_and_no_emotion(tmp_path: Path) -> None:
    made = benchmark()
    [entry] = made.plan(pictures(tmp_path / "p", 1), tmp_path / "p", {})
    request = made.ask(entry, Image(tmp_path / "p" / "0.png", str(entry.sha256)))
    assert request.text == entry.attributes["question"]
    assert "awe" not in request.text and request.images


def test_no_listed_question_names_one_of_the_emotions() -> None:
    emotions = yaml.safe_load((CONF / "generator" / "emovit.yaml").read_text())["generator"]["classes"]
    texts = [question.lower() for questions in QUESTIONS.values() for question in questions]
    assert texts and not [text for text in texts if any(emotion in text.split() for emotion in emotions)]


def test_questions_of_a_generate_run_are_put_to_their_own_pictures_alone(tmp_path: Path) -> None:
    file = tmp_path / "instructions.jsonl"
    write_jsonl(file, [instruction("1", "reasoning", "Why so still?"), instruction("0", "categorical", "Which?")])
    entries = benchmark(questions_from="run").plan(pictures(tmp_path / "p", 3), tmp_path / "p", {"questions": file})
    assert [(entry.id, entry.attributes["question"]) for entry in entries] == [("1", "Why so still?")]
    assert entries[0].attributes["question_kind"] == "given"
    write_jsonl(file, [instruction("9", "reasoning", "Why?")])
    with pytest.raises(UserError, match=r"benchmark\.questions_from=run"):
        benchmark(questions_from="run").plan(pictures(tmp_path / "p", 3), tmp_path / "p", {"questions": file})


def test_faces_have_no_emotion_to_judge_by(tmp_path: Path) -> None:
    face = pictures(tmp_path / "p", 1)[0].model_copy(update={"attributes": {}})
    with pytest.raises(UserError, match=r"attributes\.emotion"):
        benchmark().plan([face], tmp_path / "p", {})


def test_somebody_must_judge_and_something_be_asked() -> None:
    with pytest.raises(UserError, match=r"benchmark\.judges"):
        benchmark(judges={"first": None})
    with pytest.raises(UserError, match=r"benchmark\.questions"):
        benchmark(questions={"humour": []})


def test_declining_and_saying_nothing_are_no_answers() -> None:
    given = {"": "unanswered", "I'm sorry, I cannot help with that.": "refusal", "Awe, for it is vast.": "ok"}
    assert {text: answer_status(Answer(id="a", text=text)) for text in given} == given
    assert answer_status(Answer(id="a", text="Awe", status="filtered")) == "filtered"
    assert answer_status(Answer(id="a", text="Awe, for it", status="truncated")) == "truncated"


def test_both_judges_see_the_picture_and_mark_every_answer(server, tmp_path: Path) -> None:
    made = benchmark(judges=judges(server, tmp_path))
    entries = made.plan(pictures(tmp_path / "p", 3), tmp_path / "p", {})
    answers = {str(place): Answer(id=str(place), text=text, model="mine") for place, text in enumerate(SAID)}
    rows, missing = made.predictions(entries, answers, parse)
    found = made.metrics(rows, seed=0)
    assert missing == 0
    assert [[row.marks[name].marks["emotion"] for name in ("mild", "stern")] for row in rows] == [
        [5, 4],
        [1, 1],
        [3, 2],
    ]
    assert found["reasoning"]["criteria"]["evidence"]["mean"] == pytest.approx((4.5 + 1 + 2.5) / 3)
    assert found["judges"]["stern"]["criteria"]["evidence"]["mean"] == pytest.approx((4 + 1 + 2) / 3)
    assert found["agreement"]["mild and stern"]["evidence"]["exact"] == pytest.approx(1 / 3)
    assert found["warnings"] == []
    for body in server.bodies:
        kinds = [part["type"] for part in body["messages"][1]["content"]]
        assert sorted(kinds) == ["image_url", "text"]
        assert body["response_format"]["json_schema"]["strict"] is True
    table = made.table("mine", found, [])
    assert "| truthfulness | 2.667" in table and "Agreement of mild and stern" in table


def test_what_was_judged_is_never_paid_for_again(server, tmp_path: Path) -> None:
    for _ in range(2):
        made = benchmark(judges=judges(server, tmp_path))
        entries = made.plan(pictures(tmp_path / "p", 1), tmp_path / "p", {})
        made.predictions(entries, {"0": Answer(id="0", text="Awe.")}, parse)
    assert sum(server.seen.values()) == 2


def test_silence_is_judged_by_nobody_and_has_no_mark(server, tmp_path: Path) -> None:
    made = benchmark(judges=judges(server, tmp_path))
    entries = made.plan(pictures(tmp_path / "p", 4), tmp_path / "p", {})
    (tmp_path / "p" / "3.png").unlink()
    answers = {
        "0": Answer(id="0", text="Awe."), "1": Answer(id="1", text="Awe.", status="refusal"),
        "3": Answer(id="3", text="Awe."),
    }  # fmt: skip
    rows, missing = made.predictions(entries, answers, parse)
    found = made.metrics(rows, seed=0)
    assert (missing, [row.status for row in rows]) == (1, ["ok", "refusal", "unanswered", "ok"])
    assert [sorted(row.marks) for row in rows] == [["mild", "stern"], [], [], ["mild", "stern"]]
    assert rows[3].marks["mild"] == Marks(status="unseen")
    assert found["unanswered"] == {"reasoning": 2}
    assert found["reasoning"]["criteria"]["emotion"] == {"mean": 2.5, "ci95": None, "n": 1}
    assert sum(server.seen.values()) == 2


def test_a_judge_that_declines_leaves_the_others_mark_and_is_counted(server, tmp_path: Path) -> None:
    made = benchmark(judges=judges(server, tmp_path, concurrency=1))
    entries = made.plan(pictures(tmp_path / "p", 2), tmp_path / "p", {})
    server.script.extend(["refusal", "schema"])  # of the mild judge, which is asked first
    answers = {place: Answer(id=place, text="Awe.") for place in "01"}
    rows, _ = made.predictions(entries, answers, parse)
    found = made.metrics(rows, seed=0)
    assert found["judges"]["mild"]["status"] == {"invalid": 1, "refusal": 1}
    assert found["reasoning"]["criteria"]["emotion"]["mean"] == 2.0
    assert found["agreement"]["mild and stern"]["emotion"]["n"] == 0
    assert found["warnings"] == ["mild marked none of 2 answers"]
    assert "1 invalid, 1 refusal" in made.table("mine", found, [])
    json.dumps(found, allow_nan=False)


def row(model: str, judge: str, simulated: bool = False) -> JudgedAnswer:
    marks = {"first": Marks(status="ok", marks={"emotion": 4}, model=judge, simulated=simulated)}
    return JudgedAnswer(
        id="a", source="s", subject=None, kind="humour", question="?", text="t", truth="awe", status="ok", model=model,
        marks=marks,
    )  # fmt: skip


def test_a_judge_of_its_own_answers_and_a_simulated_one_are_told() -> None:
    [own] = scores([row("gpt-4o", "gpt-4o")], ["emotion"], ["first"], draws=10)["warnings"]
    assert own == "first marked its own answers (gpt-4o)"
    [simulated] = scores([row("mine", "a-judge", True)], ["emotion"], ["first"], draws=10)["warnings"]
    assert "simulated" in simulated
    assert scores([row("mine", "simulated-judge")], ["emotion"], ["first"], draws=10)["warnings"] == []


def test_no_key_of_a_judge_is_left_in_the_files_of_a_run(server, tmp_path: Path, cli) -> None:
    tree.make(tmp_path / "EmoSet")
    where = (f"paths.outputs={tmp_path}", f"paths.data={tmp_path}", "name=r")
    assert cli("prepare", "source=emoset", "near_duplicate=null", *where).returncode == 0
    lines = (tmp_path / "prepare" / "r" / "test.jsonl").read_text().splitlines()
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps({"id": json.loads(line)["id"], "text": "Awe."}) + "\n" for line in lines))
    servers = [f"{name}.base_url={server.url}" for name in ("judge_backend", "second_judge_backend")]
    models = ("judge_backend.model=mild", "second_judge_backend.model=stern")
    asked = ("benchmark=affective_reasoning", "records=r", f"predictions={file}", *servers, *models)
    done = cli("evaluate", *asked, *where, OPENAI_API_KEY="sk-of-a-test")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "evaluate" / "r" / "metrics.json").read_text())
    assert found["judges"]["first"]["criteria"]["emotion"] == {"mean": 3.0, "ci95": None, "n": len(lines)}
    assert "agreement of first and second" in done.stdout
    assert (tmp_path / "evaluate" / "r" / "table.md").is_file()
    texts = [path.read_bytes() for path in (tmp_path / "evaluate").rglob("*") if path.is_file()]
    assert not [text for text in texts if b"sk-of-a-test" in text]


def test_what_a_benchmark_reads_beside_the_records_is_an_input_of_the_run(tmp_path: Path) -> None:
    for name in ("test.jsonl", "instructions.jsonl"):
        (tmp_path / name).write_text("")
    made = benchmark(questions_from=str(tmp_path / "instructions.jsonl"))
    files = plan.files_of(made, tmp_path, str(tmp_path / "test.jsonl"), None, None)
    assert set(files) == {"records", "questions"}


def test_a_mean_of_few_answers_is_told() -> None:
    silent = row("mine", "judge-1").model_copy(update={"status": "unanswered", "marks": {}})
    [few] = scores([row("mine", "judge-1"), silent, silent], ["emotion"], ["first"], draws=10)["warnings"]
    assert few.startswith("2 of 3 pictures have no answer")


def test_two_simulated_judges_mark_synthetic_scenes_without_any_server(tmp_path: Path, cli) -> None:
    where = (f"paths.outputs={tmp_path}", "name=r")
    drawn = ("source=synthetic_scenes", "source.images=40", "source.test_share=0.4", "source.workers=1")
    assert cli("prepare", *drawn, "near_duplicate=null", *where).returncode == 0
    records = [json.loads(line) for line in (tmp_path / "prepare" / "r" / "test.jsonl").read_text().splitlines()]
    texts = [f"It is {each['attributes']['emotion']}." if n else "" for n, each in enumerate(records)]
    file = tmp_path / "answers.jsonl"
    file.write_text(
        "".join(json.dumps({"id": r["id"], "text": text}) + "\n" for r, text in zip(records, texts, strict=True))
    )
    simulated = ("backend@judge_backend=simulated_scenes", "backend@second_judge_backend=simulated_scenes")
    second = ("second_judge_backend.seed=1", "second_judge_backend.mistakes=0.3", "~second_judge_backend.model")
    asked = ("benchmark=affective_reasoning", "records=r", f"predictions={file}", *simulated, *second)
    done = cli("evaluate", *asked, *where)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "evaluate" / "r" / "metrics.json").read_text())
    assert found["unanswered"] == {"reasoning": 1}
    assert found["reasoning"]["criteria"]["emotion"]["mean"] > 4
    assert found["agreement"]["first and second"]["emotion"]["n"] == len(records) - 1 > 5
    assert all("simulated" in warning for warning in found["warnings"]) and len(found["warnings"]) == 2
    rows = [json.loads(line) for line in (tmp_path / "evaluate" / "r" / "predictions.jsonl").read_text().splitlines()]
    judges = [marks["model"] for row in rows for marks in row["marks"].values()]
    assert set(judges) == {"simulated-scene-judge"} and len(judges) == 2 * (len(records) - 1)
    table = (tmp_path / "evaluate" / "r" / "table.md").read_text()
    assert "Agreement of first and second" in table and "simulated-scene-judge" in table


def test_one_picture_alone_cannot_be_judged_and_nobody_is_asked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^image=.*judges an answer by what is known of its record"):
        single_image.report(tmp_path / "scene.png", object(), benchmark(), Parse())
