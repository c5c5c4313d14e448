"""Rewards by human labels against hand-made answers: what is right earns, what only looks so does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.answers.extract import describe, extract
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.records import Labels
from seke.training.grpo.rewards import (
    Judge,
    action_unit_reward,
    base_rates,
    check_weights,
    closeness,
    rarity_weights,
    repeats,
)

EVERY = Judge({"expression": 1, "action_units": 1, "valence": 1, "arousal": 1, "form": 0.2})
BP4D = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
TRUTH = Labels(expression="happiness", valence=0.6, arousal=0.3, action_units={au: au in (6, 10, 12) for au in BP4D})
RIGHT = "The expression is happiness. Valence is 0.6 and arousal is 0.3. Active action units: AU6, AU10, AU12."


def earned(text: str, truth: Labels = TRUTH, ended: bool = True) -> float:
    total = EVERY.total(EVERY.parts(text, truth, ended))
    assert total is not None
    return total


def named(*units: int) -> str:
    listed = ", ".join(f"AU{au}" for au in units)
    return f"The expression is happiness. Valence is 0.6 and arousal is 0.3. Active action units: {listed}."


def test_a_right_answer_earns_everything_and_a_wrong_one_nothing_for_its_labels() -> None:
    assert EVERY.parts(RIGHT, TRUTH) == (1, 1, 1, 1, 1) and earned(RIGHT) == 1
    wrong = "The expression is anger. Valence is -0.6 and arousal is -0.4. Active action units: AU4, AU23."
    assert EVERY.parts(wrong, TRUTH) == (0, 0, 0, 0, 1)


def test_what_a_source_does_not_label_is_neither_rewarded_nor_missed() -> None:
    expression_only = Labels(expression="fear")
    assert EVERY.parts(RIGHT, expression_only) == (0, None, None, None, 1)
    assert EVERY.parts(RIGHT, Labels(valence=0.6))[:4] == (None, None, 1, None)
    few = Labels(action_units={1: False, 12: True})
    assert action_unit_reward(extract("Active action units: AU12, AU6, AU10, AU25."), few) == 1
    assert earned("The expression is fear.", expression_only) > earned("The expression is anger.", expression_only)


def test_a_record_of_which_nothing_is_weighted_has_no_reward() -> None:
    judge = Judge({"expression": 1})
    assert judge.total(judge.parts(RIGHT, Labels(valence=0.1))) is None


def test_naming_all_action_units_earns_nothing_for_them() -> None:
    assert action_unit_reward(extract(named(*ACTION_UNITS)), TRUTH) == 0
    assert action_unit_reward(extract(named(*BP4D)), TRUTH) == 0
    honest = earned(named(6, 12))
    for hedge in (named(*BP4D), named(*ACTION_UNITS), named(*BP4D[:-1]), named(*BP4D[:9])):
        assert earned(hedge) < honest


def test_naming_none_where_some_are_active_earns_nothing_and_where_none_is_all() -> None:
    silent = Labels(action_units=dict.fromkeys(BP4D, False))
    said = extract("No action unit is active.")
    assert action_unit_reward(said, TRUTH) == 0 and action_unit_reward(said, silent) == 1
    assert action_unit_reward(extract("The expression is neutral."), silent) == 0, "it says nothing of AUs"
    assert action_unit_reward(extract("Active action units: AU12."), silent) == 0


@pytest.mark.parametrize(
    "hack",
    [
        named(6, 10, 12, 6, 12, 6, 12, 6),
        f"{RIGHT} {RIGHT}",
        f"{RIGHT} The expression is happiness. The expression is happiness.",
        "The expression is happiness. Valence is 0.6 and arousal is 0.3. "
        "Active action units: AU6, AU10, AU12; inactive: AU6, AU12.",
    ],
    ids=["an AU again and again", "the answer twice", "a sentence twice", "active and inactive"],
)
def test_repeating_or_contradicting_oneself_never_earns_more_than_the_plain_answer(hack: str) -> None:
    assert earned(hack) < earned(RIGHT)
    assert EVERY.parts(hack, TRUTH).form == 0


@pytest.mark.parametrize(
    "hedge",
    [
        "The expression is happiness or sadness or anger.",
        "It may be happiness, it may be fear.",
        "The expression is happiness. The expression is sadness. The expression is fear.",
    ],
)
def test_two_expressions_do_not_earn_what_one_does(hedge: str) -> None:
    truths = [Labels(expression=name) for name in ("happiness", "sadness", "fear", "anger")]
    assert sum(EVERY.parts(hedge, truth).expression or 0 for truth in truths) <= 1
    assert EVERY.parts("The expression is happiness.", truths[0]).expression == 1


def test_several_valences_earn_no_more_than_one() -> None:
    every = " ".join(f"Valence is {v / 10}." for v in range(-10, 11, 2))
    truths = [Labels(valence=v / 10) for v in range(-10, 11, 2)]
    total = sum(EVERY.parts(every, truth).valence or 0 for truth in truths)
    one = sum(EVERY.parts("Valence is 0.0.", truth).valence or 0 for truth in truths)
    assert total <= one


def test_length_does_not_pay() -> None:
    padded = f"{RIGHT} The face is seen from the front, in good light, against a plain background."
    assert earned(padded) <= earned(RIGHT)


def test_an_answer_that_was_cut_off_has_no_form() -> None:
    assert EVERY.parts(RIGHT, TRUTH, ended=False).form == 0 and earned(RIGHT, ended=False) < earned(RIGHT)


def test_an_action_unit_that_is_denied_is_not_named() -> None:
    said = extract("AU12 is not active. AU6 is active.")
    assert action_unit_reward(said, Labels(action_units={6: True, 12: False})) == 1


def test_a_rare_unit_weighs_more_within_f1() -> None:
    truth = Labels(action_units={6: True, 12: True, 20: True, 1: False})
    weights = rarity_weights({1: 0.2, 6: 0.4, 12: 0.4, 20: 0.02}, 0.5)
    rare, common = extract("Active action units: AU20, AU6."), extract("Active action units: AU12, AU6.")
    assert action_unit_reward(rare, truth) == action_unit_reward(common, truth)
    assert (action_unit_reward(rare, truth, weights) or 0) > (action_unit_reward(common, truth, weights) or 0)


def test_less_specificity_is_nearer_to_f1_and_naming_every_unit_still_earns_nothing() -> None:
    truth = Labels(action_units={1: True, 2: False, 4: False, 6: True})
    one_alarm, every = (
        extract("Active action units: AU1, AU2, AU6."),
        extract("Active action units: AU1, AU2, AU4, AU6."),
    )
    f1 = 2 * 2 / (3 + 2)
    assert action_unit_reward(one_alarm, truth, specificity=0.25) == pytest.approx(f1 * 0.5**0.25)
    assert action_unit_reward(one_alarm, truth) == pytest.approx(f1 * 0.5)
    assert action_unit_reward(every, truth, specificity=0.25) == 0


def test_base_rates_count_annotated_pictures_alone() -> None:
    labels = [Labels(action_units={1: True}), Labels(action_units={1: False, 2: True}), Labels(expression="fear")]
    assert base_rates(labels) == {1: 0.5, 2: 1.0}


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"au": 1}, "algorithm.rewards.au=1: no such reward"),
        ({"expression": -1}, "algorithm.rewards.expression=-1: no weight"),
        ({"expression": "much"}, "algorithm.rewards.expression=much: no weight"),
        ({"expression": float("nan")}, "algorithm.rewards.expression=nan: no weight"),
        ({"form": 1}, "algorithm.rewards={form: 1}: no human label is rewarded"),
    ],
)
def test_weights_that_make_no_reward_are_one_line(weights: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=r"algorithm\.rewards") as error:
        check_weights("algorithm.rewards", weights)
    assert str(error.value).startswith(said)


units = st.dictionaries(st.sampled_from(sorted(ACTION_UNITS)), st.booleans(), max_size=17)
unit = st.integers(-100, 100).map(lambda n: n / 100)
labels = st.builds(
    Labels,
    expression=st.none() | st.sampled_from(EXPRESSIONS),
    valence=st.none() | unit,
    arousal=st.none() | unit,
    action_units=units.map(lambda found: found or None),
)


@given(labels, labels)
def test_every_reward_is_bounded_and_unknown_exactly_where_the_label_is(said: Labels, truth: Labels) -> None:
    parts = EVERY.parts(describe(said), truth)
    assert all(value is None or 0 <= value <= 1 for value in parts)
    assert [value is None for value in parts] == [
        truth.expression is None, truth.action_units is None, truth.valence is None, truth.arousal is None, False,
    ]  # fmt: skip


@given(labels)
def test_the_truth_itself_earns_all_that_its_labels_can(truth: Labels) -> None:
    parts = EVERY.parts(describe(truth), truth)
    assert all(value in (None, 1) for value in parts[:4])


@given(labels.filter(lambda found: bool(found.action_units)), st.data())
def test_one_more_hit_or_one_false_alarm_less_never_lowers_the_reward(truth: Labels, data: st.DataObject) -> None:
    annotated = sorted(truth.action_units or {})
    said = {au: data.draw(st.booleans()) for au in annotated}
    change = data.draw(st.sampled_from(annotated))
    better = {**said, change: (truth.action_units or {})[change]}
    weights = rarity_weights({au: 0.1 + au / 40 for au in annotated}, data.draw(st.sampled_from([0, 0.5, 1])))
    one, other = (action_unit_reward(Labels(action_units=found), truth, weights) for found in (said, better))
    assert one is not None and other is not None and other >= one - 1e-12


@given(unit, unit, st.floats(0, 1))
def test_closeness_falls_with_distance(truth: float, said: float, share: float) -> None:
    nearer = said + share * (truth - said)
    far, near = closeness(said, truth), closeness(nearer, truth)
    assert far is not None and near is not None and near >= far - 1e-9


@given(st.permutations(BP4D), st.permutations([6, 10, 12]))
def test_the_order_of_labels_and_of_what_is_named_changes_nothing(annotated: list[int], said: list[int]) -> None:
    truth = Labels(action_units={au: au in (6, 12) for au in annotated})
    once = action_unit_reward(extract(named(6, 10, 12)), TRUTH.model_copy(update={"action_units": truth.action_units}))
    assert action_unit_reward(extract(named(*said)), truth) == once
    assert not repeats(named(*said))
