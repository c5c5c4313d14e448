"""Labelling of new pictures: every picture has a row, no picture is asked twice, and memory does not grow with them."""

import csv
import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from openpyxl import load_workbook
from PIL import Image as Picture

from seke.answers.extract import describe
from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import Parse
from seke.benchmark.protocol import question
from seke.benchmark.run import labelling
from seke.benchmark.run.label_tables import chunk_file
from seke.benchmark.run.labelling import label, planned
from seke.benchmark.run.predict import Process, ask
from seke.benchmark.tasks.emoset import EmoSet
from seke.benchmark.tasks.feab import Feab
from seke.benchmark.tasks.reliability import Reliability
from seke.core.affect import ACTION_UNITS
from seke.core.budget import Budget, Metered
from seke.core.errors import Paused, UserError
from seke.core.images import sha256
from seke.core.limit import limited
from seke.core.records import ImageRecord, Labels, Prediction, read_jsonl, write_jsonl
from seke.core.vlm import Choice, Reply, Usage

FEAB = Feab(question="What emotion does this face show?")
FEAR = Labels(expression="fear", valence=-0.5, arousal=0.5, action_units={au: au in (1, 4) for au in ACTION_UNITS})


class Scripted:
    """Says FEAR, and of draws so many as `agree`, else something else; counts what it is asked, by temperature."""

    def __init__(self, agree: int = 3, stop_after: int | None = None) -> None:
        self.agree, self.stop_after = agree, stop_after
        self.asked: Counter[float] = Counter()
        other = Labels(expression="anger", valence=-0.3, arousal=0.75, action_units={1: True, 2: True})
        self.texts = describe(FEAR), describe(other)

    def reply(self, requests):
        for index, request in enumerate(requests):
            if self.stop_after == self.asked.total():
                raise KeyboardInterrupt
            self.asked[request.temperature] += 1
            said = [self.texts[0 if request.n == 1 or k < self.agree else 1] for k in range(request.n)]
            yield index, Reply(tuple(map(Choice, said)), "scripted-1", Usage(100, 10 * request.n), cost=0.01)


def records(folder: Path, count: int, labels: Labels = Labels(), split: str = "train") -> list[ImageRecord]:  # noqa: B008
    """Records of so many pictures without a label, which share three files."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(min(count, 3)):
        Picture.new("RGB", (8, 8), (number * 40, 0, 0)).save(folder / f"{number}.png")
    digests = [sha256((folder / f"{number}.png").read_bytes()) for number in range(min(count, 3))]
    for number in range(count):
        made.append(
            ImageRecord(
                id=f"r{number:05d}",
                image=f"{number % 3}.png",
                sha256=digests[number % 3],
                source="folder",
                subject=None,
                split=split,
                labels=labels,
            )
        )
    return made


def prepared(outputs: Path, **rows: list[ImageRecord]) -> Path:
    """Write a prepared set `new` with these splits, all files there as prepare.py leaves them."""
    folder = outputs / "prepare" / "new"
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation", "test"):
        write_jsonl(folder / f"{split}.jsonl", rows.get(split, []))
    (folder / "manifest.json").write_text(json.dumps({"image_root": "images"}))
    return folder


def settings(**own: object) -> dict:
    plain = {
        "records": "new", "label": None, "draws": None, "predictions": None, "predictions_fields": None,
        "compare": None, "groups": [], "limit": None, "seed": 0,
    }  # fmt: skip
    return {**plain, **own}


def labelled(outputs: Path, vlm: object, name: str = "mine", process: Process = Process(), **own: object):  # noqa: B008
    """Label the prepared set in this process; return the run's folder and the facts of its manifest."""
    task = planned(FEAB, outputs, settings(**own))
    run = outputs / "evaluate" / name
    run.mkdir(parents=True, exist_ok=True)
    meter = None if vlm is None else vlm if isinstance(vlm, Metered) else Metered(vlm)
    facts = label(task, FEAB, Parse(), meter, outputs / "prepare" / "new" / "images", run, process)
    return run, facts


