"""EmoVIT: three kinds of instruction, each from what its entry says, by structured answers; flags, never a veto."""

import json
import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from seke.core.dry_run import MadeUp
from seke.core.errors import UserError
from seke.core.prompts import Prompts
from seke.core.records import InstructionRecord, Rejection, read_jsonl
from seke.core.vlm import Choice
from seke.generation.emovit.captioners import Given
from seke.generation.emovit.generator import read_conversation, read_reasoning
from seke.generation.outcome import planned
from seke.generation.run.dry_run import dry_run, estimate
from seke.generation.run.generate import generate
from seke.generation.statistics import counted

from ..scenes import CONF, EMOTIONS, PROMPTS, Writer, faces, make, make_emovit, told

KINDS = ("categorical", "conversation", "reasoning")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(scope="session")
def records(folder):
    return make(folder)


def outcomes(emovit, records, folder):
    return list(emovit.generate(faces(emovit.plan(records), folder)))


def rows(emovit, records, folder, kind):
    return [
        outcome.row
        for outcome in outcomes(emovit, records, folder)
        if isinstance(outcome.row, InstructionRecord) and outcome.row.attributes["kind"] == kind
    ]


def test_the_plan_has_an_entry_per_picture_and_kind(records):
    entries = make_emovit().plan(records)
    assert len(entries) == len(EMOTIONS) * 4
    assert len({entry.id for entry in entries}) == len(entries)
    by_id = {record.id: record for record in records}
    for entry in entries:
        picture, _, kind = entry.id.rpartition("/")
        assert entry.attributes == {"kind": kind, **by_id[picture].attributes}
        assert entry.model_copy(update={"id": picture, "attributes": by_id[picture].attributes}) == by_id[picture]


def test_the_plan_is_the_same_in_any_order_and_another_by_another_seed(records):
    assert make_emovit().plan(records) == make_emovit().plan(records[::-1])
    assert make_emovit().plan(records) != make_emovit(seed=1).plan(records)


def test_a_class_may_want_other_numbers(records):
    entries = make_emovit(counts_of={"awe": {"categorical": 0, "reasoning": 3}}).plan(records)
    of_awe = [entry.id.rpartition("/")[2] for entry in entries if entry.attributes["emotion"] == "awe"]
    assert sorted(of_awe) == ["conversation", "reasoning", "reasoning", "reasoning"]


def test_too_few_pictures_are_said_once(records, caplog):
    with caplog.at_level(logging.WARNING):
        entries = make_emovit(counts={"categorical": 4600, "conversation": 1000, "reasoning": 100}).plan(records)
    assert len(caplog.messages) == 1 and "16 of 36800 categorical" in caplog.text
    assert {entry.attributes["kind"] for entry in entries} == set(KINDS)


def test_a_picture_without_one_of_the_emotions_is_named(records):
    stranger = records[5].model_copy(update={"attributes": {"emotion": "joy"}})
    with pytest.raises(UserError, match=r"anger_00002: its attributes\.emotion is 'joy'; .*amusement"):
        make_emovit().plan([*records[:5], stranger])


def test_a_plan_of_nothing_is_refused(records):
    with pytest.raises(UserError, match=r"generator\.counts"):
        make_emovit(counts=dict.fromkeys(KINDS, 0)).plan(records)


def test_categorical_instructions_cost_no_call_and_state_their_class(records, folder):
    writer = Writer()
    emovit = make_emovit(writer, counts={"categorical": None, "conversation": 0, "reasoning": 0})
    made = rows(emovit, records, folder, "categorical")
    assert len(made) == len(records) and not writer.asked
    for row in made:
        question, answer = row.conversations
        assert question.value.startswith("<image>\n")
        assert all(emotion in question.value for emotion in EMOTIONS)
        assert answer.value == f"Predict emotion: {row.attributes['emotion']}"
        assert not row.flags and row.samples == 0 and row.annotator == "no model" and row.labels.empty
    assert len({row.conversations[0].value for row in made}) == PROMPTS.variants("categorical")


def test_a_conversation_is_several_turns_about_one_picture(records, folder):
    made = rows(make_emovit(), records, folder, "conversation")
    assert len(made) == len(EMOTIONS)
    for row in made:
        assert [turn.speaker for turn in row.conversations] == ["human", "gpt"] * 3
        assert [turn.value.count("<image>") for turn in row.conversations] == [1, 0, 0, 0, 0, 0]
        assert row.attributes["emotion"] in row.conversations[-1].value
        assert row.annotator == "writer-1" and not row.flags


