"""The exported lmms-eval task: what lmms-eval loads, and the same numbers as our own scorer on the same answers."""

import importlib.util
import subprocess
from pathlib import Path

import pytest
import yaml
from datasets import load_dataset
from PIL import Image as Picture

from seke.answers.extract import describe
from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import parse
from seke.benchmark.scoring.metrics import evaluate
from seke.benchmark.tasks.feab import Feab
from seke.core.records import ImageRecord, write_jsonl

from ... import warm
from ..faces import predictions

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "export_lmms_eval.py"
QUESTION = yaml.safe_load((ROOT / "conf" / "benchmark" / "feab.yaml").read_text())["question"].strip()
ROWS = predictions(seed=3, count=60)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    Picture.new("RGB", (16, 24), (9, 99, 9)).save(folder / "a.png")
    found = [
        ImageRecord(
            id=row.id, image="a.png", sha256=None, source=row.source, subject=row.subject, split="test",
            labels=row.truth, attributes={"age": number} if number % 2 else {"place": {"x": [number]}},
        )
        for number, row in enumerate(ROWS)
    ]  # fmt: skip
    write_jsonl(folder / "test.jsonl", found)
    return folder / "test.jsonl"


@pytest.fixture(scope="module")
def task(records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    warm.run(SCRIPT, folder, records).check_returncode()
    return folder / "feab"


@pytest.fixture(scope="module")
def config(task: Path) -> dict:
    """The task as lmms-eval reads it: `!function file.name` is that function of the file beside the YAML."""

    class Loader(yaml.SafeLoader):
        pass

    def function(loader: yaml.SafeLoader, node: yaml.ScalarNode):
        module, name = loader.construct_scalar(node).split(".")
        spec = importlib.util.spec_from_file_location(module, task / f"{module}.py")
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return getattr(loaded, name)

    Loader.add_constructor("!function", function)
    return yaml.load((task / "feab.yaml").read_text(), Loader)


@pytest.fixture(scope="module")
def documents(config: dict, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    found = load_dataset(
        config["dataset_path"], cache_dir=str(tmp_path_factory.mktemp("cache")), **config["dataset_kwargs"]
    )
    return list(found[config["test_split"]])


def test_a_document_shows_its_picture_and_asks_the_benchmarks_question(config, documents) -> None:
    [picture] = config["doc_to_visual"](documents[0])
    assert (picture.mode, picture.size) == ("RGB", (16, 24))
    assert config["doc_to_text"](documents[0]) == config["doc_to_text"](documents[0], {}) == QUESTION
    assert config["doc_to_target"] in documents[0]
    assert config["generation_kwargs"]["max_new_tokens"] == 512


def test_the_task_gives_the_same_numbers_as_our_scorer(config, documents, records) -> None:
    texts = [describe(row.labels) if number % 7 else "I can't help with that." for number, row in enumerate(ROWS)]
    results = [config["process_results"](doc, [text]) for doc, text in zip(documents, texts, strict=True)]
    theirs = {
        entry["metric"]: entry["aggregation"]([result[entry["metric"]] for result in results])
        for entry in config["metric_list"]
    }
    known = [ImageRecord.model_validate_json(line) for line in records.read_text().splitlines()]
    answers = {row.id: Answer(id=row.id, text=text) for row, text in zip(ROWS, texts, strict=True)}
    ours = evaluate(Feab(QUESTION).predictions(known, answers, parse)[0], draws=2)
    assert theirs == {
        "expression_accuracy": ours["expression"]["accuracy"],
        "expression_f1_macro": ours["expression"]["f1_macro"],
        "action_units_f1_mean_14": ours["action_units"]["f1_mean_14"],
        "action_units_f1_mean_17": ours["action_units"]["f1_mean_17"],
        "valence_mae": ours["valence"]["mae"],
        "valence_ccc": ours["valence"]["ccc"],
        "arousal_mae": ours["arousal"]["mae"],
        "arousal_ccc": ours["arousal"]["ccc"],
    }
    assert 0 < theirs["expression_accuracy"] < 1


def export(*words: object) -> "subprocess.CompletedProcess[str]":
    return warm.run(SCRIPT, *words)


@pytest.mark.parametrize("word", ["nowhere", "records=nowhere"])
def test_what_is_not_there_is_one_line(tmp_path: Path, word: str) -> None:
    done = export(tmp_path, word)
    assert done.returncode == 2 and done.stderr.startswith("error: records=nowhere: ")


def test_settings_may_be_named_as_at_the_commands_and_help_is_the_scripts_head(records: Path, tmp_path: Path) -> None:
    named = export(f"records={records}", f"folder={tmp_path}", "max_tokens=64")
    assert (named.returncode, named.stdout) == (0, f"{tmp_path / 'feab'}\n")
    assert "max_new_tokens: 64" in (tmp_path / "feab" / "feab.yaml").read_text()
    assert "max_tokens=64)" in (tmp_path / "feab" / "utils.py").read_text()
    helped = export("--help")
    assert helped.returncode == 0 and helped.stdout.startswith("FEAB as a task of lmms-eval")


@pytest.mark.parametrize(
    ("words", "argument"),
    [
        ([], "folder="),
        (["records=demo"], "folder="),
        (["a", "seed=1"], "command line=seed=1: "),
        (["a", "b", "3", "c"], "command line=c: "),
        (["a", "b", "c"], "max_tokens=c: "),
        (["a", "max_tokens=0"], "max_tokens=0: "),
    ],
)
def test_too_few_and_too_many_words_are_one_line(words: list[str], argument: str) -> None:
    done = export(*words)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {argument}") and done.stderr.count("\n") == 1