def table(run: Path) -> list[dict[str, str]]:
    with (run / "labels.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of four."""
    monkeypatch.setattr(labelling, "CHUNK", 4)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Ten pictures that nobody labelled, one of them cut short; as of prepare.py they are all for training."""
    rows = records(tmp_path / "prepare" / "new" / "images", 10)
    cut = tmp_path / "prepare" / "new" / "images" / "cut.png"
    cut.write_bytes((tmp_path / "prepare" / "new" / "images" / "0.png").read_bytes()[:30])
    rows[4] = rows[4].model_copy(update={"image": "cut.png", "sha256": None})
    prepared(tmp_path, train=rows)
    return tmp_path


def test_every_picture_has_a_row_in_its_place_with_labels_and_confidence(new: Path, small: None) -> None:
    vlm = Scripted(agree=3)
    run, facts = labelled(new, vlm)
    assert vlm.asked == {0.0: 9, 1.0: 9}  # the picture that is cut short is shown to nobody
    rows = list(read_jsonl(run / "predictions.jsonl", Prediction))
    assert [row.id for row in rows] == [f"r{number:05d}" for number in range(10)]
    assert [row.status for row in rows] == ["ok"] * 4 + ["unanswered"] + ["ok"] * 5
    # Three of five draws say the same, and two: anger, a valence 0.2 away (near), an arousal 0.25 away, AU1 and AU2.
    sure = {"expression": 0.6, "valence": 1.0, "arousal": 0.6}
    units = {str(au): 0.6 if au in (2, 4) else 1.0 for au in ACTION_UNITS}
    assert rows[0].labels == FEAR
    assert rows[0].confidence == {**sure, "action_units": units}
    assert rows[4].labels.empty and rows[4].confidence is None
    cells = table(run)
    assert (cells[0]["expression"], cells[0]["expression_confidence"], cells[0]["AU4"]) == ("fear", "0.6", "1")
    assert (cells[0]["valence"], cells[0]["AU12"], cells[0]["AU2_confidence"]) == ("-0.5", "0", "0.6")
    assert set(cells[4].values()) == {"r00004", "cut.png", "", "unanswered"}
    assert facts["counts"] == {"predictions": 10, "labelled": 9}
    assert facts["labels"]["expression"] == {"counts": {"fear": 9}, "confidence": 0.6}
    assert "1 of 10 pictures have no answer, such as r00004: cut.png: not a whole" in (run / "table.md").read_text()


def test_the_sheet_says_what_the_table_says_and_no_text_is_a_formula(new: Path) -> None:
    class Sly(Scripted):
        def __init__(self) -> None:
            super().__init__()
            self.texts = ('=HYPERLINK("http://evil") ' + self.texts[0], "\x1b[31m" + self.texts[1])

    run, _ = labelled(new, Sly(), draws=1)
    sheet = load_workbook(run / "labels.xlsx")["labels"]
    head, *rows = sheet.iter_rows(values_only=True)
    assert [list(head), len(rows)] == [list(table(run)[0]), 10]
    for cells, line in zip(rows, table(run), strict=True):
        mine = dict(zip(head, cells, strict=True))
        for name, said in line.items():
            if name != "text":
                number = isinstance(mine[name], int | float)
                assert float(said) == mine[name] if number else said == (mine[name] or ""), name
    formula = [cell for cell in next(sheet.iter_rows(min_row=2)) if str(cell.value).startswith("=")]
    assert [cell.data_type for cell in formula] == ["s"]
    assert table(run)[0]["text"].startswith("'=HYPERLINK")


def test_an_interrupted_labelling_goes_on_and_asks_about_no_finished_chunk_again(new: Path, small: None) -> None:
    with pytest.raises(KeyboardInterrupt):
        labelled(new, Scripted(stop_after=11))
    again = Scripted()
    run, facts = labelled(new, again)
    assert again.asked == {0.0: 5, 1.0: 5}  # the first four are on the disk; of the next four one cannot be read
    whole, _ = labelled(new, Scripted(), name="at once")
    for name in ("predictions.jsonl", "labels.csv"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()
    assert facts["counts"]["predictions"] == 10
    labelling.clear(run)
    assert not (run / "chunks").exists()


def test_ranks_share_the_chunks_and_the_first_writes_all(new: Path, small: None) -> None:
    one, two = Scripted(), Scripted()
    run, facts = labelled(new, two, process=Process(1, 2))
    assert facts is None and two.asked[0.0] == 3
    run, facts = labelled(new, one, process=Process(0, 2))
    assert one.asked[0.0] == 6
    assert [row.id for row in read_jsonl(run / "predictions.jsonl", Prediction)] == [f"r{n:05d}" for n in range(10)]


def test_a_spent_budget_pauses_between_chunks_and_the_rest_is_asked_later(new: Path, small: None) -> None:
    with pytest.raises(Paused):
        labelled(new, Metered(Scripted(), Budget(tokens=300)))
    run = new / "evaluate" / "mine"
    assert chunk_file(run, 0).is_file() and not chunk_file(run, 1).exists()
    again = Scripted()
    labelled(new, again)
    assert again.asked[0.0] == 5


def test_limit_keeps_the_records_that_it_keeps_everywhere(new: Path) -> None:
    run, _ = labelled(new, Scripted(), limit=4)
    every = list(read_jsonl(new / "prepare" / "new" / "train.jsonl", ImageRecord))
    kept = [row.id for row in limited(every, 4, 0)]
    assert [row.id for row in read_jsonl(run / "predictions.jsonl", Prediction)] == kept


def test_without_draws_a_picture_is_asked_about_once_and_nobody_knows_how_sure_it_is(new: Path) -> None:
    vlm = Scripted()
    run, _ = labelled(new, vlm, draws=0)
    assert vlm.asked == {0.0: 9}
    assert {line["expression_confidence"] for line in table(run)} == {""}
    assert next(read_jsonl(run / "predictions.jsonl", Prediction)).confidence is None


def test_answers_made_elsewhere_become_tables_too(new: Path) -> None:
    theirs = new / "theirs.jsonl"
    write_jsonl(theirs, [Answer(id="r00001", text=describe(FEAR), model="theirs-1")])
    run, facts = labelled(new, None, predictions=str(theirs))
    assert [line["expression"] for line in table(run)] == ["", "fear", *[""] * 8]
    assert facts["counts"] == {"predictions": 10, "labelled": 1} and facts["models"] == ["theirs-1"]
    # Its own rows come back with the confidence that they state.
    first, _ = labelled(new, Scripted(), name="first")
    again, _ = labelled(new, None, name="again", predictions=str(first / "predictions.jsonl"))
    assert (again / "labels.csv").read_bytes() == (first / "labels.csv").read_bytes()


def test_a_benchmark_of_other_pictures_has_a_column_of_its_own(new: Path) -> None:
    emoset = EmoSet(questions={"constrained": "Which emotion?"})
    task = planned(emoset, new, settings(draws=2))
    run = new / "evaluate" / "scenes"
    run.mkdir(parents=True)

    class Awed(Scripted):
        texts = ("Predict emotion: awe", "Predict emotion: fear")

        def __init__(self) -> None:
            self.agree, self.stop_after, self.asked = 1, None, Counter()

    root = new / "prepare" / "new" / "images"
    label(task, emoset, Parse(), Metered(Awed()), root, run, Process())
    line = table(run)[0]
    assert (line["emotion"], line["emotion_confidence"]) == ("awe", "0.5")


def test_which_records_are_labelled(tmp_path: Path) -> None:
    images = tmp_path / "prepare" / "new" / "images"
    bare, known = records(images, 2, split="test"), records(images, 3, FEAR)
    folder = prepared(tmp_path, test=known)
    assert planned(FEAB, tmp_path, settings()) is None  # scored
    assert planned(FEAB, tmp_path, settings(label=True)).total == 3
    prepared(tmp_path, train=known, test=[row.model_copy(update={"id": f"t{row.id}"}) for row in bare])
    assert [path.name for path in planned(FEAB, tmp_path, settings()).files] == ["test.jsonl"]
    assert planned(FEAB, tmp_path, settings(records=str(folder / "train.jsonl"))) is None
    prepared(tmp_path, train=records(images, 3), test=[])
    assert planned(FEAB, tmp_path, settings()).total == 3
    prepared(tmp_path)
    assert planned(FEAB, tmp_path, settings()) is None  # no record at all: evaluate.py says so


@pytest.mark.parametrize(
    ("own", "line"),
    [
        ({"label": False}, "label=False: neither true nor null"),
        ({"draws": -1}, "draws=-1: no number of answers"),
        ({"draws": True}, "draws=True: no number of answers"),
        ({"groups": ["source"]}, "groups=['source']: new pictures are labelled, not scored"),
        ({"compare": "nobody"}, "compare=nobody: no finished run of that name"),
        ({"limit": 0}, "limit=0: not a number of records"),
    ],
)
def test_mistaken_settings_are_told_before_anybody_is_asked(new: Path, own: dict, line: str) -> None:
    with pytest.raises(UserError, match=line.replace("[", r"\[").replace("]", r"\]")):
        planned(FEAB, new, settings(**own))


def test_settings_of_labelling_are_refused_where_records_are_scored(tmp_path: Path) -> None:
    prepared(tmp_path, test=records(tmp_path / "prepare" / "new" / "images", 2, FEAR))
    with pytest.raises(UserError, match="draws=3: these records are scored, not labelled"):
        planned(FEAB, tmp_path, settings(draws=3))
    with pytest.raises(UserError, match="label=True: this benchmark does not ask"):
        planned(Reliability(), tmp_path, settings(label=True))


def test_an_id_that_occurs_twice_is_named(tmp_path: Path) -> None:
    rows = records(tmp_path / "prepare" / "new" / "images", 3)
    prepared(tmp_path, train=rows, validation=[rows[1]])
    with pytest.raises(UserError, match="id 'r00001' occurs twice"):
        planned(FEAB, tmp_path, settings())


class Quick:
    """Answers without remembering anything."""

    def reply(self, requests) -> Iterator[tuple[int, Reply]]:
        text = describe(FEAR)
        for index, request in enumerate(requests):
            yield index, Reply((Choice(text),) * request.n, "quick-1", cost=0.0)


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelling, "CHUNK", 20)
    peaks = []
    for count in (60, 60, 300):  # the first brings what is imported and kept
        outputs = tmp_path / f"{count}-{len(peaks)}"
        prepared(outputs, train=records(outputs / "prepare" / "new" / "images", count))
        tracemalloc.start()
        labelled(outputs, Quick(), draws=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.3 * peaks[1], peaks


def test_a_model_that_says_nothing_ends_the_run_at_the_first_chunk(new: Path, small: None) -> None:
    class Mute(Scripted):
        texts = ("", "")

        def __init__(self) -> None:
            self.agree, self.stop_after, self.asked = 5, None, Counter()

    mute = Mute()
    with pytest.raises(UserError, match=r"no record was answered \(4 of 4 empty, such as r00000\)"):
        labelled(new, mute)
    assert mute.asked[0.0] == 4 and not chunk_file(new / "evaluate" / "mine", 0).exists()


def test_pictures_that_nobody_can_read_are_no_labelling(new: Path) -> None:
    images = new / "prepare" / "new" / "images"
    for path in images.iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"no picture was answered, such as r00000: 0\.png: no such file"):
        labelled(new, Scripted())


def test_feab_says_how_far_stated_confidences_can_be_trusted_and_nothing_where_there_are_none() -> None:
    rows = [
        Prediction(
            id=f"r{n}", source="x", subject=f"s{n}", text="", judged=None, status="ok",
            labels=Labels(expression="fear"),
            truth=Labels(expression="fear" if n % 2 else "anger"),
        )
        for n in range(8)
    ]  # fmt: skip
    sure = {row.id: Answer(id=row.id, confidence={"expression": 0.5}) for row in rows[1:]}  # of r0 there is no answer
    found, bounds = FEAB.trust(rows, sure, 0)
    assert (found["expression"]["n"], found["action_units"]) == (7, None)
    assert found["expression"]["brier"] == pytest.approx(0.25) and bounds["action_units"] is None
    assert FEAB.trust(rows, {row.id: Answer(id=row.id) for row in rows}, 0) == ({}, {})


def test_a_model_is_shown_the_face_that_a_record_marks(tmp_path: Path) -> None:
    class Watching(Scripted):
        def reply(self, requests):
            for request in requests:
                seen.append(request.images[0].face)
                yield len(seen) - 1, Reply((Choice(self.texts[0]),) * request.n, "watching-1", cost=0.0)

    seen: list[object] = []
    rows = records(tmp_path / "prepare" / "new" / "images", 2)
    marked = rows[1].model_copy(update={"attributes": {"face": [0, 0, 8, 8]}})
    prepared(tmp_path, train=[rows[0], marked])
    labelled(tmp_path, Watching(), draws=0)
    assert seen == [None, (0, 0, 8, 8)]
    seen.clear()
    root = tmp_path / "prepare" / "new" / "images"
    ask([rows[0], marked], Watching(), question(FEAB), root, tmp_path / "answers.jsonl")
    assert seen == [None, (0, 0, 8, 8)]
