"""Asking: every record once, unreadable images counted, an interrupted run goes on to the same result."""

import json
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from pathlib import Path

import pytest
from PIL import Image as Picture

from seke.answers.extract import describe
from seke.benchmark.answer import Answer
from seke.benchmark.protocol import question
from seke.benchmark.run.predict import Process, ask, ask_all, ask_once, check_any, checkpoint, read_records, weights
from seke.benchmark.tasks.feab import Feab
from seke.core import images
from seke.core.errors import UserError
from seke.core.images import sha256
from seke.core.records import ImageRecord, Labels, write_jsonl
from seke.core.vlm import Choice, Reply

FEAB = Feab(question="What does this face show?")
ASKED = question(FEAB)


class Scripted:
    """A vision LLM that answers by the image's content, last first, and may be killed after some answers."""

    def __init__(self, answers, die_after=None) -> None:
        self.answers, self.die_after, self.asked = answers, die_after, []

    def reply(self, requests):
        for number, (index, request) in enumerate(reversed(list(enumerate(requests)))):
            if number == self.die_after:
                raise KeyboardInterrupt
            self.asked.append(request)
            yield index, Reply((self.answers[request.images[0].sha256],), "scripted-1")


@pytest.fixture
def faces(tmp_path: Path):
    records, answers = [], {}
    for number in range(6):
        path = tmp_path / f"{number}.png"
        Picture.new("RGB", (8, 8), (number * 40, 0, 0)).save(path)
        digest = sha256(path.read_bytes())
        answers[digest] = Choice(describe(Labels(valence=number / 10)))
        records.append(
            ImageRecord(
                id=f"r{number}",
                image=path.name,
                sha256=digest,
                source="x",
                subject=None,
                split="test",
                labels=Labels(valence=0.5),
            )
        )
    return records, answers


def test_every_record_is_asked_once_with_its_image_and_the_question(faces, tmp_path: Path) -> None:
    records, answers = faces
    vlm = Scripted(answers)
    found = ask(records, vlm, ASKED, tmp_path, tmp_path / "answers.jsonl")
    assert {record.id: found[record.id].text for record in records} == {
        record.id: answers[record.sha256].text for record in records
    }
    assert sorted(request.images[0].sha256 for request in vlm.asked) == sorted(record.sha256 for record in records)
    assert {(request.text, request.temperature, request.n) for request in vlm.asked} == {(FEAB.question, 0.0, 1)}
    assert {answer.model for answer in found.values()} == {"scripted-1"}


def test_a_killed_run_goes_on_and_asks_nothing_twice(faces, tmp_path: Path) -> None:
    records, answers = faces
    run, whole = tmp_path / "run", tmp_path / "whole"
    run.mkdir()
    whole.mkdir()
    killed = Scripted(answers, die_after=2)
    with pytest.raises(KeyboardInterrupt):
        ask_all(records, killed, ASKED, tmp_path, run)
    out = run / "answers.jsonl"
    with out.open("a") as file:
        file.write('{"id":"r0","te')  # a line that the kill tore
    second = Scripted(answers)
    resumed = ask_all(records, second, ASKED, tmp_path, run)
    assert len(killed.asked) + len(second.asked) == len(records)
    assert resumed == ask_all(records, Scripted(answers), ASKED, tmp_path, whole)
    assert len(out.read_text().splitlines()) == len(records)


def test_several_ranks_share_the_records_and_the_first_gets_all_answers(faces, tmp_path: Path) -> None:
    records, answers = faces
    alone, run = tmp_path / "alone", tmp_path / "run"
    alone.mkdir()
    run.mkdir()
    vlms = [Scripted(answers) for _ in range(3)]
    for rank in (2, 1):
        assert ask_all(records, vlms[rank], ASKED, tmp_path, run, Process(rank, 3)) is None
    found = ask_all(records, vlms[0], ASKED, tmp_path, run, Process(0, 3))
    assert found == ask_all(records, Scripted(answers), ASKED, tmp_path, alone)
    assert [len(vlm.asked) for vlm in vlms] == [2, 2, 2]
    assert sorted(path.name for path in run.iterdir()) == [f"answers.{rank}.jsonl" for rank in range(3)]


def test_the_first_rank_waits_for_what_another_is_still_writing(faces, tmp_path: Path) -> None:
    records, answers = faces
    run = tmp_path / "run"
    run.mkdir()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(ask_all, records, Scripted(answers), ASKED, tmp_path, run, Process(0, 2))
        with pytest.raises(TimeoutError):
            first.result(timeout=0.3)
        ask_all(records, Scripted(answers), ASKED, tmp_path, run, Process(1, 2))
        assert set(first.result(timeout=60)) == {record.id for record in records}


def test_a_resume_may_have_another_number_of_ranks(faces, tmp_path: Path) -> None:
    records, answers = faces
    run = tmp_path / "run"
    run.mkdir()
    ask_all(records, Scripted(answers), ASKED, tmp_path, run, Process(1, 3))
    rest = Scripted(answers)
    assert len(ask_all(records, rest, ASKED, tmp_path, run)) == len(records)
    assert len(rest.asked) == 4


