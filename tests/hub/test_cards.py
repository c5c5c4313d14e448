"""Cards of data and of models: what they say, what they must not say, and that the Hub's classes read them."""

import json
import shutil
import subprocess

import pytest
from huggingface_hub import DatasetCard, ModelCard

from seke.core.provenance import commit, diff_sha256, made, public_command
from seke.core.records import InstructionRecord, Labels, Origins, Rejection, Turn, Uncertainty, write_jsonl
from seke.core.runs import Run, file_sha256
from seke.hub import dataset_export, model_card, model_results

ARGV = ["/home/me/generate.py", "name=feid", "records=/home/me/secret study/train.jsonl"]
METRICS = {
    "n": 40,
    "unanswered": {"expression": 2, "action_units": 0, "valence": 0},
    "expression": {"accuracy": 0.8125, "f1_macro": 0.75, "n": 32},
    "action_units": {"f1": {"1": 0.5}, "f1_mean_14": 0.6875, "n": 40},
    "valence": {"mae": None, "n": 0},
    "arousal": None,
    "ci95": {
        "expression": {"accuracy": [0.71, 0.92], "f1_macro": None},
        "action_units": {"f1": {"1": [0.25, 0.75]}, "f1_mean_14": [0.6, 0.77]},
        "valence": {"mae": None},
        "arousal": {"mae": None},
    },
}


def instruction(k, annotator="simulated-annotator", source="disfa"):
    return InstructionRecord(
        id=str(k), image=f"{k}.png", source=source, subject=None,
        conversations=(Turn(speaker="human", value="<image>\nWhat?"), Turn(speaker="gpt", value="Fear.")),
        labels=Labels(expression="fear", valence=-0.3, arousal=0.7, action_units={1: True}),
        origin=Origins(expression="generated", valence="manual", action_units={"1": "manual"}),
        uncertainty=Uncertainty(), confidence=None, samples=3, annotator=annotator, flags=(),
    )  # fmt: skip


def generated(tmp_path, *rows, usd=1.25):
    """A finished generate run of these rows, with one record rejected."""
    path = tmp_path / "outputs" / "generate" / "feid"
    path.mkdir(parents=True)
    write_jsonl(path / "instructions.jsonl", rows)
    write_jsonl(path / "rejected.jsonl", [Rejection(id="9", reason="refusal", detail="no")])
    cost = {"records": len(rows) + 1, "rejected": 1, "requests": 7, "input_tokens": 4321, "output_tokens": 99,
            "mean_samples": 2.875, "usd": usd}  # fmt: skip
    (path / "cost.json").write_text(json.dumps(cost))
    config = {
        "records": "/home/me/raw.jsonl",
        "generator": {"_target_": "seke.generation.seke.generator.Seke", "max_samples": 5, "use_prior": True},
        "stopping": {"_target_": "seke.generation.seke.stopping.uamc", "max_samples": 5},
        "backend": {
            "_target_": "seke.backends.openai.client.OpenAI",
            "model": "gpt-4o",
            "base_url": "http://inside/v1",
        },
    }
    run = Run(path, config, {})
    run.finish(image_root="/home/me/pictures", flags={"drift": 2}, prompts={"draw": "d0ec" * 16}, made=made(ARGV))
    return path


def published(path):
    dataset_export.publish(dataset_export.INSTRUCTIONS, path, None, ARGV, None, False)
    return (path / "README.md").read_text(encoding="utf-8")


def evaluated(outputs, name, inputs, benchmark="feab.Feab", metrics=METRICS, notes=()):
    """An evaluation that has its numbers, and is finished."""
    run = Run(outputs / "evaluate" / name, {"benchmark": {"_target_": f"seke.benchmark.{benchmark}"}}, inputs)
    run.path.mkdir(parents=True, exist_ok=True)
    (run.path / "metrics.json").write_text(json.dumps(metrics))
    run.finish(notes=list(notes))
    return run


