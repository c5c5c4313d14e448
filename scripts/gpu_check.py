"""The GPU check: its parts, each in a process of its own with a time limit, and one table of what they found.

    bash scripts/gpu_check.sh          says how; this file imports nothing but Python's own library and bench.py
    gpu_check_parts.py                 what a part measures: a line of JSON for each figure, as soon as it is known;
                                       gpu_check_training.py and gpu_check_ways.py have the parts that train

A part that fails, runs out of time or lacks a package takes no other with it; the figures that it has told count.
"""

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bench import ROOT, table
from seke.core.errors import UserError

CODE = Path(__file__).with_name("gpu_check_parts.py")
TRAINING = ("lightning", "pydantic", "pyarrow", "yaml", "tqdm", "safetensors", "PIL")
VERSIONS = ("torch", "transformers", "lightning", "deepspeed", "torchao", "accelerate", "pydantic")
"""Packages whose versions are told."""
TORCH, TRANSFORMERS = ((2, 11), (2, 14)), (5, 17)
"""Versions that this has been written for."""
PACKAGE = {"yaml": "pyyaml", "PIL": "pillow"}
"""What pip calls a module, where that is another name."""
OFTEN, GRACE = 0.2, 5.0
"""Seconds between looks at a running part, and those that one has to end when it is told to."""
PATIENCE = 10
"""How many times its limit a part has with tiny=true: a busy CPU is no GPU."""


class Part(NamedTuple):
    """A part of the check."""

    limit: float
    """Seconds."""
    needs: Sequence[str]
    """Modules, beside torch and transformers."""
    base: str = ""
    """The part that its speed is compared with."""


PARTS = {
    "kernel": Part(40, ()),
    "sft_05b": Part(75, TRAINING),
    "trainer_05b": Part(60, (*TRAINING, "accelerate"), "sft_05b"),
    "sft_7b": Part(130, TRAINING),
    "trainer_7b": Part(80, (*TRAINING, "accelerate"), "sft_7b"),
    "answering": Part(45, ("pydantic", "PIL", "safetensors")),
    "cache": Part(70, TRAINING),
    "zero3": Part(75, (*TRAINING, "deepspeed", "rich", "jinja2", "huggingface_hub")),
    "fsdp2": Part(60, (*TRAINING, "rich", "jinja2", "huggingface_hub")),
    "options": Part(150, TRAINING),
}


class Aim(NamedTuple):
    """A target."""

    part: str
    what: str
    least: float | None = None
    most: float | None = None

    def verdict(self, value: float | None) -> str:
        """Return what a measured value says.

        >>> Aim("sft_7b", "MFU", least=0.5).verdict(0.4), Aim("sft_7b", "MFU", least=0.5).verdict(None)
        ('missed', 'not run')
        """
        if value is None:
            return "not run"
        short = self.least is not None and value < self.least
        return "missed" if short or (self.most is not None and value > self.most) else "met"

    def __str__(self) -> str:
        sign, bound = ("≥", self.least) if self.least is not None else ("≤", self.most)
        return f"{sign} {bound:.0%}".replace("%", " %") if self.what in SHARES else f"{sign} {bound:g}"


SHARES = {"MFU", "MFU of vision alone", "MFU of language alone", "share of waiting", "padding", "answers alike",
          "MFU of its samples"}  # fmt: skip
SPEED, TIMES = "real tokens/s", "times Trainer, in real tokens/s"
AIMS = (
    Aim("kernel", "largest error, times that of segments in bfloat16", most=2),
    Aim("sft_05b", "MFU", least=0.45),
    Aim("sft_05b", "share of waiting", most=0.05),
    Aim("trainer_05b", TIMES, least=1.5),
    Aim("sft_7b", "MFU", least=0.5),
    Aim("sft_7b", "share of waiting", most=0.05),
    Aim("sft_7b", "hours of an epoch of FEID", most=2),
    Aim("trainer_7b", TIMES, least=1.5),
    Aim("answering", "times one at a time", least=4),
    Aim("cache", "features from the disk, times as fast", least=2),
    Aim("cache", "largest difference of losses, as a share", most=1e-2),
    Aim("zero3", "largest difference of losses, as a share", most=1e-2),
    Aim("fsdp2", "largest difference of losses, as a share", most=1e-2),
    Aim("options", "largest difference of losses, as a share", most=1e-2),
)


