"""Every family that talks through a chat template, against transformers' own processor, model, loss and loading.

The families are those of tests/trees/tried.py: whoever adds one has it tried here by its YAML and its small checkpoint.
`scripts/family_checks.py` makes the table in docs/training.md of this file's and the contract's results.
"""

import json
import shutil
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForImageTextToText, AutoProcessor, pipeline
from transformers.utils import is_torchvision_available

from seke.backends.transformers.tuned import Local
from seke.core.errors import UserError
from seke.core.images import sha256
from seke.core.vlm import Image as Shown
from seke.core.vlm import Message, Request
from seke.models.lora import is_adapter
from seke.models.qwen_positions import rope_positions
from seke.training.data import flops
from seke.training.data.dataset import prepare
from seke.training.data.mixture import Data
from seke.training.data.samplers import collate, collate_pack
from seke.training.module import Sft
from seke.training.readers.row import Row, Turn

from ..trees.tried import ANSWER, FAMILIES, HERE, IN_ASSETS, MADE, Tried, checkpoint, family

TALKING = [option for option in HERE if "instructblip" not in option]
"""InstructBLIP has no chat template; tests/models/test_instructblip.py holds it against LAVIS."""
ASK = "What does this face show?"
PUBLISHED = {
    "qwen2_5_vl": [("model.language_model.", "model."), ("model.visual.", "visual.")],
    "internvl": [
        ("model.language_model.", "language_model.model."), ("lm_head.", "language_model.lm_head."),
        ("model.vision_tower.", "vision_tower."), ("model.multi_modal_projector.", "multi_modal_projector."),
    ],
}  # fmt: skip
"""Beginnings of names in memory, and those on the Hub, where these are others."""


@pytest.fixture(scope="module", params=TALKING)
def tried(request):
    return Tried(request.param, attention="sdpa")


@pytest.fixture(scope="module")
def plain(tried):
    return AutoModelForImageTextToText.from_pretrained(checkpoint(tried.option), dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def rows(tmp_path_factory, tried):
    """Four conversations: about pictures of three sizes, one of two turns, and about none."""
    folder = tmp_path_factory.mktemp("rows")
    made = []
    for k in range(3):
        file = folder / f"{k}.png"
        tried.picture(k).save(file)
        turns = [Turn("user", ASK + " Look." * k, 1), Turn("assistant", ANSWER + " Glad." * (2 - k), 0)]
        if k == 1:
            turns += [Turn("user", "Who?", 0), Turn("assistant", "Nobody.", 0)]
        made.append(Row(str(k), tuple(turns), (file,)))
    return [*made, Row("blind", (Turn("user", "Who?", 0), Turn("assistant", "Nobody.", 0)), ())]


@pytest.fixture(scope="module")
def items(rows, tried, tmp_path_factory):
    folder = tmp_path_factory.mktemp("items")
    samples = prepare([rows], tried.loaded, Data(path="x", cache="none"), False, folder / "x.arrow")
    assert samples.rejected == 0
    return [samples[k] for k in range(len(rows))]


def messages(turns):
    return [
        {"role": role, "content": [{"type": "image"}] * len(sizes) + [{"type": "text", "text": text}]}
        for role, text, sizes in turns
    ]


def rendered(loaded, turns, answer=False):
    return loaded.processor.apply_chat_template(messages(turns), tokenize=False, add_generation_prompt=answer)


def read(loaded, turns, pictures, answer=False):
    """What transformers' processor makes of a conversation."""
    text = rendered(loaded, turns, answer)
    return loaded.processor(text=[text], images=pictures or None, return_tensors="pt")


def trained(tried):
    loaded = tried.family.load()
    return Sft(loaded, tried.family.train(loaded)).train()


def gradients(module, loss):
    module.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in module.model.named_parameters() if p.grad is not None}


