"""Options for speed against training without them: the fused loss, compiled blocks, float8; and what each lacks."""

import builtins
import importlib.util
import shutil
from types import SimpleNamespace

import pytest
import torch

from seke.core.errors import UserError
from seke.training import speedups
from seke.training.data.dataset import Sample
from seke.training.data.pictures import Vision
from seke.training.data.samplers import collate, collate_pack
from seke.training.module import Sft
from seke.training.settings import Training
from seke.training.speedups import blocks, compile_blocks, fused_loss, to_float8

from ..trees.tried import HERE, Tried


def batch(tried):
    """A pack of three conversations, one of them without a picture; padded where a family has no packs."""
    talks = [tried.talk(0, answered=True), tried.talk(1, answered=True), [("user", "Who?", ()), ("assistant", "I", ())]]
    seen = [[Vision(*tried.loaded.pixels(tried.picture(k)))] for k in range(2)]
    items = [
        (Sample(str(k), encoded.ids, encoded.supervised, (), encoded.context), shown)
        for k, (encoded, shown) in enumerate(zip(tried.loaded.encode(talks), [*seen, []], strict=True))
    ]
    pad = tried.loaded.processor.tokenizer.pad_token_id
    return collate_pack(items, 1) if tried.loaded.packs else collate(items, pad, 1)


def learned(module, given):
    """The loss of a batch and the gradients of all that is trained."""
    module.model.eval()  # no dropout
    module.zero_grad()
    loss = module.loss_sum(given)
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in module.model.named_parameters() if p.grad is not None}


def assert_alike(found, expected, tolerance=1e-5):
    torch.testing.assert_close(found[0], expected[0], rtol=tolerance, atol=tolerance)
    assert found[1].keys() == expected[1].keys()
    scale = max(float(gradient.abs().max()) for gradient in expected[1].values())
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=tolerance * scale, msg=name)


@pytest.fixture(scope="module", params=HERE)
def family(request):
    tried = Tried(request.param)
    return tried, Sft(tried.loaded, tried.family.train(tried.loaded)), batch(tried)


def test_the_fused_loss_of_every_family_against_logits_and_cross_entropy(family):
    _, module, given = family
    expected = learned(module, given)
    module.loss = fused_loss("torch")
    try:
        assert_alike(learned(module, given), expected)
    finally:
        module.loss = None
    assert learned(module, given)[0] == expected[0], "the head gives logits again"


def test_the_fused_loss_goes_chunk_by_chunk_where_that_is_another_computation():
    torch.manual_seed(0)
    hidden, weight, bias = torch.randn(40, 16), torch.randn(90, 16), torch.randn(90)
    targets, found = torch.randint(0, 90, (40,)), []
    for loss in (
        fused_loss("torch"),
        lambda h, w, t, b: torch.nn.functional.cross_entropy(h @ w.T + b, t, reduction="sum"),
    ):
        leaves = [part.clone().requires_grad_() for part in (hidden, weight, bias)]
        value = loss(leaves[0], leaves[1], targets, leaves[2])
        found.append([value.detach(), *torch.autograd.grad(value * 0.3, leaves)])
    for ours, reference in zip(*found, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-5)


def test_under_autocast_the_fused_loss_computes_in_its_type(family):
    _, module, given = family
    with torch.autocast("cpu", torch.bfloat16):
        plain = module.loss_sum(given)
        module.loss = fused_loss("torch")
        fused = module.loss_sum(given)
    module.loss = None
    torch.testing.assert_close(fused, plain, rtol=2e-2, atol=0.0)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("liger_kernel") is None, reason="liger-kernel is not installed")
