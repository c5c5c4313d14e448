"""A right answer in an odd wrapper is an answer; two answers, thoughts, examples and half an answer are none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.backends.openai.answer_json import objects
from seke.backends.openai.json_schema import adjusted, strict
from seke.backends.openai.protocol import choices, decode
from seke.backends.thinking import split_thoughts
from seke.core.json_schema import mismatch
from seke.core.vlm import Choice, Message, Request

SCHEMA = {
    "type": "object",
    "properties": {
        "expression": {"type": "string", "enum": ["anger", "fear", "happiness"]},
        "valence": {"type": "number", "minimum": -1, "maximum": 1},
        "action_units": {"type": "array", "items": {"type": "integer", "enum": [4, 6, 12]}},
        "reasoning": {"type": "string"},
    },
    "required": ["expression", "valence", "action_units", "reasoning"],
    "additionalProperties": False,
}
RIGHT = {"expression": "fear", "valence": -0.5, "action_units": [4], "reasoning": "The brow is lowered."}
OTHER = {**RIGHT, "expression": "anger"}
SAID, ELSE = json.dumps(RIGHT), json.dumps(OTHER)
ASKED = Request((Message("user", ("Which?",)),), SCHEMA)
FREE = Request((Message("user", ("What is seen?",)),))


def judged(message: object, finish: object = "stop", request: Request = ASKED, **choice: object) -> Choice:
    said = {"message": message, "finish_reason": finish, **choice}
    [found] = choices(decode(json.dumps({"choices": [said]})), request)
    return found


def told(content: object, **message: object) -> Choice:
    return judged({"role": "assistant", "content": content, **message})


@pytest.mark.parametrize(
    "choice",
    [
        told([{"type": "text", "text": SAID}]),
        told([{"type": "thinking", "thinking": [{"type": "text", "text": ELSE}]}, {"type": "text", "text": SAID}]),
        told([{"type": "text", "text": SAID[:20]}, {"type": "text", "text": SAID[20:]}]),
        told([SAID]),
        told(RIGHT),
        told(f"```json\n{json.dumps(RIGHT, indent=2)}\n```"),
        told(f"```\n{SAID}\n```"),
        told(f"First:\n```json\n{SAID}\n```\nAnd again:\n```\n{SAID}\n```"),
        told(f"Here is what I see {{in short}}:\n\n{SAID}"),
        told(f"{SAID}\n\nTell me if you need more!"),
        told(f"<think>\nIs it {ELSE}? No.\n</think>\n\n{SAID}"),
        told(f"Is it {ELSE}? No.\n</think>\n\n{SAID}"),
        told(f"<Thinking>{ELSE}</Thinking><answer>{SAID}</answer>"),
        told(f"[THINK]{ELSE}[/THINK]{SAID}"),
        told(f"◁think▷{ELSE}◁/think▷{SAID}"),
        told(f"<reasoning>a <think> in it</reasoning>{SAID}"),
        told(f"{SAID}<think>Was that right?"),
        told(f"<think>\nThe brow is lowered.\n\n```json\n{SAID}\n```"),
        told(f"<|channel|>analysis<|message|>{ELSE}<|end|><|start|>assistant<|channel|>final<|message|>{SAID}"),
        told(f"<|begin_of_box|>{SAID}<|end_of_box|>"),
        told(None, reasoning_content=SAID, tool_calls=[]),
        told("", reasoning=f"```json\n{SAID}\n```", reasoning_content=SAID),
        told(None, tool_calls=[{"type": "function", "function": {"name": "answer", "arguments": SAID}}]),
        told("", tool_calls=[{"function": {"name": "answer", "arguments": RIGHT}}]),
        told(None, function_call={"name": "answer", "arguments": SAID}),
        told(f'<tool_call>\n{{"name": "answer", "arguments": {SAID}}}\n</tool_call>'),
        told(json.dumps({"answer": RIGHT})),
        told(json.dumps([RIGHT])),
        told(json.dumps({"draft": OTHER, "answer": RIGHT})),
        told(json.dumps({**RIGHT, "confidence": 0.9, "notes": {"a": 1}})),
        told(json.dumps({**RIGHT, "valence": "-0.5", "action_units": ["AU04"]})),
        told(json.dumps({**RIGHT, "valence": " -.5 ", "action_units": "AU4"})),
        told(json.dumps({**RIGHT, "action_units": ["4 (Brow Lowerer)"]})),
        told(json.dumps({**RIGHT, "action_units": [4.0]})),
        told(json.dumps({**RIGHT, "action_units": "[4]"})),
        told(json.dumps({**RIGHT, "action_units": {"AU4": True, "AU6": False, "AU12": 0}})),
        told(json.dumps({**RIGHT, "expression": " Fear."})),
        told(json.dumps({name.upper().replace("_", " "): value for name, value in RIGHT.items()})),
        told(SAID[:-1] + ",}"),
        told(SAID.replace("[4]", "[4,]")),
        told(str(RIGHT)),
        told(SAID.replace('"', "“")),
        judged({"content": SAID}, None),
        judged({"content": SAID}, "tool_calls"),
    ],
)  # fmt: skip
def test_a_right_answer_is_read_out_of_its_wrapper(choice: Choice) -> None:
    assert choice.status == "ok", choice.text
    assert json.loads(choice.text) == RIGHT


def test_an_answer_as_it_was_asked_for_is_left_as_it_is() -> None:
    spaced = json.dumps(RIGHT, indent=1) + "\n"
    assert told(spaced).text == spaced


@pytest.mark.parametrize(
    ("choice", "status"),
    [
        (told(f"{ELSE} No, rather: {SAID}"), "invalid"),
        (told(f"```json\n{ELSE}\n```\n```json\n{SAID}\n```"), "invalid"),
        (told(SAID, tool_calls=[{"function": {"arguments": ELSE}}]), "invalid"),
        (told("Calling.", tool_calls=[{"function": {"arguments": said}} for said in (ELSE, SAID)]), "invalid"),
        (told(json.dumps({"first": OTHER, "second": RIGHT})), "invalid"),
        (told(f"The form is to be, for example, {SAID}"), "invalid"),
        (told(f"I see no face. Example: {SAID}"), "invalid"),
        (told(json.dumps({"error": "no face", "example": RIGHT})), "invalid"),
        (told(json.dumps({**RIGHT, "expression": "-fear"})), "invalid"),
        (told(json.dumps({**RIGHT, "expression": "fear?"})), "invalid"),
        (told(f"<think>{SAID}</think>"), "invalid"),
        (told(f"<think>{SAID} But is that right? Let me see"), "truncated"),
        (told(f"<think>First {ELSE}, then {SAID}"), "truncated"),
        (told("<think>The brow is low"), "truncated"),
        (told(None, reasoning_content=f"It could be {SAID}"), "invalid"),
        (told(None, reasoning_content=f"{SAID} or not"), "invalid"),
        (told("Expression: fear. Valence: -0.5. AU4 is active."), "invalid"),
        (told(SAID[:-1]), "invalid"),
        (told(f'{{"draft": {SAID}, "answer": {{"expr'), "invalid"),
        (told(SAID.replace("}", ', "expression": "anger"}')), "invalid"),
        (told(json.dumps({**RIGHT, "Expression": "anger"})), "invalid"),
        (told(json.dumps({**RIGHT, "expression": "scared"})), "invalid"),
        (told(json.dumps({**RIGHT, "valence": "-0,5"})), "invalid"),
        (told(json.dumps({**RIGHT, "valence": "-5"})), "invalid"),
        (told(json.dumps({**RIGHT, "valence": "low"})), "invalid"),
        (told(json.dumps({**RIGHT, "valence": True})), "invalid"),
        (told(json.dumps({**RIGHT, "valence": None})), "invalid"),
        (told(json.dumps({**RIGHT, "action_units": ["AU4 is absent"]})), "invalid"),
        (told(json.dumps({**RIGHT, "action_units": ["12 (Brow Lowerer)"]})), "invalid"),
        (told(json.dumps({**RIGHT, "action_units": ["AU4_r"]})), "invalid"),
        (told(json.dumps({**RIGHT, "action_units": {"AU4": True}})), "invalid"),
        (told(json.dumps({**RIGHT, "action_units": "none"})), "invalid"),
        (told(json.dumps({**RIGHT, "action_units": [4.5]})), "invalid"),
        (told([{"type": "refusal", "refusal": "No."}]), "refusal"),
        (told(f"I'm sorry, but I can't help with that. A form would be {SAID}"), "refusal"),
        (judged({"content": SAID}, "content_filter: PROHIBITED_CONTENT"), "filtered"),
        (judged({"content": None}, "SAFETY"), "filtered"),
        (judged({"role": "assistant"}, "content_filter_output"), "filtered"),
        (judged({"content": SAID}, "MAX_TOKENS"), "truncated"),
        (judged({"content": ""}, "error", error={"code": 502, "message": "upstream"}), "invalid"),
        (told("{" * 200_000), "invalid"),
        (told(json.loads('{"a":' * 900 + "1" + "}" * 900)), "invalid"),
        (told('{"' + '\\"' * 200_000), "invalid"),
        (told("{'a': " * 10_000), "invalid"),
        (told("{}" * 100_000), "invalid"),
        (told("{" + "(" * 9000 + ")" * 9000 + "}"), "invalid"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_not_read_as_one(choice: Choice, status: str) -> None:
    assert choice.status == status, choice.text[:300]


def test_free_text_is_told_without_the_thoughts_before_it() -> None:
    def free(content: str) -> Choice:
        return judged({"content": content}, request=FREE)

    assert free("<think>AU12 perhaps</think>\n\nHappy.") == Choice("Happy.")
    assert free("Happy.\n") == Choice("Happy.\n")
    assert free("[Analysis] AU12 [Answer] Happy.").status == "ok"
    assert free("<think>AU12 perhaps") == Choice("", "truncated")
    assert free("<think>AU12</think>") == Choice("nothing but a thought", "invalid")
    assert judged({"content": "<think>AU12"}, "length", FREE) == Choice("", "truncated")
    assert judged({"content": "<think>AU12</think> Hap"}, "length", FREE) == Choice("Hap", "truncated")
    assert judged({"content": "AU12, AU2"}, "length", FREE) == Choice("AU12, AU2", "truncated")
    assert judged({"content": "", "reasoning_content": "AU12"}, request=FREE).status == "invalid"


def test_log_probabilities_follow_the_answer_out_of_its_wrapper() -> None:
    tokens = ["```json", "\n", SAID[:9], SAID[9:], "\n", "```"]
    given = {"content": [{"token": token, "logprob": -0.5} for token in tokens]}
    found = judged({"content": "".join(tokens)}, logprobs=given)
    assert found.logprobs is not None and "".join(token for token, _ in found.logprobs).startswith(found.text)
    blurred = {"content": [{"token": "".join(tokens), "logprob": -0.5}]}
    assert judged({"content": "".join(tokens)}, logprobs=blurred).logprobs is None


def test_truth_values_and_marks_are_read_in_either_spelling() -> None:
    flags = strict({"type": "object", "properties": {"AU6": {"type": "integer", "enum": [0, 1]}}, "required": ["AU6"]})
    assert [adjusted({"AU06": said}, flags)["AU6"] for said in (True, "yes", "1", "false", 0)] == [1, 1, 1, 0, 0]
    assert adjusted({"AU6": "maybe"}, flags) == {"AU6": "maybe"}
    asked = {"type": "boolean"}
    assert [adjusted(said, asked) for said in ("True", "no", 1, "perhaps")] == [True, False, True, "perhaps"]


def test_hostile_texts_are_read_in_time_that_grows_with_their_length() -> None:
    # Were it the square, this would take minutes.
    for text in ("{" * 10**6, '{"a": {' * 10**5, '"\\"' * 10**5, "<think>" * 10**5, "{'" * 10**5, '{"a":,}' * 10**5):
        assert told(text).status != "ok" and len(list(objects(text))) <= 64 and split_thoughts(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.sampled_from(["fear", "AU4", "-0.5", "4", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*RIGHT, "x"]), inner, max_size=4),
    max_leaves=12,
)


@given(st.text(max_size=30), values, st.text(max_size=30))
def test_no_label_is_invented(before: str, value: object, after: str) -> None:
    """Whatever is accepted fits the schema, and each of its labels was said in some spelling."""
    found = told(f"{before}{json.dumps(value)}{after}")
    if found.status == "ok":
        answer, said = json.loads(found.text), json.dumps(value)
        assert mismatch(answer, strict(SCHEMA)) is None
        assert answer["expression"] in said.lower() and all(str(au) in said for au in answer["action_units"])