def assert_equal_gradients(one, other, tolerance=1e-6):
    assert one.keys() == other.keys() and one
    largest = max(gradient.abs().max().item() for gradient in other.values())
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=tolerance * max(1, largest), msg=name)


# -- tokens -----------------------------------------------------------------------------------------------------------


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(st.integers(8, 300), st.integers(8, 300)))
def test_tokens_without_pixels_equal_the_processors(tried, size):
    loaded, picture = tried.loaded, Image.fromarray(np.zeros((*size, 3), np.uint8))
    turns = [("user", ASK, (size,))]
    theirs = read(loaded, turns, [picture], answer=True)["input_ids"][0].tolist()
    assert loaded.prompts([turns]) == [theirs]
    assert theirs.count(loaded.model.config.image_token_id) == loaded.image_tokens(size)
    assert len(loaded.pixels(picture).crops) == loaded.crops(size)


def test_label_masks_equal_the_chat_template(tried):
    loaded = tried.loaded
    pictures = [tried.picture(0), tried.picture(1)]
    turns = [
        ("system", "Be brief.", ()), ("user", ASK, tuple(tried.sizes(0))), ("assistant", ANSWER, ()),
        ("user", "And this?", tuple(tried.sizes(1))), ("assistant", "Nobody: " + ANSWER, ()),
    ]  # fmt: skip
    [encoded] = loaded.encode([turns])
    whole = read(loaded, turns, pictures)["input_ids"][0].tolist()
    assert encoded.ids == whole
    expected = [False] * len(whole)
    for place, (role, _, _) in enumerate(turns):
        if role == "assistant":
            asked = turns[:place]
            seen = pictures[: sum(len(sizes) for _, _, sizes in asked)]
            start = read(loaded, asked, seen, answer=True)["input_ids"].shape[1]
            stop = whole.index(loaded.end, start)
            expected[start : stop + 1] = [True] * (stop + 1 - start)
    assert encoded.supervised == expected


def test_special_tokens_in_a_text_are_text(tried):
    loaded = tried.loaded
    special = sorted(loaded.processor.tokenizer.all_special_tokens)
    assert special
    hostile = " ".join(special)
    [plain_ids], [ids] = (loaded.prompts([[("user", text, ())]]) for text in ("Who?", hostile))
    known = set(loaded.processor.tokenizer.all_special_ids)
    assert [id_ for id_ in ids if id_ in known] == [id_ for id_ in plain_ids if id_ in known]
    [encoded] = loaded.encode([[("user", "Who?", ()), ("assistant", hostile, ())]])
    said = [id_ for id_, counts in zip(encoded.ids, encoded.supervised, strict=True) if counts]
    assert hostile in loaded.processor.tokenizer.decode(said) and said.count(loaded.end) == 1


# -- sequences --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_logits_and_answers_against_plain_transformers(tried, plain):
    loaded = tried.loaded
    for number in range(3):
        turns = tried.talk(number)
        theirs = read(loaded, turns, [tried.picture(number)], answer=True)
        [ids] = loaded.prompts([turns])
        ours = loaded.logits(torch.tensor([ids]), None, tried.features(number), sizes=tried.sizes(number))
        torch.testing.assert_close(ours, plain(**theirs).logits, rtol=1e-5, atol=1e-5)
        said = plain.generate(**theirs, max_new_tokens=8, do_sample=False)[0, len(ids) :].tolist()
        [answer] = tried.answers(number)
        assert said[: len(answer)] == answer


