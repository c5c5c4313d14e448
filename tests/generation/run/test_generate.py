"""Durability: whatever interrupts a run, the next one ends with the same bytes."""

import json
import shutil

import pytest

from seke.core.errors import UserError
from seke.core.limit import limited
from seke.core.records import InstructionRecord, Labels, Rejection, read_jsonl, write_jsonl
from seke.generation.run.generate import generate, select
from seke.generation.run.journal import PROGRESS

FILES = ("instructions.jsonl", "rejected.jsonl", "draws.jsonl")


def run(data, seke, folder, chunk=7, records=None):
    folder.mkdir(exist_ok=True)
    return generate(records or data.records, data.folder / "images", seke, folder, chunk)


def content(folder):
    return [(folder / name).read_bytes() for name in FILES]


def test_rows_in_are_rows_out_in_input_order(data, make_seke, tmp_path):
    done = run(data, make_seke(), tmp_path)
    rows = list(read_jsonl(tmp_path / "instructions.jsonl", InstructionRecord))
    assert [row.id for row in rows] == [row.id for row in data.records]
    assert done.instructions + done.rejected == len(data.records) == done.cost["records"]
    assert done.cost["samples"] == sum(row.samples for row in rows)
    assert done.cost["mean_samples"] == done.cost["samples"] / len(rows)
    draws = [json.loads(line) for line in (tmp_path / "draws.jsonl").open()]
    assert set(draws[0]) == {"id", "prior", "draws", "summary", "requests", "input_tokens", "output_tokens"}
    assert done.cost["requests"] == sum(row["requests"] for row in draws)
    assert done.cost["usd"] is None
    assert json.loads((tmp_path / "cost.json").read_text()) == done.cost


def test_chunk_size_changes_no_byte(data, make_seke, tmp_path):
    run(data, make_seke(), tmp_path / "a", chunk=1)
    run(data, make_seke(), tmp_path / "b", chunk=1000)
    assert content(tmp_path / "a") == content(tmp_path / "b")


class Killed(BaseException):
    pass


class DiesAfter:
    """A VLM that dies in the middle of a round, as a process does that is killed."""

    def __init__(self, vlm, requests):
        self.vlm, self.left = vlm, requests

    def reply(self, requests):
        for index, reply in self.vlm.reply(requests):
            self.left -= 1
            if self.left < 0:
                raise Killed
            yield index, reply


@pytest.mark.parametrize(("dies_after", "cut"), [(3, 0), (40, 0), (60, 1), (60, 57), (100, 3000)])
def test_an_interrupted_run_goes_on_to_the_same_bytes(data, make_seke, annotator, tmp_path, dies_after, cut):
    run(data, make_seke(), tmp_path / "whole")
    with pytest.raises(Killed):
        run(data, make_seke(DiesAfter(annotator, dies_after)), tmp_path / "cut")
    progress = tmp_path / "cut" / PROGRESS
    written = progress.read_bytes()
    progress.write_bytes(written[: max(len(written) - cut, 0)])  # the last line is half on the disk
    assert not (tmp_path / "cut" / "instructions.jsonl").exists()
    run(data, make_seke(), tmp_path / "cut")
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_finished_rows_are_not_asked_again(data, make_seke, annotator, tmp_path):
    with pytest.raises(Killed):
        run(data, make_seke(DiesAfter(annotator, 60)), tmp_path)
    kept = (tmp_path / PROGRESS).read_text().splitlines()
    assert 7 <= len(kept) < len(data.records)
    asked = []

    class Watching:
        def reply(self, requests):
            asked.extend(requests)
            return annotator.reply(asked[-len(requests) :])

    run(data, make_seke(Watching()), tmp_path)
    finished = {row.sha256 for row in data.records[: len(kept)]}
    assert asked
    assert not finished & {request.images[0].sha256 for request in asked}


