"""Clips in training: states kept by frame, packs that mix them with pictures, and refusals by name."""

import json

import pytest
import torch
from PIL import Image

from seke.core.errors import UserError
from seke.core.images import sha256
from seke.models.llava_ov import Loaded
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer
from seke.training.callbacks.sample_answers import answer, questions
from seke.training.data.dataset import prepare
from seke.training.data.mixture import Data, stream
from seke.training.data.samplers import collate, collate_pack
from seke.training.module import Sft
from seke.training.readers.llava import Llava
from seke.training.readers.row import Row, Turn

from ...trees.disfa import write_video
from ...trees.pictures import picture, save


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return build_tiny(train_tokenizer(["What is it? A face."], 400), image=40, patch=8, vision_width=32,
                      vision_layers=2, width=32, layers=2, heads=2, feed_forward=48)  # fmt: skip


@pytest.fixture
def rows(tmp_path):
    """A clip of four frames, a picture, and a clip of the first clip's last three frames and a picture."""
    files = [save(tmp_path / f"{k}.png", size=(48, 40)) for k in range(4)]
    other = save(tmp_path / "other.png", size=(90, 33))

    def row(name, images, clips):
        return Row(
            name, (Turn("user", "What is it?", len(clips)), Turn("assistant", "A face.", 0)), images, clips=clips
        )

    return [row("a", tuple(files), (4,)), row("b", (other,), (0,)), row("c", (*files[1:], other), (3, 0))]


def rejections(arrow):
    return [json.loads(line) for line in arrow.with_suffix(".jsonl").read_text().splitlines()]


def prepared(loaded, rows, tmp_path, cache="none", **data):
    settings = Data(path="x", cache=cache, cache_dir=str(tmp_path / "states"), **data)
    return prepare([rows], loaded, settings, True, tmp_path / "x.arrow")


def expected(loaded, row):
    """The states of a row's pictures and frames, each seen by itself."""
    frames = [bool(n) for n in row.clips for _ in range(n or 1)]
    opened = [Image.open(file).convert("RGB") for file in row.images]
    crops = [(loaded.frame if one else loaded.pixels)(image).crops for one, image in zip(frames, opened, strict=True)]
    return loaded.see(torch.cat(crops))


@pytest.mark.parametrize("cache", ["states", "disk", "pixels", "none"])
def test_what_is_kept_by_frame_changes_no_clip(loaded, rows, tmp_path, cache):
    for _ in range(2 if cache == "disk" else 1):
        kept = prepared(loaded, rows, tmp_path, cache)
    assert kept.rejected == 0
    for (sample, seen), row in zip(map(kept.__getitem__, range(3)), rows, strict=True):
        values = torch.cat([vision.values for vision in seen])
        states = values if cache in ("states", "disk") else loaded.see(values)
        torch.testing.assert_close(states, expected(loaded, row))
        assert [len(vision.size) == 3 for vision in seen] == [bool(frames) for frames in row.clips]
        places = sum(sample.ids.count(token) for token in (loaded.text.image, loaded.text.video))
        assert places == sum(loaded.image_tokens(vision.size) for vision in seen)
        features = loaded.features(states, [len(v.values) for v in seen], [v.size for v in seen])
        assert sum(map(len, features)) == places


@pytest.mark.parametrize("cache", ["states", "disk"])
def test_a_frame_of_several_clips_is_seen_once_and_a_picture_by_itself(loaded, rows, tmp_path, cache, monkeypatch):
    seen = []
    see = Loaded.see
    monkeypatch.setattr(Loaded, "see", lambda self, crops, *rest: seen.append(len(crops)) or see(self, crops, *rest))
    kept = prepared(loaded, rows, tmp_path, cache)
    pictures = loaded.crops((33, 90))
    assert sum(seen) == 4 + pictures, "of seven frames four are different"
    assert kept.crops.tolist() == [0, 0, 0]
    alone = Row("own", rows[1].turns, rows[0].images[:1])
    prepared(loaded, [*rows, alone], tmp_path, cache)
    own = loaded.crops((40, 48))
    again = own if cache == "disk" else 4 + pictures + own
    assert sum(seen) == 4 + pictures + again, "as a picture it has its tiles, whatever was kept of it as a frame"


def test_the_crops_of_an_epoch_are_counted_by_frame(loaded, rows, tmp_path):
    pictures = loaded.crops((33, 90))
    assert prepared(loaded, rows, tmp_path).crops.tolist() == [4, pictures, 3 + pictures]


