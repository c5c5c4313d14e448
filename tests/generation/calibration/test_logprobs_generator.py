"""Soft labels in the whole generator: log probabilities asked for, missed, learnt from; plain draws as ever."""

import hashlib
import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from seke.backends.openai.image_encoding import ImageEncoder
from seke.backends.openai.protocol import Completions, Dialect
from seke.backends.simulated.faces import Simulated
from seke.core.errors import UserError
from seke.core.prompts import Prompts
from seke.core.records import ImageRecord, Labels, read_jsonl, to_line, write_jsonl
from seke.core.vlm import Image, Message, Request
from seke.generation.asked import missing
from seke.generation.calibration.annotator_model import Masked
from seke.generation.calibration.logprobs import SoftDraw, p_expressions
from seke.generation.outcome import Face
from seke.generation.seke.empirical_bayes import EmpiricalBayes
from seke.generation.seke.schema import read, schema
from seke.generation.seke.stopping import fixed
from seke.sources.synthetic.face_model import draw_face

from ..conftest import GENEROUS, partial, settings

EVERYTHING = missing(Labels())

IMAGE = Image(Path("a.png"), "0" * 64)

REQUEST = Request((Message("user", ("Look.", IMAGE)),), {"type": "object"}, n=3, draw=2)

WRITTEN = Completions("gpt-4o", ImageEncoder(detail="low"))


def test_keys_of_what_was_paid_for_before_stay():
    assert REQUEST.key == "db34d2eed5b2cf6a71795c42971ea0276044fe8eb777a1dde8d2e66165ced399"
    assert replace(REQUEST, logprobs=True).key != REQUEST.key


@pytest.mark.parametrize("wanted", [True, False])
def test_the_server_is_asked_for_log_probabilities_where_the_request_wants_them(wanted):
    body = WRITTEN.body(replace(REQUEST, logprobs=wanted), {IMAGE.sha256: "data:"}, Dialect())
    assert body.get("logprobs", False) is wanted


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Thirty faces that only the simulated annotator can see, and the annotator: no picture's bytes are involved."""
    rng, records, truths = Random(11), [], []
    for number in range(30):
        face = draw_face(rng)
        row = ImageRecord(
            id=f"soft-{number:02}",
            image=f"{number:02}.png",
            sha256=hashlib.sha256(f"soft {number}".encode()).hexdigest(),
            source="synthetic",
            subject=f"s{number % 6}",
            split="train",
            labels=partial(face.labels, number),
        )
        records.append(row)
        intensity = {str(au): value for au, value in face.au_intensity.items()}
        truths.append(row.model_copy(update={"labels": face.labels, "attributes": {"au_intensity": intensity}}))
    file = tmp_path_factory.mktemp("soft") / "truth.jsonl"
    write_jsonl(file, truths)
    return [Face(row, Image(Path(row.image), row.sha256)) for row in records], Simulated(
        str(file), **settings("simulated")
    )


def rows_of(seke, faces):
    return [outcome.row for outcome in seke.generate(faces)]


@pytest.mark.parametrize(
    ("options", "digest"),
    [
        ({}, "86ee9965e150d81c1d4dfd7def5bb6046fd9de5e699a2a7676eb9c7be223286e"),
        (
            {"stopping": fixed(3), "aggregate": "majority"},
            "acd5a8eab2beb5b0ce0333433ba273eb565620ffdd468ef6de2d4eeebc4e26b3",
        ),
    ],
)
def test_instructions_of_plain_draws_are_what_they_were_before_soft_ones_existed(make_seke, faces, options, digest):
    shown, annotator = faces
    made = rows_of(make_seke(Simulated(annotator.pattern, **settings("simulated") | GENEROUS), **options), shown)
    assert [row.sha256 for row in made] == [face.image.sha256 for face in shown]
    assert all(row.simulated for row in made)
    then = {"sha256": None, "simulated": None}  # rows did not carry them then
    lines = [to_line(row.model_copy(update=then)) for row in made]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == digest


class Listening:
    """Hands requests on and remembers them; `deaf`: without the log probabilities of the answers."""

    def __init__(self, vlm, deaf=False):
        self.vlm, self.deaf, self.asked = vlm, deaf, []

    def reply(self, requests):
        for index, reply in self.vlm.reply(self._heard(requests)):
            plain = tuple(replace(choice, logprobs=None) for choice in reply.choices)
            yield index, replace(reply, choices=plain) if self.deaf else reply

    def _heard(self, requests):
        for request in requests:
            self.asked.append(request)
            yield request