def test_unreadable_images_are_rejected_and_cost_nothing(data, make_seke, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(data.folder, folder)
    pictures = folder / "images"
    (pictures / "03.png").write_bytes((pictures / "03.png").read_bytes()[:40])
    (pictures / "05.png").unlink()
    records = [*data.records]
    records[8] = records[8].model_copy(update={"image": "../train.jsonl"})
    done = run(data._replace(folder=folder), make_seke(), tmp_path / "out", records=records)
    rejected = list(read_jsonl(tmp_path / "out" / "rejected.jsonl", Rejection))
    assert [(row.id, row.reason) for row in rejected] == [(f"tiny-{number:02}", "image") for number in (3, 5, 8)]
    assert all(row.detail for row in rejected)
    assert done.instructions == len(data.records) - 3


def test_select_takes_a_split_and_a_limit(data, tmp_path):
    rows = [row.model_copy(update={"split": "test"}) if n % 2 else row for n, row in enumerate(data.records)]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert select(tmp_path / "rows.jsonl", None, None) == rows
    assert select(tmp_path / "rows.jsonl", "test", 3) == limited(rows[1::2], 3, 0)


def test_select_takes_the_completely_described(data, tmp_path):
    whole = Labels(expression="fear", valence=-0.5, arousal=0.5, action_units={1: True})
    described = ("expression", "valence", "arousal", "action_units")
    parts = [whole.model_copy(update={name: None}) for name in described]
    rows = [row.model_copy(update={"labels": has}) for row, has in zip(data.records, [whole, *parts], strict=False)]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert select(tmp_path / "rows.jsonl", None, None, complete=True) == rows[:1]
    write_jsonl(tmp_path / "rows.jsonl", rows[1:])
    with pytest.raises(UserError, match="holds no records with all three descriptions"):
        select(tmp_path / "rows.jsonl", None, None, complete=True)


@pytest.mark.parametrize(
    ("split", "limit", "message"),
    [("dev", None, "split=dev"), (None, 0, "limit=0"), ("validation", None, "holds no records of split validation")],
)
def test_select_names_the_wrong_setting(data, split, limit, message):
    with pytest.raises(UserError, match=message):
        select(data.folder / "train.jsonl", split, limit)


def test_an_id_that_occurs_twice_is_refused(data, tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", [*data.records, data.records[4]])
    with pytest.raises(UserError, match="id tiny-04 occurs 2 times"):
        select(tmp_path / "rows.jsonl", None, None)


class Planning:
    """A generator that works on the last records first, each of them twice."""

    def __init__(self, generator):
        self.generator, self.learnt = generator, None

    def plan(self, records):
        twice = [row.model_copy(update={"id": f"{row.id}/{kind}", "attributes": {"kind": kind, "emotion": "awe"}})
                 for row in reversed(records) for kind in ("b", "a")]  # fmt: skip
        return twice[:6]

    def learn(self, records, opened, folder):
        self.learnt = [row.id for row in records]

    def generate(self, faces):
        return self.generator.generate(faces)


def test_a_generator_that_plans_works_on_its_plan(data, make_seke, tmp_path):
    planning = Planning(make_seke())
    done = run(data, planning, tmp_path, chunk=4)
    wanted = [f"tiny-{number}/{kind}" for number in (39, 38, 37) for kind in ("b", "a")]
    assert planning.learnt == wanted
    assert [row.id for row in read_jsonl(tmp_path / "instructions.jsonl", InstructionRecord)] == wanted
    assert done.facts["counts"] == {"records": 6, "instructions": 6, "rejected": 0}
    assert done.facts["kinds"] == {"a": {"awe": 3}, "b": {"awe": 3}}
    assert "| awe | 3 | 3 | 6 |" in (tmp_path / "statistics.md").read_text()


def test_an_interrupted_plan_goes_on_to_the_same_bytes(data, make_seke, annotator, tmp_path):
    run(data, Planning(make_seke()), tmp_path / "whole", chunk=2)
    with pytest.raises(Killed):
        run(data, Planning(make_seke(DiesAfter(annotator, 9))), tmp_path / "cut", chunk=2)
    assert 0 < len((tmp_path / "cut" / PROGRESS).read_text().splitlines()) < 6
    run(data, Planning(make_seke()), tmp_path / "cut", chunk=3)
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_without_a_plan_there_is_nothing_of_kinds(data, make_seke, tmp_path):
    done = run(data, make_seke(), tmp_path)
    assert set(done.facts) == {"counts", "flags", "floor"}
    assert not (tmp_path / "statistics.md").exists()
    assert '"attributes"' not in (tmp_path / "instructions.jsonl").read_text()


def test_an_instructions_attributes_are_written_where_there_are_some_and_read_back(data, make_seke, tmp_path):
    run(data, make_seke(), tmp_path)
    plain = next(read_jsonl(tmp_path / "instructions.jsonl", InstructionRecord))
    told = plain.model_copy(update={"attributes": {"kind": "reasoning", "object": ["Tree"]}})
    write_jsonl(tmp_path / "rows.jsonl", [plain, told])
    assert list(read_jsonl(tmp_path / "rows.jsonl", InstructionRecord)) == [plain, told]
    first, second = (json.loads(line) for line in (tmp_path / "rows.jsonl").open())
    assert second == {**first, "attributes": {"kind": "reasoning", "object": ["Tree"]}}