def test_packs_that_mix_pictures_and_clips_have_the_loss_and_gradients_of_samples_alone(loaded, rows, tmp_path):
    kept = prepared(loaded, rows, tmp_path)
    items = [kept[k] for k in range(3)]
    module = Sft(loaded, [])
    module.train()

    def gradients(loss):
        module.zero_grad()
        loss.backward()
        return {name: p.grad.clone() for name, p in loaded.model.named_parameters() if p.grad is not None}

    pack = module.loss_sum(collate_pack(items, 1))
    alone = sum(module.loss_sum(collate([item], 0, 1)) for item in items)
    torch.testing.assert_close(pack, alone, rtol=1e-6, atol=1e-6)
    together, apart = gradients(pack), gradients(alone)
    assert together.keys() == apart.keys() and "model.image_newline" in together
    for name, gradient in together.items():
        torch.testing.assert_close(gradient, apart[name], rtol=1e-4, atol=1e-5, msg=name)
    module.zero_grad()
    loaded.model.eval()


def test_a_clip_that_changes_its_size_and_one_longer_than_the_context_are_refused_by_name(loaded, rows, tmp_path):
    save(rows[0].images[3], size=(30, 30))
    broken = Row("d", rows[0].turns, (*rows[0].images[:2], tmp_path / "gone.png"), clips=(3,))
    longest = len(loaded.encode([[("user", "What is it?", ((2, 40, 48),)), ("assistant", "A face.", ())]])[0].ids)
    short = Row("e", rows[0].turns, rows[0].images[:2], clips=(2,))
    long = Row("f", rows[0].turns, rows[0].images[:3], clips=(3,))
    kept = prepared(loaded, [rows[0], broken, short, long], tmp_path, max_tokens=longest)
    assert len(kept) == 1 and kept.sample(0).id == "e"
    told = {row["id"]: (row["reason"], row["detail"]) for row in rejections(kept.arrow)}
    assert told["a"] == ("clip", "the frames of its clip change their size")
    assert told["d"][0] == "image" and "gone.png" in told["d"][1]
    assert told["f"] == ("length", f"{longest + 9} tokens (3 frames of clips), more than data.max_tokens={longest}")


class WithoutClips:
    """A model of a family that reads none."""

    def __init__(self, loaded):
        self.loaded = loaded

    def __getattr__(self, name):
        if name == "frame":
            raise AttributeError(name)
        return getattr(self.loaded, name)


def test_a_family_that_reads_no_clips_says_so(loaded, rows, tmp_path):
    loaded = WithoutClips(loaded)
    with pytest.raises(
        UserError, match=r"reads no clips; use a LLaVA-OneVision or a Qwen-VL, or data\.reader\.shown=1"
    ):
        prepared(loaded, rows, tmp_path)


def test_questions_about_clips_are_answered_while_it_learns(loaded, rows):
    asked = questions(rows, 3)
    assert [question.clips for question in asked] == [(4,), (0,), (3, 0)]
    [clip, *_] = asked
    turned = clip._replace(pictures=clip.pictures[::-1])
    frames = [loaded.frame(Image.open(file).convert("RGB")) for file in rows[0].images]
    crops = torch.cat([frame.crops for frame in frames])
    with torch.no_grad():
        features = loaded.features(loaded.see(crops), [4], [(4, 40, 48)])
    new = loaded.generate(loaded.prompts([[("user", "What is it?", ((4, 40, 48),))]]), features, 4)
    assert answer(loaded, clip, 4) == loaded.decode(new[0].tolist())
    assert isinstance(answer(loaded, turned, 4), str)


