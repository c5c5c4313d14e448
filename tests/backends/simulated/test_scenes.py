import json
from pathlib import Path

import pytest

from seke.backends.simulated.scenes import BLIND, MODEL, SimulatedScenes, described, stated
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, write_jsonl
from seke.core.vlm import Image, Message, Request

PAIR = {"type": "object", "properties": {"question": {"type": "string"}, "answer": {"type": "string"}}}
CONVERSATION = {"type": "object", "properties": {"conversation": {"type": "array", "items": PAIR}}}
TOLD = """Examples first: <attributes>
emotion: awe
</attributes>
<caption>
a dark picture of a forest.
</caption>
<attributes>
emotion: fear
brightness: 0.2
object: spider, ghost
facial_expression: afraid
</attributes>"""
EMOTIONS = ("awe", "fear", "sadness")


def scene(number):
    return {
        "emotion": EMOTIONS[number % 3], "brightness": 0.2, "colorfulness": 0.8,
        "scene_type": ("forest", "beach")[number % 2], "object": [["ghost"], ["dog", "bird"]][number % 2],
        "facial_expression": ("sad", "happy")[number % 2], "human_action": ("running", "lying")[number % 2],
    }  # fmt: skip


@pytest.fixture
def truth(tmp_path):
    records = [
        ImageRecord(
            id=f"synthetic_scenes/{number}", image=f"{number}.jpg", sha256=f"{number:064}", source="synthetic_scenes",
            subject=None, split="train", labels=Labels(), attributes=scene(number),
        )
        for number in range(400)
    ]  # fmt: skip
    (tmp_path / "demo").mkdir()
    write_jsonl(tmp_path / "demo" / "scenes.jsonl", records)
    return str(tmp_path / "*" / "scenes.jsonl")


def annotator(truth, **settings):
    return SimulatedScenes(truth, **{"misses": 0.0, "mistakes": 0.0, "wrong_emotions": 0.0, **settings})


def ask(backend, *parts, schema=None, **settings):
    ((_, reply),) = backend.reply([Request((Message("user", parts),), schema, **settings)])
    return reply


def picture(number):
    return Image(Path("nowhere.jpg"), f"{number:064}")


def test_its_model_says_simulated(truth):
    assert ask(annotator(truth), "Describe.", picture(0)).model == MODEL
    assert "simulated" in MODEL


def test_without_errors_a_caption_says_all_that_is_there_and_no_emotion(truth):
    said = ask(annotator(truth), "Describe this picture.", picture(0)).choices[0].text
    assert said == "a dark and colourful picture of a forest with a ghost and a sad person running."
    assert not any(emotion in said for emotion in EMOTIONS)


def test_what_is_missed_and_mistaken_has_the_stated_share(truth):
    backend = annotator(truth, misses=0.2, mistakes=0.5)
    said = [ask(backend, "Describe.", picture(number)).choices[0].text for number in range(0, 400, 2)]
    assert sum("of a " in text for text in said) / 200 == pytest.approx(0.8, abs=0.1)
    # A mistake draws one of the two values, so half of them are right after all.
    assert sum("of a forest" in text for text in said) / 200 == pytest.approx(0.8 * 0.75, abs=0.12)


def test_the_benchmarks_question_is_answered_with_the_stated_share_of_errors(truth):
    question = "Please select the emotion closest to the image. Predict emotion:"
    backend = annotator(truth, wrong_emotions=0.25)
    said = [ask(backend, question, picture(number)).choices[0].text for number in range(400)]
    right = sum(text == f"Predict emotion: {EMOTIONS[number % 3]}" for number, text in enumerate(said))
    assert right / 400 == pytest.approx(0.75, abs=0.08)


def test_another_attribute_is_named_in_the_questions_form_with_the_same_share_of_errors(truth):
    backend = annotator(truth, wrong_emotions=0.25)
    said = [ask(backend, "Predict scene type: <scene type>", picture(number)).choices[0].text for number in range(400)]
    right = sum(text == f"Predict scene type: {scene(number)['scene_type']}" for number, text in enumerate(said))
    assert right / 400 == pytest.approx(0.75, abs=0.08)


def test_a_schema_of_one_attribute_gets_one_of_its_classes(truth):
    schema = {"properties": {"emotion": {"type": "string", "enum": ["awe", "joy"]}}}
    backend = annotator(truth, wrong_emotions=0.25)
    said = [json.loads(ask(backend, "?", picture(3 * n), schema=schema).choices[0].text) for n in range(130)]
    assert {answer["emotion"] for answer in said} == {"awe", "joy"}
    assert sum(answer == {"emotion": "awe"} for answer in said) / 130 == pytest.approx(0.75, abs=0.13)


def test_a_text_about_another_attribute_names_its_class_and_gives_no_reason_of_it(truth):
    told = "<caption>a picture.</caption><attributes>scene_type: beach\nobject: dog</attributes>"
    turns = json.loads(ask(annotator(truth), told, schema=CONVERSATION).choices[0].text)["conversation"]
    assert turns[-1] == {"question": "What is the scene type?", "answer": "It is beach, beside the dog."}
    pair = json.loads(ask(annotator(truth), told, schema=PAIR).choices[0].text)
    assert pair["answer"] == "First one sees the dog. Together they say: beach."


def test_an_image_that_is_no_scene_it_cannot_see_and_says_so(truth):
    reply = ask(annotator(truth), "Describe.", Image(Path("x.jpg"), "f" * 64))
    assert (reply.model, reply.choices[0].text) == (BLIND, "a picture.")


def test_a_conversation_is_about_what_the_text_tells_and_names_the_emotion_last(truth):
    reply = ask(annotator(truth), TOLD, schema=CONVERSATION)
    turns = json.loads(reply.choices[0].text)["conversation"]
    assert len(turns) == 3
    assert turns[0]["answer"] == "a dark picture of a forest."
    assert "fear" in turns[-1]["answer"]
    assert not any("fear" in turn["question"] for turn in turns)
    assert reply.model == MODEL, "no image was sent, so none is missing"


def test_reasoning_names_the_things_and_the_emotion(truth):
    pair = json.loads(ask(annotator(truth), TOLD, schema=PAIR).choices[0].text)
    assert set(pair) == {"question", "answer"}
    assert all(word in pair["answer"] for word in ("spider", "ghost", "afraid", "fear"))
    assert "fear" not in pair["question"]


def test_answers_depend_on_seed_request_and_number_alone(truth):
    errs = {"misses": 0.3, "mistakes": 0.3}
    one = ask(annotator(truth, **errs), "Describe.", picture(1), n=8)
    assert ask(annotator(truth, **errs), "Describe.", picture(1), n=8) == one
    assert len({choice.text for choice in one.choices}) > 1
    assert ask(annotator(truth, seed=1, **errs), "Describe.", picture(1), n=8).choices != one.choices


def test_a_price_is_played_through(truth):
    reply = ask(annotator(truth, usd_per_million=(1e6, 0.0)), "Four", picture(0))
    assert reply.cost == reply.usage.input_tokens == 1 + 255


def test_a_share_out_of_range_is_named():
    with pytest.raises(UserError, match=r"backend\.misses=1\.5"):
        SimulatedScenes("", misses=1.5, mistakes=0, wrong_emotions=0)


def test_the_last_blocks_of_a_text_count():
    assert stated(TOLD)["emotion"] == "fear"
    assert stated(TOLD)["object"] == ["spider", "ghost"]
    assert stated("nothing told") == {}


def test_a_scene_of_which_nothing_is_known_is_described_all_the_same():
    assert described({}) == "a picture."
    assert described({"facial_expression": "sad"}) == "a picture with a sad person."
