"""train.py dry_run=true: what it counts is what a training then does; nothing is written, and no weights are needed."""

import json
import shutil
from itertools import chain
from types import SimpleNamespace

import pytest
import torch

from seke.core.errors import UserError
from seke.models.llava_ov import LlavaOv
from seke.training import dry_run
from seke.training.data import flops
from seke.training.data.mixture import Data
from seke.training.dry_run import as_text, plan
from seke.training.optimizers import AdamW, StochasticAdamW
from seke.training.settings import Training

from ..conftest import ROOT

# LLaVA-OneVision 7B (Qwen-2 7B, SigLIP so400m) as llava-hf/llava-onevision-qwen2-7b-ov-hf publishes it.
SEVEN = {
    "text_config": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "vocab_size": 152000,
                    "num_attention_heads": 28, "num_key_value_heads": 4, "tie_word_embeddings": False},
    "vision_config": {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 26, "image_size": 384,
                      "num_attention_heads": 16, "patch_size": 14},
}  # fmt: skip


@pytest.fixture(scope="module")
def seven(tmp_path_factory):
    """A 7B without a single weight: its sizes, and a small tokenizer."""
    path = tmp_path_factory.mktemp("seven")
    for file in (ROOT / "assets" / "llava_ov_tiny").iterdir():
        if file.suffix != ".safetensors":
            shutil.copy(file, path)
    config = json.loads((path / "config.json").read_text())
    config["text_config"].pop("layer_types")
    for part, sizes in SEVEN.items():
        config[part] |= sizes
    side, grid = config["vision_config"]["image_size"], config["image_grid_pinpoints"]
    config["image_grid_pinpoints"] = [[side * tall // 96, side * wide // 96] for tall, wide in grid]
    patches = (side // config["vision_config"]["patch_size"]) ** 2
    own = {"size": {"height": side, "width": side}, "image_grid_pinpoints": config["image_grid_pinpoints"]}
    for name, changed in (("preprocessor_config.json", own), ("processor_config.json", {"num_image_tokens": patches})):
        (path / name).write_text(json.dumps(json.loads((path / name).read_text()) | changed))
    (path / "config.json").write_text(json.dumps(config))
    return path


def model_of(base, **more):
    return LlavaOv(str(base), trainable=["projector", "llm"], lr=1e-3, **more)


@pytest.mark.parametrize("training", [{"batch_size": 3, "max_epochs": 2}, {"accumulate": 2, "max_steps": 3}])
@pytest.mark.parametrize("pack", [True, False])
def test_what_is_planned_is_what_is_done(sft, tiny_base, tmp_path, training, pack):
    data = {"pack": pack, "pack_tokens": 100}
    facts = sft.train(tmp_path / "run", data=data, **{"max_epochs": 1, **training})
    rows = str(tiny_base / "rows.jsonl")
    settings = Training(**{"clip": 0.0, "max_epochs": 1, "batch_size": 2, **training})
    model = LlavaOv(str(tiny_base / "model"), trainable=["projector", "llm"], lr=1e-3)
    found = plan(model, Data(path=rows, **data), settings, None, tmp_path)
    assert (found.rows, found.total_steps, sum(found.rejected.values())) == (
        facts["rows"], facts["steps"], facts["rejected"],
    )  # fmt: skip
    assert {"all": found.tokens, "supervised": found.supervised} == facts["epoch_tokens"]
    assert found.packed == facts["packed"]
    loaded = model.load()
    assert found.sizes.all == sum(p.numel() for p in loaded.model.parameters())
    assert found.sizes.trained == sum(p.numel() for group in model.train(loaded) for p in group["params"])


def test_the_optimizers_state_and_a_checkpoint_have_the_bytes_that_are_planned(sft, tiny_base, tmp_path):
    model = LlavaOv(str(tiny_base / "model"), trainable=["projector", "llm"], lr=1e-3)
    found = plan(model, Data(path=str(tiny_base / "rows.jsonl")), Training(batch_size=2), None, tmp_path)
    loaded = model.load(dtype="float32")
    groups = model.train(loaded)
    optimizer = AdamW()(groups)
    for group in groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    state = [value for of in optimizer.state.values() for value in of.values() if torch.is_tensor(value) and value.ndim]
    assert found.memory.optimizer == sum(value.numel() * value.element_size() for value in state)
    assert found.memory.gradients == sum(p.grad.numel() * p.grad.element_size() for g in groups for p in g["params"])
    saved = tmp_path / "checkpoint"
    torch.save({"weights": [p for g in groups for p in g["params"]], "state": state}, saved)
    assert saved.stat().st_size == pytest.approx(found.checkpoint_bytes, rel=0.5)
    assert saved.stat().st_size >= found.checkpoint_bytes


def test_seven_billion_parameters_are_planned_without_a_weight(seven, tiny_base, tmp_path):
    gpu = {"accelerator": "gpu", "precision": "bf16-mixed", "activation_checkpointing": True}
    data, rows = Data(path=str(tiny_base / "rows.jsonl")), 10
    model = LlavaOv(str(seven), dtype="bfloat16")
    found = plan(model, data, Training(**gpu), StochasticAdamW(), tmp_path, mfu=0.5)
    assert found.sizes.all == pytest.approx(8.03e9, rel=0.005) and found.rows == rows
    # What conf/optimizer/adamw_bf16.yaml says: 2 bytes of weight, 2 of gradient, 4 of moments.
    state = found.memory.weights + found.memory.gradients + found.memory.optimizer
    assert state / 2**30 == pytest.approx(60, abs=1)
    assert (found.peak, found.ranks) == (flops.PEAKS["H100"], 1) or torch.cuda.is_available()
    assert found.hours == pytest.approx(found.flops / found.peak / 0.5 / 3600)
    # Forward and backward of dense layers: six operations a parameter and token.
    assert found.flops > 6 * 7e9 * found.tokens
    text = as_text(found)
    assert "8.03 B parameters" in text and "assumed MFU of 50%" in text and "exported model 14.9" in text
    plain = plan(LlavaOv(str(seven), dtype="bfloat16"), data, Training(**gpu), AdamW(), tmp_path)
    assert sum(plain.memory[:3]) / 2**30 == pytest.approx(120, abs=1)


def test_what_zero_shards_is_shared_out(tiny_base, tmp_path):
    from seke.training.deepspeed_cpu import CPUDeepSpeedStrategy

    data = Data(path=str(tiny_base / "rows.jsonl"))
    one = plan(model_of(tiny_base / "model"), data, Training(), None, tmp_path).memory
    for stage in (1, 2, 3):
        training = Training(devices=4, strategy=CPUDeepSpeedStrategy(stage=stage))
        found = plan(model_of(tiny_base / "model"), data, training, None, tmp_path)
        assert found.ranks == 4 and found.memory.optimizer == pytest.approx(one.optimizer * 1.5 / 4)
        assert found.memory.gradients == one.gradients / (4 if stage >= 2 else 1)
        assert found.memory.weights == one.weights / (4 if stage == 3 else 1)


def test_mistakes_are_one_line(tiny_base, tmp_path):
    rows = str(tiny_base / "rows.jsonl")
    for settings in ({"mfu": 0}, {"mfu": 1.5}, {"mfu": True}):
        with pytest.raises(UserError, match="assumed_mfu="):
            plan(model_of(tiny_base / "model"), Data(path=rows), Training(), None, tmp_path, **settings)
    with pytest.raises(UserError, match=r"model\.path="):
        plan(model_of(tmp_path / "nothing"), Data(path=rows), Training(), None, tmp_path)
    (tmp_path / "gone.jsonl").write_text((tiny_base / "rows.jsonl").read_text())
    with pytest.raises(UserError, match=r"data\.path=.*no usable row \(10 rejected\)"):
        plan(model_of(tiny_base / "model"), Data(path=str(tmp_path / "gone.jsonl")), Training(), None, tmp_path)


def test_the_command_tells_and_writes_nothing(cli, tiny_base, tmp_path):
    done = cli("train", f"data.path={tiny_base / 'rows.jsonl'}", f"paths.outputs={tmp_path / 'o'}", "dry_run=true")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("dry run: nothing was trained, nothing was written")
    assert "10 an epoch, 0 rejected" in done.stdout and not (tmp_path / "o").exists()


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("trainable", [["full"], ["projector", "llm"]])
def test_activations_are_about_what_a_forward_pass_keeps(tiny_base, again, trainable):
    """Against the bytes that autograd keeps of a pack, without weights."""
    model = LlavaOv(str(tiny_base / "model"), trainable=trainable)
    loaded = model.load()
    model.train(loaded)
    if again:
        loaded.model.activation_checkpointing_enable()
    sizes = [(32, 32)] * 12
    turns = [[("user", "What is it?", (size,)), ("assistant", "A grey face.", ())] for size in sizes]
    ids = [encoded.ids for encoded in loaded.encode(turns)]
    row = torch.tensor([[*chain.from_iterable(ids)]])
    keep = torch.zeros_like(row, dtype=torch.bool)
    keep[0, ::5] = True
    kept, weights = {}, {p.untyped_storage().data_ptr() for p in loaded.model.parameters()}

    def hold(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), storage)
        return tensor

    crops = torch.cat([torch.rand(loaded.crops(size), 3, 32, 32) for size in sizes])
    with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        features = loaded.features(loaded.see(crops), [loaded.crops(size) for size in sizes], sizes)
        logits = loaded.logits(row, None, features, keep, [*map(len, ids)])
        torch.nn.functional.cross_entropy(logits.float(), row[keep], reduction="sum")
    batch = dry_run.Batch(row.numel(), int(keep.sum()), len(crops))
    told = dry_run.activations_of(loaded, Training(), batch, again, "vision_tower" in model.trained)
    ratio = told / sum(size for size, _ in kept.values())
    # Checkpointed, the forward pass keeps hidden states; the layer that is computed again comes later, in the backward.
    assert ratio > 1 if again else 0.5 < ratio < 2


def test_activations_are_computed_again_where_a_gpu_would_not_hold_them(seven, tiny_base, tmp_path, monkeypatch):
    data = Data(path=str(tiny_base / "rows.jsonl"))
    auto = {"accelerator": "gpu", "precision": "bf16-mixed", "activation_checkpointing": "auto"}
    sizes = []
    for gib in (1000, 62):
        memory = SimpleNamespace(total_memory=gib * 2**30)
        monkeypatch.setattr(Training, "own_gpu", property(lambda self: torch.device("cuda", 0)))
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, memory=memory: memory)
        model = LlavaOv(str(seven), dtype="bfloat16")
        sizes.append(plan(model, data, Training(**auto), StochasticAdamW(), tmp_path).memory.activations)
        for settled in (True, False):
            given = Training(**{**auto, "activation_checkpointing": settled})
            found = plan(model, data, given, StochasticAdamW(), tmp_path)
            assert (found.memory.activations == sizes[-1]) is (settled is (gib == 62))
    assert sizes[0] > 2 * sizes[1]
    cpu = Training(activation_checkpointing="auto")
    assert plan(model_of(tiny_base / "model"), data, cpu, None, tmp_path) == plan(
        model_of(tiny_base / "model"), data, Training(), None, tmp_path
    )