class Figure(NamedTuple):
    """What a part has measured."""

    part: str
    what: str
    value: float | None
    """None: not known, and `note` says why."""
    note: str = ""


@dataclass
class Settings:
    """What the command line says."""

    out: Path = ROOT / "outputs" / "gpu_check"
    tiny: bool = False
    minutes: float = 8.0
    parts: Sequence[str] = tuple(PARTS)
    peak_tflops: float | None = None


@dataclass
class Found:
    """What has come of a part."""

    status: str
    """done, failed, timed out or not run."""
    seconds: float = 0.0
    why: str = ""
    figures: list[Figure] = field(default_factory=list)


def read(words: Sequence[str]) -> Settings:
    """Return the settings.

    >>> read(["tiny=true", "minutes=2", "parts=kernel"]).minutes
    2.0

    Raises:
        UserError: for one that there is not.
    """
    settings = Settings()
    for word in words:
        name, _, value = word.partition("=")
        if name == "out" and value:
            settings.out = Path(value).expanduser().absolute()
        elif name == "tiny" and value in ("true", "false"):
            settings.tiny = value == "true"
        elif name == "parts":
            settings.parts = value.split(",")
            for part in settings.parts:
                if part not in PARTS:
                    raise UserError("parts", part, "no such part", f"use some of {', '.join(PARTS)}")
        elif name in ("minutes", "peak_tflops") and re.fullmatch(r"\d+(\.\d+)?", value) and float(value):
            setattr(settings, name, float(value))
        else:
            raise UserError(name, value, "no such setting", "use out=, minutes=, parts=, peak_tflops= or tiny=true")
    return settings


# -- running ----------------------------------------------------------------------------------------------------------


def missing(needs: Iterable[str]) -> list[str]:
    """Return the packages that are not here, as pip calls them.

    >>> missing(["json", "no_such_module_at_all"])
    ['no_such_module_at_all']
    """
    return [PACKAGE.get(name, name) for name in needs if importlib.util.find_spec(name) is None]


def versions() -> dict[str, str | None]:
    """Return the versions of what is here; None: it is not."""
    return {"python": sys.version.split()[0], **{name: version(name) for name in VERSIONS}}


def version(name: str) -> str | None:
    """Return a package's version, None if it is not here."""
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return None


def strange(here: Mapping[str, str | None]) -> Iterator[str]:
    """Yield what versions this has not been written for.

    >>> list(strange({"torch": "2.9.1", "transformers": "5.20.0"}))
    ['torch 2.9.1: this was written for 2.11 to 2.14']
    """
    (low, high), least = TORCH, TRANSFORMERS
    if (torch := here.get("torch")) and not low <= _numbers(torch) <= high:
        yield f"torch {torch}: this was written for {_dotted(low)} to {_dotted(high)}"
    if (theirs := here.get("transformers")) and _numbers(theirs) < least:
        yield f"transformers {theirs}: this was written for {_dotted(least)} and later"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def _dotted(numbers: Sequence[int]) -> str:
    return ".".join(map(str, numbers))


def attempt(name: str, settings: Settings, until: float, scratch: Path) -> Found:
    """Run a part in a process group of its own, for its limit or until `until` (`time.monotonic`)."""
    part, log, told = PARTS[name], scratch / f"{name}.log", scratch / f"{name}.jsonl"
    if lacking := missing(["torch", "transformers", *part.needs]):
        return Found("not run", why=f"not installed: {', '.join(lacking)} (pip install {' '.join(lacking)})")
    began = time.monotonic()
    limit = min(part.limit * (PATIENCE if settings.tiny else 1), until - began)
    if limit < 1:
        return Found("not run", why=f"minutes={settings.minutes:g} were over")
    own = scratch / name
    own.mkdir()
    asked = {"tiny": settings.tiny, "peak_tflops": settings.peak_tflops, "scratch": str(own), "told": str(told)}
    with log.open("w", encoding="utf-8") as lines:
        command = [sys.executable, str(CODE), name, json.dumps(asked | {"shared": str(scratch)})]
        environment = _environment(settings.tiny)
        process = subprocess.Popen(command, stdout=lines, stderr=lines, start_new_session=True, env=environment)
        code = _wait(process, began + limit)
        with suppress(ProcessLookupError):  # workers that it may have left, too
            os.killpg(process.pid, signal.SIGKILL)
    shutil.rmtree(own, ignore_errors=True)
    seconds = time.monotonic() - began
    figures = list(_figures(name, told))
    if code is None:
        return Found("timed out", seconds, f"after {limit:.0f} s", figures)
    return Found("failed", seconds, _last(log), figures) if code else Found("done", seconds, "", figures)


