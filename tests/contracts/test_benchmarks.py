"""What every benchmark of conf/benchmark/ promises (`seke.benchmark.protocol`); a new one is found by its YAML.

What a perfect answer is cannot be found out: PERFECT says it for a benchmark whose answers are not labels of faces in
words.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from seke.answers.extract import describe
from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import parse
from seke.benchmark.protocol import Asking, Benchmark, Measured, Pays, Planned, measured, predicted, question
from seke.benchmark.scoring.score import Faces
from seke.benchmark.tasks.au_folds import AUFolds
from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.images import sha256
from seke.core.records import ImageRecord, Labels, Origins
from seke.core.vlm import Choice, Image, Reply

from ..trees.pictures import save
from .offered import built, composed, options

EXPRESSIONS = ("happiness", "anger", "surprise", "disgust", "fear", "sadness")
"""Those that an emotion of a scene can stand for."""
EMOTIONS = ("amusement", "anger", "awe", "disgust", "fear", "sadness")
"""One for each of these."""
PLACES = ("funfair", "street", "beach", "landfill", "forest", "cemetery")
ALL = ("expression", "action_units", "valence", "arousal")
GENERATED = Origins(
    expression="generated", valence="generated", arousal="generated",
    action_units={str(au): "generated" for au in ACTION_UNITS},
)  # fmt: skip
IDEAL = {
    "f1_mean": 1,
    "f1_pooled": 1,
    **dict.fromkeys(("accuracy", "f1_macro", "f1_mean_14", "f1_mean_17", "ccc"), 1.0),
    **dict.fromkeys(("mae", "rmse"), 0.0),
    "mean": 5.0,  # of marks from 1 to 5
}


class Perfect(NamedTuple):
    """What is said by somebody who is always right, and which metrics say so."""

    answer: Callable[[ImageRecord], Answer]
    measures: Sequence[str]


def in_words(record: ImageRecord) -> Answer:
    return Answer(id=record.id, text=describe(record.labels), model="perfect-1")


def emotion(record: ImageRecord) -> Answer:
    return Answer(id=record.id, text=f"Predict emotion: {record.attributes['emotion']}", model="perfect-1")


def expression(record: ImageRecord) -> Answer:
    return Answer(id=record.id, text=f"Predict emotion: {record.labels.expression}", model="perfect-1")


def place(record: ImageRecord) -> Answer:
    return Answer(id=record.id, text=f"Predict scene type: {record.attributes['scene_type']}", model="perfect-1")


def every_statement(record: ImageRecord) -> Answer:
    said = "; ".join(statement[0][0] for statement in record.attributes["expected"])
    return Answer(id=record.id, text=said, model="perfect-1")


def letter(record: ImageRecord) -> Answer:
    return Answer(id=record.id, text=str(record.attributes["answer"]), model="perfect-1")


def as_generated(record: ImageRecord) -> Answer:
    return Answer(id=record.id, labels=record.labels, origin=GENERATED, model="perfect-1")


PERFECT = {
    "emoset": Perfect(emotion, ("emotion",)),
    "picture_classes": Perfect(place, ("class",)),
    "dfew": Perfect(expression, ("class",)),
    "mafw": Perfect(expression, ("class",)),
    "emonet": Perfect(in_words, ("class",)),
    "ferbench": Perfect(in_words, ("class",)),
    "faba": Perfect(in_words, ("class", "units")),
    "fea_20k": Perfect(in_words, ("class", "units")),
    "facexbench": Perfect(letter, ("options",)),
    "disfa_8": Perfect(in_words, ("protocol",)),
    "bp4d_12": Perfect(in_words, ("protocol",)),
    "feab_mikels": Perfect(emotion, ("expression",)),
    "general": Perfect(every_statement, ("general",)),
    "reliability": Perfect(as_generated, ALL),
    "conclusions": Perfect(as_generated, ()),  # without an audit nobody knows how right labels are
    "affective_reasoning": Perfect(emotion, ("reasoning",)),
}


class Lenient:
    """A judge that gives every criterion the best mark that it may give."""

    def reply(self, requests):
        for index, request in enumerate(requests):
            best = {
                name: max(form["enum"]) if "enum" in form else "Well said."
                for name, form in request.schema["properties"].items()
            }
            yield index, Reply((Choice(str(best).replace("'", '"')),), "lenient-1")


class Tried:
    """A benchmark, records that it can score, and the answers of somebody who is always right."""

    def __init__(self, name: str, folder: Path) -> None:
        self.benchmark: Benchmark = built(
            composed("evaluate", f"benchmark={name}", f"paths.outputs={folder}").benchmark
        )
        if isinstance(self.benchmark, Pays):
            self.benchmark.through(lambda role, vlm: Lenient())
        self.folder, self.records = folder, [record(folder, number) for number in range(24)]
        if isinstance(self.benchmark, AUFolds):
            self.records = [self._of_protocol(row, self.benchmark) for row in self.records]
        if isinstance(self.benchmark, Planned):
            self.records = list(self.benchmark.plan(self.records, folder, {}))
        self.perfect = PERFECT.get(name, Perfect(in_words, ALL))
        self.answers = {row.id: self.perfect.answer(row) for row in self.records}

    def _of_protocol(self, row: ImageRecord, benchmark: AUFolds) -> ImageRecord:
        """Return a face of one of the subjects about whom the protocol is."""
        fold = benchmark.folds[int((row.subject or "s0")[1:]) % len(benchmark.folds)]
        return row.model_copy(update={"source": benchmark.source, "subject": fold[0]})

    @property
    def measures(self) -> Measured:
        return self.benchmark if isinstance(self.benchmark, Measured) else Faces()

    def scored(
        self, records: Sequence[ImageRecord] | None = None, answers: Mapping[str, Answer] | None = None
    ) -> tuple[Sequence[Any], int, dict[str, Any]]:
        """Return rows, how many records have no answer, and the metrics."""
        given = self.answers if answers is None else answers
        rows, missing = predicted(self.benchmark, records or self.records, given, parse)
        return rows, missing, measured(self.benchmark, self.measures, rows, seed=0)


def record(folder: Path, number: int) -> ImageRecord:
    path = save(folder / f"{number}.png", str(number))
    place = number % len(EXPRESSIONS)
    labels = Labels(
        expression=EXPRESSIONS[place], valence=number / 100, arousal=-number / 100,
        action_units={au: (number + au) % 2 == 0 for au in ACTION_UNITS},
    )  # fmt: skip
    told = {"emotion": EMOTIONS[place], "scene_type": PLACES[place], **asked(EXPRESSIONS[place])}
    return ImageRecord(
        id=f"face-{number}", image=path.name, sha256=sha256(path.read_bytes()), source="mine", subject=f"s{number % 5}",
        split="test", labels=labels, attributes=told,
    )  # fmt: skip


def asked(expression: str) -> dict[str, Any]:
    """Return what experts said of a face (EmoNet-Face), FERBench's question, what a right answer states, options."""
    question = {"set": "AffectNet", "question": "Which expression is it?", "candidates": list(EXPRESSIONS)}
    others = [[name] for name in EXPRESSIONS if name != expression]
    general = {"kind": "place", "expected": [[[expression], *others]]}
    options = {"options": list(EXPRESSIONS[:4]), "answer": "ABCD"[EXPRESSIONS.index(expression) % 4]}
    return {"opinions": {"human-1": expression, "human-2": expression}, **question, **general, **options}


