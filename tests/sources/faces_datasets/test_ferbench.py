"""source=ferbench and source=ferplus on their published forms: what is found, and what is looked for in vain."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from seke.benchmark.judging.judge import parse
from seke.benchmark.protocol import question
from seke.benchmark.run.predict import ask
from seke.benchmark.tasks.ferbench import FERBench as FERBenchmark
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Rejection, read_jsonl, without_picture
from seke.core.vlm import Choice, Reply
from seke.sources.faces_datasets.ferbench import FERBench
from seke.sources.faces_datasets.ferplus import FERPlus
from seke.sources.prepare.prepare import write

from ...trees import ferbench as tree
from ...trees import ferplus as votes


class Knowing:
    """Answers what is right, by the picture's bytes."""

    def __init__(self, records: list[ImageRecord]) -> None:
        self.labels = {record.sha256: record.labels.expression for record in records}

    def reply(self, requests):
        for index, request in enumerate(requests):
            [image] = request.images
            yield index, Reply((Choice(f"<answer>{self.labels[image.sha256]}</answer>"),), "knowing")


def read(root: Path, **settings: Any) -> tuple[list[ImageRecord], list[Rejection], FERBench]:
    source = FERBench(str(root), str(root / "UniFER"), **settings)
    rows = list(source.read(root / "run"))
    records = [row for row in rows if isinstance(row, ImageRecord)]
    return records, [row for row in rows if isinstance(row, Rejection)], source


def test_questions_are_read_as_they_are_and_pictures_found_where_they_lie(tmp_path: Path) -> None:
    tree.make(tmp_path)
    records, rejected, source = read(tmp_path)
    assert len(records) == 7 + 8 + 8 + 7 - 1
    by_id = {record.id: record for record in records}
    moved = by_id[f"ferbench{tree.MOVED}"]
    assert moved.image == "RAF-DB/basic/Image/test_0001_aligned.jpg"
    assert (moved.labels.expression, moved.attributes["true_label"]) == ("fear", "fear")
    assert moved.attributes["question"].startswith("As an expert in facial expression recognition")
    happy = next(record for record in records if record.attributes["true_label"] == "happy")
    assert happy.labels.expression == "happiness"
    assert [row.id for row in rejected] == [f"ferbench{tree.GONE}"]
    assert "looked for FERPlus/test/contempt/fer0000001.png below" in rejected[0].detail
    assert source.understood()[1] == "FERPlus: 7 of 8 questions have their picture (published are 3,573)"


def test_a_question_without_its_picture_stays_a_question(tmp_path: Path) -> None:
    tree.make(tmp_path)
    _, _, source = read(tmp_path)
    [lost] = source.unshown()
    assert (lost.id, lost.sha256, lost.labels.expression) == (f"ferbench{tree.GONE}", None, "contempt")
    out = tmp_path / "outputs" / "prepare" / "toy"
    out.mkdir(parents=True)
    counts = write(source, out)
    assert (counts["test"], counts["without_picture"]) == (29, 1)
    assert without_picture(out / "test.jsonl") == [lost]
    file = out / "test.jsonl"
    planned = list(FERBenchmark().plan(list(read_jsonl(file, ImageRecord)), tmp_path, {"records": file}))
    assert planned[-1].id == lost.id
    answers = ask(planned, Knowing(planned), question(FERBenchmark()), tmp_path, out / "answers.jsonl")
    rows, missing = FERBenchmark().predictions(planned, answers, parse)
    metrics = FERBenchmark().metrics(rows, 0)
    assert (missing, metrics["n"], metrics["class"]["n"]) == (0, 30, 30)
    assert metrics["class"]["accuracy"] == pytest.approx(29 / 30)
    assert metrics["theirs"]["accuracy"] == 1.0
    assert metrics["theirs"]["dropped"] == 1
    assert FERBenchmark().what_differs(out / "test.jsonl", planned, [])[1].startswith("1 of 30 questions have no pict")


