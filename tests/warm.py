"""Commands as forks of one process that has imported the large libraries already: each starts in milliseconds.

A fork is a process of its own, with its own arguments, environment, folder, output and exit code, and ends as any
Python program does; only third-party modules come imported, nothing of this project. What reads the environment while
it is imported would read an earlier one, so a command whose environment differs gets a new process (`Warm.run`).
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

LIBRARIES = (
    "hydra.core.hydra_config", "pydantic", "numpy", "scipy.stats", "PIL.Image", "imagehash", "pi_heif", "jinja2",
    "matplotlib.figure", "openai", "aiohttp", "pyarrow.parquet", "datasets", "torch", "torchmetrics",
    "lightning.pytorch", "safetensors.torch", "transformers", "transformers.models.llava_onevision",
    "transformers.models.llava_onevision.modeling_llava_onevision", "transformers.models.qwen2.modeling_qwen2",
    "transformers.models.instructblip.modeling_instructblip", "transformers.models.siglip.modeling_siglip",
)  # fmt: skip
"""What commands spend their start on. Not deepspeed: it looks for a GPU, which a fork could not open any more."""
OURS = "PYTEST_CURRENT_TEST"
"""The variable that differs from test to test and that no program reads."""


class Warm:
    """Runs Python scripts; the process that forks is started by the first and closed with this object."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[str] | None = None
        self._environment: dict[str, str] = {}
        self._free = threading.Lock()

    def run(
        self, script: Path, words: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run `python script words...` in `folder` and return its exit code and what it wrote."""
        command = [sys.executable, str(script), *words]
        told = {key: value for key, value in environment.items() if key != OURS}
        if hasattr(os, "fork") and self._free.acquire(blocking=False):
            try:
                if self._server is None:
                    self._environment, again = told, [sys.executable, __file__]
                    self._server = subprocess.Popen(
                        again, env=told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                    )
                if told == self._environment:
                    return self._forked(command, folder)
            finally:
                self._free.release()
        return subprocess.run(command, cwd=folder, env=told, capture_output=True, text=True, check=False)

    def _forked(self, command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        assert self._server is not None and self._server.stdin is not None and self._server.stdout is not None
        with tempfile.TemporaryDirectory() as place:
            out, err = Path(place) / "out", Path(place) / "err"
            asked = {"command": command[1:], "folder": str(folder), "out": str(out), "err": str(err)}
            self._server.stdin.write(json.dumps(asked) + "\n")
            self._server.stdin.flush()
            code = int(self._server.stdout.readline())
            return subprocess.CompletedProcess(command, code, out.read_text(), err.read_text())

    def close(self) -> None:
        """End the process that forks."""
        if self._server is not None:
            self._server.communicate()


def serve() -> None:
    """Import, then fork for every line of standard input: {command, folder, out, err}; answer its exit code."""
    for library in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        if (child := os.fork()) == 0:
            end(become(asked["command"], asked["folder"], asked["out"], asked["err"]))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def become(command: list[str], folder: str, out: str, err: str) -> int:
    """Go on, in a fork, as `python *command` would have begun; return its exit code."""
    new = os.O_CREAT | os.O_WRONLY
    for number, (path, mode) in enumerate(((os.devnull, os.O_RDONLY), (out, new), (err, new))):
        os.dup2(os.open(path, mode, 0o600), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  without what was read ahead of the other commands
    os.chdir(folder)
    sys.argv[:] = command
    sys.path[0] = str(Path(command[0]).resolve().parent)
    try:
        runpy.run_path(command[0], run_name="__main__")
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def end(code: int) -> NoReturn:
    """End as an interpreter does, without taking hundreds of megabytes of modules apart."""
    threading._shutdown()  # type: ignore[attr-defined]  waits for threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve()
