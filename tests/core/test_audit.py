"""The audit is a simple random sample whatever else people look at, and says so where it is none."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core import audit
from seke.core.audit import Audited, Plan
from seke.core.errors import UserError
from seke.core.records import InstructionRecord, Labels, Origins, Turn, Uncertainty, write_jsonl

IDS = [f"face-{number}" for number in range(200)]


def row(record: str, **changes: object) -> Audited:
    labels = Labels(expression="fear", valence=-0.5, arousal=0.5, action_units={1: True})
    of = {"id": record, "source": "s", "subject": None, "u": audit.number(0, record), "probability": None}
    return Audited(**{**of, "machine": labels, "origin": Origins(expression="generated"), "human": labels, **changes})


def test_numbers_are_uniform_and_only_of_seed_and_id() -> None:
    numbers = np.array([audit.number(7, f"face-{n}") for n in range(20_000)])
    assert np.histogram(numbers, bins=20, range=(0, 1))[0].std() < 3 * np.sqrt(1000)
    assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 0.03
    assert audit.order(IDS, 0) == audit.order(reversed(IDS), 0) != audit.order(IDS, 1)


@given(st.sets(st.sampled_from(IDS)), st.lists(st.integers(1, 40), max_size=4), st.integers(0, 9))
def test_a_sample_is_a_planned_prefix_without_a_gap_and_nothing_else(looked, steps, seed) -> None:
    plan = Plan(seed=seed)
    for more in steps:
        bound = audit.next_bound(IDS, plan, more)
        if bound is not None:
            plan = plan.model_copy(update={"bounds": (*plan.bounds, bound)})
    ordered, found = audit.order(IDS, seed), audit.drawn(IDS, looked, plan)
    sizes = [0, *(sum(audit.number(seed, record) <= bound for record in IDS) for bound in plan.bounds)]
    whole = max(size for size in sizes if set(ordered[:size]) <= looked)
    assert list(found.sample) == ordered[:whole]
    assert list(found.missing) == [record for record in ordered[: max(sizes)] if record not in looked]


@pytest.mark.parametrize("planned", [True, False])
def test_only_a_planned_bound_gives_an_unbiased_sample(planned) -> None:
    """Half of the records are doubtful and wrong, and all of these are looked at. Where the sample is the longest run
    that happens to be without a gap, it is fuller of them than the records are."""
    shares = []
    for seed in range(2000):
        ids = [f"{seed}-{number}" for number in range(60)]
        doubtful = set(ids[:30])
        bound = audit.next_bound(ids, Plan(seed=seed), 6)
        looked = doubtful | set(audit.order(ids, seed)[:6])
        bounds = (bound,) if planned else tuple(sorted(audit.number(seed, record) for record in ids))
        sample = audit.drawn(ids, looked, Plan(seed=seed, bounds=bounds)).sample
        shares.append(np.mean([record in doubtful for record in sample]))
    error = np.std(shares) / np.sqrt(len(shares))
    assert (abs(np.mean(shares) - 0.5) < 3 * error) == planned


def test_a_set_that_grows_keeps_its_sample_and_asks_for_what_came_in_below_the_bound() -> None:
    bound = audit.next_bound(IDS, Plan(seed=0), 50)
    plan = Plan(seed=0, bounds=(bound,))
    before = audit.drawn(IDS, IDS, plan)
    assert len(before.sample) == 50 and not before.missing
    more = [f"new-{number}" for number in range(100)]
    grown = audit.drawn([*IDS, *more], IDS, plan)
    assert not grown.sample and grown.missing
    assert set(grown.missing) == {record for record in more if audit.number(0, record) <= bound}
    assert set(audit.drawn([*IDS, *more], [*IDS, *more], plan).sample) == {*before.sample, *grown.missing}


@pytest.fixture
def folder(tmp_path):
    """A reviewed run of 200 records, of which the first 20 of the order were looked at, as planned."""
    plan = Plan(seed=0, bounds=(audit.next_bound(IDS, Plan(seed=0), 20),))
    rows, found = audit.with_probabilities([row(record) for record in audit.order(IDS, 0)[:20]], IDS, plan)
    write_jsonl(tmp_path / audit.ROWS, rows)
    (tmp_path / audit.PLAN).write_text(json.dumps(audit.summary(plan, len(IDS), found, 20)))
    turns = (Turn(speaker="human", value="?"), Turn(speaker="gpt", value="!"))
    of = {"image": "x.png", "source": "s", "subject": None, "conversations": turns, "labels": Labels(expression="fear")}
    of |= {"origin": Origins(expression="generated"), "uncertainty": Uncertainty(), "samples": 1, "annotator": "a"}
    write_jsonl(tmp_path / "instructions.jsonl", (InstructionRecord(id=record, **of) for record in IDS))
    return tmp_path


def test_what_is_written_is_read_back(folder) -> None:
    found = audit.read(folder)
    assert (len(found.sample), found.population, found.problem) == (20, 200, "")
    assert {row.probability for row in found.sample} == {0.1}
    assert [row.id for row in found.sample] == audit.order(IDS, 0)[:20]


def test_rejected_records_keep_the_others_probabilities_and_are_not_estimated_from(folder) -> None:
    rows = list(audit.read(folder).rows)
    write_jsonl(folder / audit.ROWS, [rows[0].model_copy(update={"rejected": True}), *rows[1:]])
    found = audit.read(folder)
    assert (len(found.sample), len(found.labelled), found.labelled[0].probability) == (20, 19, 0.1)


def test_a_gap_is_named_and_nothing_is_estimated(folder) -> None:
    rows = audit.read(folder).rows
    write_jsonl(folder / audit.ROWS, [each for each in rows if each.id != rows[3].id])
    found = audit.read(folder)
    assert not found.sample
    assert (
        found.problem == f"nobody has decided about {rows[3].id}, which the audit needs; there is no audit sample yet"
    )


def test_lost_probabilities_and_other_seeds_are_no_sample(folder) -> None:
    rows = audit.read(folder).rows
    write_jsonl(folder / audit.ROWS, [each.model_copy(update={"probability": None}) for each in rows])
    assert "are lost: this is no random sample" in audit.read(folder).problem and not audit.read(folder).sample
    write_jsonl(folder / audit.ROWS, [each.model_copy(update={"u": 0.25}) for each in rows])
    with pytest.raises(UserError, match="not of seed 0: this is no random sample"):
        audit.read(folder)
    (folder / audit.PLAN).write_text("{")
    with pytest.raises(UserError, match="does not read as the plan of an audit"):
        audit.read(folder)
    (folder / audit.PLAN).unlink()
    assert audit.read(folder).problem.startswith("no audit was planned")
