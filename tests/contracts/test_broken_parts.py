"""A part from outside that breaks its promise ends in one line, which names it and says what to give instead."""

import os
import textwrap
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from seke.benchmark import protocol as benchmarks
from seke.benchmark.answer import Answer
from seke.benchmark.judging import judge as judges
from seke.core.budget import Metered, Spent
from seke.core.errors import UserError
from seke.core.prompts import Prompts
from seke.core.records import ImageRecord, Labels, Prediction, Rejection
from seke.core.vlm import Choice, Image, Message, Reply, Request
from seke.generation import from_settings, outcome
from seke.generation.outcome import Outcome
from seke.generation.seke.stopping import State, wanted
from seke.sources.base.source import Source
from seke.sources.prepare.prepare import listed, write
from seke.training.data.mixture import Data, stream
from seke.training.readers.row import Row, Turn

from ..trees.pictures import save

HERE = __name__
GOOD = {"n": 1, "unanswered": 0, "ci95": {}, "warnings": []}


class Returns:
    """A part that is one function of a test's choice, under whatever name it is called."""

    def __init__(self, function):
        self.reply = self.generate = self.read = self.ready = self.function = function

    def __call__(self, *given):
        return self.function(*given)

    def files(self, path):
        return [path]


@pytest.mark.parametrize("number", [-1, 1.5, None, True, "2", float("nan")])
def test_a_rule_that_returns_no_number_of_draws(number):
    with pytest.raises(UserError) as caught:
        wanted(Returns(lambda state, rng: number), State(), Random(0))
    assert str(caught.value) == (
        f"stopping={HERE}.Returns: returned {number!r}; "
        "return how many further draws are wanted, a whole number, and 0 to stop"
    )


def test_a_rule_is_called_by_the_function_that_made_it_and_may_count_with_numpy():
    def patient(number):
        def more(state, rng):
            return number

        return more

    assert wanted(patient(np.int64(2)), State(), Random(0)) == 2
    assert type(wanted(patient(np.int64(2)), State(), Random(0))) is int
    with pytest.raises(UserError, match=r"^stopping=tests\.contracts\.test_broken_parts\.test_a_rule.*: returned -2;"):
        wanted(patient(-2), State(), Random(0))


def good(n=1, **changes):
    return Reply(**{"choices": (Choice("x"),) * n, "model": "m", **changes})


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (lambda requests: [(0, good()), (2, good(2))], "gave no reply to request 1"),
        (lambda requests: [], "gave no reply to request 0"),
        (lambda requests: None, r"reply\(\) returned None"),
        (lambda requests: [(0, good()), (0, good())], "replied to request 0, which is answered already"),
        (lambda requests: [(3, good())], "replied to request 3, .* never asked"),
        (lambda requests: [(-1, good())], "replied to request -1"),
        (lambda requests: [(True, good())], r"yielded \(True, "),
        (lambda requests: [good()], r"yielded Reply\("),
        (lambda requests: [(0, "an answer")], "yielded .0, 'an answer'"),
        (lambda requests: [(0, good(0))], "reply 0 has 0 choices where n=1"),
        (lambda requests: [(2, good(1))], "reply 2 has 1 choices where n=2"),
        (lambda requests: [(0, good(2))], "reply 0 has 2 choices where n=1"),
        (lambda requests: [(0, good(choices=("x",)))], r"the choices of reply 0 are \('x',\)"),
        (lambda requests: [(0, good(choices=(Choice("x", "fine"),)))], "status='fine'"),
        (lambda requests: [(0, good(choices=(Choice(None),)))], "text=None"),
        (lambda requests: [(0, good(choices=(Choice("\ud83d"),)))], r"text='.ud83d'"),
        (lambda requests: [(0, good(cost=float("nan")))], "costs nan"),
        (lambda requests: [(0, good(cost=-1.0))], r"costs -1\.0"),
    ],
)
def test_a_backend_that_does_not_reply_to_each_request_once(reply, told):
    def pulls(requests):
        pulled = list(requests)
        return reply(pulled)

    asked = [Request((Message("user", (str(k),)),), n=1 + (k == 2)) for k in range(3)]
    with pytest.raises(UserError, match=rf"^backend={HERE}\.Returns: {'.*' if told[0] != 'g' else ''}{told}.*; "):
        list(Metered(Returns(pulls)).reply(asked))


