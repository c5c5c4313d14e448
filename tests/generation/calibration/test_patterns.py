"""What a labelled image can be an example of, and how the pilot repeats the patterns of the records to annotate."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.affect import ACTION_UNITS, AUS_OF_SOURCE, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels
from seke.generation.calibration import pilot
from seke.generation.calibration.patterns import Pattern, asked_of, demands, kind_of, lessons, mask, named, pattern_of

EVERY = [Pattern(e, v, a) for e in (False, True) for v in (False, True) for a in (False, True)]
labels = st.builds(
    Labels,
    expression=st.none() | st.sampled_from(EXPRESSIONS),
    valence=st.none() | st.floats(-1, 1),
    arousal=st.none() | st.floats(-1, 1),
    action_units=st.none() | st.dictionaries(st.sampled_from(list(ACTION_UNITS)), st.booleans(), min_size=1),
)


@given(labels, st.sampled_from(EVERY), st.text(max_size=5))
def test_a_lesson_shows_what_its_pattern_knows_and_masks_some_of_the_rest(given_labels, pattern, key):
    for lesson in lessons(kind_of(given_labels), pattern):
        known, truth = mask(given_labels, lesson, key)
        assert pattern_of(known) == pattern
        assert not truth.empty
        assert set(lesson.masks) <= set(asked_of(known)), "what is masked is asked"
        both = known.completed_by(truth)
        assert all(getattr(both, name) in (None, getattr(given_labels, name)) for name in ("expression", "valence"))
        shown, hidden = known.action_units or {}, truth.action_units or {}
        assert not shown.keys() & hidden.keys()
        assert (given_labels.action_units or {}).items() >= {**shown, **hidden}.items()


@given(st.sampled_from(EVERY))
def test_a_pattern_is_known_again_by_its_name(pattern):
    assert named(pattern.name) == pattern
    assert pattern.distance(named(pattern.name)) == 0


def test_records_of_which_everything_is_known_ask_for_nothing():
    whole = Labels(expression="fear", valence=0.0, arousal=0.0, action_units=dict.fromkeys(ACTION_UNITS, True))
    some = whole.model_copy(update={"action_units": {1: True}})
    found = demands([whole, some, some, Labels(), Labels(valence=0.1)])
    assert found[Pattern(True, True, True)].asked == {"au": pytest.approx(2 * 16 / 17)}
    assert found[Pattern(False, False, False)].asked == {"expression": 1, "va": 1, "au": 1}
    assert found[Pattern(False, True, False)].asked["va"] == 0.5, "arousal is unknown"
    assert found[Pattern(True, True, True)].units == {au: 2 for au in ACTION_UNITS if au != 1}
    assert sum(demand.records for demand in found.values()) == 4


def records(counts, per_subject=5):
    """So many records that know only AUs, only the expression, the expression with V/A, or all three."""
    units = dict.fromkeys(AUS_OF_SOURCE["bp4d"], False)
    known = {
        "aus": Labels(action_units=units),
        "expression": Labels(expression="anger"),
        "faces": Labels(expression="anger", valence=0.1, arousal=0.1),
        "all": Labels(expression="anger", valence=0.1, arousal=0.1, action_units=units),
    }
    return [
        ImageRecord(
            id=f"{name}-{number}",
            image="a.png",
            sha256=None,
            source=name,
            subject=f"s{number // per_subject}",
            split="train",
            labels=known[name],
        )
        for name, count in counts.items()
        for number in range(count)
    ]


COUNTS = {"aus": 1000, "expression": 300, "faces": 500, "all": 400}


def have(tasks):
    return Counter((task.lesson.pattern.name, name) for task in tasks for name in task.lesson.masks)


def test_the_pilot_repeats_the_patterns_of_production_about_as_often():
    every = records(COUNTS)
    tasks = pilot.pick(every, 400, seed=0)
    found = have(tasks)
    wanted = demands(record.labels for record in every)
    for pattern, demand in wanted.items():
        for name in demand.asked:
            assert found[pattern.name, name] >= pilot.FEWEST
    assert found["expression+va", "au"] > 1.3 * found["expression", "au"], "production has 500 and 300 of them"
    assert found["au", "expression"] > 2 * found["au", "au"], "five AUs of seventeen are asked there"
    assert len(tasks) < 600


def test_whole_subjects_are_taken_and_half_of_each_kind_of_labels_is_left():
    every = records(COUNTS)
    tasks = pilot.pick(every, 5000, seed=0)
    groups = {pilot.group(task.record) for task in tasks}
    spent = Counter(record.source for record in every if pilot.group(record) in groups)
    assert all(spent[name] <= count / 2 for name, count in COUNTS.items())
    assert tasks == pilot.pick(every, 5000, seed=0)
    assert {pilot.group(task.record) for task in pilot.pick(every, 400, seed=1)} != groups


def test_scarce_labels_serve_several_patterns():
    tasks = pilot.pick(records({**COUNTS, "all": 100}), 400, seed=0)
    found = have(tasks)
    assert found["expression", "au"] == found["expression+va", "au"] == found["au", "expression"] == 50
    uses = Counter(task.record.id for task in tasks if task.record.source == "all")
    assert len(uses) == 50, "half of the images that have these labels, in each of the patterns"
    assert max(uses.values()) >= 3


def test_hidden_descriptions_are_masked_and_may_teach():
    tasks = pilot.pick(records(COUNTS), 200, seed=0, hidden=("expression",))
    assert {task.lesson.pattern.name for task in tasks} == {"au", "nothing", "va", "va+au"}
    assert any(task.masking.truth.expression for task in tasks)
    assert not any(task.masking.known.expression for task in tasks)


def test_too_few_labels_are_the_users_mistake():
    with pytest.raises(UserError, match=r"generator\.pilot.*only 20 images"):
        pilot.pick(records({"all": 40}), 400, seed=0)


def test_where_nothing_is_asked_that_is_the_reason():
    whole = Labels(expression="anger", valence=0.1, arousal=0.1, action_units=dict.fromkeys(ACTION_UNITS, False))
    every = [record.model_copy(update={"labels": whole}) for record in records({"all": 160})]
    with pytest.raises(UserError, match="all that there is to ask is known of every record"):
        pilot.pick(every, 400, seed=0)


def test_labels_that_teach_nothing_that_is_asked_are_named():
    told = Labels(expression="anger", action_units=dict.fromkeys(ACTION_UNITS, False))
    every = [record.model_copy(update={"labels": told}) for record in records({"all": 160})]
    reason = (
        "only 0 images with human labels could serve as pilot: 160 records of which expressions and action units are "
        "known ask for valence and arousal, which no record carries beside them"
    )
    with pytest.raises(UserError, match=reason):
        pilot.pick(every, 400, seed=0)
    with pytest.raises(UserError, match=r"nothing is known ask for expressions and .*, which no record carries; give"):
        pilot.pick([record.model_copy(update={"labels": Labels()}) for record in every], 400, seed=0)
