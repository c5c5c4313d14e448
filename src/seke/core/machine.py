"""The machine that a run was made on, as its manifest keeps it: nothing that names a person, a host or a folder."""

import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from seke.core.parallel import cores


@cache
def machine() -> dict[str, Any]:
    """Return Python, operating system, processor, cores that may be used, NVIDIA GPUs and their driver.

    `gpus` is a list of names, empty where no NVIDIA driver answers; `driver` is then None. What cannot be found out is
    None.
    """
    gpus = _gpus()
    return {
        "python": platform.python_version(),
        "os": platform.platform(),
        "cpu": _processor(),
        "cores": cores(),
        "gpus": [name for name, _ in gpus],
        "driver": gpus[0][1] if gpus else None,
    }


def _processor() -> str | None:
    """Return the processor's name; Linux's own says more than `platform`, which is empty or an architecture there."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(filter(None, names), None) or platform.processor() or platform.machine() or None


def _gpus() -> list[tuple[str, str]]:
    """Return name and driver version of each GPU; PyTorch is not asked, which takes seconds to load."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return []
    pairs = (line.rpartition(",") for line in done.stdout.splitlines() if "," in line)
    return [(name.strip(), driver.strip()) for name, _, driver in pairs]