def test_packed_loss_and_gradients_equal_padded_ones_and_transformers(tried, plain, rows, items):
    module = trained(tried)
    module.model.eval()
    tokens = sum(sample.tokens for sample, _ in items)
    pack = module.loss_sum(collate_pack(items, tokens)) / tokens
    packed = gradients(module, pack)
    padded = module.loss_sum(collate(items, 0, tokens)) / tokens
    torch.testing.assert_close(pack, padded, rtol=1e-6, atol=1e-6)
    assert_equal_gradients(packed, gradients(module, padded))

    plain.zero_grad()
    theirs = 0
    for k, (sample, visions) in enumerate(items):
        turns = [(t.role, t.text, tuple(vision.size for vision in visions)[: t.images]) for t in rows[k].turns]
        inputs = read(tried.loaded, turns, [tried.picture(k)] if visions else [])
        assert inputs["input_ids"][0].tolist() == sample.ids
        labels = torch.where(torch.tensor(sample.supervised), inputs["input_ids"][0], -100)[None]
        theirs = theirs + plain(**inputs, labels=labels).loss * sample.tokens / tokens
    theirs.backward()
    torch.testing.assert_close(pack, theirs, rtol=1e-6, atol=1e-6)
    found = {name: p.grad for name, p in plain.named_parameters() if name in packed}
    assert_equal_gradients(packed, found)


def test_every_trained_parameter_has_a_gradient(tried, items):
    module = trained(tried)
    found = gradients(module, module.loss_sum(collate_pack(items[1:3], 1)))
    assert found.keys() == {name for name, p in module.model.named_parameters() if p.requires_grad}
    blind = gradients(module, module.loss_sum(collate_pack(items[3:], 1)))
    assert blind.keys() == found.keys(), "a rank without a picture waits for nobody"


@torch.no_grad()
def test_samples_of_a_pack_do_not_see_each_other(tried):
    loaded = tried.loaded
    asked = [loaded.prompts([tried.talk(k)])[0] for k in range(3)]
    features = tried.features(0, 1, 2)

    def packed(first, shown):
        ids = [first, *asked[1:]]
        return loaded.logits(
            torch.tensor([[id_ for row in ids for id_ in row]]),
            None,
            [shown, *features[1:]],
            lengths=[len(row) for row in ids],
            sizes=tried.sizes(0, 1, 2),
        )

    before = packed(asked[0], features[0])
    after = packed([*asked[0][:-1], asked[0][-1] - 1], features[0] + 1)
    place = len(asked[0])
    assert torch.equal(before[:, place:], after[:, place:])
    assert not torch.equal(before[:, :place], after[:, :place])
    alone = [
        loaded.logits(torch.tensor([ids]), None, [feature], sizes=[size])
        for ids, feature, size in zip(asked, features, tried.sizes(0, 1, 2), strict=True)
    ]
    torch.testing.assert_close(before, torch.cat(alone, dim=1), rtol=1e-5, atol=1e-5)


# -- training ---------------------------------------------------------------------------------------------------------


def test_states_of_a_frozen_tower_on_disk_train_alike(tried, rows, tmp_path):
    frozen = family(tried.option, trainable=["projector", "llm"], attention="sdpa")
    losses = {}
    for kept in ("disk", "disk", "states", "none"):
        loaded = frozen.load()
        data = Data(path="x", cache=kept, cache_dir=str(tmp_path / "cache") if kept == "disk" else None)
        samples = prepare([rows], loaded, data, True, tmp_path / "x.arrow")
        module = Sft(loaded, frozen.train(loaded), states=kept != "none")
        module.model.eval()
        batch = collate_pack([samples[k] for k in range(len(rows))], 1)
        loss = module.loss_sum(batch)
        losses.setdefault(kept, []).append((loss.detach(), gradients(module, loss)))
    [(reference, expected)] = losses["none"]
    for loss, found in (*losses["disk"], *losses["states"]):
        torch.testing.assert_close(loss, reference, rtol=1e-6, atol=1e-6)
        assert_equal_gradients(found, expected)
        assert not any(tried.loaded.part(name) == "vision_tower" for name in found)