def test_a_caption_is_asked_first_and_told_with_the_attributes(folder):
    scenes = make(folder, 1, brightness=0.4, scene_type="beach", object=["Tree", "Lake"])
    writer = Writer()
    emovit = make_emovit(writer, counts={"categorical": 0, "conversation": 0, "reasoning": 1})
    made = rows(emovit, scenes, folder, "reasoning")
    captions, texts = writer.asked[: len(made)], writer.asked[len(made) :]
    assert all(request.schema is None and len(request.images) == 1 for request in captions)
    assert all(request.schema and not request.images for request in texts)
    for row, request in zip(made, texts, strict=True):
        assert f"<caption>\n{row.attributes['caption']}\n</caption>" in request.messages[1].text
        assert told(request) == {
            "emotion": row.attributes["emotion"], "brightness": "0.4", "scene_type": "beach", "object": "Tree, Lake",
            "colorfulness": str(row.attributes["colorfulness"]),
        }  # fmt: skip
        assert row.attributes["object"] == ["Tree", "Lake"]


def test_the_authors_script_leaves_the_scene_out_and_a_picture_may_be_shown(folder):
    scenes, writer = make(folder, 1, scene_type="beach"), Writer()
    rows(make_emovit(writer, scene_type=False, show_image=True), scenes, folder, "reasoning")
    texts = [request for request in writer.asked if request.schema]
    assert texts and all("scene_type" not in told(request) and len(request.images) == 1 for request in texts)


def test_in_context_examples_come_from_the_prompts(records, folder):
    writer = Writer()
    rows(make_emovit(writer), records, folder, "reasoning")
    systems = {request.messages[0].text for request in writer.asked if request.schema}
    assert len(systems) == 2 and not any(tag in text for text in systems for tag in ("<caption>", "<attributes>"))
    assert sum("raincoats" in text and "wheelchair" in text and "climber" in text for text in systems) == 1


def test_kinds_that_share_a_picture_share_its_caption(records, folder):
    writer = Writer()
    found = outcomes(make_emovit(writer, counts={"categorical": 0, "conversation": 1, "reasoning": 1}), records, folder)
    captions = [request for request in writer.asked if request.schema is None]
    assert len(captions) == len(EMOTIONS) and len(found) == 2 * len(EMOTIONS)
    assert {outcome.trace.requests for outcome in found} == {2} and found[0].usd == pytest.approx(0.002)


def changed(**changes):
    """Return a change of what the writer says: `changes` of the last question and answer."""

    def change(request, said):
        if request.schema is None:
            return said
        turns = said.get("conversation", [said])
        turns[-1] |= {name: text(request) for name, text in changes.items()}
        return said

    return change


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"question": lambda request: f"Why does it evoke {told(request)['emotion'].upper()}?"}, "question_leaks"),
        ({"answer": lambda request: "A quiet feeling."}, "emotion_unmentioned"),
        ({"answer": lambda request: f"The caption says {told(request)['emotion']}."}, "names_its_source"),
    ],
)
@pytest.mark.parametrize("kind", ["conversation", "reasoning"])
def test_what_is_doubtful_is_kept_and_flagged(records, folder, kind, changes, flag):
    made = rows(make_emovit(Writer(changed(**changes))), records, folder, kind)
    assert len(made) == len(EMOTIONS)
    assert {row.flags for row in made} == {(flag,)}


@pytest.mark.parametrize(("number", "flags"), [(1, ("turns",)), (3, ()), (5, ()), (6, ("turns",))])
def test_a_conversation_of_another_length_is_flagged(records, folder, number, flags):
    def change(request, said):
        return {"conversation": said["conversation"][-1:] * number} if "conversation" in said else said

    assert {row.flags for row in rows(make_emovit(Writer(change)), records, folder, "conversation")} == {flags}


def test_an_answer_that_states_another_class_is_flagged(records, folder):
    templates = {**PROMPTS.templates, "categorical_answer": "Predict emotion: {class} or awe"}
    made = rows(make_emovit(prompts=Prompts(templates)), records, folder, "categorical")
    assert {row.attributes["emotion"]: row.flags for row in made} == {
        emotion: () if emotion == "awe" else ("class_unstated",) for emotion in EMOTIONS
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("prose", "invalid"),
        ("[]", "invalid"),
        ("{}", "invalid"),
        ('{"conversation": []}', "incomplete"),
        ('{"conversation": [{"question": "What?"}]}', "incomplete"),
        ('{"conversation": [{"question": "What?", "answer": " "}]}', "incomplete"),
        ('{"conversation": [{"question": "What?", "answer": 3}]}', "incomplete"),
        ('{"conversation": ["What?"]}', "invalid"),
    ],
)
def test_a_conversation_that_says_nothing_is_unusable(text, reason):
    with pytest.raises(Exception, match=f"^{reason}: "):
        read_conversation(Choice(text))


