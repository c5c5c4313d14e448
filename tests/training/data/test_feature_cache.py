"""States on disk: found again by later runs, known by content, whole or not there, safe when several write."""

import multiprocessing

import pytest
import torch
from PIL import Image

from seke.core.errors import UserError
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer
from seke.training.data.dataset import prepare
from seke.training.data.feature_cache import Entry, StateStore
from seke.training.data.mixture import Data
from seke.training.readers.row import Row, Turn


@pytest.fixture(scope="module")
def loaded():
    return build_tiny(train_tokenizer(["What is it? A face."], 400), image=32, patch=8, vision_width=32,
                      vision_layers=2, width=32, layers=2, heads=2, feed_forward=48)  # fmt: skip


@pytest.fixture
def rows(tmp_path):
    made = []
    for k, size in enumerate([(32, 32), (50, 32), (20, 90)]):
        file = tmp_path / f"{k}.png"
        Image.radial_gradient("L").resize(size).save(file)
        made.append(Row(str(k), (Turn("user", "What is it?", 1), Turn("assistant", "A face.", 0)), (file,)))
    return made


@pytest.fixture
def seen(loaded, monkeypatch):
    """How many crops the tower has looked at, call by call."""
    calls = []
    see = type(loaded).see
    monkeypatch.setattr(type(loaded), "see", lambda self, crops, *told: calls.append(len(crops)) or see(self, crops))
    return calls


def kept(loaded, rows, tmp_path):
    data = Data(path="x", cache="disk", cache_dir=str(tmp_path / "cache"))
    return prepare([rows], loaded, data, True, tmp_path / "x.arrow")


def epoch_indices(tmp_path):
    return sorted((tmp_path / "cache").rglob("*.safetensors"))


def test_states_from_disk_equal_states_in_memory(loaded, rows, tmp_path):
    memory = prepare([rows], loaded, Data(path="x", cache="states"), True, tmp_path / "y.arrow")
    for again in (kept(loaded, rows, tmp_path), kept(loaded, rows, tmp_path)):
        for k in range(len(rows)):
            sample, [vision] = again[k]
            assert (sample, vision.size) == (memory[k][0], memory[k][1][0].size)
            torch.testing.assert_close(vision.values, memory[k][1][0].values, rtol=0, atol=0)
        assert not again.pictures.kept


def test_a_later_run_computes_new_pictures_only(loaded, rows, tmp_path, seen):
    kept(loaded, rows[:2], tmp_path)
    first = list(seen)
    kept(loaded, rows[:2], tmp_path)
    assert seen == first and len(epoch_indices(tmp_path)) == 2
    kept(loaded, rows, tmp_path)
    assert len(seen) == len(first) + 1 and len(epoch_indices(tmp_path)) == 3


def test_a_picture_is_known_by_its_content_not_its_name(loaded, rows, tmp_path, seen):
    kept(loaded, rows, tmp_path)
    first = len(seen)
    copy = tmp_path / "copy.png"
    copy.write_bytes(rows[0].images[0].read_bytes())
    kept(loaded, [Row("copy", rows[0].turns, (copy,))], tmp_path)
    assert len(seen) == first
    Image.linear_gradient("L").resize((32, 32)).save(rows[0].images[0])
    kept(loaded, rows, tmp_path)
    assert len(seen) == first + 1


def test_another_tower_finds_nothing(loaded, rows, tmp_path):
    kept(loaded, rows, tmp_path)
    bias = loaded.model.model.vision_tower.post_layernorm.bias
    with torch.no_grad():
        bias.add_(1)
    try:
        kept(loaded, rows, tmp_path)
    finally:
        with torch.no_grad():
            bias.sub_(1)
    assert len(epoch_indices(tmp_path)) == 6 and len(list((tmp_path / "cache").iterdir())) == 2


def test_a_half_written_entry_is_computed_again(loaded, rows, tmp_path, seen):
    whole = kept(loaded, rows, tmp_path)
    before = [whole[k][1][0].values.clone() for k in range(3)]  # what is read lies in the file itself
    for file, length in zip(epoch_indices(tmp_path), (0, 5, -7), strict=True):
        data = file.read_bytes()[:length]
        file.unlink()
        file.write_bytes(data)
    first = len(seen)
    again = kept(loaded, rows, tmp_path)
    assert len(seen) == first + 1
    for k in range(3):
        torch.testing.assert_close(again[k][1][0].values, before[k], rtol=0, atol=0)


def test_broken_pictures_are_rejected_and_not_kept(loaded, rows, tmp_path):
    rows[1].images[0].write_bytes(b"no picture")
    for _ in range(2):
        assert kept(loaded, rows, tmp_path).rejected == 1
    assert len(epoch_indices(tmp_path)) == 2


def writes(folder, start, digests):
    store = StateStore(folder, "tower")
    start.wait()
    for digest in digests:
        store.write(digest, Entry(torch.full((1, 20, 30), float(digest)), (3, 4)))


def test_two_processes_fill_one_folder(tmp_path):
    context = multiprocessing.get_context("fork")
    start, digests = context.Barrier(2), [f"{k:064d}" for k in range(40)]
    processes = [context.Process(target=writes, args=(tmp_path, start, digests)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    store = StateStore(tmp_path, "tower")
    for digest in digests:
        assert store.size(digest) == (3, 4)
        assert store.read(digest).states.unique().tolist() == [float(digest)]
    assert {path.suffix for path in tmp_path.rglob("*.*")} == {".safetensors"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_states_keep_their_type(tmp_path, dtype):
    store = StateStore(tmp_path, "tower")
    assert store.size("ab") is None
    store.write("ab", Entry(torch.ones(2, 3, 4, dtype=dtype), (5, 6)))
    assert store.read("ab").states.dtype == dtype and store.read("ab").size == (5, 6)


def test_a_disk_cache_needs_a_folder():
    with pytest.raises(UserError, match=r"^data\.cache_dir="):
        Data(path="x", cache="disk")