def test_adapters_alone_learn_and_are_merged_when_saved(tried, items, tmp_path):
    tuned = family(tried.option, trainable=[], lora={"r": 2, "alpha": 4}, attention="sdpa")
    loaded = tuned.load()
    module = Sft(loaded, tuned.train(loaded))
    module.model.eval()
    names = [name for name, p in loaded.model.named_parameters() if p.requires_grad]
    assert names and all(is_adapter(name) and loaded.part(name) == "language_model" for name in names)
    optimiser = torch.optim.SGD(module.groups[0]["params"], lr=0.5)
    batch = collate_pack(items, 1)
    losses = []
    for _ in range(3):
        optimiser.zero_grad()
        loss = module.loss_sum(batch) / len(batch["targets"])
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    with torch.no_grad():
        before = module.loss_sum(batch)
        loaded.save(tmp_path)
        again = Sft(Tried(tried.option, tmp_path, attention="sdpa").loaded, [])
        torch.testing.assert_close(again.loss_sum(batch), before, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_an_export_reloads_in_transformers_with_equal_logits_and_answers(tried, tmp_path):
    loaded = tried.loaded
    loaded.save(tmp_path)
    model, found = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32, output_loading_info=True)
    assert not any(found.values())
    # Without torchvision AutoProcessor makes no processor that has a part for videos.
    processor = AutoProcessor.from_pretrained(tmp_path) if is_torchvision_available() else loaded.processor
    turns = tried.talk(1)
    text = processor.apply_chat_template(messages(turns), tokenize=False, add_generation_prompt=True)
    inputs = processor(text=[text], images=[tried.picture(1)], return_tensors="pt")
    [ids] = loaded.prompts([turns])
    assert inputs["input_ids"][0].tolist() == ids
    ours = loaded.logits(torch.tensor([ids]), None, tried.features(1), sizes=tried.sizes(1))
    # torchvision's resampling is not Pillow's: its pixels differ a little.
    tolerance = 0.3 if is_torchvision_available() else 1e-5
    torch.testing.assert_close(model.eval()(**inputs).logits, ours, rtol=0, atol=tolerance)
    asked = pipeline("image-text-to-text", model=model, processor=loaded.processor)
    [said] = asked(text=rendered(loaded, turns, answer=True), images=[tried.picture(1)], return_full_text=False,
                   generate_kwargs={"max_new_tokens": 8, "do_sample": False})  # fmt: skip
    assert said["generated_text"].strip() == loaded.decode(tried.answers(1)[0])


@pytest.mark.parametrize("option", MADE)
def test_what_is_saved_has_the_names_and_files_that_were_read(option, tmp_path):
    before = checkpoint(option)
    Tried(option).loaded.save(tmp_path)
    names = [load_file(folder / "model.safetensors").keys() for folder in (before, tmp_path)]
    assert names[0] == names[1]
    small = {file.name for file in before.iterdir()} - {"model.safetensors", "config.json", "generation_config.json"}
    for name in small:
        assert (tmp_path / name).read_bytes() == (before / name).read_bytes()


@pytest.mark.parametrize("option", PUBLISHED)
def test_a_checkpoint_with_published_names_is_read_and_written_with_them(option, tmp_path):
    path = shutil.copytree(checkpoint(option), tmp_path / "published")
    weights = load_file(path / "model.safetensors")

    def published(name):
        return next((name.replace(old, new, 1) for old, new in PUBLISHED[option] if name.startswith(old)), name)

    save_file({published(name): value for name, value in weights.items()}, path / "model.safetensors", {"format": "pt"})
    tried = Tried(option, path)
    assert tried.answers(0, 1, 2) == Tried(option).answers(0, 1, 2)
    tried.loaded.save(tmp_path / "saved")
    assert load_file(tmp_path / "saved" / "model.safetensors").keys() == set(map(published, weights))


def test_only_what_is_frozen_gives_up_float32(tried, items):
    tuned = family(tried.option, trainable=["projector", "llm"], dtype="bfloat16", attention="sdpa")
    loaded = tuned.load(dtype="float32")
    module = Sft(loaded, tuned.train(loaded))
    types = {loaded.part(name): p.dtype for name, p in loaded.model.named_parameters()}
    assert types == {"vision_tower": torch.bfloat16, "projector": torch.float32, "language_model": torch.float32}
    found = gradients(module, module.loss_sum(collate_pack(items, 1)))
    assert found and all(gradient.dtype == torch.float32 for gradient in found.values())


