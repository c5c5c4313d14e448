"""The package as others install it: a wheel in an environment of its own, with `seke` and its configuration."""

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
Seke = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def seke(tmp_path_factory: pytest.TempPathFactory) -> Seke:
    """Return `run("generate", "name=x", ...)` of the installed program, in a folder that is empty at first.

    The environment holds the wheel; the packages that it needs are those of this one.
    """
    place = tmp_path_factory.mktemp("package")
    source = place / "source"
    for name in ("conf", "src"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("*.egg-info"))
    for file in (*ROOT.glob("*.py"), *(ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE"))):
        shutil.copy(file, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels, environment = place / "wheels", place / "venv"
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(source)]
    subprocess.run(wheel, check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    [installed] = (environment / "lib").glob("python*/site-packages")
    (installed / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    into = [*pip, "--python", str(environment), "install", "--no-deps", *map(str, wheels.iterdir())]
    subprocess.run(into, check=True)
    shutil.rmtree(source)
    here = place / "empty"
    here.mkdir()

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        program = [str(environment / "bin" / "seke"), *words]
        return subprocess.run(program, cwd=here, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin"})

    return run


@pytest.mark.slow
def test_the_program_of_the_wheel_prepares_generates_and_reports(seke: Seke) -> None:
    for words in (["prepare", "source.images=60", "limit=30"], ["generate", "limit=3"], ["report", "runs=*/demo"]):
        done = seke(*words)
        assert done.returncode == 0, done.stderr
        assert "outputs/" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", ["prepare", "generate", "train", "evaluate"])
def test_it_has_the_configuration_with_experiments_and_scales(seke: Seke, command: str) -> None:
    assert "\nscale: demo, emovit_demo, emovit_paper, paper\n" in seke(command, "--help=all").stdout
    done = seke(command, "experiment=emovit", "scale=demo", "--cfg", "job")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("name: emovit\n")


@pytest.mark.slow
def test_it_says_what_there_is(seke: Seke) -> None:
    assert seke("--help").stdout.startswith("usage: seke prepare|generate|train|evaluate|report|serve")
    done = seke("anotate", "name=x")
    assert (done.returncode, done.stderr.partition(";")[0]) == (2, "error: anotate: no such command")
    done = seke("train", "sise=1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
