"""Whom people look at next: most by doubt, some at random, nobody twice; and what their looks guarantee."""

import json

import numpy as np
import pytest

from seke.core import audit
from seke.core.audit import order
from seke.core.errors import UserError
from seke.core.records import InstructionRecord, Labels, Origins, Turn, Uncertainty, read_jsonl, write_jsonl
from seke.core.runs import claim, file_sha256
from seke.generation.run import audited, queue
from seke.generation.run.queue import Wanted, ask
from seke.generation.run.review import apply, line

TURNS = (Turn(speaker="human", value="?"), Turn(speaker="gpt", value="!"))
GENERATED = Origins(expression="generated")


def run_of(outputs, rows, name="mine"):
    """Write a finished run of these rows."""
    run = claim(outputs / "generate" / name, {"name": name, "records": "x"}, {})
    write_jsonl(run.path / "instructions.jsonl", rows)
    write_jsonl(run.path / "rejected.jsonl", [])
    run.finish(image_root=".", counts={"records": len(rows)})
    return run.path


def faces(number, seed=0, wrong=0.068, **changes):
    """Return rows whose expression alone is the machine's, and what is true of each."""
    rng = np.random.default_rng(seed)
    risk = rng.beta(0.25, 0.25 * (1 - wrong) / wrong, size=number)
    truth = np.where(rng.random(number) < risk, "anger", "fear")
    of = {"image": "a.png", "source": "s", "conversations": TURNS, "samples": 1, "annotator": "a", "sha256": "0"}
    of |= {
        "labels": Labels(expression="fear"),
        "origin": GENERATED,
        "uncertainty": Uncertainty(expression=0.5),
        **changes,
    }
    rows = [
        InstructionRecord(id=f"f{n:05}", subject=f"p{n % 300}", confidence={"expression": 1 - float(risk[n])}, **of)
        for n in range(number)
    ]
    return rows, dict(zip([row.id for row in rows], truth.tolist(), strict=True))


def look(outputs, truth, ids, name="seen", of="mine", **how):
    """Let a perfect reviewer look at faces, and apply it."""
    apply(reviewed(outputs, truth, ids, of), outputs, name, **how)


def reviewed(outputs, truth, ids, of="mine", file="review.json"):
    said = {"accept": None}
    decisions = [
        {"id": id_, "decision": "correct", "labels": {"expression": truth[id_]}}
        if truth[id_] != "fear"
        else {"id": id_, "decision": next(iter(said)), "labels": None}
        for id_ in ids
    ]
    manifest = file_sha256(outputs / "generate" / of / "manifest.json")
    path = outputs / file
    path.write_text(json.dumps({"run": {"name": of, "manifest": manifest}, "decisions": decisions}))
    return path


def queued(outputs, name="mine"):
    lines = (outputs / "generate" / name / queue.ROWS).read_text().splitlines()
    return {row["id"]: row["why"] for row in map(json.loads, lines)}


def test_most_are_doubtful_some_random_and_the_same_command_asks_the_same(tmp_path) -> None:
    rows, _ = faces(400)
    run_of(tmp_path, rows)
    said = ask(tmp_path, "mine", Wanted(n=40, audit=0.1))
    first = (tmp_path / "generate" / "mine" / queue.ROWS).read_bytes()
    found = queued(tmp_path)
    drawn = [id_ for id_, why in found.items() if why == "audit"]
    assert sorted(drawn) == sorted(order([row.id for row in rows], 0)[:4])
    doubtful = sorted(rows, key=lambda row: row.confidence["expression"])
    left = [row.id for row in doubtful if row.id not in drawn][:36]
    assert {id_ for id_, why in found.items() if why == "doubt"} == set(left)
    assert [*found] != sorted(found, key=[*drawn, *left].index), "the order does not tell who was drawn"
    assert "40 faces to look at next: 4 drawn at random, 36 with the most labels" in said[-1]
    ask(tmp_path, "mine", Wanted(n=40, audit=0.1))
    assert (tmp_path / "generate" / "mine" / queue.ROWS).read_bytes() == first