def test_reasoning_is_read_and_cannot_smuggle_a_picture_in():
    assert read_reasoning(Choice('{"question": "<image> Why\\n so?", "answer": "So. "}')) == [("Why so?", "So.")]
    with pytest.raises(Exception, match=r"^refusal: no$"):
        read_reasoning(Choice("no", "refusal"))


def test_refusals_are_asked_again_then_rejected_and_another_annotator_may_answer(records, folder, tmp_path):
    def declines(request, said):
        return (
            Choice("I'm sorry.", "refusal") if request.schema and "question" in request.schema["properties"] else said
        )

    first, spare = Writer(declines), Writer()
    generate(records, folder, make_emovit(first), tmp_path, 10)
    reasons = {row.id: row.reason for row in read_jsonl(tmp_path / "rejected.jsonl", Rejection)}
    assert set(reasons.values()) == {"refusal"} and len(reasons) == len(EMOTIONS)
    again = [request for request in first.asked if PROMPTS.render("again") in request.text]
    assert len(again) == 2 * len(EMOTIONS)
    assert f"{len(EMOTIONS)} of {4 * len(EMOTIONS)} records" in (tmp_path / "unanswered.md").read_text()
    other = tmp_path / "other"
    other.mkdir()
    done = generate(records, folder, make_emovit(Writer(declines)), other, 10, make_emovit(spare))
    assert done.rejected == 0 and spare.asked


def test_numbers_by_kind_and_class_are_reported(records, folder, tmp_path):
    def declines(request, said):
        lost = request.schema and told(request)["emotion"] == "awe" and "answer" in said
        return Choice("no", "refusal") if lost else said

    done = generate(records, folder, make_emovit(Writer(declines)), tmp_path, 5)
    each = dict.fromkeys(sorted(EMOTIONS), 1)
    assert done.facts["kinds"] == {
        "categorical": dict.fromkeys(sorted(EMOTIONS), 2), "conversation": each, "reasoning": {**each, "awe": 0}
    }  # fmt: skip
    assert "31 instructions, 1 rejected (1 refusal), 16 categorical, 8 conversation, 7 reasoning" in done.line
    page = (tmp_path / "statistics.md").read_text()
    assert "| awe | 2 | 1 | 0 of 1 | 3 of 4 |" in page
    assert "| all | 16 | 8 | 7 of 8 | 31 of 32 |" in page


def test_a_dry_run_plays_the_plan(records, folder):
    made_up, emovit = MadeUp(), make_emovit()
    emovit.vlm = made_up
    entries = planned(emovit, records)
    opened = {face.record.id: face for face in faces(entries, folder)}
    [found] = estimate(emovit, [made_up], entries, lambda entry: opened[entry.id])
    assert found.requests == len(EMOTIONS) * 3  # a caption for two kinds, and each kind's text
    assert found.output_tokens > len(EMOTIONS) * 100
    annotator = SimpleNamespace(prices={"a": [2.5, 10]})
    text = dry_run(lambda vlm: make_emovit(vlm), records, lambda entry: opened[entry.id], annotator)
    assert text.startswith(f"{4 * len(EMOTIONS)} records; nothing was asked") and "$" in text


def test_given_captions_need_no_call(folder):
    scenes, writer = make(folder, 1, caption="A plain wall."), Writer()
    made = rows(make_emovit(writer, Given()), scenes, folder, "reasoning")
    assert {row.attributes["caption"] for row in made} == {"A plain wall."}
    assert all(request.schema for request in writer.asked)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counts": {"categorical": -1, "conversation": 0, "reasoning": 0}}, r"generator\.counts\.categorical=-1"),
        ({"counts": {"categorical": 1}}, r"generator\.counts=\['categorical'\]"),
        ({"counts_of": {"joy": {}}}, r"generator\.counts_of=joy"),
        ({"counts_of": {"awe": {"poem": 3}}}, r"generator\.counts=.*poem"),
        ({"pairs": (3, 2)}, r"generator\.pairs="),
        ({"temperature": 3}, r"generator\.temperature=3"),
        ({"classes": {"awe": ["awe"]}}, r"generator\.classes="),
        ({"prompts": Prompts({**PROMPTS.templates, "scene": "{caption}"})}, r"prompts\.templates\.scene\[0\]"),
    ],
)
def test_mistakes_name_their_setting(changes, message):
    with pytest.raises(UserError, match=message):
        make_emovit(**changes)


def test_the_words_are_our_own_and_questions_give_nothing_away():
    templates = yaml.safe_load((CONF / "prompts" / "emovit.yaml").read_text())["templates"]
    text = json.dumps(templates)
    assert "candidates options" not in text and "AI visual assistant" not in text
    for example in templates["reasoning_example"]:
        emotion = re.search(r"emotion: (\w+)", example)[1]
        question, answer = example.split('"answer":')
        assert emotion not in question.split('"question":')[1] and emotion in answer


