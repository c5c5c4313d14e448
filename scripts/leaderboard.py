"""Rows of the leaderboard: every system on every benchmark that can be reached, and the page of them.

    python scripts/leaderboard.py systems=qwen3_vl,gemma_4 benchmarks=feab:raw,emonet:emonet results=results name=board
    python scripts/leaderboard.py systems=all benchmarks=feab:raw conditions=blur,light dry_run=true

systems     options of system=, or all
benchmarks  <benchmark>:<prepared set or file of records>
conditions  kinds of source=corrupted: each set is prepared with severities 1 to 3 of each, and asked about, too
further     settings of evaluate.py, such as limit=200 budget.usd=5 backend.base_url=http://gpu:8000/v1

A system is skipped, with the reason, whose server does not answer or serves another model, whose key or file of
answers is not there; or whose run ends with a mistake. A run that is finished only adds its row. Exit code 3: a budget
has paused runs, and the same command goes on; 1: nothing was measured.
"""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from seke.cli.command import composed, plain
from seke.cli.mistakes import in_one_line
from seke.core.errors import UserError
from seke.core.escape import one_line, shortened

ROOT: Final = Path(__file__).resolve().parent.parent
OWN: Final = {"systems": "", "benchmarks": "", "conditions": "", "results": "results", "name": "board"}
SEVERITIES: Final = (1, 2, 3)
WAIT_S: Final = 5
"""For a server to name its models."""
PAUSED: Final = 3


class Cell(NamedTuple):
    """One system on one set of records."""

    system: str
    benchmark: str
    records: str

    @property
    def run(self) -> str:
        """The name of its run."""
        return f"{self.system}--{self.benchmark}--{Path(self.records).name}"


@in_one_line()
def main() -> None:
    """Ask, tell what became of each, and make the page."""
    own, further = parted(sys.argv[1:])
    cells = list(planned(own))
    for records, kind, severity in sorted({(of, kind, n) for _, of, kind, n in conditions(own)}):
        name = corrupted(records, kind, severity)
        settings = [f"source.records={records}", f"source.kind={kind}", f"source.severity={severity}"]
        code, said = command("prepare", "source=corrupted", f"name={name}", *settings, *places(further))
        if code:
            print(f"{name}: not prepared: {said}")
    measured = paused = 0
    for cell in cells:
        why = unreachable(cell, further)
        code, said = (2, why) if why else evaluate(cell, own["results"], further)
        measured, paused = measured + (code == 0), paused + (code == PAUSED)
        outcome = "measured" if code == 0 else f"paused: {said}" if code == PAUSED else f"skipped: {said}"
        print(f"{cell.run}: {outcome}", flush=True)
    if measured and "dry_run=true" not in further:
        code, said = command("report", f"name={own['name']}", f"leaderboard={own['results']}", *places(further))
        print(said if code else f"{measured} of {len(cells)} measured; {said}")
    raise SystemExit(PAUSED if paused else 0 if measured else 1)


def parted(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return our own settings, and those of evaluate.py."""
    own = dict(OWN)
    own |= {key: value for key, _, value in (word.partition("=") for word in words) if key in OWN}
    for name in ("systems", "benchmarks"):
        if not own[name]:
            raise UserError(
                name, "", "nothing to do", "say systems=<options of system=> benchmarks=<benchmark>:<records>"
            )
    return own, [word for word in words if word.partition("=")[0] not in OWN]


def planned(own: Mapping[str, str]) -> Iterator[Cell]:
    """Yield every system on every set, changed ones among them.

    Raises:
        UserError: if there is no such system, or a benchmark has no records.
    """
    there = sorted(path.stem for path in (ROOT / "conf" / "system").glob("*.yaml") if path.stem != "any")
    systems = there if own["systems"] == "all" else own["systems"].split(",")
    if unknown := set(systems) - set(there):
        raise UserError("systems", min(unknown), "no option of system=", f"choose among {', '.join(there)}")
    sets = [*pairs(own), *((name, corrupted(of, kind, n)) for name, of, kind, n in conditions(own))]
    for benchmark, records in sets:
        yield from (Cell(system, benchmark, records) for system in systems)


def pairs(own: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return benchmarks and their records."""
    found = [word.partition(":")[::2] for word in own["benchmarks"].split(",")]
    if bad := [name for name, records in found if not records]:
        raise UserError("benchmarks", bad[0], "it says no records", f"write {bad[0]}:<prepared set>")
    return [(name, records) for name, records in found]


def conditions(own: Mapping[str, str]) -> Iterator[tuple[str, str, str, int]]:
    """Yield benchmark, clean records, kind and severity of every changed set."""
    for kind in filter(None, own["conditions"].split(",")):
        for benchmark, records in pairs(own):
            yield from ((benchmark, records, kind, severity) for severity in SEVERITIES)


def corrupted(records: str, kind: str, severity: int) -> str:
    """Return the name of a changed set."""
    return f"{Path(records).name}-{kind}-{severity}"


def unreachable(cell: Cell, further: Sequence[str]) -> str:
    """Return why a system cannot be asked; empty: it can, as far as is seen from here."""
    try:
        cfg = composed("evaluate", [f"system={cell.system}", f"benchmark={cell.benchmark}", *further])
    except UserError as error:
        return str(error)
    except (HydraException, OmegaConfBaseException) as error:
        return one_line(str(error).splitlines()[0])
    if cfg.predictions is not None:
        return "" if Path(cfg.predictions).exists() else f"no file of answers {cfg.predictions}"
    backend: dict[str, Any] = plain(cfg.backend)
    if "base_url" not in backend:
        return ""
    address, model = backend["base_url"] or "https://api.openai.com/v1", str(backend["model"])
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if str(address).startswith("https://"):
        return "" if key else f"{address} wants a key: export OPENAI_API_KEY"
    request = urllib.request.Request(
        f"{str(address).rstrip('/')}/models", headers={"Authorization": f"Bearer {key or 'none'}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as reply:
            served = [str(entry["id"]) for entry in json.load(reply)["data"]]
    except (OSError, ValueError, KeyError, TypeError, urllib.error.URLError) as error:
        return f"{address} does not answer ({shortened(one_line(str(error)), 80)})"
    return "" if model in served else f"{address} serves {shortened(', '.join(served) or 'nothing', 80)}, not {model}"


def evaluate(cell: Cell, results: str, further: Sequence[str]) -> tuple[int, str]:
    """Ask one system, or find that it was asked; return the exit code and the line that says why not."""
    return command(
        "evaluate", f"system={cell.system}", f"benchmark={cell.benchmark}", f"records={cell.records}",
        f"name={cell.run}", f"results={results}", *further,
    )  # fmt: skip


def places(further: Sequence[str]) -> list[str]:
    """Return those of evaluate.py's settings that every command needs."""
    return [word for word in further if word.startswith(("paths.", "seed="))]


def command(name: str, *words: str) -> tuple[int, str]:
    """Run one of the commands; return its exit code, and its error line or the last line that it printed."""
    asked = [sys.executable, str(ROOT / f"{name}.py"), *words]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    lines = [line for line in (done.stderr if done.returncode else done.stdout).splitlines() if line.strip()]
    wrong = [line for line in lines if line.startswith(("error:", "paused:"))]
    told = [line for line in lines if not line.startswith("next:")]
    return done.returncode, one_line((wrong or told or [""])[-1])


if __name__ == "__main__":
    main()
