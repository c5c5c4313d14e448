"""`stopping=value` as a user runs it: two paid annotators, killed and resumed, in two workers, and shown in W&B."""

import base64
import io
import json
import os
import time
from pathlib import Path
from random import Random

import pytest
from PIL import Image as Pictures

from seke.core import images
from seke.core.affect import EXPRESSIONS
from seke.core.ledger import Ledger
from seke.core.records import ImageRecord, InstructionRecord, Labels, read_jsonl, write_jsonl
from seke.generation.seke.by_value import FLAG
from seke.sources.synthetic.face_model import draw_face

from ... import offline_wandb, warm
from ...servers.openai_server import _dice, running

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
FACES, LABELLED = 180, 120
ERRS = {"gpt-cheap": (0.5, 0.25, 0.4), "gpt-dear": (0.05, 0.03, 0.05)}
"""Of each annotator: how often it takes another expression and errs about an AU, and by how much about V and A."""
PRICES = {"gpt-cheap": (0.15, 0.6), "gpt-dear": (2.5, 10.0)}
FILES = ("instructions.jsonl", "rejected.jsonl", "draws.jsonl", "whom.json")


def colour(number):
    return number % 12 * 20, number // 12 * 15, 120


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Pictures of one colour each, by which the server knows them; two thirds have all labels, the others none."""
    folder, rng = tmp_path_factory.mktemp("two"), Random(3)
    (folder / "images").mkdir()
    records, truth = [], []
    for number in range(FACES):
        name = f"{number:03}.png"
        Pictures.new("RGB", (32, 32), colour(number)).save(folder / "images" / name)
        truth.append(draw_face(rng).labels)
        known = truth[-1].model_copy(update={"au_intensity": None}) if number < LABELLED else Labels()
        digest = images.sha256((folder / "images" / name).read_bytes())
        records.append(
            ImageRecord(id=f"f{number:03}", image=name, sha256=digest, source="made", subject=f"s{number % 12}",
                        split="train", labels=known)
        )  # fmt: skip
    write_jsonl(folder / "train.jsonl", records)
    (folder / "manifest.json").write_text('{"image_root": "images"}')
    return folder / "train.jsonl", truth


def seen(request):
    """Return the number of the face that a request shows."""
    parts = [part for message in request["messages"] if isinstance(message["content"], list)
             for part in message["content"] if part["type"] == "image_url"]  # fmt: skip
    data = base64.b64decode(parts[0]["image_url"]["url"].partition("base64,")[2])
    pixel = Pictures.open(io.BytesIO(data)).convert("RGB").resize((1, 1)).getpixel((0, 0))
    return min(range(FACES), key=lambda number: sum((a - b) ** 2 for a, b in zip(colour(number), pixel, strict=True)))


def look(server, truth):
    """Have a server's answers depend on the face, and on who is asked."""
    made_up = server._answer

    def answer(request, choice):
        said = made_up(request, choice)
        schema = (request.get("response_format") or {}).get("json_schema", {}).get("schema")
        if schema is None or "expression" not in schema["properties"]:
            return said
        fields, rng, face = json.loads(said), _dice(request, choice, request["model"]), truth[seen(request)]
        other, wrong, off = ERRS[request["model"]]
        fields["expression"] = rng.choice(EXPRESSIONS) if rng.random() < other else face.expression
        for name in ("valence", "arousal"):
            fields[name] = round(max(-1.0, min(1.0, getattr(face, name) + rng.gauss(0, off))), 2)
        fields["action_units"] = [au for au, active in face.action_units.items() if active != (rng.random() < wrong)]
        return json.dumps(fields)

    server._answer = answer


def command(faces, server, outputs, *words, name="two"):
    ask = ("backend=openai", "backend.model=gpt-cheap", "+backend@second=openai", "second.model=gpt-dear")
    prices = ("backend.prices={gpt-cheap: [0.15, 0.6]}", "second.prices={gpt-dear: [2.5, 10.0]}")
    urls = [f"{who}.{what}" for who in ("backend", "second") for what in (f"base_url={server.url}", "concurrency=4")]
    how = ("stopping=value", "stopping.usd=second", "generator.aggregate=calibrated", "generator.max_samples=3")
    where = (f"records={faces[0]}", f"paths.outputs={outputs}", f"name={name}", "chunk=8", "generator.pilot=60")
    return [ROOT / "generate.py", *ask, *prices, *urls, *how, *where, *words]


def run(words):
    done = warm.run(*words, env=environment(), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done


def environment():
    return {**os.environ, "OPENAI_API_KEY": "sk-test-SECRET", "WANDB_MODE": "offline"}


@pytest.fixture(scope="module")
def undisturbed(faces, tmp_path_factory):
    """What a run makes that nothing disturbs, and the requests that it took, each once."""
    outputs = tmp_path_factory.mktemp("undisturbed")
    with running() as server:
        look(server, faces[1])
        run(command(faces, server, outputs, "wandb=offline"))
        assert set(server.paid.values()) == {1}
        return outputs / "generate" / "two", dict(server.paid)


def content(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


def test_the_dear_one_is_asked_and_both_are_billed(undisturbed):
    folder, paid = undisturbed
    rows = list(read_jsonl(folder / "instructions.jsonl", InstructionRecord))
    assert len(rows) == FACES
    second = [row for row in rows if FLAG in row.flags]
    assert 0 < len(second) <= FACES - LABELLED
    cost = json.loads((folder / "cost.json").read_text())
    parts = cost, cost["pilot"], cost["second_pilot"]
    assert sum(part["requests"] for part in parts) == sum(paid.values())
    with Ledger(folder.parents[1] / "ledger.sqlite") as ledger:
        totals = {name.partition("-2026")[0]: total for name, total in ledger.totals().items()}
    assert sum(total.calls for total in totals.values()) == len(paid)
    spent = sum(
        (totals[name].input_tokens * into + totals[name].output_tokens * out) / 1e6
        for name, (into, out) in PRICES.items()
    )
    assert sum(part["usd"] for part in parts) == pytest.approx(spent, abs=1e-5)


def test_weights_and_biases_shows_both_and_what_they_cost(undisturbed):
    [log] = offline_wandb.logs(undisturbed[0])
    assert log.exit_code == 0
    assert log.config["second"]["model"] == "gpt-dear"
    assert log.summary["usd"] == pytest.approx(json.loads((undisturbed[0] / "cost.json").read_text())["usd"])
    assert "sk-test-SECRET" not in json.dumps(log.config)


@pytest.mark.parametrize("again", ["engine=local", "engine=ray"])
def test_killed_and_resumed_it_is_the_same_and_pays_for_nothing_twice_but_what_was_in_flight(
    faces, undisturbed, tmp_path, again
):
    if again == "engine=ray":
        pytest.importorskip("ray", reason="Ray is missing: pip install -e '.[ray]'")
    expected, once = undisturbed
    with running(latency=0.02) as server:
        look(server, faces[1])
        words = command(faces, server, tmp_path)
        for share in (0.3, 0.8):  # in the pilot, where either is asked, and among the records
            child = warm.start(*words, said=tmp_path / "said", env=environment(), cwd=ROOT)
            while server.paid.total() < share * len(once):
                assert child.poll() is None, "it ended before it could be killed"
                time.sleep(0.002)
            child.killed()
        run([*words, again, *(["workers=2"] if again == "engine=ray" else [])])
        assert set(server.paid) == set(once)
        assert sum(count - 1 for count in server.paid.values()) <= 2 * 4
    assert content(tmp_path / "generate" / "two") == content(expected)
    assert not (tmp_path / "generate" / "two" / "ledgers").exists()
