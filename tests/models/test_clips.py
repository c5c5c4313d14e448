"""Clips through LLaVA-OneVision against transformers' own video path, without torchvision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from seke.models.chat import OLDER_TEMPLATE, TEMPLATE, UNLESS_GIVEN, Chat, Turn, system_of
from seke.models.llava_ov import LlavaOv, Loaded
from seke.models.protocol import ReadsClips
from seke.models.tiny.llava_ov import build_tiny, train_tokenizer

FRAMES = 3
CLIP, PICTURE = (FRAMES, 48, 40), (40, 90)


def picture(size, seed=0):
    noise = np.random.default_rng(seed).integers(0, 255, (size[0] // 4 + 1, size[1] // 4 + 1, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size[::-1])


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    tokenizer = train_tokenizer(["What is this? A face with AU12. system user assistant"] * 5, 400)
    # 5 x 5 patches: an odd side, as the 27 of the Hub's checkpoints, is pooled to the larger half.
    return build_tiny(tokenizer, image=40, patch=8, vision_width=32, vision_layers=2, width=32, layers=2, heads=2,
                      feed_forward=48)  # fmt: skip


def seen(loaded, *clips):
    """Features of clips and pictures, given as a seed and a size."""
    pixels = []
    for seed, size in clips:
        if len(size) == 2:
            pixels.append(loaded.pixels(picture(size, seed)))
            continue
        frames = [loaded.frame(picture(size[1:], seed + k)) for k in range(size[0])]
        pixels.append(frames[0]._replace(crops=torch.cat([frame.crops for frame in frames]), size=size))
    counts, sizes = [len(one.crops) for one in pixels], [one.size for one in pixels]
    return pixels, loaded.features(loaded.see(torch.cat([one.crops for one in pixels])), counts, sizes)


def test_logits_of_a_clip_against_hf(loaded):
    pixels, features = seen(loaded, (1, CLIP))
    [ids] = loaded.prompts([[("user", "What is this?", (CLIP,))]])
    assert ids.count(loaded.processor.video_token_id) == loaded.image_tokens(CLIP) == FRAMES * 9 + 1
    with torch.no_grad():
        theirs = loaded.model(input_ids=torch.tensor([ids]), pixel_values_videos=pixels[0].crops[None]).logits
        ours = loaded.logits(torch.tensor([ids]), None, features)
    torch.testing.assert_close(ours, theirs)


def test_logits_of_a_picture_between_two_clips_against_hf(loaded):
    pixels, features = seen(loaded, (1, CLIP), (7, PICTURE), (11, CLIP))
    [ids] = loaded.prompts([[("user", "What is this?", (CLIP, PICTURE, CLIP))]])
    with torch.no_grad():
        theirs = loaded.model(
            input_ids=torch.tensor([ids]),
            pixel_values=pixels[1].crops[None],
            image_sizes=torch.tensor([PICTURE]),
            pixel_values_videos=torch.stack([pixels[0].crops, pixels[2].crops]),
        ).logits
        ours = loaded.logits(torch.tensor([ids]), None, features)
    torch.testing.assert_close(ours, theirs)


def test_the_order_of_frames_matters(loaded):
    pixels, [features] = seen(loaded, (1, CLIP))
    turned = loaded.features(loaded.see(pixels[0].crops.flip(0)), [FRAMES], [CLIP])[0]
    assert not torch.allclose(features, turned)
    torch.testing.assert_close(features[:9], turned[18:27])


def test_a_frame_against_the_processors_overview(loaded):
    for size in ((40, 40), (48, 40), (33, 130), (200, 60)):
        frame = loaded.frame(picture(size))
        assert frame.size == (1, *size)
        [crops] = loaded.processor.image_processor([picture(size)], do_pad=False, return_tensors="np")["pixel_values"]
        np.testing.assert_allclose(frame.crops[0].numpy(), crops[0], atol=1e-6)


@settings(max_examples=8)
@given(st.integers(1, 40), st.integers(8, 2000), st.integers(8, 2000))
def test_tokens_at_the_hubs_geometry_against_features(frames, height, width):
    tiny = build_tiny(train_tokenizer(["What is this?"], 300), image=384, patch=14, vision_width=16, vision_layers=1,
                      width=16, layers=1, heads=2, feed_forward=16)  # fmt: skip
    size = (frames, height, width)
    tokens = tiny.image_tokens(size)
    assert (tokens, tiny.crops(size)) == (196 * frames + 1, frames)
    assert len(tiny.features(torch.randn(frames, 729, 16), [frames], [size])[0]) == tokens


def test_generated_answers_against_hf(loaded):
    pixels, features = seen(loaded, (1, CLIP), (7, PICTURE))
    [ids] = loaded.prompts([[("user", "What is this?", (CLIP, PICTURE))]])
    new = loaded.generate([ids], features, 6, sizes=[CLIP, PICTURE])
    theirs = loaded.model.generate(
        input_ids=torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        pixel_values=pixels[1].crops[None],
        image_sizes=torch.tensor([PICTURE]),
        pixel_values_videos=pixels[0].crops[None],
        max_new_tokens=6,
        do_sample=False,
    )[0, len(ids) :]
    assert new[0].tolist() == theirs.tolist()


def test_gradients_reach_tower_projector_and_newline(loaded):
    _, [features] = seen(loaded, (1, CLIP))
    features.sum().backward()
    inner = loaded.model.model
    tower = inner.vision_tower.embeddings.patch_embedding.weight
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in (tower, inner.image_newline))
    loaded.model.zero_grad(set_to_none=True)


def test_the_exported_model_reads_clips_in_plain_transformers(loaded, tmp_path):
    from transformers import AutoTokenizer, LlavaOnevisionForConditionalGeneration

    loaded.save(tmp_path)
    plain = LlavaOnevisionForConditionalGeneration.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    message = {"role": "user", "content": [{"type": "video"}, {"type": "image"}, {"type": "text", "text": "What?"}]}
    text = tokenizer.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
    for place, size in (("<video>", CLIP), ("<image>", PICTURE)):
        text = text.replace(place, place * loaded.image_tokens(size))
    [ids] = loaded.prompts([[("user", "What?", (CLIP, PICTURE))]])
    assert tokenizer(text)["input_ids"] == ids
    pixels, features = seen(loaded, (1, CLIP), (7, PICTURE))
    with torch.no_grad():
        theirs = plain(
            input_ids=torch.tensor([ids]), pixel_values=pixels[1].crops[None], image_sizes=torch.tensor([PICTURE]),
            pixel_values_videos=pixels[0].crops[None],
        ).logits  # fmt: skip
        ours = LlavaOv(str(tmp_path)).load().logits(torch.tensor([ids]), None, features)
    torch.testing.assert_close(ours, theirs)


def test_the_template_places_clips_as_we_encode_them(loaded):
    chat = Chat(loaded.processor.tokenizer)
    turn = Turn("user", "What?", (2, 3), (CLIP, PICTURE))
    assert chat.render([turn]) == "<|im_start|>user\n<video>\n<image>\nWhat?<|im_end|>\n"
    [(ids, _, _)] = chat.encode([[turn]])
    assert (ids.count(chat.video), ids.count(chat.image)) == (2, 3)


def test_a_system_turn_of_a_checkpoint_from_before_clips_is_still_read():
    assert OLDER_TEMPLATE != TEMPLATE
    for jinja in (OLDER_TEMPLATE, TEMPLATE):
        assert system_of('"Be kind."'.strip('"').join(UNLESS_GIVEN) + jinja) == "Be kind."


def test_the_family_says_that_it_reads_clips(loaded):
    assert isinstance(loaded, ReadsClips)