def _wait(process: "subprocess.Popen[bytes]", until: float) -> int | None:
    """Return the exit code, None if the process had to be ended."""
    while time.monotonic() < until:
        if (code := process.poll()) is not None:
            return code
        time.sleep(OFTEN)
    os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return None


def _environment(tiny: bool) -> dict[str, str]:
    offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
    if tiny:
        return {**os.environ, **offline, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]  # one card, or `Trainer` would use them all
    # Packs differ in length: without this their blocks do not fit into each other's gaps.
    return {**os.environ, **offline, "CUDA_VISIBLE_DEVICES": first, "PYTORCH_ALLOC_CONF": "expandable_segments:True"}


def _figures(part: str, told: Path) -> Iterator[Figure]:
    if not told.is_file():
        return
    for line in told.read_text(encoding="utf-8").splitlines():
        with suppress(json.JSONDecodeError):  # of a part that was ended in the middle of a line
            yield Figure(part, **json.loads(line))


def _last(log: Path) -> str:
    """Return what ended a part: the last exception's first line, else the last line that it printed."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt|Exit)\b", line)]
    return " ".join([*lines, *raised][-1].split())[:200] if lines else "it said nothing"


def compared(part: str, figures: Mapping[str, Sequence[Figure]]) -> Iterator[Figure]:
    """Yield how many times as fast as this part its base is."""
    speed = {name: next((f.value for f in figures.get(name, ()) if f.what == SPEED), None) for name in PARTS}
    if (base := PARTS[part].base) and (ours := speed[base]) and (theirs := speed[part]):
        yield Figure(part, TIMES, ours / theirs)


# -- telling ----------------------------------------------------------------------------------------------------------


def shown(figure: Figure) -> str:
    """Return a figure as text.

    >>> shown(Figure("sft_7b", "MFU", 0.514)), shown(Figure("sft_7b", "peak GiB", None, "the name says nothing"))
    ('51.4 %', 'not known: the name says nothing')
    """
    if figure.value is None:
        return f"not known: {figure.note}"
    number = f"{figure.value:.1%}".replace("%", " %") if figure.what in SHARES else _digits(figure.value)
    return f"{number} ({figure.note})" if figure.note else number


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def rows(found: Mapping[str, Found], judged: bool) -> Iterator[list[str]]:
    """Yield the table's rows: every figure, and every target of which there is none."""
    for part, result in found.items():
        aims = {aim.what: aim for aim in AIMS if aim.part == part}
        told = {figure.what for figure in result.figures}
        for figure in result.figures:
            aim = aims.get(figure.what)
            verdict = "" if aim is None else aim.verdict(figure.value) if judged else "not judged"
            yield [part, figure.what, shown(figure), "" if aim is None else str(aim), verdict]
        why = f"{result.status}: {result.why}" if result.why else result.status
        lacking = [aim for what, aim in aims.items() if what not in told]
        for aim in lacking:
            yield [part, aim.what, why, str(aim), "not run"]
        if result.status != "done" and not lacking:
            yield [part, "–", why, "", ""]


def targets(found: Mapping[str, Found], judged: bool) -> list[dict[str, Any]]:
    """Return the targets of the parts that were asked for, with what was measured."""
    told = []
    for aim in AIMS:
        if aim.part in found:
            value = next((f.value for f in found[aim.part].figures if f.what == aim.what), None)
            verdict = aim.verdict(value) if judged or value is None else "not judged"
            told.append({**aim._asdict(), "measured": value, "verdict": verdict})
    return told


