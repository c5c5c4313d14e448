"""What a model's card says of forgetting: the paired difference to its base, or the command that measures it."""

import json

import pytest

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import parse
from seke.benchmark.tasks.general import General, lost
from seke.core.records import ImageRecord, Labels, write_jsonl
from seke.core.runs import Run, file_sha256
from seke.hub import model_results

from .test_cards import checkpoint, weights

EXPECTED = [[["glasses", "yes"], ["no glasses", "no"]]]


def asked(outputs, name, inputs, right, n=20, base="llava-hf/some-7b", finish=True):
    """An evaluation by the general benchmark in which the first `right` of `n` answers are right."""
    told = {"kind": "glasses", "question": "Glasses?", "expected": EXPECTED}
    records = [
        ImageRecord(id=f"q{k}", image="a", sha256=None, source="x", subject=None, split="test", labels=Labels(),
                    attributes=told)
        for k in range(n)
    ]  # fmt: skip
    answers = {row.id: Answer(id=row.id, text="yes" if k < right else "no") for k, row in enumerate(records)}
    rows, _ = General().predictions(records, answers, parse)
    config = {
        "benchmark": {"_target_": "seke.benchmark.tasks.general.General"},
        "model": {"path": base},
        "records": "g",
    }
    run = Run(outputs / "evaluate" / name, config, inputs)
    run.path.mkdir(parents=True)
    write_jsonl(run.path / "predictions.jsonl", rows)
    (run.path / "metrics.json").write_text(json.dumps(General().metrics(rows, 0)))
    if finish:
        run.finish(notes=[])
    return run


def card(run, model):
    return " ".join(model_results.fill(run, str(model), (), lost).read_text().split())


def test_a_base_of_the_hub_is_compared_on_the_same_records_with_an_interval(tmp_path):
    model = checkpoint(tmp_path)
    asked(tmp_path, "base-general", {"records": "cd" * 32}, right=18)
    run = asked(tmp_path, "tuned-general", weights(model), right=6, base="tuned", finish=False)
    text = card(run, model)
    assert "**What tuning forgot** (questions that are not about emotion, model minus base" in text
    assert "- tuned-general and base-general, 20 pictures: accuracy -0.600 (-0." in text
    assert "from 0.900 to 0.300" in text and "not measured" not in text.split("<!-- results -->")[1]


def test_a_local_base_is_known_by_its_weights(tmp_path):
    base = checkpoint(tmp_path, "first")
    model = checkpoint(tmp_path, "second", base=str(base))
    of_base = {"model/model.safetensors": file_sha256(base / "model.safetensors"), "records": "cd" * 32}
    asked(tmp_path, "first-general", of_base, right=20, base="first")
    other = {"model/model.safetensors": "ab" * 32, "records": "cd" * 32}
    asked(tmp_path, "other-general", other, right=1, base=str(base))
    run = asked(tmp_path, "second-general", weights(model), right=15, base="second", finish=False)
    text = card(run, model)
    assert "second-general and first-general, 20 pictures: accuracy -0.250" in text and "other-general" not in text


@pytest.mark.parametrize("records", ["ef" * 32, None])
def test_without_a_base_on_the_same_records_the_card_names_the_command(tmp_path, records):
    model = checkpoint(tmp_path)
    if records:
        asked(tmp_path, "base-general", {"records": records}, right=18)
    run = asked(tmp_path, "tuned-general", weights(model), right=6, base="tuned", finish=False)
    text = card(run, model)
    assert "**What tuning forgot**: not measured, its base has no evaluation on the same general questions." in text
    assert "python evaluate.py benchmark=general records=g model.path=llava-hf/some-7b name=tuned-base-general" in text


def test_two_evaluations_of_other_pictures_of_one_set_are_not_compared(tmp_path):
    model = checkpoint(tmp_path)
    asked(tmp_path, "base-general", {"records": "cd" * 32}, right=5, n=10)
    run = asked(tmp_path, "tuned-general", weights(model), right=6, base="tuned", finish=False)
    assert "not measured" in card(run, model)


def test_a_model_that_was_asked_no_general_question_says_so_in_every_card(tmp_path):
    model = checkpoint(tmp_path)
    assert "not measured either" in " ".join((model / "README.md").read_text().split())
    run = Run(
        tmp_path / "evaluate" / "f", {"benchmark": {"_target_": "seke.benchmark.tasks.feab.Feab"}}, weights(model)
    )
    run.path.mkdir(parents=True)
    (run.path / "metrics.json").write_text('{"ci95": {}}')
    text = card(run, model)
    assert "**What tuning forgot**: not measured, no general questions were asked." in text
    assert "python prepare.py source=synthetic_questions name=general" in text
