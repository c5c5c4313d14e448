"""What the answers parser must not invent: a corpus of hard answers by kind, and what holds for a kind as a whole."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seke.answers.answer_tables import tables_as_lines
from seke.answers.extract import describe, extract
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.records import Labels

HARD = [
    json.loads(line)
    for line in (Path(__file__).resolve().parents[1] / "data" / "answers_hard.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
some_units = st.lists(st.sampled_from(sorted(ACTION_UNITS)), min_size=1, max_size=6, unique=True)


def statements(labels: Labels) -> set[tuple[str | int, object]]:
    """What `labels` say, one by one."""
    rest = labels.model_dump(exclude={"action_units"}).items()
    return {*(labels.action_units or {}).items(), *((name, value) for name, value in rest if value is not None)}


def test_hard_answers_are_read_as_a_careful_reader_does() -> None:
    wrong, given_labels, invented = [], 0, 0
    for row in HARD:
        found = statements(extract(row["text"]))
        right = statements(Labels.model_validate_json(json.dumps(row["labels"])))
        given_labels += len(found)
        invented += len(found - right)
        wrong += [row["id"]] if found != right else []
    assert len(wrong) <= 0.03 * len(HARD), wrong
    assert invented <= 0.005 * given_labels, wrong


# what numbers the items of a list is no action unit ----------------------------------------------------------------


@settings(deadline=None)
@given(some_units, st.sampled_from(["{}. ", "{}) ", "({}) ", "[{}] ", "- {}. ", "**{}.** "]), st.integers(1, 9))
def test_numbers_of_list_items_create_no_units(units: list[int], mark: str, start: int) -> None:
    lines = [f"{mark.format(place)}AU{unit}" for place, unit in enumerate(units, start)]
    assert extract("Action units:\n" + "\n".join(lines)) == Labels(action_units=dict.fromkeys(units, True))
    assert extract("Inactive AUs:\n" + "\n".join(lines)) == Labels(action_units=dict.fromkeys(units, False))


@pytest.mark.parametrize(
    "text",
    ["Of the 14 AUs, 4 are visible: AU7.", "Number of active units: 4 (AU7)", "AU7 was coded in 4 of 12 frames."],
)
def test_a_count_is_no_unit(text: str) -> None:
    assert extract(text).action_units == {7: True}


# values --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "off"),
    [("1", "0"), ("yes", "no"), ("Y", "N"), ("T", "F"), ("on", "off"), ("✓", "✗"), ("✔", "×"), ("2.31", "0.00"),
     ("3/5", "0/5"), ("D", "0"), ("present", "absent"), ("trace", "none")],
)  # fmt: skip
@given(units=some_units, states=st.lists(st.booleans(), min_size=6, max_size=6), glue=st.sampled_from([": ", " = "]))
def test_a_value_belongs_to_the_unit_before_it(
    on: str, off: str, units: list[int], states: list[bool], glue: str
) -> None:
    said = dict(zip(units, states, strict=False))
    text = "\n".join(f"AU{unit}{glue}{on if active else off}" for unit, active in said.items())
    assert extract(text).action_units == said


@pytest.mark.parametrize("value", ["blorp", "ausente", "激活度", "-", "↑"])
def test_a_value_that_is_not_understood_states_nothing(value: str) -> None:
    assert extract(f"AU12: {value}\nAU4: present").action_units == {4: True}


@pytest.mark.parametrize(
    "text",
    ["AU15 is improbable.", "We can't rule out AU15.", "AU15 cannot be excluded.", "AU15 is dubious.",
     "There may be AU15.", "I doubt AU15.", "AU1-AU15 are coded."],
)  # fmt: skip
def test_what_is_left_open_stays_open(text: str) -> None:
    assert 15 not in (extract(text).action_units or {})


# words that are not understood ----------------------------------------------------------------------------------------

unknown_words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=5, max_size=9).map(lambda word: f"{word}qz")


@given(some_units, unknown_words, st.sampled_from([" and ", ", ", " + "]))
def test_an_unknown_word_beside_a_list_of_units_leaves_all_of_them_open(units: list[int], word: str, glue: str) -> None:
    named = glue.join(f"AU{unit}" for unit in units)
    assert extract(f"{named} {word}.") == Labels()
    assert extract(f"They {word} {named}.") == Labels()
    assert extract(f"{word.title()} creases: {named}.") == Labels(action_units=dict.fromkeys(units, True))


@given(st.sampled_from(EXPRESSIONS), unknown_words)
def test_an_unknown_word_beside_an_expression_leaves_it_open(expression: str, word: str) -> None:
    assert extract(f"Her {expression} is {word}.") == Labels()
    assert extract(f"She {word} her {expression}.") == Labels()
    assert extract(f"The {word} looks like {expression}.").expression == expression


@pytest.mark.parametrize(
    "text",
    ["The father shows AU4 while his son shows AU12.", "Her wife looks sad with AU15, and she is calm.",
     "The first is scared (AU1); the second is happy (AU6).", "AU14 resembles AU12.",
     "AU12: 40\nAU6: 77", "If AU9 > 0: expression = disgust", "AU7 can neither be confirmed nor ruled out.",
     "Valence: 0.8 (0 = unpleasant, 1 = pleasant)", "Are AU4 and AU9 both visible? No.",
     "The groom grins (AU12); his sister cries (AU15).", "AU4 ★★", "AU9 <tbd>", "AU2: █", "valence = 0.3 on [0, 1]",
     "I won't infer feelings. As background: fear is coded as AU1+AU2+AU5.", "The jury is out on AU9.",
     "I cannot judge emotions. A typical sad face has AU1.", "Her son smiles (AU12), she stays calm."],
)  # fmt: skip
def test_what_is_said_of_others_or_of_nobody_is_no_label(text: str) -> None:
    assert extract(text) == Labels()


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("There is no visible activation of AU1, AU2 or AU9.", Labels(action_units={1: False, 2: False, 9: False})),
        ("AU17 is active. No, AU17 is not active.", Labels(action_units={17: False})),
        ("Draft: AU1, fear.\nRevised answer: AU2, surprise.", Labels(expression="surprise", action_units={2: True})),
        ("● AU6\n● AU12 <absent>", Labels(action_units={6: True, 12: False})),
        ("| AU | Yes | No |\n|---|---|---|\n| 1 | x | |\n| 2 | | x |", Labels(action_units={1: True, 2: False})),
        ("Arousal 0.7. On reflection, 0.5.", Labels(arousal=0.5)),
        ("A neutral expression with a valence of 0.1.", Labels(expression="neutral", valence=0.1)),
    ],
)
def test_the_last_word_and_the_nearest_noun_count(text: str, labels: Labels) -> None:
    assert extract(text) == labels


# other scales --------------------------------------------------------------------------------------------------------


@given(st.integers(2, 100), st.integers(-1, 1), st.booleans())
def test_a_value_out_of_range_voids_the_whole_number_beside_it(large: int, small: int, first: bool) -> None:
    valence, arousal = (large, small) if first else (small, large)
    assert extract(f"Valence: {valence}; Arousal: {arousal}") == Labels()


@given(
    st.integers(0, 9),
    st.sampled_from(
        ["{}/9", "{} out of 9", "{} on a 9-point scale", "{} (1 to 9)", "{} on a scale of 1-9", "{} stars"]
    ),
)
def test_a_number_on_another_scale_is_no_valence(value: int, scale: str) -> None:
    assert extract(f"Valence: {scale.format(value)}") == Labels()


@given(st.integers(-100, 99), st.integers(1, 50))
def test_an_interval_in_brackets_counts_with_its_middle(low: int, width: int) -> None:
    high = min(low + width, 100)
    found = extract(f"Valence: [{low / 100:.2f}, {high / 100:.2f}]").valence
    assert found == pytest.approx((low + high) / 200, abs=1e-6)


@given(st.permutations([name for name in EXPRESSIONS if name != "neutral"]), st.integers(2, 10))
def test_of_several_scores_the_highest_counts(names: list[str], top: int) -> None:
    scores = ", ".join(f"{name}: {top if not place else place % 2}" for place, name in enumerate(names))
    assert extract(scores).expression == names[0]


# languages, pictures without a face, tables --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["Das Kinn zeigt keine AU17.", "On ne voit pas AU9 ici.", "La cara no muestra AU12; AU4 es dudosa con el pelo.",
     "未出现AU2。", "AU2は見えません。", "AU2 не активна.", "Non si vede AU2, il volto è neutral."],
)  # fmt: skip
def test_a_sentence_in_another_language_is_not_guessed(text: str) -> None:
    assert extract(text) == Labels()


@pytest.mark.parametrize(
    "text",
    ["There is no face here and no emotion.", "The picture is blank.", "No expression was detected.",
     "The face is covered, no emotion is visible."],
)  # fmt: skip
def test_where_there_is_no_face_nothing_is_neutral(text: str) -> None:
    assert extract(text) == Labels()


def test_a_face_without_emotion_is_neutral() -> None:
    assert extract("His face shows no emotion.").expression == "neutral"


@given(some_units, st.lists(st.booleans(), min_size=6, max_size=6))
def test_a_table_is_read_by_its_header(units: list[int], states: list[bool]) -> None:
    said = dict(zip(units, states, strict=False))
    marks = "\n".join(f"| AU{unit} | {'x |' if active else '| x'} |" for unit, active in said.items())
    assert extract(f"| AU | Present | Absent |\n|---|---|---|\n{marks}").action_units == said
    verdicts = "\n".join(f"| {unit} | seen | {'yes' if active else 'no'} |" for unit, active in said.items())
    assert extract(f"| AU | Evidence | Verdict |\n|---|---|---|\n{verdicts}").action_units == said


def test_a_table_whose_header_is_not_understood_is_left_as_it_is() -> None:
    text = "| Colour | Shape |\n|---|---|\n| red | round |"
    assert tables_as_lines(text) == text


@pytest.mark.parametrize(
    "unit",
    [
        "|a\n",
        "AU1,\n",
        "1. a ",
        "(1) au ",
        "|x|",
        "\t\n",
        "AU1: -",
        "不AU1",
        "draft ",
        "her son is ",
        "AU1 qz ",
        "zqz ",
    ],
)
def test_hostile_lists_and_tables_are_read_in_linear_time(unit: str) -> None:
    extract((unit * 60_000)[:60_000])


@settings(max_examples=200)
@given(
    st.builds(
        Labels,
        expression=st.none() | st.sampled_from(EXPRESSIONS),
        valence=st.none() | st.floats(-1, 1),
        arousal=st.none() | st.floats(-1, 1),
        action_units=st.none() | st.dictionaries(st.sampled_from(sorted(ACTION_UNITS)), st.booleans()),
    ),
    st.sampled_from(["{}", "1. {}", "Answer: {}", "<think>AU?</think>{}", "```\n{}\n```"]),
)
def test_the_template_is_read_back_in_any_wrapper(labels: Labels, wrapper: str) -> None:
    assert extract(wrapper.format(describe(labels))) == labels
