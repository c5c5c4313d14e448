"""Where a frozen tower sees pictures before training begins."""

from types import SimpleNamespace

import pytest
import torch

from seke.models.llava_ov import Loaded
from seke.training.settings import Training
from seke.training.setup import held_on


@pytest.mark.parametrize(
    ("devices", "rank", "number"), [(1, "0", 0), ("auto", "3", 3), ([2, 5], "1", 5), (2, "1", 1), ("auto", None, 0)]
)
def test_a_process_trains_on_the_gpu_of_its_rank(monkeypatch, devices, rank, number):
    def parsed(given):
        return given if isinstance(given, list) else list(range(4 if given == -1 else given))

    there = SimpleNamespace(is_available=lambda: True, parse_devices=parsed)
    monkeypatch.setattr("seke.training.settings.CUDAAccelerator", there)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    training = Training(accelerator="gpu", devices=devices)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert training.own_gpu == torch.device("cuda", number)
    assert Training().own_gpu is None


def test_without_a_gpu_there_is_none_of_its_own():
    assert Training(accelerator="auto").own_gpu is None or torch.cuda.is_available()


class Moved:
    """A model that says where it was sent."""

    def __init__(self, room=True):
        self.places, self.room = [], room

    def to(self, place):
        self.places.append(str(place))
        if not self.room and place != "cpu":
            raise torch.OutOfMemoryError


@pytest.mark.parametrize("room", [True, False])
def test_a_model_is_held_on_a_device_and_put_back_whatever_happens(room):
    model = Moved(room)

    def work():
        with held_on(model, torch.device("cuda", 1)):
            assert model.places == ["cuda:1"]
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert model.places == ["cuda:1", "cpu"]
    still = Moved()
    with held_on(still, None):
        pass
    assert still.places == []


@pytest.mark.parametrize(("cache", "moved"), [("states", True), ("pixels", False)])
def test_a_frozen_tower_sees_the_pictures_on_the_gpu_that_trains(sft, tmp_path, monkeypatch, cache, moved):
    events = []
    move, see = torch.nn.Module.to, Loaded.see
    monkeypatch.setattr(Training, "own_gpu", property(lambda self: torch.device("cpu", 0)))
    monkeypatch.setattr(
        torch.nn.Module, "to", lambda self, *to, **more: (events.append(str(to[0])), move(self, *to, **more))[1]
    )
    monkeypatch.setattr(Loaded, "see", lambda self, *given: (events.append("see"), see(self, *given))[1])
    sft.train(tmp_path / "run", data={"cache": cache}, max_steps=1)
    assert (events[:3] == ["cpu:0", "see", "cpu"]) is moved
    assert ("cpu:0" in events) is moved
