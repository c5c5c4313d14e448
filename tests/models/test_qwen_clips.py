"""Clips through Qwen2.5-VL and Qwen3-VL against transformers: frames, tokens, positions, logits, answers, packs.

transformers' video processors need torchvision, which is not here. What they do with frames of the right size (two
frames a patch, the last one twice) is their own code in torch; that of Qwen3-VL stands for both, which have it alike.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForImageTextToText
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

from seke.core.errors import UserError
from seke.models.protocol import ReadsClips, clip_size
from seke.training.data import flops
from seke.training.data.dataset import prepare
from seke.training.data.mixture import Data
from seke.training.data.samplers import collate_pack
from seke.training.module import Sft
from seke.training.readers.row import Row, Turn

from ..trees.tried import Tried, checkpoint, family

CLIP, LONG, PICTURE = (3, 40, 56, 400), (4, 48, 48), (40, 90)
ASK = "What does this face show?"


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def tried(request):
    return Tried(request.param, attention="sdpa")


@pytest.fixture(scope="module")
def plain(tried):
    return AutoModelForImageTextToText.from_pretrained(checkpoint(tried.option), dtype=torch.float32).eval()


def picture(size, seed=0):
    noise = np.random.default_rng(seed).integers(0, 255, (size[0] // 4 + 1, size[1] // 4 + 1, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size[::-1])


def pixels(loaded, size, seed=1):
    if len(size) == 2:
        return loaded.pixels(picture(size, seed))
    frames = [loaded.frame(picture(size[1:3], seed + k), size[0]) for k in range(size[0])]
    return frames[0]._replace(crops=torch.cat([frame.crops for frame in frames]), size=size)


def features(loaded, *sizes):
    seen = [pixels(loaded, size, 10 * k) for k, size in enumerate(sizes)]
    counts = [len(one.crops) for one in seen]
    states = loaded.see(torch.cat([one.crops for one in seen]), counts, sizes)
    return loaded.features(states, counts, sizes)


def theirs(loaded, *sizes):
    """What transformers' model is given of these pictures and clips, by their patchify."""
    found = {"pixel_values": [], "image_grid_thw": [], "pixel_values_videos": [], "video_grid_thw": []}
    processor = loaded.processor.image_processor
    for k, size in enumerate(sizes):
        if len(size) == 2:
            seen = processor([picture(size, 10 * k)], return_tensors="pt")
            found["pixel_values"].append(seen["pixel_values"])
            found["image_grid_thw"].append(seen["image_grid_thw"])
            continue
        rows, columns = loaded.clip_grid(size)
        frames = [
            picture(size[1:3], 10 * k + j).resize((columns * 8, rows * 8), processor.resample) for j in range(size[0])
        ]
        mean, std = (np.asarray(value, np.float32) for value in (processor.image_mean, processor.image_std))
        video = np.stack([(np.asarray(frame, np.float32) * np.float32(1 / 255) - mean) / std for frame in frames])
        patches, *thw = Qwen3VLVideoProcessor.patchify(None, torch.from_numpy(video).permute(0, 3, 1, 2)[None], 4, 2, 2)
        found["pixel_values_videos"].append(patches[0])
        found["video_grid_thw"].append(torch.tensor([thw]))
    given = {name: torch.cat(values) for name, values in found.items() if values}
    clips = [size for size in sizes if len(size) > 2]
    if loaded.model.config.model_type == "qwen2_5_vl" and clips:
        # As Qwen2_5_VLProcessor has it: two frames, by the rate of the frames that are shown; 24 where unknown.
        rates = [1000 / size[3] if len(size) > 3 else 24 for size in clips]
        given["second_per_grid_ts"] = torch.tensor([2 / rate for rate in rates])
    return given


def kinds(loaded, ids):
    config = loaded.model.config
    return torch.tensor([[(i == config.image_token_id) + 2 * (i == config.video_token_id) for i in ids]])


@pytest.mark.parametrize("sizes", [(CLIP,), (LONG,), (CLIP, PICTURE, LONG)])
def test_logits_against_hf(tried, plain, sizes):
    loaded = tried.loaded
    [ids] = loaded.prompts([[("user", ASK, sizes)]])
    with torch.no_grad():
        wanted = plain(
            input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            mm_token_type_ids=kinds(loaded, ids), **theirs(loaded, *sizes),
        ).logits  # fmt: skip
        ours = loaded.logits(torch.tensor([ids]), None, features(loaded, *sizes), sizes=sizes)
    torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-4)


def test_generated_answers_against_hf(tried, plain):
    loaded, sizes = tried.loaded, (CLIP, PICTURE)
    [ids] = loaded.prompts([[("user", ASK, sizes)]])
    with torch.no_grad():
        wanted = plain.generate(
            input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            mm_token_type_ids=kinds(loaded, ids), **theirs(loaded, *sizes), max_new_tokens=6, do_sample=False,
        )[0, len(ids) :]  # fmt: skip
        new = loaded.generate([ids], features(loaded, *sizes), 6, sizes=sizes)
    assert new[0].tolist() == wanted.tolist()


def test_tokens_are_told_by_size_alone_and_equal_the_processors(tried):
    loaded = tried.loaded
    for size in (CLIP, LONG, (1, 40, 40), (9, 300, 70, 33)):
        [ids] = loaded.prompts([[("user", ASK, (size,))]])
        tokens = loaded.image_tokens(size)
        assert ids.count(loaded.model.config.video_token_id) == tokens == len(features(loaded, size)[0])
        assert len(pixels(loaded, size).crops) == loaded.crops(size)
        text = loaded.processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": ASK}]}],
            tokenize=False, add_generation_prompt=True,
        )  # fmt: skip
        assert loaded.processor.tokenizer(text.replace("<|video_pad|>", shown(loaded, size)))["input_ids"] == ids


