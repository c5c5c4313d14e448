"""Settings, device and weights' type of every backend on this machine, before anything is loaded."""

from collections.abc import Callable

import pytest
import torch

from seke.backends.transformers.any_model import AnyVlm
from seke.backends.transformers.base import LocalModel
from seke.backends.transformers.captioner import Captions
from seke.backends.transformers.tuned import Local
from seke.core.errors import UserError
from seke.models.llava_ov import LlavaOv

Make = Callable[..., LocalModel]


def tuned(**settings: object) -> Local:
    return Local(LlavaOv("no/such/model"), **settings)


def any_model(**settings: object) -> AnyVlm:
    return AnyVlm("no/such/model", **settings)


def captioner(**settings: object) -> Captions:
    return Captions("no/such/model", **settings)


@pytest.mark.parametrize(
    ("make", "setting", "value"),
    [
        *((make, "batch_size", value) for make in (tuned, any_model, captioner) for value in (0, -3, 1.5)),
        *((make, "max_new_tokens", value) for make in (tuned, any_model) for value in (0, -1)),
        *((make, "device", value) for make in (tuned, any_model, captioner) for value in ("gpu", "cuda:99")),
        *((make, "dtype", "int12") for make in (any_model, captioner)),
        (captioner, "beams", 0),
    ],
)
def test_a_setting_out_of_range_is_refused_before_anything_is_loaded(make: Make, setting: str, value: object) -> None:
    group = "captioner.vlm" if make is captioner else "backend"
    with pytest.raises(UserError, match=rf"^{group}\.{setting}={value}: "):
        make(**{setting: value})


@pytest.mark.parametrize("make", [tuned, any_model, captioner])
def test_a_gpu_that_is_not_there_is_refused_and_each_process_takes_its_own(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match=r"device=cuda: PyTorch sees no GPU"):
        make(device="cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert make().device == "cuda:1"
    assert make(device="cuda:0").device == "cuda:0" and make(device="cpu").device == "cpu"


@pytest.mark.parametrize("make", [any_model, captioner])
def test_a_gpu_computes_in_bfloat16_unless_told_otherwise(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert (make().dtype, make(dtype="float16").dtype) == (torch.bfloat16, torch.float16)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert make().dtype == torch.float32