def conversation(tmp_path, *rows):
    talk = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A face."}]
    lines = [json.dumps({"id": str(k), "conversations": talk, **row}) for k, row in enumerate(rows)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "rows.jsonl"


def read(path, **settings):
    [part] = Data(path=str(path), reader=Llava(**settings)).sources(path.parent)
    return list(stream(part))


@pytest.fixture
def instructions(tmp_path):
    for k in range(5):
        save(tmp_path / "v" / f"{k}.jpg", size=(48, 40))
    save(tmp_path / "own.jpg")
    clip = {"video": "v", "time": 0.2, "frames": [f"v/{k}.jpg" for k in range(5)], "times": [k / 10 for k in range(5)]}
    bad = [{**clip, "times": [0.0]}, {**clip, "frames": clip["frames"][:1], "times": [0.0]},
           {**clip, "frames": ["../x.jpg"] * 5}, {"video": "v", "time": 0.2}]  # fmt: skip
    return conversation(tmp_path, *({"image": "own.jpg", "clip": one} for one in (clip, *bad)))


def test_frames_of_an_instruction_are_shown_in_its_pictures_place(instructions):
    good, uneven, one, outside, still = read(instructions)
    assert [file.name for file in good.images] == [f"{k}.jpg" for k in range(5)] and good.clips == (5,)
    assert [row.reason for row in (uneven, one, outside)] == ["form", "clip", "image"]
    assert "1 frame: no clip" in one.detail
    assert [file.name for file in still.images] == ["own.jpg"] and still.clips == ()


def test_a_frame_that_changed_since_the_instruction_was_written_is_refused_by_name(loaded, instructions, tmp_path):
    files = [tmp_path / "v" / f"{k}.jpg" for k in range(5)]
    clip = {"video": "v", "frames": [f"v/{k}.jpg" for k in range(5)], "sha256": [sha256(f.read_bytes()) for f in files]}
    rows = read(conversation(tmp_path, {"image": "own.jpg", "clip": clip}), shown=3)
    assert rows[0].frames_sha256 == tuple(clip["sha256"][::2])
    assert len(prepared(loaded, rows, tmp_path)) == 1
    save(files[2], size=(48, 41))
    kept = prepared(loaded, rows, tmp_path)
    assert len(kept) == 0
    [told] = rejections(kept.arrow)
    assert told["reason"] == "image" and "2.jpg" in told["detail"] and "changed" in told["detail"]


def test_so_many_frames_of_an_instruction_are_shown_or_its_picture_alone(instructions):
    assert [file.name for file in read(instructions, shown=3)[0].images] == ["0.jpg", "2.jpg", "4.jpg"]
    assert [file.name for file in read(instructions, every=0.2)[0].images] == ["0.jpg", "2.jpg", "4.jpg"]
    alone = read(instructions, shown=1)[0]
    assert [file.name for file in alone.images] == ["own.jpg"] and alone.clips == ()
    with pytest.raises(UserError, match=r"^data\.reader\.shown=0"):
        Llava(shown=0)


PLACED = [{"from": "human", "value": "<video>\nWhat is it?"}, {"from": "gpt", "value": "A face."}]
PARTS = [{"role": "user", "content": [{"type": "video", "video": "a.avi"}, {"type": "text", "text": "What is it?"}]},
         {"role": "assistant", "content": "A face."}]  # fmt: skip


def test_videos_of_llava_conversations_are_decoded_once(tmp_path):
    pytest.importorskip("av")
    write_video(tmp_path / "a.avi", [picture(f"frame {k}") for k in range(12)])
    path = conversation(
        tmp_path, {"video": "a.avi"}, {"video": ["a.avi"], "conversations": PLACED},
        {"videos": ["a.avi"], "conversations": None, "messages": PARTS},
    )  # fmt: skip
    found = read(path, shown=4)
    assert {row.clips for row in found} == {(4,)} and len({row.images for row in found}) == 1
    assert [turn.images for turn in found[0].turns] == [1, 0] and found[1].turns == found[0].turns
    assert [file.name for file in found[0].images] == ["00000.jpg", "00003.jpg", "00007.jpg", "00011.jpg"]
    assert len(read(path)[0].images) == 8, "as many as no setting says"
    (tmp_path / "a.avi").write_bytes(b"no video")
    assert {row.reason for row in read(path)} == {"clip"}


def test_videos_that_cannot_be_shown_are_refused_by_name(tmp_path):
    pytest.importorskip("av")
    write_video(tmp_path / "one.avi", [picture("a")])
    (tmp_path / "b.avi").write_bytes(b"no video")
    write_video(tmp_path / "good.avi", [picture(f"frame {k}") for k in range(3)])
    found = read(conversation(
        tmp_path, {"video": "one.avi"}, {"video": "b.avi"}, {"video": "gone.avi"}, {"video": "../a.avi"},
        {"video": ["good.avi", "b.avi"]}, {"video": "good.avi", "image": "a.jpg"}, {"audio": "a.wav"},
    ))  # fmt: skip
    assert [(row.id, row.reason) for row in found] == [
        ("0", "clip"), ("1", "clip"), ("2", "image"), ("3", "image"), ("4", "video"), ("5", "video"), ("6", "audio"),
    ]  # fmt: skip
    assert "1 frame: no clip" in found[0].detail and found[1].detail.startswith("b.avi: cannot be decoded")
    [alone] = read(conversation(tmp_path, {"video": "good.avi"}), shown=1)
    assert alone.reason == "video" and "shown=1" in alone.detail
