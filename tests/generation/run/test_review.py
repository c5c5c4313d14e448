"""A person's review of a finished generation becomes a new run; what a review must not do is refused."""

import json
import shutil

import pytest

from seke.answers.extract import describe, extract
from seke.core.errors import UserError
from seke.core.records import InstructionRecord, Labels, Origins, Rejection, read_jsonl, to_line, write_jsonl
from seke.core.runs import claim, file_sha256
from seke.generation.run import generate
from seke.generation.run.review import Decision, apply, corrected, decided


@pytest.fixture
def outputs(data, make_seke, tmp_path):
    """An outputs folder with the finished generation `first` of ten records, one of which was rejected."""
    folder = tmp_path / "generate" / "first"
    config = {"name": "first", "records": "tiny", "generator": {"max_samples": 5}, "paths": {"outputs": "x"}}
    run = claim(folder, config, {"records": data.folder / "train.jsonl"})
    lost = data.records[9].model_copy(update={"image": "lost.png"})
    done = generate.generate([*data.records[:9], lost], data.folder / "images", make_seke(), folder, 256)
    run.finish(image_root=str(data.folder / "images"), **done.facts, prompts={"draw": "ab"})
    return tmp_path


def rows(outputs, name="first"):
    return {row.id: row for row in read_jsonl(outputs / "generate" / name / "instructions.jsonl", InstructionRecord)}


def review(outputs, *decisions, **changes):
    """Write a review.json as the gallery downloads it."""
    run = {"name": "first", "manifest": file_sha256(outputs / "generate" / "first" / "manifest.json"), **changes}
    path = outputs / "review.json"
    path.write_text(json.dumps({"run": run, "decisions": list(decisions)}))
    return path


def says(record, decision, labels=None, note=""):
    return {"id": record, "decision": decision, "labels": labels, "note": note}


def other(row):
    """A correction that differs from a record in every label it names."""
    expression = "fear" if row.labels.expression != "fear" else "anger"
    return {"expression": expression, "valence": 1, "action_units": {"1": not row.labels.action_units[1]}}


def test_each_decision_does_what_it_says_and_the_rest_stays_untouched(outputs):
    before = rows(outputs)
    one, two, three, *others = before
    path = review(
        outputs, says(one, "accept"), says(two, "correct", other(before[two])), says(three, "reject", note="no face")
    )
    run = apply(path, outputs, "second")
    after = rows(outputs, "second")
    assert [*after] == [one, two, *others]
    assert [to_line(after[name]) for name in others] == [to_line(before[name]) for name in others]
    assert after[one] == before[one].model_copy(update={"flags": (*before[one].flags, "accepted")})
    assert after[two].labels.expression == other(before[two])["expression"]
    lost, rejected = read_jsonl(run.path / "rejected.jsonl", Rejection)
    assert (lost.id, lost.reason) == ("tiny-09", "image")
    assert rejected == Rejection(id=three, reason="review", detail="no face")
    manifest = json.loads((run.path / "manifest.json").read_text())
    assert manifest["counts"] == {"records": 10, "instructions": 8, "rejected": 2}
    assert manifest["decisions"] == {"accept": 1, "correct": 1, "reject": 1}
    assert manifest["flags"]["accepted"] == manifest["flags"]["reviewed"] == 1


def test_the_new_run_is_one_that_others_can_build_on_and_cost_nothing(outputs):
    first = next(iter(rows(outputs)))
    path = review(outputs, says(first, "accept"))
    run = apply(path, outputs, "second")
    manifest = json.loads((run.path / "manifest.json").read_text())
    assert manifest["config"]["records"] == "tiny"
    assert manifest["config"]["generator"] == {"max_samples": 5}
    assert manifest["config"]["name"] == "second"
    assert manifest["reviewed"]["name"] == "first"
    assert (run.path / manifest["image_root"] / rows(outputs, "second")[first].image).is_file()
    source = outputs / "generate" / "first"
    assert (run.path / "draws.jsonl").read_bytes() == (source / "draws.jsonl").read_bytes()
    (kept,) = json.loads((run.path / "review.json").read_text())["decisions"]
    assert kept["sha256"] == rows(outputs)[first].sha256
    cost = json.loads((run.path / "cost.json").read_text())
    assert (cost["records"], cost["rejected"], cost["requests"], cost["usd"]) == (10, 1, 0, 0.0)


