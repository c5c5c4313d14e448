"""generator=emovit as a user runs it, on EmoSet's layout against a server on this machine, and training on its rows."""

import json
import os
from pathlib import Path

import pytest

from seke.core.records import InstructionRecord, Rejection, read_jsonl
from seke.generation.emovit.generator import CONVERSATION, PAIR
from seke.training.data.mixture import Data, stream
from seke.training.readers.emovit import Emovit
from seke.training.readers.llava import Llava
from seke.training.readers.row import Row

from ...servers.openai_server import rates, running
from ...trees import emoset, emovit

FEW = "generator.counts={categorical: 2, conversation: 1, reasoning: 1}"
SWIFT = ("backend=openai", "backend.backoff=0.01", "backend.timeout=60", "generator=emovit", FEW)
KEY = {"OPENAI_API_KEY": "sk-test-0123456789-SECRET"}
LIGHT = ("trainer.max_steps=2", "trainer.batch_size=2", "trainer.threads=1")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    emoset.make(folder / "EmoSet")
    return folder


@pytest.fixture(scope="module")
def outputs(data, cli, tmp_path_factory) -> Path:
    """Return an outputs folder with the prepared scenes `scenes`."""
    folder = tmp_path_factory.mktemp("outputs")
    made = cli("prepare", "source=emoset", "name=scenes", f"paths.data={data}", f"paths.outputs={folder}")
    assert made.returncode == 0, made.stderr
    return folder


def folders(outputs, tmp_path):
    records = outputs / "prepare" / "scenes" / "train.jsonl"
    images = (records.parent / json.loads((records.parent / "manifest.json").read_text())["image_root"]).resolve()
    return (f"records={records}", f"paths.images={images}", f"paths.outputs={tmp_path}")


def content(folder):
    return [(folder / f"{name}.jsonl").read_bytes() for name in ("instructions", "rejected", "draws")]


@pytest.fixture(scope="module")
def whole(outputs, cli) -> tuple[Path, int]:
    """Return an undisturbed run, and how many requests it took."""
    with running() as server:
        arguments = ("records=scenes", f"paths.outputs={outputs}", f"backend.base_url={server.url}", "name=whole")
        done = cli("generate", *SWIFT, *arguments, **KEY)
        assert done.returncode == 0, done.stderr
        return outputs / "generate" / "whole", sum(server.seen.values())


def test_every_kind_and_class_is_there_and_counted(whole):
    folder, _ = whole
    manifest = json.loads((folder / "manifest.json").read_text())
    rows = list(read_jsonl(folder / "instructions.jsonl", InstructionRecord))
    rejected = list(read_jsonl(folder / "rejected.jsonl", Rejection))
    assert len(rows) + len(rejected) == 4 * len(emoset.EMOTIONS) == manifest["counts"]["records"]
    assert list(manifest["kinds"]) == ["categorical", "conversation", "reasoning"]
    assert sum(sum(classes.values()) for classes in manifest["kinds"].values()) == len(rows)
    assert manifest["kinds"]["categorical"] == dict.fromkeys(sorted(emoset.EMOTIONS), 2)
    assert {"scene", "categorical", "reasoning_example"} <= set(manifest["prompts"])
    assert "| all | 16 |" in (folder / "statistics.md").read_text()
    assert (folder / "unanswered.md").is_file()
    for row in rows:
        assert (folder / manifest["image_root"] / row.image).is_file()
        assert row.annotator == ("no model" if row.attributes["kind"] == "categorical" else "gpt-4o-2026-01-01")


def test_a_server_sees_captions_first_and_strict_schemas_after(outputs, cli, tmp_path):
    with running() as server:
        done = cli("generate", *SWIFT, *folders(outputs, tmp_path), f"backend.base_url={server.url}", **KEY)
        assert done.returncode == 0, done.stderr
        schemas = [body["response_format"]["json_schema"] for body in server.bodies if "response_format" in body]
        pictures = ["image_url" in json.dumps(body["messages"]) for body in server.bodies]
        free = ["response_format" not in body for body in server.bodies]
    assert schemas and all(schema["strict"] for schema in schemas)
    assert {json.dumps(schema["schema"]) for schema in schemas} == {json.dumps(CONVERSATION), json.dumps(PAIR)}
    assert free == pictures
    assert KEY["OPENAI_API_KEY"] not in "".join(path.read_text() for path in tmp_path.glob("generate/demo/*.*"))