def shown(loaded, size):
    """What the family's processor writes in the place of a clip."""
    rows, columns = loaded.clip_grid(size)
    if loaded.model.config.model_type == "qwen2_5_vl":
        return "<|video_pad|>" * loaded.image_tokens(size)
    rate = 1000 / size[3] if len(size) > 3 else None
    facts = SimpleNamespace(fps=rate, frames_indices=list(range(size[0])))
    processor = SimpleNamespace(
        video_processor=SimpleNamespace(merge_size=2, temporal_patch_size=2), video_token="<|video_pad|>",
        vision_start_token="<|vision_start|>", vision_end_token="<|vision_end|>",
        _calculate_timestamps=lambda *given: Qwen3VLProcessor._calculate_timestamps(None, *given),
    )  # fmt: skip
    grid = torch.tensor([[-(-size[0] // 2), 2 * rows, 2 * columns]])
    return Qwen3VLProcessor.replace_video_token(processor, {"video_grid_thw": grid, "video_metadata": [facts]}, 0)


def test_the_order_and_the_pace_of_frames_matter(tried):
    loaded = tried.loaded
    seen = pixels(loaded, LONG)
    [there] = loaded.features(loaded.see(seen.crops, [len(seen.crops)], [LONG]), [len(seen.crops)], [LONG])
    cells = len(seen.crops) // 4
    back = torch.cat(seen.crops.split(cells)[::-1])
    [turned] = loaded.features(loaded.see(back, [len(back)], [LONG]), [len(back)], [LONG])
    assert not torch.allclose(there, turned)
    slow, fast = clip_size(4, (48, 48), 2000), clip_size(4, (48, 48), 100)
    logits = []
    for size in (slow, fast):
        [ids] = loaded.prompts([[("user", ASK, (size,))]])
        with torch.no_grad():
            logits.append(loaded.logits(torch.tensor([ids]), None, [there], sizes=[size])[0, -1])
    assert not torch.allclose(*logits)


def test_a_frame_says_too_long_shapes(tried):
    with pytest.raises(Exception, match="frames of 4000 x 8 pixels"):
        tried.loaded.frame(picture((8, 4000)), 2)


def test_packs_mix_pictures_and_clips_and_frozen_states_are_refused(tried, tmp_path):
    loaded = tried.family.load()
    rows = []
    for k, size in enumerate((CLIP, PICTURE, LONG)):
        frames = size[0] if len(size) > 2 else 0
        files = tuple(tmp_path / f"{k}-{j}.png" for j in range(frames or 1))
        for j, file in enumerate(files):
            picture(size[1:3] if frames else size, 10 * k + j).save(file)
        pace = size[3] if len(size) > 3 else 0
        turns = (Turn("user", ASK, 1), Turn("assistant", "It shows fear." + " Glad." * k, 0))
        rows.append(Row(str(k), turns, files, clips=(frames,) if frames else (), between=(pace,) if frames else ()))
    samples = prepare([rows], loaded, Data(path="x", cache="none"), False, tmp_path / "x.arrow")
    assert samples.rejected == 0
    assert samples.crops.tolist() == [loaded.image_tokens(size) for size in (CLIP, PICTURE, LONG)]
    module = Sft(loaded, tried.family.train(loaded))
    module.model.eval()
    with torch.no_grad():
        each = [module.loss_sum(collate_pack([samples[k]], 1)) for k in range(3)]
        together = module.loss_sum(collate_pack([samples[k] for k in range(3)], 1))
    torch.testing.assert_close(together, sum(each), rtol=1e-5, atol=1e-5)
    with pytest.raises(UserError, match=r"data\.cache=states: this family sees the frames of a clip two at a time"):
        prepare([rows], loaded, Data(path="x", cache="states"), True, tmp_path / "y.arrow")


@pytest.mark.parametrize("size", [LONG, (3, 64, 64)])
def test_forward_flops_of_clips_against_torchs_counter(tried, size):
    loaded = Tried(tried.option, attention="eager").loaded
    clip = pixels(loaded, size)
    count = len(clip.crops)
    seen = loaded.seen_together(count, size)
    assert sum(seen) == loaded.image_tokens(size) < count, "two frames make one"
    ours = flops.forward(loaded.products(), flops.work(seen, [], 0))
    with torch.no_grad():
        with FlopCounterMode(display=False) as tower:
            states = loaded.see(clip.crops, [count], [size])
        with FlopCounterMode(display=False) as projector:
            loaded.features(states, [count], [size])
    assert (ours["vision_tower"], ours["projector"]) == (tower.get_total_flops(), projector.get_total_flops())


def test_the_families_say_that_they_read_clips(tried):
    assert isinstance(tried.loaded, ReadsClips) and not tried.loaded.frame_by_frame


def test_a_checkpoints_own_budget_for_clips_is_kept(tmp_path):
    import json
    import shutil

    path = shutil.copytree(checkpoint("qwen2_5_vl"), tmp_path / "own")
    (path / "video_preprocessor_config.json").write_text(
        json.dumps({"size": {"shortest_edge": 64, "longest_edge": 640}})
    )
    loaded = family("qwen2_5_vl", path).load()
    assert loaded.budget == (64, 640) and loaded.image_tokens((2, 80, 80)) <= 10 < loaded.image_tokens((80, 80))