@pytest.mark.parametrize("option", MADE)
def test_forward_flops_against_torchs_counter(option):
    tried = Tried(option, attention="eager")
    loaded, size = tried.loaded, (64, 64)
    pixels = loaded.pixels(Image.fromarray(np.zeros((*size, 3), np.uint8)))
    [encoded] = loaded.encode([[("user", ASK, (size,)), ("assistant", ANSWER, ())]])
    ids, keep = torch.tensor([encoded.ids]), torch.tensor([encoded.supervised])
    counts = [len(pixels.crops)]
    done = flops.work(counts, [ids.shape[1]], int(keep.sum()))._replace(pairs=ids.shape[1] ** 2)
    ours = flops.forward(loaded.products(), done)
    with torch.no_grad():
        with FlopCounterMode(display=False) as tower:
            states = loaded.see(pixels.crops, counts, [size])
        with FlopCounterMode(display=False) as projector:
            features = loaded.features(states, counts, [size])
        with FlopCounterMode(display=False) as language_model:
            loaded.logits(ids, None, features, keep, sizes=[size])
    counted = {"vision_tower": tower, "projector": projector, "language_model": language_model}
    assert ours == {part: counter.get_total_flops() for part, counter in counted.items()}


# -- mistakes ---------------------------------------------------------------------------------------------------------


def spoilt(option, folder, gone=(), **changed):
    """A copy of an option's checkpoint without some files, and with other entries in some JSON files."""
    path = shutil.copytree(checkpoint(option), folder / "spoilt")
    for name in gone:
        (path / name).unlink(missing_ok=True)
    for name, entries in changed.items():
        file = path / f"{name}.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | entries))
    return path


TEMPLATES = ("chat_template.jinja", "chat_template.json")
EVERYWHERE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content[-1].text }}<|image_pad|><|im_end|>\n{% endfor %}"
)


CODE = {"auto_map": {"AutoModel": "mine.Mine", "AutoProcessor": "mine.Mine"}}
QFORMER = "qformer_tokenizer"
"""Where InstructBLIP has the tokenizer of what its Q-Former reads."""


def refused(option, path, problem):
    with pytest.raises(UserError) as caught:
        family(option, path).load()
    assert str(caught.value).startswith(f"model.path={path}: {problem}") and "\n" not in str(caught.value)


@pytest.mark.parametrize("option", HERE)
@pytest.mark.parametrize(
    ("gone", "changed", "problem"),
    [
        (("preprocessor_config.json", "processor_config.json"), {}, "it has no preprocessor_config.json, so nothing"),
        (("tokenizer.json",), {}, "it has no tokenizer.json; "),
        (("tokenizer_config.json",), {}, "it has no tokenizer_config.json; "),
        ((), {"config": CODE | {"model_type": "mine"}}, "it names code of its own (config.json: auto_map); "),
        ((), {"tokenizer_config": CODE}, "it names code of its own (tokenizer_config.json: auto_map); "),
        ((), {"config": {"model_type": "bert"}}, "a checkpoint of "),
    ],
    ids=["no settings of pictures", "no tokenizer", "no settings of the tokenizer", "code", "tokenizer's code", "kind"],
)
def test_a_checkpoint_without_its_parts_is_one_line(option, tmp_path, gone, changed, problem):
    refused(option, spoilt(option, tmp_path, gone, **changed), problem)


