"""Commands as forks of one process that has imported the large libraries already: each starts in milliseconds.

A fork is a process of its own, with its own arguments, environment, folder, output and exit code, and ends as any
Python program does; only third-party modules come imported, nothing of this project. What reads the environment while
it is imported would read an earlier one, so a command whose environment differs in more than `LATE` gets a new process.
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
from collections.abc import Mapping
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
LATE = {"PYTEST_CURRENT_TEST", "OPENAI_API_KEY", "WANDB_API_KEY"}
"""Variables that no library reads while it is imported."""
_server: "subprocess.Popen[str] | None" = None
_first: dict[str, str] = {}
"""The server's environment."""
_free = threading.Lock()
"""The server runs one command at a time; while it does, others get a process of their own."""


def run(
    script: Path, *words: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run `python script words...` and return its exit code and what it wrote."""
    command, folder = [str(script), *map(str, words)], str(cwd or Path.cwd())
    environment = dict(os.environ if env is None else env)
    if hasattr(os, "fork") and _free.acquire(blocking=False):
        try:
            return _forked(command, folder, environment)
        except _Different:
            pass
        finally:
            _free.release()
    again = [sys.executable, *command]
    return subprocess.run(again, cwd=folder, env=environment, capture_output=True, text=True, check=False)


class _Different(Exception):
    """The environment is not the server's."""


def _forked(command: list[str], folder: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    global _server
    if _server is None:
        _first.update(environment)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        _server = subprocess.Popen([sys.executable, __file__], env=environment, text=True, **pipes)
        atexit.register(_server.communicate)
    if any(_first.get(name) != environment.get(name) for name in (_first.keys() | environment.keys()) - LATE):
        raise _Different
    assert _server.stdin is not None and _server.stdout is not None
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place) / "out", Path(place) / "err"
        asked = {"command": command, "folder": folder, "env": environment, "out": str(out), "err": str(err)}
        _server.stdin.write(json.dumps(asked) + "\n")
        _server.stdin.flush()
        code = int(_server.stdout.readline())
        return subprocess.CompletedProcess([sys.executable, *command], code, out.read_text(), err.read_text())


def serve() -> None:
    """Import, then fork for every line of standard input, which is a command; answer its exit code."""
    for library in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    with contextlib.suppress(ImportError):
        importlib.import_module("hydra.core.plugins").Plugins.instance()  # looks for them once, not in every fork
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        if (child := os.fork()) == 0:
            end(become(**asked))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def become(command: list[str], folder: str, env: dict[str, str], out: str, err: str) -> int:
    """Go on, in a fork, as `python *command` would have begun; return its exit code."""
    new = os.O_CREAT | os.O_WRONLY
    for number, (path, mode) in enumerate(((os.devnull, os.O_RDONLY), (out, new), (err, new))):
        os.dup2(os.open(path, mode, 0o600), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  without what was read ahead of the other commands
    os.chdir(folder)
    for name in LATE:
        os.environ.pop(name, None)
    os.environ.update(env)
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