def test_a_correction_makes_manual_labels_and_a_new_text(outputs):
    before = next(row for row in rows(outputs).values() if row.origin.expression == "generated")
    sure = {"expression": 0.9, "arousal": 0.8, "action_units": {"1": 0.7, "2": 0.6}}
    before = before.model_copy(update={"confidence": sure})
    said = Labels.model_validate_json(json.dumps(other(before)))
    after = corrected(before, said)
    assert after.labels == said.completed_by(before.labels)
    assert (after.origin.expression, after.origin.valence, after.origin.arousal) == ("manual", "manual", "generated")
    assert after.origin.action_units == {**before.origin.action_units, "1": "manual"}
    assert after.conversations[0] == before.conversations[0]
    assert after.conversations[1].value == describe(after.labels, digits=2)
    assert extract(after.conversations[1].value).expression == said.expression
    assert after.confidence == {"arousal": 0.8, "action_units": {"2": 0.6}}
    assert (after.uncertainty, after.samples, after.annotator) == (before.uncertainty, before.samples, before.annotator)
    assert after.flags[-1] == "reviewed"
    assert corrected(after, said).flags == after.flags


def test_flags_about_labels_at_odds_are_found_anew(outputs):
    row = next(iter(rows(outputs).values()))
    odd = corrected(row, Labels(expression="happiness", valence=-0.9, arousal=0.4, action_units={12: True}))
    assert {"au12_negative_valence", "va_far_from_expression"} <= set(odd.flags)
    even = corrected(odd, Labels(valence=0.8))
    left = (flag for flag in row.flags if not flag.startswith(("au12", "va_far")))
    assert even.flags == (*left, "reviewed")


def test_an_accepted_record_is_flagged_once(outputs):
    row = next(iter(rows(outputs).values()))
    accept = Decision(id=row.id, decision="accept")
    once = decided(row, accept)
    assert decided(once, accept) == once


def test_the_same_command_again_finds_the_run_finished(outputs):
    path = review(outputs, says(next(iter(rows(outputs))), "accept"))
    manifest = apply(path, outputs, "second").path / "manifest.json"
    before = manifest.stat().st_mtime_ns
    assert apply(path, outputs, "second").finished
    assert manifest.stat().st_mtime_ns == before
    review(outputs)
    with pytest.raises(UserError, match=r"^name=second: .*overwrite=true$"):
        apply(path, outputs, "second")
    assert apply(path, outputs, "second", overwrite=True).finished
    assert "accepted" not in {flag for row in rows(outputs, "second").values() for flag in row.flags}


def test_a_review_may_itself_be_reviewed(outputs):
    first = next(iter(rows(outputs)))
    second = apply(review(outputs, says(first, "accept")), outputs, "second").path
    path = review(outputs, says(first, "reject"), name="second", manifest=file_sha256(second / "manifest.json"))
    assert first not in rows(outputs, apply(path, outputs, "third").path.name)


@pytest.fixture
def scenes(outputs):
    """Make scenes of the first run's records: without labels, with a kind and an emotion. Return their rows."""
    kinds = ("categorical", "reasoning")
    told = [
        row.model_copy(
            update={
                "labels": Labels(), "origin": Origins(), "flags": (),
                "attributes": {"kind": kinds[number % 2], "emotion": "awe" if number else "fear"},
            }
        )
        for number, row in enumerate(rows(outputs).values())
    ]  # fmt: skip
    write_jsonl(outputs / "generate" / "first" / "instructions.jsonl", told)
    return told