@pytest.mark.parametrize("option", MADE)
@pytest.mark.parametrize(
    ("gone", "changed", "problem"),
    [
        (TEMPLATES, {}, "it has no chat template"),
        ((), {"config": {"image_token_id": 3}}, "its tokenizer has id"),
        ((), {"preprocessor_config": {"image_std": [0, 1, 1]}}, "image_std of its processor and of its model"),
        ((), {"preprocessor_config": CODE}, "it names code of its own (preprocessor_config.json: auto_map); "),
    ],
    ids=["no template", "image token", "std", "code that prepares pictures"],
)
def test_a_checkpoint_whose_parts_do_not_fit_is_one_line(option, tmp_path, gone, changed, problem):
    refused(option, spoilt(option, tmp_path, gone, **changed), problem)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_an_instructblip_without_its_q_formers_tokenizer_is_one_line(tmp_path, name):
    option = next(option for option in IN_ASSETS if "instructblip" in option)
    refused(option, spoilt(option, tmp_path, (f"{QFORMER}/{name}",)), f"it has no {QFORMER}/{name}; ")


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("<|im_start|><|image_pad|>{{ messages[0].content[-1].text }}", "leaves out, or moves, a turn"),
        (EVERYWHERE, "leaves out"),
        ("{{ raise_exception('only poems <|image_pad|>') }}", "refuses a conversation of user .only poems"),
    ],
    ids=["one turn", "an image in every turn", "refuses"],
)
def test_a_template_that_loses_what_is_said_is_one_line(tmp_path, template, problem):
    path = spoilt("qwen3_vl", tmp_path, TEMPLATES)
    (path / "chat_template.jinja").write_text(template)
    with pytest.raises(UserError, match=problem):
        family("qwen3_vl", path).load()


def test_a_model_that_always_thinks_is_refused(tmp_path):
    path = spoilt("qwen3_vl", tmp_path)
    file = path / "chat_template.jinja"
    file.write_text(file.read_text().replace("assistant\n' }}{% endif", "assistant\n<think>\n' }}{% endif"))
    with pytest.raises(UserError, match="a model that always thinks"):
        family("qwen3_vl", path).load()


@pytest.mark.parametrize("cache", ["none", "states", "disk"])
def test_pictures_that_a_family_does_not_read_reject_their_rows_by_name(tmp_path, cache):
    sizes = {"face": (48, 48), "large": (200, 200), "strip": (900, 4)}
    rows = []
    for name, (height, width) in sizes.items():
        Image.new("RGB", (width, height), "grey").save(tmp_path / f"{name}.png")
        turns = (Turn("user", ASK, 1), Turn("assistant", ANSWER, 0))
        rows.append(Row(name, turns, (tmp_path / f"{name}.png",)))
    for larger, expected in (("scale", ["strip"]), ("reject", ["large", "strip"])):
        loaded = family("qwen2_5_vl", larger=larger).load()
        data = Data(path="x", cache=cache, cache_dir=str(tmp_path / "cache") if cache == "disk" else None)
        samples = prepare([rows], loaded, data, True, tmp_path / "x.arrow")
        told = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
        assert [row["id"] for row in told] == expected and samples.rejected == len(expected)
        assert samples.unused.reasons == {"image": len(expected)}
        assert "strip.png: 4 x 900 pixels" in told[-1]["detail"]
        if larger == "reject":
            assert "large.png: 200 x 200 pixels, more than model.max_pixels=5760" in told[0]["detail"]


def test_pictures_that_a_family_does_not_read_are_answers_that_count_as_none(tmp_path):
    """As generate.py, evaluate.py and serve.py ask: one picture too large for the budget, and a strip."""
    asked = []
    for name, (height, width) in {"face": (48, 48), "large": (200, 200), "strip": (8000, 32)}.items():
        file = tmp_path / f"{name}.png"
        Image.new("RGB", (width, height), "grey").save(file)
        parts = (Shown(file, sha256(file.read_bytes())), ASK)
        asked.append(Request((Message("user", parts),), temperature=0.0, max_tokens=4))
    for larger, unread in (("scale", [2]), ("reject", [1, 2])):
        found = dict(Local(family("qwen2_5_vl", larger=larger), device="cpu").reply(asked))
        assert [k for k in range(3) if found[k].choices[0].status == "invalid"] == unread
        assert all(found[k].cost == 0.0 for k in range(3))
        assert found[2].choices[0].text.startswith("32 x 8000 pixels")
    assert found[1].choices[0].text == "200 x 200 pixels, more than model.max_pixels=5760"


