"""The control that does not look: rows as any other, without a backend, and nothing said that nobody taught."""

import json

import pytest

from seke.answers.extract import extract
from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.records import NOBODY, ImageRecord, InstructionRecord, Labels, Rejection, read_jsonl, write_jsonl
from seke.core.vlm import Image
from seke.generation.blind import FLAG, Blind
from seke.generation.outcome import Face, completed


class Silent:
    """A backend that must not be asked."""

    def reply(self, requests):
        raise AssertionError("somebody was asked")


def faces_of(records, folder):
    return [Face(record, Image(folder / record.image, record.sha256)) for record in records]


def annotated(records, tmp_path, prompts, **settings):
    """Return the rows by id; the backend raises when asked."""
    blind = Blind(Silent(), prompts, **settings)
    blind.learn(records, lambda record: None, tmp_path)
    outcomes = completed(blind, faces_of(records, tmp_path))
    assert all(outcome.cost.requests == 0 and outcome.cost.usd == 0 for outcome in outcomes)
    assert all(outcome.trace.draws == () and outcome.trace.requests == 0 for outcome in outcomes)
    return {outcome.row.id: outcome.row for outcome in outcomes}


def record(number: int, labels: Labels, subject: str | None = None) -> ImageRecord:
    return ImageRecord(
        id=f"r{number}", image="x.png", sha256="0" * 64, source="s", subject=subject, split="train", labels=labels
    )


COMPLETE = Labels(expression="fear", valence=-0.5, arousal=0.6, action_units={1: True, 12: False})


def test_a_row_says_its_labels_where_they_come_from_and_that_nobody_looked(data, tmp_path, prompts):
    for row in annotated(data.records, tmp_path, prompts).values():
        assert isinstance(row, InstructionRecord)
        assert (row.annotator, row.simulated, row.samples) == (NOBODY, False, 0)
        assert FLAG in row.flags
        assert row.uncertainty.max is None
        read = extract(row.conversations[-1].value)
        assert (read.expression, read.action_units) == (row.labels.expression, row.labels.action_units)
        known = next(each for each in data.records if each.id == row.id).labels
        assert known.completed_by(row.labels) == row.labels
        assert (row.origin.expression == "generated") == (known.expression is None)
        assert ("expression" in (row.confidence or {})) == (known.expression is None)


def test_a_hidden_description_of_other_subjects_teaches_and_ones_own_does_not(tmp_path, prompts):
    happy = Labels(expression="happiness", valence=0.9, arousal=0.5, action_units={12: True})
    records = [record(n, COMPLETE, f"p{n}") for n in range(20)] + [record(n, happy, f"q{n}") for n in range(20, 40)]
    rows = annotated(records, tmp_path, prompts, hide=["au"])
    assert rows["r0"].origin.action_units == {"1": "generated", "12": "generated"}
    assert rows["r0"].labels.action_units == {1: True, 12: False}
    assert "partial_action_units" in rows["r0"].flags
    # Somebody whose own AUs are the opposite of everybody else's is told what everybody else's say.
    odd = COMPLETE.model_copy(update={"action_units": {1: False, 12: True}})
    again = annotated([record(0, odd, "p0"), *records[1:]], tmp_path, prompts, hide=["au"])
    assert again["r0"].labels == rows["r0"].labels


def test_what_no_other_subject_carries_is_a_rejection_that_says_so(tmp_path, prompts):
    records = [record(n, Labels(expression="fear", action_units={1: True}), f"p{n}") for n in range(4)]
    records.append(record(9, COMPLETE, "complete"))
    rows = annotated(records, tmp_path, prompts)
    assert isinstance(rows["r0"], InstructionRecord)  # valence and arousal are those of `complete`
    row = annotated(records[:4], tmp_path, prompts)["r0"]
    assert isinstance(row, Rejection)
    assert (row.reason, row.detail) == ("not_inferable", "no other subject has human labels of valence, arousal")
    alone = annotated(records, tmp_path, prompts, hide=["va"])["r9"]
    assert isinstance(alone, Rejection)


def test_mistakes_end_with_one_line(tmp_path, prompts):
    with pytest.raises(UserError, match=r"generator\.hide=mood"):
        Blind(Silent(), prompts, hide=["mood"])
    with pytest.raises(UserError, match=r"generator\.folds"):
        Blind(Silent(), prompts, folds=1)
    with pytest.raises(UserError, match="at least two subjects"):
        annotated([record(n, COMPLETE, "same") for n in range(9)], tmp_path, prompts)


def test_the_command_pays_nobody_and_its_dry_run_says_so(cli, data, tmp_path):
    (tmp_path / "prepare").mkdir()
    (tmp_path / "prepare" / "tiny").symlink_to(data.folder)
    words = ("records=tiny", "generator=blind", "name=it", "backend=openai", f"paths.outputs={tmp_path}")
    tried = cli("generate", *words, "dry_run=true")
    assert "$0.00           $0.00" in tried.stdout
    done = cli("generate", *words)  # there is no key, and none is wanted
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "generate" / "it"
    assert len(list(read_jsonl(folder / "instructions.jsonl", InstructionRecord))) == len(data.records)
    cost = json.loads((folder / "cost.json").read_text())
    assert (cost["requests"], cost["usd"], cost["usd_at_most"]) == (0, 0, 0)
    card = (folder / "README.md").read_text()
    assert "never saw a picture" in card
    assert "vision LLM" not in card.split("## Rows")[0]


def test_the_command_hears_a_table_and_notices_that_it_has_changed(cli, data, tmp_path):
    records = [
        row.model_copy(update={"id": f"{row.id}-{copy}", "subject": f"{row.subject}-{copy}"})
        for copy in range(6)
        for row in data.records
    ]
    write_jsonl(tmp_path / "faces.jsonl", records)
    (tmp_path / "manifest.json").write_text(json.dumps({"image_root": str(data.folder / "images")}))
    table = tmp_path / "tool, its own.csv"
    lines = [",".join(["id", *(f"AU{au}_r" for au in ACTION_UNITS)])]
    for row in records:
        truth = data.truth[row.id.rpartition("-")[0]].action_units
        lines.append(",".join([row.id, *(str(5 * truth[au]) for au in ACTION_UNITS)]))
    table.write_text("\n".join(lines))
    witnesses = f"generator.witnesses=[{{path: '{table}', name: tool}}]"
    words = (f"records={tmp_path}/faces.jsonl", "generator=blind", "name=it", f"paths.outputs={tmp_path}", witnesses)
    done = cli("generate", *words)
    assert done.returncode == 0, done.stderr
    assert "witness tool: 240 rows answer for 240 of 240 records" in done.stderr
    folder = tmp_path / "generate" / "it"
    rows = list(read_jsonl(folder / "instructions.jsonl", InstructionRecord))
    assert {row.annotator for row in rows} <= {NOBODY, "witness tool"}
    assert any("witnesses" in row.flags for row in rows)
    assert "no vision LLM was asked" in (folder / "README.md").read_text()
    table.write_text(table.read_text().replace(",5", ",4"))
    again = cli("generate", *words)
    assert again.returncode == 2
    assert "witness.tool" in again.stderr
