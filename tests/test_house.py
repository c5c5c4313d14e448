"""The rules of the house that a test can hold: who may import whom, what stays light, what a command may know."""

import importlib.util
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "lightning", "transformers", "deepspeed", "torchmetrics"}
MAY_BE_HEAVY = ("models.", "training.", "backends.transformers.", "benchmark.scoring.metrics")
COMMANDS = ("cli", "commands")
"""Where Hydra is known, and every room may be imported."""
LONG = 600
ASKED = ["prepare", "generate", "train", "evaluate", "report", "serve"]

spec = importlib.util.spec_from_file_location("architecture", ROOT / "scripts" / "architecture.py")
architecture = importlib.util.module_from_spec(spec)
spec.loader.exec_module(architecture)
MODULES = architecture.modules()


@cache
def arrows() -> dict[str, set[str]]:
    return architecture.graph(MODULES)


def within(name: str, packages: tuple[str, ...]) -> bool:
    return f"{name}.".startswith(tuple(f"{package}." for package in packages))


def test_rooms_import_only_themselves_and_the_open_rooms() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, targets in arrows().items()
        for target in targets
        if architecture.room(name) not in (*COMMANDS, architecture.room(target))
        and not within(target, architecture.OPEN)
    ]
    assert not wrong, wrong


def test_core_imports_nothing_and_the_open_rooms_only_core() -> None:
    below = architecture.merged(arrows(), {name: architecture.room(name) for name in MODULES})
    assert not below["core"]
    assert all(below[name] <= {"core"} for name in ("answers", "hub", "tracking"))


def test_nothing_imports_in_a_circle() -> None:
    inside = architecture.merged(arrows(), {name: architecture.subroom(name) for name in MODULES})
    assert not architecture.circles(arrows()), "modules"
    assert not architecture.circles(inside), "packages inside a room"


def test_only_heavy_rooms_import_torch_at_start() -> None:
    wrong = [
        f"{name} imports {heavy}"
        for name, path in MODULES.items()
        if not f"{name}.".startswith(MAY_BE_HEAVY)
        for heavy in {target.split(".")[0] for target in architecture.imports(path, at_start_only=True)} & HEAVY
    ]
    assert not wrong, wrong


def test_only_the_command_line_knows_hydra() -> None:
    wrong = [
        name
        for name, path in MODULES.items()
        if not within(name, COMMANDS)
        and {target.split(".")[0] for target in architecture.imports(path)} & {"hydra", "omegaconf"}
    ]
    assert not wrong, wrong


def test_long_files_are_told_of() -> None:
    for path in (*MODULES.values(), *sorted((ROOT / "scripts").rglob("*.py"))):
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONG:
            warnings.warn(f"{path.relative_to(ROOT)} has {lines} lines; is it two files?", stacklevel=1)


def test_the_picture_of_the_house_is_of_today() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "architecture.py", "--check"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_asking_a_command_for_its_settings_imports_no_torch() -> None:
    """In one new process: the help of every command, and the settings that `--cfg job` shows."""
    probe = (
        "import runpy, sys\n"
        f"for name in {ASKED!r}:\n"
        "    for flags in (['--help'], ['--cfg', 'job']):\n"
        "        sys.argv = [f'{name}.py', *flags]\n"
        "        print('asked:', *sys.argv)\n"
        "        try:\n"
        f"            runpy.run_path(f'{ROOT}/{{name}}.py', run_name='__main__')\n"
        "        except SystemExit as stop:\n"
        "            assert not stop.code, (name, stop.code)\n"
        f"    heavy = {HEAVY!r} & set(sys.modules)\n"
        "    assert not heavy, (name, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = dict(part.split("\n", 1) for part in done.stdout.split("asked: ")[1:])
    for name in ASKED:
        assert "Settings that matter most:" in said[f"{name}.py --help"], "the help"
        assert "\nseed: 0\n" in said[f"{name}.py --cfg job"], "the settings"


def test_commands_without_tensors_never_name_torch() -> None:
    for name in ("prepare", "generate", "report"):
        assert not {module.split(".")[0] for module in architecture.imports(ROOT / f"{name}.py")} & HEAVY