def checkpoint(outputs, name="tuned", base="llava-hf/some-7b", trained_on=(), path="feid"):
    """A finished train run with weights and its card."""
    run = Run(
        outputs / "train" / name,
        {
            "model": {"_target_": "seke.models.llava_ov.LlavaOv", "path": base, "lr": 1e-5, "lora": None},
            "optimizer": {"_target_": "seke.training.optimizers.AdamW", "betas": [0.9, 0.999]},
            "trainer": {"batch_size": 4, "strategy": {"_target_": "a.DeepSpeed", "stage": 2}},
            "data": {"path": path},
            "seed": 3,
        },
        {"data0": "ab" * 32},
    )
    (run.path / "model").mkdir(parents=True)
    (run.path / "model" / "model.safetensors").write_bytes(name.encode())
    facts = {
        "base": base, "rows": 40, "parts": {"data0": 40}, "rejected": 1, "steps": 17, "epochs": 1, "loss": 0.3125,
        "validation_loss": None, "best": None, "trained_on": list(map(str, trained_on)), "made": made(ARGV),
        "packed": True, "epoch_tokens": {"all": 5322, "supervised": 2195},
        "hardware": {"device": "cuda H", "processes": 8, "nodes": 1},
    }  # fmt: skip
    model_card.write(run, facts)
    run.finish(**facts)
    return run.path / "model"


def weights(model):
    return {"model/model.safetensors": file_sha256(model / "model.safetensors"), "records": "cd" * 32}


def test_the_data_card_is_one_that_the_hub_reads_and_tells_what_the_run_did(tmp_path):
    card = DatasetCard(published(generated(tmp_path, instruction(1), instruction(2, source="raf_db"))))
    assert card.data.task_categories == ["image-text-to-text"]
    assert "simulated-annotator" in card.data.tags
    assert card.data.configs[0]["data_files"] == [{"split": "train", "path": "instructions.jsonl"}]
    for told in (
        "| disfa | 1 |", "| all | 2 |", "| expression | generated | 2 |", "| valence | manual | 2 |",
        "simulated-annotator (2 rows)", "**The annotator is simulated:**", "| generator.max_samples | 5 |",
        "| stopping | uamc |", "| 3 | 1 | 2.875 | 7 | 4321 | 99 | 1.25 |", "refusal 1", "drift 2", "draw d0ecd0ecd0ec",
        "**RAF-DB", "Art. 5(1)(f)", "python generate.py name=feid records=.../train.jsonl",
    ):  # fmt: skip
        assert told in card.text, told


def test_a_card_of_two_annotators_says_how_many_rows_the_simulated_one_wrote(tmp_path):
    path = generated(tmp_path, instruction(1), instruction(2, "gpt-4o"), instruction(3, "gpt-4o"))
    text = published(path)
    assert "**1 of 3 rows are of a simulated annotator:**" in text and "**The annotator is simulated" not in text
    assert "vision LLM completed." in text
    facts = {"base": "b", "rows": 3, "parts": {"data0": 3}, "best": None,
             "trained_on": [str(path / "instructions.jsonl")], "config": {"data": {"path": "feid"}}, "inputs": {},
             "rejected": 0, "made": made(ARGV), "epoch_tokens": {"all": 1, "supervised": 1}, "packed": False,
             "steps": 1, "epochs": 1, "loss": 1.0, "validation_loss": None,
             "hardware": {"device": "cpu", "processes": 1, "nodes": 1}}  # fmt: skip
    tuned = model_card.card("m", facts)
    assert "**In part labels of a simulated annotator**, of feid (1 of 3 rows)" in tuned.replace("\\", "")
    assert "no vision model looked at the pictures of the training data" not in tuned


def test_a_card_of_a_real_annotator_does_not_speak_of_a_simulated_one(tmp_path):
    text = published(generated(tmp_path, instruction(1, "gpt-4o-2024-11-20")))
    assert "gpt-4o-2024-11-20 (1 rows)" in text
    assert "simulated" not in text