def test_nobody_is_looked_at_twice_and_a_second_round_goes_on_with_the_audit(tmp_path) -> None:
    rows, truth = faces(400)
    run_of(tmp_path, rows)
    ask(tmp_path, "mine", Wanted(n=40, audit=0.25))
    first = queued(tmp_path)
    look(tmp_path, truth, first)
    found = audit.read(tmp_path / "generate" / "seen")
    assert (len(found.rows), len(found.sample), found.population, found.problem) == (40, 10, 400, "")
    assert {row.probability for row in found.sample} == {10 / 400}
    gained = json.loads((tmp_path / "generate" / "seen" / audited.LOOKS).read_text())
    assert gained["looks"][-1] == 30 and gained["at_random"]["looks"] == 10 and gained["stated"]
    assert gained["observed"][-1] == sum(truth[id_] == "anger" for id_, why in first.items() if why == "doubt")
    ask(tmp_path, "mine", Wanted(n=40, audit=0.25))
    second = queued(tmp_path)
    assert not set(first) & set(second)
    both = [*set(order([row.id for row in rows], 0)[:20])]
    assert {id_ for id_, why in second.items() if why == "audit"} == set(both) - set(first)
    look(tmp_path, truth, second, name="seen-2", of="seen")
    assert len(audit.read(tmp_path / "generate" / "seen-2").rows) == len(first) + len(second)


def test_what_was_reviewed_of_a_reviewed_run_keeps_the_machines_first_words(tmp_path) -> None:
    rows, truth = faces(50)
    run_of(tmp_path, rows)
    ask(tmp_path, "mine", Wanted(n=50, audit=1.0))
    look(tmp_path, truth, truth)
    other = dict.fromkeys(truth, "neutral")
    look(tmp_path, other, [*truth][:5], name="again", of="seen")
    found = {row.id: row for row in audit.read(tmp_path / "generate" / "again").rows}
    assert len(found) == 50
    assert {found[id_].machine.expression for id_ in truth} == {"fear"}
    assert {found[id_].human.expression for id_ in [*truth][:5]} == {"neutral"}
    assert found[[*truth][7]].human.expression == truth[[*truth][7]]


def grown(outputs, changed, gone, added, rows):
    """Write what an update of the reviewed run `seen` leaves behind: rows of today, and the files that it takes."""
    before, now = outputs / "generate" / "seen", outputs / "generate" / "grown"
    anew = {row.id: row.model_copy(update={"sha256": "1"}) for row in rows if row.id in changed}
    kept = [row for row in read_jsonl(before / "instructions.jsonl", InstructionRecord) if row.id not in gone]
    kept = [anew.get(row.id, row) for row in kept]
    run_of(outputs, [*kept, *(row for row in rows if row.id in added)], name="grown")
    for name in audited.FILES:
        if (before / name).is_file():
            (now / name).write_bytes((before / name).read_bytes())
    audited.renew(now)
    return now


def test_the_audit_of_a_set_that_grows_goes_on_by_the_pictures_of_today(tmp_path) -> None:
    every, truth = faces(440)
    rows = every[:400]
    run_of(tmp_path, rows)
    ask(tmp_path, "mine", Wanted(n=40, audit=1.0))
    look(tmp_path, truth, queued(tmp_path))
    bound = audit.read(tmp_path / "generate" / "seen").plan.bounds[-1]
    inside = order([row.id for row in rows], 0)[:40]
    added = {row.id for row in every[400:]}
    now = grown(tmp_path, {inside[3]}, {inside[5]}, added, every)
    new = {id_ for id_ in added if audit.number(0, id_) <= bound}
    said = json.loads((now / audit.PLAN).read_text())
    assert said["population"] == 440 - 1
    assert said["looked"] == 38, "one picture is gone, another is another one by now"
    assert set(said["missing"]) == {inside[3], *new}
    assert new, "a new record belongs to the sample"
    assert {row.probability for row in audit.read(now).rows if row.u > audit.number(0, said["missing"][0])} == {None}
    assert "which the audit needs" in said["problem"]
    ask(tmp_path, "grown", Wanted(n=len(said["missing"]), audit=0.05))
    assert set(queued(tmp_path, "grown")) == set(said["missing"]), "what is missing comes first"
    look(tmp_path, truth, queued(tmp_path, "grown"), name="grown-seen", of="grown")
    found = audit.read(tmp_path / "generate" / "grown-seen")
    assert not found.problem
    assert len(found.sample) == 39 + len(new)
    assert {row.probability for row in found.sample} == {len(found.sample) / 439}


def test_renewing_does_not_bring_lost_probabilities_back(tmp_path) -> None:
    rows, truth = faces(100)
    run_of(tmp_path, rows)
    ask(tmp_path, "mine", Wanted(n=20, audit=1.0))
    look(tmp_path, truth, queued(tmp_path))
    folder = tmp_path / "generate" / "seen"
    lost = [row.model_copy(update={"probability": None}) for row in read_jsonl(folder / audit.ROWS, audit.Audited)]
    write_jsonl(folder / audit.ROWS, lost)
    audited.renew(folder)
    assert "are lost" in audit.read(folder).problem


