"""Answers while the model learns: which images, what is written, and that training is not disturbed."""

import json
from dataclasses import replace

import lightning.pytorch as pl
import pytest
import torch
import wandb
from lightning.pytorch.loggers import WandbLogger
from PIL import Image
from torch.utils.data import DataLoader

from seke.core.images import sha256
from seke.core.records import Rejection
from seke.models.llava_ov import LlavaOv
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer
from seke.training.callbacks.sample_answers import COLUMNS, Question, SampleAnswers, answer, evaluating, questions
from seke.training.data.dataset import Sample
from seke.training.data.samplers import collate
from seke.training.module import Sft
from seke.training.readers.row import Row, Turn

TURNS = (
    Turn("user", "What is it?", 1),
    Turn("assistant", "A face.", 0),
    Turn("user", "Sure?", 0),
    Turn("assistant", "Yes.", 0),
)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    path = tmp_path_factory.mktemp("base")
    build_tiny(train_tokenizer(["What is it? A face."], 300), image=32, patch=8, vision_width=32, vision_layers=1,
               width=32, layers=1, heads=2, feed_forward=48).save(path)  # fmt: skip
    return LlavaOv(str(path)).load()


@pytest.fixture
def rows(tmp_path):
    """A broken picture, a rejection, a row of text and three good ones."""
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for k in range(3):
        Image.new("RGB", (40, 30 + k), (60 * k, 0, 0)).save(tmp_path / f"{k}.png")
    return [
        Row("broken", TURNS, (tmp_path / "broken.png",)),
        Rejection(id="rejected", reason="image", detail=""),
        Row("text", (Turn("user", "Hello", 0), Turn("assistant", "Hi.", 0)), ()),
        *(Row(str(k), TURNS, (tmp_path / f"{k}.png",)) for k in range(3)),
    ]


def fit(loaded, asked, folder, logger=False, epochs=2, **settings):
    tokens = [20, 21, 22, 23]
    batch = collate([(Sample("a", tokens, [False, False, True, True], ()), [])], 0, 2)
    module = Sft(loaded, [{"name": "all", "params": list(loaded.model.parameters()), "lr": 1e-3}])
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=logger, enable_checkpointing=False, enable_model_summary=False,
        enable_progress_bar=False, callbacks=[SampleAnswers(asked, folder, max_new_tokens=4, **settings)],
    )  # fmt: skip
    trainer.fit(module, DataLoader([batch] * 2, batch_size=None))
    return [json.loads(line) for line in (folder / "answered.jsonl").read_text().splitlines()]


def test_the_first_rows_with_readable_pictures_are_asked_up_to_their_first_answer(rows):
    asked = questions(iter(rows), 2)
    assert [question.id for question in asked] == ["0", "1"]
    assert asked[0].turns == TURNS[:1] and asked[0].reference == "A face." and asked[0].files == rows[3].images


def test_no_more_of_the_rows_is_read_than_it_takes(rows):
    stream = iter(rows)
    questions(stream, 1)
    assert [row.id for row in stream] == ["1", "2"]
    assert questions(stream, 0) == []


def test_an_answer_is_what_the_model_generates_for_the_same_prompt(loaded, rows):
    (question,) = questions(rows, 1)
    pixels = loaded.pixels(Image.open(question.files[0]).convert("RGB"))
    prompt = loaded.prompts([[("user", "What is it?", (pixels.size,))]])
    with torch.no_grad():
        features = loaded.features(loaded.see(pixels.crops), [len(pixels.crops)], [pixels.size])
    (new,) = loaded.generate(prompt, features, 6).tolist()
    assert answer(loaded, question, 6) == loaded.decode([token for token in new if token != loaded.end])


def test_every_epoch_asks_the_same_images_again(loaded, rows, tmp_path):
    lines = fit(loaded, questions(rows, 2), tmp_path)
    assert [(line["step"], line["id"]) for line in lines] == [(2, "0"), (2, "1"), (4, "0"), (4, "1")]
    assert (
        set(lines[0]) == set(COLUMNS) and lines[0]["reference"] == "A face." and lines[0]["question"] == "What is it?"
    )


def test_steps_may_be_counted_instead_of_epochs(loaded, rows, tmp_path):
    lines = fit(loaded, questions(rows, 1), tmp_path, every=3)
    assert [line["step"] for line in lines] == [3]


def test_a_picture_that_changed_is_asked_about_neither_at_first_nor_later(loaded, rows, tmp_path):
    annotated = [replace(row, sha256=sha256(row.images[0].read_bytes())) for row in rows[3:]]
    annotated[0].images[0].write_bytes(annotated[2].images[0].read_bytes())
    asked = questions(annotated, 2)
    assert [question.id for question in asked] == ["1", "2"]
    annotated[1].images[0].unlink()
    with pytest.warns(UserWarning, match=r"1 is not asked about: 1\.png: cannot be read"):
        lines = fit(loaded, asked, tmp_path, epochs=1)
    assert [line["id"] for line in lines] == ["2"]


def test_asking_leaves_every_module_in_its_mode():
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Dropout())
    model.train()
    model[1].eval()
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert model.training and model[0].training and not model[1].training


def test_weights_and_biases_gets_a_table_with_the_pictures(loaded, rows, tmp_path, monkeypatch):
    tables = []
    monkeypatch.setattr(WandbLogger, "log_table", lambda self, key, columns, data, step: tables.append((columns, data)))
    logger = WandbLogger(save_dir=tmp_path, mode="disabled", project="seke")
    fit(loaded, questions(rows, 1), tmp_path, logger, epochs=1)
    ((columns, (row,)),) = tables
    assert columns == list(COLUMNS) and row[COLUMNS.index("reference")] == "A face."
    picture = row[COLUMNS.index("image")]
    assert isinstance(picture, wandb.Image) and picture.image.size == (40, 30)


def test_under_zero_3_nothing_is_asked_and_one_warning_says_so(tmp_path):
    class Strategy:
        zero_stage_3 = True

    class Trainer:
        strategy = Strategy()
        is_global_zero = True
        global_step = 1

    asking = SampleAnswers([Question("0", (), (), "")], tmp_path)
    with pytest.warns(UserWarning, match="ZeRO-3"):
        asking.setup(Trainer(), None, "fit")
    asking.on_train_epoch_end(Trainer(), None)
    assert not (tmp_path / "answered.jsonl").exists()