def test_drawn_scenes_are_called_drawn_and_imitate_nothing(tmp_path):
    text = published(generated(tmp_path, instruction(1, source="synthetic_scenes")))
    assert "**Synthetic scenes**" in text
    assert "imitates" not in text
    assert "- synthetic\n" in text


def test_instructions_about_scenes_are_not_called_labels_of_faces(tmp_path):
    bare = instruction(1, source="synthetic_scenes").model_copy(update={"labels": Labels(), "origin": Origins()})
    text = published(generated(tmp_path, bare))
    assert "- visual-emotion\n" in text and "facial-expression" not in text
    assert "about the emotion that they evoke" in text and "| label | origin | number |" not in text


def test_a_reviewed_run_whose_cost_says_less_has_a_card(tmp_path):
    path = generated(tmp_path, instruction(1))
    (path / "cost.json").write_text('{"requests": 0, "usd": 0.0}')
    assert "| unknown | unknown | unknown | 0 | unknown | unknown | 0 |" in published(path)


def test_a_cost_that_nobody_knows_is_told_as_unknown(tmp_path):
    assert "| 4321 | 99 | unknown |" in published(generated(tmp_path, instruction(1), usd=None))


def test_reliability_is_told_only_once_it_is_measured_on_this_very_data(tmp_path):
    path = generated(tmp_path, instruction(1))
    evaluated(path.parents[1], "others", {"predictions": "0" * 64}, "reliability.Reliability")
    assert "Not measured." in published(path)
    digest = file_sha256(path / "instructions.jsonl")
    evaluated(path.parents[1], "ours", {"predictions": digest}, "reliability.Reliability")
    text = published(path)
    assert "| ours | Reliability | expression | accuracy | 0.812 | 0.710 to 0.920 | 32 | 2 |" in text
    assert "Not measured." not in text
    assert "others" not in text
    assert published(path) == text