def test_a_guarantee_is_given_by_the_audit_reached_by_looks_and_then_nothing_is_left(tmp_path) -> None:
    rows, truth = faces(3000)
    folder = run_of(tmp_path, rows)
    wanted = Wanted(guarantee={"expression": 0.05})
    assert ask(tmp_path, "mine", wanted)[0] == "no guarantee yet: the audit comes first"
    assert set(queued(tmp_path).values()) == {"audit"} and len(queued(tmp_path)) == 400
    look(tmp_path, truth, queued(tmp_path), name="seen-1")
    said = ask(tmp_path, "mine", wanted)
    facts = json.loads((folder / queue.GUARANTEE).read_text())
    found = facts["descriptions"]["expression"]
    assert said[0].startswith("expressions: at most 5 % of the finished labels are wrong, with 95 % confidence, once")
    assert found["left_to_machine"] >= 0.7 * 3000 and found["upper_bound"] <= 0.05 and not facts["reached"]
    assert len(queued(tmp_path)) == found["still_to_look_at"]
    look(tmp_path, truth, queued(tmp_path), name="seen-2")
    said = ask(tmp_path, "mine", wanted)
    facts = json.loads((folder / queue.GUARANTEE).read_text())
    assert facts["reached"] and facts["tests"] == 1 and not queued(tmp_path)
    assert said[-2] == "the guarantee is reached: nobody needs to look at more"
    seen = {id_ for name in ("seen-1", "seen-2") for id_ in audited.earlier(tmp_path / "generate" / name)}
    assert sum(truth[id_] == "anger" for id_ in truth if id_ not in seen) <= 0.05 * 3000


def test_an_audit_with_a_gap_guarantees_nothing_and_asks_for_what_is_missing(tmp_path) -> None:
    rows, truth = faces(300)
    run_of(tmp_path, rows)
    ask(tmp_path, "mine", Wanted(guarantee=0.05))
    asked = [*queued(tmp_path)]
    look(tmp_path, truth, asked[1:])
    said = ask(tmp_path, "mine", Wanted(guarantee=0.05))
    assert said[0] == (
        f"no guarantee yet: nobody has decided about {asked[0]}, which the audit needs; there is no audit sample yet"
    )
    assert queued(tmp_path) == {asked[0]: "audit"}
    assert audit.read(tmp_path / "generate" / "seen").problem.startswith(f"nobody has decided about {asked[0]}")


def test_an_audit_that_lost_its_probabilities_guarantees_nothing(tmp_path) -> None:
    rows, truth = faces(300)
    run_of(tmp_path, rows)
    ask(tmp_path, "mine", Wanted(guarantee=0.05))
    look(tmp_path, truth, queued(tmp_path))
    file = tmp_path / "generate" / "seen" / audit.ROWS
    whole = file.read_text()
    looked = [json.loads(line) | {"probability": None} for line in whole.splitlines()]
    file.write_text("".join(json.dumps(row) + "\n" for row in looked))
    lost = "the probabilities of the audit in seen are lost: apply its review again"
    assert ask(tmp_path, "mine", Wanted(guarantee=0.05))[0] == f"no guarantee yet: {lost}"
    assert json.loads((tmp_path / "generate" / "mine" / queue.GUARANTEE).read_text())["problem"] == lost
    file.write_text(whole)
    assert ask(tmp_path, "mine", Wanted(guarantee=0.05))[0].startswith("expressions: at most 5 %")


def test_a_damaged_audit_of_another_run_is_said_and_keeps_nobody_from_applying_a_review(tmp_path, caplog) -> None:
    rows, truth = faces(40)
    run_of(tmp_path, rows)
    look(tmp_path, truth, [*truth][:4])
    (tmp_path / "generate" / "seen" / audit.ROWS).write_text("{\n")
    look(tmp_path, truth, [*truth][4:8], name="mended")
    assert len(audited.earlier(tmp_path / "generate" / "mended")) == 4
    assert "seen/audit.jsonl: line 1" in caplog.text


def test_runs_of_reviews_of_an_earlier_state_are_named_and_do_not_count(tmp_path) -> None:
    rows, truth = faces(100)
    folder = run_of(tmp_path, rows)
    look(tmp_path, truth, [*truth][:10])
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text() + "\n")
    said = ask(tmp_path, "mine", Wanted(n=100))
    assert said[0].startswith("seen is of mine as it was before: review=seen name=seen update=true")
    assert len(queued(tmp_path)) == 100