def test_scenes_are_accepted_and_rejected_and_their_kinds_counted_anew(outputs, scenes):
    path = review(outputs, says(scenes[0].id, "reject"), says(scenes[1].id, "accept"))
    run = apply(path, outputs, "second")
    after = rows(outputs, "second")
    assert after == {
        scenes[1].id: scenes[1].model_copy(update={"flags": ("accepted",)}),
        **{row.id: row for row in scenes[2:]},
    }
    manifest = json.loads((run.path / "manifest.json").read_text())
    assert manifest["kinds"] == {"categorical": {"awe": 4, "fear": 0}, "reasoning": {"awe": 4}}
    assert "| fear | 0 of 1 | 0 | 0 of 1 |" in (run.path / "statistics.md").read_text()


def test_a_record_without_labels_has_nothing_to_correct(outputs, scenes):
    path = review(outputs, says(scenes[0].id, "correct", {"valence": 0.5}))
    with pytest.raises(UserError, match=rf"corrects '{scenes[0].id}', which has no labels; accept or reject it$"):
        apply(path, outputs, "second")
    assert not (outputs / "generate" / "second").exists()


def test_faces_have_no_kinds_to_count(outputs):
    run = apply(review(outputs), outputs, "second")
    assert "kinds" not in json.loads((run.path / "manifest.json").read_text())
    assert not (run.path / "statistics.md").exists()


@pytest.mark.parametrize(
    ("decisions", "changes", "message"),
    [
        ([says("tiny-77", "accept")], {}, r"the run has no record 'tiny-77'"),
        ([says("tiny-09", "accept")], {}, r"the run has no record 'tiny-09'"),
        ([says("tiny-00", "accept"), says("tiny-00", "reject")], {}, r"decides twice about 'tiny-00'"),
        ([], {"manifest": "0" * 64}, r"is not about .*first as it stands"),
        ([], {"name": "nobody"}, r"^review\.run=nobody: neither a file nor a finished"),
        ([says("tiny-00", "correct")], {}, r"correct of tiny-00 lacks labels"),
        ([says("tiny-00", "correct", {"valence": None})], {}, r"correct of tiny-00 lacks labels"),
        ([says("tiny-00", "accept", {"valence": 0.5})], {}, r"accept of tiny-00 has labels"),
        ([says("tiny-00", "correct", {"valence": 2})], {}, r"field decisions\.0\.labels\.valence"),
        ([says("tiny-00", "correct", {"expression": "mood"})], {}, r"none of neutral"),
        ([says("tiny-00", "maybe")], {}, r"field decisions\.0\.decision"),
    ],
)
def test_what_a_review_must_not_say(outputs, decisions, changes, message):
    with pytest.raises(UserError, match=message):
        apply(review(outputs, *decisions, **changes), outputs, "second")
    assert not (outputs / "generate" / "second").exists()


def test_the_reviewed_run_is_never_overwritten(outputs):
    path = review(outputs)
    with pytest.raises(UserError, match="the run that was reviewed"):
        apply(path, outputs, "first", overwrite=True)
    assert rows(outputs)


def test_a_file_that_is_no_review_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"^review=.*: does not open"):
        apply(tmp_path / "nothing.json", tmp_path, "x")
    (tmp_path / "broken.json").write_text('{"run": ')
    with pytest.raises(UserError, match=r"whole file"):
        apply(tmp_path / "broken.json", tmp_path, "x")


def test_the_command_applies_a_review_and_says_where(cli, data, outputs):
    (outputs / "prepare").mkdir()
    first = next(iter(rows(outputs)))
    path = review(outputs, says(first, "reject", note="blurred"))
    shutil.rmtree(outputs / "prepare")  # no records are read
    done = cli("generate", f"review={path}", "name=second", f"paths.outputs={outputs}")
    assert done.returncode == 0, done.stderr
    made = outputs / "generate" / "second"
    assert (
        done.stdout.splitlines()[0] == f"{made}: 0 accepted, 0 corrected, 1 rejected; all other rows are as they were"
    )
    assert first not in rows(outputs, "second")
    mistaken = cli("generate", f"review={path}", "name=first", f"paths.outputs={outputs}")
    assert mistaken.returncode == 2
    assert mistaken.stderr.startswith("error: name=first: this is the run that was reviewed;")