def test_faults_leave_no_trace_in_the_instructions(outputs, cli, tmp_path, whole):
    with running(faults=rates("transport=0.3"), seed=3, hang_s=3, die_s=0.3) as server:
        arguments = ("backend.timeout=1", "chunk=5", "name=it", "backend.patience=60")
        done = cli("generate", *SWIFT, *folders(outputs, tmp_path), *arguments, f"backend.base_url={server.url}", **KEY)
        assert done.returncode == 0, done.stderr
        assert server.faulted
    assert content(tmp_path / "generate" / "it") == content(whole[0])


def test_a_budget_pauses_and_what_was_paid_for_is_never_paid_for_again(outputs, cli, tmp_path, whole):
    with running() as server:
        command = (*SWIFT, *folders(outputs, tmp_path), "name=it", "chunk=6", f"backend.base_url={server.url}")
        codes = []
        while 0 not in codes and len(codes) < 12:
            codes.append(cli("generate", *command, "budget.tokens=9000", **KEY).returncode)
        assert codes[:-1] and set(codes[:-1]) == {3}
        assert sum(server.seen.values()) == whole[1]
    assert content(tmp_path / "generate" / "it") == content(whole[0])


def test_a_dry_run_asks_nobody(outputs, cli, tmp_path):
    done = cli("generate", *SWIFT, *folders(outputs, tmp_path), "dry_run=true")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("32 records; nothing was asked") and "gpt-4o " in done.stdout
    assert not os.listdir(tmp_path)


def test_a_fallback_answers_what_was_declined(outputs, cli, tmp_path):
    with running(flaws=rates("refusal=0.6")) as first, running() as second:
        fallback = ("+backend@fallback=openai", f"fallback.base_url={second.url}", "fallback.model=other")
        done = cli("generate", *SWIFT, *folders(outputs, tmp_path), f"backend.base_url={first.url}", *fallback, **KEY)
        assert done.returncode == 0, done.stderr
    rows = read_jsonl(tmp_path / "generate" / "demo" / "instructions.jsonl", InstructionRecord)
    assert {row.annotator for row in rows} >= {"no model", "other-2026-01-01"}


@pytest.mark.slow
def test_two_processes_make_the_same_bytes(outputs, cli, tmp_path, whole):
    pytest.importorskip("ray", reason="Ray is missing: pip install -e '.[ray]'")
    with running() as server:
        how = ("engine=ray", "workers=2", "chunk=6", "name=it", f"backend.base_url={server.url}")
        done = cli("generate", *SWIFT, *folders(outputs, tmp_path), *how, **KEY)
        assert done.returncode == 0, done.stderr
    assert content(tmp_path / "generate" / "it") == content(whole[0])
    assert (tmp_path / "generate" / "it" / "statistics.md").read_bytes() == (whole[0] / "statistics.md").read_bytes()


@pytest.mark.parametrize("reader", [Llava(), Emovit()])
def test_readers_of_instructions_load_a_run_by_its_name(outputs, whole, data, reader):
    (part,) = Data(path="whole", reader=reader).sources(outputs)
    found = list(stream(part))
    made = list(read_jsonl(whole[0] / "instructions.jsonl", InstructionRecord))
    assert len(found) == len(made)
    for row, instruction in zip(found, made, strict=True):
        assert [turn.text for turn in row.turns] == [
            turn.value.removeprefix("<image>\n") for turn in instruction.conversations
        ]
        assert [turn.images for turn in row.turns] == [1] + [0] * (len(row.turns) - 1)
        assert row.images == (data / "EmoSet" / instruction.image,)


def test_the_authors_rows_and_ours_make_one_mixture(outputs, whole, tmp_path):
    emovit.make(tmp_path)
    theirs = {"path": str(tmp_path / "EmoVIT"), "image_root": str(tmp_path / "EmoSet")}
    parts = Data(reader=Emovit(), mixture={"theirs": theirs, "ours": {"path": "whole"}}).sources(outputs)
    rows = {part.name: [row for row in stream(part) if isinstance(row, Row)] for part in parts}
    assert len(rows["theirs"]) == 24 and len(rows["ours"]) >= 16
    answers = {name: {row.turns[1].text for row in of} for name, of in rows.items()}
    assert "Predict emotion: awe" in answers["theirs"] & answers["ours"]


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["feid", "emovit"])
def test_a_run_is_trained_on_by_its_name(outputs, cli, data, whole, reader):
    arguments = (f"data={reader}", "data.path=whole", f"name={reader}", f"paths.data={data}")
    done = cli("train", *arguments, f"paths.outputs={outputs}", *LIGHT)
    assert done.returncode == 0, done.stderr
    rows = sum(1 for _ in (whole[0] / "instructions.jsonl").open())
    manifest = json.loads((outputs / "train" / reader / "manifest.json").read_text())
    assert manifest["rows"] == rows and manifest["rejected"] == 0