def test_the_papers_numbers_are_the_defaults():
    settings = yaml.safe_load((Path(CONF) / "generator" / "emovit.yaml").read_text())["generator"]
    assert settings["counts"] == {"categorical": 4600, "conversation": 1000, "reasoning": 100}
    assert len(settings["classes"]) * 4600 == 36_800


OTHER = Prompts(yaml.safe_load((CONF / "prompts" / "emovit_attribute.yaml").read_text(encoding="utf-8"))["templates"])
PLACES = {"beach": ["beach"], "park": ["park"]}


def placed(records):
    """Return the records, by turns of a beach, of a park, and of no known place."""
    places = ({"scene_type": "beach"}, {"scene_type": "park"}, {})
    return [
        record.model_copy(update={"attributes": {**record.attributes, **places[number % 3]}})
        for number, record in enumerate(records)
    ]


def test_another_attribute_than_the_emotion_has_classes_of_its_own(records, folder, caplog):
    writer = Writer(lambda request, said: said if request.schema is None else "{}")
    settings = {"classes": PLACES, "attribute": "scene_type", "tell": ["object"], "prompts": OTHER}
    emovit = make_emovit(writer, **settings, counts={"categorical": None, "conversation": 0, "reasoning": 1})
    with caplog.at_level(logging.WARNING):
        found = outcomes(emovit, placed(records), folder)
    assert f"left out: {len(records) // 3} of {len(records)} records have no attributes.scene_type" in caplog.text
    made = [outcome.row for outcome in found if isinstance(outcome.row, InstructionRecord)]
    assert {row.attributes["scene_type"] for row in made} == set(PLACES)
    for row in made:
        assert row.attributes["kind"] == "categorical" and row.attributes["class_of"] == "scene_type"
        assert "beach and park" in row.conversations[0].value and "emotion" not in row.conversations[0].value
        assert row.conversations[1].value == f"Predict scene type: {row.attributes['scene_type']}"
    (asked, *_) = [request for request in writer.asked if request.schema]
    assert set(told(asked)) == {"scene_type"} and "scene type" in asked.messages[0].text


def test_statistics_count_the_classes_of_the_attribute(records, folder):
    emovit = make_emovit(classes=PLACES, attribute="scene_type", tell=[], prompts=OTHER)
    assert set(counted(emovit.plan(placed(records)))["categorical"]) == set(PLACES)


def test_a_text_that_names_no_class_of_the_attribute_is_flagged(records, folder):
    def change(request, said):
        return said if request.schema is None else {"question": "Where?", "answer": "Nobody knows."}

    emovit = make_emovit(Writer(change), classes=PLACES, attribute="scene_type", tell=[], prompts=OTHER)
    assert {row.flags for row in rows(emovit, placed(records), folder, "reasoning")} == {("scene_type_unmentioned",)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attribute": "weather"}, r"generator\.attribute=weather: none of 24 records has attributes\.weather"),
        ({"attribute": ""}, r"generator\.attribute=: names no attribute"),
        ({"attribute": "kind"}, r"generator\.attribute=kind"),
        ({"tell": ["emotion", "object"]}, r"generator\.tell=.*the model is told the class anyway"),
    ],
)
def test_an_attribute_that_cannot_be_asked_for_is_named(records, changes, message):
    with pytest.raises(UserError, match=message):
        make_emovit(**changes).plan(records)


def annotated(said):
    """Return a writer that, asked for the class, answers `said(right one's number)`."""

    def change(request, text):
        return {"emotion": said} if request.schema and set(request.schema["properties"]) == {"emotion"} else text

    return Writer(change)


def test_the_annotator_names_the_class_where_it_is_asked_and_is_believed(records, folder):
    writer = annotated("awe")
    made = [outcome.row for outcome in outcomes(make_emovit(writer, ask_class=True), records, folder)]
    assert {row.attributes["emotion"] for row in made} == {"awe"}
    of_awe = [row for row in made if row.id.startswith("scenes/awe")]
    assert of_awe and all(row.flags == () for row in of_awe)
    assert all(row.flags == ("class_differs",) for row in made if row not in of_awe)
    asked = [request for request in writer.asked if request.schema and "emotion" in request.schema["properties"]]
    assert all(request.schema["properties"]["emotion"]["enum"] == EMOTIONS and request.images for request in asked)
    assert all(told(request)["emotion"] == "awe" for request in writer.asked if request.schema and request not in asked)


@pytest.mark.parametrize("said", ["joy", None, 3])
def test_an_annotator_that_names_no_class_makes_no_instruction(records, folder, said):
    found = outcomes(make_emovit(annotated(said), ask_class=True), records[:3], folder)
    assert {outcome.row.reason for outcome in found} == {"invalid"}