def test_the_simulated_annotator_believes_what_it_says(faces):
    shown, annotator = faces
    for face in shown:
        form = schema(EVERYTHING, False, form="logprobs")
        request = Request((Message("user", ("Annotate.", face.image)),), form, n=4, logprobs=True)
        ((_, reply),) = annotator.reply([request])
        for choice in reply.choices:
            assert "".join(token for token, _ in choice.logprobs) == choice.text
            drawn = read(choice, EVERYTHING, False, form="logprobs").labels
            assert all((p > 0.5) == drawn.action_units[au] for au, p in drawn.soft.action_units.items())
            assert drawn.soft.expression == pytest.approx(max(p_expressions(drawn)))
        ((_, plain),) = annotator.reply([replace(request, logprobs=False)])
        assert all(choice.logprobs is None for choice in plain.choices)


def test_the_whole_generator_on_soft_draws(make_seke, faces):
    shown, annotator = faces
    vlm = Listening(annotator)
    rows = rows_of(make_seke(vlm, uncertainty="logprobs", stopping=fixed(1)), shown)
    assert all(row.labels.complete and row.samples == 1 for row in rows)
    assert not any("no_logprobs" in row.flags for row in rows)
    for face, row in zip(shown, rows, strict=True):
        assert face.record.labels.completed_by(row.labels) == row.labels
        assert row.uncertainty.valence is None, "one draw says nothing of a number's uncertainty"
        unsure = row.uncertainty.action_units
        assert (unsure is None) == (len(face.record.labels.action_units or {}) == 17)
        assert unsure is None or 0 < unsure < 1
    assert Counter(request.logprobs for request in vlm.asked) == {True: 30, False: 30}
    assert all(("1 if it is active" in request.text) == request.logprobs for request in vlm.asked)


def test_without_log_probabilities_draws_are_plain_and_it_is_said_once(make_seke, faces, caplog):
    shown, annotator = faces
    seke = make_seke(Listening(annotator, deaf=True), uncertainty="logprobs", stopping=fixed(2))
    with caplog.at_level(logging.WARNING):
        rows = rows_of(seke, shown)
    assert all("no_logprobs" in row.flags for row in rows)
    assert sum("log probabilities" in record.message for record in caplog.records) == 1
    assert all(row.uncertainty.max is not None and row.labels.complete for row in rows)


def test_a_soft_pilot_teaches_the_stopping_rule(make_seke, faces, tmp_path, monkeypatch):
    monkeypatch.setattr("seke.generation.calibration.pilot.FEWEST", 5)
    shown, annotator = faces
    of = {face.record.id: face for face in shown}
    options = {"uncertainty": "logprobs", "aggregate": "calibrated", "pilot": 15, "max_samples": 3}
    seke = make_seke(annotator, stopping=EmpiricalBayes((1, 3), prompt_cost=0.0), **options)
    seke.learn([*(face.record for face in shown)], lambda record: of[record.id], tmp_path)
    kept = list(read_jsonl(tmp_path / "pilot.jsonl", Masked))
    assert kept and all(isinstance(draw, SoftDraw) for row in kept for draw in row.draws)
    first = rows_of(seke, shown)
    assert {row.samples for row in first} <= {0, 1, 3, 1 + 1, 1 + 3, 3 + 3}, "by no prompt, one, or both"
    again = make_seke(annotator, stopping=EmpiricalBayes((1, 3), prompt_cost=0.0), **options)
    again.learn([*(face.record for face in shown)], lambda record: None, tmp_path)
    assert rows_of(again, shown[::-1])[::-1] == first, "a resume reads the same pilot"


def test_an_unknown_uncertainty_or_a_prompt_that_it_lacks_is_refused(make_seke, prompts):
    with pytest.raises(UserError, match=r"generator\.uncertainty"):
        make_seke(uncertainty="words")
    older = {name: text for name, text in prompts.templates.items() if name != "ask_each_action_unit"}
    make_seke(prompts=Prompts(older))
    with pytest.raises(UserError, match="ask_each_action_unit"):
        make_seke(prompts=Prompts(older), uncertainty="logprobs")
