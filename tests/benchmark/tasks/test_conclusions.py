"""Conclusions from a finished generation: corrected by an audit, and not corrected, and said, where there is none."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from seke.benchmark.judging.judge import parse
from seke.benchmark.run.import_predictions import read
from seke.benchmark.run.predict import read_records
from seke.benchmark.tasks.conclusions import COLUMNS, CSV, FOREST, Conclusions
from seke.core import audit
from seke.core.errors import UserError
from seke.core.records import ImageRecord, InstructionRecord, Labels, Origins, Turn, Uncertainty, write_jsonl

LOOKS = 120


def generation(folder: Path, subjects: int = 60, gap: bool = False, rejected: int = 0, audited: bool = True):
    """Write a reviewed run whose machine overlooks every third smile, and its records."""
    rng, records, rows, truth = np.random.default_rng(0), [], [], {}
    for number in range(600):
        id_, happy, smile = f"face-{number}", bool(rng.random() < 0.4), bool(rng.random() < 0.6)
        valence = float(np.clip(0.3 * happy + 0.2 * rng.normal(), -1, 1))
        felt = "happiness" if happy else "anger"
        truth[id_] = Labels(expression=felt, valence=valence, arousal=0.5, action_units={12: smile})
        said = Labels(
            expression=felt, valence=float(np.clip(valence + 0.1, -1, 1)), arousal=0.5,
            action_units={12: smile and rng.random() > 1 / 3},
        )  # fmt: skip
        origin = Origins(
            expression="manual", valence="generated", arousal="generated", action_units={"12": "generated"}
        )
        given = Labels(expression=felt)
        attributes = {"glasses": number % subjects % 2 == 0}
        who = f"s{number % subjects}"
        records.append(
            ImageRecord(
                id=id_, image=f"{id_}.png", sha256=None, source="mine", subject=who, split="train", labels=given,
                attributes=attributes,
            )
        )  # fmt: skip
        rows.append(
            InstructionRecord(
                id=id_, image=f"{id_}.png", source="mine", subject=who, labels=said, origin=origin, samples=1,
                conversations=(Turn(speaker="human", value="?"), Turn(speaker="gpt", value="!")),
                uncertainty=Uncertainty(), annotator="toy",
            )
        )  # fmt: skip
    plan = audit.Plan(seed=0)
    bound = audit.next_bound([row.id for row in rows], plan, LOOKS)
    assert bound is not None
    plan = audit.Plan(seed=0, bounds=(bound,))
    chosen = audit.order([row.id for row in rows], 0)[:LOOKS]
    by_id = {row.id: row for row in rows}
    looked = [
        audit.Audited(
            id=id_, source="mine", subject=by_id[id_].subject, u=audit.number(0, id_), probability=None,
            machine=by_id[id_].labels, origin=by_id[id_].origin, human=truth[id_], rejected=place < rejected,
        )
        for place, id_ in enumerate(chosen[gap:])
    ]  # fmt: skip
    gone = {row.id for row in looked if row.rejected}
    rows = [
        row.model_copy(update={"labels": truth[row.id]}) if row.id in set(chosen[gap:]) else row
        for row in rows
        if row.id not in gone
    ]
    write_jsonl(folder / "train.jsonl", records)
    write_jsonl(folder / "instructions.jsonl", rows)
    if audited:
        kept, found = audit.with_probabilities(looked, set(by_id), plan)
        write_jsonl(folder / audit.ROWS, kept)
        (folder / audit.PLAN).write_text(json.dumps(audit.summary(plan, len(by_id), found, len(kept))))
    return truth


def concluded(folder: Path, **settings):
    settings = {"associations": [["AU12", "happiness"]], **settings}
    benchmark = Conclusions(str(folder), str(folder), **settings)
    records = read_records(folder / "train.jsonl")
    files = {name: Path(reference) for name, (reference, _, _) in benchmark.reads.items()}
    records = list(benchmark.plan(records, folder, files))
    given = read(folder / "instructions.jsonl", {record.id for record in records})
    rows, _ = benchmark.predictions(records, given.answers, parse)
    metrics = benchmark.metrics(rows, seed=0)
    return benchmark, metrics, {each["name"]: each for each in metrics["conclusions"]["quantities"]}


def test_the_corrected_interval_holds_what_the_naive_one_misses(tmp_path: Path) -> None:
    truth = generation(tmp_path)
    benchmark, metrics, found = concluded(
        tmp_path, groups="attributes.glasses", regressions=[{"outcome": "valence", "predictors": ["happiness", "AU12"]}]
    )
    right = np.mean([labels.action_units[12] for labels in truth.values()])
    smile = found["AU12"]
    assert smile["ci95"][0] < right < smile["ci95"][1]
    assert smile["naive_ci95"][1] < right
    assert smile["drawn"] == LOOKS and smile["subjects"] == 60 and smile["effective"] > LOOKS
    assert found["happiness"]["remark"] == "all labels are people's: nothing to correct"
    assert found["valence, glasses = True less False"]["ci95"] is not None
    assert found["valence on happiness"]["ci95"][0] > 0.2
    assert "arousal is 0.5 of every record" in metrics["conclusions"]["absent"].values()
    benchmark.write(tmp_path, metrics)
    raw = (tmp_path / CSV).read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    lines = [*csv.reader(raw.decode("utf-8-sig").splitlines())]
    assert lines[0] == list(COLUMNS) and len(lines) == len(found) + 1
    assert (tmp_path / FOREST).stat().st_size > 10_000
    table = benchmark.table("mine", metrics, [])
    assert "120 of 600 records" in table and "AU12" in table


def test_rejected_faces_are_no_part_of_what_is_concluded(tmp_path: Path) -> None:
    truth = generation(tmp_path, rejected=10)
    _, metrics, found = concluded(tmp_path)
    assert metrics["conclusions"]["rejected"] == 10
    assert found["AU12"]["ci95"][0] < np.mean([of.action_units[12] for of in truth.values()]) < found["AU12"]["ci95"][1]


@pytest.mark.parametrize("damage", ["no audit", "a gap", "no probability"])
def test_without_a_random_sample_nothing_is_corrected_and_it_is_said(tmp_path: Path, damage: str) -> None:
    generation(tmp_path, gap=damage == "a gap", audited=damage != "no audit")
    if damage == "no probability":
        rows = [json.loads(line) for line in (tmp_path / audit.ROWS).read_text().splitlines()]
        rows[3]["probability"] = None
        (tmp_path / audit.ROWS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, metrics, found = concluded(tmp_path)
    assert all(each["ci95"] is None for each in found.values() if not each["by_people"])
    assert found["AU12"]["value"] is None and found["AU12"]["naive_ci95"] is not None
    assert len(metrics["warnings"]) == 1 and "nothing is corrected" in metrics["warnings"][0]


def test_fewer_than_three_subjects_have_a_number_and_no_interval(tmp_path: Path) -> None:
    generation(tmp_path, subjects=2)
    _, _, found = concluded(tmp_path)
    assert found["AU12"]["naive"] is not None
    assert found["AU12"]["ci95"] is None and found["AU12"]["naive_ci95"] is None
    assert "fewer than 3 subjects" in found["AU12"]["remark"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"about": "all"},
        {"prevalence": ["joy"]},
        {"means": ["dominance"]},
        {"associations": "all"},
        {"associations": [["happiness", "AU12"]]},
        {"regressions": [{"outcome": "valence"}]},
        {"regressions": [{"outcome": "valence", "predictors": ["age"]}]},
        {"regressions": [{"outcome": "valence", "predictors": ["AU12"], "link": "logit"}]},
        {"groups": "attributes.nothing"},
    ],
)
def test_a_mistaken_setting_is_named(tmp_path: Path, wrong) -> None:
    generation(tmp_path)
    with pytest.raises(UserError, match="benchmark"):
        concluded(tmp_path, **wrong)