def test_rows_with_their_card_open_as_a_dataset(tmp_path):
    import datasets

    path = generated(tmp_path, instruction(1), instruction(2))
    published(path)
    datasets.disable_progress_bars()
    loaded = datasets.load_dataset(str(path), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"]["id"] == ["1", "2"]


@pytest.mark.parametrize("kind", ["data", "model", "filled"])
def test_no_card_tells_of_folders_hosts_or_keys(tmp_path, kind):
    path = generated(tmp_path, instruction(1))
    text = published(path)
    model = checkpoint(path.parents[1], trained_on=[path / "instructions.jsonl"], path=str(path / "instructions.jsonl"))
    if kind == "model":
        text = (model / "README.md").read_text()
    elif kind == "filled":
        text = model_results.fill(evaluated(path.parents[1], "e", weights(model)), str(model), ()).read_text()
    for private in ("/home/me", "secret study", "inside/v1", str(tmp_path)):
        assert private not in text


@pytest.mark.parametrize(
    ("word", "public"),
    [
        ("limit=3", "limit=3"),
        ("paths.outputs=/srv/me/out", "paths.outputs=.../out"),
        ("records=~/faces/a.jsonl", "records=.../a.jsonl"),
        ("data.mixture=[/srv/a b/c.json,outputs/d]", "'data.mixture=[.../c.json,outputs/d]'"),
        ("backend.base_url=http://me:pw@host:8000/v1", "'backend.base_url=http://***@host:8000/v1'"),
        ("+backend.api_key=sk-1", "'+backend.api_key=***'"),
        ("budget.tokens=5", "budget.tokens=5"),
        ("model.path=llava-hf/some-7b", "model.path=llava-hf/some-7b"),
    ],
)
def test_a_command_is_told_without_what_is_private(word, public):
    assert public_command(["/x/train.py", word]) == f"python train.py {public}"


def test_names_that_look_like_markup_stay_text_in_their_cells(tmp_path):
    hostile = "x | <script>alert(1)</script> [y](http://z)\n# Not a title"
    text = published(generated(tmp_path, instruction(1, hostile, source=hostile)))
    body = text.split("---\n", 2)[2]
    assert "<script>" not in body.replace(r"\<script", "")
    assert "\n# Not a title" not in body
    assert r"x \| \<script\>alert(1)\</script\> \[y\](http://z) # Not a title" in body
    DatasetCard(text)


def test_the_commit_is_that_of_the_checkout_and_unknown_elsewhere(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(["git", "-C", str(tmp_path), *identity, *words], capture_output=True, check=True)
        return done.stdout.decode().strip()

    assert commit(tmp_path) is None
    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "one")
    assert commit(tmp_path) == git("rev-parse", "HEAD")
    assert diff_sha256(tmp_path) is None
    (tmp_path / "a").write_text("2")
    assert commit(tmp_path) == git("rev-parse", "HEAD") + "+changes"
    changed = diff_sha256(tmp_path)
    assert changed is not None and len(changed) == 64
    (tmp_path / "inner").mkdir()
    assert commit(tmp_path / "inner") is None


def test_the_model_card_is_one_that_the_hub_reads_and_tells_how_it_was_trained(tmp_path):
    path = generated(tmp_path, instruction(1), instruction(2))
    card = ModelCard.load(checkpoint(path.parents[1], trained_on=[path / "instructions.jsonl"]) / "README.md")
    assert card.data.base_model == "llava-hf/some-7b"
    assert card.data.get("library_name") == "transformers"
    assert (card.data.datasets, card.data.license, card.data.pipeline_tag) == (["feid"], "other", "image-text-to-text")
    assert "simulated-annotator" in card.data.tags
    for told in (
        "**Labels of a simulated annotator:**", "| data0 | feid | 40 | abababababab |", "| disfa | 2 |",
        "| expression | generated | 2 |", "simulated-annotator 2 rows", "| model.lr | 1e-05 |", "| model.lora | none |",
        "| trainer.strategy | class DeepSpeed, stage 2 |", "| steps | 17 |", "| tokens an epoch | 5322 |",
        "| training loss, last | 0.3125 |", "| validation loss, last | unknown |", "| device | cuda H |", "**DISFA",
        "Art. 5(1)(f)", "Not evaluated yet",
    ):  # fmt: skip
        assert told in card.text, told


def test_training_data_that_says_nothing_of_itself_is_told_as_unknown(tmp_path):
    text = (checkpoint(tmp_path, trained_on=["/gone/mafw.json"], path="/gone/mafw.json") / "README.md").read_text()
    assert "Who annotated this data, and from which sources it comes: unknown" in text
    assert "| data0 | .../mafw.json |" in text
    assert "Training data: unknown to this program." in text


def test_rows_that_are_no_instruction_records_are_told_as_unknown(tmp_path):
    path = generated(tmp_path, instruction(1))
    (path / "instructions.jsonl").write_text('{"id": "1"}\n')
    text = (checkpoint(path.parents[1], trained_on=[path / "instructions.jsonl"]) / "README.md").read_text()
    assert "Who annotated this data, and from which sources it comes: unknown" in text


def test_a_model_that_goes_on_from_a_tuned_one_names_the_hub_model_below_both(tmp_path):
    first = checkpoint(tmp_path, "first")
    second = ModelCard.load(checkpoint(tmp_path, "second", base=str(first)) / "README.md")
    assert second.data.base_model == "llava-hf/some-7b"
    assert "**first**" in second.text
    for name, spoil in {
        "none": lambda path: path.unlink(),
        "notes": lambda path: path.write_text("---\nmy: [notes\n---\n"),
    }.items():
        spoil(first / "README.md")
        after = ModelCard.load(checkpoint(tmp_path, name, base=str(first)) / "README.md")
        assert after.data.get("base_model") is None


def test_a_filled_card_holds_the_numbers_of_metrics_json_with_their_intervals(tmp_path):
    model = checkpoint(tmp_path)
    notes = ["synthetic faces (40 images), not FEAB's photographs"]
    run = evaluated(tmp_path, "seke", weights(model), notes=notes)
    card = ModelCard.load(model_results.fill(run, str(model), notes))
    assert card.data.model_name == "tuned"
    found = {result.metric_name: result for result in card.data.eval_results}
    assert set(found) == {"expression accuracy", "expression f1_macro", "action_units f1_mean_14"}
    accuracy = found["expression accuracy"]
    assert (accuracy.metric_value, accuracy.dataset_type, accuracy.dataset_config) == (0.8125, "feab", "seke")
    assert accuracy.metric_args == {"n": 32, "unanswered": 2, "ci95": [0.71, 0.92]}
    assert "synthetic faces" in accuracy.dataset_name
    assert "| seke | FEAB | valence | mae | unknown | unknown | 0 | 0 |" in card.text
    assert "Not evaluated yet" not in card.text
    assert "seke is not comparable with the paper's numbers: synthetic faces" in card.text


def test_a_card_filled_twice_is_the_same_and_the_checkpoint_stays_as_it_was(tmp_path):
    model = checkpoint(tmp_path)
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    run = evaluated(tmp_path, "seke", weights(model))
    text = model_results.fill(run, str(model), ()).read_text()
    assert model_results.fill(run, str(model), ()).read_text() == text
    shutil.copy(run.path / "model_card.md", model / "README.md")  # as who uploads it would
    assert model_results.fill(run, str(model), ()).read_text() == text
    (model / "README.md").write_bytes(before["README.md"])
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_the_last_card_holds_every_evaluation_of_these_weights_and_no_other(tmp_path):
    model, other = checkpoint(tmp_path), checkpoint(tmp_path, "other")
    emoset = {
        "emotion": {"accuracy": 0.375, "n": 8},
        "unanswered": {"emotion": 1},
        "ci95": {"emotion": {"accuracy": [0, 1]}},
    }
    evaluated(tmp_path, "b", weights(model), "emoset.EmoSet", emoset)
    evaluated(tmp_path, "c", weights(other))
    run = evaluated(tmp_path, "a", weights(model))
    card = ModelCard.load(model_results.fill(run, str(model), ()))
    assert {(result.dataset_config, result.dataset_type) for result in card.data.eval_results} == {
        ("a", "feab"),
        ("b", "emoset"),
    }
    assert "| b | EmoSet | emotion | accuracy | 0.375 |" in card.text


def test_a_model_that_train_did_not_make_gets_no_card(tmp_path):
    model = checkpoint(tmp_path)
    run = evaluated(tmp_path, "seke", weights(model))
    (tmp_path / "plain").mkdir()
    shutil.copy(model / "README.md", tmp_path / "plain")
    for path in ("llava-hf/some-7b", str(tmp_path / "plain")):
        assert model_results.fill(run, path, ()) is None
    assert not (run.path / "model_card.md").exists()


@pytest.mark.slow
def test_the_commands_write_and_fill_the_cards(cli, tmp_path):
    here = f"paths.outputs={tmp_path}"
    steps = (
        ("prepare", "source.images=160", "source.workers=1"),
        ("generate", "limit=20"),
        ("train", "trainer.max_steps=2"),
        ("evaluate", "limit=6", "model.path=demo"),
    )
    for name, *settings in steps:
        done = cli(name, here, *settings)
        assert done.returncode == 0, done.stderr
    data = DatasetCard.load(tmp_path / "generate" / "demo" / "README.md")
    assert "| all | 20 |" in data.text
    assert "The pictures are drawn" in data.text
    card = ModelCard.load(tmp_path / "evaluate" / "demo" / "model_card.md")
    metrics = json.loads((tmp_path / "evaluate" / "demo" / "metrics.json").read_text())
    found = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert found["expression accuracy"] == metrics["expression"]["accuracy"]
    assert "python train.py paths.outputs=.../" in card.text
    assert str(tmp_path) not in data.content + card.content
