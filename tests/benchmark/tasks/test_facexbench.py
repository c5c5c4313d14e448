"""benchmark=facexbench: the option an answer chooses, by our rule and as their program reads it, several pictures."""

import csv
from pathlib import Path

import pytest

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import parse
from seke.benchmark.run.predict import planned
from seke.benchmark.tasks.facexbench import FaceXBench, chosen, their_option
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels
from seke.core.shown import shown
from seke.core.vlm import Image
from seke.sources.faces_datasets.facexbench import FaceXBench as Source
from seke.sources.prepare.prepare import write

from ...trees import facexbench as tree
from .published_rules import rows

FACES = ["fear", "sad", "neutral", "anger"]
PLACES = ["Image 2", "All of the images", "None of the images", "Image 1"]


def test_every_recorded_answer_is_read_as_their_program_reads_it_against_its_record() -> None:
    recorded = rows("facexbench")
    assert len(recorded) == 150
    assert [their_option(row["text"], row["options"]) for row in recorded] == [row["label"] for row in recorded]


@pytest.mark.parametrize(
    ("text", "options", "ours", "theirs"),
    [
        ("B", FACES, "B", "B"),
        ("(C) neutral", FACES, "C", "C"),
        ("A person who looks sad.", FACES, "B", "A"),
        ("The answer is D.", FACES, "D", "D"),
        ("Sadness", FACES, "B", None),
        ("They are unafraid.", FACES, None, None),
        ("It is not (A) but (B).", FACES, "B", "A"),
        ("A. anger", FACES, None, "A"),
        ("A or B", FACES, None, "A"),
        ("<think>A?</think><answer>C</answer>", FACES, "C", "A"),
        ("Image 1", PLACES, "D", "D"),
        ("10", ["1", "10", "2", "0"], "B", "A"),
        ("I cannot tell.", FACES, None, None),
    ],
)
def test_ours_reads_the_choice_and_not_the_first_letter(
    text: str, options: list[str], ours: str | None, theirs: str | None
) -> None:
    assert (chosen(text, options), their_option(text, options)) == (ours, theirs)


def prepared(root: Path) -> tuple[Path, FaceXBench, list[ImageRecord]]:
    tree.make(root)
    run = root / "outputs" / "prepare" / "facexbench"
    run.mkdir(parents=True)
    counts = write(Source(str(root)), run)
    assert (counts["test"], counts["without_picture"]) == (6, 1)
    benchmark, file = FaceXBench(), run / "test.jsonl"
    (run / "manifest.json").write_text(f'{{"image_root": "{root}"}}')
    return run, benchmark, planned(benchmark, {"records": file}, None)


def test_a_question_shows_its_pictures_in_order_and_its_options_as_they_are_published(tmp_path: Path) -> None:
    _, benchmark, records = prepared(tmp_path)
    by_id = {record.id: record for record in records}
    several = by_id["facexbench/rafdb_multiple_mcq_train/1"]
    asked = benchmark.ask(several, shown(several, tmp_path))
    assert [image.path.name for image in asked.images] == [f"question_1_{k}.png" for k in (1, 2, 3)]
    assert asked.messages[0].text.splitlines() == [
        "How many images have a person with the expression 'Neutral'?",
        tree.POSTPEND,
        "(A) 1",
        "(B) 3",
        "(C) 0",
        "(D) 4",
    ]
    single = by_id["facexbench/rafdb_single_mcq_train/1"]
    assert (single.labels, single.attributes["answer"]) == (Labels(expression="happiness"), "B")
    assert benchmark.ask(single, Image(tmp_path / "a.png", "0" * 64)).text.startswith(tree.SINGLE)


def test_a_question_that_lacks_a_picture_is_wrong_and_counted(tmp_path: Path) -> None:
    run, benchmark, records = prepared(tmp_path)
    lost = [record for record in records if record.sha256 is None]
    assert [record.id for record in lost] == ["facexbench/affectnet_multiple_mcq/3"]
    answers = {
        record.id: Answer(id=record.id, text=str(record.attributes["answer"]))
        for record in records
        if record not in lost
    }
    found, missing = benchmark.predictions(records, answers, parse)
    metrics = benchmark.metrics(found, 0)
    assert (missing, metrics["n"], metrics["options"]["n"]) == (1, 7, 7)
    assert metrics["options"]["accuracy"] == pytest.approx(6 / 7)
    assert metrics["theirs"]["accuracy"] == pytest.approx(6 / 7)
    assert metrics["options"]["kinds"]["affectnet multiple"] == pytest.approx(
        {"accuracy": 2 / 3, "n": 3, "unanswered": 1, "refused": 0}
    )
    notes = benchmark.what_differs(run / "test.jsonl", records, [])
    assert notes[0] == "7 of its 400 questions on expressions"
    assert notes[1].startswith("1 of 7 questions have no picture here")
    assert "By their rule: 0.857." in benchmark.table("x", metrics, notes)
    benchmark.write(run, metrics)
    assert list(csv.DictReader((run / "differences.csv").open())) == []


def test_the_task_is_described_where_it_is_wanted_and_other_parts_are_read_likewise(tmp_path: Path) -> None:
    tree.make(tmp_path)
    source = Source(str(tmp_path), task_description=True, sets=["affectnet single"])
    told = [record for record in source.read(tmp_path) if isinstance(record, ImageRecord)]
    assert {record.attributes["question"].splitlines()[0] for record in told} == {tree.PREPEND}
    [age] = Source(str(tmp_path), about="age").read(tmp_path)
    assert isinstance(age, ImageRecord) and age.labels.empty
    with pytest.raises(UserError, match=r"no question about headpose in it \(age, expression\)"):
        Source(str(tmp_path), about="headpose")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('"correct_answer_option": "B"', '"correct_answer_option": "E"'), "an answer that is none of its options"),
        (('"image_paths"', '"pictures"'), "question 1 has no image_paths"),
        (("images/affectnet_single_mcq/question_1.png", "../../etc/passwd"), "leads out of the folder"),
        (("{", "["), "is no JSON"),
    ],
)
def test_a_file_that_is_not_as_published_is_refused(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    tree.make(tmp_path)
    file = tmp_path / "affectnet_single_mcq.json"
    file.write_text(file.read_text().replace(*change))
    with pytest.raises(UserError, match=f"^source.root=.*{says}"):
        Source(str(tmp_path))
