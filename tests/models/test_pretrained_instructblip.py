"""What assets/instructblip_tiny has learnt from scripts/pretrain_instructblip_tiny.py, and what it has not."""

import re
import runpy
import sys
from collections import Counter
from random import Random

import pytest
import torch

from seke.models.instructblip import InstructBlip
from seke.sources.synthetic.scene_renderer import VALUES, draw, draw_scene, draw_view

from ..conftest import ROOT

UNSEEN = 10_000_000
"""Numbers of scenes far beyond the pool that was trained on."""


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        return runpy.run_path(str(ROOT / "scripts" / "pretrain_instructblip_tiny.py"))
    finally:
        sys.path.remove(str(ROOT / "scripts"))


@pytest.fixture(scope="module")
def loaded():
    return InstructBlip(str(ROOT / "assets" / "instructblip_tiny")).load()


def answers(loaded, question, scenes):
    with torch.no_grad():
        pixels = [loaded.pixels(draw(scene, draw_view(Random(k)))) for k, scene in enumerate(scenes)]
        turns = [[("user", question, ((96, 96),))]] * len(scenes)
        states = loaded.see(torch.cat([seen.crops for seen in pixels]))
        sizes = [seen.size for seen in pixels]
        features = loaded.features(states, [1] * len(scenes), sizes, loaded.contexts(turns))
        return [loaded.decode(ids) for ids in loaded.generate(loaded.prompts(turns), features, 24).tolist()]


def test_scenes_of_the_pool_have_no_emotion_and_independent_attributes(script):
    scenes = [script["scene_of"](UNSEEN + k) for k in range(3000)]
    assert {scene.emotion for scene in scenes} == {""}
    pairs = Counter((scene.scene_type, scene.sky) for scene in scenes)
    even = 3000 / (len(VALUES["scene_type"]) * len(VALUES["sky"]))
    assert len(pairs) == len(VALUES["scene_type"]) * len(VALUES["sky"])
    assert max(abs(count - even) for count in pairs.values()) < 4.5 * even**0.5


def test_no_description_it_learns_from_names_one_of_the_eight_emotions(script):
    rng = Random(0)
    said = " ".join(
        text.lower() for k in range(2000) for text in script["dialogue"](script["scene_of"](UNSEEN + k), rng)
    )
    assert not set(script["EMOTIONS"]) & set(re.findall("[a-z]+", said))


def test_it_tells_the_place_of_scenes_it_has_never_seen(script, loaded):
    scenes = [script["scene_of"](UNSEEN + k) for k in range(40)]
    said = answers(loaded, "What place is it?", scenes)
    assert sum(text == f"a {scene.scene_type}." for text, scene in zip(said, scenes, strict=True)) >= 34


def test_it_tells_light_and_colour_of_scenes_it_has_never_seen(script, loaded):
    scenes = [script["scene_of"](UNSEEN + k) for k in range(40)]
    said = answers(loaded, "How are light and colour?", scenes)
    looks = [" and ".join(script["looks"](scene.attributes)) for scene in scenes]
    assert sum(text == f"It is {words}." for text, words in zip(said, looks, strict=True)) >= 30


def test_which_emotion_a_scene_evokes_it_has_not_been_told(script, loaded):
    """Guessing is right in one of eight; instruction tuning has to bring the rest."""
    emotions = [emotion for emotion in script["EMOTIONS"] for _ in range(10)]
    scenes = [draw_scene(Random(k), emotion) for k, emotion in enumerate(emotions)]
    right = 0
    for question in script["asked"]()[:2]:
        said = answers(loaded, question, scenes)
        right += sum(emotion in text for emotion, text in zip(emotions, said, strict=True))
    assert right / 160 < 0.3


def test_the_large_one_sees_and_reads_alike_and_has_a_larger_language_model(script, loaded):
    large = InstructBlip(str(ROOT / "assets" / "instructblip_tiny_large")).load()
    ours, theirs = (of.model.vision_model.state_dict() for of in (large, loaded))
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())
    for kind in ("tokenizer", "qformer_tokenizer"):
        assert getattr(large.processor, kind).get_vocab() == getattr(loaded.processor, kind).get_vocab()
    sizes = [sum(weight.numel() for weight in of.model.language_model.parameters()) for of in (loaded, large)]
    assert sizes[1] > 3 * sizes[0]
    scenes = [script["scene_of"](UNSEEN + k) for k in range(40)]
    said = answers(large, "What place is it?", scenes)
    assert sum(text == f"a {scene.scene_type}." for text, scene in zip(said, scenes, strict=True)) >= 34
