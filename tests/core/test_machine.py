"""What a manifest keeps of the machine, with a stand-in for NVIDIA's program where a driver is to answer."""

import platform
from pathlib import Path

import pytest

from seke.core.machine import machine

ANSWERS = {
    "NVIDIA H200, 570.86.15\nNVIDIA H200, 570.86.15\n": (["NVIDIA H200", "NVIDIA H200"], "570.86.15"),
    "": ([], None),
}


@pytest.mark.parametrize(("answer", "expected"), list(ANSWERS.items()))
def test_gpus_and_driver_are_those_that_nvidia_smi_lists(tmp_path: Path, monkeypatch, answer, expected) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    machine.cache_clear()
    found = machine()
    machine.cache_clear()
    assert (found["gpus"], found["driver"]) == expected
    assert found["python"] == platform.python_version() and found["cores"] >= 1 and found["cpu"]
    assert set(found) == {"python", "os", "cpu", "cores", "gpus", "driver"}  # and no name of the host


def test_a_driver_that_fails_is_no_driver(tmp_path: Path, monkeypatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho NVIDIA-SMI has failed\nexit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    machine.cache_clear()
    found = machine()
    machine.cache_clear()
    assert (found["gpus"], found["driver"]) == ([], None)