def test_a_broken_picture_is_a_question_and_a_limit_keeps_its_share(tmp_path: Path) -> None:
    tree.make(tmp_path)
    broken = tmp_path / "RAF-DB" / "aligned" / "test_0002_aligned.jpg"
    broken.write_bytes(broken.read_bytes()[:40])
    found = {}
    for limit in (None, 10):
        out = tmp_path / "outputs" / "prepare" / f"toy{limit}"
        out.mkdir(parents=True)
        write(FERBench(str(tmp_path), str(tmp_path / "UniFER")), out, limit)
        found[limit] = [record.id for record in without_picture(out / "test.jsonl")]
    assert found[None] == [f"ferbench{tree.GONE}", "ferbench/RAF-DB/aligned/test_0002_aligned.jpg"]
    assert len(found[10]) == 1


def test_a_set_without_any_picture_is_left_out_by_name_alone(tmp_path: Path) -> None:
    tree.make(tmp_path)
    shutil.rmtree(tmp_path / "SFEW-2.0")
    with pytest.raises(
        UserError,
        match=r"^source.sets=.*none of the 7 questions of SFEW-2.0.*source.sets=\[AffectNet, FERPlus, RAF-DB\]",
    ):
        read(tmp_path)
    assert len(read(tmp_path, sets=["RAF-DB"])[0]) == 7


def test_sets_can_be_chosen(tmp_path: Path) -> None:
    tree.make(tmp_path)
    records, rejected, _ = read(tmp_path, sets=["RAF-DB"])
    assert {record.attributes["set"] for record in records} == {"RAF-DB"}
    assert rejected == []
    with pytest.raises(UserError, match=r"source.sets=RAFDB: no set of these questions; there are AffectNet"):
        read(tmp_path, sets=["RAFDB"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"true_label": "bored"}, "bored is none of its candidates, or no expression"),
        ({"prompt": ""}, "question 1 has no prompt"),
        ({"image_path": "/RAF-DB/../../etc/passwd"}, "leads out of the folder of pictures"),
        (None, "is no JSON"),
    ],
)
def test_damaged_questions_are_told_by_file_and_number(
    tmp_path: Path, change: dict[str, str] | None, says: str
) -> None:
    tree.make(tmp_path)
    file = next((tmp_path / "UniFER").rglob("rafdb_qa.json"))
    entries = json.loads(file.read_text())
    file.write_text("[{" if change is None else json.dumps([entries[0] | change, *entries[1:]]))
    with pytest.raises(UserError, match=f"^source.questions=.*{says}"):
        read(tmp_path)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^source.questions=.*no such folder"):
        FERBench(str(tmp_path), str(tmp_path / "UniFER"))
    (tmp_path / "UniFER").mkdir()
    with pytest.raises(UserError, match=r"no \*_qa.json in it or below"):
        FERBench(str(tmp_path), str(tmp_path / "UniFER"))


def test_ferplus_takes_the_majority_of_votes_and_keeps_all(tmp_path: Path) -> None:
    votes.make(tmp_path)
    rows = list(FERPlus(str(tmp_path)).read(tmp_path / "run"))
    records = [row for row in rows if isinstance(row, ImageRecord)]
    assert len(records) == 24
    assert {record.split for record in records} == {"train", "validation", "test"}
    assert all(record.attributes["votes"] == {record.labels.expression: 7} for record in records)
    reasons = {row.id.rpartition("/")[2]: (row.reason, row.detail) for row in rows if isinstance(row, Rejection)}
    assert reasons["tied.png"][1].endswith("no expression has a majority")
    assert reasons["unknown.png"][1].endswith("most say unknown")
    assert reasons["gone.png"][0] == "no picture"


@pytest.mark.parametrize(
    ("change", "says"),
    [(("contempt", "scorn"), "lacks the columns contempt"), ((",7,", ",many,"), "is no number of votes")],
)
def test_a_table_that_is_not_ferplus_is_refused(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    votes.make(tmp_path)
    file = tmp_path / "fer2013new.csv"
    file.write_text(file.read_text().replace(*change))
    with pytest.raises(UserError, match=says):
        list(FERPlus(str(tmp_path)).read(tmp_path / "run"))
    file.unlink()
    with pytest.raises(UserError, match=r"no fer2013new.csv in it or below"):
        FERPlus(str(tmp_path))