def test_a_backend_that_leaves_requests_unread():
    asked = (Request((Message("user", (str(k),)),)) for k in range(3))
    with pytest.raises(UserError, match="gave no reply to request 1; yield one reply per request"):
        list(Metered(Returns(lambda requests: [(0, good())] if next(requests) else [])).reply(asked))


def test_a_backend_that_is_none():
    with pytest.raises(UserError, match=r"^backend=pathlib\..*Path: has no method reply\(\);"):
        Metered(Path())


class Mine(Source):
    """Yields what a test wants."""

    inputs: ClassVar = {}

    def __init__(self, root, *rows):
        self.root, self.rows = root, rows

    def image_root(self, run_path):
        return str(self.root)

    def read(self, run_path):
        yield from (row() if callable(row) else row for row in self.rows)


def record(**changes):
    fields = {"id": "a", "image": "a.png", "sha256": None, "source": "mine", "subject": None, "split": "train"}
    return ImageRecord(**{**fields, "labels": Labels(), **changes})


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (lambda: record(labels=Labels(expression="happines")), "Labels.expression: 'happines' is none of neutral"),
        (lambda: record(labels=Labels(valence=3)), r"Labels.valence: .*less than or equal to 1 \(it is 3\)"),
        (lambda: record(labels=Labels(action_units={3: True})), "Labels.action_units: AU3 is none of the 17"),
        (lambda: record(split="dev"), "ImageRecord.split: .*'train', 'validation' or 'test'"),
        (lambda: ImageRecord(id="a"), "ImageRecord.image: Field required;"),
        (lambda: {"id": "a"}, r"read\(\) yielded \{'id': 'a'\}; yield an ImageRecord for each image, or a Rejection"),
        (lambda: None, r"read\(\) yielded None"),
    ],
)
def test_a_source_that_yields_no_record(row, told, tmp_path):
    with pytest.raises(UserError, match=rf"^source={HERE}\.Mine: {told}"):
        listed(Mine(tmp_path, record(), row), tmp_path)


def test_two_images_of_one_id(tmp_path):
    with pytest.raises(UserError, match=r"^source=a: two images have this id: a.png and b.png; give each"):
        listed(Mine(tmp_path, record(), record(image="b.png")), tmp_path)


def test_an_image_outside_the_root_is_rejected_and_counted(tmp_path):
    save(tmp_path / "outside.png")
    save(tmp_path / "root" / "a.png")
    (tmp_path / "run").mkdir()
    source = Mine(tmp_path / "root", record(), record(id="b", image="../outside.png"))
    assert write(source, tmp_path / "run")["rejected"] == 1
    assert "leads out of the image root" in (tmp_path / "run" / "rejected.jsonl").read_text()


def outcome_of(name):
    trace = {"prior": Labels(), "draws": (), "summary": None, "requests": 0, "input_tokens": 0, "output_tokens": 0}
    return Outcome(Rejection(id=name, reason="x"), outcome.Trace(id=name, **trace), Spent())