def test_ligers_kernels_in_tritons_interpreter_against_logits_and_cross_entropy(monkeypatch):
    if not torch.cuda.is_available():
        monkeypatch.setenv("TRITON_INTERPRET", "1")  # read when Liger's kernels are imported
    loss, torch_loss = fused_loss("liger"), fused_loss("torch")
    torch.manual_seed(0)
    found = []
    for one in (loss, torch_loss):
        torch.manual_seed(0)
        hidden, weight = torch.randn(13, 32, requires_grad=True), torch.randn(402, 32, requires_grad=True)
        value = one(hidden, weight, torch.randint(0, 402, (13,)), None)
        found.append([value.detach(), *torch.autograd.grad(value * 0.3, (hidden, weight))])
    for ours, reference in zip(*found, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("option", HERE)
def test_compiled_blocks_of_a_family_against_blocks_as_they_are(option):
    tried = Tried(option)
    module, given = Sft(tried.loaded, tried.family.train(tried.loaded)), batch(tried)
    names = [name for name, _ in module.named_parameters()]
    expected = learned(module, given)
    torch._dynamo.reset()
    compile_blocks(tried.loaded.model, backend="aot_eager")
    assert_alike(learned(module, given), expected)
    assert [name for name, _ in module.named_parameters()] == names
    assert all("forward" in vars(block) for block in blocks(tried.loaded.model))


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")
def test_a_training_with_compiled_blocks_against_one_without(sft, tmp_path):
    given = {"trainable": ("vision_tower", "projector", "llm"), "data": {"pack": True, "pack_tokens": 200}, "clip": 1.0}
    plain = sft.train(tmp_path / "plain", **given)
    compiled = sft.train(tmp_path / "compiled", compile=True, fused_loss="torch", **given)
    assert compiled["loss"] == pytest.approx(plain["loss"], abs=1e-4)


def test_float8_is_of_the_language_models_blocks_and_near_to_what_was():
    tried = Tried("llava_ov_tiny")
    before = {name for name, _ in tried.loaded.model.named_parameters()}
    module, given = Sft(tried.loaded, tried.family.train(tried.loaded)), batch(tried)
    plain, _ = learned(module, given)
    layers = blocks(tried.loaded.model.get_decoder())
    assert to_float8(tried.loaded.model, emulate=True) == 7 * len(layers)
    found, gradients = learned(module, given)
    assert found != plain and found == pytest.approx(float(plain), rel=0.05)
    assert gradients.keys() <= before, "weights keep their names"
    kinds = {type(part).__name__ for part in tried.loaded.model.model.vision_tower.modules()}
    assert "Float8Linear" not in kinds and type(tried.loaded.model.lm_head) is torch.nn.Linear


# -- what each needs --------------------------------------------------------------------------------------------------


def refused(**settings):
    with pytest.raises(UserError) as told:
        Training(**settings).check_machine()
    assert "\n" not in str(told.value)
    return str(told.value)


def test_float8_without_a_gpu_or_with_an_older_one_is_one_line(monkeypatch):
    assert refused(float8=True) == "trainer.float8=True: it needs a GPU, and none trains; leave it out"
    cuda = SimpleNamespace(
        get_device_capability=lambda device: (8, 0), get_device_name=lambda device: "NVIDIA A100", is_available=bool
    )
    monkeypatch.setattr(speedups.torch, "cuda", cuda)
    with pytest.raises(UserError, match=r"^trainer\.float8=True: NVIDIA A100 \(compute capability 8\.0\) does not "):
        speedups.check_float8(True, torch.device("cpu"))


def test_float8_without_torchao_is_one_line(monkeypatch):
    monkeypatch.setattr(speedups.importlib.util, "find_spec", lambda name: None)
    assert refused(float8=True).startswith("trainer.float8=True: torchao is not installed; pip install")


def test_a_fused_loss_without_its_package_is_one_line_before_anything_is_loaded(sft, tmp_path, monkeypatch):
    imported = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("liger_kernel"):
            raise ImportError(name)
        return imported(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    line = r"^trainer\.fused_loss=liger: liger-kernel is not installed; pip install 'seke\[liger\]', or use trainer\."
    with pytest.raises(UserError, match=line):
        sft.train(tmp_path / "run", fused_loss="liger")


def test_compiling_without_a_compiler_is_one_line(monkeypatch):
    monkeypatch.setattr(speedups.shutil, "which", lambda name: None)
    assert refused(compile=True).startswith("trainer.compile=True: there is no C++ compiler here; ")
    monkeypatch.setattr(speedups.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^trainer\.compile=True: Triton is not installed; "):
        speedups.check_compiler(on_gpu=True)


@pytest.mark.parametrize("name", ["compile", "float8"])
def test_what_zero_3_does_not_run_is_refused(name):
    from seke.training.deepspeed_cpu import CPUDeepSpeedStrategy

    line = refused(strategy=CPUDeepSpeedStrategy(stage=3, logging_batch_size_per_gpu=1), **{name: True})
    assert line.startswith(f"trainer.{name}=True: ZeRO-3 gathers weights by hooks")
