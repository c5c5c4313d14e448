"""The rules of the house that a test can hold: who may import whom, how long a file may be, what stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "seke"
DOORS = ("prepare", "generate", "train", "evaluate", "report")
ROOMS = ("sources", "generation", "backends", "models", "tuning", "benchmark", "reporting")
HEAVY = {"torch", "lightning", "transformers", "deepspeed", "torchmetrics"}
MAY_BE_HEAVY = ("models/", "tuning/", "backends/local.py", "benchmark/metrics.py")
SHARED = ("seke.models.protocol.",)
"""What rooms may import of each other: a Protocol that two of them meet at."""
GROUND_FLOORS = {  # a ground file may import these ground files and no others
    "affect": set(),
    "errors": {"escape"},
    "escape": set(),
    "intervals": set(),
    "rules": set(),
    "forget": {"errors", "files", "images", "runs"},
    "devices": {"errors"},
    "limit": {"errors"},
    "secrecy": {"errors"},
    "vlm": set(),
    "images": set(),
    "video": {"errors"},
    "prompts": {"errors"},
    "plugins": {"errors", "escape", "vlm"},
    "money": {"errors", "plugins", "vlm"},
    "estimate": {"money", "vlm"},
    "current": set(),
    "thoughts": {"vlm"},
    "ledger_sql": set(),
    "ledger": {"errors", "files", "ledger_sql"},
    "manifests": set(),
    "old_runs": {"rules"},
    "moved": set(),
    "identity": {"moved"},
    "runs": {"errors", "escape", "files", "identity", "locks", "manifests"},
    "records": {"affect", "errors", "files"},
    "licences": set(),
    "making": {"old_runs", "records", "runs"},
    "card": {"escape", "licences", "making", "text_tables"},
    "hub": {"affect", "card", "errors", "images", "making", "old_runs", "records", "runs"},
    "lexicon": set(),
    "plain": set(),
    "spelling": {"lexicon", "plain"},
    "understood": {"lexicon", "spelling"},
    "scope": set(),
    "tables": set(),
    "stance": {"lexicon", "spelling"},
    "readings": {"lexicon", "spelling"},
    "dimensions": {"lexicon", "spelling"},
    "units": {"lexicon", "spelling"},
    "assertions": {"affect", "lexicon", "spelling", "units"},
    "answers": {
        "affect",
        "records",
        "lexicon",
        "spelling",
        "stance",
        "tables",
        "scope",
        "readings",
        "dimensions",
        "units",
        "assertions",
        "understood",
    },
    "pictured": {"images", "runs"},
    "dashboard": {"errors", "pictured", "runs"},
    "interrupts": set(),
    "files": set(),
    "text_tables": {"escape"},
    "locks": {"errors", "files"},
    "settings": {"errors", "moved"},
    "doors": {
        "current",
        "dashboard",
        "errors",
        "escape",
        "files",
        "interrupts",
        "moved",
        "runs",
        "secrecy",
        "settings",
    },
}


def modules() -> list[Path]:
    return sorted(
        path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" and not path.is_symlink()
    )  # the links are the commands


def imports(path: Path, module_level_only: bool = False) -> set[str]:
    """Dotted names that a file imports; `if TYPE_CHECKING:` blocks are for the type checker and do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    in_functions = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only or (module_level_only and id(node) in in_functions):
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_import_only_the_ground_and_themselves(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    for name in imports(path):
        first, _, rest = name.partition(".")
        if first == "seke" and rest:
            target = rest.split(".")[0]
            if room in ROOMS:
                shared = name.startswith(SHARED)
                assert target == room or target not in ROOMS or shared, f"{path} imports the room {target}"
                assert target != "doors", f"{path} imports doors, which knows Hydra"
            else:
                assert target in GROUND_FLOORS[path.stem], f"ground file {path.name} imports {target}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_heavy_rooms_import_torch_at_module_level(path: Path) -> None:
    if not str(path.relative_to(PACKAGE)).startswith(MAY_BE_HEAVY):
        assert not {name.split(".")[0] for name in imports(path, module_level_only=True)} & HEAVY


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_doors_know_hydra(path: Path) -> None:
    if path.name not in ("doors.py", "settings.py"):
        assert not {name.split(".")[0] for name in imports(path)} & {"hydra", "omegaconf"}


@pytest.mark.parametrize(
    "path",
    [*modules(), *sorted(ROOT.glob("*.py")), *sorted((ROOT / "scripts").glob("*.py"))],
    ids=lambda path: path.name,
)
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("name", DOORS)
def test_doors_are_short(name: str) -> None:
    assert 20 <= len((ROOT / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("flag", [["--help"], ["--cfg", "job"]], ids=["help", "cfg"])
def test_asking_a_door_for_its_settings_imports_no_torch(name: str, flag: list[str]) -> None:
    probe = (
        "import runpy, sys\n"
        f"sys.argv = [{name + '.py'!r}, *{flag!r}]\n"
        "try:\n"
        f"    runpy.run_path({str(ROOT / (name + '.py'))!r}, run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'lightning', 'transformers', 'deepspeed', 'torchmetrics'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "seed" in done.stdout


@pytest.mark.parametrize("name", ["prepare", "generate", "report"])
def test_doors_without_tensors_never_name_torch(name: str) -> None:
    assert not {module.split(".")[0] for module in imports(ROOT / f"{name}.py")} & HEAVY