@pytest.mark.parametrize(
    ("generate", "told"),
    [
        (lambda faces: None, r"generate\(\) returned None; yield one Outcome"),
        (lambda faces: [None, None], "made None of a; yield an Outcome with an InstructionRecord or a Rejection"),
        (lambda faces: [outcome_of("a")], "made 1 outcomes of 2 faces; yield one Outcome per face, in their order"),
        (lambda faces: [outcome_of("b"), outcome_of("a")], "made Outcome.* of a; "),
        (lambda faces: [Labels(expression="glad")], "Labels.expression: 'glad' is none of"),
    ],
)
def test_a_generator_that_makes_no_outcome_of_a_face(generate, told):
    faces = [outcome.Face(record(id=name), Image(Path("x"), "0")) for name in "ab"]
    with pytest.raises(UserError, match=rf"^generator={HERE}\.Returns: {told}"):
        outcome.completed(Returns(generate), faces)


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (lambda records: None, r"plan\(\) returned None; return one ImageRecord per instruction"),
        (lambda records: [], r"plan\(\) returned \[\]"),
        (lambda records: ["a"], r"plan\(\) returned \['a'\]"),
        (lambda records: [*records, *records], "planned a 2 times"),
        (lambda records: [record(split="dev")], "ImageRecord.split: "),
    ],
)
def test_a_generator_that_plans_no_records(plan, told):
    mine = Returns(None)
    mine.plan = plan
    with pytest.raises(UserError, match=rf"^generator={HERE}\.Returns: {told}"):
        outcome.planned(mine, [record()])


class Prompted:
    """A generator but for what a test takes away."""

    def __init__(self, vlm, prompts, seed):
        self.prompts = prompts

    def learn(self, records, opened, folder): ...

    def generate(self, faces): ...


@pytest.mark.parametrize(
    ("lacking", "told"), [("learn", r"has no method learn\(\)"), ("prompts", "has no prompts; keep the Prompts")]
)
def test_a_generator_that_would_fail_later_is_told_before_anybody_is_paid(lacking, told):
    parts = {"backend": object(), "generator": Prompted(None, Prompts({}), 0), "prompts": Prompts({})}
    setattr(parts["generator"], lacking, None)
    cfg = SimpleNamespace(**dict.fromkeys(parts), seed=0)
    cfg.generator, cfg.prompts = "generator", "prompts"
    with pytest.raises(UserError, match=rf"^generator={HERE}\.Prompted: {told}"):
        from_settings.generator(lambda node, **options: parts[node], cfg, None)


@pytest.mark.parametrize(
    ("ready", "told"),
    [
        (lambda answers: None, r"ready\(\) returned None; return a Ready"),
        (lambda answers: judges.Ready(lambda answer: None), "made None of answer a; return a Verdict"),
        (lambda answers: judges.Ready(lambda answer: "happiness"), "made 'happiness' of answer a"),
        (lambda answers: judges.Ready(lambda answer: judges.Verdict("glad", None, "ok")), "labels='glad'"),
        (lambda answers: judges.Ready(lambda answer: judges.Verdict(Labels(), None, "fine")), "status='fine'"),
        (lambda answers: judges.Ready(lambda answer: Labels(arousal=2)), "Labels.arousal: .*equal to 1"),
    ],
)
def test_a_judge_that_gives_no_verdict(ready, told):
    answer = Answer(id="a", text="x")
    with pytest.raises(UserError, match=rf"^judge={HERE}\.Returns: .*{told}"):
        judges.ready(Returns(ready), {"a": answer}).read(answer)


PREDICTED = {"id": "a", "source": "x", "subject": None, "text": "", "judged": None, "labels": Labels(),
             "truth": Labels(), "status": "ok"}  # fmt: skip


