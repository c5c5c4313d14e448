"""What scripts/check_peers.py makes of the answers that others gave: its tables, without a model."""

import json

import pytest

from . import warm
from .conftest import ROOT

SCRIPT = ROOT / "scripts" / "check_peers.py"


def checkpoint(folder, kind):
    """Write what tells the family of the checkpoint of `work`, and its special tokens."""
    made = folder / "made" / "smolvlm"
    made.mkdir(parents=True, exist_ok=True)
    (made / "config.json").write_text(json.dumps({"model_type": kind, "dtype": "float32"}))
    tokens = [{"content": "<image>", "special": True}, {"content": "<eos>", "special": True}]
    (made / "tokenizer.json").write_text(json.dumps({"added_tokens": [*tokens, {"content": "It", "special": False}]}))


@pytest.fixture
def work(tmp_path):
    """A folder of a family: `auto` answers alike, `pipeline` one of two, TRL learned, and nobody served."""
    checkpoint(tmp_path, "smolvlm")
    own = {"a": "It is fear.", "b": "It is joy."}
    for name, texts in (
        ("ours", own),
        ("auto", own | {"a": "<image>It is<eos> fear."}),
        ("pipeline", own | {"b": "It is not."}),
    ):
        folder = tmp_path / "smolvlm" / "outputs" / "evaluate" / name
        folder.mkdir(parents=True)
        rows = [{"id": id_, "text": f"{text}\n"} for id_, text in texts.items()]
        file = folder / "answers.jsonl" if name == "ours" else tmp_path / "smolvlm" / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "metrics.json").write_text(json.dumps({"expression": {"accuracy": 0.5}, "valence": None}))
    (tmp_path / "smolvlm" / "serve.not_run").write_text("not run: nobody serves\n")
    found = {"own": 6.68, "swapped": 6.67, "after": 6.25, "losses": [6.6, 6.3]}
    (tmp_path / "smolvlm" / "sft.json").write_text(json.dumps(found))
    return tmp_path


def test_a_table_of_families_says_who_answered_alike_and_why_others_did_not(work):
    done = warm.run(SCRIPT, "summary", work, "smolvlm", "internvl")
    assert done.returncode == 0, done.stderr
    head, _, row, absent = done.stdout.splitlines()
    assert head == "| family | Auto classes | `pipeline` | `transformers serve` | lmms-eval | vLLM | TRL |"
    lost = "ended with an error"
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "`smolvlm`", "equal, 2 of 2", "**1 of 2**", "not run: nobody serves", lost, lost, "learns, loss 6.68 to 6.25",
    ]  # fmt: skip
    assert absent.count(lost) == 6


@pytest.mark.parametrize("random", [(), ("yes",)])
def test_another_answer_is_an_error_whether_or_not_the_model_is_random(work, random):
    folder = work / "smolvlm"
    given = [work / "made" / "smolvlm", folder / "outputs" / "evaluate", folder / "sft.json", *random]
    done = warm.run(SCRIPT, "table", *given)
    assert done.returncode == 1, done.stderr
    assert "| pipeline | 1 of 2 | 0.500 | - | - | - |" in done.stdout
    assert "TRL: loss on its own answers 6.680, on those of another face 6.670; after 2 steps 6.250" in done.stdout


def test_a_model_that_knows_its_faces_must_prefer_them_and_a_random_one_need_not(work):
    others = work / "smolvlm" / "pipeline.jsonl"
    others.write_text((work / "smolvlm" / "auto.jsonl").read_text())
    given = [work / "made" / "smolvlm", work / "smolvlm" / "outputs" / "evaluate", work / "smolvlm" / "sft.json"]
    assert warm.run(SCRIPT, "table", *given, "yes").returncode == 0
    assert warm.run(SCRIPT, "table", *given).returncode == 1


def test_who_rounds_what_the_checkpoint_holds_need_not_answer_alike(work):
    folder = work / "smolvlm"
    evaluated = folder / "outputs" / "evaluate"
    (evaluated / "pipeline").rename(evaluated / "lmms-eval")
    (folder / "pipeline.jsonl").rename(folder / "lmms-eval.jsonl")
    checkpoint(work, "qwen3_vl")
    done = warm.run(SCRIPT, "table", work / "made" / "smolvlm", evaluated, folder / "sft.json", "yes")
    assert done.returncode == 0, done.stderr
    assert "| lmms-eval | 1 of 2, in bfloat16 | 0.500 | - | - | - |" in done.stdout
    assert "answers, 1 of 2, in bfloat16" in warm.run(SCRIPT, "summary", work, "smolvlm").stdout
    said = (folder / "lmms-eval.jsonl").read_text()
    (folder / "lmms-eval.jsonl").write_text(said.splitlines()[0] + "\n")
    assert "**1 of 2**" in warm.run(SCRIPT, "summary", work, "smolvlm").stdout, "one was not answered"
    (folder / "lmms-eval.jsonl").write_text(said)
    checkpoint(work, "smolvlm")
    assert warm.run(SCRIPT, "table", work / "made" / "smolvlm", evaluated, folder / "sft.json", "yes").returncode == 1


@pytest.mark.parametrize("seeing", [{"min_pixels": 256, "max_pixels": 5760},
                                    {"size": {"shortest_edge": 256, "longest_edge": 5760}}])  # fmt: skip
def test_lmms_eval_is_told_the_pixel_budget_of_a_qwen(work, seeing):
    checkpoint(work, "qwen2_5_vl")
    (work / "made" / "smolvlm" / "preprocessor_config.json").write_text(json.dumps(seeing))
    made = work / "made" / "smolvlm"
    settings = f"pretrained={made},device_map=cpu,min_pixels=256,max_pixels=5760"
    assert warm.run(SCRIPT, "peer", made).stdout.split() == ["qwen2_5_vl", settings]
    checkpoint(work, "smolvlm")
    assert warm.run(SCRIPT, "peer", made).stdout == ""
