"""Commands as forks of one process that has imported the large libraries already: each starts in milliseconds.

A fork is a process of its own, with its own arguments, environment, folder, output and exit code, and ends as any
Python program does; the modules of the libraries and of this project come imported, nothing of them has run. What reads
the environment while it is imported would read an earlier one, so a command whose environment differs in more than
`LATE` gets a new process.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

LIBRARIES = (
    "hydra.core.hydra_config", "pydantic", "numpy", "scipy.stats", "PIL.Image", "imagehash", "pi_heif", "jinja2",
    "matplotlib.figure", "openai", "aiohttp", "pyarrow.parquet", "datasets", "torch", "torchmetrics",
    "lightning.pytorch", "safetensors.torch", "transformers", "transformers.models.llava_onevision",
    "transformers.models.llava_onevision.modeling_llava_onevision", "transformers.models.qwen2.modeling_qwen2",
    "transformers.models.instructblip.modeling_instructblip", "transformers.models.siglip.modeling_siglip",
)  # fmt: skip
"""What commands spend their start on. Not deepspeed: it looks for a GPU, which a fork could not open any more."""
APART = ("seke.commands.", "seke.training.grpo.")
"""Files that are run, and what imports W&B, which sets variables."""
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


class Started:
    """A command that goes on beside the test, with what tests use of `subprocess.Popen`."""

    def __init__(self, pid: int, said: Path, process: "subprocess.Popen[bytes] | None" = None) -> None:
        self.pid, self.said, self._process = pid, said, process
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, as `subprocess` has it: negative by a signal; None while the command runs."""
        if self.returncode is None and self._process is not None:
            self.returncode = self._process.poll()
        elif self.returncode is None:
            with _free:
                self.returncode = json.loads(_answer({"ended": self.pid}))
        return self.returncode

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        while (code := self.poll()) is None:
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the command has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def killed(self) -> str:
        """Kill -9; return what the command had said on standard error."""
        self.send_signal(signal.SIGKILL)
        self.wait()
        return self.said.read_text()


def start(
    script: Path, *words: object, said: Path, cwd: Path, env: Mapping[str, str], ignored: Sequence[int] = ()
) -> Started:
    """Start `python script words...`; its standard error is added to the file `said`.

    Args:
        ignored: signals that the command is to ignore from its birth, as under nohup.
    """
    command, environment = [str(script), *map(str, words)], dict(env)
    with _free:
        if hasattr(os, "fork") and _serves(environment):
            asked = {"command": command, "folder": str(cwd), "env": environment, "out": os.devnull, "err": str(said)}
            return Started(int(_answer({**asked, "ignored": list(ignored), "wait": False})), said)

    def inherit() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    command = [sys.executable, *command]
    with said.open("ab") as err:
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=err, preexec_fn=inherit
        )
    return Started(process.pid, said, process)


def _serves(environment: dict[str, str]) -> bool:
    """Start the server unless it runs; return whether its environment is this one."""
    global _server
    if _server is None:
        _first.update(environment)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        _server = subprocess.Popen([sys.executable, __file__], env=environment, text=True, **pipes)
        atexit.register(_server.communicate)
    return all(_first.get(name) == environment.get(name) for name in (_first.keys() | environment.keys()) - LATE)


def _answer(asked: dict[str, Any]) -> str:
    assert _server is not None and _server.stdin is not None and _server.stdout is not None
    _server.stdin.write(json.dumps(asked) + "\n")
    _server.stdin.flush()
    return _server.stdout.readline()


def _forked(command: list[str], folder: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    if not _serves(environment):
        raise _Different
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place) / "out", Path(place) / "err"
        asked = {"command": command, "folder": folder, "env": environment, "out": str(out), "err": str(err)}
        code = int(_answer(asked))
        return subprocess.CompletedProcess([sys.executable, *command], code, out.read_text(), err.read_text())


def serve() -> None:
    """Import, then fork for every line of standard input, which is a command; answer its exit code."""
    for library in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    with contextlib.suppress(ImportError):
        importlib.import_module("hydra.core.plugins").Plugins.instance()  # looks for them once, not in every fork
    _import_all(importlib.import_module("seke"))
    with contextlib.suppress(Exception):  # the command will say what is wrong
        importlib.import_module("seke.cli.command").composed("generate", ["seed=1"])  # learns the grammars of settings
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        if "ended" in asked:
            child, status = os.waitpid(asked["ended"], os.WNOHANG)
            print(os.waitstatus_to_exitcode(status) if child else "null", flush=True)
            continue
        wait = asked.pop("wait", True)
        if (child := os.fork()) == 0:
            end(become(**asked))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if wait else child, flush=True)


def _import_all(package: ModuleType) -> None:
    """Import the package's modules but for `APART` and those that need a library that is not there."""
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.startswith(APART):
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)


def become(
    command: list[str], folder: str, env: dict[str, str], out: str, err: str, ignored: Sequence[int] = ()
) -> int:
    """Go on, in a fork, as `python *command` would have begun; return its exit code."""
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    new = os.O_CREAT | os.O_WRONLY | os.O_APPEND
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