def test_the_place_is_torchruns_and_several_cannot_overwrite(tmp_path: Path) -> None:
    assert Process.of({}) == (0, 1)
    assert Process.of({"RANK": "2", "WORLD_SIZE": "4"}) == (2, 4)
    Process().enter(tmp_path, overwrite=True)
    with pytest.raises(UserError, match="overwrite=True: ranks would clear"):
        Process(0, 2).enter(tmp_path, overwrite=True)


def test_one_picture_needs_no_record(faces, tmp_path: Path) -> None:
    records, answers = faces
    vlm = Scripted(answers)
    assert ask_once(tmp_path / "3.png", vlm, FEAB.request).text == answers[records[3].sha256].text
    (tmp_path / "text.png").write_text("no picture")
    for wrong in ("text.png", "none.png"):
        with pytest.raises(UserError, match=f"image=.*{wrong}: cannot be read"):
            ask_once(tmp_path / wrong, vlm, FEAB.request)


def test_an_unreadable_image_is_unanswered_and_says_why(faces, tmp_path: Path) -> None:
    records, answers = faces
    (tmp_path / "1.png").unlink()
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:40])
    unknown = records[2].model_copy(update={"sha256": None})
    outside = records[3].model_copy(update={"image": "../3.png"})
    found = ask(
        [*records[:2], unknown, outside, *records[4:]], Scripted(answers), ASKED, tmp_path, tmp_path / "a.jsonl"
    )
    assert len(found) == 6
    assert [found[f"r{number}"].status for number in range(6)] == ["ok", *["unanswered"] * 3, "ok", "ok"]
    for number, reason in ((1, "no such file"), (2, "readable image"), (3, "out of the image root")):
        assert reason in found[f"r{number}"].detail
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert sorted(row["id"] for row in rows) == [record.id for record in records]


def test_a_picture_that_prepare_has_decoded_is_decoded_by_nobody_but_the_model(
    faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, answers = faces
    decoded = []
    monkeypatch.setattr(images, "decode", lambda data, name, side=None: decoded.append(name))
    ask(records, Scripted(answers), ASKED, tmp_path, tmp_path / "a.jsonl")
    assert decoded == []
    unseen = records[0].model_copy(update={"sha256": None})
    ask([unseen, *records[1:]], Scripted(answers), ASKED, tmp_path, tmp_path / "b.jsonl")
    assert decoded == ["0.png"]


def test_outcomes_other_than_ok_are_kept(faces, tmp_path: Path) -> None:
    records, answers = faces
    answers[records[0].sha256] = Choice("", "filtered")
    answers[records[1].sha256] = Choice("Valence is 0.2.", "truncated")
    found = ask(records, Scripted(answers), ASKED, tmp_path, tmp_path / "a.jsonl")
    assert [found[f"r{number}"].status for number in range(3)] == ["filtered", "truncated", "ok"]


def test_answers_that_all_say_nothing_are_not_scored(faces, tmp_path: Path) -> None:
    records, answers = faces
    failed = dict.fromkeys(answers, Choice("the server is down", "invalid"))
    found = ask(records, Scripted(failed), ASKED, tmp_path, tmp_path / "answers.jsonl")
    line = r"name=x: no record was answered \(6 of 6 invalid, such as r.: the server is down\); "
    with pytest.raises(UserError, match=line):
        check_any(found, "x")
    with pytest.raises(UserError, match=r"\(6 of 6 empty, such as r5\)"):
        check_any({id_: Answer(id="r5") for id_ in found}, "x")
    check_any({**found, "r0": Answer(id="r0", text="I cannot help with that.", status="refusal")}, "x")
    check_any({**found, "r0": Answer(id="r0", labels=Labels(valence=0.0))}, "x")


def test_records_of_an_empty_or_doubled_file_are_refused(faces, tmp_path: Path) -> None:
    records, _ = faces
    write_jsonl(tmp_path / "none.jsonl", [])
    write_jsonl(tmp_path / "twice.jsonl", [*records, records[2]])
    with pytest.raises(UserError, match=r"^records=.*none.jsonl: the file holds no record"):
        read_records(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match=r"twice.jsonl: id 'r2' occurs 2 times"):
        read_records(tmp_path / "twice.jsonl")


def test_a_models_path_may_be_a_runs_name_its_directory_a_model_or_a_hub_id(tmp_path: Path) -> None:
    model = tmp_path / "train" / "tuned" / "model"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(b"")
    assert checkpoint("tuned", tmp_path) == checkpoint(str(model.parent), tmp_path) == str(model)
    assert checkpoint(str(model), tmp_path) == str(model)
    assert checkpoint("lmms-lab/some-model", tmp_path) == "lmms-lab/some-model"
    assert weights(str(model)) == {"model/model.safetensors": model / "model.safetensors"}
    assert weights("lmms-lab/some-model") == {}
    for wrong in ("nowhere", "/no/such/model", "./here"):
        with pytest.raises(UserError, match=f"model.path={wrong}: neither"):
            checkpoint(wrong, tmp_path)
