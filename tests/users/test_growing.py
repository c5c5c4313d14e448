"""A user's data grow: ten more photographs, a corrected label, a removed person, and a review that is to last."""

import csv
import json
import shutil
from random import Random

import pytest
from PIL import Image

from seke.core import audit
from seke.core.records import ImageRecord, InstructionRecord, Rejection, read_jsonl, to_line
from seke.core.runs import file_sha256

from .. import warm
from ..conftest import ROOT
from ..servers.openai_server import running

KEY = {"OPENAI_API_KEY": "sk-test-0123456789-SECRET"}
WORDS = ("happiness", "sadness", "anger", "surprise")


def photograph(path, seed):
    """Write a picture that is like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.frombytes("RGB", (24, 24), Random(seed).randbytes(24 * 24 * 3)).save(path)


class Day:
    """A folder of photographs with its table, and the commands that its owner runs."""

    def __init__(self, folder, cli, server):
        self.root, self.outputs, self.command, self.server = folder / "photos", folder / "outputs", cli, server
        self.table = {}
        self.add("anna", "bert", "cleo", "dora")

    def add(self, *people, count=3):
        for person in people:
            for number in range(count):
                name = f"{person}/{number}.png"
                photograph(self.root / name, name)
                self.table[name] = WORDS[len(self.table) % len(WORDS)]
        self.write()

    def remove(self, person):
        shutil.rmtree(self.root / person)
        self.table = {name: word for name, word in self.table.items() if not name.startswith(f"{person}/")}
        self.write()

    def write(self):
        with (self.root / "labels.csv").open("w", newline="") as file:
            rows = [(name, name.partition("/")[0], word) for name, word in self.table.items()]
            csv.writer(file).writerows([("image", "subject", "expression"), *rows])

    def prepare(self, *words):
        settings = ("source=folder", f"source.root={self.root}", "name=mine", f"paths.outputs={self.outputs}")
        return self.command("prepare", *settings, *words)

    def generate(self, *words):
        ask = ("backend=openai", "backend.model=gpt-test", f"backend.base_url={self.server.url}")
        done = self.command("generate", *ask, "backend.backoff=0.01", f"paths.outputs={self.outputs}", *words, **KEY)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def splits(self):
        files = [self.outputs / "prepare" / "mine" / f"{split}.jsonl" for split in ("train", "validation", "test")]
        return {row.id: row.split for file in files for row in read_jsonl(file, ImageRecord)}

    def rows(self, name):
        file = self.outputs / "generate" / name / "instructions.jsonl"
        return {row.id: row for row in read_jsonl(file, InstructionRecord)}

    def rejected(self, name):
        return {row.id for row in read_jsonl(self.outputs / "generate" / name / "rejected.jsonl", Rejection)}

    def review(self, **decisions):
        """Write a review.json of the run `mine` as the page downloads it."""
        run = {"name": "mine", "manifest": file_sha256(self.outputs / "generate" / "mine" / "manifest.json")}
        path = self.outputs / "review.json"
        path.write_text(json.dumps({"run": run, "decisions": list(decisions.values())}))
        return path

    @property
    def paid(self):
        return self.server.paid.total()

    def asked_since(self, count):
        """Return how many different pictures the requests after the first `count` showed."""
        texts = [json.dumps(body) for body in self.server.bodies[count:]]
        return len({text.partition("base64,")[2].partition('"')[0] for text in texts})


@pytest.fixture
def day(tmp_path, cli):
    with running() as server:
        day = Day(tmp_path, cli, server)
        assert day.prepare().returncode == 0
        day.generate("records=mine", "name=mine")
        yield day


def decision(row, kind, **more):
    return {"id": row, "decision": kind, "labels": None, "note": "", **more}


def test_a_set_grows_and_only_what_is_new_or_changed_is_paid_for(day):
    before, splits = day.rows("mine"), day.splits()
    trained = [name for name, split in splits.items() if split == "train"]
    corrected, gone = trained[0], next(name.partition("/")[0] for name in trained[::-1])
    assert corrected.partition("/")[0] != gone
    day.add("emil", "fritz", "gina", count=3)
    day.add("hugo", count=1)
    day.table[corrected] = "fear"
    day.remove(gone)

    refused = day.prepare()
    assert refused.returncode == 2
    assert "was made before its labels changed; say update=true" in refused.stderr
    done = day.prepare("update=true")
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("since"))
    assert line.startswith("since the earlier set: 10 new (")
    assert f"), 1 with changed labels ({corrected}), 3 gone ({gone}/0.png, " in line
    assert line.endswith("whoever was there is in the same split as before")
    now = day.splits()
    assert {name: now[name] for name in splits if name in now} == {
        name: split for name, split in splits.items() if not name.startswith(f"{gone}/")
    }
    assert "finished already" in day.prepare("update=true").stdout

    paid, seen = day.paid, len(day.server.bodies)
    new = [name for name, split in now.items() if split == "train" and name not in splits]
    estimate = day.generate("records=mine", "name=mine", "update=true", "dry_run=true")
    assert f"{len(new) + 1} records" in estimate
    told = day.generate("records=mine", "name=mine", "update=true")
    kept = len(before) - 1 - 3
    assert (
        f"update: {kept} records are taken over, {len(new)} new and 1 changed ones are asked about, 3 are gone" in told
    )
    assert day.paid > paid
    assert max(day.server.paid.values()) == 1
    assert day.asked_since(seen) == len(new) + 1
    after = day.rows("mine")
    assert list(after) == [name for name, split in now.items() if split == "train"]
    untouched = [name for name in before if name in after and name != corrected]
    assert [to_line(after[name]) for name in untouched] == [to_line(before[name]) for name in untouched]
    assert after[corrected].labels.expression == "fear"
    cost = json.loads((day.outputs / "generate" / "mine" / "cost.json").read_text())
    assert cost["requests"] == day.paid
    assert cost["update"]["requests"] == day.paid - paid
    assert "is finished" in day.generate("records=mine", "name=mine", "update=true")


def test_reviewed_decisions_last_and_merge_back_into_the_table(day):
    one, two, three, *_ = day.rows("mine")
    path = day.review(
        one=decision(one, "accept"),
        two=decision(two, "correct", labels={"valence": -0.25, "action_units": {"12": True}}),
        three=decision(three, "reject", note="blurred"),
    )
    day.generate(f"review={path}", "name=reviewed")
    first = day.rows("reviewed")
    records = day.outputs / "generate" / "reviewed" / "records.jsonl"
    people = {row.id: row.labels for row in read_jsonl(records, ImageRecord)}
    assert people[one] == first[one].labels
    assert people[two].valence == -0.25

    day.add("emil", "fritz", "gina")
    assert day.prepare("update=true").returncode == 0
    day.generate("records=mine", "name=mine", "update=true")
    paid = day.paid
    day.generate("review=reviewed", "name=reviewed", "update=true")  # the same review, of the run as it is now
    second = day.rows("reviewed")
    assert [to_line(second[name]) for name in (one, two)] == [to_line(first[name]) for name in (one, two)]
    assert three in day.rejected("reviewed")
    assert set(second) - set(first) == {name for name in day.rows("mine") if name not in first and name != three}

    done = warm.run(ROOT / "scripts" / "merge_review.py", "reviewed", "--outputs", day.outputs)
    assert done.returncode == 0, done.stderr
    merged = day.root / "labels.reviewed.csv"
    with merged.open(encoding="utf-8-sig", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["image"] == two)
    assert (row["valence"], row["AU12"], row["expression"]) == ("-0.25", "1", day.table[two])
    merged.replace(day.root / "labels.csv")
    assert f"1 with changed labels ({two})" in day.prepare("update=true").stdout
    day.generate("records=mine", "name=reviewed", "update=true")
    assert day.paid == paid  # what the table says by now is what the reviewer said
    third = day.rows("reviewed")
    assert third[two].labels == second[two].labels
    assert three in day.rejected("reviewed")
    assert "reviewed" in third[two].flags
    day.generate("records=reviewed", "name=again")
    assert day.rows("again")[one].labels == first[one].labels


def test_a_review_of_a_run_that_was_made_anew_holds_for_the_same_pictures(day):
    one, two, *_ = day.rows("mine")
    path = day.review(
        one=decision(one, "correct", labels={"valence": 0.5}), two=decision(two, "correct", labels={"valence": 0.5})
    )
    day.generate(f"review={path}", "name=reviewed")
    photograph(day.root / two, "another picture")
    assert day.prepare("update=true").returncode == 0
    day.generate("records=mine", "name=mine", "overwrite=true", "seed=1")
    day.generate("review=reviewed", "name=again")
    assert day.rows("again")[one].labels.valence == 0.5
    assert "reviewed" not in day.rows("again")[two].flags


@pytest.mark.slow
def test_a_queue_its_audit_and_what_they_say_go_on_with_a_set_that_grows(day):
    """As a user does it: look at whom review=next names, take on more people, look at whom it names then."""

    def queue(of="mine"):
        told = day.generate("review=next", f"name={of}", "n=8", "audit=0.5")
        file = day.outputs / "generate" / of / "queue.jsonl"
        return told, {row["id"]: row["why"] for row in map(json.loads, file.open())}

    def look(asked, of, to):
        run = {"name": of, "manifest": file_sha256(day.outputs / "generate" / of / "manifest.json")}
        first, *others = asked
        decisions = [decision(first, "correct", labels={"valence": 0.75}), *(decision(id_, "accept") for id_ in others)]
        path = day.outputs / f"{to}.json"
        path.write_text(json.dumps({"run": run, "decisions": decisions}))
        return day.generate(f"review={path}", f"name={to}")

    def audit_of(name):
        return audit.read(day.outputs / "generate" / name)

    _, asked = queue()
    look(asked, "mine", "looked")
    drawn = {id_ for id_, why in asked.items() if why == "audit"}
    before = audit_of("looked")
    assert drawn == {row.id for row in before.sample} and not before.problem

    day.add("emil", "fritz", "gina", "hans")
    assert day.prepare("update=true").returncode == 0
    day.generate("records=mine", "name=mine", "update=true")
    paid = day.paid
    told, _ = queue()
    assert "looked is of mine as it was before: review=looked name=looked update=true carries its looks over" in told
    day.generate("review=looked", "name=looked", "update=true")
    grown = audit_of("looked")
    assert {row.id for row in grown.rows} == set(asked)
    assert grown.population == len(day.rows("looked")) > before.population
    corrected = next(iter(asked))
    assert day.rows("looked")[corrected].labels.valence == 0.75

    told, more = queue()
    assert "as it was before" not in told
    assert not set(more) & set(asked), "nobody is looked at twice"
    look(more, "mine", "looked-again")
    day.generate("review=[looked,looked-again]", "name=both")
    both = audit_of("both")
    assert {row.id for row in both.rows} == {*asked, *more}
    assert not both.problem
    assert {row.id for row in both.sample} >= {id_ for id_, why in more.items() if why == "audit"} | drawn
    assert {row.probability for row in both.sample} == {len(both.sample) / both.population}
    assert day.paid == paid, "looking costs nothing"