@pytest.mark.parametrize("option", HERE)
def test_another_familys_checkpoint_is_one_line(option):
    other = next(each for each in HERE if FAMILIES[each]["_target_"] != FAMILIES[option]["_target_"])
    with pytest.raises(UserError, match=r"a checkpoint of .*, not of .*; set model= to its kind") as caught:
        family(option, checkpoint(other)).load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "changed", "line"),
    [
        ("qwen2_5_vl", {"min_pixels": 0}, "model.min_pixels=0: no number of pixels"),
        ("qwen2_5_vl", {"min_pixels": 9, "max_pixels": 4}, "model.min_pixels=9: above max_pixels=4"),
        ("qwen3_vl", {"larger": "crop"}, "model.larger=crop: no such choice; use scale or reject"),
        ("smolvlm", {"longest_edge": 9999}, "model.longest_edge=9999: not from 1 to 4096 pixels"),
        ("internvl", {"max_patches": 99}, "model.max_patches=99: not from 1 to 40 tiles"),
    ],
)
def test_a_pixel_budget_that_is_none_is_one_line(option, changed, line):
    with pytest.raises(UserError) as caught:
        family(option, **changed)
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    ("option", "changed", "tokens"),
    [
        ("qwen2_5_vl", {"max_pixels": 1024}, 16), ("qwen3_vl", {"max_pixels": 1024}, 16),
        ("smolvlm", {"longest_edge": 32}, 4), ("internvl", {"max_patches": 1}, 4),
    ],
)  # fmt: skip
def test_a_pixel_budget_is_kept_and_exported(option, changed, tokens, tmp_path):
    loaded = Tried(option, **changed).loaded
    assert loaded.image_tokens((300, 300)) == tokens
    loaded.save(tmp_path)
    again = Tried(option, tmp_path).loaded
    assert again.image_tokens((300, 300)) == tokens
    turns = [("user", ASK, ((300, 300),))]
    picture = Image.new("RGB", (300, 300))
    assert again.prompts([turns]) == [read(again, turns, [picture], answer=True)["input_ids"][0].tolist()]


def test_every_real_checkpoint_is_of_a_family_that_is_tried():
    tried = {FAMILIES[option]["_target_"] for option in HERE}
    assert {settings["_target_"] for settings in FAMILIES.values()} <= tried and IN_ASSETS


# -- positions --------------------------------------------------------------------------------------------------------


@cache
def positioned():
    return Tried("qwen2_5_vl").loaded.model.model


@given(st.lists(st.tuples(st.integers(1, 6), st.tuples(st.integers(1, 7), st.integers(1, 7))), max_size=4),
       st.integers(0, 5))  # fmt: skip
@settings(max_examples=40)
def test_positions_in_three_dimensions_against_transformers(parts, after):
    model = positioned()
    image = model.config.image_token_id
    ids, grids = [], []
    for before, (rows, columns) in parts:
        ids += [1] * before + [image] * (rows * columns)
        grids.append((rows, columns))
    ids += [1] * (after + 1)
    found = rope_positions(ids, image, iter(grids))
    kinds = torch.tensor([[int(id_ == image) for id_ in ids]])
    side = model.config.vision_config.spatial_merge_size
    thw = torch.tensor([(1, rows * side, columns * side) for rows, columns in grids]) if grids else None
    theirs, _ = model.get_rope_index(torch.tensor([ids]), mm_token_type_ids=kinds, image_grid_thw=thw)
    assert found.tolist() == theirs[:, 0].tolist()