def page(device: Mapping[str, Any], found: Mapping[str, Found], tiny: bool) -> str:
    """Return the table with what it was measured on."""
    here = ", ".join(f"{name} {number}" for name, number in versions().items() if number)
    took = ", ".join(f"{part} {result.seconds:.0f} s" for part, result in found.items())
    lines = [f"{device['name']}, {device['gib']:.0f} GiB, {device['cpus']} CPU cores; {here}", f"took: {took}"]
    if tiny:
        lines.append("tiny=true: tiny models on the CPU; these figures say nothing about a GPU and are not judged")
    head = ["part", "figure", "measured", "target", "verdict"]
    return "\n\n".join([*lines, *strange(versions()), table(head, rows(found, not tiny))]) + "\n"


def device(tiny: bool) -> dict[str, Any]:
    """Return what computes.

    Raises:
        UserError: if it is no GPU, and none of the tiny models' either.
    """
    if lacking := missing(["torch"]):
        raise UserError("torch", "", "not installed", f"pip install {lacking[0]}")
    probe = (
        "import json, os, torch; gpu = torch.cuda.is_available();"
        "of = torch.cuda.get_device_properties(0) if gpu else None;"
        "print(json.dumps({'gpu': gpu, 'name': of.name if gpu else 'CPU', 'gib': of.total_memory / 2**30 if gpu else"
        " os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30, 'cpus': os.cpu_count(),"
        "'cuda': torch.version.cuda}))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError("torch", version("torch"), done.stderr.strip().rpartition("\n")[2], "install it anew")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if not told["gpu"] and not tiny:
        raise UserError("tiny", "false", "PyTorch sees no GPU here", "tiny=true tries the check itself on the CPU")
    return told


def main(words: Sequence[str]) -> int:
    """Run the parts and tell; return the exit code."""
    settings = read(words)
    settings.out.mkdir(parents=True, exist_ok=True)
    log = settings.out / "gpu_check.log"
    log.write_text("", encoding="utf-8")
    ends = time.monotonic() + 60 * settings.minutes
    computes = device(settings.tiny)
    found: dict[str, Found] = {}
    side_by_side = (os.cpu_count() or 1) if settings.tiny else 1  # a GPU's figures are taken one after another
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as scratch, ThreadPoolExecutor(side_by_side) as pool:
        begun = {part: pool.submit(attempt, part, settings, ends, Path(scratch)) for part in settings.parts}
        for part, running in begun.items():
            found[part] = result = running.result()
            result.figures += compared(part, {name: other.figures for name, other in found.items()})
            print(f"{part}: {result.status} {result.why}".rstrip(), f"({result.seconds:.0f} s)", flush=True)
            with log.open("a", encoding="utf-8") as lines:
                text = Path(scratch) / f"{part}.log"
                lines.write(f"=== {part}\n{text.read_text(errors='replace') if text.is_file() else ''}")
            write(settings, computes, found)  # whatever ends this: what is known is kept
    print(f"\n{page(computes, found, settings.tiny)}")
    print(f"in {settings.out}: gpu_check.json, gpu_check.md, gpu_check.log")
    missed = any(target["verdict"] == "missed" for target in targets(found, not settings.tiny))
    return int(missed or any(result.status in ("failed", "timed out") for result in found.values()))


def write(settings: Settings, computes: Mapping[str, Any], found: Mapping[str, Found]) -> None:
    """Write the table and the JSON."""
    judged = not settings.tiny
    told = {
        "about": "gpu_check", "tiny": settings.tiny, "device": dict(computes), "versions": versions(),
        "notes": list(strange(versions())), "targets": targets(found, judged),
        "parts": {part: asdict(result) | {"figures": [figure._asdict() for figure in result.figures]}
                  for part, result in found.items()},
    }  # fmt: skip
    (settings.out / "gpu_check.md").write_text(page(computes, found, settings.tiny), encoding="utf-8")
    text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    (settings.out / "gpu_check.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        raise SystemExit(main(sys.argv[1:]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