@pytest.mark.parametrize(
    ("predictions", "told"),
    [
        (None, r"predictions\(\) returned None; return the rows, and how many records have no answer"),
        ([], r"predictions\(\) returned \[\]"),
        (([Prediction(**PREDICTED)], None), r"predictions\(\) returned \(\[Prediction"),
        (([Prediction(**PREDICTED)] * 2, 0), r"made the row Prediction\(id='a'.*; make one row"),
        (([Prediction(**PREDICTED | {"id": "b"})], 0), "made the row Prediction.id='b'"),
        (([PREDICTED], 0), "made the row {'id': 'a'"),
    ],
)
def test_a_benchmark_that_makes_no_row_of_a_record(predictions, told):
    mine = Mine(None)
    mine.predictions = lambda *given: predictions
    with pytest.raises(UserError, match=rf"^benchmark={HERE}\.Mine: {told}"):
        benchmarks.predicted(mine, [record()], {}, None)


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        (None, r"metrics\(\) returned None; return a dictionary with n, unanswered, ci95, warnings"),
        ({"n": 1}, r"metrics\(\) returned \{'n': 1\}; return a dictionary with n, "),
        ({**GOOD, "accuracy": float("nan")}, "its metric accuracy is nan .*; give what JSON holds"),
        ({**GOOD, "faces": {"f1": np.float32(1)}}, r"its metric faces is .*float32\(1\.0\)"),
        ({**GOOD, "n": {1}}, r"its metric n is \{1\}"),
    ],
)
def test_a_benchmark_whose_metrics_are_no_json(metrics, told):
    mine = Mine(None)
    mine.metrics = lambda rows, seed: metrics
    with pytest.raises(UserError, match=rf"^benchmark={HERE}\.Mine: {told}"):
        benchmarks.measured(mine, mine, [], 0)


def read_with(reader, path):
    [part] = Data(str(path), reader).sources(path.parent)
    return list(stream(part))


def test_a_reader_that_yields_no_row(tmp_path):
    (tmp_path / "x.json").touch()
    told = rf"^data\.reader={HERE}\.Returns: read\(\) yielded \{{'id': 1\}}; yield a Row for each conversation"
    with pytest.raises(UserError, match=told):
        read_with(Returns(lambda *given: [{"id": 1}]), tmp_path / "x.json")
    with pytest.raises(UserError, match=r"^data\.reader=builtins\.object: has no method files\(\)"):
        read_with(object(), tmp_path / "x.json")


def test_a_row_whose_turns_and_pictures_do_not_fit_is_rejected(tmp_path):
    (tmp_path / "x.json").touch()
    talk = (Turn("user", "Who?", 1), Turn("assistant", "I.", 0))
    rows = [
        Row("good", talk, (tmp_path / "a.png",)),
        Row("blind", talk, ()),
        Row("mute", (), ()),
        Row("odd", (Turn("narrator", "Once", 0),), ()),
    ]
    found = read_with(Returns(lambda *given: rows), tmp_path / "x.json")
    assert [(row.id, isinstance(row, Row)) for row in found] == [
        ("good", True), ("blind", False), ("mute", False), ("odd", False)
    ]  # fmt: skip
    assert {row.reason for row in found[1:]} == {"form"}


@pytest.fixture
def plugged(tmp_path, cli):
    """Return `run("prepare", code, ...)`: the command with a module `toy` of that code."""

    def run(name, code, *words):
        (tmp_path / "toy.py").write_text(textwrap.dedent(code))
        return cli(
            name,
            f"paths.outputs={tmp_path / 'outputs'}",
            *words,
            PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        )

    return run


def test_a_source_with_a_misspelt_word_ends_prepare(plugged, tmp_path):
    code = """
        from seke.core.records import ImageRecord, Labels
        from seke.sources.synthetic.faces import Synthetic

        class Toy(Synthetic):
            def read(self, run_path):
                yield ImageRecord(id="a", image="a.png", sha256=None, source="toy", subject=None, split="train",
                                  labels=Labels(expression="happines"))
    """
    done = plugged("prepare", code, "source._target_=toy.Toy", "source.images=10", "name=toy")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("error: source=toy.Toy: Labels.expression: 'happines' is none of neutral, ")
    assert not (tmp_path / "outputs" / "prepare" / "toy").exists()


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("toy.Boom", "source=toy.Boom: making it failed with KeyError('weights'); "),
        ("toy.NUMBER", "source=3: nothing that can be called; "),
        ("toy.Gone", "source=toy.Gone: no such class or function (Are you sure that 'Gone' is importable"),
    ],
)
def test_a_part_that_cannot_be_made(plugged, target, told):
    code = """
        NUMBER = 3
        class Boom:
            def __init__(self, **settings):
                raise KeyError("weights")
    """
    done = plugged("prepare", code, f"source._target_={target}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"error: {told}")