def test_what_no_machine_labelled_is_not_asked_for(tmp_path) -> None:
    rows, _ = faces(20, origin=Origins(expression="manual"))
    run_of(tmp_path, rows)
    with pytest.raises(UserError, match=r"^name=mine: no label of this run is a machine's; "):
        ask(tmp_path, "mine", Wanted())
    mixed, _ = faces(10)
    run_of(tmp_path, [*rows[10:], *mixed], "mixed")
    ask(tmp_path, "mixed", Wanted(n=20))
    assert set(queued(tmp_path, "mixed")) == {row.id for row in mixed}


def test_rows_without_a_confidence_are_ordered_by_spread_and_that_is_said(tmp_path) -> None:
    rows, _ = faces(20)
    spread = [
        row.model_copy(update={"confidence": None, "uncertainty": Uncertainty(expression=n / 20 if n else None)})
        for n, row in enumerate(rows)
    ]
    run_of(tmp_path, spread)
    said = ask(tmp_path, "mine", Wanted(n=5))
    assert any("states no confidence" in line for line in said)
    assert any("of 1 of them nothing tells how doubtful they are" in line for line in said) == (
        "f00000" in queued(tmp_path)
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"n": 0}, "^n=0: not a number of looks"),
        ({"n": True}, "^n=True: not a number of looks"),
        ({"audit": 0.0}, "^audit=0.0: no share"),
        ({"audit": 1.5}, "^audit=1.5: no share"),
        ({"guarantee": 0}, "^guarantee=0: not between 0 and 1"),
        ({"guarantee": 1}, "^guarantee=1: not between 0 and 1"),
        ({"guarantee": 0.05, "confidence": 95}, "^confidence=95: not between 0 and 1"),
        ({"guarantee": {"expression": 2}}, "^guarantee=.*: not between 0 and 1"),
        ({"guarantee": {}}, "^guarantee=.*: not between 0 and 1"),
        ({"guarantee": {"mood": 0.1}}, "^guarantee=.*: no description 'mood'; name some of expression, action_units"),
        ({"guarantee": "5 %"}, "^guarantee=5 %: not between 0 and 1"),
    ],
)
def test_settings_out_of_range(setting, message) -> None:
    with pytest.raises(UserError, match=message):
        Wanted(**setting)


def test_another_seed_would_be_another_sample(tmp_path) -> None:
    rows, _ = faces(20)
    run_of(tmp_path, rows)
    ask(tmp_path, "mine", Wanted(n=5, seed=3))
    with pytest.raises(UserError, match=r"^seed=0: the audit of mine began with seed=3, .*; say seed=3$"):
        ask(tmp_path, "mine", Wanted(n=5))


def test_several_reviewers_are_applied_where_they_agree_and_listed_where_they_do_not(tmp_path) -> None:
    rows, truth = faces(30)
    run_of(tmp_path, rows)
    ids = [*truth]
    ann = reviewed(tmp_path, truth, ids[:20], file="ann.json")
    bob = reviewed(tmp_path, {**truth, ids[10]: "sadness"}, ids[10:], file="bob.json")
    both = [str(ann), str(bob)]
    run = apply(both, tmp_path, "seen")
    flagged = {row.id: row for row in read_jsonl(run.path / "instructions.jsonl", InstructionRecord) if row.flags}
    assert set(flagged) == set(ids) - {ids[10]}
    table = (run.path / "contradictions.csv").read_text().splitlines()
    assert table == ["id,label,ann,bob", f"{ids[10]},expression,{truth[ids[10]]},sadness"]
    said = line(run).splitlines()
    assert said[1].startswith("ann and bob both looked at 10 rows and agree: expression 90 % (kappa ")
    assert said[2].startswith("they contradict each other about 1 rows, 1 of them stay as they were")
    assert apply(both, tmp_path, "seen-last", prefer="last").finished
    after = {row.id: row for row in read_jsonl(tmp_path / "generate/seen-last/instructions.jsonl", InstructionRecord)}
    assert after[ids[10]].labels.expression == "sadness"
    assert apply(both, tmp_path, "seen").finished
    with pytest.raises(UserError, match=r"^prefer=cat: no reviewer of this name; say first, last or one of ann, bob$"):
        apply(both, tmp_path, "seen-cat", prefer="cat")
    with pytest.raises(UserError, match="one file is named twice"):
        apply([str(ann), str(ann)], tmp_path, "seen-twice")
    run_of(tmp_path, rows, "other")
    with pytest.raises(UserError, match="about several runs"):
        apply([str(ann), str(reviewed(tmp_path, truth, ids, of="other"))], tmp_path, "seen-other")