@pytest.fixture(scope="module", params=options("benchmark"))
def tried(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    return Tried(request.param, tmp_path_factory.mktemp(request.param))


def flat(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each number and word of metrics with its path, intervals left out: they depend on the draws."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inner is None:
        yield where, value
        return
    for key, part in inner:
        if key != "ci95":
            yield from flat(part, f"{where}.{key}")


def test_it_is_a_benchmark_whose_question_shows_the_picture_and_wants_one_answer(tried: Tried) -> None:
    assert isinstance(tried.benchmark, Benchmark)
    assert tried.benchmark.records_file.endswith(".jsonl")
    if tried.benchmark.request is None:
        return
    for row in tried.records[:4]:
        image = Image(tried.folder / row.image, str(row.sha256))
        asked = question(tried.benchmark)(row, image)
        assert (asked.images, asked.n, asked.temperature) == ((image,), 1, 0.0)
        assert asked.text.strip()
        assert asked.key == question(tried.benchmark)(row, image).key


def test_a_picture_whose_question_is_its_record_s_is_never_asked_another_one(tried: Tried) -> None:
    if not isinstance(tried.benchmark, Asking):
        return
    assert tried.benchmark.request is not None
    with pytest.raises(UserError, match=r"^image=0.png: .*a question of its own about each record"):
        tried.benchmark.request(Image(tried.folder / "0.png", "0" * 64))


def test_perfect_answers_have_perfect_metrics(tried: Tried) -> None:
    rows, missing, metrics = tried.scored()
    assert (len(rows), missing) == (len(tried.records), 0)
    assert [row.status for row in rows] == ["ok"] * len(rows)
    for measure in tried.perfect.measures:
        found = {path: value for path, value in flat(metrics[measure]) if "f1_n_aus" not in path}  # counts, not scores
        scores = [(path, value, IDEAL[name]) for path, value in found.items() if (name := path.split(".")[-1]) in IDEAL]
        assert scores, f"no known metric of {measure}: name it in IDEAL"
        for path, value, ideal in scores:
            assert value == pytest.approx(ideal, abs=1e-9), path


def test_a_record_without_an_answer_is_counted_and_never_right(tried: Tried) -> None:
    answers = dict(list(tried.answers.items())[1:])
    rows, missing, metrics = tried.scored(answers=answers)
    assert missing == 1
    if tried.benchmark.request is None:  # what a generate run did not annotate is not its to answer
        assert [row.id for row in rows] == list(answers)
        return
    assert [row.id for row in rows] == [row.id for row in tried.records]
    assert [row.status for row in rows] == ["unanswered"] + ["ok"] * (len(rows) - 1)
    assert set(dict(flat(metrics["unanswered"])).values()) - {0, None}
    assert metrics["n"] == len(rows)


def test_the_order_of_records_and_answers_changes_no_metric(tried: Tried) -> None:
    half = {name: answer for place, (name, answer) in enumerate(tried.answers.items()) if place % 3}
    order = Random(0).sample(tried.records, len(tried.records))
    there = dict(flat(tried.scored(answers=half)[2]))
    back = dict(flat(tried.scored(order, dict(list(half.items())[::-1]))[2]))
    assert set(there) == set(back)
    for path, value in there.items():
        assert back[path] == (pytest.approx(value) if isinstance(value, float) else value), path


def test_its_rows_are_written_and_read_as_they_are(tried: Tried) -> None:
    for row in tried.scored()[0]:
        assert type(row).model_validate_json(row.model_dump_json()) == row


def test_its_table_and_lines_can_be_made_of_its_metrics(tried: Tried, capsys: pytest.CaptureFixture[str]) -> None:
    for answers in (tried.answers, dict(list(tried.answers.items())[:1])):
        metrics = {**tried.scored(answers=answers)[2], "missing": 0}
        if tried.benchmark.request is None:
            metrics["calibration"] = {}
        assert "toy" in tried.benchmark.table("toy", metrics, ["a note"])
        tried.measures.show(metrics, "title")
        assert capsys.readouterr().out.strip()
    notes = tried.measures.what_differs(tried.folder / "test.jsonl", tried.records, ["perfect-1"])
    assert all(isinstance(note, str) and note for note in notes)
